//! Opening the database: every setting of SQLite with its reason, and the check for damage.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ev_core::StateError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::{error, migrations};

/// Only other processes that look into the database or copy it can hold it locked: our own lock
/// keeps a second handler out. They are given this long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Size to which the write-ahead log is cut when it has been copied: a burst of parked events
/// must not occupy the disk for ever. SQLite copies from 4 MiB on.
const WAL_SIZE_LIMIT: i64 = 16 << 20;

/// Up to this size of the file the indexes are compared with their tables too; about 0.3 s.
const THOROUGH_CHECK_LIMIT: u64 = 32 << 20;

/// Up to this size every page is checked at opening; below a second. Beyond it parked events and
/// artifacts, which make up the bulk, are left out. An error in one of them stops nothing else and
/// is found when it is read. The rest are resume points and known ids: 0.2 s for each GiB of them
/// that is in the memory already, else what the disk takes to read them.
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
    // Not shared between threads (the store has a mutex), never created here: the directory has
    // made the file with its mode.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut connection = Connection::open_with_flags(address(&place.database), flags)
        .map_err(|cause| error::database(&place.database, "begin", cause))?;
    let failed = |what| move |cause| error::database(&place.database, what, cause);

    // Until the database is known to be good, closing it must not write into it.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(failed("prepare"))?;
    configure(&connection).map_err(failed("prepare"))?;
    let size = std::fs::metadata(&place.database).map_or(0, |metadata| metadata.len());
    check(&connection, place, size)?;
    if migrations::found(&connection, place)? > 0 {
        check_sums(&connection, place)?;
    }
    // While the file is empty it is not yet in WAL mode, so the first layout is written into the
    // file itself: a database file is either empty or complete, never only in its log.
    migrations::run(&mut connection, place)?;
    use_wal(&connection, place)?;
    connection.set_db_config(keep_log, false).map_err(failed("prepare"))?;
    Ok(connection)
}

/// The file as a SQLite address that says: do not rely on the disk to leave the rest of a sector
/// alone when the power goes while a part of it is written (`psow=0`).
///
/// A frame of the log is no whole number of sectors. Without this the next commit is written into
/// the sector in which the last one ends, and a sector torn by a power cut would take an event with
/// it that was reported durable. With it each commit fills its last sector up: about a page more.
fn address(path: &Path) -> String {
    // An absolute path stands behind an empty host, a relative one behind none.
    let mut address = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                address.push(char::from(*byte));
            }
            _ => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.push_str("?psow=0");
    address
}

/// Opens the database to read it, with the layout that it has, beside any other process.
pub(crate) fn open_read_only(place: &Place) -> Result<Connection, StateError> {
    refuse_lost_database(&place.database)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |what| move |cause| error::read_only(place, what, cause);
    let connection =
        Connection::open_with_flags(&place.database, flags).map_err(failed("begin"))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed("prepare"))?;
    for (name, value) in [("cell_size_check", true), ("trusted_schema", false)] {
        connection.pragma_update(None, name, value).map_err(failed("prepare"))?;
    }
    // Also what a statement sorts stays out of the file system.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed("prepare"))?;
    migrations::check_readable(&connection, place)?;
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

/// Looks for damage as thoroughly as the size of the file, in bytes, allows.
fn check(connection: &Connection, place: &Place, size: u64) -> Result<(), StateError> {
    if size > FULL_CHECK_LIMIT {
        tracing::info!(size, "state database is large; parked events are not checked at opening");
        let sql = "SELECT name FROM sqlite_schema
                   WHERE type = 'table' AND name NOT IN ('parked', 'artifact')
                     AND name NOT LIKE 'sqlite!_%' ESCAPE '!'";
        let tables: Vec<String> = connection
            .prepare(sql)
            .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
            .map_err(|cause| error::database(&place.database, "look for damage", cause))?;
        for table in tables {
            check_pragma(connection, place, &format!("PRAGMA quick_check('{table}')"))?;
        }
        return Ok(());
    }
    // The argument is the number of findings to report, not to look for.
    let thoroughly = size <= THOROUGH_CHECK_LIMIT;
    let how = if thoroughly { "integrity_check" } else { "quick_check" };
    check_pragma(connection, place, &format!("PRAGMA {how}(1)"))?;
    let lost = connection
        .query_row("PRAGMA foreign_key_check", [], |row| row.get(0))
        .optional()
        .map_err(|cause| error::database(&place.database, "look for damage", cause))?;
    match lost {
        None => Ok(()),
        Some::<String>(table) => {
            let found = format_args!("a row of `{table}` belongs to nothing that is there");
            Err(error::damaged(&place.database, &found))
        }
    }
}

