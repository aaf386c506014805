//! Importing an existing object.

use crate::cty::Value;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::resource::{ImportStateRequest, ImportStateResponse, Resource};
use crate::framework::{Context, Private};

use super::conform::{conform, null_write_only, settle_unknowns};
use super::{IdentityType, ObjectSchema, run};

/// Makes the state that the read after it starts from. Core refuses more or less than one object (rule I1), so the answer
/// is one, or errors.
pub async fn import<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: ImportStateRequest,
) -> ImportStateResponse {
    let type_name = resource.type_name();
    let empty = schema.empty_value();
    let mut response = ImportStateResponse {
        state: empty.clone(),
        private: Private::default(),
        identity: request.identity.clone().unwrap_or_default(),
        diagnostics: Diagnostics::new(),
    };
    let Some(import) = resource.as_import_state() else {
        response.diagnostics.error(
            "Import not supported",
            format!("Objects of type {type_name} cannot be imported."),
        );
        return response;
    };
    let by_identity = request.identity.is_some();
    let outcome = run(
        &format!("importing {type_name}"),
        &context.cancel,
        import.import_state(context, request, &mut response),
    )
    .await
    .flatten();
    let diagnostics = &mut response.diagnostics;
    diagnostics.extend(outcome.err());
    if diagnostics.has_errors() {
        return response;
    }
    let source = format!("The imported state of {type_name}");
    conform(schema, &mut response.state, &source, diagnostics);
    settle_unknowns(&mut response.state, &source, diagnostics);
    null_write_only((&schema.schema.block).into(), &mut response.state);
    if identity.is_none() {
        response.identity = Value::Null;
    }
    let nothing_known = response.state.is_null() || response.state == empty;
    if nothing_known && !diagnostics.has_errors() && !(by_identity && response.identity.is_set()) {
        diagnostics.push(Diagnostic::provider_bug(format!(
            "Importing {type_name} ended without an error, but set nothing by which the object could be read."
        )));
    }
    response
}

#[cfg(test)]
mod tests;
