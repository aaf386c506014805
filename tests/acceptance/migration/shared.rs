//! Scenario 2: many service accounts on one role, migrated at the same time.

use std::collections::BTreeMap;
use std::thread;

use podidentity_sandbox::Fault;
use serde_json::json;

use super::cluster::{Cluster, arn, irsa, subject};
use super::*;

const ROLE: &str = "shared";
const INSTANCES: usize = 10;

fn names() -> Vec<String> {
    (0..INSTANCES).map(|n| format!("app-{n}")).collect()
}

/// Ten service accounts on one role.
fn cluster() -> Cluster {
    let subjects: Vec<String> = names()
        .iter()
        .map(|name| subject("payments", name))
        .collect();
    let mut cluster = Cluster::empty().role(ROLE, json!([irsa(subjects)]));
    for name in names() {
        cluster = cluster
            .service_account("payments", &name, &arn(ROLE))
            .workload("Deployment", "payments", &name, &name, 1);
    }
    cluster
}

fn all(more: &str) -> String {
    with(more)
        .replace(
            "\"this\" {",
            "\"this\" {\n  for_each = toset([for n in range(10) : \"app-${n}\"])",
        )
        .replace("= \"api\"", "= each.key")
}

#[track_caller]
fn expect_all_trusted(case: &Case, what: &str) {
    assert_eq!(trusted(case, ROLE), names(), "{what}: an update was lost");
    assert_eq!(
        ours(case, ROLE).len(),
        1,
        "{what}: one statement for all of them"
    );
    assert_eq!(associations(case).len(), INSTANCES, "{what}");
}

/// Ten instances in one apply, to the end and back. Ten requests at a time change one trust policy.
#[test]
fn s02_ten_instances_in_one_apply() {
    let Some(mut case) = case(&cluster(), all(RETIRE)) else {
        return;
    };
    let before = trust(&case, ROLE);
    case.apply().expect_empty_plan();
    expect_all_trusted(&case, "retired");
    assert_eq!(
        statements(&trust(&case, ROLE)).len(),
        1,
        "all subjects are retired"
    );
    for name in names() {
        assert_eq!(
            paths(&case, &name),
            BTreeMap::from([("pod_identity", 1)]),
            "{name}"
        );
        assert_eq!(
            restarts(&case, "deployments", "payments", &name),
            1,
            "{name}"
        );
    }
    case.destroy();
    let mut after = trust(&case, ROLE);
    let found = after["Statement"][0]["Condition"]["StringEquals"]
        [format!("{}:sub", super::cluster::ISSUER)]
    .as_array_mut()
    .expect("ten subjects");
    found.sort_by_key(|value| value.to_string());
    assert_eq!(after, before);
    for name in names() {
        assert_eq!(
            paths(&case, &name),
            BTreeMap::from([("web_identity", 1)]),
            "{name}"
        );
    }
}

/// Keeps every read of the trust policy apart from the write that follows, so that writes of others come between.
fn slow_writes(case: &mut Case) {
    case.fault(Fault {
        operation: Some("UpdateAssumeRolePolicy".into()),
        latency_ms: 200,
        ..Fault::default()
    });
}

/// Applies again for as long as others have changed the trust policy between the plan and its apply, which stops with what moved.
fn apply_until_it_fits(case: &mut Case) {
    for _ in 0..=3 * INSTANCES {
        let outcome = case.try_apply(&[]);
        if outcome.code == 0 {
            return;
        }
        assert!(
            outcome.report().contains("trust_policy"),
            "{}",
            outcome.report()
        );
    }
    panic!("others have come between far more often than there are others");
}

/// How often the ten are migrated at once; `PODIDENTITY_REPETITIONS` asks for more.
fn repetitions(default: usize) -> usize {
    std::env::var("PODIDENTITY_REPETITIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Ten instances in one apply, again and again; the provider's own lock keeps them apart.
#[test]
fn s02_repeated_in_one_apply() {
    let count = repetitions(40);
    let (mut done, mut transitions) = (0, 0);
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    for round in 0..count {
        // In a new cluster each time: a state of its own is what Terraform has to begin with.
        case.sandbox().reset();
        case.seed(cluster().seed());
        let _ = std::fs::remove_file(case.workspace().path().join("terraform.tfstate"));
        case.config(all("")).apply();
        expect_all_trusted(&case, &format!("round {round}"));
        transitions += case.transitions();
        done += 1;
    }
    eprintln!(
        "repetitions: {done} (ten instances in one apply)\ntransitions checked: {transitions}"
    );
}

/// Ten Terraforms at once, each in a directory of its own and with a provider of its own, which know nothing of each other.
#[test]
fn s02_repeated_in_separate_directories() {
    let count = repetitions(10);
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let others: Vec<Case> = names().iter().map(|_| Case::offline()).collect();
    let mut others: Vec<Case> = others
        .into_iter()
        .zip(names())
        .map(|(mut other, name)| {
            for variable in [
                "AWS_ENDPOINT_URL",
                "AWS_REGION",
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
            ] {
                let value = case.workspace().environment()[variable]
                    .to_str()
                    .unwrap()
                    .to_owned();
                other.environment(variable, &value);
            }
            other.config(case.fill(&with("").replace("\"api\"", &format!("\"{name}\""))));
            other
        })
        .collect();
    let (mut done, mut transitions, mut most_writes) = (0, 0, 0);
    for round in 0..count {
        case.sandbox().reset();
        case.seed(cluster().seed());
        slow_writes(&mut case);
        thread::scope(|scope| {
            let running: Vec<_> = others
                .iter_mut()
                .map(|other| {
                    let _ =
                        std::fs::remove_file(other.workspace().path().join("terraform.tfstate"));
                    scope.spawn(move || apply_until_it_fits(other))
                })
                .collect();
            for thread in running {
                thread.join().unwrap();
            }
        });
        expect_all_trusted(&case, &format!("round {round}"));
        most_writes = most_writes.max(case.calls()["iam:UpdateAssumeRolePolicy"]);
        transitions += case.transitions();
        done += 1;
    }
    assert!(
        most_writes > INSTANCES,
        "nobody came between anybody's read and write: the race did not take place"
    );
    eprintln!(
        "repetitions: {done} (ten separate directories at once, at most {most_writes} writes for ten)\ntransitions checked: {transitions}"
    );
}
