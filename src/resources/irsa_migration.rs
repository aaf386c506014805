//! `podidentity_irsa_migration`: moves one service account from IRSA to EKS Pod Identity, and back.
//!
//! | module | what it does |
//! |---|---|
//! | `schema`, `unit` | what the configuration says |
//! | `reality` | what is there |
//! | `plan` | what a plan shows |
//! | `forward`, `backward` | the two ways |
//! | `former` | statements that have to be taken away again |
//! | `ours` | what of trust policies is a migration's |
//! | `ownership`, `place` | whether a migration is this object's, and where it was made |
//! | `this_run` | what operations of one run must know of each other |

mod backward;
mod former;
mod forward;
mod ours;
mod ownership;
mod place;
mod plan;
mod reality;
mod schema;
mod this_run;
mod unit;

use async_trait::async_trait;

use crate::cty::{Path, Value};
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::{Attr, FromValue, IntoValue};
use crate::framework::resource::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ImportState, ImportStateRequest,
    ImportStateResponse, ModifyPlan, ModifyPlanRequest, ModifyPlanResponse, ReadRequest,
    ReadResponse, Resource, UpdateRequest, UpdateResponse, ValidateConfig,
};
use crate::framework::schema::Schema;
use crate::framework::timeouts::{self, Operation};
use crate::framework::{Context, Diagnostics};
use crate::migration::facts::{AssociationFacts, MIGRATION_TAG};
use crate::migration::phase::Phase;
use crate::policy::equivalent_json;
use crate::provider::ProviderData;
use crate::resources::association::validate_settings;
use crate::resources::{cluster_name, propagation, tags};

pub use this_run::ThisRun;

use forward::Run;
use plan::{LEFT, Left, PLANNED, PLANNED_UNIT};
use reality::{Blind, Freshness, Reality};
use schema::{Migration, TIMEOUTS};
use unit::Unit;

const PLANNING: &str = "Migration blocked";
const MIGRATING: &str = "Migrating service account to EKS Pod Identity";
const ROLLING_BACK: &str = "Rolling service account back to IRSA";
const IMPORTING: &str = "Importing migration";

/// The resource type.
#[derive(Clone, Copy, Debug, Default)]
pub struct IrsaMigrationResource;

#[async_trait]
impl Resource<ProviderData> for IrsaMigrationResource {
    fn type_name(&self) -> &'static str {
        "podidentity_irsa_migration"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    async fn create(
        &self,
        context: &Context<ProviderData>,
        request: CreateRequest,
        response: &mut CreateResponse,
    ) -> Result<(), Diagnostic> {
        response.private.remove(PLANNED_UNIT);
        response.private.remove(PLANNED);
        ownership::forget(&mut response.private);
        Run {
            context,
            owner: ownership::new_token(),
            plan: Migration::from_value(&request.planned_state, &Path::root())?,
            role_configured: request.config.get("role_arn").is_set(),
            prior: None,
            state: &mut response.state,
            private: &mut response.private,
            diagnostics: &mut response.diagnostics,
            timeout: timeouts::of(&request.planned_state, Operation::Create, &TIMEOUTS),
        }
        .go()
        .await
    }

    async fn read(
        &self,
        context: &Context<ProviderData>,
        request: ReadRequest,
        response: &mut ReadResponse,
    ) -> Result<(), Diagnostic> {
        read(context, &request, response).await
    }

    async fn update(
        &self,
        context: &Context<ProviderData>,
        request: UpdateRequest,
        response: &mut UpdateResponse,
    ) -> Result<(), Diagnostic> {
        let owner = ownership::token(&request.planned_private)
            .map_or_else(ownership::new_token, ToOwned::to_owned);
        Run {
            context,
            owner,
            plan: Migration::from_value(&request.planned_state, &Path::root())?,
            role_configured: request.config.get("role_arn").is_set(),
            prior: Some(Migration::from_value(&request.prior_state, &Path::root())?),
            state: &mut response.state,
            private: &mut response.private,
            diagnostics: &mut response.diagnostics,
            timeout: timeouts::of(&request.planned_state, Operation::Update, &TIMEOUTS),
        }
        .go()
        .await
    }

