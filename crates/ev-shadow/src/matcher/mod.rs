//! Pairs what two handlers have, and says what has no partner.
//!
//! Pure: the time is told with everything that comes in.
//!
//! ```text
//!  take ──▶ filters ──▶ group of the event's key ──▶ pair: equal or differs ──▶ remembered, slim
//!              │              │
//!     before, after,          └─ alone ──▶ queue of its side ──▶ expire: no partner came
//!     left out                             (by arrival, then by time)
//! ```
//!
//! An event without a partner is judged when two things are true: it has waited for the patience,
//! and the other side had *passed its time* before that, by the time of the newest audit event it
//! had shown; of an event of a recording, the time of the announcement. So a handler that lags by hours makes no findings, and one that stands still makes
//! none either: what it owes is *overdue* at the end.

mod books;
mod many;
mod one;
mod progress;
mod queue;
mod rules;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ev_core::Timestamp;

use self::books::{Alone, Books, Waiting};
use self::many::Many;
use self::one::One;
use self::queue::Queue;
use crate::event::{Event, Key};
use crate::finding::Finding;
use crate::tally::Tally;

pub use self::rules::{Bounds, Rules};

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Our handler's.
    Ours,
    /// The other handler's.
    Theirs,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Ours => Self::Theirs,
            Self::Theirs => Self::Ours,
        }
    }
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By a clock that never goes back.
    pub since: Duration,
    /// By the wall clock; an event of the future says nothing about how far a side has come.
    pub wall: Timestamp,
}

/// Pairs events.
///
/// ```
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use ev_core::{Route, Timestamp};
/// use ev_shadow::{Bounds, Event, Matcher, Moment, Rules, Side};
///
/// let mut matcher = Matcher::new(Rules::default(), Bounds::default());
/// let now = Moment { since: Duration::ZERO, wall: Timestamp::new(1_800_000_000, 0) };
/// let event = |text: &'static str| Event::read(&Route::Audit, Bytes::from_static(text.as_bytes()));
/// matcher.take(Side::Ours, event(r#"{"uid":"1","user":"eve"}"#)?, now);
/// matcher.take(Side::Theirs, event(r#"{"user": "eve", "uid": "1"}"#)?, now);
/// assert_eq!((matcher.tally(now).equal, matcher.tally(now).identical), (1, 0));
/// # Ok::<(), ev_shadow::Unreadable>(())
/// ```
#[derive(Debug)]
pub struct Matcher {
    groups: HashMap<Key, Slot>,
    /// What waits: for each side, events of the log and those of recordings.
    queues: [Queue; 4],
    /// Groups of which nothing waits, the oldest in front.
    settled: VecDeque<Key>,
    books: Books,
    next: u64,
}

/// What is kept under a key.
#[derive(Debug)]
struct Slot {
    group: Group,
    /// Whether it stands in `settled`.
    is_listed: bool,
}

#[derive(Debug)]
enum Group {
    One(One),
    Many(Box<Many>),
}

/// A copy of an event: its place in the groups and in the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    key: Key,
    number: u64,
}

impl Matcher {
    /// Knows nothing yet.
    pub fn new(rules: Rules, bounds: Bounds) -> Self {
        Self {
            groups: HashMap::new(),
            queues: Default::default(),
            settled: VecDeque::new(),
            books: Books::new(rules, bounds),
            next: 0,
        }
    }

    /// Takes an event.
    pub fn take(&mut self, side: Side, event: Event, now: Moment) {
        if !self.books.admit(side, &event, now) {
            return;
        }
        let ticket = Ticket { key: event.key, number: self.next };
        self.next += 1;
        let queue = place(side, event.is_recorded);
        let slot = self.groups.entry(ticket.key).or_insert_with(|| Slot {
            group: match ticket.key.is_unique {
                true => Group::One(One::default()),
                false => Group::Many(Box::default()),
            },
            is_listed: false,
        });
        let shown = self.books.newest(side);
        let waiting = Waiting::new(ticket.number, event, now.since, shown);
        let waits = match &mut slot.group {
            Group::One(one) => one.take(side, waiting, &mut self.books),
            Group::Many(many) => many.take(side, waiting, &mut self.books),
        };
        if waits {
            self.queues[queue].push(now.since, ticket);
        }
        self.list(ticket.key);
        self.make_room();
    }

    /// Notes a body that could not be read.
    pub fn take_unreadable(&mut self, side: Side) {
        self.books.unreadable(side);
    }

