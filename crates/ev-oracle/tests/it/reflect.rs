//! prost-reflect and the writer on every recorded event.

use std::collections::BTreeMap;

use ev_oracle::{Refused, Schema};

use crate::data::{schema, vectors};

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    equal: usize,
    /// JSON in Go, refused by prost.
    refused: usize,
    /// No JSON in Go, none here.
    neither: usize,
}

/// Counts the answers; other ones than Go's may only be those of the cases in `merged`, each with
/// its number.
fn check(schema: &Schema, name: &str, expected: &Counts, merged: &[(&str, usize)]) {
    let mut counts = Counts::default();
    let mut other: BTreeMap<String, usize> = BTreeMap::new();
    for (label, vector) in vectors(name) {
        let mut out = b"before".to_vec();
        let answer = schema.reflect(&vector.event(), &mut out);
        let json = out.strip_prefix(b"before").expect("bytes in front stay");
        assert_eq!(answer.is_err(), json.is_empty(), "{label}");
        match (answer, vector.bytes("json")) {
            (Ok(()), Some(recorded)) if recorded == json => counts.equal += 1,
            (Err(Refused::Decode { .. }), Some(_)) => counts.refused += 1,
            (Err(_), None) => counts.neither += 1,
            _ => *other.entry(vector.text("case").expect("a case").to_owned()).or_default() += 1,
        }
    }
    assert_eq!(&counts, expected);
    let merged = merged.iter().map(|(case, count)| ((*case).to_owned(), *count)).collect();
    assert_eq!(other, merged);
}

#[test]
fn v13() {
    let expected = Counts { equal: 910, refused: 45, neither: 126 };
    let merged = [
        ("edge-wire-case-twice", 4),
        ("edge-wire-map-value-twice", 1),
        ("edge-wire-message-again-empty", 8),
        ("edge-wire-split-message", 8),
        ("edge-wire-time-split", 4),
        ("edge-wire-time-twice", 4),
        ("edge-wire-value-list-twice", 2),
    ];
    check(&schema("v13"), "v13", &expected, &merged);
}

#[test]
fn v15dev() {
    let expected = Counts { equal: 974, refused: 44, neither: 128 };
    let merged = [
        ("edge-wire-case-twice", 4),
        ("edge-wire-map-value-twice", 1),
        ("edge-wire-message-again-empty", 8),
        ("edge-wire-split-message", 6),
        ("edge-wire-time-split", 4),
        ("edge-wire-time-twice", 4),
        ("edge-wire-value-list-twice", 2),
        ("edge-wire-wrapper-twice", 1),
    ];
    check(&schema("v15dev"), "v15dev", &expected, &merged);
}

#[test]
fn v18dev() {
    let expected = Counts { equal: 1132, refused: 46, neither: 135 };
    let merged = [
        ("edge-wire-case-twice", 4),
        ("edge-wire-message-again-empty", 8),
        ("edge-wire-split-message", 9),
        ("edge-wire-time-split", 4),
        ("edge-wire-time-twice", 4),
        ("edge-wire-value-list-twice", 2),
    ];
    check(&schema("v18dev"), "v18dev", &expected, &merged);
}

#[test]
fn realistic() {
    let expected = Counts { equal: 2240, refused: 0, neither: 0 };
    check(&schema("v18dev"), "realistic-v18dev", &expected, &[]);
}
