//! Objects, each reduced by itself to the part of the facts that it gives.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::template::{pod, template};
use super::{ENDS_BY_ITSELF, NEXT_RUN, OWN_WEB_IDENTITY, network};
use crate::kubernetes::Object;
use crate::migration::facts::{
    NetworkPolicyFacts, PodFacts, ROLE_ARN, Restart, ServiceAccountFacts, WorkloadFacts, WorkloadId,
};
use crate::migration::owners::owner;

/// What one object gives.
pub(super) enum Part {
    ServiceAccount(ServiceAccountFacts),
    Pod(Box<PodFacts>, Option<WorkloadId>),
    ReplicaSet(Controlled),
    Job(Controlled),
    Workload(WorkloadFacts),
    NetworkPolicy(NetworkPolicyFacts),
}

/// A ReplicaSet or Job: its pods are those of its controller, if it has one.
pub(super) struct Controlled {
    pub(super) name: String,
    pub(super) controller: Option<WorkloadId>,
    /// The workload that it is as long as nothing above it is one; `None` if it makes no pods any more, or if its controller's
    /// template is what counts.
    pub(super) own: Option<WorkloadFacts>,
    /// Of several with the same controller the one with the greatest is what the controller is at: wanted pods, creation.
    pub(super) order: (bool, i64),
}

/// A kind that gives parts.
pub(super) trait Reduce: Object {
    /// What the object gives, if anything.
    fn reduce(self) -> Option<Part>;
}

/// Kinds whose templates are read here. Others of the same name, such as OpenKruise's StatefulSet, are told apart.
const KNOWN: [(&str, &str); 7] = [
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "Pod"),
];

/// The controller of an object: kind and name.
fn controller(meta: &ObjectMeta) -> Option<WorkloadId> {
    let owner = meta
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/').map_or("", |(g, _)| g);
    let clash = KNOWN
        .iter()
        .any(|(known, kind)| *kind == owner.kind && *known != group);
    Some(WorkloadId {
        kind: if clash {
            format!("{}.{group}", owner.kind)
        } else {
            owner.kind.clone()
        },
        name: owner.name.clone(),
    })
}

fn name(meta: &ObjectMeta) -> String {
    meta.name.clone().unwrap_or_default()
}

fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_second())
}

/// Why somebody else has to replace the pods of what a controller that is not known manages.
pub(super) fn managed_by(controller: &WorkloadId) -> Restart {
    Restart::Manual(format!("managed by {controller}"))
}

/// Desired pods: one unless set. `None` if the number is set through the subresource `scale`, as autoscalers do: it may be
/// another one at any time.
fn replicas(meta: &ObjectMeta, wanted: Option<i32>) -> Option<i64> {
    let scaled = meta.managed_fields.iter().flatten().any(|entry| {
        entry.subresource.as_deref() == Some("scale")
            && entry
                .fields_v1
                .as_ref()
                .is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    });
    (!scaled).then(|| i64::from(wanted.unwrap_or(1)))
}

fn workload(
    meta: &ObjectMeta,
    kind: &str,
    replicas: Option<i64>,
    restart: Restart,
    of: &PodTemplateSpec,
) -> Option<WorkloadFacts> {
    let (service_account, template) = template(of)?;
    Some(WorkloadFacts {
        id: WorkloadId {
            kind: kind.to_owned(),
            name: name(meta),
        },
        service_account,
        replicas,
        // What a controller made, it may put back as it was.
        restart: match (restart, controller(meta)) {
            (Restart::Rolling, Some(controller)) => managed_by(&controller),
            (Restart::Rolling, None) if template.has_own_web_identity() => {
                Restart::Manual(OWN_WEB_IDENTITY.into())
            }
            (restart, _) => restart,
        },
        template: Some(template),
    })
}

impl Reduce for ServiceAccount {
    fn reduce(self) -> Option<Part> {
        let owner = owner(&self.metadata, ROLE_ARN);
        let meta = self.metadata;
        Some(Part::ServiceAccount(ServiceAccountFacts {
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            resource_version: meta.resource_version.unwrap_or_default(),
            annotations: meta.annotations.unwrap_or_default(),
            labels: meta.labels.unwrap_or_default(),
            owner,
        }))
    }
}

impl Reduce for Pod {
    fn reduce(self) -> Option<Part> {
        let facts = pod(&self)?;
        Some(Part::Pod(Box::new(facts), controller(&self.metadata)))
    }
}

