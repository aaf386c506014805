//! `podidentity_association`: one Kubernetes service account of one cluster gets one IAM role.

pub(crate) mod api;
mod injection_wait;
mod role_check;
mod schema;
mod this_run;

use async_trait::async_trait;

use crate::aws::AwsError;
use crate::aws::tags::to_map;
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
use crate::policy::size::check_session_policy_size;
use crate::provider::ProviderData;
use crate::resources::{cluster_name, propagation, tags};

pub use this_run::ThisRun;

use schema::{Association, ON_CONFLICT_ADOPT, ON_CONFLICT_ERROR, TIMEOUTS};

/// The resource type.
#[derive(Clone, Copy, Debug, Default)]
pub struct AssociationResource;

const CREATING: &str = "Creating EKS Pod Identity association";
const READING: &str = "Reading EKS Pod Identity association";
const UPDATING: &str = "Updating EKS Pod Identity association";
const DELETING: &str = "Deleting EKS Pod Identity association";
const IMPORTING: &str = "Importing EKS Pod Identity association";

#[async_trait]
impl Resource<ProviderData> for AssociationResource {
    fn type_name(&self) -> &'static str {
        "podidentity_association"
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
        let timeout = timeouts::of(&request.planned_state, Operation::Create, &TIMEOUTS);
        create(context, &request, response, timeout).await
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
        let timeout = timeouts::of(&request.planned_state, Operation::Update, &TIMEOUTS);
        update(context, &request, response, timeout).await
    }

    async fn delete(
        &self,
        context: &Context<ProviderData>,
        request: DeleteRequest,
        _response: &mut DeleteResponse,
    ) -> Result<(), Diagnostic> {
        let timeout = timeouts::of(&request.prior_state, Operation::Delete, &TIMEOUTS);
        delete(context, &request, timeout).await
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

impl ValidateConfig for AssociationResource {
    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics) {
        validate_settings(config, diagnostics);
        propagation::validate(config, "wait_for_injection", diagnostics);
    }
}

/// Checks what spans the settings of an association, wherever they are configured.
pub(crate) fn validate_settings(config: &Value, diagnostics: &mut Diagnostics) {
    let policy = config.get("policy");
    let disabled = config.get("disable_session_tags");
    if policy.is_set() && !disabled.is_unknown() && disabled.as_bool() != Some(true) {
        diagnostics.attribute_error(
            "policy",
            "Session policy needs session tags off",
            "EKS takes a session policy only together with disable_session_tags = true. Set it, or move the restriction \
             into the role's own policies.",
        );
    }
    if let Some(text) = policy.as_str()
        && let Err(error) = check_session_policy_size(text)
    {
        diagnostics.attribute_error(
            "policy",
            "Session policy too large",
            format!("This is longer than EKS allows: {error}."),
        );
    }
    if let (Some(role), Some(target)) = (
        config.get("role_arn").as_str(),
        config.get("target_role_arn").as_str(),
    ) && role == target
    {
        diagnostics.attribute_error(
            "target_role_arn",
            "Target role is the role itself",
            "target_role_arn names a second role that role_arn assumes. Leave it out to give pods role_arn directly.",
        );
    }
}

#[async_trait]
impl ModifyPlan<ProviderData> for AssociationResource {
    async fn modify_plan(
        &self,
        context: &Context<ProviderData>,
        request: &ModifyPlanRequest,
        response: &mut ModifyPlanResponse,
    ) {
        if response.planned_state.is_null() {
            return;
        }
        cluster_name::plan(&context.provider.default_cluster_name(), request, response);
        tags::plan(&context.provider, request, response);
        plan_computed(request, response);
        role_check::plan(context, request, response).await;
    }
}

/// What an update changes besides what is configured.
fn plan_computed(request: &ModifyPlanRequest, response: &mut ModifyPlanResponse) {
    let (prior, planned) = (&request.prior_state, &mut response.planned_state);
    if prior.is_null() {
        return;
    }
    let changed = |name: &str| prior.get(name) != planned.get(name);
    let settings = [
        "role_arn",
        "target_role_arn",
        "disable_session_tags",
        "policy",
    ];
    let external_id_changes = prior.get("target_role_arn").is_null()
        != planned.get("target_role_arn").is_null()
        || planned.get("target_role_arn").is_unknown();
    let modified = settings.into_iter().any(changed);
    if modified {
        planned.set("modified_at", Value::unknown());
    }
    if external_id_changes {
        planned.set("external_id", Value::unknown());
    }
}

