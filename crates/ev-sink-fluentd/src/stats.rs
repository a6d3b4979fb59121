//! Counts for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ev_dial::{RoundTripCounter, RoundTrips};

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
    round_trips: RoundTripCounter,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}

impl Counters {
    pub(crate) fn answered(&self, status: u16, after: Duration) {
        let class = usize::from(status / 100).checked_sub(2).filter(|class| *class < 4);
        count(&self.responses[class.unwrap_or(4)], 1);
        self.round_trips.add(after);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let [success, redirect, client_error, server_error, other] =
            [0, 1, 2, 3, 4].map(|class: usize| read(&self.responses[class]));
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
            round_trips: self.round_trips.snapshot(),
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
        assert_eq!(round_trips.count(), 8);
        assert_eq!(round_trips.sum().as_millis(), 60_058);
    }
}
