//! Guests that break a limit, and what becomes of the instance.

use std::time::Duration;

use ev_core::{Decoder, Mode, Outcome, Output};
use ev_wasm_host::{HostError, Limits};

use crate::guest::{ANSWER_AT, EVENT, Guest, JSON, event, honest, patient};

/// Short deadlines, so that the tests of endless loops are over soon.
fn quick() -> Limits {
    let call_time = Duration::from_millis(100);
    Limits { call_time, call_time_per_mib: Duration::ZERO, ..Limits::default() }
}

#[test]
fn an_endless_loop_ends_at_its_deadline() {
    let error = Guest::running("(loop $l br $l) unreachable").failure(quick(), 1);
    assert!(matches!(error, HostError::Deadline { allowed_ms: 100 }), "{error:?}");
}

#[test]
fn every_call_has_a_deadline() {
    let check = |guest: Guest| {
        let error = guest.decoder(quick()).and_then(|decoder| {
            let mut out = Output::default();
            decoder.describe()?;
            decoder.try_decode(&[event()], Mode::Strict, &mut out)
        });
        assert!(matches!(error, Err(HostError::Deadline { .. })), "{error:?}");
    };
    let endless = "(loop $l br $l) unreachable";
    check(Guest {
        alloc: r#"(func (export "ev_alloc") (param i32) (result i32) (loop $l br $l) unreachable)"#,
        ..Guest::answering(honest())
    });
    check(Guest {
        extra: r#"(func (export "_initialize") (loop $l br $l) unreachable)"#,
        ..Guest::answering(honest())
    });
    check(Guest {
        version: r#"(func (export "ev_abi_version") (result i32) (loop $l br $l) unreachable)"#,
        ..Guest::answering(honest())
    });
    check(Guest {
        describe: r#"(func (export "ev_describe") (result i64) (loop $l br $l) unreachable)"#,
        ..Guest::answering(honest())
    });
    check(Guest {
        error: r#"(func (export "ev_error") (result i64) (loop $l br $l) unreachable)"#,
        ..Guest::running("i64.const 0")
    });
    check(Guest::running(endless));
}

#[test]
fn a_memory_bomb_ends_at_the_limit() {
    let bomb = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
        unreachable";
    let error = Guest::running(bomb).failure(patient(), 1);
    assert!(matches!(error, HostError::MemoryLimit { limit: 67_108_864 }), "{error:?}");
}

#[test]
fn memory_reaches_the_limit_and_no_further() {
    // Grows page by page as long as it may and answers only if that came to 64 MiB.
    let decode = format!(
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (if (i32.ne (memory.size) (i32.const 1024)) (then unreachable))
        i64.const {}",
        ev_core::abi::pack(ANSWER_AT, u32::try_from(honest().len()).expect("short"))
    );
    let decoder = Guest { decode, ..Guest::answering(honest()) }.decoder(patient());
    let mut out = Output::default();
    let result = decoder.expect("a guest").try_decode(&[event()], Mode::Strict, &mut out);
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn a_deep_recursion_ends_at_the_stack_limit() {
    let guest = Guest {
        extra: "(func $deep (param i32) (result i32)
            (i32.add (i32.const 1) (call $deep (local.get 0))))",
        ..Guest::running("(i64.extend_i32_u (call $deep (i32.const 0)))")
    };
    let error = guest.failure(patient(), 1);
    assert!(matches!(error, HostError::StackLimit { limit: 262_144 }), "{error:?}");
}

#[test]
fn a_table_cannot_grow_beyond_its_limit() {
    let guest = Guest {
        extra: "(table $t 1 funcref)",
        ..Guest::running(
            "(if (i32.ne (table.grow $t (ref.null func) (i32.const 4095)) (i32.const 1))
                (then (return (i64.const 0))))
            (if (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1))
                (then (return (i64.const 0))))
            unreachable",
        )
    };
    let error = guest.failure(patient(), 1);
    assert!(matches!(error, HostError::Trap(_)), "4,096 elements and no more: {error:?}");
    let table = Guest { extra: "(table 4097 funcref)", ..Guest::answering(honest()) };
    assert!(matches!(table.decoder(patient()), Err(HostError::Instantiate(_))));
    let tables =
        Guest { extra: "(table 1 funcref) (table 1 funcref)", ..Guest::answering(honest()) };
    assert!(matches!(tables.decoder(patient()), Err(HostError::Instantiate(_))));
}

