//! Scenarios 15-21: roles and service accounts.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use super::cluster::{Cluster, ISSUER, ROLE_ARN, arn, irsa, subject};
use super::*;

const OTHER: &str = "arn:aws:iam::210987654321:role/etl";

/// Scenario 15: a role in another account cannot be used by Pod Identity directly; the error proposes a role of this account with the
/// other one as target, and that works.
#[test]
fn s15_role_in_another_account() {
    let etl = json!({"RoleName": "etl", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Federated": format!("arn:aws:iam::210987654321:oidc-provider/{ISSUER}")},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {format!("{ISSUER}:aud"): "sts.amazonaws.com", format!("{ISSUER}:sub"): subject("payments", "api")}},
        },
        {"Effect": "Allow", "Principal": {"AWS": arn("etl-local")}, "Action": ["sts:AssumeRole", "sts:TagSession"]},
    ]}});
    let provider = json!([{"Url": format!("https://{ISSUER}"), "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"]}]);
    // A role of the same name in this account, which must not be taken for it.
    let root = json!([{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}]);
    let inline = json!({"InlinePolicies": {"assume": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": OTHER}]}}});
    let trust_of_root = json!({"Version": "2012-10-17", "Statement": root});
    let cluster = Cluster::empty()
        .role("etl", root)
        .role_with("etl-local", trust_of_root, inline)
        .service_account("payments", "api", OTHER)
        .workload("Deployment", "payments", "api", "api", 1);
    let mut seed = cluster.seed();
    let mine = seed["iam"].take();
    seed["iam"] = json!([mine, {"account_id": "210987654321", "OpenIDConnectProviders": provider, "Roles": [etl]}]);
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.seed(seed).config(with(RESTART));
    let before = trust(&case, "etl");
    expect_blocker(&mut case, "role_other_account", "target_role_arn");
    assert_eq!(
        trust(&case, "etl"),
        before,
        "the role of the same name is another one"
    );

    let more = format!(
        "{RESTART}\n  role_arn = \"{}\"\n  target_role_arn = \"{OTHER}\"",
        arn("etl-local")
    );
    case.config(with(&more))
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "verified");
    assert_eq!(associations(&case)[0].1["targetRoleArn"], OTHER);
    assert_eq!(trusted(&case, "etl-local"), ["api"]);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 1)]));
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 1)]));
}

/// Scenario 16: a role with a path.
#[test]
fn s16_role_with_a_path() {
    let document =
        json!({"Version": "2012-10-17", "Statement": [irsa(subject("payments", "api"))]});
    let cluster = Cluster::empty()
        .role_with(
            "payments-api",
            document.clone(),
            json!({"Path": "/team/app/"}),
        )
        .service_account("payments", "api", &arn("team/app/payments-api"))
        .workload("Deployment", "payments", "api", "api", 1);
    let Some(mut case) = case(&cluster, with(RETIRE)) else {
        return;
    };
    case.apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "retired")
        .expect_attribute(THIS, "role_arn", arn("team/app/payments-api"));
    assert_eq!(
        associations(&case)[0].1["roleArn"],
        arn("team/app/payments-api")
    );
    case.destroy();
    assert_eq!(trust(&case, "payments-api"), document);
}

