//! What of trust policies is a migration's: what it granted to EKS Pod Identity, and what it took from IRSA.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::AwsError;
use crate::framework::Context;
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::Attr;
use crate::kubernetes::ClusterApi;
use crate::migration::facts::{AUDIENCE, ServiceAccountFacts, Settings};
use crate::migration::phase::Phase;
use crate::migration::steps::{association, service_account, trust};
use crate::policy::{
    Document, Grant, OidcIssuer, RoleArn, Scope, Subject, equivalent_arns, equivalent_json,
};
use crate::provider::ProviderData;

use super::ROLLING_BACK;
use super::plan::{phase_of, retires_trust};
use super::reality::Reality;
use super::schema::{Migration, TRUST_VERIFY};
use super::unit::{Unit, scope_of};

/// How long trust policies may take to be visible.
const TRUST_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// The audience of IRSA's tokens unless the service account has another.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

/// Trust in the OIDC subject that this migration took away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RetiredTrust {
    /// ARN of the role that lost it. After a change of `role_arn` that may be another one than the association's.
    pub(super) role_arn: String,
    /// The role's trust policy before.
    pub(super) policy: String,
}

impl RetiredTrust {
    /// What was taken away, by the note on the service account, which also says so where an apply stopped half-way or
    /// the state was lost; without one, by the state. `None` if nothing was: whatever a trust policy lacks then is
    /// somebody else's doing.
    pub(super) fn of(reality: &Reality, prior: Option<&Migration>) -> Option<Self> {
        let noted = reality.breadcrumb.as_ref();
        if let Some(policy) = noted.and_then(|noted| noted.trust_policy.clone()) {
            let role_arn = noted
                .and_then(|noted| noted.trusting_role_arn.as_deref())
                .or_else(|| reality.role.arn())?;
            return Some(Self {
                role_arn: role_arn.to_owned(),
                policy,
            });
        }
        let prior =
            prior.filter(|prior| phase_of(prior) == Phase::Retired && retires_trust(prior))?;
        Some(Self {
            role_arn: prior.role_arn.known()?.clone(),
            policy: prior.trust_policy_before.known()?.clone(),
        })
    }

    /// The trust policy of a role, of which `document` is the present one, after [`restore`](Self::restore).
    pub(super) fn restored(
        &self,
        reality: &Reality,
        role_arn: &str,
        document: &Document,
    ) -> Document {
        let own = equivalent_arns(&self.role_arn, role_arn);
        match (reality.subject(), Document::parse(&self.policy)) {
            (Some(subject), Ok(before))
                if own && subject.is_missing(&before, document, Some(&audience(reality))) =>
            {
                subject.restore(&before, document)
            }
            _ => document.clone(),
        }
    }

    /// Whether the role lacks the trust now, and could be given it.
    ///
    /// # Errors
    /// What IAM answers.
    pub(super) async fn is_missing(
        &self,
        context: &Context<ProviderData>,
        reality: &Reality,
    ) -> Result<bool, Diagnostic> {
        let (Ok(role), Some(subject), Ok(before)) = (
            RoleArn::parse(&self.role_arn),
            reality.subject(),
            Document::parse(&self.policy),
        ) else {
            return Ok(true);
        };
        let role = trust::current(context, &role.name).await?;
        Ok(role.is_some_and(|role| {
            Document::parse(&role.assume_role_policy).map_or(true, |current| {
                subject.is_missing(&before, &current, Some(&audience(reality)))
            })
        }))
    }

    /// Puts the trust back, unless somebody has let the service account in since. Returns whether anything was written.
    /// A role that is gone is passed over.
    pub(super) async fn restore(
        &self,
        context: &Context<ProviderData>,
        reality: &Reality,
    ) -> Result<bool, Diagnostic> {
        let (Ok(role), Some(subject)) = (RoleArn::parse(&self.role_arn), reality.subject()) else {
            return Ok(false);
        };
        trust::restore(
            context,
            &role.name,
            &subject,
            &self.policy,
            &audience(reality),
            TRUST_TIMEOUT,
        )
        .await
        .map(|reverting| reverting.changed)
    }
}

