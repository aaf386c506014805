//! `podidentity_irsa_migration`, scenario by scenario.
//!
//! The numbers (`s05_…`) are those of the scenarios that the migration was designed against: 1-14 trust policies, 15-21 roles and
//! service accounts, 22-29 associations, 30-34 compute and runtime, 35-37 consumers, other owners, and the life of the resource.
//! Every one runs against a cluster of its own with running pods, and at its end the sandbox's watcher must not have seen a single pod,
//! running or merely possible, without working credentials at any moment.

mod association;
mod changes;
mod cluster;
#[cfg(unix)]
mod kills;
mod lifecycle;
mod roles;
mod rollback;
mod runtime;
mod shared;
mod soak;
mod trust;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::cluster::Cluster;
use crate::harness::{Case, Plan};

const THIS: &str = "podidentity_irsa_migration.this";

/// One service account, `payments/api`. Arguments go in at the mark.
const BASIC: &str = r#"
resource "podidentity_irsa_migration" "this" {
  cluster_name    = "{{cluster}}"
  namespace       = "payments"
  service_account = "api"
  propagation     = { consecutive = 2, interval = "20ms", timeout = "60s" }
  # more
}
"#;

/// Restarts, patiently enough for a slow machine.
const RESTART: &str = r#"rollout = { strategy = "restart", timeout = "60s" }"#;

/// Retires everything after a restart.
const RETIRE: &str = "rollout = { strategy = \"restart\", timeout = \"60s\" }\n  retire = { annotation = true, trust = true }";

/// The configuration with further arguments.
fn with(more: &str) -> String {
    BASIC.replace("# more", more)
}

/// A case with this cluster and this configuration, ready to plan; `None` against an account.
fn case(cluster: &Cluster, config: impl Into<String>) -> Option<Case> {
    let mut case = Case::sandbox_only()?;
    case.seed(cluster.seed());
    case.config(config);
    Some(case)
}

/// Tells the watcher whether to mind what happens to the service account `payments/api`. It does, but for the time in which a test takes
/// credentials away; what is broken when that ends is not held against anybody as long as it stays as it is.
fn expect_credentials(case: &Case, expected: bool) {
    let item = json!({"namespace": "payments", "service_account": "api", "expected": expected});
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "expect_credentials": [item]}]}))
        .unwrap();
}

/// The trust policy of a role as it is now.
fn trust(case: &Case, role: &str) -> Value {
    let aws = case.aws();
    let found = aws.wait(aws.iam.get_role().role_name(role).send());
    let document = found
        .role()
        .and_then(|role| role.assume_role_policy_document())
        .unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(document)
        .decode_utf8()
        .unwrap();
    serde_json::from_str(&decoded).unwrap()
}

/// The statements of a trust policy.
fn statements(document: &Value) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(statements) => statements.clone(),
        one => vec![one.clone()],
    }
}

/// Our statements in a role's trust policy.
fn ours(case: &Case, role: &str) -> Vec<Value> {
    let mut statements = statements(&trust(case, role));
    statements.retain(|statement| {
        statement["Sid"]
            .as_str()
            .is_some_and(|sid| sid.starts_with("PodIdentity") && sid.len() >= 23)
    });
    statements
}

/// The service accounts that our statements list.
fn trusted(case: &Case, role: &str) -> Vec<String> {
    let mut found = Vec::new();
    for statement in ours(case, role) {
        let value =
            &statement["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"];
        match value {
            Value::Array(names) => {
                found.extend(names.iter().filter_map(Value::as_str).map(str::to_owned))
            }
            one => found.extend(one.as_str().map(str::to_owned)),
        }
    }
    found.sort();
    found
}

/// Associations of the cluster: `namespace/name` to all that EKS tells, in the order of creation.
fn associations(case: &Case) -> Vec<(String, Value)> {
    let state = case.sandbox().state();
    let found = state["clusters"][0]["associations"].as_array();
    found
        .into_iter()
        .flatten()
        .map(|association| {
            let text = |field: &str| association[field].as_str().unwrap_or_default().to_owned();
            (
                format!("{}/{}", text("namespace"), text("serviceAccount")),
                association.clone(),
            )
        })
        .collect()
}

/// How many pods of a service account get credentials by which path.
fn paths(case: &Case, service_account: &str) -> BTreeMap<&'static str, usize> {
    let mut paths = BTreeMap::new();
    for pod in case.sandbox().credential_report().pods {
        if pod.service_account == service_account {
            *paths.entry(pod.path).or_default() += 1;
        }
    }
    paths
}

