use super::*;
use crate::framework::engine::fake::{FakeResource, context, now};
use crate::framework::schema::{Attribute, Block, NestedBlock, Schema};

#[tokio::test]
async fn import_results() {
    let schema: ObjectSchema = Schema::new("")
        .attribute(Attribute::string("id", "").computed())
        .attribute(Attribute::string("secret", "").optional().write_only())
        .nested_block(NestedBlock::list("block", Block::new("")))
        .into();
    let with_id = |id: Value| {
        let mut state = schema.empty_value();
        state.set("id", id);
        state
    };
    type Answer = Box<dyn Fn(ImportStateRequest, &mut ImportStateResponse) + Send + Sync>;
    let cases: Vec<(&str, Option<Answer>, Value, Vec<&str>)> = vec![
        (
            "by id",
            Some(Box::new(|request, r| r.state.set("id", request.id.into()))),
            with_id("x".into()),
            vec![],
        ),
        (
            "write-only (I4)",
            Some(Box::new(|request, r| {
                r.state.set("id", request.id.into());
                r.state.set("secret", "hunter2".into());
            })),
            with_id("x".into()),
            vec![],
        ),
        (
            "unknown",
            Some(Box::new(|_, r| r.state.set("id", Value::unknown()))),
            with_id(Value::Null),
            vec!["Provider bug"],
        ),
        (
            "nothing set",
            Some(Box::new(|_, _| {})),
            schema.empty_value(),
            vec!["Provider bug"],
        ),
        (
            "null (I3)",
            Some(Box::new(|_, r| r.state = Value::Null)),
            Value::Null,
            vec!["Provider bug"],
        ),
        (
            "a bad id",
            Some(Box::new(|_, r| r.diagnostics.error("Bad id", ""))),
            schema.empty_value(),
            vec!["Bad id"],
        ),
        (
            "a crash",
            Some(Box::new(|_, _| panic!("boom"))),
            schema.empty_value(),
            vec!["Provider crashed"],
        ),
        (
            "not offered",
            None,
            schema.empty_value(),
            vec!["Import not supported"],
        ),
    ];
    for (name, answer, expected, summaries) in cases {
        let resource = FakeResource {
            import: answer.and_then(now),
            ..FakeResource::default()
        };
        let response = import(
            &resource,
            &schema,
            None,
            &context(),
            ImportStateRequest {
                id: "x".to_owned(),
                identity: None,
            },
        )
        .await;
        assert_eq!(response.state, expected, "{name}");
        let found: Vec<&str> = response
            .diagnostics
            .iter()
            .map(|d| d.summary.as_str())
            .collect();
        assert_eq!(found, summaries, "{name}");
    }
}
