//! The trait of managed resources, and the small traits for what only some of them do.

use async_trait::async_trait;

use crate::cty::{Path, Value};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::schema::Schema;
use super::{Context, Private};

/// A managed resource. `P` is the provider's configured data.
///
/// Optional behaviour is a separate small trait, reached through a method that answers `None` by default:
/// [`ValidateConfig`], [`ModifyPlan`], [`ImportState`], [`UpgradeState`], [`Identity`], [`MoveState`].
///
/// Each operation writes into a response that the engine owns, and may end early with one error diagnostic, which the
/// engine adds to the response's: what was written before it is kept.
#[async_trait]
pub trait Resource<P>: Send + Sync {
    /// The full type name: `podidentity_role`.
    fn type_name(&self) -> &'static str;

    /// The schema. Built once, at start.
    fn schema(&self) -> Schema;

    /// Creates the object. `response.state` starts null; set it as soon as the call that creates the object has answered,
    /// and again whenever more is known: whatever is there when this returns is saved, with an error too (rule A9).
    ///
    /// # Errors
    /// What stopped the operation.
    async fn create(
        &self,
        context: &Context<P>,
        request: CreateRequest,
        response: &mut CreateResponse,
    ) -> Result<(), Diagnostic>;

    /// Refreshes. `response.state` starts as the current state; set it to [`Value::Null`] when the object is gone.
    ///
    /// # Errors
    /// What stopped the operation; gone is none.
    async fn read(
        &self,
        context: &Context<P>,
        request: ReadRequest,
        response: &mut ReadResponse,
    ) -> Result<(), Diagnostic>;

    /// Updates in place. `response.state` starts as the prior state; keep it true after every step.
    ///
    /// # Errors
    /// What stopped the operation.
    async fn update(
        &self,
        context: &Context<P>,
        request: UpdateRequest,
        response: &mut UpdateResponse,
    ) -> Result<(), Diagnostic>;

    /// Deletes. Already gone is success. Without an error the framework clears the state.
    ///
    /// # Errors
    /// What stopped the operation.
    async fn delete(
        &self,
        context: &Context<P>,
        request: DeleteRequest,
        response: &mut DeleteResponse,
    ) -> Result<(), Diagnostic>;

    /// Checks that span attributes.
    fn as_validate_config(&self) -> Option<&dyn ValidateConfig> {
        None
    }

    /// Changes of the plan that span attributes or need look-ups.
    fn as_modify_plan(&self) -> Option<&dyn ModifyPlan<P>> {
        None
    }

    /// `terraform import` and `import` blocks.
    fn as_import_state(&self) -> Option<&dyn ImportState<P>> {
        None
    }

    /// Upgrades of state saved by an older schema version.
    fn as_upgrade_state(&self) -> Option<&dyn UpgradeState> {
        None
    }

    /// Resource identity (Terraform 1.12 and later).
    fn as_identity(&self) -> Option<&dyn Identity> {
        None
    }

    /// `moved` blocks from other resource types (Terraform 1.8 and later).
    fn as_move_state(&self) -> Option<&dyn MoveState> {
        None
    }
}

/// Checks that span attributes; runs after the validators of the schema, without a configured provider.
pub trait ValidateConfig: Send + Sync {
    /// Adds a diagnostic for each fault. Unknown values may turn out right: skip them.
    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics);
}

/// Changes of a plan that span attributes or need look-ups.
#[async_trait]
pub trait ModifyPlan<P>: Send + Sync {
    /// Runs after defaults, computed marking and plan modifiers; on destroy too, with a null planned state.
    ///
    /// What it may do: make unknown values known, make computed values unknown, add replacement paths and diagnostics.
    /// It must never change a configured value (rule P7), and it must answer the same at apply time (rule F2).
    async fn modify_plan(
        &self,
        context: &Context<P>,
        request: &ModifyPlanRequest,
        response: &mut ModifyPlanResponse,
    );
}

/// Import by id, and by identity once the resource has one.
#[async_trait]
pub trait ImportState<P>: Send + Sync {
    /// Sets in `response.state` (an object with every attribute null) what read needs to find the object.
    ///
    /// # Errors
    /// When the id does not name an object.
    async fn import_state(
        &self,
        context: &Context<P>,
        request: ImportStateRequest,
        response: &mut ImportStateResponse,
    ) -> Result<(), Diagnostic>;
}

/// Upgrades of saved state.
pub trait UpgradeState: Send + Sync {
    /// Turns the raw JSON state saved by schema version `from` into the JSON form of the current version.
    ///
    /// # Errors
    /// When the version is unknown or the state is not of that version.
    fn upgrade_state(
        &self,
        from: i64,
        state: serde_json::Value,
    ) -> Result<serde_json::Value, Diagnostic>;
}

/// The identity of a resource: what names the remote object among all of its type.
pub trait Identity: Send + Sync {
    /// Attributes (bool, number, string or lists of these), by name; `true`: required for import.
    fn identity_schema(&self) -> IdentitySchema;

    /// Turns the identity saved by identity schema version `from` into the JSON form of the current version.
    ///
    /// # Errors
    /// When the version is unknown or the identity is not of that version. There is only one version by default.
    fn upgrade_identity(
        &self,
        from: i64,
        _identity: serde_json::Value,
    ) -> Result<serde_json::Value, Diagnostic> {
        Err(Diagnostic::provider_bug(format!(
            "There is no upgrade of identities saved by version {from}."
        )))
    }
}

