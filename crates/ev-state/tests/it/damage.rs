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
fn a_database_that_is_gone_is_not_made_anew() {
    let clear = |path: &Path| {
        // What a power cut may leave of a file system, or a hand that slips.
        for name in ["state.db-wal", "state.db-shm"] {
            drop(fs::remove_file(path.with_file_name(name)));
        }
    };
    check(|path| {
        clear(path);
        fs::write(path, "").expect("writable");
    });
    check(|path| {
        clear(path);
        fs::remove_file(path).expect("removable");
    });
    // Whoever wants to begin anew takes the whole directory away.
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    filled(storage.path());
    fs::remove_dir_all(storage.path().join("ev-state")).expect("removable");
    SqliteStore::open(storage.path()).expect("a new state opens");
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

/// Does something to the rows that only a fault does.
fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).expect("is a database");
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).expect("valid");
}

/// The file is whole, its rows are not.
#[test]
fn rows_that_cannot_be_are_found() {
    for sql in [
        "UPDATE sink SET delivered = -1",
        "UPDATE sink SET epoch = 0",
        "DELETE FROM sink",
        "INSERT INTO known_ids (lane, page, inner, border) VALUES (77, 0, x'', x'')",
        "INSERT INTO lane (sink, name, road, format, token) VALUES (7, 'window/9/0', 'typed', 1, x'')",
        // A rule of its table that does not hold for it.
        "PRAGMA ignore_check_constraints = ON;
         INSERT INTO ledger VALUES (1, 5, 0, zeroblob(15), x'')",
        // An index that does not say what the table says.
        "PRAGMA writable_schema = ON;
         CREATE TABLE other (sink, version, reason, decoder);
         CREATE INDEX other_index ON other (sink, version, reason, decoder);
         UPDATE sqlite_schema SET rootpage =
             (SELECT rootpage FROM sqlite_schema WHERE name = 'other_index')
         WHERE name = 'parked_by_group';
         DELETE FROM sqlite_schema WHERE name = 'other_index';",
    ] {
        check(|path| tamper(path, sql));
    }
}

/// Also in an earlier layout, before anything is written into it.
#[test]
fn an_earlier_layout_is_checked_before_it_is_changed() {
    check(|path| {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layout-2/state.db");
        fs::copy(recorded, path).expect("can be copied");
        tamper(path, "UPDATE sink SET passed = -1");
    });
}

/// Every page is looked at: whatever is overwritten, it is found at opening or was not in use.
#[test]
fn every_page_in_use_is_looked_at() {
    let storage = crate::child::fast_directory();
    filled(storage.path());
    let path = database(storage.path());
    let whole = fs::read(&path).expect("readable");
    let mut found = 0;
    let pages = whole.len() / 4096;
    for page in 0..pages {
        let mut content = whole.clone();
        content[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&path, content).expect("writable");
        match SqliteStore::open(storage.path()) {
            Ok(_) => {}
            Err(StateError::Damaged { .. }) => found += 1,
            // The first page says whose database it is.
            Err(error) => panic!("page {page}: {error:?}"),
        }
    }
    assert_eq!(found, pages, "none of them is unused");
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
