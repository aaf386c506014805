//! From Pod Identity back to IRSA: first what IRSA needs is put back, then the association goes, then it is proven that
//! new pods get IRSA, then pods are restarted and looked at, and our trust goes last.

mod before;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::AwsErrorKind;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::model::Attr;
use crate::framework::{Context, Private};
use crate::kubernetes::ClusterApi;
use crate::migration::facts::{PodCredentials, PodFacts, RoleFacts};
use crate::migration::gather;
use crate::migration::phase::Phase;
use crate::migration::steps::association::{self, Deletion};
use crate::migration::steps::injection;
use crate::migration::steps::rollout::{self, Rollout, Target};
use crate::migration::steps::{service_account, trust};
use crate::policy::{Document, GrantChange, RoleArn, Scope};
use crate::provider::ProviderData;

use super::former;
use super::ours::{RetiredTrust, forget_trust, prior_grant, revoke, verifies_trust};
use super::plan::{PLANNED_UNIT, phase_of};
use super::reality::{Blind, Freshness, Reality, look};
use super::schema::Migration;
use super::unit::{Unit, apart, keeps_on_destroy, propagation, rollout_times};
use super::{ROLLING_BACK, ownership, place};

use before::Back;
pub(super) use before::remember_irsa;

/// How long trust policies may take to be visible.
const TRUST_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How often pods that end by themselves are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What every diagnostic of a stop ends with as long as the association is there.
const RETRY: &str = "Destroy again to go on from here, or set on_destroy = \"keep\" and apply that first, to leave everything as \
                     it is.";
/// The same once it is gone. An apply would migrate again.
const RETRY_AFTER: &str = "Destroy again to go on from here, or let Terraform forget this resource (a removed block with \
                           destroy = false) to leave everything as it is now; an apply would migrate forward again.";

/// Undoes a migration, as far as it was ours.
pub(super) async fn roll_back(
    context: &Context<ProviderData>,
    prior: &Migration,
    planned_private: &Private,
    timeout: Duration,
    diagnostics: &mut Diagnostics,
) -> Result<(), Diagnostic> {
    let Some(unit) = Unit::of(prior) else {
        return Ok(());
    };
    let id = unit.id();
    // Terraform replaces an object whose creation did not end. What is deleted then is what will be created next: it is
    // left as it is, and the creation goes on from there.
    let replaced_by_itself = planned_private
        .get(PLANNED_UNIT)
        .and_then(serde_json::Value::as_str)
        == Some(&id);
    if keeps_on_destroy(prior) || replaced_by_itself {
        return Ok(());
    }
    let _alone = context.provider.migrations().work_on(&id).await;
    if context.provider.migrations().has_migrated(&id) {
        return Ok(());
    }
    let looking = look(
        context,
        &unit,
        prior.role_arn.as_deref(),
        prior.association_id.as_deref(),
        Freshness::Now,
    );
    // Boxed, because the steps are deep and the stacks of threads are not.
    let reality = match Box::pin(looking).await {
        Ok(reality) => reality,
        Err(Blind::NoCluster) => {
            place::refuse_other(context, prior, &unit, None).await?;
            return without_cluster(context, prior, &unit, planned_private).await;
        }
        Err(blind) => return Err(super::forward::blind_at_apply(&unit, blind)),
    };
    place::refuse_other(context, prior, &unit, Some(&reality.cluster.cluster.arn)).await?;
    if let Some(left) = left_to_others(&reality, planned_private) {
        diagnostics.push(left);
        return Ok(());
    }
    let adopted = prior.association_adopted == Attr::Known(true);
    let api = context
        .provider
        .kubernetes_api(&context.cancel, &unit.cluster)
        .await
        .map_err(|error| {
            error.into_diagnostic(
                ROLLING_BACK,
                &format!(
                    "The Kubernetes API of the cluster {:?} cannot be used.",
                    unit.cluster
                ),
                RETRY,
            )
        })?;
    let (back, role) = Back::find(context, &reality, planned_private).await;
    // Adopted associations stay, so nothing has to be proven.
    let tried = if adopted || reality.service_account().is_none() {
        None
    } else {
        let (namespace, name) = (&unit.namespace, &unit.service_account);
        Some(injection::probe(&context.cancel, &api, namespace, name).await)
    };
    let rollback = Rollback {
        api,
        context,
        prior,
        private: planned_private,
        reality,
        back,
        role,
        terminating: matches!(&tried, Some(Err(error)) if error.is_of_ending_namespace()),
    };
    if adopted {
        rollback.restore_trust().await?;
        rollback.restore_annotations(diagnostics).await?;
        return rollback.forget_trust().await;
    }
    rollback.refuse_foreign_association()?;
    rollback.refuse_without_path(diagnostics)?;
    let is_idle = rollback.is_idle();
    if !is_idle {
        Box::pin(rollback.rehearse(tried)).await?;
    }
    let trust_changed = Box::pin(rollback.restore_trust()).await?;
    let annotations_changed = Box::pin(rollback.restore_annotations(diagnostics)).await?;
    if trust_changed || annotations_changed || rollback.may_have_been_stopped() {
        rollback.let_it_be_seen().await?;
    }
    // Whoever manages the trust policy may have written it since the checks.
    Box::pin(rollback.see_trust(RETRY)).await?;
    Box::pin(rollback.delete_association(timeout)).await?;
    if !is_idle {
        Box::pin(rollback.prove()).await?;
        Box::pin(rollback.see_trust(RETRY_AFTER)).await?;
        Box::pin(rollback.restart()).await?;
    }
    rollback.forget_trust().await?;
    context.provider.migrations().leave(
        &rollback
            .reality
            .role_info()
            .map(|role| role.name.clone())
            .unwrap_or_default(),
        &id,
    );
    Box::pin(rollback.revoke_trust(planned_private, diagnostics)).await
}

