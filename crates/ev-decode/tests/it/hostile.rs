//! Damaged tables and damaged events: whatever the bytes are, nothing panics, and what is written
//! is JSON.

use std::sync::{Arc, LazyLock};

use ev_core::{Flavour, Mode, peek};
use ev_decode::{Answer, Options, Scratch, Table, Transcoder};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::data::{class, decode_with, transcoder, vectors};

/// Recorded events that are neither unusually long nor deeper than the JSON reader here can go.
static EVENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let shallow = |case: &str| !case.contains("deep");
    let vectors = vectors("v18dev").into_iter();
    let events = vectors.filter(|vector| vector.text("case").is_some_and(shallow));
    events.map(|vector| vector.event()).filter(|event| event.len() < 16 << 10).collect()
});

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index, Index),
    /// Bytes of another event.
    Splice(Index, Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        4 => (index(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), index()).prop_map(|(a, b)| Damage::Remove(a, b)),
        1 => (index(), index(), index()).prop_map(|(a, b, c)| Damage::Repeat(a, b, c)),
        1 => (index(), index(), index(), index())
            .prop_map(|(a, b, c, d)| Damage::Splice(a, b, c, d)),
    ]
}

fn range(bytes: &[u8], a: &Index, b: &Index) -> std::ops::Range<usize> {
    let (a, b) = (a.index(bytes.len() + 1), b.index(bytes.len() + 1));
    a.min(b)..a.max(b)
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Set(at, byte) => *at.get_mut(bytes) = *byte,
        Damage::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << bit,
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Remove(a, b) => {
            let range = range(bytes, a, b);
            bytes.drain(range);
        }
        Damage::Repeat(a, b, c) => {
            let piece = bytes[range(bytes, a, b)].to_vec();
            let at = c.index(bytes.len() + 1);
            bytes.splice(at..at, piece);
        }
        Damage::Splice(a, b, c, d) => {
            let other = d.get(&EVENTS);
            let piece = other[range(other, a, b)].to_vec();
            let at = c.index(bytes.len() + 1);
            bytes.splice(at..at, piece);
        }
    }
}

/// The value with all numbers as doubles, as the `struct` flavour has them.
fn with_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(values) => values.into_iter().map(with_doubles).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, with_doubles(value))).collect()
        }
        other => other,
    }
}

/// All that must hold of any bytes.
fn check_event(event: &[u8]) {
    let mut scratch = Scratch::new();
    let go = transcoder("v18dev", Flavour::Go);
    let form = transcoder("v18dev", Flavour::Struct);
    let (strict, json) = decode_with(&go, &mut scratch, event, Mode::Strict);
    let (known, known_json) = decode_with(&go, &mut scratch, event, Mode::KnownPart);
    assert_eq!(class(&strict), class(&known));
    if class(&strict) == "decoded" {
        assert_eq!(json, known_json);
    }
    match strict {
        Answer::Unknown { at, .. } | Answer::Malformed { at, .. } => {
            assert!(at as usize <= event.len());
            go.path(event, at);
            peek::number_path(event, at);
        }
        Answer::Decoded(facts) => {
            let peeked = peek::metadata(event).expect("a decoded event has metadata");
            assert_eq!(peeked.case, facts.case);
            assert_eq!(peeked.kind.of(event), facts.kind.of(event));
            assert_eq!(peeked.uid.of(event), facts.uid.of(event));
            assert_eq!((peeked.time, peeked.index), (facts.time, facts.index));
        }
        Answer::Unprintable { .. } => {}
    }
    let (form_answer, form_json) = decode_with(&form, &mut scratch, event, Mode::KnownPart);
    if known_json.is_empty() {
        assert!(form_json.is_empty());
        assert_eq!(class(&form_answer), class(&known));
        return;
    }
    let value: Value = serde_json::from_slice(&known_json).expect("valid JSON");
    assert!(value.is_object());
    // Equal keys make the other flavour refuse what this one prints.
    if !form_json.is_empty() {
        let mut expected = with_doubles(value);
        let form_value: Value = serde_json::from_slice(&form_json).expect("valid JSON");
        if let Some(data) = form_value.get("data").filter(|_| expected.get("data").is_none()) {
            expected["data"] = data.clone();
        }
        assert_eq!(with_doubles(form_value), expected);
    }
}

#[test]
fn every_beginning_of_a_table_is_refused() {
    let bytes = ev_decode::embedded().remove(0).bytes;
    for len in 0..bytes.len() {
        assert!(Table::parse(&bytes[..len]).is_err(), "{len} bytes");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(Table::parse(&longer).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn damaged_events(
        which in any::<Index>(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut event = which.get(&EVENTS).clone();
        for damage in &damages {
            apply(&mut event, damage);
        }
        check_event(&event);
    }

    #[test]
    fn any_bytes(event in prop::collection::vec(any::<u8>(), 0..200)) {
        check_event(&event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A damaged table is refused, or it decodes without a panic.
    #[test]
    fn damaged_tables(
        which in 0..3usize,
        damages in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        events in prop::collection::vec(any::<Index>(), 8),
    ) {
        let mut bytes = ev_decode::embedded().remove(which).bytes.to_vec();
        for (at, byte) in &damages {
            *at.get_mut(&mut bytes) = *byte;
        }
        if let Ok(table) = Table::parse(&bytes) {
            let table = Arc::new(table);
            let mut scratch = Scratch::new();
            for flavour in [Flavour::Go, Flavour::Struct] {
                let transcoder = Transcoder::new(Arc::clone(&table), flavour, Options::default());
                for event in &events {
                    let event = event.get(&EVENTS);
                    let mut out = Vec::new();
                    let mode = Mode::KnownPart;
                    let answer = transcoder.decode_one(&mut scratch, event, mode, &mut out);
                    if let Answer::Unknown { at, .. } = answer {
                        transcoder.path(event, at);
                    }
                }
            }
        }
    }
}
