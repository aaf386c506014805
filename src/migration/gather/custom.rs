//! Custom resources that make controllers read the role annotation of service accounts.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::{ApiResource, DynamicObject};
use serde_json::Value as Json;

use crate::migration::facts::{ConsumerFacts, NamespaceFacts, TemplateFacts};

/// The API group of External Secrets.
pub(super) const EXTERNAL_SECRETS: &str = "external-secrets.io";
/// The API group of KEDA.
pub(super) const KEDA: &str = "keda.sh";
/// The API group of the Secrets Store CSI driver.
pub(super) const SECRETS_STORE: &str = "secrets-store.csi.x-k8s.io";

/// The Secrets Store CSI driver. Its provider for AWS takes the role from the annotation of the pod's service account, unless the class
/// says `usePodIdentity`.
const SECRETS_STORE_DRIVER: &str = "secrets-store.csi.k8s.io";
/// Mountpoint for Amazon S3. It may be told to use the pod's role, which older versions take from the annotation.
const S3_DRIVER: &str = "s3.csi.aws.com";

/// A kind of custom resource that is looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CustomKind {
    /// External Secrets: a store of one namespace. Its controller takes a role from the annotation of the service account
    /// that the store names.
    SecretStore,
    /// External Secrets: a store of the whole cluster.
    ClusterSecretStore,
    /// KEDA: how triggers of one namespace authenticate. KEDA takes the role from the annotation of the service account of
    /// what it scales.
    TriggerAuthentication,
    /// KEDA: how triggers authenticate, for all namespaces.
    ClusterTriggerAuthentication,
    /// KEDA: what is scaled, with its triggers.
    ScaledObject,
    /// KEDA: jobs that are started, with their triggers.
    ScaledJob,
    /// Secrets Store CSI driver: what a volume holds, and with whose credentials it is fetched.
    SecretProviderClass,
}

impl CustomKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SecretStore,
        Self::ClusterSecretStore,
        Self::TriggerAuthentication,
        Self::ClusterTriggerAuthentication,
        Self::ScaledObject,
        Self::ScaledJob,
        Self::SecretProviderClass,
    ];

    /// The kind's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecretStore => "SecretStore",
            Self::ClusterSecretStore => "ClusterSecretStore",
            Self::TriggerAuthentication => "TriggerAuthentication",
            Self::ClusterTriggerAuthentication => "ClusterTriggerAuthentication",
            Self::ScaledObject => "ScaledObject",
            Self::ScaledJob => "ScaledJob",
            Self::SecretProviderClass => "SecretProviderClass",
        }
    }

    /// Whether its objects belong to no namespace.
    #[must_use]
    pub fn is_cluster_scoped(self) -> bool {
        matches!(
            self,
            Self::ClusterSecretStore | Self::ClusterTriggerAuthentication
        )
    }

    /// Its API group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::SecretStore | Self::ClusterSecretStore => EXTERNAL_SECRETS,
            Self::SecretProviderClass => SECRETS_STORE,
            _ => KEDA,
        }
    }

    /// How the API has it in a version of its group.
    #[must_use]
    pub fn resource(self, version: &str) -> ApiResource {
        ApiResource {
            group: self.group().to_owned(),
            version: version.to_owned(),
            api_version: format!("{}/{version}", self.group()),
            kind: self.as_str().to_owned(),
            plural: match self {
                Self::SecretProviderClass => "secretproviderclasses".to_owned(),
                _ => format!("{}s", self.as_str().to_lowercase()),
            },
        }
    }
}

/// What custom resources say, of one namespace or of the cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Custom {
    /// Kind and name of a store, the service account that it names, and the namespace of that; `None` stands for whatever
    /// namespace a secret is wanted in.
    stores: Vec<(CustomKind, String, String, Option<String>)>,
    /// Authentications that take the role from the annotation of what is scaled.
    authentications: BTreeSet<(CustomKind, String)>,
    /// What is scaled, with the authentications it uses.
    scaled: Vec<(Target, BTreeSet<(CustomKind, String)>)>,
    /// SecretProviderClasses, and whether each uses the role of the annotation; `None` while they were not read.
    classes: Option<BTreeMap<String, bool>>,
}

/// Whether a pod mounts volumes of the Secrets Store CSI driver.
pub(super) fn mounts_secrets(template: &TemplateFacts) -> bool {
    let mut drivers = template.csi_volumes.iter().map(|(driver, _)| driver);
    drivers.any(|driver| driver == SECRETS_STORE_DRIVER)
}

#[derive(Clone, Debug)]
enum Target {
    Workload { kind: String, name: String },
    ServiceAccount(String),
}

fn text<'a>(json: &'a Json, pointer: &str) -> Option<&'a str> {
    json.pointer(pointer)?.as_str()
}

impl Custom {
    /// Whether KEDA takes roles from annotations.
    pub(super) fn has_authentications(&self) -> bool {
        !self.authentications.is_empty()
    }

    /// Notes that the SecretProviderClasses were read, whether there are any or not.
    pub(super) fn knows_classes(&mut self) {
        self.classes.get_or_insert_default();
    }