/// Scenario 17: an annotation that names no role stops that one migration, by name, and no other.
#[test]
fn s17_annotations_that_name_no_role() {
    for text in ["", "not an arn", "payments-api"] {
        let cluster = Cluster::plain().service_account("payments", "odd", text);
        let config = with(RESTART)
            .replace(
                "\"this\" {",
                "\"this\" {\n  for_each = toset([\"api\", \"odd\"])",
            )
            .replace("= \"api\"", "= each.key");
        let Some(mut case) = case(&cluster, config) else {
            return;
        };
        let code = if text.is_empty() {
            "annotation_invalid|no_role"
        } else {
            "annotation_invalid"
        };
        let outcome = case.try_plan(&[]);
        assert_eq!(outcome.code, 1, "{}", outcome.report());
        let errors: Vec<_> = outcome
            .diagnostics
            .iter()
            .filter(|d| d.severity == "error")
            .collect();
        assert_eq!(errors.len(), 1, "{}", outcome.report());
        let address = errors[0].address.as_deref();
        assert_eq!(
            address,
            Some("podidentity_irsa_migration.this[\"odd\"]"),
            "{}",
            outcome.report()
        );
        let regex = regex::Regex::new(code).unwrap();
        assert!(regex.is_match(&errors[0].detail), "{}", outcome.report());
        assert!(
            errors[0].detail.contains("payments/odd"),
            "{}",
            outcome.report()
        );

        case.apply_with(&["-target=podidentity_irsa_migration.this[\"api\"]"]);
        assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    }
}

/// Scenario 18: a role that does not exist is found by the plan. So is a service account that does not exist.
#[test]
fn s18_missing_role() {
    let cluster = Cluster::plain().service_account("payments", "lost", &arn("deleted-long-ago"));
    let lost = with(RESTART).replace("\"api\"", "\"lost\"");
    let Some(mut case) = case(&cluster, lost) else {
        return;
    };
    expect_blocker(&mut case, "role_not_found", "deleted-long-ago");
    case.config(with(RESTART).replace("\"api\"", "\"nobody\""));
    expect_blocker(&mut case, "service_account_missing", "payments/nobody");
    case.config(with(&format!(
        "{RESTART}\n  role_arn = \"{}\"",
        arn("deleted-long-ago")
    )));
    expect_blocker(&mut case, "role_not_found", "deleted-long-ago");
}

