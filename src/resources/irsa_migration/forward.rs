//! From IRSA to Pod Identity. What gives comes first, what takes away last; the state is true after every step, and a
//! step finds out by itself whether there is anything left to do.

mod after;
mod before;

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::aws::tags::to_map;
use crate::cty::Value;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::model::{Attr, IntoValue};
use crate::framework::{Context, Private};
use crate::kubernetes::ClusterApi;
use crate::migration::facts::{AssociationFacts, Settings};
use crate::migration::phase::Phase;
use crate::migration::steps::association::{self, Wanted};
use crate::migration::steps::injection::{self, Expected, NotProven, Propagation};
use crate::migration::steps::service_account::NotChanged;
use crate::migration::steps::trust;
use crate::policy::{Grant, GrantChange, equivalent_arns, equivalent_json};
use crate::provider::ProviderData;

use super::former::{self, Former};
use super::plan::{CHANGED, Left, phase_of, remaining_soak, workload_models};
use super::reality::{Blind, Freshness, Reality, look};
use super::schema::Migration;
use super::unit::{Unit, apart, changes_association, is_local, propagation, same_arn, soak};
use super::{MIGRATING, backward, ownership};

/// How long trust policies may take to be visible.
const TRUST_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How long EKS may take to see a role and its trust policy.
const ROLE_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How often pods that are not well get another look before anything is retired.
const WELL_LOOKS: u32 = 6;
/// How often pods are looked at while they soak or end.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// One run of a migration, for a create or an update.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context<ProviderData>,
    /// The token that the association carries from now on.
    pub(super) owner: String,
    /// The plan.
    pub(super) plan: Migration,
    /// Whether the configuration names the role.
    pub(super) role_configured: bool,
    /// The state before; `None` for a create.
    pub(super) prior: Option<Migration>,
    /// Where the state is kept, after every step.
    pub(super) state: &'a mut Value,
    pub(super) private: &'a mut Private,
    pub(super) diagnostics: &'a mut Diagnostics,
    pub(super) timeout: Duration,
}

pub(super) use before::{Patches, may_patch, restarts, same_but_for_migrations};

/// What a run works with once it has looked.
struct Work {
    unit: Unit,
    settings: Settings,
    reality: Reality,
    api: std::sync::Arc<ClusterApi>,
    grant: Grant,
    /// When this run wrote the statement of the grant last.
    granted: Option<Instant>,
    /// When the settings of the association were changed, or this run found them changed by one that did not end.
    changed: Option<Instant>,
    /// Whether pods get other credentials, as the plan knew already.
    soaks_anew: bool,
    role_name: String,
    target: Phase,
    /// When the operation's timeout is over.
    deadline: Instant,
}

impl Work {
    /// As much of a step's timeout as the operation's leaves.
    fn within(&self, timeout: Duration) -> Duration {
        timeout.min(self.deadline.saturating_duration_since(Instant::now()))
    }
}

