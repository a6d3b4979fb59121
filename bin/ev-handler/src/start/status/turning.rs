//! What goes on each second: the runtime's beat, what the engines are asked so that they turn, the
//! last hour's figures, what systemd is told, and what a terminal shows.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Gatherer;
use super::catching_up::CatchingUp;
use super::notify::Notify;
use crate::logging::Foot;
use crate::start::Error;

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// Between two looks at everything.
const LOOK: u32 = 5;

/// The tasks; dropping it ends them.
pub(crate) struct Turning {
    tasks: [JoinHandle<()>; 2],
}

impl Turning {
    /// Shows in `foot` how far it has come. Needs a running tokio runtime, the one whose turning is
    /// of interest.
    pub(crate) fn begin(gatherer: &Arc<Gatherer>, notify: &Notify, foot: Option<Foot>) -> Self {
        notify.ready();
        let (one, other) = (Arc::clone(gatherer), Arc::clone(gatherer));
        let told = notify.clone();
        // Ended and waited for in `end`.
        let look = look(other, notify.clone(), foot.map(CatchingUp::new));
        let tasks = [tokio::spawn(async move { one.beat(&told).await }), tokio::spawn(look)];
        Self { tasks }
    }

    /// Ends them.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] if one had panicked.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        for task in &mut self.tasks {
            task.abort();
            match task.await {
                Err(error) if error.is_panic() => return Err(Error::Task(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Gatherer {
    /// Beats, and tells systemd that all is well as long as it is.
    async fn beat(&self, notify: &Notify) {
        loop {
            self.runtime.beat();
            if self.watchdog.stalled(self.from.env.monotonic()).is_empty() {
                notify.alive();
            }
            self.from.env.sleep(BEAT).await;
        }
    }
}

/// Looks at everything now and then, and nudges the engines in between.
async fn look(gatherer: Arc<Gatherer>, notify: Notify, mut catching_up: Option<CatchingUp>) {
    loop {
        let snapshot = gatherer.gather().await;
        gatherer.history().note(&snapshot);
        notify.status(&snapshot);
        for _ in 0..LOOK {
            tokio::select! {
                () = gatherer.from.env.sleep(BEAT) => {
                    let sinks = gatherer.nudge().await;
                    if let Some(catching_up) = &mut catching_up {
                        catching_up.show(&sinks, gatherer.from.env.monotonic());
                    }
                }
                // systemd wants to know at once.
                () = gatherer.from.stop.cancelled() => {
                    notify.stopping();
                    return;
                }
            }
        }
    }
}
