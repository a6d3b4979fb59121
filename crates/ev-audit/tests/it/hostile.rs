//! Bytes that nobody should send.

use allocation_counter::measure;
use ev_audit::wire::{
    DecodeError, DecodeErrorKind, FormRule, MAX_DEPARTURES, MAX_DEPTH, MAX_FRAME_BYTES, decode,
    decode_frame, encode_record, frame_len,
};
use ev_audit::{Plane, Value};
use proptest::prelude::*;

use crate::data::{SECONDS, record, service, typical, unhex};
use crate::strategies;

fn framed() -> Vec<u8> {
    let mut frame = Vec::new();
    encode_record(&mut frame, Plane::Data, &typical(), &service(), SECONDS);
    frame
}

/// The frame with these bytes in place of others.
fn changed(old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut frame = framed();
    let at = frame.windows(old.len()).position(|bytes| bytes == old).expect("it is there");
    frame.splice(at..at + old.len(), new.iter().copied());
    frame
}

/// It is refused for that, and its end can be found or not.
fn check(frame: &[u8], kind: &DecodeErrorKind, is_skippable: bool) -> DecodeError {
    let error = decode(frame).expect_err("it is wrong");
    assert_eq!((error.kind(), error.is_skippable()), (kind, is_skippable));
    assert_eq!(decode_frame(frame, MAX_FRAME_BYTES), Err(error.clone()));
    let end = frame_len(frame, MAX_FRAME_BYTES);
    assert_eq!(end, if is_skippable { Ok(Some(frame.len())) } else { Err(error.clone()) });
    error
}

