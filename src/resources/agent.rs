//! `podidentity_agent`: the add-on `eks-pod-identity-agent` of a cluster.

mod api;
mod schema;
mod version;

use std::time::Duration;

use async_trait::async_trait;

use crate::aws::AwsErrorKind;
use crate::aws::tags::to_map;
use crate::cty::{Path, Value};
use crate::framework::Context;
use crate::framework::diagnostic::{Diagnostic, Severity};
use crate::framework::model::{FromValue, IntoValue};
use crate::framework::resource::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ImportState, ImportStateRequest,
    ImportStateResponse, ModifyPlan, ModifyPlanRequest, ModifyPlanResponse, ReadRequest,
    ReadResponse, Resource, UpdateRequest, UpdateResponse,
};
use crate::framework::schema::Schema;
use crate::framework::timeouts::{self, Operation};
use crate::migration::readiness;
use crate::policy::name::{Wildcards, check_cluster_name};
use crate::provider::ProviderData;
use crate::resources::{cluster_name, tags};

use api::Outcome;
use schema::{ADDON, Agent, TIMEOUTS};

/// The resource type.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentResource;

const CREATING: &str = "Installing EKS Pod Identity Agent";
const READING: &str = "Reading EKS Pod Identity Agent";
const UPDATING: &str = "Updating EKS Pod Identity Agent";
const DELETING: &str = "Removing EKS Pod Identity Agent";
const IMPORTING: &str = "Importing EKS Pod Identity Agent";

#[async_trait]
impl Resource<ProviderData> for AgentResource {
    fn type_name(&self) -> &'static str {
        "podidentity_agent"
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
        let result = create(context, &request, response).await;
        forget(context, &request.planned_state);
        result
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
        let result = update(context, &request, response).await;
        forget(context, &request.planned_state);
        result
    }

    async fn delete(
        &self,
        context: &Context<ProviderData>,
        request: DeleteRequest,
        _response: &mut DeleteResponse,
    ) -> Result<(), Diagnostic> {
        let result = delete(context, &request).await;
        forget(context, &request.prior_state);
        result
    }

    fn as_modify_plan(&self) -> Option<&dyn ModifyPlan<ProviderData>> {
        Some(self)
    }

    fn as_import_state(&self) -> Option<&dyn ImportState<ProviderData>> {
        Some(self)
    }
}

#[async_trait]
impl ModifyPlan<ProviderData> for AgentResource {
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
        version::plan(context, request, response).await;
        plan_computed(request, response);
        if request.prior_state.is_null()
            && let Some(cluster) = response.planned_state.get(cluster_name::NAME).as_str()
        {
            context.provider.planned_agents().plan(cluster);
        }
    }
}

/// What an update changes besides what is configured.
fn plan_computed(request: &ModifyPlanRequest, response: &mut ModifyPlanResponse) {
    let (prior, planned) = (&request.prior_state, &mut response.planned_state);
    if prior.is_null() {
        return;
    }
    let changed = ["addon_version", "configuration_values"]
        .into_iter()
        .any(|name| prior.get(name) != planned.get(name));
    if changed {
        planned.set("modified_at", Value::unknown());
        planned.set("status", Value::unknown());
    }
}

#[async_trait]
impl ImportState<ProviderData> for AgentResource {
    /// `cluster`, or `cluster:eks-pod-identity-agent` as `hashicorp/aws` writes it.
    async fn import_state(
        &self,
        _context: &Context<ProviderData>,
        request: ImportStateRequest,
        response: &mut ImportStateResponse,
    ) -> Result<(), Diagnostic> {
        let cluster = match request.id.split_once(':') {
            None => request.id.as_str(),
            Some((cluster, ADDON)) => cluster,
            Some(_) => "",
        };
        check_cluster_name(cluster, Wildcards::Refused).map_err(|error| {
            Diagnostic::error(
                IMPORTING,
                format!(
                    "{:?} is not an import id of the agent. Use the name of the cluster (for example demo), or \
                     cluster-name:{ADDON}. The {}: {}.",
                    request.id, error.kind, error.rule
                ),
            )
        })?;
        response.state.set("cluster_name", Value::from(cluster));
        Ok(())
    }
}