    /// Judges what has waited long enough.
    pub fn expire(&mut self, now: Moment) {
        self.books.advance(now.since);
        for side in [Side::Ours, Side::Theirs] {
            for is_recorded in [false, true] {
                let patience = self.books.patience(is_recorded);
                let Some(cutoff) = now.since.checked_sub(patience) else { continue };
                let at = place(side, is_recorded);
                let groups = &self.groups;
                let books = &self.books;
                let due_of =
                    |ticket: Ticket| alive(groups, side, ticket).map(|copy| books.due(copy));
                self.queues[at].mature(cutoff, due_of);
                let Some(reached) = self.books.reached(side.other(), cutoff) else { continue };
                while let Some(ticket) = self.queues[at].pop(reached) {
                    self.judge(side, ticket, None);
                }
            }
        }
        self.compact();
    }

    /// How it stands; what waits is counted as open, or as overdue when the other side should have
    /// had it.
    pub fn tally(&self, now: Moment) -> Tally {
        let mut tally = self.books.tally;
        let mut count = |side: Side, copy: &Waiting| {
            if self.books.alone(side, copy) == Alone::Before {
                tally.before[side] += 1;
                return;
            }
            tally.open[side] += 1;
            let patience = self.books.patience(copy.is_recorded());
            if now.since.checked_sub(patience).is_some_and(|cutoff| copy.arrived <= cutoff) {
                tally.overdue[side] += 1;
            }
        };
        for slot in self.groups.values() {
            match &slot.group {
                Group::One(one) => one.waiting().into_iter().for_each(|(s, copy)| count(s, copy)),
                Group::Many(many) => many.waiting().for_each(|(side, copy)| count(side, copy)),
            }
        }
        tally
    }

    /// Events that wait for their partner.
    pub fn waiting(&self) -> usize {
        self.books.waiting
    }

    /// The time of the newest audit event that a side has shown.
    pub fn newest(&self, side: Side) -> Option<Timestamp> {
        self.books.newest(side)
    }

    /// What was found since the last call, in order.
    pub fn findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.books.findings)
    }

    /// Judges one copy: by what it is, or as told.
    fn judge(&mut self, side: Side, ticket: Ticket, as_told: Option<Alone>) {
        let Some(slot) = self.groups.get_mut(&ticket.key) else { return };
        match &mut slot.group {
            Group::One(one) => one.judge(side, ticket.number, as_told, &mut self.books),
            Group::Many(many) => many.judge(side, ticket.number, as_told, &mut self.books),
        }
        self.list(ticket.key);
    }

    /// Notes that nothing of a group waits any more, and forgets the oldest of such.
    fn list(&mut self, key: Key) {
        if let Some(slot) = self.groups.get_mut(&key)
            && !slot.is_listed
            && slot.group.is_settled()
        {
            slot.is_listed = true;
            self.settled.push_back(key);
        }
        while self.settled.len() > self.books.bounds.max_remembered {
            let Some(oldest) = self.settled.pop_front() else { break };
            let Some(slot) = self.groups.get_mut(&oldest) else { continue };
            slot.is_listed = false;
            if slot.group.is_settled() {
                self.groups.remove(&oldest);
            }
        }
    }

    /// Lets the oldest go when too many wait.
    fn make_room(&mut self) {
        while self.books.waiting > self.books.bounds.max_waiting {
            let longest = (0..4).max_by_key(|at| self.queues[*at].len()).unwrap_or_default();
            let side = if longest < 2 { Side::Ours } else { Side::Theirs };
            // What is popped and not there any more is merely cleared away.
            let Some(ticket) = self.queues[longest].pop_oldest() else { break };
            self.judge(side, ticket, Some(Alone::Unjudged));
        }
    }

    /// Clears the queues of what has found its partner, once that is most of them.
    fn compact(&mut self) {
        let queued: usize = self.queues.iter().map(Queue::len).sum();
        if queued <= 2 * self.books.waiting + 4096 {
            return;
        }
        let groups = &self.groups;
        for (at, queue) in self.queues.iter_mut().enumerate() {
            let side = if at < 2 { Side::Ours } else { Side::Theirs };
            queue.retain(|ticket| alive(groups, side, ticket).is_some());
        }
    }
}

impl Group {
    fn is_settled(&self) -> bool {
        match self {
            Self::One(one) => one.waiting().is_none(),
            Self::Many(many) => many.waiting().next().is_none(),
        }
    }
}

fn place(side: Side, is_recorded: bool) -> usize {
    match side {
        Side::Ours => usize::from(is_recorded),
        Side::Theirs => 2 + usize::from(is_recorded),
    }
}

/// The copy of a ticket, if it still waits to be judged.
fn alive(groups: &HashMap<Key, Slot>, side: Side, ticket: Ticket) -> Option<&Waiting> {
    match &groups.get(&ticket.key)?.group {
        Group::One(one) => {
            one.waiting().map(|(_, copy)| copy).filter(|copy| copy.number == ticket.number)
        }
        Group::Many(many) => many.find(side, ticket.number),
    }
}
