//! Values, with null and unknown anywhere.

use std::collections::BTreeMap;

use super::nfc::into_nfc;
use super::{Number, Path, Refinements, Step, Type, set};

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
    /// A string. In NFC: build it with [`Value::string`] when the text may not be.
    String(String),
    /// A list.
    List(Vec<Self>),
    /// A set. Holds several unknown elements apart, because two unknowns may become two different values. Build it with
    /// [`Value::set_of`] when elements may be equal.
    Set(Vec<Self>),
    /// A map.
    Map(BTreeMap<String, Self>),
    /// An object: every attribute and block of its type is present.
    Object(BTreeMap<String, Self>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A value in a place whose constraint is [`Type::Dynamic`], with its concrete type. The value may be null or
    /// unknown: a null or unknown of a known type. The accessors look through it.
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

    /// An unknown value of which something is known already.
    #[must_use]
    pub fn refined(refinements: Refinements) -> Self {
        Self::Unknown((!refinements.is_empty()).then(|| Box::new(refinements)))
    }

    /// A string value, NFC-normalised.
    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(into_nfc(text.into()))
    }

    /// A set of these elements: wholly known ones that are equal become one, others stay apart.
    #[must_use]
    pub fn set_of(elements: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        Self::Set(set::coalesce(
            elements.into_iter().map(Into::into).collect(),
        ))
    }

    /// A value of type `ty` in a dynamic place.
    #[must_use]
    pub fn dynamic(ty: Type, value: Self) -> Self {
        Self::Dynamic(Box::new((ty, value)))
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
                .map(|(key, value)| (into_nfc(key.into()), Self::string(value)))
                .collect(),
        )
    }

    /// This value, or the one that a dynamic value wraps.
    #[must_use]
    pub fn unwrapped(&self) -> &Self {
        match self {
            Self::Dynamic(inner) => inner.1.unwrapped(),
            _ => self,
        }
    }

    /// What this is, with its article, for messages: `a string`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Unknown(_) => "an unknown value",
            Self::Bool(_) => "a bool",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Object(_) => "an object",
            Self::Tuple(_) => "a tuple",
            Self::Dynamic(_) => "a dynamic value",
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.unwrapped(), Self::Null)
    }

    /// Whether this value itself is unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.unwrapped(), Self::Unknown(_))
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
            value = match (value.unwrapped(), step) {
                (Self::Null | Self::Unknown(_), _) => return Some(value.unwrapped()),
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
        match self.unwrapped() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A known boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.unwrapped() {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A known whole number within range.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.unwrapped() {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// A known number.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        match self.unwrapped() {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The elements of a known list, set or tuple.
    #[must_use]
    pub fn as_elements(&self) -> Option<&[Self]> {
        match self.unwrapped() {
            Self::List(items) | Self::Set(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a known map or object.
    #[must_use]
    pub fn as_entries(&self) -> Option<&BTreeMap<String, Self>> {
        match self.unwrapped() {
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
            (Self::Set(a), Self::Set(b)) => set::same_elements(a, b),
            (Self::Map(a), Self::Map(b)) | (Self::Object(a), Self::Object(b)) => a == b,
            (Self::Dynamic(a), Self::Dynamic(b)) => a == b,
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::string(text)
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

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}
