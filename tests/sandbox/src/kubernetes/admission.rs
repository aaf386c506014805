//! What the API server does to a new pod before it stores it: service account, webhook, Fargate.

use serde_json::{Value, json};

use super::kinds::built_in;
use super::store::{Failure, Write};
use super::webhook::{self, Circumstances};
use super::{Kubernetes, Surroundings, selector};

const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Label of a pod that runs on Fargate.
pub(crate) const FARGATE_PROFILE: &str = "eks.amazonaws.com/fargate-profile";

impl Kubernetes {
    /// The pod as it is to be stored.
    pub(super) fn admit(
        &mut self,
        namespace: &str,
        mut pod: Value,
        around: &Surroundings<'_>,
        write: &Write<'_>,
    ) -> Result<Value, Failure> {
        if !pod["spec"].is_object() || !pod["metadata"].is_object() {
            // Validation has the words for it.
            return Ok(pod);
        }
        let metadata = &pod["metadata"];
        let name = metadata["name"]
            .as_str()
            .or_else(|| metadata["generateName"].as_str())
            .unwrap_or_default()
            .to_owned();
        let spec = &pod["spec"];
        let account_name = spec["serviceAccountName"]
            .as_str()
            .or_else(|| spec["serviceAccount"].as_str())
            .filter(|n| !n.is_empty())
            .unwrap_or("default")
            .to_owned();
        let account = self
            .store
            .find(built_in("serviceaccounts"), namespace, &account_name)
            .cloned();
        let Some(account) = account else {
            self.store.get(built_in("namespaces"), "", namespace)?;
            let mut failure = Failure::new(
                403,
                "Forbidden",
                format!(
                    "pods \"{name}\" is forbidden: error looking up service account {namespace}/{account_name}: serviceaccount \"{account_name}\" not found"
                ),
            );
            failure.details = json!({"name": name, "kind": "pods"});
            return Err(failure);
        };
        pod["spec"]["serviceAccountName"] = account_name.clone().into();
        pod["spec"]["serviceAccount"] = account_name.into();
        let mount = match &pod["spec"]["automountServiceAccountToken"] {
            Value::Bool(mount) => *mount,
            _ => account["automountServiceAccountToken"] != false,
        };
        if mount {
            self.mount_token(&mut pod);
        }
        if let Some(secrets) = account["imagePullSecrets"].as_array()
            && pod["spec"]["imagePullSecrets"].is_null()
        {
            pod["spec"]["imagePullSecrets"] = secrets.clone().into();
        }
        self.call_webhook(namespace, &mut pod, &account, around, write)?;
        if let Some(profile) = fargate_profile(around, namespace, &pod["metadata"]["labels"]) {
            pod["metadata"]["labels"][FARGATE_PROFILE] = profile.into();
            pod["spec"]["schedulerName"] = "fargate-scheduler".into();
        }
        Ok(pod)
    }

    fn mount_token(&mut self, pod: &mut Value) {
        let containers = pod["spec"]["containers"].as_array();
        let mounted = containers.into_iter().flatten().any(|container| {
            let mounts = container["volumeMounts"].as_array();
            mounts
                .into_iter()
                .flatten()
                .any(|m| m["mountPath"] == TOKEN_MOUNT)
        });
        if mounted {
            return;
        }
        let volume = format!("kube-api-access-{}", self.store.ids().name_suffix());
        for list in ["containers", "initContainers"] {
            let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            for container in containers {
                let mount = json!({"name": volume, "readOnly": true, "mountPath": TOKEN_MOUNT});
                match container["volumeMounts"].as_array_mut() {
                    Some(mounts) => mounts.push(mount),
                    None => container["volumeMounts"] = json!([mount]),
                }
            }
        }
        let volume = json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}});
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(volume),
            None => pod["spec"]["volumes"] = json!([volume]),
        }
    }

    /// Calls the webhook if its configuration selects the pod.
    fn call_webhook(
        &mut self,
        namespace: &str,
        pod: &mut Value,
        account: &Value,
        around: &Surroundings<'_>,
        write: &Write<'_>,
    ) -> Result<(), Failure> {
        let configurations = built_in("mutatingwebhookconfigurations");
        let configured = self
            .store
            .items(configurations)
            .flat_map(|c| c["webhooks"].as_array().into_iter().flatten())
            .find(|w| w["name"] == "iam-for-pods.amazonaws.com")
            .cloned();
        let Some(configured) = configured else {
            return Ok(());
        };
        let labels = &pod["metadata"]["labels"];
        let of_namespace = self
            .store
            .find(built_in("namespaces"), "", namespace)
            .map_or(Value::Null, |n| n["metadata"]["labels"].clone());
        if !selector::matches(&configured["objectSelector"], labels)
            || !selector::matches(&configured["namespaceSelector"], &of_namespace)
        {
            return Ok(());
        }
        if self.webhook.settings.down {
            if configured["failurePolicy"] == "Fail" {
                return Err(Failure::new(
                    500,
                    "InternalError",
                    "Internal error occurred: failed calling webhook \"iam-for-pods.amazonaws.com\": failed to call webhook: Post \"https://127.0.0.1:23443/mutate?timeout=10s\": dial tcp 127.0.0.1:23443: connect: connection refused",
                ));
            }
            return Ok(());
        }
        let name = account["metadata"]["name"].as_str().unwrap_or_default();
        let who = (namespace.to_owned(), name.to_owned());
        let (associated, instance) = self.webhook.ask(&who, write.now);
        let at = self.webhook.sees_annotations_of(instance, write.now);
        let annotations = self.store.annotations_at(account, at).clone();
        let random = self.store.ids().next();
        webhook::mutate(
            pod,
            &Circumstances {
                annotations: &annotations,
                associated,
                region: around.region,
                regional_sts: self.webhook.settings.regional_sts,
                random,
            },
        );
        Ok(())
    }
}

/// The Fargate profile that takes pods with these labels.
pub(crate) fn fargate_profile(
    around: &Surroundings<'_>,
    namespace: &str,
    labels: &Value,
) -> Option<String> {
    around.fargate.iter().find_map(|(name, profile)| {
        let selectors = profile.get("selectors").and_then(Value::as_array);
        let matches = selectors.into_iter().flatten().any(|s| {
            let like =
                |pattern: &str, text: &str| crate::trust::like(pattern.as_bytes(), text.as_bytes());
            s["namespace"].as_str().is_some_and(|n| like(n, namespace))
                && s["labels"].as_object().into_iter().flatten().all(|(k, v)| {
                    let label = labels.get(k).and_then(Value::as_str);
                    label.is_some_and(|l| v.as_str().is_some_and(|v| like(v, l)))
                })
        });
        matches.then(|| name.clone())
    })
}
