//! Requests of one cluster's API: credentials, retries, time limits, cancellation.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use kube::client::Body;
use kube::core::Status;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::auth::{Authenticator, Credential};
use super::connection::{Connection, Identity, chain, contains};
use super::error::{Call, KubernetesError, KubernetesErrorKind};
use super::refusal::{is_authorizers, refusing};
use crate::aws::retry::Schedule;
use crate::plugin::logging::mask;

/// Time for one attempt, the whole answer included. The API server ends requests itself after a minute.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(65);
/// How long after it could not be reached an API server gets one attempt per call only: whoever asks next would wait as
/// long in vain.
const UNREACHABLE: Duration = Duration::from_secs(30);
/// Time until a second new token is tried: one that is signed within the same second is the same.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(2);
/// How long a write that is on the wire may still answer once Terraform asks to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Attempts while the API server says that it is busy or does not answer: about 40 seconds of pauses.
const MAX_ATTEMPTS: u32 = 10;
/// Attempts while no connection comes about, or the server answers 500: both may pass, but rarely do.
const MAX_HOPELESS_ATTEMPTS: u32 = 5;
/// The longest pause that a `Retry-After` may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// 0.2, 0.4, 0.8 … 10 seconds.
const PAUSES: Schedule = Schedule::STATUS;
/// Texts that are no `Status` are cut to this length.
const LONGEST_TEXT: usize = 300;

/// One cluster's API server.
pub(crate) struct Transport {
    cluster: String,
    connection: Connection,
    authenticator: Authenticator,
    max_attempts: u32,
    user_agent: HeaderValue,
    /// The HTTP client and the client certificate it was built with, which a credential plugin may change.
    client: Mutex<Option<(Option<Arc<Identity>>, kube::Client)>>,
    /// When the last call ended for want of a connection.
    unreachable_since: Mutex<Option<Instant>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("cluster", &self.cluster)
            .field("connection", &self.connection)
            .field("authenticator", &self.authenticator)
            .finish_non_exhaustive()
    }
}

/// Whether a request changes something, and so is let finish when Terraform asks to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

/// How one attempt ended without success.
enum Failure {
    Status {
        status: StatusCode,
        retry_after: Option<Duration>,
        answer: Box<Status>,
    },
    /// No connection; nothing was sent.
    NotConnected(String),
    /// The server's certificate is not accepted; no attempt will change that.
    Certificate(String),
    /// No TLS: the server refuses our certificate, or speaks something else.
    Tls(String),
    /// The connection broke after something was sent.
    Broken(String),
    TimedOut,
}

impl Transport {
    pub(crate) fn new(
        cluster: &str,
        connection: Connection,
        authenticator: Authenticator,
        max_attempts: u32,
        user_agent: &str,
    ) -> Self {
        Self {
            cluster: cluster.to_owned(),
            connection,
            authenticator,
            max_attempts: max_attempts.clamp(1, MAX_ATTEMPTS),
            user_agent: HeaderValue::try_from(user_agent)
                .unwrap_or(HeaderValue::from_static("terraform-provider-podidentity")),
            client: Mutex::new(None),
            unreachable_since: Mutex::new(None),
        }
    }

    /// The EKS cluster's name.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Sends a request, again where that may help, and gives the body of the good answer.
    ///
    /// All our requests may be repeated: reads, dry runs, reviews, and merge patches, of which the second finds done
    /// what the first did, or, if guarded, answers `Conflict`.
    pub(crate) async fn send(
        &self,
        cancel: &CancellationToken,
        call: &Call,
        effect: Effect,
        request: &Request<Vec<u8>>,
    ) -> Result<Bytes, KubernetesError> {
        let mut refused: Option<Credential> = None;
        let mut refusals = 0;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let stopped = || KubernetesError::cancelled().in_call(call);
            let credential = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(stopped()),
                credential = self.authenticator.credential(refused.as_ref()) => credential?,
            };
            let client = self.client(credential.identity.as_ref())?;
            let answer = self.attempt(&client, &credential, request);
            let answer = tokio::select! {
                biased;
                answer = answer => answer,
                () = stop(cancel, effect) => return Err(stopped()),
            };
            let failure = match answer? {
                Ok(body) => {
                    self.note_reachable(true);
                    return Ok(body);
                }
                Err(failure) => failure,
            };
            let pause = if failure.is_unauthorized() && refusals < self.authenticator.renewals() {
                // Perhaps the session behind the token ended early, or the cluster has just learnt of the principal.
                refused = Some(credential);
                refusals += 1;
                Some(UNAUTHORIZED_PAUSE * (refusals - 1))
            } else if attempt < self.max_attempts && !self.gives_up(&failure) {
                failure.pause(attempt)
            } else {
                None
            };
            let Some(pause) = pause else {
                self.note_reachable(!matches!(failure, Failure::NotConnected(_)));
                return Err(self.error(call, failure, attempt));
            };
            tracing::debug!(
                attempt,
                ?pause,
                failure = %failure.text(),
                "the Kubernetes API is asked again: {call}"
            );
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(stopped()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether another attempt to connect is not worth its time.
    fn gives_up(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::NotConnected(_))
            && self
                .unreachable_since()
                .is_some_and(|since| since.elapsed() < UNREACHABLE)
    }

