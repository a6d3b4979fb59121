//! What a plan writes.

use std::collections::BTreeSet;

use ev_core::{KnownQuery, SinkId, StateStore as _, Token};
use ev_reference_state::MissingRecording;
use ev_state::SqliteStore;

use super::*;

const HOUR: i64 = 3600;
const NOW: i64 = 100 * HOUR;

fn entry(second: i64, name: u32) -> Entry {
    let mut digest = [0; 16];
    digest[..4].copy_from_slice(&name.to_be_bytes());
    let identity = Identity {
        digest: EventDigest(digest),
        time: Timestamp::new(second, 0),
        index: Some(0),
        has_uid: true,
    };
    Entry { identity, is_of_type: true }
}

fn plan(state: &State, proven: Proven) -> Plan<'_> {
    Plan { state, proven, start_time: 50 * HOUR, road: Road::Typed, now: NOW }
}

fn everything(from: i64, to: i64, entries: Vec<Entry>) -> Proven {
    Proven::Everything(Delivered { from, to, entries })
}

fn place(lane: &LaneId, token: &Token) -> SearchPlace {
    SearchPlace::of(lane, token).expect("our own")
}

fn session(id: &str) -> SessionId {
    SessionId::try_new(id.as_bytes()).expect("a valid id")
}

/// A state that was begun with a plan.
fn begun(plan: &Plan<'_>) -> SqliteStore {
    let store = SqliteStore::in_memory().expect("memory is there");
    let claim = ev_core::Claim {
        sink: SinkId("s".into()),
        cluster: "c".into(),
        flavour: None,
        start_time: Timestamp::new(plan.start_time, 0),
    };
    assert!(
        store.begin(&claim, plan.taken_over(), |key| plan.change(&[], key)).expect("a blank state")
    );
    store
}

#[test]
fn a_window_that_was_read_and_an_open_one_behind_it() {
    let state = State::default();
    let (from, to) = (90 * HOUR, 99 * HOUR + 7);
    let change = plan(&state, everything(from, to, Vec::new())).change(&[], &[0; 16]);
    let window = |start, end, asked_from| SearchPlace::Window {
        start,
        end,
        asked_from,
        types: Vec::new(),
        key: String::new(),
        opened: Some(NOW),
    };
    let opened: Vec<_> = change.open.iter().map(|(lane, token)| place(lane, token)).collect();
    assert_eq!(opened, [window(from, Some(to), from - 2), window(to, None, to - 2)]);
    assert_eq!(change.done, [LaneId::Window { start: from, pass: 0 }]);

    // At the start time nothing in front of it is asked for.
    let change = plan(&state, everything(50 * HOUR, to, Vec::new())).change(&[], &[0; 16]);
    let (lane, token) = &change.open[0];
    assert_eq!(place(lane, token), window(50 * HOUR, Some(to), 50 * HOUR));
}

#[test]
fn the_open_window_knows_what_it_reads_again() {
    let state = State::default();
    let (from, to) = (90 * HOUR, 99 * HOUR);
    let entries = vec![
        entry(from - 3, 1),
        entry(from + 100, 2),
        entry(to - 2, 3),
        // Stored late: it stands where the open window begins.
        entry(from + 200, 4),
        entry(to, 5),
    ];
    let store = begun(&plan(&state, everything(from, to, entries.clone())));
    let digests: Vec<EventDigest> = entries.iter().map(|entry| entry.identity.digest).collect();
    let known = |window, neighbours: &[i64]| {
        let query = KnownQuery {
            window: Some(window),
            neighbours: neighbours.to_vec(),
            others: Vec::new(),
            digests: digests.clone(),
            page: 0,
        };
        store.known(&SinkId("s".into()), &query).expect("readable").known
    };
    assert_eq!(known(to, &[from]), [true, false, true, true, true]);
    assert_eq!(known(from, &[to]), [true; 5], "and reading again knows all");
}

