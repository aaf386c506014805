//! What is there now, of everything that a migration reads or changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aws::RoleInfo;
use crate::framework::diagnostic::Diagnostic;
use crate::framework::{Context, Diagnostics};
use crate::migration::facts::{
    AssociationFacts, ClusterFacts, NamespaceFacts, PodCredentials, PodFacts, Restart, RoleFacts,
    ServiceAccountFacts, Settings, WorkloadFacts, WorkloadId,
};
use crate::migration::finding::Finding;
use crate::migration::phase::{Phase, Seen};
use crate::migration::preflight;
use crate::migration::readiness;
use crate::migration::roles::{RolePolicies, TargetRole};
use crate::migration::steps::rollout::described;
use crate::migration::steps::service_account::Breadcrumb;
use crate::migration::steps::{association, service_account};
use crate::migration::{gather, roles};
use crate::policy::{Document, Grant, OidcIssuer, Subject, Verdict, analyze, web_identity_trusts};
use crate::provider::ProviderData;

use super::unit::Unit;

/// Whether what was read earlier in this process will do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    /// For plans and refreshes, which look at many units at once.
    Cached,
    /// For steps, which change things.
    Now,
}

/// Why reality could not be read.
#[derive(Debug)]
pub(super) enum Blind {
    /// The provider block depends on values that are not known yet.
    NotYetKnown(String),
    /// There is no such cluster.
    NoCluster,
    /// Anything else.
    Failed(Diagnostic),
}

/// Everything that one migration is about.
#[derive(Clone, Debug)]
pub(super) struct Reality {
    pub(super) unit: Unit,
    pub(super) cluster: Arc<ClusterFacts>,
    pub(super) namespace: Arc<NamespaceFacts>,
    pub(super) role: RoleFacts,
    pub(super) association: Option<AssociationFacts>,
    pub(super) breadcrumb: Option<Breadcrumb>,
    policies: Option<Arc<RolePolicies>>,
    target: Option<TargetRole>,
    trust_quota: Option<usize>,
    node_roles: BTreeSet<String>,
    associations_in_cluster: Option<usize>,
}

/// Reads everything. `role` names the role if configuration or state do; otherwise the service account does. `association` is the
/// id of an association that is known: lists show new ones late.
pub(super) async fn look(
    context: &Context<ProviderData>,
    unit: &Unit,
    role: Option<&str>,
    association: Option<&str>,
    freshness: Freshness,
) -> Result<Reality, Blind> {
    let provider = &context.provider;
    let info = provider
        .cluster(&context.cancel, &unit.cluster)
        .await
        .map_err(|error| {
            if error.is_not_found() {
                Blind::NoCluster
            } else if error.is_not_yet_known() {
                Blind::NotYetKnown(error.to_string())
            } else {
                Blind::Failed(error.into_diagnostic(
                    READING,
                    &format!("The cluster {:?} could not be read.", unit.cluster),
                    "",
                ))
            }
        })?;
    let cluster = async {
        readiness::cluster(context, &unit.cluster)
            .await
            .map_err(Blind::Failed)
    };
    let namespace = async {
        match freshness {
            Freshness::Cached => gather::namespace(context, &unit.cluster, &unit.namespace).await,
            Freshness::Now => gather::namespace_now(context, &unit.cluster, &unit.namespace).await,
        }
        .map_err(|error| {
            if error.is_not_yet_known() {
                return Blind::NotYetKnown(error.to_string());
            }
            Blind::Failed(error.into_diagnostic(
                READING,
                &format!(
                    "The namespace {:?} of the cluster {:?} could not be read.",
                    unit.namespace, unit.cluster
                ),
                "",
            ))
        })
    };
    let found = async {
        let listed = association::find(
            context,
            &unit.cluster,
            &unit.namespace,
            &unit.service_account,
        )
        .await;
        match (listed, association) {
            (Ok(None), Some(id)) => association::describe(context, &unit.cluster, id).await,
            (listed, _) => listed,
        }
        .map_err(|error| {
            Blind::Failed(error.into_diagnostic(
                READING,
                &format!(
                    "The association of the {} could not be read.",
                    unit.inside()
                ),
                "",
            ))
        })
    };
    let (cluster, namespace, association) =
        futures_util::future::try_join3(Box::pin(cluster), Box::pin(namespace), Box::pin(found))
            .await?;
    let service_account = namespace.service_accounts.get(&unit.service_account);
    let breadcrumb = service_account.and_then(service_account::breadcrumb);
    let named = role
        .or_else(|| service_account.and_then(ServiceAccountFacts::role_arn))
        .or_else(|| breadcrumb.as_ref().and_then(Breadcrumb::role_arn));
    if freshness == Freshness::Now
        && let Some(name) = named.and_then(|arn| crate::policy::RoleArn::parse(arn).ok())
    {
        provider.forget_role(&name.name);
    }
    let role = roles::role(context, &info, named).await;
    let trust_quota = roles::trust_quota(context, [&role]).await;
    Ok(Reality {
        unit: unit.clone(),
        cluster,
        role,
        association,
        breadcrumb,
        namespace,
        policies: None,
        target: None,
        trust_quota,
        node_roles: BTreeSet::new(),
        associations_in_cluster: None,
    })
}

