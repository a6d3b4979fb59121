//! Six frames of the client that the format comes from, byte for byte.

use ev_audit::wire::{
    self, Decoded, Message, decode, decode_frame, encode, encode_diagnostic, encode_heartbeat,
    encode_record,
};
use ev_audit::{
    CallerIdentityType, ConnectionType, Heartbeat, Identity, List, Map, OperationCategory, Plane,
    Record, ServiceId, Value,
};
use sha2::{Digest as _, Sha256};

use crate::data::{SECONDS, hex, record, service, unhex};

const A: &str = include_str!("../data/A.hex");
const B: &str = include_str!("../data/B.hex");
const C: &str = include_str!("../data/C.hex");
const D: &str = include_str!("../data/D.hex");
const E: &str = include_str!("../data/E.hex");
const F: &str = include_str!("../data/F.hex");

fn framed(plane: Plane, record: &Record, service: &ServiceId) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_record(&mut frame, plane, record, service, SECONDS);
    frame
}

/// The frame has the bytes, length and digest of the golden one, and is read back whole, with
/// nothing to complain about, into what is encoded as the same bytes again.
fn check(frame: &[u8], golden: &str, len: usize, sha256: &str) {
    assert_eq!(hex(frame), hex(&unhex(golden)));
    assert_eq!(frame.len(), len);
    assert_eq!(hex(&Sha256::digest(frame)), sha256);

    let (message, taken) = decode(frame).expect("a frame").expect("all of it");
    assert_eq!((taken, message.seconds()), (len, SECONDS));
    let mut again = Vec::new();
    encode(&mut again, &message);
    assert_eq!(hex(&again), hex(frame));
    let told = decode_frame(frame, len).expect("a frame").expect("all of it");
    assert_eq!(
        told,
        Decoded {
            messages: vec![message],
            departures: Vec::new(),
            more_departures: [].into(),
            len
        }
    );

    for end in 0..len {
        assert_eq!(decode(&frame[..end]), Ok(None), "the first {end} bytes");
    }
    assert_eq!(wire::seconds(frame), Some(SECONDS));
}

#[test]
fn a_heartbeat() {
    let heartbeat = Heartbeat {
        service: service(),
        audit_version: "v.2.0.0".to_owned(),
        os_version: "6.1.0-18-amd64".to_owned(),
        language: "go1.25.5".to_owned(),
        destination: ConnectionType::UNIX_DOMAIN_SOCKET,
    };
    let mut frame = Vec::new();
    encode_heartbeat(&mut frame, &heartbeat, SECONDS);
    check(&frame, A, 194, "c7a9e72a86e588a1a45e21f3d4b2aeb52c50bf35c28cf5f91e37e8c3e7d3b6cb");
    let (message, _) = decode(&frame).unwrap().unwrap();
    assert_eq!(message, Message::Heartbeat { seconds: SECONDS, heartbeat });
}

#[test]
fn b_record_with_its_lists_in_order() {
    let frame = framed(Plane::Data, &record(), &service());
    check(&frame, B, 556, "b156693d39449785077148a010b9fdec2c020538b99fa83d27bfbda6179f0f05");
    for (offset, key) in [
        (24, "env_ikey"),
        (71, "CallerIpAddress"),
        (99, "CallerIdentities"),
        (173, "OperationCategories"),
        (224, "TargetResources"),
        (318, "CallerAccessLevels"),
        (342, "OperationAccessLevel"),
        (375, "OperationName"),
        (399, "OperationResultDescription"),
        (444, "CallerAgent"),
        (462, "OperationCategoryDescription"),
        (492, "OperationType"),
        (511, "OperationResult"),
    ] {
        assert_eq!(&frame[offset + 1..][..key.len()], key.as_bytes());
    }
    assert_eq!(frame[wire::BODY], 0x8d);
    assert_eq!(&frame[535..], wire::TRAILER);
}

#[test]
fn b_without_duplicates_is_written_as_it_is() {
    let mut record = record();
    record.operation_categories =
        List::from([OperationCategory::USER_MANAGEMENT, OperationCategory::AUTHENTICATION]);
    record.caller_access_levels = ["a", "b"].map(str::to_owned).into();
    assert_eq!(hex(&framed(Plane::Data, &record, &service())), hex(&unhex(B)));
}

#[test]
fn c_zero_record() {
    let frame = framed(Plane::Control, &Record::default(), &ServiceId::default());
    check(&frame, C, 340, "74ed5232f81e929d3779b460920016a1945d617837eb2f59fbc6bbc9325a2bd3");
}

#[test]
fn d_diagnostic() {
    let mut frame = Vec::new();
    encode_diagnostic(&mut frame, SECONDS);
    check(&frame, D, 45, "22eddbd5f5bccb669a346c20bca139943abdf738473fba6e9556fc7d67063935");
}

#[test]
fn e_custom_data() {
    let mut record = record();
    record.custom_data.insert("k".to_owned(), Value::from(5_i64));
    let frame = framed(Plane::Data, &record, &service());
    check(&frame, E, 579, "03e604934a129d82ccaada54385880d63afb0178a61be9d69950e078689f80f7");
    // Bytes of B up to the target resources, the pair, the rest; only the count of pairs differs.
    let b = unhex(B);
    let pair = unhex("aa437573746f6d4461746181a16bd30000000000000005");
    assert_eq!(frame, [&b[..23], &[0x8e], &b[24..224], &pair, &b[224..]].concat());
}

#[test]
fn f_empty_containers() {
    let record = Record {
        caller_identities: Map::<CallerIdentityType, List<Identity>>::empty(),
        operation_categories: List::empty(),
        custom_data: Map::empty(),
        target_resources: Map::from([("T".to_owned(), List::absent())]),
        caller_access_levels: List::empty(),
        ..record()
    };
    let frame = framed(Plane::Data, &record, &service());
    check(&frame, F, 392, "5761c0e6e10d81b064971de8bf9341e279514b9c5a59adbec99b49c804edb020");
}

#[test]
fn control_plane_differs_in_its_tag_alone() {
    let mut expected = unhex(B);
    expected[10..12].copy_from_slice(b"CP");
    assert_eq!(hex(&framed(Plane::Control, &record(), &service())), hex(&expected));
}

#[test]
fn a_frame_is_given_another_time() {
    let mut frame = unhex(B);
    wire::stamp(&mut frame, -2);
    assert_eq!(wire::seconds(&frame), Some(-2));
    let (message, _) = decode(&frame).unwrap().unwrap();
    assert_eq!(message.seconds(), -2);
    wire::stamp(&mut frame, SECONDS);
    assert_eq!(frame, unhex(B));
    // What is too short to have a time stays as it is.
    let mut short = frame[..wire::SECONDS.end - 1].to_vec();
    wire::stamp(&mut short, 7);
    assert_eq!(short, frame[..short.len()]);
    assert_eq!(wire::seconds(&short), None);
}

/// A record has no service id: whatever it was read with, it leaves with that of the sender.
#[test]
fn a_record_of_another_service_leaves_with_the_id_of_the_sender() {
    let (message, _) = decode(&unhex(B)).unwrap().unwrap();
    let other = ServiceId::from_bytes([7; 16]).unwrap();
    let frame = framed(Plane::Data, message.record().unwrap(), &other);
    let (sent, _) = decode(&frame).unwrap().unwrap();
    assert_eq!(sent.service(), Some(&other));
    assert_eq!(sent.record(), message.record());
}
