//! `moved` blocks from other resource types.

use crate::cty::Value;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::resource::{MoveStateRequest, Resource};

use super::ObjectSchema;
use super::conform::{conform, null_write_only, settle_unknowns};

/// The state of `resource`'s type made from the state of another (rule M1).
///
/// # Errors
/// Diagnostics if the source is not understood, its state is not usable, or the result is null.
pub fn move_state<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    request: &MoveStateRequest,
) -> Result<Value, Diagnostics> {
    let type_name = resource.type_name();
    let moved = match resource.as_move_state() {
        Some(moves) => moves.move_state(request)?,
        None => None,
    };
    let Some(mut state) = moved else {
        return Err(Diagnostic::error(
            "Move not supported",
            format!(
                "State of {} ({}, schema version {}) cannot be moved to {type_name}. Use a removed block for the old \
                 object and an import block for the new one.",
                request.source_type_name,
                request.source_provider_address,
                request.source_schema_version
            ),
        )
        .into());
    };
    let source = format!("The moved state of {type_name}");
    let mut diagnostics = Diagnostics::new();
    if state.is_null() {
        diagnostics.push(Diagnostic::provider_bug(format!("{source} is null.")));
    }
    conform(schema, &mut state, &source, &mut diagnostics);
    settle_unknowns(&mut state, &source, &mut diagnostics);
    null_write_only((&schema.schema.block).into(), &mut state);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    Ok(state)
}