const READING: &str = "Reading what a migration is about";

impl Reality {
    /// The service account.
    pub(super) fn service_account(&self) -> Option<&ServiceAccountFacts> {
        self.namespace
            .service_accounts
            .get(&self.unit.service_account)
    }

    /// The role, if it exists and could be read.
    pub(super) fn role_info(&self) -> Option<&Arc<RoleInfo>> {
        match &self.role {
            RoleFacts::Found(role) => Some(role),
            _ => None,
        }
    }

    /// The role's trust policy, if it could be read.
    pub(super) fn trust(&self) -> Option<Document> {
        Document::parse(&self.role_info()?.assume_role_policy).ok()
    }

    /// Trust in Pod Identity for this service account.
    pub(super) fn grant(&self, settings: &Settings) -> Option<Grant> {
        settings.grant(
            &self.cluster.cluster.arn,
            &self.unit.namespace,
            &self.unit.service_account,
        )
    }

    /// This service account as IRSA knows it.
    pub(super) fn subject(&self) -> Option<Subject> {
        let issuer = OidcIssuer::parse(self.cluster.cluster.oidc_issuer.as_deref()?).ok()?;
        Some(Subject {
            issuer,
            namespace: self.unit.namespace.clone(),
            service_account: self.unit.service_account.clone(),
        })
    }

    /// Whether the role trusts Pod Identity for this service account. What cannot be told counts: only AWS knows, and
    /// the statement is not ours.
    pub(super) fn trusts(&self, grant: &Grant) -> bool {
        self.trust().is_some_and(|document| {
            !matches!(analyze(&document, &grant.pod()), Verdict::CanNeverWork(_))
        })
    }

    /// The association, if it is with the role that is meant.
    pub(super) fn own_association(&self) -> Option<&AssociationFacts> {
        let role = self.role.arn()?;
        self.association.as_ref().filter(|association| {
            association.owner_arn.is_none()
                && crate::policy::equivalent_arns(&association.role_arn, role)
        })
    }

    /// Whether nothing of a migration is left: somebody else has undone it.
    pub(super) fn is_untouched(&self) -> bool {
        self.association.is_none()
            && self.breadcrumb.is_none()
            && self.service_account().is_some()
            && self.trust().is_some()
            // A rollback that stopped half-way still has pods to restart.
            && !self
                .pods()
                .any(|pod| pod.credentials == PodCredentials::PodIdentity)
    }

    /// Pods of the service account.
    pub(super) fn pods(&self) -> impl Iterator<Item = &PodFacts> {
        self.namespace
            .pods
            .iter()
            .filter(|pod| pod.service_account == self.unit.service_account)
    }