/// Removes the note about retired trust from the service account, once it is put back.
pub(super) async fn forget_trust(
    context: &Context<ProviderData>,
    api: &ClusterApi,
    reality: &Reality,
    summary: &str,
) -> Result<(), Diagnostic> {
    let noted = reality
        .breadcrumb
        .as_ref()
        .is_some_and(|noted| noted.trust_policy.is_some());
    if !noted || reality.service_account().is_none() {
        return Ok(());
    }
    let unit = &reality.unit;
    service_account::clear_trust(&context.cancel, api, &unit.namespace, &unit.service_account)
        .await
        .map(drop)
        .map_err(|error| {
            error.into_diagnostic(
                summary,
                &format!(
                    "Trust in IRSA is put back, but the note about it on the {} is still there.",
                    unit.inside()
                ),
            )
        })
}

/// The audience of the service account's tokens: the one that it has or had.
pub(super) fn audience(reality: &Reality) -> String {
    let noted = reality
        .breadcrumb
        .as_ref()
        .and_then(|noted| noted.annotations.get(AUDIENCE))
        .map(String::as_str);
    noted
        .or_else(|| {
            reality
                .service_account()
                .and_then(ServiceAccountFacts::audience)
        })
        .unwrap_or(STS_AUDIENCE)
        .to_owned()
}

