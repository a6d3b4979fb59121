//! A parked event as people and programs see it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_core::{Form, unstructured};
use ev_state::ParkedFacts;
use serde::Serialize;

use crate::text::harmless;

/// One JSON object about a parked event. With its bytes it is a line that `ev-handler decode`
/// reads.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    sink: &'a str,
    lane: String,
    reason: &'static str,
    detail: &'a str,
    version: &'a str,
    decoder: &'a str,
    parked: String,
    attempts: u32,
    last_attempt: Option<String>,
    digest: String,
    form: &'static str,
    bytes: u64,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oneof: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unstructured: Option<String>,
}

impl<'a> Record<'a> {
    /// What is known without looking into the event.
    pub(crate) fn new(facts: &'a ParkedFacts) -> Self {
        Self {
            id: Some(facts.id.0),
            sink: &facts.sink.0,
            lane: facts.lane.to_string(),
            reason: facts.reason.as_str(),
            detail: &facts.detail,
            version: facts.version.as_str(),
            decoder: &facts.decoder,
            parked: facts.first.to_string(),
            attempts: facts.attempts,
            last_attempt: facts.last_attempt.map(|at| at.to_string()),
            digest: format!("{:?}", facts.digest),
            form: form_name(facts.form),
            bytes: facts.size,
            kind: None,
            uid: None,
            time: None,
            oneof: None,
            unstructured: None,
        }
    }

    /// The same without a number, of an event that is in no state.
    pub(crate) fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// The same with type, id and time of the event, as far as they can be told without a schema.
    pub(crate) fn with_event(mut self, form: Form, bytes: &[u8]) -> Self {
        if let Some(found) = unstructured::metadata(form, bytes) {
            let text = |span: ev_core::Span| {
                (!span.is_empty()).then(|| String::from_utf8_lossy(span.of(bytes)).into_owned())
            };
            self.kind = text(found.kind);
            self.uid = text(found.uid);
            self.time = Some(found.time.to_string());
        }
        self
    }

    /// The same with the raw bytes.
    pub(crate) fn with_bytes(mut self, form: Form, bytes: &[u8]) -> Self {
        let text = Some(STANDARD.encode(bytes));
        match form {
            Form::OneOf => self.oneof = text,
            Form::Unstructured => self.unstructured = text,
        }
        self
    }

    /// One fact a line, for people. What other machines said is made harmless for a terminal.
    pub(crate) fn lines(&self) -> String {
        let never = "never".to_owned();
        let absent = "-".to_owned();
        let facts = [
            ("id", self.id.map_or(absent.clone(), |id| id.to_string())),
            ("type", self.kind.clone().unwrap_or(absent.clone())),
            ("uid", self.uid.clone().unwrap_or(absent.clone())),
            ("time", self.time.clone().unwrap_or(absent)),
            ("reason", self.reason.to_owned()),
            ("detail", self.detail.to_owned()),
            ("version of auth", self.version.to_owned()),
            ("tried with", tried_with(self.decoder).to_owned()),
            ("parked", self.parked.clone()),
            ("attempts", self.attempts.to_string()),
            ("last attempt", self.last_attempt.clone().unwrap_or(never)),
            ("came from", self.lane.clone()),
            ("for sink", self.sink.to_owned()),
            ("form", self.form.to_owned()),
            ("bytes", self.bytes.to_string()),
            ("digest of id", self.digest.clone()),
        ];
        facts.iter().map(|(name, value)| format!("{name:<16} {}\n", harmless(value))).collect()
    }
}

fn tried_with(decoder: &str) -> &str {
    if decoder.is_empty() { "nothing yet, or due again" } else { decoder }
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::OneOf => "oneof",
        Form::Unstructured => "unstructured",
    }
}
