//! Making values that a resource answered with fit the schema, whatever was answered.

use crate::cty::{Path, Type, Value};
use crate::framework::schema::{Attribute, Block, Nesting};
use crate::framework::{Diagnostic, Diagnostics};

use super::ObjectSchema;
use super::walk::{Fields, nested};

/// Makes `value` a value of the schema: what does not fit becomes null with a diagnostic, absent attributes become null,
/// absent blocks empty collections (rules P8, P9, A8), equal elements of sets become one. `source` names who made the
/// value, at the start of a sentence: `The plan of podidentity_role`.
pub(super) fn conform(
    schema: &ObjectSchema,
    value: &mut Value,
    source: &str,
    diagnostics: &mut Diagnostics,
) {
    if value.is_null() {
        return;
    }
    if value.is_unknown() {
        diagnostics.push(Diagnostic::provider_bug(format!(
            "{source} is unknown as a whole."
        )));
        *value = schema.empty_value();
        return;
    }
    conform_type(&schema.ty, value, &Path::root(), source, diagnostics);
    fill_blocks(&schema.schema.block, value);
}

/// The same for an object of a plain type, such as an identity.
pub(super) fn conform_type(
    ty: &Type,
    value: &mut Value,
    path: &Path,
    source: &str,
    diagnostics: &mut Diagnostics,
) {
    match (ty, &mut *value) {
        (_, Value::Null | Value::Unknown(_))
        | (Type::Bool, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::Dynamic, Value::Dynamic(_)) => {}
        // Which of the sequences it is, and which of the keyed values, the schema knows better.
        (Type::List(element), Value::List(items) | Value::Set(items) | Value::Tuple(items)) => {
            let mut items = std::mem::take(items);
            for (index, item) in items.iter_mut().enumerate() {
                conform_type(element, item, &path.index(index), source, diagnostics);
            }
            *value = Value::List(items);
        }
        (Type::Set(element), Value::List(items) | Value::Set(items) | Value::Tuple(items)) => {
            let mut distinct: Vec<Value> = Vec::with_capacity(items.len());
            for mut item in std::mem::take(items) {
                conform_type(element, &mut item, path, source, diagnostics);
                // Two unknowns may become two values; two equal known elements are one.
                if !item.is_wholly_known() || !distinct.contains(&item) {
                    distinct.push(item);
                }
            }
            *value = Value::Set(distinct);
        }
        (Type::Map(element), Value::Map(entries) | Value::Object(entries)) => {
            let mut entries = std::mem::take(entries);
            for (key, item) in &mut entries {
                conform_type(element, item, &path.key(key.clone()), source, diagnostics);
            }
            *value = Value::Map(entries);
        }
        (Type::Object(types), Value::Map(entries) | Value::Object(entries)) => {
            let mut entries = std::mem::take(entries);
            let mut object = std::collections::BTreeMap::new();
            for (name, ty) in types {
                let mut item = entries.remove(name).unwrap_or_default();
                conform_type(
                    ty,
                    &mut item,
                    &path.attribute(name.clone()),
                    source,
                    diagnostics,
                );
                object.insert(name.clone(), item);
            }
            for name in entries.keys() {
                diagnostics.push(Diagnostic::provider_bug(format!(
                    "{source} has an attribute {} that the schema does not have.",
                    path.attribute(name.clone())
                )));
            }
            *value = Value::Object(object);
        }
        (Type::Tuple(types), Value::Tuple(items) | Value::List(items))
            if types.len() == items.len() =>
        {
            let mut items = std::mem::take(items);
            for (index, (ty, item)) in types.iter().zip(&mut items).enumerate() {
                conform_type(ty, item, &path.index(index), source, diagnostics);
            }
            *value = Value::Tuple(items);
        }
        _ => {
            // The value itself may be a secret.
            let diagnostic = Diagnostic::provider_bug(if path.is_root() {
                format!("{source} is not of type {ty}.")
            } else {
                format!("{source} has a value at {path} that is not of type {ty}.")
            });
            diagnostics.push(if path.is_root() {
                diagnostic
            } else {
                diagnostic.at(path.clone())
            });
            *value = Value::Null;
        }
    }
}

