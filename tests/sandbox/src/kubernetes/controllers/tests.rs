//! Workloads: how they come up, how they are rolled, and how that fails.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::kubernetes::node;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn cluster(settings: Value) -> Cluster {
    let key = ClusterKey {
        account_id: "123456789012".into(),
        region: "us-east-1".into(),
        name: "demo".into(),
    };
    let mut cluster = Cluster::new(key, "ID", String::new(), String::new(), NOW);
    cluster.kubernetes.ensure_namespace("payments", NOW);
    cluster
        .kubernetes
        .set_controllers(serde_json::from_value(settings).unwrap());
    cluster
}

fn workload(kind: &str, replicas: usize, extra: Value) -> Value {
    let mut spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "api"}},
        "template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}}});
    if kind == "DaemonSet" {
        spec.as_object_mut().unwrap().remove("replicas");
    }
    if let (Some(map), Value::Object(extra)) = (spec.as_object_mut(), extra) {
        map.extend(extra);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"namespace": "payments", "name": "api"}, "spec": spec})
}

fn restart(cluster: &mut Cluster, plural: &str, now: OffsetDateTime) {
    let write = Write::by("kubectl-rollout", now);
    cluster
        .kubernetes
        .store
        .modify(built_in(plural), "payments", "api", &write, |object| {
            let annotations = &mut object["spec"]["template"]["metadata"]["annotations"];
            annotations["kubectl.kubernetes.io/restartedAt"] = now.to_string().into();
        });
}

fn pods(cluster: &Cluster) -> Vec<(String, bool)> {
    cluster
        .kubernetes
        .store
        .items(built_in("pods"))
        .map(|p| (string(&p["metadata"]["name"]), is_ready(p)))
        .collect()
}

fn status(cluster: &Cluster, plural: &str) -> Value {
    cluster
        .kubernetes
        .object(plural, "payments", "api")
        .unwrap()["status"]
        .clone()
}

/// The number of pods there were at each change, and the fewest that were ready between the first and the last of `transitions`.
fn fewest_ready(cluster: &mut Cluster, before: usize) -> (usize, usize) {
    let mut ready: BTreeSet<String> = BTreeSet::new();
    let mut all: BTreeSet<String> = BTreeSet::new();
    let (mut fewest, mut most) = (usize::MAX, 0);
    let mut seen = before;
    for transition in cluster.kubernetes.store.take_transitions() {
        if transition.kind.plural != "pods" {
            continue;
        }
        let name = transition.name;
        if transition.what == "deleted" {
            if !ready.remove(&name) {
                seen = seen.saturating_sub(1);
            }
            all.remove(&name);
        } else {
            all.insert(name.clone());
            if is_ready(&transition.object) {
                ready.insert(name);
            }
        }
        fewest = fewest.min(ready.len() + seen);
        most = most.max(all.len());
    }
    (fewest, most)
}

