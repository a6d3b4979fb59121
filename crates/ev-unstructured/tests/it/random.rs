use bytes::Bytes;
use ev_core::{Outcome, Timestamp};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::data::{decode, raw};
use crate::slow::{self, EventUnstructured};

fn key() -> impl Strategy<Value = String> {
    // Few letters, so that keys begin alike and come twice.
    prop_oneof!["[ab\u{0}\"]{0,12}", "\\PC{0,6}", Just("uid".to_owned()), Just("sid".to_owned())]
}

fn number() -> impl Strategy<Value = f64> {
    let whole = any::<i64>().prop_map(|n| {
        #[expect(clippy::cast_precision_loss, reason = "as Auth makes doubles of integers")]
        let number = n as f64;
        number
    });
    let near = (1u32..10_000, -30i32..30).prop_map(|(n, power)| f64::from(n) * 10f64.powi(power));
    prop_oneof![
        any::<f64>(),
        whole,
        near,
        any::<u64>().prop_map(f64::from_bits),
        (-5i32..5).prop_map(f64::from)
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Kind::NullValue(0)),
        number().prop_map(Kind::NumberValue),
        any::<bool>().prop_map(Kind::BoolValue),
        "\\PC{0,20}|[\u{0}-\u{7f}]{0,40}".prop_map(Kind::StringValue),
    ];
    let leaf = prop::option::weighted(0.99, leaf).prop_map(|kind| Value { kind });
    leaf.prop_recursive(5, 40, 6, |inner| {
        let object = prop::collection::btree_map(key(), inner.clone(), 0..6)
            .prop_map(|fields| Kind::StructValue(Struct { fields }));
        let list = prop::collection::vec(inner, 0..6)
            .prop_map(|values| Kind::ListValue(ListValue { values }));
        prop_oneof![object, list].prop_map(|kind| Value { kind: Some(kind) })
    })
}

/// The bytes of a Struct whose members come in any order, and some of them twice.
fn members() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((key(), value()), 0..10).prop_map(|members| {
        let one = |(key, value)| Struct { fields: [(key, value)].into() }.encode_to_vec();
        members.into_iter().flat_map(one).collect()
    })
}

fn event() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof!["\\PC{0,12}", Just("0a".repeat(32))];
    let envelope = ("\\PC{0,12}", id, any::<i64>(), any::<i64>(), 0i32..2_000_000_000);
    (envelope, prop::collection::vec(members(), 1..3)).prop_map(|(envelope, structs)| {
        let (kind, id, index, seconds, nanos) = envelope;
        let time = Some(prost_types::Timestamp { seconds, nanos });
        let mut bytes =
            EventUnstructured { kind, id, time, index, unstructured: None }.encode_to_vec();
        for body in structs {
            prost::encoding::bytes::encode(5, &body, &mut bytes);
        }
        bytes
    })
}

fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(number, &value.to_vec(), &mut out);
    out
}

/// What the slow path reads has to be read the same way.
fn check(bytes: Vec<u8>, is_damaged: bool) -> Result<(), TestCaseError> {
    let event = raw(bytes);
    let (outcome, json) = decode(&event);
    let Ok(slow) = EventUnstructured::decode(&event.bytes[..]) else {
        // It is stricter with groups, long varints and depth, which Go's readers are not.
        return Ok(());
    };
    let Some(body) = slow.unstructured else {
        prop_assert!(matches!(outcome, Outcome::Malformed { .. }), "{outcome:?}");
        return Ok(());
    };
    match (slow::json(&body), outcome) {
        (Some(expected), Outcome::Decoded { facts, .. }) => {
            prop_assert_eq!(json, expected);
            prop_assert_eq!(facts.kind.of(&event.bytes), slow.kind.as_bytes());
            prop_assert_eq!(facts.index, slow.index);
            if !slow.id.is_empty() {
                prop_assert_eq!(facts.id(&event.bytes), slow.id);
            }
            let text = |key: &str| match body.fields.get(key).and_then(|value| value.kind.as_ref())
            {
                Some(Kind::StringValue(text)) => text.as_bytes(),
                _ => b"",
            };
            prop_assert_eq!(facts.session.of(&event.bytes), text("sid"));
            let peeked = event.peek().expect("an event that is decoded");
            prop_assert_eq!((peeked.kind, peeked.index), (facts.kind, facts.index));
            prop_assert_eq!(peeked.time, facts.time);
        }
        (None, Outcome::Unprintable { path, .. }) => prop_assert!(path.starts_with("5."), "{path}"),
        // It takes entries of maps for what they should be, whatever their wire type says.
        (Some(_), Outcome::Malformed { what, .. }) if is_damaged && what == "wrong wire type" => {}
        (expected, outcome) => prop_assert!(false, "{expected:?} {outcome:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn events_are_printed_as_the_slow_path_prints_them(bytes in event()) {
        check(bytes, false)?;
    }

    #[test]
    fn damaged_events_are_read_as_the_slow_path_reads_them(
        bytes in event(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = bytes;
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        check(bytes, true)?;
    }

    #[test]
    fn messages_that_come_in_parts_merge(
        parts in prop::collection::vec((0u8..4, members(), value()), 1..5),
    ) {
        // One member whose value has several kinds, in one entry or in several values of it.
        let mut value = Vec::new();
        for (how, object, other) in parts {
            let list = ListValue { values: vec![other.clone()] }.encode_to_vec();
            let more = match how {
                0 => field(5, &object),
                1 => field(6, &list),
                2 => other.encode_to_vec(),
                _ => field(3, b"text"),
            };
            value.push(more);
        }
        let in_one: Vec<u8> = value.concat();
        let in_one = [field(1, b"k"), field(2, &in_one)].concat();
        let in_several: Vec<u8> =
            value.iter().flat_map(|part| field(2, part)).chain(field(1, b"k")).collect();
        for entry in [in_one, in_several] {
            check(field(5, &field(1, &entry)), false)?;
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        check(bytes.clone(), true)?;
        check(field(5, &bytes), true)?;
        check(field(5, &field(1, &[field(1, b"k"), field(2, &bytes)].concat())), true)?;
    }
}

#[test]
fn an_event_without_an_id_has_one_of_its_own() {
    let event = raw(Bytes::from(field(5, b"")));
    let (outcome, json) = decode(&event);
    let Outcome::Decoded { facts, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(json, "{}");
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(b"{}").into();
    assert_eq!((facts.digest, facts.time), (Some(digest), Timestamp::ZERO_YEAR_ONE));
}
