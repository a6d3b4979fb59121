//! What to do about events that cannot be had.
//!
//! An event may be too large to be sent, or Auth may fail to read it, and with it every page that
//! it stands on. The stretch is narrowed down to its second, everything around it is read, from both
//! sides, and the second is reported as a gap.
//!
//! That something is too large is known with certainty. That Auth fails says nothing of what it
//! fails at: its storage may be away for an hour. So a page is narrowed down only after several
//! failures in a row, which costs nothing but requests should it be in vain, and a second becomes a
//! gap only if Auth fails at it again and again, each time directly after it has answered the same
//! question for another second, close by.

use super::{OVERLAP, Query, Then, Window};

/// Failures in a row after which a page is narrowed down, and proven ones after which a second that
/// has been narrowed down to is given up.
const ATTEMPTS: u32 = 5;

/// What became of a stretch with an event that cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Narrowed {
    /// The same is asked for again.
    Not,
    /// A smaller part of it is asked for.
    Part,
    /// It is one second, and reading goes on behind it.
    Gap {
        /// The second.
        second: i64,
        /// How.
        then: Then,
    },
}

impl Window {
    /// The page was too large.
    pub(crate) fn too_large(&mut self, now: i64) -> Narrowed {
        self.fails = false;
        if self.shrink() { Narrowed::Part } else { self.narrow(now) }
    }

    /// Auth failed to read what was asked for. `proven`: it had just answered [`Window::control`].
    pub(crate) fn failed(&mut self, now: i64, proven: bool) -> Narrowed {
        self.fails = true;
        if self.is_last() && !proven {
            return Narrowed::Not;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < ATTEMPTS {
            return Narrowed::Not;
        }
        if self.shrink() {
            if self.is_last() {
                self.failures = 0;
            }
            return Narrowed::Part;
        }
        let narrowed = self.narrow(now);
        // A failing half of what failed is halved at once, a last second is not given up so soon.
        if !self.is_last() {
            self.failures = ATTEMPTS - 1;
        }
        narrowed
    }

    /// Whether nothing smaller can be asked for.
    fn is_last(&self) -> bool {
        self.backwards && self.limit == 1
    }

    /// What to ask for first where a failure may give a second up: one event of the nearest second
    /// in front that is not such a gap itself.
    pub(crate) fn control(&self, now: i64) -> Option<Query> {
        (self.fails && self.is_last()).then(|| {
            let query = self.query(now);
            let before = self.gaps.filter(|(_, last)| last.saturating_add(1) == query.start);
            let start = before.map_or(query.start, |(first, _)| first).saturating_sub(1);
            let key = String::new();
            Query { start, end: start, end_nanos: 999_999_999, backwards: false, key, ..query }
        })
    }

    /// The page was too large: half of it next time. `false` if it was one event.
    fn shrink(&mut self) -> bool {
        let smaller = (self.limit / 2).max(1);
        std::mem::replace(&mut self.limit, smaller) > 1
    }

    /// Not even one event can be sent: narrows the stretch down to the second in which that is. The
    /// part in front of the middle is asked for first; when it is read, what is behind it is, and
    /// narrowed down in turn. The last second is read from its end too, so that of several events
    /// only those are missing that stand between two that cannot be had.
    fn narrow(&mut self, now: i64) -> Narrowed {
        let query = self.query(now);
        let end = self.part.unwrap_or_else(|| query.end.saturating_add(1));
        if self.backwards {
            let gap = query.start;
            let first = self.gaps.filter(|(_, last)| last.saturating_add(1) == gap);
            self.gaps = Some((first.map_or(gap, |(first, _)| first), gap));
            self.begin_at(gap.saturating_add(1));
            let whole = self.search.end.or(self.closing);
            let over = whole.is_some_and(|end| gap >= end.saturating_add(OVERLAP));
            let then = match (over, self.closing) {
                (false, _) => Then::Again,
                (true, Some(end)) => Then::Roll(end),
                (true, None) => Then::End,
            };
            return Narrowed::Gap { second: gap, then };
        }
        // Everything in front of the page that is asked for has come. Two seconds more when this
        // begins, as with every new search.
        let overlap = if self.part.is_some() { 0 } else { OVERLAP };
        let from = self.behind.map_or(query.start, |at| {
            at.saturating_sub(overlap).min(end.saturating_sub(1)).max(query.start)
        });
        self.begin_at(from);
        let width = end.saturating_sub(from);
        if width <= 1 {
            self.part = Some(from.saturating_add(1));
            self.backwards = true;
            // Of the last second nothing has failed yet that was proven.
            self.failures = 0;
        } else {
            self.part = Some(from.saturating_add(width / 2));
        }
        Narrowed::Part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::road::SearchRoad;
    use crate::token::{Search, WindowToken};

    /// A window that has been narrowed down to a second of which one event came from behind.
    fn at_a_last_second() -> Window {
        let search = Search { start: 1000, end: Some(1001), bare_start: false, types: Vec::new() };
        let token = WindowToken { search, key: String::new(), opened: None };
        let mut window = Window::resume(SearchRoad::Typed, token, true, &[], 100);
        for _ in 0..1000 {
            if window.is_last() {
                break;
            }
            assert!(!matches!(window.failed(5000, false), Narrowed::Gap { .. }));
        }
        assert!(window.is_last());
        window
    }

    #[test]
    fn a_second_is_given_up_after_proven_failures_alone() {
        for answers in 0..3 {
            let mut window = at_a_last_second();
            // After an answer more is asked for at once.
            window.limit <<= answers;
            for _ in 0..100 {
                if window.is_last() {
                    break;
                }
                assert!(!matches!(window.failed(5000, false), Narrowed::Gap { .. }));
            }
            for _ in 0..50 {
                assert_eq!(window.failed(5000, false), Narrowed::Not, "not proven");
            }
            for _ in 1..ATTEMPTS {
                assert_eq!(window.failed(5000, true), Narrowed::Not, "{answers}");
            }
            assert!(matches!(window.failed(5000, true), Narrowed::Gap { .. }));
        }
    }
}