/// An object of a block with nothing in it.
pub(super) fn empty_block(block: &Block) -> Value {
    let attributes = block.attributes.iter().map(|a| (a.name, Value::Null));
    let blocks = block
        .blocks
        .iter()
        .map(|b| (b.name, no_blocks(b.nesting, &b.block)));
    Value::object(attributes.chain(blocks))
}

/// Replaces null where a collection of blocks must be empty instead (rule P8).
pub(crate) fn fill_blocks(block: &Block, value: &mut Value) {
    let Value::Object(entries) = value else {
        return;
    };
    for nested in &block.blocks {
        let inner = entries.entry(nested.name.to_owned()).or_default();
        if inner.is_null() {
            *inner = no_blocks(nested.nesting, &nested.block);
            continue;
        }
        match inner {
            Value::List(items) | Value::Set(items) => {
                for item in items {
                    fill_blocks(&nested.block, item);
                }
            }
            Value::Map(items) => {
                for item in items.values_mut() {
                    fill_blocks(&nested.block, item);
                }
            }
            object => fill_blocks(&nested.block, object),
        }
    }
}

fn no_blocks(nesting: Nesting, block: &Block) -> Value {
    match nesting {
        Nesting::Single => Value::Null,
        Nesting::List => Value::List(Vec::new()),
        Nesting::Set => Value::Set(Vec::new()),
        Nesting::Map => Value::Map(Default::default()),
        Nesting::Group => empty_block(block),
    }
}

/// Replaces unknown values by null and tells where they were.
pub(super) fn null_unknowns(value: &mut Value) -> Vec<Path> {
    let mut paths = Vec::new();
    null_unknowns_at(value, &Path::root(), &mut paths);
    paths.dedup();
    paths
}

