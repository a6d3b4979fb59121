//! Putting files in place, all of them or none.
//!
//! Everything is first written into a folder of its own in the same directory:
//!
//! ```text
//! <directory>/.ev-configure/     mode 0700
//!     new/<name>                 what is to be put in place, mode 0600, synced
//!     old/<name>                 a hard link (or copy) of what is there now
//!     journal                    one line for each file, `old <name>` or `new <name>`: whether it
//!                                replaces one; there only while files are being renamed
//! ```
//!
//! Renaming ten files is not one step, so a run can be killed in between. Then the journal is
//! still there, and the next run puts everything from `old` back, and takes away what was not
//! there before, ahead of all else. The run is done when the journal is gone. A lock on the
//! directory keeps two runs apart.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::{Error, files};

const FOLDER: &str = ".ev-configure";
const JOURNAL: &str = "journal";

/// The directory, locked against other runs.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    was_mended: bool,
    _lock: File,
}

impl Place {
    /// Locks the directory, and undoes a run that was killed.
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Directory { path: directory.to_owned(), source };
        let directory = fs::canonicalize(directory).map_err(failed)?;
        if !directory.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let lock = File::open(&directory).map_err(failed)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: directory }),
            // Some network file systems have no locks on directories; being alone is then the
            // operator's business.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let mut place = Self { directory, was_mended: false, _lock: lock };
        place.was_mended = place.mend()?;
        Ok(place)
    }

    /// Where the files are put, absolute.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether a run before was killed in between, and has now been undone.
    pub(crate) fn was_mended(&self) -> bool {
        self.was_mended
    }

    /// Which of the files are there.
    pub(crate) fn existing<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<&'a str>, Error> {
        let mut existing = Vec::new();
        for name in names {
            let path = self.directory.join(name);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() || found.is_symlink() => existing.push(name),
                Ok(_) => return Err(Error::NotAFile { path }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Directory { path, source }),
            }
        }
        Ok(existing)
    }

    /// Writes the files beside their places.
    pub(crate) fn stage<'a>(&'a self, files: &'a [files::File]) -> Result<Staged<'a>, Error> {
        let staged = Staged { place: self, files };
        let at = |path: PathBuf| move |source| Error::Write { path, source };
        for folder in [self.folder(), self.new_files(), self.old_files()] {
            DirBuilder::new().mode(0o700).create(&folder).map_err(at(folder))?;
        }
        for file in files {
            let path = self.new_files().join(&file.name);
            write(&path, file.text.as_bytes()).map_err(at(path))?;
        }
        Ok(staged)
    }

    fn folder(&self) -> PathBuf {
        self.directory.join(FOLDER)
    }

    fn new_files(&self) -> PathBuf {
        self.folder().join("new")
    }

    fn old_files(&self) -> PathBuf {
        self.folder().join("old")
    }

    fn journal(&self) -> PathBuf {
        self.folder().join(JOURNAL)
    }

    /// Undoes what a journal tells of, and takes the folder away. Says whether there was one.
    fn mend(&self) -> Result<bool, Error> {
        let unfinished = match fs::read_to_string(self.journal()) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(self.not_put_back(self.journal(), source)),
        };
        for entry in unfinished.iter().flat_map(|text| text.lines()).filter_map(Entry::parse) {
            let path = self.directory.join(entry.name);
            self.undo(&entry).map_err(|source| self.not_put_back(path, source))?;
        }
        if unfinished.is_some() {
            let finish = || {
                sync(&self.directory)?;
                fs::remove_file(self.journal())
            };
            finish().map_err(|source| self.not_put_back(self.journal(), source))?;
        }
        let failed = |source| Error::Directory { path: self.folder(), source };
        match fs::remove_dir_all(self.folder()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(unfinished.is_some()),
        }
    }

    fn undo(&self, entry: &Entry<'_>) -> io::Result<()> {
        let path = self.directory.join(entry.name);
        let done = if entry.replaces {
            fs::rename(self.old_files().join(entry.name), path)
        } else if fs::symlink_metadata(self.new_files().join(entry.name)).is_ok() {
            // It has not been put in place yet.
            return Ok(());
        } else {
            fs::remove_file(path)
        };
        match done {
            // Undone before, by a run that was killed too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn not_put_back(&self, path: PathBuf, source: io::Error) -> Error {
        Error::PutBack { path, kept: self.old_files(), source }
    }
}

