//! What a migration needs to know of a cluster, reduced from what the APIs answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::policy::{ClusterArn, Grant, Scope};

pub mod selector;
pub mod taint;

pub use selector::{Labels, Operator, Requirement, Selector, wildcard};
pub use taint::{Taint, Toleration};

/// The annotation that names the IRSA role of a service account.
pub const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
/// The annotation that names the audience of web identity tokens. Pod Identity ignores it.
pub const AUDIENCE: &str = "eks.amazonaws.com/audience";

/// What one namespace holds that matters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceFacts {
    /// Its name.
    pub namespace: String,
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

impl NamespaceFacts {
    /// Pods of a service account, those that have ended left out.
    pub fn pods_of<'a>(&'a self, service_account: &str) -> impl Iterator<Item = &'a PodFacts> {
        self.pods
            .iter()
            .filter(move |pod| pod.service_account == service_account)
    }

    /// Pods of a service account that have to be replaced before all are on Pod Identity. Those that are being deleted do not,
    /// and those with static keys never will, and lose nothing.
    pub fn left_behind<'a>(&'a self, service_account: &str) -> impl Iterator<Item = &'a PodFacts> {
        self.pods_of(service_account)
            .filter(|pod| !pod.terminating && !pod.is_right(PodCredentials::PodIdentity))
    }

    /// Workloads whose template, or whose pods, use a service account, by kind and name.
    pub fn workloads_of<'a>(
        &'a self,
        service_account: &str,
    ) -> impl Iterator<Item = &'a WorkloadFacts> {
        self.workloads
            .iter()
            .filter(move |workload| workload.service_account == service_account)
    }

    /// What reads the role annotation of a service account.
    pub fn consumers_of<'a>(
        &'a self,
        service_account: &str,
    ) -> impl Iterator<Item = &'a ConsumerFacts> {
        self.consumers
            .iter()
            .filter(move |consumer| consumer.service_account == service_account)
    }
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

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.tool {
            Tool::Helm => write!(f, "Helm release {name}"),
            Tool::ArgoCd => write!(f, "Argo CD application {name}"),
            Tool::Flux => write!(f, "Flux {name}"),
            Tool::EksAddon => f.write_str("An EKS add-on"),
            Tool::Terraform | Tool::Eksctl => f.write_str(self.tool.as_str()),
            Tool::Other => f.write_str(name),
        }
    }
}

/// Tools that put objects back as they want them, and others.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tool {
    /// Helm.
    Helm,
    /// Argo CD.
    ArgoCd,
    /// Flux.
    Flux,
    /// Terraform.
    Terraform,
    /// An EKS add-on, which EKS applies anew whenever the add-on is updated.
    EksAddon,
    /// eksctl, which writes the annotation again only when it is told to.
    Eksctl,
    /// kubectl and whatever else names itself in managed fields.
    Other,
}

impl Tool {
    /// Its name as users know it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
            Self::Terraform => "Terraform",
            Self::EksAddon => "EKS add-on",
            Self::Eksctl => "eksctl",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What runs pods.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkloadId {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, `Pod`, `Rollout`, …: the topmost owner.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
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
    /// Not known, because the workload could not be read.
    #[default]
    Unknown,
    /// Not by us, and why: `its update strategy is OnDelete`, `it is paused`, `managed by Rollout web`, …
    Manual(String),
}

/// What a pod, or a pod template, asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateFacts {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Names of its containers, init containers included.
    pub containers: BTreeSet<String>,
    /// Those of them that the webhook leaves alone: all with the label `eks.amazonaws.com/skip-pod-identity-webhook`, else
    /// those that the annotation `eks.amazonaws.com/skip-containers` names.
    pub skipped_containers: BTreeSet<String>,
    /// Nodes that it may run on by its node selector and required affinity, as alternatives; empty if on all.
    pub nodes: Vec<Selector>,
    /// Taints of nodes that it puts up with.
    pub tolerations: Vec<Toleration>,
    /// Whether pods share the node's network.
    pub host_network: bool,
    /// Whether pods are for Windows.
    pub windows: bool,
    /// Whether pods are for hybrid nodes.
    pub hybrid: bool,
    /// Credential variables that the template itself sets, with their container: `AWS_ROLE_ARN`, …
    pub credential_variables: BTreeSet<(String, String)>,
    /// Variables that name a profile, or a file with profiles, with their container: `AWS_PROFILE`, …
    pub profile_variables: BTreeSet<(String, String)>,
    /// Containers that are told where the webhook mounts the token of IRSA (in a variable, the command or its arguments) and mount
    /// nothing there themselves.
    pub token_paths: BTreeSet<String>,
    /// Containers that have a proxy.
    pub proxied: BTreeSet<String>,
    /// Containers with `NO_PROXY`, and whether that leaves the agent out of the proxy.
    pub no_proxy: BTreeMap<String, bool>,
    /// Where containers get all variables that something else holds, later entries before earlier ones.
    pub env_from: Vec<EnvFrom>,
    /// Those of them whose variables are not known: `Secret db`, `ConfigMap proxy`.
    pub env_not_read: BTreeSet<String>,
    /// Audiences of the service account tokens that the template itself mounts.
    pub token_audiences: BTreeSet<String>,
    /// Volumes of CSI drivers that it mounts: the driver, and the SecretProviderClass that the volume names.
    pub csi_volumes: BTreeSet<(String, Option<String>)>,
}

