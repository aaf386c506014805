//! Changes of a service account that is migrated: other credentials, more to retire, and what takes no step at all.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use super::cluster::{Cluster, ROLE_ARN, arn, irsa, pods, subject};
use super::soak::times;
use super::*;
use crate::harness::{Action, pods_left};

const ROLE: &str = "payments-api";
const TAG: &str = "podidentity:irsa-migration";

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
            json!({"resourceArn": arn, "tags": {TAG: "true"}}),
        )
    } else {
        (
            "UntagResource",
            json!({"resourceArn": arn, "tagKeys": [TAG]}),
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
    // Before the association is changed, and after.
    for (operation, role) in [
        ("UpdatePodIdentityAssociation", ROLE),
        ("TagResource", "other"),
    ] {
        let Some(mut case) = case(
            &with_other(json!([irsa(subject("payments", "api"))])),
            with(RESTART),
        ) else {
            return;
        };
        case.apply();
        case.fault(refused(operation));
        case.config(other(&format!("{RESTART}\n  tags = {{ a = \"b\" }}")));
        let _ = case.apply_error("iam:PassRole").anywhere();
        case.sandbox().clear_faults();
        assert_eq!(associations(&case)[0].1["roleArn"], arn(role));
        case.expect_attribute(THIS, "role_arn", arn(ROLE)).destroy();
        assert_eq!(associations(&case), [], "{operation}");
        for role in [ROLE, "other"] {
            assert_eq!(trusted(&case, role), Vec::<String>::new(), "{role}");
        }
        assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    }
}

/// A statement of a former role that could not be taken away is a warning and no reason for another apply, but is not forgotten.
#[test]
fn what_a_former_role_keeps_goes_with_the_migration() {
    let statements = json!([irsa(subject("payments", "api")), pods("Pods", None)]);
    let Some(mut case) = case(&with_other(statements), with(RESTART)) else {
        return;
    };
    case.apply();
    case.fault(refused("UpdateAssumeRolePolicy"));
    case.config(other(RESTART));
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert!(
        outcome.report().contains("Trust of former settings stays"),
        "{}",
        outcome.report()
    );
    case.sandbox().clear_faults();
    case.expect_empty_plan();
    assert_eq!(trusted(&case, ROLE), ["api"]);
    case.destroy();
    assert_eq!(trusted(&case, ROLE), Vec::<String>::new());
}

/// A migration that another object has gone on with is not taken back by an update, but on purpose.
#[test]
fn a_migration_of_another_object_is_not_updated() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    let owner = |case: &Case| associations(case)[0].1["tags"][TAG].clone();
    let own = owner(&case);
    let arn = associations(&case)[0].1["associationArn"].clone();
    let tag = json!({"resourceArn": arn, "tags": {TAG: "another"}});
    case.sandbox().call("eks", "TagResource", tag).unwrap();
    case.config(with(&format!("{RESTART}\n  tags = {{ a = \"b\" }}")))
        .clear_calls();
    let _ = case.apply_error("has gone on with.*-replace").anywhere();
    assert_eq!(writes(&case), BTreeMap::new());
    let outcome = case.try_apply(&[&format!("-replace={THIS}")]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert!(owner(&case) != "another" && owner(&case) != own);
    case.expect_empty_plan().destroy();
    assert_eq!(associations(&case), []);
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

/// A role that does not work any more is left for another one, whatever speaks against the former one.
#[test]
fn out_of_a_role_that_is_gone() {
    let Some(mut case) = case(
        &with_other(json!([irsa(subject("payments", "api"))])),
        with(RESTART),
    ) else {
        return;
    };
    case.apply();
    // From here on pods have lost their credentials, which is what the change mends.
    let _ = case.take_credentials();
    let policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    case.sandbox()
        .call(
            "iam",
            "DetachRolePolicy",
            json!({"RoleName": ROLE, "PolicyArn": policy}),
        )
        .unwrap();
    case.sandbox()
        .call("iam", "DeleteRole", json!({"RoleName": ROLE}))
        .unwrap();
    case.refresh();
    case.config(other(RESTART))
        .expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_attribute(THIS, "blockers", json!([]))
        .expect_empty_plan();
    assert_eq!(associations(&case)[0].1["roleArn"], arn("other"));
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
    assert_eq!(trusted(&case, "other"), ["api"]);
}

/// EKS Auth serves a changed association late, so pods are restarted only after the time that a change takes to be seen; other
/// credentials have to show that they work before anything is retired.
#[test]
fn other_credentials_take_effect_before_pods_are_restarted() {
    let slowly = |more: &str| {
        with(&format!("{RETIRE}\n  soak_duration = \"2s\"\n  {more}"))
            .replace("\"20ms\"", "\"400ms\"")
    };
    let restart_only = slowly("").replace("annotation = true, trust = true", "annotation = false");
    let trusted_other = json!([irsa(subject("payments", "api"))]);
    let Some(mut case) = case(&with_other(trusted_other), restart_only) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "verified");
    let before = case.text(THIS, "verified_at");
    case.clear_calls()
        .config(slowly(&format!("role_arn = \"{}\"", arn("other"))))
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_ne!(case.text(THIS, "verified_at"), before);
    let changed = times(&case, "UpdatePodIdentityAssociation")[0];
    let restarted = times(&case, "patch deployments")[0];
    assert!(
        restarted - changed >= time::Duration::milliseconds(800),
        "{changed} {restarted}"
    );
    assert!(
        times(&case, "patch serviceaccounts")[0] - restarted >= time::Duration::seconds(2),
        "the soak begins anew"
    );
}

/// The annotation still names the former role after a change: an import goes by the association.
#[test]
fn an_import_after_a_change_of_the_role() {
    let Some(mut case) = case(
        &with_other(json!([irsa(subject("payments", "api"))])),
        with(RESTART),
    ) else {
        return;
    };
    case.apply();
    case.config(other(RESTART)).apply();
    let after = case.text(THIS, "trust_policy_after");
    case.forget(THIS)
        .import(THIS, "demo,payments,api")
        .expect_attribute(THIS, "phase", "verified")
        .expect_attribute(THIS, "role_arn", arn("other"));
    let found = case.text(THIS, "trust_policy_after");
    assert_eq!(
        serde_json::from_str::<Value>(&found).unwrap(),
        serde_json::from_str::<Value>(&after).unwrap()
    );
    case.clear_calls().apply().expect_empty_plan();
    assert_eq!(writes(&case), BTreeMap::new());
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    assert_eq!(trusted(&case, "other"), Vec::<String>::new());
}

/// After a rollback that stopped half-way the service account goes forward with another role: what was retired of the former one is
/// back already.
#[test]
fn forward_again_with_another_role() {
    let Some(mut case) = case(
        &with_other(json!([irsa(subject("payments", "api"))])),
        with(RETIRE),
    ) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "retired");
    case.fault(refused("patch deployments"));
    let _ = case.destroy_error("(?i)half-way|restart").anywhere();
    case.sandbox().clear_faults();
    case.config(other(RETIRE))
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(associations(&case)[0].1["roleArn"], arn("other"));
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}
