use ev_core::{Decoder, EventDigest, Facts, Flavour, Form, Outcome, RawEvent};
use ev_decode::{NativeDecoder, Options};

use crate::data::{decode, decode_with, raw, vectors};

fn facts(outcome: &Outcome) -> Facts {
    match outcome {
        Outcome::Decoded { facts, .. } => *facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_recorded_event_is_printed_as_recorded() {
    let mut checked = 0;
    for vector in ["v15dev", "v18dev"].iter().flat_map(|label| vectors(label)) {
        let (Some(bytes), None) =
            (vector.bytes("unstructured_pb"), vector.text("unstructured_error"))
        else {
            continue;
        };
        let label = vector.label();
        let event = raw(bytes);
        let (outcome, json) = decode(&event);
        let expected = vector.bytes("unstructured_struct_json").expect("recorded beside it");
        assert_eq!(json.as_bytes(), expected, "{label}");

        let facts = facts(&outcome);
        let text = |key| vector.text(key).unwrap_or_default();
        assert_eq!(facts.kind.of(&event.bytes), text("unstructured_type").as_bytes(), "{label}");
        assert_eq!(facts.id(&event.bytes), text("unstructured_id"), "{label}");
        assert_eq!(facts.time.to_string(), text("unstructured_time"), "{label}");
        assert_eq!(Some(facts.index), vector.number("unstructured_index"), "{label}");
        if vector.text("event_type") == Some("session.upload") {
            assert_eq!(facts.session.of(&event.bytes), text("sid").as_bytes(), "{label}");
        }
        // What is told without decoding is the same.
        let peeked = event.peek().expect("an event");
        assert_eq!((peeked.kind, peeked.uid), (facts.kind, facts.uid), "{label}");
        assert_eq!((peeked.index, peeked.time), (facts.index, facts.time), "{label}");
        checked += 1;
    }
    assert!(checked > 2200, "{checked}");
}

#[test]
fn what_the_wire_cannot_carry_is_malformed() {
    let mut checked = 0;
    for vector in ["v15dev", "v18dev"].iter().flat_map(|label| vectors(label)) {
        if vector.text("unstructured_stage") != Some("wire") {
            continue;
        }
        let bytes = vector.bytes("unstructured_pb").expect("what was written of it");
        let (outcome, _) = decode(&raw(bytes));
        assert!(matches!(outcome, Outcome::Malformed { .. }), "{}: {outcome:?}", vector.label());
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

/// The same event on the typed and on the unstructured road is one event, with the same body.
#[test]
fn t13_the_same_event_is_the_same_on_both_roads() {
    let sha256 = |bytes: &[u8]| -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(bytes).into()
    };
    let (mut checked, mut without_uid) = (0, 0);
    for table in ev_decode::embedded().into_iter().filter(|table| table.label != "v13") {
        let options = Options { login: true, ..Options::default() };
        let typed = NativeDecoder::native(table.table, Flavour::Struct, options);
        for vector in vectors(table.label) {
            let (Some(bytes), None) =
                (vector.bytes("unstructured_pb"), vector.text("unstructured_error"))
            else {
                continue;
            };
            let label = vector.label();
            let oneof = RawEvent { form: Form::OneOf, bytes: vector.bytes("oneof").expect("one") };
            let event = raw(bytes);
            let (typed_outcome, typed_json) = decode_with(&typed, &oneof);
            let (outcome, json) = decode(&event);
            // With hand-made fields that no schema has, the typed road cannot tell.
            if matches!(typed_outcome, Outcome::Unknown { .. }) {
                continue;
            }
            let (a, b) = (facts(&typed_outcome), facts(&outcome));
            assert_eq!(typed_json, json, "{label}");
            let digest = |facts: &Facts, event: &RawEvent| -> EventDigest {
                facts.event_digest(&event.bytes, sha256)
            };
            assert_eq!(digest(&a, &oneof), digest(&b, &event), "{label}");
            assert_eq!(a.uid.of(&oneof.bytes), b.uid.of(&event.bytes), "{label}");
            assert_eq!(a.digest.is_some(), b.digest.is_some(), "{label}");
            assert_eq!((a.time, a.index), (b.time, b.index), "{label}");
            // Here every key of that name counts, there those of session metadata.
            let (session, other) = (a.session.of(&oneof.bytes), b.session.of(&event.bytes));
            assert!(
                session == other || session.is_empty() && !other.is_empty() || !session.is_ascii(),
                "{label}"
            );
            if let ("user.login", Some(one), Some(other)) =
                (vector.text("event_type").unwrap_or_default(), a.login, b.login)
            {
                let texts = [
                    (one.user, other.user),
                    (one.login, other.login),
                    (one.cluster, other.cluster),
                ];
                for (one, other) in texts {
                    assert_eq!(one.of(&oneof.bytes), other.of(&event.bytes), "{label}");
                }
                assert_eq!(
                    one.success.unwrap_or_default(),
                    other.success.unwrap_or_default(),
                    "{label}"
                );
            }
            checked += 1;
            without_uid += usize::from(b.digest.is_some());
        }
    }
    assert!(checked > 2000 && without_uid > 500, "{checked}, {without_uid} without uid");
}

#[test]
fn typed_events_are_refused_as_a_whole() {
    let event = RawEvent { form: Form::OneOf, bytes: bytes::Bytes::new() };
    let mut out = ev_core::Output::default();
    let decoder = ev_unstructured::UnstructuredDecoder::default();
    let result = decoder.decode(&[event], ev_core::Mode::Strict, &mut out);
    let error = result.expect_err("of another form").to_string();
    assert_eq!(error, "decoder failed: a typed event was given to an unstructured decoder");
    assert!(out.outcomes().is_empty());
    assert_eq!(decoder.identity().to_string(), "native unstructured");
}
