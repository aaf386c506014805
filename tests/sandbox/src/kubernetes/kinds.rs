//! The resources that are served: those of Kubernetes that a workload is made of, and whatever CustomResourceDefinitions add.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// A resource of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    /// Whether there is a `status` that is written apart from the rest.
    pub(crate) status: bool,
    /// Whether there is a `scale`.
    pub(crate) scale: bool,
    /// Fields beside `apiVersion`, `kind` and `metadata`; `None` where any field is legal.
    pub(crate) fields: Option<&'static [&'static str]>,
}

const SPEC: Option<&[&str]> = Some(&["spec", "status"]);

const fn of(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
) -> Kind {
    Kind {
        group,
        version: "v1",
        kind,
        plural,
        singular,
        short,
        namespaced: true,
        status: true,
        scale: false,
        fields: SPEC,
    }
}

const fn scalable(kind: Kind) -> Kind {
    Kind {
        scale: true,
        ..kind
    }
}

const fn plain(kind: Kind, fields: &'static [&'static str]) -> Kind {
    Kind {
        status: false,
        fields: Some(fields),
        ..kind
    }
}

const fn cluster_wide(kind: Kind) -> Kind {
    Kind {
        namespaced: false,
        ..kind
    }
}

/// The built-in resources.
pub(crate) static KINDS: [Kind; 22] = [
    cluster_wide(of("", "Namespace", "namespaces", "namespace", &["ns"])),
    plain(
        of(
            "",
            "ServiceAccount",
            "serviceaccounts",
            "serviceaccount",
            &["sa"],
        ),
        &[
            "secrets",
            "imagePullSecrets",
            "automountServiceAccountToken",
        ],
    ),
    of("", "Pod", "pods", "pod", &["po"]),
    cluster_wide(of("", "Node", "nodes", "node", &["no"])),
    plain(
        of("", "ConfigMap", "configmaps", "configmap", &["cm"]),
        &["data", "binaryData", "immutable"],
    ),
    plain(
        of("", "Secret", "secrets", "secret", &[]),
        &["data", "stringData", "type", "immutable"],
    ),
    of("", "Service", "services", "service", &["svc"]),
    plain(
        of("", "Event", "events", "event", &["ev"]),
        &[
            "involvedObject",
            "reason",
            "message",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "count",
            "type",
            "eventTime",
            "series",
            "action",
            "related",
            "reportingComponent",
            "reportingInstance",
        ],
    ),
    scalable(of(
        "apps",
        "Deployment",
        "deployments",
        "deployment",
        &["deploy"],
    )),
    scalable(of(
        "apps",
        "ReplicaSet",
        "replicasets",
        "replicaset",
        &["rs"],
    )),
    scalable(of(
        "apps",
        "StatefulSet",
        "statefulsets",
        "statefulset",
        &["sts"],
    )),
    of("apps", "DaemonSet", "daemonsets", "daemonset", &["ds"]),
    plain(
        of(
            "apps",
            "ControllerRevision",
            "controllerrevisions",
            "controllerrevision",
            &[],
        ),
        &["data", "revision"],
    ),
    of("batch", "Job", "jobs", "job", &[]),
    of("batch", "CronJob", "cronjobs", "cronjob", &["cj"]),
    plain(
        of(
            "networking.k8s.io",
            "NetworkPolicy",
            "networkpolicies",
            "networkpolicy",
            &["netpol"],
        ),
        &["spec"],
    ),
    of(
        "policy",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "poddisruptionbudget",
        &["pdb"],
    ),
    plain(
        cluster_wide(of(
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            "mutatingwebhookconfiguration",
            &[],
        )),
        &["webhooks"],
    ),
    cluster_wide(of(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "customresourcedefinition",
        &["crd", "crds"],
    )),
    plain(
        of("rbac.authorization.k8s.io", "Role", "roles", "role", &[]),
        &["rules"],
    ),
    plain(
        of(
            "rbac.authorization.k8s.io",
            "RoleBinding",
            "rolebindings",
            "rolebinding",
            &[],
        ),
        &["subjects", "roleRef"],
    ),
    plain(
        cluster_wide(of(
            "rbac.authorization.k8s.io",
            "ClusterRole",
            "clusterroles",
            "clusterrole",
            &[],
        )),
        &["rules", "aggregationRule"],
    ),
];

