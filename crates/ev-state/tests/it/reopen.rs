//! What a process that ended has left for the next.

use bytes::Bytes;
use ev_core::testing::state::{claim, digest, everything, normalised, parked, token, window};
use ev_core::{
    Advance, AuthVersion, Change, Flavour, Settle, SignedArtifact, StateError, StateStore,
    Timestamp, Totals,
};
use ev_state::SqliteStore;
use rusqlite::Connection;

use crate::database;

#[test]
fn everything_is_there_again() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let version = AuthVersion::new("18.0.0-dev");
    let artifact =
        SignedArtifact { envelope: Bytes::from("{}"), payload: Bytes::from(vec![7; 100_000]) };
    let totals = Totals { passed: 3, delivered: 2, parked: 1, ..Totals::default() };
    let sink = claim("main").sink;

    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    let first = store.open_sink(&claim("main")).expect("a new sink opens");
    let change = Change {
        open: vec![(window(0), token("start")), (window(60), token("other"))],
        settle: vec![Settle {
            lane: window(0),
            page: 1,
            inner: vec![digest(1)],
            border: vec![digest(2)],
        }],
        advance: vec![Advance { lane: window(0), token: token("page 1"), page: 1 }],
        done: vec![window(60)],
        park: vec![parked(&window(0), 9)],
        totals: Some(totals),
        seen_version: Some(version.clone()),
        ..Change::default()
    };
    store.commit(&sink, first.epoch, &change).expect("commits");
    store.put_artifact(&version, &artifact).expect("artifacts can be written");
    let highest = AuthVersion::new("18.2.0");
    store.put_highest_version(&highest).expect("can be written");
    let rows = store.parked(&sink, &everything()).expect("readable");
    drop(store);

    let store = SqliteStore::open(storage.path()).expect("opens again");
    assert_eq!(store.parked(&sink, &everything()).expect("readable"), rows);
    assert_eq!(store.artifact(&version).expect("readable"), Some(artifact));
    assert_eq!(store.highest_version().expect("readable"), Some(highest));
    let mut later = claim("main");
    later.start_time = Timestamp::new(1_900_000_000, 0);
    let snapshot = normalised(store.open_sink(&later).expect("opens again"));
    assert!(snapshot.epoch > first.epoch, "epochs grow over restarts");
    assert_eq!(snapshot.start_time, claim("main").start_time);
    assert_eq!(snapshot.seen_version, Some(version));
    assert_eq!(snapshot.totals, totals);
    assert_eq!(snapshot.flavour, Flavour::Go);
    assert_eq!(snapshot.lanes.len(), 2);
    let lane = &snapshot.lanes[0];
    assert_eq!((&lane.token, lane.page, lane.done), (&token("page 1"), 1, false));
    assert_eq!(lane.recent, [digest(1), digest(2)]);
    assert!(snapshot.lanes[1].done);
    let error = store.commit(&sink, first.epoch, &Change::default()).expect_err("stale");
    assert!(matches!(error, StateError::Fenced { .. }), "{error:?}");
}

#[test]
fn commits_that_were_never_copied_into_the_file_are_there_again() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let copy = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let change = Change { open: vec![(window(0), token("start"))], ..Change::default() };
    store.commit(&claim("main").sink, epoch, &change).expect("commits");
    // As after a power cut: the files as they are on disk while the process still runs.
    std::fs::create_dir(copy.path().join("ev-state")).expect("can be made");
    for name in ["state.db", "state.db-wal"] {
        let name = format!("ev-state/{name}");
        std::fs::copy(storage.path().join(&name), copy.path().join(&name)).expect("can be copied");
    }
    let log = std::fs::metadata(copy.path().join("ev-state/state.db-wal")).expect("is there");
    assert!(log.len() > 0, "the commit is in the log");
    let store = SqliteStore::open(copy.path()).expect("opens");
    let snapshot = store.open_sink(&claim("main")).expect("opens");
    assert_eq!(snapshot.lanes.len(), 1);
}

#[test]
fn a_mismatch_says_what_to_do() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    store.open_sink(&claim("main")).expect("opens");
    let mut other = claim("main");
    other.cluster = "elsewhere".to_owned();
    let text = store.open_sink(&other).expect_err("another cluster").to_string();
    assert!(text.contains(&storage.path().display().to_string()), "{text}");
    assert!(text.contains("belongs to cluster `example`"), "{text}");
    assert!(text.contains("another storage directory"), "{text}");
    let mut other = claim("main");
    other.flavour = Some(Flavour::Struct);
    let text = store.open_sink(&other).expect_err("another flavour").to_string();
    assert!(text.contains("`go`") && text.contains("`struct`"), "{text}");
    assert!(text.contains("json-flavour"), "{text}");
}

