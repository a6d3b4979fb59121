//! What is told about one line.

use std::fmt;

use ev_core::{DecoderKind, Facts, Outcome, RawEvent, peek};
use serde::Serialize;

/// One object of `--report`. What an event does not have is left out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    line: u64,
    result: &'static str,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<String>,
}

impl Report {
    /// About a line that never became an event.
    pub(crate) fn unreadable(line: u64, by: DecoderKind, reason: String) -> Self {
        Self::without_event(line, by, "malformed", reason)
    }

    /// About an event on which the decoder itself failed, which says nothing of the event.
    pub(crate) fn failed(line: u64, by: DecoderKind, reason: String) -> Self {
        Self::without_event(line, by, "failed", reason)
    }

    fn without_event(line: u64, by: DecoderKind, result: &'static str, reason: String) -> Self {
        let (id, kind, time, index, session) = (None, None, None, None, None);
        let (at, path, json, reason) = (None, None, None, Some(reason));
        let by = by.as_str();
        Self { line, result, by, id, kind, time, index, session, at, path, reason, json }
    }

    /// About an event.
    pub(crate) fn new(
        line: u64,
        by: DecoderKind,
        event: &RawEvent,
        json: &[u8],
        outcome: Outcome,
    ) -> Self {
        let json = super::json_span(&outcome)
            .map(|span| String::from_utf8_lossy(span.of(json)).into_owned());
        let (result, facts, at, path, reason) = match outcome {
            Outcome::Decoded { facts, .. } => ("decoded", Some(facts), None, None, None),
            Outcome::Unknown { at, path, facts, .. } => {
                ("unknown", facts, Some(at), Some(path), None)
            }
            Outcome::Malformed { at, what } => ("malformed", None, Some(at), None, Some(what)),
            Outcome::Unprintable { at, path, what, facts } => {
                ("unprintable", facts, Some(at), Some(path), Some(what))
            }
        };
        let bytes = &event.bytes[..];
        // An artifact's names are its maker's; numbers are the same for a table and a module.
        let path = match (by, at) {
            (DecoderKind::Table, Some(at)) => path.map(|_| peek::number_path(bytes, at)),
            _ => path,
        };
        let path = path.filter(|path| !path.is_empty());
        let text = |span: ev_core::Span| {
            (!span.is_empty()).then(|| String::from_utf8_lossy(span.of(bytes)).into_owned())
        };
        Self {
            line,
            result,
            by: by.as_str(),
            id: facts.map(|facts| facts.id(bytes)).filter(|id| !id.is_empty()),
            kind: facts.and_then(|facts: Facts| text(facts.kind)),
            time: facts.map(|facts| facts.time.to_string()),
            index: facts.map(|facts| facts.index),
            session: facts.and_then(|facts| text(facts.session)),
            at,
            path,
            reason,
            json,
        }
    }
}

/// The line for people: what is wrong and where.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.result)?;
        if let Some(path) = &self.path {
            write!(f, " field {path}")?;
        }
        if let Some(at) = self.at {
            write!(f, " at byte {at}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        Ok(())
    }
}