impl TemplateFacts {
    /// Whether a pod may run on a node, by operating system, taints, node selector and required affinity.
    #[must_use]
    pub fn may_run_on(&self, node: &NodeFacts) -> bool {
        node.windows == self.windows
            && node.admits(&self.tolerations)
            && (self.nodes.is_empty() || self.nodes.iter().any(|nodes| nodes.matches(&node.labels)))
    }

    /// Whether a container has a proxy that it would use for the agent, too.
    #[must_use]
    pub fn uses_proxy_for_agent(&self) -> bool {
        self.proxied
            .iter()
            .any(|container| self.no_proxy.get(container) != Some(&true))
    }

    /// Whether it sets static keys itself. SDKs look for them first, so such containers use neither IRSA nor Pod Identity.
    #[must_use]
    pub fn has_static_keys(&self) -> bool {
        self.sets("AWS_ACCESS_KEY_ID")
    }

    /// Whether it sets variables of IRSA itself, which the webhook then leaves as they are: a new pod gets what the old had.
    #[must_use]
    pub fn has_own_web_identity(&self) -> bool {
        self.sets("AWS_ROLE_ARN") || self.sets("AWS_WEB_IDENTITY_TOKEN_FILE")
    }

    fn sets(&self, variable: &str) -> bool {
        self.credential_variables
            .iter()
            .any(|(_, name)| name == variable)
    }

    /// Whether the webhook leaves all its containers alone.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        !self.containers.is_empty() && self.skipped_containers == self.containers
    }
}

/// A ConfigMap or Secret that all variables of a container come from, beside those that it sets itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvFrom {
    /// The container.
    pub container: String,
    /// Whether it is a Secret. Those are never read.
    pub is_secret: bool,
    /// The name of the ConfigMap or Secret.
    pub name: String,
    /// What is put before each key to make the variable's name.
    pub prefix: String,
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
    /// When a container was last restarted, seconds since 1970; `None` if none was. Init containers do not count.
    pub last_restart: Option<i64>,
    /// When it was created, seconds since 1970.
    pub created: i64,
    /// Whether it runs on Fargate.
    pub fargate: bool,
    /// What it looks like.
    pub spec: TemplateFacts,
}

impl PodFacts {
    /// Whether nothing has to be done to it for its containers to have what is wanted: they have it, or the webhook leaves them
    /// alone, or they have static keys. Those they keep whatever is done, and lose nothing; but with keys in one container
    /// others may still use what is to go.
    #[must_use]
    pub fn is_right(&self, wanted: PodCredentials) -> bool {
        let leaves_keys = match wanted {
            PodCredentials::PodIdentity => self.credentials != PodCredentials::WebIdentity,
            _ => self.credentials == PodCredentials::None,
        };
        self.credentials == wanted
            || self.credentials == PodCredentials::LeftOut
            || leaves_keys && self.spec.has_static_keys()
    }

    /// Whether its credentials may be those of an association as it was before it was changed, at `changed` in seconds since
    /// 1970: the agent keeps what it has given a pod until that is about to expire.
    #[must_use]
    pub fn is_outdated(&self, changed: i64) -> bool {
        let uses = matches!(
            self.credentials,
            PodCredentials::PodIdentity | PodCredentials::Partly
        );
        uses && self.created <= changed
    }
}

