//! What becomes of a request.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::cut::{BodyError, cut, cut_objects};
use super::inflate::inflate;
use super::store::{Label, Store};
use super::switches::{FluentdVersion, Switches};

/// `decompression_size_limit` of Fluentd 1.19.3.
const INFLATED_LIMIT: usize = 256 << 20;

#[derive(Default)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) switches: Switches,
    requests: u64,
}

/// What to do with a request once its events are known.
pub(super) enum Fate {
    /// Status, text and `Retry-After`.
    Answer(StatusCode, String, HeaderValue),
    AnswerAndClose(StatusCode, String),
    Hold,
    Hang,
    CutOff,
}

/// Cuts, counts and stores, as the switches say; the number of the request comes back with its
/// fate.
pub(super) fn decide(inner: &mut Inner, head: &Parts, body: Bytes) -> (u64, Fate) {
    inner.requests += 1;
    inner.store.tally.requests += 1;
    inner.store.tally.wire_bytes += body.len() as u64;
    let number = inner.requests;
    let fate = match events(inner, &head.headers, body) {
        Ok(events) => store(inner, &label(head), events, number),
        Err(fate) => fate,
    };
    (number, fate)
}

fn label(head: &Parts) -> Label {
    let text = |name| text(&head.headers, name).unwrap_or_default().to_owned();
    Label {
        tag: head.uri.path().trim_start_matches('/').replace('/', "."),
        batch_id: text("ev-batch-id"),
        event_id: text("ev-event-id"),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn plain(status: StatusCode, text: &str) -> Fate {
    Fate::Answer(status, format!("{status}\n{text}\n"), HeaderValue::from_static(""))
}

/// The events of a body, or the answer to one that holds none.
fn events(inner: &mut Inner, headers: &HeaderMap, body: Bytes) -> Result<Vec<Bytes>, Fate> {
    let Inner { store: Store { tally, .. }, switches, .. } = inner;
    let encoding = text(headers, "content-encoding");
    if encoding.is_some() {
        tally.compressed += 1;
        if switches.no_encodings {
            tally.refused_bodies += 1;
            return Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown encoding"));
        }
    }
    let body = inflate(encoding, body, INFLATED_LIMIT).map_err(|error| {
        tally.refused_bodies += 1;
        Fate::AnswerAndClose(StatusCode::BAD_REQUEST, error.to_string())
    })?;
    // With a `<parse>` section the type of the content is of no interest to Fluentd.
    let kind = text(headers, header::CONTENT_TYPE.as_str());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if !switches.parse && kind != Some("application/json") {
        tally.refused_bodies += 1;
        let text = "'json', 'ndjson' or 'msgpack' parameter is required";
        return Err(plain(StatusCode::BAD_REQUEST, text));
    }
    let lax = switches.version >= FluentdVersion::V1_19;
    let mut dropped = |status: StatusCode| {
        tally.dropped_requests += 1;
        Fate::Answer(status, String::new(), HeaderValue::from_static(""))
    };
    let places = match cut(&body) {
        Ok(places) => places,
        Err(BodyError::ElementNotAnObject(_)) if lax => {
            // The rest is stored.
            tally.dropped_requests += 1;
            cut_objects(&body)
        }
        Err(_) if lax => return Err(dropped(switches.ok())),
        Err(BodyError::NotJson(_)) if !switches.parse => return Err(dropped(switches.ok())),
        Err(error) => {
            tally.refused_bodies += 1;
            return Err(match error {
                BodyError::NotJson(text) => plain(StatusCode::BAD_REQUEST, &text),
                BodyError::NotAnObject => plain(StatusCode::BAD_REQUEST, "the body is no object"),
                BodyError::ElementNotAnObject(at) => plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("record is not an object (nth: {at})"),
                ),
            });
        }
    };
    if body.trim_ascii_start().starts_with(b"[") {
        tally.arrays += 1;
    }
    let events: Vec<Bytes> = places.into_iter().map(|place| body.slice(place)).collect();
    if !switches.parse && events.iter().any(|event| has_time_in_words(event)) {
        tally.refused_bodies += 1;
        let text = "can't convert String into an exact number";
        return Err(plain(StatusCode::BAD_REQUEST, text));
    }
    Ok(events)
}

/// Without a `<parse>` section, `time` must be a number.
fn has_time_in_words(event: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Timed {
        time: Option<serde_json::Value>,
    }
    let timed: serde_json::Result<Timed> = serde_json::from_slice(event);
    timed.is_ok_and(|timed| timed.time.is_some_and(|time| time.is_string()))
}

fn store(inner: &mut Inner, label: &Label, mut events: Vec<Bytes>, number: u64) -> Fate {
    let switches = &mut inner.switches;
    if let Some(left) = switches.hang.checked_sub(1) {
        switches.hang = left;
        return Fate::Hang;
    }
    if let Some(rule) = switches.failure(&label.tag, &events) {
        if rule.store {
            inner.store.keep(label, events, number);
        }
        let status = StatusCode::from_u16(rule.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after =
            HeaderValue::from_str(&rule.retry_after).unwrap_or(HeaderValue::from_static(""));
        let text = format!("{status}\nbuffer space has too many data\n");
        return Fate::Answer(status, text, retry_after);
    }
    if !switches.unmatched.is_empty() && label.tag.contains(&switches.unmatched) {
        inner.store.tally.dropped_requests += 1;
        return Fate::Answer(switches.ok(), String::new(), HeaderValue::from_static(""));
    }
    let limit = switches.record_limit;
    let too_large = |event: &Bytes| limit > 0 && event.len() > limit;
    if let Some(at) = events.iter().position(too_large) {
        let size = events[at].len();
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        if switches.version == FluentdVersion::V1_12 {
            return plain(status, "record is larger than buffer chunk limit size");
        }
        events.retain(|event| !too_large(event));
        inner.store.keep(label, events, number);
        let text = format!(
            "a {size} bytes record (nth: {at}) is larger than buffer chunk limit size ({limit})"
        );
        return plain(status, &text);
    }
    inner.store.keep(label, events, number);
    if let Some(left) = inner.switches.close_after_store.checked_sub(1) {
        inner.switches.close_after_store = left;
        return Fate::CutOff;
    }
    if inner.switches.hold_at.is_some_and(|at| inner.store.tally.events >= at) {
        return Fate::Hold;
    }
    Fate::Answer(inner.switches.ok(), String::new(), HeaderValue::from_static(""))
}

impl Switches {
    pub(super) fn ok(&self) -> StatusCode {
        StatusCode::from_u16(self.ok_status).unwrap_or(StatusCode::OK)
    }

    /// The answer to a request without a body that is no `POST` or `PUT`.
    pub(super) fn without_body(&self, method: &Method) -> (StatusCode, &'static str) {
        let refused = self.parse
            && match self.version {
                FluentdVersion::V1_12 => true,
                FluentdVersion::V1_16 => method == Method::HEAD,
                FluentdVersion::V1_19 => false,
            };
        if refused {
            (StatusCode::BAD_REQUEST, "400 Bad Request\nunexpected end of input\n")
        } else {
            (StatusCode::OK, "")
        }
    }
}
