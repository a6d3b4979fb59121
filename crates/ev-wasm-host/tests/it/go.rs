//! A module that another toolchain made: a Go reactor, and one for JavaScript, which is none.
//!
//! Needs `go` 1.24 or newer, and no network. Where there is none, the tests say so and pass.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use ev_core::{Form, Mode, Outcome, Output, RawEvent};
use ev_wasm_host::{HostError, ModuleDecoder, ModuleHost};

use crate::guest::{event, patient};
use crate::wasi::{decoder, host};

/// Builds `tests/go` for `goos`; `None` without a usable Go.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see that one did nothing")]
fn build(goos: &str, flags: &[&str]) -> Option<Vec<u8>> {
    let out = tempfile::tempdir().expect("temporary directories can be made");
    let go = |arguments: &[&str]| {
        let mut command = Command::new("go");
        command
            .args(arguments)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go"))
            .envs([("GOOS", goos), ("GOARCH", "wasm"), ("GOFLAGS", ""), ("GOWORK", "off")])
            // Another toolchain is not downloaded, nor anything else.
            .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off")])
            .env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache"));
        command.output().ok()
    };
    let version = go(&["env", "GOVERSION"]).filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_deref().is_some_and(has_wasmexport) {
        eprintln!("skipped: no Go 1.24 or newer is installed (found: {version:?})");
        return None;
    }
    let file = out.path().join("guest.wasm");
    let path = file.to_str().expect("a path of UTF-8");
    let arguments = [&["build", "-trimpath", "-ldflags=-s -w", "-o", path], flags, &["."]];
    let built = go(&arguments.concat()).expect("go was there a moment ago");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(std::fs::read(file).expect("what was built"))
}

/// `go1.24` and newer.
fn has_wasmexport(version: &str) -> bool {
    let minor = version.trim().strip_prefix("go1.").and_then(|rest| rest.split('.').next());
    minor.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= 24)
}

fn decode(decoder: &ModuleDecoder, events: &[RawEvent]) -> Result<Vec<String>, HostError> {
    let mut out = Output::default();
    decoder.try_decode(events, Mode::Strict, &mut out)?;
    let json = |outcome: &Outcome| match outcome {
        Outcome::Decoded { json, .. } => String::from_utf8_lossy(json.of(out.json())).into_owned(),
        other => panic!("{other:?}"),
    };
    Ok(out.outcomes().iter().map(json).collect())
}

#[test]
fn a_go_reactor_decodes_behind_the_same_host_code() {
    let Some(module) = build("wasip1", &["-buildmode=c-shared"]) else { return };
    let refused = ModuleHost::new(patient()).expect("an engine").compile(&module);
    assert!(matches!(refused, Err(HostError::WasiNotAllowed { .. })), "{refused:?}");

    let host = host();
    let decoder = decoder(&host, &module).expect("an admissible module");
    assert_eq!(decoder.describe().expect("an answer"), r#"{"producer":"go"}"#);
    let json = r#"{"ei":7,"event":"t","uid":"id","time":"1970-01-01T00:00:05.000000009Z"}"#;
    assert_eq!(decode(&decoder, &[event(), event()]).expect("answers"), [json, json]);

    // Recorded events; the host holds each answer against the event.
    let real: Vec<_> =
        crate::golden::vectors("realistic-v18dev").into_iter().map(|v| v.event).collect();
    let texts = decode(&decoder, &real).expect("answers");
    assert_eq!(texts.len(), real.len());
    assert!(texts.iter().all(|text| text.starts_with("{\"ei\":")), "{texts:?}");
    assert_eq!(decoder.instances_created(), 1);

    // A panic of Go: its runtime cannot write the message, panics about that, and so on until the
    // stack is used up. The next instance is as good as the first.
    // The length of what it claims to hold is more than any buffer has.
    let cut = Bytes::from_static(&[26, 0xff, 0xff, 0xff, 0x7f, 10, 50, 8]);
    let cut = RawEvent { form: Form::OneOf, bytes: cut };
    let error = decode(&decoder, &[event(), cut]).expect_err("it reads behind the end");
    assert!(matches!(error, HostError::StackLimit { .. }), "{error:?}");
    assert_eq!(decode(&decoder, &[event()]).expect("an answer"), [json]);
    assert_eq!(decoder.instances_created(), 2);
    // 10,000 events: the collector runs and memory settles.
    for _ in 0..10_000 / real.len() {
        decode(&decoder, &real).expect("answers");
    }
    let usage = host.usage();
    assert_eq!((usage.instances, decoder.instances_created()), (1, 2));
    assert!(usage.memory_bytes < 32 << 20, "{usage:?}");
}

#[test]
fn a_go_module_for_javascript_is_refused_saying_why() {
    let Some(module) = build("js", &[]) else { return };
    for host in [ModuleHost::new(patient()).expect("an engine"), host()] {
        let error = host.compile(&module).expect_err("a refusal");
        let HostError::GoJs { import, missing } = &error else { panic!("{error:?}") };
        assert!(import.starts_with("gojs."), "{import}");
        assert!(missing.contains("`memory`"), "{missing}");
    }
}
