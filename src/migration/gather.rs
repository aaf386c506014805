//! Reads what a migration needs to know from Kubernetes, once per namespace and process.
//!
//! Every object is reduced by itself as it arrives (`parts`, `template`, `network`, `custom`); what is left is put
//! together per namespace (`draft`), where pods find their workloads. [`facts`] does both without any I/O.

mod custom;
mod draft;
mod environment;
mod network;
mod parts;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodTemplateSpec, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::DynamicObject;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::custom::Custom;
pub use self::custom::CustomKind;
use self::draft::Draft;
use self::parts::Reduce;
use super::facts::{NamespaceFacts, TemplateFacts};
use crate::framework::Context;
use crate::kubernetes::{ClusterApi, KubernetesError, KubernetesErrorKind, Scope};
use crate::provider::ProviderData;

/// Why pods of Jobs are not restarted.
const ENDS_BY_ITSELF: &str = "its pods end by themselves";
/// Why pods of CronJobs are not restarted.
const NEXT_RUN: &str = "its next run starts new pods";

/// Why pods are not restarted that would come back as they are.
pub const OWN_WEB_IDENTITY: &str =
    "its pod template sets AWS_ROLE_ARN or AWS_WEB_IDENTITY_TOKEN_FILE itself";

/// Calls of the Kubernetes API under way at the same time.
const CONCURRENCY: usize = 6;

/// Objects of one namespace, and those of the cluster that are about it, as the API has them.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The namespace's name.
    pub name: String,
    /// Its service accounts.
    pub service_accounts: Vec<ServiceAccount>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Its ReplicaSets.
    pub replica_sets: Vec<ReplicaSet>,
    /// Its Deployments.
    pub deployments: Vec<Deployment>,
    /// Its StatefulSets.
    pub stateful_sets: Vec<StatefulSet>,
    /// Its DaemonSets.
    pub daemon_sets: Vec<DaemonSet>,
    /// Its Jobs.
    pub jobs: Vec<Job>,
    /// Its CronJobs.
    pub cron_jobs: Vec<CronJob>,
    /// Its network policies.
    pub network_policies: Vec<NetworkPolicy>,
    /// Its ConfigMaps, if they are looked at.
    pub config_maps: Option<Vec<ConfigMap>>,
    /// Custom resources, those of the cluster included.
    pub custom: Vec<(CustomKind, DynamicObject)>,
    /// What could not be read, as sentences.
    pub not_read: BTreeSet<String>,
}

/// The facts that objects give.
#[must_use]
pub fn facts(objects: Objects) -> NamespaceFacts {
    fn add<K: Reduce>(draft: &mut Draft, objects: Vec<K>) {
        for part in objects.into_iter().filter_map(Reduce::reduce) {
            draft.add(part);
        }
    }
    let mut draft = Draft::new(&objects.name);
    let mut cluster = Custom::default();
    add(&mut draft, objects.service_accounts);
    add(&mut draft, objects.pods);
    add(&mut draft, objects.replica_sets);
    add(&mut draft, objects.deployments);
    add(&mut draft, objects.stateful_sets);
    add(&mut draft, objects.daemon_sets);
    add(&mut draft, objects.jobs);
    add(&mut draft, objects.cron_jobs);
    add(&mut draft, objects.network_policies);
    draft.config_maps = objects.config_maps.map(|maps| {
        let maps = maps.into_iter();
        maps.map(|map| {
            let name = map.metadata.name.unwrap_or_default();
            (name, Some(map.data.unwrap_or_default()))
        })
        .collect()
    });
    for (kind, object) in objects.custom {
        let custom = if kind.is_cluster_scoped() {
            &mut cluster
        } else {
            &mut draft.custom
        };
        custom.add(kind, object);
    }
    draft.finish(&cluster, &objects.not_read)
}

/// What a pod template says; `None` if it has no specification.
#[must_use]
pub fn template_facts(of: &PodTemplateSpec) -> Option<TemplateFacts> {
    template::template(of).map(|(_, facts)| facts)
}

