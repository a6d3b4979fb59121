//! Guests that behave until they see one certain event, alone and around the engine.
//!
//! Whatever such a guest does about that event: the error is the documented one, the rest of the
//! batch comes through when it is tried event by event, as the engine does, the memory is what it
//! was, and the next event decodes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{AuthVersion, Decoder, Flavour, Form, Mode, Outcome, Output, ParkReason, RawEvent};
use ev_wasm_host::{Fact, HostError, Lie, Limits, ModuleDecoder, ModuleHost, Options, Usage};
use tokio::task::LocalSet;

use crate::engine::{Always, Rig};
use crate::guest::{ANSWER_AT, EVENT, Guest, JSON, honest, identity, patient};

/// Where in [`EVENT`] the uid and the user's name stand.
const UID: usize = 11;
const USER: usize = 21;

/// Where in [`honest`] the uid's text stands.
const UID_IN_ANSWER: u32 = 64 + 27;

/// Two pages of memory.
const MEMORY: u32 = 2 * 65_536;
/// Where the guest writes its answers.
const OUT: u32 = 65_536;

/// An event with this uid, of two letters.
pub(crate) fn good(uid: &str) -> RawEvent {
    let mut bytes = EVENT;
    bytes[UID..UID + 2].copy_from_slice(uid.as_bytes());
    RawEvent { form: Form::OneOf, bytes: Bytes::copy_from_slice(&bytes) }
}

/// The event at which the guest stops behaving.
fn poison(uid: &str) -> RawEvent {
    let mut bytes = good(uid).bytes.to_vec();
    bytes[USER] = b'!';
    RawEvent { form: Form::OneOf, bytes: bytes.into() }
}

fn json(uid: &str) -> String {
    JSON.replacen("\"id\"", &format!("\"{uid}\""), 1)
}

fn offset(of: &str) -> u32 {
    u32::try_from(64 + JSON.find(of).expect("it stands there")).expect("small")
}

/// One way to misbehave.
struct Case {
    name: &'static str,
    /// Run when the honest answer to the event at `$event` stands at `$out`.
    misbehave: String,
    expected: fn(&HostError) -> bool,
    limits: Limits,
}

fn case(name: &'static str, misbehave: &str, expected: fn(&HostError) -> bool) -> Case {
    Case { name, misbehave: misbehave.to_owned(), expected, limits: patient() }
}

/// A lie about the one event of a batch.
macro_rules! lie {
    ($lie:pat) => {
        |error: &HostError| matches!(error, HostError::Lie { event: 0, lie: $lie })
    };
}

fn guest(misbehave: &str) -> Guest {
    let len = honest().len();
    let uid_in_json = UID_IN_ANSWER;
    let event_len = EVENT.len();
    let decode = format!(
        "(local $i i32) (local $event i32) (local $out i32)
        (local.set $event (i32.add (local.get $ptr) (i32.const 8)))
        (local.set $out (i32.const {OUT}))
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $i) (i32.load (local.get $ptr))))
            (memory.copy (local.get $out) (i32.const {ANSWER_AT}) (i32.const {len}))
            (i32.store16 (i32.add (local.get $out) (i32.const {uid_in_json}))
                (i32.load16_u (i32.add (local.get $event) (i32.const {UID}))))
            (if (i32.eq (i32.load8_u (i32.add (local.get $event) (i32.const {USER}))) (i32.const 33))
                (then {misbehave}))
            (local.set $out (i32.add (local.get $out) (i32.const {len})))
            (local.set $event (i32.add (local.get $event) (i32.const {})))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
        (i64.or (i64.const {})
            (i64.extend_i32_u (i32.sub (local.get $out) (i32.const {OUT}))))",
        event_len + 4,
        ev_core::abi::pack(OUT, 0),
    );
    Guest {
        decode,
        extra: "(table $table 1 funcref) (global $kept (mut i32) (i32.const 0))
            (func $deep (param i32) (result i32)
                (i32.add (i32.const 1) (call $deep (local.get 0))))",
        ..Guest::answering(honest())
    }
}

