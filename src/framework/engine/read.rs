//! Refreshing the state of an object.

use crate::cty::Value;
use crate::framework::Context;
use crate::framework::diagnostic::Diagnostics;
use crate::framework::resource::{ReadRequest, ReadResponse, Resource};

use super::conform::{conform, null_write_only, settle_unknowns};
use super::equality::keep_equivalent;
use super::{IdentityType, ObjectSchema, identity, run};

/// Refreshes one object. With an error the state stays as it was (rule R5).
pub async fn read<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: ReadRequest,
) -> ReadResponse {
    let type_name = resource.type_name();
    let source = format!("The refreshed state of {type_name}");
    let mut response = ReadResponse {
        state: request.current_state.clone(),
        private: request.private.clone(),
        identity: request.current_identity.clone(),
        diagnostics: Diagnostics::new(),
    };
    let before = (
        request.current_state.clone(),
        request.current_identity.clone(),
    );
    let outcome = run(
        &format!("reading {type_name}"),
        &context.cancel,
        resource.read(context, request.clone(), &mut response),
    )
    .await
    .flatten();
    response.diagnostics.extend(outcome.err());
    let (current_state, current_identity) = before;
    if response.diagnostics.has_errors() {
        response.state = current_state;
        response.private = request.private;
        response.identity = if identity.is_some() {
            current_identity
        } else {
            Value::Null
        };
        return response;
    }

    let block = &schema.schema.block;
    let diagnostics = &mut response.diagnostics;
    conform(schema, &mut response.state, &source, diagnostics);
    keep_equivalent(block.into(), &current_state, &mut response.state);
    settle_unknowns(&mut response.state, &source, diagnostics);
    null_write_only(block.into(), &mut response.state);
    identity::check(
        identity,
        &current_identity,
        &mut response.identity,
        &response.state,
        &source,
        diagnostics,
    );
    response
}

#[cfg(test)]
mod tests;
