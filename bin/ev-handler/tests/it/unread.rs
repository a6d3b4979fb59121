//! Commands whose output nobody reads to its end, as `| head -1` leaves them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_test_support::data::{Made, Maker};

use crate::stage::{Stage, make, templates, write};

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(args).current_dir(dir).env_clear().stdin(Stdio::null());
    command
}

/// A pipe of which nobody has the other end.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Says nothing more than when it is read, and ends as then.
fn check(dir: &Path, args: &[&str]) {
    let read = command(dir, args).output().unwrap();
    assert!(!read.stdout.is_empty(), "{args:?} prints nothing");
    let ended = command(dir, args).stdout(unread()).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), read.status.code(), "{args:?}: {told}");
    let before = String::from_utf8(read.stderr).unwrap();
    // A log has a line more or less by the speed of peers.
    if !before.contains(" INFO ") {
        assert!(told.lines().count() <= before.lines().count(), "{args:?}: {told}");
    }
    for word in ["Broken pipe", "panicked", "error: "] {
        assert!(!told.contains(word), "{args:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_and_the_status_is_as_if_it_were_read() {
    let stage = Stage::new("15.0.0-dev");
    let made = make(&mut Maker::new(23), &templates("v15dev"), 141, 1, 5);
    stage.auth.append(made.iter().map(Made::event));
    let mut settings = stage.settings();
    settings.decoder.unknown = ev_config::Unknown::Park;
    let started = async |stage: &Stage| {
        stage.fluentd.wait(|tally| tally.events > 20).await;
    };
    stage.run_settings_until(settings, started).await;
    let lines: String = templates("v13").iter().map(|v| STANDARD.encode(&v.oneof) + "\n").collect();
    write(stage.dir.path(), "events", &lines);
    stage.write_config(stage.auth.addr());
    let dir = stage.dir.path().to_owned();
    let checked = tokio::task::spawn_blocking(move || {
        for line in [
            "version",
            "--help",
            "--version",
            "start --help",
            "man",
            "completion bash",
            "config --config handler.toml",
            "config --check --offline --config handler.toml",
            "doctor --config handler.toml",
            "decode --schema v13 events",
            "schema list",
            "schema list v13 --json",
            "schema show user.login",
            "schema show --json",
            "schema diff v13 v18dev",
            "parked list --storage storage",
            "parked list --storage storage --json",
            "parked show --storage storage 1",
            "parked retry --storage storage --all",
            "state show --storage storage",
            "state show --storage storage --json",
            "status --config handler.toml",
            "verify --config handler.toml --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z",
            "replay --config handler.toml --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z",
        ] {
            check(&dir, &line.split(' ').collect::<Vec<_>>());
        }
        let ended = command(&dir, &["parked", "drop", "--yes", "--all", "--storage", "storage"])
            .stdout(unread())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(0));
        let left = command(&dir, &["parked", "list", "--storage", "storage"]).output().unwrap();
        let left = String::from_utf8(left.stdout).unwrap();
        assert!(left.starts_with("nothing is parked"), "what is to be done is done: {left}");
    });
    checked.await.unwrap();
}

/// What is written is written, whoever reads about it.
#[test]
fn what_a_command_makes_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["decoder", "keygen", "--out", "keys"];
    let ended = command(dir.path(), &args).stdout(unread()).output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
    assert!(dir.path().join("keys/decoder-key.pem").is_file());
}

/// An endless input would be read for ever else.
#[test]
fn a_stream_ends_when_nobody_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["decode", "--schema", "v13"];
    let mut child = command(dir.path(), &args)
        .stdin(Stdio::piped())
        .stdout(unread())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let event = STANDARD.encode(&templates("v13")[0].oneof) + "\n";
    let mut stdin = child.stdin.take().unwrap();
    while stdin.write_all(event.as_bytes()).is_ok() {}
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}

/// A full disk is another matter.
#[test]
fn what_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["version", "schema list", "man"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let args: Vec<&str> = line.split(' ').collect();
        let ended = command(dir.path(), &args).stdout(full).output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{line}");
        assert!(told.starts_with("error: ") && told.contains("No space left"), "{line}: {told}");
    }
}
