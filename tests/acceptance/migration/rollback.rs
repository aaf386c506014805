//! Scenario 37: the way back, and who may go it.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use super::cluster::{Cluster, ROLE_ARN, arn, irsa, pods, subject, workload};
use super::soak::times;
use super::*;

const ROLE: &str = "payments-api";
const TAG: &str = "podidentity:irsa-migration";

fn original() -> Value {
    json!({"Version": "2012-10-17", "Statement": [irsa(subject("payments", "api"))]})
}

fn iam(case: &Case, operation: &str, parameters: Value) {
    case.sandbox().call("iam", operation, parameters).unwrap();
}

fn write_trust(case: &Case, role: &str, document: &Value) {
    let parameters = json!({"RoleName": role, "PolicyDocument": document.to_string()});
    iam(case, "UpdateAssumeRolePolicy", parameters);
}

/// The watcher does not mind what happens to the service account, for it is the test that takes things away.
fn exempt(case: &Case, expected: bool) {
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "expect_credentials": [
            {"namespace": "payments", "service_account": "api", "expected": expected}
        ]}]}))
        .unwrap();
}

/// Destroys, and wants an error before anything was written.
#[track_caller]
fn refused(case: &mut Case, pattern: &str) {
    case.clear_calls();
    let _ = case.destroy_error(pattern).anywhere();
    assert_eq!(writes(case), BTreeMap::new(), "{pattern}");
}

/// The tag of the only association.
fn token(case: &Case) -> String {
    let tag = associations(case)[0].1["tags"][TAG].clone();
    tag.as_str().unwrap_or_default().to_owned()
}

/// IRSA uses the role of the annotation, not the one that the migration gave the service account: it has to work.
#[test]
fn the_role_of_the_annotation_must_work() {
    let cluster = Cluster::plain().role("new", json!([pods("Pods", None)]));
    let config = with(&format!("{RESTART}\n  role_arn = \"{}\"", arn("new")));
    let Some(mut case) = case(&cluster, config) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "verified");
    let nobody = json!({"Version": "2012-10-17", "Statement": [pods("Pods", None)]});
    write_trust(&case, ROLE, &nobody);
    refused(
        &mut case,
        "payments-api does not let the service account in by IRSA",
    );
    write_trust(&case, ROLE, &original());

    patch(
        &case,
        "serviceaccounts",
        "payments",
        "api",
        json!({"metadata": {"annotations": {ROLE_ARN: arn("other")}}}),
    );
    refused(&mut case, "role/other does not exist any more");
    patch(
        &case,
        "serviceaccounts",
        "payments",
        "api",
        json!({"metadata": {"annotations": {ROLE_ARN: null}}}),
    );
    refused(
        &mut case,
        "with the value arn:aws:iam::123456789012:role/other",
    );
    patch(
        &case,
        "serviceaccounts",
        "payments",
        "api",
        json!({"metadata": {"annotations": {ROLE_ARN: arn(ROLE)}}}),
    );
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    assert_eq!(trust(&case, ROLE), original());
}

/// A role that is gone is no way back as long as pods run.
#[test]
fn the_role_must_be_there() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    exempt(&case, false);
    let policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let attached = json!({"RoleName": ROLE, "PolicyArn": policy});
    iam(&case, "DetachRolePolicy", attached);
    iam(&case, "DeleteRole", json!({"RoleName": ROLE}));
    case.clear_calls();
    let found = case
        .run(&["destroy", "-refresh=false", "-json", "-auto-approve"])
        .report();
    assert!(found.contains("does not exist any more"), "{found}");
    assert_eq!(writes(&case), BTreeMap::new());
}

