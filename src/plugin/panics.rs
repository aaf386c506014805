//! Panics: reported in the form that Terraform recognises, and kept from taking other calls with them.

use std::{any::Any, backtrace::Backtrace, fmt::Write as _, io, io::Write as _, panic, thread};

use futures_util::FutureExt as _;

use super::logging::mask;

/// Makes a panic look like a Go panic on stderr: `panic: …` and a backtrace.
///
/// Core shows "The plugin crashed!" with the trace only for lines that begin with `panic: ` or `fatal error: `; the
/// default hook's `thread … panicked at` would be lost.
pub(super) fn install_hook(version: &'static str) {
    panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string);
        let report = report(
            &payload_text(info.payload()),
            location.as_deref().unwrap_or("unknown location"),
            thread::current().name().unwrap_or("unnamed"),
            version,
            &Backtrace::force_capture().to_string(),
        );
        // One write, so that the lines of two panics do not mix. There is nowhere to report a failure to.
        let _ = io::stderr().lock().write_all(report.as_bytes());
    }));
}

fn report(message: &str, location: &str, thread: &str, version: &str, backtrace: &str) -> String {
    let message = mask(message);
    let mut report = format!("panic: {message}\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        report,
        "at {location}, thread {thread:?}, terraform-provider-podidentity {version}"
    );
    let _ = writeln!(report, "\nbacktrace:\n{}", backtrace.trim_end());
    report
}

/// What a panic said.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{rpc} panicked: {message}")]
pub struct PanicMessage {
    /// Name of the RPC, such as `ApplyResourceChange`.
    pub rpc: &'static str,
    /// The panic's own text, without registered secrets.
    pub message: String,
}

/// Runs one RPC so that a panic in it ends only this RPC.
///
/// The hook has reported the panic by then; the caller answers with an error diagnostic. Other resources of the same run
/// keep their state.
///
/// # Errors
///
/// [`PanicMessage`] if `call` panicked.
pub async fn catch_panic<F: Future>(rpc: &'static str, call: F) -> Result<F::Output, PanicMessage> {
    // What a half-run call can leave behind is its own state, which is dropped with it; what calls share is behind locks
    // whose poisoning shows.
    panic::AssertUnwindSafe(call)
        .catch_unwind()
        .await
        .map_err(|payload| PanicMessage {
            rpc,
            message: mask(&payload_text(payload.as_ref())).into_owned(),
        })
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_value() {
        async fn call(kind: &str) -> u8 {
            tokio::task::yield_now().await;
            match kind {
                "text" => panic!("plain"),
                "formatted" => panic!("index {} of {}", 3, 2),
                "value" => panic::panic_any(7),
                _ => 7,
            }
        }
        let panicked = |message: &str| {
            Err(PanicMessage {
                rpc: "ReadResource",
                message: message.to_owned(),
            })
        };
        let cases = [
            ("none", Ok(7)),
            ("text", panicked("plain")),
            ("formatted", panicked("index 3 of 2")),
            ("value", panicked("a value that is not text")),
        ];
        for (kind, expected) in cases {
            assert_eq!(
                catch_panic("ReadResource", call(kind)).await,
                expected,
                "{kind}"
            );
        }
    }

    #[test]
    fn reports_begin_as_terraform_expects() {
        assert_eq!(
            report(
                "boom",
                "src/a.rs:1:2",
                "main",
                "1.2.3",
                "   0: f\n   1: g\n"
            ),
            "panic: boom\n\nat src/a.rs:1:2, thread \"main\", terraform-provider-podidentity 1.2.3\n\n\
             backtrace:\n   0: f\n   1: g\n"
        );
    }
}
