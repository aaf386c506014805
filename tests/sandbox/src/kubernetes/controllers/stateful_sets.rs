//! StatefulSets: pods with an ordinal, one after the other.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Index, NewPod, Pod, create_pod, delete_pod, hash, number, set_status, string};
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::{Kubernetes, Surroundings};

/// One step of every StatefulSet.
pub(super) fn reconcile(k: &mut Kubernetes, around: &Surroundings<'_>, now: OffsetDateTime) {
    let sets: Vec<Value> = k.store.items(built_in("statefulsets")).cloned().collect();
    if sets.is_empty() {
        return;
    }
    let index = Index::of(k);
    for set in &sets {
        step(k, around, &index, set, now);
    }
}

fn step(
    k: &mut Kubernetes,
    around: &Surroundings<'_>,
    index: &Index,
    set: &Value,
    now: OffsetDateTime,
) {
    let name = string(&set["metadata"]["name"]);
    let revision = format!("{name}-{}", hash(&set["spec"]["template"]));
    let desired = number(&set["spec"]["replicas"]);
    let pods = &index.owned_or_ending(set);
    let ordinal = |pod: &Pod| {
        pod.name
            .rsplit_once('-')
            .and_then(|(_, n)| n.parse::<usize>().ok())
            .unwrap_or(usize::MAX)
    };
    let parallel = set["spec"]["podManagementPolicy"] == "Parallel";
    for n in 0..desired {
        match pods.iter().find(|p| ordinal(p) == n) {
            Some(pod) if pod.ready || parallel => {}
            Some(_) => break,
            None => {
                let new = NewPod {
                    owner: set,
                    name: Some(format!("{name}-{n}")),
                    labels: vec![
                        ("controller-revision-hash", revision.clone()),
                        ("statefulset.kubernetes.io/pod-name", format!("{name}-{n}")),
                        ("apps.kubernetes.io/pod-index", n.to_string()),
                    ],
                    node: None,
                };
                create_pod(k, around, new, now);
                if !parallel {
                    break;
                }
            }
        }
    }
    for pod in pods.iter().filter(|p| ordinal(p) >= desired && !p.ending) {
        delete_pod(k, pod, now);
    }
    let complete = pods.len() == desired && pods.iter().all(|p| p.ready);
    let strategy = &set["spec"]["updateStrategy"];
    if strategy["type"] != "OnDelete" {
        let partition = number(&strategy["rollingUpdate"]["partition"]);
        let next = pods
            .iter()
            .filter(|p| p.hash != revision && ordinal(p) >= partition && !p.ending)
            .max_by_key(|p| ordinal(p));
        // A broken pod of an old revision may be replaced at any time; a working one only while all others work.
        if let Some(pod) = next.filter(|p| complete || !p.ready) {
            delete_pod(k, pod, now);
        }
    }
    let updated = pods.iter().filter(|p| p.hash == revision).count();
    let ready = pods.iter().filter(|p| p.ready).count();
    let current = match set["status"]["currentRevision"].as_str() {
        Some(old) if updated < desired => old.to_owned(),
        _ => revision.clone(),
    };
    let status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": if current == revision { updated } else { pods.len() - updated },
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    });
    set_status(k, built_in("statefulsets"), set, status, now);
}
