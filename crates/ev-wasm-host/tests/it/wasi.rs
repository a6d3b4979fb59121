//! Modules of other toolchains: what they may import, what it does, and under which limits.

use ev_core::{Flavour, Mode, Output};
use ev_wasm_host::{HostError, Limits, ModuleDecoder, ModuleHost, Options};

use crate::guest::{ANSWER_AT, Guest, event, honest, identity, patient};

/// The limits for such modules, with a deadline that no honest guest meets.
pub(crate) fn patient_wasi() -> Limits {
    Limits { call_time: patient().call_time, ..Limits::wasi() }
}

/// A host that admits modules with WASI.
pub(crate) fn host() -> ModuleHost {
    ModuleHost::with_wasi(patient(), patient_wasi()).expect("an engine")
}

pub(crate) fn decoder(host: &ModuleHost, module: &[u8]) -> Result<ModuleDecoder, HostError> {
    host.compile(module)?.decoder(identity(Flavour::Go), Options::default())
}

fn all_fifteen() -> Vec<u8> {
    wat::parse_str(include_str!("../wat/wasi.wat")).expect("valid text")
}

/// A guest with an import; imports must come first in the text format, where the memory stands.
fn importing(import: &str) -> Vec<u8> {
    let memory = format!(r#"{import} (memory (export "memory") 2)"#);
    Guest { memory: Box::leak(memory.into_boxed_str()), ..Guest::answering(honest()) }.module()
}

fn wasi_import(name: &str, signature: &str) -> Vec<u8> {
    importing(&format!(r#"(import "wasi_snapshot_preview1" "{name}" (func {signature}))"#))
}

/// What [`all_fifteen`] says of itself, in the order of its calls.
const ANSWERS: [(&str, u32); 33] = [
    ("_initialize was called once", 1),
    ("args_sizes_get", 0),
    ("number of arguments", 0),
    ("size of arguments", 0),
    ("args_get", 0),
    ("environ_sizes_get", 0),
    ("number of variables", 0),
    ("size of variables", 0),
    ("environ_get", 0),
    ("clock_time_get", 0),
    ("first time, ns", 1000),
    ("first time, upper half", 0),
    ("clock_time_get", 0),
    ("second time, ns", 2000),
    ("random_get", 0),
    ("random bytes", 0x5a5a_5a5a),
    ("what stands behind them", 0),
    ("random_get of nothing", 0),
    ("sched_yield", 0),
    ("poll_oneoff: ENOTSUP", 58),
    ("fd_write: EBADF", 8),
    ("fd_close: EBADF", 8),
    ("fd_fdstat_get: EBADF", 8),
    ("fd_fdstat_set_flags: EBADF", 8),
    ("fd_prestat_get: EBADF", 8),
    ("fd_prestat_dir_name: EBADF", 8),
    ("args_sizes_get outside: EFAULT", 21),
    ("environ_sizes_get outside: EFAULT", 21),
    ("clock_time_get outside: EFAULT", 21),
    ("random_get outside: EFAULT", 21),
    ("random_get far outside: EFAULT", 21),
    ("random_get of too much: EINVAL", 28),
    ("random_get of 4 GiB: EINVAL", 28),
];

fn said(decoder: &ModuleDecoder) -> Vec<u32> {
    let text = decoder.describe().expect("an answer");
    text.split_ascii_whitespace()
        .map(|number| u32::from_str_radix(number, 16).expect("8 hex digits"))
        .collect()
}

#[test]
fn each_function_denies_what_it_stands_for() {
    let host = host();
    let decoder = decoder(&host, &all_fifteen()).expect("an admissible module");
    let answers = said(&decoder);
    assert_eq!(answers.len(), ANSWERS.len());
    for (answer, (what, expected)) in answers.iter().zip(&ANSWERS) {
        assert_eq!(answer, expected, "{what}");
    }
    // The clock goes on in the same instance, by the calls that were answered.
    let later = said(&decoder);
    assert_eq!((later[0], later[10], later[13]), (1, 4000, 5000));
}

#[test]
fn a_guest_that_exits_is_an_ordinary_error_and_begins_anew() {
    let host = host();
    let decoder = decoder(&host, &all_fifteen()).expect("an admissible module");
    let before = said(&decoder);
    let error = decoder.try_decode(&[event()], Mode::Strict, &mut Output::default());
    let error = error.expect_err("it always exits");
    assert!(matches!(error, HostError::Trap(_)), "{error:?}");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(cause, "guest called `proc_exit` with 3");
    assert_eq!(said(&decoder), before, "a new instance knows nothing of the last one");
    assert_eq!(host.usage().instances, 1);
}

#[test]
fn without_the_setting_such_a_module_is_refused_naming_it() {
    let host = ModuleHost::new(patient()).expect("an engine");
    let error = host.compile(&all_fifteen()).expect_err("a refusal");
    assert!(matches!(error, HostError::WasiNotAllowed { name: "args_get" }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "module imports `wasi_snapshot_preview1.args_get`; modules that need WASI are taken only \
         with `allow-wasi-modules = true` under `[decoder]`"
    );
}

#[test]
fn what_is_not_on_the_list_is_refused_by_name_in_both_cases() {
    let hosts = [ModuleHost::new(patient()).expect("an engine"), host()];
    let check = |module: &[u8], expected: (&str, &str)| {
        for host in &hosts {
            match host.compile(module).expect_err("a refusal") {
                HostError::Import { module, name } => assert_eq!((&*module, &*name), expected),
                other => panic!("{expected:?}: {other:?}"),
            }
        }
    };
    let wasi = "wasi_snapshot_preview1";
    check(&wasi_import("fd_read", "(param i32 i32 i32 i32) (result i32)"), (wasi, "fd_read"));
    check(&wasi_import("path_open", ""), (wasi, "path_open"));
    check(&wasi_import("sock_accept", ""), (wasi, "sock_accept"));
    check(&importing(r#"(import "env" "fd_write" (func))"#), ("env", "fd_write"));
    let older = r#"(import "wasi_unstable" "fd_close" (func (param i32) (result i32)))"#;
    check(&importing(older), ("wasi_unstable", "fd_close"));
    // Also behind imports that are allowed.
    let mixed = r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
        (import "env" "now" (func))"#;
    check(&importing(mixed), ("env", "now"));
    // What a hostile author calls it must not disturb a log.
    let long = format!(r#"(import "env\1b[31m" "{}" (func))"#, "x".repeat(5000));
    let cut = format!("{}…", "x".repeat(100));
    check(&importing(&long), ("env\u{fffd}[31m", &cut));
}

#[test]
fn imports_have_the_types_of_wasi() {
    let host = host();
    let check = |module: &[u8], expected_name: &str, expected_found: &str| match host
        .compile(module)
        .expect_err("a refusal")
    {
        HostError::MistypedImport { name, found, .. } => {
            assert_eq!((name, &*found), (expected_name, expected_found));
        }
        other => panic!("{expected_name}: {other:?}"),
    };
    check(&wasi_import("sched_yield", ""), "sched_yield", "() -> ()");
    check(&wasi_import("proc_exit", "(param i64)"), "proc_exit", "(i64) -> ()");
    let clock = wasi_import("clock_time_get", "(param i32 i32 i32) (result i32)");
    check(&clock, "clock_time_get", "(i32, i32, i32) -> i32");
    let global = r#"(import "wasi_snapshot_preview1" "fd_close" (global i32))"#;
    check(&importing(global), "fd_close", "global");
    let table = r#"(import "wasi_snapshot_preview1" "fd_write" (table 1 funcref))"#;
    check(&importing(table), "fd_write", "table");
}

#[test]
fn a_module_for_a_javascript_host_is_refused_saying_what_it_lacks() {
    // As Go 1.21 and later, and as Go before, name their imports; both export `run` and `mem`.
    for namespace in ["gojs", "go"] {
        let module = wat::parse_str(format!(
            r#"(module (import "{namespace}" "runtime.wasmExit" (func (param i32)))
                (memory (export "mem") 1)
                (func (export "run") (param i32 i32)) (func (export "ev_error")))"#
        ))
        .expect("valid text");
        for host in [ModuleHost::new(patient()).expect("an engine"), host()] {
            let error = host.compile(&module).expect_err("a refusal");
            assert_eq!(
                error.to_string(),
                format!(
                    "module was built with GOOS=js: it imports `{namespace}.runtime.wasmExit`, \
                     which needs a JavaScript host, and does not export `memory`, \
                     `ev_abi_version`, `ev_alloc`, `ev_decode_batch`, `ev_describe`; build it \
                     with GOOS=wasip1 -buildmode=c-shared"
                )
            );
        }
    }
}

/// Grows by so many pages and answers only if that was granted.
fn growing(import: &str, pages: u32) -> Vec<u8> {
    let memory = format!(r#"{import} (memory (export "memory") 2)"#);
    let decode = format!(
        "(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))
        i64.const {}",
        ev_core::abi::pack(ANSWER_AT, u32::try_from(honest().len()).expect("short"))
    );
    let memory = Box::leak(memory.into_boxed_str());
    Guest { memory, decode, ..Guest::answering(honest()) }.module()
}

const YIELD: &str = r#"(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))"#;

#[test]
fn the_wider_limits_are_for_modules_that_import_wasi() {
    let host = host();
    let run = |module: &[u8]| {
        let decoder = decoder(&host, module).expect("an admissible module");
        decoder.try_decode(&[event()], Mode::Strict, &mut Output::default())
    };
    // 64 MiB are 1,024 pages, 256 MiB are 4,096, and 2 are there from the start.
    assert!(run(&growing("", 1022)).is_ok());
    assert!(matches!(run(&growing("", 1023)), Err(HostError::MemoryLimit { limit: 67_108_864 })));
    assert!(run(&growing(YIELD, 4094)).is_ok());
    let error = run(&growing(YIELD, 4095));
    assert!(matches!(error, Err(HostError::MemoryLimit { limit: 268_435_456 })), "{error:?}");

    let start = |import: &str, pages: u32| {
        let memory = format!(r#"{import} (memory (export "memory") {pages})"#);
        let memory = Box::leak(memory.into_boxed_str());
        Guest { memory, ..Guest::answering(honest()) }.module()
    };
    assert!(matches!(host.compile(&start("", 129)), Err(HostError::InitialMemory { .. })));
    assert!(host.compile(&start(YIELD, 512)).is_ok());
    assert!(matches!(host.compile(&start(YIELD, 513)), Err(HostError::InitialMemory { .. })));

    let table = |import: &str, elements: u32| {
        let memory = format!(r#"{import} (memory (export "memory") 2) (table {elements} funcref)"#);
        let memory = Box::leak(memory.into_boxed_str());
        decoder(&host, &Guest { memory, ..Guest::answering(honest()) }.module())
    };
    assert!(table("", 4096).is_ok());
    assert!(matches!(table("", 4097), Err(HostError::Instantiate(_))));
    assert!(table(YIELD, 30_000).is_ok());
    assert!(matches!(table(YIELD, 30_001), Err(HostError::Instantiate(_))));
}

#[test]
fn the_size_that_counts_is_that_of_the_modules_kind() {
    let (small, large) = (all_fifteen().len(), 100_000);
    let host = ModuleHost::with_wasi(
        Limits { module_bytes: small - 1, ..patient() },
        Limits { module_bytes: large, ..patient_wasi() },
    )
    .expect("an engine");
    assert!(host.compile(&all_fifteen()).is_ok());
    // The same number of bytes without an import.
    let mut plain = Guest::answering(honest());
    plain.data.resize(small, 0);
    let error = host.compile(&plain.module()).expect_err("a refusal");
    let limit = small - 1;
    assert!(matches!(error, HostError::ModuleTooLarge { limit: l, .. } if l == limit), "{error:?}");
    let error = host.compile(&vec![0; large + 1]).expect_err("a refusal");
    assert!(matches!(error, HostError::ModuleTooLarge { limit: 100_000, .. }), "{error:?}");
    assert_eq!(Limits::wasi().module_bytes, 32 << 20);
}

#[test]
fn a_loop_of_calls_to_the_host_ends_at_its_deadline() {
    let quick = Limits {
        call_time: std::time::Duration::from_millis(50),
        call_time_per_mib: std::time::Duration::ZERO,
        ..Limits::wasi()
    };
    let host = ModuleHost::with_wasi(quick.clone(), quick).expect("an engine");
    let guest = Guest {
        memory: r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 2)"#,
        ..Guest::running(
            "(loop $l (drop (call $random (i32.const 0) (i32.const 65536))) br $l) unreachable",
        )
    };
    let decoder = decoder(&host, &guest.module()).expect("an admissible module");
    let error = decoder.try_decode(&[event()], Mode::Strict, &mut Output::default());
    assert!(matches!(error, Err(HostError::Deadline { allowed_ms: 50 })), "{error:?}");
}
