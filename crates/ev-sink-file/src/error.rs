//! What can be wrong with the settings of a sink.

use std::path::PathBuf;

/// A sink cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path does not name a file.
    #[error("`{setting}` names no file: `{}`", path.display())]
    NoFile {
        /// The setting, `path` or `session-path`.
        setting: &'static str,
        /// What was given.
        path: PathBuf,
    },
    /// Both paths are the same file, and only one of them is meant to be.
    #[error("`path` and `session-path` are the same file: `{}`", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// A number is outside its range.
    #[error("`{setting}` must be at least 1")]
    OutOfRange {
        /// The setting.
        setting: &'static str,
    },
}
