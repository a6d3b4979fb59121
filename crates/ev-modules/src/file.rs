//! Reading files with a cap, and writing them without surprises.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// Why a file was not read.
pub(crate) enum ReadFailure {
    /// There is none.
    Missing,
    /// It has more than the allowed bytes.
    TooLarge,
    /// The system refuses, or it is no plain file.
    Io(io::Error),
}

/// A file that is open for reading, and its length in bytes, which is at most `max`.
pub(crate) fn open_capped(path: &Path, max: usize) -> Result<(File, u64), ReadFailure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadFailure::Missing,
        _ => ReadFailure::Io(error),
    };
    // Looked at before it is opened, because opening a pipe waits for whoever writes to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ReadFailure::Io(io::Error::other("not a plain file")));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(ReadFailure::Io)?;
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    if metadata.len() > limit {
        return Err(ReadFailure::TooLarge);
    }
    Ok((file, metadata.len()))
}

/// The whole file, at most `max` bytes. Never holds more than that, whatever the file's size.
pub(crate) fn read_capped(path: &Path, max: usize) -> Result<Vec<u8>, ReadFailure> {
    let (file, len) = open_capped(path, max)?;
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    // The file may grow while it is read: one byte more than allowed tells.
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(ReadFailure::Io)?;
    if bytes.len() > max { Err(ReadFailure::TooLarge) } else { Ok(bytes) }
}

/// As [`read_capped`], for a file that somebody named.
pub(crate) fn read_named(path: &Path, max: usize) -> Result<Vec<u8>, Error> {
    let path_buf = || path.to_path_buf();
    read_capped(path, max).map_err(|failure| match failure {
        ReadFailure::Missing => {
            Error::Read { path: path_buf(), source: io::ErrorKind::NotFound.into() }
        }
        ReadFailure::TooLarge => Error::TooLarge { path: path_buf(), max },
        ReadFailure::Io(source) => Error::Read { path: path_buf(), source },
    })
}

/// Writes a new file with the given permissions. An existing one is left alone, or with
/// `replace` exchanged in one step, so that no reader ever sees half of it.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32, replace: bool) -> Result<(), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_path_buf() },
        _ => Error::Write { path: path.to_path_buf(), source },
    };
    if !replace {
        return write_new(path, bytes, mode).map_err(failed);
    }
    let temporary = temporary_name(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path)).map_err(failed)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file is of no use; that it could not be written is the error to tell.
        drop(fs::remove_file(path));
    }
    written
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
