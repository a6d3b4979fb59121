//! A state that begins with what is known from elsewhere.

use ev_core::testing::state::{claim, window};
use ev_core::{
    Change, Claim, EventDigest, KnownQuery, LaneId, Road, SessionId, Settle, SinkId, StateStore,
    Timestamp, Token,
};
use ev_state::{LaneFacts, SqliteStore, StateReader, TakenOver};

fn token(name: &'static str) -> Token {
    Token { road: Road::Typed, format: 1, bytes: name.into() }
}

fn digest(n: u8) -> EventDigest {
    EventDigest([n; 16])
}

fn taken() -> Change {
    let settle =
        Settle { lane: window(0), page: 0, inner: vec![digest(1)], border: vec![digest(2)] };
    Change {
        open: vec![(window(0), token("done")), (window(60), token("live"))],
        settle: vec![settle],
        done: vec![window(0)],
        ..Change::default()
    }
}

fn started(second: i64) -> Claim {
    Claim { start_time: Timestamp::new(second, 0), ..claim("main") }
}

fn taken_over(second: i64) -> TakenOver {
    let at = |second| Timestamp::new(second, 0);
    TakenOver { known_from: at(second + 100), place: at(second + 200) }
}

#[test]
fn the_ledger_tells_what_somebody_else_has_delivered() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    store.begin(&started(7), taken_over(7), |_| taken()).expect("a blank state");
    drop(store);
    let facts = || {
        let state = StateReader::open(storage.path()).expect("it is there");
        let facts = state.ledger_facts(&claim("main").sink).expect("readable").expect("a ledger");
        (facts.start_seconds, facts.known_from_seconds, facts.taken_over_seconds)
    };
    assert_eq!(facts(), (7, 107, Some(207)));

    // A sink that was never anybody else's.
    let store = SqliteStore::open(storage.path()).expect("it opens");
    let other = Claim { sink: SinkId("other".into()), ..started(9) };
    store.open_sink(&other).expect("opens");
    let state = StateReader::open(storage.path()).expect("it is there");
    let facts = state.ledger_facts(&other.sink).expect("readable").expect("a ledger");
    assert_eq!((facts.known_from_seconds, facts.taken_over_seconds), (9, None));
}

#[test]
fn all_of_it_is_there_once() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    let sink = claim("main").sink;
    assert!(store.is_blank(&sink).expect("readable"));
    // A first start that was killed before it had read anything.
    store.open_sink(&started(999)).expect("opens");
    assert!(store.is_blank(&sink).expect("readable"));

    let mut key = [0; 16];
    let begun = store.begin(&started(-5), taken_over(-5), |ledger_key| {
        key = *ledger_key;
        taken()
    });
    assert!(begun.expect("it is blank"));
    assert!(!store.is_blank(&sink).expect("readable"));
    let other = Change { open: vec![(window(120), token("other"))], ..Change::default() };
    assert!(!store.begin(&started(7), taken_over(7), |_| other).expect("it is not blank"));

    let snapshot = store.open_sink(&started(7)).expect("opens");
    assert_eq!(snapshot.ledger_key, key);
    assert_eq!(snapshot.start_time, Timestamp::new(-5, 0), "that of the one that began it");
    let lanes: Vec<_> = snapshot.lanes.iter().map(|row| (row.lane.clone(), row.done)).collect();
    assert_eq!(lanes, [(window(0), true), (window(60), false)]);
    let query = KnownQuery {
        window: Some(60),
        neighbours: vec![0],
        others: Vec::new(),
        digests: [1, 2, 3].map(digest).to_vec(),
        page: 0,
    };
    let known = store.known(&sink, &query).expect("readable").known;
    assert_eq!(known, [false, true, false], "what stands at the border, for the neighbour");

    let sinks = StateReader::open(storage.path()).expect("beside it").sinks().expect("readable");
    assert_eq!((sinks.len(), sinks[0].name.as_str()), (1, "main"));
    assert_eq!(sinks[0].start_time, Timestamp::new(-5, 0));
    let done = LaneFacts { lane: window(0), token: token("done"), done: true, known: 2 };
    assert_eq!(sinks[0].lanes[0], done);
    assert_eq!((sinks[0].lanes[1].done, sinks[0].lanes[1].known), (false, 0));
}

#[test]
fn what_cannot_be_written_whole_is_not_begun() {
    let store = SqliteStore::in_memory().expect("memory is there");
    let mut broken = taken();
    let session = SessionId::try_new(b"s").expect("a valid id");
    broken.done.push(LaneId::Session(session));
    store.begin(&started(5), taken_over(5), |_| broken).expect_err("a lane that is not there");
    assert!(store.is_blank(&SinkId("main".into())).expect("readable"));
    let snapshot = store.open_sink(&started(9)).expect("opens");
    assert_eq!((snapshot.lanes.len(), snapshot.start_time), (0, Timestamp::new(9, 0)));
}

#[test]
fn a_state_of_another_cluster_is_refused() {
    let store = SqliteStore::in_memory().expect("memory is there");
    store.open_sink(&claim("main")).expect("opens");
    let other = Claim { cluster: "other.example.com".into(), ..claim("main") };
    store.begin(&other, taken_over(5), |_| taken()).expect_err("it belongs to another cluster");
    assert!(store.is_blank(&claim("main").sink).expect("readable"));
}
