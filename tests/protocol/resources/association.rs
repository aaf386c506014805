//! `podidentity_association`.

use podidentity::cty::Value;
use proptest::prelude::*;
use serde_json::json;

use super::interruption::check_interruptions;
use super::{World, check_resource};
use crate::core::Action;
use crate::generate::Generator;
use crate::scenario::Subject;

struct Association<'a>(&'a World);

impl Subject for Association<'_> {
    fn type_name(&self) -> &'static str {
        "podidentity_association"
    }

    fn provider(&self) -> Value {
        self.0.provider()
    }

    fn import_ids(&self, state: &Value) -> Vec<String> {
        let text = |name: &str| state.get(name).as_str().unwrap_or_default().to_owned();
        let cluster = text("cluster_name");
        vec![
            format!("{cluster},{}", text("association_id")),
            format!(
                "{cluster},{},{}",
                text("namespace"),
                text("service_account")
            ),
        ]
    }

    fn not_imported(&self) -> &'static [&'static str] {
        &["on_conflict", "timeouts", "wait_for_injection"]
    }

    fn remote_objects(&self) -> Option<usize> {
        let listed = |cluster: &str| {
            let request = json!({ "clusterName": cluster });
            let answer = self
                .0
                .sandbox
                .call("eks", "ListPodIdentityAssociations", request);
            answer.unwrap()["associations"].as_array().unwrap().len()
        };
        Some(listed("demo") + listed("stage"))
    }
}

/// Waits that end soon.
fn waits() -> impl Strategy<Value = Value> {
    let timeouts = prop_oneof![Just(Value::Null), Just(Value::from("10s"))];
    (1_i64..3, timeouts).prop_map(|(consecutive, timeout)| wait(consecutive, timeout))
}

fn wait(consecutive: i64, timeout: Value) -> Value {
    Value::object([
        ("consecutive", Value::from(consecutive)),
        ("interval", Value::from("1ms")),
        ("timeout", timeout),
    ])
}

fn generator() -> Generator {
    Generator::default()
        .maybe_one_of("cluster_name", &["demo", "stage"])
        .one_of("namespace", &["payments", "orders"])
        .one_of("service_account", &["api", "worker.v2"])
        .one_of(
            "role_arn",
            &["arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:role/other"],
        )
        .maybe_one_of(
            "target_role_arn",
            &["arn:aws:iam::123456789012:role/target", "arn:aws:iam::210987654321:role/remote"],
        )
        .maybe_one_of(
            "policy",
            &[
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#,
                r#"{ "Statement": { "Resource": ["*"], "Action": ["s3:GetObject"], "Effect": "Allow" }, "Version": "2012-10-17" }"#,
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#,
            ],
        )
        .maybe_one_of("on_conflict", &["error", "adopt"])
        .value(
            "timeouts",
            prop_oneof![
                Just(Value::Null),
                Just(Value::object([("create", Value::from("2m"))])),
            ],
        )
        .value("wait_for_injection", prop_oneof![Just(Value::Null), waits()])
        // EKS takes a session policy only with session tags off.
        .repair(|mut config| {
            if !config.get("policy").is_null() {
                config.set("disable_session_tags", Value::from(true));
            }
            config
        })
}

#[test]
fn keeps_the_rules() {
    let world = World::new();
    check_resource(
        &Association(&world),
        &|| world.reset(),
        &generator(),
        &[Action::Create, Action::Update, Action::Replace],
        60,
    );
}

#[test]
fn keeps_the_rules_with_default_tags() {
    let world = World::with_default_tags();
    check_resource(
        &Association(&world),
        &|| world.reset(),
        &generator(),
        &[Action::Create, Action::Update],
        16,
    );
}

#[test]
fn survives_interruptions() {
    let world = World::new();
    let association = |role: &str, more: &[(&'static str, Value)]| {
        let role_arn = format!("arn:aws:iam::123456789012:role/{role}");
        let common = [
            ("namespace", Value::from("payments")),
            ("service_account", Value::from("api")),
            ("role_arn", Value::from(role_arn)),
        ];
        Value::object(common.into_iter().chain(more.iter().cloned()))
    };
    check_interruptions(
        &world,
        &Association(&world),
        &|| world.reset(),
        association(
            "app",
            &[
                ("tags", Value::string_map([("a", "1"), ("b", "1")])),
                ("wait_for_injection", wait(2, Value::Null)),
            ],
        ),
        association(
            "other",
            &[
                ("tags", Value::string_map([("b", "2"), ("c", "2")])),
                ("disable_session_tags", Value::from(true)),
            ],
        ),
    );
}
