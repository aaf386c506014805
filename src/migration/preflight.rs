//! The checks before a migration, pure: facts in, findings out.
//!
//! [`readiness`] says what is wrong with the cluster as a whole; the rest is here.
//!
//! | module | what it looks at |
//! |---|---|
//! | [`workloads`] | where the pods run and what their templates say |
//! | [`role`] | the role and its trust policy |
//! | [`permissions`] | what the role's policies say about further roles and about the session |
//! | [`association`] | an association that is there already |
//!
//! Findings are part of plans, so their messages name workloads, roles, node groups and profiles, but never pods, nodes, counts of
//! pods or times, which change between a plan and its apply.

pub mod association;
pub mod permissions;
pub mod role;
#[cfg(test)]
mod tests;
pub mod workloads;

use std::collections::BTreeSet;

use crate::migration::facts::{
    AssociationFacts, ClusterFacts, NamespaceFacts, RoleFacts, ServiceAccountFacts, Settings, Tool,
};
use crate::migration::finding::{Code, Finding};
use crate::migration::readiness;
use crate::migration::roles::{AGENT_ACTION, RolePolicies, TargetRole};
use crate::policy::Grant;

/// Everything that is known about the migration of one service account.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The cluster.
    pub cluster: &'a ClusterFacts,
    /// The namespace of the service account.
    pub namespace: &'a NamespaceFacts,
    /// The name of the namespace.
    pub namespace_name: &'a str,
    /// The name of the service account.
    pub service_account: &'a str,
    /// The role that pods get: the configured one, or else the one of the annotation.
    pub role: &'a RoleFacts,
    /// The association that is there already.
    pub association: Option<&'a AssociationFacts>,
    /// What the configuration says.
    pub settings: &'a Settings,
    /// `namespace/name` of the other service accounts of this cluster that share the role, as far as that is known: their annotation
    /// names it, or its trust policy names them.
    pub sharing: &'a [String],
    /// What the role's policies say; `None` if nobody looked.
    pub role_policies: Option<&'a RolePolicies>,
    /// The target role, if it is in this account and somebody looked.
    pub target: Option<&'a TargetRole>,
    /// ARNs of roles of nodes that may not ask for credentials, as far as somebody looked.
    pub node_roles: &'a BTreeSet<String>,
    /// How many characters a trust policy may have in this account; `None` if that is not known.
    pub trust_quota: Option<usize>,
    /// How many associations the cluster has, if that is known.
    pub associations_in_cluster: Option<usize>,
}

impl<'a> Unit<'a> {
    /// The service account, if it is there.
    #[must_use]
    pub fn account(&self) -> Option<&'a ServiceAccountFacts> {
        self.namespace.service_accounts.get(self.service_account)
    }

    /// Whether a migration created the association: then the service account is past the cut-over, and whatever else the
    /// association should say, the migration may change it.
    #[must_use]
    pub fn is_cut_over(&self) -> bool {
        self.association.is_some_and(|association| {
            association.is_migrations() && association.owner_arn.is_none()
        })
    }

    /// Whether the association has, or will have, session tags. A session policy turns them off.
    #[must_use]
    pub fn session_tags(&self) -> bool {
        self.settings.session_tags()
    }

    /// The trust that the migration needs; `None` while the cluster has no ARN.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        self.settings.grant(
            &self.cluster.cluster.arn,
            self.namespace_name,
            self.service_account,
        )
    }
}

/// Everything that speaks against the migration, sorted by code and message, each once.
#[must_use]
pub fn check(unit: &Unit<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    cluster(unit, &mut findings);
    service_account(unit, &mut findings);
    workloads::check(unit, &mut findings);
    role::check(unit, &mut findings);
    permissions::check(unit, &mut findings);
    association::check(unit, &mut findings);
    findings.sort();
    findings.dedup();
    findings
}

