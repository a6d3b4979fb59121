//! Reading the recorded events, and decoding.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use ev_core::{Decoder, Form, Mode, Outcome, Output, RawEvent};
use ev_unstructured::UnstructuredDecoder;
use flate2::read::GzDecoder;
use serde_json::Value;

/// One recorded line.
pub(crate) struct Vector(Value);

impl Vector {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    pub(crate) fn bytes(&self, key: &str) -> Option<Bytes> {
        let bytes = |text| BASE64_STANDARD.decode(text).expect("recorded base64");
        self.text(key).map(|text| bytes(text).into())
    }

    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(Value::as_i64)
    }

    /// Which line it is, for messages.
    pub(crate) fn label(&self) -> String {
        format!("{:?} {:?}", self.text("type"), self.text("case"))
    }
}

pub(crate) fn vectors(label: &str) -> Vec<Vector> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    let file = std::fs::File::open(root.join(format!("{label}.jsonl.gz"))).expect("a file");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("recorded gzip");
    text.lines().map(|line| Vector(serde_json::from_str(line).expect("recorded JSON"))).collect()
}

pub(crate) fn raw(bytes: impl Into<Bytes>) -> RawEvent {
    RawEvent { form: Form::Unstructured, bytes: bytes.into() }
}

/// The outcome, and what stands in the output behind it.
pub(crate) fn decode_with(decoder: &dyn Decoder, event: &RawEvent) -> (Outcome, String) {
    let mut out = Output::with_buffer(b"before".to_vec());
    decoder.decode(std::slice::from_ref(event), Mode::Strict, &mut out).expect("it never fails");
    let (json, mut outcomes) = out.into_parts();
    assert_eq!(outcomes.len(), 1, "one outcome for each event");
    let json = json.strip_prefix(b"before").expect("bytes in front stay");
    let json = String::from_utf8(json.to_vec()).expect("JSON is text");
    let outcome = outcomes.remove(0);
    if !matches!(outcome, Outcome::Decoded { .. }) {
        assert_eq!(json, "", "nothing is left of {outcome:?}");
    }
    (outcome, json.strip_suffix(',').unwrap_or_default().to_owned())
}

pub(crate) fn decode(event: &RawEvent) -> (Outcome, String) {
    decode_with(&UnstructuredDecoder::new().with_login(), event)
}
