//! What an engine may think of an event that is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::EventNo;

/// So many events may be parked in a row that the receiver would take at another time.
const INNOCENTS: u32 = 3;

/// What a receiver did, as far as it matters to whether an event is guilty.
#[derive(Debug, Default)]
pub(super) struct Record {
    taken: u64,
    /// Lone events that were refused, and how much had been taken by then.
    refused: BTreeMap<EventNo, u64>,
    proved: BTreeSet<EventNo>,
    /// Events parked without such proof, since one was taken.
    on_trust: u32,
}

impl Record {
    pub(super) fn took(&mut self) {
        self.taken += 1;
        self.on_trust = 0;
    }

    pub(super) fn refused(&mut self, no: EventNo) {
        let before = self.refused.insert(no, self.taken);
        if before.is_some_and(|before| before < self.taken) {
            self.proved.insert(no);
        }
    }

    /// Whether an engine that has only answers to go by may take an innocent event for guilty: it
    /// was refused, others were taken, and it was refused again. And without that, a few.
    pub(super) fn seems_guilty(&mut self, no: EventNo) -> bool {
        if self.proved.contains(&no) {
            return true;
        }
        self.on_trust += 1;
        self.on_trust <= INNOCENTS
    }
}
