//! From settled events to rows of the state.

use std::collections::BTreeMap;

use bytes::Bytes;
use ev_core::LedgerHour;
use tracing::error;

use super::{Hour, LedgerKey, Line, Sketch};

/// Hours kept in memory beyond a commit, so that they need not be read again for the next.
const KEPT: usize = 100;

/// What was added to hours, and taken out, since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Hours(BTreeMap<i64, Hour>);

impl Hours {
    pub(crate) fn insert(&mut self, line: &Line) {
        self.0.entry(line.hour).or_default().insert(line);
    }

    pub(crate) fn remove(&mut self, line: &Line) {
        self.0.entry(line.hour).or_default().remove(line);
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (hour, more) in other.0 {
            self.0.entry(hour).or_default().add(&more);
        }
    }
}

/// The ledger of a sink.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) key: LedgerKey,
    /// As the state has them.
    known: BTreeMap<i64, Hour>,
}

impl Ledger {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self { key: LedgerKey::new(key), known: BTreeMap::new() }
    }

    /// Hours that are changed by `hours` and have to be read from the state before.
    pub(crate) fn unread(&self, hours: &Hours) -> Vec<i64> {
        hours.0.keys().filter(|hour| !self.known.contains_key(hour)).copied().collect()
    }

    /// The state has this row for an hour, or none.
    pub(crate) fn read(&mut self, hour: i64, row: Option<&LedgerHour>) -> Option<()> {
        let read = match row {
            Some(row) => Hour::from_row(row)?,
            None => Hour::default(),
        };
        self.known.insert(hour, read);
        Some(())
    }

    /// The rows as they are with the changes. All of their hours have been read.
    pub(crate) fn merge(&mut self, hours: Hours) -> Vec<LedgerHour> {
        let mut rows = Vec::with_capacity(hours.0.len());
        for (number, more) in hours.0 {
            let hour = self.known.entry(number).or_default();
            hour.add(&more);
            if i64::try_from(hour.count).is_err() {
                // Less than nothing: what is taken out was in a row that was damaged since.
                error!(hour = number, "the ledger of an hour is damaged and begins anew");
                *hour = Hour::default();
            }
            rows.push(hour.to_row(number));
        }
        while self.known.len() > KEPT {
            self.known.pop_first();
        }
        rows
    }
}

impl Hour {
    /// As the state keeps it.
    pub fn to_row(&self, hour: i64) -> LedgerHour {
        LedgerHour {
            hour,
            count: self.count,
            sum: self.sum.to_le_bytes(),
            sketch: Bytes::from(self.sketch.to_bytes()),
        }
    }

    /// What [`crate::Engine`] has written; `None` if that is damaged.
    pub fn from_row(row: &LedgerHour) -> Option<Self> {
        let sketch = Sketch::from_bytes(&row.sketch)?;
        Some(Self { count: row.count, sum: u128::from_le_bytes(row.sum), sketch })
    }
}

#[cfg(test)]
mod tests {
    use ev_core::EventDigest;

    use super::*;
    use crate::Identity;

    fn line(n: u8) -> Line {
        let second = i64::from(n % 2) * 3600;
        LedgerKey::new(&[3; 16]).line(&Identity::for_test(EventDigest([n; 16]), 0, second))
    }

    #[test]
    fn what_is_added_in_parts_and_over_restarts_is_the_whole() {
        let mut whole = Hours::default();
        (0..100).for_each(|n| whole.insert(&line(n)));
        whole.remove(&line(7));
        let expected = Ledger::new(&[3; 16]).merge(whole);

        let mut rows: BTreeMap<i64, LedgerHour> = BTreeMap::new();
        for part in 0..10 {
            // A new ledger is a restart.
            let mut ledger = Ledger::new(&[3; 16]);
            let mut hours = Hours::default();
            (part * 10..part * 10 + 10).for_each(|n| hours.insert(&line(n)));
            if part == 9 {
                hours.remove(&line(7));
            }
            for hour in ledger.unread(&hours) {
                ledger.read(hour, rows.get(&hour)).expect("rows as they were written");
            }
            assert_eq!(ledger.unread(&hours), Vec::<i64>::new());
            for row in ledger.merge(hours) {
                rows.insert(row.hour, row);
            }
        }
        assert_eq!(rows.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn less_than_nothing_begins_anew() {
        let mut hours = Hours::default();
        hours.remove(&line(0));
        let row = Ledger::new(&[3; 16]).merge(hours).remove(0);
        assert_eq!((row.count, row.sum), (0, [0; 16]));
    }

    #[test]
    fn a_damaged_row_is_noticed() {
        let mut hours = Hours::default();
        hours.insert(&line(0));
        let mut row = Ledger::new(&[3; 16]).merge(hours).remove(0);
        assert_eq!(Ledger::new(&[3; 16]).read(0, Some(&row)), Some(()));
        row.sketch.truncate(100);
        assert_eq!(Ledger::new(&[3; 16]).read(0, Some(&row)), None);
    }
}
