//! One gRPC server: Terraform's service and go-plugin's on one listener.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::{ServingStatus, server::health_reporter};

use super::{
    listener::{Connection, Listener},
    services::{Broker, Controller, ShutdownRpc, Stdio},
};
use crate::proto::{
    plugin::{
        grpc_broker_server::GrpcBrokerServer, grpc_controller_server::GrpcControllerServer,
        grpc_stdio_server::GrpcStdioServer,
    },
    tfplugin6::provider_server::{Provider, ProviderServer},
};

/// Largest message in either direction: what Go providers take. gRPC's default of 4 MiB is too small for real state.
const MAX_MESSAGE_SIZE: usize = 256 << 20;

/// How long open calls may go on after the end was asked for. Core kills the process two seconds after asking.
const GRACE: Duration = Duration::from_secs(1);

/// How long a peer may take for its TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The name that go-plugin asks the health service about.
const HEALTH_SERVICE: &str = "plugin";

/// Serves until `stop_serving`, then lets open calls finish for a moment.
pub(super) async fn serve<P: Provider>(
    service: Arc<P>,
    listener: Listener,
    tls: Option<TlsAcceptor>,
    on_shutdown: ShutdownRpc,
    stop_serving: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (health_status, health) = health_reporter();
    health_status
        .set_service_status(HEALTH_SERVICE, ServingStatus::Serving)
        .await;
    let serving = Server::builder()
        .add_service(
            ProviderServer::from_arc(service)
                .max_decoding_message_size(MAX_MESSAGE_SIZE)
                .max_encoding_message_size(MAX_MESSAGE_SIZE),
        )
        .add_service(GrpcControllerServer::new(Controller {
            on_shutdown,
            stop_serving: stop_serving.clone(),
        }))
        .add_service(GrpcStdioServer::new(Stdio {
            serving_stops: stop_serving.clone(),
        }))
        .add_service(GrpcBrokerServer::new(Broker {
            serving_stops: stop_serving.clone(),
        }))
        .add_service(health)
        .serve_with_incoming_shutdown(
            connections(listener, tls),
            stop_serving.clone().cancelled_owned(),
        );
    tokio::select! {
        served = serving => served,
        () = async {
            stop_serving.cancelled().await;
            sleep(GRACE).await;
        } => {
            tracing::debug!("calls were still open when the server ended");
            Ok(())
        }
    }
}

/// Connections ready for HTTP/2. Handshakes run beside each other, so that a silent peer holds up nobody, and a peer
/// that fails or says nothing (a reattaching go-plugin client first dials and hangs up) ends only itself.
fn connections(
    listener: Listener,
    tls: Option<TlsAcceptor>,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let handshakes: JoinSet<Option<Connection>> = JoinSet::new();
    stream::unfold(
        (listener, tls, handshakes),
        |(listener, tls, mut handshakes)| async move {
            let connection = loop {
                tokio::select! {
                    accepted = listener.accept() => match (accepted, &tls) {
                        (Ok(connection), None) => break connection,
                        (Ok(connection), Some(tls)) => {
                            handshakes.spawn(handshake(tls.clone(), connection));
                        }
                        (Err(error), _) => {
                            tracing::warn!(%error, "accepting a connection failed");
                            // Usually too many open files, which passes; without a pause this loop would spin.
                            sleep(Duration::from_millis(50)).await;
                        }
                    },
                    Some(finished) = handshakes.join_next(), if !handshakes.is_empty() => {
                        if let Ok(Some(connection)) = finished {
                            break connection;
                        }
                    }
                }
            };
            Some((Ok(connection), (listener, tls, handshakes)))
        },
    )
}

async fn handshake(tls: TlsAcceptor, connection: Connection) -> Option<Connection> {
    let accepted = timeout(HANDSHAKE_TIME, tls.accept(connection))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match accepted {
        Ok(stream) => Some(Connection::new(stream)),
        Err(error) => {
            tracing::warn!(%error, "refused a connection: TLS handshake failed");
            None
        }
    }
}
