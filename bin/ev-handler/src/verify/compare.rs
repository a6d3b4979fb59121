//! One hour of Auth's log against the row that the ledger has for it.
//!
//! Pure: knows neither Auth nor the state.

use std::collections::{BTreeSet, HashMap};

use ev_core::{EventDigest, LedgerHour};
use ev_pipeline::Identity;
use ev_pipeline::ledger::{Difference, Hour, LedgerKey};

use super::verdict::Verdict;

/// Differing events that are named, at most, on each side.
pub(super) const NAMED: usize = 20;

/// An event of the log.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    /// Its id for people.
    pub(super) name: Box<str>,
}

/// What Auth has of one hour.
#[derive(Debug)]
pub(super) struct Reading {
    key: LedgerKey,
    hour: i64,
    /// First second that counts.
    from: i64,
    sums: Hour,
    seen: HashMap<EventDigest, Box<str>>,
    /// Those whose id is not known.
    unidentified: u64,
    /// Seconds that Auth could not send.
    gaps: Vec<i64>,
}

impl Reading {
    /// Nothing of an hour yet. Events in front of second `from` are none of ours.
    pub(super) fn new(key: LedgerKey, hour: i64, from: i64) -> Self {
        let (sums, seen) = (Hour::default(), HashMap::new());
        Self { key, hour, from, sums, seen, unidentified: 0, gaps: Vec::new() }
    }

    /// Whether an event of that second counts.
    pub(super) fn takes(&self, second: i64) -> bool {
        second >= self.from && second.div_euclid(LedgerHour::SECONDS) == self.hour
    }

    /// Adds an event, unless it is of another hour or has been added.
    pub(super) fn add(&mut self, event: Seen) {
        let Seen { identity, name } = event;
        if !self.takes(identity.time.seconds()) || self.seen.contains_key(&identity.digest) {
            return;
        }
        self.sums.insert(&self.key.line(&identity));
        self.seen.insert(identity.digest, name);
    }

    /// Adds an event of which nobody can tell the id.
    pub(super) fn add_unidentified(&mut self, second: i64) {
        self.unidentified += u64::from(self.takes(second));
    }

    /// Adds a second that Auth could not send.
    pub(super) fn add_gap(&mut self, second: i64) {
        if self.takes(second) && !self.gaps.contains(&second) {
            self.gaps.push(second);
        }
    }

    /// Holds it against the row of the ledger. `closed`: nothing is added to the row any more.
    pub(super) fn compare(self, row: Option<&LedgerHour>, closed: bool) -> Compared {
        let Self { key, hour, sums, seen, unidentified, gaps, .. } = self;
        let ledger = match row {
            None => Some(Hour::default()),
            Some(row) => Hour::from_row(row),
        };
        let mut compared = Compared {
            hour,
            verdict: Verdict::Equal,
            auth: sums.count + unidentified,
            ledger: row.map(|row| row.count),
            missing: Vec::new(),
            missing_more: 0,
            missing_ids: BTreeSet::new(),
            only_ledger: Vec::new(),
            only_ledger_more: 0,
            untold: false,
            damaged: ledger.is_none(),
            unidentified,
            gaps,
        };
        let difference = match &ledger {
            Some(ledger) => sums.difference(ledger, &key),
            None => Difference::Untold,
        };
        let mut explained =
            unidentified > 0 && ledger.as_ref().is_some_and(|ledger| ledger.count == compared.auth);
        match difference {
            Difference::None => explained = false,
            Difference::Untold => compared.untold = !compared.damaged,
            Difference::Ids { only_first, only_second } => {
                explained &= only_first.is_empty();
                let name = |digest: &EventDigest| match seen.get(digest) {
                    Some(name) => name.to_string(),
                    None => format!("{digest:?}"),
                };
                compared.missing_more = only_first.len().saturating_sub(NAMED);
                compared.missing = only_first.iter().take(NAMED).map(name).collect();
                compared.missing_ids = only_first.iter().copied().collect();
                compared.only_ledger_more = only_second.len().saturating_sub(NAMED);
                compared.only_ledger = only_second.iter().take(NAMED).map(name).collect();
            }
        }
        let equal = sums_agree(&compared);
        compared.verdict = match (closed, equal) {
            (false, _) => Verdict::Open,
            (true, true) if unidentified == 0 => Verdict::Equal,
            (true, _) if explained => Verdict::Unproved,
            (true, _) if row.is_none() => Verdict::NoRow,
            (true, _) => Verdict::Differs,
        };
        compared
    }
}

/// Whether no difference was found.
fn sums_agree(compared: &Compared) -> bool {
    let Compared { missing, only_ledger, untold, damaged, .. } = compared;
    missing.is_empty() && only_ledger.is_empty() && !untold && !damaged
}

