//! Bodies for receivers that want something else than JSON objects or arrays of them.
//!
//! Sources: newline-delimited JSON, `https://github.com/ndjson/ndjson-spec`; Splunk's HTTP event
//! collector, "Format events for HTTP Event Collector"; Loki's HTTP API, "Ingest logs".

use std::fmt::Write;

use bytes::Bytes;
use ev_core::{Batch, Route, Timestamp};
use http::HeaderValue;

use crate::ids::text_member;
use crate::request::JSON;

/// How the events of a request stand in its body. The JSON of each is in every form what a decoder
/// made of it, byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// An object, or an array of them, as [`crate::Config::framing`] says: for Fluentd, and
    /// whoever takes JSON.
    #[default]
    Json,
    /// A line for each event.
    Ndjson,
    /// `{"time":…,"source":"teleport-audit","event":…}` for each event, one behind the other. Of a
    /// recording the source is `teleport-session`, and its id is in `fields`.
    SplunkHec,
    /// One stream of a push: the event is the line, labels are `job="teleport"` and
    /// `stream="audit"` or `"session"`. The id of a recording is structured metadata and no label,
    /// of which each value would cost a stream.
    Loki,
}

impl Form {
    /// What the body is.
    pub(crate) fn content_type(self) -> HeaderValue {
        match self {
            Self::Ndjson => HeaderValue::from_static("application/x-ndjson"),
            Self::Json | Self::SplunkHec | Self::Loki => JSON,
        }
    }

    /// Whether the body tells of which recording its events are, so that the address need not.
    pub(crate) fn names_session(self) -> bool {
        matches!(self, Self::SplunkHec | Self::Loki)
    }
}

/// The body with these events of a batch; `now` stands in for the time of one that has none.
pub(crate) fn write(
    form: Form,
    batch: &Batch,
    entries: &[ev_core::Entry],
    now: Timestamp,
) -> Bytes {
    let events = || {
        entries.iter().map(|entry| &batch.body[entry.json.start as usize..entry.json.end as usize])
    };
    let size: usize = events().map(<[u8]>::len).sum();
    let mut out = Vec::with_capacity(size + size / 4 + 160 * entries.len());
    wrap(&mut out, form, &batch.route, events(), now);
    out.into()
}

/// Puts events into their form.
pub(crate) fn wrap<'a>(
    out: &mut Vec<u8>,
    form: Form,
    route: &Route,
    events: impl Iterator<Item = &'a [u8]>,
    now: Timestamp,
) {
    match form {
        Form::Json | Form::Ndjson => events.for_each(|event| line(out, event)),
        Form::SplunkHec => events.for_each(|event| collector(out, route, event)),
        Form::Loki => push(out, route, events, now),
    }
}

