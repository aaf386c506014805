//! Checks of strings.

use std::fmt;
use std::sync::OnceLock;

use regex::Regex;

use super::{Diagnostics, Validator, ValidatorRequest, alternatives, refusal};

/// Between `min` and `max` characters (Unicode scalar values) long, both included.
#[must_use]
pub fn length_between(min: usize, max: usize) -> Length {
    Length {
        min,
        max: Some(max),
    }
}

/// At least `min` characters long.
#[must_use]
pub fn length_at_least(min: usize) -> Length {
    Length { min, max: None }
}

/// At most `max` characters long.
#[must_use]
pub fn length_at_most(max: usize) -> Length {
    length_between(0, max)
}

/// Matches `pattern` somewhere: anchor it with `^…$` to match the whole value. `message` is what a person reads, after
/// "must be": `lower-case letters, digits and hyphens`.
///
/// # Panics
/// When the pattern does not compile; in release builds not before it is used. Patterns are constants of a schema, and
/// tests build every schema.
#[must_use]
pub fn regex(pattern: &'static str, message: impl Into<String>) -> Pattern {
    let pattern = Pattern {
        pattern,
        regex: OnceLock::new(),
        message: message.into(),
    };
    // Compiling takes longer than everything else about a schema, and most processes check few values: wait until one
    // comes, but let tests see every pattern.
    #[cfg(debug_assertions)]
    pattern.regex();
    pattern
}

/// One of `values`, exactly.
#[must_use]
pub fn one_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> OneOf {
    OneOf {
        values: values.into_iter().map(Into::into).collect(),
        allowed: true,
    }
}

/// None of `values`.
#[must_use]
pub fn none_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> OneOf {
    OneOf {
        values: values.into_iter().map(Into::into).collect(),
        allowed: false,
    }
}

/// A check of your own. `description` says what is expected, after "must be"; the closure's error says what is wrong
/// with the value, as a sentence without a full stop.
///
/// ```
/// use podidentity::framework::validators;
///
/// let lower = validators::string("in lower case", |text| {
///     if text.to_lowercase() == text { Ok(()) } else { Err("it has capital letters".to_owned()) }
/// });
/// assert!(validators::check(&lower, "ABC".into()).has_errors());
/// ```
pub fn string<F>(description: impl Into<String>, check: F) -> StringCheck<F>
where
    F: Fn(&str) -> Result<(), String> + Send + Sync,
{
    StringCheck {
        description: description.into(),
        check,
    }
}

/// See [`length_between`].
#[derive(Clone, Copy, Debug)]
pub struct Length {
    min: usize,
    max: Option<usize>,
}

/// See [`regex()`].
#[derive(Clone, Debug)]
pub struct Pattern {
    pattern: &'static str,
    regex: OnceLock<Regex>,
    message: String,
}

/// See [`one_of`] and [`none_of`].
#[derive(Clone, Debug)]
pub struct OneOf {
    values: Vec<String>,
    allowed: bool,
}

/// See [`string`].
pub struct StringCheck<F> {
    description: String,
    check: F,
}

impl Validator for Length {
    fn description(&self) -> String {
        match (self.min, self.max) {
            (0, Some(max)) => format!("at most {max} characters"),
            (min, None) => format!("at least {min} characters"),
            (min, Some(max)) if min == max => format!("exactly {min} characters"),
            (min, Some(max)) => format!("{min} to {max} characters"),
        }
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let Some(text) = request.value.as_str() else {
            return;
        };
        let length = text.chars().count();
        if length < self.min || self.max.is_some_and(|max| length > max) {
            // The length of a secret is a hint at the secret.
            let found = if request.sensitive {
                String::new()
            } else {
                format!(" ({length} characters long)")
            };
            let mut diagnostic = refusal(request, &format!("{} long", self.description()));
            diagnostic.detail = format!("{}{found}.", diagnostic.detail.trim_end_matches('.'));
            diagnostics.push(diagnostic);
        }
    }
}

impl Pattern {
    fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            Regex::new(self.pattern).expect("patterns in schemas are constants that compile")
        })
    }
}

impl Validator for Pattern {
    fn description(&self) -> String {
        self.message.clone()
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        if let Some(text) = request.value.as_str()
            && !self.regex().is_match(text)
        {
            diagnostics.push(refusal(request, &self.message));
        }
    }
}

impl Validator for OneOf {
    fn description(&self) -> String {
        let values = alternatives(&self.values);
        if !self.allowed {
            format!("anything but {values}")
        } else if self.values.len() == 1 {
            values
        } else {
            format!("one of {values}")
        }
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        if let Some(text) = request.value.as_str()
            && self.values.iter().any(|v| v == text) != self.allowed
        {
            diagnostics.push(refusal(request, &self.description()));
        }
    }
}

impl<F> Validator for StringCheck<F>
where
    F: Fn(&str) -> Result<(), String> + Send + Sync,
{
    fn description(&self) -> String {
        self.description.clone()
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let Some(text) = request.value.as_str() else {
            return;
        };
        if let Err(reason) = (self.check)(text) {
            let mut diagnostic = refusal(request, &self.description);
            // The reason may quote the value.
            if !request.sensitive {
                diagnostic.detail = format!(
                    "{}: {}.",
                    diagnostic.detail.trim_end_matches('.'),
                    reason.trim_end_matches('.')
                );
            }
            diagnostics.push(diagnostic);
        }
    }
}

impl<F> fmt::Debug for StringCheck<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StringCheck")
            .field(&self.description)
            .finish()
    }
}
