//! Failed AWS calls, typed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_eks::config::http::HttpResponse;
use aws_sdk_eks::error::{ProvideErrorMetadata, SdkError};
use aws_types::request_id::RequestId;

use crate::cty::Path;
use crate::framework::Diagnostic;
use crate::plugin::logging::mask;

use super::call::{CallState, is_connect_failure, is_timeout};

/// What went wrong, as far as somebody acts on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AwsErrorKind {
    /// The object does not exist.
    NotFound,
    /// The object exists already or is in use (`EntityAlreadyExists`, `ResourceInUseException`).
    AlreadyExists,
    /// The caller may not do this.
    AccessDenied,
    /// AWS still throttled after all retries.
    Throttled,
    /// AWS refused the request's content.
    InvalidParameter,
    /// The object changed or cannot change right now (`ConcurrentModification`, `DeleteConflict`).
    Conflict,
    /// A quota is reached.
    QuotaExceeded,
    /// No answer, or not the hoped-for state, in time.
    Timeout,
    /// No connection to AWS: DNS, TCP, TLS, proxy.
    Connection,
    /// No credentials, or AWS does not accept them.
    Credentials,
    /// Terraform asked to stop.
    Cancelled,
    /// The provider configuration needs values that are known only after apply.
    NotYetKnown,
    /// Anything else; 5xx answers among them.
    Other,
}

/// A failed AWS call. Cheap to clone. `Display` is one line without causes.
#[derive(Clone)]
pub struct AwsError(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: AwsErrorKind,
    service: String,
    operation: String,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    status: Option<u16>,
    after_ambiguous_attempt: bool,
    attempts: u32,
    causes: Vec<String>,
    notes: Vec<String>,
}

