//! From Pod Identity back to IRSA: first what IRSA needs is put back, then the association goes, then it is proven that
//! new pods get IRSA, then pods are restarted, and our trust goes last.

use std::sync::Arc;
use std::time::Duration;

use crate::aws::AwsErrorKind;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::model::Attr;
use crate::framework::{Context, Private};
use crate::kubernetes::ClusterApi;
use crate::migration::facts::{PodCredentials, RoleFacts};
use crate::migration::steps::association::{self, Deletion};
use crate::migration::steps::injection::{self, Expected};
use crate::migration::steps::rollout::{self, Rollout, Target};
use crate::migration::steps::service_account::Breadcrumb;
use crate::migration::steps::{service_account, trust};
use crate::policy::irsa::Access;
use crate::policy::{Grant, RoleArn, Scope, equivalent_arns};
use crate::provider::ProviderData;

use super::ROLLING_BACK;
use super::former;
use super::forward::{Patches, may_patch, restarts};
use super::ours::{RetiredTrust, audience, forget_trust, prior_grant, revoke, verifies_trust};
use super::plan::PLANNED_UNIT;
use super::reality::{Blind, Freshness, Reality, look};
use super::schema::Migration;
use super::unit::{Unit, keeps_on_destroy, propagation, rollout_times};

/// How long trust policies may take to be visible.
const TRUST_TIMEOUT: Duration = Duration::from_secs(3 * 60);

/// What every diagnostic of a half-way stop ends with.
const RETRY: &str = "Destroy again to go on from here, or set on_destroy = \"keep\" and apply that first, to leave everything as \
                     it is.";

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
        Err(Blind::NoCluster) => return without_cluster(context, prior, &unit).await,
        Err(blind) => return Err(super::forward::blind_at_apply(&unit, blind)),
    };
    if let Some(owner) = reality
        .association
        .as_ref()
        .and_then(|association| association.owner_arn.as_deref())
    {
        diagnostics.warning(
            "Nothing was rolled back",
            format!(
                "The association of the {} belongs to the add-on {owner} now, so it is left to that. Everything else was left \
                 as it is, too: without IRSA's trust and annotation nothing is broken by that.",
                unit.inside()
            ),
        );
        return Ok(());
    }
    let adopted = prior.association_adopted == Attr::Known(true);
    let rollback = Rollback {
        api: context
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
            })?,
        context,
        prior,
        reality,
    };
    rollback.refuse_without_path(adopted)?;
    if !adopted {
        Box::pin(rollback.rehearse()).await?;
    }
    // Whoever writes the policy in our place would take it away again.
    if let Some(retired) =
        RetiredTrust::of(&rollback.reality, Some(prior)).filter(|_| !verifies_trust(prior))
    {
        Box::pin(retired.restore(context, &rollback.reality)).await?;
    }
    Box::pin(restore_annotations(
        context,
        &rollback.api,
        &rollback.reality,
        diagnostics,
    ))
    .await?;
    Box::pin(forget_trust(
        context,
        &rollback.api,
        &rollback.reality,
        ROLLING_BACK,
    ))
    .await?;
    if adopted {
        return Ok(());
    }
    Box::pin(rollback.delete_association(timeout)).await?;
    Box::pin(rollback.prove()).await?;
    Box::pin(rollback.restart(diagnostics)).await?;
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

struct Rollback<'a> {
    context: &'a Context<ProviderData>,
    prior: &'a Migration,
    reality: Reality,
    api: Arc<ClusterApi>,
}

