//! Guests whose answers are not true. Each lie is told about the last event of its batch.

use bytes::Bytes;
use ev_core::abi::{self, Header, Status};
use ev_core::{Flavour, Form, Mode, Outcome, Output, RawEvent, Span};
use ev_wasm_host::{Fact, HostError, Lie, Options};
use sha2::{Digest as _, Sha256};

use crate::guest::{
    ANSWER_AT, EVENT, Guest, JSON, decoder, event, header, honest, login, patient, record,
};

/// The error for an answer to two events, of which the first record is honest.
fn caught(second: Vec<u8>) -> HostError {
    let mut answer = honest();
    answer.extend(second);
    Guest::answering(answer).failure(patient(), 2)
}

fn check(second: Vec<u8>, expected: Lie) {
    match caught(second) {
        HostError::Lie { event: 1, lie } => assert_eq!(lie, expected),
        other => panic!("{expected:?}: {other:?}"),
    }
}

fn with(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = header();
    change(&mut header);
    record(header, JSON.as_bytes())
}

/// Decodes the one event with a guest that gives this answer.
fn answer(answer: Vec<u8>, mode: Mode, options: Options) -> Result<Outcome, HostError> {
    let guest = Guest::answering(answer);
    let decoder = decoder(&guest.module(), patient(), Flavour::Go, options)?;
    let mut out = Output::default();
    decoder.try_decode(&[event()], mode, &mut out)?;
    let (_, mut outcomes) = out.into_parts();
    Ok(outcomes.remove(0))
}

#[test]
fn the_honest_answer_is_taken() {
    let outcome = answer(honest(), Mode::Strict, Options::default()).expect("an answer");
    let Outcome::Decoded { json, facts } = outcome else { panic!("{outcome:?}") };
    assert_eq!((json, facts.case, facts.index), (Span::new(0, JSON.len()), 3, 7));
    assert_eq!((facts.digest, facts.login), (None, None));
}

#[test]
fn the_answer_must_lie_in_memory() {
    let memory = 2 * 65_536;
    let check = |address: u32, len: u32| {
        let guest = Guest::running(&format!("i64.const {}", abi::pack(address, len)));
        let error = guest.failure(patient(), 1);
        assert!(matches!(error, HostError::AnswerPlace { .. }), "{address} {len}: {error:?}");
    };
    check(memory, 1);
    check(memory - 64, 65);
    check(u32::MAX, 1);
    check(u32::MAX, u32::MAX);
    check(ANSWER_AT, u32::MAX - ANSWER_AT + 1);
    check(0, 33 * 1024 * 1024);
}

#[test]
fn the_buffer_must_lie_in_memory() {
    for alloc in [
        r#"(func (export "ev_alloc") (param i32) (result i32) i32.const 131071)"#,
        r#"(func (export "ev_alloc") (param i32) (result i32) i32.const -1)"#,
        r#"(func (export "ev_alloc") (param i32) (result i32) i32.const 131072)"#,
    ] {
        let error = Guest { alloc, ..Guest::answering(honest()) }.failure(patient(), 1);
        assert!(matches!(error, HostError::AnswerPlace { len: 33, .. }), "{alloc}: {error:?}");
    }
}

#[test]
fn there_is_one_record_for_each_event() {
    check(Vec::new(), Lie::Truncated);
    check(honest()[..63].to_vec(), Lie::Truncated);
    let mut three = honest();
    three.extend(honest());
    assert!(matches!(caught(three), HostError::TooManyRecords));
    let mut one_byte_more = honest();
    one_byte_more.push(0);
    assert!(matches!(caught(one_byte_more), HostError::TooManyRecords));
}

