//! `ev-handler parked`, with the whole program before and behind it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ev_state::{ParkedFacts, SqliteStore, StateReader};
use ev_test_support::data::Maker;

use crate::stage::{Stage, make, sorted, templates, texts, write};

/// Status, stdout and stderr of a command.
fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    output(Command::new(env!("CARGO_BIN_EXE_ev-handler")).args(args), dir)
}

fn output(command: &mut Command, dir: &Path) -> (Option<i32>, String, String) {
    let output = command.current_dir(dir).env_clear().stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn parked(stage: &Stage) -> Vec<ParkedFacts> {
    StateReader::open(stage.path("storage")).unwrap().parked(None, 10_000).unwrap()
}

/// A handler of the oldest schema before a newer Auth, until it has delivered what it knows and
/// parked the rest.
async fn run_handler(stage: &Stage) -> ev_pipeline::Summary {
    run_handler_with(stage, stage.settings()).await
}

async fn run_handler_with(
    stage: &Stage,
    mut settings: ev_config::Settings,
) -> ev_pipeline::Summary {
    settings.decoder.unknown = ev_config::Unknown::Park;
    stage
        .run_settings_until(settings, async |stage| {
            stage.fluentd.wait(|tally| tally.events > 20).await;
            let calls = || stage.auth.tally().methods.get("GetEvents").map_or(0, |m| m.calls);
            let before = calls();
            stage
                .auth
                .wait(|tally| tally.methods.get("GetEvents").is_some_and(|m| m.calls > before + 4))
                .await;
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_listed_exported_retried_and_dropped() {
    let stage = Stage::new("15.0.0-dev");
    let made = make(&mut Maker::new(21), &templates("v15dev"), 141, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = run_handler(&stage).await;
    let count = summary.totals.parked;
    assert!(count > 10, "{summary:?}");
    assert_eq!(summary.totals.passed, 141, "{summary:?}");
    let dir = stage.dir.path();

    // The storage directory is that of the configuration.
    stage.write_config(stage.auth.addr());
    let (status, out, errors) = run(dir, &["parked", "list", "--json", "--config", "handler.toml"]);
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("`storage`") && errors.lines().count() == 1, "{errors}");
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(list["events"], count);
    assert!(list["parked"].as_array().unwrap().iter().all(|one| one["reason"] == "unknown"));
    let again = run(dir, &["--config", "handler.toml", "parked", "list", "--json"]);
    assert_eq!(again.1, out, "`--config` may stand in front");

    // What is exported can be decoded elsewhere, to what Auth would have written.
    let (status, out, errors) =
        run(dir, &["parked", "export", "events.jsonl", "--storage", "storage"]);
    assert_eq!((status, out.as_str()), (Some(0), ""), "{errors}");
    assert!(errors.starts_with(&format!("exported {count} events, ")), "{errors}");
    let (status, decoded, errors) = run(dir, &["decode", "--schema", "v15dev", "events.jsonl"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let delivered = stage.bodies().remove("events.log").unwrap_or_default();
    let wanted = texts(&made);
    let decoded: Vec<String> = decoded.lines().map(str::to_owned).collect();
    assert_eq!(decoded.len() as u64, count);
    assert!(decoded.iter().all(|json| wanted.contains(json) && !delivered.contains(json)));

    // One of them by hand.
    let first = parked(&stage)[0].id.0.to_string();
    let (_, raw, _) = run(dir, &["parked", "show", &first, "--raw", "--storage", "storage"]);
    write(dir, "one", &raw);
    let (status, json, _) = run(dir, &["decode", "--schema", "v15dev", "one"]);
    assert_eq!((status, json.trim_end()), (Some(0), decoded[0].as_str()));

    // The same decoder does not try again what it does not know, unless it is told to.
    run_handler(&stage).await;
    assert!(parked(&stage).iter().all(|facts| facts.attempts == 0));
    let (status, out, errors) = run(dir, &["parked", "retry", &first, "--storage", "storage"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert_eq!(out, "to be tried again when the handler is started: 1 event\n");
    run_handler(&stage).await;
    let attempts: Vec<_> = parked(&stage).iter().map(|facts| facts.attempts).collect();
    assert_eq!(attempts[0], 1, "it was tried");
    assert!(attempts[1..].iter().all(|attempts| *attempts == 0), "the others were not");

    // What is dropped is gone, counted and logged, and never asked for again.
    let (status, _, errors) = run(dir, &["parked", "drop", "--all", "--storage", "storage"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("say `--yes`"), "{errors}");
    assert_eq!(parked(&stage).len() as u64, count);
    let (status, out, errors) =
        run(dir, &["parked", "drop", "--all", "--yes", "--storage", "storage"]);
    assert_eq!(status, Some(0), "{errors}");
    assert!(out.starts_with(&format!("dropped {count} events, ")), "{out}");
    assert!(errors.contains("parked events dropped by hand"), "is logged: {errors}");
    assert!(errors.contains("WARN"), "is logged: {errors}");
    assert_eq!(parked(&stage), []);
    let summary = run_handler(&stage).await;
    assert_eq!((summary.totals.dropped, summary.totals.parked), (count, 0));
    assert_eq!(summary.totals.passed, 141);
    assert!(summary.totals.balances());
    let all = sorted(stage.bodies().remove("events.log").unwrap_or_default());
    assert!(all == sorted(delivered), "nothing more was delivered");
}

/// A state with one parked event, and nobody who has it.
pub(crate) fn a_state(dir: &Path) {
    use ev_core::{
        AuthVersion, Change, Claim, EventDigest, Form, LaneId, NewParked, ParkReason, SinkId,
        StateStore as _, Timestamp,
    };
    let store = SqliteStore::open(dir.join("storage")).unwrap();
    let claim = Claim {
        sink: SinkId("fluentd".into()),
        cluster: "c".into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    let epoch = store.open_sink(&claim).unwrap().epoch;
    let event = NewParked {
        lane: LaneId::Window { start: 0, pass: 0 },
        digest: EventDigest([1; 16]),
        form: Form::OneOf,
        bytes: "typed in a terminal".into(),
        version: AuthVersion::new("18.2.0"),
        reason: ParkReason::Malformed,
        detail: "wire type 7 at byte 0".into(),
        decoder: "native".into(),
        at: Timestamp::EPOCH,
    };
    store.commit(&claim.sink, epoch, &Change { park: vec![event], ..Change::default() }).unwrap();
}

#[test]
fn beside_a_running_handler_there_is_only_looking() {
    let dir = tempfile::tempdir().unwrap();
    a_state(dir.path());
    let _running = SqliteStore::open(dir.path().join("storage")).unwrap();
    for args in [&["list"][..], &["show", "1"], &["export", "-"]] {
        let args = [&["parked", "--storage", "storage"][..1], args, &["--storage", "storage"]];
        let (status, out, errors) = run(dir.path(), &args.concat());
        assert_eq!(status, Some(0), "{errors}");
        assert!(out.contains("malformed"), "{out}");
        assert!(!format!("{out}{errors}").contains("typed in a terminal"), "{out}{errors}");
    }
    let args = ["state", "export", "back", "--storage", "storage", "--addr", "a.example.com:1"];
    let (status, _, errors) = run(dir.path(), &args);
    assert_eq!(status, Some(1));
    assert!(errors.contains("stop the handler first"), "what it does meanwhile: {errors}");
    for args in [&["retry", "1"][..], &["drop", "1", "--yes"]] {
        let args = [&["parked"][..], args, &["--storage", "storage"]].concat();
        let (status, out, errors) = run(dir.path(), &args);
        assert_eq!((status, out.as_str()), (Some(1), ""));
        assert!(errors.contains("storage `storage` is in use by another process"), "{errors}");
        assert!(errors.contains("stop the handler first"), "{errors}");
    }
}

#[test]
fn an_export_is_for_its_owner_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    a_state(dir.path());
    let export = |args: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ev-handler")]);
        command.args(["parked", "export", "--storage", "storage"]).args(args);
        output(&mut command, dir.path())
    };
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777
    };
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(export(&["out.jsonl"]).0, Some(0));
    assert_eq!(mode("out.jsonl"), 0o600);
    let line = std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap();
    assert_eq!(export(&["-"]).1, line, "stdout gets the same");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["oneof"], "dHlwZWQgaW4gYSB0ZXJtaW5hbA==");
    assert_eq!((&json["id"], &json["reason"]), (&1.into(), &"malformed".into()));

    write(dir.path(), "theirs", "something else");
    std::fs::set_permissions(dir.path().join("theirs"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    let (status, _, errors) = export(&["theirs"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("`theirs` is there already; `--force`"), "{errors}");
    assert_eq!(std::fs::read_to_string(dir.path().join("theirs")).unwrap(), "something else");
    assert_eq!(export(&["theirs", "--force"]).0, Some(0));
    assert_eq!(std::fs::read_to_string(dir.path().join("theirs")).unwrap(), line);
    assert_eq!(mode("theirs"), 0o600, "whatever it was before");

    let (status, _, errors) = export(&["out2.jsonl", "1", "5"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("there is no parked event 5 in `storage`"), "{errors}");
    let (status, _, errors) = export(&["nowhere/out.jsonl"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("nowhere/out.jsonl"), "{errors}");
    let (status, _, errors) = export(&["storage", "--force"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("`storage` is a directory"), "{errors}");
    assert_eq!(names(), ["out.jsonl", "storage", "theirs"], "no half file is left");
}

#[test]
fn errors_name_the_directory_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str], parts: &[&str]| {
        let (status, out, errors) = run(dir.path(), &[&["parked"][..], args].concat());
        assert_eq!((status, out.as_str()), (Some(1), ""), "{errors}");
        for part in parts {
            assert!(errors.contains(part), "`{part}` is not in: {errors}");
        }
    };
    for command in [
        &["list"][..],
        &["show", "1"],
        &["export", "-"],
        &["retry", "--all"],
        &["drop", "--all", "--yes"],
    ] {
        let elsewhere = [command, &["--storage", "elsewhere"]].concat();
        check(&elsewhere, &["there is no state in `elsewhere`", "name the handler's storage"]);
        check(command, &["the storage directory is not known", "`--storage DIR`"]);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
    a_state(dir.path());
    check(&["list", "--reason", "mood", "--storage", "storage"], &["mood", "unprintable"]);
    let database = dir.path().join("storage/ev-state/state.db");
    std::fs::write(&database, "this is no database, but long enough for one".repeat(50)).unwrap();
    check(&["list", "--storage", "storage"], &["storage/ev-state/state.db", "put a backup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_for_is_written_to_files_that_can_be_decoded() {
    let stage = Stage::new("15.0.0-dev");
    let made = make(&mut Maker::new(22), &templates("v15dev"), 141, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let mut settings = stage.settings();
    (settings.ingest.max_parked_events, settings.ingest.export_parked) = (3, true);
    let totals = run_handler_with(&stage, settings).await.totals;
    assert!(totals.balances() && totals.given_up > 10, "{totals:?}");
    assert_eq!((totals.passed, totals.parked), (141, 3), "nothing stands still: {totals:?}");

    let files = std::fs::read_dir(stage.path("storage").join("parked")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let file = file.to_str().unwrap();
    let (status, decoded, errors) = run(stage.dir.path(), &["decode", "--schema", "v15dev", file]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let delivered = stage.bodies().remove("events.log").unwrap_or_default();
    let wanted = texts(&made);
    let decoded: Vec<String> = decoded.lines().map(str::to_owned).collect();
    assert_eq!(decoded.len() as u64, totals.given_up);
    assert!(decoded.iter().all(|json| wanted.contains(json) && !delivered.contains(json)));
}
