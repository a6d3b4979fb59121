//! A disk that refuses: each refusal names the file and what to do, nothing is lost by it, and the
//! first commit after the trouble works.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ev_core::testing::state::claim;
use ev_core::{StateError, StateStore};
use ev_state::{SqliteStore, StateReader};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::numbered::{Dice, Numbered};
use crate::{child, database};

/// The disk's fault, with the file and each of `parts`.
#[track_caller]
fn is_told(error: &StateError, storage: &Path, parts: &[&str]) {
    assert!(matches!(error, StateError::Storage { .. }), "{error:?}");
    assert!(std::error::Error::source(error).is_some(), "the cause is kept: {error:?}");
    let text = error.to_string();
    let path = storage.join("ev-state").display().to_string();
    for part in parts.iter().copied().chain([path.as_str()]) {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// No file may grow beyond so many bytes; what writes further gets an error.
fn limit(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).expect("is lower");
}

/// The signal that comes with such an error is ignored, as it is in a handler that means to live.
const WITHOUT_SIGNAL: [&str; 3] = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

#[test]
fn writes_that_fail_lose_nothing() {
    // On the disk: it needs more room than there may be in memory.
    let storage = tempfile::tempdir().expect("temporary directories can be made");
    child::run(child::command(&WITHOUT_SIGNAL, "disk::in_a_process_with_limits", storage.path()));
}

/// Not a test by itself: the process whose files have limits.
#[test]
#[ignore = "needs a process of its own"]
fn in_a_process_with_limits() {
    let Some(storage) = child::directory() else { return };
    const HINT: &str = "see the system's log, and whether the size of files is limited";

    // A new state on a disk that takes nothing, and then does.
    limit(Some(0));
    is_told(&SqliteStore::open(&storage).expect_err("nothing can be written"), &storage, &[HINT]);
    limit(None);
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens now"));
    numbered.commit().expect("commits");

    // Anywhere within a commit.
    let log = database(&storage).with_extension("db-wal");
    let length = || fs::metadata(&log).expect("is there").len();
    let (mut dice, mut refused) = (Dice(1), 0);
    for _ in 0..300 {
        // Behind what is there, or in front of it once the log begins anew.
        limit(Some(length().saturating_sub(dice.roll(3) * 20_000) + dice.roll(30_000)));
        for _ in 0..20 {
            let Err(error) = numbered.commit() else { continue };
            refused += 1;
            is_told(&error, &storage, &["failed to commit in state database"]);
            numbered.check_parked();
            if dice.roll(2) == 0 {
                break;
            }
        }
        limit(None);
        numbered.commit().expect("the first commit after the trouble works");
        numbered.check();
    }
    assert!(refused >= 50, "commits were refused: {refused}");

    // Nothing at all can be written, again and again; then the process ends in the middle of it.
    limit(Some(0));
    for _ in 0..3 {
        let error = numbered.commit().expect_err("nothing can be written");
        is_told(&error, &storage, &[HINT]);
        numbered.check_parked();
    }
    let last = numbered.last;
    drop(numbered);
    assert!(SqliteStore::open(&storage).is_err(), "nor can the index of the log be made");
    limit(None);
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens again"));
    assert_eq!(numbered.last, last, "nothing is lost");
    numbered.commit().expect("commits");

    // The log can be written, but not the far end of the database: commits go on in the log until
    // that is full too.
    let connection = rusqlite::Connection::open(database(&storage)).expect("is a database");
    let far = "INSERT INTO artifact VALUES ('far', x'00', zeroblob(12000000));
               PRAGMA wal_checkpoint(TRUNCATE)";
    connection.execute_batch(far).expect("there is room");
    drop(connection);
    limit(Some(8_000_000));
    let before = numbered.last;
    let error = loop {
        if let Err(error) = numbered.commit() {
            break error;
        }
    };
    is_told(&error, &storage, &[]);
    assert!(numbered.last > before + 50, "only {} went into the log", numbered.last - before);
    limit(None);
    numbered.commit().expect("commits");
    numbered.check();
    eprintln!("{refused} refused, {} committed", numbered.last);
}

#[test]
fn a_full_file_system_loses_nothing() {
    let storage = child::fast_directory();
    let mount = "mount -t tmpfs -o size=4m ev-state-test \"$EV_STATE_TEST_DIRECTORY\"";
    for user in [&[][..], &["--user", "--map-root-user"]] {
        let script = format!("{mount} && exec \"$0\" \"$@\"");
        let wrapper = [&["unshare", "--mount"][..], user, &["sh", "-c", &script]].concat();
        let mut probe = Command::new(wrapper[0]);
        probe.args(&wrapper[1..]).arg("true").env("EV_STATE_TEST_DIRECTORY", storage.path());
        let probe = probe.stderr(Stdio::null()).status();
        if probe.is_ok_and(|status| status.success()) {
            let name = "disk::in_a_file_system_of_its_own";
            child::run(child::command(&wrapper, name, storage.path()));
            return;
        }
    }
    eprintln!("skipped: file systems cannot be mounted here");
}

/// Not a test by itself: the process whose storage is a file system of 4 MiB.
#[test]
#[ignore = "needs a process of its own"]
fn in_a_file_system_of_its_own() {
    let Some(storage) = child::directory() else { return };
    const FULL: &str = "the disk is full; make room on it";
    let ballast = storage.join("ballast");
    fs::write(&ballast, vec![0; 3_000_000]).expect("there is room");
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens"));
    let refused = |numbered: &mut Numbered| loop {
        if let Err(error) = numbered.commit() {
            break error;
        }
    };
    is_told(&refused(&mut numbered), &storage, &[FULL]);
    for _ in 0..3 {
        is_told(&numbered.commit().expect_err("it stays full"), &storage, &[FULL]);
        numbered.check_parked();
    }
    let last = numbered.last;
    fs::remove_file(&ballast).expect("is ours");
    numbered.commit().expect("there is room again");
    numbered.check();
    assert_eq!(numbered.last, last + 1);

    // Full again, and opened so.
    fs::write(&ballast, vec![0; 2_500_000]).expect("there is room");
    is_told(&refused(&mut numbered), &storage, &[FULL]);
    let last = numbered.last;
    drop(numbered);
    let mut fill = fs::File::create(storage.join("fill")).expect("needs no room yet");
    while fill.write_all(&[0; 4096]).is_ok() {}
    drop(fill);
    let opened = SqliteStore::open(&storage).and_then(|store| store.open_sink(&claim("main")));
    // There may be room enough in the files as they are.
    if let Err(error) = opened {
        is_told(&error, &storage, &["the disk is full"]);
    }
    fs::remove_file(storage.join("fill")).expect("is ours");
    fs::remove_file(&ballast).expect("is ours");
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("there is room again"));
    assert_eq!(numbered.last, last, "nothing is lost");
    numbered.commit().expect("commits");
    let last = numbered.last;
    drop(numbered);

    // The file system turns read-only.
    let remount = |how| {
        let status = Command::new("mount").args(["-o", how]).arg(&storage).status();
        assert!(status.expect("can be started").success(), "{how}");
    };
    remount("remount,ro");
    for _ in 0..2 {
        let error = SqliteStore::open(&storage).expect_err("nothing can be written");
        is_told(&error, &storage, &["storage needs a file system that can be written"]);
    }
    if let Err(error) = StateReader::open(&storage) {
        is_told(&error, &storage, &["on a copy of the whole directory"]);
    }
    remount("remount,rw");
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens again"));
    assert_eq!(numbered.last, last, "nothing is lost");
    numbered.commit().expect("commits");
}

