//! Creating roles, and what goes wrong with that.

use podidentity_sandbox::{Drop, Fault, FaultError};
use serde_json::{Value, json};

use super::*;
use crate::harness::{Action, Case, Unknown};

#[test]
fn a_role_with_nothing_said() {
    let mut case = Case::new();
    case.config(role(""));
    let plan = case.plan();
    let documented = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
            "Effect": "Allow",
            "Principal": { "Service": "pods.eks.amazonaws.com" },
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }],
    });
    let planned = plan.after(THIS, "assume_role_policy").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(planned.as_str().unwrap()).unwrap(),
        documented
    );
    assert_eq!(plan.after(THIS, "arn"), Err(Unknown));

    case.clear_calls()
        .apply()
        .expect_calls(&[("iam:CreateRole", 1)])
        .expect_empty_plan();
    case.expect_attribute(THIS, "id", "{{name}}")
        .expect_attribute(
            THIS,
            "arn",
            "arn:{{partition}}:iam::{{account_id}}:role/{{name}}",
        )
        .expect_attribute(THIS, "path", "/")
        .expect_attribute(THIS, "max_session_duration", 3600)
        .expect_attribute(THIS, "force_detach_policies", false)
        .expect_attribute(THIS, "name_prefix", Value::Null)
        .expect_match(THIS, "unique_id", "^AROA")
        .expect_match(THIS, "create_date", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$");
    assert_eq!(trust_policy(&case), documented);
    case.destroy();
}

#[test]
fn a_role_with_everything() {
    let mut case = Case::new();
    case.config(full())
        .clear_calls()
        .apply()
        .expect_calls(&[
            ("iam:CreateRole", 1),
            ("iam:PutRolePolicy", 1),
            ("iam:AttachRolePolicy", 1),
        ])
        .expect_empty_plan();
    case.expect_attribute(THIS, "tags_all.team", "core")
        .expect_attribute(
            THIS,
            "arn",
            "arn:{{partition}}:iam::{{account_id}}:role/acceptance/{{name}}",
        );
    assert_eq!(attached(&case), [case.fill(S3)]);
    assert_eq!(inline(&case), ["one"]);
    case.clear_calls().destroy().expect_calls(&[
        ("iam:GetRole", 1),
        ("iam:ListAttachedRolePolicies", 1),
        ("iam:GetRolePolicy", 1),
        ("iam:DetachRolePolicy", 1),
        ("iam:DeleteRolePolicy", 1),
        ("iam:DeleteRole", 1),
    ]);
}

#[test]
fn a_plan_without_changes_asks_for_what_is_managed_and_nothing_else() {
    let mut case = Case::new();
    case.config(role("")).apply();
    case.clear_calls()
        .expect_empty_plan()
        .expect_calls(&[("iam:GetRole", 1)]);
    case.config(role(&format!("policy_arns = [\"{S3}\"]")))
        .apply();
    case.clear_calls()
        .expect_empty_plan()
        .expect_calls(&[("iam:GetRole", 1), ("iam:ListAttachedRolePolicies", 1)]);
    case.destroy();
}

#[test]
fn names_are_made_from_prefixes() {
    let mut case = Case::new();
    case.config("resource \"podidentity_role\" \"this\" {\n  name_prefix = \"{{name}}-\"\n}\n");
    assert_eq!(case.plan().after(THIS, "name"), Err(Unknown));
    case.apply()
        .expect_empty_plan()
        .expect_match(THIS, "name", "^{{name}}-[0-9]{18}[0-9a-f]{8}$");
    let name = case.text(THIS, "name");
    case.verify_import(THIS, &name, &[]);
    // The name written out is no change, and neither is nothing at all.
    case.config(format!(
        "resource \"podidentity_role\" \"this\" {{\n  name = \"{name}\"\n}}\n"
    ))
    .expect_empty_plan();
    case.config("resource \"podidentity_role\" \"this\" {}\n")
        .expect_empty_plan();
    case.config("resource \"podidentity_role\" \"this\" {\n  name_prefix = \"{{name}}x-\"\n}\n")
        .expect_plan(&[(THIS, Action::Replace)]);
    assert_eq!(case.plan().replace_paths(THIS), ["name_prefix"]);
    case.apply()
        .expect_match(THIS, "name", "^{{name}}x-")
        .destroy();
}

#[test]
fn without_name_and_prefix_there_is_a_prefix() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config("resource \"podidentity_role\" \"this\" {}\n")
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "name_prefix", "podidentity-")
        .expect_match(THIS, "name", "^podidentity-[0-9]{18}[0-9a-f]{8}$")
        .destroy();
}

#[test]
fn values_known_only_after_apply() {
    let mut case = Case::new();
    case.config(
        r#"
resource "terraform_data" "namespace" {
  input = "payments"
}
resource "podidentity_role" "this" {
  name        = "{{name}}"
  description = terraform_data.namespace.output
  trust = {
    namespaces = ["static", terraform_data.namespace.output]
  }
}
"#,
    );
    assert_eq!(case.plan().after(THIS, "assume_role_policy"), Err(Unknown));
    case.apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "description", "payments");
    assert!(
        trust_policy(&case)
            .to_string()
            .contains(r#"["payments","static"]"#)
    );
    case.destroy();
}

#[test]
fn a_policy_that_does_not_exist_is_named_and_the_role_is_kept() {
    let mut case = Case::new();
    case.config(role(
        "policy_arns = [\"arn:{{partition}}:iam::{{account_id}}:policy/{{name}}-none\"]",
    ))
    .apply_error("Creating IAM role.*{{name}}-none was not attached.*Check that the policy exists")
    .on("policy_arns");
    case.expect_attribute(
        THIS,
        "arn",
        "arn:{{partition}}:iam::{{account_id}}:role/{{name}}",
    )
    .expect_attribute(THIS, "policy_arns", json!([]));
    assert!(case.state().is_tainted(THIS));
    case.config(role("")).apply().expect_empty_plan().destroy();
}

