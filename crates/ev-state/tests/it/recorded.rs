//! Databases as earlier releases wrote them, kept in `tests/data`: each goes on here with
//! everything that was in it.
//!
//! They were written by those releases themselves, with [`fill`]. When a layout is released, its
//! database is recorded with
//! `EV_RECORD=<new directory> cargo test -p ev-state --test it -- --ignored record_this_layout`
//! and kept for ever.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ev_core::testing::MemoryStore;
use ev_core::testing::state::{claim, digest, everything, normalised, parked, token, window};
use ev_core::{
    Advance, Attempt, AuthVersion, Change, LaneId, LedgerHour, ParkReason, ParkedId, SessionId,
    SessionLedger, Settle, SignedArtifact, SinkId, StateStore, Timestamp, Totals,
};
use ev_state::{SqliteStore, StateReader};
use rusqlite::Connection;

use crate::database;

const SINKS: [&str; 2] = ["main", "second"];

/// Rows in every table of the first layout, by every kind of change.
fn fill(store: &dyn StateStore) {
    let version = AuthVersion::new("18.2.0");
    for name in SINKS {
        let sink = claim(name).sink;
        let epoch = store.open_sink(&claim(name)).expect("opens").epoch;
        let session = LaneId::Session(SessionId::try_new(b"a-session").expect("valid"));
        let chunk = LaneId::Chunk { date: "2026-11-18".into(), chunk: "a chunk".into() };
        let settle = |lane: &LaneId, page, inner: &[u8], border: &[u8]| Settle {
            lane: lane.clone(),
            page,
            inner: inner.iter().copied().map(digest).collect(),
            border: border.iter().copied().map(digest).collect(),
        };
        let change = Change {
            open: [window(0), window(60), session.clone(), chunk]
                .map(|lane| (lane.clone(), token(&lane.to_string())))
                .to_vec(),
            settle: vec![settle(&window(0), 0, &[1, 2], &[3]), settle(&session, 0, &[4], &[])],
            park: (1..=5).map(|byte| parked(&window(0), byte)).collect(),
            ..Change::default()
        };
        store.commit(&sink, epoch, &change).expect("commits");
        let ids = ids(store, &sink);
        let attempt = Attempt {
            id: ids[1],
            reason: ParkReason::DecoderFailed,
            detail: "trapped".to_owned(),
            decoder: "module 18.2.0".to_owned(),
            at: Timestamp::new(1_700_000_200, 5),
        };
        let totals = Totals {
            passed: 30,
            delivered: 20,
            filtered: 4,
            parked: 4,
            resolved: 1,
            dropped: 0,
            given_up: 1,
            by_native: 10,
            by_table: 6,
            by_module: 5,
            inexact: 3,
            sessions: 2,
        };
        let change = Change {
            advance: vec![Advance { lane: window(0), token: token("page 1"), page: 1 }],
            settle: vec![settle(&window(0), 1, &[5], &[6])],
            done: vec![window(60)],
            attempt: vec![attempt],
            resolve: vec![ids[2]],
            totals: Some(totals),
            seen_version: Some(version.clone()),
            ..Change::default()
        };
        store.commit(&sink, epoch, &change).expect("commits");
    }
    store.put_artifact(&version, &artifact()).expect("artifacts can be written");
}

/// Rows in the tables that came with the third layout.
fn fill_ledger(store: &dyn StateStore) {
    for name in SINKS {
        let epoch = store.open_sink(&claim(name)).expect("opens").epoch;
        let hour = |hour| LedgerHour {
            hour,
            count: 5,
            sum: digest(7).0,
            sketch: Bytes::from_static(b"sketch"),
        };
        let session = |id: &[u8], closed_seconds| SessionLedger {
            session: SessionId::try_new(id).expect("valid"),
            last_index: 41,
            count: 40,
            sum: digest(8).0,
            gaps: 1,
            closed_seconds,
        };
        let change = Change {
            ledger: vec![hour(472_222), hour(472_223)],
            session_ledger: vec![session(b"a-session", None), session(b"b", Some(1_700_000_300))],
            ..Change::default()
        };
        store.commit(&claim(name).sink, epoch, &change).expect("commits");
    }
}

/// What the tables of the third layout hold.
fn ledger_of(store: &dyn StateStore) -> String {
    let rows = SINKS.map(|name| {
        let sink = claim(name).sink;
        let all = i64::MIN..i64::MAX;
        let sessions: [&[u8]; 2] = [b"a-session", b"b"];
        let session = |id| {
            let id = SessionId::try_new(id).expect("valid");
            store.session_ledger(&sink, &id).expect("readable")
        };
        (store.ledger(&sink, all).expect("readable"), sessions.map(session))
    });
    format!("{rows:#?}")
}

fn artifact() -> SignedArtifact {
    SignedArtifact { envelope: Bytes::from("{}"), payload: Bytes::from(vec![7; 5000]) }
}

