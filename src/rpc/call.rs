//! What every RPC has around it: a log span, the time it took, and a net for panics.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug, info_span};
use uuid::Uuid;

use crate::framework::provider::Provider;
use crate::framework::{Diagnostic, Diagnostics};

use super::Server;

/// The RPC and the object it is about, as the log names them.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    rpc: &'static str,
    field: Option<&'static str>,
    type_name: &'a str,
}

impl<'a> Call<'a> {
    /// An RPC about the provider as a whole.
    pub(super) fn provider(rpc: &'static str) -> Self {
        Self {
            rpc,
            field: None,
            type_name: "",
        }
    }

    /// An RPC about a managed resource.
    pub(super) fn resource(rpc: &'static str, type_name: &'a str) -> Self {
        Self::about(rpc, "tf_resource_type", type_name)
    }

    /// An RPC about a data source.
    pub(super) fn data_source(rpc: &'static str, type_name: &'a str) -> Self {
        Self::about(rpc, "tf_data_source_type", type_name)
    }

    /// An RPC about an ephemeral resource.
    pub(super) fn ephemeral(rpc: &'static str, type_name: &'a str) -> Self {
        Self::about(rpc, "tf_ephemeral_resource_type", type_name)
    }

    /// An RPC about a list resource.
    pub(super) fn list_resource(rpc: &'static str, type_name: &'a str) -> Self {
        Self::about(rpc, "tf_list_resource_type", type_name)
    }

    /// An RPC about an action.
    pub(super) fn action(rpc: &'static str, type_name: &'a str) -> Self {
        Self::about(rpc, "tf_action_type", type_name)
    }

    /// An RPC about a function.
    pub(super) fn function(rpc: &'static str, name: &'a str) -> Self {
        Self::about(rpc, "tf_function", name)
    }

    fn about(rpc: &'static str, field: &'static str, type_name: &'a str) -> Self {
        Self {
            rpc,
            field: Some(field),
            type_name,
        }
    }

    fn span(self, address: &'static str) -> Span {
        let span = info_span!(
            "rpc",
            tf_rpc = self.rpc,
            tf_req_id = %Uuid::new_v4(),
            tf_provider_addr = address,
            tf_proto_version = "6.11",
            tf_resource_type = Empty,
            tf_data_source_type = Empty,
            tf_ephemeral_resource_type = Empty,
            tf_list_resource_type = Empty,
            tf_action_type = Empty,
            tf_function = Empty,
        );
        if let Some(field) = self.field {
            span.record(field, self.type_name);
        }
        span
    }
}

impl<P: Provider> Server<P> {
    /// Runs the body of an RPC. `failed` makes the response for diagnostics that ended the body early, or for a panic
    /// outside the code of a resource (that is caught closer, see `framework::engine::run`).
    pub(super) async fn answer<R>(
        &self,
        call: Call<'_>,
        failed: impl FnOnce(Diagnostics) -> R,
        body: impl Future<Output = Result<R, Diagnostics>>,
    ) -> R {
        let span = call.span(self.address);
        async {
            let start = tokio::time::Instant::now();
            debug!("request received");
            let outcome = AssertUnwindSafe(body).catch_unwind().await;
            let answer = match outcome {
                Ok(Ok(response)) => response,
                Ok(Err(diagnostics)) => failed(diagnostics),
                Err(_) => failed(crashed(call.rpc).into()),
            };
            let tf_req_duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            debug!(tf_req_duration_ms, "response sent");
            answer
        }
        .instrument(span)
        .await
    }

    /// The span of a call whose work goes on after the handler has returned a stream.
    pub(super) fn span(&self, call: Call<'_>) -> Span {
        call.span(self.address)
    }
}

/// The diagnostic for a panic in an RPC. Its text stays in the log: it may hold values.
pub(super) fn crashed(rpc: &str) -> Diagnostic {
    Diagnostic::error(
        "Provider crashed",
        format!(
            "The provider crashed while it answered {rpc}.\n\nThis is always a problem with the provider. Please report it \
             to its developers, together with the crash message and trace that Terraform prints, or that the log \
             (TF_LOG=error) has."
        ),
    )
}

/// The diagnostic for a type name that the provider does not have.
pub(super) fn no_such_type(kind: &str, type_name: &str) -> Diagnostics {
    Diagnostic::error(
        format!("No such {kind}"),
        format!(
            "This version of the provider has no {kind} {type_name:?}. If it should have one, check which version is \
             installed; otherwise please report this to the developers of the provider."
        ),
    )
    .into()
}
