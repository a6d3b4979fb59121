//! The one place that uses the state and waits for it.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{StateError, StateStore};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::Error;
use crate::engine::Core;

/// Pauses between attempts while the state cannot be used.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(15);

impl Core {
    /// Does `work` with the state; `how` says in the log what cannot be done with it: `read` or
    /// `written`.
    ///
    /// While the state cannot be used (a full disk), nothing else goes on: what is known would be
    /// sent again, and what is sent and not committed would be sent again after a crash, which must
    /// stay bounded. A stop ends the waiting: then one attempt is all there is time for.
    ///
    /// # Errors
    ///
    /// What waiting cannot mend, and any trouble when stopping.
    pub(crate) async fn with_state<T: Send + 'static>(
        &self,
        how: &'static str,
        work: impl Fn(&dyn StateStore) -> Result<T, StateError> + Send + Sync + 'static,
        stop: &CancellationToken,
    ) -> Result<T, Error> {
        let work = Arc::new(work);
        let mut attempts = 0u32;
        let pulse = &self.config.pulse;
        loop {
            pulse.beat();
            let (store, work) = (self.store.clone(), work.clone());
            match self.exec.run(move || work(&*store)).await {
                Ok(done) => {
                    if attempts > 0 {
                        pulse.set_state_trouble(None);
                        info!(attempts, "state can be {how} again");
                    }
                    return Ok(done);
                }
                Err(error @ StateError::Storage { .. }) => {
                    error!(
                        error = &error as &dyn std::error::Error,
                        attempts, "state cannot be {how}, delivery stands still"
                    );
                    pulse.set_state_trouble(Some(format!(
                        "it cannot be {how}: {}",
                        ev_core::chain(&error)
                    )));
                    let pause = RETRY_BASE.saturating_mul(1 << attempts.min(10)).min(RETRY_CAP);
                    let pause = pause / 2 + self.env.jitter(pause / 2);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Err(error.into()),
                        () = self.env.sleep(pause) => attempts += 1,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
