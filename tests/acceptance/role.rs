//! Scenarios of `podidentity_role`.

use std::collections::BTreeMap;

use podidentity_sandbox::{Drop, Fault, FaultError};
use serde_json::{Value, json};

use crate::harness::{Action, Case, Unknown};

const THIS: &str = "podidentity_role.this";
const S3: &str = "arn:{{partition}}:iam::aws:policy/AmazonS3ReadOnlyAccess";
const VIEW: &str = "arn:{{partition}}:iam::aws:policy/ReadOnlyAccess";

/// An inline policy for actions on everything.
fn policy(actions: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"*"}}]}}"#
    )
}

/// A role of the case's name with further arguments.
fn role(arguments: &str) -> String {
    format!(
        "resource \"podidentity_role\" \"this\" {{\n  name = \"{{{{name}}}}\"\n{arguments}\n}}\n"
    )
}

/// A role with everything a role can have.
fn full() -> String {
    role(&format!(
        r#"
  path                 = "/acceptance/"
  description          = "first"
  max_session_duration = 7200
  permissions_boundary = "{VIEW}"
  policy_arns          = ["{S3}"]
  inline_policies = {{
    one = jsonencode({})
  }}
  trust = {{
    cluster_arns     = ["arn:{{{{partition}}}}:eks:{{{{region}}}}:{{{{account_id}}}}:cluster/{{{{cluster}}}}"]
    namespaces       = ["payments"]
    service_accounts = ["api"]
  }}
  tags = {{
    team = "core"
  }}"#,
        policy("\"s3:ListBucket\"")
    ))
}

/// A trust policy that this provider does not make.
const FOREIGN_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn trust_policy(case: &Case) -> Value {
    let aws = case.aws();
    let role = aws
        .wait(aws.iam.get_role().role_name(case.name()).send())
        .role
        .unwrap();
    let document = role.assume_role_policy_document.unwrap();
    serde_json::from_str(&podidentity::aws::facts::url_decode(&document)).unwrap()
}

fn attached(case: &Case) -> Vec<String> {
    let aws = case.aws();
    let answer = aws.wait(
        aws.iam
            .list_attached_role_policies()
            .role_name(case.name())
            .send(),
    );
    let mut arns: Vec<String> = answer
        .attached_policies()
        .iter()
        .filter_map(|policy| policy.policy_arn().map(str::to_owned))
        .collect();
    arns.sort();
    arns
}

fn inline(case: &Case) -> Vec<String> {
    let aws = case.aws();
    aws.wait(aws.iam.list_role_policies().role_name(case.name()).send())
        .policy_names
}

// === Create ===

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
        operation: Some("CreateRole".into()),
        count: Some(1),
        drop: Some(Drop::After),
        ..Fault::default()
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
        operation: Some("CreateRole".into()),
        count: Some(1),
        drop: Some(Drop::Before),
        ..Fault::default()
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
            operation: Some("CreateRole".into()),
            count: Some(1),
            error: Some(FaultError {
                code: code.into(),
                message: message.into(),
                status,
            }),
            ..Fault::default()
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

// === Update ===