/// The trust policy of the role before the migration, as far as it can still be told.
pub(super) fn original_trust(reality: &Reality, grant: &Grant, text: &str) -> String {
    // What was noted is the trust policy before trust was retired, with our statement already in it.
    let noted = reality
        .breadcrumb
        .as_ref()
        .zip(reality.role.arn())
        .and_then(|(noted, role_arn)| noted.trust_policy_of(role_arn));
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

/// Whether somebody else writes the trust policy.
pub(super) fn verifies_trust(migration: &Migration) -> bool {
    migration
        .trust
        .known()
        .is_some_and(|trust| trust.mode.as_deref() == Some(TRUST_VERIFY))
}

/// The grant that a state was made with.
pub(super) fn prior_grant(
    context: &Context<ProviderData>,
    prior: &Migration,
    unit: &Unit,
) -> Option<Grant> {
    let settings = Settings {
        scope: scope_of(prior),
        disable_session_tags: prior.disable_session_tags == Attr::Known(true),
        policy: prior.policy.known().cloned(),
        service_principal: Some(context.provider.service_principal().into_known()?),
        ..Settings::default()
    };
    settings.grant(
        prior.cluster_arn.as_deref()?,
        &unit.namespace,
        &unit.service_account,
    )
}

/// What an import can tell of the configuration: the scope of our statement, and what of IRSA was retired. What cannot be told
/// keeps its default.
pub(super) fn infer(context: &Context<ProviderData>, reality: &Reality, state: &mut Migration) {
    let scope = reality
        .trust()
        .zip(prior_grant(context, state, &reality.unit))
        .and_then(|(document, grant)| grant.scope_in(&document));
    if let (Some(scope), Attr::Known(trust)) = (scope, &mut state.trust) {
        trust.scope = scope.as_str().into();
    }
    if let (Some(noted), Attr::Known(retire)) = (&reality.breadcrumb, &mut state.retire) {
        retire.annotation = Attr::Known(!noted.annotations.is_empty());
        retire.trust = Attr::Known(noted.trust_policy.is_some());
    }
}

/// What the trust policy will be after a change of a migration, from what the state says it is; `None` if that cannot be told
/// without asking.
pub(super) fn planned_trust(
    context: &Context<ProviderData>,
    prior: &Migration,
    planned: &Migration,
    settings: &Settings,
    restores: bool,
    retires: bool,
) -> Option<String> {
    let unit = Unit::of(planned)?;
    let text = prior.trust_policy_after.as_deref()?;
    let document = Document::parse(text).ok()?;
    let grant = settings.grant(
        prior.cluster_arn.as_deref()?,
        &unit.namespace,
        &unit.service_account,
    )?;
    let mut result = if settings.verify_trust {
        if grant.add(&document).ok()?.change.is_ours() {
            return None;
        }
        document
    } else {
        let former = prior_grant(context, prior, &unit)
            .filter(|former| !verifies_trust(prior) && !former.shares_statement(&grant));
        let former: Vec<Grant> = former.into_iter().collect();
        let granted = grant.add_beside(&former, &document).ok()?.document;
        match former.first().map(|former| former.scope) {
            Some(Scope::ServiceAccount) => grant.replace(&former, &granted).ok()?.document,
            // Whether others use it is found out when it is applied.
            Some(Scope::Cluster) if former[0].remove(&granted).1 => return None,
            _ => granted,
        }
    };
    let subject = subject(prior)?;
    if restores && retires_trust(prior) && !settings.retire_trust && !settings.verify_trust {
        let before = Document::parse(prior.trust_policy_before.as_deref()?).ok()?;
        if subject.is_missing(&before, &result, None) {
            result = subject.restore(&before, &result);
        }
    }
    if retires {
        result = subject.retire(&result).document;
    }
    let json = result.to_json();
    Some(if equivalent_json(&json, text) {
        text.to_owned()
    } else {
        json
    })
}

/// The service account as IRSA knows it, by what a plan or state says.
pub(super) fn subject(migration: &Migration) -> Option<Subject> {
    Some(Subject {
        issuer: OidcIssuer::parse(migration.issuer.as_deref()?).ok()?,
        namespace: migration.namespace.known()?.clone(),
        service_account: migration.service_account.known()?.clone(),
    })
}

/// Takes statements of ours from a role. Returns why some stay, if any do: one of a wider scope serves other service
/// accounts too.
pub(super) async fn revoke(
    context: &Context<ProviderData>,
    unit: &Unit,
    role_name: &str,
    grants: &[Grant],
) -> Result<Option<String>, Diagnostic> {
    let (grants, why) = removable(context, unit, role_name, grants).await?;
    if grants.is_empty() {
        return Ok(why);
    }
    let (this_run, id) = (context.provider.migrations(), unit.id());
    let needed = || this_run.another_relies(role_name, &id);
    trust::revoke(context, role_name, &grants, &needed, TRUST_TIMEOUT).await?;
    let wide = grants.iter().any(|grant| grant.scope == Scope::Cluster);
    Ok(why.or_else(|| {
        (wide && needed()).then(|| "another service account is being migrated to it".to_owned())
    }))
}

/// The statements that nobody else needs, and why the others stay.
pub(super) async fn removable(
    context: &Context<ProviderData>,
    unit: &Unit,
    role_name: &str,
    grants: &[Grant],
) -> Result<(Vec<Grant>, Option<String>), Diagnostic> {
    let mut why = None;
    let mut removable = Vec::new();
    for grant in grants {
        match grant.scope {
            Scope::ServiceAccount => removable.push(grant.clone()),
            Scope::Account | Scope::None => {
                why = Some("other clusters of the account may use it".to_owned());
            }
            Scope::Cluster => match other_user(context, unit, role_name).await {
                Ok(None) => removable.push(grant.clone()),
                Ok(Some(user)) => {
                    why = Some(format!("the service account {user} uses the role too"));
                }
                Err(error) => {
                    return Err(error.into_diagnostic(
                        ROLLING_BACK,
                        "Whether other associations use the role could not be found out.",
                        "Run again to continue.",
                    ));
                }
            },
        }
    }
    Ok((removable, why))
}

/// Another service account of the cluster with an association with the role.
async fn other_user(
    context: &Context<ProviderData>,
    unit: &Unit,
    role_name: &str,
) -> Result<Option<String>, AwsError> {
    let others: BTreeMap<String, String> = association::list(context, &unit.cluster)
        .await?
        .iter()
        .filter(|other| {
            other.namespace != unit.namespace || other.service_account != unit.service_account
        })
        .map(|other| {
            let user = format!("{}/{}", other.namespace, other.service_account);
            (other.id.clone(), user)
        })
        .collect();
    let ids = others.keys().cloned();
    let described = association::describe_all(context, &unit.cluster, ids).await?;
    Ok(described
        .into_iter()
        .find(|(_, other)| RoleArn::parse(&other.role_arn).is_ok_and(|arn| arn.name == role_name))
        .and_then(|(id, _)| others.get(&id).cloned()))
}