    pub(super) fn add(&mut self, kind: CustomKind, object: DynamicObject) {
        let name = object.metadata.name.unwrap_or_default();
        let namespace = object.metadata.namespace;
        let spec = object.data.get("spec").unwrap_or(&Json::Null);
        match kind {
            CustomKind::SecretStore | CustomKind::ClusterSecretStore => {
                for pointer in [
                    "/provider/aws/auth/jwt/serviceAccountRef",
                    "/provider/vault/auth/iam/jwt/serviceAccountRef",
                ] {
                    let Some(reference) = spec.pointer(pointer) else {
                        continue;
                    };
                    let Some(service_account) = text(reference, "/name") else {
                        continue;
                    };
                    let of = match kind {
                        // A store cannot reach into other namespaces, whatever it says.
                        CustomKind::SecretStore => namespace.clone(),
                        _ => text(reference, "/namespace").map(ToOwned::to_owned),
                    };
                    self.stores
                        .push((kind, name.clone(), service_account.to_owned(), of));
                }
            }
            CustomKind::TriggerAuthentication | CustomKind::ClusterTriggerAuthentication => {
                let identity = spec.get("podIdentity").unwrap_or(&Json::Null);
                let workloads = match text(identity, "/provider") {
                    Some("aws") => text(identity, "/identityOwner") == Some("workload"),
                    // The older provider does so unless a trigger says otherwise.
                    Some("aws-eks") => true,
                    _ => false,
                };
                if workloads {
                    self.authentications.insert((kind, name));
                }
            }
            CustomKind::ScaledObject => {
                let Some(target) = text(spec, "/scaleTargetRef/name") else {
                    return;
                };
                let target = Target::Workload {
                    kind: text(spec, "/scaleTargetRef/kind")
                        .unwrap_or("Deployment")
                        .to_owned(),
                    name: target.to_owned(),
                };
                self.scaled.push((target, authentications(spec)));
            }
            CustomKind::SecretProviderClass => {
                let pod_identity = text(spec, "/parameters/usePodIdentity") == Some("true");
                let by_annotation = text(spec, "/provider") == Some("aws") && !pod_identity;
                self.classes
                    .get_or_insert_default()
                    .insert(name, by_annotation);
            }
            CustomKind::ScaledJob => {
                let account = text(spec, "/jobTargetRef/template/spec/serviceAccountName");
                let target = Target::ServiceAccount(account.unwrap_or("default").to_owned());
                self.scaled.push((target, authentications(spec)));
            }
        }
    }

    /// The consumers in a namespace, by what its own and the cluster's objects say.
    pub(super) fn consumers(&self, cluster: &Self, facts: &NamespaceFacts) -> Vec<ConsumerFacts> {
        let mut found: BTreeSet<(CustomKind, &str, &str)> = BTreeSet::new();
        for (kind, name, service_account, namespace) in self.stores.iter().chain(&cluster.stores) {
            let here = match namespace {
                Some(namespace) => *namespace == facts.namespace,
                None => facts.service_accounts.contains_key(service_account),
            };
            if here {
                found.insert((*kind, name, service_account));
            }
        }
        for (target, used) in &self.scaled {
            let accounts: Vec<&str> = match target {
                Target::ServiceAccount(name) => vec![name],
                Target::Workload { kind, name } => facts
                    .workloads
                    .iter()
                    .filter(|w| w.id.kind == *kind && w.id.name == *name)
                    .map(|w| w.service_account.as_str())
                    .collect(),
            };
            for authentication in used {
                let whose = match authentication.0 {
                    CustomKind::ClusterTriggerAuthentication => cluster,
                    _ => self,
                };
                if let Some((kind, name)) = whose.authentications.get(authentication) {
                    for account in &accounts {
                        found.insert((*kind, name, account));
                    }
                }
            }
        }
        let mut consumers: Vec<ConsumerFacts> = found
            .into_iter()
            .map(|(kind, name, service_account)| ConsumerFacts {
                kind: kind.as_str().to_owned(),
                name: name.to_owned(),
                service_account: service_account.to_owned(),
                certain: true,
            })
            .collect();
        consumers.extend(self.drivers(facts));
        consumers
    }

    /// CSI drivers that use the role of the annotation for the volumes of pods.
    fn drivers(&self, facts: &NamespaceFacts) -> BTreeSet<ConsumerFacts> {
        let templates = facts
            .workloads
            .iter()
            .filter_map(|workload| Some((&workload.service_account, workload.template.as_ref()?)));
        let pods = facts
            .pods
            .iter()
            .map(|pod| (&pod.service_account, &pod.spec));
        templates
            .chain(pods)
            .flat_map(|(account, template)| {
                template
                    .csi_volumes
                    .iter()
                    .map(move |(driver, class)| (account, driver, class.as_deref()))
            })
            .filter_map(|(account, driver, class)| {
                let class = class.unwrap_or_default();
                let (kind, name, certain) = match driver.as_str() {
                    SECRETS_STORE_DRIVER => match &self.classes {
                        Some(classes) => {
                            // Without the class no pod can start.
                            classes.get(class).filter(|uses| **uses)?;
                            ("SecretProviderClass", class, true)
                        }
                        None => ("SecretProviderClass", class, false),
                    },
                    S3_DRIVER => ("CSI driver", S3_DRIVER, false),
                    _ => return None,
                };
                Some(ConsumerFacts {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    service_account: account.clone(),
                    certain,
                })
            })
            .collect()
    }
}

/// The authentications of triggers, those left out that use the operator's own role.
fn authentications(spec: &Json) -> BTreeSet<(CustomKind, String)> {
    let triggers = spec.get("triggers").and_then(Json::as_array);
    triggers
        .into_iter()
        .flatten()
        .filter(|trigger| text(trigger, "/metadata/identityOwner") != Some("operator"))
        .filter_map(|trigger| {
            let name = text(trigger, "/authenticationRef/name")?;
            let kind = match text(trigger, "/authenticationRef/kind") {
                Some("ClusterTriggerAuthentication") => CustomKind::ClusterTriggerAuthentication,
                _ => CustomKind::TriggerAuthentication,
            };
            Some((kind, name.to_owned()))
        })
        .collect()
}
