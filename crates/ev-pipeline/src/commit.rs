//! When and how what happened becomes durable.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Change, NewParked, ParkReason, SessionLedger, StateStore};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::Error;
use crate::engine::Core;
use crate::intake::Way;
use crate::lanes::Beside;
use crate::ledger::Hours;
use crate::parking::may_pass_by_itself;

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

    /// Reads the hours of the ledger that are to be changed, as far as they are not in memory.
    async fn read_ledger(&mut self, hours: &Hours, stop: &CancellationToken) -> Result<(), Error> {
        for hour in self.ledger.unread(hours) {
            let sink = self.sink_id.clone();
            let read =
                move |store: &dyn StateStore| store.ledger(&sink, hour..hour.saturating_add(1));
            let rows = self.with_state("read", read, stop).await?;
            if self.ledger.read(hour, rows.first()).is_none() {
                // It proves nothing any more; what is passed from now on is still worth counting.
                error!(hour, "the ledger of an hour is damaged and begins anew");
                self.ledger.read(hour, None);
            }
        }
        Ok(())
    }

    /// Puts events where they are kept outside of the state.
    async fn export(&self, exports: Vec<NewParked>, stop: &CancellationToken) -> Result<(), Error> {
        let Some(overflow) = self.config.overflow.clone().filter(|_| !exports.is_empty()) else {
            return Ok(());
        };
        self.with_state("written", move |_| overflow.add(&exports), stop).await
    }

    /// Takes up the ledgers of recordings that an earlier run had begun.
    pub(crate) async fn read_recordings(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let begun = self.book.begun_recordings();
        if begun.is_empty() {
            return Ok(());
        }
        let sink = self.sink_id.clone();
        let read = move |store: &dyn StateStore| {
            begun.iter().map(|session| store.session_ledger(&sink, session)).collect()
        };
        let rows: Vec<Option<SessionLedger>> = self.with_state("read", read, stop).await?;
        rows.iter().flatten().for_each(|row| self.book.set_recording(row));
        Ok(())
    }

    /// Says which of the recordings that were read to their end are not whole.
    fn tell_gaps(&mut self, rows: &[SessionLedger]) {
        for row in rows.iter().filter(|row| row.closed_seconds.is_some() && row.gaps > 0) {
            let SessionLedger { session, gaps, count, last_index, .. } = row;
            warn!(%session, gaps, events = count, last_index, "recording has gaps in its indexes");
            self.summary.recording_gaps += gaps;
        }
    }

    /// Writes all that happened since the last commit as one transaction, and waits for it.
    ///
    /// While the state cannot be written (a full disk), nothing else goes on either: what is sent
    /// and not committed would be sent again after a crash, and that must stay bounded. A stop
    /// ends the waiting.
    pub(crate) async fn commit(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let now = self.env.now().seconds();
        let Beside { hours, exports } =
            self.book.take_change(&mut self.change, &mut self.summary.totals, now);
        self.change.settle.extend(self.left_over.take_settled());
        if let Some(watcher) = &self.config.watcher {
            watcher.put_into(&mut self.change);
        }
        if self.change != Change::default() {
            self.forget_given_up(now);
            self.change.forget.extend(self.left_over.take_unneeded(self.book.oldest()));
        }
        self.export(exports, stop).await?;
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
        let (sink, epoch, writing) = (self.sink_id.clone(), self.epoch, change.clone());
        let write = move |store: &dyn StateStore| store.commit(&sink, epoch, &writing);
        let begun = self.env.monotonic();
        self.with_state("written", write, stop).await?;
        self.summary.commits += 1;
        self.summary.commit_time += self.env.monotonic().saturating_sub(begun);
        self.tell_gaps(&change.session_ledger);
        self.park_waiting();
        for id in change.resolve.iter().chain(change.attempt.iter().map(|tried| &tried.id)) {
            self.retrying.remove(id);
        }
        for id in &change.resolve {
            self.learned.remove(id);
        }
        let parked = change.park.iter().map(|parked| parked.reason);
        let mut reasons = parked.chain(change.attempt.iter().map(|tried| tried.reason));
        self.worth_a_round |= reasons.any(may_pass_by_itself);
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