/// Where the containers of a pod get credentials, judged by what the webhook (or the template) gave them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum PodCredentials {
    /// Every container that is not left out has the variables of Pod Identity, and nothing that would shadow them.
    PodIdentity,
    /// At least one container, left out or not, has those of IRSA.
    WebIdentity,
    /// Some containers have those of Pod Identity, others nothing, or static keys.
    Partly,
    /// No container has those of either.
    #[default]
    None,
    /// The webhook leaves all containers out, and none has those of IRSA: nothing to migrate.
    LeftOut,
}

impl PodCredentials {
    /// Whether the pod needs nothing of IRSA any more: it is on Pod Identity, or was never given anything.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::PodIdentity | Self::LeftOut)
    }
}

/// A network policy with egress rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkPolicyFacts {
    /// The name.
    pub name: String,
    /// The pods it selects.
    pub pods: Selector,
    /// Whether it lets pods reach the agent at 169.254.170.23, TCP port 80. Policies add up: what one of them allows is allowed.
    pub allows_agent: bool,
    /// Whether it lets pods reach the agent at fd00:ec2::23, where those of IPv6 clusters find it.
    pub allows_agent_ipv6: bool,
}

/// Something that reads the role annotation of a service account.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ConsumerFacts {
    /// Its kind: `SecretStore`, `TriggerAuthentication`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The service account it names.
    pub service_account: String,
    /// Whether it reads the annotation for certain; otherwise it may, but what tells could not be read.
    pub certain: bool,
}

/// The role that a service account uses, or why there is none to use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoleFacts {
    /// Neither annotation nor configuration names one.
    NotNamed,
    /// What names it is not the ARN of a role.
    Invalid {
        /// The text.
        text: String,
    },
    /// It is in another account or partition than the cluster.
    OtherAccount {
        /// Its ARN.
        arn: String,
    },
    /// There is no such role.
    NotFound {
        /// Its ARN.
        arn: String,
    },
    /// It could not be read.
    NotRead {
        /// Its ARN.
        arn: String,
        /// Why, as a sentence.
        why: String,
    },
    /// It exists.
    Found(std::sync::Arc<crate::aws::RoleInfo>),
}

impl RoleFacts {
    /// The ARN, where there is one.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        match self {
            Self::NotNamed | Self::Invalid { .. } => None,
            Self::OtherAccount { arn } | Self::NotFound { arn } | Self::NotRead { arn, .. } => {
                Some(arn)
            }
            Self::Found(role) => Some(&role.arn),
        }
    }
}

/// The association of a service account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AssociationFacts {
    /// `a-…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The role.
    pub role_arn: String,
    /// The target role, if any.
    pub target_role_arn: Option<String>,
    /// Whether session tags are off.
    pub disable_session_tags: bool,
    /// The session policy, if any.
    pub policy: Option<String>,
    /// The add-on that owns it, if any.
    pub owner_arn: Option<String>,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// When its settings were last changed, seconds since 1970.
    pub modified: Option<i64>,
}

/// Key of the tag that marks associations which a migration created. Its value says which object of a Terraform state works
/// with it.
pub const MIGRATION_TAG: &str = "podidentity:irsa-migration";
/// The value of [`MIGRATION_TAG`] where that is not said.
pub const ANYBODY: &str = "true";

impl AssociationFacts {
    /// Whether a migration created it.
    #[must_use]
    pub fn is_migrations(&self) -> bool {
        self.tags.contains_key(MIGRATION_TAG)
    }

    /// The token of the object that a migration's association belongs to, where it says so.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.tags
            .get(MIGRATION_TAG)
            .map(String::as_str)
            .filter(|token| *token != ANYBODY)
    }
}

