//! Signals that end the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// SIGTERM and SIGINT, caught from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Must be called inside a tokio runtime.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the signal to stop.
    pub(crate) async fn stop(&mut self) {
        let name = self.next().await;
        info!(signal = name, "stopping: finishing what is under way");
    }

    /// Waits for another one, which means: at once.
    pub(crate) async fn force(&mut self) {
        let name = self.next().await;
        warn!(signal = name, "stopping at once");
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
