//! Checks of numbers.

use crate::cty::{Number, Value};

use super::{Diagnostics, Validator, ValidatorRequest, refusal};

/// A whole number between `min` and `max`, both included.
#[must_use]
pub fn between(min: i64, max: i64) -> Range {
    Range {
        min: Some(min),
        max: Some(max),
    }
}

/// A whole number of at least `min`.
#[must_use]
pub fn at_least(min: i64) -> Range {
    Range {
        min: Some(min),
        max: None,
    }
}

/// A whole number of at most `max`.
#[must_use]
pub fn at_most(max: i64) -> Range {
    Range {
        min: None,
        max: Some(max),
    }
}

/// Any whole number that fits in 64 bits.
#[must_use]
pub fn whole_number() -> Range {
    Range {
        min: None,
        max: None,
    }
}

/// See [`between`].
#[derive(Clone, Copy, Debug)]
pub struct Range {
    min: Option<i64>,
    max: Option<i64>,
}

impl Range {
    fn holds(self, number: &Number) -> bool {
        number.as_i64().is_some_and(|n| {
            self.min.is_none_or(|min| n >= min) && self.max.is_none_or(|max| n <= max)
        })
    }
}

impl Validator for Range {
    fn description(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("a whole number from {min} to {max}"),
            (Some(min), None) => format!("a whole number of at least {min}"),
            (None, Some(max)) => format!("a whole number of at most {max}"),
            (None, None) => "a whole number".to_owned(),
        }
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        if let Value::Number(number) = request.value
            && !self.holds(number)
        {
            diagnostics.push(refusal(request, &self.description()));
        }
    }
}
