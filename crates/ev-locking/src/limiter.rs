//! Which failed login is one too many: bookkeeping without clock or I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ev_core::{EventDigest, Timestamp};

/// Ids that are remembered, so that an event that is told again does not count again. The oldest
/// are forgotten first; 16 bytes each.
const REMEMBERED_IDS: usize = 16_384;

/// Failed logins that may be let pass at most: each further one looks at twice as many.
pub(crate) const MAX_ALLOWED: usize = 10_000;

/// Failed logins of one user that are remembered beyond those that count, and at least this many:
/// while a backlog is read, several stretches of the log come at one time.
const SPARE_TIMES: usize = 64;

/// Whose failed logins are counted together: user, and login of the operating system.
pub(crate) type Who = (String, String);

/// What a failed login means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It was counted before.
    Known,
    /// It was counted.
    Passes,
    /// It was counted, and is one too many.
    Locks,
}

/// The failed logins of one user.
#[derive(Debug, Default)]
struct Failures {
    /// When, in order, each with a number that says which was told first.
    times: BTreeSet<(Timestamp, u64)>,
    /// In which order they were told.
    told: VecDeque<(Timestamp, u64)>,
}

/// Counts failed logins.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// How many are let pass.
    allowed: usize,
    period: Duration,
    max_users: usize,
    max_times: usize,
    users: BTreeMap<Who, Failures>,
    /// By the number of the failure that each told last.
    oldest: BTreeMap<u64, Who>,
    times: usize,
    told: u64,
    ids: BTreeSet<EventDigest>,
    id_order: VecDeque<EventDigest>,
}

impl Limiter {
    /// Lets `allowed` failed logins pass in any stretch that is shorter than `period`. Remembers
    /// at most so many users and failed logins of all of them together, about 100 bytes each.
    pub(crate) fn new(
        allowed: usize,
        period: Duration,
        max_users: usize,
        max_times: usize,
    ) -> Self {
        Self {
            allowed: allowed.min(MAX_ALLOWED),
            period,
            max_users: max_users.max(1),
            max_times: max_times.max(1),
            users: BTreeMap::new(),
            oldest: BTreeMap::new(),
            times: 0,
            told: 0,
            ids: BTreeSet::new(),
            id_order: VecDeque::new(),
        }
    }

    /// Users with a counter.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// Counts a failed login at that time.
    pub(crate) fn failed(&mut self, who: Who, id: EventDigest, at: Timestamp) -> Ruling {
        if !self.remember(id) {
            return Ruling::Known;
        }
        self.told += 1;
        let entry = (at, self.told);
        let failures = self.users.entry(who.clone()).or_default();
        if let Some((_, last)) = failures.told.back() {
            self.oldest.remove(last);
        }
        failures.times.insert(entry);
        failures.told.push_back(entry);
        self.times += 1;
        self.oldest.insert(self.told, who.clone());
        let is_too_many = failures.is_too_many(entry, self.allowed, self.period);
        let keep = self.allowed.saturating_add(1).saturating_mul(2).max(SPARE_TIMES);
        while failures.told.len() > keep {
            failures.forget_first();
            self.times -= 1;
        }
        self.shrink();
        if is_too_many { Ruling::Locks } else { Ruling::Passes }
    }

    /// Whether that id is new.
    fn remember(&mut self, id: EventDigest) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.id_order.push_back(id);
        if self.id_order.len() > REMEMBERED_IDS
            && let Some(oldest) = self.id_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// Forgets the users who failed longest ago, until the rest is within its bounds. The last one
    /// stays, with no more than fits.
    fn shrink(&mut self) {
        while self.users.len() > self.max_users
            || self.times > self.max_times && self.users.len() > 1
        {
            let Some((_, who)) = self.oldest.pop_first() else { return };
            if let Some(failures) = self.users.remove(&who) {
                self.times -= failures.told.len();
            }
        }
        if self.times > self.max_times
            && let Some(failures) = self.users.values_mut().next()
        {
            failures.forget_first();
            self.times -= 1;
        }
    }
}

impl Failures {
    fn forget_first(&mut self) {
        if let Some(first) = self.told.pop_front() {
            self.times.remove(&first);
        }
    }

    /// Whether some stretch shorter than `period` has `entry` and more than `allowed` failures.
    fn is_too_many(&self, entry: (Timestamp, u64), allowed: usize, period: Duration) -> bool {
        // Those that may share a stretch with it, and no more of them than matter.
        let before = self.times.range(..entry).rev().take(allowed);
        let mut near: VecDeque<Timestamp> = VecDeque::new();
        before
            .take_while(|(at, _)| is_within(*at, entry.0, period))
            .for_each(|(at, _)| near.push_front(*at));
        let after = self.times.range(entry..).take(allowed.saturating_add(1));
        near.extend(after.take_while(|(at, _)| is_within(entry.0, *at, period)).map(|(at, _)| *at));
        // Of `allowed + 1` in a row, the first and the last tell.
        let last = near.iter().skip(allowed);
        near.iter().zip(last).any(|(first, last)| is_within(*first, *last, period))
    }
}