#[test]
fn what_is_no_frame() {
    let wrong = |what, found, wanted| DecodeErrorKind::Type { what, found, wanted };
    check(&[0xc1], &DecodeErrorKind::NoValue { byte: 0xc1 }, false);
    check(&[0xc0], &wrong("the frame", "nil", "array"), true);
    check(b"\xa1x", &wrong("the frame", "text", "array"), true);
    let count = DecodeErrorKind::Count { what: "the frame", count: 2, wanted: 3 };
    check(&[0x92, 0xc0, 0xc0], &count, true);
    let error = check(&changed(b"AsmAuditDP", b"AsmAuditXP"), &DecodeErrorKind::Tag, true);
    assert_eq!((error.offset(), error.to_string().as_str()), (1, "unknown tag at byte 1"));
    check(
        &changed(b"AsmAuditDP", b"AsmAuditD\xff"),
        &DecodeErrorKind::Utf8 { what: "the tag" },
        true,
    );
    check(&changed(b"\xaaAsmAuditDP", b"\x05"), &wrong("the tag", "compact integer", "text"), true);
    let count = DecodeErrorKind::Count { what: "an entry", count: 3, wanted: 2 };
    check(&changed(b"\x91\x92\xd3", b"\x91\x93\xc0\xd3"), &count, true);
    let seconds = [b"\xd3".as_slice(), &SECONDS.to_be_bytes()].concat();
    check(
        &changed(&seconds, b"\xa1x"),
        &wrong("the time of an entry", "text", "signed integer"),
        true,
    );
    check(
        &changed(&seconds, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        &wrong("the time of an entry", "unsigned integer", "signed integer"),
        true,
    );
}

#[test]
fn what_is_no_record() {
    let wrong = |what, found, wanted| DecodeErrorKind::Type { what, found, wanted };
    check(&changed(b"-7f08-", b"-7g08-"), &DecodeErrorKind::ServiceId, true);
    check(&changed(b"192.168.0.1", b"192.168.0.x"), &DecodeErrorKind::Address, true);
    let what = "a type of CallerIdentities";
    check(&changed(b"\xa3UPN", b"\xa3UPM"), &DecodeErrorKind::Name { what }, true);
    let what = "OperationType";
    check(&changed(b"\xa4Read", b"\xa4Reed"), &DecodeErrorKind::Name { what }, true);
    check(&changed(b"\xa5Agent", b"\xc0"), &wrong("CallerAgent", "nil", "text"), true);
    check(
        &changed(b"\xa5Agent", b"\xa1\xff"),
        &DecodeErrorKind::Utf8 { what: "CallerAgent" },
        true,
    );
    // A key twice: another one is renamed.
    let twice = changed(b"\xabCallerAgent", b"\xadOperationName");
    check(&twice, &DecodeErrorKind::DuplicateKey { what: "the record" }, true);
    let twice = changed(b"\x81\xa3seq\xcd\x00\x07", b"\x82\xa3seq\xc0\xa3seq\xc0");
    check(&twice, &DecodeErrorKind::DuplicateKey { what: "CustomData" }, true);
    let twice = changed(b"\xcd\x00\x07", b"\x82\xc0\xc0\xc0\xc0");
    check(&twice, &DecodeErrorKind::DuplicateKey { what: "a map of custom data" }, true);
    check(
        &changed(b"\xcd\x00\x07", b"\xd4\x05\x00"),
        &DecodeErrorKind::Extension { number: 5 },
        true,
    );
    // Nanoseconds of a second, and lengths that no time has.
    for time in ["d7ffee6b280000000000", "c70cff3b9aca000000000000000000", "d4ff00", "c800ff"] {
        let mut bytes = unhex(time);
        if time == "c800ff" {
            bytes.splice(1..2, [0x00, 0x00]);
        }
        check(&changed(b"\xcd\x00\x07", &bytes), &DecodeErrorKind::Time, true);
    }
}

#[test]
fn unknown_parts_are_passed_over() {
    let more = changed(b"\x8e\xa8env_ikey", b"\x8f\xa3new\x81\x01\xd4\x05\x00\xa8env_ikey");
    let decoded = decode_frame(&more, more.len()).unwrap().unwrap();
    let told: Vec<_> = decoded.departures.iter().map(|it| it.rule.name()).collect();
    assert_eq!(told, ["key-unknown"]);
    assert_eq!(decoded.messages[0].record().unwrap().operation_name, "Operation");

    let more = changed(b"\x81\xaaTimeFormat", b"\x82\xa5chunk\xa3abc\xaaTimeFormat");
    let decoded = decode_frame(&more, more.len()).unwrap().unwrap();
    assert_eq!(decoded.departures[0].to_string(), "envelope at byte 555: option \"chunk\"");
    let less = changed(b"\x81\xaaTimeFormat\xa8DateTime", b"\x80");
    assert_eq!(
        decode_frame(&less, less.len()).unwrap().unwrap().departures[0].rule.name(),
        "envelope"
    );
    let other = changed(b"\xa8DateTime", b"\xa8TimeDate");
    assert_eq!(
        decode_frame(&other, other.len()).unwrap().unwrap().departures[0].rule.name(),
        "envelope"
    );
}

#[test]
fn other_orders_and_missing_keys_are_told() {
    let told = |frame: &[u8]| -> Vec<&'static str> {
        let decoded = decode_frame(frame, frame.len()).unwrap().unwrap();
        decoded.departures.iter().map(|it| it.rule.name()).collect()
    };
    assert_eq!(
        told(&changed(b"\x8e\xa8env_ikey\xd9\x24e6c9fcb1-7f08-4c1d-9e7a-123456789abc", b"\x8d")),
        ["key-missing"]
    );
    let swapped = changed(
        b"\xa4Name\xa4Name\xa7Cluster\xa7Cluster",
        b"\xa7Cluster\xa7Cluster\xa4Name\xa4Name",
    );
    assert_eq!(told(&swapped), ["key-order"]);
    assert_eq!(told(&changed(b"e6c9fcb1", b"E6C9FCB1")), ["service-id"]);
    assert_eq!(told(&changed(b"\xab192.168.0.1", b"\xa6::0002")), ["address"]);
    assert_eq!(told(&changed(b"\xa4Read", b"\xa4rEAD")), ["enum"]);
    assert_eq!(told(&changed(b"\xa4Read", b"\xd9\x04Read")), ["form"]);
    assert_eq!(told(&changed(b"\xa1a\xa1b", b"\xa1b\xa1a")), ["list-order"]);
    assert_eq!(told(&changed(b"\xa1a\xa1b", b"\xa1b\xa1b")), ["list-duplicate"]);
    assert_eq!(told(&changed(b"\x81\xa3seq\xcd\x00\x07", b"\x80")), ["custom-empty"]);
    assert_eq!(told(&changed(b"\x81\xa3seq\xcd\x00\x07", b"\xc0")), ["custom-empty"]);
    assert_eq!(told(&changed(b"\xcd\x00\x07", b"\x07")), ["fixint"]);
    let seconds = [b"\xd3".as_slice(), &SECONDS.to_be_bytes()].concat();
    assert_eq!(told(&changed(&seconds, b"\xd6\xff\x65\x53\xf1\x00")), ["time-form"]);
    assert_eq!(told(&changed(&seconds, b"\x07")), ["time-form", "fixint"]);
    assert_eq!(
        told(&changed(&seconds, &[0xd3, 0xff, 255, 255, 255, 255, 255, 255, 255])),
        ["time-range"]
    );
    let identities = changed(b"\x81\xa3UPN", b"\x82\xa6System\xc0\xa3UPN");
    assert_eq!(told(&identities), ["map-order"]);
}

