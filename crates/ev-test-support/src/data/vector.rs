//! Recorded events.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde::Deserialize;

use super::rewrite::{Change, rewrite};
use crate::Error;
use crate::auth::{Event, Unstructured};
use crate::time::UtcTime;

/// A recorded event that Go printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Name of the event's Go struct.
    pub type_name: String,
    /// Which of its recordings: `full`, `sparse`, `zero`, `edge-…`, `realistic`.
    pub case: String,
    /// The serialised `events.OneOf`.
    pub oneof: Bytes,
    /// What Go's `encoding/json` wrote.
    pub json: Bytes,
    /// The event's type; empty when it has none.
    pub kind: String,
    /// Its unique id; empty when it has none.
    pub uid: String,
    /// Its time; year 1 when it has none.
    pub time: UtcTime,
    /// Its index.
    pub index: i64,
    /// Its session; empty when it has none.
    pub session: String,
    /// The session in whose recording it is; empty when it is in the audit log.
    pub recording: String,
    /// Whether the schema of its own version lacks a field of it.
    pub unknown: bool,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default, rename = "type")]
    type_name: String,
    case: String,
    oneof: String,
    json: Option<String>,
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    index: i64,
    #[serde(default)]
    sid: String,
    #[serde(default)]
    recording: String,
    #[serde(default)]
    unknown: bool,
    unknown_wire_path: Option<String>,
}

impl Vector {
    /// Whether events can be made of it: it is wholly known, its id has the shape of a UUID, its
    /// time is of this century, and its encoding is one that can be changed in place.
    pub fn is_template(&self) -> bool {
        let century = UtcTime::from_seconds(946_684_800)..UtcTime::from_seconds(4_102_444_800);
        !self.unknown
            && is_uuid(&self.uid)
            && century.contains(&self.time)
            && rewrite(self, &Change { uid: Some(&self.uid), ..Change::at(self.time) })
                .is_ok_and(|same| same.oneof == self.oneof && same.json == self.json)
    }

    /// The event as it was recorded, for an Auth server that is to find it at `time`.
    pub fn event(&self, time: UtcTime) -> Event {
        Event {
            oneof: self.oneof.clone(),
            time,
            kind: self.kind.clone(),
            index: self.index,
            unstructured: Unstructured::Of(self.json.clone()),
        }
    }
}

/// Reads a file of recorded events (gzip, one JSON object a line), leaving out those that Go does
/// not print, and those whose id, type or session is not UTF-8.
///
/// # Errors
///
/// When the file cannot be read, or a line is none.
pub fn read_vectors(path: &Path) -> Result<Vec<Vector>, Error> {
    let packed = crate::process::read(path)?;
    let mut text = Vec::new();
    GzDecoder::new(packed.as_slice())
        .read_to_end(&mut text)
        .map_err(Error::io(format!("unpack `{}`", path.display())))?;
    let mut vectors = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let bad =
            |message: String| Error::Data { path: path.to_owned(), line: number + 1, message };
        let line: Line = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
        let bytes = |text: &str| {
            STANDARD.decode(text).map(Bytes::from).map_err(|error| bad(error.to_string()))
        };
        // Without a time there are facts that are no text.
        let (Some(json), Some(time)) = (&line.json, UtcTime::parse(&line.time)) else { continue };
        vectors.push(Vector {
            oneof: bytes(&line.oneof)?,
            json: bytes(json)?,
            type_name: line.type_name,
            case: line.case,
            kind: line.event_type,
            uid: line.uid,
            time,
            index: line.index,
            session: line.sid,
            recording: line.recording,
            unknown: line.unknown || line.unknown_wire_path.is_some(),
        });
    }
    Ok(vectors)
}

/// 36 characters, lower-case hex digits and dashes where they belong.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}
