use std::time::Duration;

use crate::framework::model::Attr;
use crate::framework::schema::internal_validate_resource;
use crate::migration::facts::Settings;
use crate::migration::finding::{Code, Finding};
use crate::migration::phase::Phase;
use crate::policy::{Document, OidcIssuer, Subject};

use super::forward::same_but_for_migrations;
use super::plan::{Left, remaining_soak, target};
use super::schema::{self, Migration};
use super::unit::{Unit, stopping};

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

#[test]
fn soaking_begins_when_all_pods_were_seen() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut state = Migration::default();
    assert_eq!(remaining_soak(&state, day), day);
    state.verified_at = "2020-01-01T00:00:00Z".into();
    assert_eq!(remaining_soak(&state, day), Duration::ZERO);
    state.verified_at = Attr::Known(super::forward::timestamp());
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