impl Run<'_> {
    /// Goes as far as the plan says.
    pub(super) async fn go(mut self) -> Result<(), Diagnostic> {
        // Nothing that could fail is in the way of, say, on_destroy = "keep".
        if let Some(prior) = &self.prior
            && is_local(prior, &self.plan)
        {
            *self.state = self.plan.into_value();
            return Ok(());
        }
        let unit = Unit::of(&self.plan).ok_or_else(|| {
            Diagnostic::provider_bug("A migration is applied without its service account.")
        })?;
        let provider = std::sync::Arc::clone(&self.context.provider);
        let _alone = provider.migrations().work_on(&unit.id()).await;
        // A replacement has dropped the state of what exists already: whatever stops this run, it is not lost again.
        if self.prior.is_none() && self.plan.association_id.is_known() {
            self.save(&Migration::default(), Phase::Associated);
        }
        self.claim(&unit).await?;
        // Boxed, because the steps are deep and the stacks of threads are not.
        let mut work = Box::pin(self.prepare(unit)).await?;
        if self.prior.is_none() {
            backward::remember_irsa(&work.reality, self.private, true);
        }
        provider.migrations().migrate(&work.unit.id());
        Box::pin(self.forgive(&work)).await?;

        let mut now = self.known();
        Box::pin(self.rehearse(&work)).await?;
        self.remember_former(&work);
        Box::pin(self.trust(&mut work, &mut now)).await?;
        if work.granted.is_some() {
            // STS sees a statement only a while after it was written. New pods need it as soon as there is an association,
            // and running ones as soon as that has another role.
            Box::pin(self.hold_trust(&mut work, &mut now)).await?;
        }
        Box::pin(self.association(&mut work, &mut now)).await?;
        Box::pin(self.injection(&work, &mut now)).await?;
        // From here on pods depend on it.
        Box::pin(self.hold_trust(&mut work, &mut now)).await?;
        self.let_change_be_seen(&work).await?;
        Box::pin(self.rollout(&work, &mut now)).await?;
        Box::pin(self.verify(&mut work, &mut now)).await?;
        if work.target == Phase::Retired
            && !self.has_retired()
            && Box::pin(self.soak(&mut work, &now)).await?
        {
            Box::pin(self.prove_again(&mut work, &mut now)).await?;
            Box::pin(self.see_all_well(&mut work, &now)).await?;
            Box::pin(self.retire(&work, &mut now)).await?;
        }
        Box::pin(self.old_role(&work, &mut now)).await;
        self.finish(&work, now)
    }

    /// Whether everything that is to be retired was retired by an earlier apply. Whatever came back since has an owner,
    /// who is not fought.
    fn has_retired(&self) -> bool {
        self.prior.as_ref().is_some_and(|prior| {
            phase_of(prior) == Phase::Retired && prior.retire == self.plan.retire
        })
    }

    /// Whether pods get other credentials, which have to show that they work before anything is retired. A run that stopped
    /// before all pods had them has left a note.
    fn soaks_anew(&self) -> bool {
        let prior = self.prior.as_ref();
        let unfinished = self.private.get(CHANGED).is_some();
        (unfinished || prior.is_some_and(|prior| changes_association(prior, &self.plan)))
            && !self.has_retired()
    }

    /// How much of the soak is left.
    fn remaining_soak(&self) -> Duration {
        let soak = soak(&self.plan);
        match &self.prior {
            Some(prior) if !self.soaks_anew() => remaining_soak(prior, soak),
            _ => soak,
        }
    }

    /// Makes the association of an earlier run this object's, first of all: an object that was replaced by this one may be
    /// destroyed at any time from now on, and must find that.
    async fn claim(&mut self, unit: &Unit) -> Result<(), Diagnostic> {
        let (None, Some(id)) = (&self.prior, self.plan.association_id.as_deref()) else {
            return Ok(());
        };
        if self.plan.association_adopted != Attr::Known(true)
            && association::claim(self.context, &unit.cluster, id, &self.owner).await?
        {
            ownership::remember(self.private, &self.owner);
        }
        Ok(())
    }

    /// What the state says before the run.
    fn known(&self) -> Migration {
        self.prior.clone().unwrap_or_default()
    }

    /// Saves what has been reached.
    fn save(&mut self, now: &Migration, phase: Phase) {
        let mut state = self.plan.clone();
        state.phase = phase.as_str().into();
        settle(&mut state, now);
        if let Some(prior) = &self.prior {
            before_cut_over(&mut state, now, prior);
        }
        *self.state = state.into_value();
    }

    async fn trust(&mut self, work: &mut Work, now: &mut Migration) -> Result<(), Diagnostic> {
        let context = self.context;
        if work.settings.verify_trust {
            trust::verify(context, &work.role_name, &work.grant, TRUST_TIMEOUT).await?;
            if let Some(role) = trust::current(context, &work.role_name).await? {
                now.trust_policy_after = Attr::Known(role.assume_role_policy.clone());
            }
        } else {
            // Others must not take away what this one finds there already.
            context
                .provider
                .migrations()
                .rely(&work.role_name, &work.unit.id());
            let former = self.former(work);
            let granting = trust::grant(
                context,
                &work.role_name,
                &work.grant,
                &former,
                TRUST_TIMEOUT,
            )
            .await?;
            if let GrantChange::Added { sid } | GrantChange::Merged { sid } = &granting.change {
                tracing::info!(
                    role = work.role_name,
                    sid,
                    "trust in EKS Pod Identity added"
                );
            }
            work.granted = granting.written;
            now.trust_policy_after = Attr::Known(granting.after);
        }
        let reached = self.reached(Phase::TrustAdded);
        self.save(now, reached);
        Ok(())
    }

    /// Grants of former settings on the same role.
    fn former(&self, work: &Work) -> Vec<Grant> {
        let role_arn = work.reality.role.arn().unwrap_or_default();
        former::on(self.private, role_arn, &work.grant)
    }

    /// Sees that the trust is still there, and adds it again if it is not: another process may have based its own write on
    /// what was there before.
    async fn hold_trust(&mut self, work: &mut Work, now: &mut Migration) -> Result<(), Diagnostic> {
        let context = self.context;
        if work.settings.verify_trust {
            trust::verify(context, &work.role_name, &work.grant, TRUST_TIMEOUT).await?;
            return Ok(());
        }
        let granting = trust::hold(
            context,
            &work.role_name,
            &work.grant,
            &self.former(work),
            work.granted,
            apart(&self.plan),
            TRUST_TIMEOUT,
        )
        .await?;
        work.granted = granting.written.or(work.granted);
        now.trust_policy_after = Attr::Known(granting.after);
        Ok(())
    }

    /// EKS Auth serves a changed association some seconds late, and no dry run shows the role that a pod would get. A pod that
    /// was restarted before that would keep the former one.
    async fn let_change_be_seen(&self, work: &Work) -> Result<(), Diagnostic> {
        let Some(changed) = work.changed else {
            return Ok(());
        };
        let seen = changed + apart(&self.plan);
        self.pause(seen.saturating_duration_since(Instant::now()))
            .await
    }

    async fn association(
        &mut self,
        work: &mut Work,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
        let context = self.context;
        let wanted = Wanted {
            cluster: work.unit.cluster.clone(),
            namespace: work.unit.namespace.clone(),
            service_account: work.unit.service_account.clone(),
            role_arn: self.plan.role_arn.as_deref().unwrap_or_default().to_owned(),
            target_role_arn: work.settings.target_role_arn.clone(),
            disable_session_tags: work.settings.disable_session_tags,
            policy: work.settings.policy.clone(),
            tags: to_map(&self.plan.tags_all),
            client_request_token: None,
        };
        let adopted_before = self
            .prior
            .as_ref()
            .is_some_and(|prior| prior.association_adopted == Attr::Known(true));
        let facts: AssociationFacts = match &work.reality.association {
            Some(existing) if existing.is_migrations() => {
                association::update(context, &existing.id, &wanted, &self.owner, self.timeout)
                    .await?
            }
            // Somebody else's, which preflight has compared with what is wanted.
            Some(existing) if work.settings.adopt_existing_association || adopted_before => {
                if !is_as_wanted(existing, &wanted) {
                    return Err(Diagnostic::error(
                        MIGRATING,
                        format!(
                            "The association {} of the {} was there before the migration, which therefore does not change it, but \
                             its role or settings differ from the configuration. Change it where it is managed, or change the \
                             configuration back.",
                            existing.id,
                            work.unit.inside()
                        ),
                    ));
                }
                existing.clone()
            }
            Some(existing) => {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "{} has the association {} with the role {}, which does not have the tag of a migration (any more). Set \
                         adopt_existing_association = true to use it as it is.",
                        work.unit.describe(),
                        existing.id,
                        existing.role_arn
                    ),
                ));
            }
            None => {
                let timeout = self.timeout.min(ROLE_TIMEOUT);
                association::create(context, &wanted, &self.owner, timeout).await?
            }
        };
        self.note_change(work.reality.association.as_ref(), &facts, &wanted);
        work.changed = self.private.get(CHANGED).map(|_| Instant::now());
        if facts.is_migrations() {
            ownership::remember(self.private, &self.owner);
        }
        now.association_id = Attr::Known(facts.id.clone());
        now.association_arn = Attr::Known(facts.arn.clone());
        now.association_adopted = Attr::Known(!facts.is_migrations());
        now.role_arn = self.plan.role_arn.clone();
        now.target_role_arn = self.plan.target_role_arn.clone();
        now.disable_session_tags = self.plan.disable_session_tags.clone();
        now.policy = self.plan.policy.clone();
        now.trust = self.plan.trust.clone();
        if work.soaks_anew {
            now.verified_at = Attr::Null;
        }
        work.reality.association = Some(facts);
        let reached = self.reached(Phase::Associated);
        self.save(now, reached);
        Ok(())
    }

    /// At least `phase`, or what an earlier apply had reached already with the same association.
    fn reached(&self, phase: Phase) -> Phase {
        self.prior
            .as_ref()
            .map_or(phase, |prior| reached(prior, &self.plan, phase))
    }

    /// Remembers whose trust policies may have a statement of this migration that they are not to keep.
    fn remember_former(&mut self, work: &Work) {
        let Some(next) = Former::of(&self.plan) else {
            return;
        };
        let former = match (&self.prior, &work.reality.association) {
            (Some(prior), _) => Former::of(prior),
            (None, Some(association)) if association.is_migrations() => Some(Former {
                role_arn: association.role_arn.clone(),
                ..next
            }),
            (None, _) => None,
        };
        if let Some(former) = former
            && !former.is_same(&next)
        {
            former::remember(self.private, former);
            former::remember(self.private, next);
        }
    }

    async fn injection(&mut self, work: &Work, now: &mut Migration) -> Result<(), Diagnostic> {
        let proven = self
            .prior
            .as_ref()
            .is_some_and(|prior| phase_of(prior) >= Phase::Propagated);
        if !proven {
            self.prove(work)
                .await
                .map_err(|error| not_proven(work, &error))?;
        }
        let reached = self.reached(Phase::Propagated);
        self.save(now, reached);
        Ok(())
    }

    /// Waits until new pods get Pod Identity.
    async fn prove(&self, work: &Work) -> Result<(), NotProven> {
        let propagation = propagation(&self.plan);
        injection::wait(
            &self.context.cancel,
            &work.api,
            &work.unit.namespace,
            &work.unit.service_account,
            &Expected::PodIdentity,
            &Propagation {
                timeout: work.within(propagation.timeout),
                ..propagation
            },
        )
        .await
        .map(drop)
    }

    async fn look_again(&self, work: &Work) -> Result<Reality, Diagnostic> {
        let known = work.reality.association.as_ref();
        Box::pin(look(
            self.context,
            &work.unit,
            self.plan.role_arn.as_deref(),
            known.map(|association| association.id.as_str()),
            Freshness::Now,
        ))
        .await
        .map_err(|blind| blind_at_apply(&work.unit, blind))
    }

    fn finish(&mut self, work: &Work, now: Migration) -> Result<(), Diagnostic> {
        Left::of(&work.reality).save(self.private);
        if self.plan.workloads.is_known() {
            let current = workload_models(&work.reality, false);
            if let Attr::Known(workloads) = &mut self.plan.workloads {
                for workload in workloads {
                    let found = current
                        .iter()
                        .find(|found| found.kind == workload.kind && found.name == workload.name);
                    let number = |value: Option<&Attr<i64>>| {
                        Attr::Known(value.and_then(Attr::known).copied().unwrap_or_default())
                    };
                    if workload.pods.is_unknown() {
                        workload.pods = number(found.map(|found| &found.pods));
                    }
                    if workload.pods_on_pod_identity.is_unknown() {
                        workload.pods_on_pod_identity =
                            number(found.map(|found| &found.pods_on_pod_identity));
                    }
                }
            }
        } else {
            self.plan.workloads = Attr::Known(workload_models(&work.reality, false));
        }
        self.save(&now, work.target);
        Ok(())
    }

    async fn pause(&self, duration: Duration) -> Result<(), Diagnostic> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(Diagnostic::error(
                MIGRATING,
                format!("Terraform was asked to stop. Nothing is broken by that. {RETRY}"),
            )),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }
}

