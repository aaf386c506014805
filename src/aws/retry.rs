//! Waiting times, and retries for eventual consistency.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::call::with_deadline;
use super::error::{AwsError, AwsErrorKind};

/// How long to wait between looks: a first pause that doubles up to a greatest one, each with jitter, so that thirty
/// objects created together do not ask in step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Schedule {
    /// The first pause.
    pub first: Duration,
    /// The greatest pause.
    pub greatest: Duration,
}

impl Schedule {
    /// 0.5, 1, 2, 4, 8, 10, 10 … seconds: for what IAM and EKS take a moment to see.
    pub const EVENTUAL_CONSISTENCY: Self = Self {
        first: Duration::from_millis(500),
        greatest: Duration::from_secs(10),
    };

    /// 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10 … seconds: for status polls of add-ons.
    pub const STATUS: Self = Self {
        first: Duration::from_millis(200),
        greatest: Duration::from_secs(10),
    };

    /// The pause after look number `look`, from 0, without jitter.
    #[must_use]
    pub fn pause(&self, look: u32) -> Duration {
        self.first
            .saturating_mul(2_u32.saturating_pow(look.min(20)))
            .min(self.greatest)
    }

    /// The pause after look number `look` with jitter: 80 to 120 per cent.
    #[must_use]
    pub fn jittered(&self, look: u32) -> Duration {
        self.pause(look).mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}

/// Repeats `operation` while it fails with an error that `retryable` accepts, on
/// [`Schedule::EVENTUAL_CONSISTENCY`], for at most `timeout`.
///
/// # Errors
/// The first error that is not retryable; after `timeout` the last one, with a note of how long was waited;
/// `Cancelled` when `cancel` fires between attempts.
pub async fn retry_while<T, F>(
    cancel: &CancellationToken,
    timeout: Duration,
    retryable: impl Fn(&AwsError) -> bool,
    mut operation: impl FnMut() -> F,
) -> Result<T, AwsError>
where
    F: Future<Output = Result<T, AwsError>>,
{
    let schedule = Schedule::EVENTUAL_CONSISTENCY;
    let deadline = Instant::now() + timeout;
    let mut last: Option<AwsError> = None;
    for look in 0.. {
        let error = match with_deadline(deadline, operation()).await {
            Ok(output) => return Ok(output),
            // Ran out of time inside a call: what it was retried for says more than "timeout".
            Err(error) if error.kind() == AwsErrorKind::Timeout && Instant::now() >= deadline => {
                if error.after_ambiguous_attempt() {
                    error
                } else {
                    last.take().unwrap_or(error)
                }
            }
            Err(error) if !retryable(&error) => return Err(error),
            Err(error) => error,
        };
        let pause = schedule.jittered(look);
        if Instant::now() + pause >= deadline {
            return Err(error.note(format!(
                "It was tried again for {}.",
                human_duration(timeout)
            )));
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(AwsError::cancelled()
                .in_call(error.service(), error.operation())
                .note(format!("The last answer was: {error}."))),
            () = tokio::time::sleep(pause) => {}
        }
        last = Some(error);
    }
    unreachable!("the loop counts without end")
}

/// A duration as people write it: `2m`, `1m30s`, `500ms`.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    if rest > 0 {
        text.push_str(&format!("{rest}s"));
    }
    if text.is_empty() {
        text = format!("{}ms", duration.as_millis());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn invisible() -> AwsError {
        AwsError::new(
            AwsErrorKind::InvalidParameter,
            "Role provided in the request does not exist.",
        )
        .with_code("InvalidParameterException")
    }

    fn is_invisible(error: &AwsError) -> bool {
        error.is("InvalidParameterException", "does not exist")
    }

    #[test]
    fn pauses_double_up_to_the_greatest() {
        let pauses: Vec<_> = (0..8)
            .map(|look| Schedule::EVENTUAL_CONSISTENCY.pause(look).as_millis())
            .collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10000, 10000, 10000]);
        assert_eq!(Schedule::STATUS.pause(u32::MAX), Duration::from_secs(10));
        for look in 0..50 {
            let (plain, jittered) = (
                Schedule::STATUS.pause(look),
                Schedule::STATUS.jittered(look),
            );
            assert!(jittered >= plain.mul_f64(0.8) && jittered <= plain.mul_f64(1.2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_until_it_succeeds() {
        let calls = AtomicU32::new(0);
        let start = Instant::now();
        let result = retry_while(
            &CancellationToken::new(),
            Duration::from_secs(120),
            is_invisible,
            || async {
                match calls.fetch_add(1, Ordering::Relaxed) {
                    0..=3 => Err(invisible()),
                    _ => Ok(7),
                }
            },
        )
        .await;
        assert_eq!(result.unwrap(), 7);
        // 0.5 + 1 + 2 + 4 seconds, give or take a fifth.
        let waited = start.elapsed().as_secs_f64();
        assert!((6.0..=9.0).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_the_last_error_after_the_timeout() {
        let start = Instant::now();
        let result: Result<(), _> = retry_while(
            &CancellationToken::new(),
            Duration::from_secs(120),
            is_invisible,
            || async { Err(invisible()) },
        )
        .await;
        let error = result.unwrap_err();
        assert!(is_invisible(&error));
        assert!(start.elapsed() <= Duration::from_secs(120));
        let detail = error.into_diagnostic("Creating", "", "").detail;
        assert!(detail.contains("tried again for 2m"), "{detail}");
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_end_it_at_once() {
        let calls = AtomicU32::new(0);
        let result: Result<(), _> = retry_while(
            &CancellationToken::new(),
            Duration::from_secs(120),
            is_invisible,
            || async {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(AwsError::new(AwsErrorKind::AccessDenied, "no"))
            },
        )
        .await;
        assert_eq!(result.unwrap_err().kind(), AwsErrorKind::AccessDenied);
        assert_eq!(calls.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_between_attempts_ends_it_at_once() {
        let cancel = CancellationToken::new();
        let stopper = cancel.clone();
        let start = Instant::now();
        let task = retry_while(&cancel, Duration::from_secs(120), is_invisible, || async {
            Err::<(), _>(invisible())
        });
        let (result, ()) = tokio::join!(task, async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stopper.cancel();
        });
        let error = result.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert!(
            error
                .into_diagnostic("s", "", "")
                .detail
                .contains("does not exist")
        );
    }

    #[test]
    fn durations_read_like_terraform() {
        for (seconds, text) in [
            (120, "2m"),
            (90, "1m30s"),
            (3600, "1h"),
            (3661, "1h1m1s"),
            (5, "5s"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(human_duration(Duration::from_millis(500)), "500ms");
    }
}
