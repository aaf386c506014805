//! The Kubernetes API of one cluster.
//!
//! A kind is a row in [`kinds::KINDS`] or a CustomResourceDefinition; everything generic (lists, pages, patches, conflicts, watches,
//! tables) follows from it. New pods go through [`admission`], workloads through [`controllers`].

pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod controllers;
mod defaults;
pub(crate) mod direct;
mod discovery;
mod failure;
pub(crate) mod front;
pub(crate) mod kinds;
mod lists;
mod managed_fields;
mod patch;
mod protobuf;
mod requests;
pub(crate) mod selector;
pub(crate) mod store;
mod subresources;
mod table;
pub(crate) mod tokens;
mod validation;
mod watch;
pub(crate) mod webhook;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use self::access::Access;
use self::controllers::Births;
use self::kinds::{Kind, built_in};
use self::store::{Failure, Store, Write};
use self::webhook::{Account, Webhook};

/// Objects, access rules and inner workings of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Kubernetes {
    pub(crate) store: Store,
    pub(crate) access: Access,
    pub(crate) webhook: Webhook,
    pub(crate) controller: controllers::Settings,
    births: Births,
    /// Reads of pods and workloads so far.
    reads: u64,
    /// Revision and state of the agent's add-on at which the controllers had nothing left to do.
    at_rest: Option<(u64, Option<bool>)>,
}

/// What an API server's webhook knows of a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    /// Whether it has an association.
    pub(crate) associated: bool,
    /// Its annotations.
    pub(crate) annotations: Value,
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What the Kubernetes side sees of the cluster around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) region: &'a str,
    /// Fargate profiles by name.
    pub(crate) fargate: &'a BTreeMap<String, Map<String, Value>>,
    /// Whether the agent's add-on works; `None` without the add-on.
    pub(crate) agent: Option<bool>,
    pub(crate) issuer: &'a str,
}

/// How long nodes have been there unless a seed says otherwise.
pub(crate) const NODE_AGE: time::Duration = time::Duration::HOUR;

/// A Node object.
pub(crate) fn node(name: &str, labels: &Value, ready: bool) -> Value {
    let mut all = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "us-east-1a",
    });
    if let (Some(map), Some(labels)) = (all.as_object_mut(), labels.as_object()) {
        map.extend(labels.clone());
    }
    if all["kubernetes.io/os"] != "linux" {
        all["beta.kubernetes.io/os"] = all["kubernetes.io/os"].clone();
    }
    let os = all["kubernetes.io/os"].clone();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": all},
        "spec": {"providerID": format!("aws:///us-east-1a/i-{name}")},
        "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "reason": "KubeletReady", "message": ""}],
            "addresses": [{"type": "Hostname", "address": name}],
            "nodeInfo": {
                "kubeletVersion": "v1.33.0-eks-sandbox", "kubeProxyVersion": "v1.33.0-eks-sandbox", "operatingSystem": os, "architecture": "amd64",
                "osImage": "Amazon Linux 2023", "kernelVersion": "6.12.0", "containerRuntimeVersion": "containerd://2.0.0",
                "bootID": "", "machineID": "", "systemUUID": "",
            },
        },
    })
}

