//! Provider functions: no AWS, no state but outputs.

use serde_json::{Value, json};

use crate::harness::Case;

const IRSA: &str = r#"jsonencode({
  Version = "2012-10-17"
  Statement = [{
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/AAAA" }
    Condition = { StringEquals = { "oidc.eks.us-east-1.amazonaws.com/id/AAAA:sub" = "system:serviceaccount:payments:api" } }
  }]
})"#;

fn config(outputs: &str) -> String {
    format!(
        "locals {{\n  cluster = \"arn:aws:eks:us-east-1:123456789012:cluster/demo\"\n  irsa = {IRSA}\n}}\n{outputs}"
    )
}

fn document(case: &Case, output: &str) -> Value {
    serde_json::from_str(case.output(output).as_str().unwrap()).unwrap()
}

#[test]
fn merge_trust_policy_adds_once_and_shares_a_statement() {
    let mut case = Case::offline();
    case.config(config(
        r#"
locals {
  api    = provider::podidentity::merge_trust_policy(local.irsa, local.cluster, "payments", "api")
  shared = provider::podidentity::merge_trust_policy(local.api, local.cluster, "payments", "worker")
}
output "before" { value = local.irsa }
output "api" { value = local.api }
output "again" { value = provider::podidentity::merge_trust_policy(local.api, local.cluster, "payments", "api") }
output "shared" { value = local.shared }
output "null_options" { value = provider::podidentity::merge_trust_policy(local.irsa, local.cluster, "payments", "api", null) }
output "cluster" {
  value = provider::podidentity::merge_trust_policy(local.irsa, local.cluster, "payments", "api", { scope = "cluster" })
}
output "untagged" {
  value = provider::podidentity::merge_trust_policy(local.irsa, local.cluster, "payments", "api",
    { scope = "cluster", disable_session_tags = true })
}
"#,
    ))
    .apply()
    .expect_empty_plan();

    let before = document(&case, "before");
    let api = document(&case, "api");
    assert_eq!(api["Statement"][0], before["Statement"][0]);
    let added = &api["Statement"][1];
    assert_eq!(
        added["Principal"],
        json!({"Service": "pods.eks.amazonaws.com"})
    );
    assert_eq!(
        added["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"],
        "api"
    );
    for same in ["again", "null_options"] {
        assert_eq!(case.output(same), case.output("api"), "{same}");
    }
    let shared = document(&case, "shared");
    assert_eq!(shared["Statement"].as_array().unwrap().len(), 2);
    assert_eq!(
        shared["Statement"][1]["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"],
        json!(["api", "worker"])
    );
    let untagged = case.output("untagged");
    assert!(!untagged.as_str().unwrap().contains("aws:RequestTag"));
    assert_ne!(case.output("cluster"), untagged);
}

#[test]
fn merge_trust_policy_points_at_the_argument_that_is_wrong() {
    let mut case = Case::offline();
    for (call, pattern) in [
        (
            r#""{", local.cluster, "payments", "api""#,
            r#"Invalid value for "policy" parameter: .*not valid JSON"#,
        ),
        (
            r#"local.irsa, "demo", "payments", "api""#,
            r#"Invalid value for "cluster_arn" parameter: "#,
        ),
        (
            r#"local.irsa, local.cluster, "pay*", "api""#,
            r#"Invalid value for "namespace" parameter: .*wildcard.*one call for each\.$"#,
        ),
        (
            r#"local.irsa, local.cluster, "payments", "system:serviceaccount:payments:api""#,
            r#"Invalid value for "service_account" parameter: "#,
        ),
        (
            r#"local.irsa, local.cluster, "payments", "api", { scope = "pod" }"#,
            r#"Invalid value for "options" parameter: .*service_account, cluster, account and none"#,
        ),
        (
            r#"local.irsa, local.cluster, "payments", "api", { disable_session_tags = true }"#,
            r#"Invalid value for "options" parameter: without session tags"#,
        ),
        (
            r#"local.irsa, local.cluster, "payments", "api", {}, {}"#,
            r#"Invalid value for "options" parameter: .*at most one"#,
        ),
    ] {
        case.config(config(&format!(
            "output \"x\" {{ value = provider::podidentity::merge_trust_policy({call}) }}"
        )));
        let _ = case.plan_error(pattern).anywhere();
    }
}

#[test]
fn merge_trust_policy_of_what_is_not_known_yet_is_not_known_yet() {
    let mut case = Case::offline();
    case.config(config(
        r#"
resource "terraform_data" "unknown" { input = "cluster" }
output "policy" {
  value = provider::podidentity::merge_trust_policy(local.irsa, local.cluster, "payments", "api",
    { scope = terraform_data.unknown.output })
}
"#,
    ))
    .apply()
    .expect_empty_plan();
    assert!(document(&case, "policy")["Statement"][1].is_object());
    case.destroy();
}
