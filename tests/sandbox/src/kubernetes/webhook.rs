//! The Pod Identity webhook: what it puts into new pods, and when it knows of an association.
//!
//! The rules are those of the open-source amazon-eks-pod-identity-webhook; that every API server has an instance of its own, which learns
//! of a change at its own time, is how EKS is understood to run it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// Label that keeps the webhook away from a pod.
pub(crate) const SKIP_LABEL: &str = "eks.amazonaws.com/skip-pod-identity-webhook";
/// Annotation of a pod: containers to leave alone.
pub(crate) const SKIP_CONTAINERS: &str = "eks.amazonaws.com/skip-containers";
/// Annotation of a service account: the role of IRSA.
pub(crate) const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE: &str = "eks.amazonaws.com/audience";
const REGIONAL_STS: &str = "eks.amazonaws.com/sts-regional-endpoints";
const EXPIRATION: &str = "eks.amazonaws.com/token-expiration";
const LABEL: &str = "eks.amazonaws.com/pod-identity";

/// Where the Pod Identity agent listens.
pub(crate) const AGENT_URI: &str = "http://169.254.170.23/v1/credentials";
/// Audience of the tokens that the agent takes.
pub(crate) const AGENT_AUDIENCE: &str = "pods.eks.amazonaws.com";

const DEFAULT_EXPIRATION: u64 = 86_400;
const LEAST_EXPIRATION: u64 = 600;
/// Seconds that the default lifetime of a Pod Identity token may be shorter.
const JITTER: u64 = 7_200;

/// How the webhook of a cluster behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whether nobody answers; what happens then is up to the failure policy.
    pub(crate) down: bool,
    /// API servers, each with a webhook of its own; they take turns.
    pub(crate) api_servers: u64,
    /// Milliseconds until the last of them knows of a created or deleted association; the first knows after its part of that.
    pub(crate) delay_ms: u64,
    /// Pods of the service account that the last of them still answers the old way; the first needs its part of that.
    pub(crate) delay_probes: u64,
    /// Milliseconds until the last of them knows of changed annotations of a service account; the first knows after its part of that.
    pub(crate) annotation_delay_ms: u64,
    /// Whether `AWS_STS_REGIONAL_ENDPOINTS` is injected where no annotation decides.
    pub(crate) regional_sts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            down: false,
            api_servers: 1,
            delay_ms: 0,
            delay_probes: 0,
            annotation_delay_ms: 0,
            regional_sts: true,
        }
    }
}

/// A created or deleted association.
#[derive(Clone, Debug)]
struct Change {
    at: OffsetDateTime,
    present: bool,
    /// Pods that each API server has answered since.
    probes: Vec<u64>,
}

/// Namespace and service account.
pub(crate) type Account = (String, String);

/// The webhooks of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Webhook {
    pub(crate) settings: Settings,
    /// Associations that every API server knows.
    settled: BTreeSet<Account>,
    changes: BTreeMap<Account, Vec<Change>>,
    /// The last state that was seen.
    known: BTreeSet<Account>,
    turn: u64,
}

impl Webhook {
    /// Takes note of the associations there are now. If `settle`, every API server knows them at once.
    pub(crate) fn sync(&mut self, present: BTreeSet<Account>, settle: bool, now: OffsetDateTime) {
        let instances = self.instances();
        if settle {
            self.changes.clear();
            self.settled.clone_from(&present);
        } else if present != self.known {
            for account in present.symmetric_difference(&self.known) {
                let change = Change {
                    at: now,
                    present: present.contains(account),
                    probes: vec![0; instances],
                };
                self.changes
                    .entry(account.clone())
                    .or_default()
                    .push(change);
            }
        }
        self.known = present;
    }

    fn instances(&self) -> usize {
        usize::try_from(self.settings.api_servers.max(1)).unwrap_or(1)
    }

    /// Whether an API server knows an association of the service account.
    fn knows(&self, instance: usize, account: &Account, now: OffsetDateTime) -> bool {
        let visible = self.changes.get(account).and_then(|changes| {
            let mut newest = changes.iter().rev();
            newest.find(|change| self.has_heard(instance, change, now))
        });
        visible.map_or_else(|| self.settled.contains(account), |change| change.present)
    }

    fn has_heard(&self, instance: usize, change: &Change, now: OffsetDateTime) -> bool {
        let (part, whole) = self.part(instance);
        let probes = (self.settings.delay_probes * part).div_ceil(whole);
        (now - change.at).whole_milliseconds() >= i128::from(self.settings.delay_ms * part / whole)
            && change.probes.get(instance).is_none_or(|p| *p >= probes)
    }

    fn part(&self, instance: usize) -> (u64, u64) {
        (instance as u64 + 1, self.settings.api_servers.max(1))
    }

    /// Changes that every API server knows are no longer changes.
    pub(crate) fn forget_what_all_know(&mut self, now: OffsetDateTime) {
        let known: Vec<(Account, bool)> = self
            .changes
            .iter()
            .filter_map(|(account, changes)| {
                let last = changes.last()?;
                let all = (0..self.instances()).all(|i| self.has_heard(i, last, now));
                all.then(|| (account.clone(), last.present))
            })
            .collect();
        for (account, present) in known {
            self.changes.remove(&account);
            if present {
                self.settled.insert(account);
            } else {
                self.settled.remove(&account);
            }
        }
    }

