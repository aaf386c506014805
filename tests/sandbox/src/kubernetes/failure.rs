//! Error answers: the fields of a `Status`.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::managed_fields::Conflict;

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

impl Failure {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: json!({}),
        }
    }

    pub(super) fn of(
        code: u16,
        reason: &'static str,
        kind: &Kind,
        name: &str,
        message: String,
    ) -> Self {
        let mut details = json!({"name": name, "kind": kind.plural});
        if !kind.group.is_empty() {
            details["group"] = kind.group.into();
        }
        Self {
            code,
            reason,
            message,
            details,
        }
    }

    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Self::of(404, "NotFound", kind, name, message)
    }

    pub(super) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Self::of(409, "AlreadyExists", kind, name, message)
    }

    pub(super) fn conflict(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            kind.qualified()
        );
        Self::of(409, "Conflict", kind, name, message)
    }

    /// What server-side apply answers when others own fields with other values.
    pub(super) fn field_conflict(conflicts: &[Conflict]) -> Self {
        let message = match conflicts {
            [one] => format!(
                "Apply failed with 1 conflict: conflict with {}: {}",
                one.manager, one.field
            ),
            many => {
                let mut text = format!("Apply failed with {} conflicts:", many.len());
                let mut last = "";
                for conflict in many {
                    if conflict.manager != last {
                        text.push_str(&format!(" conflicts with {}:", conflict.manager));
                        last = &conflict.manager;
                    }
                    text.push_str(&format!("\n- {}", conflict.field));
                }
                text
            }
        };
        let mut failure = Self::new(409, "Conflict", message);
        failure.details = json!({"causes": conflicts
            .iter()
            .map(|c| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", c.manager), "field": c.field}))
            .collect::<Vec<_>>()});
        failure
    }

    pub(super) fn invalid(
        kind: &Kind,
        name: &str,
        field: &str,
        reason: &'static str,
        message: &str,
    ) -> Self {
        let mut failure = Self::of(
            422,
            "Invalid",
            kind,
            name,
            format!("{} \"{name}\" is invalid: {field}: {message}", kind.kind),
        );
        failure.details["kind"] = kind.kind.into();
        failure.details["causes"] = json!([{"reason": reason, "message": message, "field": field}]);
        failure
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The body of the answer.
    pub(crate) fn status(&self) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason, "details": self.details, "code": self.code})
    }
}
