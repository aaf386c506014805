use proptest::prelude::*;

use super::*;
use crate::cty::strategy::{typed, types};

#[test]
fn types_golden() {
    for (json, ty) in [
        (r#""string""#, Type::String),
        (r#""number""#, Type::Number),
        (r#""bool""#, Type::Bool),
        (r#""dynamic""#, Type::Dynamic),
        (r#"["list","string"]"#, Type::list(Type::String)),
        (
            r#"["set",["list","bool"]]"#,
            Type::set(Type::list(Type::Bool)),
        ),
        (r#"["map","dynamic"]"#, Type::map(Type::Dynamic)),
        (r#"["object",{}]"#, Type::object::<String>([])),
        (
            r#"["object",{"a":"string","b":["list","number"]}]"#,
            Type::object([("b", Type::list(Type::Number)), ("a", Type::String)]),
        ),
        (r#"["tuple",[]]"#, Type::Tuple(vec![])),
        (
            r#"["tuple",["string","bool"]]"#,
            Type::Tuple(vec![Type::String, Type::Bool]),
        ),
    ] {
        assert_eq!(String::from_utf8(type_to_json(&ty)).unwrap(), json);
        assert_eq!(type_from_json(json.as_bytes()), Ok(ty), "{json}");
    }
    assert_eq!(
        type_from_json(br#" [ "object" , {"a":"bool","b":"string"}, ["b"] ]"#),
        Ok(Type::object([("a", Type::Bool), ("b", Type::String)]))
    );
}

#[test]
fn what_is_no_type() {
    for (json, message) in [
        ("", "expected JSON, got something else at line 1, column 0"),
        ("{", "expected JSON, got something else at line 1, column 1"),
        ("null", "expected a type, got null"),
        ("1", "expected a type, got a number"),
        (r#""strin""#, "expected a type, got a name that is none"),
        ("[]", "expected a type, got an array"),
        (r#"["list"]"#, "expected a type, got an array"),
        (
            r#"["list","string","string"]"#,
            "expected a type, got an array",
        ),
        (r#"["object",["string"]]"#, "expected a type, got an array"),
        (r#"["object",{},{}]"#, "expected a type, got an array"),
        (r#"["tuple","string"]"#, "expected a type, got an array"),
        (
            r#"["object",{"a":["tuple",["bool",5]]}]"#,
            "a[1]: expected a type, got a number",
        ),
    ] {
        assert_eq!(
            type_from_json(json.as_bytes()).unwrap_err().to_string(),
            message,
            "{json}"
        );
    }
    let deep = format!(
        "{}\"string\"{}",
        "[\"list\",".repeat(20_000),
        "]".repeat(20_000)
    );
    assert!(type_from_json(deep.as_bytes()).is_err());
}

fn state_type() -> Type {
    Type::object([
        ("any", Type::Dynamic),
        ("enabled", Type::Bool),
        ("inner", Type::list(Type::object([("x", Type::String)]))),
        ("name", Type::String),
        ("size", Type::Number),
        ("tags", Type::map(Type::String)),
    ])
}

#[test]
fn values_golden() {
    let value = Value::object([
        (
            "any",
            Value::dynamic(Type::set(Type::Number), Value::set_of([1, 2])),
        ),
        ("enabled", Value::from(true)),
        (
            "inner",
            Value::List(vec![Value::object([("x", Value::Null)])]),
        ),
        ("name", Value::from("a \"b\" \\ \n\t\r\u{1}\u{7f}é</>")),
        (
            "size",
            Value::Number(
                "123456789012345678901234567890.12345678901234567890123456789"
                    .parse()
                    .unwrap(),
            ),
        ),
        ("tags", Value::string_map([("k", "v"), ("", "")])),
    ]);
    let json = r#"{"any":{"type":["set","number"],"value":[1,2]},"enabled":true,"inner":[{"x":null}],"name":"a \"b\" \\ \n\t\r\u0001é</>","size":123456789012345678901234567890.12345678901234567890123456789,"tags":{"":"","k":"v"}}"#;
    let written = value_to_json(&value, &state_type()).unwrap();
    assert_eq!(
        String::from_utf8(written).unwrap(),
        json.replace("é", "\u{7f}é")
    );
    assert_eq!(
        value_from_json(json.replace("é", "\u{7f}é").as_bytes(), &state_type()),
        Ok(value)
    );
}

#[test]
fn older_spellings_are_read() {
    for (ty, json, expected) in [
        (Type::Number, "1e3", Value::from(1000)),
        (
            Type::Number,
            r#""12.50""#,
            Value::Number("12.5".parse().unwrap()),
        ),
        (Type::Number, "0.1", Value::Number("0.1".parse().unwrap())),
        (Type::Bool, r#""true""#, Value::from(true)),
        (Type::Bool, r#""0""#, Value::from(false)),
        (Type::String, "true", Value::from("true")),
        (Type::String, "1.50", Value::from("1.5")),
        (Type::String, "\"e\\u0301\"", Value::from("\u{e9}")),
        (
            Type::set(Type::String),
            r#"["a","b","a"]"#,
            Value::Set(vec![Value::from("a"), Value::from("b")]),
        ),
        (
            Type::object([("a", Type::Bool), ("b", Type::Bool)]),
            r#"{"b":true}"#,
            Value::object([("a", Value::Null), ("b", Value::from(true))]),
        ),
        (
            Type::Dynamic,
            r#"{"value":[true],"type":["tuple",["bool"]]}"#,
            Value::dynamic(
                Type::Tuple(vec![Type::Bool]),
                Value::Tuple(vec![Value::from(true)]),
            ),
        ),
        (
            Type::Dynamic,
            r#"{"value":null,"type":"string"}"#,
            Value::dynamic(Type::String, Value::Null),
        ),
        (Type::Dynamic, "null", Value::Null),
    ] {
        assert_eq!(
            value_from_json(json.as_bytes(), &ty),
            Ok(expected),
            "{json}"
        );
    }
}

#[test]
fn a_state_of_another_version() {
    let json = br#"{"gone":{"deep":[1,2]},"inner":[{"y":5,"x":"kept"}],"name":"n","tags":null}"#;
    let error = value_from_json(json, &state_type()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "inner[0].y: expected no such attribute, got an unsupported attribute"
    );
    let value = value_from_json_ignoring_unknown(json, &state_type()).unwrap();
    assert_eq!(value.conforms_to(&state_type()), Ok(()));
    assert_eq!(
        value,
        Value::object([
            ("any", Value::Null),
            ("enabled", Value::Null),
            (
                "inner",
                Value::List(vec![Value::object([("x", Value::from("kept"))])])
            ),
            ("name", Value::from("n")),
            ("size", Value::Null),
            ("tags", Value::Null),
        ])
    );
}

#[test]
fn errors_name_place_and_kinds() {
    for (json, message) in [
        ("[]", "expected an object, got an array"),
        (
            r#"{"name":["hunter2"]}"#,
            "name: expected a string, got an array",
        ),
        (
            r#"{"size":"hunter2"}"#,
            "size: expected a number, got text that is not one",
        ),
        (
            r#"{"size":1e99999}"#,
            "size: expected a number, got text that is not one",
        ),
        (r#"{"enabled":1}"#, "enabled: expected a bool, got a number"),
        (
            r#"{"inner":[{},{"x":{}}]}"#,
            "inner[1].x: expected a string, got an object",
        ),
        (
            r#"{"tags":{"k":[]}}"#,
            "tags[\"k\"]: expected a string, got an array",
        ),
        (
            r#"{"any":"x"}"#,
            "any: expected a dynamic value (a type and its value), got a string",
        ),
        (
            r#"{"any":{"type":"string"}}"#,
            "any: expected a dynamic value (a type and its value), got another object",
        ),
        (
            r#"{"name":"hunter2"#,
            "expected JSON, got something else at line 1, column 16",
        ),
    ] {
        let error = value_from_json(json.as_bytes(), &state_type()).unwrap_err();
        assert_eq!(error.to_string(), message, "{json}");
    }
    let unknown = Value::List(vec![Value::Null, Value::unknown()]);
    let error = value_to_json(&unknown, &Type::list(Type::Bool)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[1]: expected a known value, got an unknown value"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn type_round_trip(ty in types()) {
        let json = type_to_json(&ty);
        prop_assert!(serde_json::from_slice::<Json>(&json).is_ok());
        prop_assert_eq!(type_from_json(&json), Ok(ty));
    }

    #[test]
    fn value_round_trip((ty, value) in typed(false)) {
        let json = value_to_json(&value, &ty).unwrap();
        let read = value_from_json(&json, &ty).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{value:?}"));
        prop_assert_eq!(value_from_json_ignoring_unknown(&json, &ty), Ok(value));
    }

    #[test]
    fn random_text_never_panics(ty in types(), text in "[\\[\\]{}\",:a-z0-9. ]{0,60}") {
        let _ = type_from_json(text.as_bytes());
        let _ = value_from_json(text.as_bytes(), &ty);
    }
}
