//! Validation of configuration values against an add-on's JSON schema.
//!
//! The schemas that EKS publishes use a small part of draft 6; exactly that part is understood here, and messages have the form that
//! EKS passes on from its validator.

use regex::Regex;
use serde_json::Value;

/// All violations, in the order of the document; none means that the value is valid.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "$", &mut found);
    found
}

fn resolve<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    // A chain of references longer than this is a loop.
    for _ in 0..16 {
        match schema["$ref"]
            .as_str()
            .and_then(|reference| root.pointer(reference.strip_prefix('#')?))
        {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let schema = resolve(root, schema);
    if schema == &Value::Bool(false) {
        found.push(format!("{path}: is not allowed"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let actual = kind(value);
    if !types.is_empty()
        && !types
            .iter()
            .any(|t| *t == actual || (*t == "number" && actual == "integer"))
    {
        let wanted = if let [one] = types[..] {
            one.to_owned()
        } else {
            format!("[{}]", types.join(", "))
        };
        found.push(format!("{path}: {actual} found, {wanted} expected"));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let list = allowed
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", ");
        found.push(format!(
            "{path}: does not have a value in the enumeration [{list}]"
        ));
    }
    match value {
        Value::Object(object) => {
            for name in schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                if !object.contains_key(name) {
                    found.push(format!("{path}.{name}: is missing but it is required"));
                }
            }
            for (name, item) in object {
                let below = format!("{path}.{name}");
                match (schema["properties"].get(name), &schema["additionalProperties"]) {
                    (Some(property), _) => check(root, property, item, &below, found),
                    (None, Value::Bool(false)) => found.push(format!("{below}: is not defined in the schema and the schema does not allow additional properties")),
                    (None, additional @ Value::Object(_)) => check(root, additional, item, &below, found),
                    (None, _) => {}
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if schema["items"].is_object() {
                    check(
                        root,
                        &schema["items"],
                        item,
                        &format!("{path}[{index}]"),
                        found,
                    );
                }
            }
        }
        Value::String(text) => {
            if let Some(pattern) = schema["pattern"].as_str()
                && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
            {
                found.push(format!(
                    "{path}: does not match the regex pattern {pattern}"
                ));
            }
            if let Some(least) = schema["minLength"].as_u64()
                && (text.chars().count() as u64) < least
            {
                found.push(format!("{path}: must be at least {least} characters long"));
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(least) = schema["minimum"].as_f64()
                && number < least
            {
                found.push(format!("{path}: must have a minimum value of {least}"));
            }
            if let Some(most) = schema["maximum"].as_f64()
                && number > most
            {
                found.push(format!("{path}: must have a maximum value of {most}"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages() {
        let schema = json!({
            "$ref": "#/definitions/Root",
            "definitions": {"Root": {
                "type": "object",
                "additionalProperties": false,
                "required": ["a"],
                "properties": {
                    "a": {"type": "integer", "minimum": 1},
                    "b": {"type": "string", "enum": ["x", "y"]},
                    "c": {"type": "array", "items": {"type": "string"}},
                    "d": {"type": "object", "additionalProperties": {"type": "string"}},
                    "e": {"type": ["string", "number"]},
                },
            }},
        });
        let cases = [
            (
                json!({"a": 1, "b": "x", "c": ["1"], "d": {"k": "v"}, "e": 1}),
                vec![],
            ),
            (json!({}), vec!["$.a: is missing but it is required"]),
            (
                json!({"a": 1, "z": 1}),
                vec![
                    "$.z: is not defined in the schema and the schema does not allow additional properties",
                ],
            ),
            (
                json!({"a": "1"}),
                vec!["$.a: string found, integer expected"],
            ),
            (json!({"a": 0}), vec!["$.a: must have a minimum value of 1"]),
            (
                json!({"a": 1, "b": "z"}),
                vec!["$.b: does not have a value in the enumeration [x, y]"],
            ),
            (
                json!({"a": 1, "c": [1], "d": {"k": 1}}),
                vec![
                    "$.c[0]: integer found, string expected",
                    "$.d.k: integer found, string expected",
                ],
            ),
            (
                json!({"a": 1, "e": true}),
                vec!["$.e: boolean found, [string, number] expected"],
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(violations(&schema, &value), expected, "{value}");
        }
    }
}