/// What a cluster offers to Pod Identity.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClusterFacts {
    /// What EKS says of it.
    pub cluster: std::sync::Arc<crate::aws::facts::ClusterInfo>,
    /// Its agent.
    pub agent: AgentFacts,
    /// Nodes by name; `None` if they could not be read.
    pub nodes: Option<BTreeMap<String, NodeFacts>>,
    /// Fargate profiles; `None` if they could not be read.
    pub fargate_profiles: Option<Vec<FargateProfileFacts>>,
    /// The mutating webhook's configuration; `None` if it could not be read.
    pub webhook: Option<WebhookFacts>,
    /// Whether the account has an IAM OIDC provider for the issuer; `None` if that could not be read.
    pub oidc_provider: Option<bool>,
    /// What could not be read, as sentences.
    pub not_read: BTreeSet<String>,
}

/// What the configuration of the mutating webhook says, through which new pods get their credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebhookFacts {
    /// Nothing speaks against it.
    Usable,
    /// There is none under the name that EKS gives it, or there is no webhook in it.
    Missing,
    /// It has no certificate authority, and those of the API server's system do not vouch for the webhook.
    NoAuthority,
    /// All certificates of its authority have expired.
    AuthorityExpired,
}

/// The EKS Pod Identity Agent of a cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AgentFacts {
    /// How it got there.
    pub kind: AgentKind,
    /// Version of the add-on, or tag of the DaemonSet's image.
    pub version: Option<String>,
    /// Status of the add-on: `ACTIVE`, `DEGRADED`, …
    pub status: Option<String>,
    /// Health issues of the add-on, as sentences.
    pub issues: Vec<String>,
    /// Names of nodes on which an agent pod is ready; `None` if pods could not be read.
    pub ready_nodes: Option<BTreeSet<String>>,
}

/// How the agent got onto a cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AgentKind {
    /// EKS Auto Mode has it built in.
    AutoMode,
    /// The add-on `eks-pod-identity-agent`.
    Addon,
    /// A DaemonSet that was installed otherwise, by Helm for example.
    SelfManaged,
    /// It could not be read whether there is one.
    Unknown,
    /// There is none.
    #[default]
    None,
}

/// A node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeFacts {
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it joined the cluster so shortly before it was read that pods of DaemonSets are still on their way.
    pub joining: bool,
    /// Whether new pods are kept from it: it was cordoned.
    pub unschedulable: bool,
    /// Its taints that keep pods away; those that ask pods to stay away only if they can are left out.
    pub taints: Vec<Taint>,
    /// Whether it runs Windows.
    pub windows: bool,
    /// Where it runs.
    pub compute: Compute,
}

impl NodeFacts {
    /// Whether its taints let pods with these tolerations in.
    #[must_use]
    pub fn admits(&self, tolerations: &[Toleration]) -> bool {
        self.taints
            .iter()
            .all(|taint| tolerations.iter().any(|t| t.tolerates(taint)))
    }
}

/// Where a node runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compute {
    /// EC2: managed node groups, self-managed nodes, Karpenter.
    #[default]
    Ec2,
    /// EKS Auto Mode.
    Auto,
    /// Fargate.
    Fargate,
    /// A hybrid node.
    Hybrid,
}

/// A Fargate profile.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FargateProfileFacts {
    /// Its name.
    pub name: String,
    /// Pods that it takes: namespace, which may hold `*` and `?`, and labels, likewise.
    pub selectors: Vec<(String, BTreeMap<String, String>)>,
}

impl FargateProfileFacts {
    /// Whether the profile takes pods of a namespace with these labels.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &Labels) -> bool {
        self.selectors.iter().any(|(pattern, wanted)| {
            wildcard(pattern, namespace)
                && wanted.iter().all(|(key, value)| {
                    labels
                        .iter()
                        .any(|(k, v)| wildcard(key, k) && wildcard(value, v))
                })
        })
    }
}

/// What the configuration of a migration says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// The role, if it is configured and not taken from the annotation.
    pub role_arn: Option<String>,
    /// The target role.
    pub target_role_arn: Option<String>,
    /// Whether session tags are off.
    pub disable_session_tags: bool,
    /// The session policy.
    pub policy: Option<String>,
    /// Whether somebody else writes the trust policy (`trust.mode = "verify"`).
    pub verify_trust: bool,
    /// For whom a statement that has to be added is.
    pub scope: Scope,
    /// Whether an existing association with the same settings is taken over.
    pub adopt_existing_association: bool,
    /// Whether workloads are restarted.
    pub restart: bool,
    /// Whether the annotation is removed in the end.
    pub retire_annotation: bool,
    /// Whether the trust in the OIDC subject is removed in the end.
    pub retire_trust: bool,
    /// The service principal of EKS Pod Identity, if the provider is configured with another than the usual one.
    pub service_principal: Option<String>,
}

