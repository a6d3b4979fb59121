//! Whether a file could be added to, without a trace of having looked.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{Access, access};

use crate::file::{Failure, parent};
use crate::tail::{Tail, tail};

/// Changes, makes and locks nothing.
pub(crate) fn look(path: &Path) -> Result<(), Failure> {
    let io = |what| move |source| Failure::Io { what, source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return folder(parent(path)).map_err(io("make"));
        }
        Err(source) => return Err(io("look at")(source)),
    };
    may_be_added_to(path, &metadata).map_err(io("write to"))?;
    if !metadata.is_file() {
        return Ok(());
    }
    let file = File::open(path).map_err(io("open"))?;
    match tail(&file, metadata.len()).map_err(io("read the end of"))? {
        Tail::Whole | Tail::Unended | Tail::Cut { .. } => Ok(()),
        Tail::Foreign => Err(Failure::Foreign),
    }
}

fn may_be_added_to(path: &Path, metadata: &Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(access(path, Access::READ_OK | Access::WRITE_OK)?)
}

/// Whether a file could be made in this directory, or in those that would be made for it.
fn folder(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(access(path, Access::WRITE_OK | Access::EXEC_OK)?),
        Ok(_) => Err(ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
            Some(above) if above != path => folder(parent(path)),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}
