//! The decoder behind the shared trait.

use bytes::Bytes;
use ev_core::{Decoder, DecoderKind, Flavour, Form, Mode, Outcome, Output, RawEvent};
use ev_decode::{NativeDecoder, Options};

use crate::data::{Vector, decode, table, transcoder, vectors};

fn raw(bytes: Vec<u8>) -> RawEvent {
    RawEvent { form: Form::OneOf, bytes: Bytes::from(bytes) }
}

fn named(vectors: &[Vector], kind: &str, case: &str) -> Vec<u8> {
    vectors
        .iter()
        .find(|vector| vector.text("type") == Some(kind) && vector.text("case") == Some(case))
        .expect("a recorded event")
        .event()
}

#[test]
fn a_page_gets_one_outcome_per_event_in_order() {
    let decoder = NativeDecoder::native(table("v13"), Flavour::Go, Options::default());
    let newer = vectors("v18dev");
    let pages = [
        raw(named(&vectors("v13"), "UserDelete", "zero")),
        raw(vec![10, 200]),
        raw(named(&newer, "SPIFFESVIDIssued", "full")),
        raw(Vec::new()),
        raw(named(&newer, "UserDelete", "full")),
    ];
    let mut out = Output::with_buffer(b"[".to_vec());
    decoder.decode(&pages, Mode::KnownPart, &mut out).expect("typed events");
    let [first, broken, newer_type, empty, newer_field] = out.outcomes() else {
        panic!("one outcome per event: {:?}", out.outcomes());
    };
    let Outcome::Decoded { json, facts } = first else { panic!("{first:?}") };
    assert_eq!(json.of(out.json())[0], b'{');
    assert_eq!(out.json()[json.end as usize], b',');
    assert!(facts.digest.is_some() && facts.login.is_none());
    assert!(matches!(broken, Outcome::Malformed { at: 0, .. }));
    let Outcome::Unknown { path, known: None, facts: None, at: 0 } = newer_type else {
        panic!("{newer_type:?}")
    };
    assert!(path.parse::<u32>().is_ok(), "a type that has no name here: {path}");
    assert_eq!(empty, &Outcome::Malformed { at: 0, what: "no event type is set".to_owned() });
    let Outcome::Unknown { path, known: Some(known), facts: Some(facts), .. } = newer_field else {
        panic!("{newer_field:?}")
    };
    assert!(path.starts_with("UserDelete.User."), "{path}");
    assert_eq!(known.of(out.json())[..6], *b"{\"ei\":");
    assert!(!facts.uid.is_empty());

    let whole = String::from_utf8(out.json().to_vec()).expect("JSON is text");
    let array = format!("{}]", whole.strip_suffix(',').expect("a comma behind each object"));
    let array: serde_json::Value = serde_json::from_str(&array).expect("the inside of an array");
    assert_eq!(array.as_array().map(Vec::len), Some(2));
}

#[test]
fn the_identity_says_which_schema_it_is() {
    let native = NativeDecoder::native(table("v13"), Flavour::Struct, Options::default());
    assert_eq!(native.identity().kind, DecoderKind::Native);
    assert_eq!(native.identity().to_string(), "native 13.3.8");
    assert_eq!(native.identity().schema_sha256, table("v13").schema_sha256());
    assert_ne!(native.identity().schema_sha256, table("v15dev").schema_sha256());
    let table = table("v15dev");
    let signed = NativeDecoder::from_artifact(table, Flavour::Go, Options::default(), [7; 32]);
    assert_eq!(signed.identity().kind, DecoderKind::Table);
    assert_eq!(signed.identity().artifact_sha256, Some([7; 32]));
}

#[test]
fn unstructured_events_are_refused_whole() {
    let decoder = NativeDecoder::native(table("v13"), Flavour::Struct, Options::default());
    let typed = raw(named(&vectors("v13"), "UserDelete", "full"));
    let unstructured = RawEvent { form: Form::Unstructured, bytes: Bytes::new() };
    let mut out = Output::default();
    let error = decoder.decode(&[typed, unstructured], Mode::Strict, &mut out);
    assert!(error.is_err());
    assert!(out.json().is_empty() && out.outcomes().is_empty());
}

#[test]
fn login_facts_come_when_asked_for() {
    let options = Options { login: true, ..Options::default() };
    let decoder = NativeDecoder::native(table("v18dev"), Flavour::Go, options);
    let vectors = vectors("v18dev");
    let check = |case: &str| {
        let event = named(&vectors, "UserLogin", case);
        let mut out = Output::default();
        decoder.decode(&[raw(event.clone())], Mode::Strict, &mut out).expect("a typed event");
        let Outcome::Decoded { json, facts } = &out.outcomes()[0] else { panic!("decoded") };
        let login = facts.login.expect("asked for");
        let json: serde_json::Value =
            serde_json::from_slice(json.of(out.json())).expect("valid JSON");
        let text = |key: &str| json[key].as_str().unwrap_or_default().as_bytes().to_vec();
        assert_eq!(login.user.of(&event), text("user"), "{case}");
        assert_eq!(login.login.of(&event), text("login"), "{case}");
        assert_eq!(login.cluster.of(&event), text("cluster_name"), "{case}");
        assert_eq!(login.success.unwrap_or_default(), json["success"], "{case}");
        login
    };
    assert!(check("full").success.is_some());
    assert_eq!(check("zero").success, None, "not on the wire is not a failure");
}

#[test]
fn print_data_is_added_where_the_rule_or_the_option_says() {
    let event = named(&vectors("v18dev"), "SessionPrint", "full");
    let json = |flavour, print_data| {
        let options = Options { print_data, ..Options::default() };
        let decoder = NativeDecoder::native(table("v18dev"), flavour, options);
        let mut out = Output::default();
        decoder.decode(&[raw(event.clone())], Mode::Strict, &mut out).expect("a typed event");
        let Outcome::Decoded { json, .. } = &out.outcomes()[0] else { panic!("decoded") };
        String::from_utf8(json.of(out.json()).to_vec()).expect("JSON is text")
    };
    let plain = json(Flavour::Go, false);
    assert!(!plain.contains("\"data\""), "Go writes none: {plain}");
    let with_data = json(Flavour::Go, true);
    let (front, data) = with_data.split_once(",\"data\":").expect("the last member");
    assert_eq!(format!("{front}}}"), plain);
    let sorted = json(Flavour::Struct, false);
    assert!(sorted.contains(&format!("\"data\":{}", data.trim_end_matches('}'))), "{sorted}");
}

#[test]
fn a_path_does_not_believe_the_tags_of_a_map_entry() {
    // The key of the label has the tag of a group's end, as gogo would let pass.
    let event = b"\xca\x03\x14\x22\x12\x1a\x10\x0c\x01\x61\x12\x01\x61\x90\x12\xff\xff\x99\xa6\xea\xaf\xe3\x01";
    let transcoder = transcoder("v13", Flavour::Go);
    let (answer, _) = decode(&transcoder, event, Mode::Strict);
    let ev_decode::Answer::Unknown { at: 13, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(transcoder.path(event, 13), "AppUpdate.App.AppLabels.290");
}
