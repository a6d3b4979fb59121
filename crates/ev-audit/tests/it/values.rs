//! Values of custom data: their bytes, and the cases in which the msgpack library of the client
//! that the format comes from is known to fail.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ev_audit::wire::{decode_frame, encode_record};
use ev_audit::{CallerIp, OperationType, Plane, Record, Time, Value};

use crate::data::{SECONDS, hex, service, typical, unhex};

/// The frame of a record with one custom value, and where that stands.
fn framed(value: Value) -> (Vec<u8>, usize) {
    let mut record = typical();
    record.custom_data = [("k".to_owned(), value)].into();
    let mut frame = Vec::new();
    encode_record(&mut frame, Plane::Data, &record, &service(), SECONDS);
    // The end of the key, a map of one, its key.
    let start = frame.windows(7).position(|bytes| bytes == b"mData\x81\xa1");
    (frame, start.expect("custom data") + 8)
}

fn custom(frame: &[u8]) -> (Value, usize) {
    let decoded = decode_frame(frame, frame.len()).expect("a frame").expect("all of it");
    let record: &Record = decoded.messages[0].record().expect("a record");
    (record.custom_data["k"].clone(), decoded.departures.len())
}

/// The value has these bytes, and is read back with its width.
fn check(value: impl Into<Value>, bytes: &str) {
    let value = value.into();
    let (frame, at) = framed(value.clone());
    let wanted = unhex(bytes);
    assert_eq!(hex(&frame[at..at + wanted.len()]), bytes);
    assert_eq!(&frame[at + wanted.len()..][..4], b"\xafTar");
    assert_eq!(custom(&frame), (value, 0));
}

/// These bytes are read as this value, and something is to be said about them.
fn read(bytes: &str, value: Value) {
    let (mut frame, at) = framed(Value::Nil);
    frame.splice(at..=at, unhex(bytes));
    assert_eq!(custom(&frame), (value, 1));
}

#[test]
fn integers_have_the_width_of_their_type() {
    check(5_i64, "d30000000000000005");
    check(5_i8, "d005");
    check(5_i16, "d10005");
    check(5_i32, "d200000005");
    check(5_u64, "cf0000000000000005");
    check(5_u8, "cc05");
    check(5_u16, "cd0005");
    check(5_u32, "ce00000005");
    check(-1_i8, "d0ff");
    check(i64::MIN, "d38000000000000000");
    check(u64::MAX, "cfffffffffffffffff");
    check(Duration::from_secs(1), "d3000000003b9aca00");
    check(Duration::MAX, "d37fffffffffffffff");
}

#[test]
fn floats_are_never_narrowed() {
    check(1.5_f32, "ca3fc00000");
    check(1.5_f64, "cb3ff8000000000000");
    check(2.0_f64, "cb4000000000000000");
    check(f64::NAN, "cb7ff8000000000000");
    check(-0.0_f64, "cb8000000000000000");
}

#[test]
fn what_is_not_a_number() {
    check(true, "c3");
    check(false, "c2");
    check(None::<bool>, "c0");
    check("", "a0");
    check(&[1_u8, 2][..], "c4020102");
    check(Vec::<u8>::new(), "c400");
    check(Value::Array(Vec::new()), "90");
    check(Value::Map(BTreeMap::new()), "80");
    check(Value::array(["a"]), "91a161");
    check(Value::array([Value::from(1_i64), "a".into(), Value::Nil]), "93d30000000000000001a161c0");
    let address: CallerIp = "1.2.3.4".parse().unwrap();
    check(address, "a7312e322e332e34");
    check(OperationType::READ, "a452656164");
}

#[test]
fn lengths_have_the_shortest_header() {
    let check_text = |len: usize, head: &str| {
        let text = "x".repeat(len);
        let (frame, at) = framed(Value::from(text.as_str()));
        let head = unhex(head);
        assert_eq!(frame[at..at + head.len()], head);
        assert_eq!(&frame[at + head.len()..][..len], text.as_bytes());
        assert_eq!(custom(&frame), (Value::Str(text), 0));
    };
    check_text(31, "bf");
    check_text(32, "d920");
    check_text(255, "d9ff");
    check_text(256, "da0100");
    check_text(65_535, "daffff");
    check_text(65_536, "db00010000");
    let check_bytes = |len: usize, head: &str| {
        let bytes = vec![7; len];
        let (frame, at) = framed(Value::from(bytes.clone()));
        let head = unhex(head);
        assert_eq!(frame[at..at + head.len()], head);
        assert_eq!(custom(&frame), (Value::Bytes(bytes), 0));
    };
    check_bytes(255, "c4ff");
    check_bytes(256, "c50100");
    check_bytes(65_536, "c600010000");
    let check_count = |count: usize, array: &str, map: &str| {
        let entries = Value::Array(vec![Value::Nil; count]);
        let (frame, at) = framed(entries.clone());
        assert_eq!(hex(&frame[at..at + array.len() / 2]), array);
        assert_eq!(custom(&frame), (entries, 0));
        let numbers = (0_u32..).take(count).map(|number| (Value::U32(number), Value::Nil));
        let pairs = Value::Map(numbers.collect());
        let (frame, at) = framed(pairs.clone());
        assert_eq!(hex(&frame[at..at + map.len() / 2]), map);
        assert_eq!(custom(&frame), (pairs, 0));
    };
    check_count(15, "9f", "8f");
    check_count(16, "dc0010", "de0010");
    check_count(65_535, "dcffff", "deffff");
    check_count(65_536, "dd00010000", "df00010000");
}

