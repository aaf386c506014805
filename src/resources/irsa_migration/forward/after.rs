//! After pods have moved: seeing that they have, watching them, and taking away what of IRSA is to be retired.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::aws::retry::human_duration;
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::Attr;
use crate::migration::phase::Phase;
use crate::migration::steps::{service_account, trust};
use crate::policy::{Document, Subject, equivalent_json};

use super::super::MIGRATING;
use super::super::former::{self, Former};
use super::super::ours;
use super::super::plan::{ANNOTATION, phase_of, remaining_soak};
use super::super::reality::Reality;
use super::super::schema::Migration;
use super::super::unit::{rollout_times, same_arn, soak};
use super::{LOOK_INTERVAL, RETRY, Run, SOAK_LOOKS, TRUST_TIMEOUT, Work, not_retired, timestamp};

impl Run<'_> {
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
        self.hold_trust(work, now).await?;
        self.prove(work).await
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

    /// Waits until all pods have been on Pod Identity for long enough, and have been well.
    pub(super) async fn soak(
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
    pub(super) async fn drain(&self, work: &Work) -> Result<(), Diagnostic> {
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

    /// Takes our statements of former settings away: from roles that were used before, or of another scope.
    pub(super) async fn old_role(&mut self, work: &Work, now: &mut Migration) {
        if !work.settings.verify_trust {
            let mut left = Vec::new();
            for former in former::all(self.private) {
                let why = match self.take_back(work, &former, now).await {
                    Ok(why) => why,
                    Err(diagnostic) => {
                        if self.context.cancel.is_cancelled() {
                            left.push(former.clone());
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
        let Some(prior) = &self.prior else { return };
        if same_arn(&prior.role_arn, &self.plan.role_arn) {
            return;
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
}
