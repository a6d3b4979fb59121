//! Lanes: ordered sub-streams of the log, each with its own resume point.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::SessionId;

/// One ordered sub-stream with its own resume point.
///
/// The text form ([`fmt::Display`], [`FromStr`]) is what a state stores: `window/<start>/<pass>`,
/// `chunk/<date>/<name>`, `session/<id>`. It never changes while the lane lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneId {
    /// A stretch of event time read by search. Where it ends is part of its token, because the
    /// live window's end is not known while it is open.
    Window {
        /// First second, since 1970-01-01T00:00:00Z.
        start: i64,
        /// 0 for the first reading; later numbers are re-scans of the same stretch.
        pass: u8,
    },
    /// A chunk of the bulk export.
    Chunk {
        /// UTC date as `YYYY-MM-DD`.
        date: String,
        /// Auth's opaque name of the chunk; empty for the lane that stands for the date itself.
        chunk: String,
    },
    /// A session recording; its events keep their order.
    Session(SessionId),
}

/// The text is no lane id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a lane id (`window/…`, `chunk/…` or `session/…`)")]
pub struct InvalidLaneId(pub String);

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { start, pass } => write!(f, "window/{start}/{pass}"),
            Self::Chunk { date, chunk } => write!(f, "chunk/{date}/{chunk}"),
            Self::Session(id) => write!(f, "session/{id}"),
        }
    }
}

impl FromStr for LaneId {
    type Err = InvalidLaneId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidLaneId(text.to_owned());
        let (kind, rest) = text.split_once('/').ok_or_else(invalid)?;
        match kind {
            "window" => {
                let (start, pass) = rest.split_once('/').ok_or_else(invalid)?;
                let start = start.parse().map_err(|_| invalid())?;
                Ok(Self::Window { start, pass: pass.parse().map_err(|_| invalid())? })
            }
            "chunk" => {
                let (date, chunk) = rest.split_once('/').ok_or_else(invalid)?;
                Ok(Self::Chunk { date: date.to_owned(), chunk: chunk.to_owned() })
            }
            "session" => {
                SessionId::try_new(rest.as_bytes()).map(Self::Session).map_err(|_| invalid())
            }
            _ => Err(invalid()),
        }
    }
}

/// The family of calls by which events are read from Auth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Road {
    /// `GetEvents` and `StreamSessionEvents`: protobuf events, decoded here.
    Typed,
    /// `GetUnstructuredEvents` and `StreamUnstructuredSessionEvents`.
    Unstructured,
    /// `GetEventExportChunks` and `ExportUnstructuredEvents`.
    Export,
}

impl Road {
    /// The name used in settings, logs and the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Unstructured => "unstructured",
            Self::Export => "export",
        }
    }
}

/// Where a lane stands, in the words of the source that made it.
///
/// Opaque to everybody else, stored as it is, and never translated from one road to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The road it belongs to.
    pub road: Road,
    /// Version of the layout of `bytes`; a source that does not know it reads the lane from its
    /// start, and where a window ends is then where the next unfinished one begins.
    pub format: u8,
    /// The source's own bytes.
    pub bytes: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let session = SessionId::try_new(b"1b4ef158").expect("a valid id");
        for lane in [
            LaneId::Window { start: -5, pass: 0 },
            LaneId::Window { start: 1_763_380_929, pass: 2 },
            LaneId::Chunk { date: "2026-11-18".into(), chunk: "00000150-5a/5e".into() },
            LaneId::Session(session),
        ] {
            assert_eq!(lane.to_string().parse(), Ok(lane));
        }
        for bad in ["", "window/1", "window/x/0", "window/1/300", "session/", "session/a/b", "x/y"]
        {
            assert_eq!(bad.parse::<LaneId>(), Err(InvalidLaneId(bad.into())));
        }
    }
}
