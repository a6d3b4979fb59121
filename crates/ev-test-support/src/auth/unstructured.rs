//! Events as the unstructured calls send them.
//!
//! Made of the JSON that Go prints of an event, as Auth does it: by a general JSON reader and
//! nothing of what is tested. The id is the event's own, else the lower-case hex SHA-256 of the
//! JSON; a `print` event has its bytes as one more key `data`; all numbers are doubles. The keys
//! stand in falling order on the wire, since a Go map has none.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::store::Event;
use crate::data::wire;
use crate::time::UtcTime;

/// Case of `events.OneOf` and field in it that hold what a terminal printed.
const PRINT: (u64, u64) = (7, 3);

/// What the unstructured calls send for an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unstructured {
    /// Nothing is known that could be sent: a call that comes to the event fails.
    #[default]
    Absent,
    /// An `EventUnstructured` made of the JSON that Go prints of the event.
    Of(Bytes),
    /// A serialised `EventUnstructured`, sent as it is.
    Message(Bytes),
}

impl Event {
    /// The serialised `EventUnstructured`, if one can be made.
    pub fn unstructured(&self) -> Option<Bytes> {
        match &self.unstructured {
            Unstructured::Absent => None,
            Unstructured::Message(message) => Some(message.clone()),
            Unstructured::Of(json) => message(json, &self.oneof).map(Bytes::from),
        }
    }
}

/// The `EventUnstructured` of an event of which Go prints `json`.
fn message(json: &[u8], oneof: &[u8]) -> Option<Vec<u8>> {
    let Value::Object(object) = serde_json::from_slice(json).ok()? else { return None };
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let uid = text("uid");
    let id = if uid.is_empty() { hex(&Sha256::digest(json)) } else { uid.to_owned() };
    let time = UtcTime::parse(text("time"))?;
    let mut stamp = Vec::new();
    put_number(&mut stamp, 1, time.seconds.cast_unsigned());
    put_number(&mut stamp, 2, time.nanos.into());
    let mut out = Vec::new();
    put_text(&mut out, 1, text("event"));
    put_text(&mut out, 2, &id);
    put(&mut out, 3, &stamp);
    let index = object.get("ei").and_then(Value::as_i64).unwrap_or_default();
    put_number(&mut out, 4, index.cast_unsigned());
    put(&mut out, 5, &structure(&with_data(object, oneof)));
    Some(out)
}

/// The JSON that the receiver of an `EventUnstructured` makes of an event of which Go prints
/// `json`: keys sorted at every level, numbers as doubles. `None` when it is no object.
pub(crate) fn struct_json(json: &[u8], oneof: &[u8]) -> Option<String> {
    let Value::Object(object) = serde_json::from_slice(json).ok()? else { return None };
    let mut out = String::new();
    print(&mut out, &Value::Object(with_data(object, oneof)));
    Some(out)
}

/// Adds what a terminal printed, which Go leaves out of the JSON.
fn with_data(mut object: Map<String, Value>, oneof: &[u8]) -> Map<String, Value> {
    let fields = wire::fields(oneof).unwrap_or_default();
    if let Some(case) = wire::only(&fields, PRINT.0) {
        let event = &oneof[case.value.clone()];
        let fields = wire::fields(event).unwrap_or_default();
        let data = wire::only(&fields, PRINT.1).map(|field| &event[field.value.clone()]);
        object.insert("data".to_owned(), STANDARD.encode(data.unwrap_or_default()).into());
    }
    object
}

fn structure(object: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, member) in object.iter().rev() {
        let mut entry = Vec::new();
        put(&mut entry, 1, key.as_bytes());
        put(&mut entry, 2, &value(member));
        put(&mut out, 1, &entry);
    }
    out
}

fn value(of: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match of {
        Value::Null => out.extend([1 << 3, 0]),
        Value::Bool(flag) => out.extend([4 << 3, u8::from(*flag)]),
        Value::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(double(number).to_le_bytes());
        }
        Value::String(text) => put(&mut out, 3, text.as_bytes()),
        Value::Array(items) => {
            let mut list = Vec::new();
            items.iter().for_each(|item| put(&mut list, 1, &value(item)));
            put(&mut out, 6, &list);
        }
        Value::Object(object) => put(&mut out, 5, &structure(object)),
    }
    out
}

fn print(out: &mut String, of: &Value) {
    match of {
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                print(out, item);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (n, (key, member)) in object.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                print(out, member);
            }
            out.push('}');
        }
        Value::Number(number) => print_number(out, double(number)),
        other => out.push_str(&other.to_string()),
    }
}

fn print_number(out: &mut String, number: f64) {
    let size = number.abs();
    let written = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        out.write_str(&if size < 1.0 { text } else { text.replace('e', "e+") })
    } else {
        write!(out, "{number}")
    };
    written.expect("a string takes everything");
}

fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn put(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    wire::put_varint(out, number << 3 | 2);
    wire::put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// As Go writes it: nothing when it is empty.
fn put_text(out: &mut Vec<u8>, number: u64, text: &str) {
    if !text.is_empty() {
        put(out, number, text.as_bytes());
    }
}

/// As Go writes it: nothing when it is 0.
fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        wire::put_varint(out, number << 3);
        wire::put_varint(out, value);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;

    use flate2::read::GzDecoder;
    use prost::Message as _;

    use super::*;

    /// Recorded events that Auth's own code has converted.
    fn recorded(label: &str) -> Vec<Value> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
        let file = std::fs::File::open(root.join(format!("{label}.jsonl.gz"))).expect("a file");
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line"));
        lines.filter(|line: &Value| line.get("unstructured_error").is_none()).collect()
    }

    fn bytes(line: &Value, key: &str) -> Option<Vec<u8>> {
        Some(STANDARD.decode(line.get(key)?.as_str()?).expect("base64"))
    }

    #[test]
    fn what_is_made_is_what_auth_makes() {
        let (mut checked, mut too_deep) = (0, 0);
        for line in ["v15dev", "v18dev"].iter().flat_map(|label| recorded(label)) {
            let recorded =
                (bytes(&line, "unstructured_struct_json"), bytes(&line, "unstructured_pb"));
            let (Some(expected), Some(wire)) = recorded else { continue };
            let json = bytes(&line, "json").expect("what was converted was printed");
            let oneof = bytes(&line, "oneof").expect("the input");
            let label = format!("{} {}", line["type"], line["case"]);
            // With keys that become equal, that release cuts the object; later ones refuse it.
            if line["case"] == "edge-map-badutf8" {
                continue;
            }
            // Some are nested deeper than a general reader goes.
            let Some(printed) = struct_json(&json, &oneof) else {
                too_deep += 1;
                continue;
            };
            assert_eq!(printed, String::from_utf8(expected).expect("text"), "{label}");
            let made = message(&json, &oneof).expect("an object");
            let split = |message: &[u8]| {
                let fields = wire::fields(message).expect("a message");
                let body = wire::only(&fields, 5).expect("a struct");
                let parsed = prost_types::Struct::decode(&message[body.value.clone()]);
                // Some are too deep for this reader, too.
                (message[..body.whole.start].to_vec(), parsed.ok())
            };
            assert_eq!(split(&made), split(&wire), "{label}");
            checked += 1;
        }
        assert!(checked > 2000 && too_deep < 20, "{checked}, {too_deep} too deep");
    }
}
