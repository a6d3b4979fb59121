//! Every recorded event of every version, with the schema of its version.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{Facts, Flavour, Mode};
use ev_decode::{Answer, Transcoder};

use crate::data::{Vector, class, decode, facts, transcoder, vectors};

/// How many lines ended how; asserted, so that none is skipped.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    lines: usize,
    json: usize,
    malformed: usize,
    unknown: usize,
    unprintable: usize,
    struct_json: usize,
    struct_refused: usize,
}

/// What the recorded line says the strict answer is.
fn expected_class(vector: &Vector) -> &'static str {
    let unknown = vector.text("unknown_wire_path").is_some();
    match vector.text("stage") {
        Some("unmarshal") => "malformed",
        // No case set: unknown if there was a case that the schema lacks.
        Some("from_oneof") if !unknown => "malformed",
        Some("json") if !unknown => "unprintable",
        None if !unknown => "decoded",
        _ => "unknown",
    }
}

fn check_facts(vector: &Vector, event: &[u8], facts: &Facts, printed: bool, label: &str) {
    let b64 = vector
        .bytes("facts_b64")
        .map(|json| serde_json::from_slice::<serde_json::Value>(&json).expect("recorded facts"));
    let fact = |key: &str| match &b64 {
        Some(facts) => facts
            .get(key)
            .map(|value| {
                let text = value.as_str().expect("recorded text");
                BASE64_STANDARD.decode(text).expect("recorded base64")
            })
            .unwrap_or_default(),
        None => vector.text(key).unwrap_or_default().as_bytes().to_vec(),
    };
    assert_eq!(facts.kind.of(event), fact("event_type"), "{label}");
    assert_eq!(facts.uid.of(event), fact("uid"), "{label}");
    assert_eq!(facts.session.of(event), fact("sid"), "{label}");
    assert_eq!(
        u64::from(facts.case),
        vector.0["oneof_number"].as_u64().expect("a number"),
        "{label}"
    );
    assert_eq!(facts.time.to_string(), vector.text("time").expect("a time"), "{label}");
    assert_eq!(facts.index, vector.0["index"].as_i64().expect("a number"), "{label}");
    if printed && let Some(id) = vector.text("id") {
        assert_eq!(facts.id(event), id, "{label}");
    }
}

fn check_line(
    go: &Transcoder,
    form: &Transcoder,
    vector: &Vector,
    label: &str,
    counts: &mut Counts,
) {
    let event = vector.event();
    let (answer, json) = decode(go, &event, Mode::Strict);
    let expected = expected_class(vector);
    assert_eq!(class(&answer), expected, "{label}: {answer:?}");
    counts.lines += 1;
    match expected {
        "malformed" => counts.malformed += 1,
        "unknown" => counts.unknown += 1,
        "unprintable" => counts.unprintable += 1,
        _ => {}
    }
    if let Answer::Unknown { at, .. } = answer {
        let path = vector.text("unknown_wire_path").expect("a path");
        assert_eq!(go.path(&event, at), path, "{label}");
    }
    if let Some(facts) = facts(&answer)
        && vector.text("oneof_case").is_some()
    {
        check_facts(vector, &event, &facts, class(&answer) == "decoded", label);
    }

    // The known part of an event of its own version is what Go writes of it.
    let (known_answer, known) = decode(go, &event, Mode::KnownPart);
    assert_eq!(class(&known_answer), expected, "{label}");
    if let Some(recorded) = vector.bytes("json") {
        counts.json += 1;
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(shown(&known), shown(&recorded), "{label}");
        assert_eq!(known, recorded, "{label}");
        if expected == "decoded" {
            assert_eq!(json, recorded, "{label}");
        }
        let known_facts = facts(&known_answer).expect("printed events have facts");
        check_facts(vector, &event, &known_facts, true, label);
    } else {
        assert!(known.is_empty(), "{label}");
    }

    let (form_answer, written) = decode(form, &event, Mode::KnownPart);
    if let Some(recorded) = vector.bytes("unstructured_struct_json") {
        counts.struct_json += 1;
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(shown(&written), shown(&recorded), "{label}");
        let form_facts = facts(&form_answer).expect("printed events have facts");
        check_facts(vector, &event, &form_facts, true, label);
    } else if vector.text("unstructured_stage") == Some("convert") {
        counts.struct_refused += 1;
        assert_eq!(class(&form_answer), "unprintable", "{label}: {form_answer:?}");
    } else if vector.text("json").is_none() {
        assert_eq!(class(&form_answer), expected, "{label}");
    }
    let strict = class(&decode(form, &event, Mode::Strict).0);
    assert_eq!(strict, class(&form_answer), "{label}");
}

fn check_version(label: &str, file: &str, expected: &Counts) {
    let (go, form) = (transcoder(label, Flavour::Go), transcoder(label, Flavour::Struct));
    let mut counts = Counts::default();
    for (line, vector) in vectors(file).iter().enumerate() {
        check_line(&go, &form, vector, &vector.label(line + 1), &mut counts);
    }
    assert_eq!(&counts, expected);
}

#[test]
fn v13() {
    let expected = Counts {
        lines: 1112,
        json: 986,
        malformed: 108,
        unknown: 66,
        unprintable: 17,
        ..Counts::default()
    };
    check_version("v13", "v13", &expected);
}

#[test]
fn v15dev() {
    let expected = Counts {
        lines: 1176,
        json: 1048,
        malformed: 110,
        unknown: 66,
        unprintable: 17,
        struct_json: 1048,
        struct_refused: 0,
    };
    check_version("v15dev", "v15dev", &expected);
}

#[test]
fn v18dev() {
    let expected = Counts {
        lines: 1344,
        json: 1209,
        malformed: 109,
        unknown: 66,
        unprintable: 25,
        struct_json: 1202,
        struct_refused: 7,
    };
    check_version("v18dev", "v18dev", &expected);
}

#[test]
fn merged_occurrences() {
    let expected = Counts { lines: 17, json: 17, struct_json: 17, ..Counts::default() };
    check_version("v18dev", "merge", &expected);
}

#[test]
fn realistic() {
    let expected = Counts { lines: 2240, json: 2240, ..Counts::default() };
    check_version("v18dev", "realistic-v18dev", &expected);
}
