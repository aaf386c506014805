//! `podidentity_association`.

use aws_sdk_eks::types::PodIdentityAssociation;
use podidentity_sandbox::{Drop, Fault, FaultError, Visibility};
use serde_json::json;

use crate::harness::{Action, Case};

const THIS: &str = "podidentity_association.this";

/// A role, and an association that uses it. Arguments for the association go in at `{{more}}`.
const BASIC: &str = r#"
resource "podidentity_role" "this" {
  name = "{{name}}"
}

resource "podidentity_association" "this" {
  cluster_name    = "{{cluster}}"
  namespace       = "{{name}}"
  service_account = "api"
  role_arn        = podidentity_role.this.arn
  # more
}
"#;

const POLICY: &str = r#"jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "*" }] })"#;

/// The configuration with further arguments of the association.
fn with(more: &str) -> String {
    BASIC.replace("# more", more)
}

fn association(case: &Case) -> PodIdentityAssociation {
    let aws = case.aws();
    let id = case.text(THIS, "association_id");
    aws.wait(
        aws.eks
            .describe_pod_identity_association()
            .cluster_name(case.text(THIS, "cluster_name"))
            .association_id(id)
            .send(),
    )
    .association
    .unwrap()
}

#[test]
fn is_created_and_stays_as_it_is() {
    let mut case = Case::new();
    case.config(with("tags = { team = \"payments\" }")).apply();
    case.expect_match(THIS, "association_id", "^a-[0-9a-z]{17}$")
        .expect_match(
            THIS,
            "association_arn",
            "^arn:{{partition}}:eks:{{region}}:{{account_id}}:podidentityassociation/{{cluster}}/a-",
        )
        .expect_match(THIS, "created_at", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        .expect_match(THIS, "modified_at", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        .expect_attribute(THIS, "disable_session_tags", false)
        .expect_attribute(THIS, "on_conflict", "error")
        .expect_attribute(THIS, "owner_arn", serde_json::Value::Null)
        .expect_attribute(THIS, "tags_all.team", "payments");
    assert_eq!(
        case.attribute(THIS, "id"),
        case.attribute(THIS, "association_id")
    );
    let found = association(&case);
    assert_eq!(found.service_account(), Some("api"));
    assert_eq!(
        found.role_arn(),
        Some(case.text("podidentity_role.this", "arn").as_str())
    );
    assert_eq!(found.tags().unwrap()["team"], "payments");

    case.clear_calls().expect_empty_plan().expect_calls(&[
        ("eks:DescribePodIdentityAssociation", 1),
        ("iam:GetRole", 1),
    ]);
    case.destroy();
}

#[test]
fn every_setting_changes_in_place_and_can_be_cleared() {
    let mut case = Case::new();
    let roles = r#"
resource "podidentity_role" "other" {
  name = "{{name}}-b"
}
"#;
    let config = |more: &str| format!("{}{roles}", with(more));
    case.config(config("")).apply();
    let id = case.attribute(THIS, "association_id");
    let steps = [
        ("disable_session_tags = true", "disableSessionTags"),
        (
            "disable_session_tags = true\n  target_role_arn = podidentity_role.other.arn",
            "target role",
        ),
        (
            &*format!(
                "disable_session_tags = true\n  target_role_arn = podidentity_role.other.arn\n  policy = {POLICY}"
            ),
            "policy",
        ),
        ("disable_session_tags = true", "cleared"),
        ("", "back"),
        ("tags = { a = \"1\", b = \"2\" }", "tags set"),
        ("tags = { b = \"3\" }", "tags changed"),
        ("", "tags removed"),
    ];
    for (more, what) in steps {
        case.config(config(more))
            .expect_plan(&[(THIS, Action::Update)])
            .clear_calls()
            .apply();
        for (call, count) in case.calls() {
            let write = ["Create", "Update", "Tag", "Untag", "Delete"]
                .iter()
                .any(|verb| call.starts_with(&format!("eks:{verb}")));
            assert!(
                !write || count == 1,
                "{what}: {call} was called {count} times"
            );
        }
        case.expect_empty_plan();
        assert_eq!(case.attribute(THIS, "association_id"), id, "{what}");
        let found = association(&case);
        assert_eq!(
            found.disable_session_tags(),
            Some(more.contains("disable")),
            "{what}"
        );
        let has = |value: Option<&str>| value.is_some_and(|text| !text.is_empty());
        assert_eq!(
            has(found.target_role_arn()),
            more.contains("target"),
            "{what}"
        );
        assert_eq!(has(found.policy()), more.contains("policy"), "{what}");
        assert_eq!(
            case.attribute(THIS, "external_id").is_null(),
            !more.contains("target"),
            "{what}"
        );
    }
    case.config(config("").replace("podidentity_role.this.arn", "podidentity_role.other.arn"))
        .expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_empty_plan();
    assert_eq!(
        association(&case).role_arn(),
        Some(case.text("podidentity_role.other", "arn").as_str())
    );
    // Only the provider knows on_conflict and timeouts: EKS is not told.
    case.edit(
        "role_arn        =",
        "on_conflict = \"adopt\"\n  timeouts { create = \"1m\" }\n  role_arn        =",
    )
    .expect_plan(&[(THIS, Action::Update)])
    .clear_calls()
    .apply();
    assert!(
        !case
            .calls()
            .contains_key("eks:UpdatePodIdentityAssociation")
    );
    case.expect_empty_plan();
}

#[test]
fn a_policy_written_otherwise_is_no_change() {
    let mut case = Case::new();
    let policy = |text: &str| {
        with(&format!(
            "disable_session_tags = true\n  policy = <<-EOT\n{text}\n  EOT"
        ))
    };
    case.config(policy(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"*"}]}"#))
        .apply()
        .expect_empty_plan();
    case.config(policy(
        r#"{ "Statement": { "Action": "S3:getObject", "Effect": "Allow", "Resource": ["*"] },
             "Version": "2012-10-17" }"#,
    ))
    .expect_empty_plan();
}

