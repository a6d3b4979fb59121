//! How far a side had come, and when.

use std::collections::VecDeque;
use std::time::Duration;

use ev_core::Timestamp;

/// Marks that are kept at most.
const MAX_MARKS: usize = 4096;

/// The newest audit event that a side has shown, now and at some moments of the past.
#[derive(Debug)]
pub(super) struct Progress {
    newest: Option<Timestamp>,
    /// When the newest was what. What came between two marks counts from the later one.
    marks: VecDeque<(Duration, Timestamp)>,
    /// Least distance between two marks.
    step: Duration,
    /// How far back anybody will ask.
    keep: Duration,
}

impl Progress {
    /// For questions about `shortest` to `longest` ago.
    pub(super) fn new(shortest: Duration, longest: Duration) -> Self {
        Self { newest: None, marks: VecDeque::new(), step: shortest / 64, keep: longest }
    }

    pub(super) fn note(&mut self, time: Timestamp, now: Duration) {
        self.newest = self.newest.max(Some(time));
        self.mark(now);
    }

    /// To be called now and then, so that what came last is marked too.
    pub(super) fn mark(&mut self, now: Duration) {
        let Some(newest) = self.newest else { return };
        let due = match self.marks.back() {
            Some((at, time)) => newest > *time && now.saturating_sub(*at) >= self.step,
            None => true,
        };
        if due {
            self.marks.push_back((now, newest));
        }
        // The one in front of the oldest question is its answer.
        let oldest = now.saturating_sub(self.keep);
        while self.marks.len() > MAX_MARKS || self.marks.get(1).is_some_and(|(at, _)| *at <= oldest)
        {
            self.marks.pop_front();
        }
    }

    /// The newest that is known to have been there at a moment.
    pub(super) fn at(&self, moment: Duration) -> Option<Timestamp> {
        self.marks.iter().rev().find(|(at, _)| *at <= moment).map(|(_, time)| *time)
    }

    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_known_roughly_and_never_too_well() {
        let second = Duration::from_secs;
        let mut progress = Progress::new(second(640), second(1280));
        let time = |seconds| Timestamp::new(seconds, 0);
        assert_eq!(progress.at(second(0)), None);
        progress.note(time(100), second(10));
        progress.note(time(105), second(15));
        progress.note(time(90), second(25));
        assert_eq!(progress.at(second(9)), None);
        assert_eq!(progress.at(second(10)), Some(time(100)));
        assert_eq!(progress.at(second(24)), Some(time(100)), "105 is known from 25 on");
        assert_eq!(progress.at(second(25)), Some(time(105)));
        assert_eq!(progress.newest(), Some(time(105)));
        for n in 0..10_000 {
            progress.note(time(200 + n), second(30 + u64::try_from(n).unwrap()));
        }
        assert!(progress.marks.len() < 140, "{}", progress.marks.len());
        assert!(progress.at(second(10_029 - 1280)).is_some());
    }
}
