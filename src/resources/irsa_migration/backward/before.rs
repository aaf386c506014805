//! Before anything is changed: what pods go back to, and whether that would work.

use serde_json::Value as Json;

use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::{Context, Private};
use crate::migration::facts::{
    AssociationFacts, MIGRATION_TAG, PodCredentials, PodFacts, RoleFacts,
};
use crate::migration::roles;
use crate::migration::steps::injection::{Expected, Injected, NotProven};
use crate::migration::steps::service_account::Breadcrumb;
use crate::policy::irsa::Access;
use crate::policy::{Document, RoleArn, equivalent_arns};
use crate::provider::ProviderData;

use super::super::forward::{Patches, may_patch, restarts};
use super::super::ours::{audience, verifies_trust};
use super::super::reality::Reality;
use super::super::{ROLLING_BACK, former, ownership};
use super::{RETRY, Rollback, needs_association};

/// Key of private state: the role that IRSA gave the service account before the migration, null if it had no IRSA.
const IRSA: &str = "irsa";

/// What new pods get once the association is gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Back {
    /// IRSA, with the role of the annotation.
    Irsa {
        /// The role's ARN.
        role_arn: String,
    },
    /// Nothing, as before the migration.
    Nothing,
}

impl Back {
    /// What a service account goes back to, with the role that IRSA uses, as IAM has it now.
    pub(super) async fn find(
        context: &Context<ProviderData>,
        reality: &Reality,
        private: &Private,
    ) -> (Option<Self>, RoleFacts) {
        let Some(role_arn) = annotated(reality) else {
            let never = private.get(IRSA) == Some(&Json::Null);
            return (never.then_some(Self::Nothing), RoleFacts::NotNamed);
        };
        let role = if is_own(reality, role_arn) {
            reality.role.clone()
        } else {
            if let Ok(arn) = RoleArn::parse(role_arn) {
                context.provider.forget_role(&arn.name);
            }
            roles::role(context, &reality.cluster.cluster, Some(role_arn)).await
        };
        let role_arn = role_arn.to_owned();
        (Some(Self::Irsa { role_arn }), role)
    }

    /// What a dry-run pod has to show.
    pub(super) fn expected(&self) -> Expected {
        match self {
            Self::Irsa { role_arn } => Expected::WebIdentity {
                role_arn: role_arn.clone(),
            },
            Self::Nothing => Expected::Nothing,
        }
    }
}

/// Remembers which role IRSA gives the service account. That it never had IRSA is only believed at the `beginning`, if there
/// is no trace of it: later a missing annotation means that somebody took it away. And it is not believed where a migration
/// was at work already, that of a state that was lost for example: it may have taken away what is missing.
pub(in crate::resources::irsa_migration) fn remember_irsa(
    reality: &Reality,
    private: &mut Private,
    beginning: bool,
) {
    if let Some(role_arn) = annotated(reality) {
        private.set(IRSA, role_arn);
        return;
    }
    let known = private.get(IRSA).is_some_and(Json::is_string);
    if !beginning || known || has_begun(reality) || reality.service_account().is_none() {
        return;
    }
    if let (Some(subject), Some(document)) = (reality.subject(), reality.trust())
        && subject.access(&document, None) == Access::NotAllowed
    {
        private.set(IRSA, Json::Null);
    }
}

/// Whether there is something that only IRSA or an earlier migration can have led to.
fn has_begun(reality: &Reality) -> bool {
    let migrated = reality
        .association
        .as_ref()
        .is_some_and(AssociationFacts::is_migrations);
    migrated
        || reality.pods().any(|pod| {
            matches!(
                pod.credentials,
                PodCredentials::WebIdentity | PodCredentials::PodIdentity | PodCredentials::Partly
            )
        })
}

/// The role that the annotation names once it is restored.
fn annotated(reality: &Reality) -> Option<&str> {
    let noted = reality.breadcrumb.as_ref().and_then(Breadcrumb::role_arn);
    reality
        .service_account()
        .and_then(|account| account.role_arn())
        .or(noted)
}