/// Schema of a resource identity.
#[derive(Clone, Debug, Default)]
pub struct IdentitySchema {
    /// Version of the identity's format.
    pub version: i64,
    /// Its attributes.
    pub attributes: Vec<IdentityAttribute>,
}

/// One attribute of a resource identity.
#[derive(Clone, Debug)]
pub struct IdentityAttribute {
    /// The name.
    pub name: &'static str,
    /// Bool, number, string or a list of these.
    pub ty: crate::cty::Type,
    /// For documentation.
    pub description: String,
    /// Whether an import by identity must give it; otherwise it may.
    pub required_for_import: bool,
}

/// State moved from another resource type.
pub trait MoveState: Send + Sync {
    /// The state of this type made from the raw JSON state of `source_type_name`, or `None` if the source is not
    /// understood.
    ///
    /// # Errors
    /// When the source is understood but its state is not usable.
    fn move_state(&self, request: &MoveStateRequest) -> Result<Option<Value>, Diagnostic>;
}

/// See [`MoveState::move_state`].
#[derive(Clone, Debug)]
pub struct MoveStateRequest {
    /// Address of the provider that wrote the source: `registry.terraform.io/hashicorp/aws`.
    pub source_provider_address: String,
    /// Type of the source resource: `aws_iam_role`.
    pub source_type_name: String,
    /// Schema version of the source state.
    pub source_schema_version: i64,
    /// The source state as saved.
    pub source_state: serde_json::Value,
}

/// See [`Resource::create`].
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// The configuration, wholly known.
    pub config: Value,
    /// The planned state; unknown where create decides.
    pub planned_state: Value,
    /// Private state of the plan.
    pub planned_private: Private,
}

/// See [`Resource::create`].
#[derive(Clone, Debug, Default)]
pub struct CreateResponse {
    /// The new state. Starts null.
    pub state: Value,
    /// Private state. Starts as planned.
    pub private: Private,
    /// The identity, for resources that have one. Starts null.
    pub identity: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// See [`Resource::read`].
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The state as saved, or as imported.
    pub current_state: Value,
    /// Private state.
    pub private: Private,
    /// The saved identity; null if there is none.
    pub current_identity: Value,
}

/// See [`Resource::read`].
#[derive(Clone, Debug, Default)]
pub struct ReadResponse {
    /// The refreshed state. Starts as the current state; null: gone.
    pub state: Value,
    /// Private state. Starts as saved.
    pub private: Private,
    /// The identity. Starts as saved.
    pub identity: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// See [`Resource::update`].
#[derive(Clone, Debug)]
pub struct UpdateRequest {
    /// The configuration, wholly known.
    pub config: Value,
    /// The state before.
    pub prior_state: Value,
    /// The planned state; unknown where update decides.
    pub planned_state: Value,
    /// Private state of the plan.
    pub planned_private: Private,
    /// The saved identity.
    pub prior_identity: Value,
}

/// See [`Resource::update`].
#[derive(Clone, Debug, Default)]
pub struct UpdateResponse {
    /// The new state. Starts as the prior state.
    pub state: Value,
    /// Private state. Starts as planned.
    pub private: Private,
    /// The identity. Starts as saved.
    pub identity: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// See [`Resource::delete`].
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// The state before.
    pub prior_state: Value,
    /// Private state of the plan.
    pub planned_private: Private,
    /// The saved identity.
    pub prior_identity: Value,
}

/// See [`Resource::delete`].
#[derive(Clone, Debug, Default)]
pub struct DeleteResponse {
    /// What is left if the deletion failed. Starts as the prior state.
    pub state: Value,
    /// Private state, kept if the deletion failed.
    pub private: Private,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// See [`ModifyPlan::modify_plan`].
#[derive(Clone, Debug)]
pub struct ModifyPlanRequest {
    /// The configuration; may hold unknowns.
    pub config: Value,
    /// The state before; null: create.
    pub prior_state: Value,
    /// The plan so far; null: destroy.
    pub planned_state: Value,
    /// Private state before.
    pub prior_private: Private,
    /// Private state of the first plan, when this is the plan at apply time (Terraform 1.16 and later): what was resolved
    /// then can be used again, so that both plans agree (rule F2). `None` in the first plan and before 1.16.
    pub planned_private: Option<Private>,
}

/// See [`ModifyPlan::modify_plan`].
#[derive(Clone, Debug, Default)]
pub struct ModifyPlanResponse {
    /// The plan. Starts as in the request.
    pub planned_state: Value,
    /// Paths whose change replaces the object.
    pub requires_replace: Vec<Path>,
    /// Private state of the plan. Starts as before.
    pub planned_private: Private,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// See [`ImportState::import_state`].
#[derive(Clone, Debug)]
pub struct ImportStateRequest {
    /// The id the user gave; empty when importing by identity.
    pub id: String,
    /// The identity the user gave, if any.
    pub identity: Option<Value>,
}

/// See [`ImportState::import_state`].
#[derive(Clone, Debug, Default)]
pub struct ImportStateResponse {
    /// Starts as an object with every attribute null.
    pub state: Value,
    /// Private state.
    pub private: Private,
    /// The identity.
    pub identity: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}
