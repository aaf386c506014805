//! Terraform's value system: types, values with unknowns, paths, and their wire formats.
//!
//! A [`Value`] does not carry its type: the schema does, as on the wire. The only place where a type travels with a
//! value is [`Value::Dynamic`], for a known value whose type constraint is [`Type::Dynamic`].

mod number;
mod path;
mod refinement;
mod ty;
mod value;

pub use number::Number;
pub use path::{Path, Step};
pub use refinement::{Bound, Refinements};
pub use ty::Type;
pub use value::Value;
