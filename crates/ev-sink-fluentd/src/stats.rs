//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets of [`RoundTrips`], in milliseconds; a last bucket has none.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];
const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// What a sink has done since it was made. Every figure only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests with events that were begun, second tries included.
    pub requests: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their bodies as they were sent.
    pub body_bytes: u64,
    /// Bytes of bodies before compression, of those that were compressed.
    pub gzip_in_bytes: u64,
    /// Bytes of the same bodies behind compression.
    pub gzip_out_bytes: u64,
    /// Answers by status.
    pub responses: Responses,
    /// Requests that got no answer within their limit of time.
    pub timeouts: u64,
    /// Requests whose connection broke before an answer.
    pub broken: u64,
    /// Connections opened, TLS included.
    pub connections_opened: u64,
    /// Connections that could not be opened.
    pub connections_failed: u64,
    /// Requests begun anew at once on a new connection, because the reused one was closed.
    pub resent: u64,
    /// Of those: requests of which a byte may have gone out, so that each may be stored twice.
    pub possible_duplicates: u64,
    /// Events in those.
    pub possible_duplicate_events: u64,
    /// Certificates that were taken from changed files.
    pub certificate_reloads: u64,
    /// Times from the beginning of a request until its answer, without those of connecting.
    pub round_trips: RoundTrips,
}

/// Answers by the first digit of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Responses {
    /// 200 to 299.
    pub success: u64,
    /// 300 to 399.
    pub redirect: u64,
    /// 400 to 499.
    pub client_error: u64,
    /// 500 to 599.
    pub server_error: u64,
    /// Anything else.
    pub other: u64,
}

/// A histogram of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    buckets: [u64; BUCKETS],
    sum: Duration,
    smoothed: Option<Duration>,
}

impl RoundTrips {
    /// How many fell into each bucket: its upper bound, `None` for the last, and the count of
    /// those above the bound before it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS_MS.iter().map(|ms| Some(Duration::from_millis(*ms)));
        bounds.chain([None]).zip(self.buckets)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// A moving mean in which the latest counts an eighth, as TCP has it (RFC 6298); `None`
    /// before the first.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}

/// The counters behind [`Stats`]. Each is exact; two of them read together may differ by a
/// request that is under way.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
    pub(crate) gzip_in_bytes: AtomicU64,
    pub(crate) gzip_out_bytes: AtomicU64,
    responses: [AtomicU64; 5],
    pub(crate) timeouts: AtomicU64,
    pub(crate) broken: AtomicU64,
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_failed: AtomicU64,
    pub(crate) resent: AtomicU64,
    pub(crate) possible_duplicates: AtomicU64,
    pub(crate) possible_duplicate_events: AtomicU64,
    pub(crate) certificate_reloads: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
    /// Zero before the first.
    smoothed_nanos: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

impl Counters {
    pub(crate) fn answered(&self, status: u16, after: Duration) {
        let class = usize::from(status / 100).checked_sub(2).filter(|class| *class < 4);
        count(&self.responses[class.unwrap_or(4)], 1);
        let bucket = BOUNDS_MS.iter().position(|ms| after <= Duration::from_millis(*ms));
        count(&self.buckets[bucket.unwrap_or(BOUNDS_MS.len())], 1);
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX).max(1);
        count(&self.sum_nanos, nanos);
        let smooth =
            |before: u64| Some(if before == 0 { nanos } else { before - before / 8 + nanos / 8 });
        // The closure refuses nothing, so this cannot fail.
        let _infallible = self.smoothed_nanos.fetch_update(Relaxed, Relaxed, smooth);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let [success, redirect, client_error, server_error, other] =
            [0, 1, 2, 3, 4].map(|class: usize| read(&self.responses[class]));
        let smoothed = read(&self.smoothed_nanos);
        Stats {
            requests: read(&self.requests),
            events: read(&self.events),
            body_bytes: read(&self.body_bytes),
            gzip_in_bytes: read(&self.gzip_in_bytes),
            gzip_out_bytes: read(&self.gzip_out_bytes),
            responses: Responses { success, redirect, client_error, server_error, other },
            timeouts: read(&self.timeouts),
            broken: read(&self.broken),
            connections_opened: read(&self.connections_opened),
            connections_failed: read(&self.connections_failed),
            resent: read(&self.resent),
            possible_duplicates: read(&self.possible_duplicates),
            possible_duplicate_events: read(&self.possible_duplicate_events),
            certificate_reloads: read(&self.certificate_reloads),
            round_trips: RoundTrips {
                buckets: std::array::from_fn(|at| read(&self.buckets[at])),
                sum: Duration::from_nanos(read(&self.sum_nanos)),
                smoothed: (smoothed > 0).then(|| Duration::from_nanos(smoothed)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class_and_time() {
        let counters = Counters::default();
        assert_eq!(counters.snapshot(), Stats::default());
        for (status, ms) in
            [(200, 1), (204, 2), (302, 3), (413, 25), (500, 26), (599, 60_000), (100, 0), (999, 1)]
        {
            counters.answered(status, Duration::from_millis(ms));
        }
        let Stats { responses, round_trips, .. } = counters.snapshot();
        let expected =
            Responses { success: 2, redirect: 1, client_error: 1, server_error: 2, other: 2 };
        assert_eq!(responses, expected);
        let filled: Vec<_> = round_trips
            .buckets()
            .filter(|(_, count)| *count > 0)
            .map(|(bound, count)| (bound.map(|bound| bound.as_millis()), count))
            .collect();
        assert_eq!(
            filled,
            [(Some(1), 3), (Some(2), 1), (Some(5), 1), (Some(25), 1), (Some(50), 1), (None, 1)]
        );
        assert_eq!(round_trips.count(), 8);
        assert_eq!(round_trips.sum().as_millis(), 60_058);
    }

    #[test]
    fn the_mean_follows_slowly() {
        let counters = Counters::default();
        let smoothed = || counters.snapshot().round_trips.smoothed();
        assert_eq!(smoothed(), None);
        counters.answered(200, Duration::from_millis(80));
        assert_eq!(smoothed(), Some(Duration::from_millis(80)));
        counters.answered(200, Duration::from_millis(160));
        assert_eq!(smoothed(), Some(Duration::from_millis(90)));
        counters.answered(200, Duration::ZERO);
        assert_eq!(smoothed().map(|mean| mean.as_micros()), Some(78_750));
    }
}
