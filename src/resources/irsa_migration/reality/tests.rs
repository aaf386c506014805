use crate::aws::facts::ClusterInfo;

use super::*;

const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/D539D4633E53DE1B716D3041E9F0A2B7";
const NOW: i64 = 1_800_000_000;

pub(in crate::resources::irsa_migration) fn pod(
    name: &str,
    kind: &str,
    credentials: PodCredentials,
) -> PodFacts {
    PodFacts {
        name: name.to_owned(),
        service_account: "api".to_owned(),
        workload: WorkloadId {
            kind: kind.to_owned(),
            name: "web".to_owned(),
        },
        credentials,
        ready: true,
        created: NOW - 600,
        ..PodFacts::default()
    }
}

pub(in crate::resources::irsa_migration) fn reality(pods: Vec<PodFacts>, trust: &str) -> Reality {
    let cluster = ClusterInfo {
        arn: "arn:aws:eks:us-east-1:123456789012:cluster/demo".to_owned(),
        oidc_issuer: Some(format!("https://{ISSUER}")),
        ..ClusterInfo::default()
    };
    let role = RoleInfo {
        name: "api".to_owned(),
        arn: "arn:aws:iam::123456789012:role/api".to_owned(),
        assume_role_policy: trust.to_owned(),
        ..RoleInfo::default()
    };
    let deployment = WorkloadFacts {
        id: WorkloadId {
            kind: "Deployment".to_owned(),
            name: "web".to_owned(),
        },
        service_account: "api".to_owned(),
        restart: Restart::Rolling,
        ..WorkloadFacts::default()
    };
    Reality {
        unit: Unit {
            cluster: "demo".to_owned(),
            namespace: "payments".to_owned(),
            service_account: "api".to_owned(),
        },
        cluster: Arc::new(ClusterFacts {
            cluster: Arc::new(cluster),
            ..ClusterFacts::default()
        }),
        namespace: Arc::new(NamespaceFacts {
            service_accounts: [("api".to_owned(), ServiceAccountFacts::default())].into(),
            workloads: vec![deployment],
            pods,
            ..NamespaceFacts::default()
        }),
        association: Some(AssociationFacts {
            id: "a-1".to_owned(),
            role_arn: role.arn.clone(),
            ..AssociationFacts::default()
        }),
        role: RoleFacts::Found(Arc::new(role)),
        breadcrumb: None,
        policies: None,
        target: None,
        trust_quota: None,
        associations_in_cluster: None,
        node_roles: BTreeSet::new(),
    }
}

fn well() -> PodFacts {
    pod("web-1", "Deployment", PodCredentials::PodIdentity)
}

#[test]
fn what_keeps_irsa_from_being_retired() {
    let unready = |kind| PodFacts {
        ready: false,
        ..pod("web-1", kind, PodCredentials::PodIdentity)
    };
    let restarted = |at| PodFacts {
        last_restart: Some(at),
        ..well()
    };
    for (pods, expected) in [
        (vec![], &[][..]),
        (vec![well()], &[]),
        (vec![unready("Deployment")], &["web-1 is not ready"]),
        // It is about to end, one way or the other.
        (vec![unready("Job")], &[]),
        (
            vec![PodFacts {
                terminating: true,
                ..unready("Deployment")
            }],
            &[],
        ),
        (vec![restarted(NOW)], &[]),
        (vec![restarted(NOW + 1)], &["web-1 was restarted"]),
        (
            vec![pod("shell", "Pod", PodCredentials::None), well()],
            &["shell has no AWS credentials"],
        ),
        (
            vec![pod("job-1", "Job", PodCredentials::WebIdentity)],
            &["job-1 has those of IRSA"],
        ),
    ] {
        assert_eq!(reality(pods, "{}").unwell(NOW), expected);
    }
}

