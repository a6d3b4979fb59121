//! Lines added to a file.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ev_core::Timestamp;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use tracing::{info, warn};

use crate::config::{Fsync, Rotation};
use crate::tail::{Tail, tail};

/// Events hold what people typed in terminals.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Names that are tried for a file that is put aside: more than one only within a second.
const NAMES: u32 = 1000;

/// Why lines were not added.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing is wrong with the settings: no room, or an error of the device.
    Io { what: &'static str, source: io::Error },
    /// The file is somebody else's.
    Foreign,
}

impl Failure {
    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// Adds lines to the file at `path`, all of them or none as far as that can be had. Where it is an
/// ordinary file, it is repaired and put aside first if that is due.
pub(crate) fn add(
    path: &Path,
    lines: &[u8],
    rotation: Rotation,
    sync: Fsync,
    now: Timestamp,
) -> Result<(), Failure> {
    let (mut file, mut metadata) = open(path, sync)?;
    if !metadata.is_file() {
        // A pipe or a device: what was written to it is gone.
        return file.write_all(lines).map_err(Failure::io("write"));
    }
    let mut length = repair(&file, path, metadata.len())?;
    if length > 0 && is_due(rotation, length, lines.len() as u64, &metadata, now) {
        put_aside(path, now)?;
        (file, metadata) = open(path, sync)?;
        length = repair(&file, path, metadata.len())?;
    }
    write(&mut file, lines, sync).map_err(|source| {
        // What is left of it where this fails is repaired before the next line is added.
        if let Err(error) = file.set_len(length) {
            warn!(path = %path.display(), %error, "a part that was written could not be cut off");
        }
        Failure::Io { what: "write", source }
    })
}

fn write(file: &mut File, lines: &[u8], sync: Fsync) -> io::Result<()> {
    match sync {
        Fsync::Always => lines.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| {
            file.write_all(line)?;
            file.sync_data()
        }),
        Fsync::Batch => file.write_all(lines).and_then(|()| file.sync_data()),
        Fsync::Never => file.write_all(lines),
    }
}

/// Opens a file for adding to it, for us alone; makes it and its directories where they are
/// missing.
///
/// Another process of ours may add to it at the same time (`replay` does, beside a running
/// handler): half of its line must not be taken for what a crash left, and cut off.
fn open(path: &Path, sync: Fsync) -> Result<(File, Metadata), Failure> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        let file = pipe(path).map_err(Failure::io("open"))?;
        let metadata = file.metadata().map_err(Failure::io("look at"))?;
        return Ok((file, metadata));
    }
    loop {
        let existing = OpenOptions::new().read(true).append(true).open(path);
        let file = match existing {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => create(path, sync)?,
            Err(source) => return Err(Failure::Io { what: "open", source }),
        };
        let metadata = file.metadata().map_err(Failure::io("look at"))?;
        if !metadata.is_file() {
            return Ok((file, metadata));
        }
        match file.lock() {
            Ok(()) => {}
            // Some file systems know no locks.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(source) => return Err(Failure::Io { what: "lock", source }),
        }
        // Whoever had it may have put it aside, and what is added to it since is in its length.
        let metadata = file.metadata().map_err(Failure::io("look at"))?;
        let is_same = fs::metadata(path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()));
        if is_same {
            return Ok((file, metadata));
        }
    }
}

/// Opens a named pipe that somebody reads. What is written to any other is gone with its writer.
fn pipe(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path).map_err(|error| {
        match error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) {
            true => io::Error::new(ErrorKind::NotConnected, "nobody reads this pipe"),
            false => error,
        }
    })?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

fn create(path: &Path, sync: Fsync) -> Result<File, Failure> {
    let folder = parent(path);
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
        .map_err(Failure::io("make the directory of"))?;
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(Failure::io("create"))?;
    if sync != Fsync::Never {
        // Or a power cut may take the file with all that is in it.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Failure::io("sync the directory of"))?;
    }
    Ok(file)
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Cuts off what a crash left of a line, or ends it. Returns the length then.
fn repair(mut file: &File, path: &Path, length: u64) -> Result<u64, Failure> {
    match tail(file, length).map_err(Failure::io("read the end of"))? {
        Tail::Whole => Ok(length),
        Tail::Cut { from } => {
            file.set_len(from).map_err(Failure::io("repair"))?;
            let bytes = length - from;
            warn!(
                path = %path.display(),
                bytes,
                "cut off part of an event that was being written when the handler died; it is \
                 written again"
            );
            Ok(from)
        }
        Tail::Unended => {
            file.write_all(b"\n").map_err(Failure::io("end the last line of"))?;
            Ok(length + 1)
        }
        Tail::Foreign => Err(Failure::Foreign),
    }
}

fn is_due(rotation: Rotation, length: u64, more: u64, metadata: &Metadata, now: Timestamp) -> bool {
    let is_large = rotation.bytes.is_some_and(|bytes| length.saturating_add(more) > bytes);
    let is_old = rotation.age.is_some_and(|age| {
        // Not every file system knows when a file was made.
        let made = metadata.created().or_else(|_| metadata.modified()).ok();
        made.and_then(|made| elapsed(made, now)).is_some_and(|elapsed| elapsed >= age)
    });
    is_large || is_old
}

fn elapsed(since: SystemTime, now: Timestamp) -> Option<Duration> {
    let since = since.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::new(u64::try_from(now.seconds()).ok()?, now.subsec_nanos());
    now.checked_sub(since)
}

/// Gives a file the name under which it stays.
fn put_aside(path: &Path, now: Timestamp) -> Result<(), Failure> {
    for number in 0..NAMES {
        let aside = aside_name(path, now, number);
        // A link fails where the name is taken, a rename would replace what is there.
        match fs::hard_link(path, &aside) {
            Ok(()) => {
                fs::remove_file(path).map_err(Failure::io("put aside"))?;
                info!(path = %path.display(), aside = %aside.display(), "begins a new file");
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // Some file systems know no links.
            Err(_) if !aside.exists() => {
                fs::rename(path, &aside).map_err(Failure::io("put aside"))?;
                return Ok(());
            }
            Err(source) => return Err(Failure::Io { what: "put aside", source }),
        }
    }
    let source = io::Error::from(ErrorKind::AlreadyExists);
    Err(Failure::Io { what: "find a name to put aside", source })
}

/// `events.ndjson` becomes `events.2026-11-23T01-02-03Z.ndjson`, and `….1.ndjson` if that is taken:
/// sorted by name they are sorted by time.
fn aside_name(path: &Path, now: Timestamp, number: u32) -> PathBuf {
    let time = now.to_string().replace(':', "-");
    let time = time.split('.').next().unwrap_or(&time).trim_end_matches('Z').to_owned();
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{time}Z"));
    if number > 0 {
        name.push(format!(".{number}"));
    }
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_put_aside_keeps_its_ending() {
        let now = Timestamp::new(1_790_000_000, 5);
        let check = |path: &str, number, expected: &str| {
            assert_eq!(aside_name(Path::new(path), now, number), Path::new(expected));
        };
        check("/e/events.ndjson", 0, "/e/events.2026-09-21T14-13-20Z.ndjson");
        check("/e/events.ndjson", 2, "/e/events.2026-09-21T14-13-20Z.2.ndjson");
        check("/e/events", 0, "/e/events.2026-09-21T14-13-20Z");
    }
}
