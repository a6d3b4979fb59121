//! What is refused before it is compiled, each for its own reason.

use std::error::Error as _;

use ev_wasm_host::{HostError, Limits, ModuleHost};

use crate::guest::{Guest, honest, patient};

fn refusal(guest: &Guest) -> HostError {
    let host = ModuleHost::new(patient()).expect("an engine");
    host.compile(&guest.module()).expect_err("a refusal")
}

fn good() -> Guest {
    Guest::answering(honest())
}

#[test]
fn an_import_is_refused_by_name() {
    // Imports must come first in the text format, so they stand where the memory does.
    let memory = r#"(import "env" "now" (func)) (memory (export "memory") 2)"#;
    let error = refusal(&Guest { memory, ..good() });
    assert!(
        matches!(&error, HostError::Import { module, name } if module == "env" && name == "now"),
        "{error:?}"
    );
}

#[test]
fn every_export_must_be_there() {
    let check = |guest: Guest, expected: &str| match refusal(&guest) {
        HostError::MissingExport { name } => assert_eq!(name, expected),
        other => panic!("{expected}: {other:?}"),
    };
    check(Guest { memory: "(memory 2)", ..good() }, "memory");
    check(Guest { version: "", ..good() }, "ev_abi_version");
    check(Guest { alloc: "", ..good() }, "ev_alloc");
    check(Guest { describe: "", ..good() }, "ev_describe");
    check(Guest { error: "", ..good() }, "ev_error");
    let text = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "ev_abi_version") (result i32) i32.const 1)
            (func (export "ev_alloc") (param i32) (result i32) i32.const 8))"#,
    )
    .expect("valid text");
    let host = ModuleHost::new(patient()).expect("an engine");
    let error = host.compile(&text).expect_err("a refusal");
    assert!(matches!(error, HostError::MissingExport { name: "ev_decode_batch" }), "{error:?}");
}

#[test]
fn every_export_must_have_its_type() {
    let check = |guest: Guest, expected_name: &str, expected_found: &str| match refusal(&guest) {
        HostError::MistypedExport { name, found, .. } => {
            assert_eq!((name, found.as_str()), (expected_name, expected_found));
        }
        other => panic!("{expected_name}: {other:?}"),
    };
    check(
        Guest { version: r#"(func (export "ev_abi_version") (result i64) i64.const 1)"#, ..good() },
        "ev_abi_version",
        "() -> i64",
    );
    check(
        Guest { alloc: r#"(func (export "ev_alloc") (result i32) i32.const 8)"#, ..good() },
        "ev_alloc",
        "() -> i32",
    );
    check(
        Guest {
            describe: r#"(func (export "ev_describe") (param i32 f64) (result i64) i64.const 0)"#,
            ..good()
        },
        "ev_describe",
        "(i32, f64) -> i64",
    );
    check(
        Guest { error: r#"(global (export "ev_error") i64 (i64.const 0))"#, ..good() },
        "ev_error",
        "global",
    );
    check(
        Guest { memory: r#"(memory 2) (func (export "memory"))"#, ..good() },
        "memory",
        "() -> ()",
    );
    check(
        Guest { extra: r#"(func (export "_initialize") (param i32))"#, ..good() },
        "_initialize",
        "(i32) -> ()",
    );
}

#[test]
fn code_that_runs_by_itself_is_refused() {
    let guest = Guest { extra: "(func $go) (start $go)", ..good() };
    assert!(matches!(refusal(&guest), HostError::StartFunction));
}

#[test]
fn there_is_one_memory_and_it_starts_small() {
    let two = Guest { extra: "(memory 1)", ..good() };
    assert!(matches!(refusal(&two), HostError::Memories { count: 2 }));
    let big = Guest { memory: r#"(memory (export "memory") 129)"#, ..good() };
    assert!(matches!(
        refusal(&big),
        HostError::InitialMemory { bytes: 8_454_144, limit: 8_388_608 }
    ));
    let just = Guest { memory: r#"(memory (export "memory") 128)"#, ..good() };
    assert!(just.decoder(patient()).is_ok());
}

#[test]
fn features_that_are_off_are_refused() {
    let check = |extra: &'static str, expected: &str| {
        let error = refusal(&Guest { extra, ..good() });
        assert!(matches!(error, HostError::InvalidModule(_)), "{error:?}");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains(expected), "{extra}: {cause}");
    };
    check("(func (result v128) v128.const i64x2 0 0)", "SIMD");
    check("(func $f (return_call $f))", "tail calls");
    check("(global i32 (i32.add (i32.const 1) (i32.const 2)))", "constant expression");
    check(
        "(func (param i64 i64 i64 i64) (result i64 i64)
        (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))",
        "wide arithmetic",
    );
    check(
        "(func (param v128 v128) (result v128)
        (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))",
        "SIMD",
    );
    check("(func (param i32) (drop (i32.atomic.load (local.get 0))))", "threads");
    check("(func (param (ref func)))", "function references");
    check("(type $f (func)) (type (cont $f))", "stack switching");
    check("(tag)", "exceptions");
    check("(type (struct))", "gc");
    let memory64 = Guest { memory: r#"(memory (export "memory") i64 1)"#, ..good() };
    assert!(matches!(refusal(&memory64), HostError::InvalidModule(_)));
    let small_pages = Guest { memory: r#"(memory (export "memory") 1 (pagesize 1))"#, ..good() };
    assert!(matches!(refusal(&small_pages), HostError::InvalidModule(_)));
    let shared = Guest { memory: r#"(memory (export "memory") 1 2 shared)"#, ..good() };
    assert!(matches!(refusal(&shared), HostError::InvalidModule(_)));
}

#[test]
fn size_is_looked_at_first() {
    let host = ModuleHost::new(Limits { module_bytes: 100, ..patient() });
    let error = host.expect("an engine").compile(&[0; 101]).expect_err("a refusal");
    assert!(matches!(error, HostError::ModuleTooLarge { size: 101, limit: 100 }));
}

#[test]
fn what_is_no_module_is_refused() {
    let module = good().module();
    let host = ModuleHost::new(patient()).expect("an engine");
    for cut in (0..module.len()).step_by(7) {
        assert!(host.compile(&module[..cut]).is_err(), "cut at {cut}");
    }
    assert!(matches!(host.compile(b"not a module"), Err(HostError::InvalidModule(_))));
}

#[test]
fn another_abi_version_is_refused() {
    let version = r#"(func (export "ev_abi_version") (result i32) i32.const 2)"#;
    let error = Guest { version, ..good() }.decoder(patient()).expect_err("a refusal");
    assert!(matches!(error, HostError::AbiVersion { found: 2 }));
}