#[test]
fn names_replace_it() {
    let mut case = Case::new();
    case.config(BASIC).apply();
    for (from, to, path) in [
        ("\"api\"", "\"worker\"", "service_account"),
        (
            "namespace       = \"{{name}}\"",
            "namespace       = \"{{name}}-b\"",
            "namespace",
        ),
    ] {
        let id = case.attribute(THIS, "association_id");
        case.edit(from, to).expect_plan(&[(THIS, Action::Replace)]);
        assert_eq!(case.plan().replace_paths(THIS), [path]);
        case.apply().expect_empty_plan();
        assert_ne!(case.attribute(THIS, "association_id"), id);
    }
}

#[test]
fn another_cluster_replaces_it() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.sandbox()
        .seed(json!({"clusters": [{"name": "other"}]}))
        .unwrap();
    case.config(BASIC).apply();
    case.edit("\"{{cluster}}\"", "\"other\"")
        .expect_plan(&[(THIS, Action::Replace)])
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "cluster_name", "other");
    // The provider's default counts like an argument.
    case.edit("  cluster_name    = \"other\"\n", "")
        .plan_error("Missing cluster name")
        .anywhere();
    let provider = "provider \"podidentity\" {\n  cluster_name = \"other\"\n}\n";
    let config = format!(
        "{provider}{}",
        BASIC.replace("  cluster_name    = \"{{cluster}}\"\n", "")
    );
    case.config(&config).expect_empty_plan();
    case.edit("\"other\"", "\"{{cluster}}\"")
        .expect_plan(&[(THIS, Action::Replace)])
        .apply()
        .expect_empty_plan();
}

