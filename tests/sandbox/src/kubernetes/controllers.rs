//! The controllers of a cluster: they turn workloads into pods, roll them when their template changes, and make pods ready.
//!
//! Nothing happens by itself: the sandbox runs them after every request and, while something is due, a few times a second. Without seeded
//! delays a rollout is complete when the request that started it has been answered; still it goes one pod at a time, each of them seen
//! by watches and by the check of credentials.

mod daemon_sets;
mod deployments;
mod jobs;
mod pods;
mod stateful_sets;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::kinds::{Kind, built_in};
use super::store::Write;
use super::{Kubernetes, Surroundings, selector};

pub(super) use self::pods::Births;

/// Name of the add-on and of its DaemonSet.
pub(crate) const AGENT: &str = "eks-pod-identity-agent";
const MANAGER: &str = "kube-controller-manager";
/// Rounds after which a cluster that does not come to rest is left as it is.
const ROUNDS: usize = 100_000;

/// How workloads come up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Milliseconds until a new pod is ready.
    pub(crate) ready_ms: u64,
    /// Reads of pods or workloads until a new pod is ready.
    pub(crate) ready_reads: u64,
    /// Milliseconds that a deleted pod takes to end.
    pub(crate) termination_ms: u64,
    /// Exceptions; the first that matches holds.
    pub(crate) workloads: Vec<Behaviour>,
}

/// How the pods of some workloads come up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// Kind of the workload, such as `Deployment`, or `Pod`.
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    /// Nodes it is about.
    nodes: Option<Vec<String>>,
    /// Credentials that the pod has been given.
    when: Option<Given>,
    ready_ms: Option<u64>,
    ready_reads: Option<u64>,
    failure: Option<PodFailure>,
    /// Milliseconds until the pods of a Job have succeeded; without it they run for ever.
    succeed_ms: Option<u64>,
}

/// Which environment the webhook has injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    PodIdentity,
    WebIdentity,
    Nothing,
}

/// How a pod fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PodFailure {
    NeverReady,
    CrashLoop,
    /// It stays Pending, as if no node had room.
    Pending,
}

/// What the controllers need to know of a pod.
#[derive(Clone, Debug)]
struct Pod {
    namespace: String,
    name: String,
    node: String,
    hash: String,
    /// Ready, and not about to end.
    ready: bool,
    succeeded: bool,
    ending: bool,
    created: String,
}

/// The pods of a cluster by the uid of their controller: those that stay, and after them in `all` those that are ending.
struct Index {
    pods: BTreeMap<String, Vec<Pod>>,
    ending: BTreeMap<String, Vec<Pod>>,
}

impl Index {
    fn of(k: &Kubernetes) -> Self {
        let (mut pods, mut leaving) = (BTreeMap::new(), BTreeMap::new());
        for object in k.store.items(built_in("pods")) {
            let Some(owner) = controller(object) else {
                continue;
            };
            let metadata = &object["metadata"];
            let labels = &metadata["labels"];
            let hash = ["controller-revision-hash", "pod-template-hash"]
                .iter()
                .find_map(|l| labels[*l].as_str())
                .unwrap_or_default();
            let owner = string(&owner["uid"]);
            let ending = metadata["deletionTimestamp"].is_string();
            let list = if ending { &mut leaving } else { &mut pods };
            let list: &mut Vec<Pod> = list.entry(owner).or_default();
            list.push(Pod {
                namespace: string(&metadata["namespace"]),
                name: string(&metadata["name"]),
                node: string(&object["spec"]["nodeName"]),
                hash: hash.into(),
                ready: is_ready(object) && !ending,
                ending,
                succeeded: object["status"]["phase"] == "Succeeded",
                created: string(&metadata["creationTimestamp"]),
            });
        }
        Self {
            pods,
            ending: leaving,
        }
    }

    /// The pods of an owner, those that are ending included: for owners that put nothing in a pod's place before it is gone.
    fn owned_or_ending(&self, owner: &Value) -> Vec<Pod> {
        let uid = owner["metadata"]["uid"].as_str().unwrap_or_default();
        let ending = self.ending.get(uid).into_iter().flatten();
        self.owned(owner).iter().chain(ending).cloned().collect()
    }

    /// The pods of an owner that stay.
    fn owned(&self, owner: &Value) -> &[Pod] {
        owner["metadata"]["uid"]
            .as_str()
            .and_then(|uid| self.pods.get(uid))
            .map_or(&[], Vec::as_slice)
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The owner that controls an object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true)
}

/// Whether a pod's Ready condition is true.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Runs all controllers until nothing is left to do now. With `settle`, new pods are ready at once.
pub(crate) fn run(
    k: &mut Kubernetes,
    around: &Surroundings<'_>,
    settle: bool,
    now: OffsetDateTime,
) {
    if k.at_rest == Some((k.store.revision(), around.agent)) && !settle {
        return;
    }
    for _ in 0..ROUNDS {
        let before = k.store.revision();
        k.store.reap(settle, now);
        daemon_sets::agent(k, around, now);
        deployments::reconcile(k, around, now);
        deployments::replica_sets(k, around, now);
        stateful_sets::reconcile(k, around, now);
        daemon_sets::reconcile(k, around, now);
        jobs::reconcile(k, around, now);
        pods::reconcile(k, around, settle, now);
        if k.store.revision() == before {
            break;
        }
    }
    let waiting = pods::any_waiting(k, around) || k.store.has_ending();
    k.at_rest = (!waiting).then(|| (k.store.revision(), around.agent));
}

