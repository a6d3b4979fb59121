//! How long the other side takes to answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in milliseconds; a last bucket has none.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];
const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// A histogram of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// What [`RoundTrips`] is read from while others add to it. Each figure is exact; two of them read
/// together may differ by one time that is being added.
#[derive(Debug, Default)]
pub struct RoundTripCounter {
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
    /// Zero before the first.
    smoothed_nanos: AtomicU64,
}

impl RoundTripCounter {
    /// Adds one.
    pub fn add(&self, time: Duration) {
        let bucket = BOUNDS_MS.iter().position(|ms| time <= Duration::from_millis(*ms));
        self.buckets[bucket.unwrap_or(BOUNDS_MS.len())].fetch_add(1, Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.sum_nanos.fetch_add(nanos, Relaxed);
        let smooth =
            |before: u64| Some(if before == 0 { nanos } else { before - before / 8 + nanos / 8 });
        // The closure refuses nothing, so this cannot fail.
        let _infallible = self.smoothed_nanos.fetch_update(Relaxed, Relaxed, smooth);
    }

    /// Those so far.
    pub fn snapshot(&self) -> RoundTrips {
        let smoothed = self.smoothed_nanos.load(Relaxed);
        RoundTrips {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Relaxed)),
            sum: Duration::from_nanos(self.sum_nanos.load(Relaxed)),
            smoothed: (smoothed > 0).then(|| Duration::from_nanos(smoothed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(times_ms: &[u64]) -> RoundTrips {
        let counter = RoundTripCounter::default();
        times_ms.iter().for_each(|ms| counter.add(Duration::from_millis(*ms)));
        counter.snapshot()
    }

    #[test]
    fn times_fall_into_buckets() {
        assert_eq!(counted(&[]), RoundTrips::default());
        let times = counted(&[1, 2, 3, 25, 26, 60_000, 0, 1]);
        let filled: Vec<_> = times
            .buckets()
            .filter(|(_, count)| *count > 0)
            .map(|(bound, count)| (bound.map(|bound| bound.as_millis()), count))
            .collect();
        assert_eq!(
            filled,
            [(Some(1), 3), (Some(2), 1), (Some(5), 1), (Some(25), 1), (Some(50), 1), (None, 1)]
        );
        assert_eq!(times.count(), 8);
        assert_eq!(times.sum().as_millis(), 60_058);
    }

    #[test]
    fn the_mean_follows_slowly() {
        assert_eq!(counted(&[]).smoothed(), None);
        assert_eq!(counted(&[80]).smoothed(), Some(Duration::from_millis(80)));
        assert_eq!(counted(&[80, 160]).smoothed(), Some(Duration::from_millis(90)));
        let mean = counted(&[80, 160, 0]).smoothed();
        assert_eq!(mean.map(|mean| mean.as_micros()), Some(78_750));
    }
}