/// A warning if the association belongs to somebody else now, so that there is nothing to roll back here.
fn left_to_others(reality: &Reality, private: &Private) -> Option<Diagnostic> {
    let association = reality.association.as_ref()?;
    let unit = reality.unit.inside();
    let whose = if let Some(owner) = association.owner_arn.as_deref() {
        format!(
            "The association of the {unit} belongs to the add-on {owner} now, so it is left to that. Everything else was left as \
             it is, too: without IRSA's trust and annotation nothing is broken by that."
        )
    } else if association.is_migrations() && ownership::is_anothers(private, association) {
        format!(
            "Another podidentity_irsa_migration has gone on with the migration of the {unit}, as the tag {} of the association {} \
             says. It is left to that one, which rolls it back when it is destroyed.",
            crate::migration::facts::MIGRATION_TAG,
            association.id
        )
    } else {
        return None;
    };
    Some(Diagnostic::warning("Nothing was rolled back", whose))
}

/// The warning of a plan that destroys, from the state alone; `None` if nothing would be done.
pub(super) fn announce(prior: &Migration, private: &Private) -> Option<Diagnostic> {
    let unit = Unit::of(prior)?;
    if ownership::was_anothers(private) {
        return None;
    }
    if keeps_on_destroy(prior) {
        return left_stranded(prior, &unit);
    }
    let mut steps = Vec::new();
    let phase = phase_of(prior);
    let adopted = prior.association_adopted == Attr::Known(true);
    if phase == Phase::Retired {
        steps.push("puts back what was retired of IRSA".to_owned());
    }
    if adopted {
        steps.push(
            "leaves the association, which was there before, and the trust that it needs"
                .to_owned(),
        );
    } else if phase >= Phase::Associated {
        steps.push(format!(
            "deletes the association {}, after which new pods get IRSA",
            prior.association_id.as_deref().unwrap_or_default()
        ));
        let (rolling, by_hand) = moved_workloads(prior);
        if !rolling.is_empty() {
            steps.push(format!("restarts {}, one at a time", rolling.join(", ")));
        }
        if !by_hand.is_empty() {
            steps.push(format!(
                "cannot restart {}: their pods keep credentials of Pod Identity for three to six hours at most, and the destroy \
                 ends with an error until they have ended or were restarted by hand. Nothing can move them before, for as long \
                 as the association is there they come back on Pod Identity",
                by_hand.join(", ")
            ));
        }
    }
    if phase >= Phase::TrustAdded && !verifies_trust(prior) && !adopted {
        steps.push(format!(
            "takes the statement for EKS Pod Identity out of the trust policy of {}",
            prior.role_arn.as_deref().unwrap_or_default()
        ));
    }
    if steps.is_empty() {
        return None;
    }
    let summary = if adopted {
        "Service account stays on Pod Identity"
    } else {
        "Service account goes back to IRSA"
    };
    Some(Diagnostic::warning(
        summary,
        format!(
            "Destroying the migration of the {}:\n  - {}\n\nTo keep what was migrated, set on_destroy = \"keep\" and apply that \
             first, or let Terraform forget the resource (a removed block with destroy = false).",
            unit.inside(),
            steps.join("\n  - ")
        ),
    ))
}