#[test]
fn drift_is_seen_and_mended() {
    let mut case = Case::new();
    case.config(format!(
        "{}\nresource \"podidentity_role\" \"other\" {{\n  name = \"{{{{name}}}}-b\"\n}}\n",
        with(&format!(
            "disable_session_tags = true\n  policy = {POLICY}\n  tags = {{ team = \"payments\" }}"
        ))
    ))
    .apply();
    let cluster = case.text(THIS, "cluster_name");
    let id = case.text(THIS, "association_id");
    let arn = case.text(THIS, "association_arn");
    let other = case.text("podidentity_role.other", "arn");
    let aws = case.aws();
    let update = || {
        aws.eks
            .update_pod_identity_association()
            .cluster_name(&cluster)
            .association_id(&id)
    };
    let tag = || aws.eks.tag_resource().resource_arn(&arn);
    type Change<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let changes: Vec<Change<'_>> = vec![
        (
            "role_arn",
            Box::new(|| drop(aws.wait(update().role_arn(&other).send()))),
        ),
        (
            "target_role_arn",
            Box::new(|| drop(aws.wait(update().target_role_arn(&other).send()))),
        ),
        (
            "policy",
            Box::new(|| {
                let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
                drop(aws.wait(update().policy(policy).send()));
            }),
        ),
        (
            "disable_session_tags",
            Box::new(|| drop(aws.wait(update().policy("").disable_session_tags(false).send()))),
        ),
        (
            "a tag's value",
            Box::new(|| drop(aws.wait(tag().tags("team", "other").send()))),
        ),
        (
            "a new tag",
            Box::new(|| drop(aws.wait(tag().tags("extra", "x").send()))),
        ),
        (
            "a lost tag",
            Box::new(|| {
                drop(
                    aws.wait(
                        aws.eks
                            .untag_resource()
                            .resource_arn(&arn)
                            .tag_keys("team")
                            .send(),
                    ),
                )
            }),
        ),
    ];
    for (what, change) in changes {
        change();
        let plan = case.plan();
        assert_eq!(plan.action(THIS), Action::Update, "{what}");
        case.apply().expect_empty_plan();
        assert_eq!(case.attribute(THIS, "association_id"), json!(id), "{what}");
    }
}

#[test]
fn what_is_gone_is_created_again_or_left_alone() {
    let mut case = Case::new();
    case.config(BASIC).apply();
    let aws = case.aws();
    let delete = |case: &Case| {
        aws.wait(
            aws.eks
                .delete_pod_identity_association()
                .cluster_name(case.text(THIS, "cluster_name"))
                .association_id(case.text(THIS, "association_id"))
                .send(),
        );
    };
    delete(&case);
    case.expect_plan(&[(THIS, Action::Create)])
        .apply()
        .expect_empty_plan();
    case.taint(THIS)
        .expect_plan(&[(THIS, Action::Replace)])
        .apply()
        .expect_empty_plan();
    delete(&case);
    case.destroy();
}

#[test]
fn is_imported_by_id_and_by_name() {
    let mut case = Case::new();
    case.config(with(&format!(
        "disable_session_tags = true\n  policy = {POLICY}\n  tags = {{ team = \"payments\" }}"
    )))
    .apply();
    let by_id = format!("{{{{cluster}}}},{}", case.text(THIS, "association_id"));
    case.verify_import(THIS, &by_id, &[])
        .verify_import(THIS, "{{cluster}},{{name}},api", &[]);
    case.forget(THIS)
        .import_block(THIS, &by_id)
        .expect_empty_plan();
    case.forget(THIS);
    for (id, message) in [
        ("nonsense", "not an import id.*cluster-name,association-id"),
        ("{{cluster}},nonsense", "not an import id"),
        (
            "{{cluster}},{{name}},nobody",
            "no association for the service account",
        ),
        (
            "{{cluster}},a-00000000000000000",
            "Cannot import non-existent remote object",
        ),
    ] {
        case.import_error(THIS, id, message);
    }
    case.import(THIS, &by_id).expect_empty_plan();
}

