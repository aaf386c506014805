//! Signals from the terminal and from supervisors.

use std::io;

use super::Ended;

/// What Ctrl-C means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Interrupt {
    /// Nothing: it also reaches core, which stops the provider in its own way (`StopProvider`).
    Ignored,
    /// End the server: nobody else would.
    Ends,
}

/// Handlers for the signals that concern the server. Installed on creation, so create it before the handshake line.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    /// Process id of core.
    #[cfg(unix)]
    core: u32,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    /// Replaces the default actions, which would end the process at once and leave the socket behind.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a handler.
    pub(super) fn install() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
                core: std::os::unix::process::parent_id(),
            })
        }
        #[cfg(windows)]
        {
            Ok(Self {
                interrupt: tokio::signal::windows::ctrl_c()?,
            })
        }
    }

    /// Waits for a signal that ends the server.
    pub(super) async fn ended(mut self, on_interrupt: Interrupt) -> Ended {
        loop {
            #[cfg(unix)]
            tokio::select! {
                _ = self.terminate.recv() => return Ended::Signal(15),
                _ = self.hang_up.recv() => {
                    // Under nohup core ignores this signal and goes on, and what is in flight must too; without, core is
                    // gone in a moment.
                    if on_interrupt == Interrupt::Ends || core_is_gone(self.core).await {
                        return Ended::Signal(1);
                    }
                    tracing::debug!("ignored a hang-up: Terraform goes on");
                    continue;
                }
                _ = self.interrupt.recv() => {}
            }
            #[cfg(windows)]
            {
                self.interrupt.recv().await;
            }
            match on_interrupt {
                Interrupt::Ends => return Ended::Interrupted,
                Interrupt::Ignored => {
                    tracing::debug!("ignored an interrupt: Terraform decides what stops")
                }
            }
        }
    }
}

/// Whether the process that started this one ends within a second.
#[cfg(unix)]
async fn core_is_gone(core: u32) -> bool {
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    std::os::unix::process::parent_id() != core
}
