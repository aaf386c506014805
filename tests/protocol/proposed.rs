//! The proposed new state: configuration, completed by prior state where the provider decides.

use podidentity::cty::Value;

use crate::schema::{Attribute, Block, Kind, Nesting};

/// What Core sends as `proposed_new_state` of a create or an update.
pub(crate) fn proposed_new_state(schema: &Block, prior: &Value, config: &Value) -> Value {
    let empty;
    let prior = if prior.is_null() {
        empty = schema.empty();
        &empty
    } else {
        prior
    };
    if !config.is_set() {
        return prior.clone();
    }
    let mut proposed = proposed_attributes(&schema.attributes, prior, config);
    for nested in &schema.blocks {
        let (prior, config) = (prior.get(&nested.name), config.get(&nested.name));
        let value = match nested.nesting {
            Nesting::Group => proposed_new_state(&nested.block, prior, config),
            Nesting::Single if config.is_null() => Value::Null,
            nesting => correlate(
                nesting,
                prior,
                config,
                &|prior, config| proposed_new_state(&nested.block, prior, config),
                &|prior, config| {
                    could_come_from(&nested.block.attributes, prior, config)
                        && nested
                            .block
                            .blocks
                            .iter()
                            .all(|b| prior.get(&b.name) == config.get(&b.name))
                },
            ),
        };
        proposed.set(nested.name.clone(), value);
    }
    proposed
}

fn proposed_attributes(attributes: &[Attribute], prior: &Value, config: &Value) -> Value {
    Value::object(attributes.iter().map(|attribute| {
        let (prior, config) = (prior.get(&attribute.name), config.get(&attribute.name));
        let value = match &attribute.kind {
            _ if attribute.computed && config.is_null() => {
                if was_configured(attribute, prior) {
                    config.clone()
                } else {
                    prior.clone()
                }
            }
            Kind::Nested(nesting, nested) => correlate(
                *nesting,
                prior,
                config,
                &|prior, config| proposed_attributes(nested, prior, config),
                &|prior, config| could_come_from(nested, prior, config),
            ),
            Kind::Plain(_) => config.clone(),
        };
        (attribute.name.clone(), value)
    }))
}

/// An optional and computed nested attribute whose prior value holds what only a configuration can have set: the user
/// has removed it, so the prior value is not proposed again.
fn was_configured(attribute: &Attribute, prior: &Value) -> bool {
    let Kind::Nested(_, nested) = &attribute.kind else {
        return false;
    };
    let in_object = |object: &Value| {
        nested.iter().any(|inner| {
            let value = object.get(&inner.name);
            (!inner.computed && !value.is_null()) || was_configured(inner, value)
        })
    };
    attribute.optional
        && match prior {
            Value::Object(_) => in_object(prior),
            Value::List(items) | Value::Set(items) => items.iter().any(in_object),
            Value::Map(entries) => entries.values().any(in_object),
            _ => false,
        }
}

/// Pairs the objects of a nested value: by index, by key, or, in a set, with a prior element that could have come from
/// the configured one. What has no partner is new.
fn correlate(
    nesting: Nesting,
    prior: &Value,
    config: &Value,
    propose: &dyn Fn(&Value, &Value) -> Value,
    correlates: &dyn Fn(&Value, &Value) -> bool,
) -> Value {
    if !config.is_set() {
        return config.clone();
    }
    match (nesting, config) {
        (Nesting::List, Value::List(items)) => {
            let before = prior.as_elements().unwrap_or_default();
            let pair = |(index, item)| propose(before.get(index).unwrap_or(&Value::Null), item);
            Value::List(items.iter().enumerate().map(pair).collect())
        }
        (Nesting::Map, Value::Map(entries)) => Value::Map(
            entries
                .iter()
                .map(|(key, item)| (key.clone(), propose(prior.get(key), item)))
                .collect(),
        ),
        (Nesting::Set, Value::Set(items)) => {
            let mut before: Vec<&Value> = prior.as_elements().unwrap_or_default().iter().collect();
            Value::set_of(items.iter().map(|item| {
                match before.iter().position(|prior| correlates(prior, item)) {
                    Some(index) => propose(before.swap_remove(index), item),
                    None => propose(&Value::Null, item),
                }
            }))
        }
        _ => propose(prior, config),
    }
}

