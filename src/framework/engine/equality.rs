//! Semantic equality: keeping the old spelling of a value that means the same.

use crate::cty::Value;
use crate::framework::schema::Nesting;

use super::walk::{Fields, nested};

/// Wherever an attribute's semantic equality says that `new` means the same as `prior`, takes the value of `prior`.
/// Recursive; only where both are wholly known and not null. Elements of nested sets correlate if they mean the same.
pub(super) fn keep_equivalent(fields: Fields<'_>, prior: &Value, new: &mut Value) {
    if !has_equality(fields) {
        return;
    }
    let (Value::Object(prior), Value::Object(new)) = (prior, new) else {
        return;
    };
    for attribute in fields.attributes {
        let (Some(prior), Some(new)) = (prior.get(attribute.name), new.get_mut(attribute.name))
        else {
            continue;
        };
        if let Some(equality) = &attribute.semantic_equality
            && comparable(prior)
            && comparable(new)
            && prior != new
            && equality.semantically_equal(prior, new)
        {
            *new = prior.clone();
            continue;
        }
        if let Some((nesting, fields)) = nested(attribute) {
            keep_nested(nesting, fields, prior, new);
        }
    }
    for block in fields.blocks {
        if let (Some(prior), Some(new)) = (prior.get(block.name), new.get_mut(block.name)) {
            keep_nested(block.nesting, (&block.block).into(), prior, new);
        }
    }
}

fn keep_nested(nesting: Nesting, fields: Fields<'_>, prior: &Value, new: &mut Value) {
    match (nesting, prior, new) {
        (Nesting::Single | Nesting::Group, prior, new) => keep_equivalent(fields, prior, new),
        (Nesting::List, Value::List(prior), Value::List(new)) => {
            for (prior, new) in prior.iter().zip(new) {
                keep_equivalent(fields, prior, new);
            }
        }
        (Nesting::Map, Value::Map(prior), Value::Map(new)) => {
            for (key, new) in new {
                if let Some(prior) = prior.get(key) {
                    keep_equivalent(fields, prior, new);
                }
            }
        }
        (Nesting::Set, Value::Set(prior), Value::Set(new)) => {
            let mut taken = vec![false; prior.len()];
            for new in new {
                let found = prior.iter().enumerate().position(|(index, prior)| {
                    let mut candidate = new.clone();
                    keep_equivalent(fields, prior, &mut candidate);
                    !taken[index] && candidate == *prior
                });
                if let Some(index) = found {
                    taken[index] = true;
                    new.clone_from(&prior[index]);
                }
            }
        }
        _ => {}
    }
}

pub(super) fn comparable(value: &Value) -> bool {
    !value.is_null() && value.is_wholly_known()
}

/// Most schemas have none: then there is nothing to walk.
fn has_equality(fields: Fields<'_>) -> bool {
    fields.attributes.iter().any(|attribute| {
        attribute.semantic_equality.is_some()
            || nested(attribute).is_some_and(|(_, fields)| has_equality(fields))
    }) || fields
        .blocks
        .iter()
        .any(|block| has_equality((&block.block).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::engine::fake::IgnoreCase;
    use crate::framework::schema::{Attribute, Block, NestedBlock};

    fn block() -> Block {
        let text = || {
            Attribute::string("text", "")
                .optional()
                .semantic_equality(IgnoreCase)
        };
        let exact = || Attribute::string("exact", "").optional();
        Block::new("")
            .attribute(text())
            .attribute(exact())
            .attribute(Attribute::nested("list", Nesting::List, vec![text()], "").optional())
            .attribute(Attribute::nested("map", Nesting::Map, vec![text()], "").optional())
            .attribute(Attribute::nested("set", Nesting::Set, vec![text(), exact()], "").optional())
            .nested_block(NestedBlock::single(
                "block",
                Block::new("").attribute(text()),
            ))
    }

    #[test]
    fn keeps_the_prior_spelling_at_any_depth() {
        let block = block();
        let of = |name: &str, value: Value| {
            let mut object = super::super::conform::empty_block(&block);
            object.set(name, value);
            object
        };
        let text = |text: &str| Value::object([("text", Value::from(text))]);
        let both =
            |t: &str, e: &str| Value::object([("text", Value::from(t)), ("exact", Value::from(e))]);
        let cases = [
            (
                "equal",
                of("text", "a".into()),
                of("text", "A".into()),
                of("text", "a".into()),
            ),
            (
                "changed",
                of("text", "a".into()),
                of("text", "B".into()),
                of("text", "B".into()),
            ),
            (
                "no equality",
                of("exact", "a".into()),
                of("exact", "A".into()),
                of("exact", "A".into()),
            ),
            (
                "prior null",
                of("text", Value::Null),
                of("text", "A".into()),
                of("text", "A".into()),
            ),
            (
                "prior unknown",
                of("text", Value::unknown()),
                of("text", "A".into()),
                of("text", "A".into()),
            ),
            (
                "new null",
                of("text", "a".into()),
                of("text", Value::Null),
                of("text", Value::Null),
            ),
            (
                "list",
                of("list", Value::List(vec![text("a"), text("b")])),
                of("list", Value::List(vec![text("A"), text("C"), text("D")])),
                of("list", Value::List(vec![text("a"), text("C"), text("D")])),
            ),
            (
                "map",
                of("map", Value::Map([("k".to_owned(), text("a"))].into())),
                of("map", Value::Map([("k".to_owned(), text("A"))].into())),
                of("map", Value::Map([("k".to_owned(), text("a"))].into())),
            ),
            (
                "set",
                of("set", Value::Set(vec![both("a", "1"), both("b", "2")])),
                of("set", Value::Set(vec![both("B", "2"), both("A", "3")])),
                of("set", Value::Set(vec![both("b", "2"), both("A", "3")])),
            ),
            (
                "block",
                of("block", text("a")),
                of("block", text("A")),
                of("block", text("a")),
            ),
        ];
        for (name, prior, mut new, expected) in cases {
            keep_equivalent((&block).into(), &prior, &mut new);
            assert_eq!(new, expected, "{name}");
        }
    }
}
