//! What is going on, as a file of JSON: for whoever looks for a trouble. Holds no event, no secret
//! and no key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ev_core::{SinkId, StateError, Timestamp};
use ev_diag::Readiness;
use ev_pipeline::{LaneStatus, Status};
use serde_json::{Value, json};

use crate::start::status::Gathered;
use crate::storage;
use crate::text::time;

/// Folder within the storage directory; that of the reference handler's profiles.
const FOLDER: &str = "profiles";
/// It names users and addresses.
const FILE_MODE: u32 = 0o600;

/// What is going on, with all that is read.
pub(super) fn to_json(gathered: &Gathered) -> String {
    let Gathered { snapshot, statuses } = gathered;
    let readiness = Readiness::of(snapshot);
    let engines: Vec<Value> = statuses.iter().map(|(sink, status)| engine(sink, status)).collect();
    let mut value = json!({ "readiness": readiness, "engines": engines });
    if let (Value::Object(all), Ok(Value::Object(more))) =
        (&mut value, serde_json::to_value(snapshot))
    {
        all.extend(more);
    }
    format!("{value:#}\n")
}

/// What the snapshot leaves out, because it has no bound that a page could live with.
fn engine(sink: &SinkId, status: &Status) -> Value {
    let given_up = status.sessions_given_up.iter().map(|row| {
        json!({
            "session": row.session.as_str(),
            "since": time(row.since_seconds),
            "attempts": row.attempts,
            "missing": row.missing,
            "reason": row.reason,
        })
    });
    json!({
        "sink": sink.0,
        "lanes": status.lanes.iter().map(lane).collect::<Value>(),
        "lanes_known": status.lanes_known,
        "backlog": status.backlog,
        "waiting_to_park": status.waiting_to_park,
        "newest_event": status.newest_event_seconds.map(time),
        "sessions_given_up": given_up.collect::<Value>(),
    })
}

fn lane(lane: &LaneStatus) -> Value {
    json!({
        "lane": lane.lane.to_string(),
        "newest_event": lane.newest_seconds.map(time),
        "unsettled": lane.unsettled,
        "attempts": lane.attempts,
    })
}

/// Writes a file for its owner only, which is there whole or not at all.
pub(super) fn write(storage: &Path, now: Timestamp, text: &str) -> Result<PathBuf, StateError> {
    let folder = storage.join(FOLDER);
    let failed = |what: &str, path: &Path, error: io::Error| StateError::Storage {
        message: format!("failed to {what} `{}`", path.display()),
        source: Some(error.into()),
    };
    storage::make_private(&folder, true)
        .map_err(|error| failed("make the folder", &folder, error))?;
    let millis = i128::from(now.seconds()) * 1_000 + i128::from(now.subsec_nanos() / 1_000_000);
    let path = folder.join(format!("{millis}-state.json"));
    let unfinished = folder.join(format!(".{millis}-state.json.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, &path))
        .and_then(|()| File::open(&folder)?.sync_all());
    if let Err(error) = written {
        // Nothing half written stays, as far as that can be had.
        drop(fs::remove_file(&unfinished));
        return Err(failed("write", &path, error));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_whole_and_its_owners_only() {
        let storage = tempfile::tempdir().unwrap();
        let now = Timestamp::new(1_790_000_000, 123_456_789);
        let path = write(storage.path(), now, "{}\n").unwrap();
        assert!(path.ends_with("profiles/1790000000123-state.json"), "{}", path.display());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        write(storage.path(), now, "again\n").unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing unfinished");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let storage = tempfile::tempdir().unwrap();
        fs::write(storage.path().join(FOLDER), "in the way").unwrap();
        let error = write(storage.path(), Timestamp::EPOCH, "").unwrap_err();
        assert!(error.to_string().contains("profiles"), "{error}");
    }
}
