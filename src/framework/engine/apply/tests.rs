use std::time::Duration;

use super::*;
use crate::cty::Type;
use crate::framework::engine::fake::{FakeResource, IgnoreCase, context, now};
use crate::framework::resource::{IdentityAttribute, IdentitySchema};
use crate::framework::schema::{Attribute, Schema};

fn schema() -> ObjectSchema {
    Schema::new("")
        .attribute(
            Attribute::string("document", "")
                .optional()
                .semantic_equality(IgnoreCase),
        )
        .attribute(Attribute::string("secret", "").optional().write_only())
        .attribute(Attribute::string("id", "").computed())
        .attribute(Attribute::string("status", "").computed())
        .into()
}

fn thing(document: Value, id: Value, status: Value) -> Value {
    Value::object([
        ("document", document),
        ("secret", Value::Null),
        ("id", id),
        ("status", status),
    ])
}

fn planned() -> Value {
    thing("doc".into(), Value::unknown(), Value::unknown())
}

fn prior() -> Value {
    thing("old".into(), "1".into(), "ok".into())
}

fn request(prior_state: Value, planned_state: Value) -> ApplyRequest {
    let mut planned_private = Private::default();
    planned_private.set("planned", true);
    ApplyRequest {
        config: planned_state.clone(),
        prior_state,
        planned_state,
        planned_private,
        planned_identity: Value::Null,
    }
}

fn summaries(diagnostics: &Diagnostics) -> Vec<&str> {
    diagnostics.iter().map(|d| d.summary.as_str()).collect()
}

/// What a resource answers, what is left of it, and what the user is told.
type Case = (
    &'static str,
    Box<dyn Fn(&mut Value, &mut Diagnostics) + Send + Sync>,
    Value,
    Vec<&'static str>,
);

