//! From values to files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use ev_core::{Date, Timestamp};
use serde::Serialize;

use crate::{Chunks, Error, Finding, State};

/// Modes that the reference handler uses itself.
const DIRECTORY_MODE: u32 = 0o755;
const DATE_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o644;

/// Writes a state as the directory of an address. It is complete and on the disk when it appears
/// under its name. Returns what the layout cannot hold.
///
/// # Errors
///
/// [`Error::Exists`] when there is something of that name, and when the system refuses; then
/// nothing has appeared.
pub fn write(directory: &Path, state: &State) -> Result<Vec<Finding>, Error> {
    let exists = || Error::Exists { path: directory.to_owned() };
    match fs::symlink_metadata(directory) {
        Ok(_) => return Err(exists()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(Error::write(directory)(source)),
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make(parent, DIRECTORY_MODE)?;
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    // No address makes such a name, so it is never taken for a state.
    name.push(format!(".{}.part", std::process::id()));
    let part = parent.join(name);
    let done = fill(&part, state).and_then(|()| {
        // Onto a directory with something in it this fails: whoever made it meanwhile keeps it.
        fs::rename(&part, directory).map_err(|source| match source.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => exists(),
            _ => Error::write(directory)(source),
        })?;
        sync(parent)
    });
    if done.is_err() {
        // Best effort: what is left of it is of no use to anybody.
        drop(fs::remove_dir_all(&part));
    }
    done?;
    let dates = state.dates.iter();
    Ok(dates.flat_map(|(date, chunks)| left_out(directory, *date, chunks)).collect())
}

fn fill(directory: &Path, state: &State) -> Result<(), Error> {
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(Error::write(directory)(error));
    }
    make(directory, DIRECTORY_MODE)?;
    let time = |second: i64| Timestamp::new(second, 0).to_string();
    let file = |name: &str, content: &[u8]| put(&directory.join(name), content);
    if let Some(second) = state.start_time {
        file("start_time", time(second).as_bytes())?;
    }
    if let Some(second) = state.window_time {
        file("window_time", time(second).as_bytes())?;
    }
    // The reference handler has both files from its first event on, an empty one where there is
    // nothing to say.
    if state.cursor.is_some() || state.id.is_some() {
        file("cursor", state.cursor.as_deref().unwrap_or_default().as_bytes())?;
        file("id", state.id.as_deref().unwrap_or_default().as_bytes())?;
    }
    for (session, index) in &state.sessions {
        file(&format!("session{session}"), &index.to_be_bytes())?;
    }
    for (session, missing) in &state.missing {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Record {
            index: u64,
            attempt: u64,
            timestamp: String,
        }
        let record = Record {
            index: missing.index,
            attempt: missing.attempt,
            timestamp: missing.uploaded.unwrap_or(Timestamp::ZERO_YEAR_ONE).to_string(),
        };
        let name = format!("missing_recording{session}");
        // An empty one would be taken for what a crash leaves.
        let failed = |error| Error::write(&directory.join(&name))(std::io::Error::from(error));
        let record = serde_json::to_vec(&record).map_err(failed)?;
        file(&name, &record)?;
    }
    if !state.dates.is_empty() {
        let root = directory.join("cursor_v2");
        make(&root, DATE_MODE)?;
        for (date, chunks) in &state.dates {
            let path = root.join(date.to_string());
            make(&path, DATE_MODE)?;
            let completed = chunks.completed.iter().filter(|name| is_usable(name));
            let list: String = completed.map(|name| format!("{name}\n")).collect();
            if !list.is_empty() {
                put(&path.join("completed-chunks"), list.as_bytes())?;
            }
            for (chunk, cursor) in chunks.partial.iter().filter(|(chunk, _)| is_usable(chunk)) {
                put(&path.join(format!("{chunk}.chunk")), cursor.as_bytes())?;
            }
            sync(&path)?;
        }
        sync(&root)?;
    }
    sync(directory)
}

/// The chunks of a date that the layout cannot hold.
fn left_out(directory: &Path, date: Date, chunks: &Chunks) -> Vec<Finding> {
    let path = directory.join("cursor_v2").join(date.to_string());
    let names = chunks.completed.iter().chain(chunks.partial.keys());
    let finding = |name: &String| Finding {
        path: path.clone(),
        message: format!("cannot hold the chunk {name:?}: it is sent again from its beginning"),
    };
    names.filter(|name| !is_usable(name)).map(finding).collect()
}

/// Whether the layout can hold a chunk of that name.
fn is_usable(chunk: &str) -> bool {
    !chunk.is_empty()
        && chunk.len() <= 200
        && !chunk.contains(|c: char| c == '/' || c == '\0' || c.is_whitespace())
}

fn make(directory: &Path, mode: u32) -> Result<(), Error> {
    if directory.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(mode).create(directory);
    made.map_err(Error::write(directory))
}

fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    let open = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    let written = open.and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(Error::write(path))
}

fn sync(directory: &Path) -> Result<(), Error> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(Error::write(directory))
}