#[test]
fn an_existing_association_is_named_or_adopted() {
    let mut case = Case::new();
    case.config(BASIC).apply();
    let id = case.text(THIS, "association_id");
    let role = case.text("podidentity_role.this", "arn");
    case.forget(THIS);
    let error = case
        .apply_error("Creating EKS Pod Identity association.*import")
        .anywhere();
    for part in [
        id.as_str(),
        role.as_str(),
        "terraform import",
        &format!(",{id}"),
        "on_conflict = \"adopt\"",
    ] {
        assert!(
            error.detail.contains(part),
            "{part} is not in: {}",
            error.detail
        );
    }
    // Adopted and changed to this configuration, tags too.
    case.config(with(
        "on_conflict = \"adopt\"\n  disable_session_tags = true\n  tags = { team = \"payments\" }",
    ))
    .apply()
    .expect_empty_plan()
    .expect_attribute(THIS, "association_id", id.as_str());
    let found = association(&case);
    assert_eq!(found.disable_session_tags(), Some(true));
    assert_eq!(found.tags().unwrap()["team"], "payments");
    case.destroy();
    let aws = case.aws();
    let gone = aws.attempt(
        aws.eks
            .describe_pod_identity_association()
            .cluster_name(case.fill("{{cluster}}"))
            .association_id(id)
            .send(),
    );
    assert!(
        gone.is_err(),
        "an adopted association is deleted with its resource"
    );
}

#[test]
fn an_association_of_an_add_on_is_left_alone() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config("resource \"podidentity_role\" \"this\" {\n  name = \"{{name}}\"\n}\n")
        .apply();
    let role = case.text("podidentity_role.this", "arn");
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "addons": [{
            "name": "vpc-cni",
            "pod_identity_associations": [{"service_account": "aws-node", "role_arn": role}],
        }]}]}))
        .unwrap();
    let config = BASIC.replace("\"api\"", "\"aws-node\"").replace(
        "namespace       = \"{{name}}\"",
        "namespace       = \"kube-system\"",
    );
    case.config(&config)
        .apply_error("belongs to the add-on .*vpc-cni")
        .anywhere();
    case.config(config.replace("# more", "on_conflict = \"adopt\""))
        .apply_error("belongs to the add-on .*vpc-cni")
        .anywhere();
    let listed = case
        .sandbox()
        .call(
            "eks",
            "ListPodIdentityAssociations",
            json!({"clusterName": "demo"}),
        )
        .unwrap();
    let id = listed["associations"][0]["associationId"]
        .as_str()
        .unwrap()
        .to_owned();
    case.import_error(THIS, &format!("demo,{id}"), "belongs to the add-on");
}

/// The tokens of all creations that the sandbox saw.
fn tokens(case: &Case) -> Vec<String> {
    case.sandbox()
        .requests()
        .iter()
        .filter(|entry| entry.operation == "CreatePodIdentityAssociation")
        .map(|entry| {
            entry.parameters["clientRequestToken"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_role_that_eks_cannot_see_yet_is_waited_for() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    for (what, visibility) in [
        (
            "role",
            Visibility {
                role_calls: 2,
                ..Visibility::default()
            },
        ),
        (
            "trust",
            Visibility {
                trust_calls: 2,
                ..Visibility::default()
            },
        ),
    ] {
        case.fault(Fault {
            visibility: Some(visibility),
            ..Fault::default()
        });
        case.config(BASIC).clear_calls().apply();
        let tokens = tokens(&case);
        assert_eq!(tokens.len(), 3, "{what}");
        assert!(
            tokens[0].len() > 30 && tokens.iter().all(|token| *token == tokens[0]),
            "{what}: {tokens:?}"
        );
        case.expect_empty_plan().destroy();
        case.sandbox().clear_faults();
    }
}

#[test]
fn a_role_that_eks_never_accepts_is_explained() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        visibility: Some(Visibility {
            trust_calls: 1000,
            ..Visibility::default()
        }),
        ..Fault::default()
    });
    case.config(with("timeouts { create = \"10s\" }"));
    let error = case
        .apply_error(
            "Role cannot work with EKS Pod Identity.*Trust policy of the role provided is invalid",
        )
        .on("role_arn");
    assert!(error.detail.contains("10s"), "{}", error.detail);
    case.expect_absent(THIS);
}