impl Kubernetes {
    /// A cluster with the namespaces every cluster has, two nodes and the webhook.
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        let mut this = Self::default();
        for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            this.ensure_namespace(namespace, now);
        }
        let mut objects = vec![(webhook::configuration(), now)];
        for name in ["ip-10-0-1-10.ec2.internal", "ip-10-0-2-20.ec2.internal"] {
            let labels = json!({"node.kubernetes.io/instance-type": "m7i.large", "eks.amazonaws.com/nodegroup": "default"});
            objects.push((node(name, &labels, true), now - NODE_AGE));
        }
        for (object, created) in objects {
            // None of them can be refused: a test starts a sandbox and looks for them.
            let _ = this.put(object, created);
        }
        this
    }

    /// Creates the namespace unless it exists.
    pub(crate) fn ensure_namespace(&mut self, name: &str, now: OffsetDateTime) {
        // Refused only for a name that is no label; then whatever is put into it is refused too.
        let _ = self.put(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            now,
        );
    }

    /// Replaces all nodes. Each comes with the time when it joined the cluster.
    pub(crate) fn set_nodes(
        &mut self,
        nodes: Vec<(Value, OffsetDateTime)>,
        now: OffsetDateTime,
    ) -> Result<(), String> {
        let kind = built_in("nodes");
        let old: Vec<String> = self
            .store
            .items(kind)
            .filter_map(|n| n["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        for name in old {
            let write = Write::by("eks", now);
            let _ = self.store.delete(kind, "", &name, &json!({}), &write);
        }
        nodes
            .into_iter()
            .try_for_each(|(node, joined)| self.put(node, joined))
    }

    fn kind_of(&self, object: &Value) -> Result<&'static Kind, String> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        self.store
            .kinds()
            .find(|k| k.kind == kind && k.api_version() == version)
            .ok_or_else(|| format!("no kind {version} {kind}"))
    }

    /// Completes owner references that name no uid, which a seed cannot know.
    fn resolve_owners(&self, object: &mut Value) {
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let owners = object["metadata"].get_mut("ownerReferences");
        for owner in owners.and_then(Value::as_array_mut).into_iter().flatten() {
            if owner["uid"].is_string() {
                continue;
            }
            let name = owner["name"].as_str().unwrap_or_default();
            let found = self
                .kind_of(owner)
                .ok()
                .and_then(|kind| self.store.find(kind, &namespace, name));
            if let Some(found) = found {
                owner["uid"] = found["metadata"]["uid"].clone();
            }
        }
    }

    /// Creates the object, or replaces the one of that name. Nothing is done to a pod beyond that.
    pub(crate) fn put(&mut self, mut object: Value, now: OffsetDateTime) -> Result<(), String> {
        let kind = self.kind_of(&object)?;
        self.resolve_owners(&mut object);
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        if kind.namespaced && kind.plural != "namespaces" {
            self.ensure_namespace(&namespace, now);
        }
        // A seed may say who manages what: the entries are taken as they are.
        let managers = metadata["managedFields"].clone();
        let status = object["status"].clone();
        let write = Write::by("sandbox", now);
        let result = match self.store.get(kind, &namespace, &name) {
            // A namespace that exists is left as it is; its finalizers and phase are not the seed's to drop.
            Ok(_) if kind.plural == "namespaces" => return Ok(()),
            Ok(existing) => {
                object["metadata"]["uid"] = existing["metadata"]["uid"].clone();
                self.store.replace(kind, &namespace, &name, object, &write)
            }
            Err(_) => self.store.create(kind, &namespace, object, &write),
        };
        let stored = result.map_err(|failure| failure.message)?;
        let name = stored["metadata"]["name"].as_str().unwrap_or_default();
        if kind.status && !status.is_null() {
            self.store
                .modify(kind, &namespace, name, &write.status(), |object| {
                    object["status"] = status;
                });
        }
        if !managers.is_null() {
            self.store.own(kind, &namespace, name, managers);
        }
        Ok(())
    }

    /// Creates an object as a client does; a pod passes admission.
    pub(crate) fn create(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        object: Value,
        around: &Surroundings<'_>,
        write: &Write<'_>,
    ) -> Result<Value, Failure> {
        let object = if kind.plural == "pods" {
            self.admit(namespace, object, around, write)?
        } else {
            object
        };
        self.store.create(kind, namespace, object, write)
    }

    /// Creates a seeded pod through admission, unless it exists.
    pub(crate) fn put_pod(
        &mut self,
        mut pod: Value,
        around: &Surroundings<'_>,
        now: OffsetDateTime,
    ) -> Result<(), String> {
        self.resolve_owners(&mut pod);
        let namespace = pod["metadata"]["namespace"]
            .as_str()
            .unwrap_or("default")
            .to_owned();
        self.ensure_namespace(&namespace, now);
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        if self
            .store
            .find(built_in("pods"), &namespace, name)
            .is_some()
        {
            return self.put(pod, now);
        }
        let write = Write::by("sandbox", now);
        self.create(built_in("pods"), &namespace, pod, around, &write)
            .map(|_| ())
            .map_err(|failure| failure.message)
    }

    /// Counts a read that pods may wait for.
    pub(crate) fn count_read(&mut self, kind: &Kind) {
        if [
            "pods",
            "deployments",
            "replicasets",
            "statefulsets",
            "daemonsets",
        ]
        .contains(&kind.plural)
        {
            self.reads += 1;
        }
    }

    /// What the API servers believe about a service account now, each belief once, and whether that may change by itself.
    pub(crate) fn beliefs(&self, account: &Value, now: OffsetDateTime) -> (Vec<Belief>, bool) {
        let text = |field: &str| string(&account["metadata"][field]);
        let known = (text("namespace"), text("name"));
        let mut beliefs: Vec<Belief> = Vec::new();
        let mut changing = self.webhook.is_changing(&known);
        for (instance, associated) in self.webhook.answers(&known, now).into_iter().enumerate() {
            let at = self.webhook.sees_annotations_of(instance, now);
            let annotations = self.store.annotations_at(account, at);
            changing |= *annotations != account["metadata"]["annotations"];
            let belief = Belief {
                associated,
                annotations: annotations.clone(),
            };
            if !beliefs.contains(&belief) {
                beliefs.push(belief);
            }
        }
        (beliefs, changing)
    }

    /// Changes how the webhook behaves. What API servers know already they do not forget.
    pub(crate) fn set_webhook(&mut self, settings: webhook::Settings) {
        if self.webhook.settings.annotation_delay_ms == 0 {
            self.store.forget_annotations();
        }
        self.webhook.settings = settings;
    }

    /// Changes how workloads come up and go down.
    pub(crate) fn set_controllers(&mut self, settings: controllers::Settings) {
        self.store.set_termination(settings.termination_ms);
        self.controller = settings;
        self.at_rest = None;
    }

    /// Tells the webhook which associations there are.
    pub(crate) fn sync_associations(
        &mut self,
        present: BTreeSet<Account>,
        settle: bool,
        now: OffsetDateTime,
    ) {
        self.webhook.sync(present, settle, now);
        if settle {
            self.store.forget_annotations();
        }
    }

    /// An object by its resource name, such as `serviceaccounts`; a custom one as `rollouts` or `rollouts.argoproj.io`.
    pub(crate) fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = self
            .store
            .kinds()
            .find(|k| k.plural == resource || k.qualified() == resource)?;
        self.store.get(kind, namespace, name).ok()
    }

    /// All objects, for the control API.
    pub(crate) fn describe(&self) -> Value {
        self.store.all().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
