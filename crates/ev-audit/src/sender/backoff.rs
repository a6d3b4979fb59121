//! When to connect next.
//!
//! The first attempt after a loss is made at once; each one after it waits twice as long as the
//! one before, from 100 ms to 60 s, give or take a half. Only a connection that proved itself
//! starts the row anew: an agent that accepts and closes, or accepts and never reads, is no
//! better than one that is not there. Whatever happens, attempts begin at least 100 ms apart.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// Whatever the settings say or a transport asks for, an agent is not left alone for longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// How attempts to connect are spread, and when a connection counts as sound.
///
/// ```
/// use std::time::Duration;
///
/// let retry = ev_audit::Retry { longest: Duration::from_secs(10), ..ev_audit::Retry::default() };
/// assert_eq!(retry.first, Duration::from_millis(100));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The pause before the second attempt; the first one is made at once. Each further pause is
    /// twice as long, and every pause is drawn from ±50 % of that. Default: 100 ms.
    pub first: Duration,
    /// What the pauses grow up to; more than a day counts as a day. Default: 60 s.
    pub longest: Duration,
    /// A connection that took so many bytes has proved itself: more than a Unix socket holds
    /// (212,992 by default) while nobody reads. Default: 262,144.
    pub proven_bytes: u64,
    /// A connection that took a record and then lived so long has proved itself. Default: 10 s.
    pub proven_after: Duration,
}

impl Retry {
    /// The least time between the beginnings of two attempts, so that no storm makes more than
    /// ten in a second.
    pub const SPACING: Duration = Duration::from_millis(100);
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(60),
            proven_bytes: 256 * 1024,
            proven_after: Duration::from_secs(10),
        }
    }
}

#[derive(Debug)]
pub(super) struct Backoff {
    retry: Retry,
    /// Attempts since the row was started.
    attempts: u32,
    last: Option<Instant>,
    ever_connected: bool,
    random: u64,
}

impl Backoff {
    pub(super) fn new(retry: Retry) -> Self {
        // The hasher's keys are random in each process, which is all the chance that is needed.
        Self::seeded(retry, RandomState::new().hash_one(0_u8))
    }

    fn seeded(retry: Retry, seed: u64) -> Self {
        Self { retry, attempts: 0, last: None, ever_connected: false, random: seed | 1 }
    }

    /// When the next attempt may begin.
    pub(super) fn next_attempt(&mut self, now: Instant, asked_for: Option<Duration>) -> Instant {
        let doublings = self.attempts.checked_sub(1);
        let pause = doublings.map_or(Duration::ZERO, |doublings| {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            let base = self.retry.first.saturating_mul(factor).min(self.retry.longest);
            base.min(LONGEST_PAUSE).mul_f64(0.5 + self.fraction())
        });
        let asked_for = asked_for.unwrap_or_default().min(LONGEST_PAUSE);
        let at = now + pause.max(asked_for);
        self.last.map_or(at, |last| at.max(last + Retry::SPACING))
    }

    /// An attempt begins.
    pub(super) fn attempt(&mut self, now: Instant) {
        self.attempts = self.attempts.saturating_add(1);
        self.last = Some(now);
    }

    /// It succeeded.
    pub(super) fn connected(&mut self) {
        // An agent that was there at the first attempt has given no reason for a pause yet.
        if !self.ever_connected && self.attempts == 1 {
            self.attempts = 0;
        }
        self.ever_connected = true;
    }

    /// A connection ended that had taken `bytes`, the first record of them `since` ago. True when
    /// it had lived long enough, whatever it took.
    pub(super) fn ended(&mut self, bytes: u64, since: Option<Duration>) -> bool {
        let lived = since.is_some_and(|since| since >= self.retry.proven_after);
        if bytes >= self.retry.proven_bytes || lived {
            self.attempts = 0;
        }
        lived
    }

    /// From 0 to below 1 (xorshift64*: plenty for spreading attempts).
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(1_u32 << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(backoff: &mut Backoff, now: &mut Instant, count: usize) -> Vec<Duration> {
        let mut pauses = Vec::new();
        for _ in 0..count {
            let at = backoff.next_attempt(*now, None);
            pauses.push(at - *now);
            *now = at;
            backoff.attempt(at);
        }
        pauses
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_from_100_ms_to_60_s_give_or_take_a_half() {
        for seed in 0..200 {
            let mut backoff = Backoff::seeded(Retry::default(), seed * 7_919);
            let mut now = Instant::now();
            let pauses = pauses(&mut backoff, &mut now, 14);
            assert_eq!(pauses[0], Duration::ZERO, "at once");
            let mut base = Duration::from_millis(100);
            for pause in &pauses[1..] {
                // Early pauses may be stretched to the spacing of attempts.
                assert!(*pause >= (base / 2).max(Retry::SPACING), "{pauses:?}");
                assert!(*pause <= (base * 3 / 2).max(Retry::SPACING), "{pauses:?}");
                base = (base * 2).min(Duration::from_secs(60));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_spread() {
        let spread: std::collections::BTreeSet<_> = (0..50)
            .map(|seed| {
                let mut backoff = Backoff::seeded(Retry::default(), seed * 104_729);
                let mut now = Instant::now();
                pauses(&mut backoff, &mut now, 12).pop()
            })
            .collect();
        assert!(spread.len() > 40, "{spread:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_proven_connection_starts_the_row_anew() {
        let mut backoff = Backoff::seeded(Retry::default(), 3);
        let mut now = Instant::now();
        let mut total = Duration::ZERO;
        for _ in 0..8 {
            total += pauses(&mut backoff, &mut now, 1)[0];
            backoff.connected();
            backoff.ended(10_000, Some(Duration::from_secs(9)));
        }
        assert!(total > Duration::from_secs(3), "{total:?}");
        for (bytes, since) in [(256 * 1024, None), (600, Some(Duration::from_secs(10)))] {
            now += Duration::from_secs(1);
            backoff.ended(bytes, since);
            assert_eq!(pauses(&mut backoff, &mut now, 1), [Duration::ZERO]);
            assert!(pauses(&mut backoff, &mut now, 2)[1] >= Duration::from_millis(100));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_storm_makes_more_than_ten_attempts_a_second() {
        let mut backoff = Backoff::seeded(Retry::default(), 3);
        let (start, mut now) = (Instant::now(), Instant::now());
        for _ in 0..100 {
            pauses(&mut backoff, &mut now, 1);
            backoff.connected();
            backoff.ended(u64::MAX, Some(Duration::MAX));
        }
        assert_eq!(now - start, Retry::SPACING * 99);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_was_asked_for_is_kept() {
        let mut backoff = Backoff::seeded(Retry::default(), 3);
        let now = Instant::now();
        let asked = Duration::from_secs(7);
        assert_eq!(backoff.next_attempt(now, Some(asked)), now + asked);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_longer_than_a_day_and_none_overflows() {
        let day = Duration::from_hours(24);
        let endless = Retry { first: Duration::MAX, longest: Duration::MAX, ..Retry::default() };
        let mut backoff = Backoff::seeded(endless, 3);
        let now = Instant::now();
        assert_eq!(backoff.next_attempt(now, Some(Duration::MAX)), now + day);
        backoff.attempt(now);
        let at = backoff.next_attempt(now, None);
        assert!(at >= now + day / 2 && at <= now + day * 3 / 2, "{:?}", at - now);
    }
}
