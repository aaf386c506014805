//! Scheduler and kubelet: where pods run, and when they are ready.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    Behaviour, COMPUTE_TYPE, Given, PodFailure, controller, is_ready, node_allowed, node_label,
    string,
};
use crate::kubernetes::admission::FARGATE_PROFILE;
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::store::{Write, timestamp};
use crate::kubernetes::{Kubernetes, Surroundings};

/// When pods came into being, by uid: the time, and the reads counted until then.
pub(in crate::kubernetes) type Births = BTreeMap<String, (OffsetDateTime, u64)>;

const MANAGER: &str = "kubelet";

/// Kind and name of the workload a pod belongs to, a Deployment rather than its ReplicaSet; a pod of its own is its own workload.
fn workload(k: &Kubernetes, pod: &Value) -> (String, String) {
    let Some(owner) = controller(pod) else {
        return ("Pod".into(), string(&pod["metadata"]["name"]));
    };
    let (kind, name) = (string(&owner["kind"]), string(&owner["name"]));
    if kind == "ReplicaSet" {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let set = k.store.find(built_in("replicasets"), namespace, &name);
        if let Some(owner) = set.and_then(controller) {
            return (string(&owner["kind"]), string(&owner["name"]));
        }
    }
    (kind, name)
}

fn given(pod: &Value) -> Given {
    let containers = pod["spec"]["containers"].as_array();
    let defines = |name: &str| {
        containers.into_iter().flatten().any(|c| {
            let env = c["env"].as_array();
            env.into_iter().flatten().any(|e| e["name"] == name)
        })
    };
    if defines("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        Given::PodIdentity
    } else if defines("AWS_WEB_IDENTITY_TOKEN_FILE") {
        Given::WebIdentity
    } else {
        Given::Nothing
    }
}

/// How this pod comes up.
fn behaviour(k: &Kubernetes, pod: &Value) -> Behaviour {
    if k.controller.workloads.is_empty() {
        return Behaviour::default();
    }
    let (kind, name) = workload(k, pod);
    let found = k.controller.workloads.iter().find(|b| {
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w == value);
        is(&b.kind, &kind)
            && is(&b.name, &name)
            && is(
                &b.namespace,
                pod["metadata"]["namespace"].as_str().unwrap_or_default(),
            )
            && b.when.is_none_or(|when| when == given(pod))
            && b.nodes
                .as_ref()
                .is_none_or(|nodes| nodes.iter().any(|n| pod["spec"]["nodeName"] == n.as_str()))
    });
    found.cloned().unwrap_or_default()
}

fn is_over(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
}

/// The pods of the agent run as well as the add-on does.
fn agent_is_broken(pod: &Value, around: &Surroundings<'_>) -> bool {
    around.agent == Some(false)
        && pod["metadata"]["labels"]["app.kubernetes.io/name"] == super::AGENT
        && pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "eks"
}

/// Whether a pod waits for time or reads to pass.
pub(super) fn any_waiting(k: &Kubernetes, around: &Surroundings<'_>) -> bool {
    let pods = k.store.items(built_in("pods"));
    let stays = |pod: &&Value| !is_over(pod) && pod["metadata"]["deletionTimestamp"].is_null();
    pods.filter(stays).any(|pod| {
        let behaviour = behaviour(k, pod);
        let broken = behaviour.failure.is_some() || agent_is_broken(pod, around);
        (!is_ready(pod) && !broken && pod["spec"]["nodeName"].is_string())
            || behaviour.succeed_ms.is_some()
    }) || k
        .store
        .items(built_in("deployments"))
        .any(|d| d["status"]["unavailableReplicas"].as_u64().unwrap_or(0) > 0)
}