#[test]
fn a_deployment_rolls_one_pod_at_a_time() {
    let mut cluster = cluster(json!({}));
    cluster
        .kubernetes
        .put(workload("Deployment", 3, json!({})), NOW)
        .unwrap();
    cluster.run_controllers(false, NOW);
    let first = pods(&cluster);
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|(_, ready)| *ready));
    cluster.kubernetes.store.take_transitions();
    restart(&mut cluster, "deployments", NOW);
    cluster.run_controllers(false, NOW);
    let second = pods(&cluster);
    assert_eq!(second.len(), 3);
    assert!(
        second.iter().all(|pod| !first.contains(pod)),
        "every pod is new"
    );
    let (fewest, most) = fewest_ready(&mut cluster, 3);
    assert!(
        fewest >= 3,
        "never fewer ready pods than wanted, but {fewest}"
    );
    assert!(most <= 4, "one at a time");
    let status = status(&cluster, "deployments");
    assert_eq!(status["observedGeneration"], 2);
    assert_eq!(
        (&status["updatedReplicas"], &status["availableReplicas"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(status["conditions"][1]["reason"], "NewReplicaSetAvailable");
    let sets = cluster
        .kubernetes
        .store
        .items(built_in("replicasets"))
        .count();
    assert_eq!(sets, 2, "the old ReplicaSet stays for a roll back");
    let pod = cluster
        .kubernetes
        .store
        .items(built_in("pods"))
        .next()
        .unwrap();
    assert_eq!(controller(pod).unwrap()["kind"], "ReplicaSet");
    let write = Write::by("me", NOW);
    cluster
        .kubernetes
        .store
        .delete(
            built_in("deployments"),
            "payments",
            "api",
            &json!({}),
            &write,
        )
        .unwrap();
    cluster.run_controllers(false, NOW);
    assert_eq!(pods(&cluster), [], "what it owned goes with it");
}

#[test]
fn readiness_takes_time_or_reads() {
    let mut timed = cluster(json!({"ready_ms": 100}));
    timed
        .kubernetes
        .put(workload("Deployment", 1, json!({})), NOW)
        .unwrap();
    timed.run_controllers(false, NOW);
    assert!(!pods(&timed)[0].1);
    timed.run_controllers(false, NOW + Duration::milliseconds(99));
    assert!(!pods(&timed)[0].1);
    timed.run_controllers(false, NOW + Duration::milliseconds(100));
    assert!(pods(&timed)[0].1);
    let mut read = cluster(json!({"ready_reads": 2}));
    read.kubernetes
        .put(workload("Deployment", 1, json!({})), NOW)
        .unwrap();
    read.run_controllers(false, NOW);
    for expected in [false, true] {
        read.kubernetes.count_read(built_in("pods"));
        read.run_controllers(false, NOW);
        assert_eq!(pods(&read)[0].1, expected);
    }
}

#[test]
fn a_rollout_that_fails_stops_at_the_first_pod() {
    for failure in ["never_ready", "crash_loop", "pending"] {
        let mut cluster = cluster(json!({}));
        let slow = workload("Deployment", 2, json!({"progressDeadlineSeconds": 5}));
        cluster.kubernetes.put(slow, NOW).unwrap();
        cluster.run_controllers(false, NOW);
        let old = pods(&cluster);
        let behaviour = json!({"workloads": [{"kind": "Deployment", "name": "api", "failure": failure, "when": "pod_identity"}]});
        cluster.kubernetes.controller = serde_json::from_value(behaviour).unwrap();
        restart(&mut cluster, "deployments", NOW);
        cluster.run_controllers(false, NOW);
        assert!(
            pods(&cluster).iter().all(|(_, ready)| *ready),
            "{failure}: not with these credentials"
        );
        let old_names: BTreeSet<String> = pods(&cluster).into_iter().map(|(n, _)| n).collect();
        assert!(old.iter().all(|(name, _)| !old_names.contains(name)));
        cluster.kubernetes.sync_associations(
            BTreeSet::from([("payments".into(), "default".into())]),
            true,
            NOW,
        );
        restart(&mut cluster, "deployments", NOW + Duration::seconds(1));
        cluster.run_controllers(false, NOW + Duration::seconds(1));
        let now = pods(&cluster);
        assert_eq!(now.len(), 3, "{failure}");
        assert_eq!(
            now.iter().filter(|(_, ready)| *ready).count(),
            2,
            "{failure}: the old ones stay"
        );
        cluster.run_controllers(false, NOW + Duration::seconds(7));
        let condition = &status(&cluster, "deployments")["conditions"][1];
        assert_eq!(condition["reason"], "ProgressDeadlineExceeded", "{failure}");
    }
}

#[test]
fn stateful_sets_roll_from_the_last_ordinal() {
    let mut cluster = cluster(json!({}));
    cluster
        .kubernetes
        .put(
            workload("StatefulSet", 3, json!({"serviceName": "api"})),
            NOW,
        )
        .unwrap();
    cluster.run_controllers(false, NOW);
    let names: Vec<String> = pods(&cluster).into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["api-0", "api-1", "api-2"]);
    cluster.kubernetes.store.take_transitions();
    restart(&mut cluster, "statefulsets", NOW);
    cluster.run_controllers(false, NOW);
    let deleted: Vec<String> = cluster
        .kubernetes
        .store
        .take_transitions()
        .into_iter()
        .filter(|t| t.kind.plural == "pods" && t.what == "deleted")
        .map(|t| t.name)
        .collect();
    assert_eq!(deleted, ["api-2", "api-1", "api-0"]);
    let status = status(&cluster, "statefulsets");
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!(
        (
            &status["updatedReplicas"],
            &status["readyReplicas"],
            &status["observedGeneration"]
        ),
        (&json!(3), &json!(3), &json!(2))
    );
}

#[test]
fn daemon_sets_run_on_every_node_and_on_delete_waits() {
    let mut cluster = cluster(json!({}));
    cluster
        .kubernetes
        .put(
            node("windows", &json!({"kubernetes.io/os": "windows"}), true),
            NOW,
        )
        .unwrap();
    cluster
        .kubernetes
        .put(
            node("fargate", &json!({COMPUTE_TYPE: "fargate"}), true),
            NOW,
        )
        .unwrap();
    cluster
        .kubernetes
        .put(
            workload(
                "DaemonSet",
                0,
                json!({"updateStrategy": {"type": "OnDelete"}}),
            ),
            NOW,
        )
        .unwrap();
    cluster.run_controllers(false, NOW);
    let old = pods(&cluster);
    assert_eq!(old.len(), 2, "neither Windows nor Fargate");
    restart(&mut cluster, "daemonsets", NOW);
    cluster.run_controllers(false, NOW);
    assert_eq!(pods(&cluster), old);
    assert_eq!(status(&cluster, "daemonsets")["updatedNumberScheduled"], 0);
    let write = Write::by("me", NOW);
    cluster
        .kubernetes
        .store
        .delete(built_in("pods"), "payments", &old[0].0, &json!({}), &write)
        .unwrap();
    cluster.run_controllers(false, NOW);
    assert_eq!(status(&cluster, "daemonsets")["updatedNumberScheduled"], 1);
    cluster
        .kubernetes
        .store
        .modify(built_in("daemonsets"), "payments", "api", &write, |d| {
            d["spec"]["updateStrategy"] = json!({"type": "RollingUpdate"})
        });
    cluster.run_controllers(false, NOW);
    assert_eq!(status(&cluster, "daemonsets")["updatedNumberScheduled"], 2);
}

#[test]
fn jobs_cron_jobs_and_bare_pods_are_left_alone() {
    let mut cluster = cluster(json!({"workloads": [{"kind": "Job", "succeed_ms": 50}]}));
    let template = json!({"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "payments", "name": "api"}, "spec": {"template": template}});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"namespace": "payments", "name": "nightly"}, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}});
    for object in [job, cron] {
        cluster.kubernetes.put(object, NOW).unwrap();
    }
    cluster.run_controllers(false, NOW);
    assert_eq!(pods(&cluster).len(), 1, "of the Job only");
    let job = status(&cluster, "jobs");
    assert_eq!(job["active"], 1);
    cluster.run_controllers(false, NOW + Duration::milliseconds(60));
    let job = status(&cluster, "jobs");
    assert_eq!(
        (&job["succeeded"], &job["conditions"][0]["type"]),
        (&json!(1), &json!("Complete"))
    );
    assert_eq!(pods(&cluster).len(), 1, "no second run");
}

#[test]
fn fargate_pods_get_a_node_each() {
    let mut cluster = cluster(json!({}));
    let profile = json!({"fargateProfileName": "p", "selectors": [{"namespace": "pay*", "labels": {"app": "api"}}]});
    cluster
        .fargate_profiles
        .insert("p".into(), profile.as_object().unwrap().clone());
    cluster
        .kubernetes
        .put(workload("Deployment", 2, json!({})), NOW)
        .unwrap();
    cluster.run_controllers(false, NOW);
    let fargate = |cluster: &Cluster| {
        let nodes = cluster.kubernetes.store.items(built_in("nodes"));
        nodes
            .filter(|n| node_label(n, COMPUTE_TYPE) == "fargate")
            .count()
    };
    assert_eq!(fargate(&cluster), 2);
    let pod = cluster
        .kubernetes
        .store
        .items(built_in("pods"))
        .next()
        .unwrap();
    assert_eq!(
        pod["metadata"]["labels"]["eks.amazonaws.com/fargate-profile"],
        "p"
    );
    let write = Write::by("me", NOW);
    cluster
        .kubernetes
        .store
        .delete(
            built_in("deployments"),
            "payments",
            "api",
            &json!({}),
            &write,
        )
        .unwrap();
    cluster.run_controllers(false, NOW);
    assert_eq!(fargate(&cluster), 0);
}

#[test]
fn pods_take_their_time_to_end() {
    // How many pods stay and how many are ending, and how many of those are replaced at once.
    for (kind, plural, at_first, late) in [
        ("Deployment", "deployments", (1, 1), 1),
        ("StatefulSet", "statefulsets", (0, 1), 0),
        ("DaemonSet", "daemonsets", (1, 1), 0),
    ] {
        let mut cluster = cluster(json!({"termination_ms": 1000}));
        cluster
            .kubernetes
            .put(workload(kind, 1, json!({})), NOW)
            .unwrap();
        cluster.run_controllers(true, NOW);
        restart(&mut cluster, plural, NOW);
        let counts = |cluster: &mut Cluster, ms: i64| {
            cluster.run_controllers(false, NOW + Duration::milliseconds(ms));
            let pods = cluster.kubernetes.store.items(built_in("pods"));
            let ending: Vec<bool> = pods
                .map(|pod| pod["metadata"]["deletionTimestamp"].is_string())
                .collect();
            let leaving = ending.iter().filter(|ending| **ending).count();
            (ending.len() - leaving, leaving)
        };
        assert_eq!(counts(&mut cluster, 0), at_first, "{kind}");
        assert_eq!(counts(&mut cluster, 999), at_first, "{kind}");
        // A DaemonSet's second pod goes when the first has been replaced.
        for ms in [1000, 2000] {
            counts(&mut cluster, ms);
        }
        assert_eq!(
            counts(&mut cluster, 3000),
            (at_first.0 + at_first.1 - late, 0),
            "{kind}"
        );
        assert!(pods(&cluster).iter().all(|(_, ready)| *ready), "{kind}");
    }
    // Without grace, and where it never ran, a pod is gone at once.
    let mut cluster = cluster(json!({"termination_ms": 1000}));
    cluster
        .kubernetes
        .put(workload("StatefulSet", 1, json!({})), NOW)
        .unwrap();
    cluster.run_controllers(true, NOW);
    let write = Write::by("kubectl", NOW);
    let options = json!({"gracePeriodSeconds": 0});
    let kind = built_in("pods");
    cluster
        .kubernetes
        .store
        .delete(kind, "payments", "api-0", &options, &write)
        .unwrap();
    assert!(
        cluster
            .kubernetes
            .store
            .find(kind, "payments", "api-0")
            .is_none()
    );
}
