//! `podidentity_agent`.

use podidentity::cty::Value;
use proptest::prelude::*;
use serde_json::json;

use super::interruption::check_interruptions;
use super::{World, check_resource};
use crate::core::Action;
use crate::generate::Generator;
use crate::scenario::Subject;

const ADDON: &str = "eks-pod-identity-agent";

struct Agent<'a>(&'a World);

impl Subject for Agent<'_> {
    fn type_name(&self) -> &'static str {
        "podidentity_agent"
    }

    fn provider(&self) -> Value {
        self.0.provider()
    }

    fn import_ids(&self, state: &Value) -> Vec<String> {
        let cluster = state.get("cluster_name").as_str().unwrap_or_default();
        vec![cluster.to_owned(), format!("{cluster}:{ADDON}")]
    }

    fn not_imported(&self) -> &'static [&'static str] {
        &[
            "preserve",
            "resolve_conflicts_on_create",
            "resolve_conflicts_on_update",
            "timeouts",
            "version_policy",
        ]
    }

    /// EKS keeps `{}` where values were taken away again.
    fn same_after_import(&self, name: &str, before: &Value, after: &Value) -> bool {
        let or_none = |value: &Value| value.as_str().unwrap_or("{}").to_owned();
        before == after || (name == "configuration_values" && or_none(before) == or_none(after))
    }

    fn remote_objects(&self) -> Option<usize> {
        let installed = |cluster: &&str| {
            let request = json!({ "clusterName": cluster, "addonName": ADDON });
            self.0.sandbox.call("eks", "DescribeAddon", request).is_ok()
        };
        Some(["demo", "stage"].iter().filter(|c| installed(c)).count())
    }
}

fn generator() -> Generator {
    Generator::default()
        .maybe_one_of("cluster_name", &["demo", "stage"])
        .maybe_one_of(
            "addon_version",
            &[
                "v1.3.8-eksbuild.2",
                "v1.3.9-eksbuild.3",
                "v1.3.10-eksbuild.2",
            ],
        )
        .maybe_one_of("version_policy", &["default", "latest"])
        .maybe_one_of(
            "configuration_values",
            &[
                r#"{"agent":{"additionalArgs":{"-b":"169.254.170.23"}}}"#,
                "agent:\n  additionalArgs:\n    \"-b\": 169.254.170.23\n",
                r#"{ "resources": { "requests": { "cpu": "10m" } } }"#,
            ],
        )
        .maybe_one_of("resolve_conflicts_on_create", &["NONE", "OVERWRITE"])
        .maybe_one_of(
            "resolve_conflicts_on_update",
            &["NONE", "OVERWRITE", "PRESERVE"],
        )
        .value(
            "timeouts",
            prop_oneof![
                Just(Value::Null),
                Just(Value::object([("create", Value::from("2m"))])),
            ],
        )
        .repair(|mut config| {
            if !config.get("addon_version").is_null() {
                config.set("version_policy", Value::Null);
            }
            config
        })
}

/// In `stage` the add-on changes at once, so that a scenario is not mostly waiting.
fn reset(world: &World) {
    world.reset();
    let at_once = json!({
        "create": [{ "status": "ACTIVE" }],
        "update": [{ "status": "ACTIVE" }],
        "delete": [],
    });
    let clusters = json!([{ "name": "stage", "addon_behaviour": { ADDON: at_once } }]);
    world.sandbox.seed(json!({ "clusters": clusters })).unwrap();
}

#[test]
fn keeps_the_rules() {
    let world = World::new();
    check_resource(
        &Agent(&world),
        &|| reset(&world),
        &generator(),
        &[Action::Create, Action::Update, Action::Replace],
        40,
    );
}

#[test]
fn keeps_the_rules_with_default_tags() {
    let world = World::with_default_tags();
    check_resource(
        &Agent(&world),
        &|| reset(&world),
        &generator(),
        &[Action::Create, Action::Update],
        16,
    );
}

#[test]
fn survives_interruptions() {
    let world = World::new();
    let agent = |more: &[(&'static str, Value)]| {
        let cluster = [("cluster_name", Value::from("stage"))];
        Value::object(cluster.into_iter().chain(more.iter().cloned()))
    };
    check_interruptions(
        &world,
        &Agent(&world),
        &|| reset(&world),
        agent(&[
            ("version_policy", Value::from("default")),
            ("tags", Value::string_map([("a", "1"), ("b", "1")])),
        ]),
        agent(&[
            ("version_policy", Value::from("latest")),
            ("tags", Value::string_map([("b", "2"), ("c", "2")])),
        ]),
    );
}