    /// Pods that do not use Pod Identity and are not on their way out. Those with static keys get this far only with
    /// `hard_coded_credentials` among the ignored blockers.
    pub(super) fn left_behind(&self) -> Vec<&PodFacts> {
        self.namespace
            .left_behind(&self.unit.service_account)
            .collect()
    }

    /// Why nothing may be taken away yet, by pods: they do not use Pod Identity, are not ready, or were restarted `since` then
    /// (seconds since 1970). Whether pods that end by themselves are ready does not matter.
    pub(super) fn unwell(&self, since: i64) -> Vec<String> {
        let mut faults: Vec<String> = self
            .left_behind()
            .iter()
            .map(|pod| format!("{} has {}", pod.name, described(pod.credentials)))
            .collect();
        for pod in self.lasting_pods() {
            if !pod.ready {
                faults.push(format!("{} is not ready", pod.name));
            }
            if pod.last_restart.is_some_and(|restart| restart > since) {
                faults.push(format!("{} was restarted", pod.name));
            }
        }
        faults
    }

    /// When a container of its pods was last restarted, in seconds since 1970.
    pub(super) fn last_restart(&self) -> Option<i64> {
        self.lasting_pods().filter_map(|pod| pod.last_restart).max()
    }

    /// Pods that are to stay.
    fn lasting_pods(&self) -> impl Iterator<Item = &PodFacts> {
        self.pods().filter(|pod| {
            !pod.terminating && !matches!(pod.workload.kind.as_str(), "Job" | "CronJob")
        })
    }

    /// Pods whose credentials may be those of former settings of the association, and which nobody restarts for that.
    pub(super) fn outdated(&self, changed: i64, restart: bool) -> Vec<&PodFacts> {
        self.pods()
            .filter(|pod| !pod.terminating && pod.is_outdated(changed))
            .filter(|pod| !(restart && self.is_rolling(&pod.workload)))
            .collect()
    }

    /// Since when all pods are well on Pod Identity, by what is `known` of that; `None` while they are not.
    pub(super) fn verified_since(&self, phase: Phase, known: Option<i64>, now: i64) -> Option<i64> {
        match phase {
            Phase::Verified if !self.left_behind().is_empty() => None,
            Phase::Verified | Phase::Retired => {
                Some(known.unwrap_or(now).max(self.last_restart().unwrap_or(0)))
            }
            _ => None,
        }
    }

    /// Pods on their way out that still use IRSA: until they are gone its trust is needed.
    pub(super) fn draining(&self) -> Vec<&PodFacts> {
        self.pods()
            .filter(|pod| pod.terminating && pod.credentials == PodCredentials::WebIdentity)
            .collect()
    }

    /// Workloads of the service account.
    pub(super) fn workloads(&self) -> impl Iterator<Item = &WorkloadFacts> {
        self.namespace
            .workloads
            .iter()
            .filter(|workload| workload.service_account == self.unit.service_account)
    }

    /// Whether the pods of a workload can be restarted by us.
    pub(super) fn is_rolling(&self, id: &WorkloadId) -> bool {
        self.workloads()
            .any(|workload| workload.id == *id && workload.restart == Restart::Rolling)
    }

    /// Other service accounts of this cluster that use the role, as far as namespace and trust policy tell.
    pub(super) fn sharing(&self) -> Vec<String> {
        let own = format!("{}/{}", self.unit.namespace, self.unit.service_account);
        let Some(role) = self.role_info() else {
            return Vec::new();
        };
        let mut sharing: BTreeSet<String> = self
            .namespace
            .service_accounts
            .values()
            .filter(|account| {
                account
                    .role_arn()
                    .is_some_and(|arn| crate::policy::equivalent_arns(arn, &role.arn))
            })
            .map(|account| format!("{}/{}", account.namespace, account.name))
            .collect();
        if let (Some(subject), Some(document)) = (self.subject(), self.trust()) {
            for trust in web_identity_trusts(&document) {
                if !subject.issuer.is(&trust.provider.issuer) {
                    continue;
                }
                sharing.extend(
                    trust
                        .subjects
                        .iter()
                        .filter(|pattern| !pattern.is_pattern)
                        .filter_map(|pattern| pattern.service_account())
                        .map(|(namespace, name)| format!("{namespace}/{name}")),
                );
            }
        }
        sharing.remove(&own);
        sharing.into_iter().collect()
    }

