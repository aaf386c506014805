//! What goes wrong with the Kubernetes API.

use std::fmt;
use std::sync::Arc;

use crate::aws::AwsError;
use crate::aws::lookup::LookupError;
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
    /// 403 for want of a right, such as an RBAC rule.
    Forbidden,
    /// 403 for another reason: admission, or something on the way to the API server.
    Refused,
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

/// A failed call of the Kubernetes API. Cheap to clone. `Display` is one line: the call, the cluster, what the API said.
#[derive(Clone, Debug)]
pub struct KubernetesError(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: KubernetesErrorKind,
    message: String,
    call: Option<Call>,
    status: Option<u16>,
    attempts: u32,
    advice: String,
    aws: Option<AwsError>,
}

/// What a call wanted, in the words of RBAC.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Call {
    /// `get`, `list`, `patch`, `create`.
    pub(crate) verb: &'static str,
    /// The plural: `serviceaccounts`; for what is no resource, its path: `/apis/keda.sh`.
    pub(crate) resource: String,
    /// The API group; empty for the core group.
    pub(crate) group: String,
    /// The namespace; `None` for the whole cluster.
    pub(crate) namespace: Option<String>,
    /// The object; `None` for collections.
    pub(crate) name: Option<String>,
    /// The EKS cluster.
    pub(crate) cluster: String,
}

impl fmt::Display for Call {
    /// `get serviceaccounts "api" in namespace "orders" of cluster "demo"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace:?}")?;
        }
        write!(f, " of cluster {:?}", self.cluster)
    }
}

impl KubernetesError {
    /// An error outside of any call.
    pub fn new(kind: KubernetesErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            call: None,
            status: None,
            attempts: 0,
            advice: String::new(),
            aws: None,
        }))
    }

    /// Terraform asked to stop.
    pub(crate) fn cancelled() -> Self {
        Self::new(
            KubernetesErrorKind::Cancelled,
            "the operation was stopped before it finished",
        )
    }

    /// The same error, of this call.
    pub(crate) fn in_call(mut self, call: &Call) -> Self {
        self.edit(|inner| inner.call = Some(call.clone()));
        self
    }

    /// The same error, with the answer's HTTP status.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.edit(|inner| inner.status = Some(status));
        self
    }

    /// The same error, after so many attempts.
    pub(crate) fn after_attempts(mut self, attempts: u32) -> Self {
        self.edit(|inner| inner.attempts = attempts);
        self
    }

    /// The same error, with what to do about it.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.edit(|inner| inner.advice = advice.into());
        self
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Inner)) {
        edit(Arc::make_mut(&mut self.0));
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> KubernetesErrorKind {
        self.0.kind
    }

    /// What the API said, without the call.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        self.0.status
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == KubernetesErrorKind::NotFound
    }

    /// Whether the caller lacks a right to do it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.kind() == KubernetesErrorKind::Forbidden
    }

    /// Whether somebody else wrote in between.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.kind() == KubernetesErrorKind::Conflict
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

    /// The RBAC rule that is missing, as YAML in one line: `{apiGroups: [""], resources: ["pods"], verbs: ["list"]}`.
    /// `None` unless the API refused the call for want of one.
    #[must_use]
    pub fn missing_rule(&self) -> Option<String> {
        let fields: Vec<String> = rule_fields(self.refused_call()?)
            .iter()
            .map(|(field, value)| format!("{field}: [{value:?}]"))
            .collect();
        Some(format!("{{{}}}", fields.join(", ")))
    }

    /// The call that failed, if it was in one.
    pub(crate) fn call(&self) -> Option<&Call> {
        self.0.call.as_ref()
    }

    fn refused_call(&self) -> Option<&Call> {
        // What is refused may be another thing than the call: to act as somebody else.
        self.0.call.as_ref().filter(|call| {
            self.is_forbidden() && self.message().contains(&format!(" cannot {} ", call.verb))
        })
    }

    /// The diagnostic: `summary`, a sentence about the object, what the API said, and what to do. A refusal names verb,
    /// resource and the RBAC rule that is missing. `object` and `next` may be empty.
    #[must_use]
    pub fn into_diagnostic(&self, summary: &str, object: &str, next: &str) -> Diagnostic {
        if let Some(aws) = &self.0.aws {
            return aws.into_diagnostic(summary, object, next);
        }
        let mut said = self.line();
        if self.0.attempts > 1 {
            said.push_str(&format!(" ({} attempts)", self.0.attempts));
        }
        if !said.ends_with(['.', '!', '?']) {
            said.push('.');
        }
        let rule = self.refused_call().map_or_else(String::new, rule_advice);
        let paragraphs: Vec<_> = [object, &said, next, &rule, &self.0.advice]
            .into_iter()
            .filter(|paragraph| !paragraph.is_empty())
            .collect();
        Diagnostic::error(summary, paragraphs.join("\n\n"))
    }

    /// `list pods of cluster "demo": … (HTTP 403)`.
    fn line(&self) -> String {
        let Inner {
            call,
            message,
            status,
            ..
        } = &*self.0;
        let mut line = String::new();
        if let Some(call) = call {
            line.push_str(&format!("{call}: "));
        }
        line.push_str(message);
        if let Some(status) = status {
            line.push_str(&format!(" (HTTP {status})"));
        }
        line
    }
}

/// The fields of the rule that allows a call, each with its one value.
fn rule_fields(call: &Call) -> Vec<(&'static str, &str)> {
    let mut fields = if call.resource.starts_with('/') {
        vec![("nonResourceURLs", call.resource.as_str())]
    } else {
        vec![
            ("apiGroups", call.group.as_str()),
            ("resources", call.resource.as_str()),
        ]
    };
    fields.push(("verbs", call.verb));
    fields
}

/// Which rule is missing where, ready to be pasted.
fn rule_advice(call: &Call) -> String {
    // A namespace is itself in its namespace, as far as Roles are concerned.
    let of_itself = call
        .name
        .as_ref()
        .filter(|_| call.resource == "namespaces" && call.group.is_empty());
    let place = match call.namespace.as_ref().or(of_itself) {
        Some(namespace) => format!("a Role in the namespace {namespace:?} (or a ClusterRole)"),
        None => "a ClusterRole".to_owned(),
    };
    let rule: Vec<String> = rule_fields(call)
        .iter()
        .map(|(field, value)| format!("{field}: [{value:?}]"))
        .collect();
    format!(
        "An RBAC rule is missing. Add it to {place} that is bound to the user or one of its groups; an EKS access entry \
         says which Kubernetes groups an IAM principal is in:\n\n  - {}",
        rule.join("\n    ")
    )
}

impl LookupError for KubernetesError {
    fn is_final(&self) -> bool {
        self.is_forbidden()
    }

    fn is_callers_own(&self) -> bool {
        self.is_cancelled() || self.0.aws.as_ref().is_some_and(AwsError::is_callers_own)
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
        let mut made = Self::new(kind, error.explanation());
        made.edit(|inner| inner.aws = Some(error));
        made
    }
}

impl fmt::Display for KubernetesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())?;
        match self.missing_rule() {
            Some(rule) => write!(f, "; the missing RBAC rule is {rule}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KubernetesError {}