/// Scenario 19: retiring the annotation touches nothing else of the service account, and the way back neither.
#[test]
fn s19_other_fields_of_the_service_account() {
    let cluster = Cluster::empty()
        .role("payments-api", json!([irsa(subject("payments", "api"))]))
        .object(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "namespace": "payments",
                "name": "api",
                "annotations": {
                    ROLE_ARN: arn("payments-api"),
                    "eks.amazonaws.com/sts-regional-endpoints": "true",
                    "eks.amazonaws.com/token-expiration": "43200",
                    "team": "payments",
                },
                "labels": {"app.kubernetes.io/part-of": "payments"},
            },
            "automountServiceAccountToken": false,
            "imagePullSecrets": [{"name": "registry"}],
            "secrets": [{"name": "api-token"}],
        }))
        .workload("Deployment", "payments", "api", "api", 1);
    let Some(mut case) = case(&cluster, with(RETIRE)) else {
        return;
    };
    let normal = |case: &Case| {
        let mut found = object(case, "serviceaccounts", "payments", "api");
        for field in ["resourceVersion", "managedFields"] {
            found["metadata"].as_object_mut().unwrap().remove(field);
        }
        found
    };
    let before = normal(&case);
    case.apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "retired");
    let mut after = normal(&case);
    let mut expected = before.clone();
    expected["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove(ROLE_ARN);
    let crumb = after["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("terraform-provider-podidentity/irsa-migration");
    assert!(
        crumb.is_some(),
        "what the way back needs is written down: {after:#}"
    );
    assert_eq!(after, expected);
    for request in case.sandbox().requests() {
        assert!(
            !request.operation.starts_with("update "),
            "a whole object was put: {}",
            request.operation
        );
    }
    case.destroy();
    assert_eq!(normal(&case), before);
}

/// Scenario 20: somebody else writes the service account at the same moment, twice.
#[test]
fn s20_conflicts() {
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    let conflict = || {
        Fault {
        operation: Some("patch serviceaccounts".into()),
        count: Some(2),
        error: Some(FaultError {
            code: "Conflict".into(),
            message: "Operation cannot be fulfilled on serviceaccounts \"api\": the object has been modified".into(),
            status: 409,
        }),
        ..Fault::default()
    }
    };
    case.fault(conflict());
    case.clear_calls()
        .apply()
        .expect_attribute(THIS, "phase", "retired");
    assert_eq!(annotations(&case, "payments", "api").get(ROLE_ARN), None);
    assert!(
        case.calls()["kubernetes:patch serviceaccounts"] >= 3,
        "{:?}",
        case.calls()
    );
    for request in case.sandbox().requests() {
        if request.operation == "patch serviceaccounts" {
            assert!(
                request.parameters["body"]["metadata"]["resourceVersion"].is_string(),
                "a patch that would overwrite what somebody else wrote"
            );
        }
    }
    case.fault(conflict());
    case.destroy();
    assert_eq!(
        annotations(&case, "payments", "api")[ROLE_ARN],
        arn("payments-api")
    );
}

/// Scenario 21: the tool that owns the service account puts the annotation back; nobody fights with it, and destroying still works.
#[test]
fn s21_annotation_put_back_by_its_owner() {
    let owners = [
        (
            "helm",
            json!({"meta.helm.sh/release-name": "api", "meta.helm.sh/release-namespace": "payments"}),
            json!({"app.kubernetes.io/managed-by": "Helm"}),
        ),
        (
            "argocd-controller",
            json!({"argocd.argoproj.io/tracking-id": "payments:/ServiceAccount:payments/api"}),
            json!({}),
        ),
        (
            "kustomize-controller",
            json!({}),
            json!({"kustomize.toolkit.fluxcd.io/name": "payments", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}),
        ),
    ];
    for (manager, annotations, labels) in owners {
        let mut account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {
                "namespace": "payments", "name": "api", "labels": labels, "annotations": annotations,
                "managedFields": [{
                    "manager": manager, "operation": if manager == "helm" { "Update" } else { "Apply" }, "apiVersion": "v1",
                    "time": "2026-01-05T09:00:00Z", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:metadata": {"f:annotations": {format!("f:{ROLE_ARN}"): {}}}},
                }],
            },
        });
        account["metadata"]["annotations"][ROLE_ARN] = arn("payments-api").into();
        let cluster = Cluster::empty()
            .role("payments-api", json!([irsa(subject("payments", "api"))]))
            .object(account)
            .workload("Deployment", "payments", "api", "api", 1);
        let Some(mut case) = case(&cluster, with(RETIRE)) else {
            return;
        };
        expect_warning(&case, "annotation_owned");
        case.apply()
            .expect_attribute(THIS, "phase", "retired")
            .expect_empty_plan();
        assert_eq!(
            super::annotations(&case, "payments", "api").get(ROLE_ARN),
            None,
            "{manager}"
        );

        patch(
            &case,
            "serviceaccounts",
            "payments",
            "api",
            json!({"metadata": {"annotations": {ROLE_ARN: arn("payments-api")}}}),
        );
        case.clear_calls();
        let outcome = case.try_plan(&[]);
        assert!(matches!(outcome.code, 0 | 2), "{}", outcome.report());
        case.apply();
        assert_eq!(
            writes(&case),
            BTreeMap::new(),
            "{manager}: a fight over the annotation"
        );
        assert_eq!(
            super::annotations(&case, "payments", "api")[ROLE_ARN],
            arn("payments-api"),
            "{manager}"
        );
        case.expect_empty_plan();
        assert_eq!(
            paths(&case, "api"),
            BTreeMap::from([("pod_identity", 1)]),
            "{manager}"
        );
        case.destroy();
        assert_eq!(
            super::annotations(&case, "payments", "api")[ROLE_ARN],
            arn("payments-api"),
            "{manager}"
        );
        let crumb = super::annotations(&case, "payments", "api")
            .get("terraform-provider-podidentity/irsa-migration")
            .cloned();
        assert_eq!(crumb, None::<Value>, "{manager}");
        assert_eq!(
            statements(&trust(&case, "payments-api")),
            [irsa(subject("payments", "api"))],
            "{manager}"
        );
        assert_eq!(
            paths(&case, "api"),
            BTreeMap::from([("web_identity", 1)]),
            "{manager}"
        );
    }
}