    /// Reads the policies of the role and of those of nodes, looks at the target role and counts associations, for the checks that need them. What cannot be
    /// read is left out.
    pub(super) async fn in_depth(
        mut self,
        context: &Context<ProviderData>,
        settings: &Settings,
    ) -> Self {
        if self.association.is_none() {
            self.associations_in_cluster = association::list(context, &self.unit.cluster)
                .await
                .ok()
                .map(|all| all.len());
        }
        self.node_roles = roles::node_roles(context, &self.cluster).await;
        if let Some(role) = self.role_info().cloned() {
            match roles::policies(context, &role.name).await {
                Ok(policies) => self.policies = Some(policies),
                Err(error) => {
                    tracing::debug!(role = role.name, %error, "the role's policies could not be read");
                }
            }
            let target = settings.target_role_arn.as_deref();
            self.target = roles::target(context, &role.arn, target).await;
        }
        self
    }

    /// What speaks against the migration.
    pub(super) fn findings(&self, settings: &Settings) -> Vec<Finding> {
        let sharing = self.sharing();
        preflight::check(&preflight::Unit {
            cluster: &self.cluster,
            namespace: &self.namespace,
            namespace_name: &self.unit.namespace,
            service_account: &self.unit.service_account,
            role: &self.role,
            association: self.association.as_ref(),
            settings,
            sharing: &sharing,
            role_policies: self.policies.as_deref(),
            target: self.target.as_ref(),
            trust_quota: self.trust_quota,
            node_roles: &self.node_roles,
            associations_in_cluster: self.associations_in_cluster,
        })
    }

    /// How far the migration is, as far as reality tells. `known` is what the state says: that new pods were proven to
    /// get Pod Identity can only be seen by trying, and that everything was restarted only by having done so.
    /// Whether trust was lost, `trust_policy` saying what was there before, is told from that: a statement that nobody can
    /// judge but AWS does not make up for ours.
    pub(super) fn phase(
        &self,
        grant: &Grant,
        known: Option<Phase>,
        retired: bool,
        trust_policy: Option<&str>,
    ) -> Phase {
        let covers = |document: &Document| {
            grant
                .add(document)
                .is_ok_and(|granted| !granted.change.is_ours())
        };
        let lost = trust_policy
            .and_then(|text| Document::parse(text).ok())
            .is_some_and(|before| covers(&before))
            && self.trust().is_some_and(|document| !covers(&document));
        let trusted = self.trusts(grant) && !lost;
        // An add-on that took the association over manages it from then on. That is told; there is nothing to catch up with.
        let taken_over = self
            .association
            .as_ref()
            .is_some_and(|association| association.owner_arn.is_some());
        if let (true, Some(phase)) = (taken_over, known) {
            return phase;
        }
        if self.own_association().is_none() {
            return if trusted {
                Phase::TrustAdded
            } else {
                Phase::NotStarted
            };
        }
        if !trusted {
            return Phase::NotStarted;
        }
        let all_moved = self.left_behind().is_empty();
        let has_moved = self
            .pods()
            .any(|pod| pod.credentials == PodCredentials::PodIdentity);
        match known {
            // Pods that came without credentials after that are a warning, not a step back.
            Some(phase) if phase >= Phase::Verified => phase,
            Some(phase) if phase >= Phase::Propagated && all_moved => Phase::Verified,
            Some(phase) if phase >= Phase::Associated => phase,
            // An import: what the pods got tells that the association is in effect.
            None => Phase::from(Seen {
                trusted,
                associated: true,
                moved: has_moved,
                left_behind: !all_moved,
                retired,
            }),
            Some(_) => Phase::Associated,
        }
    }
}

