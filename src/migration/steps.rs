//! The steps of a migration and its rollback. Each can be repeated, and does nothing where nothing is left to do.

pub mod association;
pub mod injection;
pub mod rollout;
pub mod service_account;
pub mod trust;

use std::time::Duration;

use tokio::time::Instant;

/// The pause before another look, cut so that the last look is at the deadline; `None` once that is over.
pub(crate) fn until_next_look(pause: Duration, deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| pause.min(left))
}

#[cfg(test)]
mod tests;
