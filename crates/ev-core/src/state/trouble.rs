//! Recordings that cannot be read.

use crate::SessionId;

/// A recording that cannot be read, as long as nothing of it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTrouble {
    /// The recording.
    pub session: SessionId,
    /// Since when, in whole seconds since 1970-01-01T00:00:00Z.
    pub since_seconds: i64,
    /// How often it was asked for in vain since then.
    pub attempts: u32,
    /// Whether it is missing, as opposed to unreadable.
    pub missing: bool,
    /// What was said the last time, for people; holds no event content.
    pub reason: String,
    /// When it was given up, in whole seconds since 1970-01-01T00:00:00Z; `None` while it is
    /// asked for.
    pub given_up_seconds: Option<i64>,
}
