//! Where the time comes from.
//!
//! Records are stamped with the wall clock when they are sent, and own messages are held apart by
//! a clock that only runs forward. Both come through [`Clock`], so that a test decides what time
//! it is. Timers of the sending side are those of its runtime and can be paused there.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two clocks of a client.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Whole seconds since 1970-01-01 UTC, rounded down; negative before.
    fn unix_seconds(&self) -> i64;

    /// Time since a fixed but unspecified moment; never runs backward.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the crate reads the wall clock"
    )]
    fn unix_seconds(&self) -> i64 {
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                -whole - i64::from(before.subsec_nanos() > 0)
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the crate reads the clock that only runs forward"
    )]
    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// Clocks that stand until they are moved; for tests.
///
/// ```
/// use std::time::Duration;
/// use ev_audit::{Clock, ManualClock};
///
/// let clock = ManualClock::at(1_700_000_000);
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.unix_seconds(), 1_700_000_005);
/// assert_eq!(clock.monotonic(), Duration::from_secs(5));
/// ```
#[derive(Debug)]
pub struct ManualClock {
    start: AtomicI64,
    passed_nanos: AtomicU64,
}

impl ManualClock {
    /// Clocks that stand at `unix_seconds`.
    pub fn at(unix_seconds: i64) -> Self {
        Self { start: AtomicI64::new(unix_seconds), passed_nanos: AtomicU64::new(0) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.passed_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sets the wall clock, as an operator or a time server would; the other one runs on.
    pub fn set_unix_seconds(&self, to: i64) {
        let passed = self.passed_nanos.load(Ordering::Relaxed) / 1_000_000_000;
        self.start.store(to.saturating_sub_unsigned(passed), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn unix_seconds(&self) -> i64 {
        let passed = self.passed_nanos.load(Ordering::Relaxed) / 1_000_000_000;
        self.start.load(Ordering::Relaxed).saturating_add_unsigned(passed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.passed_nanos.load(Ordering::Relaxed))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn unix_seconds(&self) -> i64 {
        (**self).unix_seconds()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_can_be_set_back_and_the_other_runs_on() {
        let clock = ManualClock::at(100);
        clock.advance(Duration::from_millis(2_500));
        assert_eq!(clock.unix_seconds(), 102);
        clock.set_unix_seconds(50);
        assert_eq!(clock.unix_seconds(), 50);
        assert_eq!(clock.monotonic(), Duration::from_millis(2_500));
    }

    #[test]
    fn the_system_clock_is_after_this_was_written() {
        assert!(SystemClock.unix_seconds() > 1_790_000_000);
        let first = SystemClock.monotonic();
        assert!(SystemClock.monotonic() >= first);
    }
}
