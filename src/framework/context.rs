//! What every operation gets: the configured provider and the stop signal.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// What an operation may use. `P` is the provider's configured data (for us: the AWS clients).
pub struct Context<P> {
    /// The configured provider.
    pub provider: Arc<P>,
    /// Cancelled by StopProvider. Waits and retries end at once; a call that changes something is allowed to answer, so
    /// that nothing is created without its id reaching the state.
    pub cancel: CancellationToken,
}

impl<P> Clone for Context<P> {
    fn clone(&self) -> Self {
        Self {
            provider: Arc::clone(&self.provider),
            cancel: self.cancel.clone(),
        }
    }
}