#[test]
fn a_soak_begins_anew_when_pods_are_restarted_or_left_behind() {
    let before = NOW - 7200;
    let restarted = PodFacts {
        last_restart: Some(NOW - 60),
        ..well()
    };
    let left = pod("web-2", "Deployment", PodCredentials::WebIdentity);
    for (pods, phase, known, expected) in [
        (vec![well()], Phase::RolledOut, None, None),
        (vec![well()], Phase::Verified, None, Some(NOW)),
        (vec![well()], Phase::Verified, Some(before), Some(before)),
        (
            vec![restarted.clone()],
            Phase::Verified,
            Some(before),
            Some(NOW - 60),
        ),
        (
            vec![well(), left.clone()],
            Phase::Verified,
            Some(before),
            None,
        ),
        // What is over is over, but more may be retired later: pods that were restarted since were not well all the time.
        (
            vec![well(), left.clone()],
            Phase::Retired,
            Some(before),
            Some(before),
        ),
        (
            vec![restarted, left],
            Phase::Retired,
            Some(before),
            Some(NOW - 60),
        ),
    ] {
        assert_eq!(
            reality(pods, "{}").verified_since(phase, known, NOW),
            expected,
            "{phase}"
        );
    }
}

#[test]
fn pods_that_were_there_before_a_change_are_outdated() {
    let young = PodFacts {
        created: NOW + 1,
        ..well()
    };
    let daemon = pod("logs-1", "DaemonSet", PodCredentials::Partly);
    let irsa = pod("web-2", "Deployment", PodCredentials::WebIdentity);
    let reality = reality(vec![well(), young, daemon, irsa], "{}");
    let names = |restart| -> Vec<&str> {
        let outdated = reality.outdated(NOW, restart);
        outdated.iter().map(|pod| pod.name.as_str()).collect()
    };
    assert_eq!(names(false), ["web-1", "logs-1"]);
    // The Deployment is restarted; the DaemonSet is not one that is.
    assert_eq!(names(true), ["logs-1"]);
}

#[test]
fn drift_is_told_with_what_it_means() {
    let pods_statement = r#"{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}"#;
    let irsa = format!(
        r#"{{"Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"{ISSUER}:sub":"system:serviceaccount:payments:api"}}}}}}"#
    );
    let policy = |statements: &[&str]| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            statements.join(",")
        )
    };
    let all = Settings {
        retire_annotation: true,
        retire_trust: true,
        ..Settings::default()
    };
    let annotation_only = Settings {
        retire_trust: false,
        ..all.clone()
    };
    let both = policy(&[pods_statement, &irsa]);
    let stray = pod("web-2", "Deployment", PodCredentials::None);
    for (pods, trust, settings, phase, known, expected) in [
        (
            vec![well()],
            &both,
            &annotation_only,
            Phase::Retired,
            Phase::Retired,
            &[][..],
        ),
        (
            vec![well()],
            &policy(&[pods_statement]),
            &all,
            Phase::Retired,
            Phase::Retired,
            &[],
        ),
        (
            vec![well()],
            &both,
            &all,
            Phase::Verified,
            Phase::Verified,
            &[],
        ),
        (
            vec![well()],
            &both,
            &all,
            Phase::Retired,
            Phase::Retired,
            &["trusts the OIDC subject of it again", "role/api"],
        ),
        (
            vec![well()],
            &policy(&[&irsa]),
            &all,
            Phase::NotStarted,
            Phase::Verified,
            &[
                "new pods get no credentials",
                "Apply now",
                "merge_trust_policy",
            ],
        ),
        (
            vec![well(), stray],
            &both,
            &all,
            Phase::Verified,
            Phase::Verified,
            &["web-2 (Deployment web, has no AWS credentials)"],
        ),
    ] {
        let mut diagnostics = Diagnostics::new();
        warn_of_drift(
            &reality(pods, trust),
            phase,
            known,
            settings,
            &mut diagnostics,
        );
        let text: Vec<&str> = diagnostics.iter().map(|d| d.detail.as_str()).collect();
        assert_eq!(text.len(), usize::from(!expected.is_empty()), "{text:?}");
        for part in expected {
            assert!(text[0].contains(part), "{part}: {text:?}");
        }
    }
}