impl Rollback<'_> {
    /// Stops before anything is changed if IRSA could not work.
    fn refuse_without_path(&self, adopted: bool) -> Result<(), Diagnostic> {
        let reality = &self.reality;
        if adopted || self.is_unused() || self.changes_nothing_for_pods() {
            return Ok(());
        }
        let mut faults = Vec::new();
        if reality.service_account().is_none() {
            faults.push(
                "the service account does not exist any more, so the pods that run could not be made anew: create it again, with \
                 the annotation eks.amazonaws.com/role-arn"
                    .to_owned(),
            );
        }
        if reality.cluster.oidc_provider == Some(false) {
            faults.push(format!(
                "the account has no IAM OIDC provider for the cluster's issuer {} any more: create it again",
                self.prior.issuer.as_deref().unwrap_or_default()
            ));
        }
        if reality.service_account().is_some() && self.restored_role().is_none() {
            faults.push(format!(
                "the service account has no annotation eks.amazonaws.com/role-arn any more, and it was not this migration that \
                 took it away: put it back, with the value {}",
                self.prior.role_arn.as_deref().unwrap_or_default()
            ));
        }
        let annotated = self.restored_role();
        match &reality.role {
            // IRSA uses the role of the annotation, which is another one where the configuration names the role: what its trust
            // policy says is not touched by a migration.
            role if annotated.is_some_and(|annotated| {
                !equivalent_arns(annotated, role.arn().unwrap_or_default())
            }) => {}
            RoleFacts::Found(_) => {
                if let (Some(subject), Some(document)) = (reality.subject(), reality.trust()) {
                    let role_arn = reality.role.arn().unwrap_or_default();
                    let restored = RetiredTrust::of(reality, Some(self.prior))
                        .filter(|_| !verifies_trust(self.prior))
                        .map_or_else(
                            || document.clone(),
                            |retired| retired.restored(reality, role_arn, &document),
                        );
                    let audience = audience(reality);
                    if subject.access(&restored, Some(&audience)) == Access::NotAllowed {
                        faults.push(format!(
                            "the trust policy of {} does not let the service account in by IRSA, and did not before the \
                             migration: add the statement for the OIDC provider",
                            reality.role.arn().unwrap_or_default()
                        ));
                    }
                }
            }
            // Without the role Pod Identity does not work either: there is nothing to lose.
            RoleFacts::NotFound { .. } => {}
            other => faults.push(format!(
                "the role {} could not be read",
                other.arn().unwrap_or_default()
            )),
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Diagnostic::error(
            ROLLING_BACK,
            format!(
                "Pods of the {} would have no credentials without Pod Identity, so nothing was changed:\n  - {}\n\n{RETRY}",
                reality.unit.inside(),
                faults.join("\n  - ")
            ),
        ))
    }

    /// Whether no pod depends on what a rollback would undo: nothing was cut over yet, or it was undone already.
    fn changes_nothing_for_pods(&self) -> bool {
        self.reality.association.is_none()
            && self.reality.breadcrumb.is_none()
            && !self
                .reality
                .pods()
                .any(|pod| pod.credentials == PodCredentials::PodIdentity)
    }

    /// Tries, before anything is changed, what will be needed once the association is gone.
    async fn rehearse(&self) -> Result<(), Diagnostic> {
        let unit = &self.reality.unit;
        if self.reality.service_account().is_some() {
            injection::probe(
                &self.context.cancel,
                &self.api,
                &unit.namespace,
                &unit.service_account,
            )
            .await
            .map_err(|error| {
                error.into_diagnostic(
                    ROLLING_BACK,
                    &format!(
                        "Pods created as dry runs are to prove that the {} is back on IRSA, but they cannot be created. Nothing \
                         was changed.",
                        unit.inside()
                    ),
                    RETRY,
                )
            })?;
        }
        let mut patches = restarts(&self.reality, |pod| {
            pod.credentials != PodCredentials::WebIdentity
        });
        if self.reality.breadcrumb.is_some() {
            patches.push(Patches::of_service_account(unit));
        }
        may_patch(self.context, &self.api, unit, &patches, ROLLING_BACK).await
    }

    /// Whether nobody would miss IRSA: there is no service account, so there can be no new pods, and there are no pods.
    fn is_unused(&self) -> bool {
        self.reality.service_account().is_none() && self.reality.pods().next().is_none()
    }

    async fn delete_association(&self, timeout: Duration) -> Result<(), Diagnostic> {
        let Some(existing) = &self.reality.association else {
            return Ok(());
        };
        let role = self.prior.role_arn.as_deref().unwrap_or_default();
        if !existing.is_migrations() || !equivalent_arns(&existing.role_arn, role) {
            return Err(Diagnostic::error(
                ROLLING_BACK,
                format!(
                    "The {} has the association {} with the role {} now, which this migration did not create, so it is left \
                     alone and pods keep using it.\n\nDelete it if it is not wanted, or remove this resource from the state \
                     with a removed block. {RETRY}",
                    self.reality.unit.inside(),
                    existing.id,
                    existing.role_arn
                ),
            ));
        }
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

    /// Waits until new pods get IRSA.
    async fn prove(&self) -> Result<(), Diagnostic> {
        // Without a service account there are no new pods; without an annotation the check before has stopped.
        let Some(role_arn) = self.restored_role().map(ToOwned::to_owned) else {
            return Ok(());
        };
        injection::wait(
            &self.context.cancel,
            &self.api,
            &self.reality.unit.namespace,
            &self.reality.unit.service_account,
            &Expected::WebIdentity { role_arn },
            &propagation(self.prior),
        )
        .await
        .map(drop)
        .map_err(|error| {
            error.into_diagnostic(
                ROLLING_BACK,
                &format!(
                    "The association of the {} is deleted, but it is not proven that new pods get IRSA. No workload was \
                     restarted; running pods keep what they have until the agent renews their credentials.",
                    self.reality.unit.inside()
                ),
                RETRY,
            )
        })
    }

    /// The role that the annotation names once it is restored.
    fn restored_role(&self) -> Option<&str> {
        let noted = self
            .reality
            .breadcrumb
            .as_ref()
            .and_then(Breadcrumb::role_arn);
        self.reality
            .service_account()
            .and_then(|account| account.role_arn())
            .or(noted)
    }

    /// Restarts what uses Pod Identity: its credentials end when the agent renews them.
    async fn restart(&self, diagnostics: &mut Diagnostics) -> Result<(), Diagnostic> {
        let unit = &self.reality.unit;
        let (timeout, pause) = rollout_times(self.prior);
        let marker = format!(
            "rollback-{}",
            self.prior.association_id.as_deref().unwrap_or_default()
        );
        let report = rollout::restart(
            self.context,
            Target {
                cluster: &unit.cluster,
                namespace: &unit.namespace,
                service_account: &unit.service_account,
            },
            PodCredentials::WebIdentity,
            &marker,
            &Rollout { timeout, pause },
        )
        .await
        .map_err(|stopped| {
            stopped.into_diagnostic(
                ROLLING_BACK,
                &format!(
                    "The rollback of the {} stopped half-way: new pods get IRSA, but not all running pods were restarted. \
                     Those that were not lose their credentials when the agent renews them, three to six hours after they were \
                     first given. {RETRY}",
                    unit.inside()
                ),
                &unit.namespace,
                PodCredentials::WebIdentity,
            )
        })?;
        let stranded: Vec<String> = report
            .manual
            .iter()
            .flat_map(|manual| {
                let workload = &manual.workload;
                manual
                    .pods
                    .iter()
                    .map(move |pod| format!("{pod} ({workload})"))
            })
            .collect();
        if !stranded.is_empty() {
            diagnostics.warning(
                "Some pods still use Pod Identity",
                format!(
                    "The {} is back on IRSA, but these pods cannot be restarted by the provider: {}. They lose their credentials \
                     when the agent renews them, three to six hours after they were first given: restart them before.",
                    unit.inside(),
                    stranded.join(", ")
                ),
            );
        }
        Ok(())
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
        let mut roles: Vec<(String, Vec<Grant>)> =
            vec![(role_arn.to_owned(), vec![grant.narrowed(), grant.clone()])];
        for former in former::all(private) {
            let known = roles
                .iter_mut()
                .find(|(arn, _)| equivalent_arns(arn, &former.role_arn));
            match known {
                Some((_, grants)) => grants.push(former.grant(&grant)),
                None => {
                    let grants = vec![grant.narrowed(), former.grant(&grant)];
                    roles.push((former.role_arn, grants));
                }
            }
        }
        for (role_arn, grants) in roles {
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

/// Puts the annotations back, if they were retired.
pub(super) async fn restore_annotations(
    context: &Context<ProviderData>,
    api: &ClusterApi,
    reality: &Reality,
    diagnostics: &mut Diagnostics,
) -> Result<(), Diagnostic> {
    if reality.service_account().is_none() {
        return Ok(());
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
    Ok(())
}

/// The cluster is gone, and everything in it: only the role's trust is left.
async fn without_cluster(
    context: &Context<ProviderData>,
    prior: &Migration,
    unit: &Unit,
) -> Result<(), Diagnostic> {
    let role = prior
        .role_arn
        .as_deref()
        .and_then(|arn| RoleArn::parse(arn).ok());
    let (Some(role), Some(grant)) = (role, prior_grant(context, prior, unit)) else {
        return Ok(());
    };
    if matches!(grant.scope, Scope::Account | Scope::None) || verifies_trust(prior) {
        return Ok(());
    }
    match context
        .provider
        .read_role(&context.cancel, &role.name)
        .await
    {
        Ok(Some(_)) => {
            let grants = [grant.narrowed(), grant];
            trust::revoke(context, &role.name, &grants, &|| false, TRUST_TIMEOUT)
                .await
                .map(drop)
        }
        Ok(None) => Ok(()),
        Err(error) if error.kind() == AwsErrorKind::Cancelled => {
            Err(error.into_diagnostic(ROLLING_BACK, "The trust policy was not looked at.", RETRY))
        }
        Err(error) => Err(error.into_diagnostic(
            ROLLING_BACK,
            &format!("The role {} could not be read.", role.name),
            RETRY,
        )),
    }
}