/// The warning of a destroy that keeps everything, half-way through a rollback.
fn left_stranded(prior: &Migration, unit: &Unit) -> Option<Diagnostic> {
    if phase_of(prior) >= Phase::Associated {
        return None;
    }
    let (rolling, by_hand) = moved_workloads(prior);
    let left: Vec<String> = rolling.into_iter().chain(by_hand).collect();
    (!left.is_empty()).then(|| {
        Diagnostic::warning(
            "Pods are left without an association",
            format!(
                "With on_destroy = \"keep\" the destroy leaves the {} as it is. It has no association any more, and pods of these \
                 workloads still use Pod Identity:\n  - {}\n\nThey lose their credentials when the agent renews them, three to \
                 six hours after they were first given. Restart them before.",
                unit.inside(),
                left.join("\n  - ")
            ),
        )
    })
}

/// Workloads of a state with pods on Pod Identity: those that a rollback restarts, and the others with the reason.
fn moved_workloads(prior: &Migration) -> (Vec<String>, Vec<String>) {
    let (mut rolling, mut by_hand) = (Vec::new(), Vec::new());
    for workload in prior.workloads.known().into_iter().flatten() {
        let name = format!(
            "{} {}",
            workload.kind.as_deref().unwrap_or_default(),
            workload.name.as_deref().unwrap_or_default()
        );
        if workload.pods_on_pod_identity == Attr::Known(0) {
            continue;
        }
        match workload.restart.as_deref() {
            Some("rolling") => rolling.push(name),
            why => by_hand.push(format!("{name} ({})", why.unwrap_or("unknown"))),
        }
    }
    (rolling, by_hand)
}

struct Rollback<'a> {
    context: &'a Context<ProviderData>,
    prior: &'a Migration,
    private: &'a Private,
    reality: Reality,
    api: Arc<ClusterApi>,
    /// What new pods will get; `None` if that cannot be told.
    back: Option<Back>,
    /// The role that IRSA uses.
    role: RoleFacts,
    /// Whether the namespace is being deleted, and so takes no new pods.
    terminating: bool,
}

