//! Files for events that have to be parked when there is no room for them in the state.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ev_core::{Env, NewParked, ParkedId, SinkId, StateError};
use ev_pipeline::Overflow;
use ev_state::ParkedFacts;

use crate::parked::record::Record;
use crate::storage;

/// Folder within the storage directory.
const FOLDER: &str = "parked";
/// Events hold what people typed in terminals.
const FILE_MODE: u32 = 0o600;
/// Size at which another file is begun, in bytes.
const FILE_BYTES: u64 = 256 << 20;
/// Names that are tried for a new file: more than one only if a clock is set back.
const NAMES: u32 = 1000;

/// Files of JSON lines, as `ev-handler parked export` writes them, one after the other.
pub(crate) struct Files {
    folder: PathBuf,
    sink: SinkId,
    env: Arc<dyn Env>,
    open: Mutex<Option<Open>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The file that is written to.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
}

impl Open {
    /// Whether somebody has taken the file away: what is written into it then is lost.
    fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

impl Files {
    /// In the storage directory; nothing is made before it is needed.
    pub(crate) fn new(storage: &Path, sink: SinkId, env: Arc<dyn Env>) -> Self {
        let folder = storage.join(FOLDER);
        Self { folder, sink, env, open: Mutex::new(None) }
    }

    fn lines(&self, events: &[NewParked]) -> Result<Vec<u8>, StateError> {
        let mut lines = Vec::new();
        for event in events {
            let facts = ParkedFacts {
                id: ParkedId(0),
                sink: self.sink.clone(),
                lane: event.lane.clone(),
                digest: event.digest,
                form: event.form,
                size: event.bytes.len() as u64,
                version: event.version.clone(),
                reason: event.reason,
                detail: event.detail.clone(),
                decoder: event.decoder.clone(),
                first: event.at,
                attempts: 0,
                last_attempt: None,
            };
            let record = Record::new(&facts)
                .without_id()
                .with_event(event.form, &event.bytes)
                .with_bytes(event.form, &event.bytes);
            serde_json::to_writer(&mut lines, &record)
                .map_err(|error| failed("write an event as JSON", &self.folder, error))?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    /// A new file, which is there after a power cut too.
    fn begin(&self) -> Result<Open, StateError> {
        storage::make_private(&self.folder, false)
            .map_err(|error| failed("make the folder", &self.folder, error))?;
        let now = self.env.now().to_string().replace(':', "-");
        let now = now.split('.').next().unwrap_or(&now).trim_end_matches('Z');
        for number in 0..NAMES {
            let path = self.folder.join(format!("{now}Z-{number}.jsonl"));
            let file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(&path);
            match file {
                Ok(file) => {
                    let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
                    synced.map_err(|error| failed("sync the folder", &self.folder, error))?;
                    return Ok(Open { path, file, len: 0 });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("create", &path, error)),
            }
        }
        let error = io::Error::from(ErrorKind::AlreadyExists);
        Err(failed("find a name for a file in", &self.folder, error))
    }
}

impl Overflow for Files {
    fn add(&self, events: &[NewParked]) -> Result<(), StateError> {
        let lines = self.lines(events)?;
        let mut place = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_none_or(|open| open.len >= FILE_BYTES || open.is_gone()) {
            *place = Some(self.begin()?);
        }
        let Some(open) = &mut *place else { return Ok(()) };
        let written = open.file.write_all(&lines).and_then(|()| open.file.sync_data());
        if let Err(error) = written {
            let error = failed("write", &open.path, error);
            // No half line stays; where that fails too, the next lines go into another file.
            if open.file.set_len(open.len).is_err() {
                *place = None;
            }
            return Err(error);
        }
        open.len += lines.len() as u64;
        Ok(())
    }
}

fn failed(what: &str, path: &Path, error: impl Into<ev_core::BoxError>) -> StateError {
    let message = format!("failed to {what} `{}`", path.display());
    StateError::Storage { message, source: Some(error.into()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bytes::Bytes;
    use ev_core::{AuthVersion, EventDigest, Form, LaneId, ParkReason, Timestamp};
    use ev_pipeline::TokioEnv;

    use super::*;

    fn event(n: u8) -> NewParked {
        NewParked {
            lane: LaneId::Window { start: 0, pass: 0 },
            digest: EventDigest([n; 16]),
            form: Form::OneOf,
            bytes: Bytes::from(vec![n; 3]),
            version: AuthVersion::new("18.0.0"),
            reason: ParkReason::Refused,
            detail: "413".to_owned(),
            decoder: String::new(),
            at: Timestamp::new(5, 0),
        }
    }

    fn files(storage: &Path) -> Files {
        Files::new(storage, SinkId("fluentd".into()), Arc::new(TokioEnv::new()))
    }

    fn there(storage: &Path) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(storage.join(FOLDER)).unwrap();
        let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    #[test]
    fn lines_are_added_to_one_file_for_its_owner_only() {
        let storage = tempfile::tempdir().unwrap();
        let overflow = files(storage.path());
        overflow.add(&[event(1), event(2)]).unwrap();
        overflow.add(&[event(3)]).unwrap();
        let paths = there(storage.path());
        assert_eq!(paths.len(), 1, "{paths:?}");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&paths[0]), mode(&storage.path().join(FOLDER))), (0o600, 0o700));
        let text = std::fs::read_to_string(&paths[0]).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2]["oneof"], "AwMD", "the raw bytes");
        assert_eq!(
            (&lines[0]["reason"], &lines[0]["detail"], &lines[0]["sink"]),
            (&"refused".into(), &"413".into(), &"fluentd".into())
        );
        assert_eq!(lines[0].get("id"), None, "it has no number");
    }

    #[test]
    fn a_file_that_was_taken_away_is_not_written_to() {
        let storage = tempfile::tempdir().unwrap();
        let overflow = files(storage.path());
        overflow.add(&[event(1)]).unwrap();
        std::fs::remove_file(&there(storage.path())[0]).unwrap();
        overflow.add(&[event(2)]).unwrap();
        let text = std::fs::read_to_string(&there(storage.path())[0]).unwrap();
        assert!(text.contains("AgIC") && !text.contains("AQEB"), "{text}");
    }

    #[test]
    fn each_run_has_files_of_its_own() {
        let storage = tempfile::tempdir().unwrap();
        files(storage.path()).add(&[event(1)]).unwrap();
        files(storage.path()).add(&[event(2)]).unwrap();
        assert_eq!(there(storage.path()).len(), 2);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_and_tried_again() {
        let storage = tempfile::tempdir().unwrap();
        let overflow = files(storage.path());
        let folder = storage.path().join(FOLDER);
        std::fs::write(&folder, "in the way").unwrap();
        let error = overflow.add(&[event(1)]).unwrap_err();
        assert!(matches!(error, StateError::Storage { .. }), "{error:?}");
        assert!(error.to_string().contains(folder.to_str().unwrap()), "{error}");
        std::fs::remove_file(&folder).unwrap();
        overflow.add(&[event(1)]).unwrap();
        assert_eq!(there(storage.path()).len(), 1);
    }
}