/// Files that are written and not in place yet. Dropping it takes them away again.
pub(crate) struct Staged<'a> {
    place: &'a Place,
    files: &'a [files::File],
}

impl Staged<'_> {
    /// Where the files are until they are put in place.
    pub(crate) fn folder(&self) -> PathBuf {
        self.place.new_files()
    }

    /// Puts all files in place. When that fails, none of them is, and what was there before is
    /// there again.
    pub(crate) fn commit(self) -> Result<(), Error> {
        self.commit_with(&mut |_| Ok(()))
    }

    fn commit_with(self, before: &mut Before<'_>) -> Result<(), Error> {
        let Err((path, source)) = self.swap(before) else { return Ok(()) };
        self.place.mend()?;
        Err(Error::Write { path, source })
    }

    /// The steps, each of which may be the last. `before` is called ahead of each.
    fn swap(&self, before: &mut Before<'_>) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: PathBuf| move |source| (path, source);
        let mut journal = String::new();
        for file in self.files {
            let target = self.place.directory.join(&file.name);
            let old = self.place.old_files().join(&file.name);
            before(&old).and_then(|()| keep(&target, &old)).map_err(at(target)).map(
                |replaces| {
                    journal.push_str(&Entry { name: &file.name, replaces }.line());
                },
            )?;
        }
        let path = self.place.journal();
        let draft = path.with_extension("draft");
        let write_journal = || {
            write(&draft, journal.as_bytes())?;
            sync(&self.place.new_files())?;
            sync(&self.place.old_files())?;
            fs::rename(&draft, &path)?;
            sync(&self.place.folder())?;
            sync(&self.place.directory)
        };
        before(&path).and_then(|()| write_journal()).map_err(at(path.clone()))?;

        for file in self.files {
            let target = self.place.directory.join(&file.name);
            let new = self.place.new_files().join(&file.name);
            before(&target).and_then(|()| fs::rename(new, &target)).map_err(at(target))?;
        }
        let finish = || {
            sync(&self.place.directory)?;
            fs::remove_file(&path)?;
            // All is in place; a power cut before this lasts brings the files from before back.
            sync(&self.place.folder()).unwrap_or_default();
            Ok(())
        };
        before(&path).and_then(|()| finish()).map_err(at(path.clone()))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // With a journal it holds what the next run needs.
        if !self.place.journal().exists() {
            // What cannot be taken away now, the next run takes away.
            fs::remove_dir_all(self.place.folder()).unwrap_or_default();
        }
    }
}

/// Called ahead of each step with the path that it is about, for tests.
type Before<'a> = dyn FnMut(&Path) -> io::Result<()> + 'a;

/// A line of the journal.
struct Entry<'a> {
    name: &'a str,
    replaces: bool,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (word, name) = line.split_once(' ')?;
        // Nothing outside of the directory is ever touched, whatever the journal says.
        if Path::new(name).file_name().is_none_or(|file| file != name) {
            return None;
        }
        match word {
            "old" => Some(Self { name, replaces: true }),
            "new" => Some(Self { name, replaces: false }),
            _ => None,
        }
    }

    fn line(&self) -> String {
        format!("{} {}\n", if self.replaces { "old" } else { "new" }, self.name)
    }
}

/// Keeps what is there now, and says whether something is.
fn keep(target: &Path, old: &Path) -> io::Result<bool> {
    match fs::hard_link(target, old) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // Not every file system has hard links.
        Err(_) => {
            fs::copy(target, old)?;
            File::open(old)?.sync_all()?;
            Ok(true)
        }
    }
}

/// Writes a file that only its owner can read.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in a directory last.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