/// An hour and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) hour: i64,
    pub(super) verdict: Verdict,
    /// Events that Auth has, each once.
    pub(super) auth: u64,
    /// Events that the ledger has; `None` without a row.
    pub(super) ledger: Option<u64>,
    /// Ids of events that only Auth has.
    pub(super) missing: Vec<String>,
    /// How many more of those there are.
    pub(super) missing_more: usize,
    /// What all of those are recognised by.
    pub(super) missing_ids: BTreeSet<EventDigest>,
    /// Digests of events that only the ledger has.
    pub(super) only_ledger: Vec<String>,
    /// How many more of those there are.
    pub(super) only_ledger_more: usize,
    /// It differs in more than can be named.
    pub(super) untold: bool,
    /// The row cannot be read.
    pub(super) damaged: bool,
    /// Events without uid whose id could not be told.
    pub(super) unidentified: u64,
    /// Seconds that Auth could not send.
    pub(super) gaps: Vec<i64>,
}

impl Compared {
    /// What has to be sent so that the ledger can be made to agree.
    pub(super) fn remedy(&self) -> Remedy {
        match self.verdict {
            Verdict::Equal | Verdict::Unproved | Verdict::Open => Remedy::Nothing,
            // What is lost at Auth shows as more in the ledger: a row made anew would hide it.
            _ if self.untold && self.ledger.is_some_and(|ledger| ledger > self.auth) => {
                Remedy::Nothing
            }
            _ if self.untold || self.damaged => Remedy::Whole,
            _ if self.missing_ids.is_empty() => Remedy::Nothing,
            _ => Remedy::Named,
        }
    }
}

/// What has to be sent of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing that Auth has is missing.
    Nothing,
    /// The missing events, which are known.
    Named,
    /// All of it, as nobody can tell what is missing.
    Whole,
}