    async fn delete(
        &self,
        context: &Context<ProviderData>,
        request: DeleteRequest,
        response: &mut DeleteResponse,
    ) -> Result<(), Diagnostic> {
        let prior = Migration::from_value(&request.prior_state, &Path::root())?;
        let timeout = timeouts::of(&request.prior_state, Operation::Delete, &TIMEOUTS);
        backward::roll_back(
            context,
            &prior,
            &request.planned_private,
            timeout,
            &mut response.diagnostics,
        )
        .await
    }

    fn as_validate_config(&self) -> Option<&dyn ValidateConfig> {
        Some(self)
    }

    fn as_modify_plan(&self) -> Option<&dyn ModifyPlan<ProviderData>> {
        Some(self)
    }

    fn as_import_state(&self) -> Option<&dyn ImportState<ProviderData>> {
        Some(self)
    }
}

impl ValidateConfig for IrsaMigrationResource {
    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics) {
        validate_settings(config, diagnostics);
        propagation::validate(config, "propagation", diagnostics);
        let retire = config.get("retire");
        if retire.get("trust").as_bool() == Some(true)
            && config.get("trust").get("mode").as_str() == Some(schema::TRUST_VERIFY)
        {
            diagnostics.attribute_error(
                Path::from("retire").attribute("trust"),
                "Trust is managed elsewhere",
                "With trust.mode = \"verify\" somebody else writes the trust policy, so its trust in the OIDC subject has to be \
                 removed there too. Set retire.trust = false.",
            );
        }
    }
}

#[async_trait]
impl ModifyPlan<ProviderData> for IrsaMigrationResource {
    async fn modify_plan(
        &self,
        context: &Context<ProviderData>,
        request: &ModifyPlanRequest,
        response: &mut ModifyPlanResponse,
    ) {
        if response.planned_state.is_null() {
            if let Ok(prior) = Migration::from_value(&request.prior_state, &Path::root()) {
                let announced = backward::announce(&prior, &request.prior_private);
                response.diagnostics.extend(announced);
            }
            return;
        }
        cluster_name::plan(&context.provider.default_cluster_name(), request, response);
        tags::plan(&context.provider, request, response);
        let outcome = if request.prior_state.is_null() {
            plan::create(context, request, response).await
        } else {
            plan::update(context, request, response).await
        };
        if let Err(diagnostic) = outcome {
            response.diagnostics.push(diagnostic);
        }
    }
}

#[async_trait]
impl ImportState<ProviderData> for IrsaMigrationResource {
    /// `cluster,namespace,service-account`, or `namespace,service-account` with the provider's default cluster.
    async fn import_state(
        &self,
        context: &Context<ProviderData>,
        request: ImportStateRequest,
        response: &mut ImportStateResponse,
    ) -> Result<(), Diagnostic> {
        let parts: Vec<&str> = request.id.split(',').map(str::trim).collect();
        let default_cluster = context.provider.default_cluster_name();
        let (cluster, namespace, service_account) = match (&parts[..], default_cluster.as_deref()) {
            ([cluster, namespace, name], _) => (*cluster, *namespace, *name),
            ([namespace, name], Some(cluster)) => (cluster, *namespace, *name),
            _ => ("", "", ""),
        };
        if cluster.is_empty() || namespace.is_empty() || service_account.is_empty() {
            return Err(Diagnostic::error(
                IMPORTING,
                format!(
                    "{:?} is not an import id of a migration. Use cluster-name,namespace,service-account.",
                    request.id
                ),
            ));
        }
        let state = &mut response.state;
        state.set("cluster_name", Value::from(cluster));
        state.set("namespace", Value::from(namespace));
        state.set("service_account", Value::from(service_account));
        // Not part of what is there: their defaults, so that the plan after the import is empty.
        state.set("adopt_existing_association", Value::from(false));
        state.set("disable_session_tags", Value::from(false));
        state.set("on_destroy", Value::from(schema::DESTROY_ROLLBACK));
        state.set("soak_duration", Value::from("0s"));
        state.set("propagation", schema::default_propagation().into_value());
        state.set("retire", schema::default_retire().into_value());
        state.set("rollout", schema::default_rollout().into_value());
        state.set("trust", schema::default_trust().into_value());
        Ok(())
    }
}