/// Looks at the few rows that everything goes by: no sum is ever below zero, no epoch before the
/// first. Costs nothing.
fn check_sums(connection: &Connection, place: &Place) -> Result<(), StateError> {
    let wrong: i64 = connection
        .query_row(
            "SELECT count(*) FROM sink
             WHERE min(passed, delivered, filtered, parked, resolved, dropped, given_up, by_native,
                       by_table, by_module, inexact, sessions, epoch - 1) < 0",
            [],
            |row| row.get(0),
        )
        .map_err(|cause| error::database(&place.database, "look for damage", cause))?;
    if wrong == 0 {
        return Ok(());
    }
    Err(error::damaged(&place.database, &"a sum over the life of the state is below zero"))
}

fn check_pragma(connection: &Connection, place: &Place, sql: &str) -> Result<(), StateError> {
    let found: String = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(|cause| error::database(&place.database, "look for damage", cause))?;
    if found == "ok" { Ok(()) } else { Err(error::damaged(&place.database, &found.trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How thorough the check is depends on the size; resume points are looked at whatever it is.
    #[test]
    fn a_large_file_is_checked_without_its_bulk() {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let database = directory.path().join("state.db");
        let place = Place { storage: directory.path().to_owned(), database };
        let mut connection = Connection::open(&place.database).expect("can be made");
        migrations::run(&mut connection, &place).expect("a new database");
        drop(connection);
        let whole = std::fs::read(&place.database).expect("readable");
        let found_in = |table: &str, size: u64| {
            std::fs::write(&place.database, &whole).expect("writable");
            let connection = Connection::open(&place.database).expect("is a database");
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
            let page: u32 = connection.query_row(sql, [table], |row| row.get(0)).expect("there");
            drop(connection);
            let page = page as usize;
            let mut content = whole.clone();
            content[(page - 1) * 4096..page * 4096].fill(0xa5);
            std::fs::write(&place.database, content).expect("writable");
            let connection = Connection::open(&place.database).expect("is a database");
            match check(&connection, &place, size) {
                Ok(()) => false,
                Err(StateError::Damaged { .. }) => true,
                Err(error) => panic!("{error}"),
            }
        };
        for table in
            ["state", "sink", "lane", "known_ids", "highest_version", "ledger", "session_trouble"]
        {
            for size in [0, THOROUGH_CHECK_LIMIT + 1, FULL_CHECK_LIMIT + 1] {
                assert!(found_in(table, size), "{table}, {size} bytes");
            }
        }
        for table in ["parked", "artifact"] {
            for size in [0, FULL_CHECK_LIMIT] {
                assert!(found_in(table, size), "{table}, {size} bytes");
            }
            assert!(!found_in(table, FULL_CHECK_LIMIT + 1), "{table} is left out");
        }
    }

    #[test]
    fn any_path_has_an_address() {
        let check = |path: &str, expected: &str| assert_eq!(address(Path::new(path)), expected);
        check("/var/lib/ev/state.db", "file:///var/lib/ev/state.db?psow=0");
        check("//var/state.db", "file:////var/state.db?psow=0");
        check("a b?c#d%/state.db", "file:a%20b%3fc%23d%25/state.db?psow=0");
        check("ä", "file:%c3%a4?psow=0");
    }
}
