//! A module's answer is hostile. The guest here finds its answer at the end of the event it is
//! given, so that any bytes can be one: an input is the length of an event as a little-endian u16,
//! the event, and the answer, which is put into a group that the event has besides.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use ev_core::abi::HEADER_LEN;
use ev_core::{
    AuthVersion, DecoderIdentity, DecoderKind, Flavour, Form, Mode, Outcome, Output, RawEvent, peek,
};
use ev_oracle::{Choices, mutate};
use ev_wasm_host::{Limits, ModuleDecoder, ModuleHost, Options};

use crate::pair::is_json;

/// Answers with the bytes in front of the length that stands at the end of its input, before the
/// group's end.
const ECHO: &str = r#"(module
    (memory (export "memory") 32)
    (func (export "ev_abi_version") (result i32) i32.const 1)
    (func (export "ev_alloc") (param i32) (result i32) i32.const 1024)
    (func (export "ev_describe") (result i64) i64.const 0)
    (func (export "ev_error") (result i64) i64.const 0)
    (func (export "ev_decode_batch") (param $ptr i32) (param $len i32) (param i32) (result i64)
        (local $end i32) (local $answer i32)
        (local.set $end (i32.sub (i32.add (local.get $ptr) (local.get $len)) (i32.const 6)))
        (local.set $answer (i32.load align=1 (local.get $end)))
        (i64.or
            (i64.shl
                (i64.extend_i32_u (i32.sub (local.get $end) (local.get $answer)))
                (i64.const 32))
            (i64.extend_i32_u (local.get $answer)))))"#;

/// Longer events would not fit into the guest's memory.
const MAX_INPUT: usize = 1 << 20;

static GUESTS: LazyLock<Vec<(Mode, ModuleDecoder)>> = LazyLock::new(|| {
    let module = wat::parse_str(ECHO).expect("the text of a module");
    let limits = Limits { call_time: Duration::from_secs(60), ..Limits::default() };
    let host = ModuleHost::new(limits).expect("an engine");
    let compiled = host.compile(&module).expect("an admissible module");
    let guest = |flavour, login| {
        let identity = DecoderIdentity {
            kind: DecoderKind::Module,
            auth_version: AuthVersion::new("1"),
            schema_sha256: [0; 32],
            artifact_sha256: None,
            flavour,
        };
        compiled.clone().decoder(identity, Options { login }).expect("an instance")
    };
    vec![
        (Mode::Strict, guest(Flavour::Go, false)),
        (Mode::KnownPart, guest(Flavour::Go, true)),
        (Mode::KnownPart, guest(Flavour::Struct, false)),
    ]
});

pub(super) fn run(input: &[u8]) {
    if input.len() > MAX_INPUT {
        return;
    }
    let (event, answer) = taken_apart(input);
    let bytes = Bytes::from(with_answer(event, answer));
    let input = &bytes[..];
    let event = RawEvent { form: Form::OneOf, bytes: bytes.clone() };
    for (mode, guest) in &*GUESTS {
        let mut out = Output::default();
        out.buffer().extend_from_slice(b"before");
        if guest.try_decode(std::slice::from_ref(&event), *mode, &mut out).is_err() {
            assert_eq!((out.json(), out.outcomes().len()), (&b"before"[..], 0));
            continue;
        }
        let [outcome] = out.outcomes() else { panic!("{} outcomes", out.outcomes().len()) };
        let (facts, json) = match outcome {
            Outcome::Decoded { facts, json } => (Some(facts), Some(json)),
            Outcome::Unknown { facts, known, .. } => (facts.as_ref(), known.as_ref()),
            Outcome::Unprintable { facts, .. } => (facts.as_ref(), None),
            Outcome::Malformed { .. } => (None, None),
        };
        let json = json.map(|json| json.of(out.json()));
        // Behind the object stands a comma.
        let written = json.map_or(0, |json| json.len() + 1);
        assert_eq!((&out.json()[..6], out.json().len()), (&b"before"[..], 6 + written));
        if let Some(facts) = facts {
            let peeked = peek::metadata_of(input, facts.case).expect("the case is in the event");
            assert_eq!(facts.kind.of(input), peeked.kind.of(input));
            assert_eq!(facts.uid.of(input), peeked.uid.of(input));
            assert_eq!((facts.time, facts.index), (peeked.time, peeked.index));
            // Whatever it is, asking for it must be safe.
            facts.session.of(input);
            facts.login.map(|login| login.user.of(input).len());
        }
        if let Some(json) = json
            && let Err(error) = is_json(json)
        {
            panic!("{error:#}");
        }
    }
}

/// Damages the answer alone, mostly, and its length may be right again.
pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    let (event, answer) = taken_apart(choices.pick::<Vec<u8>>(inputs));
    let (mut event, mut answer) = (event.to_vec(), answer.to_vec());
    match choices.below(8) {
        0 => mutate(&mut event, inputs, choices),
        1..5 if answer.len() > HEADER_LEN => {
            let mut json = answer.split_off(HEADER_LEN);
            mutate(&mut json, &[], choices);
            answer.extend(json);
        }
        _ => mutate(&mut answer, inputs, choices),
    }
    let len = u32::try_from(answer.len()).unwrap_or_default();
    if let Some(record_len) = answer.first_chunk_mut::<4>()
        && !choices.once_in(8)
    {
        *record_len = len.to_le_bytes();
    }
    event.truncate(usize::from(u16::MAX));
    let len = u16::try_from(event.len()).unwrap_or(u16::MAX);
    [&len.to_le_bytes(), &event[..], &answer].concat()
}

/// The event, and the answer to it.
fn taken_apart(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = input.split_first_chunk::<2>() else { return (&[], &[]) };
    rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()))
}

/// The event, and behind it the group 2047 with the answer and its length in field 1.
fn with_answer(event: &[u8], answer: &[u8]) -> Vec<u8> {
    let mut out = event.to_vec();
    out.extend([0xfb, 0x7f, 0x0a]);
    // Five bytes of varint hold any length here.
    let len = u32::try_from(answer.len() + 4).unwrap_or_default();
    for place in 0..5 {
        let more = if place < 4 { 0x80 } else { 0 };
        out.push(u8::try_from(len >> (7 * place) & 0x7f).unwrap_or_default() | more);
    }
    out.extend_from_slice(answer);
    out.extend(u32::try_from(answer.len()).unwrap_or_default().to_le_bytes());
    out.extend([0xfc, 0x7f]);
    out
}