#[test]
fn times_have_three_forms() {
    let time = |seconds, nanos| Time::new(seconds, nanos).unwrap();
    check(time(1_700_000_000, 0), "d6ff6553f100");
    check(time(1_700_000_000, 123), "d7ff000001ec6553f100");
    check(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), "d6ff6553f100");
    check(time(0, 0), "d6ff00000000");
    check(time(0xffff_ffff, 0), "d6ffffffffff");
    check(time(0x1_0000_0000, 0), "d7ff0000000100000000");
    check(time(0x3_ffff_ffff, 999_999_999), "d7ffee6b27ffffffffff");
    check(time(0x4_0000_0000, 0), "c70cff000000000000000400000000");
    check(time(-1, 5), "c70cff00000005ffffffffffffffff");
}

/// The library cannot read into a value of any type what it wrote of a map with keys that are no
/// text (its issue 372).
#[test]
fn maps_with_keys_that_are_no_text() {
    let map = |entries: Vec<(Value, Value)>| Value::Map(entries.into_iter().collect());
    check(map(vec![(1_i64.into(), "b".into())]), "81d30000000000000001a162");
    check(map(vec![(0_i64.into(), "hello".into())]), "81d30000000000000000a568656c6c6f");
    check(map(vec![(true.into(), Value::Nil)]), "81c3c0");
    check(map(vec![(Value::array([1_u8]), Value::Nil)]), "8191cc01c0");
    check(map(vec![(map(vec![]), map(vec![]))]), "818080");
}

/// It does not keep the types of what is read into a value of any type, or into one of a concrete
/// type through such a value (its issue 373): here the width is the type.
#[test]
fn values_of_any_type_keep_their_width() {
    let all = [
        Value::I8(1),
        Value::I16(1),
        Value::I32(1),
        Value::I64(1),
        Value::U8(1),
        Value::U16(1),
        Value::U32(1),
        Value::U64(1),
        Value::F32(1.0),
        Value::F64(1.0),
    ];
    let (frame, _) = framed(Value::array(all.clone()));
    assert_eq!(custom(&frame), (Value::array(all.clone()), 0));
    let pairs = all.iter().map(|value| (value.clone(), value.clone())).collect();
    let (frame, _) = framed(Value::Map(pairs));
    let (Value::Map(entries), 0) = custom(&frame) else { panic!("a map") };
    assert!(entries.iter().all(|(key, value)| key == value));
    assert_eq!(entries.len(), all.len());
}

/// It cannot write a value whose way of being written belongs to pointers to it (its issue 374):
/// here it makes no difference where a kind stands.
#[test]
fn kinds_are_written_wherever_they_stand() {
    check(OperationType::from_number(1), "a452656164");
    check(Some(OperationType::READ), "a452656164");
    check(Value::array([OperationType::READ]), "91a452656164");
    check(Value::map([("o", OperationType::READ.into())]), "81a16fa452656164");
}

#[test]
fn lenient_reading_tells_what_it_forgave() {
    read("05", Value::I8(5));
    read("ff", Value::I8(-1));
    read("d90161", Value::from("a"));
    read("da000161", Value::from("a"));
    read("db0000000161", Value::from("a"));
    read("c5000107", Value::from(vec![7]));
    read("dc0001c0", Value::Array(vec![Value::Nil]));
    read("de000180c0", Value::Map([(Value::Map(BTreeMap::new()), Value::Nil)].into()));
    let time = |seconds, nanos| Value::Time(Time::new(seconds, nanos).unwrap());
    read("d7ff000000006553f100", time(1_700_000_000, 0));
    read("c70cff00000001000000006553f100", time(1_700_000_000, 1));
}
