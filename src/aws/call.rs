//! Calls of AWS: retries by the SDK, cancellation, and whether an attempt ended ambiguously.
//!
//! Every call goes through [`read`] or [`write`]. An interceptor on the clients notes, per call, whether an attempt is
//! on the wire and how earlier attempts ended; a task-local ties the two together.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use aws_sdk_eks::config::http::HttpResponse;
use aws_sdk_eks::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef,
    FinalizerInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{AwsError, AwsErrorKind, find};

/// How many attempts in a row may fail to connect at all. A wrong endpoint, a refused connection or a missing DNS name
/// does not get better by trying for minutes, unlike throttling, which has all of `max_retries`.
const MAX_CONNECT_FAILURES: u32 = 5;

tokio::task_local! {
    static CALL: Arc<CallState>;
    static DEADLINE: Instant;
}

/// The answer of a [`write`].
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What AWS answered.
    pub output: T,
    /// Whether an earlier attempt may have been carried out too: it dropped, timed out or answered 5xx after sending.
    pub ambiguous_retry: bool,
}

/// Makes a call that changes nothing: `read(&cancel, client.describe_cluster().name(name).send())`.
///
/// # Errors
/// Whatever AWS answers after the SDK's retries; `Cancelled` as soon as `cancel` fires; `Timeout` when the deadline of
/// the surrounding wait passes.
pub async fn read<T, E>(
    cancel: &CancellationToken,
    operation: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, AwsError>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let state = Arc::new(CallState::default());
    drive(cancel, operation, &state, false).await
}

/// Makes a call that changes something. When `cancel` fires, an attempt on the wire is allowed to answer, so that
/// nothing is created without its id reaching the state; between attempts the call ends at once.
///
/// # Errors
/// As [`read`]. See [`AwsError::after_ambiguous_attempt`] for what a failed retry may have left behind.
pub async fn write<T, E>(
    cancel: &CancellationToken,
    operation: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<Written<T>, AwsError>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let state = Arc::new(CallState::default());
    let output = drive(cancel, operation, &state, true).await?;
    Ok(Written {
        output,
        ambiguous_retry: state.ambiguous(),
    })
}

/// Runs `operation` with a deadline for every call in it, on top of any deadline there is already.
pub(crate) async fn with_deadline<T>(deadline: Instant, operation: impl Future<Output = T>) -> T {
    let deadline = DEADLINE
        .try_with(|outer| deadline.min(*outer))
        .unwrap_or(deadline);
    DEADLINE.scope(deadline, operation).await
}

async fn drive<T, E>(
    cancel: &CancellationToken,
    operation: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    state: &Arc<CallState>,
    lets_attempt_answer: bool,
) -> Result<T, AwsError>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let deadline = DEADLINE.try_with(|deadline| *deadline).ok();
    // SDK futures are large; boxing keeps the futures of whole resources small.
    let mut operation = Box::pin(CALL.scope(Arc::clone(state), operation));
    let mut cancelled = pin!(cancel.cancelled());
    let mut expired = pin!(async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    });
    // Before anything is sent, a stop must win even against a call that would answer at once.
    if cancel.is_cancelled() {
        return Err(AwsError::cancelled());
    }
    let mut stop: Option<(AwsErrorKind, &str)> = None;
    let answer = poll_fn(|context| {
        if let Poll::Ready(answer) = operation.as_mut().poll(context) {
            return Poll::Ready(Ok(answer));
        }
        if stop.is_none() && cancelled.as_mut().poll(context).is_ready() {
            stop = Some((
                AwsErrorKind::Cancelled,
                "the call was stopped before it succeeded",
            ));
        }
        if stop.is_none() && expired.as_mut().poll(context).is_ready() {
            stop = Some((AwsErrorKind::Timeout, "the call did not succeed in time"));
        }
        // The operation was polled in this very turn: `in_flight` is its present state, and if it is false the SDK
        // sleeps between attempts or waits for credentials.
        match stop {
            Some(reason) if !(lets_attempt_answer && state.in_flight()) => Poll::Ready(Err(reason)),
            _ => Poll::Pending,
        }
    })
    .await;
    match answer {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(AwsError::from_sdk(&error, state)),
        Err((kind, message)) => Err(AwsError::stopped(kind, message, state)),
    }
}