/// What every diagnostic of a half-way stop ends with.
const RETRY: &str = "Apply again to go on from here: Terraform may show that as a replacement because it marks the resource as \
                     tainted, but nothing is taken back. Destroy to go back to IRSA.";

fn not_proven(work: &Work, error: &NotProven) -> Diagnostic {
    error.into_diagnostic(
        MIGRATING,
        &format!(
            "The association of the {} exists, but it is not proven that new pods get Pod Identity. The role trusts both ways, so \
             pods have credentials either way; no workload was restarted.",
            work.unit.inside()
        ),
        RETRY,
    )
}

fn not_retired(work: &Work, error: &NotChanged) -> Diagnostic {
    error.into_diagnostic(
        MIGRATING,
        &format!(
            "All pods of the {} are on Pod Identity, but not everything of IRSA that was to be retired is. {RETRY}",
            work.unit.inside()
        ),
    )
}

/// Gives unknown values of a state what is known by now, or null.
fn settle(state: &mut Migration, now: &Migration) {
    let text = |slot: &mut Attr<String>, value: &Attr<String>| {
        if slot.is_unknown() {
            *slot = match value {
                Attr::Unknown => Attr::Null,
                known => known.clone(),
            };
        }
    };
    text(&mut state.association_id, &now.association_id);
    text(&mut state.association_arn, &now.association_arn);
    text(&mut state.trust_policy_before, &now.trust_policy_before);
    text(&mut state.verified_at, &now.verified_at);
    if state.association_adopted.is_unknown() {
        state.association_adopted = now.association_adopted.clone();
    }
    // The plan's text stays where it means the same.
    match (&state.trust_policy_after, &now.trust_policy_after) {
        (Attr::Unknown, Attr::Unknown) => state.trust_policy_after = Attr::Null,
        (Attr::Unknown, known) => state.trust_policy_after = known.clone(),
        _ => {}
    }
    if state.workloads.is_unknown() {
        state.workloads = Attr::Null;
    }
    if let Attr::Known(workloads) = &mut state.workloads {
        for workload in workloads {
            for number in [&mut workload.pods, &mut workload.pods_on_pod_identity] {
                if number.is_unknown() {
                    *number = Attr::Null;
                }
            }
        }
    }
}

