//! The errors of IAM's query protocol.

use super::xml::escape;

/// An error answer of the query protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct IamError {
    /// HTTP status.
    pub status: u16,
    /// Error code, such as `NoSuchEntity`.
    pub code: String,
    /// Message.
    pub message: String,
    /// `Sender` if true, else `Receiver`.
    pub sender_fault: bool,
}

impl IamError {
    /// The complete `ErrorResponse` document.
    pub fn xml(&self, request_id: &str) -> String {
        let fault = if self.sender_fault {
            "Sender"
        } else {
            "Receiver"
        };
        let (mut code, mut message, mut request) = (String::new(), String::new(), String::new());
        escape(&self.code, &mut code);
        escape(&self.message, &mut message);
        escape(request_id, &mut request);
        format!(
            "<ErrorResponse xmlns=\"{}\"><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request}</RequestId></ErrorResponse>",
            super::NAMESPACE
        )
    }

    fn sender(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            sender_fault: true,
        }
    }

    /// 400 `ValidationError`.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::sender(400, "ValidationError", message)
    }

    /// 400 `InvalidInput`.
    pub(super) fn invalid_input(message: impl Into<String>) -> Self {
        Self::sender(400, "InvalidInput", message)
    }

    /// 400 `MalformedInput`: a number that is none. The message is empty on AWS.
    pub(super) fn malformed_input() -> Self {
        Self::sender(400, "MalformedInput", "")
    }

    /// 400 `MissingParameter`.
    pub(super) fn missing_parameter(name: &str) -> Self {
        Self::sender(
            400,
            "MissingParameter",
            format!("The request must contain the parameter {name}."),
        )
    }

    /// 400 `MalformedPolicyDocument`.
    pub(super) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::sender(400, "MalformedPolicyDocument", message)
    }

    /// 400 `UnmodifiableEntity`.
    pub(super) fn unmodifiable_entity(role: &str) -> Self {
        Self::sender(
            400,
            "UnmodifiableEntity",
            format!(
                "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
            ),
        )
    }

    /// 400 `InvalidAction`.
    pub(super) fn invalid_action(action: &str, version: &str) -> Self {
        Self::sender(
            400,
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        )
    }

    /// 404 `NoSuchEntity`.
    pub(super) fn no_such_entity(message: impl Into<String>) -> Self {
        Self::sender(404, "NoSuchEntity", message)
    }

    /// 404 for a role.
    pub(super) fn no_such_role(name: &str) -> Self {
        Self::no_such_entity(format!("The role with name {name} cannot be found."))
    }

    /// 409 `EntityAlreadyExists`.
    pub(super) fn already_exists(message: impl Into<String>) -> Self {
        Self::sender(409, "EntityAlreadyExists", message)
    }

    /// 409 `DeleteConflict`.
    pub(super) fn delete_conflict(message: impl Into<String>) -> Self {
        Self::sender(409, "DeleteConflict", message)
    }

    /// 409 `LimitExceeded` with a message of its own.
    pub(super) fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::sender(409, "LimitExceeded", message)
    }

    /// 409 `LimitExceeded` of a named quota.
    pub(super) fn quota(name: &str, limit: usize) -> Self {
        Self::limit_exceeded(format!("Cannot exceed quota for {name}: {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_escapes_and_names_the_fault() {
        let mut error = IamError::malformed_policy("Invalid principal in policy: \"AWS\":\"<x>\"");
        assert_eq!(
            error.xml("r&1"),
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>MalformedPolicyDocument</Code>\
             <Message>Invalid principal in policy: &quot;AWS&quot;:&quot;&lt;x&gt;&quot;</Message></Error><RequestId>r&amp;1</RequestId></ErrorResponse>"
        );
        error.sender_fault = false;
        assert!(error.xml("r").contains("<Type>Receiver</Type>"));
    }
}