/// A namespace, read once per cluster and process. For plans; what is about to change something asks
/// [`namespace_now`].
///
/// # Errors
/// When service accounts or pods cannot be read. Other kinds may be forbidden, and custom resources and network policies may fail in
/// any way: what is missing then is in [`NamespaceFacts::not_read`].
pub async fn namespace(
    context: &Context<ProviderData>,
    cluster: &str,
    namespace: &str,
) -> Result<Arc<NamespaceFacts>, KubernetesError> {
    let key = (cluster.to_owned(), namespace.to_owned());
    context
        .provider
        .namespaces()
        .get(key, || async {
            read(context, cluster, namespace).await.map(Arc::new)
        })
        .await
}

/// A namespace as it is now. What [`namespace`] knows stays: all plans of a process must agree with each other, whatever
/// other instances have done meanwhile (rule F2).
///
/// # Errors
/// As [`namespace`].
pub async fn namespace_now(
    context: &Context<ProviderData>,
    cluster: &str,
    namespace: &str,
) -> Result<Arc<NamespaceFacts>, KubernetesError> {
    read(context, cluster, namespace).await.map(Arc::new)
}

/// All namespaces, or some, by name: one list per kind (and 500 objects) over the whole cluster, or for each of those named.
/// ConfigMaps that containers take variables from are not read: that is a call for each.
///
/// # Errors
/// As [`namespace`].
pub async fn cluster_wide(
    context: &Context<ProviderData>,
    cluster: &str,
    namespaces: Option<&BTreeSet<String>>,
) -> Result<BTreeMap<String, NamespaceFacts>, KubernetesError> {
    let api = context
        .provider
        .kubernetes_api(&context.cancel, cluster)
        .await?;
    let scopes: Vec<Scope<'_>> = match namespaces {
        None => vec![Scope::Cluster],
        Some(names) => names.iter().map(|name| Scope::Namespace(name)).collect(),
    };
    Reader::new(&api, &context.cancel).read(&scopes).await
}

async fn read(
    context: &Context<ProviderData>,
    cluster: &str,
    namespace: &str,
) -> Result<NamespaceFacts, KubernetesError> {
    let api = context
        .provider
        .kubernetes_api(&context.cancel, cluster)
        .await?;
    let mut reader = Reader::new(&api, &context.cancel);
    reader.config_maps = true;
    let mut all = reader.read(&[Scope::Namespace(namespace)]).await?;
    Ok(all.remove(namespace).unwrap_or_default())
}

/// Reads, and reduces what arrives.
struct Reader<'a> {
    api: &'a ClusterApi,
    cancel: &'a CancellationToken,
    gate: Semaphore,
    /// Whether ConfigMaps are read that containers take variables from.
    config_maps: bool,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    namespaces: BTreeMap<String, Draft>,
    cluster: Custom,
    /// Groups of custom resources that the cluster knows, with the version it prefers.
    groups: BTreeMap<&'static str, Vec<String>>,
    not_read: BTreeSet<String>,
}

impl Found {
    fn of(&mut self, namespace: &str) -> &mut Draft {
        if !self.namespaces.contains_key(namespace) {
            self.namespaces
                .insert(namespace.to_owned(), Draft::new(namespace));
        }
        self.namespaces.entry(namespace.to_owned()).or_default()
    }
}

/// What a refusal means.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Need {
    /// Nothing can be said without it.
    Required,
    /// Less can be said without it if it is forbidden. Any other failure is one.
    Wanted,
    /// Less can be said without it. What serves it may be broken for good, as the conversion webhook of a custom resource.
    Optional,
}

/// Why something was not read: a function of the call and of what rarely changes, since findings are part of plans. What the
/// API said is not, as it names the caller's session.
fn why(error: &KubernetesError) -> String {
    let call = error
        .call()
        .map_or_else(|| "ask the Kubernetes API".to_owned(), ToString::to_string);
    match error.kind() {
        KubernetesErrorKind::Forbidden => {
            let rule = error.missing_rule().unwrap_or_default();
            format!("The Kubernetes permission to {call} is missing: {rule}.")
        }
        KubernetesErrorKind::Throttled
        | KubernetesErrorKind::Unavailable
        | KubernetesErrorKind::Timeout => format!(
            "To {call} did not work: the Kubernetes API does not answer as it should. The conversion webhook of a custom \
             resource may be broken."
        ),
        _ => format!(
            "To {call} did not work: the Kubernetes API gave an unexpected answer, which the provider's log holds."
        ),
    }
}

