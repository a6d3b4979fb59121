//! What can go wrong with frames on disk.

use std::io;
use std::path::{Path, PathBuf};

/// Frames cannot be kept on disk, or not be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpillError {
    /// Another process, or another client of this one, has the directory.
    #[error("spill directory `{}` is in use by another client", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// Others than the owner may write to the directory, so they could put frames into it.
    #[error("spill directory `{}` can be written by others (mode {mode:04o})", dir.display())]
    Unsafe {
        /// The directory.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The directory belongs to another user, who could put frames into it.
    #[error("spill directory `{}` belongs to user {owner}", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The directory, or what is in it, was removed while it was in use. It is not used again
    /// before the client is built anew.
    #[error("spill directory `{}` was removed while it was in use", dir.display())]
    Removed {
        /// The directory.
        dir: PathBuf,
    },
    /// A segment was written by a newer version of this program.
    #[error("`{}` has version {found}, this program knows 1", path.display())]
    Newer {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file system refused. Nothing of the call was taken, and everything taken before is
    /// sound.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SpillError {
    /// Whether the file system has no room: the call can be tried again when there is some.
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
