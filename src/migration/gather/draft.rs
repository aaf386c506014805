//! Puts the parts that objects give together, and finds out which workload each pod belongs to.

use std::collections::{BTreeMap, BTreeSet};

use super::custom::{self, Custom};
use super::environment::{self, ConfigMaps};
use super::parts::{Controlled, Part, bare, managed_by};
use super::{ENDS_BY_ITSELF, NEXT_RUN};
use crate::migration::facts::{
    NamespaceFacts, PodFacts, Restart, TemplateFacts, WorkloadFacts, WorkloadId,
};

/// A namespace, as far as it was read.
#[derive(Default)]
pub(super) struct Draft {
    facts: NamespaceFacts,
    pods: Vec<(Box<PodFacts>, Option<WorkloadId>)>,
    replica_sets: BTreeMap<String, Controlled>,
    jobs: BTreeMap<String, Controlled>,
    pub(super) custom: Custom,
    /// ConfigMaps that containers take variables from; `None` while nobody looked.
    pub(super) config_maps: Option<ConfigMaps>,
}

impl Draft {
    pub(super) fn new(namespace: &str) -> Self {
        let mut draft = Self::default();
        namespace.clone_into(&mut draft.facts.namespace);
        draft
    }

    pub(super) fn add(&mut self, part: Part) {
        match part {
            Part::ServiceAccount(facts) => {
                let name = facts.name.clone();
                self.facts.service_accounts.insert(name, facts);
            }
            Part::Pod(facts, controller) => self.pods.push((facts, controller)),
            Part::ReplicaSet(set) => {
                self.replica_sets.insert(set.name.clone(), set);
            }
            Part::Job(job) => {
                self.jobs.insert(job.name.clone(), job);
            }
            Part::Workload(facts) => self.facts.workloads.push(facts),
            Part::NetworkPolicy(facts) => self.facts.network_policies.push(facts),
        }
    }

    /// Templates of workloads, and pods.
    fn templates(&self) -> impl Iterator<Item = &TemplateFacts> {
        let own = [&self.replica_sets, &self.jobs]
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(|it| it.own.as_ref());
        let templates = self.facts.workloads.iter().chain(own);
        templates
            .filter_map(|workload| workload.template.as_ref())
            .chain(self.pods.iter().map(|(pod, _)| &pod.spec))
    }

    /// Whether pods mount volumes of the Secrets Store CSI driver.
    pub(super) fn mounts_secrets(&self) -> bool {
        self.templates().any(custom::mounts_secrets)
    }

    /// Names of the ConfigMaps that containers take all their variables from.
    pub(super) fn wanted_config_maps(&self) -> BTreeSet<String> {
        self.templates()
            .flat_map(|template| &template.env_from)
            .filter(|source| !source.is_secret)
            .map(|source| source.name.clone())
            .collect()
    }

    /// Notes what could not be read of this namespace. Returns whether that is new.
    pub(super) fn not_read(&mut self, why: String) -> bool {
        self.facts.not_read.insert(why)
    }

    /// The facts, with what the cluster's own objects say, and what could not be read of the cluster.
    pub(super) fn finish(
        mut self,
        cluster: &Custom,
        not_read: &BTreeSet<String>,
    ) -> NamespaceFacts {
        self.facts.not_read.extend(not_read.iter().cloned());
        let owners = Owners {
            replica_sets: top(&self.replica_sets),
            jobs: top(&self.jobs),
        };
        for group in [self.replica_sets, self.jobs] {
            self.facts.workloads.extend(current(group));
        }
        let mut known: BTreeSet<(WorkloadId, String)> = self
            .facts
            .workloads
            .iter()
            .map(|w| (w.id.clone(), w.service_account.clone()))
            .collect();
        let by_id: BTreeMap<WorkloadId, Restart> = self
            .facts
            .workloads
            .iter()
            .map(|w| (w.id.clone(), w.restart.clone()))
            .collect();
        for (mut pod, controller) in self.pods {
            if let Some(controller) = controller {
                pod.workload = owners.of(controller, &pod);
            }
            // A template that was not read, or that has been given another service account since.
            if known.insert((pod.workload.clone(), pod.service_account.clone())) {
                let restart = by_id.get(&pod.workload).cloned();
                self.facts.workloads.push(unseen(&pod, restart));
            }
            self.facts.pods.push(*pod);
        }
        if let Some(config_maps) = &self.config_maps {
            let workloads = self.facts.workloads.iter_mut();
            let templates = workloads.filter_map(|workload| workload.template.as_mut());
            let pods = self.facts.pods.iter_mut().map(|pod| &mut pod.spec);
            for template in templates.chain(pods) {
                environment::add(template, config_maps);
            }
        }
        self.facts
            .workloads
            .sort_by(|a, b| (&a.id, &a.service_account).cmp(&(&b.id, &b.service_account)));
        self.facts.pods.sort_by(|a, b| a.name.cmp(&b.name));
        self.facts
            .network_policies
            .sort_by(|a, b| a.name.cmp(&b.name));
        self.facts.consumers = self.custom.consumers(cluster, &self.facts);
        self.facts
    }
}

