//! Checks of which attributes may, must or must not stand together.
//!
//! Paths are relative to the object that holds the attribute: for an attribute of the root they are paths from the
//! root, inside a nested object they name its siblings. [`Presence::from_root`] makes them start at the root.

use crate::cty::{Path, Value};

use super::{
    Diagnostic, Diagnostics, INVALID_COMBINATION, Validator, ValidatorRequest, joined, subject,
};

/// When this attribute is set, none of `others` may be.
#[must_use]
pub fn conflicts_with<T: Into<Path>>(others: impl IntoIterator<Item = T>) -> Presence {
    Presence::new(Rule::Conflicts, others)
}

/// Exactly one of this attribute and `others` is set. Put it on one of them only.
#[must_use]
pub fn exactly_one_of<T: Into<Path>>(others: impl IntoIterator<Item = T>) -> Presence {
    Presence::new(Rule::ExactlyOne, others)
}

/// At least one of this attribute and `others` is set. Put it on one of them only.
#[must_use]
pub fn at_least_one_of<T: Into<Path>>(others: impl IntoIterator<Item = T>) -> Presence {
    Presence::new(Rule::AtLeastOne, others)
}

/// When this attribute is set, all of `others` must be.
#[must_use]
pub fn also_requires<T: Into<Path>>(others: impl IntoIterator<Item = T>) -> Presence {
    Presence::new(Rule::Requires, others)
}

/// See [`conflicts_with`], [`exactly_one_of`], [`at_least_one_of`] and [`also_requires`].
#[derive(Clone, Debug)]
pub struct Presence {
    rule: Rule,
    others: Vec<Path>,
    from_root: bool,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    AtLeastOne,
    Conflicts,
    ExactlyOne,
    Requires,
}

impl Presence {
    /// Takes the paths from the root of the configuration.
    #[must_use]
    pub fn from_root(mut self) -> Self {
        self.from_root = true;
        self
    }

    fn new<T: Into<Path>>(rule: Rule, others: impl IntoIterator<Item = T>) -> Self {
        Self {
            rule,
            others: others.into_iter().map(Into::into).collect(),
            from_root: false,
        }
    }

    /// Where a diagnostic and a sentence put `other`.
    fn full_path(&self, request: &ValidatorRequest<'_>, other: &Path) -> Path {
        let steps = request.path.steps();
        let parent = if self.from_root || steps.is_empty() {
            &[]
        } else {
            &steps[..steps.len() - 1]
        };
        parent.iter().chain(other.steps()).cloned().collect()
    }

    fn names(&self, request: &ValidatorRequest<'_>, paths: &[&Path], conjunction: &str) -> String {
        let names: Vec<String> = paths
            .iter()
            .map(|other| self.full_path(request, other).to_string())
            .collect();
        joined(&names, conjunction)
    }
}

impl Validator for Presence {
    fn description(&self) -> String {
        let names: Vec<String> = self.others.iter().map(|p| format!("`{p}`")).collect();
        match self.rule {
            Rule::AtLeastOne => format!("at least one of this and {}", joined(&names, "and")),
            Rule::Conflicts => format!("not together with {}", joined(&names, "or")),
            Rule::ExactlyOne => format!("exactly one of this and {}", joined(&names, "and")),
            Rule::Requires => format!("only together with {}", joined(&names, "and")),
        }
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let base = if self.from_root {
            request.config
        } else {
            request.parent
        };
        let found: Vec<(&Path, &Value)> = self
            .others
            .iter()
            .map(|path| (path, base.at(path).unwrap_or(&Value::Null)))
            .collect();
        let present: Vec<&Path> = of(&found, Value::is_set);
        let absent: Vec<&Path> = of(&found, Value::is_null);
        let undecided = request.value.is_unknown() || found.iter().any(|(_, v)| v.is_unknown());
        let here = subject(request.path);
        let all: Vec<&Path> = self.others.iter().collect();

        let detail = match self.rule {
            Rule::Conflicts if request.value.is_set() && !present.is_empty() => format!(
                "{here} cannot be set together with {}. Remove one or the other.",
                self.names(request, &present, "or")
            ),
            Rule::Requires if request.value.is_set() && !absent.is_empty() => format!(
                "{here} needs {} to be set as well.",
                self.names(request, &absent, "and")
            ),
            Rule::ExactlyOne if present.len() + usize::from(request.value.is_set()) > 1 => {
                let others = self.names(request, &present, "and");
                if request.value.is_set() {
                    format!(
                        "{here} cannot be set together with {others}. Keep exactly one of them."
                    )
                } else {
                    format!("Only one of {others} can be set. Keep exactly one of them.")
                }
            }
            Rule::ExactlyOne if !undecided && present.is_empty() && request.value.is_null() => {
                format!(
                    "Exactly one of {} and {} must be set, but none is.",
                    request.path,
                    self.names(request, &all, "and")
                )
            }
            Rule::AtLeastOne if !undecided && present.is_empty() && request.value.is_null() => {
                format!(
                    "At least one of {} and {} must be set, but none is.",
                    request.path,
                    self.names(request, &all, "and")
                )
            }
            _ => return,
        };
        diagnostics.push(Diagnostic::error(INVALID_COMBINATION, detail).at(request.path.clone()));
    }
}

fn of<'a>(found: &[(&'a Path, &Value)], matches: fn(&Value) -> bool) -> Vec<&'a Path> {
    found
        .iter()
        .filter(|(_, value)| matches(value))
        .map(|(path, _)| *path)
        .collect()
}
