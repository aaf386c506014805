//! Checks of lists, sets and maps.

use crate::cty::{Path, Value};

use super::{Diagnostics, Validator, ValidatorRequest, refusal};

/// Between `min` and `max` elements, both included.
#[must_use]
pub fn size_between(min: usize, max: usize) -> Size {
    Size {
        min,
        max: Some(max),
    }
}

/// At least `min` elements.
#[must_use]
pub fn size_at_least(min: usize) -> Size {
    Size { min, max: None }
}

/// At most `max` elements.
#[must_use]
pub fn size_at_most(max: usize) -> Size {
    size_between(0, max)
}

/// Every element of a list or set and every value of a map passes `validator`. Null elements are refused, because no
/// API here has a meaning for them; unknown ones are skipped.
#[must_use]
pub fn each<V: Validator>(validator: V) -> Each<V> {
    Each { validator }
}

/// Every key of a map passes `validator`, which sees it as a string.
#[must_use]
pub fn keys<V: Validator>(validator: V) -> Keys<V> {
    Keys { validator }
}

/// No two elements of a list are equal (a set cannot have any).
#[must_use]
pub fn unique() -> Unique {
    Unique
}

/// See [`size_between`].
#[derive(Clone, Copy, Debug)]
pub struct Size {
    min: usize,
    max: Option<usize>,
}

/// See [`each`].
#[derive(Clone, Copy, Debug)]
pub struct Each<V> {
    validator: V,
}

/// See [`keys`].
#[derive(Clone, Copy, Debug)]
pub struct Keys<V> {
    validator: V,
}

/// See [`unique`].
#[derive(Clone, Copy, Debug)]
pub struct Unique;

impl Validator for Size {
    fn description(&self) -> String {
        match (self.min, self.max) {
            (0, Some(max)) => format!("at most {max} elements"),
            (min, None) => format!("at least {min} {}", elements(min)),
            (min, Some(max)) if min == max => format!("exactly {min} {}", elements(min)),
            (min, Some(max)) => format!("{min} to {max} elements"),
        }
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let (length, least) = match request.value {
            Value::List(items) | Value::Tuple(items) => (items.len(), items.len()),
            // Unknown elements of a set may coincide with others.
            Value::Set(items) => {
                let known = items.iter().filter(|i| i.is_wholly_known()).count();
                (items.len(), known.max(usize::from(!items.is_empty())))
            }
            Value::Map(entries) => (entries.len(), entries.len()),
            _ => return,
        };
        if length < self.min || self.max.is_some_and(|max| least > max) {
            diagnostics.push(refusal(
                request,
                &format!("a collection of {}", self.description()),
            ));
        }
    }
}

impl<V: Validator> Validator for Each<V> {
    fn description(&self) -> String {
        describe("each element", &self.validator)
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let mut check = |path: &Path, value: &Value| {
            let request = ValidatorRequest {
                path,
                value,
                ..*request
            };
            if value.is_null() {
                diagnostics.push(refusal(&request, "a value"));
            } else {
                self.validator.validate(&request, diagnostics);
            }
        };
        match request.value {
            Value::List(items) | Value::Tuple(items) => {
                for (index, item) in items.iter().enumerate() {
                    check(&request.path.index(index), item);
                }
            }
            Value::Set(items) => {
                for item in items {
                    check(request.path, item);
                }
            }
            Value::Map(entries) => {
                for (key, item) in entries {
                    check(&request.path.key(key.clone()), item);
                }
            }
            _ => {}
        }
    }
}

impl<V: Validator> Validator for Keys<V> {
    fn description(&self) -> String {
        describe("each key", &self.validator)
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let Value::Map(entries) = request.value else {
            return;
        };
        for key in entries.keys() {
            self.validator.validate(
                &ValidatorRequest {
                    path: &request.path.key(key.clone()),
                    value: &Value::string(key.clone()),
                    ..*request
                },
                diagnostics,
            );
        }
    }
}

impl Validator for Unique {
    fn description(&self) -> String {
        "without duplicates".to_owned()
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let Value::List(items) = request.value else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            if item.is_wholly_known() && items[..index].contains(item) {
                diagnostics.push(refusal(
                    &ValidatorRequest {
                        path: &request.path.index(index),
                        value: item,
                        ..*request
                    },
                    "different from the elements before it",
                ));
            }
        }
    }
}

fn elements(count: usize) -> &'static str {
    if count == 1 { "element" } else { "elements" }
}

fn describe(what: &str, validator: &dyn Validator) -> String {
    match validator.description() {
        text if text.is_empty() => text,
        text => format!("{what}: {text}"),
    }
}