/// Whether `prior` is what this configuration may have become: equal, but for what the provider decided.
fn could_come_from(attributes: &[Attribute], prior: &Value, config: &Value) -> bool {
    attributes.iter().all(|attribute| {
        let (prior, config) = (prior.get(&attribute.name), config.get(&attribute.name));
        if prior == config || (attribute.computed && config.is_null()) {
            return true;
        }
        match &attribute.kind {
            Kind::Nested(_, nested) => match (prior, config) {
                (Value::Object(_), Value::Object(_)) => could_come_from(nested, prior, config),
                (Value::List(a), Value::List(b)) if a.len() == b.len() => {
                    a.iter().zip(b).all(|(a, b)| could_come_from(nested, a, b))
                }
                (Value::Map(a), Value::Map(b)) => {
                    a.keys().eq(b.keys())
                        && a.values()
                            .zip(b.values())
                            .all(|(a, b)| could_come_from(nested, a, b))
                }
                _ => false,
            },
            Kind::Plain(_) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn thing(written: &[(&str, Value)]) -> Value {
        fake::schema()
            .block
            .configuration(&Value::object(written.to_vec()))
    }

    fn objects(items: &[(&'static str, Value)]) -> Value {
        Value::object(items.to_vec())
    }

    #[test]
    fn merges_as_core_does() {
        let s = |text: &str| Value::from(text);
        let zone = |code: &str, id: Value| objects(&[("code", s(code)), ("id", id)]);
        let rule = |port: i64, id: Value| objects(&[("port", Value::from(port)), ("id", id)]);
        let cases: Vec<(&str, Value, Value, Value)> = vec![
            (
                "create: computed stays null",
                Value::Null,
                thing(&[("name", s("a"))]),
                thing(&[("name", s("a"))]),
            ),
            (
                "computed comes from prior, the rest from config",
                thing(&[
                    ("name", s("a")),
                    ("id", s("i")),
                    ("mode", s("auto")),
                    ("size", Value::from(1)),
                ]),
                thing(&[("name", s("b"))]),
                thing(&[("name", s("b")), ("id", s("i")), ("mode", s("auto"))]),
            ),
            (
                "configured optional and computed comes from config",
                thing(&[("mode", s("auto"))]),
                thing(&[("mode", Value::unknown())]),
                thing(&[("mode", Value::unknown())]),
            ),
            (
                "list by index, with a new element",
                thing(&[("rule", Value::List(vec![rule(1, s("r1"))]))]),
                thing(&[(
                    "rule",
                    Value::List(vec![rule(2, Value::Null), rule(1, Value::Null)]),
                )]),
                thing(&[(
                    "rule",
                    Value::List(vec![rule(2, s("r1")), rule(1, Value::Null)]),
                )]),
            ),
            (
                "set by meaning",
                thing(&[(
                    "zone",
                    Value::set_of([zone("x", s("1")), zone("y", s("2"))]),
                )]),
                thing(&[(
                    "zone",
                    Value::set_of([zone("z", Value::Null), zone("y", Value::Null)]),
                )]),
                thing(&[(
                    "zone",
                    Value::set_of([zone("z", Value::Null), zone("y", s("2"))]),
                )]),
            ),
            (
                "removed optional and computed nested attribute is not proposed again",
                thing(&[("owner", objects(&[("email", s("e")), ("note", s("n"))]))]),
                thing(&[]),
                thing(&[]),
            ),
            (
                "blocks by index, key and presence",
                thing(&[
                    (
                        "disk",
                        Value::List(vec![objects(&[
                            ("size", Value::from(1)),
                            ("serial", s("s1")),
                        ])]),
                    ),
                    ("roof", objects(&[("color", s("red"))])),
                ]),
                thing(&[(
                    "disk",
                    Value::List(vec![objects(&[("size", Value::from(2))])]),
                )]),
                thing(&[(
                    "disk",
                    Value::List(vec![objects(&[
                        ("size", Value::from(2)),
                        ("serial", s("s1")),
                    ])]),
                )]),
            ),
            (
                "unknown dynamic block stays",
                thing(&[(
                    "disk",
                    Value::List(vec![objects(&[("size", Value::from(1))])]),
                )]),
                thing(&[("disk", Value::unknown())]),
                thing(&[("disk", Value::unknown())]),
            ),
        ];
        for (name, prior, config, expected) in cases {
            let schema = fake::schema();
            assert_eq!(
                proposed_new_state(&schema.block, &prior, &config),
                expected,
                "{name}"
            );
        }
    }
}
