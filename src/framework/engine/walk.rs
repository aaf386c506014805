//! Walking configuration, prior state and plan together, along the schema.

use crate::cty::{Path, Value};
use crate::framework::schema::{Attribute, AttributeType, Block, NestedBlock, Nesting};

/// What an object holds: a block's attributes and blocks, or the attributes of a nested attribute.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) attributes: &'a [Attribute],
    pub(crate) blocks: &'a [NestedBlock],
}

impl<'a> From<&'a Block> for Fields<'a> {
    fn from(block: &'a Block) -> Self {
        Self {
            attributes: &block.attributes,
            blocks: &block.blocks,
        }
    }
}

impl<'a> From<&'a [Attribute]> for Fields<'a> {
    fn from(attributes: &'a [Attribute]) -> Self {
        Self {
            attributes,
            blocks: &[],
        }
    }
}

/// The nesting and fields of a nested attribute.
pub(crate) fn nested(attribute: &Attribute) -> Option<(Nesting, Fields<'_>)> {
    match &attribute.ty {
        AttributeType::Plain(_) => None,
        AttributeType::Nested {
            nesting,
            attributes,
        } => Some((*nesting, attributes.as_slice().into())),
    }
}

/// Where a [`Visitor`] is.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    pub(super) path: &'a Path,
    /// The attribute in configuration; null where the object around it has no counterpart.
    pub(super) config: &'a Value,
    /// The attribute in prior state.
    pub(super) prior: &'a Value,
    /// The object around it in prior state.
    pub(super) prior_parent: &'a Value,
    /// Whether a set stands above: core compares elements of sets as wholes.
    pub(super) in_set: bool,
}

/// Looks at, and changes, the planned value of each attribute.
pub(super) trait Visitor {
    /// Whether to go on into nested attributes.
    fn attribute(&mut self, attribute: &Attribute, here: Here<'_>, plan: &mut Value) -> bool;
}

/// The objects that belong together in the three values, and where they are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) config: &'a Value,
    pub(super) prior: &'a Value,
    pub(super) in_set: bool,
}

/// Visits each attribute of `plan`, an object, parents before children.
pub(super) fn walk(
    fields: Fields<'_>,
    place: Place<'_>,
    plan: &mut Value,
    visitor: &mut dyn Visitor,
) {
    let Value::Object(entries) = plan else {
        return;
    };
    for attribute in fields.attributes {
        let Some(planned) = entries.get_mut(attribute.name) else {
            continue;
        };
        let path = place.path.attribute(attribute.name);
        let config = place.config.get(attribute.name);
        let prior = place.prior.get(attribute.name);
        let here = Here {
            path: &path,
            config,
            prior,
            prior_parent: place.prior,
            in_set: place.in_set,
        };
        if visitor.attribute(attribute, here, planned)
            && let Some((nesting, fields)) = nested(attribute)
        {
            let place = Place {
                path: &path,
                config,
                prior,
                in_set: place.in_set,
            };
            walk_nested(nesting, fields, place, planned, visitor);
        }
    }
    for block in fields.blocks {
        let Some(planned) = entries.get_mut(block.name) else {
            continue;
        };
        let place = Place {
            path: &place.path.attribute(block.name),
            config: place.config.get(block.name),
            prior: place.prior.get(block.name),
            in_set: place.in_set,
        };
        walk_nested(
            block.nesting,
            (&block.block).into(),
            place,
            planned,
            visitor,
        );
    }
}

fn walk_nested(
    nesting: Nesting,
    fields: Fields<'_>,
    place: Place<'_>,
    plan: &mut Value,
    visitor: &mut dyn Visitor,
) {
    match (nesting, plan) {
        (Nesting::Single | Nesting::Group, plan @ Value::Object(_)) => {
            walk(fields, place, plan, visitor);
        }
        (Nesting::List, Value::List(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                let place = Place {
                    path: &place.path.index(index),
                    config: element(place.config, index),
                    prior: element(place.prior, index),
                    in_set: place.in_set,
                };
                walk(fields, place, item, visitor);
            }
        }
        (Nesting::Map, Value::Map(items)) => {
            for (key, item) in items {
                let place = Place {
                    path: &place.path.key(key.clone()),
                    config: place.config.get(key),
                    prior: place.prior.get(key),
                    in_set: place.in_set,
                };
                walk(fields, place, item, visitor);
            }
        }
        (Nesting::Set, Value::Set(items)) => {
            let config = place.config.as_elements().unwrap_or_default();
            let prior = place.prior.as_elements().unwrap_or_default();
            let config_of = correlate(fields, config, items);
            let prior_of = correlate(fields, config, prior);
            for (index, item) in items.iter_mut().enumerate() {
                let config_index = config_of.iter().position(|p| *p == Some(index));
                let place = Place {
                    path: place.path,
                    config: config_index.map_or(&Value::Null, |i| &config[i]),
                    prior: config_index
                        .and_then(|i| prior_of[i])
                        .map_or(&Value::Null, |i| &prior[i]),
                    in_set: true,
                };
                walk(fields, place, item, visitor);
            }
        }
        _ => {}
    }
}

