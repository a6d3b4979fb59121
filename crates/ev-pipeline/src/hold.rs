//! Recordings that are not read on for the moment.
//!
//! What is read of a recording and cannot be sent stands in memory. A long recording would so take
//! the room that the audit log needs, and while nothing of the audit log is read, nothing shows
//! whether an event that a receiver does not take is guilty: everything would stand still for ever.
//! So a recording of which a batch cannot be delivered is closed at the source until that is
//! settled, and all of them are while together they take too much of the room.

use std::collections::BTreeSet;

use ev_core::{LaneId, Route, Source};

use crate::engine::Core;

/// How often a batch has to fail before its recording is closed: the pauses between take about ten
/// seconds by then. Closing and opening costs Auth a reading from the beginning.
pub(crate) const FAILURES_TO_HOLD: u32 = 6;

/// Recordings that are closed at the source.
#[derive(Debug, Default)]
pub(crate) struct Held {
    lanes: BTreeSet<LaneId>,
    /// All of them are, also those that are announced now.
    all: bool,
}

impl Held {
    pub(crate) fn contains(&self, lane: &LaneId) -> bool {
        self.lanes.contains(lane)
    }
}

impl Core {
    /// Closes and opens what has to be.
    pub(crate) fn hold_recordings(&mut self, source: &mut dyn Source) {
        // From half of the room until a quarter is left, so that it is not done for each page.
        let part = if self.held.all { 4 } else { 2 };
        self.held.all = self.book.backlog_of_recordings() >= self.config.max_unsettled / part
            || self.batches.held_by_recordings() >= self.config.max_held_bytes / part;
        let mut hold = self.receivers.recordings_in_trouble();
        let is_busy = |lane: &&LaneId| match lane {
            LaneId::Session(session) => self.busy.contains(&Route::Session(session.clone())),
            LaneId::Window { .. } | LaneId::Chunk { .. } => false,
        };
        hold.extend(self.held.lanes.iter().filter(is_busy).cloned());
        if self.held.all {
            hold.extend(self.book.recordings().cloned());
        }
        for lane in hold.difference(&self.held.lanes).filter(|lane| self.book.is_open(lane)) {
            source.close(lane);
        }
        for lane in self.held.lanes.difference(&hold).filter(|lane| self.book.is_open(lane)) {
            // What was stopped by its own trouble waits for its time.
            if !self.waits_to_be_reopened(lane) {
                source.open(lane, self.book.read_token(lane).cloned());
            }
        }
        self.held.lanes = hold;
    }
}
