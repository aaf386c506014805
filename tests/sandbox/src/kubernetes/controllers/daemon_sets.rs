//! DaemonSets, and the one that the Pod Identity agent's add-on brings.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    AGENT, COMPUTE_TYPE, Index, NewPod, create_pod, delete_pod, hash, is_ready, node_allowed,
    node_label, set_status, string,
};
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::store::Write;
use crate::kubernetes::{Kubernetes, Surroundings};

/// Makes the agent's DaemonSet come and go with the add-on.
pub(super) fn agent(k: &mut Kubernetes, around: &Surroundings<'_>, now: OffsetDateTime) {
    let kind = built_in("daemonsets");
    let write = Write::by("eks", now);
    let found = k.store.find(kind, "kube-system", AGENT);
    let managed =
        found.is_some_and(|d| d["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "eks");
    match (around.agent, found.is_some()) {
        (Some(_), false) => {
            let account = built_in("serviceaccounts");
            let labels = json!({"app.kubernetes.io/name": AGENT, "app.kubernetes.io/instance": AGENT, "app.kubernetes.io/managed-by": "eks"});
            if k.store.find(account, "kube-system", AGENT).is_none() {
                let object = json!({"metadata": {"name": AGENT, "labels": labels}});
                let _ = k.store.create(account, "kube-system", object, &write);
            }
            let not_in = json!({"key": COMPUTE_TYPE, "operator": "NotIn", "values": ["fargate", "hybrid", "auto"]});
            let linux = json!({"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]});
            let set = json!({
                "metadata": {"name": AGENT, "labels": labels},
                "spec": {
                    "selector": {"matchLabels": {"app.kubernetes.io/name": AGENT, "app.kubernetes.io/instance": AGENT}},
                    "template": {"metadata": {"labels": labels}, "spec": {
                        "serviceAccountName": AGENT, "hostNetwork": true, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}],
                        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [linux, not_in]}]}}},
                        "containers": [{"name": AGENT, "image": "602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/eks-pod-identity-agent:v0.1.33", "ports": [{"containerPort": 80, "name": "proxy"}]}],
                    }},
                },
            });
            let _ = k.store.create(kind, "kube-system", set, &write);
        }
        (None, true) if managed => {
            let _ = k
                .store
                .delete(kind, "kube-system", AGENT, &json!({}), &write);
        }
        _ => {}
    }
}

/// One step of every DaemonSet: a pod on every node it may run on, one renewed at a time.
pub(super) fn reconcile(k: &mut Kubernetes, around: &Surroundings<'_>, now: OffsetDateTime) {
    let sets: Vec<Value> = k.store.items(built_in("daemonsets")).cloned().collect();
    if sets.is_empty() {
        return;
    }
    let index = Index::of(k);
    let nodes: Vec<Value> = k.store.items(built_in("nodes")).cloned().collect();
    for set in &sets {
        let spec = &set["spec"]["template"]["spec"];
        let eligible: Vec<String> = nodes
            .iter()
            .filter(|node| {
                node_label(node, COMPUTE_TYPE) != "fargate"
                    && (is_ready(node) || spec["tolerations"].is_array())
                    && (node_label(node, "kubernetes.io/os") != "windows"
                        || spec["nodeSelector"]["kubernetes.io/os"] == "windows")
                    && node_allowed(spec, node)
            })
            .map(|node| string(&node["metadata"]["name"]))
            .collect();
        let revision = hash(&set["spec"]["template"]);
        let pods = &index.owned_or_ending(set);
        for node in &eligible {
            if !pods.iter().any(|p| p.node == *node) {
                let new = NewPod {
                    owner: set,
                    name: None,
                    labels: vec![("controller-revision-hash", revision.clone())],
                    node: Some(node.clone()),
                };
                create_pod(k, around, new, now);
            }
        }
        for pod in pods.iter().filter(|p| !eligible.contains(&p.node)) {
            delete_pod(k, pod, now);
        }
        let complete = pods.len() == eligible.len() && pods.iter().all(|p| p.ready);
        if set["spec"]["updateStrategy"]["type"] != "OnDelete" {
            let next = pods.iter().find(|p| p.hash != revision && !p.ending);
            if let Some(pod) = next.filter(|p| complete || !p.ready) {
                delete_pod(k, pod, now);
            }
        }
        let ready = pods.iter().filter(|p| p.ready).count();
        let mut status = json!({
            "observedGeneration": set["metadata"]["generation"],
            "currentNumberScheduled": pods.len(),
            "desiredNumberScheduled": eligible.len(),
            "numberMisscheduled": 0,
            "numberReady": ready,
            "updatedNumberScheduled": pods.iter().filter(|p| p.hash == revision).count(),
        });
        if ready > 0 {
            status["numberAvailable"] = ready.into();
        }
        if ready < eligible.len() {
            status["numberUnavailable"] = (eligible.len() - ready).into();
        }
        set_status(k, built_in("daemonsets"), set, status, now);
    }
}
