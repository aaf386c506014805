use super::*;
use crate::framework::Private;
use crate::framework::engine::fake::{FakeResource, IgnoreCase, context, now};
use crate::framework::schema::{Attribute, Schema};

#[tokio::test]
async fn read_results() {
    let schema = Schema::new("")
        .attribute(
            Attribute::string("document", "")
                .optional()
                .semantic_equality(IgnoreCase),
        )
        .attribute(Attribute::string("secret", "").optional().write_only())
        .attribute(Attribute::string("status", "").computed())
        .into();
    let thing = |document: Value, status: Value| {
        Value::object([
            ("document", document),
            ("secret", Value::Null),
            ("status", status),
        ])
    };
    let current = thing("doc".into(), "ok".into());
    type Answer = Box<dyn Fn(&mut ReadResponse) + Send + Sync>;
    let cases: Vec<(&str, Answer, Value, Vec<&str>)> = vec![
        ("nothing to say", Box::new(|_| {}), current.clone(), vec![]),
        (
            "gone (R5)",
            Box::new(|r| r.state = Value::Null),
            Value::Null,
            vec![],
        ),
        (
            "drift",
            Box::new(|r| r.state.set("document", "other".into())),
            thing("other".into(), "ok".into()),
            vec![],
        ),
        (
            "another spelling is no drift",
            Box::new(|r| {
                r.state.set("document", "DOC".into());
                r.state.set("status", "busy".into());
            }),
            thing("doc".into(), "busy".into()),
            vec![],
        ),
        (
            "write-only (R3)",
            Box::new(|r| r.state.set("secret", "hunter2".into())),
            current.clone(),
            vec![],
        ),
        (
            "unknown (R1)",
            Box::new(|r| r.state.set("status", Value::unknown())),
            thing("doc".into(), Value::Null),
            vec!["Provider bug"],
        ),
        (
            "an error keeps the state",
            Box::new(|r| {
                r.state = Value::Null;
                r.private.set("k", 1);
                r.diagnostics.error("Failed", "");
            }),
            current.clone(),
            vec!["Failed"],
        ),
        (
            "so does a panic",
            Box::new(|r| {
                r.state.set("status", "half".into());
                panic!("boom");
            }),
            current.clone(),
            vec!["Provider crashed"],
        ),
    ];
    for (name, answer, expected, summaries) in cases {
        let resource = FakeResource {
            read: now(move |_: ReadRequest, response: &mut ReadResponse| answer(response)),
            ..FakeResource::default()
        };
        let response = read(
            &resource,
            &schema,
            None,
            &context(),
            ReadRequest {
                current_state: current.clone(),
                private: Private::default(),
                current_identity: Value::Null,
            },
        )
        .await;
        assert_eq!(response.state, expected, "{name}");
        assert_eq!(response.private, Private::default(), "{name}");
        let found: Vec<&str> = response
            .diagnostics
            .iter()
            .map(|d| d.summary.as_str())
            .collect();
        assert_eq!(found, summaries, "{name}");
    }
}