impl Rollback<'_> {
    /// What was taken away of the trust in IRSA and is to be put back. Whoever writes the policy in our place would take it
    /// away again.
    fn retired(&self) -> Option<RetiredTrust> {
        RetiredTrust::of(&self.reality, Some(self.prior)).filter(|_| !verifies_trust(self.prior))
    }

    /// Puts trust back. Returns whether it was changed.
    async fn restore_trust(&self) -> Result<bool, Diagnostic> {
        match self.retired() {
            Some(retired) => retired.restore(self.context, &self.reality).await,
            None => Ok(false),
        }
    }

    /// Gives what was put back the time that it takes to be seen everywhere: trust by STS, annotations by the webhook. As long
    /// as the association is there nothing depends on them.
    async fn let_it_be_seen(&self) -> Result<(), Diagnostic> {
        if !self.is_in_use() {
            return Ok(());
        }
        self.pause(apart(self.prior), RETRY).await
    }

    /// Whether an earlier run may have put back a moment ago what this one finds in place: a refresh has taken back what the
    /// state said of it, and nothing tells when it was written.
    fn may_have_been_stopped(&self) -> bool {
        let retires = self.prior.retire.known().is_some_and(|retire| {
            [&retire.annotation, &retire.trust].contains(&&Attr::Known(true))
        });
        retires && self.reality.association.is_some()
    }

    /// Sees once more, right before pods begin to depend on it, that the role of IRSA trusts the service account.
    async fn see_trust(&self, next: &str) -> Result<(), Diagnostic> {
        let (Some(Back::Irsa { role_arn }), true) = (&self.back, self.is_in_use()) else {
            return Ok(());
        };
        if self.changes_nothing_for_pods() || !matches!(self.role, RoleFacts::Found(_)) {
            return Ok(());
        }
        if self.restore_trust().await? {
            self.let_it_be_seen().await?;
        }
        let Ok(arn) = RoleArn::parse(role_arn) else {
            return Ok(());
        };
        let found = trust::current(self.context, &arn.name).await?;
        let why = match found {
            None => format!("the role {role_arn} is gone"),
            Some(role) if self.lets_in(&role.assume_role_policy) => return Ok(()),
            Some(_) => format!(
                "the trust policy of {role_arn} does not let the service account in by IRSA any more"
            ),
        };
        Err(Diagnostic::error(
            ROLLING_BACK,
            format!(
                "While the {} was being brought back to IRSA, somebody changed what it needs: {why}. No workload was \
                 restarted.\n\nPut it back. {next}",
                self.reality.unit.inside()
            ),
        ))
    }

    /// Puts annotations back. Returns whether they were changed.
    async fn restore_annotations(&self, diagnostics: &mut Diagnostics) -> Result<bool, Diagnostic> {
        if self.terminating {
            return Ok(false);
        }
        restore_annotations(self.context, &self.api, &self.reality, diagnostics).await
    }

    /// Removes the note about what was retired of trust, once nothing depends on it any more: whoever manages the trust policy
    /// may take away what was put back, and without the note a rollback that was interrupted could not put it back again.
    async fn forget_trust(&self) -> Result<(), Diagnostic> {
        if self.terminating {
            return Ok(());
        }
        forget_trust(self.context, &self.api, &self.reality, ROLLING_BACK).await
    }

    async fn delete_association(&self, timeout: Duration) -> Result<(), Diagnostic> {
        let Some(existing) = &self.reality.association else {
            return Ok(());
        };
        let cluster = &self.reality.unit.cluster;
        match association::delete(self.context, cluster, existing, timeout).await? {
            Deletion::Deleted | Deletion::AlreadyGone => Ok(()),
            Deletion::Kept(why) => Err(Diagnostic::error(
                ROLLING_BACK,
                format!(
                    "The association {} was not deleted. {why}\n\n{RETRY}",
                    existing.id
                ),
            )),
        }
    }

    /// Waits until new pods get what they are to go back to.
    async fn prove(&self) -> Result<(), Diagnostic> {
        // Without a service account there are no new pods.
        let (Some(back), Some(_), true) =
            (&self.back, self.reality.service_account(), self.is_in_use())
        else {
            return Ok(());
        };
        injection::wait(
            &self.context.cancel,
            &self.api,
            &self.reality.unit.namespace,
            &self.reality.unit.service_account,
            &back.expected(),
            &propagation(self.prior),
        )
        .await
        .map(drop)
        .map_err(|error| {
            error.into_diagnostic(
                ROLLING_BACK,
                &format!(
                    "The association of the {} is deleted, but it is not proven that new pods get {}. No workload was \
                     restarted; running pods keep what they have until the agent renews their credentials.",
                    self.reality.unit.inside(),
                    back.expected()
                ),
                RETRY_AFTER,
            )
        })
    }

    /// Restarts what uses Pod Identity, for its credentials end when the agent renews them, and sees that nothing is left
    /// that does.
    async fn restart(&self) -> Result<(), Diagnostic> {
        if !self.is_in_use() {
            return Ok(());
        }
        let (timeout, _) = rollout_times(self.prior);
        let mut deadline = None;
        loop {
            self.restart_workloads().await?;
            let unit = &self.reality.unit;
            let facts = gather::namespace_now(self.context, &unit.cluster, &unit.namespace)
                .await
                .map_err(|error| {
                    error.into_diagnostic(
                        ROLLING_BACK,
                        &format!(
                            "The {} is back on IRSA, but whether pods are left that use Pod Identity could not be seen.",
                            unit.inside()
                        ),
                        RETRY_AFTER,
                    )
                })?;
            let left: Vec<&PodFacts> = facts
                .pods_of(&unit.service_account)
                .filter(|pod| needs_association(pod))
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            let deadline = *deadline.get_or_insert(now + timeout);
            // Only what ends by itself, or came up on its own since, is worth another look.
            let waits = left
                .iter()
                .all(|pod| ends_by_itself(pod) || self.reality.is_rolling(&pod.workload));
            if !waits || now >= deadline {
                return Err(self.stranded(&left));
            }
            self.pause(LOOK_INTERVAL.min(deadline - now), RETRY_AFTER)
                .await?;
        }
    }

    async fn restart_workloads(&self) -> Result<(), Diagnostic> {
        let unit = &self.reality.unit;
        let (timeout, pause) = rollout_times(self.prior);
        let marker = format!(
            "rollback-{}",
            self.prior.association_id.as_deref().unwrap_or_default()
        );
        let wanted = self.wanted();
        rollout::restart(
            self.context,
            Target {
                cluster: &unit.cluster,
                namespace: &unit.namespace,
                service_account: &unit.service_account,
            },
            wanted,
            &marker,
            &Rollout {
                timeout,
                pause,
                deadline: None,
            },
        )
        .await
        .map(drop)
        .map_err(|stopped| {
            stopped.into_diagnostic(
                ROLLING_BACK,
                &format!(
                    "The rollback of the {} stopped half-way: new pods get IRSA, but not all running pods were restarted. \
                     Those that were not lose their credentials when the agent renews them, three to six hours after they were \
                     first given. {RETRY_AFTER}",
                    unit.inside()
                ),
                &unit.namespace,
                wanted,
            )
        })
    }

    /// The error for pods that still use Pod Identity. It comes before the state is forgotten, and with it who they are.
    fn stranded(&self, pods: &[&PodFacts]) -> Diagnostic {
        let lines: Vec<String> = pods
            .iter()
            .map(|pod| format!("{} ({})", pod.name, pod.workload))
            .collect();
        Diagnostic::error(
            ROLLING_BACK,
            format!(
                "New pods of the {} do not get Pod Identity any more, but these still use it, and the provider cannot restart \
                 them:\n  - {}\n\nThey lose their credentials when the agent renews them, three to six hours after they were \
                 first given. Restart them before, or let them end: the association is gone, so they come back without it. \
                 {RETRY_AFTER}",
                self.reality.unit.inside(),
                lines.join("\n  - ")
            ),
        )
    }

    async fn pause(&self, duration: Duration, next: &str) -> Result<(), Diagnostic> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(Diagnostic::error(
                ROLLING_BACK,
                format!("Terraform was asked to stop. Nothing is broken by that. {next}"),
            )),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    /// Takes our statements away, last of all.
    async fn revoke_trust(
        &self,
        private: &Private,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Diagnostic> {
        let (Some(role_arn), Some(grant)) = (
            self.reality.role.arn(),
            prior_grant(self.context, self.prior, &self.reality.unit),
        ) else {
            return Ok(());
        };
        if verifies_trust(self.prior) {
            return Ok(());
        }
        // Those of former settings, too, which an update did not get to.
        for (role_arn, grants) in former::by_role(private, role_arn, &grant) {
            let Ok(role) = RoleArn::parse(&role_arn) else {
                continue;
            };
            if let Some(why) = revoke(self.context, &self.reality.unit, &role.name, &grants).await?
            {
                diagnostics.warning(
                    "Trust in EKS Pod Identity stays",
                    format!(
                        "A statement of a wider scope than the service account in the trust policy of {role_arn} is left, because \
                         {why}. Remove it by hand once nothing needs it."
                    ),
                );
            }
        }
        Ok(())
    }
}

