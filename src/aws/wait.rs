//! Waiting for a state.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::call::with_deadline;
use super::error::{AwsError, AwsErrorKind};
use super::retry::{Schedule, human_duration};

/// What one look found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress<T> {
    /// The wait is over.
    Done(T),
    /// Not yet. The text says what was seen, for the message if time runs out: `status CREATING`.
    Pending(String),
}

/// Looks, with pauses of `schedule`, until `look` is done. Time is tokio's, so tests may pause it.
///
/// # Errors
/// The first error of `look`; `Timeout` naming what was seen last; `Cancelled` when `cancel` fires between looks.
pub async fn poll<T, F>(
    cancel: &CancellationToken,
    timeout: Duration,
    schedule: Schedule,
    mut look: impl FnMut() -> F,
) -> Result<T, AwsError>
where
    F: Future<Output = Result<Progress<T>, AwsError>>,
{
    let deadline = Instant::now() + timeout;
    let mut seen = String::from("nothing");
    for count in 0.. {
        match with_deadline(deadline, look()).await {
            Ok(Progress::Done(output)) => return Ok(output),
            Ok(Progress::Pending(state)) => seen = state,
            Err(error) if error.kind() == AwsErrorKind::Timeout && Instant::now() >= deadline => {
                return Err(too_long(timeout, &seen));
            }
            Err(error) => return Err(error),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_long(timeout, &seen));
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(AwsError::cancelled().note(format!("Last seen: {seen}.")));
            }
            // One last look at the deadline itself.
            () = tokio::time::sleep(schedule.jittered(count).min(left)) => {}
        }
    }
    unreachable!("the loop counts without end")
}

fn too_long(timeout: Duration, seen: &str) -> AwsError {
    AwsError::new(
        AwsErrorKind::Timeout,
        format!(
            "not finished after {}; last seen: {seen}",
            human_duration(timeout)
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_until_done() {
        let looks = AtomicU32::new(0);
        let start = Instant::now();
        let result = poll(
            &CancellationToken::new(),
            Duration::from_secs(1200),
            Schedule::STATUS,
            || async {
                Ok(match looks.fetch_add(1, Ordering::Relaxed) {
                    0..=2 => Progress::Pending("status CREATING".to_owned()),
                    _ => Progress::Done("ACTIVE"),
                })
            },
        )
        .await;
        assert_eq!(result.unwrap(), "ACTIVE");
        let waited = start.elapsed().as_secs_f64();
        assert!((1.1..=1.7).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_time_names_what_was_seen() {
        let start = Instant::now();
        let error = poll::<(), _>(
            &CancellationToken::new(),
            Duration::from_secs(60),
            Schedule::STATUS,
            || async { Ok(Progress::Pending("status CREATING".to_owned())) },
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind(), AwsErrorKind::Timeout);
        assert_eq!(
            error.to_string(),
            "not finished after 1m; last seen: status CREATING"
        );
        assert_eq!(start.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_end_the_wait() {
        let error = poll::<(), _>(
            &CancellationToken::new(),
            Duration::from_secs(60),
            Schedule::STATUS,
            || async { Err(AwsError::new(AwsErrorKind::NotFound, "gone")) },
        )
        .await
        .unwrap_err();
        assert!(error.is_not_found());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_at_once() {
        let cancel = CancellationToken::new();
        let start = Instant::now();
        let waiting = poll::<(), _>(
            &cancel,
            Duration::from_secs(60),
            Schedule::STATUS,
            || async { Ok(Progress::Pending("status CREATING".to_owned())) },
        );
        let (result, ()) = tokio::join!(waiting, async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            cancel.cancel();
        });
        assert!(result.unwrap_err().is_cancelled());
        assert_eq!(start.elapsed(), Duration::from_millis(2500));
    }
}