/// A short name of a pod template, the same for the same template.
fn hash(template: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in template.to_string().bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let length = ALPHABET.len() as u64;
    (0..10)
        .map(|_| {
            let letter = ALPHABET[(state % length) as usize];
            state /= length;
            char::from(letter)
        })
        .collect()
}

fn owner_reference(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// Who is to be asked for a pod and what it shall be.
struct NewPod<'a> {
    owner: &'a Value,
    /// Without it a name is generated from the owner's.
    name: Option<String>,
    labels: Vec<(&'a str, String)>,
    node: Option<String>,
}

/// Creates a pod from the template of its owner. That it is refused, say for want of its service account, shows in the missing pod.
fn create_pod(
    k: &mut Kubernetes,
    around: &Surroundings<'_>,
    new: NewPod<'_>,
    now: OffsetDateTime,
) -> bool {
    let NewPod {
        owner,
        name,
        labels,
        node,
    } = new;
    let template = &owner["spec"]["template"];
    let namespace = string(&owner["metadata"]["namespace"]);
    let mut metadata = json!({"namespace": namespace, "ownerReferences": owner_reference(owner)});
    for field in ["labels", "annotations"] {
        if template["metadata"][field].is_object() {
            metadata[field] = template["metadata"][field].clone();
        }
    }
    for (label, value) in labels {
        metadata["labels"][label] = value.into();
    }
    match name {
        Some(name) => metadata["name"] = name.into(),
        None => {
            let prefix = format!("{}-", string(&owner["metadata"]["name"]));
            metadata["generateName"] = prefix.into();
        }
    }
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
    if let Some(node) = node {
        pod["spec"]["nodeName"] = node.into();
    }
    let write = Write::by(MANAGER, now);
    k.create(built_in("pods"), &namespace, pod, around, &write)
        .is_ok()
}

fn delete_pod(k: &mut Kubernetes, pod: &Pod, now: OffsetDateTime) {
    let write = Write::by(MANAGER, now);
    // It was in the index a moment ago; if it is gone, so much the better.
    let _ = k.store.delete(
        built_in("pods"),
        &pod.namespace,
        &pod.name,
        &json!({}),
        &write,
    );
}

/// Puts a new status in place of the old one; the same status changes nothing.
fn set_status(
    k: &mut Kubernetes,
    kind: &'static Kind,
    object: &Value,
    status: Value,
    now: OffsetDateTime,
) {
    if object["status"] == status {
        return;
    }
    let metadata = &object["metadata"];
    let write = Write::by(MANAGER, now).status();
    k.store.modify(
        kind,
        metadata["namespace"].as_str().unwrap_or_default(),
        metadata["name"].as_str().unwrap_or_default(),
        &write,
        |object| object["status"] = status,
    );
}

fn number(value: &Value) -> usize {
    value
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
}

/// A condition; its times change only with its status or, for the update, its content.
fn condition(
    old: &Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: OffsetDateTime,
) -> Value {
    let time = super::store::timestamp(now);
    let conditions = old["conditions"].as_array();
    let before = conditions.into_iter().flatten().find(|c| c["type"] == kind);
    let kept = |field: &str, same: bool| match before {
        Some(condition) if same => condition[field].clone(),
        _ => time.clone().into(),
    };
    let same_status = before.is_some_and(|c| c["status"] == status);
    let same =
        same_status && before.is_some_and(|c| c["reason"] == reason && c["message"] == message);
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastUpdateTime": kept("lastUpdateTime", same), "lastTransitionTime": kept("lastTransitionTime", same_status),
    })
}

/// Whether a node selector allows a node.
fn node_allowed(spec: &Value, node: &Value) -> bool {
    selector::matches(
        &json!({"matchLabels": spec["nodeSelector"]}),
        &node["metadata"]["labels"],
    ) && selector_terms(spec, node)
}

/// The required node affinity, as far as it names labels.
fn selector_terms(spec: &Value, node: &Value) -> bool {
    let terms = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"];
    terms.as_array().is_none_or(|terms| {
        terms
            .iter()
            .any(|term| selector::matches(term, &node["metadata"]["labels"]))
    })
}

/// A label of a node.
pub(crate) fn node_label<'n>(node: &'n Value, label: &str) -> &'n str {
    node["metadata"]["labels"]
        .get(label)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Label that tells Fargate, hybrid and Auto Mode nodes.
pub(crate) const COMPUTE_TYPE: &str = "eks.amazonaws.com/compute-type";

#[cfg(test)]
mod tests;
