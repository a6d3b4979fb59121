//! Waiting for what others write to the disk.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;

use crate::Error;

/// Waits until `condition` holds. It is looked at now, and again whenever the operating system tells
/// that something below `folder` has changed, which need not be there yet.
///
/// # Errors
///
/// When the operating system cannot watch it.
pub async fn until_files(folder: &Path, mut condition: impl FnMut() -> bool) -> Result<(), Error> {
    let watch = Watch::new()?;
    loop {
        // Before the condition: what changes behind that is heard.
        watch.add(folder)?;
        if condition() {
            return Ok(());
        }
        watch.changed().await?;
    }
}

/// Hears of changes in folders (`inotify`).
///
/// They are read as from a pipe, which is the one descriptor that tokio takes without `unsafe`.
struct Watch(Receiver);

impl Watch {
    fn new() -> Result<Self, Error> {
        let made = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        let made = made.map_err(Into::into).and_then(Receiver::from_owned_fd_unchecked);
        made.map(Self).map_err(Error::io("watch files"))
    }

    /// Watches a folder and all below it; or the nearest above it, until it is there.
    fn add(&self, folder: &Path) -> Result<(), Error> {
        let mut missing = folder;
        for place in folder.ancestors() {
            if !self.add_one(place)? {
                missing = place;
            } else if place == folder {
                return self.add_below(folder);
            } else if missing.exists() {
                // It was made just before anybody watched.
                return self.add(folder);
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    fn add_below(&self, folder: &Path) -> Result<(), Error> {
        // One that is gone again is told of as a change of its parent.
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() && self.add_one(&path)? {
                self.add_below(&path)?;
            }
        }
        Ok(())
    }

    /// Whether it is there. One that is watched already stays so.
    fn add_one(&self, folder: &Path) -> Result<bool, Error> {
        let changes = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        match add_watch(&self.0, folder, changes) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(Error::io(format!("watch `{}`", folder.display()))(error.into())),
        }
    }

    /// Waits for a change, and forgets all that there were.
    async fn changed(&self) -> Result<(), Error> {
        let failed = || Error::io("hear of changed files");
        self.0.readable().await.map_err(failed())?;
        let mut told = [0; 4096];
        loop {
            match self.0.try_read(&mut told) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(failed()(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_is_there_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        until_files(dir.path(), || true).await.unwrap();
    }

    #[tokio::test]
    async fn every_change_below_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let file = folder.join("c/file");
        let looks = Cell::new(0);
        let is_whole = || {
            // Each look is followed by the next step, which only its own change makes seen.
            match looks.replace(looks.get() + 1) {
                0 => fs::create_dir(dir.path().join("a")).unwrap(),
                1 => fs::create_dir(&folder).unwrap(),
                2 => fs::create_dir(folder.join("c")).unwrap(),
                3 => fs::write(&file, "one").unwrap(),
                4 => fs::write(&file, "two").unwrap(),
                5 => fs::rename(&file, folder.join("file")).unwrap(),
                _ => {}
            }
            folder.join("file").exists()
        };
        until_files(&folder, is_whole).await.unwrap();
        assert_eq!(looks.get(), 6, "the last look has made it true");
    }
}