async fn create(
    context: &Context<ProviderData>,
    request: &CreateRequest,
    response: &mut CreateResponse,
) -> Result<(), Diagnostic> {
    let timeout = timeouts::of(&request.planned_state, Operation::Create, &TIMEOUTS);
    let plan = Agent::from_value(&request.planned_state, &Path::root())?;
    let cluster = cluster_of(&plan)?;
    let created = api::create(context, &cluster, &plan).await.map_err(|error| {
        let object = format!("The add-on {ADDON} was not installed in the cluster {cluster:?}.");
        if error.message().contains("already exists") {
            return error.into_diagnostic(
                CREATING,
                &object,
                &format!(
                    "To manage the add-on that is there, import it:\n\n  terraform import <address of this resource> {cluster}"
                ),
            );
        }
        let next = match error.message() {
            message if message.contains("onflict") => {
                "A self-managed agent seems to be there. Set resolve_conflicts_on_create = \"OVERWRITE\" to let EKS take it over."
            }
            _ => "",
        };
        error.into_diagnostic(CREATING, &object, next)
    })?;
    // The add-on exists: from here on its state is saved whatever happens.
    response.state = api::state(&context.provider, &plan, &created).into_value();
    match api::wait_until_active(context, &cluster, timeout).await {
        Ok(Outcome::Active(addon)) => {
            response.state = api::state(&context.provider, &plan, &addon).into_value();
            Ok(())
        }
        Ok(Outcome::Degraded(addon)) => {
            response.state = api::state(&context.provider, &plan, &addon).into_value();
            // A warning: an error would taint the add-on, and replacing it would not help a cluster without nodes.
            response.diagnostics.push(degraded(&cluster, &addon));
            Ok(())
        }
        Ok(Outcome::Failed(addon)) => {
            response.state = api::state(&context.provider, &plan, &addon).into_value();
            Err(Diagnostic::error(
                CREATING,
                format!(
                    "EKS could not install {ADDON} in the cluster {cluster:?}; its status is {}.\n\n{}\n\nSolve what EKS \
                     reports and apply again, which removes the failed add-on and installs it anew.",
                    api::status(&addon),
                    api::health(&addon)
                ),
            ))
        }
        Err(error) => {
            let mut diagnostic = error.into_diagnostic(
                CREATING,
                &format!(
                    "{ADDON} was installed in the cluster {cluster:?} but did not become active."
                ),
                "",
            );
            if error.kind() != AwsErrorKind::Timeout {
                return Err(diagnostic);
            }
            // The state is true, and replacing an agent that is slow would take it away from every node.
            diagnostic.severity = Severity::Warning;
            response.diagnostics.push(diagnostic);
            Ok(())
        }
    }
}

async fn read(
    context: &Context<ProviderData>,
    request: &ReadRequest,
    response: &mut ReadResponse,
) -> Result<(), Diagnostic> {
    let prior = Agent::from_value(&request.current_state, &Path::root())?;
    let cluster = cluster_of(&prior)?;
    match api::describe(context, &cluster).await {
        Ok(found) => {
            response.state = api::state(&context.provider, &prior, &found).into_value();
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            response.state = Value::Null;
            Ok(())
        }
        Err(error) if error.is_not_yet_known() => {
            response.diagnostics.warning(
                "EKS Pod Identity Agent not refreshed",
                format!(
                    "The add-on of the cluster {cluster:?} is planned as it was last seen: {error}."
                ),
            );
            Ok(())
        }
        Err(error) => Err(error.into_diagnostic(
            READING,
            &format!("The add-on {ADDON} of the cluster {cluster:?} could not be read."),
            "",
        )),
    }
}

