//! From IRSA to Pod Identity. What gives comes first, what takes away last; the state is true after every step, and a
//! step finds out by itself whether there is anything left to do.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::aws::retry::human_duration;
use crate::aws::tags::to_map;
use crate::cty::Value;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::model::{Attr, IntoValue};
use crate::framework::{Context, Private};
use crate::kubernetes::ClusterApi;
use crate::migration::facts::{AssociationFacts, PodCredentials, PodFacts, RoleFacts, Settings};
use crate::migration::finding::Code;
use crate::migration::phase::Phase;
use crate::migration::readiness;
use crate::migration::steps::association::{self, Wanted};
use crate::migration::steps::injection::{self, Expected, Injected, NotProven, Propagation};
use crate::migration::steps::rollout::{self, Rollout, Target};
use crate::migration::steps::service_account::NotChanged;
use crate::migration::steps::{service_account, trust};
use crate::policy::{
    Document, Grant, GrantChange, Subject, equivalent, equivalent_arns, equivalent_json,
    web_identity_trusts,
};
use crate::provider::ProviderData;

use super::MIGRATING;
use super::plan::{
    ANNOTATION, Left, finding_models, phase_of, remaining_soak, same_arn, stop_for, workload_models,
};
use super::reality::{Blind, Freshness, Reality, look};
use super::schema::Migration;
use super::unit::{Unit, ignores, propagation, rollout_times, settings, soak};

/// How long trust policies may take to be visible.
const TRUST_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How long EKS may take to see a role and its trust policy.
const ROLE_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How often pods that are not well get another look at the end of the soak.
const SOAK_LOOKS: u32 = 6;
/// How often pods are looked at while they soak or end.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// One run of a migration, for a create or an update.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context<ProviderData>,
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

/// What a run works with once it has looked.
struct Work {
    unit: Unit,
    settings: Settings,
    reality: Reality,
    api: std::sync::Arc<ClusterApi>,
    grant: Grant,
    role_name: String,
    target: Phase,
}

