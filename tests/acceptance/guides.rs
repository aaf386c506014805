//! The rights that `docs/guides/kubernetes-access.md` gives are enough for what it says they are for.

use std::collections::BTreeSet;
use std::path::Path;

use podidentity_sandbox::{Fault, FaultError, seeds};
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
    let mut case = Case::sandbox_only()?;
    case.sandbox().seed(seeds::demo()).unwrap();
    case.sandbox()
        .seed(json!({"clusters": [{
            "name": "demo",
            "access": [grant(kind, name)],
            "custom_kinds": controllers(),
            // KEDA is to take the role from the annotation, so what it scales matters, too. A volume of secrets and variables of a
            // ConfigMap make their kinds matter.
            "objects": [{
                "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication",
                "metadata": {"namespace": "payments", "name": "queue"},
                "spec": {"podIdentity": {"provider": "aws", "identityOwner": "workload"}},
            }, {
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "payments", "name": "mounts"},
                "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "mounts"}}, "template": {
                    "metadata": {"labels": {"app": "mounts"}},
                    "spec": {
                        "containers": [{"name": "app", "image": "registry.example/app:1.0", "envFrom": [{"configMapRef": {"name": "proxy"}}]}],
                        "volumes": [{"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "db"}}}],
                    },
                }},
            }],
        }]}))
        .unwrap();
    case.clear_calls();
    Some(case)
}

/// The kinds of controllers that read the role annotation.
fn controllers() -> Vec<Value> {
    let kind = |group: &str, version: &str, kind: &str, namespaced: bool| {
        let plural = format!("{}s", kind.to_lowercase());
        json!({"group": group, "version": version, "kind": kind, "plural": plural, "namespaced": namespaced})
    };
    vec![
        kind("external-secrets.io", "v1", "SecretStore", true),
        kind("external-secrets.io", "v1", "ClusterSecretStore", false),
        kind("keda.sh", "v1alpha1", "TriggerAuthentication", true),
        kind("keda.sh", "v1alpha1", "ClusterTriggerAuthentication", false),
        kind("keda.sh", "v1alpha1", "ScaledObject", true),
        kind("keda.sh", "v1alpha1", "ScaledJob", true),
        json!({"group": "secrets-store.csi.x-k8s.io", "version": "v1", "kind": "SecretProviderClass", "plural": "secretproviderclasses", "namespaced": true}),
    ]
}

/// The permissions that a paragraph of the guide names, such as `iam:GetRole`.
fn permissions(beginning: &str) -> BTreeSet<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/kubernetes-access.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let paragraph = guide
        .split("\n\n")
        .find(|paragraph| paragraph.starts_with(beginning))
        .unwrap_or_else(|| panic!("the guide has no paragraph {beginning:?}"));
    paragraph
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("eks:") || text.starts_with("iam:"))
        .map(ToOwned::to_owned)
        .collect()
}

/// The actions of the guide's IAM policy for a service's own repository.
fn actions_of_a_service() -> BTreeSet<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/kubernetes-access.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let policy = guide.split("```json\n").nth(1).unwrap();
    let policy: Value = serde_json::from_str(policy.split("```").next().unwrap()).unwrap();
    policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            action => vec![action.clone()],
        })
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

/// Calls of EKS and IAM, as permissions.
fn called(case: &Case) -> BTreeSet<String> {
    case.calls()
        .into_keys()
        .filter(|call| call.starts_with("eks:") || call.starts_with("iam:"))
        .collect()
}

/// Kinds that were read, such as `pods`.
fn read(case: &Case) -> BTreeSet<String> {
    case.sandbox()
        .requests()
        .into_iter()
        .filter(|call| call.service == "kubernetes")
        .filter_map(|call| {
            let (verb, resource) = call.operation.split_once(' ')?;
            ["get", "list"].contains(&verb).then(|| resource.to_owned())
        })
        .collect()
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
    let reads = permissions("Plans read:");
    let called_by_plan = called(&case);
    assert!(called_by_plan.is_subset(&reads), "{called_by_plan:?}");
    // All that the role names is needed.
    let rules = grant("ClusterRole", "podidentity-plan")["rules"].clone();
    let named: BTreeSet<String> = rules
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| rule["resources"].as_array().unwrap())
        .map(|resource| resource.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        named.difference(&read(&case)).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(refused(&case), Vec::<String>::new());
    case.config(
        r#"data "podidentity_irsa_inventory" "this" { cluster_name = "demo" }
           data "podidentity_cluster" "this" { cluster_name = "demo" }"#,
    )
    .apply();
    assert_eq!(refused(&case), Vec::<String>::new());
    assert!(called(&case).is_subset(&reads), "{:?}", called(&case));
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
    let mut permitted = permissions("Plans read:");
    permitted.extend(permissions("Migrations change:"));
    let called = called(&case);
    assert!(called.is_subset(&permitted), "{called:?}");
}

#[test]
fn the_role_of_one_namespace_is_enough_for_its_service_accounts() {
    let Some(mut case) = case_with("Role", "podidentity-migration") else {
        return;
    };
    case.config(MIGRATION);
    let warning = case.plan_warning("not_checked");
    assert!(!warning.detail.contains("agent_missing"), "{warning}");
    case.apply()
        .expect_attribute("podidentity_irsa_migration.this", "phase", "retired")
        .expect_empty_plan()
        .destroy();
    // What it cannot see of the cluster is a warning. Pods and workloads of its own namespace it can.
    let refused: BTreeSet<String> = refused(&case).into_iter().collect();
    assert_eq!(
        refused.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "get mutatingwebhookconfigurations",
            "list clustersecretstores",
            "list clustertriggerauthentications",
            "list nodes",
            // Those of the agent.
            "list pods",
        ]
    );
}

/// The policy has all that a migration cannot do without, and nothing that the lists of the guide do not name.
#[test]
fn the_iam_policy_of_a_service_is_part_of_what_is_documented() {
    let actions = actions_of_a_service();
    let mut needed = permissions("Migrations change:");
    let mut documented = permissions("Plans read:");
    documented.extend(needed.clone());
    needed.extend(
        [
            "eks:DescribeCluster",
            "eks:ListPodIdentityAssociations",
            "eks:DescribePodIdentityAssociation",
            "iam:GetRole",
        ]
        .map(ToOwned::to_owned),
    );
    let names = |set: &BTreeSet<String>, without: &BTreeSet<String>| -> Vec<String> {
        set.difference(without).cloned().collect()
    };
    assert_eq!(names(&needed, &actions), Vec::<String>::new());
    assert_eq!(names(&actions, &documented), Vec::<String>::new());
}

/// Without rights in EKS and in the agent's namespace nobody can tell whether there is an agent. That is no reason to stop.
#[test]
fn an_agent_that_cannot_be_looked_for_is_a_warning() {
    let Some(mut case) = case_with("Role", "podidentity-migration") else {
        return;
    };
    case.fault(Fault {
        error: Some(FaultError {
            status: 403,
            code: "AccessDeniedException".to_owned(),
            message: "not authorized to perform: eks:DescribeAddon".to_owned(),
        }),
        service: Some("eks".to_owned()),
        operation: Some("DescribeAddon".to_owned()),
        ..Fault::default()
    });
    case.config(MIGRATION);
    case.plan_warning("not_checked");
    case.apply()
        .expect_attribute("podidentity_irsa_migration.this", "phase", "retired")
        .destroy();
}
