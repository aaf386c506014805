//! What one migration is about, as far as the configuration says it.

use std::time::Duration;

use crate::framework::model::Attr;
use crate::framework::timeouts::parse_duration;
use crate::migration::facts::Settings;
use crate::migration::finding::{Code, Finding, Weight};
use crate::migration::steps::injection::Propagation;
use crate::policy::{Scope, equivalent_arns, equivalent_json};
use crate::provider::ProviderData;
use crate::resources::propagation::PropagationModel;

use super::schema::{DESTROY_KEEP, Migration, ROLLOUT_RESTART, TRUST_VERIFY, default_rollout};

/// One service account of one cluster.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Unit {
    pub(super) cluster: String,
    pub(super) namespace: String,
    pub(super) service_account: String,
}

impl Unit {
    /// The unit of a plan or state; `None` while part of it is unknown.
    pub(super) fn of(migration: &Migration) -> Option<Self> {
        Some(Self {
            cluster: migration.cluster_name.known()?.clone(),
            namespace: migration.namespace.known()?.clone(),
            service_account: migration.service_account.known()?.clone(),
        })
    }

    /// The id: `cluster,namespace,service-account`.
    pub(super) fn id(&self) -> String {
        format!(
            "{},{},{}",
            self.cluster, self.namespace, self.service_account
        )
    }

    /// As the beginning of a sentence.
    pub(super) fn describe(&self) -> String {
        format!("The {}", self.inside())
    }

    /// Inside a sentence, after "the".
    pub(super) fn inside(&self) -> String {
        format!(
            "service account {:?} in the namespace {:?} of the cluster {:?}",
            self.service_account, self.namespace, self.cluster
        )
    }
}

/// What the configuration says, as the checks need it; `None` while something that matters is unknown.
pub(super) fn settings(
    provider: &ProviderData,
    migration: &Migration,
    role_configured: bool,
) -> Option<Settings> {
    let principal = Some(provider.service_principal().into_known()?);
    let text = |value: &Attr<String>| match value {
        Attr::Unknown => None,
        Attr::Null => Some(None),
        Attr::Known(text) => Some(Some(text.clone())),
    };
    let flag = |value: &Attr<bool>| match value {
        Attr::Unknown => None,
        Attr::Null => Some(false),
        Attr::Known(flag) => Some(*flag),
    };
    let trust = migration.trust.known()?;
    let rollout = migration.rollout.known()?;
    let retire = migration.retire.known()?;
    Some(Settings {
        role_arn: if role_configured {
            text(&migration.role_arn)?
        } else {
            None
        },
        target_role_arn: text(&migration.target_role_arn)?,
        disable_session_tags: flag(&migration.disable_session_tags)?,
        policy: text(&migration.policy)?,
        verify_trust: text(&trust.mode)?.as_deref() == Some(TRUST_VERIFY),
        scope: text(&trust.scope)?
            .and_then(|scope| scope.parse().ok())
            .unwrap_or_default(),
        adopt_existing_association: flag(&migration.adopt_existing_association)?,
        restart: text(&rollout.strategy)?.as_deref() == Some(ROLLOUT_RESTART),
        retire_annotation: flag(&retire.annotation)?,
        retire_trust: flag(&retire.trust)?,
        service_principal: principal,
    })
}

/// Whether a change gives pods other credentials: another role, or other settings of the association or of the trust in it.
pub(super) fn cuts_over(prior: &Migration, plan: &Migration) -> bool {
    changes_association(prior, plan) || scope_of(prior) != scope_of(plan)
}

/// Whether a change is of the role or of other settings of the association.
pub(super) fn changes_association(prior: &Migration, plan: &Migration) -> bool {
    let same_policy = match (prior.policy.as_deref(), plan.policy.as_deref()) {
        (Some(a), Some(b)) => equivalent_json(a, b),
        _ => prior.policy == plan.policy,
    };
    !same_arn(&prior.role_arn, &plan.role_arn)
        || !same_arn(&prior.target_role_arn, &plan.target_role_arn)
        || prior.disable_session_tags != plan.disable_session_tags
        || !same_policy
}

/// Whether a change is of nothing but what the provider itself goes by later, so that there is nothing to do for it.
pub(super) fn is_local(prior: &Migration, plan: &Migration) -> bool {
    let but_for_local = Migration {
        adopt_existing_association: prior.adopt_existing_association.clone(),
        ignore_blockers: prior.ignore_blockers.clone(),
        on_destroy: prior.on_destroy.clone(),
        propagation: prior.propagation.clone(),
        rollout: prior.rollout.clone(),
        soak_duration: prior.soak_duration.clone(),
        timeouts: prior.timeouts.clone(),
        ..plan.clone()
    };
    but_for_local == *prior
}

