//! Bringing saved state and saved identities to the current schema version.

use serde_json::Value as Json;

use crate::cty::{Value, json};
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::resource::Resource;

use super::conform::{conform, null_write_only};
use super::{IdentityType, ObjectSchema};

/// The state saved as `raw` by schema version `version`, as a value of the current schema.
///
/// The same version passes through without attributes that the schema no longer has; an older one goes through
/// `UpgradeState`; a newer one is refused (rule U2).
///
/// # Errors
/// Diagnostics that say what the user can do.
pub fn upgrade<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    version: i64,
    raw: &[u8],
) -> Result<Value, Diagnostics> {
    let type_name = resource.type_name();
    let current = schema.schema.version;
    let saved = parse(raw, type_name)?;
    let upgraded = match (version.cmp(&current), resource.as_upgrade_state()) {
        (std::cmp::Ordering::Equal, _) => saved,
        (std::cmp::Ordering::Greater, _) => {
            return Err(Diagnostic::error(
                "State saved by a newer provider",
                format!(
                    "The state of this {type_name} has schema version {version}; this version of the provider knows \
                     versions up to {current}. Upgrade the provider."
                ),
            )
            .into());
        }
        (std::cmp::Ordering::Less, Some(upgrade)) => upgrade.upgrade_state(version, saved)?,
        (std::cmp::Ordering::Less, None) => {
            return Err(Diagnostic::provider_bug(format!(
                "The state of this {type_name} has schema version {version}, and the provider has no way from there to \
                 version {current}. An older version of the provider can still read it."
            ))
            .into());
        }
    };
    if upgraded.is_null() {
        return Err(Diagnostic::provider_bug(format!(
            "The state of {type_name}, upgraded from schema version {version}, is null."
        ))
        .into());
    }
    let mut value =
        json::value_from_tree_ignoring_unknown(upgraded, &schema.ty).map_err(|error| {
            Diagnostic::error(
                "Saved state cannot be read",
                format!(
                    "The saved state of this {type_name} (schema version {version}) does not fit the schema: {error}. \
                     If the state was edited by hand, restore an older version of it; otherwise please report this to \
                     the developers of the provider."
                ),
            )
        })?;
    let mut diagnostics = Diagnostics::new();
    conform(
        schema,
        &mut value,
        &format!("The upgraded state of {type_name}"),
        &mut diagnostics,
    );
    null_write_only((&schema.schema.block).into(), &mut value);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    Ok(value)
}

/// The identity saved as `raw` by identity schema version `version`, as a value of the current identity schema. State
/// from before the type had an identity has none: that is null.
///
/// # Errors
/// Diagnostics that say what the user can do.
pub fn upgrade_identity<P: Send + Sync>(
    resource: &dyn Resource<P>,
    identity: Option<&IdentityType>,
    version: i64,
    raw: &[u8],
) -> Result<Value, Diagnostics> {
    let type_name = resource.type_name();
    let (Some(identity), Some(declared)) = (identity, resource.as_identity()) else {
        return Err(Diagnostic::error(
            "Resource identity not supported",
            format!("Objects of type {type_name} have no resource identity."),
        )
        .into());
    };
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    let saved = parse(raw, type_name)?;
    let current = identity.schema.version;
    let upgraded = match version.cmp(&current) {
        std::cmp::Ordering::Equal => saved,
        std::cmp::Ordering::Less => declared.upgrade_identity(version, saved)?,
        std::cmp::Ordering::Greater => {
            return Err(Diagnostic::error(
                "Identity saved by a newer provider",
                format!(
                    "The identity of this {type_name} has version {version}; this version of the provider knows versions \
                     up to {current}. Upgrade the provider."
                ),
            )
            .into());
        }
    };
    json::value_from_tree_ignoring_unknown(upgraded, &identity.ty).map_err(|error| {
        Diagnostic::provider_bug(format!(
            "The saved identity of {type_name} does not fit its schema: {error}."
        ))
        .into()
    })
}

fn parse(raw: &[u8], type_name: &str) -> Result<Json, Diagnostics> {
    if raw.is_empty() {
        return Err(Diagnostic::error(
            "Saved state cannot be read",
            format!(
                "The saved state of this {type_name} is empty, or was written by Terraform 0.11 or older. Run terraform \
                 refresh with Terraform 0.12 once, or remove the object from the state and import it."
            ),
        )
        .into());
    }
    serde_json::from_slice(raw).map_err(|error| {
        Diagnostic::error(
            "Saved state cannot be read",
            format!("The saved state of this {type_name} is not JSON: {error}."),
        )
        .into()
    })
}

#[cfg(test)]
mod tests;
