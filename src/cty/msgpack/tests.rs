use proptest::prelude::*;

use super::{decode, encode};
use crate::cty::strategy::typed;
use crate::cty::{Bound, Number, Refinements, Type, Value};

fn number(text: &str) -> Value {
    Value::Number(text.parse().unwrap())
}

fn refined(refinements: Refinements) -> Value {
    Value::refined(refinements)
}

fn none() -> Refinements {
    Refinements::default()
}

fn bound(value: i64, inclusive: bool) -> Option<Bound> {
    Some(Bound {
        value: Number::from(value),
        inclusive,
    })
}

/// What Terraform's library writes for each value, from its wire format document.
fn golden() -> Vec<(&'static str, Type, Value, Vec<u8>)> {
    let object = Type::object([("id", Type::String), ("name", Type::String)]);
    let bytes = |parts: &[&[u8]]| parts.concat();
    vec![
        ("null", Type::String, Value::Null, vec![0xc0]),
        (
            "null of dynamic type",
            Type::Dynamic,
            Value::Null,
            vec![0xc0],
        ),
        ("unknown", Type::Bool, Value::unknown(), vec![0xd4, 0, 0]),
        (
            "unknown of dynamic type",
            Type::Dynamic,
            Value::unknown(),
            vec![0xd4, 0, 0],
        ),
        ("true", Type::Bool, Value::from(true), vec![0xc3]),
        ("false", Type::Bool, Value::from(false), vec![0xc2]),
        ("zero", Type::Number, Value::from(0), vec![0]),
        ("127", Type::Number, Value::from(127), vec![0x7f]),
        ("128", Type::Number, Value::from(128), vec![0xcc, 0x80]),
        (
            "3600",
            Type::Number,
            Value::from(3600),
            vec![0xcd, 0x0e, 0x10],
        ),
        (
            "65536",
            Type::Number,
            Value::from(65536),
            vec![0xce, 0, 1, 0, 0],
        ),
        ("-1", Type::Number, Value::from(-1), vec![0xff]),
        ("-33", Type::Number, Value::from(-33), vec![0xd0, 0xdf]),
        (
            "-129",
            Type::Number,
            Value::from(-129),
            vec![0xd1, 0xff, 0x7f],
        ),
        ("1.0 is whole", Type::Number, number("1.0"), vec![1]),
        (
            "greatest i64",
            Type::Number,
            number("9223372036854775807"),
            vec![0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            "1.5",
            Type::Number,
            number("1.5"),
            vec![0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
        ),
        (
            "0.1 is no float",
            Type::Number,
            number("0.1"),
            b"\xa30.1".to_vec(),
        ),
        (
            "too great for any integer",
            Type::Number,
            number("100000000000000000000000000001"),
            bytes(&[&[0xbe], b"100000000000000000000000000001"]),
        ),
        (
            "text",
            Type::String,
            Value::from("demo"),
            b"\xa4demo".to_vec(),
        ),
        (
            "NFC",
            Type::String,
            Value::String("e\u{301}".to_owned()),
            b"\xa2\xc3\xa9".to_vec(),
        ),
        (
            "32 bytes of text",
            Type::String,
            Value::from("a".repeat(32)),
            bytes(&[&[0xd9, 32], "a".repeat(32).as_bytes()]),
        ),
        (
            "list",
            Type::list(Type::String),
            Value::List(vec![Value::from("a"), Value::Null, Value::unknown()]),
            b"\x93\xa1a\xc0\xd4\x00\x00".to_vec(),
        ),
        (
            "empty set",
            Type::set(Type::String),
            Value::Set(vec![]),
            vec![0x90],
        ),
        (
            "set with two unknowns",
            Type::set(Type::String),
            Value::Set(vec![Value::unknown(), Value::unknown()]),
            vec![0x92, 0xd4, 0, 0, 0xd4, 0, 0],
        ),
        (
            "map",
            Type::map(Type::Number),
            Value::Map([("k".to_owned(), Value::from(1))].into()),
            b"\x81\xa1k\x01".to_vec(),
        ),
        (
            "object",
            object,
            Value::object([("id", Value::unknown()), ("name", Value::from("x"))]),
            b"\x82\xa2id\xd4\x00\x00\xa4name\xa1x".to_vec(),
        ),
        (
            "tuple",
            Type::Tuple(vec![Type::Bool, Type::String]),
            Value::Tuple(vec![Value::from(true), Value::from("x")]),
            b"\x92\xc3\xa1x".to_vec(),
        ),
        (
            "dynamic",
            Type::Dynamic,
            Value::dynamic(Type::String, Value::from("x")),
            b"\x92\xc4\x08\"string\"\xa1x".to_vec(),
        ),
        (
            "unknown of a known type in a dynamic place",
            Type::Dynamic,
            Value::dynamic(Type::list(Type::Bool), Value::unknown()),
            b"\x92\xc4\x0f[\"list\",\"bool\"]\xd4\x00\x00".to_vec(),
        ),
        (
            "not null",
            Type::String,
            refined(Refinements {
                null: Some(false),
                ..none()
            }),
            vec![0xc7, 3, 12, 0x81, 1, 0xc2],
        ),
        (
            "string prefix",
            Type::String,
            refined(Refinements {
                null: Some(false),
                string_prefix: Some("arn:".to_owned()),
                ..none()
            }),
            b"\xc7\x09\x0c\x82\x01\xc2\x02\xa4arn:".to_vec(),
        ),
        (
            "number bounds",
            Type::Number,
            refined(Refinements {
                number_lower: bound(1, true),
                number_upper: bound(9, false),
                ..none()
            }),
            vec![0xc7, 9, 12, 0x82, 3, 0x92, 1, 0xc3, 4, 0x92, 9, 0xc2],
        ),
        (
            "collection length",
            Type::set(Type::String),
            refined(Refinements {
                length_lower: Some(1),
                length_upper: Some(300),
                ..none()
            }),
            vec![0xc7, 7, 12, 0x82, 5, 1, 6, 0xcd, 0x01, 0x2c],
        ),
    ]
}

#[test]
fn golden_bytes() {
    for (name, ty, value, expected) in golden() {
        let bytes = encode(&value, &ty).unwrap();
        assert_eq!(bytes, expected, "{name}: {bytes:02x?}");
        let decoded = decode(&bytes, &ty).unwrap();
        if name != "NFC" {
            assert_eq!(format!("{decoded:?}"), format!("{value:?}"), "{name}");
        }
        assert_eq!(encode(&decoded, &ty).unwrap(), expected, "{name}");
        // Somebody else's decoder agrees that this is one MessagePack value.
        let mut rest = expected.as_slice();
        rmpv::decode::read_value(&mut rest).unwrap();
        assert!(rest.is_empty(), "{name}");
    }
}

#[test]
fn reads_every_format_of_the_right_kind() {
    let string = |r: Refinements| (Type::String, refined(r));
    let lots = [[0xc7, 249, 12, 0x81, 7, 0xd9, 245].as_slice(), &[b'x'; 245]].concat();
    let cases: Vec<(&str, Vec<u8>, (Type, Value))> = vec![
        (
            "i64 for a small number",
            vec![0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
            (Type::Number, number("5")),
        ),
        ("u8", vec![0xcc, 200], (Type::Number, number("200"))),
        ("i16", vec![0xd1, 0xff, 0xfe], (Type::Number, number("-2"))),
        (
            "u64",
            vec![0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
            (Type::Number, number("18446744073709551615")),
        ),
        (
            "f32",
            vec![0xca, 0x3f, 0xc0, 0, 0],
            (Type::Number, number("1.5")),
        ),
        (
            "f64 for a whole number",
            vec![0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0],
            (Type::Number, number("2")),
        ),
        (
            "text with exponent",
            b"\xa41e-7".to_vec(),
            (Type::Number, number("0.0000001")),
        ),
        (
            "str 32",
            b"\xdb\x00\x00\x00\x01a".to_vec(),
            (Type::String, Value::from("a")),
        ),
        (
            "decomposed text",
            b"\xa3e\xcc\x81".to_vec(),
            (Type::String, Value::from("\u{e9}")),
        ),
        (
            "array 16",
            b"\xdc\x00\x01\xc3".to_vec(),
            (Type::list(Type::Bool), Value::List(vec![Value::from(true)])),
        ),
        (
            "array 32",
            b"\xdd\x00\x00\x00\x00".to_vec(),
            (Type::list(Type::Bool), Value::List(vec![])),
        ),
        (
            "map 16",
            b"\xde\x00\x01\xa1k\xc3".to_vec(),
            (
                Type::map(Type::Bool),
                Value::Map([("k".to_owned(), Value::from(true))].into()),
            ),
        ),
        (
            "map 32",
            b"\xdf\x00\x00\x00\x00".to_vec(),
            (Type::object::<String>([]), Value::Object([].into())),
        ),
        (
            "attributes in any order",
            b"\x83\xa1c\xc3\xa1a\xc2\xa1b\xc0".to_vec(),
            (
                Type::object([("a", Type::Bool), ("b", Type::Bool), ("c", Type::Bool)]),
                Value::object([
                    ("a", Value::from(false)),
                    ("b", Value::Null),
                    ("c", Value::from(true)),
                ]),
            ),
        ),
        (
            "equal set elements",
            b"\x93\xa1a\xa1b\xa1a".to_vec(),
            (
                Type::set(Type::String),
                Value::Set(vec![Value::from("a"), Value::from("b")]),
            ),
        ),
        (
            "dynamic with a type as text",
            b"\x92\xa6\"bool\"\xc3".to_vec(),
            (Type::Dynamic, Value::dynamic(Type::Bool, Value::from(true))),
        ),
        (
            "dynamic in dynamic",
            b"\x92\xc4\x09\"dynamic\"\xc0".to_vec(),
            (Type::Dynamic, Value::Null),
        ),
        ("any extension code", vec![0xd5, 99, 1, 2], string(none())),
        (
            "negative extension code",
            vec![0xc7, 0, 0xff],
            string(none()),
        ),
        ("ext 16", vec![0xc8, 0, 2, 0, 7, 7], string(none())),
        ("ext 32", vec![0xc9, 0, 0, 0, 2, 0, 7, 7], string(none())),
        ("no refinements", vec![0xd4, 12, 0x80], string(none())),
        ("later keys", lots, string(none())),
        (
            "later keys of every kind beside known ones",
            vec![
                0xc7, 26, 12, 0x84, 7, 0x93, 1, 0x81, 1, 2, 0xd4, 0, 0, 8, 0xcb, 0, 0, 0, 0, 0, 0,
                0, 0, 0xcd, 1, 0, 0xc0, 1, 0xc2,
            ],
            string(Refinements {
                null: Some(false),
                ..none()
            }),
        ),
        (
            "refinement of another type",
            b"\xd7\x0c\x81\x02\xa4arn:\xc0".to_vec(),
            (Type::Number, Value::unknown()),
        ),
        (
            "refinement of a dynamic value",
            vec![0xc7, 3, 12, 0x81, 1, 0xc2],
            (Type::Dynamic, Value::unknown()),
        ),
        (
            "oversized refinement",
            [[0xc8, 4, 1, 12].as_slice(), &[0xff; 1025]].concat(),
            string(none()),
        ),
    ];
    for (name, bytes, (ty, expected)) in cases {
        let value = decode(&bytes, &ty).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(format!("{value:?}"), format!("{expected:?}"), "{name}");
    }
}

#[test]
fn decoding_errors_name_place_and_kinds() {
    let ty = Type::object([
        ("name", Type::String),
        ("sizes", Type::list(Type::Number)),
        ("tags", Type::map(Type::String)),
    ]);
    let set = Type::object([(
        "items",
        Type::set(Type::object([("a", Type::list(Type::Bool))])),
    )]);
    for (ty, bytes, message) in [
        (
            &Type::String,
            &b""[..],
            "expected more MessagePack bytes, got the end of the input",
        ),
        (
            &Type::String,
            b"\xa5abc",
            "expected more MessagePack bytes, got the end of the input",
        ),
        (
            &Type::String,
            b"\xa1\xff",
            "expected UTF-8 text, got other bytes",
        ),
        (
            &Type::String,
            b"\xa1aa",
            "expected one MessagePack value, got more bytes after it",
        ),
        (&Type::String, b"\x05", "expected a string, got a number"),
        (
            &Type::String,
            b"\xc4\x01a",
            "expected a string, got binary data",
        ),
        (
            &Type::String,
            b"\xc1",
            "expected a string, got a byte that MessagePack does not use",
        ),
        (&Type::Bool, b"\xa4true", "expected a bool, got a string"),
        (&Type::Number, b"\xc3", "expected a number, got a bool"),
        (
            &Type::Number,
            b"\xa7hunter2",
            "expected a number, got text that is not one",
        ),
        (
            &Type::Number,
            b"\xcb\x7f\xf0\0\0\0\0\0\0",
            "expected a finite number, got an infinite one or none",
        ),
        (&ty, b"\x90", "expected an object, got an array"),
        (
            &ty,
            b"\x83\xa4name\xc2\xa5sizes\xc0\xa4tags\xc0",
            "name: expected a string, got a bool",
        ),
        (
            &ty,
            b"\x83\xa4name\xc0\xa5sizes\x92\x01\xc3\xa4tags\xc0",
            "sizes[1]: expected a number, got a bool",
        ),
        (
            &ty,
            b"\x83\xa4name\xc0\xa5sizes\xc0\xa4tags\x81\xa1k\x01",
            "tags[\"k\"]: expected a string, got a number",
        ),
        (
            &ty,
            b"\x82\xa4name\xc0\xa4tags\xc0",
            "sizes: expected a value (null if there is none), got no such attribute",
        ),
        (
            &ty,
            b"\x81\xa3foo\xc0",
            "foo: expected no such attribute, got an unsupported attribute",
        ),
        (
            &ty,
            b"\x84\xa4name\xc0\xa4name\xc0\xa5sizes\xc0\xa4tags\xc0",
            "expected each attribute once, got an attribute twice",
        ),
        (
            &set,
            b"\x81\xa5items\x91\x81\xa1a\x91\x01",
            "items: expected a bool, got a number",
        ),
        (
            &Type::Tuple(vec![Type::Bool]),
            b"\x90",
            "expected 1 elements, got 0",
        ),
        (
            &Type::Dynamic,
            b"\xa1x",
            "expected a dynamic value (a type and its value), got a string",
        ),
        (
            &Type::Dynamic,
            b"\x93\xc0\xc0\xc0",
            "expected a dynamic value (a type and its value), got an array of 3 elements",
        ),
        (
            &Type::Dynamic,
            b"\x92\xc0\xc0",
            "expected a type in JSON as binary, got null",
        ),
        (
            &Type::Dynamic,
            b"\x92\xc4\x05\"foo\"\xc0",
            "expected a type, got a name that is none",
        ),
        (
            &Type::Number,
            b"\xc7\x04\x0c\x81\x03\x91\x01",
            "expected a number and whether it is included, got an array",
        ),
        (
            &Type::Number,
            b"\xd4\x0c\x05",
            "expected a map of refinements, got a number",
        ),
        (
            &Type::String,
            b"\xc7\x03\x0c\x81\x02\x05",
            "expected a string, got a number",
        ),
        (
            &Type::String,
            b"\xc7\x03\x0c\x82\x01\xc2",
            "expected more MessagePack bytes, got the end of the input",
        ),
    ] {
        let error = decode(bytes, ty).unwrap_err();
        assert_eq!(error.to_string(), message, "{bytes:02x?}");
    }
}

#[test]
fn encoding_errors_name_place_and_kinds() {
    let ty = Type::object([("list", Type::list(Type::String))]);
    for (value, message) in [
        (Value::from("x"), "expected an object, got a string"),
        (
            Value::object([("list", Value::from("x"))]),
            "list: expected a list of string, got a string",
        ),
        (
            Value::object([("list", Value::List(vec![Value::from(1)]))]),
            "list[0]: expected a string, got a number",
        ),
        (
            Value::Object([].into()),
            "list: expected a value (null if there is none), got no such attribute",
        ),
        (
            Value::object([("list", Value::Null), ("more", Value::Null)]),
            "more: expected no such attribute, got an unsupported attribute",
        ),
    ] {
        assert_eq!(encode(&value, &ty).unwrap_err().to_string(), message);
        assert_eq!(value.conforms_to(&ty).unwrap_err().to_string(), message);
    }
}

#[test]
fn refinements_stay_within_what_terraform_reads() {
    let long = refined(Refinements {
        string_prefix: Some("ä".repeat(400)),
        ..none()
    });
    let bytes = encode(&long, &Type::String).unwrap();
    let Value::Unknown(Some(read)) = decode(&bytes, &Type::String).unwrap() else {
        panic!("not refined");
    };
    assert_eq!(
        read.string_prefix.as_deref(),
        Some("ä".repeat(127).as_str())
    );

    let digits = "1".repeat(600).parse::<Number>().unwrap();
    let bound = Some(Bound {
        value: digits,
        inclusive: true,
    });
    let wide = refined(Refinements {
        number_lower: bound.clone(),
        number_upper: bound,
        ..none()
    });
    assert_eq!(encode(&wide, &Type::Number).unwrap(), [0xd4, 0, 0]);

    for (name, refinements, ty) in [
        (
            "prefix of a number",
            Refinements {
                string_prefix: Some("a".to_owned()),
                ..none()
            },
            Type::Number,
        ),
        (
            "empty prefix",
            Refinements {
                string_prefix: Some(String::new()),
                ..none()
            },
            Type::String,
        ),
        (
            "length of a string",
            Refinements {
                length_lower: Some(1),
                ..none()
            },
            Type::String,
        ),
        (
            "bound of an object",
            Refinements {
                number_lower: bound_of(1),
                ..none()
            },
            Type::object::<String>([]),
        ),
        (
            "nullness of a dynamic value",
            Refinements {
                null: Some(false),
                ..none()
            },
            Type::Dynamic,
        ),
    ] {
        assert_eq!(
            encode(&refined(refinements), &ty).unwrap(),
            [0xd4, 0, 0],
            "{name}"
        );
    }
}

fn bound_of(value: i64) -> Option<Bound> {
    bound(value, true)
}

/// Lengths that claim gigabytes, dynamic values inside dynamic values, and containers without end.
#[test]
fn hostile_input_is_refused_cheaply() {
    let nested_dynamic: Vec<u8> = b"\x92\xc4\x14[\"list\",   \"dynamic\"]\x91".repeat(50_000);
    assert!(decode(&nested_dynamic, &Type::Dynamic).is_err());
    let nested_type = format!("{}\"string\"{}", "[\"list\",".repeat(120), "]".repeat(120));
    let mut deep_type = vec![0x92, 0xc5];
    deep_type.extend_from_slice(&(nested_type.len() as u16).to_be_bytes());
    deep_type.extend_from_slice(nested_type.as_bytes());
    deep_type.push(0xc0);
    assert!(decode(&deep_type, &Type::Dynamic).is_err());

    for (ty, bytes) in [
        (Type::list(Type::String), &b"\xdd\xff\xff\xff\xff"[..]),
        (Type::set(Type::String), b"\xdd\xff\xff\xff\xff\xc0"),
        (Type::map(Type::String), b"\xdf\xff\xff\xff\xff"),
        (Type::object::<String>([]), b"\xdf\xff\xff\xff\xff"),
        (Type::String, b"\xdb\xff\xff\xff\xff"),
        (Type::String, b"\xc9\xff\xff\xff\xff\x00"),
        (Type::Number, b"\xac1e9999999999"),
        (Type::String, b"\xd6\x0c\xdf\xff\xff\xff"),
        (Type::String, b"\xd7\x0c\x81\x07\xdd\xff\xff\xff\xff\xc0"),
    ] {
        assert!(decode(bytes, &ty).is_err(), "{bytes:02x?}");
    }

    let mut deep = Value::Null;
    let mut deep_ty = Type::String;
    for _ in 0..200 {
        deep = Value::List(vec![deep]);
        deep_ty = Type::list(deep_ty);
    }
    assert!(encode(&deep, &deep_ty).is_err());
    assert!(decode(&[[0x91; 200].as_slice(), &[0xc0]].concat(), &deep_ty).is_err());
}

#[test]
fn a_large_set_is_read_quickly() {
    let items: Vec<Value> = (0..20_000)
        .map(|i| Value::from(format!("element {i}")))
        .collect();
    let ty = Type::set(Type::String);
    let bytes = encode(&Value::Set(items.clone()), &ty).unwrap();
    assert_eq!(decode(&bytes, &ty).unwrap(), Value::Set(items));
}

/// The same value through an independent decoder.
fn through_rmpv(value: &Value, ty: &Type) -> rmpv::Value {
    use rmpv::Value as M;
    match (ty, value) {
        (_, Value::Null) => M::Nil,
        (_, Value::Unknown(_)) => M::Ext(0, vec![]),
        (_, Value::Bool(value)) => M::from(*value),
        (_, Value::String(text)) => M::from(text.as_str()),
        (_, Value::Number(number)) => {
            if let Some(value) = number.as_i64() {
                M::from(value)
            } else if let Some(value) = number.as_u64() {
                M::from(value)
            } else if let Some(value) = number.as_exact_f64() {
                M::from(value)
            } else {
                M::from(number.to_string())
            }
        }
        (Type::List(t) | Type::Set(t), Value::List(items) | Value::Set(items)) => {
            M::Array(items.iter().map(|item| through_rmpv(item, t)).collect())
        }
        (Type::Map(t), Value::Map(entries)) => M::Map(
            entries
                .iter()
                .map(|(k, v)| (M::from(k.as_str()), through_rmpv(v, t)))
                .collect(),
        ),
        (Type::Object(types), Value::Object(entries)) => M::Map(
            types
                .iter()
                .map(|(name, t)| (M::from(name.as_str()), through_rmpv(&entries[name], t)))
                .collect(),
        ),
        (Type::Tuple(types), Value::Tuple(items)) => M::Array(
            items
                .iter()
                .zip(types)
                .map(|(item, t)| through_rmpv(item, t))
                .collect(),
        ),
        (_, Value::Dynamic(inner)) => M::Array(vec![
            M::Binary(crate::cty::json::type_to_json(&inner.0)),
            through_rmpv(&inner.1, &inner.0),
        ]),
        _ => unreachable!("the strategy makes values of their type"),
    }
}

/// Refinements have their own tests; what is compared here is the shape.
fn without_payload(value: rmpv::Value) -> rmpv::Value {
    use rmpv::Value as M;
    match value {
        M::Ext(..) => M::Ext(0, vec![]),
        M::Array(items) => M::Array(items.into_iter().map(without_payload).collect()),
        M::Map(entries) => M::Map(
            entries
                .into_iter()
                .map(|(k, v)| (k, without_payload(v)))
                .collect(),
        ),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn round_trip((ty, value) in typed(true)) {
        prop_assert_eq!(value.conforms_to(&ty), Ok(()));
        let bytes = encode(&value, &ty).unwrap();
        let decoded = decode(&bytes, &ty).unwrap();
        prop_assert_eq!(&decoded, &value);
        // Equality passes over refinements, the text form does not.
        prop_assert_eq!(format!("{decoded:?}"), format!("{value:?}"));

        let mut rest = bytes.as_slice();
        let independent = rmpv::decode::read_value(&mut rest).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(without_payload(independent), through_rmpv(&value, &ty));
    }

    #[test]
    fn damaged_bytes_never_panic((ty, value) in typed(true), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = encode(&value, &ty).unwrap();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = decode(&bytes, &ty);
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode(&bytes, &ty);
    }

    #[test]
    fn random_bytes_never_panic(ty in crate::cty::strategy::types(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = decode(&bytes, &ty) {
            prop_assert_eq!(value.conforms_to(&ty), Ok(()));
            prop_assert_eq!(decode(&encode(&value, &ty).unwrap(), &ty).unwrap(), value);
        }
    }
}
