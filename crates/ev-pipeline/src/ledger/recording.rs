//! One session recording.

use ev_core::{SessionId, SessionLedger};

use super::LedgerKey;
use crate::Identity;

/// The events of a recording, as number, sum and last index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Number of events.
    pub count: u64,
    /// Sum of their keyed hashes, modulo 2^128.
    pub sum: u128,
    /// Highest index; -1 while there is none.
    pub last_index: i64,
    /// How often indexes are missing between two events, or in front of the first.
    pub gaps: u64,
}

impl Default for Recording {
    fn default() -> Self {
        Self { count: 0, sum: 0, last_index: -1, gaps: 0 }
    }
}

impl Recording {
    /// Adds an event.
    pub fn insert(&mut self, entry: &Entry) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(entry.sum);
        self.last_index = self.last_index.max(entry.index);
        self.gaps = self.gaps.wrapping_add(u64::from(entry.after_gap));
    }

    /// Adds all events of another part of the same recording.
    pub(crate) fn add(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
        self.last_index = self.last_index.max(other.last_index);
        self.gaps = self.gaps.wrapping_add(other.gaps);
    }

    /// As the state keeps it.
    pub fn to_row(self, session: SessionId, closed_seconds: Option<i64>) -> SessionLedger {
        SessionLedger {
            session,
            last_index: self.last_index,
            count: self.count,
            sum: self.sum.to_le_bytes(),
            gaps: self.gaps,
            closed_seconds,
        }
    }

    /// What [`crate::Engine`] has written.
    pub fn from_row(row: &SessionLedger) -> Self {
        Self {
            count: row.count,
            sum: u128::from_le_bytes(row.sum),
            last_index: row.last_index,
            gaps: row.gaps,
        }
    }
}

/// One event of a recording, as the ledger sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    sum: u128,
    index: i64,
    after_gap: bool,
}

/// Which index is due next in a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexes {
    next: i64,
}

impl Indexes {
    /// Behind what is in the ledger.
    pub fn behind(recording: &Recording) -> Self {
        Self { next: recording.last_index.saturating_add(1) }
    }

    /// The next event. Where nobody can tell its index, it is taken to be the one that is due.
    pub fn enter(&mut self, key: &LedgerKey, session: &SessionId, event: &Identity) -> Entry {
        let index = event.index.unwrap_or(self.next);
        let after_gap = index > self.next;
        self.next = self.next.max(index.saturating_add(1));
        Entry { sum: key.recorded(session, event.uid(), index), index, after_gap }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::EventDigest;

    use super::*;

    fn event(uid: Option<u8>, index: Option<i64>) -> Identity {
        let event = Identity::for_test(EventDigest([uid.unwrap_or(99); 16]), 0, 0);
        Identity { index, has_uid: uid.is_some(), ..event }
    }

    fn enter(due: &mut Indexes, n: u8, index: Option<i64>) -> Entry {
        let session = SessionId::try_new(b"s").expect("a valid session id");
        let uid = n.is_multiple_of(2).then_some(n);
        due.enter(&LedgerKey::new(&[7; 16]), &session, &event(uid, index))
    }

    fn read(indexes: &[Option<i64>]) -> Recording {
        let (mut recording, mut due) = (Recording::default(), Indexes::default());
        for (n, index) in (0..).zip(indexes) {
            recording.insert(&enter(&mut due, n, *index));
        }
        recording
    }

    #[test]
    fn each_place_where_indexes_are_missing_is_a_gap() {
        let check = |indexes: &[i64], gaps, last_index| {
            let some: Vec<_> = indexes.iter().copied().map(Some).collect();
            let recording = read(&some);
            assert_eq!((recording.gaps, recording.last_index), (gaps, last_index), "{indexes:?}");
            assert_eq!(recording.count, indexes.len() as u64);
        };
        check(&[], 0, -1);
        check(&[0, 1, 2], 0, 2);
        check(&[1, 2], 1, 2);
        check(&[0, 5, 6, 9], 2, 9);
        check(&[0, 1, 1, 0, 2], 0, 2);
        check(&[0, i64::MAX, i64::MAX], 1, i64::MAX);
        check(&[i64::MIN, 0], 0, 0);
    }

    #[test]
    fn an_event_whose_index_cannot_be_read_makes_no_gap() {
        let recording = read(&[Some(0), None, Some(2), None]);
        assert_eq!((recording.gaps, recording.last_index), (0, 3));
    }

    #[test]
    fn parts_are_the_whole_over_restarts_too() {
        let whole = read(&[Some(0), Some(1), Some(4), Some(5)]);
        let session = SessionId::try_new(b"s").expect("a valid session id");
        let mut row = Recording::default().to_row(session.clone(), None);
        for (n, index) in [(0, 0), (1, 1), (2, 4), (3, 5)] {
            let mut recording = Recording::from_row(&row);
            let mut part = Recording::default();
            part.insert(&enter(&mut Indexes::behind(&recording), n, Some(index)));
            recording.add(&part);
            row = recording.to_row(session.clone(), None);
        }
        assert_eq!(Recording::from_row(&row), whole);
    }

    #[test]
    fn another_uid_index_or_recording_is_a_difference() {
        let sum = |session: &[u8], uid: Option<u8>, index| {
            let session = SessionId::try_new(session).expect("a valid session id");
            let mut recording = Recording::default();
            let key = LedgerKey::new(&[7; 16]);
            recording.insert(&Indexes::default().enter(&key, &session, &event(uid, Some(index))));
            recording.sum
        };
        let sums = [
            sum(b"s", Some(1), 0),
            sum(b"s", Some(2), 0),
            sum(b"s", None, 0),
            sum(b"s", None, 1),
            sum(b"t", Some(1), 0),
        ];
        let different: std::collections::BTreeSet<_> = sums.into();
        assert_eq!(different.len(), sums.len());
    }
}
