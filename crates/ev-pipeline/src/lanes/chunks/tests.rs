use bytes::Bytes;
use ev_core::{Change, EventDigest, LaneId, LaneRow, Road, Timestamp, Token, Totals};

use crate::identity::Identity;
use crate::lanes::LaneBook;
use crate::ledger::{Ledger, LedgerKey};
use crate::tally::Settled;

const DATE: &str = "2026-11-18";

fn chunk(date: &str, chunk: &str) -> LaneId {
    LaneId::Chunk { date: date.to_owned(), chunk: chunk.to_owned() }
}

fn token(text: &str) -> Token {
    Token { road: Road::Export, format: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn digest(n: u8) -> EventDigest {
    EventDigest([n; 16])
}

fn change(book: &mut LaneBook) -> Change {
    let mut change = Change::default();
    book.take_change(&mut change, &mut Totals::default(), 9);
    change
}

#[test]
fn the_events_of_a_chunk_are_counted_once_and_known_by_their_ids() {
    let lane = chunk(DATE, "a");
    let mut book = LaneBook::default();
    book.open(lane.clone(), token(""));
    let key = book.key(&lane).unwrap();
    let slots: Vec<_> = (1..=4)
        .map(|n| {
            let slot = book.take(key, digest(n), Timestamp::new(7200, 0)).unwrap();
            if n % 2 == 0 {
                book.mark(key, token(&n.to_string()));
            }
            slot.prove(LedgerKey::new(&[7; 16]).line(&Identity::for_test(digest(n), 0, 7200)))
        })
        .collect();
    for n in [0, 2, 3] {
        book.settle(slots[n], Settled::Filtered);
    }
    let (mut first, mut totals) = (Change::default(), Totals::default());
    let beside = book.take_change(&mut first, &mut totals, 9);
    assert_eq!((totals.passed, totals.filtered), (3, 3));
    let rows = Ledger::new(&[7; 16]).merge(beside.hours);
    assert_eq!(rows.iter().map(|row| (row.hour, row.count)).collect::<Vec<_>>(), [(2, 3)]);
    assert_eq!(first.advance, [], "the second event is not settled");
    let ids: Vec<_> = first.settle.iter().flat_map(|settle| settle.inner.clone()).collect();
    assert_eq!(ids, [digest(1), digest(3), digest(4)]);

    // After a crash here the settled ones are known.
    let row = LaneRow { lane: lane.clone(), token: token(""), page: 0, done: false, recent: ids };
    let mut again = LaneBook::restore(&[row]);
    let key = again.key(&lane).unwrap();
    let known = [1, 2, 3, 4].map(|n| again.recognise(key, &digest(n)));
    assert_eq!(known, [true, false, true, true]);

    book.settle(slots[1], Settled::Filtered);
    book.end(&lane);
    let (mut last, mut totals) = (Change::default(), Totals::default());
    book.take_change(&mut last, &mut totals, 9);
    assert_eq!((totals.passed, totals.sessions), (1, 0), "a chunk is no recording");
    assert_eq!((last.advance.len(), last.done), (1, vec![lane]));
    assert_eq!(last.forget, [], "it is known until its date is given up");
}

#[test]
fn a_date_is_forgotten_as_a_whole() {
    let (date, a, b) = (chunk(DATE, ""), chunk(DATE, "a"), chunk(DATE, "b"));
    let row = |lane: &LaneId, done| LaneRow {
        lane: lane.clone(),
        token: token("t"),
        page: 0,
        done,
        recent: vec![],
    };
    let rows = [row(&date, false), row(&a, true), row(&chunk("2026-11-19", "a"), true)];
    let mut book = LaneBook::restore(&rows);
    assert_eq!(book.unfinished(), [(date.clone(), token("t"))]);
    let told: Vec<_> = LaneBook::done_chunks(&rows).collect();
    assert_eq!(told, [(a.clone(), token("t")), (chunk("2026-11-19", "a"), token("t"))]);

    book.open(b.clone(), token("0"));
    let slot = book.take(book.key(&b).unwrap(), digest(1), Timestamp::new(0, 0)).unwrap();
    book.end(&b);
    book.end(&date);
    book.retire(&date);
    let early = change(&mut book);
    assert_eq!((early.done, early.forget), (vec![], vec![]), "an event of it is not settled");
    book.settle(slot, Settled::Filtered);
    let late = change(&mut book);
    assert_eq!(late.done, std::slice::from_ref(&b));
    assert_eq!(late.forget, [a, b, date], "in one step");
    assert_eq!(change(&mut book), Change::default());
}

#[test]
fn nothing_is_left_when_only_dates_are_open() {
    let (date, a) = (chunk(DATE, ""), chunk(DATE, "a"));
    let mut book = LaneBook::default();
    book.open(date, token("t"));
    assert!(book.only_live_left(|_| false));
    book.open(a.clone(), token("t"));
    assert!(!book.only_live_left(|_| false));
    let slot = book.take(book.key(&a).unwrap(), digest(1), Timestamp::new(0, 0)).unwrap();
    book.end(&a);
    assert!(!book.only_live_left(|_| false), "its event is not settled");
    book.settle(slot, Settled::Filtered);
    assert!(book.only_live_left(|_| false));
}

#[test]
fn what_a_commit_looks_at_does_not_grow_with_the_chunks_that_are_done() {
    let mut book = LaneBook::default();
    book.open(chunk(DATE, ""), token("t"));
    for n in 0..10_000 {
        let lane = chunk(DATE, &n.to_string());
        book.open(lane.clone(), token("t"));
        book.end(&lane);
        assert_eq!(change(&mut book).done, [lane]);
        assert_eq!(book.lanes.len(), 1, "the date alone");
    }
    book.end(&chunk(DATE, ""));
    book.retire(&chunk(DATE, ""));
    assert_eq!(change(&mut book).forget.len(), 10_001);
    assert!(book.lanes.is_empty() && book.by_id.is_empty());
}
