//! Which dates are looked at for chunks, and which chunk is read next.
//!
//! Pure: knows no connection and no clock. The rules:
//!
//! - Dates are walked through one by one, from that of the start time up to today. The next one is
//!   begun when the newest is past and nothing is left to do there but to wait for chunks, or for
//!   a list, that fail again and again. If the lists of [`FAILING_LISTS`] dates in a row fail, it is
//!   no matter of single dates, and none is begun until one of them can be read.
//! - The dates just before the newest one are looked at on and on, because chunks may appear late.
//!   A date in front of those is looked at once more and given up when nothing is left to do there.
//! - How far that goes is decided by what Auth has logged as well as by our clock: a clock that is
//!   far ahead leads through empty dates, and the dates around the newest one that has a chunk are
//!   looked at all the same. Those in front of our clock have no chunks, so they can be given up
//!   and taken up again without reading anything twice.
//! - A chunk never changes. It is begun once, and known from then on until its date is given up.
//!   Whether a name is known costs the same however many there are.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::Hash;

use ev_core::Date;

/// First date that is ever looked at: there was no audit log anywhere before, and a start time in
/// year one would lead through 700,000 empty dates.
const FIRST_DAY: &str = "2015-01-01";

/// Dates in a row whose lists fail before no further one is begun.
pub(crate) const FAILING_LISTS: i64 = 31;

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Chunks of one date that are read at once.
    pub(crate) per_date: usize,
    /// Chunks that are read at once.
    pub(crate) total: usize,
    /// Dates before the newest one that are looked at on and on.
    pub(crate) backlog: i64,
}

/// What an earlier run left.
#[derive(Debug)]
pub(crate) struct Left<N = String> {
    /// Dates that were looked at.
    pub(crate) days: Vec<Date>,
    /// Chunks that were begun.
    pub(crate) open: Vec<(Date, N)>,
    /// Chunks that were read to their end.
    pub(crate) done: Vec<(Date, N)>,
}

/// A change of the set of dates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Looked at from now on.
    pub(crate) opened: Vec<Date>,
    /// Looked at no more: everything of them may be forgotten.
    pub(crate) retired: Vec<Date>,
    /// To be looked at now, whenever that was done last.
    pub(crate) again: Vec<Date>,
}

/// The dates and their chunks; `N` is the name of a chunk.
#[derive(Debug)]
pub(crate) struct Plan<N = String> {
    limits: Limits,
    days: BTreeMap<Date, State<N>>,
    /// The date reached.
    current: Date,
    /// The newest date that has a chunk, or the one before the start.
    newest: Date,
    /// Chunks that are begun and not at their end, of whatever date.
    open: usize,
    /// Of those: waiting for another attempt after several in vain.
    troubled: usize,
}

#[derive(Debug)]
struct State<N> {
    /// Names of all chunks that were ever found.
    known: HashSet<N>,
    /// Found and not begun.
    queue: VecDeque<N>,
    /// Begun and not at their end, and those of them that wait after several attempts in vain.
    open: usize,
    troubled: usize,
    /// A list is being read that counts when it is at its end.
    listing: bool,
    /// Something was found since the list that is being read, or was read last, began.
    fresh: bool,
    /// A list was read to its end that brought nothing new, and nothing was left to read.
    quiet: bool,
    /// A list was read to its end that brought nothing new.
    listed: bool,
    /// Its list fails again and again.
    list_fails: bool,
    /// It lies in front of the dates that are looked at on and on, and is looked at for the last
    /// time.
    leaving: bool,
}

impl<N> State<N> {
    fn new() -> Self {
        Self {
            known: HashSet::new(),
            queue: VecDeque::new(),
            open: 0,
            troubled: 0,
            listing: false,
            fresh: false,
            quiet: false,
            listed: false,
            list_fails: false,
            leaving: false,
        }
    }

    fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.open == 0
    }

    /// Whether there is nothing to do here but to look again from time to time.
    fn is_passed(&self) -> bool {
        let has_list = self.listed || self.list_fails;
        self.quiet || has_list && self.queue.is_empty() && self.open == self.troubled
    }
}

impl<N: Clone + Eq + Hash> Plan<N> {
    /// A plan that begins at the date of second `from`, or goes on where an earlier run was. Dates
    /// that have to be looked at anew are in the turn.
    pub(crate) fn new(limits: Limits, from: i64, left: Left<N>) -> (Self, Turn) {
        let Left { days, open, done } = left;
        let earliest = Date::parse(FIRST_DAY).unwrap_or_else(|| Date::of(0));
        let first = days.iter().min().copied().unwrap_or_else(|| Date::of(from).max(earliest));
        let mut plan = Self {
            limits,
            current: days.iter().max().copied().unwrap_or(first),
            newest: first.plus(-1),
            days: days.iter().map(|day| (*day, State::new())).collect(),
            open: 0,
            troubled: 0,
        };
        let mut turn = Turn::default();
        let mut strays = BTreeSet::new();
        for (day, name) in done {
            match plan.days.get_mut(&day) {
                Some(state) => {
                    plan.newest = plan.newest.max(day);
                    state.known.insert(name);
                }
                // Nobody asks for it any more.
                None => drop(strays.insert(day)),
            }
        }
        turn.retired.extend(strays);
        // What was begun goes on first.
        for (day, name) in open {
            plan.find(day, name);
        }
        if plan.days.is_empty() {
            plan.look_at(first, &mut turn);
        }
        (plan, turn)
    }

    /// Dates that are looked at.
    pub(crate) fn days(&self) -> impl Iterator<Item = Date> {
        self.days.keys().copied()
    }

