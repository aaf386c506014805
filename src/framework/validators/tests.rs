use super::*;
use crate::framework::schema::Validator;

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|i| Value::from(*i)).collect())
}

fn set(items: &[&str]) -> Value {
    Value::Set(items.iter().map(|i| Value::from(*i)).collect())
}

fn first(diagnostics: &Diagnostics) -> (String, String) {
    diagnostics.iter().next().map_or_else(
        || ("".to_owned(), "".to_owned()),
        |d| {
            (
                d.path.clone().unwrap_or_default().to_string(),
                d.detail.clone(),
            )
        },
    )
}

#[test]
fn every_validator_of_a_value_skips_null_and_unknown() {
    let validators: Vec<Box<dyn Validator>> = vec![
        Box::new(length_between(1, 2)),
        Box::new(regex("^a$", "an a")),
        Box::new(one_of(["a"])),
        Box::new(none_of(["a"])),
        Box::new(string("nothing", |_| Err("no".to_owned()))),
        Box::new(between(1, 2)),
        Box::new(size_at_least(1)),
        Box::new(each(one_of(["a"]))),
        Box::new(keys(one_of(["a"]))),
        Box::new(unique()),
        Box::new(json_object()),
        Box::new(rfc3339()),
        Box::new(duration()),
        Box::new(conflicts_with(["other"])),
        Box::new(also_requires(["other"])),
    ];
    for validator in validators {
        for value in [Value::Null, Value::unknown()] {
            assert_eq!(
                check(&*validator, value.clone()),
                Diagnostics::new(),
                "{validator:?} {value:?}"
            );
        }
    }
}

#[test]
fn says_what_was_expected_and_what_was_found() {
    let cases: Vec<(Box<dyn Validator>, Value, &str, &str)> = vec![
        (
            Box::new(length_between(1, 3)),
            "abcd".into(),
            "value",
            r#"Attribute value must be 1 to 3 characters long, but is "abcd" (4 characters long)."#,
        ),
        (
            Box::new(length_at_most(1)),
            "éé".into(),
            "value",
            r#"Attribute value must be at most 1 characters long, but is "éé" (2 characters long)."#,
        ),
        (
            Box::new(regex("^[a-z]+$", "lower-case letters")),
            "A".into(),
            "value",
            r#"Attribute value must be lower-case letters, but is "A"."#,
        ),
        (
            Box::new(one_of(["a", "b", "c"])),
            "d".into(),
            "value",
            r#"Attribute value must be one of "a", "b" or "c", but is "d"."#,
        ),
        (
            Box::new(none_of(["a"])),
            "a".into(),
            "value",
            r#"Attribute value must be anything but "a", but is "a"."#,
        ),
        (
            Box::new(string("even", |_| Err("it is odd.".to_owned()))),
            "x".into(),
            "value",
            r#"Attribute value must be even, but is "x": it is odd."#,
        ),
        (
            Box::new(between(1, 10)),
            Value::from(11),
            "value",
            "Attribute value must be a whole number from 1 to 10, but is 11.",
        ),
        (
            Box::new(at_least(1)),
            Value::Number("1.5".parse().unwrap()),
            "value",
            "Attribute value must be a whole number of at least 1, but is 1.5.",
        ),
        (
            Box::new(size_at_most(1)),
            list(&["a", "b"]),
            "value",
            "Attribute value must be a collection of at most 1 elements, but is a list of 2.",
        ),
        (
            Box::new(each(one_of(["a"]))),
            list(&["a", "b"]),
            "value[1]",
            r#"Attribute value[1] must be "a", but is "b"."#,
        ),
        (
            Box::new(each(one_of(["a"]))),
            set(&["b"]),
            "value",
            r#"Attribute value must be "a", but is "b"."#,
        ),
        (
            Box::new(each(one_of(["a"]))),
            Value::string_map([("k", "b")]),
            r#"value["k"]"#,
            r#"Attribute value["k"] must be "a", but is "b"."#,
        ),
        (
            Box::new(each(one_of(["a"]))),
            Value::List(vec![Value::Null]),
            "value[0]",
            "Attribute value[0] must be a value, but is null.",
        ),
        (
            Box::new(keys(length_at_most(1))),
            Value::string_map([("kk", "b")]),
            r#"value["kk"]"#,
            r#"Attribute value["kk"] must be at most 1 characters long, but is "kk" (2 characters long)."#,
        ),
        (
            Box::new(unique()),
            list(&["a", "b", "a"]),
            "value[2]",
            r#"Attribute value[2] must be different from the elements before it, but is "a"."#,
        ),
        (
            Box::new(any((one_of(["a"]), regex("^b", "a word with b")))),
            "c".into(),
            "value",
            r#"Attribute value must be "a" or a word with b, but is "c"."#,
        ),
        (
            Box::new(all((length_at_least(2), regex("^b", "a word with b")))),
            "c".into(),
            "value",
            r#"Attribute value must be at least 2 characters long, but is "c" (1 characters long)."#,
        ),
        (
            Box::new(json_object()),
            "[]".into(),
            "value",
            r#"Attribute value must be a JSON object ({ … }), but is "[]"."#,
        ),
        (
            Box::new(json_object()),
            "{".into(),
            "value",
            r#"Attribute value must be a JSON object, but is "{". JSON error: EOF while parsing an object at line 1 column 1."#,
        ),
        (
            Box::new(rfc3339()),
            "yesterday".into(),
            "value",
            r#"Attribute value must be a time in RFC 3339, such as "2026-08-21T10:15:30Z", but is "yesterday"."#,
        ),
        (
            Box::new(duration()),
            "1d".into(),
            "value",
            r#"Attribute value must be a duration, such as "30m" or "1h30m" (units: s, m, h), but is "1d"."#,
        ),
    ];
    for (validator, value, path, detail) in cases {
        let diagnostics = check(&*validator, value);
        assert_eq!(
            first(&diagnostics),
            (path.to_owned(), detail.to_owned()),
            "{validator:?}"
        );
        assert_eq!(diagnostics.iter().count(), 1, "{validator:?}");
    }
}

