//! What a plan shows: the trust policy before and after, the association, workloads, blockers and how far it will go.
//!
//! Terraform plans again when it applies, in a new process, and refuses to go on if a known value has changed (rules F1,
//! F2). So the plan of a change is made of the refreshed state alone, and the plan of a new migration of what this
//! process saw first: what other instances do to a shared role meanwhile does not show. Numbers that an autoscaler moves
//! stay unknown.

mod shown;

use std::time::Duration;

use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cty::Path;
use crate::framework::diagnostic::{Diagnostic, Diagnostics, capitalised};
use crate::framework::model::{Attr, FromValue, IntoValue};
use crate::framework::resource::{ModifyPlanRequest, ModifyPlanResponse};
use crate::framework::timeouts::{self, Operation, format_duration};
use crate::framework::{Context, Private};
use crate::migration::facts::{Restart, RoleFacts, Settings};
use crate::migration::finding::{Code, Finding};
use crate::migration::phase::Phase;
use crate::policy::{Document, Subject, equivalent_arns};
use crate::provider::ProviderData;

use super::former::{self, Former};
use super::forward::{blind_at_apply, reached, rfc3339, same_but_for_migrations};
use super::ours::{original_trust, planned_trust, subject};
use super::reality::{Blind, Freshness, Reality, look};
use super::schema::{FindingModel, Migration, TIMEOUTS, WorkloadModel};
use super::unit::{
    Unit, changes_association, cuts_over, only_keeps, retires, retires_besides, same_arn, settings,
    soak,
};

pub(super) use shown::{finding_models, stop_for, workload_models};
use shown::{models_to_findings, report};

/// Key of private state: the unit that a plan creates. Terraform hands it to the deletion that is part of a replacement.
pub(super) const PLANNED_UNIT: &str = "planned_unit";
/// Key of private state: what a plan was made of, for the plan at apply time.
pub(super) const PLANNED: &str = "planned";
/// Key of private state: which pods did not use Pod Identity when that was last looked at.
pub(super) const LEFT: &str = "left";

/// Key of private state: the role annotation when it was last looked at.
pub(super) const ANNOTATION: &str = "annotation";

/// Remembers the role annotation, so that an apply notices if somebody changes it.
pub(super) fn remember_annotation(reality: &Reality, private: &mut Private) {
    let annotation = reality
        .service_account()
        .and_then(|account| account.role_arn());
    private.set(ANNOTATION, annotation.map_or(Json::Null, Json::from));
}

/// Which pods do not use Pod Identity.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Left {
    /// Pods of workloads that can be restarted.
    pub(super) rolling: bool,
    /// Other pods.
    pub(super) manual: bool,
}

impl Left {
    pub(super) fn of(reality: &Reality) -> Self {
        let mut left = Self::default();
        for pod in reality.left_behind() {
            if reality.is_rolling(&pod.workload) {
                left.rolling = true;
            } else {
                left.manual = true;
            }
        }
        left
    }

    pub(super) fn save(self, private: &mut Private) {
        private.set(
            LEFT,
            json!({"rolling": self.rolling, "manual": self.manual}),
        );
    }

    fn load(private: &Private) -> Self {
        let flag = |name: &str| {
            private
                .get(LEFT)
                .and_then(|left| left.get(name))
                .and_then(Json::as_bool)
                .unwrap_or_default()
        };
        Self {
            rolling: flag("rolling"),
            manual: flag("manual"),
        }
    }
}

/// Key of private state: when the association was changed, in seconds since 1970, while pods may have credentials of its
/// former settings that are to be restarted for that.
pub(super) const CHANGED: &str = "changed";

/// How far an apply can go.
pub(super) fn target(settings: &Settings, left: Left, soak_fits: bool) -> Phase {
    let all_move = !left.manual && (settings.restart || !left.rolling);
    match (all_move, settings.restart) {
        (false, false) => Phase::Propagated,
        (false, true) => Phase::RolledOut,
        (true, _) if retires(settings) && soak_fits => Phase::Retired,
        (true, _) => Phase::Verified,
    }
}

