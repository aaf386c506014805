//! Changing roles in place, and replacing them.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::json;

use super::*;
use crate::harness::{Action, Case};

/// A part of the configuration, what takes its place, and the calls that this needs.
type Step<'a> = (&'a str, &'a str, &'a [(&'a str, usize)]);

#[test]
fn every_argument_changes_in_place_with_the_calls_it_needs() {
    let mut case = Case::new();
    case.config(full()).apply();
    let unique_id = case.text(THIS, "unique_id");
    let steps: &[Step<'_>] = &[
        ("\"first\"", "\"second\"", &[("iam:UpdateRole", 1)]),
        ("= 7200", "= 3600", &[("iam:UpdateRole", 1)]),
        (
            r#"  permissions_boundary = "arn:{{partition}}:iam::aws:policy/ReadOnlyAccess""#,
            r#"  permissions_boundary = "arn:{{partition}}:iam::aws:policy/AmazonS3ReadOnlyAccess""#,
            &[("iam:PutRolePermissionsBoundary", 1)],
        ),
        (
            r#"  permissions_boundary = "arn:{{partition}}:iam::aws:policy/AmazonS3ReadOnlyAccess""#,
            "",
            &[("iam:DeleteRolePermissionsBoundary", 1)],
        ),
        (
            r#"["arn:{{partition}}:iam::aws:policy/AmazonS3ReadOnlyAccess"]"#,
            r#"["arn:{{partition}}:iam::aws:policy/ReadOnlyAccess"]"#,
            &[("iam:AttachRolePolicy", 1), ("iam:DetachRolePolicy", 1)],
        ),
        (
            "    one =",
            "    two =",
            &[("iam:PutRolePolicy", 1), ("iam:DeleteRolePolicy", 1)],
        ),
        ("s3:ListBucket", "s3:GetObject", &[("iam:PutRolePolicy", 1)]),
        (
            "[\"payments\"]",
            "[\"payments\", \"billing\"]",
            &[("iam:UpdateAssumeRolePolicy", 1)],
        ),
        ("team = \"core\"", "team = \"pay\"", &[("iam:TagRole", 1)]),
        (
            "team = \"pay\"",
            "owner = \"pay\"",
            &[("iam:TagRole", 1), ("iam:UntagRole", 1)],
        ),
        // Nothing that IAM knows.
        (
            "  description",
            "  force_detach_policies = true\n  description",
            &[],
        ),
        (
            "  description          = \"second\"",
            "",
            &[("iam:UpdateRole", 1)],
        ),
    ];
    for (from, to, calls) in steps {
        case.edit(from, to).expect_plan(&[(THIS, Action::Update)]);
        case.clear_calls().apply();
        let mut expected = BTreeMap::from([
            ("iam:GetRole", 1),
            ("iam:GetRolePolicy", 1),
            ("iam:ListAttachedRolePolicies", 1),
        ]);
        expected.extend(calls.iter().copied());
        case.expect_calls(&expected.into_iter().collect::<Vec<_>>());
        case.expect_empty_plan();
    }
    assert_eq!(case.text(THIS, "unique_id"), unique_id);
    assert_eq!(attached(&case), [case.fill(VIEW)]);
    assert_eq!(inline(&case), ["two"]);
    case.config(role("")).apply().expect_empty_plan();
    assert_eq!((attached(&case).len(), inline(&case).len()), (0, 0));
    case.destroy();
}

#[test]
fn documents_written_differently_are_no_change() {
    let mut case = Case::new();
    case.config(full()).apply();
    case.edit(
        &policy("\"s3:ListBucket\""),
        r#"{ Statement = { Resource = ["*"], Action = ["S3:listbucket"], Effect = "Allow" }, Version = "2012-10-17" }"#,
    )
    .expect_empty_plan();
    // Trust, rewritten by somebody with other white space and order.
    let aws = case.aws();
    let mut document = trust_policy(&case);
    document["Statement"][0]["Action"] = json!(["sts:tagsession", "sts:AssumeRole"]);
    document["Statement"] = document["Statement"][0].clone();
    aws.wait(
        aws.iam
            .update_assume_role_policy()
            .role_name(case.name())
            .policy_document(format!("{document:#}"))
            .send(),
    );
    case.expect_empty_plan().destroy();
}

#[test]
fn an_update_that_fails_half_way_leaves_a_true_state() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(full()).apply();
    case.edit("\"first\"", "\"second\"")
        .edit(&format!("[\"{S3}\"]"), &format!("[\"{VIEW}\"]"))
        .edit("    one =", "    two =");
    case.fault(Fault {
        error: Some(FaultError {
            code: "AccessDenied".into(),
            message: "no".into(),
            status: 403,
        }),
        ..first("AttachRolePolicy")
    });
    case.apply_error("Updating IAM role.*was not attached.*iam:AttachRolePolicy")
        .on("policy_arns");
    case.expect_attribute(THIS, "description", "second")
        .expect_attribute(THIS, "policy_arns.0", S3);
    let names: Vec<String> = case
        .attribute(THIS, "inline_policies")
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert!(!case.state().is_tainted(THIS));
    case.apply().expect_empty_plan().destroy();
}

#[test]
fn a_full_role_makes_room_before_it_takes_more() {
    let mut case = Case::new();
    case.config(
        r#"
resource "podidentity_role" "this" {
  name        = "{{name}}"
  policy_arns = local.ten
}
locals {
  ten = [for name in ["ReadOnlyAccess", "AmazonS3ReadOnlyAccess", "AmazonS3FullAccess", "AdministratorAccess", "PowerUserAccess",
    "AmazonEKSClusterPolicy", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly",
    "CloudWatchAgentServerPolicy"] : "arn:{{partition}}:iam::aws:policy/${name}"]
}
"#,
    )
    .apply()
    .edit("\"ReadOnlyAccess\"", "\"AmazonSSMManagedInstanceCore\"")
    .apply()
    .expect_empty_plan();
    assert_eq!(attached(&case).len(), 10);
    case.destroy();
}

#[test]
fn other_policies_are_left_alone() {
    let mut case = Case::new();
    case.config(full()).apply();
    let aws = case.aws();
    aws.wait(
        aws.iam
            .attach_role_policy()
            .role_name(case.name())
            .policy_arn(case.fill(VIEW))
            .send(),
    );
    aws.wait(
        aws.iam
            .put_role_policy()
            .role_name(case.name())
            .policy_name("foreign")
            .policy_document(policy("\"s3:*\""))
            .send(),
    );
    case.expect_empty_plan()
        .edit("\"first\"", "\"second\"")
        .apply();
    assert_eq!((attached(&case).len(), inline(&case).len()), (2, 2));
    case.destroy_error(
        "Deleting IAM role.*DeleteConflict.*managed policy .*ReadOnlyAccess.*inline policy foreign.*force_detach_policies = true",
    )
    .anywhere();
    // What was managed is gone, and the state knows.
    case.expect_attribute(THIS, "policy_arns", json!([]))
        .expect_attribute(THIS, "inline_policies", json!({}));
    case.edit(
        "  description",
        "  force_detach_policies = true\n  description",
    )
    .apply();
    aws.wait(
        aws.iam
            .create_instance_profile()
            .instance_profile_name(case.name())
            .send(),
    );
    aws.wait(
        aws.iam
            .add_role_to_instance_profile()
            .instance_profile_name(case.name())
            .role_name(case.name())
            .send(),
    );
    case.destroy();
    aws.wait(
        aws.iam
            .delete_instance_profile()
            .instance_profile_name(case.name())
            .send(),
    );
}

#[test]
fn name_and_path_replace() {
    let mut case = Case::new();
    case.config(full()).apply();
    for (from, to, path) in [
        ("/acceptance/", "/acceptance/two/", "path"),
        ("\"{{name}}\"", "\"{{name}}-b\"", "name"),
    ] {
        let before = case.text(THIS, "unique_id");
        case.edit(from, to).expect_plan(&[(THIS, Action::Replace)]);
        assert_eq!(case.plan().replace_paths(THIS), [path]);
        case.apply().expect_empty_plan();
        assert_ne!(case.text(THIS, "unique_id"), before);
    }
    case.destroy();
}

#[test]
fn a_tainted_role_is_replaced() {
    let mut case = Case::new();
    case.config(full()).apply();
    let before = case.text(THIS, "unique_id");
    case.taint(THIS)
        .expect_plan(&[(THIS, Action::Replace)])
        .apply()
        .expect_empty_plan();
    assert_ne!(case.text(THIS, "unique_id"), before);
    case.destroy();
}

#[test]
fn a_tag_whose_key_changes_its_case_is_kept() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let config = |key: &str| {
        format!(
            "resource \"podidentity_role\" \"this\" {{\n  name = \"{{{{name}}}}\"\n  tags = {{ {key} = \"payments\" }}\n}}\n"
        )
    };
    case.config(config("team")).apply();
    case.config(config("Team")).clear_calls().apply();
    // IAM does not tell tag keys apart by case: untagging last would take the new one away.
    let order: Vec<String> = case
        .sandbox()
        .requests()
        .into_iter()
        .map(|entry| entry.operation)
        .filter(|operation| operation.ends_with("tagRole") || operation == "TagRole")
        .collect();
    assert_eq!(order, ["UntagRole", "TagRole"]);
    case.expect_empty_plan();
}
