//! Signals: those that end the process, those that a running handler obeys, and one that must do
//! nothing.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::start::control::{Command, Controller};

/// Catches SIGHUP and SIGUSR1 from now on, either of which would end a handler that has not come so
/// far as to obey it. Until then they are let pass: what they ask to be read again is about to be
/// read. A failure shows when they are caught to be obeyed.
pub(crate) fn survive() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return;
    };
    let _inside = runtime.enter();
    // What is caught once stays caught, also when nobody listens any more.
    drop(Commands::catch());
}

/// Runs `work` to its end. A signal cancels `stop`, by which the work is to end soon; another one
/// drops it where it stands, and then there is nothing to return.
///
/// # Errors
///
/// If signals cannot be caught; then nothing was begun.
pub(crate) async fn until_signal<T>(
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let mut signals = Signals::catch()?;
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return Ok(Some(done)),
        () = signals.stop() => stop.cancel(),
    }
    tokio::select! {
        done = &mut work => Ok(Some(done)),
        () = signals.force() => Ok(None),
    }
}

/// The same for a handler, which obeys two more signals: SIGHUP has it read its files again, and
/// SIGUSR1 write down what it is doing.
///
/// # Errors
///
/// As [`until_signal`].
pub(crate) async fn obey<T>(
    stop: &CancellationToken,
    controller: &Controller,
    work: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let mut commands = Commands::catch()?;
    let work = until_signal(stop, work);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            command = commands.next() => controller.tell(command),
        }
    }
}

/// SIGTERM and SIGINT, caught from the moment this is made. SIGXFSZ too, which nobody waits for: a
/// write beyond a limit on the size of files is an error then, as on a full disk, and not the end;
/// and SIGHUP and SIGUSR1, which only a handler obeys, so that they end no other command.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _others: [Signal; 3],
}

impl Signals {
    /// Must be called inside a tokio runtime.
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _others: [
                signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::user_defined1())?,
            ],
        })
    }

    /// Waits for the signal to stop.
    async fn stop(&mut self) {
        let name = self.next().await;
        info!(signal = name, "stopping: finishing what is under way");
    }

    /// Waits for another one, which means: at once.
    async fn force(&mut self) {
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

/// SIGHUP and SIGUSR1, either of which would kill a process that does not catch it.
struct Commands {
    hangup: Signal,
    user1: Signal,
}

impl Commands {
    /// Must be called inside a tokio runtime.
    fn catch() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Command {
        tokio::select! {
            _ = self.hangup.recv() => Command::Reload,
            _ = self.user1.recv() => Command::Dump,
        }
    }
}