/// A module that behaves, whose JSON has this text, of four letters, for the user.
pub(crate) fn saying(user: &str) -> Vec<u8> {
    let mut guest = guest("nop");
    let at = guest.data.len() - "user\"}".len();
    guest.data[at..at + 4].copy_from_slice(user.as_bytes());
    guest.module()
}

/// Everything that a guest may try.
fn cases() -> Vec<Case> {
    let store = |at: u32, value: i32| {
        format!("(i32.store (i32.add (local.get $out) (i32.const {at})) (i32.const {value}))")
    };
    let byte = |at: u32, value: u8| {
        format!("(i32.store8 (i32.add (local.get $out) (i32.const {at})) (i32.const {value}))")
    };
    let answer = |address: u32, len: u32| {
        format!("(return (i64.const {}))", ev_core::abi::pack(address, len))
    };
    let place = |error: &HostError| matches!(error, HostError::AnswerPlace { .. });
    let trap = |error: &HostError| matches!(error, HostError::Trap(_));
    let len = i32::try_from(honest().len()).expect("short");
    let second = Limits { call_time: Duration::from_secs(1), ..Limits::default() };
    vec![
        Case {
            limits: second,
            ..case("loops for ever", "(loop $l br $l)", |error| {
                matches!(error, HostError::Deadline { allowed_ms: 1050 })
            })
        },
        case(
            "grows its memory to the cap",
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000000)) unreachable",
            |error| matches!(error, HostError::MemoryLimit { limit: 67_108_864 }),
        ),
        case("overflows its stack", "(drop (call $deep (i32.const 0)))", |error| {
            matches!(error, HostError::StackLimit { limit: 262_144 })
        }),
        case(
            "fills its table",
            "(loop $l (br_if $l
                (i32.ne (table.grow $table (ref.null func) (i32.const 1)) (i32.const -1))))
            unreachable",
            trap,
        ),
        case("traps", "unreachable", trap),
        case(
            "writes beyond its memory",
            &format!("(i64.store (i32.const {}) (i64.const 1))", MEMORY - 7),
            trap,
        ),
        case("answers from outside of its memory", &answer(MEMORY, 64), place),
        case("answers beyond the end of its memory", &answer(MEMORY - 1, 2), place),
        case("answers with a length that wraps", &answer(ANSWER_AT, u32::MAX), place),
        case("answers with a record whose length wraps", &store(0, -1), lie!(Lie::Truncated)),
        case(
            "answers for fewer events",
            &format!("(local.set $out (i32.sub (local.get $out) (i32.const {len})))"),
            lie!(Lie::Truncated),
        ),
        case(
            "answers for more events, beyond its answer",
            &format!("(local.set $out (i32.add (local.get $out) (i32.const {len})))"),
            |error| matches!(error, HostError::TooManyRecords),
        ),
        case("answers with overlapping records", &store(0, len - 1), lie!(Lie::NotAnObject { .. })),
        case("answers with a header alone", &store(0, 64), lie!(Lie::NotAnObject { at: 0 })),
        case("answers with half a header", &store(0, 32), lie!(Lie::RecordLength)),
        case("answers with invalid UTF-8", &byte(offset("user\"}"), 0xff), lie!(Lie::NotUtf8)),
        case("answers with invalid JSON", &byte(offset("}"), b' '), lie!(Lie::NotAnObject { .. })),
        case("answers with another type's JSON", &byte(offset("t\",\"uid"), b'u'), {
            lie!(Lie::Identity { key: "event" })
        }),
        case("answers with another uid's JSON", &byte(UID_IN_ANSWER, b'?'), {
            lie!(Lie::Identity { key: "uid" })
        }),
        case("answers with another time's JSON", &byte(offset("5.000"), b'6'), {
            lie!(Lie::Identity { key: "time" })
        }),
        case("answers with another index's JSON", &byte(offset("7,"), b'8'), {
            lie!(Lie::Identity { key: "ei" })
        }),
        case("claims another type", &store(20, 9), lie!(Lie::NotInEvent(Fact::Kind))),
        case("claims a type outside of the event", &store(20, 26), lie!(Lie::Outside(Fact::Kind))),
        case("claims another uid", &store(32, 1), lie!(Lie::NotInEvent(Fact::Uid))),
        case("claims another time", &store(56, 6), lie!(Lie::NotInEvent(Fact::Time))),
        case("claims another index", &store(48, 8), lie!(Lie::NotInEvent(Fact::Index))),
        case("claims another case", &store(8, 4), lie!(Lie::NotInEvent(Fact::Case))),
        case("answers with a status that is not defined", &store(4, 9), lie!(Lie::Status(9))),
    ]
}