/// The store never asks for the time: what it is told may jump back and forth, and so may the
/// times of its files.
#[test]
fn a_clock_that_jumps_changes_nothing() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let times = [0, 1_700_000_000, -1, i64::MAX, i64::MIN, 1_600_000_000].map(|seconds| {
        let at = Timestamp::new(seconds, 999_999_999);
        assert_eq!((at.seconds(), at.subsec_nanos()), (seconds, 999_999_999));
        at
    });
    let mut last = None;
    for (byte, at) in (1..).zip(times) {
        let touch = |name: &str, age: u64| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(age);
            let path = storage.path().join("ev-state").join(name);
            let file = std::fs::File::options().write(true).open(path);
            if let Ok(file) = file {
                file.set_modified(time).expect("is ours");
            }
        };
        touch("state.db", if byte % 2 == 0 { 0 } else { 4_000_000_000 });
        touch("lock", 4_000_000_000);
        let store = SqliteStore::open(storage.path()).expect("opens at any time");
        let mut asked = claim("main");
        asked.start_time = at;
        let snapshot = store.open_sink(&asked).expect("opens at any time");
        assert!(last < Some(snapshot.epoch), "epochs grow all the same");
        last = Some(snapshot.epoch);
        let mut event = parked(&window(0), byte);
        event.at = at;
        let sink = claim("main").sink;
        let change = Change { park: vec![event], ..Change::default() };
        store.commit(&sink, snapshot.epoch, &change).expect("commits");
        let first = store.parked(&sink, &everything()).expect("readable")[0].id;
        let (reason, detail) = (ev_core::ParkReason::Refused, String::new());
        let attempt = ev_core::Attempt { id: first, reason, detail, decoder: String::new(), at };
        let change = Change { attempt: vec![attempt], ..Change::default() };
        store.commit(&sink, snapshot.epoch, &change).expect("commits");
        let rows = store.parked(&sink, &everything()).expect("readable");
        let found: Vec<_> = rows.iter().map(|row| row.event.at).collect();
        assert_eq!(found, times[..usize::from(byte)], "in the order in which they came");
        assert_eq!((rows[0].attempts, rows[0].last_attempt), (u32::from(byte), Some(at)));
    }
}

/// Opens the database behind the store's back and runs `sql`.
fn tamper(storage: &std::path::Path, sql: &str) {
    let connection = Connection::open(database(storage)).expect("the file is a database");
    connection.execute_batch(sql).expect("the statement is valid");
}

#[test]
fn a_newer_layout_is_refused_naming_both() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    drop(SqliteStore::open(storage.path()).expect("a new state opens"));
    tamper(storage.path(), "PRAGMA user_version = 99");
    let before = std::fs::read(database(storage.path())).expect("readable");
    let error = SqliteStore::open(storage.path()).expect_err("a newer release wrote it");
    assert!(matches!(error, StateError::Mismatch { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("layout 99") && text.contains("up to 7"), "{text}");
    assert_eq!(std::fs::read(database(storage.path())).expect("readable"), before);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    std::fs::create_dir(storage.path().join("ev-state")).expect("can be made");
    tamper(storage.path(), "CREATE TABLE theirs (a INTEGER)");
    let before = std::fs::read(database(storage.path())).expect("readable");
    let error = SqliteStore::open(storage.path()).expect_err("not ours");
    assert!(matches!(error, StateError::Mismatch { .. }), "{error:?}");
    assert!(error.to_string().contains("did not make"), "{error}");
    assert_eq!(std::fs::read(database(storage.path())).expect("readable"), before);
}

#[test]
fn deleted_ids_give_their_place_back() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let store = SqliteStore::open(storage.path()).expect("a new state opens");
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let round = |start| {
        let settle = Settle {
            lane: window(start),
            page: 0,
            inner: vec![digest(1); 10_000],
            border: Vec::new(),
        };
        let sink = claim("main").sink;
        let open = vec![(window(start), token(""))];
        let change = Change { open, settle: vec![settle], ..Change::default() };
        store.commit(&sink, epoch, &change).expect("commits");
        let change = Change { forget: vec![window(start)], ..Change::default() };
        store.commit(&sink, epoch, &change).expect("commits");
    };
    for start in 0..40 {
        round(start);
    }
    drop(store);
    let size = std::fs::metadata(database(storage.path())).expect("is there").len();
    // One round is 160 kB; forty would be 6.4 MB.
    assert!(size < 1_000_000, "forgotten ids leave {size} bytes");
}

#[test]
fn each_state_has_a_secret_of_its_own_and_keeps_it() {
    let key = |storage: &std::path::Path| {
        let store = SqliteStore::open(storage).expect("opens");
        let keys =
            ["main", "second"].map(|sink| store.open_sink(&claim(sink)).expect("opens").ledger_key);
        assert_eq!(keys[0], keys[1], "one for all sinks");
        keys[0]
    };
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let first = dirs.each_ref().map(|dir| key(dir.path()));
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], [0; 16]);
    assert_eq!(dirs.each_ref().map(|dir| key(dir.path())), first);
}