#[test]
fn record_lengths_add_up() {
    let len = |delta: i32| {
        let mut answer = honest();
        let len = u32::try_from(answer.len()).expect("short").wrapping_add_signed(delta);
        answer[..4].copy_from_slice(&len.to_le_bytes());
        answer
    };
    check(len(1), Lie::Truncated);
    check(len(-1), Lie::NotAnObject { at: JSON.len() - 1 });
    let mut short = honest();
    short[..4].copy_from_slice(&63u32.to_le_bytes());
    check(short, Lie::RecordLength);
    let mut empty = honest();
    empty[..4].copy_from_slice(&0u32.to_le_bytes());
    check(empty, Lie::RecordLength);
    let mut huge = honest();
    huge[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    check(huge, Lie::Truncated);
    let mut no_digest = header();
    no_digest.uid = Span::default();
    check(record(no_digest, b"{}"), Lie::RecordLength);
}

#[test]
fn the_status_is_one_of_four() {
    check(with(|header| header.status = 4), Lie::Status(4));
    check(with(|header| header.status = u32::MAX), Lie::Status(u32::MAX));
}

#[test]
fn spans_lie_in_the_event() {
    let behind = EVENT.len() + 1;
    check(with(|header| header.kind = Span::new(8, behind)), Lie::Outside(Fact::Kind));
    check(with(|header| header.uid = Span::new(behind, behind)), Lie::Outside(Fact::Uid));
    check(with(|header| header.session = Span::new(0, behind)), Lie::Outside(Fact::Session));
    let at = u32::try_from(behind).expect("small");
    check(with(|header| header.at = at), Lie::Outside(Fact::Trouble));
    let mut wrapping = honest();
    wrapping[20..28].fill(0xff);
    check(wrapping, Lie::Outside(Fact::Kind));
}

#[test]
fn facts_are_those_of_the_event() {
    check(with(|header| header.case = 4), Lie::NotInEvent(Fact::Case));
    check(with(|header| header.case = 0), Lie::NotInEvent(Fact::Case));
    check(with(|header| header.kind = Span::new(11, 12)), Lie::NotInEvent(Fact::Kind));
    check(with(|header| header.uid = Span::new(11, 12)), Lie::NotInEvent(Fact::Uid));
    check(with(|header| header.index = 8), Lie::NotInEvent(Fact::Index));
    check(with(|header| header.seconds = 6), Lie::NotInEvent(Fact::Time));
    check(with(|header| header.nanos = 8), Lie::NotInEvent(Fact::Time));
    // A valid text with the right uid cannot save a header that denies it.
    let mut header = header();
    header.uid = Span::default();
    let mut payload = vec![1; 32];
    payload.extend(JSON.as_bytes());
    check(record(header, &payload), Lie::NotInEvent(Fact::Uid));
}

#[test]
fn json_is_a_single_utf8_object_with_the_identity_of_the_event() {
    let json = |json: &[u8]| record(header(), json);
    check(json(b""), Lie::NotAnObject { at: 0 });
    check(json(b"[]"), Lie::NotAnObject { at: 0 });
    check(json(b"{\"a\":\"\xff\"}"), Lie::NotUtf8);
    check(json(b"{\"a\":1}{}"), Lie::NotAnObject { at: 7 });
    check(json(b"{\"a\":1},{\"b\":2}"), Lie::NotAnObject { at: 7 });
    check(json(b"{\"a\":1}\n"), Lie::NotAnObject { at: 7 });
    check(json(b"{\"a\":}"), Lie::NotAnObject { at: 5 });
    let change = |from: &str, to: &str| json(JSON.replacen(from, to, 1).as_bytes());
    check(change("\"t\"", "\"u\""), Lie::Identity { key: "event" });
    check(change("\"id\"", "\"di\""), Lie::Identity { key: "uid" });
    check(change("05.00", "06.00"), Lie::Identity { key: "time" });
    check(change("\"ei\":7", "\"ei\":-7"), Lie::Identity { key: "ei" });
}

#[test]
fn an_event_without_uid_has_a_digest() {
    // Case 3 { 1: { 2: "t" } }
    let event =
        RawEvent { form: Form::OneOf, bytes: Bytes::from_static(&[26, 5, 10, 3, 18, 1, b't']) };
    let json = br#"{"ei":0,"event":"t","time":"0001-01-01T00:00:00Z"}"#;
    let run = |digest: [u8; 32]| {
        let header = Header {
            kind: Span::new(6, 7),
            uid: Span::default(),
            nanos: 0,
            index: 0,
            seconds: -62_135_596_800,
            ..header()
        };
        let answer = record(header, &[&digest, &json[..]].concat());
        let decoder = Guest::answering(answer).decoder(patient()).expect("a guest");
        let mut out = Output::default();
        decoder.try_decode(std::slice::from_ref(&event), Mode::Strict, &mut out)?;
        Ok(out.into_parts().1.remove(0))
    };
    let digest: [u8; 32] = Sha256::digest(json).into();
    match run(digest) {
        Ok(Outcome::Decoded { facts, .. }) => assert_eq!(facts.digest, Some(digest)),
        other => panic!("{other:?}"),
    }
    let lie = |digest| {
        let error: Result<Outcome, HostError> = run(digest);
        let Err(HostError::Lie { lie, .. }) = error else { panic!("{error:?}") };
        lie
    };
    assert_eq!(lie([0; 32]), Lie::Missing(Fact::Digest));
    // Or a guest could give one event the id of another.
    assert_eq!(lie([5; 32]), Lie::NotInEvent(Fact::Digest));
}

#[test]
fn a_page_has_no_more_json_than_honest_decoders_write() {
    let decoder = Guest::answering(honest()).decoder(patient()).expect("a guest");
    let mut out = Output::with_buffer(vec![b' '; (256 << 20) - JSON.len() + 1]);
    let error = decoder.try_decode(&[event()], Mode::Strict, &mut out).expect_err("too long");
    assert!(matches!(error, HostError::Lie { lie: Lie::OutputTooLong, .. }), "{error:?}");
}

#[test]
fn login_facts_stand_where_they_were_asked_for() {
    let options = Options { login: true };
    let with_login = |login: [u8; abi::LOGIN_LEN]| {
        let answered = record(header(), &[&login, JSON.as_bytes()].concat());
        answer(answered, Mode::Strict, options)
    };
    match with_login(abi::write_login(&login())) {
        Ok(Outcome::Decoded { facts, .. }) => assert_eq!(facts.login, Some(login())),
        other => panic!("{other:?}"),
    }
    let mut outside = abi::write_login(&login());
    outside[4] = 5;
    let mut success = abi::write_login(&login());
    success[24] = 3;
    for bad in [outside, success] {
        let error = with_login(bad);
        assert!(
            matches!(error, Err(HostError::Lie { lie: Lie::Outside(Fact::Login), .. })),
            "{error:?}"
        );
    }
    let error = answer(record(header(), b"{}"), Mode::Strict, options);
    assert!(matches!(error, Err(HostError::Lie { lie: Lie::RecordLength, .. })), "{error:?}");
}

#[test]
fn an_unknown_event_has_a_place_and_no_json_unless_asked_for() {
    let unknown = |payload: &[u8], case, at| {
        record(Header { status: Status::Unknown.to_number(), case, at, ..header() }, payload)
    };
    let strict = |bytes| answer(bytes, Mode::Strict, Options::default());
    let known_part = |bytes| answer(bytes, Mode::KnownPart, Options::default());
    match strict(unknown(b"", 3, 19)) {
        Ok(Outcome::Unknown { at: 19, path, facts: Some(facts), known: None }) => {
            assert_eq!((path.as_str(), facts.uid), ("3.2", Span::new(11, 13)));
        }
        other => panic!("{other:?}"),
    }
    match strict(unknown(b"", 0, 0)) {
        Ok(Outcome::Unknown { at: 0, path, facts: None, known: None }) => assert_eq!(path, "3"),
        other => panic!("{other:?}"),
    }
    match known_part(unknown(JSON.as_bytes(), 3, 19)) {
        Ok(Outcome::Unknown { facts: Some(_), known: Some(known), .. }) => {
            assert_eq!(known, Span::new(0, JSON.len()));
        }
        other => panic!("{other:?}"),
    }
    let lie = |result: Result<Outcome, HostError>| match result {
        Err(HostError::Lie { lie, .. }) => lie,
        other => panic!("{other:?}"),
    };
    assert_eq!(lie(strict(unknown(JSON.as_bytes(), 3, 19))), Lie::UnexpectedPayload);
    assert_eq!(lie(known_part(unknown(JSON.as_bytes(), 0, 0))), Lie::UnexpectedPayload);
    assert_eq!(lie(strict(unknown(b"", 3, 25))), Lie::NotInEvent(Fact::Trouble));
    assert_eq!(lie(strict(unknown(b"", 4, 19))), Lie::NotInEvent(Fact::Case));
    assert_eq!(lie(known_part(unknown(b"{}", 3, 19))), Lie::Identity { key: "event" });
}

#[test]
fn what_was_wrong_is_said_in_a_short_text() {
    let wrong = |status: Status, payload: &[u8]| {
        let header = Header { status: status.to_number(), at: 4, ..header() };
        answer(record(header, payload), Mode::Strict, Options::default())
    };
    match wrong(Status::Malformed, b"bad\nlength") {
        Ok(Outcome::Malformed { at: 4, what }) => assert_eq!(what, "bad\u{fffd}length"),
        other => panic!("{other:?}"),
    }
    match wrong(Status::Unprintable, b"not a number") {
        Ok(Outcome::Unprintable { at: 4, path, what, facts: Some(_) }) => {
            assert_eq!((path.as_str(), what.as_str()), ("3.1.1", "not a number"));
        }
        other => panic!("{other:?}"),
    }
    for status in [Status::Malformed, Status::Unprintable] {
        for payload in [&b""[..], b"\xff", &[b'a'; 513]] {
            let error = wrong(status, payload);
            assert!(
                matches!(error, Err(HostError::Lie { lie: Lie::Text, .. })),
                "{status:?} {error:?}"
            );
        }
    }
}

#[test]
fn only_the_typed_form_goes_into_a_module() {
    let decoder = Guest::answering(honest()).decoder(patient()).expect("a guest");
    let event = RawEvent { form: Form::Unstructured, ..event() };
    let error = decoder.try_decode(&[event], Mode::Strict, &mut Output::default());
    assert!(matches!(error, Err(HostError::Form)));
}