impl AwsError {
    /// An error that no call answered: a waiter's, or a test's.
    #[must_use]
    pub fn new(kind: AwsErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            service: String::new(),
            operation: String::new(),
            code: None,
            message: message.into(),
            request_id: None,
            status: None,
            after_ambiguous_attempt: false,
            attempts: 0,
            causes: Vec::new(),
            notes: Vec::new(),
        }))
    }

    /// Terraform asked to stop.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(
            AwsErrorKind::Cancelled,
            "the operation was stopped before it finished",
        )
    }

    /// The provider configuration depends on `paths`, which are not known yet. At plan time callers skip what needed
    /// the call.
    #[must_use]
    pub fn not_yet_known(paths: &[Path]) -> Self {
        let list: Vec<_> = paths.iter().map(|path| format!("`{path}`")).collect();
        Self::new(
            AwsErrorKind::NotYetKnown,
            format!(
                "the provider configuration is not known yet: {} depends on values that Terraform learns during apply",
                list.join(", ")
            ),
        )
    }

    /// The error of an SDK call, with what its attempts went through.
    pub(crate) fn from_sdk<E>(error: &SdkError<E, HttpResponse>, state: &CallState) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let (service, operation) = state.names();
        let status = error.raw_response().map(|r| r.status().as_u16());
        let request_id = error
            .request_id()
            .map(ToOwned::to_owned)
            .filter(|id| !id.is_empty());
        let (kind, code, message, causes) = match error {
            SdkError::ServiceError(context) => {
                let code = context.err().code().map(ToOwned::to_owned);
                let message = context.err().message().map_or_else(
                    || "AWS gave no message".to_owned(),
                    |message| message.trim().to_owned(),
                );
                let kind = classify(code.as_deref(), status);
                (kind, code, message, Vec::new())
            }
            _ => {
                let chain = cause_chain(error);
                let kind = if find::<CredentialsError>(error).is_some() {
                    AwsErrorKind::Credentials
                } else if is_connect_failure(error) {
                    AwsErrorKind::Connection
                } else if matches!(error, SdkError::TimeoutError(_)) || is_timeout(error) {
                    AwsErrorKind::Timeout
                } else if matches!(error, SdkError::DispatchFailure(_)) {
                    AwsErrorKind::Connection
                } else {
                    AwsErrorKind::Other
                };
                let message = match kind {
                    AwsErrorKind::Credentials => "no usable AWS credentials",
                    AwsErrorKind::Connection => "the connection to AWS failed",
                    AwsErrorKind::Timeout => "AWS did not answer in time",
                    _ if matches!(error, SdkError::ConstructionFailure(_)) => {
                        "the request could not be built"
                    }
                    _ => "AWS gave an answer that is not understood",
                };
                (kind, None, message.to_owned(), chain)
            }
        };
        Self(Arc::new(Inner {
            kind,
            service,
            operation,
            code,
            message,
            request_id,
            status,
            after_ambiguous_attempt: state.ambiguous(),
            attempts: state.attempts(),
            causes,
            notes: Vec::new(),
        }))
    }

    /// Credentials could not be loaded for something that is no call, such as signing.
    pub(crate) fn no_credentials(error: &CredentialsError) -> Self {
        let mut made = Self::new(AwsErrorKind::Credentials, "no usable AWS credentials");
        made.edit(|inner| {
            inner.causes = std::iter::once(mask(&error.to_string()).into_owned())
                .chain(cause_chain(error))
                .collect();
        });
        made
    }

    pub(crate) fn stopped(kind: AwsErrorKind, message: &str, state: &CallState) -> Self {
        let (service, operation) = state.names();
        let mut error = Self::new(kind, message);
        error.edit(|inner| {
            inner.service = service;
            inner.operation = operation;
            inner.attempts = state.attempts();
            inner.after_ambiguous_attempt = state.ambiguous();
        });
        error
    }

    /// The same error with AWS's error code; for tests and for errors that wrap an earlier one.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.edit(|inner| inner.code = Some(code.into()));
        self
    }

    /// The same error naming the call: `("EKS", "CreateAddon")`.
    #[must_use]
    pub fn in_call(mut self, service: impl Into<String>, operation: impl Into<String>) -> Self {
        self.edit(|inner| {
            inner.service = service.into();
            inner.operation = operation.into();
        });
        self
    }

    /// The same error with one more sentence for the user, such as how long was waited.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.edit(|inner| inner.notes.push(note.into()));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> AwsErrorKind {
        self.0.kind
    }

    /// The service's name: `EKS`, `IAM`, `STS`. Empty if no call was made.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The operation's name: `CreateRole`. Empty if no call was made.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// AWS's error code: `ResourceInUseException`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// AWS's message, or ours where AWS gave no answer.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// AWS's request id, for a support case.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        self.0.status
    }

    /// Whether an earlier attempt of the same call may have been carried out although no good answer arrived: the
    /// connection dropped, timed out or answered 5xx after sending. `AlreadyExists` after that may mean our own object.
    #[must_use]
    pub fn after_ambiguous_attempt(&self) -> bool {
        self.0.after_ambiguous_attempt
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.kind == AwsErrorKind::NotFound
    }

    /// Whether Terraform asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == AwsErrorKind::Cancelled
    }

    /// Whether the provider configuration is not known yet.
    #[must_use]
    pub fn is_not_yet_known(&self) -> bool {
        self.0.kind == AwsErrorKind::NotYetKnown
    }

    /// Whether AWS answered with this code and a message that contains `text`.
    #[must_use]
    pub fn is(&self, code: &str, text: &str) -> bool {
        self.code() == Some(code) && self.0.message.contains(text)
    }

    /// The IAM action of the call: `eks:CreatePodIdentityAssociation`.
    #[must_use]
    pub fn action(&self) -> Option<String> {
        let prefix = match self.0.service.as_str() {
            "" => return None,
            service => service.to_ascii_lowercase(),
        };
        Some(format!("{prefix}:{}", self.0.operation))
    }

    /// The diagnostic. `object` says which object and what was being done, as a sentence: `The role "payments" was not
    /// created.`; `next` what to do beyond the advice that the kind of error gives, or nothing.
    #[must_use]
    pub fn into_diagnostic(&self, summary: &str, object: &str, next: &str) -> Diagnostic {
        let mut detail = String::new();
        let mut paragraph = |text: &str| {
            if !text.is_empty() {
                if !detail.is_empty() {
                    detail.push_str("\n\n");
                }
                detail.push_str(text);
            }
        };
        paragraph(object);
        paragraph(&self.explanation());
        paragraph(&self.0.notes.join(" "));
        paragraph(next);
        paragraph(&self.advice());
        Diagnostic::error(summary, detail)
    }

    /// The call, code, message, request id and causes, in one sentence.
    #[must_use]
    pub fn explanation(&self) -> String {
        let mut text = self.to_string();
        for cause in &self.0.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        let mut facts = Vec::new();
        if let Some(status) = self.0.status {
            facts.push(format!("HTTP {status}"));
        }
        if let Some(id) = &self.0.request_id {
            facts.push(format!("request id {id}"));
        }
        if self.0.attempts > 1 {
            facts.push(format!("{} attempts", self.0.attempts));
        }
        if !facts.is_empty() {
            text.push_str(&format!(" ({})", facts.join(", ")));
        }
        if !text.ends_with(['.', '!', '?']) {
            text.push('.');
        }
        text
    }

    fn advice(&self) -> String {
        match self.0.kind {
            AwsErrorKind::AccessDenied => self.action().map_or_else(String::new, |action| {
                format!(
                    "The credentials in use may not do this. Allow the action `{action}` for them, and check service control policies, permissions boundaries and session policies."
                )
            }),
            AwsErrorKind::Credentials if self.0.code.is_some() => {
                "AWS does not accept the credentials. They may have expired, be for another partition or account, or be mistyped; refresh them (for SSO: `aws sso login`) and check the clock of this machine.".to_owned()
            }
            AwsErrorKind::Credentials => {
                "Give the provider credentials: the arguments `profile` or `assume_role_with_web_identity`, the AWS_* environment variables, or a role of the machine or pod that runs Terraform.".to_owned()
            }
            AwsErrorKind::Throttled => {
                "AWS limits how often this account may call it. Run again later, lower Terraform's -parallelism, or set the provider's `retry_mode = \"adaptive\"`.".to_owned()
            }
            AwsErrorKind::QuotaExceeded => {
                "A quota of the account is reached. Remove what is no longer needed or ask for more in the Service Quotas console.".to_owned()
            }
            AwsErrorKind::Conflict => {
                "Something else is changing the same object, or it is still in use. Run again once that has finished.".to_owned()
            }
            AwsErrorKind::Connection => {
                "Check the network, `region`, the `endpoints` block, proxies (`https_proxy`, `no_proxy`) and `custom_ca_bundle`.".to_owned()
            }
            AwsErrorKind::Timeout => {
                "Run again; what AWS has done meanwhile is read first. If it keeps happening, raise the resource's `timeouts` or look at the AWS Health Dashboard.".to_owned()
            }
            AwsErrorKind::Cancelled => "Run again to continue.".to_owned(),
            AwsErrorKind::Other if self.0.status.is_some_and(|status| status >= 500) => {
                "The service failed. Run again; if it keeps happening, give AWS support the request id.".to_owned()
            }
            AwsErrorKind::NotFound
            | AwsErrorKind::AlreadyExists
            | AwsErrorKind::InvalidParameter
            | AwsErrorKind::NotYetKnown
            | AwsErrorKind::Other => String::new(),
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut Inner)) {
        change(Arc::make_mut(&mut self.0));
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "{} {}: ", self.0.service, self.0.operation)?;
        }
        if let Some(code) = &self.0.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for AwsError {}