/// What is wrong with the cluster as a whole, and what could not be read. Nodes without an agent are of no concern to pods that cannot
/// run on them.
fn cluster(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    let concerned = match (
        &unit.cluster.nodes,
        readiness::nodes_without_agent(unit.cluster),
    ) {
        (Some(nodes), Some(without)) => without
            .iter()
            .filter_map(|name| nodes.get(*name))
            .any(|node| workloads::may_run_on(unit, node)),
        _ => true,
    };
    findings.extend(
        readiness::reasons(unit.cluster)
            .into_iter()
            .filter(|reason| reason.code != Code::AgentNotOnNodes || concerned),
    );
    if let Some(roles) = list(unit.node_roles.iter().cloned()) {
        findings.push(Finding::new(
            Code::NodeRole,
            format!(
                "By their policies, these roles of node groups may not call {AGENT_ACTION}, with which the agent gets credentials for the \
                 pods of its node: {roles}. Attach the AWS managed policy AmazonEKSWorkerNodePolicy, or allow that action."
            ),
        ));
    }
    let not_read = unit.namespace.not_read.iter();
    findings.extend(not_read.map(|why| Finding::new(Code::NotChecked, why.clone())));
}

fn service_account(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    let name = format!("{}/{}", unit.namespace_name, unit.service_account);
    let Some(account) = unit.account() else {
        findings.push(if unit.is_cut_over() {
            Finding::new(
                Code::ServiceAccountGone,
                format!(
                    "The service account {name} does not exist any more. Its association stays; remove this resource if \
                     the service account will not come back."
                ),
            )
        } else {
            Finding::new(
                Code::ServiceAccountMissing,
                format!(
                    "There is no service account {name}. Check both names, or create it before the migration."
                ),
            )
        });
        return;
    };
    if account.role_arn().is_some()
        && let Some(owner) = &account.owner
        && puts_back(owner.tool)
    {
        let next = match owner.tool {
            Tool::EksAddon => {
                "Better leave this service account out of the migration and set podIdentityAssociations of the add-on \
                 (pod_identity_association of aws_eks_addon) in place of its service account role: then EKS does all of it, \
                 while an association that it has not made itself is in its way."
            }
            _ => {
                "That does no harm while there is an association; to retire the annotation, remove it there."
            }
        };
        findings.push(Finding::new(
            Code::AnnotationOwned,
            format!(
                "{owner} manages the annotation {} of {name} and will put it back if the migration removes it. {next}",
                crate::migration::facts::ROLE_ARN,
            ),
        ));
    }
    consumers(unit, &name, findings);
}

/// What uses the role of the annotation without a pod of its own, and goes on doing so after the migration.
fn consumers(unit: &Unit<'_>, name: &str, findings: &mut Vec<Finding>) {
    let of = |certain: bool| {
        let all = unit.namespace.consumers_of(unit.service_account);
        list(
            all.filter(|consumer| consumer.certain == certain)
                .map(|consumer| format!("{} {}", consumer.kind, consumer.name)),
        )
    };
    let retires = unit.settings.retire_annotation || unit.settings.retire_trust;
    if let Some(consumers) = of(true) {
        let what = format!("IRSA of {name} is used through its annotation: {consumers}.");
        findings.push(if retires {
            Finding::new(
                Code::RetireBreaksConsumers,
                format!(
                    "{what} This migration is configured to retire IRSA, which breaks them: change them to use Pod Identity, or \
                     credentials of their controller, first, or leave retire unset."
                ),
            )
        } else {
            Finding::new(
                Code::AnnotationConsumers,
                format!(
                    "{what} They keep using IRSA, so do not retire the annotation or the trust before they are changed."
                ),
            )
        });
    }
    if let Some(consumers) = of(false) {
        findings.push(Finding::new(
            Code::AnnotationConsumers,
            format!(
                "IRSA of {name} may be used through its annotation: {consumers}. Whether it is could not be read; make sure before \
                 the annotation or the trust is retired."
            ),
        ));
    }
}

/// Whether the tool brings objects back to what it has for them, of its own accord or the next time it runs.
fn puts_back(tool: Tool) -> bool {
    matches!(
        tool,
        Tool::Helm | Tool::ArgoCd | Tool::Flux | Tool::Terraform | Tool::EksAddon
    )
}

/// `a`, `a and b`, `a, b and c`: sorted, each once, and long lists cut off. `None` for an empty list.
fn list(items: impl IntoIterator<Item = String>) -> Option<String> {
    const MOST: usize = 12;
    let items: std::collections::BTreeSet<String> = items.into_iter().collect();
    let mut items: Vec<String> = items.into_iter().collect();
    if items.len() > MOST {
        items.truncate(MOST);
        items.push("others".to_owned());
    }
    let last = items.pop()?;
    Some(if items.is_empty() {
        last
    } else {
        format!("{} and {last}", items.join(", "))
    })
}
