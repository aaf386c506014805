//! Deployments and ReplicaSets.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{
    Index, MANAGER, NewPod, Pod, condition, controller, create_pod, delete_pod, hash, number,
    owner_reference, set_status, string,
};
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::store::Write;
use crate::kubernetes::{Kubernetes, Surroundings};

const REVISION: &str = "deployment.kubernetes.io/revision";

/// One step of every Deployment: it sizes its ReplicaSets so that one pod changes at a time.
pub(super) fn reconcile(k: &mut Kubernetes, _: &Surroundings<'_>, now: OffsetDateTime) {
    let deployments: Vec<Value> = k.store.items(built_in("deployments")).cloned().collect();
    if deployments.is_empty() {
        return;
    }
    let index = Index::of(k);
    for deployment in &deployments {
        step(k, &index, deployment, now);
    }
}

fn step(k: &mut Kubernetes, index: &Index, deployment: &Value, now: OffsetDateTime) {
    let uid = &deployment["metadata"]["uid"];
    let sets: Vec<Value> = k
        .store
        .items(built_in("replicasets"))
        .filter(|set| controller(set).is_some_and(|owner| owner["uid"] == *uid))
        .cloned()
        .collect();
    let hash = hash(&deployment["spec"]["template"]);
    let current = sets
        .iter()
        .find(|set| set["metadata"]["labels"]["pod-template-hash"] == hash);
    let paused = deployment["spec"]["paused"] == true;
    let Some(current) = current else {
        if !paused {
            create_set(k, deployment, &sets, &hash, now);
        }
        return;
    };
    let ready = |set: &Value| index.owned(set).iter().filter(|p| p.ready).count();
    let desired = number(&deployment["spec"]["replicas"]);
    let new = number(&current["spec"]["replicas"]);
    let old_sets: Vec<&Value> = sets
        .iter()
        .filter(|set| set["metadata"]["uid"] != current["metadata"]["uid"])
        .collect();
    let old: usize = old_sets
        .iter()
        .map(|set| number(&set["spec"]["replicas"]))
        .sum();
    let is_up = index.owned(current).len() == new && ready(current) >= new;
    let recreate = deployment["spec"]["strategy"]["type"] == "Recreate";
    let old_pods: usize = old_sets
        .iter()
        .map(|set| {
            if recreate {
                index.owned_or_ending(set).len()
            } else {
                index.owned(set).len()
            }
        })
        .sum();
    let mut resize = |set: &Value, replicas: usize| {
        let write = Write::by(MANAGER, now);
        k.store.modify(
            built_in("replicasets"),
            set["metadata"]["namespace"].as_str().unwrap_or_default(),
            set["metadata"]["name"].as_str().unwrap_or_default(),
            &write,
            |set| set["spec"]["replicas"] = replicas.into(),
        );
    };
    if new > desired {
        resize(current, desired);
    } else if old == 0 && old_pods == 0 {
        if new < desired {
            resize(current, desired);
        }
    } else if recreate && !paused {
        for set in old_sets.iter().filter(|s| s["spec"]["replicas"] != 0) {
            resize(set, 0);
        }
    } else if !paused && is_up {
        if new + old > desired {
            // The old pods that are not ready go first: nobody misses them.
            let shrinking = old_sets
                .iter()
                .filter(|set| number(&set["spec"]["replicas"]) > 0)
                .min_by_key(|set| ready(set));
            if let Some(set) = shrinking {
                resize(set, number(&set["spec"]["replicas"]) - 1);
            }
        } else if new < desired {
            resize(current, new + 1);
        }
    }
    write_status(k, index, deployment, &sets, current, now);
}

fn create_set(
    k: &mut Kubernetes,
    deployment: &Value,
    sets: &[Value],
    hash: &str,
    now: OffsetDateTime,
) {
    let metadata = &deployment["metadata"];
    let name = string(&metadata["name"]);
    let revision = sets
        .iter()
        .filter_map(|set| {
            set["metadata"]["annotations"][REVISION]
                .as_str()?
                .parse::<u64>()
                .ok()
        })
        .max()
        .unwrap_or(0)
        + 1;
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = hash.into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"]["pod-template-hash"] = hash.into();
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{name}-{hash}"), "labels": template["metadata"]["labels"], "ownerReferences": owner_reference(deployment),
            "annotations": {REVISION: revision.to_string(), "deployment.kubernetes.io/desired-replicas": deployment["spec"]["replicas"].to_string()},
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    let namespace = string(&metadata["namespace"]);
    let write = Write::by(MANAGER, now);
    // Refused only for a Deployment whose name leaves no room for the hash.
    let _ = k
        .store
        .create(built_in("replicasets"), &namespace, set, &write);
    k.store
        .modify(built_in("deployments"), &namespace, &name, &write, |d| {
            d["metadata"]["annotations"][REVISION] = revision.to_string().into();
        });
}

