//! One last look after a create that failed although an earlier attempt of it may have been carried out: nothing that
//! was created may be lost.

use std::time::Duration;

use aws_smithy_types::DateTime;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::framework::Context;

/// How long the look may take: Terraform may be waiting to stop.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How far the clocks of AWS and of this machine may be apart.
pub const CLOCK_SKEW: time::Duration = time::Duration::minutes(5);

/// The same context without the stop that may have ended the create.
#[must_use]
pub fn context<P>(context: &Context<P>) -> Context<P> {
    Context {
        cancel: CancellationToken::new(),
        ..context.clone()
    }
}

/// Whether an object was created by an operation that began at `began`, as far as time can tell.
#[must_use]
pub fn is_new(created: Option<&DateTime>, began: OffsetDateTime) -> bool {
    created.is_some_and(|created| created.secs() >= (began - CLOCK_SKEW).unix_timestamp())
}
