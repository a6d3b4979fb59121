//! The slow decoder on every recorded event: JSON, answer, path and facts.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_oracle::{Event, Schema, Verdict};
use serde_json::Value;

use crate::data::{Vector, schema, vectors};

/// Go nests a `Struct` 4,000 deep in these; the slow decoder recurses.
const STACK_LEN: usize = 256 << 20;

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    malformed: usize,
    unknown: usize,
    unprintable: usize,
    decoded: usize,
    json: usize,
    structured: usize,
}

impl Counts {
    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Malformed => self.malformed += 1,
            Verdict::Unknown { .. } => self.unknown += 1,
            Verdict::Known(event) if event.go.is_none() => self.unprintable += 1,
            _ => self.decoded += 1,
        }
    }
}

fn shown(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or(b"nothing")).into_owned()
}

fn check_facts(vector: &Vector, event: &Event, label: &str) {
    let b64 = vector
        .bytes("facts_b64")
        .map(|json| serde_json::from_slice::<Value>(&json).expect("recorded facts"));
    let fact = |key: &str| match &b64 {
        Some(facts) => {
            let text = facts.get(key).and_then(Value::as_str).unwrap_or_default();
            BASE64_STANDARD.decode(text).expect("recorded base64")
        }
        None => vector.text(key).unwrap_or_default().as_bytes().to_vec(),
    };
    assert_eq!(event.kind, fact("event_type"), "{label}");
    assert_eq!(event.uid, fact("uid"), "{label}");
    assert_eq!(event.session, fact("sid"), "{label}");
    assert_eq!(Some(u64::from(event.case)), vector.0["oneof_number"].as_u64(), "{label}");
    assert_eq!(Some(event.index), vector.0["index"].as_i64(), "{label}");
}

fn check(schema: &Schema, name: &str, expected: &Counts) {
    let mut counts = Counts::default();
    for (label, vector) in vectors(name) {
        let verdict = schema.slow(&vector.event());
        let path = vector.text("unknown_wire_path");
        counts.count(&verdict);
        let event = match (&verdict, vector.text("stage"), path) {
            (Verdict::Malformed, Some("unmarshal"), _)
            | (Verdict::Malformed, Some("from_oneof"), None) => None,
            (Verdict::Unknown { path, event, .. }, stage, Some(recorded)) => {
                assert_ne!(stage, Some("unmarshal"), "{label}");
                assert_eq!(path, recorded, "{label}");
                event.as_ref()
            }
            (Verdict::Known(event), None | Some("json"), None) => Some(event),
            other => panic!("{label}: {other:?}"),
        };
        let Some(event) = event else { continue };
        check_facts(&vector, event, &label);
        let json = vector.bytes("json");
        assert_eq!(shown(event.go.as_deref()), shown(json.as_deref()), "{label}");
        assert_eq!(event.go, json, "{label}");
        counts.json += usize::from(json.is_some());
        if let Some(recorded) = vector.bytes("unstructured_struct_json") {
            let (found, recorded) = (event.structured.as_deref(), Some(&recorded[..]));
            assert_eq!(shown(found), shown(recorded), "{label}");
            counts.structured += 1;
        } else if vector.text("unstructured_stage") == Some("convert") {
            assert_eq!(event.structured, None, "{label}");
        }
    }
    assert_eq!(&counts, expected);
}

fn with_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK_LEN).spawn(work);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn v13() {
    let expected = Counts {
        malformed: 108,
        unknown: 66,
        unprintable: 17,
        decoded: 921,
        json: 986,
        structured: 0,
    };
    with_stack(move || check(&schema("v13"), "v13", &expected));
}

#[test]
fn v15dev() {
    let expected = Counts {
        malformed: 110,
        unknown: 66,
        unprintable: 17,
        decoded: 983,
        json: 1048,
        structured: 1048,
    };
    with_stack(move || check(&schema("v15dev").cutting_equal_keys(), "v15dev", &expected));
}

#[test]
fn v18dev() {
    let expected = Counts {
        malformed: 109,
        unknown: 66,
        unprintable: 25,
        decoded: 1144,
        json: 1209,
        structured: 1202,
    };
    with_stack(move || check(&schema("v18dev"), "v18dev", &expected));
}

#[test]
fn merged_occurrences() {
    let expected = Counts { decoded: 17, json: 17, structured: 17, ..Counts::default() };
    check(&schema("v18dev"), "merge", &expected);
}

#[test]
fn realistic() {
    let expected = Counts { decoded: 2240, json: 2240, ..Counts::default() };
    check(&schema("v18dev"), "realistic-v18dev", &expected);
}

/// Events of the newest version as older schemas see them.
fn check_older(label: &str, expected: &Counts) {
    let schema = schema(label);
    let mut counts = Counts::default();
    for (line, vector) in vectors("unknown") {
        let truth = &vector.0[label];
        let text = |key: &str| truth.get(key).and_then(Value::as_str);
        let verdict = schema.slow(&vector.event());
        counts.count(&verdict);
        let event = match (&verdict, text("stage"), text("unknown_wire_path")) {
            (Verdict::Malformed, Some("unmarshal"), _)
            | (Verdict::Malformed, Some("from_oneof"), None) => None,
            (Verdict::Unknown { path, event, .. }, _, Some(recorded)) => {
                assert_eq!(path, recorded, "{line}");
                event.as_ref()
            }
            (Verdict::Known(event), None | Some("json"), None) => Some(event),
            other => panic!("{line}: {other:?}"),
        };
        let same = truth.get("json_same").and_then(Value::as_bool);
        if let (Some(same), Some(event)) = (same, event) {
            assert_eq!(event.go == vector.bytes("json"), same, "{line}");
            counts.json += usize::from(same);
        }
    }
    assert_eq!(&counts, expected);
}

#[test]
fn newer_events_with_v13() {
    let expected =
        Counts { malformed: 101, unknown: 732, decoded: 137, json: 164, ..Counts::default() };
    with_stack(move || check_older("v13", &expected));
}

#[test]
fn newer_events_with_v15dev() {
    let expected =
        Counts { malformed: 106, unknown: 664, decoded: 200, json: 235, ..Counts::default() };
    with_stack(move || check_older("v15dev", &expected));
}
