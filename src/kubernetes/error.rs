//! What goes wrong with the Kubernetes API.

use std::fmt;
use std::sync::Arc;

use crate::aws::AwsError;
use crate::framework::Diagnostic;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KubernetesErrorKind {
    /// 404: the object, its namespace or its kind does not exist.
    NotFound,
    /// 409 `AlreadyExists`.
    AlreadyExists,
    /// 409 `Conflict`: somebody else wrote in between. Read again and decide again.
    Conflict,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 400 or 422.
    Invalid,
    /// 429, still after all retries.
    Throttled,
    /// 5xx, or no answer, still after all retries.
    Unavailable,
    /// It took too long.
    Timeout,
    /// Terraform was asked to stop.
    Cancelled,
    /// The provider block depends on values that are not known yet.
    NotYetKnown,
    /// The provider's `kubernetes` block, a kubeconfig or a credential plugin cannot be used.
    Configuration,
    /// AWS did not say where the cluster is, or gave no credentials.
    Aws,
    /// Anything else.
    Other,
}

/// A failed call of the Kubernetes API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KubernetesError(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: KubernetesErrorKind,
    message: String,
    verb: String,
    resource: String,
    group: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl KubernetesError {
    /// An error outside of any call.
    pub fn new(kind: KubernetesErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            verb: String::new(),
            resource: String::new(),
            group: String::new(),
            namespace: None,
            name: None,
        }))
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> KubernetesErrorKind {
        self.0.kind
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == KubernetesErrorKind::NotFound
    }

    /// Whether the caller may not do it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.kind() == KubernetesErrorKind::Forbidden
    }

    /// Whether Terraform was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind() == KubernetesErrorKind::Cancelled
    }

    /// Whether the provider block depends on values that are not known yet.
    #[must_use]
    pub fn is_not_yet_known(&self) -> bool {
        self.kind() == KubernetesErrorKind::NotYetKnown
    }

    /// The diagnostic: `summary`, a sentence about the object, what the API said, and what to do. A refusal names verb,
    /// resource and the RBAC rule that is missing.
    #[must_use]
    pub fn into_diagnostic(&self, summary: &str, object: &str, next: &str) -> Diagnostic {
        Diagnostic::error(summary, format!("{object}\n\n{self}\n\n{next}"))
    }
}

impl From<AwsError> for KubernetesError {
    fn from(error: AwsError) -> Self {
        let kind = if error.is_cancelled() {
            KubernetesErrorKind::Cancelled
        } else if error.is_not_yet_known() {
            KubernetesErrorKind::NotYetKnown
        } else {
            KubernetesErrorKind::Aws
        };
        Self::new(kind, error.explanation())
    }
}

impl fmt::Display for KubernetesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for KubernetesError {}
