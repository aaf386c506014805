//! Values, with null and unknown anywhere.

use std::collections::BTreeMap;

use super::{Number, Path, Refinements, Step, Type};

/// A Terraform value of some type that the schema knows.
///
/// Equality ([`PartialEq`]) is Terraform's: sets compare without regard to order, refinements of unknowns are ignored.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// No value. Of any type.
    #[default]
    Null,
    /// Known only after apply, possibly with something known about it already.
    Unknown(Option<Box<Refinements>>),
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Self>),
    /// A set. Holds several unknown elements apart, because two unknowns may become two different values.
    Set(Vec<Self>),
    /// A map.
    Map(BTreeMap<String, Self>),
    /// An object: every attribute and block of its type is present.
    Object(BTreeMap<String, Self>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A known value in a place whose constraint is [`Type::Dynamic`], with its concrete type.
    Dynamic(Box<(Type, Self)>),
}

/// The null that accessors answer with for absent attributes.
static NULL: Value = Value::Null;

impl Value {
    /// An unknown value of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::Unknown(None)
    }

    /// A string value.
    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An object from its attributes.
    #[must_use]
    pub fn object<K: Into<String>>(attributes: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// A map of strings.
    #[must_use]
    pub fn string_map<K: Into<String>, V: Into<String>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), Self::String(value.into())))
                .collect(),
        )
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this value itself is unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Whether this is neither null nor unknown (elements may still be unknown).
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.is_null() && !self.is_unknown()
    }

    /// Whether neither this nor anything inside is unknown.
    #[must_use]
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => true,
            Self::List(items) | Self::Set(items) | Self::Tuple(items) => {
                items.iter().all(Self::is_wholly_known)
            }
            Self::Map(entries) | Self::Object(entries) => {
                entries.values().all(Self::is_wholly_known)
            }
            Self::Dynamic(inner) => inner.1.is_wholly_known(),
        }
    }

    /// The attribute of an object or the element of a map; null if there is none, or if this is null; unknown if this
    /// is unknown.
    #[must_use]
    pub fn get(&self, name: &str) -> &Self {
        match self {
            Self::Object(entries) | Self::Map(entries) => entries.get(name).unwrap_or(&NULL),
            Self::Unknown(_) => self,
            Self::Dynamic(inner) => inner.1.get(name),
            _ => &NULL,
        }
    }

    /// Replaces an attribute of an object or an element of a map; does nothing for other values.
    pub fn set(&mut self, name: impl Into<String>, value: Self) {
        if let Self::Object(entries) | Self::Map(entries) = self {
            entries.insert(name.into(), value);
        }
    }

    /// The value at `path`, or `None` if the path leads nowhere. Null and unknown parents answer themselves.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Self> {
        let mut value = self;
        for step in path.steps() {
            value = match (value, step) {
                (Self::Null | Self::Unknown(_), _) => return Some(value),
                (Self::Dynamic(inner), _) => inner
                    .1
                    .at(&Path::from_iter(std::iter::once(step.clone())))?,
                (Self::Object(entries), Step::Attribute(name))
                | (Self::Map(entries), Step::Key(name)) => entries.get(name)?,
                (Self::List(items) | Self::Tuple(items), Step::Index(index)) => {
                    items.get(*index)?
                }
                _ => return None,
            };
        }
        Some(value)
    }

    /// The text of a known string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A known boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A known whole number within range.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The elements of a known list, set or tuple.
    #[must_use]
    pub fn as_elements(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) | Self::Set(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a known map or object.
    #[must_use]
    pub fn as_entries(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Map(entries) | Self::Object(entries) => Some(entries),
            _ => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Unknown(_), Self::Unknown(_)) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Set(a), Self::Set(b)) => same_elements(a, b),
            (Self::Map(a), Self::Map(b)) | (Self::Object(a), Self::Object(b)) => a == b,
            (Self::Dynamic(a), Self::Dynamic(b)) => a == b,
            _ => false,
        }
    }
}

/// Equal as multisets. Sets here are small (tags, ARNs), so the quadratic walk beats ordering values of any type.
fn same_elements(a: &[Value], b: &[Value]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut taken = vec![false; b.len()];
    a.iter().all(|item| {
        let found = b
            .iter()
            .enumerate()
            .position(|(index, candidate)| !taken[index] && candidate == item);
        if let Some(index) = found {
            taken[index] = true;
        }
        found.is_some()
    })
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}