/// Where somebody else writes the trust policy, it is there that the statement has to come back.
#[test]
fn trust_that_is_managed_elsewhere_must_let_in() {
    let both = json!([irsa(subject("payments", "api")), pods("Theirs", None)]);
    let config = with(&format!("{RESTART}\n  trust = {{ mode = \"verify\" }}"));
    let Some(mut case) = case(&Cluster::with_statements(both), config) else {
        return;
    };
    case.apply();
    let only = json!({"Version": "2012-10-17", "Statement": [pods("Theirs", None)]});
    write_trust(&case, ROLE, &only);
    refused(&mut case, "back where the policy is managed");
}

/// What was handed over to a `podidentity_association` is not touched any more, and nothing half-way is done first.
#[test]
fn an_association_of_somebody_else_is_left_alone() {
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    case.apply();
    let association = associations(&case)[0].1["associationArn"].clone();
    let tag = json!({"resourceArn": association, "tagKeys": [TAG]});
    case.sandbox().call("eks", "UntagResource", tag).unwrap();
    refused(&mut case, "somebody else's now");
    assert_eq!(annotations(&case, "payments", "api").get(ROLE_ARN), None);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// The way out of a finished migration: it is forgotten, and its association imported. The plan shows that the tag goes.
#[test]
fn a_finished_migration_is_handed_over() {
    if !crate::harness::cli().at_least(1, 7) {
        eprintln!("skipped: removed blocks need Terraform 1.7");
        return;
    }
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    case.apply();
    let id = case.text(THIS, "association_id");
    let before = trust(&case, ROLE);
    case.clear_calls().config(format!(
        r#"
resource "podidentity_association" "api" {{
  cluster_name    = "demo"
  namespace       = "payments"
  service_account = "api"
  role_arn        = "{}"
}}

import {{
  to = podidentity_association.api
  id = "demo,{id}"
}}

removed {{
  from = {THIS}
  lifecycle {{
    destroy = false
  }}
}}
"#,
        arn(ROLE)
    ));
    let plan = case.plan();
    assert_eq!(
        plan.after("podidentity_association.api", "tags_all").ok(),
        Some(json!({}))
    );
    case.apply().expect_empty_plan();
    assert_eq!(
        writes(&case),
        BTreeMap::from([("eks:UntagResource".to_owned(), 1)])
    );
    let left = associations(&case);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1["associationId"], id);
    assert_eq!(left[0].1["tags"].get(TAG), None);
    assert_eq!(trust(&case, ROLE), before);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.expect_absent(THIS);
}

/// With `create_before_destroy` the old object of a replacement can outlive the run, if something that depends on the new one
/// fails. It is destroyed by the next run, and rolls nothing back: the migration is the new object's.
#[cfg(unix)]
#[test]
fn a_deposed_object_rolls_nothing_back() {
    let config = format!(
        r#"{}
resource "terraform_data" "after" {{
  provisioner "local-exec" {{
    command = "grep -q fine health"
  }}
  lifecycle {{
    replace_triggered_by = [{THIS}]
  }}
}}
"#,
        with(&format!(
            "{RESTART}\n  lifecycle {{\n    create_before_destroy = true\n  }}"
        ))
    );
    let Some(mut case) = case(&Cluster::plain(), config) else {
        return;
    };
    case.file("health", "fine").apply();
    let first = token(&case);
    case.file("health", "ill");
    let outcome = case.try_apply(&[&format!("-replace={THIS}")]);
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    let second = token(&case);
    assert_ne!(first, second, "the migration has another owner");
    let document = trust(&case, ROLE);

    case.file("health", "fine").clear_calls();
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert!(
        outcome.report().contains("Nothing was rolled back"),
        "{}",
        outcome.report()
    );
    assert_eq!(writes(&case), BTreeMap::new());
    assert_eq!(token(&case), second);
    assert_eq!(trust(&case, ROLE), document);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.expect_empty_plan().destroy();
    assert_eq!(trust(&case, ROLE), original());
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// Pods that only somebody else can restart are not forgotten: the destroy names them, and goes on when they are gone.
#[test]
fn pods_that_cannot_be_restarted() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    let tool = workload("Pod", "payments", "tool", "api", 1);
    kubernetes(
        &case,
        json!({"method": "POST", "resource": "pods", "namespace": "payments", "body": tool}),
    );
    case.refresh();
    let announced = case.run(&["plan", "-destroy", "-json"]).report();
    for part in ["restarts Deployment api", "cannot restart Pod tool"] {
        assert!(announced.contains(part), "{part}: {announced}");
    }

    let _ = case.destroy_error("tool \\(Pod tool\\)").anywhere();
    assert_eq!(associations(&case), []);
    assert_eq!(paths(&case, "api").get("web_identity"), Some(&2));
    assert_eq!(ours(&case, ROLE).len(), 1, "the pod may still need it");
    // A second look finds it there still.
    let _ = case.destroy_error("tool \\(Pod tool\\)").anywhere();

    kubernetes(
        &case,
        json!({"method": "DELETE", "resource": "pods", "namespace": "payments", "name": "tool"}),
    );
    case.destroy();
    assert_eq!(trust(&case, ROLE), original());
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
}

