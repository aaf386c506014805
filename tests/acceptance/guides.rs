//! The rights that `docs/guides/kubernetes-access.md` gives are enough for what it says they are for.

use std::path::Path;

use podidentity_sandbox::seeds;
use serde_json::{Value, json};

use crate::harness::{Action, Case};

const MIGRATION: &str = r#"
    resource "podidentity_irsa_migration" "this" {
      cluster_name    = "demo"
      namespace       = "payments"
      service_account = "api"
      rollout         = { strategy = "restart" }
      retire          = { annotation = true, trust = true }
      propagation     = { consecutive = 2, interval = "50ms" }
    }
"#;

/// The rules of the guide's (cluster) role, as a grant of the sandbox.
fn grant(kind: &str, name: &str) -> Value {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/kubernetes-access.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let role: Value = guide
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .map(|yaml| serde_yaml_ng::from_str::<Value>(yaml).unwrap())
        .find(|role| role["kind"] == kind && role["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("the guide has no {kind} {name}"));
    let namespace = &role["metadata"]["namespace"];
    let namespaces = if namespace.is_null() {
        json!([])
    } else {
        json!([namespace])
    };
    let rules: Vec<Value> = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            json!({
                "verbs": rule["verbs"],
                "resources": rule["resources"],
                "api_groups": rule["apiGroups"],
                "namespaces": namespaces,
            })
        })
        .collect();
    json!({"principal_arn": "*", "rules": rules})
}

fn case_with(kind: &str, name: &str) -> Option<Case> {
    let case = Case::sandbox_only()?;
    case.sandbox().seed(seeds::demo()).unwrap();
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "access": [grant(kind, name)]}]}))
        .unwrap();
    Some(case)
}

/// Calls of the Kubernetes API that were refused.
fn refused(case: &Case) -> Vec<String> {
    case.sandbox()
        .requests()
        .into_iter()
        .filter(|call| call.service == "kubernetes" && call.status == 403)
        .map(|call| call.operation)
        .collect()
}

#[test]
fn the_plan_role_is_enough_for_plans_and_for_nothing_else() {
    let Some(mut case) = case_with("ClusterRole", "podidentity-plan") else {
        return;
    };
    case.config(MIGRATION)
        .expect_plan(&[("podidentity_irsa_migration.this", Action::Create)]);
    assert_eq!(refused(&case), Vec::<String>::new());
    case.config(
        r#"data "podidentity_irsa_inventory" "this" { cluster_name = "demo" }
           data "podidentity_cluster" "this" { cluster_name = "demo" }"#,
    )
    .apply();
    assert_eq!(refused(&case), Vec::<String>::new());
    let before = case.sandbox().state();
    case.config(MIGRATION).apply_error("pods").anywhere();
    assert!(refused(&case).iter().all(|call| call == "create pods"));
    assert_eq!(
        before["clusters"][0]["kubernetes"],
        case.sandbox().state()["clusters"][0]["kubernetes"]
    );
}

#[test]
fn the_migration_role_is_enough_for_a_migration_and_its_rollback() {
    let Some(mut case) = case_with("ClusterRole", "podidentity-migration") else {
        return;
    };
    case.config(MIGRATION)
        .apply()
        .expect_attribute("podidentity_irsa_migration.this", "phase", "retired")
        .expect_empty_plan()
        .destroy();
    assert_eq!(refused(&case), Vec::<String>::new());
}

#[test]
fn the_role_of_one_namespace_is_enough_for_its_service_accounts() {
    let Some(mut case) = case_with("Role", "podidentity-migration") else {
        return;
    };
    case.config(MIGRATION)
        .apply()
        .expect_attribute("podidentity_irsa_migration.this", "phase", "retired")
        .expect_empty_plan()
        .destroy();
    // What it cannot see of the cluster is a warning.
    let refused = refused(&case);
    assert!(!refused.is_empty());
    for call in refused {
        assert!(
            [
                "nodes",
                "mutatingwebhookconfigurations",
                "daemonsets",
                "pods",
                "namespaces",
                "secretstores",
                "clustersecretstores",
                "triggerauthentications",
                "clustertriggerauthentications"
            ]
            .iter()
            .any(|resource| call.ends_with(resource)),
            "{call}"
        );
    }
}
