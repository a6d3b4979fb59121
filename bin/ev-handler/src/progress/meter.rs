//! What some marks in a row say.

use std::collections::VecDeque;
use std::time::Duration;

use ev_pipeline::{Headway, Mark};

/// How much is looked back at: for what is done in a second, and for what remains where the end
/// moves. Reading goes by pages and windows, so that the second needs more than the first.
const RECENT: Duration = Duration::from_secs(10);
const LATELY: Duration = Duration::from_secs(60);
/// Marks that are kept, at one a second.
const MOST: usize = 61;

/// Whether the end of the work moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is now: what counts is how fast it came nearer lately.
    Moves,
    /// What counts is how long all took until now.
    Stands,
}

/// Takes note of marks.
#[derive(Debug)]
pub(crate) struct Meter {
    end: End,
    first: Option<Mark>,
    marks: VecDeque<Mark>,
}

impl Meter {
    pub(crate) fn new(end: End) -> Self {
        Self { end, first: None, marks: VecDeque::new() }
    }

    /// Takes note of a mark, later than all before; `None` of the first, of which nothing can be
    /// said.
    pub(crate) fn note(&mut self, mark: Mark) -> Option<Headway> {
        while self.marks.len() >= MOST
            || self.marks.front().is_some_and(|old| mark.at.saturating_sub(old.at) > LATELY)
        {
            // The last is kept, however old: else there would be nothing to say.
            if self.marks.len() <= 1 {
                break;
            }
            self.marks.pop_front();
        }
        let since = |span: Duration| {
            let is_in = |old: &&Mark| mark.at.saturating_sub(old.at) <= span;
            self.marks.iter().find(is_in).or(self.marks.back())
        };
        let lately = match self.end {
            End::Moves => since(LATELY),
            End::Stands => self.first.as_ref(),
        };
        let headway = since(RECENT).zip(lately).map(|(recent, lately)| Headway {
            per_second: Headway::between(recent, &mark).per_second,
            remaining: Headway::between(lately, &mark).remaining,
        });
        // An end that was not known at first says nothing of how it came nearer.
        if self.first.is_none_or(|first| first.left_seconds.is_none()) {
            self.first = Some(mark);
        }
        self.marks.push_back(mark);
        headway
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: u64, left: i64, events: u64) -> Mark {
        Mark { at: Duration::from_secs(at), left_seconds: Some(left), events }
    }

    fn told(headway: Option<Headway>) -> Option<(f64, Option<u64>)> {
        let Headway { per_second, remaining } = headway?;
        Some((per_second.round(), remaining.map(|remaining| remaining.as_secs())))
    }

    #[test]
    fn events_are_those_of_the_last_seconds_and_the_rest_goes_by_the_last_minute() {
        let mut meter = Meter::new(End::Moves);
        assert_eq!(told(meter.note(mark(0, 1000, 0))), None);
        assert_eq!(told(meter.note(mark(1, 990, 7))), Some((7.0, Some(99))));
        for second in 2..=100 {
            meter.note(mark(second, 990, 7));
        }
        // Nothing has come nearer for a minute and more.
        assert_eq!(told(meter.note(mark(101, 990, 7))), Some((0.0, None)));
        // Ten seconds back: 1,000 events; a minute back: 120 seconds of the log.
        assert_eq!(told(meter.note(mark(102, 870, 1007))), Some((100.0, Some(870 * 60 / 120))));
        assert!(meter.marks.len() <= MOST);
    }

    #[test]
    fn where_the_end_stands_all_the_time_counts() {
        let mut meter = Meter::new(End::Stands);
        for second in 0..600_u64 {
            // An hour of the log at a time, each minute.
            let left = 36_000 - i64::try_from(second / 60).unwrap() * 3_600;
            meter.note(mark(second, left, second * 5));
        }
        assert_eq!(told(meter.note(mark(600, 0, 3000))), Some((5.0, Some(0))));
        let mut meter = Meter::new(End::Stands);
        meter.note(mark(0, 36_000, 0));
        for second in 1..300 {
            meter.note(mark(second, 36_000, 0));
        }
        assert_eq!(told(meter.note(mark(300, 27_000, 0))), Some((0.0, Some(900))));
    }

    #[test]
    fn an_end_that_is_known_later_counts_from_then_on() {
        let mut meter = Meter::new(End::Stands);
        meter.note(Mark { left_seconds: None, ..mark(0, 0, 0) });
        assert_eq!(told(meter.note(mark(100, 500, 0))), Some((0.0, None)));
        assert_eq!(told(meter.note(mark(110, 400, 0))), Some((0.0, Some(40))));
    }
}
