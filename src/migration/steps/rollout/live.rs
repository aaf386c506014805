//! Workloads as they are now: how far their rollout is, and their pods.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::{ClusterApi, KubernetesError, PatchKind, Scope};
use crate::migration::facts::{PodFacts, WorkloadId};
use crate::migration::gather;

/// A workload that is restarted by its template.
#[derive(Clone, Debug)]
pub(super) enum Live {
    Deployment(Box<Deployment>),
    StatefulSet(Box<StatefulSet>),
    DaemonSet(Box<DaemonSet>),
}

/// How far a rollout is. Texts are sentences without full stop that begin in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// All pods are of the newest template, available, and no other is left.
    Complete,
    /// Not yet.
    Going(String),
    /// Not, and waiting does not help.
    Stuck(String),
}

/// A pod that has not ended.
#[derive(Clone, Debug)]
pub(super) struct LivePod {
    pub(super) facts: PodFacts,
    pub(super) pod: Pod,
}

impl Live {
    /// Whether it is one of the kinds that are restarted by their template.
    pub(super) fn knows(kind: &str) -> bool {
        ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind)
    }

    /// `None`: it does not exist, or is of another kind.
    pub(super) async fn get(
        cancel: &CancellationToken,
        api: &ClusterApi,
        namespace: &str,
        id: &WorkloadId,
    ) -> Result<Option<Self>, KubernetesError> {
        let place = Some(namespace);
        Ok(match id.kind.as_str() {
            "Deployment" => {
                let found = api.get(cancel, place, &id.name).await?;
                found.map(Box::new).map(Self::Deployment)
            }
            "StatefulSet" => {
                let found = api.get(cancel, place, &id.name).await?;
                found.map(Box::new).map(Self::StatefulSet)
            }
            "DaemonSet" => {
                let found = api.get(cancel, place, &id.name).await?;
                found.map(Box::new).map(Self::DaemonSet)
            }
            _ => None,
        })
    }

    pub(super) async fn patch(
        cancel: &CancellationToken,
        api: &ClusterApi,
        namespace: &str,
        id: &WorkloadId,
        body: &Json,
    ) -> Result<(), KubernetesError> {
        let (place, kind) = (Some(namespace), PatchKind::Strategic);
        match id.kind.as_str() {
            "StatefulSet" => {
                let _: StatefulSet = api.patch(cancel, place, &id.name, kind, body).await?;
            }
            "DaemonSet" => {
                let _: DaemonSet = api.patch(cancel, place, &id.name, kind, body).await?;
            }
            _ => {
                let _: Deployment = api.patch(cancel, place, &id.name, kind, body).await?;
            }
        }
        Ok(())
    }

    fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(object) => &object.metadata,
            Self::StatefulSet(object) => &object.metadata,
            Self::DaemonSet(object) => &object.metadata,
        }
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::DaemonSet(object) => object.spec.as_ref().map(|spec| &spec.template),
        }
    }

    fn selector(&self) -> Option<&LabelSelector> {
        match self {
            Self::Deployment(object) => object.spec.as_ref().map(|spec| &spec.selector),
            Self::StatefulSet(object) => object.spec.as_ref().map(|spec| &spec.selector),
            Self::DaemonSet(object) => object.spec.as_ref().map(|spec| &spec.selector),
        }
    }

    /// An annotation of the pod template.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let metadata = self.template()?.metadata.as_ref()?;
        metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Why a change of the template would not replace its pods.
    pub(super) fn manual(&self, service_account: &str) -> Option<String> {
        let uses = self
            .template()
            .and_then(|template| template.spec.as_ref())
            .and_then(|spec| spec.service_account_name.as_deref())
            .filter(|name| !name.is_empty())
            .unwrap_or("default");
        if uses != service_account {
            return Some(format!(
                "its template uses the service account {uses:?} now"
            ));
        }
        let own = self.template().and_then(gather::template_facts);
        if own.is_some_and(|template| template.has_own_web_identity()) {
            return Some(gather::OWN_WEB_IDENTITY.to_owned());
        }
        let on_delete = || Some("its update strategy is OnDelete".to_owned());
        match self {
            Self::Deployment(object) => object
                .spec
                .as_ref()
                .and_then(|spec| spec.paused)
                .unwrap_or_default()
                .then(|| "it is paused".to_owned()),
            Self::StatefulSet(object) => {
                let strategy = object.spec.as_ref()?.update_strategy.as_ref()?;
                if strategy.type_.as_deref() == Some("OnDelete") {
                    return on_delete();
                }
                let partition = strategy.rolling_update.as_ref()?.partition.unwrap_or(0);
                (partition > 0).then(|| {
                    format!("its update strategy leaves out pods below the partition {partition}")
                })
            }
            Self::DaemonSet(object) => {
                let strategy = object.spec.as_ref()?.update_strategy.as_ref()?;
                if strategy.type_.as_deref() == Some("OnDelete") {
                    return on_delete();
                }
                None
            }
        }
    }

    /// How far its rollout is, by the rules of `kubectl rollout status`, and stricter where pods need to be ready.
    pub(super) fn progress(&self) -> Progress {
        if !self.is_observed() {
            return Progress::Going("its controller has not seen the change yet".to_owned());
        }
        match self {
            Self::Deployment(object) => deployment(object),
            Self::StatefulSet(object) => stateful_set(object),
            Self::DaemonSet(object) => daemon_set(object),
        }
    }

    /// Whether its controller has seen its specification as it is.
    fn is_observed(&self) -> bool {
        let observed = match self {
            Self::Deployment(object) => object.status.as_ref().and_then(|s| s.observed_generation),
            Self::StatefulSet(object) => object.status.as_ref().and_then(|s| s.observed_generation),
            Self::DaemonSet(object) => object.status.as_ref().and_then(|s| s.observed_generation),
        };
        observed.unwrap_or(0) >= self.metadata().generation.unwrap_or(0)
    }

    /// Whether pods are still being replaced. Pods that are all of the newest template and not ready are no rollout: they may
    /// have been, months ago.
    pub(super) fn is_rolling(&self) -> bool {
        if !self.is_observed() {
            return true;
        }
        match self {
            Self::Deployment(object) => {
                let wanted = object.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
                object.status.as_ref().is_none_or(|status| {
                    let updated = status.updated_replicas.unwrap_or_default();
                    updated < wanted || status.replicas.unwrap_or_default() > updated
                })
            }
            Self::StatefulSet(object) => {
                let wanted = object.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
                object.status.as_ref().is_none_or(|status| {
                    // The controller makes them one when all updated pods were ready at the same time.
                    status.current_revision != status.update_revision
                        || status.updated_replicas.unwrap_or_default() < wanted
                })
            }
            Self::DaemonSet(object) => object.status.as_ref().is_none_or(|status| {
                status.updated_number_scheduled.unwrap_or_default()
                    < status.desired_number_scheduled
            }),
        }
    }

    /// Its pods that have not ended, by name.
    pub(super) async fn pods(
        &self,
        cancel: &CancellationToken,
        api: &ClusterApi,
        namespace: &str,
    ) -> Result<Vec<LivePod>, KubernetesError> {
        // Only to ask for fewer: whose a pod is, its owner says.
        let labels = self.selector().and_then(|s| s.match_labels.as_ref());
        let selector = labels.filter(|labels| !labels.is_empty()).map(|labels| {
            let pairs: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            pairs.join(",")
        });
        let scope = Scope::Namespace(namespace);
        let uid = self.metadata().uid.clone().unwrap_or_default();
        let owners = if let Self::Deployment(_) = self {
            let sets: Vec<ReplicaSet> = api.list(cancel, scope, selector.as_deref()).await?;
            sets.into_iter()
                .filter(|set| controller(&set.metadata) == Some(uid.as_str()))
                .filter_map(|set| set.metadata.uid)
                .collect()
        } else {
            vec![uid]
        };
        let mut pods: Vec<Pod> = api.list(cancel, scope, selector.as_deref()).await?;
        pods.retain(|pod| {
            controller(&pod.metadata).is_some_and(|owner| owners.iter().any(|o| o == owner))
        });
        // Pods that have ended are not among the facts.
        let facts = gather::facts(gather::Objects {
            pods: pods.clone(),
            ..gather::Objects::default()
        });
        let mut pods: Vec<_> = pods
            .into_iter()
            .filter_map(|pod| {
                let facts = facts
                    .pods
                    .iter()
                    .find(|f| Some(&f.name) == pod.metadata.name.as_ref())?;
                Some(LivePod {
                    facts: facts.clone(),
                    pod,
                })
            })
            .collect();
        pods.sort_by(|a, b| a.facts.name.cmp(&b.facts.name));
        Ok(pods)
    }
}