async fn read(
    context: &Context<ProviderData>,
    request: &ReadRequest,
    response: &mut ReadResponse,
) -> Result<(), Diagnostic> {
    let prior = Migration::from_value(&request.current_state, &Path::root())?;
    let Some(unit) = Unit::of(&prior) else {
        return Err(Diagnostic::provider_bug(
            "The state of a migration does not say which service account it is.",
        ));
    };
    let importing = prior.id.is_null();
    let mut found = reality::look(
        context,
        &unit,
        prior.role_arn.as_deref(),
        prior.association_id.as_deref(),
        Freshness::Cached,
    )
    .await;
    // An import knows no role, and the annotation may name another one than the association.
    if importing
        && let Ok(reality) = &found
        && let Some(association) = &reality.association
        && reality.own_association().is_none()
    {
        let (role, id) = (association.role_arn.clone(), association.id.clone());
        found = reality::look(context, &unit, Some(&role), Some(&id), Freshness::Cached).await;
    }
    let reality = match found {
        Ok(reality) => reality,
        Err(Blind::NoCluster) => {
            place::refuse_other(context, &prior, &unit, None).await?;
            if !importing {
                let left = backward::left_without_cluster(context, &prior, &unit);
                response.diagnostics.push(left);
            }
            response.state = Value::Null;
            return Ok(());
        }
        Err(Blind::NotYetKnown(why)) => {
            response.diagnostics.warning(
                "Migration not refreshed",
                format!(
                    "The {} is planned as it was last seen: {why}.",
                    unit.inside()
                ),
            );
            return Ok(());
        }
        Err(Blind::Failed(diagnostic)) => return Err(diagnostic),
    };
    place::refuse_other(context, &prior, &unit, Some(&reality.cluster.cluster.arn)).await?;
    if importing && reality.association.is_none() {
        return Err(Diagnostic::error(
            IMPORTING,
            format!(
                "{} has no association, so there is no migration to import. Create the resource instead.",
                unit.describe()
            ),
        ));
    }
    let mut state = prior.clone();
    state.id = Attr::Known(unit.id());
    state.cluster_arn = Attr::Known(reality.cluster.cluster.arn.clone());
    state.issuer = reality.cluster.cluster.oidc_issuer.clone().into();
    if importing && let Some(association) = &reality.association {
        state.role_arn = Attr::Known(association.role_arn.clone());
        state.target_role_arn = Attr::from(association.target_role_arn.clone());
        state.disable_session_tags = Attr::Known(association.disable_session_tags);
        state.policy = Attr::from(association.policy.clone());
        state.association_adopted = Attr::Known(!association.is_migrations());
        state.adopt_existing_association = Attr::Known(!association.is_migrations());
    }
    if importing {
        ours::infer(context, &reality, &mut state);
    }
    let Some(settings) = unit::settings(&context.provider, &state, true) else {
        return Err(Diagnostic::provider_bug(
            "The state of a migration holds unknown values.",
        ));
    };
    let grant = reality.grant(&settings);
    let known = prior.phase.as_deref().and_then(|phase| phase.parse().ok());
    if let Some(grant) = &grant {
        // What cannot be seen is not taken for gone.
        let phase = match (&reality.role, known) {
            (crate::migration::facts::RoleFacts::NotRead { .. }, Some(known)) => known,
            _ => reality.phase(
                grant,
                known,
                reality.breadcrumb.is_some(),
                // Whoever writes it in our place decides how it trusts.
                prior
                    .trust_policy_after
                    .as_deref()
                    .filter(|_| !settings.verify_trust),
            ),
        };
        if known.is_some() && phase == Phase::NotStarted && reality.is_untouched() {
            response.state = Value::Null;
            return Ok(());
        }
        reality::warn_of_drift(
            &reality,
            phase,
            known.unwrap_or_default(),
            &settings,
            &mut response.diagnostics,
        );
        state.phase = phase.as_str().into();
        // With other credentials than an interrupted apply was to give them, pods prove nothing.
        let unfinished = response.private.get(plan::CHANGED).is_some();
        state.verified_at = if unfinished && phase < Phase::Retired {
            Attr::Null
        } else {
            plan::verified_at(&reality, phase, &prior)
        };
        if let Some(role) = reality.role_info() {
            let text = &role.assume_role_policy;
            let same = state
                .trust_policy_after
                .as_deref()
                .is_some_and(|known| equivalent_json(known, text));
            if !same {
                state.trust_policy_after = Attr::Known(text.clone());
            }
            if !state.trust_policy_before.is_known() {
                state.trust_policy_before =
                    Attr::Known(ours::original_trust(&reality, grant, text));
            }
        }
    }
    if let Some(association) = &reality.association {
        state.association_id = Attr::Known(association.id.clone());
        state.association_arn = Attr::Known(association.arn.clone());
    }
    backward::remember_irsa(&reality, &mut response.private, importing);
    see_owner(&reality, importing, response);
    if let Some(association) = reality.own_association() {
        state.target_role_arn = Attr::from(association.target_role_arn.clone());
        state.disable_session_tags = Attr::Known(association.disable_session_tags);
        keep_or_take(&mut state.policy, association.policy.as_deref());
        if association.is_migrations() {
            let mut remote = association.tags.clone();
            remote.remove(MIGRATION_TAG);
            let tags = context.provider.read_tags(&remote, &prior.tags);
            state.tags = tags.tags;
            state.tags_all = tags.tags_all;
        }
    }
    let (blockers, warnings) = plan::finding_models(&reality.findings(&settings));
    state.blockers = Attr::Known(blockers);
    state.warnings = Attr::Known(warnings);
    state.workloads = Attr::Known(plan::workload_models(&reality, false));
    response.private.remove(LEFT);
    Left::of(&reality).save(&mut response.private);
    plan::remember_annotation(&reality, &mut response.private);
    response.state = state.into_value();
    Ok(())
}

