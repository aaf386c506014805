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
            response.diagnostics.push(
                Diagnostic::error(
                    "Missing cluster name",
                    "Set cluster_name here, or cluster_name in the provider block as the default for all resources.",
                )
                .at(NAME),
            );
            return;
        }
    };
    let prior = request.prior_state.get(NAME);
    if !request.prior_state.is_null() && *prior != planned {
        response.requires_replace.push(Path::from(NAME));
    }
    response.planned_state.set(NAME, planned);
}
