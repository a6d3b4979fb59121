//! Reading the recorded events.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{Facts, Flavour, Mode};
use ev_decode::{Answer, Options, Scratch, Table, Transcoder};
use flate2::read::GzDecoder;
use serde_json::Value;

/// One recorded line.
pub(crate) struct Vector(pub(crate) Value);

impl Vector {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    pub(crate) fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.text(key).map(|text| BASE64_STANDARD.decode(text).expect("recorded base64"))
    }

    pub(crate) fn event(&self) -> Vec<u8> {
        self.bytes("oneof").expect("every line has an input")
    }

    /// Which line it is, for messages.
    pub(crate) fn label(&self, line: usize) -> String {
        format!("line {line}: {:?} {:?}", self.text("type"), self.text("case"))
    }
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

pub(crate) fn vectors(name: &str) -> Vec<Vector> {
    let path = testdata(&format!("golden/{name}.jsonl.gz"));
    let file = std::fs::File::open(path).expect("recorded events");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("recorded gzip");
    text.lines().map(|line| Vector(serde_json::from_str(line).expect("recorded JSON"))).collect()
}

pub(crate) fn table(label: &str) -> Arc<Table> {
    let tables = ev_decode::embedded();
    tables.into_iter().find(|table| table.label == label).expect("an embedded table").table
}

pub(crate) fn transcoder(label: &str, flavour: Flavour) -> Transcoder {
    Transcoder::new(table(label), flavour, Options::default())
}

/// Decodes into a fresh buffer behind some bytes that must stay as they are.
pub(crate) fn decode(transcoder: &Transcoder, event: &[u8], mode: Mode) -> (Answer, Vec<u8>) {
    decode_with(transcoder, &mut Scratch::new(), event, mode)
}

pub(crate) fn decode_with(
    transcoder: &Transcoder,
    scratch: &mut Scratch,
    event: &[u8],
    mode: Mode,
) -> (Answer, Vec<u8>) {
    let mut out = b"before".to_vec();
    let answer = transcoder.decode_one(scratch, event, mode, &mut out);
    let json = out.strip_prefix(b"before").expect("bytes in front stay").to_vec();
    let written = matches!(answer, Answer::Decoded(_) | Answer::Unknown { known: true, .. });
    assert_eq!(written, !json.is_empty(), "output and answer agree: {answer:?}");
    (answer, json)
}

/// The four kinds of answer.
pub(crate) fn class(answer: &Answer) -> &'static str {
    match answer {
        Answer::Decoded(_) => "decoded",
        Answer::Unknown { .. } => "unknown",
        Answer::Malformed { .. } => "malformed",
        Answer::Unprintable { .. } => "unprintable",
    }
}

pub(crate) fn facts(answer: &Answer) -> Option<Facts> {
    match answer {
        Answer::Decoded(facts) => Some(*facts),
        Answer::Unknown { facts, .. } | Answer::Unprintable { facts, .. } => *facts,
        Answer::Malformed { .. } => None,
    }
}