/// Compares the token of the association with this object's. An import takes what is there.
fn see_owner(reality: &Reality, importing: bool, response: &mut ReadResponse) {
    let association = reality.association.as_ref();
    let association = association.filter(|association| association.is_migrations());
    if importing && let Some(token) = association.and_then(AssociationFacts::token) {
        ownership::remember(&mut response.private, token);
    }
    let anothers =
        association.filter(|association| ownership::is_anothers(&response.private, association));
    ownership::note(&mut response.private, anothers.is_some());
    if let Some(association) = anothers {
        response.diagnostics.warning(
            "Migration is another resource's",
            format!(
                "Another podidentity_irsa_migration has gone on with the migration of the {}: the tag {MIGRATION_TAG} of the \
                 association {} has its token. Destroying this one changes nothing, and updating it is refused. Let Terraform \
                 forget one of the two (a removed block with destroy = false); to go on with this one, take the migration over \
                 with terraform apply -replace.",
                reality.unit.inside(),
                association.id
            ),
        );
    }
}

/// Takes the policy that EKS has, unless the state has the same in other words.
fn keep_or_take(state: &mut Attr<String>, found: Option<&str>) {
    match (state.as_deref(), found) {
        (Some(known), Some(found)) if equivalent_json(known, found) => {}
        (_, found) => *state = Attr::from(found.map(ToOwned::to_owned)),
    }
}

#[cfg(test)]
mod tests;