/// Keys in a longer form than needed are the same keys.
#[test]
fn keys_in_a_long_form_are_known() {
    let long = changed(b"\xadOperationName", b"\xd9\x0dOperationName");
    let decoded = decode_frame(&long, long.len()).unwrap().unwrap();
    assert_eq!(decoded.messages[0].record().unwrap().operation_name, "Operation");
    assert_eq!(decoded.departures.len(), 1);
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| {
        let mut record = record();
        record.custom_data.insert("k".to_owned(), Value::Nil);
        let mut frame = Vec::new();
        encode_record(&mut frame, Plane::Data, &record, &service(), SECONDS);
        let at = frame.windows(3).position(|bytes| bytes == b"\xa1k\xc0").unwrap() + 2;
        frame.splice(at..at, vec![0x91; levels]);
        frame
    };
    let (message, _) = decode(&deep(MAX_DEPTH)).unwrap().unwrap();
    assert_eq!(message.record().unwrap().custom_data["k"].depth(), MAX_DEPTH);
    for levels in [MAX_DEPTH + 1, 1_000_000] {
        let frame = deep(levels);
        let error = decode(&frame).unwrap_err();
        assert_eq!(error.kind(), &DecodeErrorKind::TooDeep { limit: MAX_DEPTH });
        assert!(!error.is_skippable());
        assert!(frame_len(&frame, frame.len()).is_err());
    }
    // Where no value is wanted, and as one that is passed over.
    for start in [vec![], b"\x93\xaaAsmAuditDP\x91\x92\xc0".to_vec()] {
        let frame = [start, vec![0x91; 1_000_000]].concat();
        assert!(decode(&frame).is_err());
        assert!(frame_len(&frame, frame.len()).is_err());
    }
    // What is deeper than any rule allows is not written.
    let mut record = record();
    let value = (0..MAX_DEPTH + 5).fold(Value::U8(1), |inner, _| Value::Array(vec![inner]));
    record.custom_data.insert("k".to_owned(), value);
    let mut frame = Vec::new();
    encode_record(&mut frame, Plane::Data, &record, &service(), SECONDS);
    let (message, len) = decode(&frame).unwrap().unwrap();
    assert_eq!(message.record().unwrap().custom_data["k"].depth(), MAX_DEPTH);
    assert_eq!(len, frame.len());
}

/// No length costs anything before its bytes are there.
#[test]
fn announced_lengths_are_not_believed() {
    let frame = framed();
    let at = frame.windows(4).position(|bytes| bytes == b"\xa3seq").unwrap() + 4;
    let most = u32::try_from(MAX_FRAME_BYTES).unwrap();
    let fits = (most / 4).to_be_bytes();
    let too_much = u32::MAX.to_be_bytes();
    for head in [0xdb, 0xc6, 0xdd, 0xdf, 0xc9] {
        let announcing = |len: [u8; 4]| [&frame[..at], &[head], &len].concat();
        let bytes = announcing(fits);
        let allocated = measure(|| assert_eq!(decode(&bytes), Ok(None)));
        assert!(allocated.bytes_max < 8 * 1024, "{}", allocated.bytes_max);
        assert_eq!(frame_len(&bytes, MAX_FRAME_BYTES), Ok(None));
        let mut bytes = announcing(too_much);
        // The type of an extension.
        bytes.push(0xff);
        let error = decode(&bytes).unwrap_err();
        assert_eq!(error.kind(), &DecodeErrorKind::TooLarge { limit: MAX_FRAME_BYTES });
        assert!(frame_len(&bytes, MAX_FRAME_BYTES).is_err());
    }
}

/// Memory is a multiple of the bytes that came.
#[test]
fn memory_is_bounded_by_what_came() {
    let many = 100_000_u32;
    let heads = [
        [&[0xdd][..], &many.to_be_bytes(), &vec![0xc0; 100_000]].concat(),
        [&[0xdd][..], &many.to_be_bytes(), &vec![0x90; 100_000]].concat(),
        [&[0xdd][..], &many.to_be_bytes(), &vec![0x80; 100_000]].concat(),
    ];
    for value in heads {
        let frame = changed(b"\xcd\x00\x07", &value);
        let used = measure(|| assert!(decode(&frame).unwrap().is_some()));
        let most = u64::try_from(frame.len()).unwrap() * 120;
        assert!(used.bytes_max < most, "{} of {most}", used.bytes_max);
    }
    // Records that are almost nothing.
    let entries = [0x92, 0x00, 0x80].repeat(10_000);
    let frame =
        [&b"\x93\xaaAsmAuditDP\xdc"[..], &10_000_u16.to_be_bytes(), &entries, b"\x80"].concat();
    let used = measure(|| {
        let decoded = decode_frame(&frame, frame.len()).unwrap().unwrap();
        assert_eq!(decoded.messages.len(), 10_000);
    });
    let most = u64::try_from(frame.len()).unwrap() * 2_000;
    assert!(used.bytes_max < most, "{} of {most}", used.bytes_max);
}

