//! Copies of a state that leave the original as it is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ev_core::testing::state::{claim, everything, normalised, parked, window};
use ev_core::{Change, StateStore};
use ev_state::{SqliteStore, copy_state};

fn filled(storage: &Path) -> SqliteStore {
    let store = SqliteStore::open(storage).expect("a new state opens");
    let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
    let park = vec![parked(&window(0), 1), parked(&window(0), 2)];
    let change = Change { park, ..Change::default() };
    store.commit(&claim("main").sink, epoch, &change).expect("commits");
    store
}

/// What is in a directory, byte for byte.
fn files(of: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(of).expect("readable").map(|entry| entry.expect("readable").path());
    entries.map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

fn agree(original: &SqliteStore, copy: &Path) {
    let copy = SqliteStore::open(copy).expect("the copy opens");
    let rows =
        |store: &SqliteStore| store.parked(&claim("main").sink, &everything()).expect("readable");
    assert_eq!(rows(original), rows(&copy));
    let open = |store: &SqliteStore| {
        format!("{:#?}", normalised(store.open_sink(&claim("main")).expect("opens")))
    };
    // The copy was taken before this opening of the original.
    let copied = open(&copy);
    assert_eq!(copied, open(original));
}

#[test]
fn a_state_that_nobody_uses_is_copied_and_stays_byte_for_byte() {
    let (storage, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(filled(storage.path()));
    let before = files(&storage.path().join("ev-state"));
    assert!(copy_state(storage.path(), to.path()).expect("can be copied"));
    assert_eq!(files(&storage.path().join("ev-state")), before);
    agree(&SqliteStore::open(storage.path()).expect("nobody has it locked"), to.path());
}

/// As after a crash: all rows are in the log still.
#[test]
fn its_log_is_copied_with_it() {
    let (storage, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join("layout-2-killed");
    let state = storage.path().join("ev-state");
    fs::create_dir(&state).unwrap();
    for (path, bytes) in files(&recorded) {
        fs::write(state.join(path.file_name().unwrap()), bytes).unwrap();
    }
    let before = files(&state);
    assert!(before.keys().any(|path| path.to_string_lossy().ends_with("-wal")));
    assert!(copy_state(storage.path(), to.path()).expect("can be copied"));
    assert_eq!(files(&state), before);
    agree(&SqliteStore::open(storage.path()).expect("opens"), to.path());
}

#[test]
fn a_state_in_use_is_copied_as_of_one_moment() {
    let (storage, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(storage.path());
    assert!(copy_state(storage.path(), to.path()).expect("can be copied"));
    agree(&store, to.path());
}

#[test]
fn no_state_is_no_error_and_makes_nothing() {
    let (storage, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(!copy_state(storage.path(), to.path()).expect("nothing to copy"));
    assert!(!copy_state(storage.path().join("none"), to.path()).expect("nothing to copy"));
    assert_eq!(fs::read_dir(storage.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}

#[test]
fn a_state_in_use_is_copied_to_where_its_path_says_though_that_is_no_text() {
    let (storage, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(storage.path());
    let to = to.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&to).unwrap();
    assert!(copy_state(storage.path(), &to).expect("can be copied"));
    let names: Vec<_> = fs::read_dir(to.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "and nowhere else");
    agree(&store, &to);
}