#[test]
fn files_that_cannot_be_written_are_named() {
    let directory = child::fast_directory();
    let anybody = Permissions::from_mode(0o777);
    fs::set_permissions(directory.path(), anybody).expect("is ours");
    // Root may write everything, so somebody else has to try.
    let nobody =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let wrapper = if rustix::process::geteuid().is_root() { &nobody[..] } else { &[] };
    if let [program, rest @ ..] = wrapper {
        let this = std::env::current_exe().expect("a test has a program");
        let mut probe = Command::new(program);
        probe.args(rest).args(["test", "-x"]).arg(this);
        if !probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: cannot be run by anybody but root here");
            return;
        }
    }
    child::run(child::command(wrapper, "disk::as_a_user_without_rights", directory.path()));
}

/// Not a test by itself: a process that is bound by the modes of files.
#[test]
#[ignore = "needs a process of its own"]
fn as_a_user_without_rights() {
    let Some(directory) = child::directory() else { return };
    let storage = directory.join("storage");
    let ours = storage.join("ev-state");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("is ours");
    };
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens"));
    numbered.commit().expect("commits");
    drop(numbered);
    const RIGHTS: &str = "let the handler's user read and write it";
    for (path, with, without, hint) in [
        (database(&storage), 0o600, 0o400, RIGHTS),
        (database(&storage), 0o600, 0o000, RIGHTS),
        (ours.join("lock"), 0o600, 0o400, RIGHTS),
        (ours.clone(), 0o700, 0o500, "its directory"),
        (ours.clone(), 0o700, 0o000, RIGHTS),
    ] {
        set(&path, without);
        for _ in 0..2 {
            let error = SqliteStore::open(&storage).expect_err("there is no right to");
            is_told(&error, &storage, &[hint]);
        }
        set(&path, with);
        let store = SqliteStore::open(&storage);
        let mut numbered = Numbered::new(store.unwrap_or_else(|error| panic!("{error}")));
        numbered.commit().expect("the first commit after the trouble works");
    }
    // A storage directory that cannot be made.
    let closed = directory.join("closed");
    fs::create_dir(&closed).expect("can be made");
    set(&closed, 0o500);
    let error = SqliteStore::open(closed.join("below")).expect_err("there is no right to");
    let text = error.to_string();
    assert!(text.contains("closed/below") && text.contains(RIGHTS), "{text}");
    set(&closed, 0o700);
    let last = Numbered::new(SqliteStore::open(&storage).expect("opens")).last;
    assert_eq!(last, 6, "nothing is lost");

    // A reader needs to write an index: it says so, or does without.
    set(&ours, 0o500);
    if let Err(error) = StateReader::open(&storage).and_then(|reader| reader.parked(None, 1)) {
        is_told(&error, &storage, &["run this as the handler's user, or on a copy"]);
    }
    set(&ours, 0o700);
}

