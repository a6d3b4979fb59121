//! Where every record that was accepted is.

use std::fmt;

/// Why an accepted record will not reach the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// It made room for a newer one, as [`Overflow::DropOldest`](crate::Overflow::DropOldest)
    /// asks for.
    Displaced,
    /// It lay in the spill directory for longer than its owner wanted.
    Expired,
    /// It lay in the spill directory and could not be read back.
    Unreadable,
    /// The client was closed before it was written. Its owner has it, if he closed the client
    /// by calling a `close` function.
    Closed,
}

impl DropReason {
    /// All reasons, in the order of their places in [`Dropped`].
    pub const ALL: [Self; 4] = [Self::Displaced, Self::Expired, Self::Unreadable, Self::Closed];

    /// A short name, for labels of metrics and fields of logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::Expired => "expired",
            Self::Unreadable => "unreadable",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Accepted records that will not reach the agent, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// See [`DropReason::Displaced`].
    pub displaced: u64,
    /// See [`DropReason::Expired`].
    pub expired: u64,
    /// See [`DropReason::Unreadable`].
    pub unreadable: u64,
    /// See [`DropReason::Closed`].
    pub closed: u64,
}

impl Dropped {
    /// For all reasons together.
    pub fn total(&self) -> u64 {
        DropReason::ALL.iter().map(|reason| self.by(*reason)).sum()
    }

    /// For one reason.
    pub fn by(&self, reason: DropReason) -> u64 {
        match reason {
            DropReason::Displaced => self.displaced,
            DropReason::Expired => self.expired,
            DropReason::Unreadable => self.unreadable,
            DropReason::Closed => self.closed,
        }
    }

    pub(crate) fn add(&mut self, reason: DropReason, count: u64) {
        *match reason {
            DropReason::Displaced => &mut self.displaced,
            DropReason::Expired => &mut self.expired,
            DropReason::Unreadable => &mut self.unreadable,
            DropReason::Closed => &mut self.closed,
        } += count;
    }
}

/// Sends that were refused: the record stayed with the caller and was never accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCounts {
    /// The record was not valid, or could not be sent as it was.
    pub invalid: u64,
    /// A hook refused it or panicked.
    pub hook: u64,
    /// The queue had no room.
    pub queue_full: u64,
    /// The queue had no room for as long as the caller wanted to wait.
    pub timed_out: u64,
    /// The client was closed.
    pub closed: u64,
}

/// Where every record is, at one moment.
///
/// `accepted = written + spilled + dropped + pending` holds at any moment; see
/// [`is_balanced`](Self::is_balanced). *Written* means that the operating system took the record
/// for the agent. The protocol has no acknowledgement, so nobody can say more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Records that were taken over: by a send that succeeded, or found in the spill directory.
    pub accepted: u64,
    /// Of those, the ones that were found in the spill directory at the start.
    pub recovered: u64,
    /// Records that were written whole to a connection, each counted once.
    pub written: u64,
    /// Records that lie in the spill directory now.
    pub spilled: u64,
    /// Records that will not be written.
    pub dropped: Dropped,
    /// Records in memory that wait to be written.
    pub pending: u64,
    /// Bytes of those.
    pub pending_bytes: u64,
    /// Writes of records that had been written before: the retain window after a connection
    /// broke, or the end of a spill directory whose last position was not saved. The agent may
    /// have them twice.
    pub resent: u64,
    /// Records written to a connection that broke, so shortly before that the agent may not have
    /// read them, and not sent again: the agent may not have them.
    pub unconfirmed: u64,
    /// Sends that were refused.
    pub refused: RefusedCounts,
    /// Heartbeats written.
    pub heartbeats: u64,
    /// Heartbeats that could not be written.
    pub heartbeats_failed: u64,
    /// Bytes written to connections, heartbeats and unfinished frames included.
    pub bytes_written: u64,
    /// Writes that took bytes.
    pub writes: u64,
    /// Connections opened.
    pub connections: u64,
    /// Attempts to open one that failed.
    pub connect_failures: u64,
    /// Connections that broke.
    pub disconnects: u64,
}

impl Ledger {
    /// Whether every accepted record is in exactly one place.
    pub fn is_balanced(&self) -> bool {
        self.accepted == self.written + self.spilled + self.dropped.total() + self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_balances_only_when_each_record_is_in_one_place() {
        let mut ledger =
            Ledger { accepted: 10, written: 4, spilled: 3, pending: 1, ..Ledger::default() };
        assert!(!ledger.is_balanced());
        for reason in DropReason::ALL {
            ledger.dropped.add(reason, 1);
            assert_eq!(ledger.dropped.by(reason), 1, "{reason}");
        }
        assert_eq!(ledger.dropped.total(), 4);
        assert!(!ledger.is_balanced());
        ledger.accepted = 12;
        assert!(ledger.is_balanced());
    }
}
