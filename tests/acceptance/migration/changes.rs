//! Changes of a service account that is migrated: other credentials, more to retire, and what takes no step at all.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use super::cluster::{Cluster, ROLE_ARN, arn, irsa, subject};
use super::*;
use crate::harness::{Action, pods_left};

const ROLE: &str = "payments-api";

/// The plain cluster and a role `other`, with these statements.
fn with_other(statements: Value) -> Cluster {
    Cluster::plain().role("other", statements)
}

/// The configuration with the role `other`.
fn other(more: &str) -> String {
    with(&format!("{more}\n  role_arn = \"{}\"", arn("other")))
}

fn refused(operation: &str) -> Fault {
    Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "AccessDeniedException".into(),
            message: "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform: iam:PassRole".into(),
            status: 403,
        }),
        ..Fault::default()
    }
}

/// An association as an earlier migration would have left it.
fn tag(case: &Case, tagged: bool) {
    let association = &associations(case)[0].1;
    let arn = association["associationArn"].clone();
    let call = if tagged {
        (
            "TagResource",
            json!({"resourceArn": arn, "tags": {"podidentity:irsa-migration": "true"}}),
        )
    } else {
        (
            "UntagResource",
            json!({"resourceArn": arn, "tagKeys": ["podidentity:irsa-migration"]}),
        )
    };
    case.sandbox().call("eks", call.0, call.1).unwrap();
}

/// A role that cannot work is found before the association is changed, by the plan already.
#[test]
fn a_role_that_cannot_work_is_refused() {
    let denied = json!([{
        "Effect": "Deny",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }]);
    let Some(mut case) = case(&with_other(denied), with(RESTART)) else {
        return;
    };
    case.apply().expect_empty_plan();
    case.config(other(RESTART));
    expect_blocker(&mut case, "trust_denied", "role/other");
    case.config(with(&format!(
        "{RESTART}\n  role_arn = \"{}\"",
        arn("nobody")
    )));
    expect_blocker(&mut case, "role_not_found", "role/nobody");
    case.config(with(&format!("{RESTART}\n  disable_session_tags = true")));
    expect_blocker(&mut case, "scope_needs_session_tags", "scope");
    assert_eq!(associations(&case)[0].1["roleArn"], arn(ROLE));
    case.config(with(RESTART)).expect_empty_plan();
}

/// A change of the role that stops half-way goes on, or back, and in the end no role keeps a statement that nobody needs.
#[test]
fn a_change_of_the_role_that_stops_half_way() {
    let trusted_other = json!([irsa(subject("payments", "api"))]);
    for revert in [false, true] {
        let Some(mut case) = case(&with_other(trusted_other.clone()), with(RESTART)) else {
            return;
        };
        case.apply();
        case.fault(refused("UpdatePodIdentityAssociation"));
        case.config(other(RESTART));
        let _ = case.apply_error("iam:PassRole").anywhere();
        case.sandbox().clear_faults();
        case.expect_attribute(THIS, "role_arn", arn(ROLE));
        assert_eq!(
            (trusted(&case, ROLE), trusted(&case, "other")),
            (vec!["api".to_owned()], vec!["api".to_owned()])
        );
        let (now, former) = if revert {
            case.config(with(RESTART));
            (ROLE, "other")
        } else {
            ("other", ROLE)
        };
        case.expect_plan(&[(THIS, Action::Update)])
            .apply()
            .expect_empty_plan()
            .expect_attribute(THIS, "phase", "verified")
            .expect_attribute(THIS, "role_arn", arn(now));
        assert_eq!(trusted(&case, now), ["api"]);
        assert_eq!(
            trusted(&case, former),
            Vec::<String>::new(),
            "revert: {revert}"
        );
        case.destroy();
        assert_eq!(associations(&case), []);
        assert_eq!(trusted(&case, now), Vec::<String>::new());
    }
}