#[cfg(test)]
impl Compared {
    /// An hour about which nothing more is known.
    pub(super) fn plain(hour: i64, verdict: Verdict) -> Self {
        Self {
            hour,
            verdict,
            auth: 7,
            ledger: Some(5),
            missing: Vec::new(),
            missing_more: 0,
            missing_ids: BTreeSet::new(),
            only_ledger: Vec::new(),
            only_ledger_more: 0,
            untold: false,
            damaged: false,
            unidentified: 0,
            gaps: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::Timestamp;

    use super::*;

    fn key() -> LedgerKey {
        LedgerKey::new(&[9; 16])
    }

    fn seen(n: u16) -> Seen {
        let mut digest = [0; 16];
        digest[..2].copy_from_slice(&n.to_be_bytes());
        let (digest, time) = (EventDigest(digest), Timestamp::new(7200 + i64::from(n), 0));
        let identity = Identity { digest, time, index: Some(0), has_uid: true };
        Seen { identity, name: format!("uid-{n}").into() }
    }

    fn seen_at(n: u16, second: i64) -> Seen {
        let mut seen = seen(n);
        seen.identity.time = Timestamp::new(second, 0);
        seen
    }

    fn reading(events: std::ops::Range<u16>) -> Reading {
        let mut reading = Reading::new(key(), 2, 0);
        events.for_each(|n| reading.add(seen(n)));
        reading
    }

    /// What the ledger has once these are settled.
    fn row(events: std::ops::Range<u16>) -> LedgerHour {
        let mut hour = Hour::default();
        events.map(seen).for_each(|event| hour.insert(&key().line(&event.identity)));
        hour.to_row(2)
    }

    #[test]
    fn the_same_events_are_equal_in_any_order_and_number_of_readings() {
        let mut twice = reading(0..300);
        (0..300).rev().for_each(|n| twice.add(seen(n)));
        let compared = twice.compare(Some(&row(0..300)), true);
        assert_eq!(
            (compared.verdict, compared.auth, compared.ledger),
            (Verdict::Equal, 300, Some(300))
        );
        let quiet = reading(0..0).compare(None, true);
        assert_eq!((quiet.verdict, quiet.auth, quiet.ledger), (Verdict::Equal, 0, None));
    }

    #[test]
    fn what_differs_is_named() {
        let compared = reading(0..303).compare(Some(&row(2..300)), true);
        assert_eq!(compared.verdict, Verdict::Differs);
        let mut missing = compared.missing.clone();
        missing.sort();
        assert_eq!(missing, ["uid-0", "uid-1", "uid-300", "uid-301", "uid-302"]);
        assert_eq!((compared.only_ledger.len(), compared.untold), (0, false));

        let compared = reading(0..5).compare(Some(&row(0..6)), true);
        assert_eq!(compared.verdict, Verdict::Differs);
        assert_eq!(compared.missing, Vec::<String>::new());
        assert_eq!(compared.only_ledger, ["00050000000000000000000000000000"]);
    }

    #[test]
    fn more_than_can_be_named_is_told_as_such() {
        let compared = reading(0..25).compare(Some(&row(0..0)), true);
        assert_eq!((compared.missing.len(), compared.missing_more), (NAMED, 5));
        let compared = reading(0..500).compare(Some(&row(0..300)), true);
        assert_eq!((compared.verdict, compared.untold), (Verdict::Differs, true));
        assert_eq!((compared.missing.len(), compared.missing_more), (0, 0));
    }

    #[test]
    fn another_index_is_a_difference_that_has_no_name() {
        let mut reading = Reading::new(key(), 2, 0);
        let mut other = seen(0);
        other.identity.index = Some(4);
        reading.add(other);
        let compared = reading.compare(Some(&row(0..1)), true);
        assert_eq!((compared.verdict, compared.untold), (Verdict::Differs, true));
    }

    #[test]
    fn events_of_other_hours_and_in_front_of_the_start_do_not_count() {
        let mut reading = Reading::new(key(), 2, 7210);
        for n in 0..20 {
            reading.add(seen(n));
        }
        reading.add(seen_at(100, 7199));
        reading.add(seen_at(101, 10_800));
        reading.add_unidentified(10_800);
        reading.add_gap(7199);
        let compared = reading.compare(Some(&row(10..20)), true);
        assert_eq!((compared.verdict, compared.auth, compared.gaps.len()), (Verdict::Equal, 10, 0));
    }

    #[test]
    fn an_hour_that_is_open_is_no_finding_and_still_compared() {
        let compared = reading(0..3).compare(Some(&row(0..2)), false);
        assert_eq!(
            (compared.verdict, &compared.missing[..]),
            (Verdict::Open, &["uid-2".into()][..])
        );
        assert_eq!(reading(0..3).compare(Some(&row(0..3)), false).verdict, Verdict::Open);
    }

    #[test]
    fn a_row_that_is_missing_or_damaged_is_a_finding() {
        assert_eq!(reading(0..3).compare(None, true).verdict, Verdict::NoRow);
        let mut damaged = row(0..3);
        damaged.sketch.truncate(10);
        let compared = reading(0..3).compare(Some(&damaged), true);
        assert_eq!((compared.verdict, compared.damaged), (Verdict::Differs, true));
    }

    #[test]
    fn events_whose_id_is_not_known_leave_the_hour_unproved() {
        let mut short = reading(0..4);
        short.add_unidentified(7300);
        assert_eq!(short.compare(Some(&row(0..5)), true).verdict, Verdict::Unproved);
        // Something else is wrong too.
        let mut lost = reading(0..4);
        lost.add_unidentified(7300);
        assert_eq!(lost.compare(Some(&row(1..5)), true).verdict, Verdict::Differs);
        let mut extra = reading(0..4);
        extra.add_unidentified(7300);
        let compared = extra.compare(Some(&row(0..4)), true);
        assert_eq!((compared.verdict, compared.unidentified), (Verdict::Differs, 1));
    }

    #[test]
    fn what_has_to_be_sent_is_what_is_missing_or_all_of_it() {
        let remedy = |auth, row: Option<LedgerHour>, closed| {
            reading(auth).compare(row.as_ref(), closed).remedy()
        };
        assert_eq!(remedy(0..3, Some(row(0..3)), true), Remedy::Nothing);
        assert_eq!(remedy(0..3, Some(row(0..2)), true), Remedy::Named);
        assert_eq!(remedy(0..3, Some(row(0..2)), false), Remedy::Nothing, "it is open");
        assert_eq!(remedy(0..3, None, true), Remedy::Named);
        assert_eq!(remedy(0..3, Some(row(0..4)), true), Remedy::Nothing, "Auth has less");
        assert_eq!(remedy(0..500, Some(row(0..3)), true), Remedy::Whole);
        assert_eq!(remedy(0..3, Some(row(0..500)), true), Remedy::Nothing, "lost at Auth");
        assert_eq!(remedy(0..0, Some(row(0..500)), true), Remedy::Nothing, "all of it");
        let mut damaged = row(0..3);
        damaged.sketch.truncate(10);
        assert_eq!(remedy(0..3, Some(damaged), true), Remedy::Whole);
        let compared = reading(0..3).compare(Some(&row(0..1)), true);
        assert_eq!(compared.missing_ids, [seen(1).identity.digest, seen(2).identity.digest].into());
        let mut unidentified = reading(0..3);
        unidentified.add_unidentified(7300);
        assert_eq!(unidentified.compare(Some(&row(0..4)), true).remedy(), Remedy::Nothing);
    }
}
