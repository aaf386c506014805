//! Before anything is changed: what moved, what speaks against going on, and whether what will be needed is allowed.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::model::Attr;
use crate::framework::{Context, Private};
use crate::kubernetes::ClusterApi;
use crate::migration::facts::{MIGRATION_TAG, PodFacts, RoleFacts, Settings};
use crate::migration::finding::Code;
use crate::migration::phase::Phase;
use crate::migration::readiness;
use crate::migration::steps::injection::{self, Injected};
use crate::policy::{Document, Subject, equivalent, equivalent_arns, web_identity_trusts};
use crate::provider::ProviderData;

use super::super::ours::{RetiredTrust, forget_trust, original_trust};
use super::super::plan::{self, ANNOTATION, Left, finding_models, phase_of, stop_for};
use super::super::reality::{Freshness, Reality, look};
use super::super::unit::{Unit, cuts_over, ignores, retires_besides, settings};
use super::super::{MIGRATING, backward, ownership};
use super::{Run, Work, blind_at_apply};

impl Run<'_> {
    /// Looks at everything, and stops if something moved since the plan or speaks against going on.
    pub(super) async fn prepare(&mut self, unit: Unit) -> Result<Work, Diagnostic> {
        let deadline = Instant::now() + self.timeout;
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
        if self.prior.is_some() {
            refuse_anothers(&reality, self.private)?;
        }
        let cuts_over = self
            .prior
            .as_ref()
            .is_some_and(|prior| cuts_over(prior, &self.plan));
        // What the plan could not look at is looked at now.
        if cuts_over || self.plan.blockers.is_unknown() {
            reality = Box::pin(reality.in_depth(context, &settings)).await;
        }
        let mut findings = reality.findings(&settings);
        if self.prior.is_none() {
            findings.extend(plan::other_role(&reality));
        }
        let (blockers, warnings) = finding_models(&findings);
        let before = self.prior.as_ref().map_or(Phase::NotStarted, phase_of);
        let target = self
            .plan
            .phase
            .as_deref()
            .and_then(|phase| phase.parse().ok())
            .unwrap_or_else(|| {
                let soak_fits = self.remaining_soak() < self.timeout;
                plan::target(&settings, Left::of(&reality), soak_fits)
                    .max(self.reached(Phase::NotStarted))
            });
        // A change that neither takes the migration any further nor gives pods other credentials needs no further check of what
        // is done already.
        let known = self.prior.as_ref();
        let retires_more = target == Phase::Retired
            && known.is_some_and(|prior| retires_besides(prior, &self.plan));
        if !cuts_over && target <= before && !retires_more {
            findings.clear();
        }
        Box::pin(self.refuse_other_role(&reality, &settings)).await?;
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
        let grant = reality.grant(&settings).ok_or_else(|| {
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
        let plan = &mut self.plan;
        fill(&mut plan.id, || unit.id());
        fill(&mut plan.role_arn, || info.arn.clone());
        fill(&mut plan.cluster_arn, || {
            reality.cluster.cluster.arn.clone()
        });
        if plan.issuer.is_unknown() {
            plan.issuer = reality.cluster.cluster.oidc_issuer.clone().into();
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
            granted: None,
            changed: None,
            soaks_anew: self.soaks_anew(),
            target,
            deadline,
        })
    }

    /// Stops if the plan was made of something else than what is there now.
    pub(super) fn refuse_what_moved(
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
    pub(super) async fn forgive(&mut self, work: &Work) -> Result<(), Diagnostic> {
        let (context, reality) = (self.context, &work.reality);
        if !work.settings.retire_trust
            && !work.settings.verify_trust
            && let Some(retired) = RetiredTrust::of(reality, self.prior.as_ref())
        {
            retired.restore(context, reality).await?;
            forget_trust(context, &work.api, reality, MIGRATING).await?;
        }
        if !work.settings.retire_annotation
            && reality
                .breadcrumb
                .as_ref()
                .is_some_and(|noted| !noted.annotations.is_empty())
        {
            backward::restore_annotations(context, &work.api, reality, self.diagnostics).await?;
        }
        Ok(())
    }

    /// Stops while the trust of another role is retired and is to stay so: the way back leads through that role.
    pub(super) async fn refuse_other_role(
        &self,
        reality: &Reality,
        settings: &Settings,
    ) -> Result<(), Diagnostic> {
        if !settings.retire_trust && !settings.verify_trust {
            return Ok(());
        }
        let former = reality
            .breadcrumb
            .as_ref()
            .and_then(|noted| {
                let state = self.prior.as_ref();
                let state = state.and_then(|prior| prior.role_arn.as_deref());
                let role_arn = noted.trusting_role_arn.as_deref().or(state)?;
                Some(RetiredTrust {
                    role_arn: role_arn.to_owned(),
                    policy: noted.trust_policy.clone()?,
                })
            })
            .filter(|former| {
                let role = reality.role.arn();
                role.is_some_and(|role| !equivalent_arns(role, &former.role_arn))
            });
        let Some(former) = former else { return Ok(()) };
        // A rollback that did not end leaves the note, and has put it back.
        if !former.is_missing(self.context, reality).await? {
            return Ok(());
        }
        let former = former.role_arn;
        Err(Diagnostic::error(
            MIGRATING,
            format!(
                "The trust of the role {former} in the {} is retired, so it cannot have another role now: a rollback would lead to \
                 a role that does not trust it. Nothing was changed.\n\nSet retire.trust = false, with trust.mode = \"manage\", and \
                 apply that first: it gives {former} its trust back.",
                reality.unit.inside()
            ),
        )
        .at("role_arn"))
    }

    /// Tries, before anything is changed, what will be needed once the association exists: the cut-over must not be stuck
    /// half-way for want of a permission.
    pub(super) async fn rehearse(&mut self, work: &Work) -> Result<(), Diagnostic> {
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
        let mut patches = Vec::new();
        if work.settings.restart && before < Phase::Verified {
            patches.extend(restarts(&work.reality, |pod| !pod.credentials.is_settled()));
        }
        if work.target == Phase::Retired && before < Phase::Retired {
            patches.push(Patches::of_service_account(&work.unit));
        }
        may_patch(self.context, &work.api, &work.unit, &patches, MIGRATING).await
    }
}

/// Stops an update if another object has gone on with the association since. Going on here would take it back without a word,
/// and the destruction of this object would roll back what the other one counts on.
fn refuse_anothers(reality: &Reality, private: &Private) -> Result<(), Diagnostic> {
    let Some(association) = &reality.association else {
        return Ok(());
    };
    if !association.is_migrations() || !ownership::is_anothers(private, association) {
        return Ok(());
    }
    Err(Diagnostic::error(
        MIGRATING,
        format!(
            "Another podidentity_irsa_migration has gone on with the migration of the {}: the tag {MIGRATION_TAG} of the \
             association {} has its token. Nothing was changed.\n\nLet Terraform forget this resource (a removed block with \
             destroy = false), or take the migration over on purpose with terraform apply -replace, and let it forget the other \
             one.",
            reality.unit.inside(),
            association.id
        ),
    ))
}

/// Objects of one kind that are going to be patched.
#[derive(Debug)]
pub(in crate::resources::irsa_migration) struct Patches {
    group: &'static str,
    resource: &'static str,
    names: BTreeSet<String>,
}

impl Patches {
    /// The unit's service account.
    pub(in crate::resources::irsa_migration) fn of_service_account(unit: &Unit) -> Self {
        Self {
            group: "",
            resource: "serviceaccounts",
            names: [unit.service_account.clone()].into(),
        }
    }
}

/// What a restart of the pods in question has to patch.
pub(in crate::resources::irsa_migration) fn restarts(
    reality: &Reality,
    concerned: impl Fn(&PodFacts) -> bool,
) -> Vec<Patches> {
    [
        ("Deployment", "deployments"),
        ("StatefulSet", "statefulsets"),
        ("DaemonSet", "daemonsets"),
    ]
    .into_iter()
    .map(|(kind, resource)| Patches {
        group: "apps",
        resource,
        names: reality
            .pods()
            .filter(|pod| {
                pod.workload.kind == kind
                    && !pod.terminating
                    && concerned(pod)
                    && reality.is_rolling(&pod.workload)
            })
            .map(|pod| pod.workload.name.clone())
            .collect(),
    })
    .filter(|patches| !patches.names.is_empty())
    .collect()
}

/// Stops if one of the objects may not be patched. Where the API does not tell, trying will.
pub(in crate::resources::irsa_migration) async fn may_patch(
    context: &Context<ProviderData>,
    api: &ClusterApi,
    unit: &Unit,
    patches: &[Patches],
    summary: &str,
) -> Result<(), Diagnostic> {
    for Patches {
        group,
        resource,
        names,
    } in patches
    {
        let namespace = Some(unit.namespace.as_str());
        let can = |name| api.can(&context.cancel, "patch", group, resource, namespace, name);
        // One question, mostly. Only a rule with resourceNames needs one for each.
        let mut answer = can(None).await;
        if matches!(answer, Ok(false)) {
            for name in names {
                answer = can(Some(name)).await;
                if !matches!(answer, Ok(true)) {
                    break;
                }
            }
        }
        match answer {
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

/// Whether two trust policies differ in nothing but what migrations of other service accounts of the cluster add and take
/// away: several instances may work on one role at a time.
pub(in crate::resources::irsa_migration) fn same_but_for_migrations(
    a: &Document,
    b: &Document,
    own: Option<&Subject>,
) -> bool {
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

fn fill<T>(slot: &mut Attr<T>, value: impl FnOnce() -> T) {
    if !slot.is_known() {
        *slot = Attr::Known(value());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::reality::tests::reality;
    use super::*;

    #[test]
    fn an_update_does_not_take_back_what_another_has_gone_on_with() {
        for (own, live, refused) in [
            (Some("a"), Some("b"), true),
            (Some("a"), Some("a"), false),
            (None, Some("b"), false),
            (Some("a"), None, false),
        ] {
            let mut private = Private::default();
            if let Some(own) = own {
                ownership::remember(&mut private, own);
            }
            let mut reality = reality(Vec::new(), "{}");
            if let (Some(live), Some(association)) = (live, &mut reality.association) {
                let tag = (MIGRATION_TAG.to_owned(), live.to_owned());
                association.tags.extend([tag]);
            }
            match refuse_anothers(&reality, &private) {
                Err(error) => {
                    assert!(refused, "{own:?} {live:?}");
                    assert!(error.detail.contains("-replace"), "{}", error.detail);
                }
                Ok(()) => assert!(!refused, "{own:?} {live:?}"),
            }
        }
    }
}
