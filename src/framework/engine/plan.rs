//! Planning a change: what the configuration, the prior state and the schema make of each other.
//!
//! In this order, which is what provider authors know from Terraform's own framework: defaults; write-only values
//! removed; values that mean the same as before kept; if the plan differs from the prior state, computed values that the
//! configuration leaves open become unknown; plan modifiers; `ModifyPlan`.

use crate::cty::{Path, Step, Type, Value};
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::resource::{ModifyPlanRequest, ModifyPlanResponse, Resource};
use crate::framework::schema::{Attribute, PlanModifier, ReplaceRequest};
use crate::framework::{Context, Private};

use super::conform::{conform, null_write_only};
use super::equality::comparable;
use super::walk::{Here, Place, Visitor, walk};
use super::{IdentityType, ObjectSchema, run};

/// What core asks.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// The configuration; null: destroy.
    pub config: Value,
    /// The state before; null: create.
    pub prior_state: Value,
    /// Configuration and computed values of prior state, merged by core; null: destroy.
    pub proposed_new_state: Value,
    /// Private state before.
    pub prior_private: Private,
    /// Private state of the first plan, when this is the plan at apply time (Terraform 1.16 and later).
    pub planned_private: Option<Private>,
    /// The saved identity.
    pub prior_identity: Value,
}

/// What core gets.
#[derive(Clone, Debug, Default)]
pub struct PlanResponse {
    /// The plan; null exactly for a destroy.
    pub planned_state: Value,
    /// Paths whose change replaces the object, sorted, without duplicates.
    pub requires_replace: Vec<Path>,
    /// Private state of the plan.
    pub planned_private: Private,
    /// The identity, as far as known.
    pub planned_identity: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// Plans a change of one object.
///
/// A value whose attribute has a semantic equality stays as it is in prior state if the configuration means the same:
/// core accepts that (rule P2), and a reformatted document is no change.
pub async fn plan<P: Send + Sync>(
    resource: &dyn Resource<P>,
    schema: &ObjectSchema,
    identity: Option<&IdentityType>,
    context: &Context<P>,
    request: PlanRequest,
) -> PlanResponse {
    let type_name = resource.type_name();
    let block = &schema.schema.block;
    let destroy = request.proposed_new_state.is_null() || request.config.is_null();
    let mut response = PlanResponse {
        planned_state: if destroy {
            Value::Null
        } else {
            request.proposed_new_state
        },
        planned_private: request.prior_private.clone(),
        // Only create, read and update find an identity; until then what is saved stays.
        planned_identity: if identity.is_some() {
            request.prior_identity
        } else {
            Value::Null
        },
        ..PlanResponse::default()
    };
    let path = Path::root();
    let place = Place {
        path: &path,
        config: &request.config,
        prior: &request.prior_state,
        in_set: false,
    };

    if !destroy {
        let plan = &mut response.planned_state;
        walk(block.into(), place, plan, &mut Defaults);
        null_write_only(block.into(), plan);
        walk(block.into(), place, plan, &mut KeepEquivalent);
        // Without a change there is nothing that could become unknown: a stray unknown would be a perpetual update.
        if *plan != request.prior_state {
            walk(block.into(), place, plan, &mut MarkComputed);
        }
        let mut modifiers = Modifiers {
            config: &request.config,
            prior: &request.prior_state,
            requires_replace: Vec::new(),
        };
        walk(block.into(), place, plan, &mut modifiers);
        response.requires_replace = modifiers.requires_replace;
    }

    if let Some(modify) = resource.as_modify_plan() {
        let modify_request = ModifyPlanRequest {
            config: request.config,
            prior_state: request.prior_state.clone(),
            planned_state: response.planned_state.clone(),
            prior_private: request.prior_private,
            planned_private: request.planned_private,
        };
        let mut modified = ModifyPlanResponse {
            planned_state: response.planned_state.clone(),
            requires_replace: Vec::new(),
            planned_private: response.planned_private.clone(),
            diagnostics: Diagnostics::new(),
        };
        let outcome = run(
            &format!("planning {type_name}"),
            &context.cancel,
            modify.modify_plan(context, &modify_request, &mut modified),
        )
        .await;
        response.diagnostics.append(modified.diagnostics);
        if let Err(diagnostic) = outcome {
            response.diagnostics.push(diagnostic);
            return response;
        }
        response.planned_state = modified.planned_state;
        response.planned_private = modified.planned_private;
        response.requires_replace.extend(modified.requires_replace);
    }

    if destroy {
        if !response.planned_state.is_null() {
            response.diagnostics.push(Diagnostic::provider_bug(format!(
                "The destroy plan of {type_name} is not null."
            )));
            response.planned_state = Value::Null;
        }
    } else if response.planned_state.is_null() {
        response.diagnostics.push(Diagnostic::provider_bug(format!(
            "The plan of {type_name} is null, although the configuration wants the object to exist."
        )));
    } else {
        conform(
            schema,
            &mut response.planned_state,
            &format!("The plan of {type_name}"),
            &mut response.diagnostics,
        );
        null_write_only(block.into(), &mut response.planned_state);
    }

    if destroy || request.prior_state.is_null() {
        response.requires_replace.clear();
    }
    for path in &mut response.requires_replace {
        *path = expressible(path, &schema.ty);
    }
    response.requires_replace.retain(|path| !path.is_root());
    response.requires_replace.sort();
    response.requires_replace.dedup();
    response
}

/// The longest beginning of `path` that leads somewhere in a value of type `ty` and that the protocol can express: it
/// ends at a set, whose elements have no selector.
#[must_use]
pub fn expressible(path: &Path, ty: &Type) -> Path {
    let mut ty = ty;
    path.steps()
        .iter()
        .map_while(|step| {
            ty = match (ty, step) {
                (Type::Object(types), Step::Attribute(name)) => types.get(name)?,
                (Type::Map(element), Step::Key(_)) | (Type::List(element), Step::Index(_)) => {
                    element
                }
                (Type::Tuple(types), Step::Index(index)) => types.get(*index)?,
                _ => return None,
            };
            Some(step.clone())
        })
        .collect()
}

/// Sets defaults where the configuration has nothing.
struct Defaults;

impl Visitor for Defaults {
    fn attribute(&mut self, attribute: &Attribute, here: Here<'_>, plan: &mut Value) -> bool {
        if let Some(default) = &attribute.default
            && here.config.is_null()
        {
            plan.clone_from(default);
        }
        // Objects that the configuration does not have are the provider's own.
        here.config.is_set()
    }
}

/// Keeps prior values that mean the same as the configured ones.
struct KeepEquivalent;

impl Visitor for KeepEquivalent {
    fn attribute(&mut self, attribute: &Attribute, here: Here<'_>, plan: &mut Value) -> bool {
        if let Some(equality) = &attribute.semantic_equality
            // Core excuses only attributes that it can follow to a prior value, which it cannot inside a set.
            && !here.in_set
            && comparable(here.config)
            && comparable(here.prior)
            && comparable(plan)
            && here.prior != plan
            && equality.semantically_equal(here.prior, plan)
        {
            plan.clone_from(here.prior);
            return false;
        }
        here.config.is_set()
    }
}

/// Makes computed values unknown where the configuration leaves them open.
struct MarkComputed;

impl Visitor for MarkComputed {
    fn attribute(&mut self, attribute: &Attribute, here: Here<'_>, plan: &mut Value) -> bool {
        if attribute.computed && here.config.is_null() && attribute.default.is_none() {
            *plan = Value::unknown();
        }
        here.config.is_set()
    }
}

/// Runs the plan modifiers.
struct Modifiers<'a> {
    config: &'a Value,
    prior: &'a Value,
    requires_replace: Vec<Path>,
}

