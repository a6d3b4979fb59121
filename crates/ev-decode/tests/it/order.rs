//! The order of fields on the wire, and the number of parts of a message, do not matter.

use ev_core::wire::{self, WireType};
use ev_core::{Flavour, Mode};

use crate::data::{class, decode, facts, transcoder, vectors};

/// The fields of a message: number, and all bytes of the field.
fn fields(message: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pos = 0;
    while pos < message.len() {
        let start = pos;
        let (number, kind) = wire::tag(message, &mut pos).expect("well-formed");
        wire::skip(message, &mut pos, kind).expect("well-formed");
        found.push((number, message[start..pos].to_vec()));
    }
    found
}

/// Number and body of a message that is one length-delimited field.
fn body(field: &[u8]) -> (u32, Vec<u8>) {
    let mut pos = 0;
    let (number, kind) = wire::tag(field, &mut pos).expect("well-formed");
    assert_eq!(kind, WireType::Len);
    let range = wire::len_delimited(field, &mut pos).expect("well-formed");
    (number, field[range].to_vec())
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, (number as usize) << 3 | 2);
    varint(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

/// The recorded full events of the newest version, with the JSON that Go wrote.
fn full_events() -> Vec<(Vec<u8>, Vec<u8>)> {
    let full = vectors("v18dev").into_iter().filter(|v| v.text("case") == Some("full"));
    let events: Vec<_> =
        full.map(|v| (v.event(), v.bytes("json").expect("full events print"))).collect();
    assert_eq!(events.len(), 195);
    events
}

fn check(rewrite: impl Fn(u32, &[u8]) -> Vec<u8>) {
    let go = transcoder("v18dev", Flavour::Go);
    for (event, json) in full_events() {
        let (case, message) = body(&event);
        let rewritten = rewrite(case, &message);
        let (answer, written) = decode(&go, &rewritten, Mode::Strict);
        assert_eq!(class(&answer), "decoded", "case {case}: {answer:?}");
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(&json),
            "case {case}"
        );
        let (plain, _) = decode(&go, &event, Mode::Strict);
        let (plain, other) = (facts(&plain).expect("decoded"), facts(&answer).expect("decoded"));
        assert_eq!(plain.kind.of(&event), other.kind.of(&rewritten));
        assert_eq!(plain.uid.of(&event), other.uid.of(&rewritten));
        assert_eq!(plain.session.of(&event), other.session.of(&rewritten));
        assert_eq!((plain.time, plain.index), (other.time, other.index));
    }
}

#[test]
fn fields_backwards() {
    check(|case, message| {
        let mut fields = fields(message);
        // Stable: what a field's occurrences mean depends on their order.
        fields.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        field(case, &fields.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>())
    });
}

#[test]
fn metadata_in_parts_between_the_other_fields() {
    check(|case, message| {
        let mut out = Vec::new();
        let mut late = Vec::new();
        for (number, bytes) in fields(message) {
            if number != 1 {
                out.extend(bytes);
                continue;
            }
            for (index, (_, part)) in fields(&body(&bytes).1).into_iter().enumerate() {
                let part = field(1, &part);
                if index % 2 == 0 { out.extend(part) } else { late.extend(part) }
            }
        }
        out.extend(late);
        field(case, &out)
    });
}

#[test]
fn an_earlier_case_and_earlier_values_leave_nothing_behind() {
    check(|case, message| {
        // An event of another type in front, a `Metadata` that is replaced field by field.
        let mut out = field(10, &field(1, &field(2, b"other.type")));
        let mut doubled = Vec::new();
        for (number, bytes) in fields(message) {
            if number == 1 {
                doubled.extend(field(1, &field(3, b"an earlier uid")));
                doubled.extend(field(1, &field(5, &[8, 1])));
            }
            doubled.extend(bytes);
        }
        out.extend(field(case, &doubled));
        out
    });
}

#[test]
fn many_parts_and_many_equal_keys() {
    let go = transcoder("v18dev", Flavour::Go);
    // Metadata in 20,000 empty parts.
    let mut message = Vec::new();
    for _ in 0..20_000 {
        message.extend(field(1, &[]));
    }
    message.extend(field(1, &field(2, b"t")));
    let (answer, json) = decode(&go, &field(1, &message), Mode::Strict);
    assert_eq!(class(&answer), "decoded");
    let expected = br#"{"ei":0,"event":"t","time":"0001-01-01T00:00:00Z","success":false}"#;
    assert_eq!(json, expected);

    // A struct of 20,000 entries with the same key: the last one counts.
    let mut attributes = Vec::new();
    for index in 0..20_000u32 {
        let mut entry = field(1, b"the same long key");
        let text = index.to_string();
        entry.extend(field(2, &field(3, text.as_bytes())));
        attributes.extend(field(1, &entry));
    }
    let (_, json) = decode(&go, &field(1, &field(5, &attributes)), Mode::Strict);
    assert!(json.ends_with(br#""attributes":{"the same long key":"19999"}}"#));
}