#[test]
fn accepts_what_is_right() {
    let cases: Vec<(Box<dyn Validator>, Value)> = vec![
        (Box::new(length_between(1, 3)), "äöü".into()),
        (Box::new(regex("^[a-z]+$", "letters")), "abc".into()),
        (Box::new(one_of(["a", "b"])), "b".into()),
        (Box::new(none_of(["a", "b"])), "c".into()),
        (Box::new(between(1, 10)), Value::from(10)),
        (
            Box::new(between(1, 10)),
            Value::Number("1.0".parse().unwrap()),
        ),
        (Box::new(at_most(3)), Value::from(-3)),
        (Box::new(whole_number()), Value::from(7)),
        (Box::new(size_between(1, 2)), set(&["a", "b"])),
        (
            Box::new(each(one_of(["a"]))),
            Value::List(vec!["a".into(), Value::unknown()]),
        ),
        (
            Box::new(unique()),
            Value::List(vec![Value::unknown(), Value::unknown()]),
        ),
        (Box::new(any((one_of(["a"]), one_of(["b"])))), "b".into()),
        (
            Box::new(all((one_of(["a"]), length_at_most(1)))),
            "a".into(),
        ),
        (Box::new(json_object()), r#" {"a": [1]} "#.into()),
        (Box::new(rfc3339()), "2026-08-21T10:15:30.5+02:00".into()),
        (Box::new(duration()), "1h30m".into()),
    ];
    for (validator, value) in cases {
        assert_eq!(
            check(&*validator, value.clone()),
            Diagnostics::new(),
            "{validator:?} {value:?}"
        );
    }
}

#[test]
fn unknown_set_elements_may_coincide() {
    let two_unknowns = Value::Set(vec![Value::unknown(), Value::unknown()]);
    assert!(check(&size_at_most(1), two_unknowns.clone()).is_empty());
    assert!(check(&size_at_least(2), two_unknowns).is_empty());
}

#[test]
fn never_shows_a_sensitive_value() {
    let validators: Vec<Box<dyn Validator>> = vec![
        Box::new(length_between(1, 2)),
        Box::new(regex("^a$", "an a")),
        Box::new(one_of(["a"])),
        Box::new(string("fine", |text| Err(format!("{text} is not fine")))),
        Box::new(json_object()),
        Box::new(rfc3339()),
        Box::new(duration()),
        Box::new(any((one_of(["a"]), one_of(["b"])))),
    ];
    let config = Value::object([("secret", Value::from("hunter2"))]);
    for validator in validators {
        let mut diagnostics = Diagnostics::new();
        validator.validate(
            &ValidatorRequest {
                path: &Path::from("secret"),
                value: config.get("secret"),
                config: &config,
                parent: &config,
                sensitive: true,
            },
            &mut diagnostics,
        );
        let text = format!("{diagnostics:?}");
        assert!(diagnostics.has_errors(), "{validator:?}");
        assert!(!text.contains("hunter2") && !text.contains('7'), "{text}");
        assert!(text.contains("sensitive"), "{text}");
    }
}

#[test]
fn long_values_are_shortened() {
    let (_, detail) = first(&check(&one_of(["a"]), "x".repeat(5000).into()));
    assert!(detail.len() < 300, "{detail}");
    assert!(detail.contains("… (5000 characters)"), "{detail}");
}

#[test]
fn presence_rules() {
    let (y, n, u) = (Value::from("x"), Value::Null, Value::unknown());
    // Validator on `a`, with `b` and `c` beside it.
    let cases: [(&str, Presence, [&Value; 3], Option<&str>); 18] = [
        ("alone", conflicts_with(["b", "c"]), [&y, &n, &n], None),
        ("unset", conflicts_with(["b", "c"]), [&n, &y, &y], None),
        ("unknown other", conflicts_with(["b"]), [&y, &u, &n], None),
        (
            "conflict",
            conflicts_with(["b", "c"]),
            [&y, &n, &y],
            Some("Attribute a cannot be set together with c. Remove one or the other."),
        ),
        ("requires", also_requires(["b"]), [&y, &y, &n], None),
        ("requires unset", also_requires(["b"]), [&n, &n, &n], None),
        ("requires unknown", also_requires(["b"]), [&y, &u, &n], None),
        (
            "requires missing",
            also_requires(["b", "c"]),
            [&y, &n, &n],
            Some("Attribute a needs b and c to be set as well."),
        ),
        ("one: this", exactly_one_of(["b", "c"]), [&y, &n, &n], None),
        ("one: other", exactly_one_of(["b", "c"]), [&n, &n, &y], None),
        ("one: maybe", exactly_one_of(["b", "c"]), [&n, &u, &n], None),
        (
            "one: still maybe",
            exactly_one_of(["b", "c"]),
            [&y, &u, &n],
            None,
        ),
        (
            "one: none",
            exactly_one_of(["b", "c"]),
            [&n, &n, &n],
            Some("Exactly one of a and b and c must be set, but none is."),
        ),
        (
            "one: two",
            exactly_one_of(["b", "c"]),
            [&y, &y, &u],
            Some("Attribute a cannot be set together with b. Keep exactly one of them."),
        ),
        (
            "one: two others",
            exactly_one_of(["b", "c"]),
            [&n, &y, &y],
            Some("Only one of b and c can be set. Keep exactly one of them."),
        ),
        ("some: one", at_least_one_of(["b"]), [&n, &y, &n], None),
        ("some: maybe", at_least_one_of(["b"]), [&u, &n, &n], None),
        (
            "some: none",
            at_least_one_of(["b"]),
            [&n, &n, &n],
            Some("At least one of a and b must be set, but none is."),
        ),
    ];
    for (name, validator, [a, b, c], expected) in cases {
        let config = Value::object([("a", a.clone()), ("b", b.clone()), ("c", c.clone())]);
        let mut diagnostics = Diagnostics::new();
        validator.validate(
            &ValidatorRequest {
                path: &Path::from("a"),
                value: config.get("a"),
                config: &config,
                parent: &config,
                sensitive: false,
            },
            &mut diagnostics,
        );
        let details: Vec<&str> = diagnostics.iter().map(|d| d.detail.as_str()).collect();
        assert_eq!(details, Vec::from_iter(expected), "{name}");
    }
}

#[test]
fn presence_looks_at_siblings_or_from_the_root() {
    let object = Value::object([("x", Value::from("1")), ("y", Value::from("2"))]);
    let config = Value::object([
        ("list", Value::List(vec![object.clone()])),
        ("top", Value::from("3")),
    ]);
    let path = Path::from("list").index(0).attribute("x");
    for (validator, expected) in [
        (
            conflicts_with(["y"]),
            "Attribute list[0].x cannot be set together with list[0].y. Remove one or the other.",
        ),
        (
            conflicts_with(["top"]).from_root(),
            "Attribute list[0].x cannot be set together with top. Remove one or the other.",
        ),
    ] {
        let mut diagnostics = Diagnostics::new();
        validator.validate(
            &ValidatorRequest {
                path: &path,
                value: object.get("x"),
                config: &config,
                parent: &object,
                sensitive: false,
            },
            &mut diagnostics,
        );
        assert_eq!(first(&diagnostics).1, expected);
    }
}
