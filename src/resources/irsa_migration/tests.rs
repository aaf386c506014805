use std::time::Duration;

use time::OffsetDateTime;

use crate::framework::model::Attr;
use crate::framework::schema::internal_validate_resource;
use crate::migration::facts::Settings;
use crate::migration::finding::{Code, Finding};
use crate::migration::phase::Phase;
use crate::policy::{Document, OidcIssuer, Subject};

use super::forward::{before_cut_over, reached, rfc3339, same_but_for_migrations};
use super::plan::{Left, remaining_soak, target};
use super::schema::{self, Migration};
use super::unit::{Unit, cuts_over, is_local, only_keeps, stopping};

const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/D539D4633E53DE1B716D3041E9F0A2B7";

#[test]
fn the_schema_is_sound() {
    let faults = internal_validate_resource(&schema::schema());
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn how_far_an_apply_goes() {
    let none = Left::default();
    let rolling = Left {
        rolling: true,
        manual: false,
    };
    let manual = Left {
        rolling: false,
        manual: true,
    };
    for (restart, retire, left, soak_fits, expected) in [
        (false, false, none, true, Phase::Verified),
        (false, false, rolling, true, Phase::Propagated),
        (false, false, manual, true, Phase::Propagated),
        (true, false, rolling, true, Phase::Verified),
        (true, false, manual, true, Phase::RolledOut),
        (true, true, rolling, true, Phase::Retired),
        (true, true, rolling, false, Phase::Verified),
        // Nothing is retired while a pod uses IRSA.
        (true, true, manual, true, Phase::RolledOut),
        (false, true, rolling, true, Phase::Propagated),
        (false, true, none, true, Phase::Retired),
    ] {
        let settings = Settings {
            restart,
            retire_trust: retire,
            ..Settings::default()
        };
        assert_eq!(
            target(&settings, left, soak_fits),
            expected,
            "{restart} {retire} {left:?} {soak_fits}"
        );
    }
}

/// A state in this phase, with the defaults of the schema.
fn state(phase: Phase) -> Migration {
    Migration {
        role_arn: "arn:aws:iam::123456789012:role/a".into(),
        disable_session_tags: Attr::Known(false),
        adopt_existing_association: Attr::Known(false),
        on_destroy: schema::DESTROY_ROLLBACK.into(),
        soak_duration: "0s".into(),
        propagation: Attr::Known(schema::default_propagation()),
        retire: Attr::Known(schema::default_retire()),
        rollout: Attr::Known(schema::default_rollout()),
        trust: Attr::Known(schema::default_trust()),
        trust_policy_before: "before".into(),
        trust_policy_after: "after".into(),
        phase: phase.as_str().into(),
        ..Migration::default()
    }
}

#[test]
fn what_is_to_be_retired_besides_is_not_retired_yet() {
    let prior = state(Phase::Retired);
    let mut plan = prior.clone();
    assert_eq!(reached(&prior, &plan, Phase::TrustAdded), Phase::Retired);
    if let Attr::Known(retire) = &mut plan.retire {
        retire.trust = Attr::Known(true);
    }
    assert_eq!(reached(&prior, &plan, Phase::TrustAdded), Phase::Verified);
    let prior = state(Phase::Propagated);
    assert_eq!(reached(&prior, &plan, Phase::TrustAdded), Phase::Propagated);
    assert_eq!(reached(&prior, &plan, Phase::Verified), Phase::Verified);
}

type Change = fn(&mut Migration);

#[test]
fn changes_of_what_the_provider_goes_by_later_are_local() {
    let prior = state(Phase::Verified);
    assert!(is_local(&prior, &prior) && !only_keeps(&prior, &prior));
    let keep: Change = |plan| plan.on_destroy = schema::DESTROY_KEEP.into();
    let cases: [(Change, bool, bool); 8] = [
        (keep, true, true),
        (|plan| plan.soak_duration = "1h".into(), true, false),
        (|plan| plan.propagation = Attr::Null, true, false),
        (|plan| plan.rollout = Attr::Null, true, false),
        (
            |plan| plan.adopt_existing_association = Attr::Known(true),
            true,
            false,
        ),
        // The migration goes on, or has to find something out.
        (
            |plan| plan.phase = Phase::Retired.as_str().into(),
            false,
            false,
        ),
        (|plan| plan.trust_policy_after = Attr::Unknown, false, false),
        (|plan| plan.retire = Attr::Null, false, false),
    ];
    for (index, (change, local, keeps)) in cases.into_iter().enumerate() {
        let mut plan = prior.clone();
        change(&mut plan);
        assert_eq!(is_local(&prior, &plan), local, "{index}");
        assert_eq!(only_keeps(&prior, &plan), keeps, "{index}");
        // Keeping besides is no more local than the change.
        keep(&mut plan);
        assert_eq!(is_local(&prior, &plan), local, "{index}");
        assert_eq!(only_keeps(&prior, &plan), keeps, "{index}");
    }
}

#[test]
fn other_credentials_are_a_cut_over() {
    let mut prior = state(Phase::Verified);
    prior.policy = r#"{"Statement": []}"#.into();
    let cases: [(Change, bool); 8] = [
        (|_| {}, false),
        (|plan| plan.policy = r#"{"Statement":[]}"#.into(), false),
        (|plan| plan.policy = Attr::Null, true),
        (|plan| plan.role_arn = "b".into(), true),
        (|plan| plan.target_role_arn = "b".into(), true),
        (|plan| plan.disable_session_tags = Attr::Known(true), true),
        (
            |plan| {
                if let Attr::Known(trust) = &mut plan.trust {
                    trust.scope = "cluster".into();
                }
            },
            true,
        ),
        (
            |plan| {
                if let Attr::Known(trust) = &mut plan.trust {
                    trust.mode = schema::TRUST_VERIFY.into();
                }
            },
            false,
        ),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut plan = prior.clone();
        change(&mut plan);
        assert_eq!(cuts_over(&prior, &plan), expected, "{index}");
    }
}

#[test]
fn states_before_the_cut_over_tell_what_the_association_has() {
    let prior = state(Phase::Verified);
    let mut plan = prior.clone();
    plan.role_arn = "b".into();
    plan.disable_session_tags = Attr::Known(true);
    plan.trust_policy_before = "before of b".into();
    plan.trust_policy_after = "after of b".into();
    plan.on_destroy = schema::DESTROY_KEEP.into();

    let mut saved = plan.clone();
    before_cut_over(&mut saved, &prior, &prior);
    let expected = Migration {
        on_destroy: plan.on_destroy.clone(),
        ..prior.clone()
    };
    assert_eq!(saved, expected);

    let mut saved = plan.clone();
    before_cut_over(&mut saved, &plan, &prior);
    assert_eq!(saved, plan);
}

#[test]
fn soaking_begins_when_all_pods_were_seen() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut state = Migration::default();
    assert_eq!(remaining_soak(&state, day), day);
    state.verified_at = "2020-01-01T00:00:00Z".into();
    assert_eq!(remaining_soak(&state, day), Duration::ZERO);
    state.verified_at = Attr::Known(rfc3339(OffsetDateTime::now_utc()));
    let left = remaining_soak(&state, day);
    assert!(
        left > day - Duration::from_secs(60) && left <= day,
        "{left:?}"
    );
}

#[test]
fn ignored_blockers_do_not_stop() {
    let findings = [
        Finding::new(Code::Fargate, "a"),
        Finding::new(Code::HostNetwork, "b"),
        Finding::new(Code::Windows, "c"),
    ];
    let mut migration = Migration::default();
    let codes = |migration: &Migration| -> Vec<Code> {
        stopping(&findings, migration)
            .map(|finding| finding.code)
            .collect()
    };
    assert_eq!(codes(&migration), [Code::Fargate, Code::Windows]);
    migration.ignore_blockers = Attr::Known(["fargate"].map(Attr::from).into_iter().collect());
    assert_eq!(codes(&migration), [Code::Windows]);
    // One that is not known yet may be any.
    migration.ignore_blockers = Attr::Unknown;
    assert_eq!(codes(&migration), []);
}

#[test]
fn units_have_ids() {
    let mut migration = Migration::default();
    assert_eq!(Unit::of(&migration), None);
    migration.cluster_name = "demo".into();
    migration.namespace = "payments".into();
    migration.service_account = "api".into();
    assert_eq!(Unit::of(&migration).unwrap().id(), "demo,payments,api");
}

#[test]
fn what_other_migrations_do_to_a_role_is_no_move() {
    let irsa = |subjects: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"{ISSUER}:sub":{subjects}}}}}}}"#
        )
    };
    let document = |statements: &[String]| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            statements.join(",")
        );
        Document::parse(&text).unwrap()
    };
    let own = Subject {
        issuer: OidcIssuer::parse(ISSUER).unwrap(),
        namespace: "a".to_owned(),
        service_account: "own".to_owned(),
    };
    let ours = r#"{"Sid":"PodIdentity0123456789ab","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}"#.to_owned();
    let foreign =
        r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}"#.to_owned();
    let both = irsa(r#"["system:serviceaccount:a:own","system:serviceaccount:a:other"]"#);
    let alone = irsa(r#""system:serviceaccount:a:own""#);
    let other = irsa(r#""system:serviceaccount:a:other""#);
    let before = document(std::slice::from_ref(&both));
    for (now, same) in [
        (document(std::slice::from_ref(&both)), true),
        (document(&[both.clone(), ours.clone()]), true),
        (document(&[alone.clone(), ours]), true),
        (document(&[alone, foreign]), false),
        // Our own subject is gone.
        (document(&[other]), false),
    ] {
        assert_eq!(
            same_but_for_migrations(&before, &now, Some(&own)),
            same,
            "{}",
            now.to_json()
        );
    }
}

#[test]
fn who_relies_on_a_role_is_known_in_this_run() {
    let run = super::ThisRun::default();
    assert!(!run.another_relies("payments", "a"));
    run.rely("payments", "a");
    assert!(!run.another_relies("Payments", "a"));
    assert!(run.another_relies("Payments", "b"));
    run.leave("PAYMENTS", "a");
    assert!(!run.another_relies("payments", "b"));
}