/// What is above ReplicaSets and Jobs: their controllers, or nothing.
struct Owners {
    replica_sets: BTreeMap<String, Option<WorkloadId>>,
    jobs: BTreeMap<String, Option<WorkloadId>>,
}

fn top(group: &BTreeMap<String, Controlled>) -> BTreeMap<String, Option<WorkloadId>> {
    group
        .iter()
        .map(|(name, it)| (name.clone(), it.controller.clone()))
        .collect()
}

impl Owners {
    /// The topmost owner of a pod with this controller.
    fn of(&self, controller: WorkloadId, pod: &PodFacts) -> WorkloadId {
        let above = match controller.kind.as_str() {
            "ReplicaSet" => match self.replica_sets.get(&controller.name) {
                Some(above) => above.clone(),
                None => by_hash(&controller, pod),
            },
            "Job" => self.jobs.get(&controller.name).cloned().flatten(),
            _ => None,
        };
        above.unwrap_or(controller)
    }
}

/// The Deployment of a ReplicaSet that was not read: it names its ReplicaSets after itself and the hash of their template, which
/// pods have as a label.
fn by_hash(set: &WorkloadId, pod: &PodFacts) -> Option<WorkloadId> {
    let hash = pod.spec.labels.get("pod-template-hash")?;
    let name = set.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    Some(WorkloadId {
        kind: "Deployment".into(),
        name: name.to_owned(),
    })
}

/// The workloads that ReplicaSets or Jobs are. Those with a controller that is not known are that controller, by the one that it
/// is at, for each service account.
fn current(group: BTreeMap<String, Controlled>) -> Vec<WorkloadFacts> {
    let mut newest: BTreeMap<(WorkloadId, String), (bool, i64, WorkloadFacts)> = BTreeMap::new();
    let mut at: BTreeMap<WorkloadId, (bool, i64)> = BTreeMap::new();
    for it in group.into_values() {
        let Some(mut own) = it.own else { continue };
        if let Some(controller) = it.controller {
            own.restart = managed_by(&controller);
            own.id = controller;
        }
        let (wanted, created) = it.order;
        let best = at.entry(own.id.clone()).or_insert(it.order);
        *best = (*best).max(it.order);
        let key = (own.id.clone(), own.service_account.clone());
        match newest.get(&key) {
            Some((w, c, _)) if (*w, *c) >= it.order => {}
            _ => {
                newest.insert(key, (wanted, created, own));
            }
        }
    }
    newest
        .into_values()
        // Revisions of the past that want no pods do not count, unless nothing wants any.
        .filter(|(wanted, created, own)| *wanted || at.get(&own.id) == Some(&(*wanted, *created)))
        .map(|(_, _, own)| own)
        .collect()
}

/// The workload of a pod that no template told about.
fn unseen(pod: &PodFacts, restart: Option<Restart>) -> WorkloadFacts {
    if pod.workload.kind == "Pod" {
        return bare(pod);
    }
    let restart = restart.unwrap_or_else(|| match pod.workload.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => Restart::Unknown,
        "Job" => Restart::Manual(ENDS_BY_ITSELF.into()),
        "CronJob" => Restart::Manual(NEXT_RUN.into()),
        _ => managed_by(&pod.workload),
    });
    WorkloadFacts {
        id: pod.workload.clone(),
        service_account: pod.service_account.clone(),
        replicas: None,
        restart,
        template: None,
    }
}