impl Settings {
    /// Whether the association has, or will have, session tags. A session policy turns them off.
    #[must_use]
    pub fn session_tags(&self) -> bool {
        !self.disable_session_tags && self.policy.is_none()
    }

    /// Trust in EKS Pod Identity for a service account; `None` while the cluster has no ARN.
    #[must_use]
    pub fn grant(
        &self,
        cluster_arn: &str,
        namespace: &str,
        service_account: &str,
    ) -> Option<Grant> {
        let cluster = ClusterArn::parse(cluster_arn).ok()?;
        let mut grant = Grant::new(cluster, namespace, service_account);
        grant.scope = self.scope;
        grant.session_tags = self.session_tags();
        if let Some(principal) = &self.service_principal {
            grant.service_principal.clone_from(principal);
        }
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn fargate_profiles_select() {
        let profile = FargateProfileFacts {
            name: "p".into(),
            selectors: vec![
                ("batch".into(), Labels::new()),
                ("team-*".into(), labels(&[("compute", "far*")])),
            ],
        };
        for (namespace, pod, expected) in [
            ("batch", vec![], true),
            ("batch-2", vec![], false),
            ("team-a", vec![("compute", "fargate"), ("app", "x")], true),
            ("team-a", vec![("compute", "ec2")], false),
            ("team-a", vec![], false),
        ] {
            assert_eq!(
                profile.selects(namespace, &labels(&pod)),
                expected,
                "{namespace} {pod:?}"
            );
        }
    }

    #[test]
    fn static_keys_stay_whatever_is_restarted() {
        use PodCredentials::{LeftOut, None, Partly, PodIdentity, WebIdentity};
        for (keys, wanted, right) in [
            (false, PodIdentity, vec![PodIdentity, LeftOut]),
            (true, PodIdentity, vec![PodIdentity, LeftOut, None, Partly]),
            (false, WebIdentity, vec![WebIdentity, LeftOut]),
            // Beside the keys there may be a container that loses the agent's credentials.
            (true, WebIdentity, vec![WebIdentity, LeftOut, None]),
        ] {
            for credentials in [PodIdentity, WebIdentity, Partly, None, LeftOut] {
                let mut pod = PodFacts {
                    credentials,
                    ..PodFacts::default()
                };
                if keys {
                    let key = ("app".to_owned(), "AWS_ACCESS_KEY_ID".to_owned());
                    pod.spec.credential_variables.insert(key);
                }
                assert_eq!(
                    pod.is_right(wanted),
                    right.contains(&credentials),
                    "{keys} {wanted:?} {credentials:?}"
                );
            }
        }
    }

    #[test]
    fn templates_say_where_they_run() {
        let node = |pairs: &[(&str, &str)], windows| NodeFacts {
            labels: labels(pairs),
            windows,
            ..NodeFacts::default()
        };
        let anywhere = TemplateFacts::default();
        assert!(anywhere.may_run_on(&node(&[], false)));
        assert!(!anywhere.may_run_on(&node(&[], true)));
        let gpu = TemplateFacts {
            nodes: vec![
                Selector {
                    labels: labels(&[("gpu", "a")]),
                    requirements: vec![],
                },
                Selector {
                    labels: labels(&[("gpu", "b")]),
                    requirements: vec![],
                },
            ],
            ..TemplateFacts::default()
        };
        let taint = |node: NodeFacts| NodeFacts {
            taints: vec![Taint {
                key: "gpu".to_owned(),
                value: "true".to_owned(),
                effect: "NoSchedule".to_owned(),
            }],
            ..node
        };
        assert!(!anywhere.may_run_on(&taint(node(&[], false))));
        let tolerant = TemplateFacts {
            tolerations: vec![Toleration {
                any_value: true,
                ..Toleration::default()
            }],
            ..TemplateFacts::default()
        };
        assert!(tolerant.may_run_on(&taint(node(&[], false))));
        assert!(gpu.may_run_on(&node(&[("gpu", "b")], false)));
        assert!(!gpu.may_run_on(&node(&[("gpu", "c")], false)));
    }
}
