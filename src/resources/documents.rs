//! JSON and YAML documents as attribute values.

use serde_json::Value as Json;

use crate::cty::Value;
use crate::framework::schema::{SemanticEquality, Validator};
use crate::framework::validators;
use crate::policy::{Document, equivalent_json};

use super::arns::chain;

/// An IAM policy document.
pub fn policy() -> impl Validator {
    validators::string("an IAM policy document in JSON", |text| {
        Document::parse(text)
            .map(drop)
            .map_err(|error| chain(&error))
    })
}

/// Policy documents that mean the same are no change.
#[derive(Clone, Copy, Debug)]
pub struct PolicyEquality;

impl SemanticEquality for PolicyEquality {
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool {
        match (prior.as_str(), new.as_str()) {
            (Some(prior), Some(new)) => equivalent_json(prior, new),
            _ => false,
        }
    }
}

/// The configuration values of an add-on: a JSON or YAML object.
pub fn configuration_values() -> impl Validator {
    validators::string("an object in JSON or YAML", |text| {
        parse_configuration(text).map(drop)
    })
}

/// Configuration documents that hold the same values are no change, whatever their notation, white space and key order.
#[derive(Clone, Copy, Debug)]
pub struct ConfigurationEquality;

impl SemanticEquality for ConfigurationEquality {
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool {
        match (prior.as_str(), new.as_str()) {
            (Some(prior), Some(new)) => {
                match (parse_configuration(prior), parse_configuration(new)) {
                    (Ok(prior), Ok(new)) => same_json(&prior, &new),
                    _ => prior == new,
                }
            }
            _ => false,
        }
    }
}

/// Reads a configuration document. YAML is read too, as EKS does; an empty document is an empty object.
///
/// # Errors
/// Why it is not an object in JSON or YAML, with the position.
pub fn parse_configuration(text: &str) -> Result<Json, String> {
    let parsed: Json = if text.trim_start().starts_with('{') {
        // Flow YAML starts with a brace too; a JSON error is the better message for what was meant as JSON.
        serde_json::from_str(text).or_else(|error| {
            serde_yaml_ng::from_str(text).map_err(|_| format!("it is not valid JSON: {error}"))
        })?
    } else {
        serde_yaml_ng::from_str(text).map_err(|error| format!("it is not valid YAML: {error}"))?
    };
    match parsed {
        Json::Object(_) => Ok(parsed),
        Json::Null => Ok(Json::Object(serde_json::Map::new())),
        Json::String(_) => Err("it is a plain text, not an object".to_owned()),
        Json::Array(_) => Err("it is a list, not an object".to_owned()),
        Json::Bool(_) | Json::Number(_) => Err("it is a single value, not an object".to_owned()),
    }
}

/// Equality without regard to key order and to how a number is written (`1.0`, `1`).
fn same_json(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same_json(value, other)))
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Json::Number(a), Json::Number(b)) => {
            a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_compared_by_meaning() {
        let cases = [
            (
                "white space",
                r#"{"a": {"b": 1}}"#,
                "{\"a\":{\"b\":1}}\n",
                true,
            ),
            ("key order", r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, true),
            (
                "yaml and json",
                "agent:\n  additionalArgs:\n    \"-b\": 169.254.170.23\n",
                r#"{"agent":{"additionalArgs":{"-b":"169.254.170.23"}}}"#,
                true,
            ),
            ("number spelling", r#"{"a":1.0}"#, r#"{"a":1}"#, true),
            ("empty and {}", "", "{}", true),
            ("another value", r#"{"a":1}"#, r#"{"a":2}"#, false),
            ("list order", r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
            ("missing key", r#"{"a":1,"b":null}"#, r#"{"a":1}"#, false),
            ("string and number", r#"{"a":"1"}"#, r#"{"a":1}"#, false),
        ];
        for (name, a, b, same) in cases {
            assert_eq!(
                ConfigurationEquality.semantically_equal(&Value::from(a), &Value::from(b)),
                same,
                "{name}"
            );
        }
    }

    #[test]
    fn configuration_must_be_an_object() {
        let cases = [
            ("json object", r#"{"a":1}"#, ""),
            ("yaml object", "a: 1", ""),
            ("broken json", r#"{"a": [}"#, "not valid JSON"),
            ("broken yaml", "a: [", "not valid YAML"),
            ("list", "[1]", "a list"),
            ("text", "hello", "plain text"),
            ("number", "3", "single value"),
        ];
        for (name, text, expected) in cases {
            match parse_configuration(text) {
                Ok(_) => assert_eq!(expected, "", "{name}"),
                Err(error) => assert!(
                    !expected.is_empty() && error.contains(expected),
                    "{name}: {error}"
                ),
            }
        }
    }
}
