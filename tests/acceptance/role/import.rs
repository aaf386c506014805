//! Importing roles.

use serde_json::json;

use super::*;
use crate::harness::{Action, Case};

#[test]
fn imports_give_an_empty_plan() {
    let mut case = Case::new();
    case.config(full()).apply();
    case.verify_import(THIS, "{{name}}", &[]);
    case.forget(THIS)
        .import_block(THIS, "{{name}}")
        .expect_empty_plan();
    case.config(role("")).apply();
    case.verify_import(THIS, "{{name}}", &[]);
    case.config(role("trust = {}\npolicy_arns = []\ninline_policies = {}"))
        .expect_empty_plan();
    case.verify_import(THIS, "{{name}}", &[]).destroy();
}

#[test]
fn an_import_takes_over_everything_there_is() {
    let mut case = Case::new();
    let aws = case.aws();
    let name = case.name().to_owned();
    aws.wait(
        aws.iam
            .create_role()
            .role_name(&name)
            .assume_role_policy_document(FOREIGN_TRUST)
            .send(),
    );
    aws.wait(
        aws.iam
            .attach_role_policy()
            .role_name(&name)
            .policy_arn(case.fill(S3))
            .send(),
    );
    aws.wait(
        aws.iam
            .put_role_policy()
            .role_name(&name)
            .policy_name("one")
            .policy_document(policy("\"s3:*\""))
            .send(),
    );
    case.config(role("")).import(THIS, "{{name}}");
    case.expect_attribute(THIS, "policy_arns", json!([case.fill(S3)]))
        .expect_attribute(THIS, "inline_policies.one", policy("\"s3:*\""))
        .expect_match(THIS, "trust.additional_statements", "ec2.amazonaws.com")
        .expect_match(THIS, "assume_role_policy", "ec2.amazonaws.com");
    let plan = case.plan();
    assert_eq!(plan.action(THIS), Action::Update);
    case.apply().expect_empty_plan();
    assert!(
        trust_policy(&case)
            .to_string()
            .contains("pods.eks.amazonaws.com")
    );
    assert_eq!((attached(&case).len(), inline(&case).len()), (0, 0));
    case.destroy();
}

#[test]
fn imports_that_are_refused() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(role(""));
    case.import_error(
        THIS,
        "arn:aws:iam::123456789012:role/x/payments",
        "Importing IAM role.*imported by name: use \"payments\"",
    );
    case.import_error(
        THIS,
        "not/a/name",
        "Importing IAM role.*not the name of an IAM role",
    );
    case.import_error(THIS, "{{name}}", "Cannot import non-existent remote object");
    let aws = case.aws();
    let created = aws.attempt(
        aws.iam
            .create_service_linked_role()
            .aws_service_name("eks.amazonaws.com")
            .send(),
    );
    let Ok(created) = created else {
        println!("the sandbox makes no service-linked roles");
        return;
    };
    let name = created.role.unwrap().role_name;
    case.import_error(THIS, &name, "Importing IAM role.*service-linked role");
}
