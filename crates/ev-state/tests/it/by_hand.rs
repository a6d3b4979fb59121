//! What an operator does to parked events, and looking at them beside a running handler.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ev_core::testing::state::{claim, everything, parked, window};
use ev_core::{
    Attempt, Change, Claim, Flavour, ParkReason, ParkedId, SinkId, StateError, StateStore,
    Timestamp, Totals,
};
use ev_state::{Dropped, SqliteStore, StateReader};

use crate::database;

/// A state with `count` events of 100 bytes parked for `sink`.
fn park(store: &SqliteStore, sink: &str, count: u8) -> SinkId {
    let id = claim(sink).sink;
    let epoch = store.open_sink(&claim(sink)).expect("opens").epoch;
    let park = (1..=count)
        .map(|byte| {
            let mut event = parked(&window(0), byte);
            event.bytes = Bytes::from(vec![byte; 100]);
            event
        })
        .collect();
    let totals = Totals {
        passed: 10 + u64::from(count),
        delivered: 10,
        parked: count.into(),
        ..Totals::default()
    };
    let change = Change { park, totals: Some(totals), ..Change::default() };
    store.commit(&id, epoch, &change).expect("commits");
    id
}

fn ids(store: &SqliteStore, sink: &SinkId) -> Vec<ParkedId> {
    store.parked(sink, &everything()).expect("readable").iter().map(|row| row.id).collect()
}

fn opened() -> (tempfile::TempDir, SqliteStore) {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    (storage, store)
}

#[test]
fn what_is_dropped_is_gone_and_accounted_for() {
    let (storage, store) = opened();
    let (main, second) = (park(&store, "main", 5), park(&store, "second", 2));
    let (ours, theirs) = (ids(&store, &main), ids(&store, &second));
    // Of both sinks in one go.
    let dropped = store.drop_parked(&[ours[0], ours[3], theirs[1]]).expect("they are there");
    assert_eq!(dropped, Dropped { events: 3, bytes: 300 });
    drop(store);
    let store = SqliteStore::open(storage.path()).expect("opens again");
    assert_eq!(ids(&store, &main), [ours[1], ours[2], ours[4]]);
    assert_eq!(ids(&store, &second), [theirs[0]]);
    for (sink, parked, dropped) in [("main", 3, 2), ("second", 1, 1)] {
        let snapshot = store.open_sink(&claim(sink)).expect("opens");
        assert_eq!((snapshot.totals.parked, snapshot.totals.dropped), (parked, dropped), "{sink}");
        assert!(snapshot.totals.balances(), "{sink}: {:?}", snapshot.totals);
        assert_eq!(snapshot.parked_bytes, parked * 100, "{sink}");
    }
}

/// A sum that is wrong already is not made impossible, or the state would not open again.
#[test]
fn dropping_more_than_was_counted_leaves_no_sum_below_zero() {
    let (_storage, store) = opened();
    let sink = park(&store, "main", 3);
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let totals = Totals { passed: 1, parked: 1, ..Totals::default() };
    let change = Change { totals: Some(totals), ..Change::default() };
    store.commit(&sink, epoch, &change).expect("commits");
    store.drop_parked(&ids(&store, &sink)).expect("they are there");
    let totals = store.open_sink(&claim("main")).expect("opens").totals;
    assert_eq!((totals.parked, totals.dropped), (0, 1));
    assert!(totals.balances());
}

#[test]
fn one_that_is_not_there_stops_all() {
    let (_storage, store) = opened();
    let sink = park(&store, "main", 3);
    let before = store.parked(&sink, &everything()).expect("readable");
    let all = [before[0].id, ParkedId(9_999), before[1].id];
    for error in [
        store.drop_parked(&all).expect_err("one is not there"),
        store.drop_parked(&[before[0].id, before[0].id]).expect_err("it is gone the second time"),
        store.retry_parked(&all).expect_err("one is not there"),
    ] {
        assert!(matches!(error, StateError::Refused { .. }), "{error:?}");
        assert!(error.to_string().starts_with("there is no parked event "), "{error}");
    }
    assert_eq!(store.parked(&sink, &everything()).expect("readable"), before);
    let totals = store.open_sink(&claim("main")).expect("opens").totals;
    assert_eq!((totals.parked, totals.dropped), (3, 0));
}

#[test]
fn a_retry_forgets_the_decoder_and_nothing_else() {
    let (_storage, store) = opened();
    let sink = park(&store, "main", 2);
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let id = ids(&store, &sink)[0];
    let attempt = Attempt {
        id,
        reason: ParkReason::DecoderFailed,
        detail: "trapped".to_owned(),
        decoder: "module 18".to_owned(),
        at: Timestamp::new(7, 0),
    };
    let change = Change { attempt: vec![attempt], ..Change::default() };
    store.commit(&sink, epoch, &change).expect("commits");
    let mut expected = store.parked(&sink, &everything()).expect("readable");
    store.retry_parked(&[id]).expect("it is there");
    expected[0].event.decoder.clear();
    assert_eq!(store.parked(&sink, &everything()).expect("readable"), expected);
    let groups = store.parked_groups(&sink).expect("readable");
    assert!(groups.iter().any(|(group, _)| group.decoder.is_empty()), "{groups:?}");
}