impl Reduce for ReplicaSet {
    fn reduce(self) -> Option<Part> {
        let controller = controller(&self.metadata);
        let spec = self.spec?;
        let count = spec.replicas.unwrap_or(1);
        // Of a Deployment there is one for each revision; what counts is the Deployment's own template.
        let by_deployment = controller.as_ref().is_some_and(|c| c.kind == "Deployment");
        let own = match &spec.template {
            Some(template) if !by_deployment => workload(
                &self.metadata,
                "ReplicaSet",
                replicas(&self.metadata, spec.replicas),
                Restart::Manual("a ReplicaSet does not replace its pods".into()),
                template,
            ),
            _ => None,
        };
        Some(Part::ReplicaSet(Controlled {
            name: name(&self.metadata),
            controller,
            own,
            order: (count > 0, created(&self.metadata)),
        }))
    }
}

impl Reduce for Deployment {
    fn reduce(self) -> Option<Part> {
        let spec = self.spec?;
        let restart = if spec.paused == Some(true) {
            Restart::Manual("it is paused".into())
        } else {
            Restart::Rolling
        };
        let replicas = replicas(&self.metadata, spec.replicas);
        workload(
            &self.metadata,
            "Deployment",
            replicas,
            restart,
            &spec.template,
        )
        .map(Part::Workload)
    }
}

/// What an update strategy of a StatefulSet or DaemonSet means. Unset is `RollingUpdate`.
fn strategy(kind: Option<&str>, partition: i32) -> Restart {
    match kind {
        None | Some("RollingUpdate") if partition > 0 => Restart::Manual(format!(
            "its update strategy leaves the pods below partition {partition} alone"
        )),
        None | Some("RollingUpdate") => Restart::Rolling,
        Some(other) => Restart::Manual(format!("its update strategy is {other}")),
    }
}

impl Reduce for StatefulSet {
    fn reduce(self) -> Option<Part> {
        let spec = self.spec?;
        let update = spec.update_strategy.as_ref();
        let restart = strategy(
            update.and_then(|update| update.type_.as_deref()),
            update
                .and_then(|update| update.rolling_update.as_ref()?.partition)
                .unwrap_or_default(),
        );
        let replicas = replicas(&self.metadata, spec.replicas);
        workload(
            &self.metadata,
            "StatefulSet",
            replicas,
            restart,
            &spec.template,
        )
        .map(Part::Workload)
    }
}

impl Reduce for DaemonSet {
    fn reduce(self) -> Option<Part> {
        let spec = self.spec?;
        let update = spec.update_strategy.as_ref();
        let restart = strategy(update.and_then(|update| update.type_.as_deref()), 0);
        let wanted = self
            .status
            .map(|status| i64::from(status.desired_number_scheduled));
        workload(&self.metadata, "DaemonSet", wanted, restart, &spec.template).map(Part::Workload)
    }
}

impl Reduce for Job {
    fn reduce(self) -> Option<Part> {
        let finished = self
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True");
        let controller = controller(&self.metadata);
        let spec = self.spec?;
        let wanted = match spec.suspend {
            Some(true) => 0,
            _ => i64::from(spec.parallelism.unwrap_or(1)),
        };
        let by_cron_job = controller.as_ref().is_some_and(|c| c.kind == "CronJob");
        let own = if finished || by_cron_job {
            None
        } else {
            let ends = Restart::Manual(ENDS_BY_ITSELF.into());
            workload(&self.metadata, "Job", Some(wanted), ends, &spec.template)
        };
        Some(Part::Job(Controlled {
            name: name(&self.metadata),
            controller,
            own,
            order: (wanted > 0, created(&self.metadata)),
        }))
    }
}

impl Reduce for CronJob {
    fn reduce(self) -> Option<Part> {
        let template = self.spec?.job_template.spec?.template;
        let next = Restart::Manual(NEXT_RUN.into());
        // How many pods there are depends on the time.
        workload(&self.metadata, "CronJob", None, next, &template).map(Part::Workload)
    }
}

impl Reduce for NetworkPolicy {
    fn reduce(self) -> Option<Part> {
        network::policy(&self).map(Part::NetworkPolicy)
    }
}

/// A pod that no controller made, as the workload that it is.
pub(super) fn bare(pod: &PodFacts) -> WorkloadFacts {
    WorkloadFacts {
        id: pod.workload.clone(),
        service_account: pod.service_account.clone(),
        replicas: Some(1),
        restart: Restart::Manual("nothing replaces a pod without a controller".into()),
        template: Some(pod.spec.clone()),
    }
}