#[test]
fn lost_answers_and_throttling_create_one_association() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let create = Fault {
        operation: Some("CreatePodIdentityAssociation".into()),
        count: Some(1),
        ..Fault::default()
    };
    for (what, fault) in [
        (
            "dropped after",
            Fault {
                drop: Some(Drop::After),
                ..create.clone()
            },
        ),
        (
            "dropped before",
            Fault {
                drop: Some(Drop::Before),
                ..create.clone()
            },
        ),
        (
            "throttled",
            Fault {
                throttle: true,
                ..create.clone()
            },
        ),
        (
            "failed",
            Fault {
                error: Some(FaultError {
                    code: "ServerException".into(),
                    message: "as ordered".into(),
                    status: 500,
                }),
                ..create
            },
        ),
    ] {
        case.fault(fault)
            .config(BASIC)
            .clear_calls()
            .apply()
            .expect_empty_plan();
        assert_eq!(tokens(&case).len(), 2, "{what}");
        let listed = case
            .sandbox()
            .call(
                "eks",
                "ListPodIdentityAssociations",
                json!({"clusterName": "demo"}),
            )
            .unwrap();
        assert_eq!(
            listed["associations"].as_array().unwrap().len(),
            1,
            "{what}"
        );
        case.destroy();
        case.sandbox().clear_faults();
    }
}

