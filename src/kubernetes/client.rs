//! The Kubernetes API of one cluster.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Resource;
use kube::api::{
    ApiResource, DynamicObject, GetParams, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::Request as Requests;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::error::{Call, KubernetesError, KubernetesErrorKind};
use super::transport::{Effect, Transport};

/// Objects per page of a list: what kubectl asks for.
const PAGE: u32 = 500;
/// How often a list is begun anew because the API server forgot where it was.
const MAX_RESTARTS: u32 = 3;
/// Who we are in `managedFields`.
const FIELD_MANAGER: &str = "terraform-provider-podidentity";

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
    transport: Arc<Transport>,
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

/// One page of a list.
#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
struct Page<K> {
    #[serde(default)]
    metadata: PageMetadata,
    // Go's API servers write an empty list as null in places.
    items: Option<Vec<K>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    continue_token: Option<String>,
}

impl ClusterApi {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport: Arc::new(transport),
        }
    }

    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.transport.cluster()
    }

    /// An object; `None` if it does not exist. `namespace` is `None` for kinds without one.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn get<K: Object>(
        &self,
        cancel: &CancellationToken,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<K>, KubernetesError> {
        let call = self.call::<K>("get", &(), namespace, Some(name));
        let request = requests::<K>(&call, &())?.get(name, &GetParams::default());
        match self.send(cancel, &call, Effect::Reads, request).await {
            Ok(body) => parse(&call, &body).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a kind, in pages of 500, with an optional label selector.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn list<K: Object>(
        &self,
        cancel: &CancellationToken,
        scope: Scope<'_>,
        label_selector: Option<&str>,
    ) -> Result<Vec<K>, KubernetesError> {
        self.list_of(cancel, &(), scope, label_selector, |object| object)
            .await
    }

    /// As [`list`](Self::list), but keeps of each object only what `reduce` makes of it, page by page.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn list_reduced<K: Object, T>(
        &self,
        cancel: &CancellationToken,
        scope: Scope<'_>,
        label_selector: Option<&str>,
        reduce: impl FnMut(K) -> T,
    ) -> Result<Vec<T>, KubernetesError> {
        self.list_of(cancel, &(), scope, label_selector, reduce)
            .await
    }

    /// All objects of a kind that only this cluster may know; `None` if it does not.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn list_dynamic(
        &self,
        cancel: &CancellationToken,
        resource: &ApiResource,
        scope: Scope<'_>,
    ) -> Result<Option<Vec<DynamicObject>>, KubernetesError> {
        // A list of a kind that exists is empty at worst: 404 is about the kind, even where the namespace is missing.
        match self
            .list_of(cancel, resource, scope, None, |object| object)
            .await
        {
            Ok(objects) => Ok(Some(objects)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The versions of an API group that the cluster serves, preferred ones first; none if it does not know the group.
    /// Everybody who is authenticated may ask that.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn versions(
        &self,
        cancel: &CancellationToken,
        group: &str,
    ) -> Result<Vec<String>, KubernetesError> {
        #[derive(Deserialize)]
        struct Group {
            versions: Vec<Version>,
        }
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        let call = Call {
            verb: "get",
            resource: format!("/apis/{group}"),
            cluster: self.name().to_owned(),
            ..Call::default()
        };
        let request = Request::get(&call.resource)
            .body(Vec::new())
            .map_err(kube::core::request::Error::BuildRequest);
        match self.send(cancel, &call, Effect::Reads, request).await {
            Ok(body) => {
                let group: Group = parse(&call, &body)?;
                Ok(group.versions.into_iter().map(|v| v.version).collect())
            }
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Patches an object. Never sends what is not in `body`.
    ///
    /// # Errors
    /// Whatever the API refuses; `Conflict` when a guarded patch came too late, be it after an own attempt whose answer
    /// was lost: read again and decide again.
    pub async fn patch<K: Object>(
        &self,
        cancel: &CancellationToken,
        namespace: Option<&str>,
        name: &str,
        kind: PatchKind,
        body: &Json,
    ) -> Result<K, KubernetesError> {
        let call = self.call::<K>("patch", &(), namespace, Some(name));
        let patch = match kind {
            PatchKind::Merge => Patch::Merge(body),
            PatchKind::Strategic => Patch::Strategic(body),
        };
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let request = requests::<K>(&call, &())?.patch(name, &parameters, &patch);
        let answer = self.send(cancel, &call, Effect::Writes, request).await?;
        parse(&call, &answer)
    }

    /// What creating the object would give, without creating it (`dryRun=All`): admission webhooks run.
    ///
    /// # Errors
    /// Whatever the API refuses.
    pub async fn create_dry_run<K: Object + Resource<Scope = NamespaceResourceScope>>(
        &self,
        cancel: &CancellationToken,
        namespace: &str,
        object: &K,
    ) -> Result<K, KubernetesError> {
        let call = self.call::<K>("create", &(), Some(namespace), None);
        let parameters = PostParams {
            dry_run: true,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        self.create(cancel, &call, &parameters, object).await
    }

    /// Whether the caller may do something, by `SelfSubjectAccessReview`. `resource` may be `pods/eviction`. Without
    /// `name` the question is about all objects: a rule with `resourceNames` does not allow that.
    ///
    /// # Errors
    /// Whatever the API refuses; `Other` if it cannot tell.
    pub async fn can(
        &self,
        cancel: &CancellationToken,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<bool, KubernetesError> {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (resource, None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(verb.to_owned()),
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    namespace: namespace.map(ToOwned::to_owned),
                    name: name.map(ToOwned::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let call = self.call::<SelfSubjectAccessReview>("create", &(), None, None);
        let answer = self
            .create(cancel, &call, &PostParams::default(), &review)
            .await?;
        let status = answer.status.unwrap_or_default();
        match status.evaluation_error.as_deref() {
            // Some authorizer could not be asked, and none of the others allows it: that is not a no.
            Some(error) if !status.allowed && !error.is_empty() => Err(KubernetesError::new(
                KubernetesErrorKind::Other,
                format!("the API server cannot tell what is allowed: {error}"),
            )
            .in_call(&call)),
            _ => Ok(status.allowed),
        }
    }

    async fn create<K: Object>(
        &self,
        cancel: &CancellationToken,
        call: &Call,
        parameters: &PostParams,
        object: &K,
    ) -> Result<K, KubernetesError> {
        let body = serde_json::to_vec(object).map_err(|error| {
            KubernetesError::new(KubernetesErrorKind::Other, error.to_string()).in_call(call)
        })?;
        let request = requests::<K>(call, &())?.create(parameters, body);
        let answer = self.send(cancel, call, Effect::Reads, request).await?;
        parse(call, &answer)
    }

    async fn list_of<K, T>(
        &self,
        cancel: &CancellationToken,
        kind: &K::DynamicType,
        scope: Scope<'_>,
        label_selector: Option<&str>,
        mut reduce: impl FnMut(K) -> T,
    ) -> Result<Vec<T>, KubernetesError>
    where
        K: Resource + DeserializeOwned,
    {
        let namespace = match scope {
            Scope::Cluster => None,
            Scope::Namespace(namespace) => Some(namespace),
        };
        let call = self.call::<K>("list", kind, namespace, None);
        let requests = requests::<K>(&call, kind)?;
        let mut objects = Vec::new();
        let mut restarts = 0;
        let mut parameters = ListParams {
            limit: Some(PAGE),
            label_selector: label_selector.map(ToOwned::to_owned),
            ..ListParams::default()
        };
        loop {
            let request = requests.list(&parameters);
            let page: Page<K> = match self.send(cancel, &call, Effect::Reads, request).await {
                Ok(body) => parse(&call, &body)?,
                // The place to continue from is older than what the API server remembers. Its offer to go on with the
                // objects as they are now could miss what moved between pages.
                Err(error)
                    if error.http_status() == Some(410)
                        && parameters.continue_token.is_some()
                        && restarts < MAX_RESTARTS =>
                {
                    restarts += 1;
                    objects.clear();
                    parameters.continue_token = None;
                    continue;
                }
                Err(error) => return Err(error),
            };
            objects.extend(page.items.into_iter().flatten().map(&mut reduce));
            parameters.continue_token = page
                .metadata
                .continue_token
                .filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(objects);
            }
        }
    }

    async fn send(
        &self,
        cancel: &CancellationToken,
        call: &Call,
        effect: Effect,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Bytes, KubernetesError> {
        let request = request.map_err(|error| {
            KubernetesError::new(KubernetesErrorKind::Invalid, error.to_string()).in_call(call)
        })?;
        self.transport.send(cancel, call, effect, &request).await
    }

    fn call<K: Resource>(
        &self,
        verb: &'static str,
        kind: &K::DynamicType,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Call {
        Call {
            verb,
            resource: K::plural(kind).into_owned(),
            group: K::group(kind).into_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: name.map(ToOwned::to_owned),
            cluster: self.name().to_owned(),
        }
    }
}

/// The requests of a kind, after making sure that namespace and name stay parts of the path.
fn requests<K: Resource>(call: &Call, kind: &K::DynamicType) -> Result<Requests, KubernetesError> {
    for part in [&call.namespace, &call.name].into_iter().flatten() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if part.is_empty() || part.starts_with("..") || !part.chars().all(plain) {
            return Err(KubernetesError::new(
                KubernetesErrorKind::Invalid,
                format!("{part:?} is not the name of a Kubernetes object"),
            )
            .in_call(call));
        }
    }
    Ok(Requests::new(K::url_path(kind, call.namespace.as_deref())))
}

fn parse<T: DeserializeOwned>(call: &Call, body: &[u8]) -> Result<T, KubernetesError> {
    serde_json::from_slice(body).map_err(|error| {
        KubernetesError::new(
            KubernetesErrorKind::Other,
            format!("the answer is not understood: {error}"),
        )
        .in_call(call)
    })
}