/// So does what is told of a frame in which nothing is as it should be.
#[test]
fn departures_are_told_up_to_a_number_and_counted_beyond() {
    // Numbers in their shortest form, each of which is a departure.
    let many = 500_000_u32;
    let numbers = [&[0xdd][..], &many.to_be_bytes(), &vec![0x07; 500_000]].concat();
    let frame = changed(b"\xcd\x00\x07", &numbers);
    let base = measure(|| assert!(decode(&frame).unwrap().is_some()));
    let told = measure(|| {
        let decoded = decode_frame(&frame, frame.len()).unwrap().unwrap();
        assert_eq!(decoded.departures.len(), MAX_DEPARTURES);
        let rest = u64::from(many) - MAX_DEPARTURES as u64;
        assert_eq!(decoded.more_departures, [(FormRule::FixInt, rest)].into());
    });
    assert!(told.bytes_max < base.bytes_max + 100_000, "{} {}", told.bytes_max, base.bytes_max);

    // Texts as long as the frame are not repeated.
    let key = [&[0xdb][..], &1_000_000_u32.to_be_bytes(), &vec![b'\n'; 1_000_000]].concat();
    let frame = changed(b"\xa8env_ikey", &[&key, &b"\xc0\xa8env_ikey"[..]].concat());
    let frame = {
        let mut frame = frame;
        let at = frame.iter().position(|byte| *byte == 0x8e).expect("the map of a record");
        frame[at] = 0x8f;
        frame
    };
    let told = measure(|| {
        let decoded = decode_frame(&frame, frame.len()).unwrap().unwrap();
        assert_eq!(decoded.departures[0].rule, FormRule::KeyUnknown);
        assert!(decoded.departures[0].detail.len() < 300);
    });
    assert!(told.bytes_max < 100_000, "{}", told.bytes_max);
}

#[test]
fn frames_are_not_longer_than_allowed() {
    let frame = framed();
    assert!(decode_frame(&frame, frame.len()).unwrap().is_some());
    let error = decode_frame(&frame, frame.len() - 1).unwrap_err();
    assert_eq!(error.kind(), &DecodeErrorKind::TooLarge { limit: frame.len() - 1 });
    assert!(!error.is_skippable());
}

/// Reads bytes in all ways. What is read can be written and read again.
fn harmless(bytes: &[u8]) {
    let decoded = decode_frame(bytes, 1 << 20);
    let len = frame_len(bytes, 1 << 20);
    match decoded {
        Ok(Some(decoded)) => {
            assert_eq!(len, Ok(Some(decoded.len)));
            for message in &decoded.messages {
                let mut frame = Vec::new();
                ev_audit::wire::encode(&mut frame, message);
                let (again, len) = decode(&frame).expect("a frame").expect("all of it");
                assert_eq!(len, frame.len());
                let mut frame_again = Vec::new();
                ev_audit::wire::encode(&mut frame_again, &again);
                assert_eq!(frame_again, frame);
            }
        }
        Ok(None) => assert_eq!(len, Ok(None)),
        Err(error) => {
            assert!(!error.to_string().is_empty() && error.offset() <= bytes.len());
            // What is wrong stays wrong, whatever follows.
            let more = [bytes, &[0; 64]].concat();
            assert_eq!(decode_frame(&more, 1 << 20), Err(error));
        }
    }
}

#[test]
fn every_byte_of_a_frame_may_be_another() {
    // The first and last of each type of value, and a letter.
    const BYTES: [u8; 36] = [
        0x00, 0x01, 0x41, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
        0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcc, 0xcf, 0xd0, 0xd3, 0xd4, 0xd6, 0xd7, 0xd9, 0xda,
        0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff,
    ];
    let mut frame = framed();
    for place in 0..frame.len() {
        let old = frame[place];
        for new in BYTES {
            frame[place] = new;
            harmless(&frame);
        }
        frame[place] = old;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_harmless(bytes: Vec<u8>) {
        harmless(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_frames_are_harmless(
        record in strategies::record(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut frame = Vec::new();
        encode_record(&mut frame, Plane::Data, &record, &service(), SECONDS);
        for (place, byte) in changes {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        harmless(&frame);
    }
}