#[test]
fn a_role_that_cannot_work_is_told_at_plan_time() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let trust = |actions: &str, condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":{actions}{condition}}}]}}"#
        )
    };
    let both = r#"["sts:AssumeRole","sts:TagSession"]"#;
    let equals = |key: &str, value: &str| {
        format!(r#","Condition":{{"StringEquals":{{"{key}":"{value}"}}}}"#)
    };
    let cases = [
        ("works", trust(both, ""), "", ""),
        (
            "one-action",
            trust(r#""sts:AssumeRole""#, ""),
            "",
            "sts:TagSession",
        ),
        (
            "nobody",
            trust(both, "").replace("pods.eks.", "ec2."),
            "",
            "No statement allows",
        ),
        (
            "other-namespace",
            trust(
                both,
                &equals("aws:RequestTag/kubernetes-namespace", "other"),
            ),
            "",
            "kubernetes-namespace",
        ),
        (
            "other-account-name",
            trust(
                both,
                &equals("aws:RequestTag/kubernetes-service-account", "other"),
            ),
            "",
            "kubernetes-service-account",
        ),
        (
            "other-cluster",
            trust(
                both,
                &equals(
                    "aws:RequestTag/eks-cluster-arn",
                    "arn:aws:eks:us-east-1:123456789012:cluster/other",
                ),
            ),
            "",
            "eks-cluster-arn",
        ),
        (
            "this-cluster",
            trust(
                both,
                &equals(
                    "aws:RequestTag/eks-cluster-arn",
                    "arn:aws:eks:us-east-1:123456789012:cluster/demo",
                ),
            ),
            "",
            "",
        ),
        (
            "tags-off",
            trust(
                both,
                &equals("aws:RequestTag/kubernetes-service-account", "api"),
            ),
            "disable_session_tags = true",
            "session tags are disabled",
        ),
        (
            "association-arn",
            trust(
                both,
                r#","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/*"}}"#,
            ),
            "",
            "ARN of an association",
        ),
    ];
    for (role, trust, more, expected) in cases {
        case.sandbox()
            .call(
                "iam",
                "CreateRole",
                json!({"RoleName": role, "AssumeRolePolicyDocument": trust}),
            )
            .unwrap();
        let config = format!(
            "resource \"podidentity_association\" \"this\" {{\n  cluster_name = \"demo\"\n  namespace = \"payments\"\n  service_account = \"api\"\n  role_arn = \"arn:aws:iam::123456789012:role/{role}\"\n  {more}\n}}\n"
        );
        case.config(&config);
        if expected.is_empty() {
            let plan = case.try_plan(&[]);
            assert!(plan.warnings().is_empty(), "{role}: {}", plan.report());
            case.apply().expect_empty_plan().destroy();
        } else {
            case.plan_warning(&format!(
                "Role cannot work with EKS Pod Identity.*{expected}"
            ));
            if !matches!(role, "one-action" | "nobody") {
                // EKS would take it, and pods would never get credentials: nothing is created.
                case.apply_error(&format!("Role cannot work.*{expected}"))
                    .on("role_arn");
                case.expect_absent(THIS);
            }
        }
    }
    let elsewhere = |arn: &str| {
        format!(
            "resource \"podidentity_association\" \"this\" {{\n  cluster_name = \"demo\"\n  namespace = \"payments\"\n  service_account = \"api\"\n  role_arn = \"{arn}\"\n}}\n"
        )
    };
    case.config(elsewhere("arn:aws:iam::123456789012:role/missing"))
        .plan_warning("Role cannot work.*no IAM role");
    case.config(elsewhere("arn:aws:iam::210987654321:role/works"))
        .plan_error("Role cannot work.*account 210987654321.*target_role_arn")
        .on("role_arn");
    case.config(elsewhere("arn:aws-cn:iam::123456789012:role/works"))
        .plan_error("Role cannot work.*partition aws-cn")
        .on("role_arn");
    // Lacking the permission to look is no reason to complain.
    case.fault(Fault {
        operation: Some("GetRole".into()),
        error: Some(FaultError {
            code: "AccessDenied".into(),
            message: "no".into(),
            status: 403,
        }),
        ..Fault::default()
    });
    case.config(elsewhere("arn:aws:iam::123456789012:role/nobody"));
    let plan = case.try_plan(&[]);
    assert_eq!(plan.code, 2, "{}", plan.report());
    assert!(plan.warnings().is_empty(), "{}", plan.report());
}

#[test]
fn a_trust_policy_that_this_run_mends_is_no_reason_to_warn() {
    let mut case = Case::new();
    let config = |namespaces: &str, association: &str| {
        format!(
            "resource \"podidentity_role\" \"this\" {{\n  name = \"{{{{name}}}}\"\n  trust = {{ namespaces = {namespaces} }}\n}}\n{association}"
        )
    };
    let association = BASIC
        .split_once("resource \"podidentity_association\"")
        .unwrap()
        .1;
    let association = format!("resource \"podidentity_association\"{association}");
    case.config(config("[\"other\"]", "")).apply();
    case.config(config("[\"other\", \"{{name}}\"]", &association));
    let plan = case.try_plan(&[]);
    assert!(plan.warnings().is_empty(), "{}", plan.report());
    case.apply().expect_empty_plan();
}

#[test]
fn thirty_are_created_together() {
    let mut case = Case::new();
    case.config(
        r#"
resource "podidentity_role" "this" {
  name = "{{name}}"
}

resource "podidentity_association" "this" {
  for_each        = toset([for n in range(30) : tostring(n)])
  cluster_name    = "{{cluster}}"
  namespace       = "{{name}}"
  service_account = "api-${each.key}"
  role_arn        = podidentity_role.this.arn
  tags            = { number = each.key }
}
"#,
    )
    .clear_calls()
    .apply()
    .expect_calls(&[
        ("eks:CreatePodIdentityAssociation", 30),
        ("iam:CreateRole", 1),
    ]);
    assert_eq!(case.state().addresses().len(), 31);
    case.clear_calls().expect_empty_plan().expect_calls(&[
        ("eks:DescribePodIdentityAssociation", 30),
        ("iam:GetRole", 1),
    ]);
    case.destroy();
}

#[test]
fn default_tags_are_merged_and_ignored_tags_left_alone() {
    let mut case = Case::new();
    let provider = r#"
provider "podidentity" {
  default_tags {
    tags = { team = "core", env = "prod" }
  }
  ignore_tags {
    key_prefixes = ["ops/"]
  }
}
"#;
    case.config(format!(
        "{provider}{}",
        with("tags = { team = \"payments\" }")
    ))
    .apply()
    .expect_empty_plan()
    .expect_attribute(THIS, "tags_all.team", "payments")
    .expect_attribute(THIS, "tags_all.env", "prod");
    let aws = case.aws();
    let arn = case.text(THIS, "association_arn");
    aws.wait(
        aws.eks
            .tag_resource()
            .resource_arn(&arn)
            .tags("ops/ticket", "1")
            .send(),
    );
    case.expect_empty_plan();
    case.edit("prod", "stage")
        .expect_plan(&[
            (THIS, Action::Update),
            ("podidentity_role.this", Action::Update),
        ])
        .apply()
        .expect_empty_plan();
    let tags = association(&case).tags().unwrap().clone();
    assert_eq!(tags["env"], "stage");
    assert_eq!(tags["ops/ticket"], "1");
}

#[test]
fn bad_input_is_refused_at_plan_time() {
    let mut case = Case::new();
    let arguments = |replace: (&str, &str), more: &str| {
        let text = "  cluster_name = \"{{cluster}}\"\n  namespace = \"payments\"\n  service_account = \"api\"\n  role_arn = \"arn:aws:iam::{{account_id}}:role/x\"\n";
        format!(
            "resource \"podidentity_association\" \"this\" {{\n{}  {more}\n}}\n",
            text.replace(replace.0, replace.1)
        )
    };
    let role = "arn:aws:iam::{{account_id}}:role/x";
    let replaced = [
        (("{{cluster}}", ""), "cluster_name", ""),
        (("{{cluster}}", "de mo"), "cluster_name", "cluster name"),
        (("{{cluster}}", "_demo"), "cluster_name", "letter or"),
        (
            (
                "{{cluster}}",
                "arn:aws:eks:us-east-1:123456789012:cluster/demo",
            ),
            "cluster_name",
            "cluster name",
        ),
        (("payments", ""), "namespace", "namespace"),
        (("payments", "Bad_NS"), "namespace", "lower-case"),
        (("payments", "pay*"), "namespace", "wildcard"),
        (("payments", "a.b"), "namespace", "namespace"),
        (("\"api\"", "\"\""), "service_account", "service account"),
        (
            ("\"api\"", "\"bad name!\""),
            "service_account",
            "service account",
        ),
        (("\"api\"", "\"*\""), "service_account", "wildcard"),
        (
            ("\"api\"", "\"system:serviceaccount:payments:api\""),
            "service_account",
            "last part",
        ),
        ((role, ""), "role_arn", "ARN"),
        ((role, "x"), "role_arn", "ARN"),
        (
            (role, "arn:aws:iam::{{account_id}}:user/x"),
            "role_arn",
            "user",
        ),
        ((role, "arn:aws:iam::12:role/x"), "role_arn", "12 digits"),
        (
            (role, "arn:aws:iam:us-east-1:{{account_id}}:role/x"),
            "role_arn",
            "region",
        ),
        (
            (role, "arn:aws:sts::{{account_id}}:assumed-role/x/y"),
            "role_arn",
            "assumed-role",
        ),
    ];
    let added = [
        ("on_conflict = \"ignore\"", "on_conflict", "adopt"),
        ("target_role_arn = \"x\"", "target_role_arn", "ARN"),
        (
            "target_role_arn = \"arn:aws:iam::{{account_id}}:role/x\"",
            "target_role_arn",
            "second role",
        ),
        (
            "policy = \"x\"\n  disable_session_tags = true",
            "policy",
            "JSON",
        ),
        (
            "policy = \"[]\"\n  disable_session_tags = true",
            "policy",
            "array|list|object",
        ),
        ("policy = jsonencode({})", "policy", "disable_session_tags"),
        (
            "policy = jsonencode({ Version = \"2012-10-17\", Statement = [{ Effect = \"Allow\", Action = \"s3:*\", Resource = [for n in range(200) : \"arn:aws:s3:::bucket-${n}\"] }] })\n  disable_session_tags = true",
            "policy",
            "2,?048",
        ),
        ("tags = { \"aws:x\" = \"1\" }", "tags", "reserved"),
        ("tags = { \"\" = \"1\" }", "tags", "empty"),
        (
            "tags = { for n in range(51) : \"k${n}\" => \"v\" }",
            "tags",
            "51",
        ),
        ("timeouts { create = \"soon\" }", "create", "duration"),
        (
            "timeouts { create = \"-5m\" }",
            "create",
            "negative|duration",
        ),
        ("association_id = \"a-1\"", "association_id", ".*"),
        (
            "disable_session_tags = \"maybe\"",
            "disable_session_tags",
            "bool",
        ),
    ];
    for (replace, attribute, expected) in replaced {
        case.config(arguments(replace, ""));
        case.plan_error(expected).on(attribute);
    }
    for (more, attribute, expected) in added {
        case.config(arguments(("", ""), more));
        case.plan_error(expected).on(attribute);
    }
}

fn denied(operation: &str) -> Fault {
    Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "AccessDeniedException".into(),
            message: "not authorized".into(),
            status: 403,
        }),
        ..Fault::default()
    }
}

