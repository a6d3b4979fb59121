//! What went wrong, in the words of [`StateError`].

use std::io::ErrorKind;
use std::path::Path;

use ev_core::{BoxError, StateError};
use rusqlite::ErrorCode;

use crate::database::Place;

/// What to do about a damaged database; ends every [`StateError::Damaged`].
const WHAT_TO_DO: &str = "nothing was changed; put a backup of the directory in its place, or \
     move the directory away to start anew from `start-time` (events sent before are then sent \
     again, parked ones are only in the old file)";

/// A failure of the database while doing `what` (`commit`, `read parked events`).
pub(crate) fn database(path: &Path, what: &str, error: rusqlite::Error) -> StateError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return damaged(path, &error);
        }
        Some(ErrorCode::DiskFull) => ": the disk is full; make room on it",
        Some(ErrorCode::ReadOnly) => {
            ": the file, its directory or the file system is read-only; make it writable for the \
             handler's user"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ": another process keeps the database locked; end it (a backup, a SQLite shell)"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ": it cannot be opened; let the handler's user read and write it and its directory"
        }
        Some(ErrorCode::SystemIoFailure) => {
            ": the disk reports an error; see the system's log, and whether the size of files is \
             limited"
        }
        _ => "",
    };
    storage(format!("failed to {what} in state database `{}`{hint}", path.display()), error)
}

/// As [`database`], for a reader, who needs an index of the log beside the database.
pub(crate) fn read_only(place: &Place, what: &str, error: rusqlite::Error) -> StateError {
    let path = &place.database;
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => storage(
            format!(
                "failed to {what} in state database `{}`: it cannot be opened for reading; reading \
                 needs the right to write in `{}`, where SQLite keeps an index: run this as the \
                 handler's user, or on a copy of the whole directory",
                path.display(),
                path.parent().unwrap_or(path).display(),
            ),
            error,
        ),
        _ => database(path, what, error),
    }
}

/// As [`database`], when rows are read or written: what they hold may be wrong too.
pub(crate) fn rows(path: &Path, what: &str, error: rusqlite::Error) -> StateError {
    match error {
        // Only this program writes these rows, so a word it does not know is damage.
        rusqlite::Error::FromSqlConversionFailure(_, _, found) => damaged(path, &found),
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..) => {
            damaged(path, &error)
        }
        _ => database(path, what, error),
    }
}

/// The database does not hold what it must.
pub(crate) fn damaged(path: &Path, found: &dyn std::fmt::Display) -> StateError {
    StateError::Damaged { path: path.to_owned(), message: format!("{found}; {WHAT_TO_DO}") }
}

/// The file system refuses.
pub(crate) fn file(path: &Path, what: &str, error: std::io::Error) -> StateError {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => "; let the handler's user read and write it",
        ErrorKind::ReadOnlyFilesystem => "; storage needs a file system that can be written",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room on the disk",
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            "; use another storage directory, or move away what is in its place"
        }
        _ => "",
    };
    storage(format!("failed to {what} `{}`{hint}", path.display()), error)
}

/// Any other refusal of the disk, with its cause.
pub(crate) fn storage(message: String, source: impl Into<BoxError>) -> StateError {
    StateError::Storage { message, source: Some(source.into()) }
}

/// A change that cannot be meant: nothing of it is written.
pub(crate) fn refused(message: String) -> StateError {
    StateError::Refused { message }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn failures_say_what_is_wrong_with_the_disk() {
        let path = Path::new("/x/state.db");
        let message = |code| {
            let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            database(path, "commit", cause).to_string()
        };
        let check = |code, end: &str| {
            let expected = format!("failed to commit in state database `/x/state.db`{end}");
            assert_eq!(message(code), expected);
        };
        check(ffi::SQLITE_FULL, ": the disk is full; make room on it");
        check(
            ffi::SQLITE_READONLY,
            ": the file, its directory or the file system is read-only; make it writable for the \
             handler's user",
        );
        check(
            ffi::SQLITE_IOERR_FSYNC,
            ": the disk reports an error; see the system's log, and whether the size of files is \
             limited",
        );
        check(
            ffi::SQLITE_BUSY,
            ": another process keeps the database locked; end it (a backup, a SQLite shell)",
        );
        check(ffi::SQLITE_CONSTRAINT, "");
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            let text = message(code);
            assert!(text.starts_with("state database `/x/state.db` is damaged: "), "{text}");
            assert!(text.contains("nothing was changed"), "{text}");
        }
    }
}
