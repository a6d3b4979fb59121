//! Locks: what keeps a user out, and who sets it.

use crate::{BoxError, BoxFuture, Timestamp};

/// A lock on the interactions of a user, with one login of the operating system where it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLock {
    /// What the lock is known by: one of the same name takes its place.
    pub name: String,
    /// Teleport user; never empty.
    pub user: String,
    /// Login of the operating system; empty means whatever it is.
    pub login: String,
    /// What the user is told.
    pub message: String,
    /// When it ends; `None` means never.
    pub expires: Option<Timestamp>,
}

/// Sets locks.
pub trait Locks: Send + Sync {
    /// Sets a lock, instead of any other one of its name. One attempt, bounded in time. Whether a
    /// dropped future has set it is not known; setting it again is harmless.
    ///
    /// # Errors
    ///
    /// See [`LockError`].
    fn upsert<'a>(&'a self, lock: &'a UserLock) -> BoxFuture<'a, Result<(), LockError>>;
}

/// A lock was not set, or nobody knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// We may not set locks; only an operator mends that.
    #[error("not allowed: {message}")]
    Denied {
        /// What was said, lower case.
        message: String,
    },
    /// This lock is not taken, however often it is tried.
    #[error("refused: {message}")]
    Refused {
        /// What was said, lower case.
        message: String,
    },
    /// Anything else: trying again may help.
    #[error("{message}")]
    Failed {
        /// What happened, lower case.
        message: String,
        /// The cause, if there is one.
        #[source]
        source: Option<BoxError>,
    },
}