impl Run<'_> {
    /// Goes as far as the plan says.
    pub(super) async fn go(mut self) -> Result<(), Diagnostic> {
        let began = Instant::now();
        let unit = Unit::of(&self.plan).ok_or_else(|| {
            Diagnostic::provider_bug("A migration is applied without its service account.")
        })?;
        let provider = std::sync::Arc::clone(&self.context.provider);
        let _alone = provider.migrations().work_on(&unit.id()).await;
        // A replacement has dropped the state of what exists already: whatever stops this run, it is not lost again.
        if self.prior.is_none() && self.plan.association_id.is_known() {
            self.save(&Migration::default(), Phase::Associated);
        }
        // Boxed, because the steps are deep and the stacks of threads are not.
        let mut work = Box::pin(self.prepare(unit)).await?;
        provider.migrations().migrate(&work.unit.id());
        Box::pin(self.forgive(&work)).await?;

        let mut now = self.known();
        Box::pin(self.rehearse(&work)).await?;
        Box::pin(self.trust(&mut work, &mut now)).await?;
        Box::pin(self.association(&mut work, &mut now)).await?;
        Box::pin(self.injection(&work, &mut now)).await?;
        Box::pin(self.rollout(&work, &mut now)).await?;
        Box::pin(self.verify(&mut work, &mut now)).await?;
        if work.target == Phase::Retired && !self.has_retired() {
            Box::pin(self.soak(&mut work, &now, began)).await?;
            Box::pin(self.prove_again(&mut work, &mut now)).await?;
            Box::pin(self.retire(&work, &mut now)).await?;
        }
        Box::pin(self.old_role(&work)).await;
        self.finish(&work, now)
    }

    /// Looks at everything, and stops if something moved since the plan or speaks against going on.
    async fn prepare(&mut self, unit: Unit) -> Result<Work, Diagnostic> {
        let context = self.context;
        let settings =
            settings(&context.provider, &self.plan, self.role_configured).ok_or_else(|| {
                Diagnostic::provider_bug("A migration is applied with unknown arguments.")
            })?;
        let role = self.plan.role_arn.known().cloned();
        let known = self.prior.as_ref();
        let known = known.and_then(|prior| prior.association_id.as_deref());
        let mut reality = Box::pin(look(context, &unit, role.as_deref(), known, Freshness::Now))
            .await
            .map_err(|blind| blind_at_apply(&unit, blind))?;
        reality.cluster = readiness::settled(context, &unit.cluster).await?;
        self.refuse_what_moved(&reality, &unit, &settings)?;
        let mut findings = reality.findings(&settings);
        let before = self.prior.as_ref().map_or(Phase::NotStarted, phase_of);
        let target = self
            .plan
            .phase
            .as_deref()
            .and_then(|phase| phase.parse().ok())
            .unwrap_or_else(|| {
                super::plan::target(
                    &settings,
                    Left::of(&reality),
                    soak(&self.plan) < self.timeout,
                )
            });
        // A change that does not take the migration any further needs no further check of what is done already.
        if target <= before && (target < Phase::Retired || self.has_retired()) {
            findings.clear();
        }
        self.refuse_other_role(&reality)?;
        let mut stop = Diagnostics::new();
        stop_for(&unit, &self.plan, &findings, &mut stop);
        if let Some(diagnostic) = stop.iter().next() {
            return Err(diagnostic.clone());
        }
        let info = match &reality.role {
            RoleFacts::Found(role) => role.clone(),
            other => {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "The role of the {} cannot be used ({}), so nothing was changed.",
                        unit.inside(),
                        other.arn().unwrap_or("none is named")
                    ),
                )
                .at("role_arn"));
            }
        };
        let principal = context
            .provider
            .service_principal()
            .into_known()
            .ok_or_else(|| {
                Diagnostic::provider_bug("The service principal is not known at apply time.")
            })?;
        let grant = reality.grant(&settings, &principal).ok_or_else(|| {
            Diagnostic::error(
                MIGRATING,
                format!(
                    "EKS gives the cluster {:?} the ARN {:?}, which is not one of a cluster.",
                    unit.cluster, reality.cluster.cluster.arn
                ),
            )
        })?;
        let api = context
            .provider
            .kubernetes_api(&context.cancel, &unit.cluster)
            .await
            .map_err(|error| {
                error.into_diagnostic(
                    MIGRATING,
                    &format!(
                        "The Kubernetes API of the cluster {:?} cannot be used.",
                        unit.cluster
                    ),
                    "",
                )
            })?;
        let (blockers, warnings) = finding_models(&reality.findings(&settings));
        let plan = &mut self.plan;
        fill(&mut plan.id, || unit.id());
        fill(&mut plan.role_arn, || info.arn.clone());
        fill(&mut plan.cluster_arn, || {
            reality.cluster.cluster.arn.clone()
        });
        if plan.issuer.is_unknown() {
            plan.issuer = Attr::from(reality.subject().map(|subject| subject.issuer.name()));
        }
        fill(&mut plan.blockers, || blockers);
        fill(&mut plan.warnings, || warnings);
        fill(&mut plan.trust_policy_before, || {
            original_trust(&reality, &grant, &info.assume_role_policy)
        });
        Ok(Work {
            role_name: info.name.clone(),
            unit,
            settings,
            reality,
            api,
            grant,
            target,
        })
    }

    /// Stops if the plan was made of something else than what is there now.
    fn refuse_what_moved(
        &self,
        reality: &Reality,
        unit: &Unit,
        settings: &Settings,
    ) -> Result<(), Diagnostic> {
        let mut moved = Vec::new();
        let planned = self
            .private
            .get(ANNOTATION)
            .and_then(|value| value.as_str());
        if let (Some(planned), Some(annotation)) = (
            planned,
            reality
                .service_account()
                .and_then(|account| account.role_arn()),
        ) && planned != annotation
        {
            moved.push(format!(
                "the annotation eks.amazonaws.com/role-arn: planned with {planned}, now {annotation}"
            ));
        }
        if let (None, Some(planned), Some(document)) = (
            &self.prior,
            self.plan.trust_policy_before.as_deref(),
            reality.trust(),
        ) && let Ok(before) = Document::parse(planned)
            && !settings.verify_trust
            && reality.breadcrumb.is_none()
            && !same_but_for_migrations(&before, &document, reality.subject().as_ref())
        {
            moved.push(format!(
                "the trust policy of {}: planned with {planned}, now {}",
                reality.role.arn().unwrap_or_default(),
                document.to_json()
            ));
        }
        if let Some(planned) = self.plan.association_id.as_deref()
            && reality
                .association
                .as_ref()
                .is_none_or(|association| association.id != planned)
        {
            moved.push(format!("the association {planned}, which is gone"));
        }
        if moved.is_empty() {
            return Ok(());
        }
        Err(Diagnostic::error(
            "Reality moved between plan and apply",
            format!(
                "For the {}, this has changed since the plan was made:\n  - {}\n\nNothing was done. Plan again, and look at the \
                 new plan.",
                unit.inside(),
                moved.join("\n  - ")
            ),
        ))
    }

    /// Puts back what was retired and is no longer to be.
    async fn forgive(&mut self, work: &Work) -> Result<(), Diagnostic> {
        // By what is noted on the service account, however it got there: by an apply that stopped half-way, or before an
        // import.
        let Some(breadcrumb) = work.reality.breadcrumb.clone() else {
            return Ok(());
        };
        if breadcrumb.trust_policy.is_some()
            && !work.settings.retire_trust
            && !work.settings.verify_trust
        {
            super::backward::restore_trust(self.context, &work.reality, &self.plan).await?;
        }
        if !breadcrumb.annotations.is_empty() && !work.settings.retire_annotation {
            super::backward::restore_annotations(
                self.context,
                &work.api,
                &work.reality,
                self.diagnostics,
            )
            .await?;
            if let (Some(noted), true) = (breadcrumb.trust_policy, work.settings.retire_trust) {
                service_account::note_trust(
                    &self.context.cancel,
                    &work.api,
                    &work.unit.namespace,
                    &work.unit.service_account,
                    &noted,
                )
                .await
                .map_err(|error| not_retired(work, &error))?;
            }
        }
        Ok(())
    }

    /// Whether everything that is to be retired was retired by an earlier apply. Whatever came back since has an owner,
    /// who is not fought.
    fn has_retired(&self) -> bool {
        self.prior.as_ref().is_some_and(|prior| {
            phase_of(prior) == Phase::Retired && prior.retire == self.plan.retire
        })
    }

    /// Stops a change of the role while the trust of the former one is retired: the way back leads through that role.
    fn refuse_other_role(&self, reality: &Reality) -> Result<(), Diagnostic> {
        let changes = self
            .prior
            .as_ref()
            .is_some_and(|prior| !same_arn(&prior.role_arn, &self.plan.role_arn));
        let noted = reality
            .breadcrumb
            .as_ref()
            .is_some_and(|breadcrumb| breadcrumb.trust_policy.is_some());
        if !changes || !noted {
            return Ok(());
        }
        Err(Diagnostic::error(
            MIGRATING,
            format!(
                "The trust of the former role in the {} is retired, so its role cannot be changed: a rollback would lead to a role \
                 that does not trust it. Nothing was changed.\n\nSet retire.trust = false and apply that first.",
                reality.unit.inside()
            ),
        )
        .at("role_arn"))
    }

    /// Sees once more, right before anything is taken away, that Pod Identity works: the association is the same, the role
    /// trusts it, and new pods get it.
    async fn prove_again(
        &mut self,
        work: &mut Work,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
        work.reality = self.look_again(work).await?;
        let same = work
            .reality
            .own_association()
            .is_some_and(|found| Some(found.id.as_str()) == now.association_id.as_deref());
        if !same || !work.reality.left_behind().is_empty() {
            return Err(Diagnostic::error(
                MIGRATING,
                format!(
                    "The association of the {} is not what it was a moment ago, or pods have come that do not use it. Nothing was \
                     retired. {RETRY}",
                    work.unit.inside()
                ),
            ));
        }
        if work.settings.verify_trust {
            trust::verify(self.context, &work.role_name, &work.grant, TRUST_TIMEOUT).await?;
        } else {
            let granting =
                trust::grant(self.context, &work.role_name, &work.grant, TRUST_TIMEOUT).await?;
            now.trust_policy_after = Attr::Known(granting.after);
        }
        self.prove(work).await
    }

    /// Tries, before anything is changed, what will be needed once the association exists: the cut-over must not be stuck
    /// half-way for want of a permission.
    async fn rehearse(&mut self, work: &Work) -> Result<(), Diagnostic> {
        let before = self.prior.as_ref().map_or(Phase::NotStarted, phase_of);
        if before < Phase::Propagated {
            let injected = injection::probe(
                &self.context.cancel,
                &work.api,
                &work.unit.namespace,
                &work.unit.service_account,
            )
            .await
            .map_err(|error| {
                error.into_diagnostic(
                    MIGRATING,
                    &format!(
                        "Pods created as dry runs are to prove that the association of the {} is in effect, but they cannot be \
                         created. Nothing was changed.",
                        work.unit.inside()
                    ),
                    "",
                )
            })?;
            let annotated = work
                .reality
                .service_account()
                .is_some_and(|account| account.role_arn().is_some());
            if annotated
                && injected == Injected::Nothing
                && work.reality.association.is_none()
                && !ignores(&self.plan, Code::WebhookMissing)
            {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "{} has the role annotation, but a pod created as a dry run was given {injected}. Either the mutating \
                         webhook of EKS (MutatingWebhookConfiguration pod-identity-webhook) does not work, for its failure policy \
                         lets pods start without credentials, or it leaves out the pods of this namespace. Nothing was \
                         changed.\n\nMend the webhook and apply again, or name webhook_missing in ignore_blockers if that is no \
                         surprise.",
                        work.unit.describe()
                    ),
                ));
            }
            if annotated
                && work.reality.association.is_none()
                && !matches!(injected, Injected::WebIdentity { .. })
            {
                self.diagnostics.warning(
                    "New pods do not get IRSA today",
                    format!(
                        "{} has the role annotation, but a pod created as a dry run was given {injected}. If the webhook of the \
                         cluster does not work, the migration will stop before any pod is restarted.",
                        work.unit.describe()
                    ),
                );
            }
        }
        let mut patches: Vec<(&str, &str)> = Vec::new();
        if work.settings.restart && before < Phase::Verified {
            patches.extend(restarted_kinds(&work.reality, |pod| {
                !pod.credentials.is_settled()
            }));
        }
        if work.target == Phase::Retired && before < Phase::Retired {
            patches.push(("", "serviceaccounts"));
        }
        may_patch(self.context, &work.api, &work.unit, &patches, MIGRATING).await
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
            let granting =
                trust::grant(context, &work.role_name, &work.grant, TRUST_TIMEOUT).await?;
            if let GrantChange::Added { sid } | GrantChange::Merged { sid } = &granting.change {
                tracing::info!(
                    role = work.role_name,
                    sid,
                    "trust in EKS Pod Identity added"
                );
            }
            now.trust_policy_after = Attr::Known(granting.after);
        }
        let reached = self.reached(Phase::TrustAdded);
        self.save(now, reached);
        Ok(())
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
                association::update(context, &existing.id, &wanted, self.timeout).await?
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
                        "{} has the association {} with the role {}, which this migration did not create.",
                        work.unit.describe(),
                        existing.id,
                        existing.role_arn
                    ),
                ));
            }
            None => association::create(context, &wanted, self.timeout.min(ROLE_TIMEOUT)).await?,
        };
        now.association_id = Attr::Known(facts.id.clone());
        now.association_arn = Attr::Known(facts.arn.clone());
        now.association_adopted = Attr::Known(!facts.is_migrations());
        work.reality.association = Some(facts);
        let reached = self.reached(Phase::Associated);
        self.save(now, reached);
        Ok(())
    }

    /// At least `phase`, or what an earlier apply had reached already with the same association.
    fn reached(&self, phase: Phase) -> Phase {
        self.prior
            .as_ref()
            .map_or(phase, |prior| phase_of(prior).max(phase))
    }

    async fn injection(&mut self, work: &Work, now: &mut Migration) -> Result<(), Diagnostic> {
        let proven = self
            .prior
            .as_ref()
            .is_some_and(|prior| phase_of(prior) >= Phase::Propagated);
        if !proven {
            self.prove(work).await?;
        }
        let reached = self.reached(Phase::Propagated);
        self.save(now, reached);
        Ok(())
    }

    /// Waits until new pods get Pod Identity.
    async fn prove(&self, work: &Work) -> Result<(), Diagnostic> {
        let (consecutive, interval, timeout) = propagation(&self.plan);
        injection::wait(
            &self.context.cancel,
            &work.api,
            &work.unit.namespace,
            &work.unit.service_account,
            &Expected::PodIdentity,
            &Propagation {
                consecutive,
                interval,
                timeout,
            },
        )
        .await
        .map(drop)
        .map_err(|error| not_proven(work, &error))
    }

    async fn rollout(&mut self, work: &Work, now: &mut Migration) -> Result<(), Diagnostic> {
        if !work.settings.restart || work.target < Phase::RolledOut {
            return Ok(());
        }
        let (timeout, pause) = rollout_times(&self.plan);
        let marker = now.association_id.as_deref().unwrap_or_default().to_owned();
        rollout::restart(
            self.context,
            Target {
                cluster: &work.unit.cluster,
                namespace: &work.unit.namespace,
                service_account: &work.unit.service_account,
            },
            PodCredentials::PodIdentity,
            &marker,
            &Rollout { timeout, pause },
        )
        .await
        .map_err(|stopped| {
            stopped.into_diagnostic(
                MIGRATING,
                &format!(
                    "The migration of the {} stopped half-way. Both ways to credentials work, so nothing is broken by that. {RETRY}",
                    work.unit.inside()
                ),
                &work.unit.namespace,
                PodCredentials::PodIdentity,
            )
        })?;
        let reached = self.reached(Phase::RolledOut);
        self.save(now, reached);
        Ok(())
    }

    /// Sees that every pod uses Pod Identity, as far as the plan says so, and that the trust is still there: another
    /// process may have written the policy at the same moment.
    async fn verify(&mut self, work: &mut Work, now: &mut Migration) -> Result<(), Diagnostic> {
        if !work.settings.verify_trust {
            let granting =
                trust::grant(self.context, &work.role_name, &work.grant, TRUST_TIMEOUT).await?;
            now.trust_policy_after = Attr::Known(granting.after);
        }
        let (timeout, _) = rollout_times(&self.plan);
        let deadline = Instant::now() + timeout;
        loop {
            work.reality = self.look_again(work).await?;
            let left: Vec<String> = work
                .reality
                .left_behind()
                .iter()
                .map(|pod| format!("{} ({} {})", pod.name, pod.workload.kind, pod.workload.name))
                .collect();
            if left.is_empty() {
                break;
            }
            // What an earlier apply has verified is not put in question by a change of something else.
            let settled = self
                .prior
                .as_ref()
                .is_some_and(|prior| phase_of(prior) >= work.target.max(Phase::Verified))
                && (work.target < Phase::Retired || self.has_retired());
            if settled || work.target < Phase::Verified {
                self.diagnostics.warning(
                    "Some pods still use IRSA",
                    format!(
                        "{} is on Pod Identity for new pods. These still use IRSA, which keeps working: {}. They move when \
                         something replaces them.",
                        work.unit.describe(),
                        left.join(", ")
                    ),
                );
                return Ok(());
            }
            // Only pods that end by themselves are worth waiting for: everything else was restarted or came since.
            let all_end = work
                .reality
                .left_behind()
                .iter()
                .all(|pod| matches!(pod.workload.kind.as_str(), "Job" | "CronJob"));
            if !all_end || Instant::now() >= deadline {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "These pods of the {} still use IRSA: {}. Nothing was retired, and IRSA keeps working for them.\n\nRestart \
                         them, or let them end. {RETRY}",
                        work.unit.inside(),
                        left.join(", ")
                    ),
                ));
            }
            self.pause(LOOK_INTERVAL.min(deadline.saturating_duration_since(Instant::now())))
                .await?;
        }
        if now.verified_at.is_null() {
            now.verified_at = Attr::Known(timestamp());
        }
        let reached = self.reached(Phase::Verified);
        self.save(now, reached);
        Ok(())
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

    /// Waits until all pods have been on Pod Identity for long enough, and have been well.
    async fn soak(
        &mut self,
        work: &mut Work,
        now: &Migration,
        began: Instant,
    ) -> Result<(), Diagnostic> {
        let remaining = remaining_soak(now, soak(&self.plan));
        if remaining.is_zero() {
            return Ok(());
        }
        let left = self.timeout.saturating_sub(began.elapsed());
        if remaining > left {
            return Err(Diagnostic::error(
                MIGRATING,
                format!(
                    "All pods of the {} are on Pod Identity, but soak_duration asks for another {} before anything is retired, and \
                     this operation may only take another {}. {RETRY}",
                    work.unit.inside(),
                    human_duration(remaining),
                    human_duration(left)
                ),
            ));
        }
        let restarts = |reality: &Reality| -> BTreeMap<String, i64> {
            reality
                .pods()
                .map(|pod| (pod.uid.clone(), pod.restarts))
                .collect()
        };
        let before = restarts(&work.reality);
        let deadline = Instant::now() + remaining;
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            self.pause(LOOK_INTERVAL.min(left)).await?;
        }
        // Pods come and go by themselves: one that is just starting gets a few more looks.
        for look in 1.. {
            work.reality = self.look_again(work).await?;
            let mut faults: Vec<String> = Vec::new();
            for pod in work.reality.left_behind() {
                faults.push(format!("{} does not use Pod Identity", pod.name));
            }
            for pod in work.reality.pods().filter(|pod| !pod.terminating) {
                let ends = matches!(pod.workload.kind.as_str(), "Job" | "CronJob");
                if !pod.ready && !ends {
                    faults.push(format!("{} is not ready", pod.name));
                }
                if before
                    .get(&pod.uid)
                    .is_some_and(|then| pod.restarts > *then)
                {
                    faults.push(format!("{} was restarted", pod.name));
                }
            }
            if faults.is_empty() {
                break;
            }
            if look == SOAK_LOOKS {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "While the pods of the {} were watched before anything is retired, they did not all stay well. Nothing \
                         was retired, and IRSA would still work.\n  - {}\n\nSee what is wrong with them. {RETRY}",
                        work.unit.inside(),
                        faults.join("\n  - ")
                    ),
                ));
            }
            self.pause(LOOK_INTERVAL).await?;
        }
        Ok(())
    }

    /// Waits for pods on their way out that still use IRSA.
    async fn drain(&self, work: &Work) -> Result<(), Diagnostic> {
        let (timeout, _) = rollout_times(&self.plan);
        let deadline = Instant::now() + timeout;
        loop {
            let reality = self.look_again(work).await?;
            let draining: Vec<&str> = reality
                .draining()
                .iter()
                .map(|pod| pod.name.as_str())
                .collect();
            if draining.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "These pods of the {} are being deleted and still use IRSA, so the trust in the OIDC subject is not \
                         retired: {}. {RETRY}",
                        work.unit.inside(),
                        draining.join(", ")
                    ),
                ));
            }
            self.pause(LOOK_INTERVAL.min(deadline.saturating_duration_since(Instant::now())))
                .await?;
        }
    }

    /// Takes away what `retire` asks for: the annotation first, the trust last.
    async fn retire(&mut self, work: &Work, now: &mut Migration) -> Result<(), Diagnostic> {
        let context = self.context;
        let namespace = &work.unit.namespace;
        let name = &work.unit.service_account;
        if work.settings.retire_annotation {
            service_account::retire_annotations(
                &context.cancel,
                &work.api,
                namespace,
                name,
                self.private
                    .get(ANNOTATION)
                    .and_then(|value| value.as_str()),
            )
            .await
            .map_err(|error| not_retired(work, &error))?;
        }
        if work.settings.retire_trust
            && let Some(subject) = work.reality.subject()
        {
            let role = trust::current(context, &work.role_name).await?;
            if let Some(role) = role
                && let Ok(document) = Document::parse(&role.assume_role_policy)
            {
                let retired = subject.retire(&document);
                if !retired.removed.is_empty() {
                    self.drain(work).await?;
                    // What is taken away is written down first, where a run that lost its state finds it.
                    service_account::note_trust(
                        &context.cancel,
                        &work.api,
                        namespace,
                        name,
                        &role.assume_role_policy,
                    )
                    .await
                    .map_err(|error| not_retired(work, &error))?;
                }
                let retiring =
                    trust::retire(context, &work.role_name, &subject, TRUST_TIMEOUT).await?;
                if !retiring.remaining.is_empty() {
                    self.diagnostics.warning(
                        "Some trust in the OIDC subject stays",
                        format!(
                            "The trust policy of {} still lets the {} in by IRSA, through statements that serve more than this \
                             service account (a pattern, or no condition on the subject). They are left as they are.",
                            work.reality.role.arn().unwrap_or_default(),
                            work.unit.inside()
                        ),
                    );
                }
                now.trust_policy_after = Attr::Known(retiring.after);
            }
        }
        self.save(now, Phase::Retired);
        Ok(())
    }

    /// Takes our statement from the role that was used before.
    async fn old_role(&mut self, work: &Work) {
        let Some(prior) = &self.prior else { return };
        if same_arn(&prior.role_arn, &self.plan.role_arn) {
            return;
        }
        let Some(old) = prior
            .role_arn
            .as_deref()
            .and_then(|arn| crate::policy::RoleArn::parse(arn).ok())
        else {
            return;
        };
        let kept = match super::backward::prior_grant(self.context, prior, &work.unit) {
            Some(grant) if !super::backward::verifies_trust(prior) => {
                super::backward::revoke(self.context, &work.unit, &old.name, &grant).await
            }
            _ => Ok(None),
        };
        let why = match kept {
            Ok(why) => why,
            Err(diagnostic) => Some(diagnostic.detail),
        };
        if let Some(why) = why {
            self.diagnostics.warning(
                "Trust of the former role stays",
                format!(
                    "The statement for EKS Pod Identity was not taken from {}: {why}",
                    prior.role_arn.as_deref().unwrap_or_default()
                ),
            );
        }
        self.diagnostics.warning(
            "Running pods keep the former role for a while",
            format!(
                "The association of the {} has another role now. The agent gives running pods credentials of the former one \
                 until it renews them, within six hours. Restart them if that is too long.",
                work.unit.inside()
            ),
        );
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

/// The kinds that a restart of the pods in question has to patch: group and resource.
pub(super) fn restarted_kinds(
    reality: &Reality,
    concerned: impl Fn(&PodFacts) -> bool,
) -> Vec<(&'static str, &'static str)> {
    [
        ("Deployment", "deployments"),
        ("StatefulSet", "statefulsets"),
        ("DaemonSet", "daemonsets"),
    ]
    .into_iter()
    .filter(|(kind, _)| {
        reality.pods().any(|pod| {
            pod.workload.kind == *kind
                && !pod.terminating
                && concerned(pod)
                && reality.is_rolling(&pod.workload)
        })
    })
    .map(|(_, resource)| ("apps", resource))
    .collect()
}

/// Stops if one of the kinds may not be patched. Where the API does not tell, trying will.
pub(super) async fn may_patch(
    context: &Context<ProviderData>,
    api: &ClusterApi,
    unit: &Unit,
    kinds: &[(&str, &str)],
    summary: &str,
) -> Result<(), Diagnostic> {
    for (group, resource) in kinds {
        let namespace = Some(unit.namespace.as_str());
        match api
            .can(&context.cancel, "patch", group, resource, namespace)
            .await
        {
            Ok(false) => {
                return Err(Diagnostic::error(
                    summary,
                    format!(
                        "For the {}, {resource} will have to be patched, but the provider may not do that in the namespace {:?}. \
                         Nothing was changed.\n\nAllow it in a Role:\n\n  - apiGroups: [{group:?}]\n    resources: \
                         [{resource:?}]\n    verbs: [\"patch\"]",
                        unit.inside(),
                        unit.namespace
                    ),
                ));
            }
            Err(error) if error.is_cancelled() => {
                return Err(error.into_diagnostic(summary, "Nothing was changed.", ""));
            }
            Ok(true) | Err(_) => {}
        }
    }
    Ok(())
}

/// The trust policy before the migration, as far as it can still be told.
pub(super) fn original_trust(reality: &Reality, grant: &Grant, text: &str) -> String {
    // What was noted is the trust policy before trust was retired, with our statement already in it.
    let noted = reality.breadcrumb.as_ref();
    let noted = noted.and_then(|breadcrumb| breadcrumb.trust_policy.as_deref());
    let text = noted.unwrap_or(text);
    let Ok(document) = Document::parse(text) else {
        return text.to_owned();
    };
    let (without, changed) = grant.remove(&document);
    if changed {
        without.to_json()
    } else {
        text.to_owned()
    }
}

/// Whether two trust policies differ in nothing but what migrations of other service accounts of the cluster add and take
/// away: several instances may work on one role at a time.
pub(super) fn same_but_for_migrations(a: &Document, b: &Document, own: Option<&Subject>) -> bool {
    let rest = |document: &Document| {
        let mut rest = document.clone();
        rest.statements_mut().retain(|statement| {
            !statement
                .sid()
                .is_some_and(crate::policy::grant::is_our_sid)
        });
        let Some(own) = own else { return rest };
        let others: Vec<Subject> = web_identity_trusts(&rest)
            .into_iter()
            .chain(web_identity_trusts(a))
            .chain(web_identity_trusts(b))
            .filter(|trust| own.issuer.is(&trust.provider.issuer))
            .flat_map(|trust| trust.subjects)
            .filter(|subject| !subject.is_pattern && subject.text != own.text())
            .filter_map(|subject| {
                let (namespace, service_account) = subject.service_account()?;
                Some(Subject {
                    issuer: own.issuer.clone(),
                    namespace: namespace.to_owned(),
                    service_account: service_account.to_owned(),
                })
            })
            .collect();
        others
            .iter()
            .fold(rest, |rest, subject| subject.retire(&rest).document)
    };
    equivalent(&rest(a), &rest(b))
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

fn fill<T>(slot: &mut Attr<T>, value: impl FnOnce() -> T) {
    if !slot.is_known() {
        *slot = Attr::Known(value());
    }
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

/// Now, in RFC 3339 format.
pub(super) fn timestamp() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0)
        .unwrap_or(now)
        .format(&Rfc3339)
        // Formatting fails only outside of years 0 to 9999.
        .unwrap_or_default()
}
