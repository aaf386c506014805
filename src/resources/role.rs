//! `podidentity_role`: an IAM role with the trust policy that EKS Pod Identity needs.

mod api;
mod apply;
mod refresh;
mod schema;
mod trust;
mod unique_name;

use async_trait::async_trait;

use crate::cty::{Path, Value};
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::Attr;
use crate::framework::resource::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ImportState, ImportStateRequest,
    ImportStateResponse, ModifyPlan, ModifyPlanRequest, ModifyPlanResponse, ReadRequest,
    ReadResponse, Resource, UpdateRequest, UpdateResponse, ValidateConfig,
};
use crate::framework::schema::Schema;
use crate::framework::{Context, Diagnostics};
use crate::policy::name::check_role_name;
use crate::policy::size::check_inline_policies_size;
use crate::policy::{Document, RoleArn, check_permission_policy, equivalent_json};
use crate::provider::ProviderData;
use crate::resources::arns::chain;
use crate::resources::tags;

use trust::Built;
use unique_name::DEFAULT_PREFIX;

/// The resource type.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoleResource;

const CREATING: &str = "Creating IAM role";
const READING: &str = "Reading IAM role";
const UPDATING: &str = "Updating IAM role";
const DELETING: &str = "Deleting IAM role";
const IMPORTING: &str = "Importing IAM role";
const INVALID_INLINE_POLICY: &str = "Invalid inline policy";

#[async_trait]
impl Resource<ProviderData> for RoleResource {
    fn type_name(&self) -> &'static str {
        "podidentity_role"
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
        apply::create(context, &request, &mut response.state).await
    }

    async fn read(
        &self,
        context: &Context<ProviderData>,
        request: ReadRequest,
        response: &mut ReadResponse,
    ) -> Result<(), Diagnostic> {
        refresh::read(context, &request, response).await
    }

    async fn update(
        &self,
        context: &Context<ProviderData>,
        request: UpdateRequest,
        response: &mut UpdateResponse,
    ) -> Result<(), Diagnostic> {
        apply::update(context, &request, &mut response.state).await
    }

    async fn delete(
        &self,
        context: &Context<ProviderData>,
        request: DeleteRequest,
        response: &mut DeleteResponse,
    ) -> Result<(), Diagnostic> {
        apply::delete(context, &request, &mut response.state).await
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

impl ValidateConfig for RoleResource {
    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics) {
        // The provider's service principal is not known here; the plan checks with it.
        let trust = config.get("trust");
        diagnostics.append(trust::check(trust, &Attr::Null));
        if trust.is_wholly_known()
            && let Built::Known(document) = trust::build(trust, &Attr::Null)
            && let Some(diagnostic) = trust::check_size(&document, None)
            && diagnostic.severity == crate::framework::Severity::Error
        {
            diagnostics.push(diagnostic);
        }
        check_inline_policies(config.get("inline_policies"), diagnostics);
    }
}

fn check_inline_policies(policies: &Value, diagnostics: &mut Diagnostics) {
    let path = Path::from("inline_policies");
    let known = || {
        policies
            .as_entries()
            .into_iter()
            .flatten()
            .filter_map(|(name, document)| Some((name, document.as_str()?)))
    };
    for (name, text) in known() {
        // What is no document at all is reported by the validator of the attribute.
        let Ok(document) = Document::parse(text) else {
            continue;
        };
        for problem in check_permission_policy(&document) {
            diagnostics.attribute_error(
                path.key(name.clone()),
                INVALID_INLINE_POLICY,
                format!(
                    "The inline policy {name:?} cannot be used: {}.",
                    chain(&problem).trim_end_matches('.')
                ),
            );
        }
    }
    if let Err(error) = check_inline_policies_size(known().map(|(_, text)| text)) {
        diagnostics.attribute_error(
            path,
            "Inline policies too large",
            format!(
                "IAM does not take this: {error}. Move some of it into managed policies and list them in policy_arns."
            ),
        );
    }
}

#[async_trait]
impl ModifyPlan<ProviderData> for RoleResource {
    async fn modify_plan(
        &self,
        context: &Context<ProviderData>,
        request: &ModifyPlanRequest,
        response: &mut ModifyPlanResponse,
    ) {
        if response.planned_state.is_null() {
            return;
        }
        tags::plan(&context.provider, request, response);
        plan_name(request, response);
        plan_trust_policy(&context.provider, request, response);
    }
}

/// Plans `name_prefix`, and a new name when a prefix takes the place of a name.
fn plan_name(request: &ModifyPlanRequest, response: &mut ModifyPlanResponse) {
    let (config, planned) = (&request.config, &mut response.planned_state);
    if request.prior_state.is_null() && config.get("name_prefix").is_null() {
        let prefix = if config.get("name").is_null() {
            Value::from(DEFAULT_PREFIX)
        } else {
            Value::Null
        };
        planned.set("name_prefix", prefix);
    }
    let prefix_changes = !config.get("name_prefix").is_null()
        && planned.get("name_prefix") != request.prior_state.get("name_prefix");
    if prefix_changes {
        planned.set("name", Value::unknown());
        planned.set("id", Value::unknown());
    }
}

/// Plans the trust policy, known as soon as `trust` is. One that means what IAM has is no change.
fn plan_trust_policy(
    provider: &ProviderData,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) {
    let planned = &mut response.planned_state;
    let prior = request.prior_state.get("assume_role_policy");
    let document = match trust::build(planned.get("trust"), &provider.service_principal()) {
        Built::Known(document) => Some(*document),
        Built::NotYetKnown => None,
        Built::Invalid(diagnostics) => {
            response.diagnostics.append(diagnostics);
            None
        }
    };
    let value = document.as_ref().map_or_else(Value::unknown, |document| {
        let text = document.to_json();
        match prior.as_str() {
            Some(prior_text) if equivalent_json(prior_text, &text) => prior.clone(),
            _ => Value::from(text),
        }
    });
    if let Some(document) = &document {
        response
            .diagnostics
            .extend(trust::check_size(document, prior.as_str()));
    }
    planned.set("assume_role_policy", value);
    if let Some(name) = planned.get("name").as_str() {
        provider.planned_trusts().plan(name, document);
    }
}

#[async_trait]
impl ImportState<ProviderData> for RoleResource {
    /// By name. Read then takes everything into the state that the role has.
    async fn import_state(
        &self,
        _context: &Context<ProviderData>,
        request: ImportStateRequest,
        response: &mut ImportStateResponse,
    ) -> Result<(), Diagnostic> {
        let id = request.id.trim();
        if let Ok(arn) = RoleArn::parse(id) {
            return Err(Diagnostic::error(
                IMPORTING,
                format!(
                    "{id:?} is the ARN of a role. Roles are imported by name: use {:?}.",
                    arn.name
                ),
            ));
        }
        check_role_name(id).map_err(|error| {
            Diagnostic::error(
                IMPORTING,
                format!(
                    "{id:?} is not the name of an IAM role: {}. Roles are imported by name.",
                    error.rule
                ),
            )
        })?;
        response.state.set("name", Value::from(id));
        Ok(())
    }
}

/// Whose role it is, as the beginning of a sentence.
fn describe(name: &str) -> String {
    format!("The IAM role {name:?}")
}

fn missing(name: &str) -> Diagnostic {
    Diagnostic::provider_bug(format!("{name} is not known at apply time.")).at(name)
}

#[cfg(test)]
mod tests;
