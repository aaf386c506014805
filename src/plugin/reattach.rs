//! Debug servers: Terraform attaches to a process that somebody else started (`TF_REATTACH_PROVIDERS`).

use std::{process, sync::Arc};

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    ServeError, environment::Environment, listener::Address, listener::Listener, server,
    services::ShutdownRpc,
};
use crate::proto::tfplugin6::provider_server::Provider;

/// A provider that serves in this process until it is shut down or dropped, for any number of Terraform runs.
///
/// There is no TLS: Terraform uses none on reattach. Only the permissions of the socket protect it.
#[derive(Debug)]
pub struct DebugServer {
    provider_address: &'static str,
    address: Address,
    stop_serving: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// Starts a debug server for `service` inside the current Tokio runtime. `provider_address` is the full source address,
/// `registry.terraform.io/NAMESPACE/NAME`.
///
/// # Errors
///
/// [`ServeError::Listen`].
pub async fn serve_debug<P: Provider>(
    service: P,
    provider_address: &'static str,
) -> Result<DebugServer, ServeError> {
    let listener = Listener::bind(&Environment::default()).await?;
    let address = listener.address().clone();
    let stop_serving = CancellationToken::new();
    let serving = tokio::spawn(server::serve(
        Arc::new(service),
        listener,
        None,
        ShutdownRpc::Ignored,
        stop_serving.clone(),
    ));
    Ok(DebugServer {
        provider_address,
        address,
        stop_serving,
        serving,
    })
}

impl DebugServer {
    /// Value for `TF_REATTACH_PROVIDERS`.
    ///
    /// `Test` makes core take the protocol version from here and never end the process; without it core panics.
    pub fn reattach_json(&self) -> String {
        json!({
            self.provider_address: {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": process::id(),
                "Test": true,
                "Addr": { "Network": self.address.network, "String": self.address.text },
            }
        })
        .to_string()
    }

    /// Where it listens, as a URI for [`tonic::transport::Endpoint`] (plaintext HTTP/2).
    pub fn uri(&self) -> String {
        let scheme = match self.address.network {
            "unix" => "unix://",
            _ => "http://",
        };
        format!("{scheme}{}", self.address.text)
    }

    /// Ends the server and waits until its socket is gone. Calls in flight get a moment to finish.
    ///
    /// # Errors
    ///
    /// [`ServeError::Serve`] if serving had failed.
    pub async fn shutdown(mut self) -> Result<(), ServeError> {
        self.stop_serving.cancel();
        self.ended().await
    }

    /// Waits until the server ends by itself, which only a failure makes it do.
    pub(super) async fn ended(&mut self) -> Result<(), ServeError> {
        match (&mut self.serving).await {
            Ok(served) => Ok(served?),
            // Nobody else can abort the task.
            Err(join) if join.is_cancelled() => Ok(()),
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        }
    }

    /// What `-debug` prints: shell comments around one assignment, for a POSIX shell or for PowerShell.
    pub(super) fn instructions(&self) -> String {
        let variable = if cfg!(windows) { "$env:" } else { "" };
        format!(
            "# The provider is running, process {pid}. Set this variable where Terraform runs, and it uses this\n\
             # process; the provider needs no `terraform init` then. Ctrl-C ends it.\n\
             \n\
             {variable}TF_REATTACH_PROVIDERS='{json}'\n",
            pid = process::id(),
            json = self.reattach_json(),
        )
    }
}

impl Drop for DebugServer {
    fn drop(&mut self) {
        // Not only the token: the runtime may end before the task looks at it, and the socket shall go in any case.
        self.stop_serving.cancel();
        self.serving.abort();
    }
}
