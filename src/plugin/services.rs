//! go-plugin's own gRPC services, beside Terraform's.

use futures_util::{StreamExt as _, future, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use crate::proto::plugin::{
    ConnInfo, Empty, StdioData, grpc_broker_server::GrpcBroker,
    grpc_controller_server::GrpcController, grpc_stdio_server::GrpcStdio,
};

/// What `GRPCController/Shutdown` does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ShutdownRpc {
    /// Ends the server: the process belongs to one run of core.
    Ends,
    /// Does nothing: a debug server outlives the runs that attach to it.
    Ignored,
}

/// Ends the process when core is done with it.
pub(super) struct Controller {
    pub(super) on_shutdown: ShutdownRpc,
    pub(super) stop_serving: CancellationToken,
}

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        if self.on_shutdown == ShutdownRpc::Ends {
            // The answer still goes out: serving ends gracefully.
            self.stop_serving.cancel();
        }
        Ok(Response::new(Empty {}))
    }
}

/// A stream without output. Core reports whatever it carries as unexpected data, and UNIMPLEMENTED as a debug message.
pub(super) struct Stdio {
    pub(super) serving_stops: CancellationToken,
}

#[tonic::async_trait]
impl GrpcStdio for Stdio {
    async fn stream_stdio(
        &self,
        _request: Request<()>,
    ) -> Result<Response<BoxStream<StdioData>>, Status> {
        Ok(Response::new(silent_until(
            self.serving_stops.clone().cancelled_owned(),
        )))
    }
}

/// A broker that has no connection to announce and needs none of the client's.
pub(super) struct Broker {
    pub(super) serving_stops: CancellationToken,
}

#[tonic::async_trait]
impl GrpcBroker for Broker {
    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<BoxStream<ConnInfo>>, Status> {
        let announcements = request.into_inner().for_each(|_| future::ready(()));
        let stops = self.serving_stops.clone().cancelled_owned();
        Ok(Response::new(silent_until(async {
            // Whichever comes first: the client closes its side, or serving stops.
            future::select(std::pin::pin!(announcements), std::pin::pin!(stops)).await;
        })))
    }
}

/// A stream that sends nothing and ends with `end`.
fn silent_until<T: Send + 'static>(end: impl Future<Output = ()> + Send + 'static) -> BoxStream<T> {
    Box::pin(stream::once(end).filter_map(|()| future::ready(None)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn shutdown_ends_a_process_but_not_a_debug_server() {
        for (on_shutdown, ends) in [(ShutdownRpc::Ends, true), (ShutdownRpc::Ignored, false)] {
            let stop_serving = CancellationToken::new();
            let controller = Controller {
                on_shutdown,
                stop_serving: stop_serving.clone(),
            };
            controller.shutdown(Request::new(Empty {})).await.unwrap();
            assert_eq!(stop_serving.is_cancelled(), ends, "{on_shutdown:?}");
        }
    }

    #[tokio::test]
    async fn stdio_is_silent_and_ends_with_the_server() {
        let serving_stops = CancellationToken::new();
        let stdio = Stdio {
            serving_stops: serving_stops.clone(),
        };
        let mut output = stdio
            .stream_stdio(Request::new(()))
            .await
            .unwrap()
            .into_inner();
        assert!(output.next().now_or_never().is_none(), "not silent");
        serving_stops.cancel();
        assert!(output.next().await.is_none());
    }
}