#[async_trait]
impl ImportState<ProviderData> for AssociationResource {
    /// `cluster,association-id` as in `hashicorp/aws`, or `cluster,namespace,service-account`, which needs no look-up
    /// by the user.
    async fn import_state(
        &self,
        context: &Context<ProviderData>,
        request: ImportStateRequest,
        response: &mut ImportStateResponse,
    ) -> Result<(), Diagnostic> {
        let parts: Vec<&str> = request.id.split(',').map(str::trim).collect();
        let default_cluster = context.provider.default_cluster_name();
        let (cluster, id) = match (&parts[..], default_cluster.as_deref()) {
            ([cluster, id], _) if id.starts_with("a-") && !cluster.is_empty() => {
                (*cluster, (*id).to_owned())
            }
            ([id], Some(cluster)) if id.starts_with("a-") => (cluster, (*id).to_owned()),
            ([cluster, namespace, service_account], _)
                if parts.iter().all(|part| !part.is_empty()) =>
            {
                let found = api::find(context, cluster, namespace, service_account)
                    .await
                    .map_err(|error| {
                        error.into_diagnostic(
                            IMPORTING,
                            &format!(
                                "The associations of the cluster {cluster:?} could not be listed."
                            ),
                            "",
                        )
                    })?;
                let id = found.ok_or_else(|| {
                    Diagnostic::error(
                        IMPORTING,
                        format!(
                            "The cluster {cluster:?} has no association for the service account {service_account:?} in the \
                             namespace {namespace:?}."
                        ),
                    )
                })?;
                (*cluster, id)
            }
            _ => {
                return Err(Diagnostic::error(
                    IMPORTING,
                    format!(
                        "{:?} is not an import id of an association. Use cluster-name,association-id (for example \
                         demo,a-0123456789abcdefg) or cluster-name,namespace,service-account.",
                        request.id
                    ),
                ));
            }
        };
        response.state.set("cluster_name", Value::from(cluster));
        response.state.set("association_id", Value::from(id));
        // Not part of the association in EKS: its default, so that the plan after the import is empty.
        response
            .state
            .set("on_conflict", Value::from(ON_CONFLICT_ERROR));
        Ok(())
    }
}

async fn create(
    context: &Context<ProviderData>,
    request: &CreateRequest,
    response: &mut CreateResponse,
    timeout: std::time::Duration,
) -> Result<(), Diagnostic> {
    let plan = Association::from_value(&request.planned_state, &Path::root())?;
    role_check::before_apply(context, &plan).await?;
    let wanted = api::Wanted::new(&context.provider, &plan)?;
    let injection = injection_wait::prepare(context, &plan, &wanted).await?;
    match api::create(context, &wanted, timeout).await {
        Ok(created) => {
            response.state = api::state(&context.provider, &plan, &created).into_value();
        }
        Err(error) if error.code() == Some(api::IN_USE) => {
            on_conflict(context, response, &plan, &wanted, &error, timeout).await?;
        }
        Err(error) => {
            return Err(role_check::explain(context, &plan, &error)
                .await
                .unwrap_or_else(|| {
                    error.into_diagnostic(
                        CREATING,
                        &format!("{} was not associated.", wanted.describe()),
                        "",
                    )
                }));
        }
    }
    if let Some(injection) = injection {
        let id = response
            .state
            .get("association_id")
            .as_str()
            .unwrap_or_default()
            .to_owned();
        injection
            .wait(context, &id, &mut response.diagnostics)
            .await;
    }
    Ok(())
}

/// The service account has an association already.
async fn on_conflict(
    context: &Context<ProviderData>,
    response: &mut CreateResponse,
    plan: &Association,
    wanted: &api::Wanted,
    conflict: &AwsError,
    timeout: std::time::Duration,
) -> Result<(), Diagnostic> {
    let existing = match api::find(
        context,
        &wanted.cluster,
        &wanted.namespace,
        &wanted.service_account,
    )
    .await
    {
        Ok(Some(id)) => api::describe(context, &wanted.cluster, &id).await,
        Ok(None) => Err(conflict.clone()),
        Err(error) => Err(error),
    };
    let existing = existing.map_err(|error| {
        let refused = if error.code() == conflict.code() {
            String::new()
        } else {
            format!("Which one it is could not be read: {error}.")
        };
        conflict.into_diagnostic(
            CREATING,
            &format!("{} has an association already.", wanted.describe()),
            &refused,
        )
    })?;
    let id = existing.association_id().unwrap_or_default();
    let role = existing.role_arn().unwrap_or_default();
    if let Some(owner) = existing.owner_arn() {
        return Err(Diagnostic::error(
            CREATING,
            format!(
                "{} has the association {id}, which belongs to the add-on {owner}. It can only be changed through that \
                 add-on (its pod identity associations), and it goes away with the add-on. Remove this resource, or the \
                 association from the add-on.",
                wanted.describe()
            ),
        ));
    }
    if plan.on_conflict.as_deref() != Some(ON_CONFLICT_ADOPT) {
        return Err(Diagnostic::error(
            CREATING,
            format!(
                "{} has the association {id} already, with the role {role}. EKS allows one for each service account.\n\n\
                 To manage that association with this resource, import it:\n\n  \
                 terraform import <address of this resource> {},{id}\n\n\
                 or set on_conflict = \"{ON_CONFLICT_ADOPT}\" to take it over and change it to this configuration.",
                wanted.describe(),
                wanted.cluster
            ),
        ));
    }
    // Not in the state before it is as configured: an error with a state would taint it, and the next apply would delete
    // an association that worked before. Without a state the next apply adopts it again.
    let adopted = api::update(context, &existing, wanted, timeout)
        .await
        .map_err(|error| {
            error.into_diagnostic(
                CREATING,
                &format!("The association {id} was adopted but not changed to this configuration."),
                "",
            )
        })?;
    context.provider.associations().adopt(id);
    response.state = api::state(&context.provider, plan, &adopted).into_value();
    Ok(())
}

