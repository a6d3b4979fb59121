//! A damaged database is found, reported and kept.

use std::fs;
use std::path::Path;

use ev_core::testing::state::{claim, everything, parked, window};
use ev_core::{Change, StateError, StateStore};
use ev_state::SqliteStore;
use rusqlite::Connection;

use crate::database;

/// A state with some pages of content, closed.
fn filled(storage: &Path) {
    let store = SqliteStore::open(storage).expect("a new state opens");
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let park = (0..=255)
        .map(|byte| {
            let mut event = parked(&window(0), byte);
            event.bytes = vec![byte; 1000].into();
            event
        })
        .collect();
    let change = Change { park, ..Change::default() };
    store.commit(&claim("main").sink, epoch, &change).expect("commits");
}

fn files(storage: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(storage.join("ev-state"))
        .expect("readable")
        .map(|entry| entry.expect("readable"))
        // The index of the log is rebuilt at will and holds nothing.
        .filter(|entry| entry.file_name() != "state.db-shm")
        .map(|entry| (entry.file_name(), fs::read(entry.path()).expect("readable")))
        // Reading a database in WAL mode makes an empty log.
        .filter(|(name, content)| name != "state.db-wal" || !content.is_empty())
        .collect();
    files.sort();
    files
}

/// Damages the state by `how` and checks that it is refused, twice, and left as it is.
#[track_caller]
fn check(how: impl FnOnce(&Path)) {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    filled(storage.path());
    how(&database(storage.path()));
    let before = files(storage.path());
    for _ in 0..2 {
        let error = SqliteStore::open(storage.path()).expect_err("the damage is found");
        let StateError::Damaged { path, message } = &error else { panic!("{error:?}") };
        assert_eq!(path, &database(storage.path()));
        assert!(message.contains("nothing was changed"), "says what to do: {message}");
        assert!(files(storage.path()) == before, "the files are as they were found");
    }
}

#[test]
fn other_content_is_refused() {
    check(|path| {
        fs::write(path, "this is no database, but long enough for one".repeat(50))
            .expect("writable")
    });
}

#[test]
fn overwritten_pages_are_found() {
    check(|path| {
        let mut content = fs::read(path).expect("readable");
        let middle = content.len() / 8192 * 4096;
        content[middle..middle + 4096].fill(0xa5);
        fs::write(path, content).expect("writable");
    });
}

#[test]
fn a_cut_file_is_found() {
    check(|path| {
        let content = fs::read(path).expect("readable");
        fs::write(path, &content[..content.len() / 8192 * 4096]).expect("writable");
    });
}

#[test]
fn an_emptied_file_beside_its_log_is_found() {
    check(|path| {
        fs::write(path.with_extension("db-wal"), "the log of a lost database").expect("writable");
        fs::write(path, "").expect("writable");
    });
}

#[test]
fn a_word_that_nobody_wrote_is_found_when_it_is_read() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    filled(storage.path());
    let connection = Connection::open(database(storage.path())).expect("is a database");
    connection.execute_batch("UPDATE parked SET reason = 'mood'").expect("valid");
    drop(connection);
    let store = SqliteStore::open(storage.path()).expect("the file itself is whole");
    let error = store.parked(&claim("main").sink, &everything()).expect_err("an unknown word");
    assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("reason"), "{error}");
    assert!(!error.to_string().contains("mood"), "content is not printed: {error}");
}
