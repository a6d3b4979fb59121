//! What the ledger keeps of events, so that the log can be held against it later.

use bytes::Bytes;

use crate::SessionId;

/// What is kept of the audit events of one hour of event time.
///
/// A store keeps the rows as they are given and knows nothing of how `sum` and `sketch` are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerHour {
    /// The hour: whole seconds since 1970-01-01T00:00:00Z divided by 3,600, rounded down.
    pub hour: i64,
    /// Number of events.
    pub count: u64,
    /// Sum modulo 2^128 of the events' keyed hashes, in the byte order of whoever wrote it.
    pub sum: [u8; 16],
    /// What names differing events; opaque, at most some 1.5 KiB.
    pub sketch: Bytes,
}

impl LedgerHour {
    /// Seconds in an hour.
    pub const SECONDS: i64 = 3600;
}

/// What is kept of one session recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLedger {
    /// The recording.
    pub session: SessionId,
    /// Highest index of its events; -1 while there is none.
    pub last_index: i64,
    /// Number of events.
    pub count: u64,
    /// Sum modulo 2^128 of the events' keyed hashes, in the byte order of whoever wrote it.
    pub sum: [u8; 16],
    /// How often indexes are missing between two of its events, or in front of the first.
    pub gaps: u64,
    /// When it was read to its end, in whole seconds since 1970-01-01T00:00:00Z; `None` while it
    /// is being read, and for ever if it was given up.
    pub closed_seconds: Option<i64>,
}