impl<'a> Reader<'a> {
    fn new(api: &'a ClusterApi, cancel: &'a CancellationToken) -> Self {
        Self {
            api,
            cancel,
            gate: Semaphore::new(CONCURRENCY),
            config_maps: false,
            found: Mutex::default(),
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // Each addition leaves what was found whole.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(
        self,
        scopes: &[Scope<'_>],
    ) -> Result<BTreeMap<String, NamespaceFacts>, KubernetesError> {
        if scopes.is_empty() {
            return Ok(BTreeMap::new());
        }
        for scope in scopes {
            if let Scope::Namespace(namespace) = scope {
                self.found().of(namespace);
            }
        }
        tokio::try_join!(
            try_join_all(scopes.iter().map(|scope| self.scope(*scope))),
            async {
                self.discover(&[custom::EXTERNAL_SECRETS, custom::KEDA])
                    .await?;
                tokio::try_join!(
                    self.custom(CustomKind::ClusterSecretStore, Scope::Cluster),
                    self.custom(CustomKind::ClusterTriggerAuthentication, Scope::Cluster),
                    try_join_all(scopes.iter().map(|scope| async {
                        tokio::try_join!(
                            self.custom(CustomKind::SecretStore, *scope),
                            self.custom(CustomKind::TriggerAuthentication, *scope),
                        )
                    })),
                )
            },
        )?;
        // Only where KEDA is asked to take roles from annotations does it matter what it scales.
        let keda = {
            let found = self.found();
            found.cluster.has_authentications()
                || found
                    .namespaces
                    .values()
                    .any(|draft| draft.custom.has_authentications())
        };
        if keda {
            try_join_all(scopes.iter().map(|scope| async {
                tokio::try_join!(
                    self.custom(CustomKind::ScaledObject, *scope),
                    self.custom(CustomKind::ScaledJob, *scope),
                )
            }))
            .await?;
        }
        if self.config_maps {
            for scope in scopes {
                if let Scope::Namespace(namespace) = scope {
                    self.config_maps(namespace).await?;
                }
            }
        }
        // Likewise for the classes of secrets, which pods have to mount for them to matter.
        let secrets = {
            let found = self.found();
            found.namespaces.values().any(Draft::mounts_secrets)
        };
        if secrets {
            self.discover(&[custom::SECRETS_STORE]).await?;
            try_join_all(
                scopes
                    .iter()
                    .map(|scope| self.custom(CustomKind::SecretProviderClass, *scope)),
            )
            .await?;
        }
        let found = self
            .found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(found
            .namespaces
            .into_iter()
            .map(|(name, draft)| (name, draft.finish(&found.cluster, &found.not_read)))
            .collect())
    }

    /// Everything that belongs to a namespace.
    async fn scope(&self, scope: Scope<'_>) -> Result<(), KubernetesError> {
        use Need::{Optional, Required, Wanted};
        tokio::try_join!(
            self.list::<ServiceAccount>(scope, Required),
            self.list::<Pod>(scope, Required),
            self.list::<ReplicaSet>(scope, Wanted),
            self.list::<Deployment>(scope, Wanted),
            self.list::<StatefulSet>(scope, Wanted),
            self.list::<DaemonSet>(scope, Wanted),
            self.list::<Job>(scope, Wanted),
            self.list::<CronJob>(scope, Wanted),
            self.list::<NetworkPolicy>(scope, Optional),
        )?;
        Ok(())
    }

    async fn list<K: Reduce>(&self, scope: Scope<'_>, need: Need) -> Result<(), KubernetesError> {
        let reduce = |object: K| {
            let namespace = object.meta().namespace.clone().unwrap_or_default();
            Some((namespace, object.reduce()?))
        };
        let parts = {
            let _turn = self.gate.acquire().await;
            self.api
                .list_reduced(self.cancel, scope, None, reduce)
                .await
        };
        let Some(parts) = self.unless_refused(parts, scope, need)? else {
            return Ok(());
        };
        let mut found = self.found();
        for (namespace, part) in parts.into_iter().flatten() {
            found.of(&namespace).add(part);
        }
        Ok(())
    }

    /// The ConfigMaps of a namespace that containers take variables from. Those that may not be read are noted with what uses them.
    async fn config_maps(&self, namespace: &str) -> Result<(), KubernetesError> {
        let wanted = self.found().of(namespace).wanted_config_maps();
        let maps = try_join_all(wanted.into_iter().map(|name| async move {
            let answer = {
                let _turn = self.gate.acquire().await;
                self.api
                    .get::<ConfigMap>(self.cancel, Some(namespace), &name)
                    .await
            };
            match answer {
                Ok(None) => Ok(None),
                Ok(Some(map)) => Ok(Some((name, Some(map.data.unwrap_or_default())))),
                Err(error) if error.is_cancelled() => Err(error),
                Err(error) => {
                    tracing::warn!(%error, "could not be read");
                    Ok(Some((name, None)))
                }
            }
        }))
        .await?;
        self.found().of(namespace).config_maps = Some(maps.into_iter().flatten().collect());
        Ok(())
    }

    /// Asks which version of each group of custom resources the cluster serves.
    async fn discover(&self, groups: &[&'static str]) -> Result<(), KubernetesError> {
        try_join_all(groups.iter().map(|group| async move {
            let versions = {
                let _turn = self.gate.acquire().await;
                self.api.versions(self.cancel, group).await
            };
            if let Some(versions) = self.unless_refused(versions, Scope::Cluster, Need::Optional)? {
                self.found().groups.insert(*group, versions);
            }
            Ok::<_, KubernetesError>(())
        }))
        .await?;
        Ok(())
    }

    async fn custom(&self, kind: CustomKind, scope: Scope<'_>) -> Result<(), KubernetesError> {
        let versions = self.found().groups.get(kind.group()).cloned();
        let mut objects = None;
        // Not every version of a group has every kind. The preferred one that does is the first to answer.
        for version in versions.into_iter().flatten() {
            let answer = {
                let _turn = self.gate.acquire().await;
                let resource = kind.resource(&version);
                self.api.list_dynamic(self.cancel, &resource, scope).await
            };
            objects = self.unless_refused(answer, scope, Need::Optional)?;
            if !matches!(objects, Some(None)) {
                break;
            }
        }
        let objects = objects.flatten();
        let mut found = self.found();
        if kind == CustomKind::SecretProviderClass && objects.is_some() {
            match scope {
                Scope::Namespace(namespace) => found.of(namespace).custom.knows_classes(),
                Scope::Cluster => {
                    for draft in found.namespaces.values_mut() {
                        draft.custom.knows_classes();
                    }
                }
            }
        }
        for object in objects.into_iter().flatten() {
            let custom = match &object.metadata.namespace {
                Some(namespace) => &mut found.of(namespace).custom,
                None => &mut found.cluster,
            };
            custom.add(kind, object);
        }
        Ok(())
    }

    /// The answer; `None` if there was none and it can be done without, which is noted where it matters.
    fn unless_refused<T>(
        &self,
        answer: Result<T, KubernetesError>,
        scope: Scope<'_>,
        need: Need,
    ) -> Result<Option<T>, KubernetesError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error)
                if match need {
                    Need::Required => true,
                    Need::Wanted => !error.is_forbidden(),
                    Need::Optional => error.is_cancelled(),
                } =>
            {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, "could not be read");
                let mut found = self.found();
                match scope {
                    Scope::Cluster => found.not_read.insert(why(&error)),
                    Scope::Namespace(name) => found.of(name).not_read(why(&error)),
                };
                Ok(None)
            }
        }
    }
}
