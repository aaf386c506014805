use proptest::prelude::*;
use serde_json::{Map, json};

use super::super::generate;
use super::*;

const BASE: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":["111122223333","arn:aws:iam::123456789012:role/x"]},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"},"Bool":{"aws:SecureTransport":"true"},"NumericLessThan":{"sts:DurationSeconds":"5"}}},{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}]}"#;

#[test]
fn table() {
    let cases: &[(&str, &str, &str, bool)] = &[
        ("white space", BASE, &BASE.replace(',', " ,\n\t"), true),
        (
            "member order",
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b"}]}"#,
            r#"{"Statement":[{"Action":"a:b","Effect":"Allow"}],"Version":"2012-10-17"}"#,
            true,
        ),
        (
            "action order",
            BASE,
            &BASE.replace(
                r#"["sts:AssumeRole","sts:TagSession"]"#,
                r#"["sts:TagSession","sts:AssumeRole"]"#,
            ),
            true,
        ),
        (
            "action case",
            BASE,
            &BASE.replace("sts:TagSession", "STS:tagsession"),
            true,
        ),
        (
            "action twice",
            BASE,
            &BASE.replace(
                r#""sts:TagSession"]"#,
                r#""sts:TagSession","sts:TagSession"]"#,
            ),
            true,
        ),
        (
            "action as a list",
            BASE,
            &BASE.replace(
                r#""Action":"sts:AssumeRole""#,
                r#""Action":["sts:AssumeRole"]"#,
            ),
            true,
        ),
        (
            "action missing",
            BASE,
            &BASE.replace(r#","sts:TagSession"]"#, "]"),
            false,
        ),
        (
            "condition key case",
            BASE,
            &BASE.replace("aws:SourceAccount", "AWS:sourceaccount"),
            true,
        ),
        (
            "condition value as a list",
            BASE,
            &BASE.replace(
                r#":"111122223333"}"#,
                r#":["111122223333","111122223333"]}"#,
            ),
            true,
        ),
        (
            "condition value",
            BASE,
            &BASE.replace(r#":"111122223333"}"#, r#":"111122223334"}"#),
            false,
        ),
        (
            "bare boolean",
            BASE,
            &BASE.replace(r#""true""#, "true"),
            true,
        ),
        ("bare number", BASE, &BASE.replace(r#":"5""#, ":5"), true),
        (
            "bare number with a fraction of zero",
            BASE,
            &BASE.replace(r#":"5""#, ":5.0"),
            true,
        ),
        ("number", BASE, &BASE.replace(r#":"5""#, ":6"), false),
        (
            "operator",
            BASE,
            &BASE.replace("StringEquals", "StringLike"),
            false,
        ),
        (
            "operator case",
            BASE,
            &BASE.replace("StringEquals", "stringequals"),
            false,
        ),
        (
            "account as root ARN",
            BASE,
            &BASE.replace(r#"["111122223333""#, r#"["arn:aws:iam::111122223333:root""#),
            true,
        ),
        (
            "account as root ARN in a condition",
            BASE,
            &BASE.replace(
                r#":"111122223333"}"#,
                r#":"arn:aws:iam::111122223333:root"}"#,
            ),
            false,
        ),
        (
            "principal order",
            BASE,
            &BASE.replace(
                r#"["111122223333","arn:aws:iam::123456789012:role/x"]"#,
                r#"["arn:aws:iam::123456789012:role/x","111122223333"]"#,
            ),
            true,
        ),
        ("principal", BASE, &BASE.replace("role/x", "role/X"), false),
        (
            "principal type",
            BASE,
            &BASE.replace(r#"{"AWS":"#, r#"{"Federated":"#),
            false,
        ),
        (
            "an empty list of another principal type",
            BASE,
            &BASE.replace(r#"{"AWS":"#, r#"{"Service":[],"AWS":"#),
            true,
        ),
        (
            "everyone written differently",
            BASE,
            &BASE.replace(r#""*""#, r#"{"AWS":"*"}"#),
            false,
        ),
        (
            "version missing",
            BASE,
            &BASE.replace(r#""Version":"2012-10-17","#, ""),
            false,
        ),
        ("version", BASE, &BASE.replace("2012", "2008"), false),
        (
            "id",
            BASE,
            &BASE.replace(r#"{"Version""#, r#"{"Id":"x","Version""#),
            false,
        ),
        (
            "sid",
            BASE,
            &BASE.replace(r#""Sid":"A""#, r#""Sid":"a""#),
            false,
        ),
        (
            "sid missing",
            BASE,
            &BASE.replace(r#""Sid":"A","#, ""),
            false,
        ),
        ("effect", BASE, &BASE.replace("Deny", "Allow"), false),
        ("effect case", BASE, &BASE.replace("Deny", "deny"), true),
        (
            "member case at the top",
            BASE,
            &BASE
                .replace("\"Version\"", "\"version\"")
                .replace("\"Statement\"", "\"statement\""),
            true,
        ),
        (
            "unknown members",
            BASE,
            &BASE
                .replace(r#""Effect":"#, r#""Future":1,"Effect":"#)
                .replace(r#"{"Version""#, r#"{"x":{},"Version""#),
            true,
        ),
        (
            "empty condition and none",
            r#"{"Statement":{"Effect":"Deny","Condition":{}}}"#,
            r#"{"Statement":{"Effect":"Deny"}}"#,
            false,
        ),
        (
            "one statement",
            r#"{"Statement":{"Effect":"Deny"}}"#,
            r#"{"Statement":[{"Effect":"Deny"}]}"#,
            true,
        ),
        (
            "a statement twice",
            r#"{"Statement":[{"Effect":"Deny"},{"Effect":"Deny"}]}"#,
            r#"{"Statement":[{"Effect":"Deny"}]}"#,
            false,
        ),
        (
            "statements as a set when the counts agree",
            r#"{"Statement":[{"Sid":"a"},{"Sid":"a"},{"Sid":"b"}]}"#,
            r#"{"Statement":[{"Sid":"a"},{"Sid":"b"},{"Sid":"b"}]}"#,
            false,
        ),
        (
            "bare principals",
            r#"{"Statement":{"Principal":"*"}}"#,
            r#"{"Statement":{"Principal":"111122223333"}}"#,
            false,
        ),
        (
            "bare principal and none",
            r#"{"Statement":{"Principal":"*"}}"#,
            r#"{"Statement":{}}"#,
            false,
        ),
        ("no statements", r#"{"Statement":[]}"#, "{}", true),
        (
            "no actions",
            r#"{"Statement":{"Action":[]}}"#,
            r#"{"Statement":{}}"#,
            true,
        ),
        ("nothing", "", "{}", true),
        (
            "list around the document",
            " [ {\"Statement\":[]} ] ",
            "{}",
            true,
        ),
        ("list around two documents", "[{},{}]", "{}", false),
        ("escapes", r#"{"Id":"\u0061"}"#, r#"{"Id":"a"}"#, true),
        ("the same text that is no document", "{", "{", true),
        ("texts that are no documents", "{", "[", false),
        ("a document and a text that is none", "{}", "{", false),
        (
            "action and resource are not mixed up",
            r#"{"Statement":{"Resource":"a"}}"#,
            r#"{"Statement":{"Action":"a"}}"#,
            false,
        ),
        (
            "resource case",
            r#"{"Statement":{"Resource":"a"}}"#,
            r#"{"Statement":{"Resource":"A"}}"#,
            false,
        ),
        (
            "resource order",
            r#"{"Statement":{"Resource":["a","b"]}}"#,
            r#"{"Statement":{"Resource":["b","a","b"]}}"#,
            true,
        ),
        (
            "keys that differ in case only stay two",
            r#"{"Statement":{"Condition":{"StringEquals":{"k":"a","K":"b"}}}}"#,
            r#"{"Statement":{"Condition":{"StringEquals":{"k":["a","b"]}}}}"#,
            false,
        ),
    ];
    for (what, a, b, same) in cases {
        assert_eq!(equivalent_json(a, b), *same, "{what}\n{a}\n{b}");
        assert_eq!(equivalent_json(b, a), *same, "{what}, the other way round");
    }
}

type Rewrite = fn(&mut Value, usize);
type Change = fn(&mut Map<String, Value>);

/// Ways to write a document differently without changing its meaning.
const SAME: &[(&str, Rewrite)] = &[
    ("reverse the members of every object", |value, _| {
        walk(value, &mut |value, _| {
            if let Value::Object(members) = value {
                *members = std::mem::take(members).into_iter().rev().collect();
            }
        })
    }),
    ("rotate every list", |value, n| {
        walk(value, &mut |value, _| {
            if let Value::Array(items) = value
                && !items.is_empty()
            {
                let by = n % items.len();
                items.rotate_left(by);
            }
        })
    }),
    ("scalars become lists", |value, _| {
        each_list(value, &mut |values| {
            if !values.is_array() {
                *values = json!([values.clone()]);
            }
        })
    }),
    ("lists of one become scalars", |value, _| {
        each_list(value, &mut |values| {
            if let Value::Array(items) = values
                && let [item] = &items[..]
            {
                *values = item.clone();
            }
        })
    }),
    ("list values are repeated", |value, _| {
        each_list(value, &mut |values| {
            if let Value::Array(items) = values {
                items.extend(items.clone());
            }
        })
    }),
    ("actions in upper case", |value, _| {
        each_statement(value, &mut |statement| {
            for name in ["Action", "NotAction"] {
                if let Some(actions) = statement.get_mut(name) {
                    each_text(actions, &mut |text| text.to_ascii_uppercase());
                }
            }
        })
    }),
    ("condition keys in upper case", |value, _| {
        each_statement(value, &mut |statement| {
            for keys in statement
                .get_mut("Condition")
                .and_then(Value::as_object_mut)
                .into_iter()
                .flat_map(|c| c.values_mut())
                .filter_map(Value::as_object_mut)
            {
                // Only when no two keys become one member: that would lose one.
                if !keys.keys().any(|k| {
                    keys.keys()
                        .any(|other| k != other && k.eq_ignore_ascii_case(other))
                }) {
                    *keys = std::mem::take(keys)
                        .into_iter()
                        .map(|(key, value)| (key.to_ascii_uppercase(), value))
                        .collect();
                }
            }
        })
    }),
    ("accounts as root ARNs", |value, _| {
        each_statement(value, &mut |statement| {
            for name in ["Principal", "NotPrincipal"] {
                if let Some(accounts) = statement.get_mut(name).and_then(|p| p.get_mut("AWS")) {
                    each_text(accounts, &mut |text| {
                        if text.len() == 12 {
                            format!("arn:aws:iam::{text}:root")
                        } else {
                            text.to_owned()
                        }
                    });
                }
            }
        })
    }),
    ("booleans and numbers quoted", |value, _| {
        walk(value, &mut |value, in_condition| {
            if in_condition && (value.is_boolean() || value.is_number()) {
                *value = Value::from(value.to_string());
            }
        })
    }),
    ("an unknown member", |value, _| {
        each_statement(value, &mut |statement| {
            statement.insert("Unknown".into(), json!([1]));
        })
    }),
    ("a single statement as a list", |value, _| {
        if let Some(statement) = value.get_mut("Statement").filter(|s| s.is_object()) {
            *statement = json!([statement.clone()]);
        }
    }),
];

/// Ways to change the meaning of a document that has a statement.
const DIFFERENT: &[(&str, Change)] = &[
    ("version", |document| {
        let other = if document.get("Version").and_then(Value::as_str) == Some("2012-10-17") {
            "2008-10-17"
        } else {
            "2012-10-17"
        };
        document.insert("Version".into(), other.into());
    }),
    ("version missing or there", |document| {
        if document.remove("Version").is_none() {
            document.insert("Version".into(), "2012-10-17".into());
        }
    }),
    ("id", |document| {
        document.insert("Id".into(), "another".into());
    }),
    ("one statement more", |document| {
        let mut statements = statements(document);
        statements.push(json!({"Effect": "Allow"}));
        document.insert("Statement".into(), statements.into());
    }),
    ("one statement twice", |document| {
        let mut statements = statements(document);
        statements.push(statements[0].clone());
        document.insert("Statement".into(), statements.into());
    }),
    ("sid", |document| change(document, "Sid", json!("Another"))),
    ("effect", |document| {
        let other = if statements(document)[0]["Effect"] == "Allow" {
            "Deny"
        } else {
            "Allow"
        };
        change(document, "Effect", json!(other));
    }),
    ("principal", |document| {
        change(document, "Principal", json!({"AWS": "999999999999"}))
    }),
    ("action", |document| {
        change(document, "Action", json!("sts:Another"))
    }),
    ("resource", |document| {
        change(document, "Resource", json!("arn:aws:s3:::another"))
    }),
    ("operator", |document| {
        change(
            document,
            "Condition",
            json!({"StringNotEquals": {"aws:SourceArn": "a"}}),
        )
    }),
    ("value case", |document| {
        let mut statements = statements(document);
        let before = statements[0].clone();
        each_condition_value(&mut statements[0], &mut |text| text.to_ascii_uppercase());
        if before == statements[0] {
            statements[0]["Sid"] = json!("NothingToChange");
        }
        document.insert("Statement".into(), statements.into());
    }),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reflexive_and_kept_by_a_round_trip(document in generate::document()) {
        prop_assert!(equivalent(&document, &document));
        let text = document.to_json();
        let again = Document::parse(&text).unwrap();
        prop_assert_eq!(&again, &document);
        prop_assert_eq!(again.to_json(), &text[..]);
        prop_assert!(equivalent(&again, &Document::parse(&document.to_json_pretty()).unwrap()));
        let listed = format!("[{text}]");
        prop_assert!(equivalent_json(&text, &listed));
    }

    #[test]
    fn symmetric_and_transitive(a in generate::document(), b in generate::document(), first in 0..SAME.len(), second in 0..SAME.len(), n in 0_usize..5) {
        prop_assert_eq!(equivalent(&a, &b), equivalent(&b, &a));
        let a = a.to_json();
        let mut value: Value = serde_json::from_str(&a).unwrap();
        SAME[first].1(&mut value, n);
        let middle = value.to_string();
        SAME[second].1(&mut value, n);
        let last = value.to_string();
        for (x, y) in [(&a, &middle), (&middle, &last), (&a, &last)] {
            prop_assert!(equivalent_json(x, y), "{} then {}\n{}\n{}", SAME[first].0, SAME[second].0, x, y);
            prop_assert!(equivalent_json(y, x));
            prop_assert_eq!(equivalent_json(x, &b.to_json()), equivalent_json(y, &b.to_json()));
        }
    }

    #[test]
    fn every_change_of_meaning_is_seen(document in generate::document().prop_filter("has a statement", |d| !d.statements().is_empty()), change in 0..DIFFERENT.len(), same in 0..SAME.len(), n in 0_usize..5) {
        let text = document.to_json();
        let Value::Object(mut members) = serde_json::from_str(&text).unwrap() else { panic!("an object") };
        DIFFERENT[change].1(&mut members);
        let mut value = Value::Object(members);
        SAME[same].1(&mut value, n);
        prop_assert!(!equivalent_json(&text, &value.to_string()), "{}\n{}\n{}", DIFFERENT[change].0, text, value);
    }
}

fn statements(document: &Map<String, Value>) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(items) => items.clone(),
        single => vec![single.clone()],
    }
}

fn change(document: &mut Map<String, Value>, name: &str, value: Value) {
    let mut statements = statements(document);
    statements[0][name] = value;
    document.insert("Statement".into(), statements.into());
}

fn each_statement(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value.get_mut("Statement") {
        Some(Value::Array(items)) => items
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(change),
        Some(Value::Object(statement)) => change(statement),
        _ => {}
    }
}

/// Every place where a string and a list of one are the same.
fn each_list(value: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    each_statement(value, &mut |statement| {
        for (name, value) in statement.iter_mut() {
            match name.as_str() {
                "Action" | "NotAction" | "Resource" | "NotResource" => change(value),
                "Principal" | "NotPrincipal" => value
                    .as_object_mut()
                    .into_iter()
                    .flat_map(|types| types.values_mut())
                    .for_each(&mut *change),
                "Condition" => {
                    for keys in value
                        .as_object_mut()
                        .into_iter()
                        .flat_map(|operators| operators.values_mut())
                        .filter_map(Value::as_object_mut)
                    {
                        keys.values_mut().for_each(&mut *change);
                    }
                }
                _ => {}
            }
        }
    });
}

fn each_condition_value(statement: &mut Value, change: &mut dyn FnMut(&str) -> String) {
    for keys in statement
        .get_mut("Condition")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|c| c.values_mut())
        .filter_map(Value::as_object_mut)
    {
        keys.values_mut()
            .for_each(|values| each_text(values, change));
    }
}

fn each_text(value: &mut Value, change: &mut dyn FnMut(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        _ => {}
    }
}

fn walk(value: &mut Value, change: &mut dyn FnMut(&mut Value, bool)) {
    fn inner(value: &mut Value, in_condition: bool, change: &mut dyn FnMut(&mut Value, bool)) {
        match value {
            Value::Array(items) => items
                .iter_mut()
                .for_each(|item| inner(item, in_condition, change)),
            Value::Object(members) => members.iter_mut().for_each(|(name, member)| {
                inner(member, in_condition || name == "Condition", change)
            }),
            _ => {}
        }
        change(value, in_condition);
    }
    inner(value, false, change);
}