async fn update(
    context: &Context<ProviderData>,
    request: &UpdateRequest,
    response: &mut UpdateResponse,
) -> Result<(), Diagnostic> {
    let timeout = timeouts::of(&request.planned_state, Operation::Update, &TIMEOUTS);
    let plan = Agent::from_value(&request.planned_state, &Path::root())?;
    let prior = Agent::from_value(&request.prior_state, &Path::root())?;
    let cluster = cluster_of(&plan)?;
    let mut state = prior.clone();
    if prior.addon_version != plan.addon_version
        || prior.configuration_values != plan.configuration_values
    {
        let result = api::update(context, &cluster, &prior, &plan, timeout).await;
        // Whatever came of it, the state says what is there now.
        if let Some(found) = &result.found {
            state = api::state(&context.provider, &prior, found);
            response.state = state.clone().into_value();
        }
        match result.outcome {
            Ok(()) => {}
            Err(api::UpdateError::Call(error)) => {
                let health = result.found.as_ref().map(api::health).unwrap_or_default();
                let hint = if error.message().contains("onflict") {
                    "Set resolve_conflicts_on_update to \"OVERWRITE\" to reset what was changed in the cluster, or to \
                     \"PRESERVE\" to keep it."
                } else {
                    ""
                };
                return Err(error.into_diagnostic(
                    UPDATING,
                    &format!("The add-on {ADDON} of the cluster {cluster:?} was not updated."),
                    [hint, &health]
                        .join(if hint.is_empty() { "" } else { "\n\n" })
                        .as_str(),
                ));
            }
            Err(api::UpdateError::Failed(reasons)) => {
                let health = result.found.as_ref().map(api::health).unwrap_or_default();
                return Err(Diagnostic::error(
                    UPDATING,
                    format!(
                        "EKS could not update {ADDON} in the cluster {cluster:?}.\n\n{reasons}\n\n{health}\n\nSolve what EKS reports and \
                         apply again. For conflicts with changes made in the cluster, set resolve_conflicts_on_update to \
                         \"OVERWRITE\" or \"PRESERVE\"."
                    ),
                ));
            }
        }
        if let Some(found) = &result.found {
            if api::status(found) == "DEGRADED" {
                response.diagnostics.push(degraded(&cluster, found));
            }
            // As configured where it means the same; what the plan left open as it is now.
            state.configuration_values = plan.configuration_values.clone();
        }
    }
    let arn = prior.arn.as_deref().unwrap_or_default().to_owned();
    let wanted = to_map(&plan.tags_all);
    tags::change_eks(context, &arn, &to_map(&prior.tags_all), &wanted)
        .await
        .map_err(|error| {
            error.into_diagnostic(
                UPDATING,
                &format!(
                    "The tags of the add-on {ADDON} of the cluster {cluster:?} were not changed."
                ),
                "",
            )
        })?;
    state.preserve = plan.preserve;
    state.resolve_conflicts_on_create = plan.resolve_conflicts_on_create;
    state.resolve_conflicts_on_update = plan.resolve_conflicts_on_update;
    state.version_policy = plan.version_policy;
    state.tags = plan.tags;
    state.tags_all = plan.tags_all;
    state.timeouts = plan.timeouts;
    response.state = state.into_value();
    Ok(())
}

async fn delete(
    context: &Context<ProviderData>,
    request: &DeleteRequest,
) -> Result<(), Diagnostic> {
    let timeout: Duration = timeouts::of(&request.prior_state, Operation::Delete, &TIMEOUTS);
    let prior = Agent::from_value(&request.prior_state, &Path::root())?;
    let cluster = cluster_of(&prior)?;
    let preserve = prior.preserve.known().copied().unwrap_or_default();
    match api::delete(context, &cluster, preserve, timeout).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into_diagnostic(
            DELETING,
            &format!("The add-on {ADDON} of the cluster {cluster:?} was not removed."),
            "",
        )),
    }
}

/// Forgets what is known of the cluster's readiness, whatever came of the write.
fn forget(context: &Context<ProviderData>, state: &Value) {
    if let Some(cluster) = state.get(cluster_name::NAME).as_str() {
        readiness::forget(&context.provider, cluster);
    }
}

fn cluster_of(agent: &Agent) -> Result<String, Diagnostic> {
    agent.cluster_name.known().cloned().ok_or_else(|| {
        Diagnostic::provider_bug("The name of the agent's cluster is not known at apply time.")
            .at(cluster_name::NAME)
    })
}

/// The agent is there but not healthy.
fn degraded(cluster: &str, addon: &aws_sdk_eks::types::Addon) -> Diagnostic {
    Diagnostic::warning(
        "EKS Pod Identity Agent is degraded",
        format!(
            "{ADDON} is installed in the cluster {cluster:?}, but EKS reports it as DEGRADED.\n\n{}\n\nPods on nodes without \
             a healthy agent get no credentials. EKS goes on trying; a cluster without nodes becomes healthy with its first \
             node.",
            api::health(addon)
        ),
    )
}
