//! Type constraints and their JSON form.

use std::collections::BTreeMap;
use std::fmt;

/// A type constraint, as a schema declares it.
///
/// The JSON form (`"string"`, `["list","string"]`, …) is what Terraform reads in `Schema.Attribute.type`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Type {
    /// Any type; the concrete one arrives with each value (`"dynamic"`).
    Dynamic,
    /// `true` or `false`.
    Bool,
    /// A decimal number of any precision.
    Number,
    /// Unicode text, NFC-normalised.
    String,
    /// An ordered sequence of one element type.
    List(Box<Self>),
    /// An unordered collection of distinct elements of one type.
    Set(Box<Self>),
    /// String keys to one element type.
    Map(Box<Self>),
    /// Named attributes, each with its own type.
    Object(BTreeMap<String, Self>),
    /// A fixed sequence, each position with its own type.
    Tuple(Vec<Self>),
}

impl Type {
    /// A list of `element`.
    #[must_use]
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// A set of `element`.
    #[must_use]
    pub fn set(element: Self) -> Self {
        Self::Set(Box::new(element))
    }

    /// A map of string keys to `element`.
    #[must_use]
    pub fn map(element: Self) -> Self {
        Self::Map(Box::new(element))
    }

    /// An object with these attributes.
    #[must_use]
    pub fn object<K: Into<String>>(attributes: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(attributes.into_iter().map(|(k, t)| (k.into(), t)).collect())
    }

    /// Whether a value of this type can carry a concrete type of its own anywhere inside.
    #[must_use]
    pub fn has_dynamic(&self) -> bool {
        match self {
            Self::Dynamic => true,
            Self::Bool | Self::Number | Self::String => false,
            Self::List(t) | Self::Set(t) | Self::Map(t) => t.has_dynamic(),
            Self::Object(attributes) => attributes.values().any(Self::has_dynamic),
            Self::Tuple(types) => types.iter().any(Self::has_dynamic),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic => f.write_str("dynamic"),
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::List(t) => write!(f, "list of {t}"),
            Self::Set(t) => write!(f, "set of {t}"),
            Self::Map(t) => write!(f, "map of {t}"),
            Self::Object(_) => f.write_str("object"),
            Self::Tuple(_) => f.write_str("tuple"),
        }
    }
}
