//! Blockers and warnings of a migration. Their codes are part of the interface: configurations name them in
//! `ignore_blockers`, and policies and reports look for them, so a code is never renamed.

use std::fmt;
use std::str::FromStr;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Weight {
    /// Pods would, or could, be left without a working path to AWS credentials. Stops a migration unless ignored.
    Blocker,
    /// Worth knowing before the migration.
    Warning,
}

/// A blocker or warning.
///
/// The message must be a function of things that rarely change (names of workloads, roles, profiles), never of pod names,
/// counts or times: it is part of the plan, and Terraform refuses to apply a plan whose values have changed (rule F2).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// What it is about.
    pub code: Code,
    /// What was found and what to do, in one or two sentences.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// How much it weighs.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.code.weight()
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $weight:ident;)+) => {
        /// What a finding is about.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as users write and see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Whether it stops a migration.
            #[must_use]
            pub fn weight(self) -> Weight {
                match self {
                    $(Self::$name => Weight::$weight,)+
                }
            }

            /// What it means, for documentation.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

codes! {
    /// The cluster is not active.
    ClusterNotActive = "cluster_not_active", Blocker;
    /// The cluster's Kubernetes or platform version is older than Pod Identity needs.
    ClusterVersion = "cluster_version", Blocker;
    /// There is no EKS Pod Identity Agent: neither the add-on, nor a DaemonSet, nor EKS Auto Mode.
    AgentMissing = "agent_missing", Blocker;
    /// The agent's add-on is not active, or its DaemonSet is not ready.
    AgentUnhealthy = "agent_unhealthy", Blocker;
    /// The agent is not ready on every Linux node that can run the pods.
    AgentNotOnNodes = "agent_not_on_nodes", Blocker;
    /// Pods run on Fargate, or a Fargate profile selects them. Pod Identity does not work there.
    Fargate = "fargate", Blocker;
    /// Pods are for Windows nodes. Pod Identity does not work there.
    Windows = "windows", Blocker;
    /// The pod template sets credential variables itself, or names IRSA's token, which would shadow Pod Identity or break.
    HardCodedCredentials = "hard_coded_credentials", Blocker;
    /// The service account does not exist.
    ServiceAccountMissing = "service_account_missing", Blocker;
    /// The annotation `eks.amazonaws.com/role-arn` is not the ARN of a role.
    AnnotationInvalid = "annotation_invalid", Blocker;
    /// The service account names no role, and neither does the configuration.
    NoRole = "no_role", Blocker;
    /// The role does not exist.
    RoleNotFound = "role_not_found", Blocker;
    /// The role is in another account or partition than the cluster.
    RoleOtherAccount = "role_other_account", Blocker;
    /// The role is a service-linked role, whose trust policy cannot be changed.
    RoleServiceLinked = "role_service_linked", Blocker;
    /// The role's trust policy cannot be read as a policy document.
    TrustUnreadable = "trust_unreadable", Blocker;
    /// The trust policy would be larger than IAM allows.
    TrustTooLarge = "trust_too_large", Blocker;
    /// The trust policy denies, or can never allow, EKS Pod Identity for this service account.
    TrustDenied = "trust_denied", Blocker;
    /// The scope of trust needs session tags, but they are turned off.
    ScopeNeedsSessionTags = "scope_needs_session_tags", Blocker;
    /// The service account has an association with another role.
    AssociationOtherRole = "association_other_role", Blocker;
    /// The association belongs to an add-on, and can only be changed through that.
    AssociationOwned = "association_owned", Blocker;
    /// The service account has an association already, which `adopt_existing_association` would take over.
    AssociationExists = "association_exists", Blocker;
    /// The association has other settings (target role, session tags, policy) than the configuration.
    AssociationSettings = "association_settings", Blocker;
    /// The cluster cannot have more associations.
    AssociationQuota = "association_quota", Blocker;
    /// Something uses IRSA itself (a controller, a CSI driver), and the migration is configured to retire what it uses.
    RetireBreaksConsumers = "retire_breaks_consumers", Blocker;
    /// The target role does not exist.
    TargetRoleNotFound = "target_role_not_found", Blocker;
    /// The role cannot assume the target role, be it by its own policies or by the target's trust policy.
    TargetRoleDenied = "target_role_denied", Blocker;

    /// It is not known whether the role can work, because its trust policy depends on values that only AWS has.
    TrustUncertain = "trust_uncertain", Warning;
    /// The role's trust policy names another OIDC provider than the cluster's issuer, so IRSA may not work today.
    OtherIssuer = "other_issuer", Warning;
    /// The trust policy names service accounts by a pattern, which stays when trust is retired.
    WildcardSubject = "wildcard_subject", Warning;
    /// IRSA does not work for the service account today, so there is nothing to go back to.
    IrsaNotWorking = "irsa_not_working", Warning;
    /// The migration gives pods another role than the annotation names.
    RoleDiffers = "role_differs", Warning;
    /// The service account is migrated, but does not exist any more.
    ServiceAccountGone = "service_account_gone", Warning;
    /// Other service accounts use the same role.
    RoleShared = "role_shared", Warning;
    /// Something else manages the role, and may undo changes of its trust policy.
    RoleManagedElsewhere = "role_managed_elsewhere", Warning;
    /// The role may assume further roles, whose trust policies must allow `sts:TagSession`.
    RoleChaining = "role_chaining", Warning;
    /// Policies depend on keys of web identity sessions or on the name of the session, which change.
    SessionDependent = "session_dependent", Warning;
    /// What owns the service account will put the annotation back.
    AnnotationOwned = "annotation_owned", Warning;
    /// Controllers or CSI drivers read the annotation themselves, or may do so.
    AnnotationConsumers = "annotation_consumers", Warning;
    /// Pods use the network of the node.
    HostNetwork = "host_network", Warning;
    /// Pods may run on hybrid nodes, which need an agent of their own.
    HybridNodes = "hybrid_nodes", Warning;
    /// A network policy may keep pods from the agent at 169.254.170.23 port 80.
    NetworkPolicy = "network_policy", Warning;
    /// Pods use a proxy, and `NO_PROXY` does not name the agent.
    Proxy = "proxy", Warning;
    /// Pods set a profile, or files with profiles, which may name credentials that SDKs prefer to Pod Identity.
    AwsProfile = "aws_profile", Warning;
    /// Nodes have a role that may not ask for credentials of Pod Identity, so that the agent on them cannot either.
    NodeRole = "node_role", Warning;
    /// Security groups for pods in strict mode keep pods from the agent.
    SecurityGroupsForPods = "security_groups_for_pods", Warning;
    /// Some containers, or all, are left out by the webhook.
    SkippedByWebhook = "skipped_by_webhook", Warning;
    /// Pods mount a token for STS themselves.
    ProjectedToken = "projected_token", Warning;
    /// Workloads that have to be restarted by hand, or end by themselves.
    ManualRestart = "manual_restart", Warning;
    /// By its configuration, the mutating webhook that injects credentials is missing or cannot work.
    WebhookMissing = "webhook_missing", Warning;
    /// What could not be checked, because a permission is missing.
    NotChecked = "not_checked", Warning;
}

impl Code {
    /// Whether it goes away, or comes to be known, by installing the agent.
    #[must_use]
    pub fn is_about_agent(self) -> bool {
        matches!(
            self,
            Self::AgentMissing | Self::AgentUnhealthy | Self::AgentNotOnNodes
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// A text that is no code.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the code of a blocker or warning")]
pub struct UnknownCode(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_readable() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(
                !Code::ALL[..index]
                    .iter()
                    .any(|c| c.as_str() == code.as_str())
            );
            assert!(code.description().ends_with('.'), "{code}");
        }
        assert!("nothing".parse::<Code>().is_err());
    }
}
