//! Opening the database: every setting of SQLite with its reason, and the check for damage.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ev_core::StateError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::{error, migrations};

/// Only other processes that look into the database or copy it can hold it locked: our own lock
/// keeps a second handler out. They are given this long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Size to which the write-ahead log is cut when it has been copied: a burst of parked events
/// must not occupy the disk for ever. SQLite copies from 4 MiB on.
const WAL_SIZE_LIMIT: i64 = 16 << 20;

/// Up to this size of the file every page is checked at opening, which takes well below a second;
/// beyond it parked events and artifacts, which make up the bulk, are left out. An error in one of
/// them stops nothing else and is found when it is read.
const FULL_CHECK_LIMIT: u64 = 256 << 20;

/// Where a store is, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The storage directory.
    pub(crate) storage: PathBuf,
    /// The database in it.
    pub(crate) database: PathBuf,
}

impl Place {
    /// A store that has no place on disk.
    pub(crate) fn memory() -> Self {
        Self { storage: ":memory:".into(), database: ":memory:".into() }
    }

    pub(crate) fn mismatch(&self, message: String) -> StateError {
        StateError::Mismatch { path: self.storage.clone(), message }
    }
}

/// Opens the database of a locked directory, checked and with the current layout.
pub(crate) fn open(place: &Place) -> Result<Connection, StateError> {
    refuse_lost_database(&place.database)?;
    // Not shared between threads (the store has a mutex), not a URI, never created here: the
    // directory has made the file with its mode.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&place.database, flags)
        .map_err(|cause| error::database(&place.database, "begin", cause))?;
    let failed = |what| move |cause| error::database(&place.database, what, cause);

    // Until the database is known to be good, closing it must not write into it.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(failed("prepare"))?;
    configure(&connection).map_err(failed("prepare"))?;
    check(&connection, place)?;
    // While the file is empty it is not yet in WAL mode, so the first layout is written into the
    // file itself: a database file is either empty or complete, never only in its log.
    migrations::run(&mut connection, place)?;
    use_wal(&connection, place)?;
    connection.set_db_config(keep_log, false).map_err(failed("prepare"))?;
    Ok(connection)
}

/// A database in memory with the same layout, for simulations.
pub(crate) fn open_in_memory() -> Result<Connection, StateError> {
    let place = Place::memory();
    let failed = |cause| error::database(&place.database, "begin", cause);
    let mut connection = Connection::open_in_memory().map_err(failed)?;
    configure(&connection).map_err(failed)?;
    migrations::run(&mut connection, &place)?;
    Ok(connection)
}

/// Settings of the connection, that is, of this process.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A commit is on the disk when it returns: the resume point and what it stands for survive a
    // power cut. NORMAL would lose the last commits, and the events in them would be sent again.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Known ids go with their lane.
    connection.pragma_update(None, "foreign_keys", true)?;
    // Nothing of an event is ever written outside the directory.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A damaged page is refused instead of read behind its end.
    connection.pragma_update(None, "cell_size_check", true)?;
    // A schema that somebody altered calls no functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT)?;
    // `secure_delete` stays off on purpose. Overwriting parked events when they have been
    // delivered would promise what neither the write-ahead log nor a flash disk keeps; who must
    // not read them is kept out by the modes of the files.
    connection.pragma_update(None, "secure_delete", false)
    // The rest is SQLite's default: 1,000 pages of log before it is copied back, no mapping into
    // memory (a disk error would be a signal instead of an answer).
}

/// Write-ahead log: one sync for a commit instead of three, and readers do not stand in the way.
fn use_wal(connection: &Connection, place: &Place) -> Result<(), StateError> {
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|cause| error::database(&place.database, "turn on the log", cause))?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    let message = format!(
        "the file system of `{}` cannot hold a SQLite write-ahead log (journal mode stays \
         `{mode}`); use a local disk as storage",
        place.database.display()
    );
    Err(StateError::Storage { message, source: None })
}

/// SQLite takes an empty file for a new database and deletes the log beside it. A log with
/// content says that the file had content too.
fn refuse_lost_database(database: &Path) -> Result<(), StateError> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    if size(database) == 0 && size(Path::new(&log)) > 0 {
        return Err(error::damaged(database, &"it is empty, but its write-ahead log is not"));
    }
    Ok(())
}

fn check(connection: &Connection, place: &Place) -> Result<(), StateError> {
    let size = std::fs::metadata(&place.database).map_or(0, |metadata| metadata.len());
    if size <= FULL_CHECK_LIMIT {
        // The argument is the number of findings to report, not to look for.
        return check_pragma(connection, place, "PRAGMA quick_check(1)");
    }
    tracing::info!(size, "state database is large; parked events are not checked at opening");
    for table in ["state", "sink", "lane", "known_ids"] {
        check_pragma(connection, place, &format!("PRAGMA quick_check('{table}')"))?;
    }
    Ok(())
}

fn check_pragma(connection: &Connection, place: &Place, sql: &str) -> Result<(), StateError> {
    let found: String = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(|cause| error::database(&place.database, "look for damage", cause))?;
    if found == "ok" { Ok(()) } else { Err(error::damaged(&place.database, &found.trim())) }
}