    /// Whether some API server may not know the latest about a service account's association.
    pub(super) fn is_changing(&self, account: &Account) -> bool {
        self.changes.contains_key(account)
    }

    /// The time whose annotations of service accounts an API server sees; `None` if it sees changes at once.
    pub(super) fn sees_annotations_of(
        &self,
        instance: usize,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let (part, whole) = self.part(instance);
        let ms = self.settings.annotation_delay_ms * part / whole;
        let delay = Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX));
        (ms > 0).then(|| now.saturating_sub(delay))
    }

    /// The answer of the API server whose turn it is, and which one that is; counts.
    pub(crate) fn ask(&mut self, account: &Account, now: OffsetDateTime) -> (bool, usize) {
        let instance = usize::try_from(self.turn % self.settings.api_servers.max(1)).unwrap_or(0);
        self.turn += 1;
        let known = self.knows(instance, account, now);
        for change in self.changes.get_mut(account).into_iter().flatten() {
            if let Some(probes) = change.probes.get_mut(instance) {
                *probes += 1;
            }
        }
        (known, instance)
    }

    /// Which API servers know an association of the service account now.
    pub(crate) fn answers(&self, account: &Account, now: OffsetDateTime) -> Vec<bool> {
        let instances = 0..self.instances();
        instances.map(|i| self.knows(i, account, now)).collect()
    }
}

/// What the webhook needs to know beside the pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    /// Annotations of the service account.
    pub(crate) annotations: &'a Value,
    /// Whether an association is known.
    pub(crate) associated: bool,
    pub(crate) region: &'a str,
    pub(crate) regional_sts: bool,
    /// A number to jitter the token's lifetime with.
    pub(crate) random: u64,
}

struct Injection {
    env: [(&'static str, String); 2],
    volume: &'static str,
    mount: &'static str,
    token: &'static str,
    audience: String,
    expiration: u64,
    label: bool,
}

fn expiration(value: &Value) -> Option<u64> {
    let seconds: u64 = value.as_str()?.parse().ok()?;
    Some(seconds.max(LEAST_EXPIRATION))
}

/// Changes a new pod as the webhook does. A pod whose service account has neither association nor annotation is left alone.
pub(crate) fn mutate(pod: &mut Value, about: &Circumstances<'_>) {
    let annotation = |name: &str| about.annotations.get(name).unwrap_or(&Value::Null);
    let role = annotation(ROLE_ARN).as_str().filter(|r| !r.is_empty());
    let annotations = pod["metadata"]["annotations"].clone();
    let expires =
        expiration(&annotations[EXPIRATION]).or_else(|| expiration(annotation(EXPIRATION)));
    let windows = ["kubernetes.io/os", "beta.kubernetes.io/os"]
        .iter()
        .any(|label| pod["spec"]["nodeSelector"][*label] == "windows");
    let injection = if about.associated {
        let mount = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
        let token = "eks-pod-identity-token";
        let jittered = match expires {
            None | Some(DEFAULT_EXPIRATION) => DEFAULT_EXPIRATION - about.random % (JITTER + 1),
            Some(seconds) => seconds,
        };
        Injection {
            env: [
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AGENT_URI.into()),
                (
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                    token_path(mount, token, windows),
                ),
            ],
            volume: "eks-pod-identity-token",
            mount,
            token,
            audience: AGENT_AUDIENCE.into(),
            expiration: jittered,
            label: true,
        }
    } else if let Some(role) = role {
        let mount = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
        Injection {
            env: [
                ("AWS_ROLE_ARN", role.into()),
                (
                    "AWS_WEB_IDENTITY_TOKEN_FILE",
                    token_path(mount, "token", windows),
                ),
            ],
            volume: "aws-iam-token",
            mount,
            token: "token",
            audience: annotation(AUDIENCE)
                .as_str()
                .unwrap_or("sts.amazonaws.com")
                .into(),
            expiration: expires.unwrap_or(DEFAULT_EXPIRATION),
            label: false,
        }
    } else {
        return;
    };
    let regional_sts = match annotation(REGIONAL_STS).as_str() {
        Some(text) => text.parse().unwrap_or(about.regional_sts),
        None => about.regional_sts,
    };
    let skipped = skipped_containers(&annotations);
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            if !skipped.iter().any(|s| s == name) {
                inject(container, &injection, about.region, regional_sts);
            }
        }
        if pod["spec"][list].is_null()
            && let Some(spec) = pod["spec"].as_object_mut()
        {
            spec.shift_remove(list);
        }
    }
    let volumes = &mut pod["spec"]["volumes"];
    let exists = volumes
        .as_array()
        .is_some_and(|list| list.iter().any(|v| v["name"] == injection.volume));
    if !exists {
        let source = json!({"serviceAccountToken": {"audience": injection.audience, "expirationSeconds": injection.expiration, "path": injection.token}});
        push(
            volumes,
            json!({"name": injection.volume, "projected": {"sources": [source], "defaultMode": 420}}),
        );
    }
    if injection.label {
        pod["metadata"]["labels"][LABEL] = "enabled".into();
    }
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn token_path(mount: &str, token: &str, windows: bool) -> String {
    if windows {
        format!("C:{}\\{token}", mount.replace('/', "\\"))
    } else {
        format!("{mount}/{token}")
    }
}