fn case(
    name: &'static str,
    answer: impl Fn(&mut Value, &mut Diagnostics) + Send + Sync + 'static,
    expected: Value,
    summaries: &[&'static str],
) -> Case {
    (name, Box::new(answer), expected, summaries.to_vec())
}

fn cases() -> Vec<Case> {
    let whole = || thing("doc".into(), "1".into(), "ok".into());
    vec![
        case("success", move |state, _| *state = whole(), whole(), &[]),
        case(
            "the planned spelling is kept (A1)",
            |state, _| *state = thing("DOC".into(), "1".into(), "ok".into()),
            thing("doc".into(), "1".into(), "ok".into()),
            &[],
        ),
        case(
            "write-only values are not saved (A8)",
            move |state, _| {
                *state = whole();
                state.set("secret", "hunter2".into());
            },
            whole(),
            &[],
        ),
        case(
            "unknown values without an error (A6)",
            |state, _| *state = thing("doc".into(), "1".into(), Value::unknown()),
            thing("doc".into(), "1".into(), Value::Null),
            &["Provider bug"],
        ),
        case(
            "unknown values with an error (A9)",
            |state, diagnostics| {
                *state = thing("doc".into(), "1".into(), Value::unknown());
                diagnostics.error("Failed", "");
            },
            thing("doc".into(), "1".into(), Value::Null),
            &["Failed"],
        ),
        case(
            "a value that does not fit costs only itself",
            |state, _| *state = thing("doc".into(), "1".into(), Value::Bool(true)),
            thing("doc".into(), "1".into(), Value::Null),
            &["Provider bug"],
        ),
    ]
}

#[tokio::test]
async fn create_results() {
    let mut cases = cases();
    cases.push(case(
        "neither state nor error (A7)",
        |_, _| {},
        Value::Null,
        &["Provider bug"],
    ));
    cases.push(case(
        "nothing was created",
        |_, diagnostics| diagnostics.error("Failed", ""),
        Value::Null,
        &["Failed"],
    ));
    cases.push(case(
        "a panic after the object was created (A9)",
        |state, _| {
            *state = planned();
            state.set("id", "1".into());
            panic!("boom");
        },
        thing("doc".into(), "1".into(), Value::Null),
        &["Provider crashed"],
    ));
    for (name, answer, expected, diagnostics) in cases {
        let resource = FakeResource {
            create: now(
                move |request: CreateRequest, response: &mut CreateResponse| {
                    assert!(response.state.is_null());
                    assert_eq!(request.planned_state, planned());
                    answer(&mut response.state, &mut response.diagnostics);
                },
            ),
            ..FakeResource::default()
        };
        let response = apply(
            &resource,
            &schema(),
            None,
            &context(),
            request(Value::Null, planned()),
        )
        .await;
        assert_eq!(response.new_state, expected, "{name}");
        assert_eq!(summaries(&response.diagnostics), diagnostics, "{name}");
        assert!(response.private.get("planned").is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_lost_create_says_how_to_find_the_object() {
    let response = apply(
        &FakeResource::default(),
        &schema(),
        None,
        &context(),
        request(Value::Null, planned()),
    )
    .await;
    let detail = &response.diagnostics.iter().next().unwrap().detail;
    assert!(
        detail.contains("may exist") && detail.contains("import"),
        "{detail}"
    );
}

#[tokio::test]
async fn update_results() {
    let mut cases = cases();
    cases.push(case(
        "an error before anything changed",
        |_, diagnostics| diagnostics.error("Failed", ""),
        prior(),
        &["Failed"],
    ));
    cases.push(case(
        "null without an error (A7)",
        |state, _| *state = Value::Null,
        prior(),
        &["Provider bug"],
    ));
    cases.push(case(
        "a panic halfway",
        |state, _| {
            state.set("status", "half".into());
            panic!("boom");
        },
        thing("old".into(), "1".into(), "half".into()),
        &["Provider crashed"],
    ));
    for (name, answer, expected, diagnostics) in cases {
        let resource = FakeResource {
            update: now(
                move |request: UpdateRequest, response: &mut UpdateResponse| {
                    assert_eq!(response.state, prior());
                    assert_eq!(request.prior_state, prior());
                    assert_eq!(request.planned_state, planned());
                    answer(&mut response.state, &mut response.diagnostics);
                },
            ),
            ..FakeResource::default()
        };
        let response = apply(
            &resource,
            &schema(),
            None,
            &context(),
            request(prior(), planned()),
        )
        .await;
        assert_eq!(response.new_state, expected, "{name}");
        assert_eq!(summaries(&response.diagnostics), diagnostics, "{name}");
    }
}

#[tokio::test]
async fn delete_results() {
    let cases: [Case; 5] = [
        case("success clears the state", |_, _| {}, Value::Null, &[]),
        case(
            "a warning is no error",
            |_, diagnostics| diagnostics.warning("Note", ""),
            Value::Null,
            &["Note"],
        ),
        case(
            "an error keeps it",
            |_, diagnostics| diagnostics.error("Failed", ""),
            prior(),
            &["Failed"],
        ),
        case(
            "an error with a null state keeps it too",
            |state, diagnostics| {
                *state = Value::Null;
                diagnostics.error("Failed", "");
            },
            prior(),
            &["Failed"],
        ),
        case(
            "a panic keeps what is left",
            |state, _| {
                state.set("status", "half".into());
                panic!("boom");
            },
            thing("old".into(), "1".into(), "half".into()),
            &["Provider crashed"],
        ),
    ];
    for (name, answer, expected, diagnostics) in cases {
        let gone = expected.is_null();
        let resource = FakeResource {
            delete: now(
                move |request: DeleteRequest, response: &mut DeleteResponse| {
                    assert_eq!(request.prior_state, prior());
                    answer(&mut response.state, &mut response.diagnostics);
                },
            ),
            ..FakeResource::default()
        };
        let response = apply(
            &resource,
            &schema(),
            None,
            &context(),
            request(prior(), Value::Null),
        )
        .await;
        assert_eq!(response.new_state, expected, "{name}");
        assert_eq!(summaries(&response.diagnostics), diagnostics, "{name}");
        assert_eq!(response.private.to_bytes().is_empty(), gone, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_keeps_what_is_known() {
    let hang = || FakeResource {
        create: Some(Box::new(|_, _, response| {
            Box::pin(async move {
                response.state = planned();
                response.state.set("id", "1".into());
                tokio::time::sleep(Duration::from_secs(3600)).await;
            })
        })),
        ..FakeResource::default()
    };
    let polite = FakeResource {
        create: Some(Box::new(|context, _, response| {
            Box::pin(async move {
                response.state = planned();
                response.state.set("id", "1".into());
                context.cancel.cancelled().await;
                response.diagnostics.error("Stopped", "");
            })
        })),
        ..FakeResource::default()
    };
    for (name, resource, summary) in [
        ("a resource that hears", polite, "Stopped"),
        ("one that does not", hang(), "Operation stopped"),
    ] {
        let context = context();
        context.cancel.cancel();
        let response = apply(
            &resource,
            &schema(),
            None,
            &context,
            request(Value::Null, planned()),
        )
        .await;
        assert_eq!(
            response.new_state,
            thing("doc".into(), "1".into(), Value::Null),
            "{name}"
        );
        assert_eq!(summaries(&response.diagnostics), [summary], "{name}");
    }
}

#[tokio::test]
async fn identities_are_checked() {
    let identity_schema = IdentitySchema {
        version: 0,
        attributes: vec![IdentityAttribute {
            name: "id",
            ty: Type::String,
            description: String::new(),
            required_for_import: true,
        }],
    };
    let identity_type = IdentityType::from(identity_schema);
    let id = |id: &str| Value::object([("id", Value::from(id))]);
    for (name, declared, before, answer, expected, diagnostics) in [
        ("declared", true, Value::Null, id("1"), id("1"), vec![]),
        (
            "not declared",
            false,
            Value::Null,
            id("1"),
            Value::Null,
            vec![],
        ),
        (
            "forgotten",
            true,
            Value::Null,
            Value::Null,
            Value::Null,
            vec!["Provider bug"],
        ),
        ("same as before", true, id("1"), id("1"), id("1"), vec![]),
        (
            "changed",
            true,
            id("1"),
            id("2"),
            id("2"),
            vec!["Provider bug"],
        ),
        (
            "unknown",
            true,
            Value::Null,
            Value::object([("id", Value::unknown())]),
            Value::object([("id", Value::Null)]),
            vec!["Provider bug"],
        ),
    ] {
        let resource = FakeResource {
            update: now(move |_: UpdateRequest, response: &mut UpdateResponse| {
                response.state = thing("doc".into(), "1".into(), "ok".into());
                response.identity = answer.clone();
            }),
            ..FakeResource::default()
        };
        let mut request = request(prior(), planned());
        request.planned_identity = before;
        let response = apply(
            &resource,
            &schema(),
            declared.then_some(&identity_type),
            &context(),
            request,
        )
        .await;
        assert_eq!(response.new_identity, expected, "{name}");
        assert_eq!(summaries(&response.diagnostics), diagnostics, "{name}");
    }
}
