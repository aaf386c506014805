//! What roles trust.

use super::*;
use crate::harness::{Action, Case};

#[test]
fn trust_variants_are_created_read_back_and_imported() {
    let variants = [
        ("nothing", "trust = {}"),
        ("a false flag", "trust = { disable_session_tags = false }"),
        (
            "wildcards",
            r#"trust = { namespaces = ["preview-*", "a"], service_accounts = ["api-?"] }"#,
        ),
        (
            "account and organization",
            r#"trust = { source_account = "{{account_id}}", source_organization = "$${aws:ResourceOrgId}" }"#,
        ),
        (
            "no session tags",
            r#"trust = {
    disable_session_tags = true
    cluster_arns         = ["arn:{{partition}}:eks:{{region}}:{{account_id}}:cluster/{{cluster}}"]
  }"#,
        ),
        (
            "target with session tags",
            r#"trust = {
    namespaces = ["payments"]
    target_of  = { role_arns = ["arn:{{partition}}:iam::{{account_id}}:role/team/*"] }
  }"#,
        ),
        (
            "target without session tags",
            r#"trust = {
    disable_session_tags = true
    cluster_arns         = ["arn:{{partition}}:eks:{{region}}:{{account_id}}:cluster/{{cluster}}"]
    namespaces           = ["payments", "billing"]
    service_accounts     = ["api"]
    target_of            = { role_arns = ["arn:{{partition}}:iam::{{account_id}}:role/source"] }
  }"#,
        ),
        (
            "a statement beside it",
            r#"trust = {
    namespaces            = ["payments"]
    additional_statements = jsonencode([{ Sid = "Ec2", Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }])
  }"#,
        ),
        (
            "a document beside it",
            r#"trust = {
    additional_statements = jsonencode({ Version = "2012-10-17", Statement = { Effect = "Allow", Principal = { AWS = "{{account_id}}" }, Action = "sts:AssumeRole" } })
  }"#,
        ),
    ];
    let mut case = Case::new();
    case.config(role("")).apply();
    for (what, trust) in variants {
        println!("{what}");
        case.config(role(trust)).apply().expect_empty_plan();
        // An account id as a principal comes back as an ARN.
        case.verify_import(THIS, "{{name}}", &["trust", "assume_role_policy"]);
    }
    case.config(role("")).apply().expect_empty_plan().destroy();
}

#[test]
fn no_trust_and_empty_trust_are_the_same() {
    let mut case = Case::new();
    case.config(role("trust = { namespaces = [\"a\"] }"))
        .apply();
    case.config(role(""))
        .expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_empty_plan();
    case.config(role("trust = {}")).expect_empty_plan();
    case.config(role("trust = null"))
        .expect_empty_plan()
        .destroy();
}

#[test]
fn a_trust_policy_beyond_the_quota() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let names = |count: usize| {
        format!(
            "trust = {{ namespaces = [for n in range({count}) : \"namespace-number-${{n}}\"] }}"
        )
    };
    case.config(role(&names(400)))
        .plan_error("Trust policy too large.*[89][0-9]{3} characters without white space.*8192")
        .on("trust");
    case.config(role(&names(120)));
    case.plan_warning(
        "Trust policy too large.*[0-9]{4} characters without white space.*2048.*L-C07B4B0D",
    );
    case.apply_error("LimitExceeded.*ACLSizePerRole.*L-C07B4B0D")
        .on("trust");
    case.expect_absent(THIS);
}

#[test]
fn a_boundary_that_does_not_exist() {
    let mut case = Case::new();
    case.config(role(
        "permissions_boundary = \"arn:{{partition}}:iam::{{account_id}}:policy/{{name}}-none\"",
    ))
    .apply_error(
        "Creating IAM role.*was not created.*Check that the policy of permissions_boundary exists",
    )
    .on("permissions_boundary");
    case.expect_absent(THIS);
}

#[test]
fn a_principal_that_does_not_exist() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(role("")).apply();
    case.config(role(
        r#"trust = { additional_statements = jsonencode({ Effect = "Allow", Principal = { AWS = "AROAEXAMPLEEXAMPLE123" }, Action = "sts:AssumeRole" }) }"#,
    ));
    // IAM is asked for two minutes, because a new principal takes its time; a stop ends that at once.
    let running = case.start_apply();
    case.wait_until("the second attempt", |case| {
        case.calls()
            .get("iam:UpdateAssumeRolePolicy")
            .is_some_and(|count| *count >= 2)
    });
    running.interrupt();
    let outcome = running.wait();
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(
        outcome.report().contains("Invalid principal in policy"),
        "{}",
        outcome.report()
    );
    case.config(role("")).expect_empty_plan().destroy();
}