/// Whether less than `period` lies between two instants, of which `from` is not the later one.
fn is_within(from: Timestamp, to: Timestamp, period: Duration) -> bool {
    let nanos =
        |at: Timestamp| i128::from(at.seconds()) * 1_000_000_000 + i128::from(at.subsec_nanos());
    let period = i128::try_from(period.as_nanos()).unwrap_or(i128::MAX);
    nanos(to) - nanos(from) < period
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn who(user: &str) -> Who {
        (user.to_owned(), String::new())
    }

    fn id(n: u64) -> EventDigest {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        EventDigest(bytes)
    }

    /// What becomes of failures at these seconds, told in this order, by one user.
    fn rulings(seconds: &[i64]) -> Vec<Ruling> {
        let mut limiter = Limiter::new(3, MINUTE, 10, 1000);
        let times = seconds.iter().map(|second| Timestamp::new(*second, 0));
        (0..).zip(times).map(|(n, at)| limiter.failed(who("alice"), id(n), at)).collect()
    }

    fn locked(seconds: &[i64]) -> Vec<usize> {
        let all = rulings(seconds);
        (0..all.len()).filter(|n| all[*n] == Ruling::Locks).collect()
    }

    #[test]
    fn the_fourth_within_the_period_locks_and_each_one_behind_it() {
        assert_eq!(locked(&[0, 1, 2]), [0usize; 0]);
        assert_eq!(locked(&[0, 1, 2, 3, 4, 5]), [3, 4, 5]);
        assert_eq!(locked(&[0, 20, 40, 59]), [3]);
        assert_eq!(locked(&[0, 20, 40, 60]), [0usize; 0], "the period is over");
        assert_eq!(locked(&[0, 20, 40, 60, 79]), [4], "it slides");
        assert_eq!(locked(&[0, 100, 101, 102, 103]), [4]);
    }

    #[test]
    fn what_comes_late_counts_where_it_belongs() {
        assert_eq!(locked(&[0, 10, 500, 510, 520, 20, 530, 5]), [6, 7]);
        assert_eq!(locked(&[530, 520, 510, 500]), [3], "backwards");
        assert_eq!(locked(&[0, 50, 100, 59, 58]), [4], "in the middle");
        assert_eq!(locked(&[7, 7, 7, 7]), [3], "one instant");
    }

    #[test]
    fn fractions_of_a_second_count() {
        let mut limiter = Limiter::new(1, MINUTE, 10, 1000);
        let at = |seconds, nanos| Timestamp::new(seconds, nanos);
        assert_eq!(limiter.failed(who("a"), id(0), at(0, 1)), Ruling::Passes);
        assert_eq!(limiter.failed(who("a"), id(1), at(60, 1)), Ruling::Passes);
        assert_eq!(limiter.failed(who("a"), id(2), at(60, 0)), Ruling::Locks);
    }

    #[test]
    fn an_event_counts_once() {
        let mut limiter = Limiter::new(3, MINUTE, 10, 1000);
        let at = Timestamp::new(5, 0);
        assert_eq!(limiter.failed(who("alice"), id(1), at), Ruling::Passes);
        for _ in 0..10 {
            assert_eq!(limiter.failed(who("alice"), id(1), at), Ruling::Known);
        }
        assert_eq!(limiter.failed(who("alice"), id(2), at), Ruling::Passes);
    }

    #[test]
    fn users_and_their_logins_are_counted_apart() {
        let mut limiter = Limiter::new(1, MINUTE, 10, 1000);
        let at = Timestamp::new(5, 0);
        let root = ("alice".to_owned(), "root".to_owned());
        for (n, who) in (0..).zip([who("alice"), who("bob"), root.clone(), who("carol")]) {
            assert_eq!(limiter.failed(who, id(n), at), Ruling::Passes);
        }
        assert_eq!(limiter.failed(root, id(10), at), Ruling::Locks);
        assert_eq!(limiter.failed(who("alice"), id(11), at), Ruling::Locks);
    }

    #[test]
    fn who_failed_longest_ago_is_forgotten_first() {
        let mut limiter = Limiter::new(1, MINUTE, 3, 1000);
        let at = Timestamp::new(5, 0);
        for (n, name) in (0..).zip(["a", "b", "c", "a", "d", "e"]) {
            limiter.failed(who(name), id(n), at);
            assert!(limiter.users() <= 3);
        }
        let known: Vec<_> = limiter.users.keys().map(|(name, _)| name.as_str()).collect();
        assert_eq!(known, ["a", "d", "e"], "b and c failed before a did again");
        assert_eq!(limiter.oldest.len(), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let mut limiter = Limiter::new(1_000, MINUTE, 5, 500);
        let count = REMEMBERED_IDS as u64 + 1_000;
        for n in 0..count {
            limiter.failed(who("one"), id(n), Timestamp::new(0, 0));
        }
        assert_eq!(limiter.times, 500);
        assert_eq!((limiter.ids.len(), limiter.id_order.len()), (REMEMBERED_IDS, REMEMBERED_IDS));
        limiter.failed(who("two"), id(count), Timestamp::new(0, 0));
        assert_eq!((limiter.times, limiter.users()), (1, 1));
        let mut limiter = Limiter::new(3, MINUTE, 5, 500);
        for n in 0..1_000 {
            limiter.failed(who("one"), id(n), Timestamp::new(0, 0));
        }
        assert_eq!(limiter.times, SPARE_TIMES, "no more than can matter");
    }

    proptest! {
        /// Whatever the order in which a few are told: the last of them locks if any stretch that
        /// has it holds more than are let pass.
        #[test]
        fn the_ruling_is_that_of_the_definition(
            seconds in prop::collection::vec(0i64..300, 1..30),
            allowed in 1usize..5,
        ) {
            let mut limiter = Limiter::new(allowed, MINUTE, 10, 1000);
            for (n, second) in seconds.iter().enumerate() {
                let ruling =
                    limiter.failed(who("a"), id(n as u64), Timestamp::new(*second, 0));
                let told = &seconds[..=n];
                let too_many = told.iter().filter(|from| (**from..**from + 60).contains(second)).any(
                    |from| told.iter().filter(|at| (*from..*from + 60).contains(at)).count() > allowed,
                );
                prop_assert_eq!(ruling == Ruling::Locks, too_many, "{:?}", told);
            }
        }
    }
}
