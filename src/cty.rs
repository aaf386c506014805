//! Terraform's value system: types, values with unknowns, paths, and their wire formats.
//!
//! A [`Value`] does not carry its type: the schema does, as on the wire. The only place where a type travels with a
//! value is [`Value::Dynamic`], for a known value whose type constraint is [`Type::Dynamic`].
//!
//! [`msgpack`] is the form of every `DynamicValue`, [`json`] that of saved state (`RawState`) and of type constraints.

pub mod json;
pub mod msgpack;

mod conform;
mod error;
mod nfc;
mod number;
mod path;
mod refinement;
mod set;
mod ty;
mod value;
mod walk;

pub use error::Error;
pub use number::{Number, ParseNumberError};
pub use path::{Path, Step};
pub use refinement::{Bound, Refinements};
pub use ty::Type;
pub use value::Value;

/// How deep values and types may nest before a decoder or encoder refuses them. Real schemas stay below 20; the limit
/// keeps hostile input (a dynamic value inside a dynamic value inside …) from exhausting the stack.
const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod strategy;
