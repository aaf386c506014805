//! Validators made of validators.

use super::{Diagnostics, Validator, ValidatorRequest, joined, refusal};

/// Passes all of `validators`, a tuple: `all((length_between(1, 64), regex("^[a-z]+$", "letters")))`. Stops at the first
/// that refuses, so that one fault is one message.
#[must_use]
pub fn all(validators: impl Validators) -> All {
    All(validators.boxed())
}

/// Passes at least one of `validators`, a tuple.
#[must_use]
pub fn any(validators: impl Validators) -> Any {
    Any(validators.boxed())
}

/// A tuple or vector of validators.
pub trait Validators {
    /// As trait objects.
    fn boxed(self) -> Vec<Box<dyn Validator>>;
}

/// See [`all`].
#[derive(Debug)]
pub struct All(Vec<Box<dyn Validator>>);

/// See [`any`].
#[derive(Debug)]
pub struct Any(Vec<Box<dyn Validator>>);

impl Validator for All {
    fn description(&self) -> String {
        joined(&descriptions(&self.0), "and")
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        for validator in &self.0 {
            let mut found = Diagnostics::new();
            validator.validate(request, &mut found);
            let stop = found.has_errors();
            diagnostics.append(found);
            if stop {
                return;
            }
        }
    }
}

impl Validator for Any {
    fn description(&self) -> String {
        joined(&descriptions(&self.0), "or")
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        if self.0.is_empty() {
            return;
        }
        for validator in &self.0 {
            let mut found = Diagnostics::new();
            validator.validate(request, &mut found);
            if !found.has_errors() {
                diagnostics.append(found);
                return;
            }
        }
        diagnostics.push(refusal(request, &self.description()));
    }
}

impl Validators for Vec<Box<dyn Validator>> {
    fn boxed(self) -> Vec<Box<dyn Validator>> {
        self
    }
}

macro_rules! tuples {
    ($( ($($name:ident),+) )+) => { $(
        impl<$($name: Validator + 'static),+> Validators for ($($name,)+) {
            fn boxed(self) -> Vec<Box<dyn Validator>> {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                vec![$(Box::new($name)),+]
            }
        }
    )+ };
}

tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) }

fn descriptions(validators: &[Box<dyn Validator>]) -> Vec<String> {
    validators
        .iter()
        .map(|v| v.description())
        .filter(|d| !d.is_empty())
        .collect()
}
