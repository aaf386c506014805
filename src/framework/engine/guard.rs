//! Running the code of a resource so that neither a panic nor a hang loses what it has done so far.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::framework::Diagnostic;

/// How long an operation may go on after StopProvider before it is dropped. Whoever waits or retries ends at once by
/// itself; this is for a call that is on its way, so that its answer (an id) still reaches the state. Longer than clients
/// wait for an answer, or the answer would be dropped that the wait was for.
pub const GRACE: Duration = Duration::from_secs(75);

/// Runs `call`, which writes into a response that the caller owns and still has afterwards. `operation` names it for the
/// user: `creating podidentity_role`.
///
/// # Errors
/// A diagnostic if the call panicked, or did not end within [`GRACE`] of `cancel`.
pub async fn run<T>(
    operation: &str,
    cancel: &CancellationToken,
    call: impl Future<Output = T>,
) -> Result<T, Diagnostic> {
    let overdue = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        // What a call leaves half done is its response, whose fields are whole values.
        outcome = AssertUnwindSafe(call).catch_unwind() => outcome.map_err(|_| panicked(operation)),
        () = overdue => Err(Diagnostic::error(
            "Operation stopped",
            format!(
                "Terraform asked the provider to stop, and {operation} did not end within {} seconds. What was known \
                 by then is in the state; run terraform plan to see how it differs from reality.",
                GRACE.as_secs()
            ),
        )),
    }
}

/// The panic's own text is not repeated: it may hold values. The panic hook writes it, with a backtrace, to the log.
pub(crate) fn panicked(operation: &str) -> Diagnostic {
    Diagnostic::error(
        "Provider crashed",
        format!(
            "The provider crashed while {operation}. What was known by then is in the state.\n\nThis is always a problem \
             with the provider. Please report it to its developers, together with the crash message and trace that \
             Terraform prints, or that the log (TF_LOG=error) has."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_whatever_the_call_does() {
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let running = CancellationToken::new();
        let ready = async {};
        let slow = async { tokio::time::sleep(GRACE - Duration::from_secs(1)).await };
        let hour = async { tokio::time::sleep(Duration::from_secs(3600)).await };

        assert_eq!(run("x", &running, ready).await, Ok(()));
        assert_eq!(
            run("x", &running, hour).await,
            Ok(()),
            "no limit of its own"
        );
        assert_eq!(run("x", &cancelled, slow).await, Ok(()), "within grace");
        let stopped = run("creating a thing", &cancelled, std::future::pending::<()>()).await;
        assert_eq!(stopped.unwrap_err().summary, "Operation stopped");
        let crashed: Result<(), _> = run("creating a thing", &running, async {
            panic!("secret hunter2")
        })
        .await;
        let crashed = crashed.unwrap_err();
        assert_eq!(crashed.summary, "Provider crashed");
        assert!(crashed.detail.contains("while creating a thing"));
        assert!(!crashed.detail.contains("hunter2"));
    }
}