/// A Kubernetes object; the test fails if it is not there.
#[track_caller]
fn object(case: &Case, resource: &str, namespace: &str, name: &str) -> Value {
    case.sandbox()
        .kubernetes_object("demo", resource, Some(namespace), name)
        .unwrap_or_else(|| panic!("there is no {resource} {namespace}/{name}"))
}

/// Annotations of a service account.
#[track_caller]
fn annotations(case: &Case, namespace: &str, name: &str) -> Value {
    object(case, "serviceaccounts", namespace, name)["metadata"]["annotations"].clone()
}

/// Changes a Kubernetes object behind the provider's back, by a merge patch.
#[track_caller]
fn patch(case: &Case, resource: &str, namespace: &str, name: &str, body: Value) {
    kubernetes(
        case,
        json!({"method": "PATCH", "resource": resource, "namespace": namespace, "name": name, "body": body}),
    );
}

/// A request to the Kubernetes API behind the provider's back.
#[track_caller]
fn kubernetes(case: &Case, request: Value) -> Value {
    case.sandbox()
        .call("kubernetes", "request", request)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Calls that change something, with their counts.
fn writes(case: &Case) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for request in case.sandbox().requests() {
        let kubernetes = ["create ", "patch ", "update ", "delete "]
            .iter()
            .any(|verb| request.operation.starts_with(verb))
            && request.parameters.get("dryRun").is_none()
            && !request.operation.ends_with("reviews");
        let aws = [
            "Create", "Update", "Delete", "Tag", "Untag", "Put", "Attach", "Detach",
        ]
        .iter()
        .any(|verb| request.operation.starts_with(verb));
        if (kubernetes || aws) && !request.user_agent.contains("acceptance-tests") {
            *calls
                .entry(format!("{}:{}", request.service, request.operation))
                .or_default() += 1;
        }
    }
    calls
}

/// Codes of the planned blockers or warnings.
#[track_caller]
fn planned_codes(plan: &Plan, attribute: &str) -> Vec<String> {
    let Ok(findings) = plan.after(THIS, attribute) else {
        panic!("{attribute} is not known in the plan");
    };
    codes(&findings)
}

/// Codes of blockers or warnings.
fn codes(findings: &Value) -> Vec<String> {
    findings
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finding| finding["code"].as_str().map(str::to_owned))
        .collect()
}

/// Plans, and wants this warning among the planned ones; returns its message.
#[track_caller]
fn expect_warning(case: &Case, code: &str) -> String {
    let plan = case.plan();
    let Ok(warnings) = plan.after(THIS, "warnings") else {
        panic!("warnings are not known in the plan");
    };
    let found = warnings
        .as_array()
        .into_iter()
        .flatten()
        .find(|w| w["code"] == code);
    let Some(found) = found else {
        panic!("no warning {code}: {warnings:#}");
    };
    found["message"].as_str().unwrap_or_default().to_owned()
}

/// Plans, and wants this blocker to stop it, with a message that matches; nothing may have been written.
#[track_caller]
fn expect_blocker(case: &mut Case, code: &str, pattern: &str) {
    case.clear_calls();
    let found = case.plan_error(code).anywhere();
    let pattern = case.fill(pattern);
    let regex = regex::Regex::new(&format!("(?s){pattern}")).unwrap();
    let text = found
        .detail
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        regex.is_match(&text),
        "the blocker {code} does not match /{pattern}/:\n{found}"
    );
    assert_eq!(
        writes(case),
        BTreeMap::new(),
        "a plan has written something"
    );
}

/// The workloads of the state by `Kind/name`: pods, pods on Pod Identity, restart.
fn workloads(case: &Case) -> BTreeMap<String, (i64, i64, String)> {
    let found = case.attribute(THIS, "workloads");
    found
        .as_array()
        .into_iter()
        .flatten()
        .map(|workload| {
            let text = |field: &str| workload[field].as_str().unwrap_or_default().to_owned();
            let number = |field: &str| workload[field].as_i64().unwrap_or(-1);
            (
                format!("{}/{}", text("kind"), text("name")),
                (
                    number("pods"),
                    number("pods_on_pod_identity"),
                    text("restart"),
                ),
            )
        })
        .collect()
}

/// How often each workload's template has been changed since the seed: `metadata.generation`, less the first.
fn restarts(case: &Case, resource: &str, namespace: &str, name: &str) -> i64 {
    object(case, resource, namespace, name)["metadata"]["generation"]
        .as_i64()
        .unwrap_or_default()
        - 1
}