impl Kind {
    /// `v1`, or group and version.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.into()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// The name as messages have it: with the group, if there is one.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.into()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether `metadata.generation` counts changes of the spec.
    pub(crate) fn has_generation(&self) -> bool {
        self.status && !["namespaces", "nodes", "services"].contains(&self.plural)
            || self.plural == "networkpolicies"
            || self.plural == "mutatingwebhookconfigurations"
            || self.fields.is_none()
    }

    /// Whether the kind comes from a CustomResourceDefinition; its lists have no merge keys.
    pub(crate) const fn is_custom(&self) -> bool {
        self.fields.is_none()
    }
}

/// The built-in kind of this resource name.
pub(crate) fn built_in(plural: &str) -> &'static Kind {
    KINDS
        .iter()
        .find(|k| k.plural == plural)
        .unwrap_or(&KINDS[0])
}

/// Kinds of custom resources live as long as the process, each once, so that everything can refer to kinds by `&'static`.
static CUSTOM: Mutex<Vec<&'static Kind>> = Mutex::new(Vec::new());

fn text(value: &str) -> &'static str {
    Box::leak(value.to_owned().into_boxed_str())
}

/// The kind that a CustomResourceDefinition defines, in its storage version.
pub(crate) fn custom(definition: &Value) -> Option<&'static Kind> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let versions = spec["versions"].as_array()?;
    let version = versions
        .iter()
        .find(|v| v["storage"] == true)
        .or_else(|| versions.first())?;
    let (group, plural) = (spec["group"].as_str()?, names["plural"].as_str()?);
    let (name, kind) = (version["name"].as_str()?, names["kind"].as_str()?);
    let short: Vec<&str> = names["shortNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let namespaced = spec["scope"] != "Cluster";
    let status = version["subresources"]["status"].is_object();
    let mut known = CUSTOM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.iter().find(|k| {
        (k.group, k.plural, k.version, k.kind) == (group, plural, name, kind)
            && (k.namespaced, k.status) == (namespaced, status)
            && k.short == short
    }) {
        return Some(found);
    }
    let singular = names["singular"]
        .as_str()
        .map_or_else(|| kind.to_lowercase(), str::to_owned);
    let new: &'static Kind = Box::leak(Box::new(Kind {
        group: text(group),
        version: text(name),
        kind: text(kind),
        plural: text(plural),
        singular: text(&singular),
        short: Box::leak(short.into_iter().map(text).collect()),
        namespaced,
        status,
        scale: false,
        fields: None,
    }));
    known.push(new);
    Some(new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_makes_a_kind_once() {
        let definition = json!({"spec": {"group": "argoproj.io", "scope": "Namespaced", "names": {"plural": "rollouts", "kind": "Rollout", "shortNames": ["ro"]},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true}]}});
        let kind = custom(&definition).unwrap();
        assert_eq!(
            (kind.api_version().as_str(), kind.singular, kind.namespaced),
            ("argoproj.io/v1alpha1", "rollout", true)
        );
        assert!(std::ptr::eq(kind, custom(&definition).unwrap()));
        assert!(custom(&json!({"spec": {}})).is_none());
    }

    #[test]
    fn generations() {
        for (plural, expected) in [
            ("deployments", true),
            ("pods", true),
            ("serviceaccounts", false),
            ("nodes", false),
            ("configmaps", false),
            ("networkpolicies", true),
        ] {
            assert_eq!(built_in(plural).has_generation(), expected, "{plural}");
        }
    }
}
