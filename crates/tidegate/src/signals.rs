//! Signals that end what runs for long.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Whether somebody sits in front of it: then a hang-up means that the terminal is gone.
    /// Otherwise it is the habit of asking a daemon to read its configuration again.
    on_terminal: bool,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            on_terminal: io::stderr().is_terminal(),
        })
    }

    /// Waits for the next signal that asks for a stop.
    pub(crate) async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hang_up.recv() => {
                    if self.on_terminal {
                        return;
                    }
                    tracing::info!("SIGHUP ignored: the configuration is read at the start only");
                }
            }
        }
    }
}