/// The kind of a service error. The codes are those of the EKS, IAM and STS API references and of the errors common to
/// all AWS services; the status decides only where the code does not.
fn classify(code: Option<&str>, status: Option<u16>) -> AwsErrorKind {
    // JSON services may qualify the code: `com.amazonaws.eks#ResourceNotFoundException`, `…Exception:http://…`.
    let code = code.unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    match code.strip_suffix("Exception").unwrap_or(code) {
        "ResourceNotFound" | "NoSuchEntity" | "NotFound" => AwsErrorKind::NotFound,
        "EntityAlreadyExists" | "ResourceInUse" | "AlreadyExists" | "ResourceAlreadyExists" => {
            AwsErrorKind::AlreadyExists
        }
        "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized" | "Forbidden" => {
            AwsErrorKind::AccessDenied
        }
        "Throttling"
        | "Throttled"
        | "ThrottledRequest"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "ProvisionedThroughputExceeded" => AwsErrorKind::Throttled,
        "LimitExceeded"
        | "ResourceLimitExceeded"
        | "ServiceQuotaExceeded"
        | "PolicySizeExceeded"
        | "PackedPolicyTooLarge" => AwsErrorKind::QuotaExceeded,
        "ConcurrentModification"
        | "DeleteConflict"
        | "EntityTemporarilyUnmodifiable"
        | "UnmodifiableEntity"
        | "ResourcePropagationDelay" => AwsErrorKind::Conflict,
        "InvalidParameter"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "InvalidRequest"
        | "ValidationError"
        | "Validation"
        | "InvalidInput"
        | "MalformedPolicyDocument"
        | "BadRequest"
        | "Client"
        | "PolicyNotAttachable"
        | "MalformedQueryString" => AwsErrorKind::InvalidParameter,
        "ExpiredToken"
        | "ExpiredTokenId"
        | "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidAccessKeyId"
        | "InvalidIdentityToken"
        | "IDPRejectedClaim"
        | "IDPCommunicationError"
        | "OptInRequired"
        | "RequestExpired"
        | "AuthFailure" => AwsErrorKind::Credentials,
        "RequestTimeout" => AwsErrorKind::Timeout,
        _ => match status {
            Some(404) => AwsErrorKind::NotFound,
            Some(401 | 403) => AwsErrorKind::AccessDenied,
            Some(429) => AwsErrorKind::Throttled,
            Some(408) => AwsErrorKind::Timeout,
            _ => AwsErrorKind::Other,
        },
    }
}