    fn note_reachable(&self, reachable: bool) {
        *self.unreachable_since() = (!reachable).then(Instant::now);
    }

    fn unreachable_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unreachable_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(
        &self,
        client: &kube::Client,
        credential: &Credential,
        request: &Request<Vec<u8>>,
    ) -> Result<Result<Bytes, Failure>, KubernetesError> {
        let mut request = request.clone().map(Body::from);
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::try_from(self.connection.url(path)).map_err(|_| {
            KubernetesError::new(KubernetesErrorKind::Other, "the request has no valid URL")
        })?;
        let headers = request.headers_mut();
        for (name, value) in &self.connection.headers {
            headers.append(name, value.clone());
        }
        headers.insert(USER_AGENT, self.user_agent.clone());
        if let Some(authorization) = &credential.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let exchange = async {
            let (parts, body) = client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((parts.status, parts.headers, body.collect_bytes().await?))
        };
        Ok(
            match tokio::time::timeout(ATTEMPT_TIMEOUT, exchange).await {
                Err(_) => Err(Failure::TimedOut),
                Ok(Err(error)) => Err(Failure::of_connection(&error)),
                Ok(Ok((status, _, body))) if status.is_success() => Ok(body),
                Ok(Ok((status, headers, body))) => Err(Failure::of_answer(status, &headers, &body)),
            },
        )
    }

    fn client(&self, identity: Option<&Arc<Identity>>) -> Result<kube::Client, KubernetesError> {
        let mut cached = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((with, client)) = &*cached
            && with.as_ref() == identity
        {
            return Ok(client.clone());
        }
        let client = self.connection.client(identity)?;
        *cached = Some((identity.cloned(), client.clone()));
        Ok(client)
    }

    fn error(&self, call: &Call, failure: Failure, attempts: u32) -> KubernetesError {
        use KubernetesErrorKind as Kind;

        let server = &self.connection.server;
        let text = failure.text();
        let error = match failure {
            Failure::Status { status, answer, .. } => {
                let kind = kind_of(status, &answer);
                let error = KubernetesError::new(kind, text).with_status(status.as_u16());
                match kind {
                    Kind::Unauthorized => error.advise(self.unauthorized_advice()),
                    Kind::Refused => error.advise(refused_advice(&answer)),
                    Kind::Throttled => error.advise(
                        "The API server limits how much it does at once. Run again later, or lower Terraform's \
                         -parallelism.",
                    ),
                    _ => error,
                }
            }
            Failure::NotConnected(_) => KubernetesError::new(
                Kind::Unavailable,
                format!("{server} cannot be reached: {text}"),
            )
            .advise(
                "Is the endpoint of the cluster private? Then run Terraform where it can be reached (in its VPC; with \
                 HCP Terraform, an agent there), or set proxy_url, or host and tls_server_name, in the provider's \
                 kubernetes block. A public endpoint may be limited to certain addresses (publicAccessCidrs).",
            ),
            Failure::Tls(_) => KubernetesError::new(
                Kind::Configuration,
                format!("no TLS connection with {server}: {text}"),
            )
            .advise(
                "The server may refuse the client certificate of the provider's kubernetes block, or not be an API server.",
            ),
            Failure::Certificate(_) if self.connection.proxy_has_tls() => KubernetesError::new(
                Kind::Configuration,
                format!("the certificate of {server} or of the proxy is not accepted: {text}"),
            )
            .advise(
                "The proxy's certificate is checked against the provider's custom_ca_bundle, or else the system's CAs; the \
                 server's against the cluster's own CA, or cluster_ca_certificate of the provider's kubernetes block.",
            ),
            Failure::Certificate(_) => KubernetesError::new(
                Kind::Configuration,
                format!("the certificate of {server} is not accepted: {text}"),
            )
            .advise(
                "Only certificates signed by the cluster's own CA are accepted. If something in between has a certificate \
                 of its own, name its CA in cluster_ca_certificate of the provider's kubernetes block; if the server is \
                 reached by another name, set tls_server_name there.",
            ),
            Failure::Broken(_) => KubernetesError::new(
                Kind::Unavailable,
                format!("the connection to {server} was lost: {text}"),
            ),
            Failure::TimedOut => {
                KubernetesError::new(Kind::Timeout, format!("{server} did not answer in time"))
            }
        };
        error.in_call(call).after_attempts(attempts)
    }