/// Uid of the owner that controls an object.
fn controller(metadata: &ObjectMeta) -> Option<&str> {
    let owners = metadata.owner_references.iter().flatten();
    owners
        .filter(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
        .next()
}

fn deployment(object: &Deployment) -> Progress {
    let wanted = object.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let Some(status) = &object.status else {
        return Progress::Going("it has no status yet".to_owned());
    };
    let [all, updated, ready, available] = [
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
        status.available_replicas,
    ]
    .map(Option::unwrap_or_default);
    if updated >= wanted && all <= updated && ready >= updated && available >= updated {
        return Progress::Complete;
    }
    let state = format!(
        "{updated} of {wanted} pods are updated, {available} available, {} of the old ones are left",
        (all - updated).max(0)
    );
    let exceeded = status.conditions.iter().flatten().any(|condition| {
        condition.type_ == "Progressing"
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    if exceeded {
        return Progress::Stuck(format!(
            "it made no progress within its progressDeadlineSeconds; {state}"
        ));
    }
    Progress::Going(state)
}

fn stateful_set(object: &StatefulSet) -> Progress {
    let wanted = object.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let Some(status) = &object.status else {
        return Progress::Going("it has no status yet".to_owned());
    };
    let updated = status.updated_replicas.unwrap_or_default();
    let ready = status.ready_replicas.unwrap_or_default();
    // Not there before Kubernetes 1.22.
    let available = status.available_replicas.unwrap_or(ready);
    let one_revision = status.current_revision == status.update_revision;
    if one_revision && updated >= wanted && ready >= wanted && available >= wanted {
        return Progress::Complete;
    }
    Progress::Going(format!(
        "{updated} of {wanted} pods are updated, {ready} ready, {available} available"
    ))
}

fn daemon_set(object: &DaemonSet) -> Progress {
    let Some(status) = &object.status else {
        return Progress::Going("it has no status yet".to_owned());
    };
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let available = status.number_available.unwrap_or_default();
    if updated >= wanted && status.number_ready >= wanted && available >= wanted {
        return Progress::Complete;
    }
    Progress::Going(format!(
        "{updated} of {wanted} pods are updated, {} ready, {available} available",
        status.number_ready
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object<K: serde::de::DeserializeOwned>(spec: Json, status: Json) -> Box<K> {
        let mut spec = spec;
        spec["selector"] = json!({"matchLabels": {"app": "x"}});
        if spec["template"].is_null() {
            spec["template"] = json!({"spec": {"serviceAccountName": "api", "containers": []}});
        }
        let object =
            json!({"metadata": {"name": "x", "generation": 3}, "spec": spec, "status": status});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_deployment_is_complete_when_only_new_pods_are_left_and_available() {
        let progress = |status: Json| {
            let mut status = status;
            if status["observedGeneration"].is_null() {
                status["observedGeneration"] = 3.into();
            }
            Live::Deployment(object(json!({"replicas": 2}), status)).progress()
        };
        let done = json!({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
        assert_eq!(progress(done.clone()), Progress::Complete);
        for (field, value) in [
            ("observedGeneration", 2),
            ("replicas", 3),
            ("updatedReplicas", 1),
            ("readyReplicas", 1),
            ("availableReplicas", 1),
        ] {
            let mut status = done.clone();
            status[field] = value.into();
            assert!(matches!(progress(status), Progress::Going(_)), "{field}");
        }
        let exceeded = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        let mut status = done;
        status["conditions"] = exceeded;
        assert_eq!(progress(status.clone()), Progress::Complete);
        status["readyReplicas"] = 1.into();
        assert!(matches!(progress(status.clone()), Progress::Stuck(_)));
        // What is said of an older template does not count.
        status["observedGeneration"] = 2.into();
        assert!(matches!(progress(status), Progress::Going(_)));
        let none = Live::Deployment(object(
            json!({"replicas": 0}),
            json!({"observedGeneration": 3}),
        ));
        assert_eq!(none.progress(), Progress::Complete);
    }

    #[test]
    fn stateful_sets_and_daemon_sets() {
        let set = |more: Json| {
            let mut status = json!({
                "observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
                "currentRevision": "x-2", "updateRevision": "x-2",
            });
            for (key, value) in more.as_object().unwrap() {
                status[key] = value.clone();
            }
            Live::StatefulSet(object(json!({"replicas": 3, "serviceName": "x"}), status)).progress()
        };
        assert_eq!(set(json!({})), Progress::Complete);
        for more in [
            json!({"currentRevision": "x-1"}),
            json!({"updatedReplicas": 2}),
            json!({"readyReplicas": 2}),
            json!({"availableReplicas": 2}),
            json!({"observedGeneration": 2}),
        ] {
            assert!(matches!(set(more.clone()), Progress::Going(_)), "{more}");
        }
        let set = |more: Json| {
            let mut status = json!({
                "observedGeneration": 3, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0,
                "numberReady": 2, "updatedNumberScheduled": 2, "numberAvailable": 2,
            });
            for (key, value) in more.as_object().unwrap() {
                status[key] = value.clone();
            }
            Live::DaemonSet(object(json!({}), status)).progress()
        };
        assert_eq!(set(json!({})), Progress::Complete);
        for more in [
            json!({"numberReady": 1}),
            json!({"updatedNumberScheduled": 1}),
            json!({"numberAvailable": 1}),
        ] {
            assert!(matches!(set(more.clone()), Progress::Going(_)), "{more}");
        }
    }

    #[test]
    fn what_a_template_cannot_restart() {
        let template =
            |account: Json| json!({"spec": {"serviceAccountName": account, "containers": []}});
        let status = || json!({});
        for (live, expected) in [
            (Live::Deployment(object(json!({}), status())), None),
            (
                Live::Deployment(object(json!({"paused": true}), status())),
                Some("it is paused"),
            ),
            (
                Live::Deployment(object(
                    json!({"template": template("web".into())}),
                    status(),
                )),
                Some("its template uses the service account \"web\" now"),
            ),
            (
                Live::Deployment(object(json!({"template": template(Json::Null)}), status())),
                Some("its template uses the service account \"default\" now"),
            ),
            (
                Live::StatefulSet(object(
                    json!({"serviceName": "x", "updateStrategy": {"type": "OnDelete"}}),
                    status(),
                )),
                Some("its update strategy is OnDelete"),
            ),
            (
                Live::StatefulSet(object(
                    json!({"serviceName": "x", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}),
                    status(),
                )),
                Some("its update strategy leaves out pods below the partition 2"),
            ),
            (
                Live::StatefulSet(object(
                    json!({"serviceName": "x", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}),
                    status(),
                )),
                None,
            ),
            (
                Live::DaemonSet(object(
                    json!({"updateStrategy": {"type": "OnDelete"}}),
                    json!({
                        "desiredNumberScheduled": 0, "currentNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
                    }),
                )),
                Some("its update strategy is OnDelete"),
            ),
        ] {
            assert_eq!(live.manual("api").as_deref(), expected, "{live:?}");
        }
    }
}