pub(super) fn reconcile(
    k: &mut Kubernetes,
    around: &Surroundings<'_>,
    settle: bool,
    now: OffsetDateTime,
) {
    let pods: Vec<Value> = k
        .store
        .items(built_in("pods"))
        .filter(|pod| !is_over(pod) && pod["metadata"]["deletionTimestamp"].is_null())
        .cloned()
        .collect();
    let uids: Vec<&str> = pods
        .iter()
        .filter_map(|p| p["metadata"]["uid"].as_str())
        .collect();
    if k.births.len() > 2 * uids.len() + 64 {
        k.births.retain(|uid, _| uids.contains(&uid.as_str()));
    }
    for pod in &pods {
        if pod["spec"]["nodeName"].is_null() {
            schedule(k, pod, now);
        } else {
            advance(k, around, pod, settle, now);
        }
    }
    remove_fargate_nodes(k, &pods, now);
}

fn schedule(k: &mut Kubernetes, pod: &Value, now: OffsetDateTime) {
    let (namespace, name) = (
        string(&pod["metadata"]["namespace"]),
        string(&pod["metadata"]["name"]),
    );
    let write = Write::by("kube-scheduler", now);
    let pods = built_in("pods");
    let pending = behaviour(k, pod).failure == Some(PodFailure::Pending);
    let node = if pending {
        None
    } else if pod["metadata"]["labels"][FARGATE_PROFILE].is_string() {
        Some(fargate_node(k, now))
    } else {
        let load = |node: &str| {
            k.store
                .items(pods)
                .filter(|p| p["spec"]["nodeName"] == node)
                .count()
        };
        k.store
            .items(built_in("nodes"))
            .filter(|node| {
                node_label(node, COMPUTE_TYPE) != "fargate"
                    && is_ready(node)
                    && node["spec"]["unschedulable"] != true
                    && (node_label(node, "kubernetes.io/os") != "windows"
                        || pod["spec"]["nodeSelector"]["kubernetes.io/os"] == "windows")
                    && node_allowed(&pod["spec"], node)
            })
            .map(|node| string(&node["metadata"]["name"]))
            .min_by_key(|node| load(node))
    };
    let condition = |status: &str, extra: Value| {
        let mut condition =
            json!({"type": "PodScheduled", "status": status, "lastTransitionTime": timestamp(now)});
        if let (Some(map), Value::Object(extra)) = (condition.as_object_mut(), extra) {
            map.extend(extra);
        }
        json!([condition])
    };
    match node {
        Some(node) => {
            k.store.modify(pods, &namespace, &name, &write, |pod| {
                pod["spec"]["nodeName"] = node.into();
            });
            k.store.modify(pods, &namespace, &name, &write.status(), |pod| {
                pod["status"] = json!({"phase": "Pending", "qosClass": "BestEffort", "conditions": condition("True", json!({}))});
            });
        }
        None if pod["status"]["conditions"].is_null() => {
            let why = json!({"reason": "Unschedulable", "message": "0/0 nodes are available: no node matches the pod's node selector and affinity"});
            k.store.modify(pods, &namespace, &name, &write.status(), |pod| {
                pod["status"] = json!({"phase": "Pending", "qosClass": "BestEffort", "conditions": condition("False", why)});
            });
        }
        None => {}
    }
}

/// Fargate runs each pod on a node of its own.
fn fargate_node(k: &mut Kubernetes, now: OffsetDateTime) -> String {
    let random = k.store.ids().next();
    let name = format!(
        "fargate-ip-10-0-{}-{}.ec2.internal",
        64 + random % 64,
        random / 64 % 256
    );
    let node = super::super::node(&name, &json!({COMPUTE_TYPE: "fargate"}), true);
    let write = Write::by("eks", now);
    // Of two pods that draw the same name both run there; nobody depends on it.
    let _ = k.store.create(built_in("nodes"), "", node, &write);
    name
}

fn remove_fargate_nodes(k: &mut Kubernetes, pods: &[Value], now: OffsetDateTime) {
    let nodes: Vec<String> = k
        .store
        .items(built_in("nodes"))
        .filter(|node| node_label(node, COMPUTE_TYPE) == "fargate")
        .map(|node| string(&node["metadata"]["name"]))
        .filter(|name| name.starts_with("fargate-ip-10-0-"))
        .filter(|name| {
            // A pod scheduled in this round is not in the list yet.
            !pods.iter().any(|p| p["spec"]["nodeName"] == name.as_str())
                && !k
                    .store
                    .items(built_in("pods"))
                    .any(|p| p["spec"]["nodeName"] == name.as_str())
        })
        .collect();
    for name in nodes {
        let write = Write::by("eks", now);
        let _ = k
            .store
            .delete(built_in("nodes"), "", &name, &json!({}), &write);
    }
}