    fn unauthorized_advice(&self) -> String {
        if self.authenticator.is_eks() {
            format!(
                "Most often the cluster does not know the IAM principal of this provider's AWS credentials. Give it an access \
                 entry (`aws eks create-access-entry --cluster-name {} --principal-arn …`, or aws_eks_access_entry) with \
                 Kubernetes groups or an access policy; a cluster in the authentication mode CONFIG_MAP wants it in the \
                 ConfigMap aws-auth instead. A new entry takes effect after some seconds: then apply again. Tokens are also \
                 refused when the clock of this machine is wrong by minutes.",
                self.cluster
            )
        } else {
            "The cluster does not accept the credentials of the provider's kubernetes block. They may have expired, or be \
             for another cluster."
                .to_owned()
        }
    }
}

/// Ends when the request must not go on: at once for reads, after a grace for writes.
async fn stop(cancel: &CancellationToken, effect: Effect) {
    cancel.cancelled().await;
    if effect == Effect::Writes {
        tokio::time::sleep(STOP_GRACE).await;
    }
}

/// What to do about a 403 that is no missing right.
fn refused_advice(answer: &Status) -> String {
    match refusing(&answer.message) {
        Some(by) => format!("{by} refuses this, not RBAC. Do what it asks for, or exempt the object from it."),
        None if answer.reason.is_empty() => {
            "That is not an answer of the API server: something on the way to it, such as a proxy or a firewall, refuses the \
             request."
                .to_owned()
        }
        None => String::new(),
    }
}

fn kind_of(status: StatusCode, answer: &Status) -> KubernetesErrorKind {
    use KubernetesErrorKind as Kind;
    match status.as_u16() {
        401 => Kind::Unauthorized,
        403 if is_authorizers(answer) => Kind::Forbidden,
        403 => Kind::Refused,
        404 => Kind::NotFound,
        409 if answer.is_already_exists() => Kind::AlreadyExists,
        409 => Kind::Conflict,
        400 | 422 => Kind::Invalid,
        429 => Kind::Throttled,
        500.. => Kind::Unavailable,
        _ => Kind::Other,
    }
}

impl Failure {
    fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let answer = serde_json::from_slice::<Status>(body)
            .ok()
            .filter(|answer| !answer.message.is_empty() || !answer.reason.is_empty())
            .unwrap_or_else(|| {
                // Not the API server's own answer: a load balancer's or a proxy's page.
                let text = String::from_utf8_lossy(body);
                let text = match text.trim() {
                    "" => status.canonical_reason().unwrap_or("no message").to_owned(),
                    text => text.chars().take(LONGEST_TEXT).collect(),
                };
                Status::failure(&text, "")
            });
        let seconds = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Self::Status {
            status,
            retry_after: seconds
                .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER)),
            answer: Box::new(answer),
        }
    }

    fn of_connection(error: &kube::Error) -> Self {
        let text = chain(error);
        // A handshake may also be cut off, which is an io::Error of its own and worth another attempt.
        if contains::<rustls::Error>(error, |error| {
            matches!(error, rustls::Error::InvalidCertificate(_))
        }) {
            return Self::Certificate(text);
        }
        if contains::<rustls::Error>(error, |_| true) {
            return Self::Tls(text);
        }
        let is_connect =
            contains::<hyper_util::client::legacy::Error>(error, |error| error.is_connect());
        if is_connect {
            Self::NotConnected(text)
        } else {
            Self::Broken(text)
        }
    }

    fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// How long to wait before another attempt; `None` if none will help.
    fn pause(&self, attempt: u32) -> Option<Duration> {
        let pause = PAUSES.jittered(attempt - 1);
        let hopeful = attempt < MAX_HOPELESS_ATTEMPTS;
        match self {
            Self::Status {
                status,
                retry_after,
                ..
            } => match status.as_u16() {
                429 | 503 => Some(retry_after.unwrap_or(pause)),
                502 | 504 => Some(pause),
                500 => hopeful.then(|| retry_after.unwrap_or(pause)),
                _ => None,
            },
            Self::Broken(_) => Some(pause),
            Self::NotConnected(_) | Self::TimedOut => hopeful.then_some(pause),
            Self::Certificate(_) | Self::Tls(_) => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Status { answer, .. } => {
                let text = if answer.message.is_empty() {
                    &answer.reason
                } else {
                    &answer.message
                };
                mask(text).into_owned()
            }
            Self::NotConnected(text)
            | Self::Certificate(text)
            | Self::Tls(text)
            | Self::Broken(text) => text.clone(),
            Self::TimedOut => "no answer in time".to_owned(),
        }
    }
}