/// The containers that a pod's annotation excludes: a line of CSV; one that is none excludes nothing.
pub(crate) fn skipped_containers(annotations: &Value) -> Vec<String> {
    let Some(text) = annotations[SKIP_CONTAINERS].as_str() else {
        return Vec::new();
    };
    // A bare quote inside a field, or one that is never closed, is a parse error of Go's CSV reader.
    let mut names = Vec::new();
    for field in text.split(',') {
        let field = field.trim();
        let inner = field
            .strip_prefix('"')
            .map_or(Some(field), |rest| rest.strip_suffix('"'));
        match inner {
            Some(name) if !name.contains('"') => names.push(name.to_owned()),
            _ => return Vec::new(),
        }
    }
    names
}

fn inject(container: &mut Value, injection: &Injection, region: &str, regional_sts: bool) {
    let defines = |container: &Value, name: &str| {
        let env = container["env"].as_array();
        env.into_iter().flatten().any(|e| e["name"] == name)
    };
    let has_keys = injection.env.iter().any(|(n, _)| defines(container, n));
    let has_region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .any(|name| defines(container, name));
    let has_sts = defines(container, "AWS_STS_REGIONAL_ENDPOINTS");
    if has_keys && has_region && has_sts {
        return;
    }
    let mut set = |name: &str, value: &str| {
        push(&mut container["env"], json!({"name": name, "value": value}));
    };
    if !has_sts && regional_sts {
        set("AWS_STS_REGIONAL_ENDPOINTS", "regional");
    }
    if !has_region && !region.is_empty() {
        set("AWS_DEFAULT_REGION", region);
        set("AWS_REGION", region);
    }
    if !has_keys {
        for (name, value) in &injection.env {
            set(name, value);
        }
    }
    let mounts = &mut container["volumeMounts"];
    let mounted = mounts
        .as_array()
        .is_some_and(|list| list.iter().any(|m| m["name"] == injection.volume));
    if !mounted {
        push(
            mounts,
            json!({"name": injection.volume, "readOnly": true, "mountPath": injection.mount}),
        );
    }
}

/// Certificate authority of the webhook, as EKS writes one; nobody has its key. Valid beyond all tests.
const AUTHORITY: &str = concat!(
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJvVENDQVVlZ0F3SUJBZ0lVQ0hEMm52ckhmREhYZjNrM0w1UzgvVm41UTlJd0NnWUlLb1",
    "pJemowRUF3SXcKSlRFak1DRUdBMVVFQXd3YWFXRnRMV1p2Y2kxd2IyUnpMbUZ0WVhwdmJtRjNjeTVqYjIwd0lCY05Nall4TVRJeQpNRFV6TmpJ",
    "eFdoZ1BPVGsyTmpFd01qZ3dOVE0yTWpGYU1DVXhJekFoQmdOVkJBTU1HbWxoYlMxbWIzSXRjRzlrCmN5NWhiV0Y2YjI1aGQzTXVZMjl0TUZrd0",
    "V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFQjZySW1MK3cKOWFBQ0c4eXdwVzRyVWlqSWI0TUxaODh5eFRJWm14TjAvcEJyK09PeFZQ",
    "OW1NbUg0bVZ0bTdMc3FyTTNzcmRkVQpCUk1aTmxuaFZpTjJHcU5UTUZFd0hRWURWUjBPQkJZRUZDb1JCdnJMV3liMzM0WWpxN1lBRE1QR0sxTk",
    "VNQjhHCkExVWRJd1FZTUJhQUZDb1JCdnJMV3liMzM0WWpxN1lBRE1QR0sxTkVNQThHQTFVZEV3RUIvd1FGTUFNQkFmOHcKQ2dZSUtvWkl6ajBF",
    "QXdJRFNBQXdSUUlnWC9oQlhUaFFKTnl5dXY1QWg3aXVhYlQwZHlUVFcrbzJUbjVKbWRoMQpIMWNDSVFDc2NhUlFSdUpRWU51NjhIMWJiaWhMWl",
    "d6MzduSkl3azdETUx5STBGZGtSZz09Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K",
);

/// The configuration object that a cluster starts with.
pub(crate) fn configuration() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "pod-identity-webhook"},
        "webhooks": [{
            "name": "iam-for-pods.amazonaws.com",
            "admissionReviewVersions": ["v1beta1"],
            "clientConfig": {"url": "https://127.0.0.1:23443/mutate", "caBundle": AUTHORITY},
            "failurePolicy": "Ignore",
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {"matchExpressions": [{"key": SKIP_LABEL, "operator": "DoesNotExist"}]},
            "reinvocationPolicy": "IfNeeded",
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}],
            "sideEffects": "None",
            "timeoutSeconds": 10,
        }],
    })
}

#[cfg(test)]
mod tests;