async fn read(
    context: &Context<ProviderData>,
    request: &ReadRequest,
    response: &mut ReadResponse,
) -> Result<(), Diagnostic> {
    let prior = Association::from_value(&request.current_state, &Path::root())?;
    let (Some(cluster), Some(id)) = (
        prior.cluster_name.as_deref(),
        prior.association_id.as_deref(),
    ) else {
        return Err(Diagnostic::provider_bug(
            "The state of an association holds no cluster name or association id.",
        ));
    };
    match api::describe(context, cluster, id).await {
        Ok(found) => {
            let importing = prior.association_arn.is_null();
            if importing && let Some(owner) = found.owner_arn() {
                response.diagnostics.error(
                    IMPORTING,
                    format!(
                        "The association {id} belongs to the add-on {owner} and can only be changed through it. Manage it \
                         with the add-on instead."
                    ),
                );
                return Ok(());
            }
            response.state = api::state(&context.provider, &prior, &found).into_value();
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            response.state = Value::Null;
            Ok(())
        }
        Err(error) if error.is_not_yet_known() => {
            response.diagnostics.warning(
                "EKS Pod Identity association not refreshed",
                format!("The association {id} is planned as it was last seen: {error}."),
            );
            Ok(())
        }
        Err(error) => Err(error.into_diagnostic(
            READING,
            &format!("The association {id} of the cluster {cluster:?} could not be read."),
            "",
        )),
    }
}

async fn update(
    context: &Context<ProviderData>,
    request: &UpdateRequest,
    response: &mut UpdateResponse,
    timeout: std::time::Duration,
) -> Result<(), Diagnostic> {
    let plan = Association::from_value(&request.planned_state, &Path::root())?;
    let prior = Association::from_value(&request.prior_state, &Path::root())?;
    let wanted = api::Wanted::new(&context.provider, &plan)?;
    let id = prior
        .association_id
        .as_deref()
        .unwrap_or_default()
        .to_owned();
    if api::settings_differ(&prior, &plan) {
        role_check::before_apply(context, &plan).await?;
        let updated = api::change(context, &id, &prior, &wanted, timeout).await;
        match updated {
            Ok(updated) => {
                // Tags are changed by calls of their own below: until then the old ones are the truth.
                let mut state = api::state(&context.provider, &plan, &updated);
                state.tags = prior.tags.clone();
                state.tags_all = prior.tags_all.clone();
                response.state = state.into_value();
            }
            Err(error) => {
                return Err(role_check::explain(context, &plan, &error)
                    .await
                    .unwrap_or_else(|| {
                        error.into_diagnostic(
                            UPDATING,
                            &format!(
                                "The association {id} of the cluster {:?} was not changed.",
                                wanted.cluster
                            ),
                            "",
                        )
                    }));
            }
        }
    }
    let arn = prior.association_arn.as_deref().unwrap_or_default();
    let before = to_map(&prior.tags_all);
    tags::change_eks(context, arn, &before, &wanted.tags)
        .await
        .map_err(|error| {
            error.into_diagnostic(
                UPDATING,
                &format!("The tags of the association {id} were not changed."),
                "",
            )
        })?;
    let mut state = Association::from_value(&response.state, &Path::root())?;
    state.on_conflict = plan.on_conflict;
    state.wait_for_injection = plan.wait_for_injection;
    state.tags = plan.tags;
    state.tags_all = plan.tags_all;
    state.timeouts = plan.timeouts;
    // Another spelling of the same policy or ARN is planned as configured.
    state.policy = plan.policy;
    state.role_arn = plan.role_arn;
    state.target_role_arn = plan.target_role_arn;
    if !matches!(plan.modified_at, Attr::Unknown) {
        state.modified_at = plan.modified_at;
    }
    response.state = state.into_value();
    Ok(())
}

async fn delete(
    context: &Context<ProviderData>,
    request: &DeleteRequest,
    timeout: std::time::Duration,
) -> Result<(), Diagnostic> {
    let prior = Association::from_value(&request.prior_state, &Path::root())?;
    let (Some(cluster), Some(id)) = (
        prior.cluster_name.as_deref(),
        prior.association_id.as_deref(),
    ) else {
        return Ok(());
    };
    // Replaced with create_before_destroy and on_conflict = "adopt": the new object is this very association.
    if context.provider.associations().has_adopted(id) {
        return Ok(());
    }
    match api::delete(context, cluster, id, timeout).await {
        Ok(()) => {
            context.provider.associations().delete(id);
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into_diagnostic(
            DELETING,
            &format!("The association {id} of the cluster {cluster:?} was not deleted."),
            "",
        )),
    }
}