/// What the attempts of one call went through.
#[derive(Debug, Default)]
pub(crate) struct CallState(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    service: String,
    operation: String,
    count: u32,
    in_flight: bool,
    /// How many attempts may have been carried out although they failed.
    ambiguous: u32,
    connect_failures: u32,
}

impl CallState {
    pub(crate) fn names(&self) -> (String, String) {
        let attempts = self.lock();
        (attempts.service.clone(), attempts.operation.clone())
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.lock().count
    }

    /// Whether any attempt ended ambiguously, the last one included.
    pub(crate) fn ambiguous(&self) -> bool {
        self.lock().ambiguous > 0
    }

    /// As if an attempt had ended ambiguously.
    #[cfg(test)]
    pub(crate) fn note_ambiguous(&self) {
        self.lock().ambiguous += 1;
    }

    fn in_flight(&self) -> bool {
        self.lock().in_flight
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        // The state is plain data: a panic elsewhere cannot leave it half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes in the call's state what its attempts do. Installed on every client; does nothing outside [`read`] and
/// [`write`].
#[derive(Debug)]
pub(crate) struct AttemptRecorder {
    /// Appended to the `user-agent` header.
    pub(crate) user_agent: String,
}

#[dyn_dispatch_hint]
impl Intercept for AttemptRecorder {
    fn name(&self) -> &'static str {
        "AttemptRecorder"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // After signing: SigV4 leaves `user-agent` out because proxies change it.
        let headers = context.request_mut().headers_mut();
        let value = match headers.get("user-agent") {
            Some(present) => format!("{present} {}", self.user_agent),
            None => self.user_agent.clone(),
        };
        headers.insert("user-agent", value);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let _ = CALL.try_with(|state| {
            let mut attempts = state.lock();
            if let Some(metadata) = cfg.load::<Metadata>() {
                attempts.service = metadata.service().to_owned();
                attempts.operation = metadata.name().to_owned();
            }
            attempts.count += 1;
            attempts.in_flight = true;
        });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let _ = CALL.try_with(|state| {
            let mut attempts = state.lock();
            if let Some(metadata) = cfg.load::<Metadata>() {
                attempts.service = metadata.service().to_owned();
                attempts.operation = metadata.name().to_owned();
            }
            let sent = std::mem::take(&mut attempts.in_flight);
            let status = context
                .response()
                .map(|response| response.status().as_u16());
            let error = match context.output_or_error() {
                Some(Err(error)) => Some(error),
                _ => None,
            };
            let not_connected = error.is_some_and(|error| {
                error
                    .as_connector_error()
                    .is_some_and(|error| is_connect_failure(error))
            });
            attempts.connect_failures = if not_connected {
                attempts.connect_failures + 1
            } else {
                0
            };
            let ambiguous = sent
                && error.is_some()
                && match status {
                    Some(status) => status >= 500,
                    None => !not_connected,
                };
            attempts.ambiguous += u32::from(ambiguous);
        });
        Ok(())
    }
}

/// Stops retrying when nothing answers at all.
#[derive(Debug)]
pub(crate) struct ConnectFailureClassifier;

impl ClassifyRetry for ConnectFailureClassifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let not_connected = matches!(
            context.output_or_error(),
            Some(Err(error)) if error.as_connector_error().is_some_and(|e| is_connect_failure(e))
        );
        let tried = CALL
            .try_with(|state| state.lock().connect_failures)
            .unwrap_or(1);
        if not_connected && tried >= MAX_CONNECT_FAILURES {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "ConnectFailureClassifier"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// Whether an error says that no connection came about: nothing can have been carried out.
pub(crate) fn is_connect_failure(error: &(dyn StdError + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error).is_some_and(|error| error.is_connect())
        || find::<super::http::TlsSetupError>(error).is_some()
}

/// Whether an error is a timeout of connection or answer.
pub(crate) fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    find::<ConnectorError>(error).is_some_and(ConnectorError::is_timeout)
}

#[cfg(test)]
mod tests;