/// The same, and then destroyed: the association is the migration's all the time, and neither role keeps a statement.
#[test]
fn a_change_of_the_role_that_stops_half_way_and_is_destroyed() {
    let Some(mut case) = case(
        &with_other(json!([irsa(subject("payments", "api"))])),
        with(RESTART),
    ) else {
        return;
    };
    case.apply();
    case.fault(refused("UpdatePodIdentityAssociation"));
    case.config(other(RESTART));
    let _ = case.apply_error("iam:PassRole").anywhere();
    case.sandbox().clear_faults();
    case.destroy();
    assert_eq!(associations(&case), []);
    for role in [ROLE, "other"] {
        assert_eq!(trusted(&case, role), Vec::<String>::new(), "{role}");
    }
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// What is to be retired besides, and was not because the apply failed, is retired by the next one.
#[test]
fn retiring_more_is_not_forgotten() {
    let some = format!("{RESTART}\n  retire = {{ annotation = true }}");
    let Some(mut case) = case(&Cluster::plain(), with(&some)) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "retired");
    assert_eq!(annotations(&case, "payments", "api").get(ROLE_ARN), None);
    case.fault(refused("patch serviceaccounts"));
    case.config(with(RETIRE));
    let _ = case.apply_error("(?i)retired|service account").anywhere();
    case.sandbox().clear_faults();
    case.expect_attribute(THIS, "phase", "verified")
        .expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(
        statements(&trust(&case, ROLE)).len(),
        1,
        "the OIDC subject is gone"
    );
}

/// `on_destroy = "keep"` can be applied whatever has become of the migration, and takes no step.
#[test]
fn keeping_takes_no_step() {
    let keep = with(&format!("{RESTART}\n  on_destroy = \"keep\""));
    // The association is no longer the migration's.
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    tag(&case, false);
    case.config(&keep).clear_calls().apply();
    assert_eq!(writes(&case), BTreeMap::new());
    case.expect_attribute(THIS, "on_destroy", "keep")
        .expect_empty_plan();
    case.destroy();
    assert_eq!(associations(&case).len(), 1);

    // A rollback has deleted the association and stopped then.
    let Some(mut case) = super::case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    case.fault(refused("patch deployments"));
    let _ = case.destroy_error("(?i)half-way|restart").anywhere();
    case.sandbox().clear_faults();
    assert_eq!(associations(&case), []);
    case.config(&keep).clear_calls().apply();
    let warned = case.try_plan(&["-destroy"]).report();
    assert!(
        warned.contains("Pods are left without an association")
            && warned.contains("Deployment api"),
        "{warned}"
    );
    case.destroy();
    assert_eq!(writes(&case), BTreeMap::new());
    let seen = case.take_credentials();
    assert!(seen.violations.is_empty(), "{:?}", seen.violations);
    assert_eq!(pods_left(&seen).len(), 2);
}

/// An association that lost the migration's tag is gone on with if that is asked for.
#[test]
fn an_association_is_adopted_later() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    tag(&case, false);
    let before = associations(&case);
    case.config(with(&format!(
        "{RETIRE}\n  adopt_existing_association = true"
    )))
    .apply()
    .expect_attribute(THIS, "phase", "retired")
    .expect_attribute(THIS, "association_adopted", true)
    .expect_empty_plan();
    assert_eq!(associations(&case), before);
}

/// Scenario 23, of an earlier migration: what it left is not changed to another role without a word; with the same role it is gone
/// on with, and the plan says so.
#[test]
fn what_an_earlier_migration_left() {
    let cluster = with_other(json!([irsa(subject("payments", "api"))])).set(
        "associations",
        json!([{"namespace": "payments", "service_account": "api", "role_arn": arn(ROLE)}]),
    );
    let Some(mut case) = case(&cluster, other(RESTART)) else {
        return;
    };
    tag(&case, true);
    expect_blocker(
        &mut case,
        "association_other_role",
        "role/payments-api.*role/other",
    );
    case.config(with(RESTART));
    let _ = case.plan_warning("migrated already");
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(trusted(&case, ROLE), ["api"]);
}
