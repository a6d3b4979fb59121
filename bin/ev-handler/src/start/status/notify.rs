//! What systemd is told (sd_notify(3)), if it has started this.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ev_diag::{Light, Readiness, Snapshot};
use sd_notify::NotifyState;
use tracing::debug;

use crate::text::short;

/// Most bytes of what `systemctl status` shows. systemd reads 4,096 of a message (`NOTIFY_BUFFER_MAX`
/// in `src/core/manager.h`) and drops a longer one whole.
const STATUS_BYTES: usize = 1_000;

/// Tells systemd; says nothing where nobody listens.
#[derive(Clone)]
pub(crate) struct Notify {
    listens: bool,
    /// `WatchdogSec` is set, and for this process.
    watches: bool,
    stopping: Arc<AtomicBool>,
}

impl Notify {
    pub(crate) fn from_environment() -> Self {
        Self {
            listens: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watches: sd_notify::watchdog_enabled().is_some(),
            stopping: Arc::default(),
        }
    }

    /// Everything that an operator would have to mend was tried, and events are waited for.
    pub(super) fn ready(&self) {
        self.tell(&[NotifyState::Ready, NotifyState::Status("waiting for Auth")]);
    }

    /// The files are read again; ends with [`Notify::reloaded`].
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => debug!(%error, "systemd was not told of the reload"),
        }
    }

    /// They were.
    pub(crate) fn reloaded(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: finishing what is under way"),
        ]);
    }

    /// It turns.
    pub(super) fn alive(&self) {
        if self.watches {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    /// One line for `systemctl status`.
    pub(super) fn status(&self, snapshot: &Snapshot) {
        if self.listens && !self.stopping.load(Ordering::Relaxed) {
            // Much of it is the word of a peer, and each line of a message is an order to systemd.
            self.tell(&[NotifyState::Status(&short(&line(snapshot), STATUS_BYTES))]);
        }
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        if self.listens
            && let Err(error) = sd_notify::notify(state)
        {
            debug!(%error, "systemd was not told");
        }
    }
}

/// What is wrong, or how far it has come.
fn line(snapshot: &Snapshot) -> String {
    let parts = Readiness::of(snapshot).parts;
    let worst = parts.iter().filter(|part| part.light == Light::Down && part.name != "run");
    let wrong: Vec<String> = worst.map(|part| format!("{}: {}", part.name, part.reason)).collect();
    if !wrong.is_empty() {
        return wrong.join("; ");
    }
    let sent: u64 = snapshot.sinks.iter().map(|sink| sink.counters.sent).sum();
    let parked: u64 = snapshot.sinks.iter().map(|sink| sink.totals.parked).sum();
    let lag = snapshot.sinks.iter().filter_map(|sink| sink.lag_seconds).max();
    match lag {
        Some(lag) => format!("{sent} events delivered, {lag} s behind, {parked} parked"),
        None => "waiting for Auth".to_owned(),
    }
}
