//! What is compared, and how much is kept.

use std::collections::BTreeSet;
use std::time::Duration;

/// Which events are compared. What is left out is left out on both sides.
#[derive(Clone, Debug)]
pub struct Rules {
    /// First second of the log that is compared, since 1970-01-01T00:00:00Z.
    pub from: i64,
    /// First second that is not compared any more; `None` compares without an end.
    pub to: Option<i64>,
    /// Only these types of audit events; empty for all.
    pub types: BTreeSet<String>,
    /// Types of audit events that are left out.
    pub skip_event_types: BTreeSet<String>,
    /// Types of events inside of recordings that are left out.
    pub skip_session_types: BTreeSet<String>,
    /// Whether recordings are compared at all.
    pub recordings: bool,
    /// Whether the texts of values that differ are told, not only their places.
    pub show_values: bool,
}

impl Default for Rules {
    /// Everything, without values.
    fn default() -> Self {
        Self {
            from: i64::MIN,
            to: None,
            types: BTreeSet::new(),
            skip_event_types: BTreeSet::new(),
            skip_session_types: BTreeSet::new(),
            recordings: true,
            show_values: false,
        }
    }
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long an audit event waits for its partner, at least. Default 10 min.
    pub patience: Duration,
    /// How long an event of a recording does. Default 1 h: recordings are read when they are
    /// announced, a few at a time, and a missing one is asked for again and again.
    pub recording_patience: Duration,
    /// Events that wait at most; beyond, the oldest are let go. Default 200,000, some 80 MB.
    pub max_waiting: usize,
    /// Bytes of bodies kept for those; of what is beyond, only digests. Default 64 MiB.
    pub max_body_bytes: usize,
    /// Events with a verdict that are remembered, so that a repeat is known as one; at most some
    /// 120 bytes each. Default 500,000.
    pub max_remembered: usize,
    /// Findings that wait to be fetched; beyond, they are counted. Default 1,000.
    pub max_findings: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(600),
            recording_patience: Duration::from_secs(3600),
            max_waiting: 200_000,
            max_body_bytes: 64 << 20,
            max_remembered: 500_000,
            max_findings: 1_000,
        }
    }
}
