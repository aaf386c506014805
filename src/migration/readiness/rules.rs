//! What speaks against a cluster as a whole. No I/O.

use std::collections::BTreeSet;

use super::super::facts::{AgentFacts, AgentKind, ClusterFacts, Compute, NodeFacts, WebhookFacts};
use super::super::finding::{Code, Finding};

/// The first platform version with Pod Identity, by Kubernetes minor version of 1. Source: "EKS Pod Identity cluster
/// versions" in the EKS user guide. Later Kubernetes versions have it in every platform version, earlier ones in none.
const PLATFORM_VERSIONS: [(u32, u32); 5] = [(24, 13), (25, 10), (26, 9), (27, 8), (28, 4)];

/// Platform versions of local clusters on AWS Outposts, where there is no Pod Identity, start so.
const OUTPOSTS: &str = "eks-local";

const IPV6: &str = "Where its pods crash because IPv6 is turned off on the node, give the add-on (or the Helm chart) the \
                    settings {\"agent\":{\"additionalArgs\":{\"-b\":\"169.254.170.23\"}}}.";

/// Why pods of the cluster would not get credentials through Pod Identity, and what could not be checked; sorted.
///
/// Whatever depends on pods of one service account (Fargate, Windows) is not judged here. Messages name neither nodes nor
/// counts (rule F2); [`nodes_without_agent`] has the nodes.
#[must_use]
pub fn reasons(facts: &ClusterFacts) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    let cluster = &facts.cluster;
    if cluster.status != "ACTIVE" {
        found.insert(Finding::new(
            Code::ClusterNotActive,
            format!(
                "The cluster is {}, not ACTIVE. Wait until EKS has finished with it.",
                cluster.status
            ),
        ));
    }
    found.extend(version(&cluster.version, &cluster.platform_version));
    found.extend(agent(facts));
    found.extend(facts.webhook.and_then(webhook));
    found.extend(
        facts
            .not_read
            .iter()
            .map(|sentence| Finding::new(Code::NotChecked, sentence)),
    );
    found.into_iter().collect()
}

/// The hybrid nodes on which no agent is ready, as a warning: they need a DaemonSet of their own.
#[must_use]
pub fn hybrid_nodes(facts: &ClusterFacts) -> Option<Finding> {
    let ready = facts.agent.ready_nodes.as_ref()?;
    facts
        .nodes
        .as_ref()?
        .iter()
        .any(|(name, node)| {
            node.ready && node.compute == Compute::Hybrid && !ready.contains(name)
        })
        .then(|| {
            Finding::new(
                Code::HybridNodes,
                "The agent is not ready on every hybrid node. Install it there with the add-on's settings \
                 {\"daemonsets\":{\"hybrid\":{\"create\":true}}}, and let nodeadm set enableCredentialsFile.",
            )
        })
}

/// [`nodes_needing_agent`] on which no pod of it is ready; `None` if nodes or pods could not be read.
#[must_use]
pub fn nodes_without_agent(facts: &ClusterFacts) -> Option<BTreeSet<&str>> {
    let ready = facts.agent.ready_nodes.as_ref()?;
    let mut nodes = nodes_needing_agent(facts)?;
    nodes.retain(|name| !ready.contains(*name));
    Some(nodes)
}

/// Nodes that joined a moment ago, on which the agent is still to come; none if nodes or pods could not be read.
pub(super) fn nodes_waiting_for_agent(facts: &ClusterFacts) -> BTreeSet<&str> {
    let Some((nodes, ready)) = facts.nodes.as_ref().zip(facts.agent.ready_nodes.as_ref()) else {
        return BTreeSet::new();
    };
    nodes
        .iter()
        .filter(|(name, node)| node.joining && needs_agent(node) && !ready.contains(*name))
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Linux on EC2, not of Auto Mode, and new pods may be put on it.
fn needs_agent(node: &NodeFacts) -> bool {
    // What runs on a node that is not ready has other troubles, and nothing new is put there.
    node.ready && !node.unschedulable && !node.windows && node.compute == Compute::Ec2
}

/// Nodes that need the agent's DaemonSet (Linux, EC2, not of Auto Mode) and that new pods may be put on: ready, not cordoned, and
/// there long enough for an agent to have come; `None` if nodes could not be read.
#[must_use]
pub fn nodes_needing_agent(facts: &ClusterFacts) -> Option<BTreeSet<&str>> {
    let nodes = facts.nodes.as_ref()?.iter();
    Some(
        nodes
            .filter(|(_, node)| needs_agent(node) && !node.joining)
            .map(|(name, _)| name.as_str())
            .collect(),
    )
}

/// Only what its object says: whether pods get credentials is proven by dry-run pods.
fn webhook(facts: WebhookFacts) -> Option<Finding> {
    let what = match facts {
        WebhookFacts::Usable => return None,
        WebhookFacts::Missing => {
            "There is no MutatingWebhookConfiguration pod-identity-webhook, through which EKS usually gives new pods their \
             credentials. EKS creates it with the cluster; restore it."
        }
        WebhookFacts::NoAuthority => {
            "The MutatingWebhookConfiguration pod-identity-webhook has no caBundle, without which the API server does not trust \
             the webhook. EKS writes it; look for what took it away."
        }
        WebhookFacts::AuthorityExpired => {
            "The caBundle of the MutatingWebhookConfiguration pod-identity-webhook has expired, so that the API server does not \
             trust the webhook. EKS renews it; look for what keeps it from doing so."
        }
    };
    Some(Finding::new(
        Code::WebhookMissing,
        format!(
            "{what} A migration proves with dry-run pods that the webhook works before it relies on that."
        ),
    ))
}

fn version(version: &str, platform: &str) -> Option<Finding> {
    let too_old = |message: String| Some(Finding::new(Code::ClusterVersion, message));
    if platform.starts_with(OUTPOSTS) {
        return too_old(
            "The cluster is a local cluster on AWS Outposts, where Pod Identity does not work."
                .to_owned(),
        );
    }
    let unknown = || {
        Some(Finding::new(
            Code::NotChecked,
            format!(
                "Kubernetes version {version:?} with platform version {platform:?} could not be compared with what Pod \
                 Identity needs."
            ),
        ))
    };
    let Some((major, minor)) = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)))
    else {
        return unknown();
    };
    let (oldest, _) = PLATFORM_VERSIONS[0];
    if (major, minor) < (1, oldest) {
        return too_old(format!(
            "Kubernetes {version} is too old: Pod Identity needs 1.{oldest} or later. Upgrade the cluster."
        ));
    }
    let (_, least) = PLATFORM_VERSIONS
        .into_iter()
        .find(|(known, _)| (major, minor) == (1, *known))?;
    let Some(number) = platform
        .strip_prefix("eks.")
        .and_then(|number| number.parse::<u32>().ok())
    else {
        return unknown();
    };
    if number >= least {
        return None;
    }
    too_old(format!(
        "Platform version {platform} of Kubernetes {version} is too old: Pod Identity needs eks.{least} or later, or \
         Kubernetes 1.29. EKS upgrades platform versions by itself; an upgrade of Kubernetes brings the latest."
    ))
}

