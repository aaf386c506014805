//! What is already known about an unknown value.

use super::Number;

/// A bound of a refined number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bound {
    /// The limit.
    pub value: Number,
    /// Whether the limit itself is possible.
    pub inclusive: bool,
}

/// What is already known about an unknown value. A refinement in a plan is a promise: the final value must keep it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refinements {
    /// `Some(true)`: will be null; `Some(false)`: will not be null.
    pub null: Option<bool>,
    /// The final string starts with this.
    pub string_prefix: Option<String>,
    /// Lower bound of a number.
    pub number_lower: Option<Bound>,
    /// Upper bound of a number.
    pub number_upper: Option<Bound>,
    /// Least length of a collection.
    pub length_lower: Option<i64>,
    /// Greatest length of a collection.
    pub length_upper: Option<i64>,
}

impl Refinements {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
