//! The ledger: rows come back as they were given, in order, and change with the rest or not at all.

use bytes::Bytes;

use super::{Opened, window};
use crate::{
    Advance, Change, LedgerHour, SessionId, SessionLedger, StateError, StateStore, Token, Totals,
};

fn hour(hour: i64, count: u64) -> LedgerHour {
    let sketch = Bytes::from(vec![0xa5; 1536]);
    LedgerHour { hour, count, sum: [0xff; 16], sketch }
}

fn session(id: &str, closed_seconds: Option<i64>) -> SessionLedger {
    SessionLedger {
        session: SessionId::try_new(id.as_bytes()).expect("a valid session id"),
        last_index: 41,
        count: 40,
        sum: [1; 16],
        gaps: 2,
        closed_seconds,
    }
}

fn hours_of(opened: &Opened<'_>, hours: std::ops::Range<i64>) -> Vec<LedgerHour> {
    opened.store.ledger(&opened.sink, hours).expect("the ledger can be read")
}

fn one(opened: &Opened<'_>, id: &str) -> Option<SessionLedger> {
    let id = SessionId::try_new(id.as_bytes()).expect("a valid session id");
    opened.store.session_ledger(&opened.sink, &id).expect("the ledger can be read")
}

pub(super) fn hours_come_back_in_order(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    assert_eq!(hours_of(&opened, i64::MIN..i64::MAX), [], "a new state has no ledger");
    // The extremes of what a row can hold.
    let mut empty = hour(-1, 0);
    (empty.sum, empty.sketch) = ([0; 16], Bytes::new());
    let rows = [hour(472_223, 3), empty, hour(472_222, 1 << 62)];
    opened.commit(&Change { ledger: rows.to_vec(), ..Change::default() });
    let [third, first, second] = rows;
    opened.restart();
    let all = [first.clone(), second.clone(), third.clone()];
    assert_eq!(hours_of(&opened, i64::MIN..i64::MAX), all, "every row, in the order of hours");
    assert_eq!(hours_of(&opened, -1..472_223), [first, second], "the end is not in the range");
    assert_eq!(hours_of(&opened, 472_223..472_224), [third], "the start is");
    assert_eq!(hours_of(&opened, 0..472_222), [], "hours without a row are left out");
    assert_eq!(hours_of(&opened, 5..5), [], "nothing in an empty range");
}

pub(super) fn a_row_replaces_the_one_before(store: &dyn StateStore) {
    let opened = Opened::new(store);
    let first = hour(10, 1);
    let last =
        LedgerHour { hour: 10, count: 0, sum: [3; 16], sketch: Bytes::from_static(b"another") };
    opened.commit(&Change { ledger: vec![hour(11, 9), first], ..Change::default() });
    opened.commit(&Change { ledger: vec![hour(10, 7), last.clone()], ..Change::default() });
    assert_eq!(hours_of(&opened, 10..11), [last], "whole rows are set, and the last one counts");
    assert_eq!(hours_of(&opened, 11..12), [hour(11, 9)], "other hours are left alone");

    let first = session("a", None);
    let last = SessionLedger {
        last_index: -1,
        count: 0,
        sum: [0; 16],
        gaps: 0,
        ..session("a", Some(i64::MIN))
    };
    opened.commit(&Change { session_ledger: vec![first.clone()], ..Change::default() });
    assert_eq!(one(&opened, "a"), Some(first), "a recording that is being read");
    opened.commit(&Change { session_ledger: vec![last.clone()], ..Change::default() });
    assert_eq!(one(&opened, "a"), Some(last), "whole rows are set, and the last one counts");
}

pub(super) fn sessions_are_found_by_their_id(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    assert_eq!(one(&opened, "a"), None, "a new state has no ledger");
    let rows = [session("a", Some(200)), session("open", None), session("old", Some(-1))];
    opened.commit(&Change { session_ledger: rows.to_vec(), ..Change::default() });
    opened.restart();
    for row in rows {
        assert_eq!(one(&opened, row.session.as_str()), Some(row), "found by its id");
    }
    assert_eq!(one(&opened, "ope"), None, "by the whole of it");
}

pub(super) fn it_changes_with_the_rest_or_not_at_all(store: &dyn StateStore) {
    let first = Opened::new(store);
    let second = Opened::new(store);
    let change = Change {
        ledger: vec![hour(1, 1)],
        session_ledger: vec![session("a", Some(1))],
        totals: Some(Totals { passed: 1, delivered: 1, ..Totals::default() }),
        ..Change::default()
    };
    let error = first.refused(&change);
    assert!(matches!(error, StateError::Fenced { .. }), "a stale epoch: {error:?}");
    let token = Token { road: crate::Road::Typed, format: 1, bytes: Bytes::new() };
    let advance = vec![Advance { lane: window(7), token, page: 1 }];
    let error = second.refused(&Change { advance, ..change.clone() });
    assert!(matches!(error, StateError::Refused { .. }), "a lane that is not there: {error:?}");
    assert_eq!(hours_of(&second, i64::MIN..i64::MAX), [], "a refused change writes no hour");
    assert_eq!(one(&second, "a"), None, "nor a recording");
    second.commit(&change);
    assert_eq!(hours_of(&second, 1..2), change.ledger);
}

pub(super) fn each_sink_has_its_own(store: &dyn StateStore) {
    let (first, second) = (Opened::named(store, "first"), Opened::named(store, "second"));
    for (opened, count) in [(&first, 1), (&second, 2)] {
        let mut row = session("a", Some(5));
        row.count = count;
        let change =
            Change { ledger: vec![hour(1, count)], session_ledger: vec![row], ..Change::default() };
        opened.commit(&change);
    }
    for (opened, count) in [(&first, 1), (&second, 2)] {
        assert_eq!(hours_of(opened, 0..9), [hour(1, count)], "each sink has its own hours");
        assert_eq!(one(opened, "a").map(|row| row.count), Some(count), "and its own recordings");
    }
    let nobody = Opened { sink: crate::SinkId("nobody".to_owned()), ..first };
    assert_eq!(hours_of(&nobody, 0..9), [], "a sink nobody opened has none");
    assert_eq!(one(&nobody, "a"), None);
}