#[test]
fn a_failed_adoption_leaves_the_association_as_it_was() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(BASIC).apply();
    let id = case.text(THIS, "association_id");
    case.forget(THIS);
    case.fault(denied("UpdatePodIdentityAssociation"));
    let adopting = with("on_conflict = \"adopt\"\n  disable_session_tags = true");
    case.config(adopting);
    case.apply_error("was adopted but not changed").anywhere();
    // A tainted object would be deleted by the next apply, and pods would be without permissions meanwhile.
    case.expect_absent(THIS);
    case.sandbox().clear_faults();
    case.apply()
        .expect_attribute(THIS, "association_id", id.as_str())
        .expect_empty_plan();
}

#[test]
fn an_adopted_association_survives_its_own_replacement() {
    let mut case = Case::new();
    case.config(with(
        "on_conflict = \"adopt\"\n  lifecycle {\n    create_before_destroy = true\n  }",
    ))
    .apply();
    let id = case.attribute(THIS, "association_id");
    case.taint(THIS)
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "association_id", id);
    assert_eq!(association(&case).service_account(), Some("api"));
    case.destroy();
}

#[test]
fn a_plan_works_while_the_provider_is_not_known() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let config = |label: &str| {
        format!(
            "resource \"terraform_data\" \"region\" {{\n  input = {{ region = \"us-east-1\", label = \"{label}\" }}\n}}\n\
             provider \"podidentity\" {{\n  region = terraform_data.region.output.region\n}}\n\
             resource \"podidentity_agent\" \"this\" {{\n  cluster_name = \"demo\"\n}}\n{BASIC}"
        )
    };
    case.config(config("first")).apply().expect_empty_plan();
    // The output is known only after apply, and with it the region.
    case.config(config("second"));
    case.plan_warning("association not refreshed");
    case.plan_warning("Agent not refreshed");
    case.apply().expect_empty_plan();
}

#[test]
fn what_a_lost_answer_created_is_found() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    // The first attempt is carried out without an answer, every further one fails.
    let lose = |case: &mut Case, operation: &str| {
        let fault = |skip| Fault {
            operation: Some(operation.into()),
            skip,
            ..Fault::default()
        };
        case.fault(Fault {
            drop: Some(Drop::After),
            count: Some(1),
            ..fault(0)
        });
        case.fault(Fault {
            error: Some(FaultError {
                code: "ServerException".into(),
                message: "as ordered".into(),
                status: 500,
            }),
            ..fault(1)
        });
    };
    lose(&mut case, "CreatePodIdentityAssociation");
    lose(&mut case, "CreateAddon");
    case.config(format!(
        "provider \"podidentity\" {{\n  max_retries = 1\n}}\n\
         resource \"podidentity_agent\" \"this\" {{\n  cluster_name = \"demo\"\n}}\n{BASIC}"
    ))
    .apply()
    .expect_empty_plan()
    .destroy();
}
