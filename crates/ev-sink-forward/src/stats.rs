//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ev_dial::{RoundTripCounter, RoundTrips};

/// What a sink has done since it was made. Every figure only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Chunks that were begun to be sent.
    pub chunks: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them as they were sent, whole messages.
    pub bytes: u64,
    /// Bytes of entries before compression, of the chunks that were compressed.
    pub gzip_in_bytes: u64,
    /// Bytes of the same entries behind compression.
    pub gzip_out_bytes: u64,
    /// Chunks that were acknowledged.
    pub acks: u64,
    /// Chunks whose acknowledgement did not come in time.
    pub timeouts: u64,
    /// Chunks whose connection ended, or brought something else, before the acknowledgement.
    pub doubts: u64,
    /// Chunks that could not be sent whole.
    pub broken: u64,
    /// Events in chunks that may be stored without an acknowledgement, so that each may be stored
    /// twice.
    pub possible_duplicate_events: u64,
    /// Connections opened, TLS and handshake included.
    pub connections_opened: u64,
    /// Connections that could not be opened.
    pub connections_failed: u64,
    /// Connections of those that a receiver refused in the handshake.
    pub connections_refused: u64,
    /// Certificates that were taken from changed files.
    pub certificate_reloads: u64,
    /// Times from the beginning of a chunk until its acknowledgement.
    pub round_trips: RoundTrips,
}

/// The counters behind [`Stats`]. Each is exact; two of them read together may differ by a chunk
/// that is under way.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) chunks: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) gzip_in_bytes: AtomicU64,
    pub(crate) gzip_out_bytes: AtomicU64,
    pub(crate) acks: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) doubts: AtomicU64,
    pub(crate) broken: AtomicU64,
    pub(crate) possible_duplicate_events: AtomicU64,
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_failed: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) certificate_reloads: AtomicU64,
    round_trips: RoundTripCounter,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Relaxed);
}

impl Counters {
    pub(crate) fn acknowledged(&self, after: Duration) {
        count(&self.acks, 1);
        self.round_trips.add(after);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Stats {
            chunks: read(&self.chunks),
            events: read(&self.events),
            bytes: read(&self.bytes),
            gzip_in_bytes: read(&self.gzip_in_bytes),
            gzip_out_bytes: read(&self.gzip_out_bytes),
            acks: read(&self.acks),
            timeouts: read(&self.timeouts),
            doubts: read(&self.doubts),
            broken: read(&self.broken),
            possible_duplicate_events: read(&self.possible_duplicate_events),
            connections_opened: read(&self.connections_opened),
            connections_failed: read(&self.connections_failed),
            connections_refused: read(&self.connections_refused),
            certificate_reloads: read(&self.certificate_reloads),
            round_trips: self.round_trips.snapshot(),
        }
    }
}
