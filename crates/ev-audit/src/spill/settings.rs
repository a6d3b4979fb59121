//! What an owner decides about frames on disk.

use std::path::PathBuf;
use std::time::Duration;

/// Where frames go when memory has no room for them, and how many at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillSettings {
    /// A directory for this client alone. It is made with mode 0700 if it is not there; one that
    /// others than its owner may write to is refused, and so is one that belongs to another user
    /// than ours and root.
    pub dir: PathBuf,
    /// Most bytes that all segment files have together, with what they hold besides frames.
    /// More than zero. Default: 256 MiB.
    pub max_bytes: u64,
    /// Age at which frames are dropped, by the wall clock; `None` keeps them for ever. Whole
    /// segments go, each when its youngest frame is this old or up to an eighth older: nothing
    /// is dropped early. More than zero. Default: 7 days.
    pub max_age: Option<Duration>,
    /// Size at which a segment file is closed and the next one begun. Disk space comes back a
    /// segment at a time. More than zero. Default: 8 MiB; never more than an eighth of `max_bytes`.
    pub segment_bytes: u64,
}

impl SpillSettings {
    /// The defaults, in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 256 << 20,
            max_age: Some(Duration::from_hours(7 * 24)),
            segment_bytes: 8 << 20,
        }
    }

    /// Size of a segment: with few large ones, a full directory would take nothing until an
    /// eighth of it and more was written to the agent.
    pub(super) fn segment_size(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 8)
    }

    /// Time after which a segment takes no more, so that what is in it has about one age.
    pub(super) fn span(&self) -> Option<u64> {
        self.max_age.map(|age| age.as_secs() / 8)
    }
}
