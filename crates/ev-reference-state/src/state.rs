//! What the files say, as plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use ev_core::{Date, SessionId, Timestamp};

/// What one directory of the reference handler says. Files that are not there, are empty or make
/// no sense are `None` or left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Where it was to begin, in seconds since 1970-01-01T00:00:00Z.
    pub start_time: Option<i64>,
    /// Everything in front of this second was delivered by searches. Newer releases only.
    pub window_time: Option<i64>,
    /// Key of the page of the search from which the last event was sent. The search begins at
    /// `window_time`, or at `start_time` without one.
    pub cursor: Option<String>,
    /// Id of the event that a search delivered last.
    pub id: Option<String>,
    /// Recordings that were begun or queued, with the index of the event sent last; 0 also if
    /// none was.
    pub sessions: BTreeMap<SessionId, u64>,
    /// Recordings that Auth did not have when they were asked for.
    pub missing: BTreeMap<SessionId, MissingRecording>,
    /// Dates that the bulk export has reached. Those in front of the first are finished.
    pub dates: BTreeMap<Date, Chunks>,
}

/// A recording that Auth did not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissingRecording {
    /// Index from which on it was asked for.
    pub index: u64,
    /// How often it was asked for.
    pub attempt: u64,
    /// When it was uploaded, if that is known.
    pub uploaded: Option<Timestamp>,
}

/// What is known about the chunks of a date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Names of those that were delivered whole.
    pub completed: BTreeSet<String>,
    /// Cursors of those that were delivered in part.
    pub partial: BTreeMap<String, String>,
}

impl State {
    /// Whether the bulk export got anywhere: then what searches left behind is older than that.
    pub fn is_bulk(&self) -> bool {
        !self.dates.is_empty()
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Something in a file that was not taken as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it and what was made of it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.display(), self.message)
    }
}