fn null_unknowns_at(value: &mut Value, path: &Path, paths: &mut Vec<Path>) {
    match value {
        Value::Unknown(_) => {
            paths.push(path.clone());
            *value = Value::Null;
        }
        Value::List(items) | Value::Tuple(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                null_unknowns_at(item, &path.index(index), paths);
            }
        }
        Value::Set(items) => {
            for item in items {
                null_unknowns_at(item, path, paths);
            }
        }
        Value::Map(entries) => {
            for (key, item) in entries {
                null_unknowns_at(item, &path.key(key.clone()), paths);
            }
        }
        Value::Object(entries) => {
            for (name, item) in entries {
                null_unknowns_at(item, &path.attribute(name.clone()), paths);
            }
        }
        Value::Dynamic(inner) => null_unknowns_at(&mut inner.1, path, paths),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces unknown values by null, with a diagnostic for each unless the operation failed anyway (rules A6, R1, D1).
pub(super) fn settle_unknowns(value: &mut Value, source: &str, diagnostics: &mut Diagnostics) {
    let failed = diagnostics.has_errors();
    for path in null_unknowns(value) {
        if !failed {
            diagnostics.push(
                Diagnostic::provider_bug(format!(
                    "{source} still has an unknown value at {path}. All values must be known by then. It was saved as \
                     null."
                ))
                .at(path),
            );
        }
    }
}

/// Replaces the values of write-only attributes by null (rules P3, A8, R3, I4, U1).
pub(super) fn null_write_only(fields: Fields<'_>, value: &mut Value) {
    null_where(fields, value, &|attribute| attribute.write_only);
}

/// Replaces by null each attribute that `matches`, at any depth.
pub(super) fn null_where(
    fields: Fields<'_>,
    value: &mut Value,
    matches: &dyn Fn(&Attribute) -> bool,
) {
    let entries = match value {
        Value::Object(entries) => entries,
        Value::List(items) | Value::Set(items) => {
            for item in items {
                null_where(fields, item, matches);
            }
            return;
        }
        Value::Map(items) => {
            for item in items.values_mut() {
                null_where(fields, item, matches);
            }
            return;
        }
        _ => return,
    };
    for attribute in fields.attributes {
        let Some(inner) = entries.get_mut(attribute.name) else {
            continue;
        };
        if matches(attribute) {
            *inner = Value::Null;
        } else if let Some((_, fields)) = nested(attribute) {
            null_where(fields, inner, matches);
        }
    }
    for block in fields.blocks {
        if let Some(inner) = entries.get_mut(block.name) {
            null_where((&block.block).into(), inner, matches);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::schema::{NestedBlock, Schema};

    fn schema() -> ObjectSchema {
        Schema::new("")
            .attribute(Attribute::string("text", "").optional())
            .attribute(Attribute::set("set", Type::String, "").optional())
            .attribute(Attribute::map("map", Type::Number, "").optional())
            .nested_block(NestedBlock::list(
                "list",
                Block::new("").nested_block(NestedBlock::set("inner", Block::new(""))),
            ))
            .nested_block(NestedBlock::single("single", Block::new("")))
            .into()
    }

    #[test]
    fn any_answer_becomes_a_value_of_the_schema() {
        let schema = schema();
        let empty = schema.empty_value();
        let with = |name: &str, value: Value| {
            let mut object = empty.clone();
            object.set(name, value);
            object
        };
        let cases = [
            ("null stays", Value::Null, Value::Null, None),
            (
                "unknown",
                Value::unknown(),
                empty.clone(),
                Some("The state is unknown as a whole."),
            ),
            (
                "a string",
                "x".into(),
                Value::Null,
                Some("The state is not of type object."),
            ),
            ("nothing", Value::object::<&str>([]), empty.clone(), None),
            (
                "another type",
                with("text", Value::Bool(true)),
                empty.clone(),
                Some("The state has a value at text that is not of type string."),
            ),
            (
                "an attribute too many",
                with("more", Value::Bool(true)),
                empty.clone(),
                Some("The state has an attribute more that the schema does not have."),
            ),
            (
                "a list for a set, with duplicates",
                with("set", Value::List(vec!["a".into(), "b".into(), "a".into()])),
                with("set", Value::Set(vec!["a".into(), "b".into()])),
                None,
            ),
            (
                "two unknowns in a set",
                with("set", Value::Set(vec![Value::unknown(), Value::unknown()])),
                with("set", Value::Set(vec![Value::unknown(), Value::unknown()])),
                None,
            ),
            (
                "a wrong element",
                with("map", Value::string_map([("k", "v")])),
                with("map", Value::Map([("k".to_owned(), Value::Null)].into())),
                Some("The state has a value at map[\"k\"] that is not of type number."),
            ),
            (
                "null for blocks",
                with("list", Value::List(vec![Value::object::<&str>([])])),
                with(
                    "list",
                    Value::List(vec![Value::object([("inner", Value::Set(Vec::new()))])]),
                ),
                None,
            ),
        ];
        for (name, mut value, expected, detail) in cases {
            let mut diagnostics = Diagnostics::new();
            conform(&schema, &mut value, "The state", &mut diagnostics);
            assert_eq!(value, expected, "{name}");
            let details: Vec<&str> = diagnostics
                .iter()
                .filter_map(|d| d.detail.lines().next())
                .collect();
            assert_eq!(details, Vec::from_iter(detail), "{name}");
        }
    }

    #[test]
    fn unknowns_become_null_and_are_named() {
        let mut value = Value::object([
            ("a", Value::unknown()),
            ("l", Value::List(vec!["x".into(), Value::unknown()])),
            ("s", Value::Set(vec![Value::unknown(), Value::unknown()])),
            ("m", Value::Map([("k".to_owned(), Value::unknown())].into())),
        ]);
        let paths: Vec<String> = null_unknowns(&mut value)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(paths, ["a", "l[1]", "m[\"k\"]", "s"]);
        assert!(value.is_wholly_known());
    }
}
