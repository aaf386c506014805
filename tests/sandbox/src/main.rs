//! Command line of the sandbox.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use podidentity_sandbox::{Options, Sandbox};

/// A strict local stand-in for EKS, IAM, STS and the Kubernetes API, for trying the provider without an AWS account.
///
/// Prints one line of JSON with its endpoints once it accepts connections, and runs until SIGTERM or SIGINT. The key pair test/test
/// belongs to the default account, test2/test2 to account 210987654321. The control API is on the AWS port under /_sandbox.
#[derive(Parser)]
#[command(name = "podidentity-sandbox", version)]
struct Arguments {
    /// Address of the AWS side; loopback only. Port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the first cluster's Kubernetes API; loopback only. Further clusters take free ports
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    kubernetes_listen: SocketAddr,
    /// Account of the key pair test/test
    #[arg(long, value_name = "ID", default_value = "123456789012")]
    account_id: String,
    /// Region of the clusters to start with
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// Name of an ACTIVE cluster to start with; may be given several times
    #[arg(long = "cluster", value_name = "NAME", default_value = "demo")]
    clusters: Vec<String>,
    /// File with a seed to apply at the start, as POST /_sandbox/seed takes it
    #[arg(long, value_name = "FILE")]
    seed: Option<std::path::PathBuf>,
    /// Also exit when standard input is closed, so as not to outlive the process that started this one
    #[arg(long)]
    parent_watch: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "podidentity-sandbox: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let options = Options {
        listen: arguments.listen,
        kubernetes_listen: arguments.kubernetes_listen,
        account_id: arguments.account_id,
        region: arguments.region,
        clusters: arguments.clusters,
    };
    let sandbox = Sandbox::start(options).map_err(|e| match std::error::Error::source(&e) {
        Some(source) => format!("{e}: {source}"),
        None => e.to_string(),
    })?;
    if let Some(path) = arguments.seed {
        let text = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        sandbox
            .seed(serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        // The handlers are in place before the line is printed, so that whoever reads it may signal at once.
        let stop = stop_signal().map_err(|e| e.to_string())?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", sandbox.ready())
            .and_then(|()| out.flush())
            .map_err(|e| e.to_string())?;
        drop(out);
        let (closed, parent) = tokio::sync::oneshot::channel();
        if arguments.parent_watch {
            std::thread::spawn(move || {
                let mut buffer = [0; 256];
                while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
                let _ = closed.send(());
            });
            tokio::select! { () = stop => {}, _ = parent => {} }
        } else {
            stop.await;
        }
        Ok(())
    })
}

/// Resolves at SIGTERM or SIGINT.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
