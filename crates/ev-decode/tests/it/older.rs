//! Events of a newer version as older schemas see them.

use ev_core::{Flavour, Mode};
use ev_decode::Answer;
use serde_json::Value;

use crate::data::{class, decode, transcoder, vectors};

/// Lines by strict answer, and how many known parts equal the newer version's JSON.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    lines: usize,
    decoded: usize,
    unknown: usize,
    malformed: usize,
    unprintable: usize,
    json_same: usize,
}

fn check_older(label: &str, expected: &Counts) {
    let go = transcoder(label, Flavour::Go);
    let mut counts = Counts::default();
    for (line, vector) in vectors("unknown").iter().enumerate() {
        let name = vector.label(line + 1);
        let truth = &vector.0[label];
        let text = |key: &str| truth.get(key).and_then(Value::as_str);
        let event = vector.event();
        let (answer, json) = decode(&go, &event, Mode::Strict);
        let path = text("unknown_wire_path");
        let expected = match (text("stage"), path) {
            (Some("unmarshal"), _) | (Some("from_oneof"), None) => "malformed",
            (_, Some(_)) => "unknown",
            (Some("json"), None) => "unprintable",
            _ => "decoded",
        };
        assert_eq!(class(&answer), expected, "{name}: {answer:?}");
        counts.lines += 1;
        match answer {
            Answer::Decoded(_) => counts.decoded += 1,
            Answer::Unknown { at, .. } => {
                counts.unknown += 1;
                assert_eq!(go.path(&event, at), path.expect("a path"), "{name}");
            }
            Answer::Malformed { .. } => counts.malformed += 1,
            Answer::Unprintable { .. } => counts.unprintable += 1,
        }
        let (_, known) = decode(&go, &event, Mode::KnownPart);
        if expected == "decoded" {
            assert_eq!(json, known, "{name}");
        }
        if let Some(same) = truth.get("json_same").and_then(Value::as_bool) {
            let recorded = vector.bytes("json");
            assert_eq!(Some(&known) == recorded.as_ref(), same, "{name}");
            counts.json_same += usize::from(same);
        }
    }
    assert_eq!(&counts, expected);
}

#[test]
fn with_v13() {
    let expected = Counts {
        lines: 970,
        decoded: 137,
        unknown: 732,
        malformed: 101,
        unprintable: 0,
        json_same: 164,
    };
    check_older("v13", &expected);
}

#[test]
fn with_v15dev() {
    let expected = Counts {
        lines: 970,
        decoded: 200,
        unknown: 664,
        malformed: 106,
        unprintable: 0,
        json_same: 235,
    };
    check_older("v15dev", &expected);
}
