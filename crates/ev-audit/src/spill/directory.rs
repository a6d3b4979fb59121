//! The directory: its mode, its lock, and which files are in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::SpillError;
use super::{disk, system};

/// Digits in the name of a segment: as many as the largest number has.
const DIGITS: usize = 20;

/// A directory that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
    /// The process that took the lock. A fork of it shares the lock, and has no right to end it.
    process: u32,
}

impl Directory {
    /// Makes it if it is not there, looks at its owner and mode, and takes the lock.
    pub(super) fn open(path: &Path) -> Result<Self, SpillError> {
        system::supported().map_err(SpillError::io("use spill directory", path))?;
        if !path.is_dir() {
            let made = system::create_directory(path);
            made.map_err(SpillError::io("create spill directory", path))?;
        }
        let metadata = fs::metadata(path).map_err(SpillError::io("examine", path))?;
        if let Some(owner) = system::stranger(&metadata) {
            return Err(SpillError::Foreign { dir: path.to_owned(), owner });
        }
        let mode = system::mode(&metadata);
        if mode & 0o022 != 0 {
            return Err(SpillError::Unsafe { dir: path.to_owned(), mode });
        }
        let name = path.join("lock");
        let lock = disk::open_or_create(&name).map_err(SpillError::io("open", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock, process: std::process::id() }),
            Err(TryLockError::WouldBlock) => Err(SpillError::InUse { dir: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(SpillError::io("lock", &name)(source)),
        }
    }

    /// Nothing is put into a directory that somebody removed or emptied: it would be gone with
    /// this process. One that was made anew may be another client's, as the lock is another one.
    pub(super) fn check(&self) -> Result<(), SpillError> {
        match system::is_removed(&self.lock) {
            Ok(false) => Ok(()),
            Ok(true) => Err(SpillError::Removed { dir: self.path.clone() }),
            Err(source) => Err(SpillError::io("examine", &self.path.join("lock"))(source)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the position stands.
    pub(super) fn position(&self) -> PathBuf {
        self.path.join("position")
    }

    /// Where a segment stands.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:0DIGITS$}.seg"))
    }

    /// The numbers of all segments, ascending.
    pub(super) fn segments(&self) -> Result<Vec<u64>, SpillError> {
        let failed = |source| SpillError::io("list", &self.path)(source);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            if let Some(number) = number_in(&entry.map_err(failed)?.file_name().to_string_lossy()) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Opens a segment that is there, and takes rights away that a file of ours does not have.
    pub(super) fn open_segment(&self, number: u64) -> io::Result<File> {
        let file = disk::open(&self.segment(number))?;
        system::restrict(&file)?;
        Ok(file)
    }

    /// Gives a segment that says nothing of itself a name under which it is left alone, and tells
    /// where it is now.
    pub(super) fn set_aside(&self, number: u64) -> Result<PathBuf, SpillError> {
        let from = self.segment(number);
        let to = from.with_extension("bad");
        disk::rename(&from, &to).map_err(SpillError::io("rename", &from))?;
        Ok(to)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread is about to start holds a copy
        // until it runs its program. If it fails, closing has to do.
        if self.process == std::process::id() {
            drop(self.lock.unlock());
        }
    }
}

fn number_in(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Directory, SpillError};

    #[test]
    fn a_fork_that_lets_go_of_it_leaves_it_to_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        // A fork has a copy of the descriptor, and of all else but the number of its process.
        let mut in_fork = Directory::open(dir.path()).unwrap();
        let parents = in_fork.lock.try_clone().unwrap();
        in_fork.process ^= 1;
        drop(in_fork);
        let other = Directory::open(dir.path());
        assert!(matches!(other, Err(SpillError::InUse { .. })), "{other:?}");
        drop(parents);
        Directory::open(dir.path()).unwrap();
    }
}