fn agent(facts: &ClusterFacts) -> Vec<Finding> {
    let AgentFacts { kind, status, .. } = &facts.agent;
    let needing = nodes_needing_agent(facts);
    let missing = nodes_without_agent(facts);
    let none_ready = match (&needing, &missing) {
        (Some(needing), Some(missing)) => !needing.is_empty() && needing == missing,
        // Nodes are not known: a DaemonSet without a ready pod does nothing for anybody.
        (None, _) => facts
            .agent
            .ready_nodes
            .as_ref()
            .is_some_and(BTreeSet::is_empty),
        (Some(_), None) => false,
    };
    let installation = "Install it with podidentity_agent (with migrations in the same configuration that have it in depends_on), or as the EKS \
         add-on eks-pod-identity-agent otherwise.";
    let unhealthy = |message: &str| Finding::new(Code::AgentUnhealthy, message);
    let on_nodes = |message: &str| Finding::new(Code::AgentNotOnNodes, message);
    let some_missing = missing.as_ref().is_some_and(|nodes| !nodes.is_empty());
    match kind {
        AgentKind::None => vec![Finding::new(
            Code::AgentMissing,
            format!(
                "The cluster has no EKS Pod Identity Agent, neither as add-on nor as DaemonSet. {installation}"
            ),
        )],
        AgentKind::Unknown => vec![Finding::new(
            Code::NotChecked,
            "It could not be told whether the cluster has an EKS Pod Identity Agent: as far as could be read, it is not \
             there as an add-on, and DaemonSets could not be read. Allow that, or make sure of the agent.",
        )],
        // Nodes of Auto Mode have it built in; others beside them need it as in any cluster.
        AgentKind::AutoMode => {
            let installed = status.is_some() || facts.agent.version.is_some();
            match status.as_deref() {
                Some(status) if some_missing && status != "ACTIVE" => {
                    vec![addon_status(&facts.agent, status)]
                }
                _ if some_missing && installed => vec![on_nodes(&format!(
                    "The agent is not ready on every Linux node that is not of EKS Auto Mode. New pods there would get no \
                     credentials. {IPV6}"
                ))],
                _ if some_missing => vec![on_nodes(&format!(
                    "The cluster has Linux nodes that are not of EKS Auto Mode, and no agent for them. {installation}"
                ))],
                _ => vec![],
            }
        }
        AgentKind::Addon | AgentKind::SelfManaged => {
            let bad_status = status.as_deref().filter(|status| *status != "ACTIVE");
            let mut found = Vec::new();
            if let Some(status) = bad_status {
                found.push(addon_status(&facts.agent, status));
            } else if none_ready && (*kind == AgentKind::SelfManaged || needing.is_some()) {
                found.push(unhealthy(&format!(
                    "The agent's DaemonSet is there, but no pod of it is ready on a Linux node. {IPV6}"
                )));
            }
            if some_missing && !none_ready {
                found.push(on_nodes(&format!(
                    "The agent is not ready on every Linux node. New pods on the others would get no credentials. {IPV6}"
                )));
            }
            found
        }
    }
}

/// The add-on is in a state other than `ACTIVE`. EKS's messages hold counts, so only their codes are named.
fn addon_status(agent: &AgentFacts, status: &str) -> Finding {
    let codes: BTreeSet<&str> = agent
        .issues
        .iter()
        .filter_map(|issue| issue.split(':').next())
        .collect();
    let issues = if codes.is_empty() {
        String::new()
    } else {
        format!(" ({})", codes.into_iter().collect::<Vec<_>>().join(", "))
    };
    let next = match status {
        "CREATING" | "UPDATING" => "Wait until EKS has finished.".to_owned(),
        "DELETING" => "Install it again once it is gone.".to_owned(),
        _ => format!("Solve what EKS reports as its health issues. {IPV6}"),
    };
    Finding::new(
        Code::AgentUnhealthy,
        format!("The add-on eks-pod-identity-agent is {status}{issues}, not ACTIVE. {next}"),
    )
}

#[cfg(test)]
mod tests;
