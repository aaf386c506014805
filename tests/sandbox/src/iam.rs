//! IAM of one account: a pure state machine from a decoded query to an XML answer.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use crate::context::RequestContext;

/// State of one account.
#[derive(Debug, Default)]
pub struct Iam {}

/// What EKS and STS may look at of a role.
#[derive(Clone, Debug)]
pub struct RoleView {
    /// `arn:P:iam::A:role[/path/]NAME`.
    pub arn: String,
    /// Friendly name, without the path.
    pub name: String,
    /// `AROA…`.
    pub unique_id: String,
    /// Trust policy document, parsed.
    pub trust: Value,
    /// When the role was created.
    pub created: OffsetDateTime,
    /// When the trust policy was last written; `created` for one never changed.
    pub trust_changed: OffsetDateTime,
}

/// An error answer of the query protocol.
#[derive(Clone, Debug, thiserror::Error)]
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
        let fault = if self.sender_fault { "Sender" } else { "Receiver" };
        format!(
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            self.code, self.message
        )
    }
}

impl Iam {
    /// Answers one query. `parameters` holds the decoded form fields, `Action` and `Version` among them; `Ok` is the complete XML body of a 200.
    ///
    /// # Errors
    ///
    /// The error of the IAM API reference for this operation.
    pub fn handle(&mut self, context: &RequestContext, parameters: &BTreeMap<String, String>) -> Result<String, IamError> {
        let _ = context;
        let action = parameters.get("Action").map(String::as_str).unwrap_or_default();
        Err(IamError { status: 400, code: "InvalidAction".into(), message: format!("Could not find operation {action} for version 2010-05-08"), sender_fault: true })
    }

    /// The role of this ARN, or `None`.
    pub fn role_by_arn(&self, arn: &str) -> Option<RoleView> {
        let _ = arn;
        None
    }

    /// Adds what `seed` lists.
    ///
    /// # Errors
    ///
    /// Says which entry is malformed.
    pub fn seed(&mut self, context: &RequestContext, seed: &Value) -> Result<(), String> {
        let _ = (context, seed);
        Ok(())
    }
}
