//! The `decoder` command, from a schema to a verified and served artifact.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Parser;
use ev_core::{ArtifactKind, ArtifactRequest, FetchedArtifact, abi};
use ev_modules::cli::{Command, run};
use ev_modules::{
    Directory, Error, Manifest, Refusal, SigningKey, TABLE_FORMAT, VERSIONS_FILE, envelope_name,
    file_name, read_versions,
};

use crate::support::{NOW, manifest, version};

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

/// Runs a command line; `@` in it stands for the directory.
fn decoder(dir: &Path, line: &str) -> Result<String, Error> {
    let line = line.replace('@', &dir.display().to_string());
    let words = std::iter::once("decoder").chain(line.split_whitespace());
    let now = UNIX_EPOCH + Duration::from_secs(NOW.seconds().unsigned_abs());
    run(&Program::try_parse_from(words).unwrap().command, now)
}

fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/teleport/v18dev")
}

/// A directory with a key and a table for 18.1.0.
fn with_table() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    decoder(dir.path(), "keygen --out @ --comment test").unwrap();
    let build = format!(
        "build --proto {} --version 18.1.0 --kind table --out @/table.evt",
        schema().display()
    );
    decoder(dir.path(), &build).unwrap();
    dir
}

#[test]
fn a_table_is_built_signed_verified_and_served() {
    let dir = with_table();
    let at = dir.path();
    let table = fs::read(at.join("table.evt")).unwrap();
    assert_eq!(table[8..12], TABLE_FORMAT.to_le_bytes());
    let report = decoder(at, "sign --key @/decoder-key.pem --artifact @/table.evt").unwrap();
    assert!(report.contains("18.1.0/table-v1.evt"), "{report}");
    assert!(report.contains("2025-11-17T12:02:09Z"), "{report}");
    let verify = "verify --trust @/decoder-trust.json --artifact @/table.evt";
    let report = decoder(at, verify).unwrap();
    assert!(report.contains("verified:"), "{report}");
    let rebuild = format!("{verify} --version 18.1.0 --rebuild {}", schema().display());
    let report = decoder(at, &rebuild).unwrap();
    assert!(report.contains("same bytes"), "{report}");

    let served = at.join("18.1.0");
    fs::create_dir(&served).unwrap();
    let name = file_name(ArtifactKind::Table, TABLE_FORMAT);
    fs::copy(at.join("table.evt"), served.join(&name)).unwrap();
    fs::copy(at.join("table.evt.dsse.json"), served.join(envelope_name(&name))).unwrap();
    let answer = Directory::new(at, 1 << 20).answer(&ArtifactRequest {
        auth_version: version("18.1.0"),
        kinds: vec![ArtifactKind::Table],
        module_abis: Vec::new(),
        table_formats: vec![TABLE_FORMAT],
        held_sha256: None,
        max_bytes: 1 << 20,
    });
    match answer.unwrap() {
        FetchedArtifact::Artifact(artifact) => assert_eq!(artifact.payload, table),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_module_is_built_signed_verified_and_rebuilt() {
    let dir = with_table();
    let at = dir.path();
    let report =
        decoder(at, "build --table @/table.evt --kind module --out @/module.wasm").unwrap();
    assert!(report.contains("18.1.0"), "{report}");
    let report = decoder(at, "sign --key @/decoder-key.pem --artifact @/module.wasm").unwrap();
    let name = file_name(ArtifactKind::Module, abi::ABI_VERSION);
    assert!(report.contains(&format!("18.1.0/{name}")), "{report}");
    let verify = "verify --trust @/decoder-trust.json --artifact @/module.wasm --rebuild";
    for schema in [schema().display().to_string(), "@/table.evt".to_owned()] {
        let report = decoder(at, &format!("{verify} {schema}")).unwrap();
        assert!(report.contains("same bytes"), "{report}");
    }
    // Signing again at the same time gives the same bytes.
    let first = fs::read(at.join("module.wasm.dsse.json")).unwrap();
    let again = "sign --key @/decoder-key.pem --artifact @/module.wasm";
    assert!(matches!(decoder(at, again), Err(Error::Exists { .. })));
    decoder(at, &format!("{again} --force --created 2025-11-17T12:02:09Z")).unwrap();
    assert_eq!(fs::read(at.join("module.wasm.dsse.json")).unwrap(), first);
}

#[test]
fn an_artifact_of_another_schema_is_not_reproduced() {
    let dir = with_table();
    let at = dir.path();
    decoder(at, "sign --key @/decoder-key.pem --artifact @/table.evt").unwrap();
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/teleport/v13");
    let verify = "verify --trust @/decoder-trust.json --artifact @/table.evt";
    let line = format!("{verify} --rebuild {}", other.display());
    assert!(matches!(decoder(at, &line), Err(Error::NotReproduced { .. })));
}

#[test]
fn verify_refuses_what_the_handler_refuses() {
    let dir = with_table();
    let at = dir.path();
    decoder(at, "sign --key @/decoder-key.pem --artifact @/table.evt").unwrap();
    let verify = "verify --trust @/decoder-trust.json --artifact @/table.evt";
    let refused = |line: &str| match decoder(at, line) {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let refusal = refused(&format!("{verify} --version 18.1.1"));
    assert!(matches!(refusal, Refusal::OtherAuthVersion { .. }));

    let mut table = fs::read(at.join("table.evt")).unwrap();
    *table.last_mut().unwrap() ^= 1;
    fs::write(at.join("table.evt"), &table).unwrap();
    assert!(matches!(refused(verify), Refusal::WrongDigest { .. }));

    decoder(at, "keygen --out @/other").unwrap();
    let other = verify.replace("@/decoder-trust", "@/other/decoder-trust");
    assert!(matches!(refused(&other), Refusal::UntrustedKey { .. }));
}

#[test]
fn a_schema_is_read_from_plain_files_only() {
    let dir = with_table();
    let at = dir.path();
    decoder(at, "sign --key @/decoder-key.pem --artifact @/table.evt").unwrap();
    // Opening a pipe waits for whoever writes to it: for ever.
    let pipe = at.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let check = |line: &str| {
        let error = decoder(at, line).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("not a plain file"), "{line}: {error}");
    };
    // The device first: it comes to its end, so that this fails, and does not hang, if it is read.
    for odd in ["/dev/null", "@/pipe"] {
        for kind in ["table", "module"] {
            let build = format!("build --version 18.1.0 --kind {kind} --out @/new");
            check(&format!("{build} --descriptors {odd}"));
            check(&format!("{build} --proto {odd}"));
        }
        check(&format!("build --kind module --out @/new --table {odd}"));
        let verify = "verify --trust @/decoder-trust.json --artifact @/table.evt";
        check(&format!("{verify} --rebuild {odd}"));
    }
    assert!(!at.join("new").exists());
}

#[test]
fn keygen_never_replaces_a_key_unasked() {
    let dir = tempfile::tempdir().unwrap();
    decoder(dir.path(), "keygen --out @/new/dir").unwrap();
    let key = dir.path().join("new/dir/decoder-key.pem");
    let before = fs::read(&key).unwrap();
    assert!(matches!(decoder(dir.path(), "keygen --out @/new/dir"), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&key).unwrap(), before);
    decoder(dir.path(), "keygen --out @/new/dir --force").unwrap();
    assert_ne!(fs::read(&key).unwrap(), before);
}

#[test]
fn sign_asks_for_what_it_cannot_know() {
    let dir = with_table();
    let at = dir.path();
    let check = |line: &str, expected: &str| {
        let error = decoder(at, line).expect_err(line);
        assert!(error.to_string().contains(expected), "{error}");
    };
    let sign = "sign --key @/decoder-key.pem --artifact";
    check(&format!("{sign} @/table.evt --version 18.1.1"), "built for Auth 18.1.0");
    check(&format!("{sign} @/table.evt --kind module"), "is a table");
    check(&format!("{sign} @/decoder-trust.json"), "neither");
    check(&format!("{sign} @/missing"), "missing");
    check("sign --key @/decoder-trust.json --artifact @/table.evt", "PRIVATE KEY");
    fs::write(at.join("foreign.wasm"), b"\0asm\x01\0\0\0").unwrap();
    check(&format!("{sign} @/foreign.wasm --version 18.1.0"), "--schema-sha256");
    let digest = "ab".repeat(32);
    check(&format!("{sign} @/foreign.wasm --schema-sha256 {digest}"), "`--version` is needed");
    let line = format!("{sign} @/foreign.wasm --version 18.1.0 --abi 1 --schema-sha256 {digest}");
    let report = decoder(at, &line).unwrap();
    assert!(report.contains(&digest), "{report}");
    let line = format!("{sign} @/foreign.wasm --force --table @/table.evt");
    let report = decoder(at, &line).unwrap();
    assert!(report.contains("18.1.0/module-abi1.wasm"), "{report}");
}

#[test]
fn build_wants_exactly_one_schema() {
    let parse = |line: &str| {
        let words = std::iter::once("decoder").chain(line.split_whitespace());
        Program::try_parse_from(words).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(parse("build --kind table --out x").is_err());
    assert!(parse("build --kind table --out x --proto a --table b").is_err());
    assert_eq!(parse("build --kind table --out x --proto a"), Ok(()));
    let dir = tempfile::tempdir().unwrap();
    let line = format!("build --proto {} --kind table --out @/x", schema().display());
    let error = decoder(dir.path(), &line).unwrap_err();
    assert!(error.to_string().contains("`--version` is needed"), "{error}");
}

#[test]
fn build_says_which_fields_will_differ() {
    let dir = with_table();
    let tree = dir.path().join("tree/proto/teleport/legacy/types/events");
    fs::create_dir_all(&tree).unwrap();
    let events = r#"syntax = "proto3";
        package events;
        import "gogoproto/gogo.proto";
        message E { string mode = 1 [(gogoproto.casttype) = "types.NewMode"]; }
        message OneOf { oneof Event { E First = 1; } }"#;
    fs::write(tree.join("events.proto"), events).unwrap();
    for kind in ["table", "module"] {
        let line =
            format!("build --proto @/tree --version 19.0.0 --kind {kind} --out @/new.{kind}");
        let report = decoder(dir.path(), &line).unwrap();
        let note = report.lines().find(|line| line.contains("note")).expect("a note");
        assert!(note.contains("`events.E.mode` has the Go type `types.NewMode`"), "{note}");
    }
    let refused = events
        .replace("string mode = 1 [(gogoproto.casttype)", "double mode = 1 [(gogoproto.casttype)");
    fs::write(tree.join("events.proto"), refused).unwrap();
    let line = "build --proto @/tree --version 19.0.0 --kind table --out @/other";
    let mut error: &dyn std::error::Error = &decoder(dir.path(), line).unwrap_err();
    let mut told = error.to_string();
    while let Some(source) = error.source() {
        error = source;
        told += &format!(": {error}");
    }
    assert!(told.contains("`events.E.mode` cannot be expressed in a table"), "{told}");
}

#[test]
fn the_versions_of_a_directory_are_listed() {
    let dir = with_table();
    let at = dir.path();
    decoder(at, "sign --key @/decoder-key.pem --artifact @/table.evt").unwrap();
    let serve = |folder: &str, name: &str, envelope: bool| {
        let folder = at.join("served").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(at.join("table.evt"), folder.join(name)).unwrap();
        if envelope {
            fs::copy(at.join("table.evt.dsse.json"), folder.join(envelope_name(name))).unwrap();
        }
    };
    serve("18.1.0", "table-v1.evt", true);
    let report = decoder(at, "index --dir @/served").unwrap();
    assert!(report.contains("18.1.0") && !report.contains("note"), "{report}");
    let list = at.join("served").join(VERSIONS_FILE);
    assert_eq!(fs::read_to_string(&list).unwrap(), "{\"versions\":[\"18.1.0\"]}\n");

    // What nobody could fetch is left out, and said to be.
    serve("18.1.1", "table-v1.evt", false);
    serve("18.1.2", "table-v1.evt", true);
    serve("18.1.3", "table.evt", true);
    serve("not a version", "table-v1.evt", true);
    fs::create_dir(at.join("served/18.1.4")).unwrap();
    fs::write(at.join("served/18.1.4/table-v1.evt"), "").unwrap();
    fs::write(at.join("served/18.1.4/table-v1.evt.dsse.json"), "{}").unwrap();
    serve("18.1.5", "table-v1.evt", true);
    fs::write(at.join("served/18.1.5/table-v1.evt.dsse.json"), vec![b' '; 65_537]).unwrap();
    serve("18.1.6", "table-v1.evt", true);
    fs::remove_file(at.join("served/18.1.6/table-v1.evt")).unwrap();
    fs::create_dir(at.join("served/18.1.6/table-v1.evt")).unwrap();
    let report = decoder(at, "index --dir @/served").unwrap();
    let note = |text: &str| assert!(report.contains(text), "{text}: {report}");
    note("18.1.1 is left out: it holds no artifact with its envelope");
    note("18.1.2 is left out: `table-v1.evt` is signed for 18.1.0");
    note("18.1.3 is left out: it holds no artifact with its envelope");
    note("18.1.4 is left out: the envelope of `table-v1.evt` cannot be read");
    note("18.1.5 is left out: the envelope of `table-v1.evt` cannot be read");
    note("18.1.6 is left out: it holds no artifact with its envelope");
    let versions = read_versions(&fs::read(&list).unwrap()).unwrap();
    assert_eq!(versions, [version("18.1.0")], "the old list is replaced");

    let error = decoder(at, "index --dir @/nowhere").unwrap_err();
    assert!(error.to_string().contains("is not a directory"), "{error}");
}

#[test]
fn a_list_that_nobody_would_read_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let key = SigningKey::generate().unwrap();
    // Each takes 131 bytes of the list, with quotes and comma.
    let offer = |number: usize| {
        let of = format!("18.1.{number}-{}", "x".repeat(122 - number.to_string().len()));
        assert_eq!(of.len(), 128);
        let folder = at.join(&of);
        fs::create_dir(&folder).unwrap();
        let manifest = Manifest { auth_version: version(&of), ..manifest(&key, b"") };
        fs::write(folder.join("table-v1.evt"), b"").unwrap();
        fs::write(folder.join(envelope_name("table-v1.evt")), key.sign(&manifest)).unwrap();
    };
    (0..500).for_each(offer);
    decoder(at, "index --dir @").unwrap();
    let list = at.join(VERSIONS_FILE);
    let before = fs::read(&list).unwrap();
    assert_eq!(before.len(), 500 * 131 + 15);
    assert_eq!(read_versions(&before).unwrap().len(), 500);

    offer(500);
    let error = decoder(at, "index --dir @").unwrap_err().to_string();
    let figures = "the list of 501 versions has 65646 bytes, more than the 65536 that are read";
    assert!(error.starts_with(figures), "{error}");
    assert_eq!(fs::read(&list).unwrap(), before, "the old list stays");

    // Names that are never looked at might be versions.
    let crowd = at.join("crowd");
    fs::create_dir(&crowd).unwrap();
    (0..10_003).for_each(|n| fs::write(crowd.join(n.to_string()), b"").unwrap());
    let error = decoder(at, "index --dir @/crowd").unwrap_err().to_string();
    assert!(error.contains("has 10003 names, more than the 10000 that are looked at"), "{error}");
}
