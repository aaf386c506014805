//! Changes to the IRSA parts of one statement.

use serde_json::{Map, Value};

use super::super::canonical::CanonicalStatement;
use super::super::document::{Statement, scalar};
use super::{OidcIssuer, holds_without_key, is_provider_named, object};

/// Removes values from a line that keeps at least one.
pub(super) fn remove_values(
    statement: &mut Statement,
    operator: &str,
    key: &str,
    values: &[String],
) {
    edit_line(statement, operator, key, |items| {
        items.retain(|item| !is_one_of(item, values))
    });
}

/// Removes every value but these from a line.
pub(super) fn keep_values(statement: &mut Statement, operator: &str, key: &str, values: &[String]) {
    edit_line(statement, operator, key, |items| {
        items.retain(|item| is_one_of(item, values))
    });
}

/// Takes the providers of an issuer name out of the principals, with the lines that were only for them. Returns false, and changes nothing, when nobody else would be left.
///
/// A line that must have a claim of this issuer stays: without it, the statement would trust others more than before.
pub(super) fn remove_provider(statement: &mut Statement, name: &str) -> bool {
    let Some(principal) = statement.principal() else {
        return false;
    };
    let super::super::document::Principal::Typed(types) = principal else {
        return false;
    };
    let ours = |kind: &str, value: &str| kind == "Federated" && is_provider_named(value, name);
    if types
        .iter()
        .all(|(kind, values)| values.iter().all(|value| ours(kind, value)))
    {
        return false;
    }
    if let Some(types) = object(statement.members_mut(), "Principal") {
        if let Some(federated) = types.get_mut("Federated") {
            retain(federated, |value| !is_provider_named(value, name));
        }
        if types.get("Federated").is_some_and(is_empty) {
            types.shift_remove("Federated");
        }
    }
    remove_lines(statement, |operator, key| {
        is_claim_of(key, name) && holds_without_key(operator)
    });
    true
}

/// Leaves only the providers of these issuer names as principals.
pub(super) fn keep_providers(statement: &mut Statement, names: &[String]) {
    if let Some(types) = object(statement.members_mut(), "Principal") {
        types.retain(|kind, _| kind == "Federated");
        if let Some(federated) = types.get_mut("Federated") {
            retain(federated, |value| {
                names.iter().any(|name| is_provider_named(value, name))
            });
        }
    }
}

/// The meaning of a statement but for the subjects that it lists for an issuer.
pub(super) fn without_subjects(statement: &Statement, issuer: &OidcIssuer) -> CanonicalStatement {
    let mut statement = statement.clone();
    let names = issuer.names();
    for keys in object(statement.members_mut(), "Condition")
        .into_iter()
        .flat_map(|condition| condition.values_mut())
        .filter_map(Value::as_object_mut)
    {
        for (key, values) in keys.iter_mut() {
            if names.iter().any(|name| is_claim(key, name, "sub")) {
                *values = Value::Array(Vec::new());
            }
        }
    }
    CanonicalStatement::from(&statement)
}

/// Whether a statement has all providers of `wanted` and all values of its lines.
pub(super) fn holds(statement: &Statement, wanted: &Statement) -> bool {
    let federated = |statement: &Statement| -> Vec<String> {
        statement
            .principal()
            .map(|principal| principal.of_type("Federated"))
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let (has, lines) = (federated(statement), statement.conditions());
    federated(wanted).iter().all(|arn| has.contains(arn))
        && wanted.conditions().iter().all(|wanted| {
            lines.iter().any(|line| {
                line.operator == wanted.operator
                    && line.key.eq_ignore_ascii_case(wanted.key)
                    && wanted
                        .values
                        .iter()
                        .all(|value| line.values.contains(value))
            })
        })
}

/// Adds the providers of `wanted` and, for the issuer's claims, the values of its lines.
pub(super) fn put_back(statement: &mut Statement, wanted: &Statement, issuer: &OidcIssuer) {
    let names = issuer.names();
    let principals = object_or_new(statement.members_mut(), "Principal");
    if let (Some(principals), Some(Value::Object(types))) =
        (principals, wanted.members().get("Principal"))
        && let Some(federated) = types.get("Federated")
    {
        add(principals, "Federated", federated);
    }
    let Some(Value::Object(operators)) = wanted.members().get("Condition") else {
        return;
    };
    for (operator, keys) in operators {
        for (key, values) in keys.as_object().into_iter().flatten() {
            if names.iter().any(|name| is_claim_of(key, name))
                && let Some(condition) = object_or_new(statement.members_mut(), "Condition")
                && let Some(lines) = object_or_new(condition, operator)
            {
                // Condition keys are compared without regard to case, and two that differ in nothing else are refused.
                let known = lines.keys().find(|known| known.eq_ignore_ascii_case(key));
                let key = known.unwrap_or(key).clone();
                add(lines, &key, values);
            }
        }
    }
}

fn edit_line(
    statement: &mut Statement,
    operator: &str,
    key: &str,
    change: impl FnOnce(&mut Vec<Value>),
) {
    let Some(value) = object(statement.members_mut(), "Condition")
        .and_then(|c| object(c, operator))
        .and_then(|keys| keys.get_mut(key))
    else {
        return;
    };
    match value {
        Value::Array(items) => change(items),
        single => {
            let mut items = vec![single.take()];
            change(&mut items);
            *single = if let [item] = &items[..] {
                item.clone()
            } else {
                Value::Array(items)
            };
        }
    }
}

/// Removes lines, and what is empty without them.
fn remove_lines(statement: &mut Statement, which: impl Fn(&str, &str) -> bool) {
    let Some(condition) = object(statement.members_mut(), "Condition") else {
        return;
    };
    let before = condition.len();
    condition.retain(|operator, keys| {
        let Some(keys) = keys.as_object_mut() else {
            return true;
        };
        let before = keys.len();
        keys.retain(|key, _| !which(operator, key));
        !keys.is_empty() || before == 0
    });
    if condition.is_empty() && before > 0 {
        statement.members_mut().shift_remove("Condition");
    }
}

fn add(members: &mut Map<String, Value>, name: &str, more: &Value) {
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        single => vec![single.clone()],
    };
    match members.get_mut(name) {
        None => {
            members.insert(name.to_owned(), more.clone());
        }
        Some(value) => {
            let mut items = list(value);
            let before = items.len();
            for item in list(more) {
                if !items.contains(&item) {
                    items.push(item);
                }
            }
            if items.len() > before {
                *value = Value::Array(items);
            }
        }
    }
}

fn object_or_new<'a>(
    members: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    members
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

fn retain(value: &mut Value, keep: impl Fn(&str) -> bool) {
    match value {
        Value::Array(items) => items.retain(|item| item.as_str().is_none_or(&keep)),
        Value::String(text) if !keep(text) => *value = Value::Array(Vec::new()),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn is_one_of(item: &Value, values: &[String]) -> bool {
    scalar(item).is_some_and(|text| values.contains(&text))
}

fn is_claim(key: &str, name: &str, claim: &str) -> bool {
    key.eq_ignore_ascii_case(&[name, claim].join(":"))
}

fn is_claim_of(key: &str, name: &str) -> bool {
    key.rsplit_once(':')
        .is_some_and(|(issuer, _)| issuer.eq_ignore_ascii_case(name))
}