/// Whether a pod loses its credentials some time after the association is gone.
fn needs_association(pod: &PodFacts) -> bool {
    !pod.terminating
        && matches!(
            pod.credentials,
            PodCredentials::PodIdentity | PodCredentials::Partly
        )
}

fn ends_by_itself(pod: &PodFacts) -> bool {
    matches!(pod.workload.kind.as_str(), "Job" | "CronJob")
}

/// Puts the annotations back, if they were retired. Returns whether they were changed.
pub(super) async fn restore_annotations(
    context: &Context<ProviderData>,
    api: &ClusterApi,
    reality: &Reality,
    diagnostics: &mut Diagnostics,
) -> Result<bool, Diagnostic> {
    if reality.service_account().is_none() {
        return Ok(false);
    }
    let change = service_account::restore_annotations(
        &context.cancel,
        api,
        &reality.unit.namespace,
        &reality.unit.service_account,
    )
    .await
    .map_err(|error| {
        error.into_diagnostic(
            ROLLING_BACK,
            &format!(
                "The role annotation of the {} was not put back. Pods keep using Pod Identity.",
                reality.unit.inside()
            ),
        )
    })?;
    for kept in &change.now().kept {
        diagnostics.warning(
            "An annotation was set while it was retired",
            format!(
                "{} has {} = {:?}, which somebody else has set. It stays; before the migration it was {:?}.",
                reality.unit.describe(),
                kept.annotation,
                kept.found,
                kept.before
            ),
        );
    }
    Ok(change.is_patched())
}