/// Plans a new migration.
pub(super) async fn create(
    context: &Context<ProviderData>,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) -> Result<(), Diagnostic> {
    let mut planned = Migration::from_value(&response.planned_state, &Path::root())?;
    let Some(unit) = Unit::of(&planned) else {
        return Ok(());
    };
    planned.id = Attr::Known(unit.id());
    response.planned_private.set(PLANNED_UNIT, unit.id());
    let role_config = request.config.get("role_arn");
    let settings = settings(&context.provider, &planned, !role_config.is_null());
    if role_config.is_unknown() || settings.is_none() {
        response.planned_state = planned.into_value();
        return Ok(());
    }
    let Some(settings) = settings else {
        return Ok(());
    };
    let role = settings.role_arn.clone();
    match Box::pin(look(
        context,
        &unit,
        role.as_deref(),
        None,
        Freshness::Cached,
    ))
    .await
    {
        Ok(reality) => {
            let reality = Box::pin(reality.in_depth(context, &settings)).await;
            remember_annotation(&reality, &mut response.planned_private);
            fill(context, &mut planned, &settings, reality, response);
            if let Some(first) = &request.planned_private {
                settle(first, &mut planned, response);
            } else {
                response.planned_private.set(PLANNED, remembered(&planned));
            }
        }
        // What cannot be read now could not be read by the apply either, unless it does not exist yet.
        Err(Blind::Failed(diagnostic)) => response.diagnostics.push(diagnostic),
        Err(blind) if request.planned_private.is_some() => {
            response.diagnostics.push(blind_at_apply(&unit, blind));
        }
        Err(blind) => response.diagnostics.push(not_seen(&unit, &blind)),
    }
    response.planned_state = planned.into_value();
    Ok(())
}

/// The warning for a plan without a look at the cluster. An apply looks again, and stops if it still cannot.
fn not_seen(unit: &Unit, blind: &Blind) -> Diagnostic {
    let why = match blind {
        Blind::NotYetKnown(why) => sentence(why),
        Blind::NoCluster => format!("There is no cluster {:?} yet.", unit.cluster),
        Blind::Failed(diagnostic) => diagnostic.detail.clone(),
    };
    Diagnostic::warning(
        "Migration planned without a look at the cluster",
        format!(
            "The plan for the {} could not be checked, so most of it is known only after apply. The apply looks again, and \
             changes nothing before every check has passed.\n\n{why}",
            unit.inside()
        ),
    )
}