    /// Whether a date is looked at.
    pub(crate) fn has(&self, day: Date) -> bool {
        self.days.contains_key(&day)
    }

    /// The list of a date's chunks is being read from its beginning.
    pub(crate) fn list_begins(&mut self, day: Date) {
        if let Some(state) = self.days.get_mut(&day) {
            state.listing = true;
            state.fresh = false;
        }
    }

    /// A chunk stands in the list of a date. Returns whether it is new.
    pub(crate) fn find(&mut self, day: Date, name: N) -> bool {
        let Some(state) = self.days.get_mut(&day) else { return false };
        if state.known.contains(&name) {
            return false;
        }
        state.known.insert(name.clone());
        state.queue.push_back(name);
        state.fresh = true;
        state.listed = false;
        state.quiet = false;
        self.newest = self.newest.max(day);
        true
    }

    /// The list of a date fails again and again: later dates do not wait for it any longer. Returns
    /// whether that was not known.
    pub(crate) fn list_fails(&mut self, day: Date) -> bool {
        let state = self.days.get_mut(&day);
        state.is_some_and(|state| !std::mem::replace(&mut state.list_fails, true))
    }

    /// The list of a date was read to its end.
    pub(crate) fn list_ends(&mut self, day: Date) {
        if let Some(state) = self.days.get_mut(&day).filter(|state| state.listing) {
            state.listing = false;
            state.list_fails = false;
            state.listed = !state.fresh;
            state.quiet = state.listed && state.is_drained();
        }
    }

    /// The next chunk to read, if there is room: of the oldest date that has one.
    pub(crate) fn begin(&mut self) -> Option<(Date, N)> {
        let Limits { per_date, total, .. } = self.limits;
        if self.open - self.troubled >= total {
            return None;
        }
        let has_room =
            |state: &State<N>| !state.queue.is_empty() && state.open - state.troubled < per_date;
        let (day, state) = self.days.iter_mut().find(|(_, state)| has_room(state))?;
        let name = state.queue.pop_front()?;
        state.open += 1;
        self.open += 1;
        Some((*day, name))
    }

    /// A chunk of a date that nobody looks at any more is read to its end all the same.
    pub(crate) fn begin_other(&mut self) {
        self.open += 1;
    }

    /// A chunk fails again and again, or does so no longer: it keeps no other one waiting
    /// meanwhile.
    pub(crate) fn trouble(&mut self, day: Date, is_troubled: bool) {
        let change = |count: &mut usize| {
            *count = if is_troubled { *count + 1 } else { count.saturating_sub(1) };
        };
        change(&mut self.troubled);
        if let Some(state) = self.days.get_mut(&day) {
            change(&mut state.troubled);
        }
    }

    /// A chunk, which was in trouble or not, was read to its end. Returns whether the list of its
    /// date has to be read again before it is known that nothing is left there.
    pub(crate) fn end(&mut self, day: Date, was_troubled: bool) -> bool {
        if was_troubled {
            self.trouble(day, false);
        }
        self.open = self.open.saturating_sub(1);
        let Some(state) = self.days.get_mut(&day) else { return false };
        state.open = state.open.saturating_sub(1);
        self.is_undecided(day)
    }

    /// Whether the list of a date has to be read again before it is known that nothing is left
    /// there.
    pub(crate) fn is_undecided(&self, day: Date) -> bool {
        self.days.get(&day).is_some_and(|state| state.is_drained() && !state.quiet)
    }

    /// Goes on to the next date if it is time, and leaves dates behind.
    pub(crate) fn turn(&mut self, today: Date) -> Turn {
        let mut turn = Turn::default();
        while self.current < today
            && self.days.get(&self.current).is_none_or(State::is_passed)
            && !self.all_lists_fail()
        {
            self.current = self.current.plus(1);
            self.look_at(self.current, &mut turn);
        }
        // Behind the newest date with chunks no date has any, so there is nothing to forget there.
        let next = self.newest.plus(1);
        if next < self.current {
            self.look_at(next, &mut turn);
        }
        let (newest, current, backlog) = (self.newest, self.current, self.limits.backlog);
        let is_wanted = |day: Date| {
            let near = |last: Date| day >= last.plus(-backlog) && day <= last;
            near(current) || near(newest) || day == next
        };
        self.days.retain(|day, state| {
            if is_wanted(*day) {
                state.leaving = false;
            } else if !std::mem::replace(&mut state.leaving, true) {
                // What has appeared since the last look would be lost.
                state.listing = false;
                state.quiet = false;
                state.listed = false;
                turn.again.push(*day);
            } else if state.quiet {
                turn.retired.push(*day);
                return false;
            }
            true
        });
        turn
    }

    /// Whether everything that is there at date `today` has been read.
    pub(crate) fn is_idle(&self, today: Date) -> bool {
        self.current >= today && self.open == 0 && self.days.values().all(|state| state.quiet)
    }

    /// Whether the lists of the dates just walked through all fail.
    pub(crate) fn all_lists_fail(&self) -> bool {
        let first = self.current.plus(1 - FAILING_LISTS);
        let failing = self.days.range(first..=self.current).filter(|(_, state)| state.list_fails);
        i64::try_from(failing.count()).is_ok_and(|count| count == FAILING_LISTS)
    }

    fn look_at(&mut self, day: Date, turn: &mut Turn) {
        self.days.entry(day).or_insert_with(|| {
            turn.opened.push(day);
            State::new()
        });
    }
}

#[cfg(test)]
mod tests;