fn element(value: &Value, index: usize) -> &Value {
    value
        .as_elements()
        .and_then(|items| items.get(index))
        .unwrap_or(&Value::Null)
}

/// For each configured set element the index of the one among `others` (prior or planned elements) that could have come
/// from it, as core decides it: equal but for computed values that the configuration leaves null. No element is taken
/// twice. Elements that say more choose first, so that one that leaves a computed value open does not take what another
/// one names.
pub(crate) fn correlate(
    fields: Fields<'_>,
    config: &[Value],
    others: &[Value],
) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..config.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(said(&config[*index])));
    let mut taken = vec![false; others.len()];
    let mut found = vec![None; config.len()];
    for index in order {
        let other = (0..others.len()).find(|other| {
            !taken[*other] && could_come_from(fields, &config[index], &others[*other])
        });
        if let Some(other) = other {
            taken[other] = true;
        }
        found[index] = other;
    }
    found
}

/// How much a value says: its leaves that are not null.
fn said(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::List(items) | Value::Set(items) | Value::Tuple(items) => {
            items.iter().map(said).sum()
        }
        Value::Map(entries) | Value::Object(entries) => entries.values().map(said).sum(),
        _ => 1,
    }
}

fn could_come_from(fields: Fields<'_>, config: &Value, other: &Value) -> bool {
    if !matches!((config, other), (Value::Object(_), Value::Object(_))) {
        return config == other;
    }
    let attributes = fields.attributes.iter().all(|attribute| {
        let (config, other) = (config.get(attribute.name), other.get(attribute.name));
        match nested(attribute) {
            _ if attribute.computed && config.is_null() => true,
            Some((nesting, fields)) => nested_could_come_from(nesting, fields, config, other),
            None => config == other,
        }
    });
    attributes
        && fields.blocks.iter().all(|block| {
            nested_could_come_from(
                block.nesting,
                (&block.block).into(),
                config.get(block.name),
                other.get(block.name),
            )
        })
}

fn nested_could_come_from(
    nesting: Nesting,
    fields: Fields<'_>,
    config: &Value,
    other: &Value,
) -> bool {
    match (nesting, config, other) {
        (Nesting::Single | Nesting::Group, ..) => could_come_from(fields, config, other),
        (Nesting::List, Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| could_come_from(fields, a, b))
        }
        (Nesting::Map, Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| could_come_from(fields, a, b)))
        }
        (Nesting::Set, Value::Set(a), Value::Set(b)) => {
            a.len() == b.len() && correlate(fields, a, b).iter().all(Option::is_some)
        }
        _ => config == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::schema::Schema;

    #[test]
    fn set_elements_correlate_as_core_does() {
        let schema = Schema::new("").attribute(Attribute::nested(
            "s",
            Nesting::Set,
            vec![
                Attribute::string("a", "").optional(),
                Attribute::string("c", "").optional().computed(),
            ],
            "",
        ));
        let (_, fields) = nested(&schema.block.attributes[0]).unwrap();
        let object = |a: Value, c: Value| Value::object([("a", a), ("c", c)]);
        let (null, unknown) = (Value::Null, Value::unknown());
        for (name, config, others, expected) in [
            (
                "computed values do not matter where configuration has none",
                vec![object("x".into(), null.clone())],
                vec![
                    object("y".into(), "1".into()),
                    object("x".into(), "2".into()),
                ],
                vec![Some(1)],
            ),
            (
                "they do where it has some",
                vec![object("x".into(), "1".into())],
                vec![object("x".into(), "2".into())],
                vec![None],
            ),
            (
                "no element is taken twice",
                vec![
                    object("x".into(), null.clone()),
                    object("x".into(), null.clone()),
                ],
                vec![object("x".into(), "1".into())],
                vec![Some(0), None],
            ),
            (
                "two unknowns stay apart",
                vec![
                    object(unknown.clone(), null.clone()),
                    object(unknown.clone(), null.clone()),
                ],
                vec![
                    object(unknown.clone(), null.clone()),
                    object(unknown.clone(), null.clone()),
                ],
                vec![Some(0), Some(1)],
            ),
            (
                "who says more chooses first",
                vec![
                    object("x".into(), null.clone()),
                    object("x".into(), "1".into()),
                ],
                vec![
                    object("x".into(), "1".into()),
                    object("x".into(), "2".into()),
                ],
                vec![Some(1), Some(0)],
            ),
            (
                "an unknown element of prior cannot be",
                vec![object(unknown, null.clone())],
                vec![object("x".into(), null)],
                vec![None],
            ),
        ] {
            assert_eq!(correlate(fields, &config, &others), expected, "{name}");
        }
    }
}