/// An event and the end of its line.
fn line(out: &mut Vec<u8>, event: &[u8]) {
    let from = out.len();
    out.extend_from_slice(event);
    // In JSON a line can only end between two words, where a blank means the same. No decoder
    // known writes one; were it to, this line would end in the middle of the event.
    for byte in &mut out[from..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}

fn collector(out: &mut Vec<u8>, route: &Route, event: &[u8]) {
    out.push(b'{');
    // Seconds with a fraction. Without a time the collector takes that of the arrival.
    if let Some(time) = time(event) {
        let millis = time.subsec_nanos() / 1_000_000;
        let text = format!(r#""time":{}.{millis:03},"#, time.seconds());
        out.extend_from_slice(text.as_bytes());
    }
    match route {
        Route::Audit => out.extend_from_slice(br#""source":"teleport-audit","event":"#),
        // Session ids hold nothing that JSON would escape.
        Route::Session(id) => {
            let text =
                format!(r#""source":"teleport-session","fields":{{"session_id":"{id}"}},"event":"#);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(event);
    out.push(b'}');
}

fn push<'a>(
    out: &mut Vec<u8>,
    route: &Route,
    events: impl Iterator<Item = &'a [u8]>,
    now: Timestamp,
) {
    let (stream, metadata) = match route {
        Route::Audit => ("audit", String::new()),
        Route::Session(id) => ("session", format!(r#",{{"session_id":"{id}"}}"#)),
    };
    let head =
        format!(r#"{{"streams":[{{"stream":{{"job":"teleport","stream":"{stream}"}},"values":["#);
    out.extend_from_slice(head.as_bytes());
    for (index, event) in events.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let nanos = time(event).and_then(nanos).or_else(|| nanos(now)).unwrap_or(0);
        out.extend_from_slice(format!(r#"["{nanos}","#).as_bytes());
        string(out, event);
        out.extend_from_slice(metadata.as_bytes());
        out.push(b']');
    }
    out.extend_from_slice(b"]}]}");
}

/// A JSON string that means these bytes.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let mut escaped = String::new();
                // Writing to a text cannot fail.
                let _written = write!(escaped, "\\u{byte:04x}");
                out.extend_from_slice(escaped.as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// When an event happened, by its member `time`.
fn time(event: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text_member(event, b"time")?).ok()?;
    // Before 1970 no event happened: it is the year 1 that stands for "not known".
    Timestamp::parse(text).filter(|time| time.seconds() >= 0)
}

/// Nanoseconds since 1970; `None` for what 64 bits cannot hold.
fn nanos(time: Timestamp) -> Option<i64> {
    time.seconds().checked_mul(1_000_000_000)?.checked_add(i64::from(time.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use ev_core::SessionId;

    use super::*;

    const NOW: Timestamp = Timestamp::new(1_780_272_000, 5);

    fn wrapped(form: Form, route: &Route, events: &[&str]) -> String {
        let mut out = Vec::new();
        wrap(&mut out, form, route, events.iter().map(|event| event.as_bytes()), NOW);
        String::from_utf8(out).expect("text")
    }

    fn session() -> Route {
        Route::Session(SessionId::try_new(b"5ad2-x").expect("an id"))
    }

    #[test]
    fn a_line_ends_where_its_event_ends() {
        let text = wrapped(Form::Ndjson, &Route::Audit, &[r#"{"a":"\n"}"#, "{\n\"b\":\r\n1}"]);
        assert_eq!(text, "{\"a\":\"\\n\"}\n{ \"b\":  1}\n");
    }

    #[test]
    fn a_collector_is_told_time_source_and_recording() {
        let check = |route: &Route, event: &str, expected: &str| {
            assert_eq!(wrapped(Form::SplunkHec, route, &[event]), expected);
        };
        check(
            &Route::Audit,
            r#"{"time":"2026-11-19T12:00:00.12Z"}"#,
            r#"{"time":1795089600.120,"source":"teleport-audit","event":{"time":"2026-11-19T12:00:00.12Z"}}"#,
        );
        check(
            &session(),
            r#"{"time":"0001-01-01T00:00:00Z"}"#,
            r#"{"source":"teleport-session","fields":{"session_id":"5ad2-x"},"event":{"time":"0001-01-01T00:00:00Z"}}"#,
        );
        for odd in
            [r#"{"time":7}"#, r#"{"time":"soon"}"#, r#"{"x":{"time":"2026-11-19T12:00:00Z"}}"#]
        {
            assert!(wrapped(Form::SplunkHec, &Route::Audit, &[odd]).starts_with(r#"{"source""#));
        }
        let two = wrapped(Form::SplunkHec, &Route::Audit, &["{}", "{}"]);
        let one = r#"{"source":"teleport-audit","event":{}}"#;
        assert_eq!(two, format!("{one}{one}"));
    }

    #[test]
    fn a_push_has_nanoseconds_and_the_event_as_text() {
        let event = r#"{"time":"2026-11-19T12:00:00.123456789Z","s":"a\"\\ü"}"#;
        assert_eq!(
            wrapped(Form::Loki, &Route::Audit, &[event, "{}"]),
            concat!(
                r#"{"streams":[{"stream":{"job":"teleport","stream":"audit"},"values":["#,
                r#"["1795089600123456789","{\"time\":\"2026-11-19T12:00:00.123456789Z\",\"s\":\"a\\\"\\\\ü\"}"],"#,
                r#"["1780272000000000005","{}"]]}]}"#
            )
        );
        assert_eq!(
            wrapped(Form::Loki, &session(), &["{\n}"]),
            concat!(
                r#"{"streams":[{"stream":{"job":"teleport","stream":"session"},"values":["#,
                r#"["1780272000000000005","{\u000a}",{"session_id":"5ad2-x"}]]}]}"#
            )
        );
        // Beyond what 64 bits hold.
        let far = wrapped(Form::Loki, &Route::Audit, &[r#"{"time":"9999-01-01T00:00:00Z"}"#]);
        assert!(far.contains(r#"["1780272000000000005","#), "{far}");
    }
}