fn ids(store: &dyn StateStore, sink: &SinkId) -> Vec<ParkedId> {
    let rows = store.parked(sink, &everything()).expect("readable");
    rows.iter().map(|row| row.id).collect()
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A storage directory with a copy of a recorded database.
fn copy(name: &str) -> tempfile::TempDir {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    fs::create_dir(storage.path().join("ev-state")).expect("can be made");
    for entry in fs::read_dir(recorded(name)).expect("is recorded") {
        let entry = entry.expect("readable");
        let to = storage.path().join("ev-state").join(entry.file_name());
        fs::copy(entry.path(), to).expect("can be copied");
    }
    storage
}

fn layout(storage: &Path) -> i64 {
    let connection = Connection::open(database(storage)).expect("is a database");
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("readable")
}

/// Everything that a recorded database must have, now that this release has it.
fn check(name: &str, written_as: i64, highest: Option<&str>) {
    // Looking at the copy would change it: a log is taken over when it is opened.
    assert_eq!(layout(copy(name).path()), written_as, "{name}");
    let storage = copy(name);
    let store = SqliteStore::open(storage.path()).expect("an earlier layout is taken over");
    let model = MemoryStore::new();
    fill(&model);
    if written_as >= 3 {
        fill_ledger(&model);
    }
    assert_eq!(ledger_of(&store), ledger_of(&model), "{name}");
    let version = AuthVersion::new("18.2.0");
    let kept = store.highest_version().expect("readable");
    assert_eq!(kept, highest.map(AuthVersion::new), "{name}");
    assert_eq!(store.artifact(&version).expect("readable"), Some(artifact()), "{name}");
    for sink in SINKS {
        let rows = |store: &dyn StateStore| {
            let rows = store.parked(&claim(sink).sink, &everything()).expect("readable");
            assert_eq!(rows.len(), 4);
            rows
        };
        assert_eq!(rows(&store), rows(&model), "{name}: {sink}");
        let open = |store: &dyn StateStore| {
            format!("{:#?}", normalised(store.open_sink(&claim(sink)).expect("opens")))
        };
        assert_eq!(open(&store), open(&model), "{name}: {sink}");
        let groups =
            |store: &dyn StateStore| store.parked_groups(&claim(sink).sink).expect("readable");
        assert_eq!(groups(&store), groups(&model), "{name}: {sink}");
    }
    assert_eq!(store.open_sink(&claim("main")).expect("opens").parked_bytes, 16, "{name}");

    // It goes on: sums follow, ids are not used again.
    let sink = claim("main").sink;
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let before = ids(&store, &sink);
    let change = Change {
        park: vec![parked(&window(60), 77)],
        resolve: vec![before[0]],
        ..Change::default()
    };
    store.commit(&sink, epoch, &change).expect("commits");
    assert_eq!(store.open_sink(&claim("main")).expect("opens").parked_bytes, 16, "{name}");
    let last = *ids(&store, &sink).last().expect("was parked");
    assert!(last.0 > 10, "{name}: ten were parked before, this one is {last:?}");
    drop(store);
    assert_eq!(layout(storage.path()), CURRENT, "{name}");
    let store = SqliteStore::open(storage.path()).expect("opens again");
    assert_eq!(store.open_sink(&claim("main")).expect("opens").parked_bytes, 16, "{name}");
}

/// The layout that this release writes.
const CURRENT: i64 = 7;

#[test]
fn the_first_layout_goes_on() {
    // Its last version seen is taken for the highest.
    check("layout-1", 1, Some("18.2.0"));
}

#[test]
fn the_second_layout_goes_on() {
    check("layout-2", 2, Some("18.2.0"));
}

/// The process was killed, so that all its rows are in the log still.
#[test]
fn the_second_layout_goes_on_after_a_crash() {
    check("layout-2-killed", 2, Some("18.2.0"));
}

#[test]
fn the_third_layout_goes_on() {
    check("layout-3", 3, Some("18.2.0"));
}

#[test]
fn a_step_that_fails_leaves_the_earlier_layout() {
    let storage = copy("layout-2");
    let connection = Connection::open(database(storage.path())).expect("is a database");
    // Something that the step is about to make is there.
    connection.execute_batch("CREATE TABLE ledger (theirs INTEGER)").expect("valid");
    drop(connection);
    let error = SqliteStore::open(storage.path()).expect_err("the step cannot be done");
    let text = error.to_string();
    assert!(text.contains("change the layout to 3") && text.contains("state.db"), "{text}");
    assert_eq!(layout(storage.path()), 2, "and is undone as a whole");
    let connection = Connection::open(database(storage.path())).expect("is a database");
    connection.execute_batch("DROP TABLE ledger").expect("valid");
    drop(connection);
    SqliteStore::open(storage.path()).expect("is brought to the new layout then");
}

/// Looking at parked events needs no new layout, and makes none.
#[test]
fn a_reader_takes_every_layout_as_it_is() {
    for (name, number) in
        [("layout-1", 1), ("layout-2", 2), ("layout-2-killed", 2), ("layout-3", 3)]
    {
        let storage = copy(name);
        let before = fs::read(database(storage.path())).expect("readable");
        let reader = StateReader::open(storage.path()).expect("readable");
        let found = reader.parked(None, 100).expect("readable");
        assert_eq!(found.len(), 8, "{name}");
        assert_eq!((found[0].size, found[0].reason), (4, ParkReason::Unknown), "{name}");
        assert_eq!(found[1].decoder, "module 18.2.0", "{name}");
        let facts = reader.ledger_facts(&SinkId("main".into())).expect("readable");
        assert_eq!(facts.is_some(), number == 3, "{name} has a ledger since layout 3");
        drop(reader);
        assert!(fs::read(database(storage.path())).expect("readable") == before, "{name}");
        assert_eq!(layout(storage.path()), number, "{name}");
    }
}

#[test]
#[ignore = "writes a new recording, see above"]
fn record_this_layout() {
    let Some(storage) = std::env::var_os("EV_RECORD").map(PathBuf::from) else { return };
    let store = SqliteStore::open(&storage).expect("a new state opens");
    fill(&store);
    fill_ledger(&store);
    store.put_highest_version(&AuthVersion::new("18.2.0")).expect("can be written");
}