#[test]
fn a_place_just_behind_the_start_needs_one_window_alone() {
    let state = State::default();
    let start = 50 * HOUR;
    let proven = everything(start, start + 9, vec![entry(start, 1), entry(start + 9, 2)]);
    let store = begun(&plan(&state, proven));
    let claim = ev_core::Claim {
        sink: SinkId("s".into()),
        cluster: "c".into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    let snapshot = store.open_sink(&claim).expect("opens");
    assert_eq!(snapshot.start_time, Timestamp::new(start, 0));
    assert_eq!(snapshot.lanes.len(), 1);
    assert!(!snapshot.lanes[0].done);
    assert_eq!(snapshot.lanes[0].recent.len(), 2);
}

#[test]
fn ids_are_stored_in_rows_of_some_size() {
    let state = State::default();
    let (from, to) = (90 * HOUR, 99 * HOUR);
    let entries = (0..25_000).map(|n| entry(from + 100 + i64::from(n) / 10, n)).collect();
    let change = plan(&state, everything(from, to, entries)).change(&[], &[0; 16]);
    let rows: Vec<_> = change.settle.iter().map(|row| (row.page, row.inner.len())).collect();
    assert_eq!(rows, [(0, 10_000), (1, 10_000), (2, 5_000)]);
}

#[test]
fn whole_hours_are_in_the_ledger() {
    let state = State::default();
    let (from, to) = (90 * HOUR, 92 * HOUR + 7);
    let mut other = entry(from + 1, 9);
    other.is_of_type = false;
    let entries =
        vec![entry(from - 1, 1), entry(from, 2), entry(from + 5, 3), entry(92 * HOUR, 4), other];
    let rows = |start, from| {
        let mut plan = plan(&state, everything(from, to, entries.clone()));
        plan.start_time = start;
        let ledger = plan.change(&[], &[7; 16]).ledger;
        ledger.iter().map(|row| (row.hour, row.count)).collect::<Vec<_>>()
    };
    assert_eq!(rows(50 * HOUR, from), [(90, 2), (92, 1)]);
    assert_eq!(rows(50 * HOUR, from + 3), [(92, 1)], "of this one not everything is known");
    assert_eq!(rows(from + 3, from + 3), [(90, 1), (92, 1)], "the rest is not wanted");
}

#[test]
fn recordings_go_on_at_their_index() {
    let missing = |index| MissingRecording { index, attempt: 1, uploaded: None };
    let state = State {
        sessions: BTreeMap::from([(session("a"), 25), (session("b"), 0), (session("c"), 9)]),
        missing: BTreeMap::from([(session("c"), missing(3)), (session("d"), missing(0))]),
        ..State::default()
    };
    let change = plan(&state, Proven::Nothing(String::new())).change(&[], &[0; 16]);
    let opened: Vec<_> = change.open.iter().map(|(lane, token)| place(lane, token)).collect();
    let recording =
        |id: &str, index| SearchPlace::Recording { session: session(id), index, skip: 0 };
    let expected = [recording("a", 25), recording("b", 0), recording("c", 3), recording("d", 0)];
    assert_eq!(opened, expected);
    let begun: BTreeSet<_> = change.advance.iter().map(|one| one.lane.to_string()).collect();
    assert_eq!(begun, ["session/a", "session/c"].map(str::to_owned).into());
}

#[test]
fn without_a_proof_reading_begins_at_the_window_or_the_start() {
    let state = State { window_time: Some(70 * HOUR), ..State::default() };
    let change = plan(&state, Proven::Nothing(String::new())).change(&[], &[0; 16]);
    let (lane, token) = &change.open[0];
    let SearchPlace::Window { start, end, asked_from, .. } = place(lane, token) else {
        panic!("a window")
    };
    assert_eq!((start, end, asked_from), (70 * HOUR, None, 70 * HOUR));
    let change = plan(&State::default(), Proven::Nothing(String::new())).change(&[], &[0; 16]);
    assert_eq!(change, Change::default());
}

#[test]
fn chunks_stand_as_they_are_and_their_events_are_known() {
    let date = |text: &str| ev_core::Date::parse(text).expect("a date");
    let (first, second) = (date("2026-11-17"), date("2026-11-18"));
    let chunks = Chunks {
        completed: ["a".to_owned()].into(),
        partial: [("b".to_owned(), "o20".to_owned())].into(),
    };
    let state = State {
        dates: BTreeMap::from([(first, chunks), (second, Chunks::default())]),
        // Older than what the export did.
        window_time: Some(70 * HOUR),
        ..State::default()
    };
    let second_of = first.start() + 5;
    let told = Told::from([
        ((first, "a".to_owned()), vec![entry(second_of, 1), entry(second_of, 2)]),
        ((first, "b".to_owned()), vec![entry(second_of, 3)]),
    ]);
    let plan = plan(&state, Proven::Chunks(told));
    let store = begun(&plan);
    let claim = ev_core::Claim {
        sink: SinkId("s".into()),
        cluster: "c".into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    let snapshot = store.open_sink(&claim).expect("opens");
    let lanes: Vec<_> =
        snapshot.lanes.iter().map(|row| (row.lane.to_string(), row.done, row.page)).collect();
    let lane = |name: &str, done, page| (format!("chunk/2026-11-{name}"), done, page);
    assert_eq!(
        lanes,
        [
            lane("17/", false, 0),
            lane("17/a", true, 0),
            lane("17/b", false, 1),
            lane("18/", false, 0)
        ]
    );
    assert!(snapshot.lanes.iter().all(|row| row.recent.is_empty()), "the cursor is behind them");
    let partial = &snapshot.lanes[2];
    let place = ExportPlace::of(&partial.lane, &partial.token).expect("our own");
    let ExportPlace::Chunk { cursor, from, .. } = place else { panic!("a chunk") };
    assert_eq!((cursor.as_str(), from), ("o20", 50 * HOUR));
    let query = KnownQuery {
        window: None,
        neighbours: Vec::new(),
        others: snapshot.lanes.iter().map(|row| row.lane.clone()).collect(),
        digests: (1..=4).map(|name| entry(0, name).identity.digest).collect(),
        page: 0,
    };
    let known = store.known(&SinkId("s".into()), &query).expect("readable").known;
    assert_eq!(known, [true, true, true, false]);
    let hour = second_of.div_euclid(HOUR);
    let rows = store.ledger(&SinkId("s".into()), hour..hour + 1).expect("readable");
    assert_eq!(rows[0].count, 3);
}