/// What is left of a migration whose cluster is gone, for somebody to remove: our statements in the trust policy, as far as
/// the state tells.
pub(super) fn left_without_cluster(
    context: &Context<ProviderData>,
    prior: &Migration,
    unit: &Unit,
) -> Diagnostic {
    let ours = || {
        let document = Document::parse(prior.trust_policy_after.as_deref()?).ok()?;
        let added = prior_grant(context, prior, unit)?.add(&document).ok()?;
        let GrantChange::Covered { by, ours: true } = added.change else {
            return None;
        };
        let sids: Vec<String> = by.into_iter().filter_map(|at| at.sid).collect();
        (!sids.is_empty() && !verifies_trust(prior)).then_some(sids)
    };
    let left = ours().map_or_else(String::new, |sids| {
        format!(
            " The trust policy of {} keeps the statement {}, which does no harm without the cluster; remove it by hand.",
            prior.role_arn.as_deref().unwrap_or_default(),
            sids.join(", ")
        )
    });
    Diagnostic::warning(
        "Cluster of a migration is gone",
        format!(
            "There is no EKS cluster {:?} any more, so the migration of the {} is taken from the state.{left}",
            unit.cluster,
            unit.inside()
        ),
    )
}

/// The cluster is gone, and everything in it: only the role's trust is left.
async fn without_cluster(
    context: &Context<ProviderData>,
    prior: &Migration,
    unit: &Unit,
    private: &Private,
) -> Result<(), Diagnostic> {
    let (Some(role_arn), Some(grant)) = (
        prior.role_arn.as_deref(),
        prior_grant(context, prior, unit).filter(|_| !verifies_trust(prior)),
    ) else {
        return Ok(());
    };
    for (role_arn, mut grants) in former::by_role(private, role_arn, &grant) {
        // Other clusters may use the others.
        grants.retain(|grant| !matches!(grant.scope, Scope::Account | Scope::None));
        let Ok(role) = RoleArn::parse(&role_arn) else {
            continue;
        };
        match context
            .provider
            .read_role(&context.cancel, &role.name)
            .await
        {
            Ok(Some(_)) => {
                trust::revoke(context, &role.name, &grants, &|| false, TRUST_TIMEOUT).await?;
            }
            Ok(None) => {}
            Err(error) if error.kind() == AwsErrorKind::Cancelled => {
                return Err(error.into_diagnostic(
                    ROLLING_BACK,
                    "The trust policy was not looked at.",
                    RETRY,
                ));
            }
            Err(error) => {
                return Err(error.into_diagnostic(
                    ROLLING_BACK,
                    &format!("The role {} could not be read.", role.name),
                    RETRY,
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destroy_announces_what_it_will_do() {
        let state = |adopted| Migration {
            cluster_name: "demo".into(),
            namespace: "payments".into(),
            service_account: "api".into(),
            role_arn: "arn:aws:iam::123456789012:role/api".into(),
            association_id: "a-1".into(),
            association_adopted: Attr::Known(adopted),
            phase: Phase::Retired.as_str().into(),
            ..Migration::default()
        };
        let announced = |adopted| announce(&state(adopted), &Private::default()).unwrap();
        let retired = "puts back what was retired";
        let revoked = "takes the statement for EKS Pod Identity out";
        let own = announced(false);
        assert_eq!(own.summary, "Service account goes back to IRSA");
        for part in [retired, "deletes the association a-1", revoked] {
            assert!(own.detail.contains(part), "{part}: {}", own.detail);
        }
        let adopted = announced(true);
        assert_eq!(adopted.summary, "Service account stays on Pod Identity");
        for part in [retired, "leaves the association"] {
            assert!(adopted.detail.contains(part), "{part}: {}", adopted.detail);
        }
        for part in ["deletes", revoked] {
            assert!(!adopted.detail.contains(part), "{part}: {}", adopted.detail);
        }
    }
}