/// With a capital first letter and a full stop.
fn sentence(text: &str) -> String {
    let mut sentence = capitalised(text);
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// The warning for a service account that a migration has an association for, while there is no state of it here.
fn is_migrated(unit: &Unit, association: &str) -> Diagnostic {
    Diagnostic::warning(
        "Service account is migrated already",
        format!(
            "{} has the association {association} of a migration, and this resource will go on with that. So it should if an \
             apply of this resource was stopped, or its state was lost. If another resource or configuration has this migration \
             in its state, there would be two of them for one service account: leave it out here, or remove it there first, \
             with a removed block that has destroy = false.",
            unit.describe()
        ),
    )
}

/// What speaks against a new migration where one with another role has been begun: nothing knows why it has that role.
pub(super) fn other_role(reality: &Reality) -> Option<Finding> {
    let association = reality.association.as_ref()?;
    let role = reality.role.arn()?;
    if !association.is_migrations()
        || association.owner_arn.is_some()
        || equivalent_arns(&association.role_arn, role)
    {
        return None;
    }
    Some(Finding::new(
        Code::AssociationOtherRole,
        format!(
            "{}/{} has the association {} of an earlier migration with the role {}, not with {role}. Import that migration and \
             change its role then, or make role_arn the role that it has. If the role was changed after an apply of this \
             resource was stopped, \"terraform untaint\" makes it an update.",
            reality.unit.namespace,
            reality.unit.service_account,
            association.id,
            association.role_arn
        ),
    ))
}

/// Fills in what reality tells.
fn fill(
    context: &Context<ProviderData>,
    planned: &mut Migration,
    settings: &Settings,
    mut reality: Reality,
    response: &mut ModifyPlanResponse,
) {
    let provider = &context.provider;
    if let RoleFacts::Found(role) = &reality.role {
        let first = provider.migrations().first_seen(role);
        reality.role = RoleFacts::Found(first);
    }
    let mut findings = reality.findings(settings);
    findings.extend(other_role(&reality));
    findings.sort();
    // What the agent of this run will be like, the apply looks at before it changes anything.
    let agent_planned = provider.planned_agents().has(&reality.unit.cluster);
    if agent_planned {
        findings.retain(|finding| !finding.code.is_about_agent());
    }
    report(&reality.unit, planned, &findings, &mut response.diagnostics);
    if let Some(association) = reality.own_association()
        && association.is_migrations()
    {
        response
            .diagnostics
            .push(is_migrated(&reality.unit, &association.id));
    }
    let (blockers, warnings) = finding_models(&findings);
    planned.blockers = Attr::Known(blockers);
    planned.warnings = if agent_planned {
        Attr::Unknown
    } else {
        Attr::Known(warnings)
    };
    planned.cluster_arn = Attr::Known(reality.cluster.cluster.arn.clone());
    planned.issuer = reality.cluster.cluster.oidc_issuer.clone().into();
    if !planned.role_arn.is_known()
        && let Some(arn) = reality.role.arn()
    {
        planned.role_arn = arn.into();
    }
    if let Some(association) = reality.own_association() {
        planned.association_id = Attr::Known(association.id.clone());
        planned.association_arn = Attr::Known(association.arn.clone());
        planned.association_adopted = Attr::Known(!association.is_migrations());
    } else {
        planned.association_adopted = Attr::Known(false);
    }
    planned.workloads = Attr::Known(workload_models(&reality, true));
    let left = Left::of(&reality);
    let timeout = timeouts::of(&planned.clone().into_value(), Operation::Create, &TIMEOUTS);
    let soak = soak(planned);
    let phase = target(settings, left, soak < timeout);
    // Where pods come and go, how far an apply will get depends on when it is applied, and how long it takes.
    let short_lived = reality
        .workloads()
        .any(|workload| matches!(workload.id.kind.as_str(), "Job" | "CronJob" | "Pod"));
    let scaled_up = phase >= Phase::Verified
        && reality.association.is_none()
        && reality
            .workloads()
            .any(|workload| !(settings.restart && workload.restart == Restart::Rolling));
    let open = short_lived || scaled_up || phase == Phase::Retired && !soak.is_zero();
    planned.phase = if open {
        Attr::Unknown
    } else {
        phase.as_str().into()
    };
    planned.verified_at = if open || phase >= Phase::Verified {
        Attr::Unknown
    } else {
        Attr::Null
    };
    waiting(
        &reality.unit,
        settings,
        left,
        soak,
        timeout,
        &mut response.diagnostics,
    );

    let changed_in_this_run = reality
        .role_info()
        .is_some_and(|role| provider.planned_trusts().of(&role.name).is_some());
    let (Some(document), false) = (reality.trust(), changed_in_this_run) else {
        return;
    };
    let Some(grant) = reality.grant(settings) else {
        return;
    };
    let text = reality
        .role_info()
        .map(|role| role.assume_role_policy.clone())
        .unwrap_or_default();
    let retire = settings.retire_trust && phase == Phase::Retired;
    let retired = reality.subject().filter(|_| retire);
    if settings.verify_trust && !reality.trusts(&grant) {
        response.diagnostics.warning(
            "Role does not trust EKS Pod Identity yet",
            format!(
                "trust.mode is \"verify\", and the trust policy of {} does not let EKS Pod Identity in for the {}. If this run \
                 changes that policy first, there is nothing to do; otherwise the apply will stop before it changes anything. \
                 The function merge_trust_policy gives the policy that is needed.",
                reality.role.arn().unwrap_or_default(),
                reality.unit.inside()
            ),
        );
        return;
    }
    planned.trust_policy_before = Attr::Known(original_trust(&reality, &grant, &text));
    let granted = if settings.verify_trust {
        Ok(document)
    } else {
        grant.add(&document).map(|granted| granted.document)
    };
    if let Ok(granted) = granted
        && !(open && settings.retire_trust)
    {
        planned.trust_policy_after = Attr::Known(after(&granted, retired.as_ref()));
    }
}

fn after(granted: &Document, retire: Option<&Subject>) -> String {
    retire.map_or_else(
        || granted.to_json(),
        |subject| subject.retire(granted).document.to_json(),
    )
}

/// Plans a change of a migration from its refreshed state alone, but for what speaks against other credentials.
pub(super) async fn update(
    context: &Context<ProviderData>,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) -> Result<(), Diagnostic> {
    let prior = Migration::from_value(&request.prior_state, &Path::root())?;
    let mut planned = Migration::from_value(&response.planned_state, &Path::root())?;
    // Another service account: core plans again without the prior state.
    let unit = Unit::of(&planned);
    if unit.is_none() || unit != Unit::of(&prior) {
        return Ok(());
    }
    let role_configured = !request.config.get("role_arn").is_null();
    let role_changes = !same_arn(&prior.role_arn, &planned.role_arn);
    let adopts = planned.adopt_existing_association != Attr::Known(false)
        && models_to_findings(&prior.blockers)
            .iter()
            .any(|blocker| blocker.code == Code::AssociationExists);
    let Some(settings) = settings(&context.provider, &planned, role_configured) else {
        planned.phase = Attr::Unknown;
        planned.verified_at = Attr::Unknown;
        planned.trust_policy_after = Attr::Unknown;
        // What turns out to be known may be other credentials, or more to retire.
        planned.blockers = Attr::Unknown;
        planned.warnings = Attr::Unknown;
        if role_changes {
            planned.trust_policy_before = Attr::Unknown;
        }
        if phase_of(&prior) < Phase::Associated {
            planned.association_id = Attr::Unknown;
            planned.association_arn = Attr::Unknown;
        }
        if phase_of(&prior) < Phase::Associated || adopts {
            planned.association_adopted = Attr::Unknown;
        }
        response.planned_state = planned.into_value();
        return Ok(());
    };
    let base = phase_of(&prior);
    let left = Left::load(&request.prior_private);
    let timeout = timeouts::of(&response.planned_state, Operation::Update, &TIMEOUTS);
    let has_retired = base == Phase::Retired && prior.retire == planned.retire;
    // Other credentials have to show that they work, too, before anything is retired. A run that stopped before all pods had
    // them has left a note.
    let unfinished = request.prior_private.get(CHANGED).is_some();
    let soaks_anew = (unfinished || changes_association(&prior, &planned)) && !has_retired;
    let remaining = if soaks_anew {
        soak(&planned)
    } else {
        remaining_soak(&prior, soak(&planned))
    };
    let reachable = target(&settings, left, remaining < timeout);
    if only_keeps(&prior, &planned) {
        if reachable > base {
            response.diagnostics.warning(
                "The migration does not go on in this apply",
                format!(
                    "{} is in the phase {base}. Only on_destroy changes, so that a destroy will leave everything as it is; \
                     nothing else is done. Apply again to go on with the migration.",
                    unit_of(&planned)?.describe()
                ),
            );
        }
        return Ok(());
    }
    let cuts_over = cuts_over(&prior, &planned);
    // What depends on the clock is left open, for Terraform plans again when it applies.
    let may_retire = target(&settings, left, true) == Phase::Retired;
    let takes_back = !settings.verify_trust
        && former::is_pending(&request.prior_private, Former::of(&planned).as_ref());
    let soaking = !remaining.is_zero()
        && !has_retired
        && may_retire
        && (remaining < timeout
            || takes_back
            || prior.verified_at.is_known() && response.planned_state != request.prior_state);
    let renewing = settings.restart && unfinished;
    // Pods that are created until there is an association anew use IRSA.
    let begins = base < Phase::Associated && reachable >= Phase::Verified;
    let open = soaking || renewing || begins;
    // Nothing is a step back but putting back what was retired, and what is to be retired besides is not yet.
    let phase = reached(&prior, &planned, Phase::NotStarted).max(reachable);
    let retires_more =
        phase == Phase::Retired && (base != Phase::Retired || prior.retire != planned.retire);
    let restores = base == Phase::Retired && prior.retire != planned.retire;
    let stopped_retiring =
        base != Phase::Retired && retires_trust(&prior) && !settings.retire_trust;
    planned.phase = if open {
        Attr::Unknown
    } else {
        phase.as_str().into()
    };
    if role_changes && base == Phase::Retired && retires_trust(&prior) {
        response.diagnostics.attribute_error(
            "role_arn",
            "Trust of the former role is retired",
            "A rollback would lead to a role that does not trust the service account. Set retire.trust = false and apply that \
             before role_arn is changed.",
        );
    }
    let agent_planned = context
        .provider
        .planned_agents()
        .has(&unit_of(&planned)?.cluster);
    if cuts_over || retires_besides(&prior, &planned) && may_retire {
        // What is known of the state is about other settings.
        planned.blockers = Attr::Unknown;
        planned.warnings = Attr::Unknown;
        Box::pin(against_cut_over(
            context, &prior, &planned, &settings, response,
        ))
        .await;
    } else if phase > base {
        let mut blockers = models_to_findings(&prior.blockers);
        // The one that asks for what is configured now.
        if settings.adopt_existing_association {
            blockers.retain(|blocker| blocker.code != Code::AssociationExists);
        }
        if agent_planned {
            blockers.retain(|blocker| !blocker.code.is_about_agent());
        }
        stop_for(
            &unit_of(&planned)?,
            &planned,
            &blockers,
            &mut response.diagnostics,
        );
    }
    if base < Phase::Verified || reachable < Phase::Retired {
        waiting(
            &unit_of(&planned)?,
            &settings,
            left,
            remaining,
            timeout,
            &mut response.diagnostics,
        );
    }
    // Null in a verified state: pods have come that do not use Pod Identity, and the next refresh says when that is over.
    if soaks_anew
        || prior.verified_at.is_null() && (open || phase > base && phase >= Phase::Verified)
    {
        planned.verified_at = Attr::Unknown;
    }
    if base < Phase::Associated {
        planned.association_id = Attr::Unknown;
        planned.association_arn = Attr::Unknown;
    }
    if base < Phase::Associated || adopts {
        planned.association_adopted = Attr::Unknown;
    }
    if role_changes {
        planned.trust_policy_before = Attr::Unknown;
        planned.trust_policy_after = Attr::Unknown;
    } else if stopped_retiring || open && settings.retire_trust && !has_retired || takes_back {
        // Whether an apply that was stopped has retired it already, the service account knows, and whether it took its statement
        // from former settings, the role.
        planned.trust_policy_after = Attr::Unknown;
    } else if phase != base || cuts_over || prior.trust != planned.trust || retires_more || restores
    {
        let after = planned_trust(
            context,
            &prior,
            &planned,
            &settings,
            restores,
            retires_more && settings.retire_trust,
        );
        planned.trust_policy_after = after.map_or(Attr::Unknown, Attr::Known);
    }
    response.planned_state = planned.into_value();
    Ok(())
}

/// Adds what speaks against other credentials for the pods of a migrated service account: that has to be looked at, for the
/// state knows nothing of another role.
async fn against_cut_over(
    context: &Context<ProviderData>,
    prior: &Migration,
    planned: &Migration,
    settings: &Settings,
    response: &mut ModifyPlanResponse,
) {
    let Some(unit) = Unit::of(planned) else {
        return;
    };
    let looking = look(
        context,
        &unit,
        planned.role_arn.as_deref(),
        prior.association_id.as_deref(),
        Freshness::Cached,
    );
    match Box::pin(looking).await {
        Ok(reality) => {
            let reality = Box::pin(reality.in_depth(context, settings)).await;
            let known = models_to_findings(&prior.warnings);
            let mut findings = reality.findings(settings);
            findings.retain(|finding| !known.contains(finding));
            if context.provider.planned_agents().has(&unit.cluster) {
                findings.retain(|finding| !finding.code.is_about_agent());
            }
            report(&unit, planned, &findings, &mut response.diagnostics);
        }
        Err(Blind::Failed(diagnostic)) => response.diagnostics.push(diagnostic),
        Err(blind) => response.diagnostics.push(not_seen(&unit, &blind)),
    }
}

fn unit_of(migration: &Migration) -> Result<Unit, Diagnostic> {
    Unit::of(migration).ok_or_else(|| {
        Diagnostic::provider_bug(
            "The state of a migration does not say which service account it is.",
        )
    })
}

/// Whether trust in the OIDC subject is to be retired.
pub(super) fn retires_trust(migration: &Migration) -> bool {
    migration
        .retire
        .known()
        .is_some_and(|retire| retire.trust == Attr::Known(true))
}

/// The phase that a state says.
pub(super) fn phase_of(migration: &Migration) -> Phase {
    migration
        .phase
        .as_deref()
        .and_then(|phase| phase.parse().ok())
        .unwrap_or_default()
}

/// How much of the soak is left, by since when all pods are well on Pod Identity.
pub(super) fn remaining_soak(state: &Migration, soak: Duration) -> Duration {
    let Some(since) = since(&state.verified_at) else {
        return soak;
    };
    let elapsed = OffsetDateTime::now_utc() - since;
    soak.saturating_sub(elapsed.try_into().unwrap_or_default())
}

/// A time of a state.
pub(super) fn since(time: &Attr<String>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(time.as_deref()?, &Rfc3339).ok()
}

/// Since when all pods are well on Pod Identity, as a refresh finds it.
pub(super) fn verified_at(reality: &Reality, phase: Phase, prior: &Migration) -> Attr<String> {
    let known = since(&prior.verified_at).map(OffsetDateTime::unix_timestamp);
    let now = OffsetDateTime::now_utc().unix_timestamp() + 1;
    let found = reality.verified_since(phase, known, now);
    if found.is_some() && found == known {
        return prior.verified_at.clone();
    }
    found
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map_or(Attr::Null, |time| Attr::Known(rfc3339(time)))
}

/// Says what an apply will not do yet.
fn waiting(
    unit: &Unit,
    settings: &Settings,
    left: Left,
    soak: Duration,
    timeout: Duration,
    diagnostics: &mut Diagnostics,
) {
    if !retires(settings) {
        return;
    }
    let why = if left.manual {
        "Some of its pods use IRSA and cannot be restarted by the provider. Restart them, or let them end"
    } else if left.rolling && !settings.restart {
        "Some of its pods still use IRSA, and rollout.strategy is \"none\". Restart them, or set it to \"restart\""
    } else if soak >= timeout {
        diagnostics.warning(
            "Nothing is retired yet",
            format!(
                "{}: its pods have to be on Pod Identity for another {} first (soak_duration), which is longer than this \
                 operation may take. Apply again after {}.",
                unit.describe(),
                format_duration(soak),
                rfc3339(OffsetDateTime::now_utc() + soak)
            ),
        );
        return;
    } else {
        return;
    };
    diagnostics.warning(
        "Nothing is retired yet",
        format!("{}: {why}, and apply again.", unit.describe()),
    );
}

/// What the plan at apply time compares with (Terraform 1.16 and later).
fn remembered(planned: &Migration) -> Json {
    let text = |value: &Attr<String>| value.as_deref().map(ToOwned::to_owned);
    let findings = |models: &Attr<Vec<FindingModel>>| -> Option<Vec<Json>> {
        let models = models.known()?.iter();
        Some(
            models
                .map(|finding| json!([text(&finding.code), text(&finding.message)]))
                .collect(),
        )
    };
    let workloads: Vec<Json> = planned
        .workloads
        .known()
        .into_iter()
        .flatten()
        .map(|workload| {
            json!([
                text(&workload.kind),
                text(&workload.name),
                workload.pods.known(),
                workload.pods_on_pod_identity.known(),
                text(&workload.restart),
            ])
        })
        .collect();
    json!({
        "role_arn": text(&planned.role_arn),
        "trust_policy_before": text(&planned.trust_policy_before),
        "trust_policy_after": text(&planned.trust_policy_after),
        "association_id": text(&planned.association_id),
        "phase": text(&planned.phase),
        "association_adopted": planned.association_adopted.known(),
        "blockers": findings(&planned.blockers),
        "warnings": findings(&planned.warnings),
        "workloads": workloads,
    })
}

/// Makes the plan at apply time agree with the first one, or says what moved in between. Numbers of pods may differ: the
/// plan keeps what it showed. What matters for safety may not.
fn settle(first: &Private, planned: &mut Migration, response: &mut ModifyPlanResponse) {
    let Some(then) = first.get(PLANNED) else {
        return;
    };
    let now = remembered(planned);
    let mut moved = Vec::new();
    for (name, what) in [
        ("role_arn", "role"),
        ("association_id", "association"),
        ("association_adopted", "whether an association is adopted"),
        ("blockers", "blockers"),
    ] {
        // What the plan left open may have come to be known.
        if !then[name].is_null() && then[name] != now[name] {
            moved.push(format!("  - {what}: was {}, now {}", then[name], now[name]));
        }
    }
    let document = |value: &Json| Document::parse(value.as_str()?).ok();
    if let (Some(before), Some(current)) = (
        document(&then["trust_policy_before"]),
        document(&now["trust_policy_before"]),
    ) && !same_but_for_migrations(&before, &current, subject(planned).as_ref())
    {
        moved.push(format!(
            "  - trust policy of the role: was {}, now {}",
            before.to_json(),
            current.to_json()
        ));
    }
    if !moved.is_empty() {
        response.diagnostics.error(
            "Reality moved between plan and apply",
            format!(
                "Since the plan was made, this has changed:\n{}\n\nNothing was done. Plan again, and look at the new plan.",
                moved.join("\n")
            ),
        );
        return;
    }
    let findings = |name: &str| -> Option<Vec<FindingModel>> {
        then[name]
            .as_array()?
            .iter()
            .map(|finding| {
                Some(FindingModel {
                    code: finding[0].as_str()?.into(),
                    message: finding[1].as_str()?.into(),
                })
            })
            .collect()
    };
    if let Some(warnings) = findings("warnings") {
        planned.warnings = Attr::Known(warnings);
    }
    for (name, slot) in [
        ("trust_policy_before", &mut planned.trust_policy_before),
        ("trust_policy_after", &mut planned.trust_policy_after),
    ] {
        if let Some(text) = then[name].as_str() {
            *slot = text.into();
        }
    }
    if let Some(phase) = then["phase"].as_str() {
        planned.phase = phase.into();
        if phase != Phase::Verified.as_str() && phase != Phase::Retired.as_str() {
            planned.verified_at = Attr::Null;
        } else {
            planned.verified_at = Attr::Unknown;
        }
    }
    let workloads: Option<Vec<WorkloadModel>> = then["workloads"].as_array().and_then(|all| {
        let number = |value: &Json| value.as_i64().map_or(Attr::Unknown, Attr::Known);
        all.iter()
            .map(|workload| {
                Some(WorkloadModel {
                    kind: workload[0].as_str()?.into(),
                    name: workload[1].as_str()?.into(),
                    pods: number(&workload[2]),
                    pods_on_pod_identity: number(&workload[3]),
                    restart: workload[4].as_str()?.into(),
                })
            })
            .collect()
    });
    if let Some(workloads) = workloads {
        planned.workloads = Attr::Known(workloads);
    }
    response.planned_private.set(PLANNED, then.clone());
}
