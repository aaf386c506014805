//! Checks of configured values, for [`Attribute::validate`](super::schema::Attribute::validate).
//!
//! ```
//! use podidentity::framework::schema::{Attribute, Schema};
//! use podidentity::framework::validators;
//! use podidentity::cty::Type;
//!
//! let schema = Schema::new("Manages a thing.")
//!     .attribute(
//!         Attribute::string("name", "The name.")
//!             .required()
//!             .validate(validators::length_between(1, 64))
//!             .validate(validators::regex("^[a-z]+$", "lower-case letters only")),
//!     )
//!     .attribute(
//!         Attribute::set("colours", Type::String, "Its colours.")
//!             .optional()
//!             .validate(validators::each(validators::one_of(["red", "blue"])))
//!             .validate(validators::conflicts_with(["name_prefix"])),
//!     );
//! # assert_eq!(schema.block.attributes.len(), 2);
//! ```
//!
//! Every validator here accepts null and unknown values, except those that are about presence
//! ([`exactly_one_of`], [`at_least_one_of`]). Diagnostics say what was expected and what was found; the value of a
//! sensitive attribute is never shown.

mod collection;
mod combine;
mod format;
mod number;
mod presence;
mod string;

use crate::cty::{Path, Value};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::schema::{Validator, ValidatorRequest};

pub use collection::{
    Each, Keys, Size, Unique, each, keys, size_at_least, size_at_most, size_between, unique,
};
pub use combine::{All, Any, Validators, all, any};
pub use format::{Duration, JsonObject, Rfc3339, duration, json_object, rfc3339};
pub use number::{Range, at_least, at_most, between, whole_number};
pub use presence::{Presence, also_requires, at_least_one_of, conflicts_with, exactly_one_of};
pub use string::{
    Length, OneOf, Pattern, StringCheck, length_at_least, length_at_most, length_between, none_of,
    one_of, regex, string,
};

/// Summary of every diagnostic about a value that a validator refused.
pub const INVALID_VALUE: &str = "Invalid attribute value";

/// Summary of every diagnostic about attributes that do not go together.
pub const INVALID_COMBINATION: &str = "Invalid attribute combination";

/// Runs a validator on a value by itself, as tests of schemas do: the path is `value`, the configuration an object with
/// that one attribute.
pub fn check(validator: &dyn Validator, value: Value) -> Diagnostics {
    let config = Value::object([("value", value)]);
    let mut diagnostics = Diagnostics::new();
    validator.validate(
        &ValidatorRequest {
            path: &Path::from("value"),
            value: config.get("value"),
            config: &config,
            parent: &config,
            sensitive: false,
        },
        &mut diagnostics,
    );
    diagnostics
}

/// The diagnostic for a value that is not as `expected`, a noun phrase or a clause that follows "must be".
fn refusal(request: &ValidatorRequest<'_>, expected: &str) -> Diagnostic {
    Diagnostic::error(
        INVALID_VALUE,
        format!(
            "{} must be {expected}, but is {}.",
            subject(request.path),
            shown(request)
        ),
    )
    .at(request.path.clone())
}

/// How a sentence names what stands at `path`.
fn subject(path: &Path) -> String {
    if path.is_root() {
        "The configuration".to_owned()
    } else {
        format!("Attribute {path}")
    }
}

/// The value for a sentence: quoted, shortened, and hidden if the attribute is sensitive.
fn shown(request: &ValidatorRequest<'_>) -> String {
    if request.sensitive {
        return "a value that is not shown because the attribute is sensitive".to_owned();
    }
    match request.value {
        Value::String(text) => quoted(text),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Unknown(_) => "not known yet".to_owned(),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Set(items) => format!("a set of {}", items.len()),
        Value::Tuple(items) => format!("a tuple of {}", items.len()),
        Value::Map(entries) => format!("a map of {}", entries.len()),
        Value::Object(_) => "an object".to_owned(),
        Value::Dynamic(_) => "a value of a type of its own".to_owned(),
    }
}

/// A string in quotes; long ones end in an ellipsis, because a policy document of ten kilobytes helps nobody.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} characters)", &text[..end], text.chars().count()),
    }
}

/// `"a", "b" or "c"`.
fn alternatives<T: AsRef<str>>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|i| format!("{:?}", i.as_ref())).collect();
    joined(&quoted, "or")
}

/// `a, b and c`, with `conjunction` before the last.
fn joined(items: &[String], conjunction: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
