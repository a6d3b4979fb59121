//! Session recordings against the rows that the ledger has for them.

use std::collections::BTreeSet;

use ev_core::{Credit, LaneId, Page, SessionId, SessionLedger, Source as _, SourceEvent};
use ev_pipeline::Identity;
use ev_pipeline::ledger::{Indexes, LedgerKey, Recording};
use ev_source::SearchSource;

use super::verdict::Verdict;
use crate::start::Error;

/// What Auth has of a recording.
#[derive(Debug)]
pub(super) struct Reading {
    key: LedgerKey,
    session: SessionId,
    recording: Recording,
    due: Indexes,
    /// Why it could not be read to its end.
    broken: Option<String>,
}

impl Reading {
    fn new(key: LedgerKey, session: SessionId) -> Self {
        let (recording, due) = (Recording::default(), Indexes::default());
        Self { key, session, recording, due, broken: None }
    }

    /// Reads a recording once, from its beginning.
    ///
    /// # Errors
    ///
    /// What waiting cannot mend.
    pub(super) async fn of(
        session: &SessionId,
        key: LedgerKey,
        source: &mut SearchSource,
    ) -> Result<Self, Error> {
        let mut reading = Self::new(key, session.clone());
        let lane = LaneId::Session(session.clone());
        source.open(&lane, None);
        loop {
            match source.next(Credit { pages: 1 }).await? {
                SourceEvent::Page(page) if page.lane == lane => reading.page(&page),
                SourceEvent::Lanes(lanes) if lanes.ended.contains(&lane) => return Ok(reading),
                SourceEvent::Stopped(stopped) if stopped.lane == lane => {
                    source.close(&lane);
                    reading.broken = Some(stopped.reason);
                    return Ok(reading);
                }
                _ => {}
            }
        }
    }

    fn page(&mut self, page: &Page) {
        for event in &page.events {
            // Nothing in it needs a decoder: what has no uid is told apart by its place.
            self.add(&Identity::of(event, None));
        }
    }

    fn add(&mut self, event: &Identity) {
        self.recording.insert(&self.due.enter(&self.key, &self.session, event));
    }

    /// Holds it against the row of the ledger. `closed`: the hour of its announcement is;
    /// `is_read`: more of it may still come.
    pub(super) fn compare(
        self,
        row: Option<&SessionLedger>,
        closed: bool,
        is_read: bool,
    ) -> Compared {
        let Self { session, recording: auth, broken, .. } = self;
        let ledger = row.map(Recording::from_row);
        let verdict = match row {
            None if !closed => Verdict::Open,
            None => Verdict::NoRow,
            Some(SessionLedger { closed_seconds: None, .. }) if is_read => Verdict::Open,
            Some(_) if broken.is_some() => Verdict::Unproved,
            Some(_) if ledger == Some(auth) => Verdict::Equal,
            Some(_) => Verdict::Differs,
        };
        Compared { session, verdict, auth, ledger, broken }
    }
}

/// What came out for one recording.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) session: SessionId,
    pub(super) verdict: Verdict,
    pub(super) auth: Recording,
    pub(super) ledger: Option<Recording>,
    /// Why Auth could not send all of it.
    pub(super) broken: Option<String>,
}

/// The recordings that are announced in a span, each once.
#[derive(Debug, Default)]
pub(super) struct Announced {
    seen: BTreeSet<SessionId>,
    new: Vec<(SessionId, i64)>,
}

impl Announced {
    /// Adds one that is announced by an event of that second.
    pub(super) fn add(&mut self, session: SessionId, second: i64) {
        if self.seen.insert(session.clone()) {
            self.new.push((session, second));
        }
    }

    /// Those that came since the last call, with the second of the announcement.
    pub(super) fn take(&mut self) -> Vec<(SessionId, i64)> {
        std::mem::take(&mut self.new)
    }
}

#[cfg(test)]
mod tests {
    use ev_core::{EventDigest, Timestamp};

    use super::*;

    fn session() -> SessionId {
        SessionId::try_new(b"s-1").expect("a valid session id")
    }

    fn reading(indexes: impl IntoIterator<Item = u8>) -> Reading {
        let mut reading = Reading::new(LedgerKey::new(&[3; 16]), session());
        for index in indexes {
            let (digest, time) = (EventDigest([index; 16]), Timestamp::EPOCH);
            reading.add(&Identity { digest, time, index: Some(index.into()), has_uid: true });
        }
        reading
    }

    /// What a handler has that settled these.
    fn row(indexes: impl IntoIterator<Item = u8>, closed_seconds: Option<i64>) -> SessionLedger {
        reading(indexes).recording.to_row(session(), closed_seconds)
    }

    #[test]
    fn a_recording_is_equal_if_number_sum_and_last_index_are() {
        let check = |row: &SessionLedger, expected| {
            assert_eq!(reading(0..5).compare(Some(row), true, false).verdict, expected, "{row:?}");
        };
        let good = row(0..5, Some(9));
        check(&good, Verdict::Equal);
        check(&row(0..4, Some(9)), Verdict::Differs);
        check(&row([0, 1, 2, 3, 3], Some(9)), Verdict::Differs);
        check(&SessionLedger { sum: [0; 16], ..good.clone() }, Verdict::Differs);
        check(&SessionLedger { last_index: 5, ..good.clone() }, Verdict::Differs);
        check(&SessionLedger { count: 6, ..good }, Verdict::Differs);
    }

    #[test]
    fn what_was_not_read_to_its_end_is_open() {
        let open = reading(0..5).compare(Some(&row(0..2, None)), true, true);
        assert_eq!(open.verdict, Verdict::Open);
        assert_eq!(reading(0..5).compare(None, false, false).verdict, Verdict::Open);
        assert_eq!(reading(0..5).compare(None, true, false).verdict, Verdict::NoRow);
    }

    #[test]
    fn what_was_given_up_is_no_longer_open() {
        let compare = |row| reading(0..5).compare(Some(&row), true, false).verdict;
        assert_eq!(compare(row(0..2, None)), Verdict::Differs);
        assert_eq!(compare(row(0..5, None)), Verdict::Equal);
    }

    #[test]
    fn what_cannot_be_read_is_unproved() {
        let mut broken = reading(0..2);
        broken.broken = Some("not found".to_owned());
        assert_eq!(
            broken.compare(Some(&row(0..5, Some(9))), true, false).verdict,
            Verdict::Unproved
        );
    }

    #[test]
    fn a_recording_that_is_announced_twice_is_read_once() {
        let mut announced = Announced::default();
        announced.add(session(), 5);
        announced.add(session(), 5);
        assert_eq!(announced.take(), [(session(), 5)]);
        announced.add(session(), 5);
        assert_eq!(announced.take(), []);
    }
}
