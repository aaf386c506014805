//! `podidentity_irsa_migration`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use podidentity::cty;
use podidentity_sandbox::seeds;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::interruption::check_interruptions_of;
use super::{World, check_resource};
use crate::core::Action;
use crate::generate::Generator;
use crate::scenario::Subject;

struct Migration {
    world: World,
    /// [`surroundings`](Self::surroundings) before a life.
    before: RefCell<Value>,
}

impl Migration {
    fn new() -> Self {
        let this = Self {
            world: World::new(),
            before: RefCell::default(),
        };
        this.reset();
        this
    }

    fn reset(&self) {
        self.world.sandbox.reset();
        self.world.sandbox.seed(seeds::demo()).unwrap();
        self.before.replace(self.surroundings());
    }

    /// What is not ours and yet written: the trust policies of all roles, by ARN, and all service accounts' annotations.
    fn surroundings(&self) -> Value {
        let state = self.world.sandbox.state();
        let accounts: BTreeMap<String, &Value> = state["clusters"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|cluster| cluster["objects"].as_array().into_iter().flatten())
            .filter(|object| object["kind"] == "ServiceAccount")
            .map(|account| {
                let metadata = &account["metadata"];
                let name = format!("{}/{}", metadata["namespace"], metadata["name"]);
                (name, &metadata["annotations"])
            })
            .collect();
        json!({"roles": state["roles"], "service_accounts": accounts})
    }
}

impl Subject for Migration {
    fn type_name(&self) -> &'static str {
        "podidentity_irsa_migration"
    }

    fn provider(&self) -> cty::Value {
        self.world.provider()
    }

    fn import_ids(&self, state: &cty::Value) -> Vec<String> {
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
            .world
            .sandbox
            .call("eks", "ListPodIdentityAssociations", request);
        // The seed has one of its own.
        Some(answer.unwrap()["associations"].as_array().unwrap().len() - 1)
    }

    /// No pod has lost its access at any moment of the life, and everything is as it was before.
    fn aftermath(&self) -> Result<(), String> {
        let report = self.world.sandbox.credential_report();
        if !report.violations.is_empty() {
            return Err(format!("access was lost: {:#?}", report.violations));
        }
        let (before, after) = (self.before.borrow(), self.surroundings());
        if *before == after {
            Ok(())
        } else {
            Err(format!("not as before: {before:#}\n{after:#}"))
        }
    }
}

fn object(attributes: &[(&'static str, cty::Value)]) -> cty::Value {
    cty::Value::object(attributes.iter().cloned())
}

fn quick() -> cty::Value {
    object(&[
        ("consecutive", cty::Value::from(1)),
        ("interval", cty::Value::from("1ms")),
        ("timeout", cty::Value::from("20s")),
    ])
}

fn generator() -> Generator {
    Generator::default()
        .one_of("namespace", &["payments"])
        .one_of("service_account", &["api", "worker"])
        .maybe_one_of("cluster_name", &["demo"])
        .value("role_arn", Just(cty::Value::Null))
        .value("target_role_arn", Just(cty::Value::Null))
        .value("policy", Just(cty::Value::Null))
        .value("disable_session_tags", Just(cty::Value::Null))
        .value("ignore_blockers", Just(cty::Value::Null))
        .maybe_one_of("on_destroy", &["rollback"])
        .maybe_one_of("soak_duration", &["0s", "1ms"])
        .value("propagation", Just(quick()))
        .value(
            "rollout",
            prop_oneof![
                Just(cty::Value::Null),
                Just(object(&[
                    ("strategy", cty::Value::from("restart")),
                    ("timeout", cty::Value::Null),
                    ("pause", cty::Value::Null),
                ])),
            ],
        )
        .value(
            "retire",
            (any::<bool>(), any::<bool>()).prop_map(|(annotation, trust)| {
                object(&[
                    ("annotation", cty::Value::from(annotation)),
                    ("trust", cty::Value::from(trust)),
                ])
            }),
        )
        .value(
            "trust",
            prop_oneof![
                Just(cty::Value::Null),
                Just(object(&[
                    ("mode", cty::Value::from("manage")),
                    ("scope", cty::Value::from("service_account")),
                ])),
            ],
        )
        .value("timeouts", Just(cty::Value::Null))
}

#[test]
fn keeps_the_rules() {
    let migration = Migration::new();
    check_resource(
        &migration,
        &|| migration.reset(),
        &generator(),
        &[Action::Create, Action::Update, Action::Replace],
        40,
    );
}

#[test]
fn survives_interruptions() {
    let migration = Migration::new();
    let configured = |more: &[(&'static str, cty::Value)]| {
        let common = [
            ("namespace", cty::Value::from("payments")),
            ("service_account", cty::Value::from("api")),
            ("propagation", quick()),
            (
                "rollout",
                object(&[
                    ("strategy", cty::Value::from("restart")),
                    ("timeout", cty::Value::Null),
                    ("pause", cty::Value::Null),
                ]),
            ),
        ];
        cty::Value::object(common.into_iter().chain(more.iter().cloned()))
    };
    let retire = object(&[
        ("annotation", cty::Value::from(true)),
        ("trust", cty::Value::from(true)),
    ]);
    // Each life takes seconds, because trust policies are looked at again after a quiet time.
    check_interruptions_of(
        24,
        &migration.world,
        &migration,
        &|| migration.reset(),
        configured(&[]),
        configured(&[
            ("retire", retire),
            ("tags", cty::Value::string_map([("team", "payments")])),
        ]),
    );
}
