//! Events for the Auth server as JSON lines.
//!
//! One event a line: `oneof` (base64, served as it is), `time` (RFC 3339 in UTC, by which a search
//! finds it), `type`, `index` (0 when absent), and `recording` with a session id when the event
//! belongs to that session's recording instead of the audit log. For the unstructured calls `json`
//! (base64 of what Go prints of it) or `unstructured_pb` (base64 of the message itself, which wins).
//! Other members are ignored, so the files of recorded events can be served as they are.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::auth::{Event, Store, Unstructured};
use crate::time::UtcTime;

#[derive(Serialize, Deserialize)]
struct Line {
    oneof: String,
    #[serde(default)]
    time: String,
    #[serde(default, rename = "event_type")]
    kind: String,
    #[serde(default)]
    index: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recording: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unstructured_pb: Option<String>,
}

/// Events that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// For the audit log, in their order.
    pub log: Vec<Event>,
    /// For recordings, in their order, each with its session id.
    pub recorded: Vec<(String, Event)>,
}

impl Lines {
    /// Puts all of them into `store`; says how many went to the log and to recordings.
    pub fn put_into(self, store: &mut Store, in_place: bool) -> (usize, usize) {
        let counts = (self.log.len(), self.recorded.len());
        for (session, event) in self.recorded {
            store.append_recording(&session, [event]);
        }
        if in_place {
            store.append_in_place(self.log)
        } else {
            store.append(self.log)
        }
        counts
    }
}

/// Reads JSON lines; `path` is for messages.
///
/// # Errors
///
/// At the first line that is unusable.
pub fn read_lines(text: &[u8], path: &Path) -> Result<Lines, Error> {
    let mut lines = Lines::default();
    for (number, text) in text.split(|byte| *byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let (recording, event) = read_line(text).map_err(|message| Error::Data {
            path: path.to_owned(),
            line: number + 1,
            message,
        })?;
        match recording {
            Some(session) => lines.recorded.push((session, event)),
            None => lines.log.push(event),
        }
    }
    Ok(lines)
}

fn read_line(text: &[u8]) -> Result<(Option<String>, Event), String> {
    let line: Line = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let time = if line.time.is_empty() {
        UtcTime::from_seconds(-62_135_596_800)
    } else {
        UtcTime::parse(&line.time).ok_or_else(|| format!("`time` {} is none", line.time))?
    };
    let bytes = |name: &str, text: &str| {
        STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("`{name}`: {error}"))
    };
    let unstructured = match (&line.unstructured_pb, &line.json) {
        (Some(message), _) => Unstructured::Message(bytes("unstructured_pb", message)?),
        (None, Some(json)) => Unstructured::Of(bytes("json", json)?),
        (None, None) => Unstructured::Absent,
    };
    let oneof = bytes("oneof", &line.oneof)?;
    let event = Event { oneof, time, kind: line.kind, index: line.index, unstructured };
    Ok((line.recording, event))
}

/// Writes one event as [`read_lines`] reads it, with a line feed.
pub fn write_line(out: &mut Vec<u8>, event: &Event, recording: Option<&str>) {
    let line = Line {
        oneof: STANDARD.encode(&event.oneof),
        time: event.time.to_string(),
        kind: event.kind.clone(),
        index: event.index,
        recording: recording.map(str::to_owned),
        json: match &event.unstructured {
            Unstructured::Of(json) => Some(STANDARD.encode(json)),
            Unstructured::Absent | Unstructured::Message(_) => None,
        },
        unstructured_pb: match &event.unstructured {
            Unstructured::Message(message) => Some(STANDARD.encode(message)),
            Unstructured::Absent | Unstructured::Of(_) => None,
        },
    };
    let text = serde_json::to_vec(&line).expect("strings and integers always serialise");
    out.extend(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let event = Event {
            oneof: vec![0, 1, 255].into(),
            time: UtcTime { seconds: 1_700_000_000, nanos: 120_000_000 },
            kind: "user.login".to_owned(),
            index: 7,
            unstructured: Unstructured::Of(Bytes::from_static(b"{}")),
        };
        let message = Unstructured::Message(Bytes::from_static(&[0x0a, 0]));
        let other = Event { unstructured: message, ..event.clone() };
        let mut text = Vec::new();
        write_line(&mut text, &event, None);
        text.extend(b"\n  \n");
        write_line(&mut text, &other, Some("session"));
        let lines = read_lines(&text, Path::new("test")).expect("good lines");
        assert_eq!(lines.log, std::slice::from_ref(&event));
        assert_eq!(lines.recorded, [("session".to_owned(), other)]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = read_lines(b"{\"oneof\":\"\"}\n{\"oneof\":\"?\"}\n", Path::new("file"))
            .expect_err("no base64");
        assert!(error.to_string().starts_with("`file` line 2: `oneof`"), "{error}");
    }
}
