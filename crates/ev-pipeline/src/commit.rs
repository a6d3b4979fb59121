//! When and how what happened becomes durable.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Change, Env, NewParked, ParkReason, StateError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::Error;
use crate::engine::Core;
use crate::intake::Way;
use crate::ledger::Hours;
use crate::parking::may_pass_by_itself;

/// Pauses between attempts while the state cannot be written.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(15);

/// The pause after so many attempts in vain to use the state.
pub(crate) fn pause_after(attempts: u32, env: &dyn Env) -> Duration {
    let pause = RETRY_BASE.saturating_mul(1 << attempts.min(10)).min(RETRY_CAP);
    pause / 2 + env.jitter(pause / 2)
}

impl Core {
    /// Something happened that has to be committed.
    pub(crate) fn changed(&mut self) {
        if self.change_since.is_none() {
            self.change_since = Some(self.env.monotonic());
        }
    }

    pub(crate) fn commit_at(&self) -> Option<Duration> {
        self.change_since.map(|since| since + self.config.commit_interval)
    }

    pub(crate) fn commit_due(&self, now: Duration) -> bool {
        self.commit_at().is_some_and(|at| at <= now)
            || self.change_events >= self.config.commit_events
            || self.change_park_bytes >= self.config.commit_park_bytes
    }

    /// Reads the hours of the ledger that are to be changed, as far as they are not in memory. A
    /// state that cannot be read is waited for as one that cannot be written.
    async fn read_ledger(&mut self, hours: &Hours, stop: &CancellationToken) -> Result<(), Error> {
        for hour in self.ledger.unread(hours) {
            let mut attempts = 0;
            let rows = loop {
                let (store, sink) = (self.store.clone(), self.sink_id.clone());
                match self.exec.run(move || store.ledger(&sink, hour..hour.saturating_add(1))).await
                {
                    Ok(rows) => break rows,
                    Err(error @ StateError::Storage { .. }) => {
                        error!(
                            error = &error as &dyn std::error::Error,
                            attempts, "state cannot be read, delivery stands still"
                        );
                        let pause = pause_after(attempts, &*self.env);
                        tokio::select! {
                            biased;
                            () = stop.cancelled() => return Err(error.into()),
                            () = self.env.sleep(pause) => attempts += 1,
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            if self.ledger.read(hour, rows.first()).is_none() {
                // It proves nothing any more; what is passed from now on is still worth counting.
                error!(hour, "the ledger of an hour is damaged and begins anew");
                self.ledger.read(hour, None);
            }
        }
        Ok(())
    }

    /// Writes all that happened since the last commit as one transaction, and waits for it.
    ///
    /// While the state cannot be written (a full disk), nothing else goes on either: what is sent
    /// and not committed would be sent again after a crash, and that must stay bounded. A stop
    /// ends the waiting.
    pub(crate) async fn commit(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let hours = self.book.take_change(&mut self.change, &mut self.summary.totals);
        self.read_ledger(&hours, stop).await?;
        self.change.ledger = self.ledger.merge(hours);
        self.change_since = None;
        self.change_events = 0;
        self.change_park_bytes = 0;
        if self.change == Change::default() {
            return Ok(());
        }
        let mut change = std::mem::take(&mut self.change);
        change.totals = Some(self.summary.totals);
        let change = Arc::new(change);
        let mut attempts = 0u32;
        loop {
            let (store, sink, epoch) = (self.store.clone(), self.sink_id.clone(), self.epoch);
            let writing = change.clone();
            match self.exec.run(move || store.commit(&sink, epoch, &writing)).await {
                Ok(()) => break,
                Err(error @ StateError::Storage { .. }) => {
                    error!(
                        error = &error as &dyn std::error::Error,
                        attempts, "state cannot be written, delivery stands still"
                    );
                    let pause = pause_after(attempts, &*self.env);
                    tokio::select! {
                        biased;
                        // When stopping, one attempt is all there is time for.
                        () = stop.cancelled() => return Err(error.into()),
                        () = self.env.sleep(pause) => attempts += 1,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        if attempts > 0 {
            info!(attempts, "state can be written again");
        }
        self.summary.commits += 1;
        self.park_waiting();
        for id in change.resolve.iter().chain(change.attempt.iter().map(|tried| &tried.id)) {
            self.retrying.remove(id);
        }
        for id in &change.resolve {
            self.learned.remove(id);
        }
        self.worth_a_round |= change.park.iter().any(|parked| may_pass_by_itself(parked.reason));
        // Their decoder came while they were on their way into the state.
        let decodable = |p: &NewParked| {
            p.reason == ParkReason::Waiting && Way::of(self.decoders.choose(&p.version)).is_some()
        };
        if change.park.iter().any(decodable) {
            self.next_round = self.env.monotonic();
        }
        Ok(())
    }
}
