//! Rules A1 to A5, and with them F2: a result keeps what its plan promised.

use podidentity::cty::{Bound, Number, Path, Refinements, Value};

use crate::rules::Violation;
use crate::schema::{Attribute, Block, NestedBlock, Nesting};

/// Every way in which `actual` breaks the promise of `planned`.
pub(crate) fn assert_object_compatible(
    schema: &Block,
    planned: &Value,
    actual: &Value,
) -> Vec<Violation> {
    let mut found = Vec::new();
    if planned.is_null() != actual.is_null() {
        found.push(Violation::new(
            "A4",
            if planned.is_null() {
                "Root object was absent, but now present"
            } else {
                "Root object was present, but now absent"
            },
        ));
        return found;
    }
    block(schema, planned, actual, &Path::root(), &mut found);
    found
}

fn block(schema: &Block, planned: &Value, actual: &Value, path: &Path, found: &mut Vec<Violation>) {
    if planned.is_unknown() {
        return; // A placeholder for the whole block.
    }
    if planned.is_null() || actual.is_null() {
        if planned.is_null() != actual.is_null() {
            let (was, now) = if planned.is_null() {
                ("absent", "present")
            } else {
                ("present", "absent")
            };
            found.push(Violation::at(
                "A4",
                path,
                format!("was {was}, but now {now}"),
            ));
        }
        return;
    }
    for attribute in &schema.attributes {
        attribute_compatible(attribute, planned, actual, path, found);
    }
    for nested in &schema.blocks {
        let name = &nested.name;
        nested_block(
            nested,
            planned.get(name),
            actual.get(name),
            &path.attribute(name),
            found,
        );
    }
}

fn attribute_compatible(
    attribute: &Attribute,
    planned: &Value,
    actual: &Value,
    path: &Path,
    found: &mut Vec<Violation>,
) {
    let name = &attribute.name;
    let path = path.attribute(name);
    let mut inner = Vec::new();
    values(planned.get(name), actual.get(name), &path, &mut inner);
    if attribute.sensitive && !inner.is_empty() {
        found.push(Violation::at(
            "A5",
            &path,
            "inconsistent values for sensitive attribute",
        ));
    } else {
        found.append(&mut inner);
    }
}

fn nested_block(
    nested: &NestedBlock,
    planned: &Value,
    actual: &Value,
    path: &Path,
    found: &mut Vec<Violation>,
) {
    if planned.is_unknown() {
        return; // A dynamic block that could expand to anything.
    }
    let mut fault = |message: String| found.push(Violation::at("A4", path, message));
    match (nested.nesting, planned, actual) {
        (Nesting::Single | Nesting::Group, _, _) => {
            block(&nested.block, planned, actual, path, found);
        }
        (_, _, Value::Null) => fault("null block value after apply".to_owned()),
        (_, _, Value::Unknown(_)) => fault("was known, but now unknown".to_owned()),
        (_, Value::List(planned), Value::List(actual)) => {
            if planned.len() != actual.len() {
                fault(format!(
                    "block count changed from {} to {}",
                    planned.len(),
                    actual.len()
                ));
                return;
            }
            for (index, (planned, actual)) in planned.iter().zip(actual).enumerate() {
                block(&nested.block, planned, actual, &path.index(index), found);
            }
        }
        (_, Value::Map(planned), Value::Map(actual)) => {
            for key in actual.keys().filter(|key| !planned.contains_key(*key)) {
                fault(format!("new block key {key:?} has appeared"));
            }
            for key in planned.keys().filter(|key| !actual.contains_key(*key)) {
                fault(format!("block key {key:?} has vanished"));
            }
            for (key, planned) in planned {
                if let Some(actual) = actual.get(key) {
                    block(&nested.block, planned, actual, &path.key(key), found);
                }
            }
        }
        (_, Value::Set(planned), Value::Set(actual)) => {
            if actual.len() > planned.len() {
                fault(format!(
                    "block set length changed from {} to {}",
                    planned.len(),
                    actual.len()
                ));
            }
            set(planned, actual, path, found, &|planned, actual| {
                let mut inner = Vec::new();
                block(&nested.block, planned, actual, path, &mut inner);
                inner.is_empty()
            });
        }
        _ => found.push(Violation::at("A1", path, "wrong final value type")),
    }
}

