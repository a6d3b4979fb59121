//! The directory, its modes, and the lock against a second process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ev_core::StateError;

use crate::error;

/// Name of our directory inside the storage directory.
pub(crate) const DIRECTORY: &str = "ev-state";
/// Name of the database inside it.
pub(crate) const DATABASE: &str = "state.db";
/// Name of the file whose lock says that a process has the state open. Not the database itself:
/// SQLite's own locks are taken and given back with each transaction, and closing any other handle
/// on the database would drop them.
pub(crate) const LOCK: &str = "lock";
/// What stands in it once there is a database.
/// Least length of a database in bytes: SQLite takes some shorter files for new ones.
const LEAST_LEN: u64 = 512;

const MARK: &[u8] = b"state.db was made\n";

/// Parked events hold what people typed in terminals: nobody but the owner reads them.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;
pub(crate) const FILE_MODE: u32 = 0o600;

/// The directory of a state, locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Where the database is.
    pub(crate) database: PathBuf,
    lock: File,
}

impl Directory {
    /// Makes what is missing, corrects modes and takes the lock.
    pub(crate) fn open(storage: &Path) -> Result<Self, StateError> {
        make_directory(storage)?;
        let path = storage.join(DIRECTORY);
        make_directory(&path)?;
        restrict(&path, DIRECTORY_MODE)?;

        let lock = create(&path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: storage.to_owned() });
            }
            Err(TryLockError::Error(cause)) => {
                return Err(error::file(&path.join(LOCK), "lock", cause));
            }
        }

        // SQLite gives its other files the mode of the database, so this one is made first.
        let database = path.join(DATABASE);
        let len = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        if len(&path.join(LOCK)) > 0 && len(&database) < LEAST_LEN {
            // Made anew, it would begin at a later time and lose what lies between without a word.
            return Err(error::damaged(
                &database,
                &"it is gone, or empty but for a few bytes, and there was one",
            ));
        }
        create(&database)?;
        for name in [LOCK, DATABASE, "state.db-wal", "state.db-shm", "state.db-journal"] {
            restrict(&path.join(name), FILE_MODE)?;
        }
        // A new file is only there after a power cut if its directory was written too.
        sync(&path)?;
        Ok(Self { database, lock })
    }
}

impl Directory {
    /// Remembers that there is a database, once it is on the disk.
    pub(crate) fn mark(&mut self) -> Result<(), StateError> {
        let failed = |cause| error::file(&self.database.with_file_name(LOCK), "write", cause);
        if self.lock.metadata().map_err(failed)?.len() == 0 {
            self.lock.write_all(MARK).and_then(|()| self.lock.sync_data()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Whether a process has the state open. Without a state nobody has.
pub(crate) fn is_in_use(storage: &Path) -> Result<bool, StateError> {
    let path = storage.join(DIRECTORY).join(LOCK);
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(error::file(&path, "open", cause)),
    };
    // Shared, so that two who only look never take each other for a handler; and given back at
    // once, though a handler that starts in this very moment may find it.
    match lock.try_lock_shared() {
        Ok(()) => {
            drop(lock.unlock());
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(cause)) => Err(error::file(&path, "lock", cause)),
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread is about to start holds a copy
        // until it runs its program. If it fails, closing has to do.
        drop(self.lock.unlock());
    }
}

/// Where the database of a state is that must be there already.
pub(crate) fn existing(storage: &Path) -> Result<PathBuf, StateError> {
    let database = storage.join(DIRECTORY).join(DATABASE);
    match fs::metadata(&database) {
        Ok(_) => Ok(database),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let message = format!(
                "there is no state in `{}` (no `{}`); name the handler's storage directory",
                storage.display(),
                database.display()
            );
            Err(error::storage(message, cause))
        }
        Err(cause) => Err(error::file(&database, "examine", cause)),
    }
}

fn make_directory(path: &Path) -> Result<(), StateError> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = |cause| error::file(path, "create storage directory", cause);
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => sync(Path::new(".")),
    }
}

/// Opens a file for writing, making it with our mode if it is not there.
fn create(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|cause| error::file(path, "open for writing", cause))
}

/// Takes every right away that `mode` does not give. A file that is not there is fine.
fn restrict(path: &Path, mode: u32) -> Result<(), StateError> {
    let found = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o7777,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(error::file(path, "examine", cause)),
    };
    if found & !mode == 0 {
        return Ok(());
    }
    tracing::warn!(
        path = %path.display(),
        found = format_args!("{found:04o}"),
        wanted = format_args!("{:04o}", found & mode),
        "state file could be read by others; its mode is corrected"
    );
    fs::set_permissions(path, Permissions::from_mode(found & mode))
        .map_err(|cause| error::file(path, "restrict the mode of", cause))
}

fn sync(path: &Path) -> Result<(), StateError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|cause| error::file(path, "write to disk", cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_given_back_although_a_child_still_holds_a_copy() {
        let storage = tempfile::tempdir().expect("a folder for files");
        let first = Directory::open(storage.path()).expect("a new state");
        let in_use = Directory::open(storage.path());
        assert!(matches!(in_use, Err(StateError::InUse { .. })), "{in_use:?}");
        let copy = first.lock.try_clone().expect("a copy as a child has it");
        drop(first);
        Directory::open(storage.path()).expect("nobody has it");
        drop(copy);
    }
}
