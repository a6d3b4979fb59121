//! A JSON value as bytes: as `encoding/json` writes it, and as Auth's unstructured roads do.

use std::collections::BTreeMap;

use super::value::Json;
use crate::json;

/// Go's `encoding/json`.
pub(super) fn go(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(value) => json::bool(out, *value),
        Json::Unsigned(value) => json::unsigned(out, *value),
        Json::Signed(value) => json::signed(out, *value),
        Json::Double(value) => json::double(out, *value),
        Json::Text(text) => json::lossy(out, text),
        Json::List(list) => {
            out.push(b'[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                go(value, out);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json::lossy(out, key);
                out.push(b':');
                go(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Two keys of an object are equal once what is not UTF-8 is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EqualKeys;

/// A `google.protobuf.Struct` made of the value, printed: keys sorted, numbers as doubles.
pub(super) fn sorted(value: &Json, out: &mut Vec<u8>) -> Result<(), EqualKeys> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "that is what the form is about")]
        Json::Unsigned(value) => json::double(out, *value as f64),
        #[expect(clippy::cast_precision_loss, reason = "that is what the form is about")]
        Json::Signed(value) => json::double(out, *value as f64),
        Json::Text(bytes) => text(out, &replaced(bytes)),
        Json::List(list) => {
            out.push(b'[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                sorted(value, out)?;
            }
            out.push(b']');
        }
        Json::Object(members) => {
            let mut by_key = BTreeMap::new();
            for (key, value) in members {
                if by_key.insert(replaced(key), value).is_some() {
                    return Err(EqualKeys);
                }
            }
            out.push(b'{');
            for (at, (key, value)) in by_key.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                text(out, key);
                out.push(b':');
                sorted(value, out)?;
            }
            out.push(b'}');
        }
        other => go(other, out),
    }
    Ok(())
}

/// Each byte that is not UTF-8 replaced.
fn replaced(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| text.push(char::REPLACEMENT_CHARACTER));
    }
    text
}

/// protojson escapes only what JSON demands.
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '\0'..='\x1f' => {
                let mut quoted = Vec::new();
                json::text(&mut quoted, c.encode_utf8(&mut [0; 4]));
                out.extend_from_slice(&quoted[1..quoted.len() - 1]);
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