fn decoder(case: &Case) -> (ModuleHost, ModuleDecoder) {
    let host = ModuleHost::new(case.limits.clone()).expect("an engine");
    let module = host.compile(&guest(&case.misbehave).module()).expect("an admissible guest");
    let decoder = module.decoder(identity(Flavour::Go), Options::default()).expect("an instance");
    (host, decoder)
}

fn decode(decoder: &ModuleDecoder, events: &[RawEvent]) -> Result<Vec<String>, HostError> {
    let mut out = Output::default();
    decoder.try_decode(events, Mode::Strict, &mut out)?;
    let text = |outcome: &Outcome| match outcome {
        Outcome::Decoded { json, .. } => String::from_utf8_lossy(json.of(out.json())).into_owned(),
        other => panic!("{other:?}"),
    };
    Ok(out.outcomes().iter().map(text).collect())
}

#[test]
fn a_guest_that_misbehaves_harms_one_event_and_nothing_else() {
    for case in cases() {
        let name = case.name;
        let (host, decoder) = decoder(&case);
        assert_eq!(decode(&decoder, &[good("aa")]).expect(name), [json("aa")]);
        let before = host.usage();
        let one = Usage { instances: 1, memory_bytes: MEMORY as usize, created: 1, modules: 1 };
        assert_eq!(before, one, "{name}");

        let batch = [good("ab"), good("ac"), poison("ad"), good("ae"), good("af")];
        let error = decode(&decoder, &batch).expect_err(name);
        if let HostError::Lie { event, .. } = error {
            assert!((2..5).contains(&event), "{name}: the first two were honest: {error:?}");
        }
        // Event by event, as the engine does it.
        for event in &batch {
            match decode(&decoder, std::slice::from_ref(event)) {
                Ok(texts) => {
                    let uid = String::from_utf8_lossy(&event.bytes[UID..UID + 2]);
                    assert_eq!(texts, [json(&uid)], "{name}");
                    assert_ne!(event.bytes[USER], b'!', "{name}");
                }
                Err(error) => {
                    assert_eq!(event.bytes[USER], b'!', "{name}: {error:?}");
                    assert!((case.expected)(&error), "{name}: {error:?}");
                }
            }
        }
        assert_eq!(decode(&decoder, &[good("ag")]).expect(name), [json("ag")]);
        // Thrown away twice, and what is left takes up what the first one did.
        assert_eq!(host.usage(), Usage { created: 3, ..before }, "{name}");
        drop(decoder);
        assert_eq!(host.usage(), Usage { created: 3, ..Usage::default() }, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn around_the_engine_the_guilty_event_is_parked_and_the_rest_delivered() {
    LocalSet::new().run_until(around_the_engine()).await;
}

async fn around_the_engine() {
    for case in cases() {
        let name = case.name;
        let (host, decoder) = decoder(&case);
        let mut error = String::new();
        if let Err(found) = decode(&decoder, &[poison("zz")]) {
            error = ev_core::DecoderError::new(found.to_string()).message;
        }
        let mut rig = Rig::start(Arc::new(Always(Arc::new(decoder))), &AuthVersion::new("99.0.0"));
        rig.page(vec![good("aa"), good("ab"), poison("ac"), good("ad"), good("ae")]);
        rig.page(vec![good("af")]);
        rig.delivered(5).await;
        let mut bodies = rig.bodies();
        bodies.sort();
        assert_eq!(bodies, ["aa", "ab", "ad", "ae", "af"].map(json), "{name}");
        let (summary, parked) = rig.end().await;
        assert_eq!((summary.totals.delivered, summary.totals.parked), (5, 1), "{name}");
        assert!(summary.totals.balances());
        assert_eq!(parked.len(), 1, "{name}");
        assert_eq!(parked[0].event.bytes, poison("ac").bytes, "{name}");
        assert_eq!(parked[0].event.reason, ParkReason::DecoderFailed, "{name}");
        assert!(parked[0].event.detail.contains(&error), "{name}: {}", parked[0].event.detail);
        assert_eq!(host.usage().memory_bytes, 0, "{name}: nothing is left behind");
    }
}

/// What a guest keeps is gone with its first mistake, and what it may keep until then are bytes
/// that it was given anyway.
#[test]
fn what_a_guest_keeps_of_one_call_does_not_survive_its_exposure() {
    // Answers about the event that it was asked about before.
    let late = format!(
        "(local $size i32)
        (local.set $size (i32.load (i32.const 0)))
        (if (i32.eqz (local.get $size)) (then
            (memory.copy (i32.const 64) (i32.add (local.get $ptr) (i32.const 8)) (i32.const {len}))
            (i32.store (i32.const 0) (i32.const 1))))
        (memory.copy (i32.const {OUT}) (i32.const {ANSWER_AT}) (i32.const {answer}))
        (i32.store16 (i32.const {uid}) (i32.load16_u (i32.const {kept})))
        (i64.const {packed})",
        len = EVENT.len(),
        answer = honest().len(),
        uid = OUT + UID_IN_ANSWER,
        kept = 64 + UID,
        packed = ev_core::abi::pack(OUT, u32::try_from(honest().len()).expect("short")),
    );
    let guest = Guest { decode: late, ..Guest::answering(honest()) };
    let decoder = guest.decoder(patient()).expect("a guest");
    for uid in ["aa", "ab", "ac"] {
        assert_eq!(decode(&decoder, &[good(uid)]).expect("the first one is right"), [json(uid)]);
        let error = decode(&decoder, &[good("zz")]).expect_err("that of another event");
        let told = Lie::Identity { key: "uid" };
        assert!(matches!(error, HostError::Lie { event: 0, lie } if lie == told), "{error:?}");
    }
    assert_eq!(decoder.instances_created(), 3);
}

/// What a signature is worth: who holds the key can write any body, under the identity that the
/// event has and no other.
#[test]
fn the_rest_of_the_json_is_the_word_of_the_module() {
    let host = ModuleHost::new(patient()).expect("an engine");
    let module = host.compile(&saying("evil")).expect("an admissible guest");
    let decoder = module.decoder(identity(Flavour::Go), Options::default()).expect("an instance");
    let texts = decode(&decoder, &[good("aa")]).expect("an answer");
    assert_eq!(texts, [json("aa").replace(r#""user":"user""#, r#""user":"evil""#)]);
}

/// As an operator sees it: what the system says that the process takes up.
#[test]
#[ignore = "slow, and reads what Linux says of the whole process: to be run alone"]
fn two_hundred_bombs_leave_the_process_as_large_as_it_was() {
    let pages = || -> u64 {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number")
    };
    let bomb = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
        (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
        unreachable";
    let (_host, decoder) = decoder(&case("", bomb, |_| true));
    let run = || decoder.decode(&[poison("aa")], Mode::Strict, &mut Output::default()).is_err();
    assert!(run());
    let before = pages();
    assert!((0..200).all(|_| run()));
    let after = pages();
    // 16 MiB; a single bomb that stays would be 64.
    assert!(after < before + 4096, "{before} pages before, {after} after");
}