/// As most careless of users has it: everything is made for everybody.
#[test]
fn files_are_for_their_owner_whatever_the_umask() {
    let directory = child::fast_directory();
    let wrapper = ["sh", "-c", "umask 000; exec \"$0\" \"$@\""];
    child::run(child::command(&wrapper, "disk::without_a_umask", directory.path()));
    modes(&directory.path().join("storage"));
}

/// Not a test by itself: a process without a umask.
#[test]
#[ignore = "needs a process of its own"]
fn without_a_umask() {
    let Some(directory) = child::directory() else { return };
    fs::write(directory.join("probe"), "").expect("can be written");
    let mode = fs::metadata(directory.join("probe")).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "there is no umask");

    let storage = directory.join("storage");
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens"));
    numbered.commit().expect("commits");
    assert_eq!(modes(&storage), ["lock", "state.db", "state.db-shm", "state.db-wal"]);
    // The log grows, is copied and begins anew; another process looks into it.
    for _ in 0..300 {
        numbered.commit().expect("commits");
    }
    let reader = StateReader::open(&storage).expect("readable");
    reader.parked(None, 100).expect("readable");
    modes(&storage);
    drop(numbered);
    drop(reader);
    modes(&storage);
    // Alone, a reader makes files too.
    let reader = StateReader::open(&storage).expect("readable");
    reader.parked(None, 100).expect("readable");
    modes(&storage);
    drop(reader);
    let mut numbered = Numbered::new(SqliteStore::open(&storage).expect("opens"));
    numbered.commit().expect("commits");
}

/// Checks the modes of a storage directory and of all files in it, and returns their names.
#[track_caller]
fn modes(storage: &Path) -> Vec<String> {
    let mode =
        |path: &Path| fs::symlink_metadata(path).expect("is there").permissions().mode() & 0o7777;
    let ours = storage.join("ev-state");
    assert_eq!((mode(storage), mode(&ours)), (0o700, 0o700));
    let mut names: Vec<_> = fs::read_dir(&ours)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in &names {
        assert_eq!(mode(&ours.join(name)), 0o600, "{name}");
    }
    names
}