fn write_status(
    k: &mut Kubernetes,
    index: &Index,
    deployment: &Value,
    sets: &[Value],
    current: &Value,
    now: OffsetDateTime,
) {
    let desired = number(&deployment["spec"]["replicas"]);
    let pods: Vec<&Pod> = sets.iter().flat_map(|set| index.owned(set)).collect();
    let ready = pods.iter().filter(|p| p.ready).count();
    let updated = index.owned(current).len();
    let updated_ready = index.owned(current).iter().filter(|p| p.ready).count();
    let old = &deployment["status"];
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    for (field, count) in [
        ("replicas", pods.len()),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", pods.len().max(desired) - ready),
    ] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    let set = string(&current["metadata"]["name"]);
    let complete = updated == desired && updated_ready == desired && pods.len() == desired;
    // A quarter of the pods, rounded down, may be missing.
    let available = ready + desired / 4 >= desired;
    let progress = progress(deployment, &set, complete, (updated, updated_ready), now);
    status["conditions"] = json!([
        if available {
            condition(
                old,
                "Available",
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
                now,
            )
        } else {
            condition(
                old,
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
                now,
            )
        },
        progress,
    ]);
    set_status(k, built_in("deployments"), deployment, status, now);
}

/// The Progressing condition. Time without progress is counted from the last change of the pods that count.
fn progress(
    deployment: &Value,
    set: &str,
    complete: bool,
    (updated, ready): (usize, usize),
    now: OffsetDateTime,
) -> Value {
    let old = &deployment["status"];
    if complete {
        let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        return condition(
            old,
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            &message,
            now,
        );
    }
    let message = format!("ReplicaSet \"{set}\" is progressing.");
    let conditions = old["conditions"].as_array();
    let before = conditions
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "Progressing");
    let unchanged = old["observedGeneration"] == deployment["metadata"]["generation"]
        && number(&old["updatedReplicas"]) == updated
        && before.is_some_and(|c| {
            c["message"] == message.as_str() || c["reason"] == "ProgressDeadlineExceeded"
        });
    let since = before
        .and_then(|c| OffsetDateTime::parse(c["lastUpdateTime"].as_str()?, &Rfc3339).ok())
        .filter(|_| unchanged);
    let deadline = deployment["spec"]["progressDeadlineSeconds"]
        .as_i64()
        .unwrap_or(600);
    if since.is_some_and(|since| now - since >= Duration::seconds(deadline))
        || before.is_some_and(|c| unchanged && c["reason"] == "ProgressDeadlineExceeded")
    {
        let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
        return condition(
            old,
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            &message,
            now,
        );
    }
    let mut progress = condition(
        old,
        "Progressing",
        "True",
        "ReplicaSetUpdated",
        &message,
        now,
    );
    let _ = ready;
    if !unchanged {
        progress["lastUpdateTime"] = crate::kubernetes::store::timestamp(now).into();
    }
    progress
}

/// One step of every ReplicaSet: as many pods as it says.
pub(super) fn replica_sets(k: &mut Kubernetes, around: &Surroundings<'_>, now: OffsetDateTime) {
    let sets: Vec<Value> = k.store.items(built_in("replicasets")).cloned().collect();
    if sets.is_empty() {
        return;
    }
    let index = Index::of(k);
    for set in &sets {
        let mut pods: Vec<&Pod> = index.owned(set).iter().collect();
        let desired = number(&set["spec"]["replicas"]);
        for _ in pods.len()..desired {
            let new = NewPod {
                owner: set,
                name: None,
                labels: Vec::new(),
                node: None,
            };
            if !create_pod(k, around, new, now) {
                break;
            }
        }
        // Of too many pods the ones that are not ready go first, then the youngest.
        pods.sort_by(|a, b| (b.ready, &a.created).cmp(&(a.ready, &b.created)));
        for pod in pods.iter().skip(desired) {
            delete_pod(k, pod, now);
        }
        let (count, ready) = (pods.len(), pods.iter().filter(|p| p.ready).count());
        let mut status =
            json!({"observedGeneration": set["metadata"]["generation"], "replicas": count});
        if count > 0 {
            status["fullyLabeledReplicas"] = count.into();
        }
        if ready > 0 {
            status["readyReplicas"] = ready.into();
            status["availableReplicas"] = ready.into();
        }
        set_status(k, built_in("replicasets"), set, status, now);
    }
}