fn values(planned: &Value, actual: &Value, path: &Path, found: &mut Vec<Violation>) {
    let mut fault =
        |rule: &'static str, message: String| found.push(Violation::at(rule, path, message));
    match (planned, actual) {
        (Value::Unknown(refinements), _) => {
            if let Some(refinements) = refinements
                && !within(refinements, actual)
            {
                fault(
                    "A1",
                    format!(
                        "final value {actual:?} does not conform to planning placeholder {planned:?}"
                    ),
                );
            }
        }
        (_, Value::Unknown(_)) => fault("A1", "was known, but now unknown".to_owned()),
        (Value::Null, Value::Null) => {}
        (Value::Null, _) => fault("A1", format!("was null, but now {actual:?}")),
        (_, Value::Null) => fault("A1", format!("was {planned:?}, but now null")),
        (Value::List(planned), Value::List(actual))
        | (Value::Tuple(planned), Value::Tuple(actual)) => {
            for index in actual.len()..planned.len() {
                fault("A2", format!("element {index} has vanished"));
            }
            for index in planned.len()..actual.len() {
                fault("A2", format!("new element {index} has appeared"));
            }
            for (index, (planned, actual)) in planned.iter().zip(actual).enumerate() {
                values(planned, actual, &path.index(index), found);
            }
        }
        (Value::Map(planned), Value::Map(actual)) => {
            for key in planned.keys().filter(|key| !actual.contains_key(*key)) {
                fault("A2", format!("element {key:?} has vanished"));
            }
            for key in actual.keys().filter(|key| !planned.contains_key(*key)) {
                fault("A2", format!("new element {key:?} has appeared"));
            }
            for (key, planned) in planned {
                if let Some(actual) = actual.get(key) {
                    values(planned, actual, &path.key(key), found);
                }
            }
        }
        (Value::Object(planned), Value::Object(actual)) => {
            if !planned.keys().eq(actual.keys()) {
                fault("A1", "wrong final value type".to_owned());
            }
            for (name, planned) in planned {
                if let Some(actual) = actual.get(name) {
                    values(planned, actual, &path.attribute(name), found);
                }
            }
        }
        (Value::Set(planned), Value::Set(actual)) => {
            if actual.len() > planned.len() {
                fault(
                    "A3",
                    format!("length changed from {} to {}", planned.len(), actual.len()),
                );
            }
            set(planned, actual, path, found, &|planned, actual| {
                let mut inner = Vec::new();
                values(planned, actual, path, &mut inner);
                inner.is_empty()
            });
        }
        (Value::Dynamic(planned), Value::Dynamic(actual)) => {
            if planned.0 == actual.0 {
                values(&planned.1, &actual.1, path, found);
            } else {
                fault("A1", "wrong final value type".to_owned());
            }
        }
        _ if planned == actual => {}
        _ if planned.kind() != actual.kind() => fault("A1", "wrong final value type".to_owned()),
        _ => fault("A1", format!("was {planned:?}, but now {actual:?}")),
    }
}

/// A3: every element correlates, both ways.
fn set(
    planned: &[Value],
    actual: &[Value],
    path: &Path,
    found: &mut Vec<Violation>,
    compatible: &dyn Fn(&Value, &Value) -> bool,
) {
    for item in planned {
        if !actual.iter().any(|actual| compatible(item, actual)) {
            let message = format!(
                "planned set element {item:?} does not correlate with any element in actual"
            );
            found.push(Violation::at("A3", path, message));
        }
    }
    for item in actual {
        if !planned.iter().any(|planned| compatible(planned, item)) {
            let message =
                format!("actual set element {item:?} does not correlate with any element in plan");
            found.push(Violation::at("A3", path, message));
        }
    }
}

/// Whether a final value keeps what a plan said about it. A later plan may still be unknown, if it says as much.
fn within(refinements: &Refinements, actual: &Value) -> bool {
    match actual.unwrapped() {
        Value::Unknown(_) => true,
        Value::Null => refinements.null != Some(false),
        _ if refinements.null == Some(true) => false,
        Value::String(text) => refinements
            .string_prefix
            .as_deref()
            .is_none_or(|prefix| text.starts_with(prefix)),
        Value::Number(number) => {
            let above = |bound: &Bound| beyond(number, &bound.value, bound.inclusive);
            let below = |bound: &Bound| beyond(&bound.value, number, bound.inclusive);
            refinements.number_lower.as_ref().is_none_or(above)
                && refinements.number_upper.as_ref().is_none_or(below)
        }
        value => {
            let length = value
                .as_elements()
                .map(<[Value]>::len)
                .or_else(|| value.as_entries().map(std::collections::BTreeMap::len));
            length
                .and_then(|length| i64::try_from(length).ok())
                .is_none_or(|length| {
                    refinements.length_lower.is_none_or(|least| length >= least)
                        && refinements.length_upper.is_none_or(|most| length <= most)
                })
        }
    }
}

fn beyond(number: &Number, limit: &Number, inclusive: bool) -> bool {
    number > limit || (inclusive && number == limit)
}
