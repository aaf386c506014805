//! What a migration needs to know of a cluster, reduced from what the APIs answer.

use std::collections::{BTreeMap, BTreeSet};

/// The annotation that names the IRSA role of a service account.
pub const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
/// The annotation that names the audience of web identity tokens. Pod Identity ignores it.
pub const AUDIENCE: &str = "eks.amazonaws.com/audience";

/// What one namespace holds that matters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceFacts {
    /// Its name.
    pub namespace: String,
    /// Its labels; empty if they could not be read.
    pub labels: BTreeMap<String, String>,
    /// Service accounts by name.
    pub service_accounts: BTreeMap<String, ServiceAccountFacts>,
    /// Workloads, by kind and name.
    pub workloads: Vec<WorkloadFacts>,
    /// Pods that have not ended.
    pub pods: Vec<PodFacts>,
    /// Names of network policies with egress rules, with the labels they select and whether they let the agent through.
    pub network_policies: Vec<NetworkPolicyFacts>,
    /// Consumers of role annotations: External Secrets stores, KEDA authentications, …
    pub consumers: Vec<ConsumerFacts>,
    /// What could not be read, as sentences.
    pub not_read: BTreeSet<String>,
}

/// A service account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceAccountFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resource version when it was read.
    pub resource_version: String,
    /// All annotations.
    pub annotations: BTreeMap<String, String>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Who put the role annotation there, if that can be told.
    pub owner: Option<Owner>,
}

impl ServiceAccountFacts {
    /// The role annotation, whatever it says.
    #[must_use]
    pub fn role_arn(&self) -> Option<&str> {
        self.annotations.get(ROLE_ARN).map(String::as_str)
    }

    /// The audience of web identity tokens, if it is not the default.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.annotations.get(AUDIENCE).map(String::as_str)
    }
}

/// A tool that manages an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Which tool.
    pub tool: Tool,
    /// What it calls the object: release, application, kustomization, field manager.
    pub name: String,
}

/// Tools that put objects back as they want them, and others.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tool {
    /// Helm.
    Helm,
    /// Argo CD.
    ArgoCd,
    /// Flux.
    Flux,
    /// Terraform.
    Terraform,
    /// kubectl and whatever else names itself in managed fields.
    Other,
}

/// What runs pods.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkloadId {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, `Pod`, `Rollout`, …: the topmost owner.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// A workload whose template, or whose pods, use a service account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadFacts {
    /// Kind and name.
    pub id: WorkloadId,
    /// Its service account.
    pub service_account: String,
    /// Pods it is meant to have; `None` if that is somebody else's to say (an autoscaler) or not known.
    pub replicas: Option<i64>,
    /// How its pods are replaced.
    pub restart: Restart,
    /// What its pods will look like; `None` for kinds whose template is not known.
    pub template: Option<TemplateFacts>,
}

/// How pods of a workload are replaced.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Restart {
    /// By changing the pod template.
    Rolling,
    /// Not by us, and why: `updateStrategy OnDelete`, `paused`, `ends by itself`, `no controller`, `managed by Rollout`.
    #[default]
    Unknown,
    /// Not by us, and why.
    Manual(String),
}

/// What a pod, or a pod template, asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateFacts {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether pods share the node's network.
    pub host_network: bool,
    /// Whether pods are for Windows.
    pub windows: bool,
    /// Whether pods may run on, or are for, hybrid nodes.
    pub hybrid: bool,
    /// Credential variables that the template itself sets, with their container: `AWS_ROLE_ARN`, …
    pub credential_variables: BTreeSet<(String, String)>,
    /// Whether a proxy variable is set.
    pub proxy: bool,
    /// Whether `NO_PROXY` leaves the agent out of the proxy.
    pub no_proxy: bool,
    /// Audiences of the service account tokens that the template itself mounts.
    pub token_audiences: BTreeSet<String>,
    /// CSI drivers that it mounts volumes of.
    pub csi_drivers: BTreeSet<String>,
}

/// A pod that has not ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFacts {
    /// The name.
    pub name: String,
    /// The uid.
    pub uid: String,
    /// Its service account.
    pub service_account: String,
    /// The topmost owner that is known.
    pub workload: WorkloadId,
    /// The node it runs on.
    pub node: Option<String>,
    /// Where its containers get credentials.
    pub credentials: PodCredentials,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Sum of container restarts.
    pub restarts: i64,
    /// When it was created, seconds since 1970.
    pub created: i64,
    /// Whether it runs on Fargate.
    pub fargate: bool,
    /// What it looks like.
    pub spec: TemplateFacts,
}

/// Where the containers of a pod get credentials, judged by what the webhook (or the template) gave them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum PodCredentials {
    /// Every container that is not left out has the variables of Pod Identity, and nothing that would shadow them.
    PodIdentity,
    /// At least one container has those of IRSA.
    WebIdentity,
    /// Some containers have those of Pod Identity, others nothing.
    Partly,
    /// No container has any.
    #[default]
    None,
}

/// A network policy with egress rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkPolicyFacts {
    /// The name.
    pub name: String,
    /// Labels of the pods it selects; all of them have to match. `None`: the selector uses expressions.
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// Whether it lets pods reach 169.254.170.23 at port 80.
    pub allows_agent: bool,
}

/// Something that reads the role annotation of a service account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConsumerFacts {
    /// Its kind: `SecretStore`, `TriggerAuthentication`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The service account it names.
    pub service_account: String,
}
