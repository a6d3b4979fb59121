//! What a run did.

use std::time::Duration;

use ev_core::Totals;

use crate::tally::Settled;

/// Counts of one run of the engine, and the sums of its state.
///
/// At any moment, per run: `read = passed + repeated + unsettled`, where `unsettled` is that of
/// [`crate::Status`], and `passed = delivered + filtered + parked + given_up`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events taken from the source, repetitions included.
    pub read: u64,
    /// Of those: already known by their id, and not sent again.
    pub repeated: u64,
    /// Events settled in this run: delivered, filtered, parked or given up.
    pub passed: u64,
    /// Of those: acknowledged.
    pub delivered: u64,
    /// Of those: left out because a setting says so.
    pub filtered: u64,
    /// Of those: parked. Some may have been resolved since.
    pub parked: u64,
    /// Of those: written to files, because there was no room to park them.
    pub given_up: u64,
    /// Events acknowledged in this run, resolved ones included.
    pub sent: u64,
    /// Events of requests whose outcome nobody knows, each sent again: possible duplicates.
    pub unknown_outcomes: u64,
    /// Attempts to deliver that failed.
    pub retries: u64,
    /// Recordings given up in this run, because nothing of them could be read for too long.
    pub sessions_given_up: u64,
    /// Gaps in the indexes of recordings that were read to their end in this run.
    pub recording_gaps: u64,
    /// Commits to the state.
    pub commits: u64,
    /// How long those took together, waiting for a state that could not be written included.
    pub commit_time: Duration,
    /// Sums over the life of the state.
    pub totals: Totals,
}

impl Summary {
    /// Of this run and those before it, of which `before` is the summary.
    #[must_use]
    pub fn behind(self, before: &Self) -> Self {
        Self {
            read: before.read + self.read,
            repeated: before.repeated + self.repeated,
            passed: before.passed + self.passed,
            delivered: before.delivered + self.delivered,
            filtered: before.filtered + self.filtered,
            parked: before.parked + self.parked,
            given_up: before.given_up + self.given_up,
            sent: before.sent + self.sent,
            unknown_outcomes: before.unknown_outcomes + self.unknown_outcomes,
            retries: before.retries + self.retries,
            sessions_given_up: before.sessions_given_up + self.sessions_given_up,
            recording_gaps: before.recording_gaps + self.recording_gaps,
            commits: before.commits + self.commits,
            commit_time: before.commit_time + self.commit_time,
            totals: self.totals,
        }
    }

    /// An event is settled.
    pub(crate) fn settled(&mut self, how: &Settled) {
        self.passed += 1;
        match how {
            Settled::Delivered { .. } => self.delivered += 1,
            Settled::Filtered => self.filtered += 1,
            Settled::Parked(_) => self.parked += 1,
            Settled::Exported(_) => self.given_up += 1,
        }
    }
}
