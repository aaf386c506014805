//! The Kubernetes API of one cluster.
//!
//! A kind is a row in [`store::KINDS`]; everything generic (lists, pages, patches, conflicts, tables) follows from it.

pub(crate) mod access;
mod discovery;
pub(crate) mod front;
mod patch;
mod protobuf;
mod selector;
mod store;
mod table;
mod validation;

use serde_json::{Value, json};
use time::OffsetDateTime;

use self::access::Access;
use self::store::Store;

/// Objects and access rules of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Kubernetes {
    store: Store,
    pub(crate) access: Access,
}

impl Kubernetes {
    /// A cluster with the namespaces every cluster has.
    pub(crate) fn new(now: OffsetDateTime) -> Self {
        let mut this = Self::default();
        for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            this.ensure_namespace(namespace, now);
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

    /// Creates the object, or replaces the one of that name.
    pub(crate) fn put(&mut self, object: Value, now: OffsetDateTime) -> Result<(), String> {
        let (version, kind) = (
            object["apiVersion"].as_str().unwrap_or_default(),
            object["kind"].as_str().unwrap_or_default(),
        );
        let kind = store::KINDS
            .iter()
            .find(|k| k.kind == kind && k.api_version() == version)
            .ok_or_else(|| format!("no kind {version} {kind}"))?;
        let metadata = &object["metadata"];
        let (namespace, name) = (
            metadata["namespace"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            metadata["name"].as_str().unwrap_or_default().to_owned(),
        );
        let result = match self.store.get(kind, &namespace, &name) {
            Ok(existing) => {
                // A namespace that exists is left as it is; its finalizers and phase are not the seed's to drop.
                if kind.plural == "namespaces" {
                    return Ok(());
                }
                let mut object = object;
                object["metadata"]["uid"] = existing["metadata"]["uid"].clone();
                self.store.replace(kind, &namespace, &name, object, false)
            }
            Err(_) => self.store.create(kind, &namespace, object, now, false),
        };
        result.map(|_| ()).map_err(|failure| failure.message)
    }

    /// An object by its resource name, such as `serviceaccounts`.
    pub(crate) fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = store::KINDS.iter().find(|k| k.plural == resource)?;
        self.store.get(kind, namespace, name).ok()
    }

    /// All objects, for the control API.
    pub(crate) fn describe(&self) -> Value {
        self.store.all().cloned().collect()
    }
}