/// Whoever manages the trust policy may take away again what a rollback has put back. One that is interrupted still knows what
/// that was.
#[test]
fn trust_is_put_back_by_every_attempt() {
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    case.apply();
    let retired = trust(&case, ROLE);
    case.fault(Fault {
        operation: Some("patch deployments".into()),
        error: Some(FaultError {
            code: "Forbidden".into(),
            message: "not today".into(),
            status: 403,
        }),
        ..Fault::default()
    });
    let _ = case.destroy_error("(?i)half-way|restart").anywhere();
    case.sandbox().clear_faults();
    assert_eq!(associations(&case), []);
    exempt(&case, false);
    write_trust(&case, ROLE, &retired);
    case.destroy();
    assert_eq!(trust(&case, ROLE), original());
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// As long as there was no association, pods have nothing of a migration: nothing is proven, and nobody looked for.
#[test]
fn nothing_was_cut_over() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    let refuse = |operation: &str| Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "AccessDeniedException".into(),
            message: "not today".into(),
            status: 403,
        }),
        ..Fault::default()
    };
    case.fault(refuse("CreatePodIdentityAssociation"));
    let _ = case.apply_error("not today").anywhere();
    assert_eq!(ours(&case, ROLE).len(), 1);
    case.fault(refuse("create pods"));
    case.destroy();
    assert_eq!(trust(&case, ROLE), original());
}

/// Everything of the service account was deleted before. There is nothing to prove, but what is in AWS goes.
#[test]
fn nothing_is_left_in_the_cluster() {
    for (resource, namespace, names) in [
        ("namespaces", None, vec!["payments"]),
        ("deployments", Some("payments"), vec!["api"]),
    ] {
        let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
            return;
        };
        case.apply();
        for name in names {
            let mut request = json!({"method": "DELETE", "resource": resource, "name": name});
            if let Some(namespace) = namespace {
                request["namespace"] = namespace.into();
                kubernetes(
                    &case,
                    json!({"method": "DELETE", "resource": "serviceaccounts", "namespace": namespace, "name": "api"}),
                );
            }
            kubernetes(&case, request);
        }
        case.destroy();
        assert_eq!(associations(&case), [], "{resource}");
        assert_eq!(trust(&case, ROLE), original(), "{resource}");
    }
}

/// The namespace is being deleted, and takes no new pods: there is nothing to prove either.
#[test]
fn the_namespace_is_being_deleted() {
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    case.apply();
    exempt(&case, false);
    case.fault(Fault {
        operation: Some("create pods".into()),
        error: Some(FaultError {
            code: "Forbidden".into(),
            message: "pods \"x\" is forbidden: unable to create new content in namespace payments because it is being terminated"
                .into(),
            status: 403,
        }),
        ..Fault::default()
    });
    case.destroy();
    assert_eq!(associations(&case), []);
    assert_eq!(trust(&case, ROLE), original());
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
}

