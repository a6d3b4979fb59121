//! A copy of a state for whoever tries something out, which leaves the original as it is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ev_core::StateError;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::database::{self, Place};
use crate::directory::{DATABASE, DIRECTORY, DIRECTORY_MODE, FILE_MODE, LOCK};
use crate::{directory, error};

/// The write-ahead log, which is a part of the database.
const LOG: &str = "state.db-wal";

/// Copies the state under a storage directory, if there is one, to another one that has none; says
/// whether there was one. Also while a handler uses it: then it is copied as of one moment.
///
/// Nothing is written to the original, and no handler is kept from starting for longer than the
/// copying takes.
///
/// # Errors
///
/// - [`StateError::Storage`] when it cannot be read, or the copy not be written.
/// - [`StateError::Damaged`] when a handler uses a database that is.
pub fn copy_state(storage: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<bool, StateError> {
    let (storage, to) = (storage.as_ref(), to.as_ref().join(DIRECTORY));
    let from = storage.join(DIRECTORY);
    let lock = match File::open(from.join(LOCK)) {
        Ok(lock) => Some(lock),
        Err(cause) if cause.kind() == ErrorKind::NotFound => None,
        Err(cause) => return Err(error::file(&from.join(LOCK), "open", cause)),
    };
    let is_there = match fs::metadata(from.join(DATABASE)) {
        Ok(_) => true,
        Err(cause) if cause.kind() == ErrorKind::NotFound => false,
        Err(cause) => return Err(error::file(&from.join(DATABASE), "examine", cause)),
    };
    if lock.is_none() && !is_there {
        return Ok(false);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(&to)
        .map_err(|cause| error::file(&to, "create", cause))?;
    // What it says of the database (that there was one) belongs to the state.
    copy_file(&from, &to, LOCK)?;
    let in_use = match lock.as_ref().map(File::try_lock_shared) {
        None | Some(Ok(())) => false,
        Some(Err(TryLockError::WouldBlock)) => true,
        Some(Err(TryLockError::Error(cause))) => {
            return Err(error::file(&from.join(LOCK), "lock", cause));
        }
    };
    if in_use {
        copy_in_use(storage, &to.join(DATABASE))?;
    } else {
        copy_file(&from, &to, DATABASE)?;
        copy_file(&from, &to, LOG)?;
    }
    if let Some(lock) = lock {
        // Closing it does the same.
        drop(lock.unlock());
    }
    Ok(true)
}

/// Lets SQLite write what one transaction sees.
fn copy_in_use(storage: &Path, to: &Path) -> Result<(), StateError> {
    let place = Place { storage: storage.to_owned(), database: directory::existing(storage)? };
    let connection = database::open_read_only(&place)?;
    // An empty file is what it takes for one that is not there; it gets our mode.
    create(to).map_err(|cause| error::file(to, "create", cause))?;
    // A path need not be UTF-8, and SQLite takes it as it is.
    let name = ToSqlOutput::Borrowed(ValueRef::Text(to.as_os_str().as_bytes()));
    connection
        .execute("VACUUM INTO ?1", [name])
        .map_err(|cause| error::read_only(&place, "copy", cause))?;
    Ok(())
}

/// Copies a file, if it is there.
fn copy_file(from: &Path, to: &Path, name: &str) -> Result<(), StateError> {
    let (from, to) = (from.join(name), to.join(name));
    let mut original = match File::open(&from) {
        Ok(original) => original,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(error::file(&from, "open", cause)),
    };
    let mut copy = create(&to).map_err(|cause| error::file(&to, "create", cause))?;
    io::copy(&mut original, &mut copy).map_err(|cause| error::file(&to, "write", cause))?;
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}
