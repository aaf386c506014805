//! Once there is an association: restarting what has the wrong credentials, seeing that all pods have the right ones, watching
//! them, and taking away what of IRSA is to be retired.

use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::aws::retry::human_duration;
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::Attr;
use crate::migration::facts::{AssociationFacts, PodCredentials};
use crate::migration::phase::Phase;
use crate::migration::steps::association::Wanted;
use crate::migration::steps::rollout::{self, Rollout, Target};
use crate::migration::steps::{service_account, trust, until_next_look};
use crate::policy::{Document, Subject, equivalent_json};

use super::super::MIGRATING;
use super::super::former::{self, Former};
use super::super::ours;
use super::super::plan::{ANNOTATION, CHANGED, phase_of, remaining_soak, since};
use super::super::reality::listed;
use super::super::schema::Migration;
use super::super::unit::{apart, changes_association, propagation, rollout_times, soak};
use super::{
    LOOK_INTERVAL, RETRY, Run, TRUST_TIMEOUT, WELL_LOOKS, Work, is_as_wanted, not_retired, rfc3339,
};

impl Run<'_> {
    /// Notes that the association has other settings than the pods were created with: until EKS Auth serves them, so later than
    /// the change was made. The note is kept until they have been restarted for that, or the warning was given.
    pub(super) fn note_change(
        &mut self,
        before: Option<&AssociationFacts>,
        now: &AssociationFacts,
        wanted: &Wanted,
    ) {
        // A run that was killed after the change finds the association changed and the state not.
        let known = self.prior.as_ref();
        if before.is_some_and(|before| !is_as_wanted(before, wanted))
            || known.is_some_and(|prior| changes_association(prior, &self.plan))
        {
            let at = now
                .modified
                .unwrap_or_else(|| OffsetDateTime::now_utc().unix_timestamp());
            let apart = i64::try_from(apart(&self.plan).as_secs()).unwrap_or_default();
            self.private.set(CHANGED, Json::from(at + apart));
        }
    }

    /// Restarts the workloads whose pods do not use Pod Identity, or use it with former settings of the association.
    pub(super) async fn rollout(
        &mut self,
        work: &Work,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
        let changed = self.private.get(CHANGED).and_then(Json::as_i64);
        let restarts = work.settings.restart && work.target >= Phase::RolledOut;
        if restarts {
            self.restart(work, now, changed).await?;
        }
        if let Some(changed) = changed {
            let outdated = work.reality.outdated(changed, restarts);
            if !outdated.is_empty() {
                let names: Vec<&str> = outdated.iter().map(|pod| pod.name.as_str()).collect();
                self.diagnostics.warning(
                    "Running pods keep former settings for a while",
                    format!(
                        "The association of the {} was changed. The agent gives running pods credentials by its former role and \
                         settings until it renews them, within six hours. Restart these if that is too long: {}.",
                        work.unit.inside(),
                        names.join(", ")
                    ),
                );
            }
            self.private.remove(CHANGED);
        }
        if restarts {
            let reached = self.reached(Phase::RolledOut);
            self.save(now, reached);
        }
        Ok(())
    }

    async fn restart(
        &self,
        work: &Work,
        now: &Migration,
        changed: Option<i64>,
    ) -> Result<(), Diagnostic> {
        let (timeout, pause) = rollout_times(&self.plan);
        let rollout = Rollout {
            timeout,
            pause,
            deadline: Some(work.deadline),
        };
        let target = Target {
            cluster: &work.unit.cluster,
            namespace: &work.unit.namespace,
            service_account: &work.unit.service_account,
        };
        let id = now.association_id.as_deref().unwrap_or_default();
        let wanted = PodCredentials::PodIdentity;
        let restarted = if let Some(changed) = changed {
            let marker = format!("{id}-{changed}");
            Box::pin(rollout::renew(
                self.context,
                target,
                changed,
                &marker,
                &rollout,
            ))
            .await
        } else {
            Box::pin(rollout::restart(self.context, target, wanted, id, &rollout)).await
        };
        restarted.map(drop).map_err(|stopped| {
            stopped.into_diagnostic(
                MIGRATING,
                &format!(
                    "The migration of the {} stopped half-way. Both ways to credentials work, so nothing is broken by that. {RETRY}",
                    work.unit.inside()
                ),
                &work.unit.namespace,
                wanted,
            )
        })
    }

    /// Sees once more, right before anything is taken away, that Pod Identity works: the association is the same, the role
    /// trusts it, and new pods get it.
    pub(super) async fn prove_again(
        &mut self,
        work: &mut Work,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
        work.reality = self.look_again(work).await?;
        let same = work
            .reality
            .own_association()
            .is_some_and(|found| Some(found.id.as_str()) == now.association_id.as_deref());
        if !same {
            return Err(Diagnostic::error(
                MIGRATING,
                format!(
                    "The association of the {} is not what it was a moment ago. Nothing was retired. {RETRY}",
                    work.unit.inside()
                ),
            ));
        }
        self.hold_trust(work, now).await?;
        self.prove(work).await.map_err(|error| {
            error.into_diagnostic(
                MIGRATING,
                &format!(
                    "All pods of the {} use Pod Identity, but it is not proven that new ones would. Nothing was retired, so they \
                     have credentials either way.",
                    work.unit.inside()
                ),
                RETRY,
            )
        })
    }

    /// Sees that every pod uses Pod Identity, as far as the plan says so, and that the trust is still there: another
    /// process may have written the policy at the same moment.
    pub(super) async fn verify(
        &mut self,
        work: &mut Work,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
        if !work.settings.verify_trust {
            self.hold_trust(work, now).await?;
        }
        let (timeout, _) = rollout_times(&self.plan);
        let deadline = Instant::now() + work.within(timeout);
        loop {
            work.reality = self.look_again(work).await?;
            let pods = work.reality.left_behind();
            if pods.is_empty() {
                break;
            }
            let left = listed(&pods).join(", ");
            // What an earlier apply has verified is not put in question by a change of something else.
            let settled = self
                .prior
                .as_ref()
                .is_some_and(|prior| phase_of(prior) >= work.target.max(Phase::Verified))
                && (work.target < Phase::Retired || self.has_retired());
            // Only pods that end by themselves are worth waiting for: everything else was restarted or came since.
            let all_end = pods
                .iter()
                .all(|pod| matches!(pod.workload.kind.as_str(), "Job" | "CronJob"));
            let pause = until_next_look(LOOK_INTERVAL, deadline).filter(|_| all_end);
            let is_expected = settled || work.target < Phase::Verified;
            if is_expected || pause.is_none() && self.plan.phase.is_unknown() {
                self.diagnostics.warning(
                    "Some pods do not use Pod Identity yet",
                    format!(
                        "{} is on Pod Identity for new pods. These are not: {left}. Those with credentials of IRSA keep them, for \
                         it works on; all move when something replaces them.",
                        work.unit.describe(),
                    ),
                );
                if !is_expected {
                    work.target = self.reached(if work.settings.restart {
                        Phase::RolledOut
                    } else {
                        Phase::Propagated
                    });
                }
                return Ok(());
            }
            let Some(pause) = pause else {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "These pods of the {} do not use Pod Identity: {left}. Nothing was retired, so IRSA keeps working for \
                         those that use it.\n\nRestart them, or let them end. {RETRY}",
                        work.unit.inside(),
                    ),
                ));
            };
            self.pause(pause).await?;
        }
        if now.verified_at.is_null() {
            // To the second, and not before it was seen.
            let seen = OffsetDateTime::now_utc() + time::Duration::SECOND;
            now.verified_at = Attr::Known(rfc3339(seen));
        }
        let reached = self.reached(Phase::Verified);
        self.save(now, reached);
        Ok(())
    }

    /// Waits until all pods have been on Pod Identity for long enough. `false`: the plan left open whether this operation has
    /// the time for that, and it has not.
    pub(super) async fn soak(
        &mut self,
        work: &mut Work,
        now: &Migration,
    ) -> Result<bool, Diagnostic> {
        let remaining = remaining_soak(now, soak(&self.plan));
        if remaining.is_zero() {
            return Ok(true);
        }
        let end = Instant::now() + remaining;
        let propagation = propagation(&self.plan);
        let proof = propagation.interval * propagation.consecutive;
        if end + proof > work.deadline {
            let text = format!(
                "All pods of the {} are on Pod Identity, but soak_duration asks for another {} before anything is retired, and \
                 this operation may only take another {}.",
                work.unit.inside(),
                human_duration(remaining),
                human_duration(work.within(remaining))
            );
            if !self.plan.phase.is_unknown() {
                return Err(Diagnostic::error(MIGRATING, format!("{text} {RETRY}")));
            }
            let when = rfc3339(OffsetDateTime::now_utc() + remaining);
            self.diagnostics.warning(
                "Nothing is retired yet",
                format!("{text} Apply again after {when}."),
            );
            work.target = Phase::Verified;
            return Ok(false);
        }
        while let Some(pause) = until_next_look(LOOK_INTERVAL, end) {
            self.pause(pause).await?;
        }
        Ok(true)
    }

    /// Sees, right before anything is taken away, that all pods use Pod Identity and are well, and were since that was first
    /// seen.
    pub(super) async fn see_all_well(
        &self,
        work: &mut Work,
        now: &Migration,
    ) -> Result<(), Diagnostic> {
        let since = since(&now.verified_at).map_or(i64::MAX, OffsetDateTime::unix_timestamp);
        // Pods come and go by themselves: one that is just starting gets a few more looks.
        for look in 1.. {
            work.reality = self.look_again(work).await?;
            let faults = work.reality.unwell(since);
            if faults.is_empty() {
                break;
            }
            if look == WELL_LOOKS {
                return Err(Diagnostic::error(
                    MIGRATING,
                    format!(
                        "The pods of the {} use Pod Identity, but not all of them are well. Nothing was retired, and IRSA would \
                         still work.\n  - {}\n\nSee what is wrong with them. {RETRY}",
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
    pub(super) async fn drain(&self, work: &Work) -> Result<(), Diagnostic> {
        let (timeout, _) = rollout_times(&self.plan);
        let deadline = Instant::now() + work.within(timeout);
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
    pub(super) async fn retire(
        &mut self,
        work: &Work,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
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
            self.retire_trust(work, &subject, now).await?;
        }
        self.save(now, Phase::Retired);
        Ok(())
    }

    /// Takes the trust in the OIDC subject away, once no pod on its way out uses it any more.
    async fn retire_trust(
        &mut self,
        work: &Work,
        subject: &Subject,
        now: &mut Migration,
    ) -> Result<(), Diagnostic> {
        let context = self.context;
        let mut noted = self.trusting(work, subject).await?;
        if noted.is_some() {
            self.drain(work).await?;
            // Others may have written in the meantime.
            noted = self.trusting(work, subject).await?;
        }
        // What is taken away is written down first, where a run that lost its state finds it.
        if let Some(policy) = &noted {
            self.note_trust(work, policy).await?;
        }
        let retiring = trust::retire(
            context,
            &work.role_name,
            subject,
            &work.grant,
            TRUST_TIMEOUT,
        )
        .await?;
        if retiring.changed
            && !noted.is_some_and(|policy| equivalent_json(&policy, &retiring.before))
        {
            self.note_trust(work, &retiring.before).await?;
        }
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
        Ok(())
    }

    /// The trust policy, if there is something in it to retire.
    async fn trusting(&self, work: &Work, subject: &Subject) -> Result<Option<String>, Diagnostic> {
        let role = trust::current(self.context, &work.role_name).await?;
        Ok(role
            .map(|role| role.assume_role_policy.clone())
            .filter(|text| {
                Document::parse(text)
                    .is_ok_and(|document| !subject.retire(&document).removed.is_empty())
            }))
    }

    async fn note_trust(&self, work: &Work, policy: &str) -> Result<(), Diagnostic> {
        service_account::note_trust(
            &self.context.cancel,
            &work.api,
            &work.unit.namespace,
            &work.unit.service_account,
            work.reality.role.arn().unwrap_or_default(),
            policy,
        )
        .await
        .map(drop)
        .map_err(|error| not_retired(work, &error))
    }

    /// Takes one of them away, or says why it stays.
    async fn take_back(
        &self,
        work: &Work,
        former: &Former,
        now: &mut Migration,
    ) -> Result<Option<String>, Diagnostic> {
        let context = self.context;
        let Ok(role) = crate::policy::RoleArn::parse(&former.role_arn) else {
            return Ok(None);
        };
        let grant = former.grant(&work.grant);
        if role.name != work.role_name {
            let grants = [grant.narrowed(), grant];
            return ours::revoke(context, &work.unit, &role.name, &grants).await;
        }
        if grant.shares_statement(&work.grant) {
            return Ok(None);
        }
        let (former, why) = ours::removable(context, &work.unit, &role.name, &[grant]).await?;
        if !former.is_empty() {
            let granting =
                trust::replace(context, &role.name, &work.grant, &former, TRUST_TIMEOUT).await?;
            now.trust_policy_after = Attr::Known(granting.after);
        }
        Ok(why)
    }

    /// Takes our statements of former settings away: from roles that were used before, or of another scope. What cannot be taken
    /// away now is left to a rollback, for nobody else would know of it.
    pub(super) async fn old_role(&mut self, work: &Work, now: &mut Migration) {
        if !work.settings.verify_trust {
            let mut left = Vec::new();
            for former in former::all(self.private) {
                let why = match self.take_back(work, &former, now).await {
                    Ok(None) => {
                        former::taken(self.private, &former);
                        None
                    }
                    Ok(why) => {
                        former::leave(self.private, former.clone());
                        why
                    }
                    Err(diagnostic) => {
                        if self.context.cancel.is_cancelled() {
                            left.push(former.clone());
                        } else {
                            former::leave(self.private, former.clone());
                        }
                        Some(diagnostic.detail)
                    }
                };
                if let Some(why) = why {
                    self.diagnostics.warning(
                        "Trust of former settings stays",
                        format!(
                            "The statement of the scope {:?} for EKS Pod Identity was not taken from {}: {why}",
                            former.scope.as_str(),
                            former.role_arn
                        ),
                    );
                }
            }
            former::set(self.private, &left);
        }
    }
}
