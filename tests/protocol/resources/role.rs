//! `podidentity_role`.

use podidentity::cty::Value;
use podidentity::policy::equivalent_json;
use proptest::prelude::*;
use serde_json::json;

use super::interruption::check_interruptions;
use super::{World, check_resource};
use crate::core::Action;
use crate::generate::Generator;
use crate::scenario::Subject;

const S3: &str = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
const VIEW: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
const DENY: &str = r#"{ "Statement": { "Resource": ["*"], "Action": ["s3:PutObject"], "Effect": "Deny" }, "Version": "2012-10-17" }"#;

struct Role<'a>(&'a World);

impl Subject for Role<'_> {
    fn type_name(&self) -> &'static str {
        "podidentity_role"
    }

    fn provider(&self) -> Value {
        self.0.provider()
    }

    fn import_ids(&self, state: &Value) -> Vec<String> {
        vec![state.get("name").as_str().unwrap_or_default().to_owned()]
    }

    fn not_imported(&self) -> &'static [&'static str] {
        // The same trust policy can come from more than one `trust`: with or without session tags, from external ids or
        // from names. What must agree is assume_role_policy.
        &["force_detach_policies", "trust"]
    }

    /// IAM gives the trust policy back as it stores it.
    fn same_after_import(&self, name: &str, before: &Value, after: &Value) -> bool {
        match (name, before.as_str(), after.as_str()) {
            ("assume_role_policy", Some(before), Some(after)) => equivalent_json(before, after),
            _ => before == after,
        }
    }

    fn remote_objects(&self) -> Option<usize> {
        let answer = self.0.sandbox.call("iam", "ListRoles", json!({})).unwrap();
        let roles = answer.as_str().unwrap().matches("<RoleName>").count();
        Some(roles - super::ROLES.len())
    }
}

fn set_of(texts: &'static [&'static str]) -> impl Strategy<Value = Value> {
    proptest::sample::subsequence(texts, 0..=texts.len()).prop_map(|texts| {
        if texts.is_empty() {
            Value::Null
        } else {
            Value::set_of(texts.iter().copied())
        }
    })
}

fn generator() -> Generator {
    Generator::default()
        .maybe_one_of("name", &["payments", "Orders.v2", "payments-target"])
        .maybe_one_of("name_prefix", &["pods-", "svc+"])
        .maybe_one_of("path", &["/", "/teams/core/"])
        .maybe_one_of("description", &["", "Pods of the payment service", "Straße"])
        .value(
            "max_session_duration",
            prop_oneof![Just(Value::Null), Just(Value::from(3600)), Just(Value::from(7200))],
        )
        .maybe_one_of("permissions_boundary", &[S3, VIEW])
        .value("policy_arns", prop_oneof![set_of(&[S3, VIEW]), Just(Value::Set(vec![]))])
        .value(
            "inline_policies",
            proptest::sample::subsequence(&[("read", ALLOW), ("write", DENY), ("more", ALLOW)][..], 0..=3)
                .prop_map(|policies| {
                    if policies.is_empty() {
                        Value::Null
                    } else {
                        Value::string_map(policies.iter().copied())
                    }
                }),
        )
        .maybe_one_of(
            "trust.additional_statements",
            &[
                r#"{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}"#,
                r#"[ { "Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::123456789012:root" }, "Sid": "Admins" } ]"#,
            ],
        )
        .value(
            "trust.cluster_arns",
            set_of(&[
                "arn:aws:eks:us-east-1:123456789012:cluster/demo",
                "arn:aws:eks:us-east-1:123456789012:cluster/team-*",
            ]),
        )
        .value("trust.namespaces", set_of(&["payments", "orders-*"]))
        .value("trust.service_accounts", set_of(&["api", "worker.v2"]))
        .maybe_one_of("trust.source_account", &["123456789012"])
        .maybe_one_of("trust.source_organization", &["o-a1b2c3d4e5"])
        .value(
            "trust.target_of.role_arns",
            Just(Value::set_of(["arn:aws:iam::210987654321:role/app"])),
        )
        .value(
            "trust.target_of.external_ids",
            set_of(&["us-east-1/210987654321/demo/payments/api"]),
        )
        .repair(valid)
}

/// What the attributes of a role exclude in each other.
fn valid(mut config: Value) -> Value {
    if !config.get("name").is_null() {
        config.set("name_prefix", Value::Null);
    }
    let mut trust = config.get("trust").clone();
    if !trust.is_null() {
        let target = !trust.get("target_of").is_null();
        let external_ids = !trust.get("target_of").get("external_ids").is_null();
        let untagged = trust.get("disable_session_tags").as_bool() == Some(true);
        if target {
            trust.set("source_account", Value::Null);
            trust.set("source_organization", Value::Null);
        }
        if target && untagged && !external_ids {
            trust.set("disable_session_tags", Value::Null);
        } else if untagged {
            for name in ["namespaces", "service_accounts"] {
                trust.set(name, Value::Null);
            }
            if external_ids {
                trust.set("cluster_arns", Value::Null);
            }
        }
        config.set("trust", trust);
    }
    config
}

#[test]
fn keeps_the_rules() {
    let world = World::new();
    check_resource(
        &Role(&world),
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
        &Role(&world),
        &|| world.reset(),
        &generator(),
        &[Action::Create, Action::Update],
        16,
    );
}

#[test]
fn survives_interruptions() {
    let world = World::new();
    let role = |more: &[(&'static str, Value)]| {
        let name = [("name", Value::from("payments"))];
        Value::object(name.into_iter().chain(more.iter().cloned()))
    };
    check_interruptions(
        &world,
        &Role(&world),
        &|| world.reset(),
        role(&[
            ("policy_arns", Value::set_of([S3])),
            (
                "inline_policies",
                Value::string_map([("read", ALLOW), ("gone", ALLOW)]),
            ),
            ("permissions_boundary", Value::from(VIEW)),
            ("tags", Value::string_map([("a", "1"), ("b", "1")])),
        ]),
        role(&[
            ("description", Value::from("changed")),
            ("max_session_duration", Value::from(7200)),
            ("policy_arns", Value::set_of([VIEW])),
            ("inline_policies", Value::string_map([("read", DENY)])),
            ("tags", Value::string_map([("b", "2"), ("c", "2")])),
            (
                "trust",
                Value::object([("namespaces", Value::set_of(["payments"]))]),
            ),
        ]),
    );
}