fn advance(
    k: &mut Kubernetes,
    around: &Surroundings<'_>,
    pod: &Value,
    settle: bool,
    now: OffsetDateTime,
) {
    let behaviour = behaviour(k, pod);
    let uid = string(&pod["metadata"]["uid"]);
    let reads = k.reads;
    let (born, read) = *k.births.entry(uid).or_insert((now, reads));
    let age = (now - born).whole_milliseconds();
    let due = settle
        || (age >= i128::from(behaviour.ready_ms.unwrap_or(k.controller.ready_ms))
            && reads - read >= behaviour.ready_reads.unwrap_or(k.controller.ready_reads));
    let broken = agent_is_broken(pod, around);
    let failure = behaviour
        .failure
        .or_else(|| broken.then_some(PodFailure::CrashLoop));
    let succeeded = behaviour.succeed_ms.is_some_and(|ms| age >= i128::from(ms))
        && controller(pod).is_some_and(|o| o["kind"] == "Job");
    if is_ready(pod) && failure.is_none() && !succeeded {
        return;
    }
    let status = match failure {
        _ if succeeded => status_of(pod, Stage::Succeeded, now),
        Some(PodFailure::Pending) => return,
        Some(PodFailure::NeverReady) => status_of(pod, Stage::Running(false), now),
        Some(PodFailure::CrashLoop) => status_of(pod, Stage::CrashLoop, now),
        None if due => status_of(pod, Stage::Running(true), now),
        None => return,
    };
    if pod["status"] != status {
        let write = Write::by(MANAGER, now).status();
        k.store.modify(
            built_in("pods"),
            pod["metadata"]["namespace"].as_str().unwrap_or_default(),
            pod["metadata"]["name"].as_str().unwrap_or_default(),
            &write,
            |pod| pod["status"] = status,
        );
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Running(bool),
    CrashLoop,
    Succeeded,
}

fn status_of(pod: &Value, stage: Stage, now: OffsetDateTime) -> Value {
    let old = &pod["status"];
    let time = timestamp(now);
    let ready = stage == Stage::Running(true);
    let start = match &old["startTime"] {
        Value::Null => time.clone().into(),
        start => start.clone(),
    };
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        let conditions = old["conditions"].as_array();
        let before = conditions
            .into_iter()
            .flatten()
            .find(|c| c["type"] == kind && c["status"] == status);
        let since = before.map_or_else(|| time.clone().into(), |c| c["lastTransitionTime"].clone());
        let mut condition = json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since});
        if !holds && kind != "Initialized" {
            condition["reason"] = "ContainersNotReady".into();
        }
        condition
    };
    let containers = pod["spec"]["containers"].as_array();
    let statuses: Vec<Value> = containers
        .into_iter()
        .flatten()
        .map(|container| {
            let state = match stage {
                Stage::Running(_) => json!({"running": {"startedAt": start}}),
                Stage::CrashLoop => json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}),
                Stage::Succeeded => json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
            };
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "ready": ready, "started": stage != Stage::CrashLoop,
                "restartCount": if stage == Stage::CrashLoop { 5 } else { 0 }, "state": state, "lastState": {},
            })
        })
        .collect();
    json!({
        "phase": if stage == Stage::Succeeded { "Succeeded" } else { "Running" },
        "qosClass": "BestEffort",
        "startTime": start,
        "podIP": "10.0.0.1",
        "conditions": [
            condition("Initialized", true),
            condition("Ready", ready),
            condition("ContainersReady", ready),
            condition("PodScheduled", true),
        ],
        "containerStatuses": statuses,
    })
}