/// What a run has reached that found `prior`. What is to be retired besides is not retired before it is done: the next plan
/// would not know that it is missing.
pub(super) fn reached(prior: &Migration, plan: &Migration, phase: Phase) -> Phase {
    let reached = phase_of(prior).max(phase);
    if prior.retire == plan.retire {
        reached
    } else {
        reached.min(Phase::Verified)
    }
}

/// Until the association is changed, pods have what it says: a run that stops before that must not tell otherwise, for the
/// next one would take the former role for done, and a rollback would not know the association.
pub(super) fn before_cut_over(state: &mut Migration, now: &Migration, prior: &Migration) {
    if !same_arn(&now.role_arn, &state.role_arn) {
        state.trust_policy_before = prior.trust_policy_before.clone();
        state.trust_policy_after = prior.trust_policy_after.clone();
    }
    state.role_arn = now.role_arn.clone();
    state.target_role_arn = now.target_role_arn.clone();
    state.disable_session_tags = now.disable_session_tags.clone();
    state.policy = now.policy.clone();
    state.trust = now.trust.clone();
}

/// Whether an association has the wanted role and settings.
fn is_as_wanted(existing: &AssociationFacts, wanted: &Wanted) -> bool {
    let same_policy = match (existing.policy.as_deref(), wanted.policy.as_deref()) {
        (Some(a), Some(b)) => equivalent_json(a, b),
        (a, b) => a == b,
    };
    equivalent_arns(&existing.role_arn, &wanted.role_arn)
        && existing.target_role_arn == wanted.target_role_arn
        && existing.disable_session_tags == wanted.disable_session_tags
        && same_policy
}

/// Why an apply does not begin.
pub(super) fn blind_at_apply(unit: &Unit, blind: Blind) -> Diagnostic {
    match blind {
        Blind::NotYetKnown(why) => Diagnostic::provider_bug(format!(
            "The provider's configuration is not known at apply time: {why}"
        )),
        Blind::NoCluster => Diagnostic::error(
            MIGRATING,
            format!(
                "There is no EKS cluster {:?} in this region and account.",
                unit.cluster
            ),
        )
        .at("cluster_name"),
        Blind::Failed(diagnostic) => diagnostic,
    }
}

/// A time in RFC 3339 format, to the second.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0)
        .unwrap_or(time)
        .format(&Rfc3339)
        // Formatting fails only outside of years 0 to 9999.
        .unwrap_or_default()
}
