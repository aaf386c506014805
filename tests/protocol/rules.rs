//! What is reported when a rule is broken.

use std::fmt;

use podidentity::cty::Path;

/// A broken rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    /// `P7`, `A1`, …
    pub(crate) rule: &'static str,
    /// What Core would say, with the path in front.
    pub(crate) message: String,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }

    pub(crate) fn at(rule: &'static str, path: &Path, message: impl fmt::Display) -> Self {
        let message = if path.is_root() {
            message.to_string()
        } else {
            format!("{path}: {message}")
        };
        Self { rule, message }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.message)
    }
}
