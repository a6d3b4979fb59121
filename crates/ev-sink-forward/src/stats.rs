//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets of [`Stats::ack_times`], in milliseconds, those of the other sinks; a
/// last bucket has none.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];
const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// What a sink has done since it was made. Every figure only grows, but for the mean.
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
    /// All times from the beginning of a chunk until its acknowledgement together.
    pub ack_time: Duration,
    /// A moving mean of these times in which the latest counts an eighth; `None` before the first.
    pub smoothed_ack_time: Option<Duration>,
    buckets: [u64; BUCKETS],
}

impl Stats {
    /// How many of these times fell into each bucket: its upper bound, `None` for the last, and the
    /// count of those above the bound before it.
    pub fn ack_times(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS_MS.iter().map(|ms| Some(Duration::from_millis(*ms)));
        bounds.chain([None]).zip(self.buckets)
    }
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
    buckets: [AtomicU64; BUCKETS],
    ack_nanos: AtomicU64,
    /// Zero before the first.
    smoothed_nanos: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Relaxed);
}

impl Counters {
    pub(crate) fn acknowledged(&self, after: Duration) {
        count(&self.acks, 1);
        let bucket = BOUNDS_MS.iter().position(|ms| after <= Duration::from_millis(*ms));
        count(&self.buckets[bucket.unwrap_or(BOUNDS_MS.len())], 1);
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.ack_nanos.fetch_add(nanos, Relaxed);
        let smooth =
            |before: u64| Some(if before == 0 { nanos } else { before - before / 8 + nanos / 8 });
        // The closure refuses nothing, so this cannot fail.
        let _infallible = self.smoothed_nanos.fetch_update(Relaxed, Relaxed, smooth);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let smoothed = read(&self.smoothed_nanos);
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
            ack_time: Duration::from_nanos(read(&self.ack_nanos)),
            buckets: std::array::from_fn(|at| read(&self.buckets[at])),
            smoothed_ack_time: (smoothed > 0).then(|| Duration::from_nanos(smoothed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_counted_by_time() {
        let counters = Counters::default();
        for ms in [0, 1, 3, 60_000] {
            counters.acknowledged(Duration::from_millis(ms));
        }
        let stats = counters.snapshot();
        let filled: Vec<_> = stats
            .ack_times()
            .filter(|(_, count)| *count > 0)
            .map(|(bound, count)| (bound.map(|bound| bound.as_millis()), count))
            .collect();
        assert_eq!(filled, [(Some(1), 2), (Some(5), 1), (None, 1)]);
        assert_eq!((stats.acks, stats.ack_time.as_secs()), (4, 60));
    }
}
