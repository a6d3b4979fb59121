//! Modes, the lock, and places where a state cannot be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ev_core::testing::state::{claim, parked, window};
use ev_core::{Change, StateError, StateStore};
use ev_state::{SqliteStore, StateReader};

use crate::database;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

/// A store with something in its log, so that all its files are there.
fn opened(storage: &Path) -> SqliteStore {
    let store = SqliteStore::open(storage).expect("opens");
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let change = Change { park: vec![parked(&window(0), 1)], ..Change::default() };
    store.commit(&claim("main").sink, epoch, &change).expect("commits");
    store
}

#[test]
fn only_the_owner_reads_parked_events() {
    let parent = tempfile::tempdir().expect("temporary directories can be made");
    let storage = parent.path().join("not/there/yet");
    let store = opened(&storage);
    for directory in ["not", "not/there", "not/there/yet", "not/there/yet/ev-state"] {
        assert_eq!(mode(&parent.path().join(directory)), 0o700, "{directory}");
    }
    for file in ["lock", "state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&storage.join("ev-state").join(file)), 0o600, "{file}");
    }
    assert_eq!(store.path(), database(&storage));
}

#[test]
fn wider_modes_are_corrected_but_not_of_the_storage_directory() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let ours = storage.path().join("ev-state");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    };
    drop(opened(storage.path()));
    // The reference handler makes its directories 0755, and keeps its own state beside ours.
    set(storage.path(), 0o755);
    set(&ours, 0o755);
    set(&database(storage.path()), 0o644);
    let _store = opened(storage.path());
    assert_eq!(mode(storage.path()), 0o755);
    assert_eq!(mode(&ours), 0o700);
    assert_eq!(mode(&database(storage.path())), 0o600);
    assert_eq!(mode(&ours.join("state.db-wal")), 0o600);
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let first = opened(storage.path());
    let error = SqliteStore::open(storage.path()).expect_err("the first has it");
    let StateError::InUse { path } = &error else { panic!("{error:?}") };
    assert_eq!(path, storage.path());
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    SqliteStore::open(storage.path()).expect("free again");
}

#[test]
fn the_files_of_the_reference_handler_are_left_alone() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let theirs = storage.path().join("localhost_3025");
    fs::create_dir(&theirs).expect("can be made");
    fs::write(theirs.join("cursor"), "key").expect("can be written");
    drop(opened(storage.path()));
    assert_eq!(fs::read(theirs.join("cursor")).expect("still there"), b"key");
    let mut names: Vec<_> = fs::read_dir(storage.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["ev-state", "localhost_3025"]);
}

#[track_caller]
fn refused(storage: &Path, named: &Path) {
    let error = SqliteStore::open(storage).expect_err("no state can be there");
    assert!(matches!(error, StateError::Storage { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&named.display().to_string()), "names `{}`: {text}", named.display());
    assert!(std::error::Error::source(&error).is_some(), "the cause is kept: {error:?}");
}

#[test]
fn storage_that_is_no_directory_is_refused_naming_it() {
    let parent = tempfile::tempdir().expect("temporary directories can be made");
    let file = parent.path().join("file");
    fs::write(&file, "").expect("can be written");
    refused(&file, &file);
    refused(&file.join("below"), &file.join("below"));
}

#[test]
fn a_directory_where_a_file_should_be_is_refused_naming_it() {
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    let ours = storage.path().join("ev-state");
    fs::create_dir_all(ours.join("lock")).expect("can be made");
    refused(storage.path(), &ours.join("lock"));
    fs::remove_dir(ours.join("lock")).expect("is empty");
    fs::create_dir(ours.join("state.db")).expect("can be made");
    refused(storage.path(), &ours.join("state.db"));
}

/// The database is opened by an address, in which some characters mean something.
#[test]
fn any_name_will_do() {
    use std::os::unix::ffi::OsStrExt;
    let parent = tempfile::tempdir().expect("temporary directories can be made");
    for name in [&b"a b?mode=ro&c#d%2f"[..], "\u{e4}".as_bytes(), b"%00", b"\xff\xfe"] {
        let storage = parent.path().join(std::ffi::OsStr::from_bytes(name));
        drop(opened(&storage));
        assert!(fs::metadata(database(&storage)).expect("is there").len() > 0, "{name:?}");
        let reader = ev_state::StateReader::open(&storage).expect("readable");
        assert_eq!(reader.parked(None, 9).expect("readable").len(), 1, "{name:?}");
        SqliteStore::open(&storage).expect("opens again");
    }
}

#[test]
fn whether_somebody_has_it_is_told_without_taking_it() {
    let storage = tempfile::tempdir().expect("a folder for files");
    let in_use = || StateReader::is_in_use(storage.path()).expect("it can be told");
    assert!(!in_use(), "there is none");
    let store = SqliteStore::open(storage.path()).expect("a new state");
    assert!(in_use());
    assert!(in_use(), "looking changes nothing");
    drop(store);
    assert!(!in_use());
    SqliteStore::open(storage.path()).expect("nobody has it");
}