impl Visitor for Modifiers<'_> {
    fn attribute(&mut self, attribute: &Attribute, here: Here<'_>, plan: &mut Value) -> bool {
        for modifier in &attribute.plan_modifiers {
            match modifier {
                PlanModifier::UseStateForUnknown => {
                    if can_use_state(here, plan) {
                        plan.clone_from(here.prior);
                    }
                }
                PlanModifier::UseNonNullStateForUnknown => {
                    if can_use_state(here, plan) && !here.prior.is_null() {
                        plan.clone_from(here.prior);
                    }
                }
                PlanModifier::RequiresReplace => self.replace_if(here, plan, |_| true),
                PlanModifier::RequiresReplaceIfConfigured => {
                    self.replace_if(here, plan, |request| !request.config_value.is_null());
                }
                PlanModifier::RequiresReplaceIf(condition) => {
                    self.replace_if(here, plan, |request| condition(request));
                }
            }
        }
        true
    }
}

/// Not when the object, or the nested object around the attribute, is new: then there is no state to use, and planning
/// null for a value that will exist breaks rule A1. Not when the configuration is unknown: it will decide.
fn can_use_state(here: Here<'_>, plan: &Value) -> bool {
    plan.is_unknown() && !here.config.is_unknown() && !here.prior_parent.is_null()
}

impl Modifiers<'_> {
    fn replace_if(
        &mut self,
        here: Here<'_>,
        plan: &Value,
        condition: impl Fn(&ReplaceRequest<'_>) -> bool,
    ) {
        if self.prior.is_null() || plan == here.prior {
            return;
        }
        let request = ReplaceRequest {
            path: here.path,
            config_value: here.config,
            state_value: here.prior,
            plan_value: plan,
            config: self.config,
            state: self.prior,
        };
        if condition(&request) {
            self.requires_replace.push(here.path.clone());
        }
    }
}

#[cfg(test)]
mod tests;
