//! `podidentity_irsa_migration`.

use podidentity::cty::Value;
use podidentity_sandbox::seeds;
use proptest::prelude::*;
use serde_json::json;

use super::interruption::check_interruptions_of;
use super::{World, check_resource};
use crate::core::Action;
use crate::generate::Generator;
use crate::scenario::Subject;

struct Migration<'a>(&'a World);

impl Subject for Migration<'_> {
    fn type_name(&self) -> &'static str {
        "podidentity_irsa_migration"
    }

    fn provider(&self) -> Value {
        self.0.provider()
    }

    fn import_ids(&self, state: &Value) -> Vec<String> {
        let text = |name: &str| state.get(name).as_str().unwrap_or_default().to_owned();
        let unit = format!("{},{}", text("namespace"), text("service_account"));
        vec![format!("{},{unit}", text("cluster_name")), unit]
    }

    fn not_imported(&self) -> &'static [&'static str] {
        &[
            "adopt_existing_association",
            "ignore_blockers",
            "on_destroy",
            "phase",
            "propagation",
            "retire",
            "rollout",
            "soak_duration",
            "timeouts",
            "trust",
            "trust_policy_before",
            "trust_policy_after",
            "verified_at",
        ]
    }

    /// What was planned of these is kept by an apply (rule A4), and is brought up to date by the next refresh.
    fn volatile(&self) -> &'static [&'static str] {
        &[
            "blockers",
            "phase",
            "trust_policy_after",
            "verified_at",
            "warnings",
            "workloads",
        ]
    }

    fn remote_objects(&self) -> Option<usize> {
        let request = json!({ "clusterName": "demo" });
        let answer = self
            .0
            .sandbox
            .call("eks", "ListPodIdentityAssociations", request);
        // The seed has one of its own.
        Some(answer.unwrap()["associations"].as_array().unwrap().len() - 1)
    }
}

fn world() -> World {
    World::new()
}

fn reset(world: &World) {
    world.sandbox.reset();
    world.sandbox.seed(seeds::demo()).unwrap();
}

fn object(attributes: &[(&'static str, Value)]) -> Value {
    Value::object(attributes.iter().cloned())
}

fn quick() -> Value {
    object(&[
        ("consecutive", Value::from(1)),
        ("interval", Value::from("1ms")),
        ("timeout", Value::from("20s")),
    ])
}

fn generator() -> Generator {
    Generator::default()
        .one_of("namespace", &["payments"])
        .one_of("service_account", &["api", "worker"])
        .maybe_one_of("cluster_name", &["demo"])
        .value("role_arn", Just(Value::Null))
        .value("target_role_arn", Just(Value::Null))
        .value("policy", Just(Value::Null))
        .value("disable_session_tags", Just(Value::Null))
        .value("ignore_blockers", Just(Value::Null))
        .maybe_one_of("on_destroy", &["rollback"])
        .maybe_one_of("soak_duration", &["0s", "1ms"])
        .value("propagation", Just(quick()))
        .value(
            "rollout",
            prop_oneof![
                Just(Value::Null),
                Just(object(&[
                    ("strategy", Value::from("restart")),
                    ("timeout", Value::Null),
                    ("pause", Value::Null),
                ])),
            ],
        )
        .value(
            "retire",
            (any::<bool>(), any::<bool>()).prop_map(|(annotation, trust)| {
                object(&[
                    ("annotation", Value::from(annotation)),
                    ("trust", Value::from(trust)),
                ])
            }),
        )
        .value(
            "trust",
            prop_oneof![
                Just(Value::Null),
                Just(object(&[
                    ("mode", Value::from("manage")),
                    ("scope", Value::from("service_account")),
                ])),
            ],
        )
        .value("timeouts", Just(Value::Null))
}

#[test]
fn keeps_the_rules() {
    let world = world();
    check_resource(
        &Migration(&world),
        &|| reset(&world),
        &generator(),
        &[Action::Create, Action::Update, Action::Replace],
        40,
    );
    let report = world.sandbox.credential_report();
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
}

#[test]
fn survives_interruptions() {
    let world = world();
    let migration = |more: &[(&'static str, Value)]| {
        let common = [
            ("namespace", Value::from("payments")),
            ("service_account", Value::from("api")),
            ("propagation", quick()),
            (
                "rollout",
                object(&[
                    ("strategy", Value::from("restart")),
                    ("timeout", Value::Null),
                    ("pause", Value::Null),
                ]),
            ),
        ];
        Value::object(common.into_iter().chain(more.iter().cloned()))
    };
    let retire = object(&[
        ("annotation", Value::from(true)),
        ("trust", Value::from(true)),
    ]);
    // Each life takes seconds, because trust policies are looked at again after a quiet time.
    check_interruptions_of(
        24,
        &world,
        &Migration(&world),
        &|| reset(&world),
        migration(&[]),
        migration(&[
            ("retire", retire),
            ("tags", Value::string_map([("team", "payments")])),
        ]),
    );
    let report = world.sandbox.credential_report();
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
}
