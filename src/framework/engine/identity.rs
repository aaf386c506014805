//! Resource identity: its type, and the checks on what a resource answers.

use crate::cty::{Path, Type, Value};
use crate::framework::resource::IdentitySchema;
use crate::framework::{Diagnostic, Diagnostics};

use super::conform::{conform_type, settle_unknowns};

/// The identity schema of a resource with the type of its values.
#[derive(Clone, Debug)]
pub struct IdentityType {
    /// The schema.
    pub schema: IdentitySchema,
    /// The type of a whole identity.
    pub ty: Type,
}

impl From<IdentitySchema> for IdentityType {
    fn from(schema: IdentitySchema) -> Self {
        let ty = Type::object(schema.attributes.iter().map(|a| (a.name, a.ty.clone())));
        Self { schema, ty }
    }
}

/// Checks the identity that came with `state` (rules A8, R4): there is one if there is a state, it is wholly known, and
/// what `prior` already said has not changed.
pub(super) fn check(
    identity_type: Option<&IdentityType>,
    prior: &Value,
    identity: &mut Value,
    state: &Value,
    source: &str,
    diagnostics: &mut Diagnostics,
) {
    let Some(identity_type) = identity_type else {
        // Core refuses an identity for a type that has none.
        *identity = Value::Null;
        return;
    };
    if state.is_null() {
        *identity = Value::Null;
        return;
    }
    conform_type(
        &identity_type.ty,
        identity,
        &Path::root(),
        source,
        diagnostics,
    );
    settle_unknowns(identity, source, diagnostics);
    if diagnostics.has_errors() {
        return;
    }
    if identity.is_null() {
        diagnostics.push(Diagnostic::provider_bug(format!(
            "{source} came without a resource identity."
        )));
        return;
    }
    let changed = prior
        .as_entries()
        .into_iter()
        .flatten()
        .any(|(name, value)| {
            value.is_set() && value.is_wholly_known() && identity.get(name) != value
        });
    if changed {
        diagnostics.push(Diagnostic::provider_bug(format!(
            "{source} came with another resource identity than before. The identity of an object cannot change."
        )));
    }
}