/// Whether a change is of `on_destroy` alone, so that a destroy leaves everything as it is.
pub(super) fn only_keeps(prior: &Migration, plan: &Migration) -> bool {
    let but_for_destroy = Migration {
        on_destroy: prior.on_destroy.clone(),
        ..plan.clone()
    };
    keeps_on_destroy(plan) && !keeps_on_destroy(prior) && but_for_destroy == *prior
}

/// Whether a change retires what was not to be retired before. What it gives back instead is the way out of trouble.
pub(super) fn retires_besides(prior: &Migration, plan: &Migration) -> bool {
    let flags = |migration: &Migration| {
        let retire = migration.retire.known();
        let is = |flag: Option<&Attr<bool>>| flag == Some(&Attr::Known(true));
        [
            is(retire.map(|retire| &retire.annotation)),
            is(retire.map(|retire| &retire.trust)),
        ]
    };
    let pairs = flags(prior).into_iter().zip(flags(plan));
    pairs.into_iter().any(|(before, now)| now && !before)
}

/// Whether two ARNs name the same.
pub(super) fn same_arn(a: &Attr<String>, b: &Attr<String>) -> bool {
    match (a.as_deref(), b.as_deref()) {
        (Some(a), Some(b)) => equivalent_arns(a, b),
        _ => a == b,
    }
}

/// Whether anything of IRSA is to be retired.
pub(super) fn retires(settings: &Settings) -> bool {
    settings.retire_annotation || settings.retire_trust
}

/// Whether destroying leaves everything as it is.
pub(super) fn keeps_on_destroy(migration: &Migration) -> bool {
    migration.on_destroy.as_deref() == Some(DESTROY_KEEP)
}

/// The scope of trust of a state; whatever is not known there is the default.
pub(super) fn scope_of(migration: &Migration) -> Scope {
    migration
        .trust
        .known()
        .and_then(|trust| trust.scope.as_deref())
        .and_then(|scope| scope.parse().ok())
        .unwrap_or_default()
}

/// A duration of the configuration. The validator refused whatever is none.
pub(super) fn duration(value: &Attr<String>) -> Option<Duration> {
    parse_duration(value.as_deref()?).ok()
}

/// How long all pods must have been on Pod Identity before anything is retired.
pub(super) fn soak(migration: &Migration) -> Duration {
    duration(&migration.soak_duration).unwrap_or_default()
}

/// `propagation`, whole.
pub(super) fn propagation(migration: &Migration) -> Propagation {
    migration
        .propagation
        .known()
        .map_or_else(Propagation::default, PropagationModel::resolve)
}

/// How long something must have stood at most before pods come to depend on it.
const APART_MOST: Duration = Duration::from_secs(30);

/// How long a change must have stood before pods come to depend on it: as long as a propagation proof takes.
pub(super) fn apart(migration: &Migration) -> Duration {
    let propagation = propagation(migration);
    (propagation.interval * propagation.consecutive).min(APART_MOST)
}

/// `rollout.timeout` and `rollout.pause`.
pub(super) fn rollout_times(migration: &Migration) -> (Duration, Duration) {
    let default = default_rollout();
    let set = migration.rollout.known().unwrap_or(&default);
    (
        duration(&set.timeout).unwrap_or(Duration::from_secs(10 * 60)),
        duration(&set.pause).unwrap_or_default(),
    )
}

/// The findings that stop the migration: blockers that are not ignored.
pub(super) fn stopping<'a>(
    findings: &'a [Finding],
    migration: &'a Migration,
) -> impl Iterator<Item = &'a Finding> {
    findings.iter().filter(move |finding| {
        finding.weight() == Weight::Blocker && !ignores(migration, finding.code)
    })
}

/// Whether `ignore_blockers` names the code. One that is not known yet may.
pub(super) fn ignores(migration: &Migration, code: Code) -> bool {
    match &migration.ignore_blockers {
        Attr::Null => false,
        Attr::Unknown => true,
        Attr::Known(codes) => codes.0.iter().any(|listed| match listed {
            Attr::Known(text) => text == code.as_str(),
            Attr::Unknown => true,
            Attr::Null => false,
        }),
    }
}
