//! How many requests may be under way to one receiver: more while it answers as fast as ever,
//! fewer when it slows down or fails.

use std::time::Duration;

/// A receiver is slower than it was when answers take so many times as long as the fastest ones...
const SLOWER: u32 = 2;
/// ... and so much longer: below that it is noise.
const NOISE: Duration = Duration::from_millis(10);
/// The time of the fastest answers is forgotten by one part in so many with each answer, so that
/// a receiver that has become slower for good is not held down for ever.
const FORGETS: u32 = 500;

/// Additive increase, multiplicative decrease on the round-trip time.
///
/// Starts at one request. While nothing has gone wrong yet, each answer allows one more; later,
/// each round of answers does. A slow answer takes a fifth away, a failure half, each at most once
/// for the requests that were under way together.
#[derive(Debug)]
pub(crate) struct Pace {
    most: u32,
    /// In thousandths of a request.
    limit: u64,
    /// Up to here the limit grows fast, in the same unit.
    threshold: u64,
    fixed: bool,
    fastest: Option<Duration>,
    usual: Duration,
    /// Answers to requests that were sent before this do not lower the limit again.
    lowered: Option<Duration>,
}

const ONE: u64 = 1000;

impl Pace {
    /// Between one request and `most`; always `most` when `fixed`.
    pub(crate) fn new(most: usize, fixed: bool) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
        let limit = if fixed { u64::from(most) * ONE } else { ONE };
        let (threshold, usual) = (u64::from(most) * ONE, Duration::ZERO);
        Self { most, limit, threshold, fixed, fastest: None, usual, lowered: None }
    }

    /// Requests that may be under way now, at least one.
    pub(crate) fn limit(&self) -> usize {
        usize::try_from(self.limit / ONE).unwrap_or(usize::MAX)
    }

    /// A request that was sent at `sent` is answered at `now`. `pressing`: all that were allowed
    /// were under way, so a higher limit would be used.
    pub(crate) fn answered(&mut self, sent: Duration, now: Duration, pressing: bool) {
        let time = now.saturating_sub(sent);
        let fastest = self.fastest.map_or(time, |fastest| {
            (fastest + fastest / FORGETS + Duration::from_nanos(1)).min(time)
        });
        self.usual = if self.fastest.is_some() { (self.usual * 7 + time) / 8 } else { time };
        self.fastest = Some(fastest);
        if self.usual > fastest * SLOWER && self.usual - fastest > NOISE {
            self.lower(sent, now, self.limit - self.limit / 5);
        } else if pressing && !self.fixed {
            let more = if self.limit < self.threshold { ONE } else { ONE * ONE / self.limit };
            self.limit = (self.limit + more).min(u64::from(self.most) * ONE);
        }
    }

    /// A request that was sent at `sent` failed in a way that asks for fewer.
    pub(crate) fn failed(&mut self, sent: Duration, now: Duration) {
        self.lower(sent, now, self.limit / 2);
    }

    fn lower(&mut self, sent: Duration, now: Duration, to: u64) {
        if self.fixed || self.lowered.is_some_and(|lowered| sent < lowered) {
            return;
        }
        self.lowered = Some(now);
        self.limit = to.max(ONE);
        self.threshold = self.limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A receiver that works on `width` requests at one time, each for 20 ms, and keeps the rest
    /// waiting. Returns the limit after so many rounds of requests.
    fn rounds(pace: &mut Pace, width: usize, rounds: u32) -> usize {
        let mut now = ms(0);
        for _ in 0..rounds {
            let sent = now;
            let limit = pace.limit();
            for n in 0..limit {
                let turn = u32::try_from(n / width).expect("a small number") + 1;
                now = sent + ms(20) * turn;
                pace.answered(sent, now, true);
            }
        }
        pace.limit()
    }

    #[test]
    fn grows_to_the_end_while_answers_are_as_fast_as_ever() {
        let mut pace = Pace::new(16, false);
        assert_eq!(pace.limit(), 1);
        assert_eq!(rounds(&mut pace, 100, 10), 16);
    }

    #[test]
    fn settles_near_what_the_receiver_can_do() {
        let mut pace = Pace::new(64, false);
        let limits: Vec<usize> = (0..50).map(|_| rounds(&mut pace, 8, 5)).collect();
        let later = &limits[10..];
        assert!(later.iter().all(|limit| (4..=40).contains(limit)), "{limits:?}");
    }

    #[test]
    fn halves_once_for_requests_that_were_under_way_together() {
        let mut pace = Pace::new(16, false);
        rounds(&mut pace, 100, 10);
        for _ in 0..16 {
            pace.failed(ms(10_000), ms(10_010));
        }
        assert_eq!(pace.limit(), 8);
        for second in 11..20 {
            pace.failed(ms(second * 1000), ms(second * 1000 + 10));
        }
        assert_eq!(pace.limit(), 1, "never less");
        // Back again, one more for each round of answers from there.
        assert_eq!(rounds(&mut pace, 100, 4), 4);
    }

    #[test]
    fn does_not_grow_without_need_and_never_when_fixed() {
        let mut pace = Pace::new(16, false);
        for n in 0..100 {
            pace.answered(ms(n * 100), ms(n * 100 + 20), false);
        }
        assert_eq!(pace.limit(), 1);
        let mut pace = Pace::new(5, true);
        assert_eq!(pace.limit(), 5);
        pace.failed(ms(0), ms(1));
        pace.answered(ms(0), ms(1), true);
        assert_eq!(pace.limit(), 5);
        assert_eq!(Pace::new(0, true).limit(), 1);
    }
}
