//! Generated policy documents for the property tests of this module.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::document::Document;

/// Any policy document IAM would accept, and some that it would not, written in any of the forms.
pub(super) fn document() -> impl Strategy<Value = Document> {
    (
        option::of(select(vec!["2012-10-17", "2008-10-17"])),
        option::of(select(vec!["id", "Id"])),
        vec(statement(), 0..5),
        any::<bool>(),
        option::of(Just(json!({"x": [1, 2.5]}))),
        any::<bool>(),
    )
        .prop_map(
            |(version, id, statements, single, future, statements_first)| {
                let statements = match (&statements[..], single) {
                    ([statement], true) => statement.clone(),
                    _ => Value::from(statements),
                };
                let mut members = Map::new();
                if statements_first {
                    members.insert("Statement".into(), statements.clone());
                }
                if let Some(version) = version {
                    members.insert("Version".into(), version.into());
                }
                if let Some(id) = id {
                    members.insert("Id".into(), id.into());
                }
                if let Some(future) = future {
                    members.insert("Future".into(), future);
                }
                if !statements_first {
                    members.insert("Statement".into(), statements);
                }
                Document::from_members(members).unwrap()
            },
        )
}

/// Any statement.
pub(super) fn statement() -> impl Strategy<Value = Value> {
    let actions = || {
        list_of(vec![
            "sts:AssumeRole",
            "sts:TagSession",
            "STS:assumerole",
            "sts:AssumeRoleWithWebIdentity",
            "sts:*",
            "s3:GetObject",
        ])
    };
    (
        option::of(select(vec!["One", "Two", "three"])),
        select(vec!["Allow", "Deny"]),
        option::weighted(
            0.9,
            (
                select(vec!["Principal", "Principal", "Principal", "NotPrincipal"]),
                principal(),
            ),
        ),
        (
            select(vec!["Action", "Action", "Action", "NotAction"]),
            actions(),
        ),
        option::weighted(
            0.2,
            (
                select(vec!["Resource", "NotResource"]),
                list_of(vec!["*", "arn:aws:s3:::a", "arn:aws:s3:::A"]),
            ),
        ),
        option::of(condition()),
        option::weighted(0.1, Just(json!({"b": 1, "a": []}))),
    )
        .prop_map(
            |(sid, effect, principal, action, resource, condition, future)| {
                let mut members = Map::new();
                if let Some(sid) = sid {
                    members.insert("Sid".into(), sid.into());
                }
                members.insert("Effect".into(), effect.into());
                if let Some((name, principal)) = principal {
                    members.insert(name.into(), principal);
                }
                members.insert(action.0.into(), action.1);
                if let Some((name, resource)) = resource {
                    members.insert(name.into(), resource);
                }
                if let Some(condition) = condition {
                    members.insert("Condition".into(), condition);
                }
                if let Some(future) = future {
                    members.insert("Future".into(), future);
                }
                Value::Object(members)
            },
        )
}

fn principal() -> impl Strategy<Value = Value> {
    let accounts = vec![
        "123456789012",
        "arn:aws:iam::123456789012:root",
        "arn:aws:iam::111122223333:role/a",
        "*",
        "111122223333",
    ];
    let services = vec!["pods.eks.amazonaws.com", "ec2.amazonaws.com"];
    let providers = vec![
        "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/AAAA",
        "arn:aws:iam::123456789012:oidc-provider/oidc-eks.us-east-1.api.aws/id/AAAA",
        "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BBBB",
        "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com",
    ];
    prop_oneof![
        1 => Just(json!("*")),
        4 => (option::of(list_of(accounts)), option::of(list_of(services)), option::of(list_of(providers))).prop_map(|(accounts, services, providers)| {
            let mut types = Map::new();
            for (name, values) in [("AWS", accounts), ("Service", services), ("Federated", providers)] {
                if let Some(values) = values {
                    types.insert(name.into(), values);
                }
            }
            Value::Object(types)
        }),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let operators = vec![
        "StringEquals",
        "StringLike",
        "ArnLike",
        "Bool",
        "NumericLessThan",
        "ForAnyValue:StringEquals",
        "StringEqualsIfExists",
    ];
    let keys = vec![
        "aws:SourceArn",
        "aws:sourcearn",
        "aws:RequestTag/kubernetes-namespace",
        "aws:RequestTag/kubernetes-service-account",
        "oidc.eks.us-east-1.amazonaws.com/id/AAAA:sub",
        "oidc.eks.us-east-1.amazonaws.com/id/AAAA:aud",
        "oidc.eks.us-east-1.amazonaws.com/id/BBBB:sub",
    ];
    let line = (select(operators), select(keys), values());
    vec(line, 0..4).prop_map(|lines| {
        let mut operators = Map::new();
        for (operator, key, values) in lines {
            if let Value::Object(keys) = operators.entry(operator).or_insert_with(|| json!({})) {
                keys.insert(key.into(), values);
            }
        }
        Value::Object(operators)
    })
}

fn values() -> impl Strategy<Value = Value> {
    let value = select(vec![
        json!("payments"),
        json!("api"),
        json!("a*"),
        json!("true"),
        json!(true),
        json!(5),
        json!("5"),
        json!("system:serviceaccount:payments:api"),
        json!("system:serviceaccount:payments:web"),
        json!("system:serviceaccount:payments:*"),
        json!("sts.amazonaws.com"),
    ]);
    prop_oneof![value.clone(), vec(value, 0..4).prop_map(Value::from)]
}

fn list_of(values: Vec<&'static str>) -> impl Strategy<Value = Value> {
    prop_oneof![
        select(values.clone()).prop_map(Value::from),
        vec(select(values), 0..4).prop_map(Value::from)
    ]
}
