//! The process contract of a Terraform plugin, which is go-plugin's: how core starts the provider, finds it, trusts it,
//! talks to it, reads its log and ends it.
//!
//! [`run`] is the whole of a provider's `main`; [`serve_debug`] is a provider inside a test.

mod command_line;
mod environment;
mod handshake;
mod listener;
pub mod logging;
mod panics;
mod reattach;
mod server;
mod services;
mod signals;
mod tls;

use std::{
    env,
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use self::{
    command_line::Command,
    environment::Environment,
    handshake::Handshake,
    listener::Listener,
    services::ShutdownRpc,
    signals::{Interrupt, Signals},
    tls::AutoMtls,
};
pub use self::{
    listener::ListenError,
    panics::{PanicMessage, catch_panic},
    reattach::{DebugServer, serve_debug},
    tls::TlsError,
};
use crate::proto::tfplugin6::{provider_server::Provider, stop_provider};

/// What identifies the provider.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Full source address, `registry.terraform.io/NAMESPACE/NAME`.
    pub provider_address: &'static str,
    /// Version of the provider, without a leading `v`.
    pub version: &'static str,
}

/// Why the provider could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is no magic cookie in the environment: not core started us.
    #[error(
        "This program is a Terraform provider. Terraform starts it when it needs it; by hand it does nothing.\n\n\
         To use it, name it in a Terraform configuration and run `terraform init`:\n\n  \
         terraform {{\n    required_providers {{\n      podidentity = {{ source = \"podidentity/podidentity\" }}\n    \
         }}\n  }}\n\n\
         To run it under a debugger, start it with -debug. Its version: -version"
    )]
    StartedByHand,
    /// A variable that go-plugin's client sets has a value that makes no sense.
    #[error("the environment variable {name} has a value that cannot be used")]
    Variable {
        /// The variable.
        name: &'static str,
    },
    /// No listener.
    #[error("opening the socket for Terraform")]
    Listen(#[from] ListenError),
    /// No TLS.
    #[error("setting up TLS with Terraform")]
    Tls(#[from] TlsError),
    /// Serving failed.
    #[error("serving gRPC")]
    Serve(#[from] tonic::transport::Error),
    /// The runtime or a signal handler could not be made.
    #[error("starting the provider")]
    Start(#[source] io::Error),
    /// The handshake line could not be written: core is gone.
    #[error("writing to standard output")]
    Stdout(#[source] io::Error),
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Core asked for it: `GRPCController/Shutdown`.
    Shutdown,
    /// Ctrl-C at a debug server.
    Interrupted,
    /// A signal of this number that ends processes.
    Signal(u8),
}

impl Ended {
    /// 0, or for a signal what a shell reports for a process that it ended.
    fn exit_code(self) -> ExitCode {
        match self {
            Self::Shutdown | Self::Interrupted => ExitCode::SUCCESS,
            Self::Signal(number) => ExitCode::from(128 + number),
        }
    }
}

/// Runs the provider process: command line, log, panic hook, runtime, serving. `arguments` are those after the program's
/// name.
///
/// Never reads standard input, which core shares with us. Problems are told on standard error.
pub fn run<P: Provider>(
    arguments: impl IntoIterator<Item = String>,
    service: P,
    options: Options,
) -> ExitCode {
    panics::install_hook(options.version);
    let debug = match Command::parse(arguments, options.version) {
        Command::Serve => false,
        Command::Debug => true,
        Command::Print { text, exit_code } => {
            // Whoever closed the stream does not want the text.
            let _ = match exit_code {
                0 => io::stdout().write_all(text.as_bytes()),
                _ => io::stderr().write_all(text.as_bytes()),
            };
            return ExitCode::from(exit_code);
        }
    };
    let outcome = if debug {
        logging::install();
        block_on(debug_until_interrupted(service, options))
    } else {
        // Before anything else is set up: by hand, the explanation is all there is.
        Environment::read(|name| env::var_os(name)).and_then(|environment| {
            logging::install();
            block_on(serve(service, &environment))
        })
    };
    match outcome {
        Ok(ended) => ended.exit_code(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", error_text(&error));
            ExitCode::FAILURE
        }
    }
}

/// Serves the process that started us until it is done with us.
async fn serve<P: Provider>(service: P, environment: &Environment) -> Result<Ended, ServeError> {
    // Before the handshake line: from then on an interrupt may come.
    let signals = Signals::install().map_err(ServeError::Start)?;
    let listener = Listener::bind(environment).await?;
    let tls = environment
        .client_certificate
        .as_deref()
        .map(AutoMtls::new)
        .transpose()?;
    let (acceptor, certificate) = tls.map(|tls| (tls.acceptor, tls.certificate)).unzip();
    Handshake {
        protocol: environment.protocol,
        address: listener.address(),
        certificate: certificate.as_deref(),
        answer_multiplexing: environment.asks_for_multiplexing,
    }
    .write(io::stdout().lock())
    .map_err(ServeError::Stdout)?;

    let service = Arc::new(service);
    let stop_serving = CancellationToken::new();
    let serving = server::serve(
        Arc::clone(&service),
        listener,
        acceptor,
        ShutdownRpc::Ends,
        stop_serving.clone(),
    );
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => {
            served?;
            Ok(Ended::Shutdown)
        }
        ended = signals.ended(Interrupt::Ignored) => {
            // A supervisor may signal the whole process group, and core then waits for us to finish: whoever waits for
            // something answers now, with the state it has, as after core's own StopProvider.
            let stop = async {
                let _ = service
                    .stop_provider(tonic::Request::new(stop_provider::Request {}))
                    .await;
                stop_serving.cancel();
            };
            let (served, ()) = tokio::join!(serving, stop);
            served?;
            Ok(ended)
        }
    }
}

/// `-debug`: no cookie, no TLS, no handshake line; serves whoever attaches.
async fn debug_until_interrupted<P: Provider>(
    service: P,
    options: Options,
) -> Result<Ended, ServeError> {
    let signals = Signals::install().map_err(ServeError::Start)?;
    let mut server = serve_debug(service, options.provider_address).await?;
    let mut stdout = io::stdout();
    stdout
        .write_all(server.instructions().as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(ServeError::Stdout)?;
    let ended = tokio::select! {
        served = server.ended() => {
            served?;
            return Ok(Ended::Shutdown);
        }
        ended = signals.ended(Interrupt::Ends) => ended,
    };
    server.shutdown().await?;
    Ok(ended)
}

fn block_on(serving: impl Future<Output = Result<Ended, ServeError>>) -> Result<Ended, ServeError> {
    // Two workers, whatever the machine: the work is waiting for AWS, and a second thread is enough for `StopProvider` to
    // get through while the first one computes or shakes hands. Blocking threads only look up host names.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .map_err(ServeError::Start)?;
    let outcome = runtime.block_on(serving);
    // A host name lookup that hangs must not hold up the exit: core kills what is not gone in two seconds.
    runtime.shutdown_background();
    outcome
}

/// The error and its causes on one line.
fn error_text(error: &ServeError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
