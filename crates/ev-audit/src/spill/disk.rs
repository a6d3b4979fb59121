//! The few things that are done to files, each in one place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::system;

/// Makes a file that is not there yet.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    super::tests::fault::step()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    system::for_owner(&mut options).open(path)
}

/// Opens a file for reading and writing, and makes it if it is not there.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    super::tests::fault::step()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    system::for_owner(&mut options).open(path)
}

/// Opens a file that is there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    system::for_owner(options.read(true).write(true)).open(path)
}

/// Writes all of it, at that place.
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(test)]
    super::tests::fault::write(file, bytes, offset)?;
    system::write_all_at(file, bytes, offset)
}

/// Reads as much as there is room for; less at the end of the file only.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(test)]
    super::tests::fault::read()?;
    let mut filled = 0;
    while filled < buffer.len() {
        let place = offset.saturating_add(filled as u64);
        match system::read_at(file, &mut buffer[filled..], place) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Cuts a file off.
pub(super) fn truncate(file: &File, len: u64) -> io::Result<()> {
    #[cfg(test)]
    super::tests::fault::step()?;
    file.set_len(len)
}

/// Waits until the content of a file is on the disk.
pub(super) fn sync(file: &File) -> io::Result<()> {
    #[cfg(test)]
    if !super::tests::fault::sync()? {
        return Ok(());
    }
    file.sync_data()
}

/// Waits until the names in a directory are on the disk.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if !super::tests::fault::sync()? {
        return Ok(());
    }
    File::open(path)?.sync_all()
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    super::tests::fault::step()?;
    fs::remove_file(path)
}

/// Gives a file another name.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    super::tests::fault::step()?;
    fs::rename(from, to)
}
