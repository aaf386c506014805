//! Changes from outside.

use serde_json::json;

use super::*;
use crate::harness::{Action, Case};

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