/// Why an association is not what a migration with this role has left, and what to do about that besides; `None` if it is.
fn foreign(
    existing: &AssociationFacts,
    role: &str,
    private: &Private,
) -> Option<(String, &'static str)> {
    if !existing.is_migrations() {
        let why = format!(
            "does not have the tag {MIGRATION_TAG} any more, so it is somebody else's now: whoever takes it over, a \
             podidentity_association for example, takes the tag off"
        );
        return Some((why, ""));
    }
    // A change of the role that stopped half-way may have changed the association and not the state.
    let is_known = equivalent_arns(&existing.role_arn, role)
        || former::all(private)
            .iter()
            .any(|former| equivalent_arns(&former.role_arn, &existing.role_arn));
    if is_known {
        return None;
    }
    let found = format!(
        "is for the role {} now, and not for {role}",
        existing.role_arn
    );
    let is_own = ownership::token(private).is_some_and(|own| existing.token() == Some(own));
    Some(if is_own {
        (
            format!(
                "{found}: either an apply that was to change role_arn was interrupted, or somebody else has changed it"
            ),
            "If it was an apply, apply once more, and destroy then. ",
        )
    } else {
        (format!("{found}, so somebody has changed it"), "")
    })
}

/// Whether a role is the one of the migration.
fn is_own(reality: &Reality, role_arn: &str) -> bool {
    equivalent_arns(role_arn, reality.role.arn().unwrap_or_default())
}

