//! The `cluster_name` argument: the resource's own, or the provider's default.

use crate::cty::{Path, Value};
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::Attr;
use crate::framework::resource::{ModifyPlanRequest, ModifyPlanResponse};
use crate::framework::schema::Attribute;

use super::names;

/// The attribute's name.
pub const NAME: &str = "cluster_name";

/// The attribute of a resource that lives in a cluster; `object` names what is replaced when it changes.
pub fn attribute(object: &str) -> Attribute {
    Attribute::string(
        NAME,
        format!(
            "Name of the EKS cluster. Default: the provider's `cluster_name`. Changing it replaces the {object}."
        ),
    )
    .optional()
    .computed()
    .validate(names::cluster_name())
    .use_state_for_unknown()
    .requires_replace()
}

/// The attribute of a data source.
pub fn data_source_attribute() -> Attribute {
    Attribute::string(
        NAME,
        "Name of the EKS cluster. Default: the provider's `cluster_name`.",
    )
    .optional()
    .computed()
    .validate(names::cluster_name())
}

/// The cluster of a data source: its own `cluster_name`, or the provider's.
///
/// # Errors
/// When there is neither, or the provider's is not known yet.
pub fn of_data_source(config: &Value, default: &Attr<String>) -> Result<String, Diagnostic> {
    if let Some(name) = config.get(NAME).as_str() {
        return Ok(name.to_owned());
    }
    match default {
        Attr::Known(name) => Ok(name.clone()),
        Attr::Unknown => Err(Diagnostic::error(
            "Cluster name not known yet",
            "cluster_name in the provider block depends on values that Terraform learns during apply. Set cluster_name \
             here, or let this data source depend on what gives the cluster its name.",
        )
        .at(NAME)),
        Attr::Null => Err(missing()),
    }
}

fn missing() -> Diagnostic {
    Diagnostic::error(
        "Missing cluster name",
        "Set cluster_name here, or cluster_name in the provider block as the default for everything.",
    )
    .at(NAME)
}

/// Plans the provider's default where the configuration has no cluster name. A changed default replaces the object, as
/// a changed argument does.
pub fn plan(
    default: &Attr<String>,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) {
    if response.planned_state.is_null() || !request.config.get(NAME).is_null() {
        return;
    }
    let planned = match default {
        Attr::Known(name) => Value::from(name.as_str()),
        Attr::Unknown => Value::unknown(),
        Attr::Null => {
            response.diagnostics.push(missing());
            return;
        }
    };
    let prior = request.prior_state.get(NAME);
    if !request.prior_state.is_null() && *prior != planned {
        response.requires_replace.push(Path::from(NAME));
    }
    response.planned_state.set(NAME, planned);
}