/// The sources of an error, outermost first, without those that only repeat what the next one says.
fn cause_chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        // Texts of libraries may repeat what they were given, such as the URL of a proxy with its password.
        let text = mask(&cause.to_string()).into_owned();
        // Many SDK wrappers print their source too; saying it once is enough.
        // "other" is how the SDK names a connector error that has no kind.
        if !text.is_empty()
            && text != "other"
            && !chain.iter().any(|earlier| earlier.contains(&text))
        {
            chain.retain(|earlier| !text.contains(earlier.as_str()));
            chain.push(text);
        }
        next = cause.source();
    }
    chain
}

/// The first error of type `T` in the chain.
pub(crate) fn find<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(candidate) = next {
        if let Some(found) = candidate.downcast_ref::<T>() {
            return Some(found);
        }
        next = candidate.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_classified() {
        for (code, status, kind) in [
            ("ResourceNotFoundException", 404, AwsErrorKind::NotFound),
            ("NoSuchEntity", 404, AwsErrorKind::NotFound),
            ("NotFoundException", 404, AwsErrorKind::NotFound),
            ("ResourceInUseException", 409, AwsErrorKind::AlreadyExists),
            ("EntityAlreadyExists", 409, AwsErrorKind::AlreadyExists),
            ("AccessDeniedException", 403, AwsErrorKind::AccessDenied),
            ("AccessDenied", 403, AwsErrorKind::AccessDenied),
            ("ThrottlingException", 429, AwsErrorKind::Throttled),
            ("Throttling", 400, AwsErrorKind::Throttled),
            ("RequestLimitExceeded", 503, AwsErrorKind::Throttled),
            ("LimitExceeded", 409, AwsErrorKind::QuotaExceeded),
            (
                "ResourceLimitExceededException",
                400,
                AwsErrorKind::QuotaExceeded,
            ),
            ("ConcurrentModification", 409, AwsErrorKind::Conflict),
            ("DeleteConflict", 409, AwsErrorKind::Conflict),
            (
                "InvalidParameterException",
                400,
                AwsErrorKind::InvalidParameter,
            ),
            (
                "InvalidRequestException",
                400,
                AwsErrorKind::InvalidParameter,
            ),
            (
                "MalformedPolicyDocument",
                400,
                AwsErrorKind::InvalidParameter,
            ),
            ("ValidationError", 400, AwsErrorKind::InvalidParameter),
            ("BadRequestException", 400, AwsErrorKind::InvalidParameter),
            ("ExpiredToken", 403, AwsErrorKind::Credentials),
            ("InvalidClientTokenId", 403, AwsErrorKind::Credentials),
            (
                "UnrecognizedClientException",
                403,
                AwsErrorKind::Credentials,
            ),
            ("SignatureDoesNotMatch", 403, AwsErrorKind::Credentials),
            ("ServerException", 500, AwsErrorKind::Other),
            ("ServiceFailure", 500, AwsErrorKind::Other),
            (
                "com.amazonaws.eks#ResourceNotFoundException",
                404,
                AwsErrorKind::NotFound,
            ),
            (
                "ResourceNotFoundException:http://internal",
                404,
                AwsErrorKind::NotFound,
            ),
            ("SomethingNew", 404, AwsErrorKind::NotFound),
            ("SomethingNew", 403, AwsErrorKind::AccessDenied),
            ("SomethingNew", 429, AwsErrorKind::Throttled),
            ("SomethingNew", 400, AwsErrorKind::Other),
        ] {
            assert_eq!(classify(Some(code), Some(status)), kind, "{code} {status}");
        }
        assert_eq!(classify(None, Some(404)), AwsErrorKind::NotFound);
        assert_eq!(classify(None, None), AwsErrorKind::Other);
    }

    #[test]
    fn diagnostics_say_what_happened_and_what_to_do() {
        let error = AwsError::new(AwsErrorKind::AccessDenied, "User: u is not authorized")
            .with_code("AccessDeniedException")
            .in_call("EKS", "CreatePodIdentityAssociation")
            .note("It was tried again for 2m.");
        let diagnostic = error.into_diagnostic(
            "Creating EKS Pod Identity association",
            "The association was not created.",
            "Look here.",
        );
        assert_eq!(diagnostic.summary, "Creating EKS Pod Identity association");
        assert_eq!(
            diagnostic.detail,
            "The association was not created.\n\n\
             EKS CreatePodIdentityAssociation: AccessDeniedException: User: u is not authorized.\n\n\
             It was tried again for 2m.\n\n\
             Look here.\n\n\
             The credentials in use may not do this. Allow the action `eks:CreatePodIdentityAssociation` for them, and \
             check service control policies, permissions boundaries and session policies."
        );
    }
}
