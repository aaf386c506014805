//! What reports and totals say.

use super::*;

/// What autoscalers, Jobs and CronJobs do between two plans changes no output of the report.
#[test]
fn the_report_is_the_same_while_pods_come_and_go() {
    let mut world = World::new();
    world
        .irsa("a", "api", "one")
        .role("one", &[subject("api"), pod_identity()]);
    world.pods("a", "api", &[PodCredentials::WebIdentity], Restart::Rolling);
    let by_hand = |world: &mut World, kind: &str, name: &str, pods: usize| {
        let id = WorkloadId {
            kind: kind.into(),
            name: name.into(),
        };
        let namespace = world.namespace("a");
        namespace.workloads.push(WorkloadFacts {
            id: id.clone(),
            service_account: "api".into(),
            restart: Restart::Manual("its pods end by themselves".into()),
            ..WorkloadFacts::default()
        });
        namespace.pods.extend((0..pods).map(|n| PodFacts {
            name: format!("{name}-{n}"),
            service_account: "api".into(),
            workload: id.clone(),
            credentials: PodCredentials::WebIdentity,
            ..PodFacts::default()
        }));
    };
    by_hand(&mut world, "CronJob", "nightly", 0);
    let before = world.all();
    let text = report::markdown(&before);
    assert!(
        text.contains("Deployment `api`") && text.contains("CronJob `nightly`"),
        "{text}"
    );

    // The Deployment is scaled, the CronJob runs, and somebody starts two Jobs and a pod.
    let more = world.namespace("a").pods[0].clone();
    world.namespace("a").pods.extend((2..5).map(|n| PodFacts {
        name: format!("api-{n}"),
        ..more.clone()
    }));
    let nightly = PodFacts {
        name: "nightly-0".into(),
        workload: WorkloadId {
            kind: "CronJob".into(),
            name: "nightly".into(),
        },
        ..more
    };
    world.namespace("a").pods.push(nightly);
    by_hand(&mut world, "Job", "import-1", 1);
    by_hand(&mut world, "Job", "import-2", 2);
    by_hand(&mut world, "Pod", "debug", 1);
    let after = world.all();
    assert_eq!(report::markdown(&after), text);
    let entry = find(&after, "a/api");
    assert_eq!(entry.findings, find(&before, "a/api").findings);
    let workloads: Vec<(&str, &str, usize)> = entry
        .workloads
        .iter()
        .map(|workload| {
            (
                workload.id.kind.as_str(),
                workload.id.name.as_str(),
                workload.pods,
            )
        })
        .collect();
    assert_eq!(
        workloads,
        [
            ("CronJob", "nightly", 1),
            ("Deployment", "api", 4),
            ("Job", "", 3),
            ("Pod", "", 1)
        ]
    );
}

#[test]
fn roles_are_counted_after_their_annotations_are_retired() {
    let mut world = World::new();
    let noted = json!({"annotations": {ROLE_ARN: arn("one")}}).to_string();
    world
        .account("a", "api", &[(BREADCRUMB, &noted)])
        .account("a", "web", &[(BREADCRUMB, &noted)])
        .account("a", "leftover", &[])
        .role(
            "one",
            &[
                subject("api"),
                subject("web"),
                subject("leftover"),
                pod_identity(),
            ],
        );
    for name in ["api", "web"] {
        world.pods("a", name, &[PodCredentials::PodIdentity], Restart::Rolling);
        world.associate("a", name, "one", true);
    }
    let found = world.all();
    let totals = Totals::of(&found.entries);
    assert_eq!(
        totals,
        Totals {
            service_accounts: 3,
            migratable: 2,
            migrated: 2,
            trust_only: 1,
            without_annotation: 3,
            roles: 1,
            shared_roles: 1,
            pods: 2,
            pods_on_pod_identity: 2,
            ..Totals::default()
        }
    );
    assert_eq!(find(&found, "a/api").shared_with, ["a/leftover", "a/web"]);
}
