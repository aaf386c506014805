//! The Kubernetes API of one cluster.

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::{ApiResource, DynamicObject};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::error::{KubernetesError, KubernetesErrorKind};

/// Which objects a list is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope<'a> {
    /// Those of the whole cluster.
    Cluster,
    /// Those of one namespace.
    Namespace(&'a str),
}

/// How a patch body is merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PatchKind {
    /// RFC 7386. With `metadata.resourceVersion` in the body it is guarded: somebody else's write in between is
    /// [`KubernetesErrorKind::Conflict`].
    Merge,
    /// Kubernetes' own, which merges lists by key.
    Strategic,
}

/// The API of one cluster: authenticated, with retries (429, 5xx, lost connections), cancellable.
///
/// Typed calls take `k8s_openapi` types. Every error names verb, resource and object.
#[derive(Clone, Debug)]
pub struct ClusterApi {
    name: String,
}

/// What the typed calls need of a type: it is one of `k8s_openapi`'s, or like one.
pub trait Object:
    Resource<DynamicType = ()>
    + DeserializeOwned
    + serde::Serialize
    + Clone
    + std::fmt::Debug
    + Send
    + Sync
{
}
impl<K> Object for K where
    K: Resource<DynamicType = ()>
        + DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
{
}

impl ClusterApi {
    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An object; `None` if it does not exist. `namespace` is `None` for kinds without one.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn get<K: Object>(
        &self,
        _cancel: &CancellationToken,
        _namespace: Option<&str>,
        _name: &str,
    ) -> Result<Option<K>, KubernetesError> {
        Err(not_built())
    }

    /// All objects of a kind, in pages of 500, with an optional label selector.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn list<K: Object>(
        &self,
        _cancel: &CancellationToken,
        _scope: Scope<'_>,
        _label_selector: Option<&str>,
    ) -> Result<Vec<K>, KubernetesError> {
        Err(not_built())
    }

    /// All objects of a kind that only this cluster may know; `None` if it does not.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn list_dynamic(
        &self,
        _cancel: &CancellationToken,
        _resource: &ApiResource,
        _scope: Scope<'_>,
    ) -> Result<Option<Vec<DynamicObject>>, KubernetesError> {
        Err(not_built())
    }

    /// Patches an object. Never sends what is not in `body`.
    ///
    /// # Errors
    /// Whatever the API refuses; `Conflict` when a guarded patch came too late.
    pub async fn patch<K: Object>(
        &self,
        _cancel: &CancellationToken,
        _namespace: Option<&str>,
        _name: &str,
        _kind: PatchKind,
        _body: &Json,
    ) -> Result<K, KubernetesError> {
        Err(not_built())
    }

    /// What creating the object would give, without creating it (`dryRun=All`): admission webhooks run.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn create_dry_run<K: Object + Resource<Scope = NamespaceResourceScope>>(
        &self,
        _cancel: &CancellationToken,
        _namespace: &str,
        _object: &K,
    ) -> Result<K, KubernetesError> {
        Err(not_built())
    }

    /// Whether the caller may do something, by `SelfSubjectAccessReview`. `resource` may be `pods/eviction`.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn can(
        &self,
        _cancel: &CancellationToken,
        _verb: &str,
        _group: &str,
        _resource: &str,
        _namespace: Option<&str>,
    ) -> Result<bool, KubernetesError> {
        Err(not_built())
    }
}

fn not_built() -> KubernetesError {
    KubernetesError::new(KubernetesErrorKind::Other, "the client is being built")
}
