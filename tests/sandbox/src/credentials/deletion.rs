//! Associations that are gone, and what that means for pods that are still sent to the agent.

use std::collections::BTreeMap;

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::account_of;
use super::path::AssociationView;
use crate::eks::cluster::Cluster;
use crate::kubernetes::controllers;
use crate::kubernetes::kinds::built_in;

/// What excuses a running pod that gets no credentials after its association was deleted. It has to be replaced all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excuse {
    /// It has been ready, so the agent has its credentials, and gives them out until it would renew them.
    AgentCache,
    /// It was on its way up, or a webhook that had not heard of the deletion has sent it to the agent, without anybody having
    /// changed its template since. Any other order of steps could have met with such a pod, too.
    Unavoidable,
}

impl Excuse {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AgentCache => "agent_cache",
            Self::Unavoidable => "unavoidable",
        }
    }
}

/// An association that was deleted.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) association: AssociationView,
    at: OffsetDateTime,
    /// The pod templates of its service account at that time, by workload.
    templates: BTreeMap<String, Value>,
    /// Whether it has been seen that EKS Auth knows.
    pub(super) settled: bool,
}

impl Deletion {
    pub(super) fn new(
        association: &AssociationView,
        cluster: &Cluster,
        namespace: &str,
        account: &str,
        at: OffsetDateTime,
    ) -> Self {
        let templates = templates(cluster).into_iter().filter(|(ns, _, template)| {
            let name = template["spec"]["serviceAccountName"].as_str();
            ns == namespace && name.unwrap_or("default") == account
        });
        Self {
            association: association.clone(),
            at,
            templates: templates
                .map(|(_, name, template)| (name, template))
                .collect(),
            settled: false,
        }
    }

    /// Whether EKS Auth still serves it.
    pub(super) fn is_served(&self, delay: Duration, now: OffsetDateTime) -> bool {
        now - self.at < delay
    }

    /// Whether the template of a pod's workload has changed since, so that the pod was made by a rollout that came too early.
    pub(super) fn was_rolled_since(&self, cluster: &Cluster, pod: &Value) -> bool {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let Some(workload) = workload_of(cluster, pod) else {
            return false;
        };
        let then = self.templates.get(&workload);
        then.is_some_and(|then| {
            templates(cluster).iter().any(|(ns, name, template)| {
                ns == namespace
                    && *name == workload
                    && template["spec"]["serviceAccountName"] == account_of(pod)
                    && template != then
            })
        })
    }
}

/// Kind and name of what made a pod; `None` for one of its own.
pub(super) fn workload_of(cluster: &Cluster, pod: &Value) -> Option<String> {
    let owner = controllers::controller(pod)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&owner["kind"]), text(&owner["name"]));
    if kind == "ReplicaSet" {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let store = &cluster.kubernetes.store;
        let set = store.find(built_in("replicasets"), namespace, &name);
        if let Some(owner) = set.and_then(controllers::controller) {
            return Some(format!("{}/{}", text(&owner["kind"]), text(&owner["name"])));
        }
    }
    Some(format!("{kind}/{name}"))
}

/// Namespace, `Kind/name` and pod template of everything that makes pods, custom resources included.
pub(super) fn templates(cluster: &Cluster) -> Vec<(String, String, Value)> {
    cluster
        .kubernetes
        .store
        .all()
        .filter_map(|object| {
            let spec = &object["spec"];
            let template = [&spec["template"], &spec["jobTemplate"]["spec"]["template"]]
                .into_iter()
                .find(|t| t["spec"]["containers"].is_array())?;
            // A ReplicaSet of a Deployment is the Deployment's own affair.
            if object["kind"] == "ReplicaSet" && controllers::controller(object).is_some() {
                return None;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let name = format!(
                "{}/{}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            );
            Some((
                text(&object["metadata"]["namespace"]),
                name,
                template.clone(),
            ))
        })
        .collect()
}