/// What is logged and kept with a parked event names the module and the causes in one line.
#[test]
fn a_failure_is_told_in_one_line() {
    let decoder = Guest::running("unreachable").decoder(patient()).expect("a guest");
    let error = decoder.decode(&[event()], Mode::Strict, &mut Output::default());
    assert_eq!(
        error.expect_err("a trap").message,
        "module 99.0.0: guest trapped: wasm trap: wasm `unreachable` instruction executed"
    );
}

#[test]
fn a_trap_is_an_ordinary_error() {
    let error = Guest::running("unreachable").failure(patient(), 1);
    assert!(matches!(error, HostError::Trap(_)), "{error:?}");
}

#[test]
fn a_batch_may_be_refused_with_a_reason() {
    let reason = b"no\x1b[31m table".to_vec();
    let guest = Guest {
        error: r#"(func (export "ev_error") (result i64) i64.const 0x0000_8000_0000_000d)"#,
        data: reason,
        ..Guest::running("i64.const 0")
    };
    let error = guest.failure(patient(), 1);
    assert!(
        matches!(&error, HostError::Refused { text } if text == "no\u{fffd}[31m table"),
        "{error:?}"
    );
    let alloc = r#"(func (export "ev_alloc") (param i32) (result i32) i32.const 0)"#;
    let error = Guest { alloc, ..Guest::answering(honest()) }.failure(patient(), 1);
    assert!(matches!(error, HostError::NoBuffer { bytes: 33 }), "{error:?}");
}

#[test]
fn a_failed_instance_is_thrown_away_and_the_next_event_decodes() {
    // Traps for a batch of two, and ever after in the same instance.
    let decode = format!(
        "(if (i32.eq (i32.load (local.get $ptr)) (i32.const 2))
            (then (global.set $broken (i32.const 1))))
        (if (global.get $broken) (then unreachable))
        i64.const {}",
        ev_core::abi::pack(ANSWER_AT, u32::try_from(honest().len()).expect("short"))
    );
    let extra = "(global $broken (mut i32) (i32.const 0))";
    let decoder =
        Guest { decode, extra, ..Guest::answering(honest()) }.decoder(patient()).expect("a guest");
    let mut out = Output::default();
    decoder.try_decode(&[event()], Mode::Strict, &mut out).expect("an answer");
    assert!(decoder.try_decode(&[event(), event()], Mode::Strict, &mut out).is_err());
    decoder.try_decode(&[event()], Mode::Strict, &mut out).expect("an answer");
    assert_eq!(out.outcomes().len(), 2);
    assert_eq!(out.json(), format!("{JSON},{JSON},").as_bytes());
    let Outcome::Decoded { facts, .. } = &out.outcomes()[1] else { panic!("decoded") };
    assert_eq!(facts.id(&EVENT), "id");
}

#[test]
fn instances_are_kept_and_replaced_after_their_events() {
    // Answers as often as its memory says, then traps.
    let guest = |calls: u32| Guest {
        decode: format!(
            "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
            (if (i32.gt_u (i32.load (i32.const 0)) (i32.const {calls})) (then unreachable))
            i64.const {}",
            ev_core::abi::pack(ANSWER_AT, u32::try_from(honest().len()).expect("short"))
        ),
        ..Guest::answering(honest())
    };
    let run = |guest: Guest, recycle_events| {
        let limits = Limits { recycle_events, batch_events: 1, ..patient() };
        let decoder = guest.decoder(limits).expect("a guest");
        let mut out = Output::default();
        decoder.try_decode(&vec![event(); 9], Mode::Strict, &mut out)
    };
    assert!(run(guest(3), 3).is_ok(), "replaced after three");
    assert!(matches!(run(guest(2), 3), Err(HostError::Trap(_))), "kept for three");
}

#[test]
fn an_instance_that_has_grown_is_replaced() {
    // Grows by 17 MiB with each call and traps when it finds itself grown.
    let guest = |pages: u32| Guest {
        decode: format!(
            "(if (i32.ne (memory.grow (i32.const {pages})) (i32.const 2)) (then unreachable))
            i64.const {}",
            ev_core::abi::pack(ANSWER_AT, u32::try_from(honest().len()).expect("short"))
        ),
        ..Guest::answering(honest())
    };
    let run = |guest: Guest| {
        let limits = Limits { batch_events: 1, ..patient() };
        let decoder = guest.decoder(limits).expect("a guest");
        decoder.try_decode(&vec![event(); 3], Mode::Strict, &mut Output::default())
    };
    assert!(run(guest(255)).is_ok(), "more than 16 MiB");
    assert!(run(guest(254)).is_err(), "just 16 MiB");
}