impl Rollback<'_> {
    /// Stops if the association is not the migration's any more, before anything is changed.
    pub(super) fn refuse_foreign_association(&self) -> Result<(), Diagnostic> {
        let Some(existing) = &self.reality.association else {
            return Ok(());
        };
        let role = self.prior.role_arn.as_deref().unwrap_or_default();
        let Some((why, next)) = foreign(existing, role, self.private) else {
            return Ok(());
        };
        Err(Diagnostic::error(
            ROLLING_BACK,
            format!(
                "The association {} of the {} {why}. Nothing was changed, and pods keep using it.\n\n{next}If it is to stay, let \
                 Terraform forget this resource (a removed block with destroy = false). If it is not wanted, delete it where it \
                 is managed, and destroy again.",
                existing.id,
                self.reality.unit.inside()
            ),
        ))
    }

    /// Stops before anything is changed if what pods go back to could not work.
    pub(super) fn refuse_without_path(
        &self,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Diagnostic> {
        if !self.is_in_use() || self.changes_nothing_for_pods() {
            return Ok(());
        }
        let reality = &self.reality;
        let mut faults = Vec::new();
        if reality.service_account().is_none() {
            faults.push(
                "the service account does not exist any more, so the pods that run could not be made anew: create it again, with \
                 the annotation eks.amazonaws.com/role-arn"
                    .to_owned(),
            );
        }
        match &self.back {
            Some(Back::Irsa { role_arn }) => {
                if reality.cluster.oidc_provider == Some(false) {
                    faults.push(format!(
                        "the account has no IAM OIDC provider for the cluster's issuer {} any more: create it again",
                        self.prior.issuer.as_deref().unwrap_or_default()
                    ));
                }
                faults.extend(self.role_fault(role_arn, diagnostics));
            }
            Some(Back::Nothing) => {}
            None if reality.service_account().is_some() => faults.push(format!(
                "the service account has no annotation eks.amazonaws.com/role-arn any more, and it was not this migration that \
                 took it away: put it back, with {}",
                self.former_role().map_or_else(
                    || "the ARN of its IRSA role".to_owned(),
                    |role| format!("the value {role}")
                )
            )),
            None => {}
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

    /// What is wrong with the role that pods would go back to.
    fn role_fault(&self, role_arn: &str, diagnostics: &mut Diagnostics) -> Option<String> {
        let own = is_own(&self.reality, role_arn);
        match &self.role {
            RoleFacts::Found(role) if self.lets_in(&role.assume_role_policy) => None,
            RoleFacts::Found(_) if verifies_trust(self.prior) && own => Some(format!(
                "the trust policy of {role_arn} does not let the service account in by IRSA: put the statement for the \
                 cluster's OIDC provider back where the policy is managed"
            )),
            RoleFacts::Found(_) => Some(format!(
                "the trust policy of {role_arn} does not let the service account in by IRSA, and it was not this migration that \
                 took that away: add the statement for the cluster's OIDC provider"
            )),
            // Without its role Pod Identity does not work either: then only running pods have something to lose.
            RoleFacts::NotFound { .. } if own && self.dependent().next().is_none() => None,
            RoleFacts::NotFound { .. } => Some(format!(
                "the role {role_arn} does not exist any more: create it again, with a trust policy that lets the service account \
                 in by IRSA"
            )),
            RoleFacts::NotRead { why, .. } if own => {
                Some(format!("the role {role_arn} could not be read: {why}"))
            }
            RoleFacts::NotRead { .. } | RoleFacts::OtherAccount { .. } => {
                diagnostics.warning(
                    "Role of IRSA was not looked at",
                    format!(
                        "{} goes back to the role {role_arn} of its annotation, which could not be read, so whether it still lets \
                         the service account in by IRSA is not known.",
                        self.reality.unit.describe()
                    ),
                );
                None
            }
            RoleFacts::Invalid { text } => Some(format!(
                "the annotation eks.amazonaws.com/role-arn is {text:?}, which is not the ARN of a role: correct it"
            )),
            RoleFacts::NotNamed => None,
        }
    }

    /// Whether a trust policy lets the service account in by IRSA, once what was retired is put back. What cannot be told
    /// counts.
    pub(super) fn lets_in(&self, policy: &str) -> bool {
        let (Some(subject), Ok(document)) = (self.reality.subject(), Document::parse(policy))
        else {
            return true;
        };
        let restored = match (&self.back, self.retired()) {
            (Some(Back::Irsa { role_arn }), Some(retired)) => {
                retired.restored(&self.reality, role_arn, &document)
            }
            _ => document,
        };
        subject.access(&restored, Some(&audience(&self.reality))) != Access::NotAllowed
    }

    /// Sees, before anything is changed, that what will be needed once the association is gone can be done: `tried` is what
    /// became of a pod that was created as a dry run.
    pub(super) async fn rehearse(
        &self,
        tried: Option<Result<Injected, NotProven>>,
    ) -> Result<(), Diagnostic> {
        if !self.is_in_use() {
            return Ok(());
        }
        let unit = &self.reality.unit;
        if let Some(Err(error)) = tried {
            return Err(error.into_diagnostic(
                ROLLING_BACK,
                &format!(
                    "Pods created as dry runs are to prove that the {} is back on IRSA, but they cannot be created. Nothing was \
                     changed.",
                    unit.inside()
                ),
                RETRY,
            ));
        }
        let wanted = self.wanted();
        let mut patches = restarts(&self.reality, |pod| !pod.is_right(wanted));
        if self.reality.breadcrumb.is_some() {
            patches.push(Patches::of_service_account(unit));
        }
        may_patch(self.context, &self.api, unit, &patches, ROLLING_BACK).await
    }

    /// What pods are to have in the end.
    pub(super) fn wanted(&self) -> PodCredentials {
        match self.back {
            Some(Back::Nothing) => PodCredentials::None,
            _ => PodCredentials::WebIdentity,
        }
    }

    /// Whether there are pods that matter, or can be new ones: pods on their way out need nothing any more, and in a namespace
    /// that is being deleted all are.
    pub(super) fn is_in_use(&self) -> bool {
        let pods = self.reality.pods().any(|pod| !pod.terminating);
        !self.terminating && (self.reality.service_account().is_some() || pods)
    }

    /// Whether no pod depends on what a rollback would undo: nothing was cut over yet, or it was undone already.
    pub(super) fn changes_nothing_for_pods(&self) -> bool {
        self.reality.association.is_none()
            && self.reality.breadcrumb.is_none()
            && self.dependent().next().is_none()
    }

    /// Whether no pod has ever had anything of this migration, so that there is nothing to prove and nobody to restart. Once
    /// there was an association, pods may have come up without credentials while it was being deleted.
    pub(super) fn is_idle(&self) -> bool {
        !self.prior.association_id.is_known() && self.changes_nothing_for_pods()
    }

    /// Pods that lose their credentials some time after the association is gone.
    fn dependent(&self) -> impl Iterator<Item = &PodFacts> {
        self.reality.pods().filter(|pod| needs_association(pod))
    }

    /// The role that the annotation named when it was last seen.
    fn former_role(&self) -> Option<&str> {
        self.private.get(IRSA)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::former::Former;
    use super::super::super::reality::tests::{pod, reality};
    use super::*;
    use crate::migration::facts::ROLE_ARN;
    use crate::policy::Scope;

    const ROLE: &str = "arn:aws:iam::123456789012:role/api";
    const OTHER: &str = "arn:aws:iam::123456789012:role/other";
    /// Trust that does not let the service account in by IRSA, as one that never did, or was retired.
    const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

    fn association(role: &str, tag: Option<&str>) -> AssociationFacts {
        AssociationFacts {
            id: "a-1".to_owned(),
            role_arn: role.to_owned(),
            tags: tag
                .map(|tag| (MIGRATION_TAG.to_owned(), tag.to_owned()))
                .into_iter()
                .collect(),
            ..AssociationFacts::default()
        }
    }

    fn with_irsa(known: Option<Json>) -> Private {
        let mut private = Private::default();
        if let Some(known) = known {
            private.set(IRSA, known);
        }
        private
    }

    #[test]
    fn never_having_had_irsa_is_believed_where_nothing_speaks_against_it() {
        let role = Some(Json::from(ROLE));
        let never = Some(Json::Null);
        let ours = Some(association(ROLE, Some("true")));
        let theirs = Some(association(ROLE, None));
        let none = PodCredentials::None;
        for (name, association, credentials, beginning, known, expected) in [
            ("a first creation", None, none, true, None, &never),
            ("an adoption", theirs, none, true, None, &never),
            ("a refresh", None, none, false, None, &None),
            // The annotation and the trust were retired, and the service account was made anew without them.
            ("an import", ours.clone(), none, true, None, &None),
            ("a taint", ours.clone(), none, true, role.clone(), &role),
            ("a lost association", None, none, true, role.clone(), &role),
            (
                "a taint without IRSA",
                ours,
                none,
                true,
                never.clone(),
                &never,
            ),
            (
                "pods on IRSA",
                None,
                PodCredentials::WebIdentity,
                true,
                None,
                &None,
            ),
            (
                "pods that were moved",
                None,
                PodCredentials::PodIdentity,
                true,
                None,
                &None,
            ),
            (
                "pods half moved",
                None,
                PodCredentials::Partly,
                true,
                None,
                &None,
            ),
        ] {
            let mut reality = reality(vec![pod("web-1", "Deployment", credentials)], NOBODY);
            reality.association = association;
            let mut private = with_irsa(known);
            remember_irsa(&reality, &mut private, beginning);
            assert_eq!(private.get(IRSA), expected.as_ref(), "{name}");
        }
    }

    #[test]
    fn the_annotation_is_always_the_last_word() {
        let mut reality = reality(Vec::new(), NOBODY);
        reality.breadcrumb = Some(Breadcrumb {
            annotations: [(ROLE_ARN.to_owned(), OTHER.to_owned())].into(),
            ..Breadcrumb::default()
        });
        for known in [None, Some(Json::Null), Some(Json::from(ROLE))] {
            let mut private = with_irsa(known);
            remember_irsa(&reality, &mut private, false);
            assert_eq!(private.get(IRSA), Some(&Json::from(OTHER)));
        }
    }

    #[test]
    fn a_change_of_the_role_that_stopped_half_way_is_the_migrations() {
        let mut own = Private::default();
        ownership::remember(&mut own, "own");
        let mut pending = own.clone();
        former::remember(
            &mut pending,
            Former {
                role_arn: OTHER.to_owned(),
                scope: Scope::Cluster,
                session_tags: true,
            },
        );
        let interrupted = Some("was interrupted");
        let changed = Some("so somebody has changed it");
        for (role, tag, private, expected) in [
            (ROLE, Some("own"), &own, None),
            (ROLE, None, &own, Some("somebody else's now")),
            (OTHER, Some("own"), &pending, None),
            (OTHER, None, &pending, Some("somebody else's now")),
            // Killed before the private state was saved.
            (OTHER, Some("own"), &own, interrupted),
            (OTHER, Some("true"), &own, changed),
            (OTHER, Some("own"), &Private::default(), changed),
        ] {
            let found = foreign(&association(role, tag), ROLE, private);
            match (&found, expected) {
                (None, None) => {}
                (Some((why, next)), Some(expected)) => {
                    assert!(why.contains(expected), "{role} {tag:?}: {why}");
                    assert_eq!(
                        next.contains("apply once more"),
                        expected.contains("interrupted")
                    );
                }
                _ => panic!("{role} {tag:?}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
