//! Typed access to values.
//!
//! A resource describes its attributes once with [`model!`](crate::model), then reads plans and writes states by field:
//!
//! ```
//! use podidentity::cty::{Path, Value};
//! use podidentity::framework::model::{Attr, FromValue, IntoValue};
//!
//! podidentity::model! {
//!     /// State of a thing.
//!     pub struct Thing {
//!         /// Its name.
//!         pub name: Attr<String>,
//!         /// Its size.
//!         pub size: Attr<i64>,
//!     }
//! }
//!
//! let value = Value::object([("name", Value::from("a")), ("size", Value::unknown())]);
//! let mut thing = Thing::from_value(&value, &Path::root()).unwrap();
//! assert_eq!(thing.name.as_deref(), Some("a"));
//! assert!(thing.size.is_unknown());
//! thing.size = Attr::Known(3);
//! assert_eq!(thing.into_value().get("size").as_i64(), Some(3));
//! ```

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::cty::{Number, Path, Value};

use super::diagnostic::Diagnostic;

/// A value that may be null or unknown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Attr<T> {
    /// No value.
    #[default]
    Null,
    /// Known only after apply.
    Unknown,
    /// A value.
    Known(T),
}

impl<T> Attr<T> {
    /// The value if it is known and not null.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The value if it is known and not null.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The value behind its pointer type if it is known and not null: `Attr<String>` gives `&str`.
    pub fn as_deref(&self) -> Option<&T::Target>
    where
        T: Deref,
    {
        self.known().map(Deref::deref)
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether the value is not known yet.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether there is a value.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

impl<T> From<Option<T>> for Attr<T> {
    /// `None` becomes null.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Known)
    }
}

impl From<&str> for Attr<String> {
    fn from(text: &str) -> Self {
        Self::Known(text.to_owned())
    }
}

/// A set, as opposed to [`Vec`], which is a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SetOf<T>(pub Vec<T>);

impl<T> FromIterator<T> for SetOf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

/// Reads a typed value.
pub trait FromValue: Sized {
    /// Reads `value`, which stands at `path`.
    ///
    /// # Errors
    /// When the value has another type, or is null or unknown where `Self` cannot say so. A schema that matches the
    /// model makes that a bug of the provider.
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic>;
}

/// Writes a typed value.
pub trait IntoValue {
    /// The value.
    fn into_value(self) -> Value;
}

/// The diagnostic for a value that does not fit its model.
#[must_use]
pub fn mismatch(path: &Path, expected: &str, value: &Value) -> Diagnostic {
    let got = match value {
        Value::Null => "null",
        Value::Unknown(_) => "an unknown value",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Set(_) => "a set",
        Value::Map(_) => "a map",
        Value::Object(_) => "an object",
        Value::Tuple(_) => "a tuple",
        Value::Dynamic(_) => "a dynamic value",
    };
    Diagnostic::provider_bug(format!("Expected {expected} at {path}, but got {got}."))
        .at(path.clone())
}

impl FromValue for Value {
    fn from_value(value: &Value, _path: &Path) -> Result<Self, Diagnostic> {
        Ok(value.clone())
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl<T: FromValue> FromValue for Attr<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match value {
            Value::Null => Ok(Self::Null),
            Value::Unknown(_) => Ok(Self::Unknown),
            _ => T::from_value(value, path).map(Self::Known),
        }
    }
}

impl<T: IntoValue> IntoValue for Attr<T> {
    fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Unknown => Value::unknown(),
            Self::Known(value) => value.into_value(),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match value {
            Value::Null => Ok(None),
            _ => T::from_value(value, path).map(Some),
        }
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, IntoValue::into_value)
    }
}

impl FromValue for String {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        value
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| mismatch(path, "a string", value))
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::String(self)
    }
}

impl FromValue for bool {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        value
            .as_bool()
            .ok_or_else(|| mismatch(path, "a bool", value))
    }
}

impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Bool(self)
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        value
            .as_i64()
            .ok_or_else(|| mismatch(path, "a whole number", value))
    }
}

impl IntoValue for i64 {
    fn into_value(self) -> Value {
        Value::Number(Number::from(self))
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match value {
            Value::List(items) | Value::Tuple(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| T::from_value(item, &path.index(index)))
                .collect(),
            _ => Err(mismatch(path, "a list", value)),
        }
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(IntoValue::into_value).collect())
    }
}

impl<T: FromValue> FromValue for SetOf<T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        match value {
            Value::Set(items) => items.iter().map(|item| T::from_value(item, path)).collect(),
            _ => Err(mismatch(path, "a set", value)),
        }
    }
}

impl<T: IntoValue> IntoValue for SetOf<T> {
    fn into_value(self) -> Value {
        Value::set_of(self.0.into_iter().map(IntoValue::into_value))
    }
}

impl<T: FromValue> FromValue for BTreeMap<String, T> {
    fn from_value(value: &Value, path: &Path) -> Result<Self, Diagnostic> {
        value
            .as_entries()
            .ok_or_else(|| mismatch(path, "a map", value))?
            .iter()
            .map(|(key, item)| Ok((key.clone(), T::from_value(item, &path.key(key.clone()))?)))
            .collect()
    }
}

impl<T: IntoValue> IntoValue for BTreeMap<String, T> {
    fn into_value(self) -> Value {
        Value::Map(
            self.into_iter()
                .map(|(key, item)| (key, item.into_value()))
                .collect(),
        )
    }
}

/// Declares a struct whose fields are the attributes of an object, with [`FromValue`] and [`IntoValue`].
#[macro_export]
macro_rules! model {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_visibility:vis $field:ident : $ty:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visibility struct $name {
            $( $(#[$field_meta])* $field_visibility $field: $ty, )*
        }

        impl $crate::framework::model::FromValue for $name {
            fn from_value(
                value: &$crate::cty::Value,
                path: &$crate::cty::Path,
            ) -> Result<Self, $crate::framework::Diagnostic> {
                if !matches!(value, $crate::cty::Value::Object(_)) {
                    return Err($crate::framework::model::mismatch(path, "an object", value));
                }
                Ok(Self {
                    $( $field: $crate::framework::model::FromValue::from_value(
                        value.get(stringify!($field)),
                        &path.attribute(stringify!($field)),
                    )?, )*
                })
            }
        }

        impl $crate::framework::model::IntoValue for $name {
            fn into_value(self) -> $crate::cty::Value {
                $crate::cty::Value::object([
                    $( (
                        stringify!($field),
                        $crate::framework::model::IntoValue::into_value(self.$field),
                    ), )*
                ])
            }
        }
    };
}
