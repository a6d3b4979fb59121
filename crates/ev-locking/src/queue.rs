//! The locks that are to be set, and whose turn it is.
//!
//! Each has its own attempts and its own pause, so that one on which Auth fails for ever holds up
//! no other: it goes behind the rest and waits by itself. That Auth does not answer at all shows in
//! several of them failing in a row; then all of them wait.

use std::collections::BTreeMap;
use std::time::Duration;

use ev_core::{Change, UserLock};

use crate::limiter::Who;

/// First pause after an attempt that failed; doubles with each further one, with jitter.
pub(crate) const RETRY_BASE: Duration = Duration::from_millis(500);
/// Longest such pause. An attacker goes on meanwhile, so it is short.
pub(crate) const RETRY_CAP: Duration = Duration::from_secs(30);

/// A lock that is to be set.
#[derive(Debug)]
struct Waiting {
    /// A later decision has a higher number; another attempt needs a new one.
    number: u64,
    lock: UserLock,
    /// How often it failed.
    failures: u32,
    /// Not before this.
    due: Duration,
}

/// Locks that are to be set.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<Who, Waiting>,
    numbers: u64,
    /// None of them before this.
    gate: Duration,
    /// How many in a row failed, the same one again and again counted once.
    in_a_row: u32,
    failed_last: Option<Who>,
    /// What the state is to be told: a lock that is to be set, or the name of one that is not.
    unsaved: BTreeMap<String, Option<UserLock>>,
}

/// A lock whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) lock: UserLock,
    number: u64,
    who: Who,
}

/// What is to be done next.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// To set this one.
    Set(Turn),
    /// To wait until then, or until there are more.
    Wait(Duration),
    /// To wait until there are more.
    Nothing,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a lock; it takes the place of an earlier one on the same user and login.
    pub(crate) fn add(&mut self, lock: UserLock) {
        self.unsaved.insert(lock.name.clone(), Some(lock.clone()));
        self.insert(lock);
    }

    /// Adds a lock that the state has, unless there is a later one.
    pub(crate) fn restore(&mut self, lock: UserLock) {
        if !self.waiting.contains_key(&(lock.user.clone(), lock.login.clone())) {
            self.insert(lock);
        }
    }

    /// The state has these, and nothing of what it was told since need have reached it.
    pub(crate) fn save_again(&mut self, due: &[UserLock]) {
        for lock in due {
            self.unsaved.entry(lock.name.clone()).or_insert(None);
        }
        for Waiting { lock, .. } in self.waiting.values() {
            self.unsaved.insert(lock.name.clone(), Some(lock.clone()));
        }
    }

    fn insert(&mut self, lock: UserLock) {
        let who = (lock.user.clone(), lock.login.clone());
        let number = self.next_number();
        let before = self.waiting.remove(&who);
        let (failures, due) = before.map_or_else(Default::default, |w| (w.failures, w.due));
        self.waiting.insert(who, Waiting { number, lock, failures, due });
    }

    /// Takes out the one that has waited longest.
    pub(crate) fn drop_oldest(&mut self) -> Option<UserLock> {
        let (who, _) = self.waiting.iter().min_by_key(|(_, waiting)| waiting.number)?;
        let who = who.clone();
        let Waiting { lock, .. } = self.waiting.remove(&who)?;
        self.unsaved.insert(lock.name.clone(), None);
        Some(lock)
    }

    /// Whether there is something that the state is to be told.
    pub(crate) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Puts into a change what the state is to be told.
    pub(crate) fn put_into(&mut self, change: &mut Change) {
        for (name, lock) in std::mem::take(&mut self.unsaved) {
            match lock {
                Some(lock) => change.lock.push(lock),
                None => change.locked.push(name),
            }
        }
    }

    /// What is to be done at `now`: the one with the lowest number of those that are due.
    pub(crate) fn next(&self, now: Duration) -> Next {
        let due = |waiting: &Waiting| waiting.due.max(self.gate);
        let ready = self.waiting.iter().filter(|(_, waiting)| due(waiting) <= now);
        if let Some((who, waiting)) = ready.min_by_key(|(_, waiting)| waiting.number) {
            return Next::Set(turn(who, waiting));
        }
        self.waiting.values().map(due).min().map_or(Next::Nothing, Next::Wait)
    }

    /// All of them in their order, due or not.
    pub(crate) fn all(&self) -> Vec<Turn> {
        let mut all: Vec<_> =
            self.waiting.iter().map(|(who, waiting)| turn(who, waiting)).collect();
        all.sort_by_key(|turn| turn.number);
        all
    }

    /// It need not be set any more. Returns how often it failed.
    pub(crate) fn done(&mut self, turn: &Turn) -> u32 {
        let Some(waiting) = self.waiting.get_mut(&turn.who) else { return 0 };
        let failures = std::mem::take(&mut waiting.failures);
        // Unless another was decided meanwhile, which may last longer.
        if waiting.number == turn.number {
            self.waiting.remove(&turn.who);
            self.unsaved.insert(turn.lock.name.clone(), None);
        } else {
            waiting.due = Duration::ZERO;
        }
        failures
    }

    /// Auth has answered: whatever failed before because it did not need not wait longer.
    pub(crate) fn answers(&mut self) {
        if self.in_a_row > 1 {
            self.waiting.values_mut().for_each(|waiting| waiting.due = Duration::ZERO);
        }
        (self.in_a_row, self.failed_last, self.gate) = (0, None, Duration::ZERO);
    }

    /// It could not be set at `now`: it is tried again behind the others, after a pause of its own.
    pub(crate) fn failed(
        &mut self,
        turn: &Turn,
        now: Duration,
        jitter: impl Fn(Duration) -> Duration,
    ) {
        if self.failed_last.as_ref() != Some(&turn.who) {
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.failed_last = Some(turn.who.clone());
        }
        let pause = |failures: u32| {
            let pause = RETRY_BASE.saturating_mul(1 << failures.min(10)).min(RETRY_CAP);
            now + pause / 2 + jitter(pause / 2)
        };
        if self.in_a_row > 1 {
            self.gate = pause(self.in_a_row - 2);
        }
        let number = self.next_number();
        let Some(waiting) = self.waiting.get_mut(&turn.who) else { return };
        waiting.due = pause(waiting.failures);
        waiting.failures = waiting.failures.saturating_add(1);
        waiting.number = number;
    }

    /// Nothing can be set before that time.
    pub(crate) fn shut_until(&mut self, gate: Duration) {
        self.gate = gate;
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    #[cfg(test)]
    pub(crate) fn locks(&self) -> impl Iterator<Item = &UserLock> {
        self.waiting.values().map(|waiting| &waiting.lock)
    }
}

fn turn(who: &Who, waiting: &Waiting) -> Turn {
    Turn { lock: waiting.lock.clone(), number: waiting.number, who: who.clone() }
}
