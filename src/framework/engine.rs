//! The engine: what the framework does around the code of a resource, so that Terraform's rules hold.
//!
//! One file per operation. Each takes a request and answers with a response that carries diagnostics; none fails in any
//! other way, a panic in a resource included. Rule names (P, F, A, R, …) are those of the protocol reference: checks that
//! Terraform core makes on every answer of a provider.
//!
//! | file | operation |
//! |---|---|
//! | [`validate`] | configuration of anything that has a schema |
//! | [`plan`] | defaults, computed marking, plan modifiers, `ModifyPlan` |
//! | [`apply`] | create, update, delete |
//! | [`read`] | refresh |
//! | [`data_source`], [`ephemeral`] | reading and opening |
//! | [`import`], [`upgrade`], [`move_state`] | state from elsewhere |
//! | [`generate`] | configuration from state |

pub mod apply;
pub mod data_source;
pub mod ephemeral;
pub mod generate;
pub mod import;
pub mod move_state;
pub mod plan;
pub mod read;
pub mod upgrade;
pub mod validate;

pub(crate) mod conform;
mod equality;
mod guard;
mod identity;
mod walk;

use crate::cty::{Type, Value};

use super::schema::Schema;

pub use guard::{GRACE, run};
pub use identity::IdentityType;

/// A schema together with the type of its values, which would otherwise be made again for every message.
#[derive(Clone, Debug)]
pub struct ObjectSchema {
    /// The schema.
    pub schema: Schema,
    /// The type of a whole value.
    pub ty: Type,
}

impl ObjectSchema {
    /// An object with every attribute null and every collection of blocks empty.
    #[must_use]
    pub fn empty_value(&self) -> Value {
        conform::empty_block(&self.schema.block)
    }
}

impl From<Schema> for ObjectSchema {
    fn from(schema: Schema) -> Self {
        let ty = schema.ty();
        Self { schema, ty }
    }
}

#[cfg(test)]
pub(crate) mod fake;
