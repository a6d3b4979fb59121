//! What went wrong, in the words of [`StateError`].

use std::path::Path;

use ev_core::{BoxError, StateError};
use rusqlite::ErrorCode;

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
        Some(ErrorCode::DiskFull) => ": the disk is full",
        Some(ErrorCode::ReadOnly) => ": the file or its file system is read-only",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ": another process keeps the database locked"
        }
        Some(ErrorCode::CannotOpen) => ": it cannot be opened",
        Some(ErrorCode::PermissionDenied) => ": access is denied",
        Some(ErrorCode::SystemIoFailure) => ": the disk reports an error",
        _ => "",
    };
    storage(format!("failed to {what} in state database `{}`{hint}", path.display()), error)
}

/// The database does not hold what it must.
pub(crate) fn damaged(path: &Path, found: &dyn std::fmt::Display) -> StateError {
    StateError::Damaged { path: path.to_owned(), message: format!("{found}; {WHAT_TO_DO}") }
}

/// The file system refuses.
pub(crate) fn file(path: &Path, what: &str, error: std::io::Error) -> StateError {
    storage(format!("failed to {what} `{}`", path.display()), error)
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
        check(ffi::SQLITE_FULL, ": the disk is full");
        check(ffi::SQLITE_READONLY, ": the file or its file system is read-only");
        check(ffi::SQLITE_IOERR_FSYNC, ": the disk reports an error");
        check(ffi::SQLITE_BUSY, ": another process keeps the database locked");
        check(ffi::SQLITE_CONSTRAINT, "");
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            let text = message(code);
            assert!(text.starts_with("state database `/x/state.db` is damaged: "), "{text}");
            assert!(text.contains("nothing was changed"), "{text}");
        }
    }
}