#[test]
fn a_name_that_is_taken() {
    let mut case = Case::new();
    let aws = case.aws();
    aws.wait(
        aws.iam
            .create_role()
            .role_name(case.name())
            .assume_role_policy_document(FOREIGN_TRUST)
            .send(),
    );
    case.config(role(""))
        .apply_error("Creating IAM role.*EntityAlreadyExists.*terraform import <address of this resource> {{name}}")
        .on("name");
    case.expect_absent(THIS);
    aws.wait(aws.iam.delete_role().role_name(case.name()).send());
}

#[test]
fn a_create_whose_answer_is_lost_finds_its_role() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        drop: Some(Drop::After),
        ..first("CreateRole")
    });
    case.config(full()).clear_calls().apply().expect_calls(&[
        ("iam:CreateRole", 2),
        ("iam:GetRole", 1),
        ("iam:PutRolePolicy", 1),
        ("iam:AttachRolePolicy", 1),
    ]);
    case.expect_empty_plan().destroy();
}

#[test]
fn a_lost_answer_is_no_reason_to_take_a_role_of_somebody_else() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let aws = case.aws();
    aws.wait(
        aws.iam
            .create_role()
            .role_name(case.name())
            .assume_role_policy_document(FOREIGN_TRUST)
            .send(),
    );
    case.fault(Fault {
        drop: Some(Drop::Before),
        ..first("CreateRole")
    });
    case.config(role(""))
        .apply_error("EntityAlreadyExists.*terraform import")
        .on("name");
    case.expect_absent(THIS);
}

#[test]
fn a_principal_that_is_new_is_waited_for() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    for (code, message, status) in [
        (
            "MalformedPolicyDocument",
            "Invalid principal in policy: \"AWS\":\"x\"",
            400,
        ),
        (
            "ConcurrentModification",
            "Another change is under way.",
            409,
        ),
    ] {
        case.fault(Fault {
            error: Some(FaultError {
                code: code.into(),
                message: message.into(),
                status,
            }),
            ..first("CreateRole")
        });
    }
    case.config(role(""))
        .clear_calls()
        .apply()
        .expect_calls(&[("iam:CreateRole", 3)])
        .expect_empty_plan()
        .destroy();
}

#[test]
fn throttling_is_waited_out() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        service: Some("iam".into()),
        count: Some(3),
        throttle: true,
        ..Fault::default()
    });
    case.config(full()).apply().expect_empty_plan().destroy();
}

#[test]
fn a_role_that_iam_does_not_see_everywhere_yet() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    for operation in ["PutRolePolicy", "AttachRolePolicy"] {
        case.fault(Fault {
            error: Some(FaultError {
                code: "NoSuchEntity".into(),
                message: case.fill("The role with name {{name}} cannot be found."),
                status: 404,
            }),
            ..first(operation)
        });
    }
    case.config(full()).apply().expect_empty_plan().destroy();
}

#[test]
fn a_create_that_fails_after_its_only_attempt_was_carried_out() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        drop: Some(Drop::After),
        ..first("CreateRole")
    });
    case.environment("AWS_MAX_ATTEMPTS", "1")
        .config(role(""))
        .clear_calls()
        .apply()
        .expect_calls(&[("iam:CreateRole", 1), ("iam:GetRole", 1)])
        .expect_empty_plan()
        .destroy();
}

#[cfg(unix)]
#[test]
fn an_interrupted_create_leaves_the_role_in_the_state() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        hold: true,
        ..first("CreateRole")
    });
    case.config(full()).clear_calls();
    let running = case.start_apply();
    let outcome = case.interrupt_while_held(running);
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    case.expect_attribute(THIS, "id", "{{name}}")
        .expect_attribute(THIS, "policy_arns", json!([]));
    assert!(case.state().is_tainted(THIS), "{}", outcome.report());
    case.apply().expect_empty_plan().destroy();
}

#[test]
fn default_and_ignored_tags() {
    let mut case = Case::new();
    let provider = r#"
provider "podidentity" {
  default_tags {
    tags = {
      team  = "default"
      stage = "test"
    }
  }
  ignore_tags {
    keys = ["owner"]
  }
}
"#;
    case.config(format!("{provider}{}", role("tags = { team = \"core\" }")))
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "tags_all", json!({ "stage": "test", "team": "core" }));
    let aws = case.aws();
    let tag = aws_sdk_iam::types::Tag::builder()
        .key("owner")
        .value("somebody")
        .build()
        .unwrap();
    aws.wait(aws.iam.tag_role().role_name(case.name()).tags(tag).send());
    case.expect_empty_plan();
    case.verify_import(THIS, "{{name}}", &[]);
    case.edit("stage = \"test\"", "stage = \"prod\"")
        .apply()
        .expect_empty_plan();
    let tags = aws
        .wait(aws.iam.list_role_tags().role_name(case.name()).send())
        .tags;
    assert_eq!(tags.len(), 3);
    case.destroy();
}

#[test]
fn a_provider_that_is_not_known_yet() {
    let mut case = Case::new();
    case.config(format!(
        r#"
resource "terraform_data" "region" {{
  input = "{{{{region}}}}"
}}
provider "podidentity" {{
  region = terraform_data.region.output
}}
{}"#,
        role("trust = { namespaces = [\"a\"] }")
    ));
    assert!(case.plan().after(THIS, "assume_role_policy").is_ok());
    case.apply().expect_empty_plan().destroy();
}
