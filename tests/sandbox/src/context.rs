//! What the core knows about a request when it calls a service's state machine.

use time::OffsetDateTime;

/// Who asks, where and when.
///
/// The state machines never read a clock or an identity themselves, so that a test can set both.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Twelve digits: the account of the signing key, and so the account whose state is addressed.
    pub account_id: String,
    /// Partition of the signing region, such as `aws` or `aws-cn`.
    pub partition: String,
    /// Time of the request.
    pub now: OffsetDateTime,
    /// Request id (UUID form) the answer carries.
    pub request_id: String,
    /// ARN of the caller, such as `arn:aws:iam::123456789012:user/sandbox`.
    pub caller_arn: String,
}
