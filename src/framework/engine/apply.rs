//! Applying a planned change: create, update or delete.
//!
//! Whatever happens, the answer holds every piece of state the resource has set by then (rule A9): an object that exists
//! and is not in the state is lost to the user.

use crate::cty::Value;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::resource::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, Resource, UpdateRequest,
    UpdateResponse,
};
use crate::framework::{Context, Private};

use super::conform::{conform, null_write_only, settle_unknowns};
use super::equality::keep_equivalent;
use super::{IdentityType, ObjectSchema, identity, run};

/// What core asks.
#[derive(Clone, Debug)]
pub struct ApplyRequest {
    /// The configuration; null: delete.
    pub config: Value,
    /// The state before; null: create.
    pub prior_state: Value,
    /// The plan; null: delete.
    pub planned_state: Value,
    /// Private state of the plan.
    pub planned_private: Private,
    /// Identity of the plan.
    pub planned_identity: Value,
}

/// What core gets.
#[derive(Clone, Debug, Default)]
pub struct ApplyResponse {
    /// The new state, wholly known; with an error, as far as the change got.
    pub new_state: Value,
    /// Private state.
    pub private: Private,
    /// The identity.
    pub new_identity: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// Creates, updates or deletes one object, as prior state and plan say.
pub async fn apply<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: ApplyRequest,
) -> ApplyResponse {
    if request.planned_state.is_null() {
        delete(resource, schema, identity, context, request).await
    } else if request.prior_state.is_null() {
        create(resource, schema, identity, context, request).await
    } else {
        update(resource, schema, identity, context, request).await
    }
}

async fn create<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: ApplyRequest,
) -> ApplyResponse {
    let type_name = resource.type_name();
    let create_request = CreateRequest {
        config: request.config,
        planned_state: request.planned_state.clone(),
        planned_private: request.planned_private.clone(),
    };
    let mut created = CreateResponse {
        state: Value::Null,
        private: request.planned_private,
        identity: Value::Null,
        diagnostics: Diagnostics::new(),
    };
    let outcome = run(
        &format!("creating {type_name}"),
        &context.cancel,
        resource.create(context, create_request, &mut created),
    )
    .await
    .flatten();
    let mut diagnostics = created.diagnostics;
    diagnostics.extend(outcome.err());
    if created.state.is_null() && !diagnostics.has_errors() {
        diagnostics.push(Diagnostic::provider_bug(format!(
            "Creating {type_name} ended without an error and without a state. The object may exist: look for it, and \
             import it with terraform import or an import block, or delete it by hand before the next apply."
        )));
    }
    finish(
        schema,
        identity,
        &format!("The new state of {type_name}"),
        &request.planned_state,
        &Value::Null,
        ApplyResponse {
            new_state: created.state,
            private: created.private,
            new_identity: created.identity,
            diagnostics,
        },
    )
}

async fn update<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: ApplyRequest,
) -> ApplyResponse {
    let type_name = resource.type_name();
    let update_request = UpdateRequest {
        config: request.config,
        prior_state: request.prior_state.clone(),
        planned_state: request.planned_state.clone(),
        planned_private: request.planned_private.clone(),
        prior_identity: request.planned_identity.clone(),
    };
    let mut updated = UpdateResponse {
        state: request.prior_state.clone(),
        private: request.planned_private,
        identity: request.planned_identity.clone(),
        diagnostics: Diagnostics::new(),
    };
    let outcome = run(
        &format!("updating {type_name}"),
        &context.cancel,
        resource.update(context, update_request, &mut updated),
    )
    .await
    .flatten();
    let mut diagnostics = updated.diagnostics;
    diagnostics.extend(outcome.err());
    if updated.state.is_null() {
        if !diagnostics.has_errors() {
            diagnostics.push(Diagnostic::provider_bug(format!(
                "Updating {type_name} ended without an error and without a state. The state from before is kept; run \
                 terraform plan to see how it differs from reality."
            )));
        }
        updated.state = request.prior_state;
    }
    finish(
        schema,
        identity,
        &format!("The updated state of {type_name}"),
        &request.planned_state,
        &request.planned_identity,
        ApplyResponse {
            new_state: updated.state,
            private: updated.private,
            new_identity: updated.identity,
            diagnostics,
        },
    )
}

async fn delete<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: ApplyRequest,
) -> ApplyResponse {
    let type_name = resource.type_name();
    let delete_request = DeleteRequest {
        prior_state: request.prior_state.clone(),
        planned_private: request.planned_private.clone(),
        prior_identity: request.planned_identity.clone(),
    };
    let mut deleted = DeleteResponse {
        state: request.prior_state.clone(),
        private: request.planned_private,
        diagnostics: Diagnostics::new(),
    };
    let outcome = run(
        &format!("deleting {type_name}"),
        &context.cancel,
        resource.delete(context, delete_request, &mut deleted),
    )
    .await
    .flatten();
    let mut diagnostics = deleted.diagnostics;
    diagnostics.extend(outcome.err());
    if !diagnostics.has_errors() {
        return ApplyResponse {
            diagnostics,
            ..ApplyResponse::default()
        };
    }
    if deleted.state.is_null() {
        deleted.state = request.prior_state;
    }
    let unchanged = deleted.state.clone();
    finish(
        schema,
        identity,
        &format!("The state of {type_name} after a failed deletion"),
        &unchanged,
        &request.planned_identity.clone(),
        ApplyResponse {
            new_state: deleted.state,
            private: deleted.private,
            new_identity: request.planned_identity,
            diagnostics,
        },
    )
}

/// Makes the result one that core can decode and save.
fn finish(
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    source: &str,
    planned_state: &Value,
    planned_identity: &Value,
    mut response: ApplyResponse,
) -> ApplyResponse {
    let block = &schema.schema.block;
    let diagnostics = &mut response.diagnostics;
    conform(schema, &mut response.new_state, source, diagnostics);
    keep_equivalent(block.into(), planned_state, &mut response.new_state);
    settle_unknowns(&mut response.new_state, source, diagnostics);
    null_write_only(block.into(), &mut response.new_state);
    identity::check(
        identity,
        planned_identity,
        &mut response.new_identity,
        &response.new_state,
        source,
        diagnostics,
    );
    response
}

#[cfg(test)]
mod tests;