/// A service account that never had IRSA goes back to nothing.
#[test]
fn back_to_no_credentials() {
    let cluster = Cluster::empty()
        .role(ROLE, json!([pods("Pods", None)]))
        .object(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"namespace": "payments", "name": "api"},
        }))
        .workload("Deployment", "payments", "api", "api", 2);
    let config = with(&format!("{RESTART}\n  role_arn = \"{}\"", arn(ROLE)));
    let Some(mut case) = case(&cluster, config) else {
        return;
    };
    exempt(&case, false);
    case.apply().expect_attribute(THIS, "phase", "verified");
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.destroy();
    assert_eq!(associations(&case), []);
    assert_eq!(paths(&case, "api").get("pod_identity"), None);
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
}

/// The credentials, or the region, are those of another place. That is no reason to forget the migration.
#[test]
fn looked_for_in_the_wrong_region() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    case.environment("AWS_REGION", "eu-west-1").clear_calls();
    let found = case.try_plan(&[]);
    assert_eq!(found.code, 1, "{}", found.report());
    for options in [&["-refresh=true"], &["-refresh=false"]] {
        let mut command = vec!["destroy", "-json", "-auto-approve"];
        command.extend(options);
        let outcome = case.run(&command);
        assert_eq!(outcome.code, 1, "{}", outcome.report());
        assert!(
            outcome.report().contains("eu-west-1"),
            "{}",
            outcome.report()
        );
        assert_eq!(case.state().addresses(), [THIS]);
    }
    assert_eq!(writes(&case), BTreeMap::new());
    case.environment("AWS_REGION", "us-east-1").destroy();
    assert_eq!(trust(&case, ROLE), original());
}

/// The cluster is gone: the refresh says what is left, and a destroy that does not refresh takes that away.
#[test]
fn trust_is_left_without_the_cluster() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    exempt(&case, false);
    // A sandbox deletes no clusters, but it can have started with another one.
    case.fault(Fault {
        service: Some("eks".into()),
        error: Some(FaultError {
            code: "ResourceNotFoundException".into(),
            message: "No cluster found for name: demo.".into(),
            status: 404,
        }),
        ..Fault::default()
    });
    let sid = ours(&case, ROLE)[0]["Sid"].clone();
    let warning = case.run(&["plan", "-json"]).report();
    for part in ["Cluster of a migration is gone", sid.as_str().unwrap()] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    let outcome = case.run(&["destroy", "-refresh=false", "-json", "-auto-approve"]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert_eq!(trust(&case, ROLE), original());
}

/// IAM shows a change everywhere only after a while, and whoever manages the policy may undo it meanwhile: trust that was put
/// back is waited for, and looked at again before the association goes.
#[cfg(unix)]
#[test]
fn trust_that_was_put_back_is_waited_for() {
    let config = with(RETIRE).replace(
        "consecutive = 2, interval = \"20ms\"",
        "consecutive = 2, interval = \"2s\"",
    );
    let Some(mut case) = case(&Cluster::plain(), config) else {
        return;
    };
    case.apply().clear_calls();
    let retired = trust(&case, ROLE);
    let running = case.start(&["destroy", "-json", "-auto-approve"]);
    case.wait_until("trust is put back", |case| trust(case, ROLE) != retired);
    write_trust(&case, ROLE, &retired);
    let outcome = running.wait();
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert_eq!(trust(&case, ROLE), original());
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));

    let (written, deleted) = (
        times(&case, "UpdateAssumeRolePolicy"),
        times(&case, "DeletePodIdentityAssociation"),
    );
    let before: Vec<_> = written.iter().filter(|at| **at < deleted[0]).collect();
    assert_eq!(before.len(), 2, "put back twice");
    let waited = deleted[0] - *before[1];
    assert!(waited >= time::Duration::seconds(4), "{waited}");
}
