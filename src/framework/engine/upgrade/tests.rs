use super::*;
use crate::cty::Type;
use crate::framework::engine::fake::FakeResource;
use crate::framework::engine::move_state::move_state;
use crate::framework::resource::{IdentityAttribute, IdentitySchema, MoveStateRequest};
use crate::framework::schema::{Attribute, Block, NestedBlock, Schema};

fn schema() -> ObjectSchema {
    Schema::new("")
        .version(2)
        .attribute(Attribute::string("name", "").required())
        .attribute(Attribute::string("secret", "").optional().write_only())
        .nested_block(NestedBlock::list("block", Block::new("")))
        .into()
}

fn state(name: &str) -> Value {
    Value::object([
        ("name", Value::from(name)),
        ("secret", Value::Null),
        ("block", Value::List(Vec::new())),
    ])
}

/// State, or the summary of the first diagnostic.
fn summary(result: Result<Value, Diagnostics>) -> Result<Value, String> {
    result.map_err(|found| found.iter().next().map(|d| d.summary.clone()).unwrap())
}

#[test]
fn upgrades() {
    let renames = || FakeResource {
        upgrade: Some(Box::new(|from, mut state| {
            if from == 0 {
                return Err(Diagnostic::error("Too old", ""));
            }
            let name = state["title"].take();
            Ok(serde_json::json!({ "name": name, "dropped": 1 }))
        })),
        ..FakeResource::default()
    };
    let null = FakeResource {
        upgrade: Some(Box::new(|_, _| Ok(Json::Null))),
        ..FakeResource::default()
    };
    let none = FakeResource::default();
    let bug = Err("Provider bug".to_owned());
    let unreadable = Err("Saved state cannot be read".to_owned());
    for (name, resource, version, raw, expected) in [
        (
            "same version",
            &none,
            2,
            r#"{"name":"a","secret":null,"block":[]}"#,
            Ok(state("a")),
        ),
        (
            "same version with an attribute that is gone, and one that is new",
            &none,
            2,
            r#"{"name":"a","gone":{"x":1}}"#,
            Ok(state("a")),
        ),
        (
            "a write-only value (U1)",
            &none,
            2,
            r#"{"name":"a","secret":"hunter2"}"#,
            Ok(state("a")),
        ),
        ("older", &renames(), 1, r#"{"title":"a"}"#, Ok(state("a"))),
        (
            "too old",
            &renames(),
            0,
            r#"{"title":"a"}"#,
            Err("Too old".to_owned()),
        ),
        ("older without a way", &none, 1, "{}", bug.clone()),
        ("null", &null, 1, "{}", bug),
        (
            "newer (U2)",
            &none,
            3,
            "{}",
            Err("State saved by a newer provider".to_owned()),
        ),
        ("empty", &none, 2, "", unreadable.clone()),
        ("not JSON", &none, 2, "{", unreadable.clone()),
        ("another type", &none, 2, r#"{"name":[]}"#, unreadable),
    ] {
        let result = upgrade(resource, &schema(), version, raw.as_bytes());
        assert_eq!(summary(result), expected, "{name}");
    }
}

#[test]
fn identities_upgrade_too() {
    let identity = IdentitySchema {
        version: 0,
        attributes: vec![IdentityAttribute {
            name: "id",
            ty: Type::String,
            description: String::new(),
            required_for_import: true,
        }],
    };
    let identity_type = IdentityType::from(identity.clone());
    let with = FakeResource {
        identity: Some(identity),
        ..FakeResource::default()
    };
    let id = Value::object([("id", Value::from("1"))]);
    for (name, version, raw, expected) in [
        ("saved before there was one", 0, "", Ok(Value::Null)),
        ("same version", 0, r#"{"id":"1"}"#, Ok(id)),
        (
            "newer",
            1,
            "{}",
            Err("Identity saved by a newer provider".to_owned()),
        ),
    ] {
        let result = upgrade_identity(&with, Some(&identity_type), version, raw.as_bytes());
        assert_eq!(summary(result), expected, "{name}");
    }
    let without = upgrade_identity(&FakeResource::default(), None, 0, b"{}");
    assert_eq!(
        summary(without),
        Err("Resource identity not supported".to_owned())
    );
}

#[test]
fn moves() {
    let moves = FakeResource {
        move_state: Some(Box::new(|request| {
            match request.source_type_name.as_str() {
                "aws_thing" => Ok(Some(Value::object([
                    ("name", Value::from("a")),
                    ("secret", "hunter2".into()),
                ]))),
                "null_thing" => Ok(Some(Value::Null)),
                "broken_thing" => Err(Diagnostic::error("Broken", "")),
                _ => Ok(None),
            }
        })),
        ..FakeResource::default()
    };
    let none = FakeResource::default();
    let unsupported = || Err("Move not supported".to_owned());
    for (name, resource, source, expected) in [
        ("understood", &moves, "aws_thing", Ok(state("a"))),
        (
            "null (M1)",
            &moves,
            "null_thing",
            Err("Provider bug".to_owned()),
        ),
        ("an error", &moves, "broken_thing", Err("Broken".to_owned())),
        ("not understood", &moves, "other", unsupported()),
        ("not offered", &none, "aws_thing", unsupported()),
    ] {
        let request = MoveStateRequest {
            source_provider_address: "registry.terraform.io/hashicorp/aws".to_owned(),
            source_type_name: source.to_owned(),
            source_schema_version: 0,
            source_state: serde_json::json!({}),
        };
        let result = move_state(resource, &schema(), &request);
        assert_eq!(summary(result), expected, "{name}");
    }
}