/// Pods with what they have, for messages.
pub(super) fn listed(pods: &[&PodFacts]) -> Vec<String> {
    let one = |pod: &&PodFacts| {
        format!(
            "{} ({} {}, has {})",
            pod.name,
            pod.workload.kind,
            pod.workload.name,
            described(pod.credentials)
        )
    };
    pods.iter().map(one).collect()
}

/// Adds what reality says that the state does not expect.
pub(super) fn warn_of_drift(
    reality: &Reality,
    phase: Phase,
    known: Phase,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) {
    let unit = reality.unit.describe();
    let mut notes: Vec<String> = Vec::new();
    let retired = known == Phase::Retired;
    if let Some(association) = &reality.association {
        if let Some(owner) = &association.owner_arn {
            notes.push(format!(
                "Its association {} now belongs to the add-on {owner}. Remove this resource from the configuration with a \
                 removed block, and manage the association with the add-on.",
                association.id
            ));
        } else if reality.own_association().is_none() {
            notes.push(format!(
                "Its association {} was changed to the role {}. The next apply changes it back.",
                association.id, association.role_arn
            ));
        }
    } else if known >= Phase::Associated {
        notes.push(if retired {
            "Its association is gone, and IRSA was retired: new pods get no credentials at all. Apply at once to create it \
             anew."
                .to_owned()
        } else {
            "Its association is gone: new pods use IRSA again. The next apply creates it anew.".to_owned()
        });
    }
    if known >= Phase::TrustAdded && phase == Phase::NotStarted && reality.role_info().is_some() {
        notes.push(format!(
            "The role no longer trusts EKS Pod Identity for it: new pods get no credentials, and running ones lose theirs as soon \
             as the agent renews them. Apply now. Something else manages the trust policy of {}, an aws_iam_role resource \
             perhaps: add the statement there (see the function merge_trust_policy) and set trust.mode = \"verify\".",
            reality.role.arn().unwrap_or_default()
        ));
    }
    if retired
        && settings.retire_trust
        && let (Some(subject), Some(document)) = (reality.subject(), reality.trust())
        && !subject.retire(&document).removed.is_empty()
    {
        notes.push(format!(
            "The trust policy of {} trusts the OIDC subject of it again. Something else manages that policy. It is not fought \
             over; remove the subject at its source.",
            reality.role.arn().unwrap_or_default()
        ));
    }
    match reality.service_account() {
        None => notes.push(
            "The service account is missing. The association is kept for when it is there again."
                .to_owned(),
        ),
        Some(account) if retired && settings.retire_annotation => {
            if let Some(arn) = account.role_arn() {
                let owner = account
                    .owner
                    .as_ref()
                    .map_or_else(String::new, |owner| format!(" {owner} put it there."));
                notes.push(format!(
                    "The annotation eks.amazonaws.com/role-arn is back ({arn}).{owner} It does no harm while the association \
                     exists; remove it at its source."
                ));
            }
        }
        Some(_) => {}
    }
    if known >= Phase::Verified && phase >= Phase::Verified {
        let pods = listed(&reality.left_behind());
        if !pods.is_empty() {
            notes.push(format!(
                "These pods do not use Pod Identity although all did: {}. Delete them, so that they are made anew; if that \
                 does not help, see what keeps the webhook from them.",
                pods.join(", ")
            ));
        }
    }
    if !notes.is_empty() {
        diagnostics.warning(
            "Migration has drifted",
            format!("{unit}:\n  - {}", notes.join("\n  - ")),
        );
    }
}

#[cfg(test)]
pub(super) mod tests;
