//! Reading the recorded events and schemas.

use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_oracle::Schema;
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
}

fn testdata(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path);
    std::fs::read(path).expect("a recorded file")
}

pub(crate) fn unpacked(path: &str) -> String {
    let mut text = String::new();
    GzDecoder::new(&testdata(path)[..]).read_to_string(&mut text).expect("recorded gzip");
    text
}

/// The lines with their numbers and cases, for messages.
pub(crate) fn vectors(name: &str) -> Vec<(String, Vector)> {
    let lines = unpacked(&format!("golden/{name}.jsonl.gz"));
    let vector = |line| Vector(serde_json::from_str(line).expect("recorded JSON"));
    let label = |at: usize, vector: &Vector| {
        format!("line {}: {:?} {:?}", at + 1, vector.text("type"), vector.text("case"))
    };
    let vectors = lines.lines().map(vector).enumerate();
    vectors.map(|(at, vector)| (label(at, &vector), vector)).collect()
}

pub(crate) fn schema(label: &str) -> Schema {
    Schema::new(&testdata(&format!("schema/{label}/events.binpb.gz"))).expect("a recorded schema")
}
