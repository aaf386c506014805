//! When IRSA is retired: after the soak, with all pods well, and as far as that can be told beforehand.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::cluster::{Cluster, ROLE_ARN, arn, irsa, subject};
use super::*;
use crate::harness::Action;

const ROLE: &str = "payments-api";

/// When the provider's requests of this operation came, in order, but for dry runs.
pub(super) fn times(case: &Case, operation: &str) -> Vec<OffsetDateTime> {
    let requests = case.sandbox().requests();
    requests
        .iter()
        .filter(|request| request.operation == operation)
        .filter(|request| !request.user_agent.contains("acceptance-tests"))
        .filter(|request| request.parameters.get("dryRun").is_none())
        .map(|request| OffsetDateTime::parse(&request.time, &Rfc3339).unwrap())
        .collect()
}

/// Whether the role annotation is there.
fn annotated(case: &Case) -> bool {
    annotations(case, "payments", "api")[ROLE_ARN] == arn(ROLE)
}

/// Nothing is retired before all pods have been well for so long.
#[test]
fn soak() {
    let Some(mut case) = case(
        &Cluster::plain(),
        with(&format!("{RETIRE}\n  soak_duration = \"3s\"")),
    ) else {
        return;
    };
    let plan = case.plan();
    assert!(
        plan.after(THIS, "phase").is_err(),
        "how far a run with a soak comes is seen when it is over"
    );
    case.clear_calls()
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    let rolled_out = times(&case, "get deployments").pop().unwrap();
    let retired = times(&case, "patch serviceaccounts")[0];
    assert!(
        retired - rolled_out >= time::Duration::seconds(3),
        "{rolled_out} {retired}"
    );
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// A soak that does not fit into what is left of the operation's time ends the apply with a warning; nothing is tainted, and the
/// next one goes on.
#[test]
fn a_soak_that_is_longer_than_the_apply() {
    let config = |soak: &str| {
        with(&format!(
            "{RETIRE}\n  soak_duration = \"{soak}\"\n  timeouts {{\n    create = \"60s\"\n  }}"
        ))
    };
    // It fits by the plan, but not after a restart.
    let Some(mut case) = case(&Cluster::plain(), config("59950ms")) else {
        return;
    };
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    let warned = |outcome: &crate::harness::Outcome| {
        outcome.warnings().iter().any(|warning| {
            warning.summary == "Nothing is retired yet" && warning.detail.contains("Apply again")
        })
    };
    assert!(warned(&outcome), "{}", outcome.report());
    case.expect_attribute(THIS, "phase", "verified")
        .expect_plan(&[(THIS, Action::Update)]);
    assert!(annotated(&case));
    // One that cannot fit is known to, and leaves nothing to do.
    case.config(config("48h"));
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert!(warned(&outcome), "{}", outcome.report());
    case.expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert!(annotated(&case));
    case.config(config("0s"))
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert!(!annotated(&case));
}

/// A soak that is over does not save a pod that is unwell from being seen.
#[test]
fn pods_that_are_not_ready_keep_irsa() {
    let Some(mut case) = case(
        &Cluster::plain(),
        with(&format!("{RESTART}\n  soak_duration = \"10ms\"")),
    ) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "verified");
    let failing =
        json!({"workloads": [{"kind": "Deployment", "name": "api", "failure": "never_ready"}]});
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "controllers": failing}]}))
        .unwrap();
    let pods = case.sandbox().credential_report().pods;
    let pod = &pods
        .iter()
        .find(|p| p.service_account == "api")
        .unwrap()
        .pod;
    kubernetes(
        &case,
        json!({"method": "DELETE", "resource": "pods", "namespace": "payments", "name": pod}),
    );
    case.config(with(&format!("{RETIRE}\n  soak_duration = \"10ms\"")))
        .clear_calls();
    let _ = case.apply_error("is not ready").anywhere();
    assert!(annotated(&case));
    assert_eq!(writes(&case), BTreeMap::new());
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "controllers": {}}]}))
        .unwrap();
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
}

/// Without a rollout, how far an apply comes depends on the pods of the moment: a Deployment that has none may get some.
#[test]
fn pods_that_come_between_plan_and_apply() {
    let cluster = Cluster::empty()
        .role(
            ROLE,
            json!([super::cluster::irsa(super::cluster::subject(
                "payments", "api"
            ))]),
        )
        .service_account("payments", "api", &arn(ROLE))
        .workload("Deployment", "payments", "api", "api", 0);
    let Some(mut case) = case(
        &cluster,
        with("retire = { annotation = true, trust = true }"),
    ) else {
        return;
    };
    assert!(case.plan().after(THIS, "phase").is_err());
    patch(
        &case,
        "deployments",
        "payments",
        "api",
        json!({"spec": {"replicas": 2}}),
    );
    let outcome = case.run(&["apply", "-json", "tfplan"]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    case.expect_attribute(THIS, "phase", "propagated")
        .expect_empty_plan();
    assert!(annotated(&case));
    // Somebody deploys.
    patch(
        &case,
        "deployments",
        "payments",
        "api",
        json!({"spec": {"template": {"metadata": {"annotations": {"release": "2"}}}}}),
    );
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
}

/// A change of the role that stops before all pods have the new one: until they have, nothing counts for the soak.
#[test]
fn a_soak_does_not_begin_before_pods_have_their_role() {
    let cluster = Cluster::plain().role("other", json!([irsa(subject("payments", "api"))]));
    let config = |role: &str| {
        with(&format!(
            "{RETIRE}\n  soak_duration = \"3s\"\n  role_arn = \"{}\"",
            arn(role)
        ))
    };
    let first = config(ROLE).replace("annotation = true, trust = true", "annotation = false");
    let Some(mut case) = case(&cluster, first) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "verified");
    case.fault(Fault {
        operation: Some("patch deployments".into()),
        error: Some(FaultError {
            code: "Forbidden".into(),
            message: "deployments.apps \"api\" is forbidden".into(),
            status: 403,
        }),
        ..Fault::default()
    });
    case.config(config("other"));
    let _ = case.apply_error("(?i)half-way|restart").anywhere();
    case.sandbox().clear_faults();
    case.refresh()
        .expect_attribute(THIS, "verified_at", Value::Null);
    case.clear_calls()
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    let restarted = times(&case, "patch deployments")[0];
    let retired = times(&case, "patch serviceaccounts")[0];
    assert!(
        retired - restarted >= time::Duration::seconds(3),
        "{restarted} {retired}"
    );
}