/// Files of the state, without the index of the log.
fn files(storage: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = ["lock", "state.db", "state.db-wal"]
        .into_iter()
        .filter_map(|name| {
            let content = fs::read(storage.join("ev-state").join(name)).ok()?;
            // Opening a database in this mode makes an empty log.
            (name != "state.db-wal" || !content.is_empty()).then(|| (name.to_owned(), content))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_reader_sees_what_is_committed_while_the_handler_runs() {
    let (storage, store) = opened();
    let sink = park(&store, "main", 3);
    let reader = StateReader::open(storage.path()).expect("no lock is needed");
    let found = reader.parked(None, 100).expect("readable");
    let rows = store.parked(&sink, &everything()).expect("readable");
    assert_eq!(found.len(), 3);
    for (facts, row) in found.iter().zip(&rows) {
        let event = &row.event;
        assert_eq!((facts.id, &facts.sink, &facts.lane), (row.id, &sink, &event.lane));
        assert_eq!((facts.digest, facts.form, facts.size), (event.digest, event.form, 100));
        assert_eq!((&facts.version, facts.reason), (&event.version, event.reason));
        assert_eq!((&facts.detail, &facts.decoder), (&event.detail, &event.decoder));
        assert_eq!((facts.first, facts.attempts, facts.last_attempt), (event.at, 0, None));
    }
    assert_eq!(found, store.parked_facts(None, 100).expect("readable"), "both tell the same");
    let after = reader.parked(Some(found[0].id), 1).expect("readable");
    assert_eq!(after, found[1..2], "behind one, at most so many");

    // What the handler does meanwhile is seen, and not hindered.
    let epoch = store.open_sink(&claim("main")).expect("the handler goes on");
    let change = Change { resolve: vec![found[1].id], ..Change::default() };
    store.commit(&sink, epoch.epoch, &change).expect("the handler goes on");
    assert_eq!(reader.parked(None, 100).expect("readable").len(), 2);
    assert_eq!(reader.parked_event(found[1].id).expect("readable"), None);
    let (facts, bytes) = reader.parked_event(found[2].id).expect("readable").expect("is there");
    assert_eq!((facts, &bytes[..]), (found[2].clone(), &[3; 100][..]));
    let before = files(storage.path());
    drop(reader);
    assert!(files(storage.path()) == before, "a reader that goes changes nothing");
    store.drop_parked(&[found[0].id]).expect("nor does it hold anything");
}

#[test]
fn a_reader_changes_nothing_of_a_state_at_rest() {
    let (storage, store) = opened();
    park(&store, "main", 3);
    // As a crash leaves it, with everything in the log.
    let killed = tempfile::tempdir().expect("temporary directories can be made");
    fs::create_dir(killed.path().join("ev-state")).expect("can be made");
    for (name, content) in files(storage.path()) {
        fs::write(killed.path().join("ev-state").join(name), content).expect("writable");
    }
    drop(store);
    for storage in [storage.path(), killed.path()] {
        let before = files(storage);
        let reader = StateReader::open(storage).expect("readable");
        assert_eq!(reader.parked(None, 100).expect("readable").len(), 3);
        drop(reader);
        assert!(files(storage) == before);
    }
}

#[test]
fn a_reader_knows_whose_state_it_is() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    let reader = StateReader::open(storage.path()).expect("readable");
    assert_eq!(reader.identity().expect("readable"), None, "nobody has begun");
    let claim = Claim { flavour: Some(Flavour::Struct), ..claim("main") };
    store.open_sink(&claim).expect("opens");
    let found = reader.identity().expect("readable");
    assert_eq!(found, Some((claim.cluster, Flavour::Struct)));
}

#[test]
fn where_there_is_no_state_none_is_made() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let elsewhere = storage.path().join("elsewhere");
    for error in [
        StateReader::open(&elsewhere).expect_err("there is none"),
        SqliteStore::open_existing(&elsewhere).expect_err("there is none"),
    ] {
        assert!(matches!(error, StateError::Storage { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("there is no state in") && text.contains("elsewhere"), "{text}");
        assert!(text.contains("storage directory"), "says what to do: {text}");
    }
    assert!(!elsewhere.exists());
    // A first start that was killed at once.
    fs::create_dir_all(elsewhere.join("ev-state")).expect("can be made");
    fs::write(database(&elsewhere), "").expect("can be written");
    let error = StateReader::open(&elsewhere).expect_err("there is nothing in it");
    assert!(error.to_string().contains("start the handler once"), "{error}");
}

#[test]
fn parked_events_can_be_saved_from_a_damaged_database() {
    let (storage, store) = opened();
    park(&store, "main", 5);
    drop(store);
    let path = database(storage.path());
    let connection = rusqlite::Connection::open(&path).expect("is a database");
    let pages = "SELECT rootpage FROM sqlite_schema WHERE name = 'known_ids'";
    let page: u32 = connection.query_row(pages, [], |row| row.get(0)).expect("readable");
    let page = page as usize;
    drop(connection);
    let mut content = fs::read(&path).expect("readable");
    content[(page - 1) * 4096..page * 4096].fill(0xa5);
    fs::write(&path, content).expect("writable");
    let error = SqliteStore::open(storage.path()).expect_err("the damage is found");
    assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
    let reader = StateReader::open(storage.path()).expect("what is whole can be read");
    let found = reader.parked(None, 100).expect("readable");
    assert_eq!(found.len(), 5);
    let (_, bytes) = reader.parked_event(found[4].id).expect("readable").expect("is there");
    assert_eq!(&bytes[..], &[5; 100][..]);
}