#[test]
fn every_argument_changes_in_place_with_the_calls_it_needs() {
    let mut case = Case::new();
    case.config(full()).apply();
    let unique_id = case.text(THIS, "unique_id");
    let steps: &[(&str, &str, &[(&str, usize)])] = &[
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
        operation: Some("AttachRolePolicy".into()),
        count: Some(1),
        error: Some(FaultError {
            code: "AccessDenied".into(),
            message: "no".into(),
            status: 403,
        }),
        ..Fault::default()
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

// === Replace ===

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

// === Drift ===

#[test]
fn every_change_from_outside_is_seen_and_undone() {
    let mut case = Case::new();
    case.config(full()).apply();
    let aws = case.aws();
    let name = case.name().to_owned();
    let s3 = case.fill(S3);
    let drifts: &[(&str, &dyn Fn())] = &[
        ("description", &|| {
            aws.wait(
                aws.iam
                    .update_role()
                    .role_name(&name)
                    .description("drift")
                    .max_session_duration(7200)
                    .send(),
            );
        }),
        ("description removed", &|| {
            aws.wait(
                aws.iam
                    .update_role()
                    .role_name(&name)
                    .description("")
                    .max_session_duration(7200)
                    .send(),
            );
        }),
        ("max_session_duration", &|| {
            aws.wait(
                aws.iam
                    .update_role()
                    .role_name(&name)
                    .description("first")
                    .max_session_duration(3600)
                    .send(),
            );
        }),
        ("permissions_boundary", &|| {
            aws.wait(
                aws.iam
                    .put_role_permissions_boundary()
                    .role_name(&name)
                    .permissions_boundary(&s3)
                    .send(),
            );
        }),
        ("permissions_boundary removed", &|| {
            aws.wait(
                aws.iam
                    .delete_role_permissions_boundary()
                    .role_name(&name)
                    .send(),
            );
        }),
        ("policy_arns", &|| {
            aws.wait(
                aws.iam
                    .detach_role_policy()
                    .role_name(&name)
                    .policy_arn(&s3)
                    .send(),
            );
        }),
        ("inline policy removed", &|| {
            aws.wait(
                aws.iam
                    .delete_role_policy()
                    .role_name(&name)
                    .policy_name("one")
                    .send(),
            );
        }),
        ("inline policy", &|| {
            aws.wait(
                aws.iam
                    .put_role_policy()
                    .role_name(&name)
                    .policy_name("one")
                    .policy_document(policy("\"s3:*\""))
                    .send(),
            );
        }),
        ("trust", &|| {
            aws.wait(
                aws.iam
                    .update_assume_role_policy()
                    .role_name(&name)
                    .policy_document(FOREIGN_TRUST)
                    .send(),
            );
        }),
        ("trust wider", &|| {
            aws.wait(
                aws.iam
                    .update_assume_role_policy()
                    .role_name(&name)
                    .policy_document(r#"{"Version":"2012-10-17","Statement":[{"Sid":"AllowEksAuthToAssumeRoleForPodIdentity","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#)
                    .send(),
            );
        }),
        ("tag", &|| {
            let tag = aws_sdk_iam::types::Tag::builder()
                .key("team")
                .value("drift")
                .build()
                .unwrap();
            aws.wait(aws.iam.tag_role().role_name(&name).tags(tag).send());
        }),
        ("another tag", &|| {
            let tag = aws_sdk_iam::types::Tag::builder()
                .key("new")
                .value("drift")
                .build()
                .unwrap();
            aws.wait(aws.iam.tag_role().role_name(&name).tags(tag).send());
        }),
        ("tag removed", &|| {
            aws.wait(
                aws.iam
                    .untag_role()
                    .role_name(&name)
                    .tag_keys("team")
                    .send(),
            );
        }),
    ];
    for (what, drift) in drifts {
        drift();
        let plan = case.plan();
        assert_eq!(plan.action(THIS), Action::Update, "{what}");
        assert_eq!(plan.drift(), [THIS], "{what}");
        case.apply().expect_empty_plan();
    }
    case.destroy();
}

#[test]
fn a_drifted_trust_policy_is_shown_in_the_words_of_trust() {
    let mut case = Case::new();
    case.config(full()).apply();
    let aws = case.aws();
    let mut document = trust_policy(&case);
    document["Statement"][0]["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-namespace"] =
        json!("elsewhere");
    aws.wait(
        aws.iam
            .update_assume_role_policy()
            .role_name(case.name())
            .policy_document(document.to_string())
            .send(),
    );
    case.refresh()
        .expect_attribute(THIS, "trust.namespaces", json!(["elsewhere"]))
        .expect_attribute(THIS, "trust.service_accounts", json!(["api"]));
    // Whoever takes the change over into the configuration has nothing left to do.
    case.edit("[\"payments\"]", "[\"elsewhere\"]")
        .expect_empty_plan()
        .destroy();
}

#[test]
fn a_principal_that_became_an_id_is_written_again() {
    let mut case = Case::new();
    let aws = case.aws();
    let friend = format!("{}-f", case.name());
    let create_friend = || {
        aws.wait(
            aws.iam
                .create_role()
                .role_name(&friend)
                .assume_role_policy_document(FOREIGN_TRUST)
                .send(),
        );
    };
    create_friend();
    case.config(role(
        r#"trust = {
    additional_statements = jsonencode({
      Effect    = "Allow"
      Principal = { AWS = "arn:{{partition}}:iam::{{account_id}}:role/{{name}}-f" }
      Action    = "sts:AssumeRole"
    })
  }"#,
    ))
    .apply()
    .expect_empty_plan();
    aws.wait(aws.iam.delete_role().role_name(&friend).send());
    case.expect_plan(&[(THIS, Action::Update)]);
    create_friend();
    // The new role of the same name is another one: the old trust does not come back by itself.
    case.expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_empty_plan();
    assert!(trust_policy(&case).to_string().contains(&friend));
    case.destroy();
    aws.wait(aws.iam.delete_role().role_name(&friend).send());
}

#[test]
fn a_role_that_disappeared_is_created_again() {
    let mut case = Case::new();
    case.config(role("")).apply();
    let aws = case.aws();
    aws.wait(aws.iam.delete_role().role_name(case.name()).send());
    case.expect_plan(&[(THIS, Action::Create)])
        .apply()
        .expect_empty_plan();
    aws.wait(aws.iam.delete_role().role_name(case.name()).send());
    case.destroy();
}

#[test]
fn destroying_what_is_half_gone() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(full()).apply();
    let aws = case.aws();
    let (name, s3) = (case.name().to_owned(), case.fill(S3));
    aws.wait(
        aws.iam
            .detach_role_policy()
            .role_name(&name)
            .policy_arn(s3)
            .send(),
    );
    aws.wait(
        aws.iam
            .delete_role_policy()
            .role_name(&name)
            .policy_name("one")
            .send(),
    );
    // The state still lists both.
    let outcome = case.run(&["destroy", "-json", "-auto-approve", "-refresh=false"]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    case.expect_absent(THIS);
}

// === Trust ===

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

// === Import ===

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

// === Bad input ===

#[test]
fn every_bad_input_is_found_on_its_attribute() {
    let trust = |argument: &str| format!("trust = {{ {argument} }}");
    let inline = |document: &str| format!("inline_policies = {{ a = {document:?} }}");
    let long = |count: usize| "x".repeat(count);
    let association =
        "arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-0123456789abcdefg";
    let statement = |body: &str| trust(&format!("additional_statements = jsonencode({body})"));
    let source = r#"role_arns = ["arn:aws:iam::123456789012:role/a"]"#;
    let bad: Vec<(&str, String, &str, &str)> = vec![
        (
            "name",
            r#"name = "not allowed!""#.into(),
            "name",
            "IAM role name",
        ),
        ("empty name", r#"name = """#.into(), "name", "IAM role name"),
        (
            "long name",
            format!("name = {:?}", long(65)),
            "name",
            "IAM role name",
        ),
        (
            "ARN for a name",
            r#"name = "arn:aws:iam::123456789012:role/a""#.into(),
            "name",
            "IAM role name",
        ),
        (
            "name and prefix",
            "name = \"a\"\nname_prefix = \"a\"".into(),
            "name",
            "name_prefix",
        ),
        (
            "long prefix",
            format!("name_prefix = {:?}", long(39)),
            "name_prefix",
            "39 characters",
        ),
        (
            "prefix",
            r#"name_prefix = "a b""#.into(),
            "name_prefix",
            "prefix",
        ),
        (
            "path without slashes",
            r#"path = "a""#.into(),
            "path",
            "path",
        ),
        (
            "long path",
            format!("path = \"/{}/\"", long(512)),
            "path",
            "512",
        ),
        (
            "path of services",
            r#"path = "/aws-service-role/eks.amazonaws.com/""#.into(),
            "path",
            "AWS services create",
        ),
        (
            "long description",
            format!("description = {:?}", long(1001)),
            "description",
            "1000 characters",
        ),
        (
            "quotes in the description",
            r#"description = "“x”""#.into(),
            "description",
            "printable",
        ),
        (
            "short session",
            "max_session_duration = 3599".into(),
            "max_session_duration",
            "3600",
        ),
        (
            "long session",
            "max_session_duration = 43201".into(),
            "max_session_duration",
            "43200",
        ),
        (
            "half a second",
            "max_session_duration = 3600.5".into(),
            "max_session_duration",
            "whole number",
        ),
        (
            "boundary",
            r#"permissions_boundary = "ReadOnlyAccess""#.into(),
            "permissions_boundary",
            "ARN of an IAM policy",
        ),
        (
            "role as a boundary",
            r#"permissions_boundary = "arn:aws:iam::123456789012:role/a""#.into(),
            "permissions_boundary",
            "ARN of an IAM policy",
        ),
        (
            "policy name",
            r#"policy_arns = ["ReadOnlyAccess"]"#.into(),
            "policy_arns",
            "ARN of an IAM policy",
        ),
        (
            "null policy",
            "policy_arns = [null]".into(),
            "policy_arns",
            "must be a value",
        ),
        (
            "too many policies",
            r#"policy_arns = [for n in range(26) : "arn:aws:iam::aws:policy/P${n}"]"#.into(),
            "policy_arns",
            "25",
        ),
        (
            "inline policy name",
            r#"inline_policies = { "a b" = "{}" }"#.into(),
            "inline_policies",
            "policy name",
        ),
        (
            "inline policy is no JSON",
            inline("{"),
            "inline_policies",
            "valid JSON",
        ),
        (
            "inline policy is a list",
            inline("[]"),
            "inline_policies",
            "policy document",
        ),
        (
            "inline policy encoded twice",
            inline(r#""{\"Version\":\"2012-10-17\"}""#),
            "inline_policies",
            "encoded twice",
        ),
        (
            "inline policy without statements",
            inline(r#"{"Version":"2012-10-17"}"#),
            "inline_policies",
            "no statement",
        ),
        (
            "inline policy with a principal",
            inline(
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}"#,
            ),
            "inline_policies",
            "must not have a Principal",
        ),
        (
            "inline policy without a resource",
            inline(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#),
            "inline_policies",
            "Resource",
        ),
        (
            "inline policies too large",
            format!(
                "inline_policies = {{ a = {:?}, b = {:?} }}",
                policy(&format!("[{:?}]", long(6000))),
                policy(&format!("[{:?}]", long(6000)))
            ),
            "inline_policies",
            "10240",
        ),
        (
            "empty list of clusters",
            trust("cluster_arns = []"),
            "trust",
            "trust everybody",
        ),
        (
            "association for a cluster",
            trust(&format!("cluster_arns = [{association:?}]")),
            "trust",
            "ARN of an association",
        ),
        (
            "cluster name for an ARN",
            trust(r#"cluster_arns = ["demo"]"#),
            "trust",
            "cluster_arns",
        ),
        (
            "namespace",
            trust(r#"namespaces = ["Payments"]"#),
            "trust",
            "namespaces",
        ),
        (
            "null namespace",
            trust("namespaces = [null]"),
            "trust",
            "must be a value",
        ),
        (
            "user name of a service account",
            trust(r#"service_accounts = ["system:serviceaccount:a:b"]"#),
            "trust",
            "service_accounts",
        ),
        (
            "account",
            trust(r#"source_account = "demo""#),
            "trust",
            "source_account",
        ),
        (
            "organization",
            trust(r#"source_organization = "acme""#),
            "trust",
            "source_organization",
        ),
        (
            "names without session tags",
            trust("disable_session_tags = true\nnamespaces = [\"a\"]"),
            "trust",
            "without session tags",
        ),
        (
            "target of nobody",
            trust("target_of = { role_arns = [] }"),
            "trust",
            "trust everybody",
        ),
        (
            "target without sources",
            trust("target_of = {}"),
            "trust",
            "attribute \"role_arns\" is required",
        ),
        (
            "target of a user",
            trust(r#"target_of = { role_arns = ["arn:aws:iam::123456789012:user/a"] }"#),
            "trust",
            "role_arns",
        ),
        (
            "source account of a target",
            trust(&format!(
                "source_account = \"123456789012\"\ntarget_of = {{ {source} }}"
            )),
            "trust",
            "assumed by another role",
        ),
        (
            "external id",
            trust(&format!(
                "target_of = {{ {source}\nexternal_ids = [\"x\"] }}"
            )),
            "trust",
            "external id",
        ),
        (
            "statements are no JSON",
            trust(r#"additional_statements = "{""#),
            "trust",
            "valid JSON",
        ),
        (
            "statement without an effect",
            statement(r#"{ Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole" }"#),
            "trust",
            "Effect",
        ),
        (
            "statement without a principal",
            statement(r#"{ Effect = "Allow", Action = "sts:AssumeRole" }"#),
            "trust",
            "Principal",
        ),
        (
            "statement with a resource",
            statement(
                r#"{ Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole", Resource = "*" }"#,
            ),
            "trust",
            "Resource",
        ),
        (
            "statement of another service",
            statement(
                r#"{ Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "s3:GetObject" }"#,
            ),
            "trust",
            "actions of sts",
        ),
        (
            "statement with our Sid",
            statement(
                r#"{ Sid = "AllowEksAuthToAssumeRoleForPodIdentity", Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole" }"#,
            ),
            "trust",
            "used twice",
        ),
        (
            "statement that can never hold",
            statement(&format!(
                r#"{{ Effect = "Allow", Principal = {{ Service = "pods.eks.amazonaws.com" }}, Action = ["sts:AssumeRole", "sts:TagSession"], Condition = {{ ArnEquals = {{ "aws:SourceArn" = {association:?} }} }} }}"#
            )),
            "trust",
            "cluster, so no pod could ever use it",
        ),
        (
            "reserved tag",
            r#"tags = { "aws:x" = "y" }"#.into(),
            "tags",
            "reserved",
        ),
        (
            "long tag",
            format!("tags = {{ x = {:?} }}", long(257)),
            "tags",
            "257",
        ),
        ("computed attribute", r#"arn = "x""#.into(), "arn", ""),
    ];
    assert!(bad.len() >= 50, "{}", bad.len());
    let mut case = Case::offline();
    let mut config = String::new();
    for (index, (_, arguments, ..)) in bad.iter().enumerate() {
        config.push_str(&format!(
            "resource \"podidentity_role\" \"case{index}\" {{\n{arguments}\n}}\n"
        ));
    }
    case.config(config);
    let found = case.validate();
    let mut faults = Vec::new();
    for (index, (what, _, attribute, text)) in bad.iter().enumerate() {
        let address = format!("podidentity_role.case{index}");
        let here: Vec<_> = found
            .iter()
            // What Terraform finds itself has no address.
            .filter(|diagnostic| {
                diagnostic
                    .address
                    .as_ref()
                    .is_none_or(|found| *found == address)
            })
            .collect();
        let matches = here.iter().any(|diagnostic| {
            let said = format!("{} {}", diagnostic.summary, diagnostic.detail);
            // Terraform cannot show where in an object an attribute is; then the message names it.
            let there = diagnostic.attribute() == Some(attribute)
                || (*attribute == "trust"
                    && diagnostic.attribute().is_none()
                    && said.contains("trust"));
            diagnostic.severity == "error" && there && said.contains(text)
        });
        if !matches {
            faults.push(format!(
                "{what}: wanted {text:?} on {attribute}, found {here:#?}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
