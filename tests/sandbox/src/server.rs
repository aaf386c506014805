//! Connections: plain HTTP/1.1 for AWS, TLS for Kubernetes.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use time::OffsetDateTime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::eks::cluster::ClusterKey;
use crate::state::State;
use crate::{aws, control, kubernetes};

/// Bytes a request body may have; far above what the real services take.
const BODY_LIMIT: usize = 4 << 20;

/// What every connection shares.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// `127.0.0.1:PORT` of the AWS side.
    pub(crate) aws_authority: String,
    pub(crate) certificates: Authority,
}

impl Shared {
    pub(crate) const fn new(state: State, aws_authority: String, certificates: Authority) -> Self {
        Self {
            state: Mutex::new(state),
            aws_authority,
            certificates,
        }
    }

    /// The state. A panic elsewhere does not make it unusable: every operation checks before it writes.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock, in the one place that reads it.
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A request with its body.
pub(crate) struct Request {
    pub(crate) method: String,
    /// As sent, still encoded.
    pub(crate) path: String,
    /// As sent, still encoded, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The user of the client certificate, if the connection has one.
    pub(crate) user: Option<String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }
}

/// The body of an answer.
pub(crate) enum Body {
    /// All of it.
    Whole(Full<Bytes>),
    /// Pieces as they come, until nobody has more to say or the time is up.
    Stream {
        pieces: UnboundedReceiver<Bytes>,
        deadline: Option<Pin<Box<Sleep>>>,
    },
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Stream { pieces, deadline } => match pieces.poll_recv(context) {
                Poll::Ready(piece) => Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes)))),
                Poll::Pending => match deadline {
                    Some(deadline) => deadline.as_mut().poll(context).map(|()| None),
                    None => Poll::Pending,
                },
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

/// An answer.
pub(crate) type Answer = Response<Body>;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by a fault")]
pub(crate) struct Dropped;

/// An answer with these headers.
pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: String) -> Answer {
    let mut response = Response::new(Body::Whole(Full::from(body)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

async fn read(request: hyper::Request<Incoming>) -> Result<Request, Dropped> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|_| Dropped)?
        .to_bytes();
    let mut headers = parts.headers;
    if !headers.contains_key("host")
        && let Some(host) = parts.uri.authority().and_then(|a| a.as_str().parse().ok())
    {
        headers.insert("host", host);
    }
    Ok(Request {
        method: parts.method.to_string(),
        path: parts.uri.path().into(),
        query: parts.uri.query().unwrap_or_default().into(),
        headers,
        body,
        user: None,
    })
}

/// Serves the AWS side until the runtime ends.
pub(crate) async fn serve_aws(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move {
                    let request = read(request).await?;
                    if request.path == "/_sandbox" || request.path.starts_with("/_sandbox/") {
                        Ok(control::respond(&shared, &request))
                    } else {
                        aws::respond(&shared, request).await
                    }
                }
            });
            // An error ends this connection, which is what a dropped request is to look like.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(20);

/// Lets time pass for clusters, so that watches hear of what happens without requests.
pub(crate) async fn tick(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TICK).await;
        shared.state().tick(now());
    }
}

/// Serves each cluster that arrives, until the runtime ends.
pub(crate) async fn serve_clusters(
    mut listeners: UnboundedReceiver<(ClusterKey, TcpListener)>,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
) {
    while let Some((key, listener)) = listeners.recv().await {
        tokio::spawn(serve_cluster(
            Arc::new(key),
            listener,
            tls.clone(),
            Arc::clone(&shared),
        ));
    }
}

async fn serve_cluster(
    key: Arc<ClusterKey>,
    listener: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (key, shared, tls) = (Arc::clone(&key), Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let certificate = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|c| c.first());
            let user = certificate.and_then(|der| shared.certificates.user(der));
            let service = service_fn(|request| {
                let (key, shared, user) = (Arc::clone(&key), Arc::clone(&shared), user.clone());
                async move {
                    let request = Request {
                        user,
                        ..read(request).await?
                    };
                    kubernetes::front::respond(&shared, &key, request).await
                }
            });
            let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
