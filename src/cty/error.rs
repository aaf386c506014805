//! The one error of this module: a value is not what its type asks for.

use std::borrow::Cow;
use std::fmt;

use super::{Path, Step, Type, Value};

/// A value that does not fit: where, what was expected there, and what was found.
///
/// Neither text ever holds the value itself, which may be a secret: only kinds, lengths and attribute names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// From the innermost step outwards: the steps are added while the error travels up, so that nothing is spent on
    /// paths as long as all is well.
    reversed: Vec<Step>,
    expected: Cow<'static, str>,
    got: Cow<'static, str>,
}

impl Error {
    /// An error at the value itself.
    pub(super) fn new(
        expected: impl Into<Cow<'static, str>>,
        got: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            reversed: Vec::new(),
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// `value` stands where a value of type `ty` belongs.
    pub(super) fn mismatch(ty: &Type, value: &Value) -> Self {
        Self::new(described(ty), value.kind())
    }

    /// Nesting beyond [`MAX_DEPTH`](super::MAX_DEPTH).
    pub(super) fn too_deep() -> Self {
        Self::new(
            format!("at most {} levels of nesting", super::MAX_DEPTH),
            "more",
        )
    }

    /// The same error seen from one level further out.
    #[must_use]
    pub(super) fn under(mut self, step: Step) -> Self {
        self.reversed.push(step);
        self
    }

    /// The same error seen from the attribute or block `name` of an object.
    #[must_use]
    pub(super) fn under_attribute(self, name: &str) -> Self {
        self.under(Step::Attribute(name.to_owned()))
    }

    /// The same error seen from a set. A path ends there: set elements have no step of their own.
    #[must_use]
    pub(super) fn under_set(mut self) -> Self {
        self.reversed.clear();
        self
    }

    /// Where the value stands.
    #[must_use]
    pub fn path(&self) -> Path {
        self.reversed.iter().rev().cloned().collect()
    }

    /// What belongs there: `a list of string`.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What stands there: `a number`.
    #[must_use]
    pub fn got(&self) -> &str {
        &self.got
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.reversed.is_empty() {
            write!(f, "{}: ", self.path())?;
        }
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

impl std::error::Error for Error {}

/// `ty` with its article.
pub(super) fn described(ty: &Type) -> Cow<'static, str> {
    match ty {
        Type::Dynamic => Cow::Borrowed("a dynamic value (a type and its value)"),
        Type::Bool => Cow::Borrowed("a bool"),
        Type::Number => Cow::Borrowed("a number"),
        Type::String => Cow::Borrowed("a string"),
        Type::Object(_) => Cow::Borrowed("an object"),
        Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Tuple(_) => {
            Cow::Owned(format!("a {ty}"))
        }
    }
}
