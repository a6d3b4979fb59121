//! `ev-handler verify`, against Auth and the state that the whole program left.

use std::time::Duration;

use ev_core::{Change, Claim, LaneId, Road, SinkId, StateStore as _, Timestamp, Token, peek};
use ev_state::SqliteStore;
use ev_test_support::Store;
use ev_test_support::data::{Change as Rewrite, Made, Maker, Vector, read_vectors, rewrite};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::stage::{CLUSTER, Stage, golden, make, now, templates};

/// What a command that hangs may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

const UPLOAD: &str = "session.upload";

/// RFC 3339, so many hours ago.
fn ago(hours: i64) -> String {
    now().plus_nanos(-i128::from(hours) * 3_600_000_000_000).to_string()
}

/// Status, stdout and stderr of a comparison since so many hours ago.
async fn verify(stage: &Stage, hours: i64, more: &[&str]) -> (Option<i32>, String, String) {
    stage.write_config(stage.auth.addr());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(["verify", "--config", "handler.toml", "--from", &ago(hours), "--to", &ago(0)]);
    command.args(more).current_dir(stage.dir.path()).env_clear().kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output());
    let output = output.await.expect("it ends in time").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn verify_json(stage: &Stage, hours: i64) -> (Option<i32>, Value) {
    let (status, out, errors) = verify(stage, hours, &["--json"]).await;
    (status, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}")))
}

/// The program until it has read and settled all that Auth has.
async fn run_to_the_end(stage: &Stage) -> ev_pipeline::Summary {
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends in time").unwrap()
}

/// Events of all kinds but those that announce recordings, which Auth would have to have.
fn vectors() -> Vec<Vector> {
    let mut vectors = templates("v13");
    vectors.retain(|vector| vector.kind != UPLOAD);
    vectors
}

/// Hours that differ, with what is missing and what only the ledger has.
fn differing(report: &Value) -> Vec<(&Value, Vec<&str>, usize)> {
    let hours = report["hours"].as_array().unwrap().iter();
    hours
        .filter(|hour| hour["verdict"] == "differs")
        .map(|hour| {
            let missing = hour["missing"].as_array().unwrap();
            let missing = missing.iter().map(|id| id.as_str().unwrap()).collect();
            (hour, missing, hour["only_ledger"].as_array().unwrap().len())
        })
        .collect()
}

fn body_marks(made: &[Made]) -> Vec<String> {
    // A part of each body that is no id.
    made.iter().map(|event| String::from_utf8_lossy(&event.json[..30]).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_is_what_auth_has_and_what_is_lost_is_named() {
    let mut stage = Stage::new("13.3.8");
    // Left out is settled too.
    stage.extra = "skip-event-types = [\"user.login\"]".into();
    let mut maker = Maker::new(31);
    let vectors = vectors();
    let made = make(&mut maker, &vectors, 700, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    let summary = run_to_the_end(&stage).await;
    assert!(summary.totals.filtered > 0 && summary.totals.passed == 700, "{summary:?}");

    let (status, report) = verify_json(&stage, 60).await;
    assert_eq!(status, Some(0), "{report}");
    assert!(report["equal"].as_u64().unwrap() > 20, "{report}");
    assert!(report["open"].as_u64().unwrap() > 0, "the newest may still change: {report}");
    assert!((60..=62).contains(&report["compared"].as_u64().unwrap()), "{report}");
    // Also open hours have been compared, and nobody is settling anything now.
    let hours = report["hours"].as_array().unwrap();
    // An hour that has just begun has neither events nor a row.
    let is_equal = |hour: &Value| hour["auth"].as_u64() == hour["ledger"].as_u64().or(Some(0));
    assert!(hours.iter().all(is_equal), "{report}");
    assert_eq!((&report["all_closed_equal"], &report["cluster"]), (&true.into(), &CLUSTER.into()));

    // Stored late, when nobody reads that hour any more.
    let late = make(&mut maker, &vectors, 2, 1, 50 * 3600);
    stage.auth.store(|store| store.append_in_place(late.iter().map(Made::event)));
    let (status, report) = verify_json(&stage, 60).await;
    assert_eq!((status, &report["all_closed_equal"]), (Some(1), &false.into()), "{report}");
    let found = differing(&report);
    let mut missing: Vec<&str> = found.iter().flat_map(|(_, ids, _)| ids.clone()).collect();
    missing.sort_unstable();
    let mut wanted: Vec<&str> = late.iter().map(|event| &event.uid[..]).collect();
    wanted.sort_unstable();
    assert_eq!(missing, wanted);
    assert!(found.iter().all(|(_, _, only_ledger)| *only_ledger == 0), "{report}");

    let (status, text, errors) = verify(&stage, 60, &[]).await;
    assert_eq!(status, Some(1));
    assert!(late.iter().all(|event| text.contains(&event.uid)), "{text}");
    for part in body_marks(&made).iter().chain(&body_marks(&late)) {
        assert!(!text.contains(part) && !errors.contains(part), "a body in {text}{errors}");
    }

    // Auth has deleted one since, and never had the late ones.
    let gone = 100;
    stage.auth.store(|store| {
        *store = Store::default();
        let left = made.iter().enumerate().filter(|(n, _)| *n != gone);
        store.append_in_place(left.map(|(_, event)| event.event()));
    });
    let (status, report) = verify_json(&stage, 60).await;
    assert_eq!((status, &report["differing"]), (Some(1), &1.into()), "{report}");
    let [(hour, missing, 1)] = &differing(&report)[..] else { panic!("{report}") };
    assert_eq!((missing.len(), &hour["untold"]), (0, &false.into()));
    assert_eq!(hour["ledger"].as_u64().unwrap(), hour["auth"].as_u64().unwrap() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_beside_a_running_handler() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(32);
    let vectors = vectors();
    let made = make(&mut maker, &vectors, 300, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    run_to_the_end(&stage).await;
    let late = make(&mut maker, &vectors, 1, 1, 50 * 3600);
    stage
        .run_until(async |stage| {
            let more = make(&mut maker, &vectors, 10, 0, 1);
            stage.auth.append(more.iter().map(Made::event));
            stage.received(310).await;
            let (status, report) = verify_json(stage, 60).await;
            assert_eq!(status, Some(0), "{report}");
            assert!(report["equal"].as_u64().unwrap() > 20, "{report}");

            stage.auth.store(|store| store.append_in_place(late.iter().map(Made::event)));
            let (status, report) = verify_json(stage, 60).await;
            assert_eq!((status, &report["differing"]), (Some(1), &1.into()), "{report}");
            assert_eq!(differing(&report)[0].1, [&late[0].uid[..]]);
        })
        .await;
}

/// Known events of the log without uid, over some hours.
fn without_uid(golden_set: &str) -> Vec<Made> {
    let at = |n: usize| now().plus_nanos(-(i128::try_from(n).unwrap() + 120) * 1_000_000_000_000);
    let made: Vec<Made> = read_vectors(&golden(golden_set))
        .unwrap()
        .iter()
        .filter(|vector| vector.uid.is_empty() && vector.recording.is_empty())
        .filter(|vector| !vector.unknown && vector.kind != UPLOAD)
        .enumerate()
        .filter_map(|(n, vector)| rewrite(vector, &Rewrite::at(at(n % 100))).ok())
        .collect();
    assert!(made.len() > 10, "{} events without uid", made.len());
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_uid_are_recognised_by_what_go_prints_of_them() {
    let mut stage = Stage::new("13.3.8");
    let made = without_uid("v13");
    let kind = |event: &Made| {
        let kind = peek::metadata(&event.oneof)?.kind.of(&event.oneof);
        Some(String::from_utf8(kind.to_vec()).unwrap()).filter(|kind| !kind.is_empty())
    };
    let kind = made.iter().find_map(kind).expect("one that has a type");
    stage.auth.store(|store| store.append_in_place(made.iter().map(Made::event)));
    // What is left out is not decoded, so it is recognised by its bytes.
    stage.extra = format!("skip-event-types = [{kind:?}]");
    let summary = run_to_the_end(&stage).await;
    assert!(summary.totals.filtered > 0, "{summary:?}");
    let (status, report) = verify_json(&stage, 62).await;
    assert_eq!((status, &report["unproved"]), (Some(0), &0.into()), "{report}");
    assert!(report["equal"].as_u64().unwrap() > 20, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_uid_that_are_parked_are_recognised_by_their_bytes() {
    let stage = Stage::new("15.0.0-dev");
    let made = without_uid("v15dev");
    stage.auth.store(|store| store.append_in_place(made.iter().map(Made::event)));
    // Its decoder is of an older version, and that of the comparison is of the right one.
    let mut settings = stage.settings();
    settings.decoder.unknown = ev_config::Unknown::Park;
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    let summary = tokio::time::timeout(PATIENCE, run).await.expect("it ends in time").unwrap();
    assert!(summary.totals.parked > 0, "{summary:?}");
    let (status, report) = verify_json(&stage, 62).await;
    assert_eq!((status, &report["unproved"]), (Some(0), &0.into()), "{report}");
    assert!(report["equal"].as_u64().unwrap() > 20, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_without_rows_proves_nothing() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(33), &vectors(), 100, 10, 5);
    stage.auth.append(made.iter().map(Made::event));

    let (status, out, errors) = verify(&stage, 5, &[]).await;
    assert_eq!((status, out.as_str()), (Some(2), ""), "{errors}");
    assert!(errors.contains("there is no state in"), "{errors}");

    let claim = |cluster: &str| Claim {
        sink: SinkId("fluentd".into()),
        cluster: cluster.into(),
        flavour: None,
        start_time: Timestamp::new(now().seconds - 8 * 3600, 0),
    };
    let store = SqliteStore::open(stage.path("storage")).unwrap();
    let epoch = store.open_sink(&claim(CLUSTER)).unwrap().epoch;
    // No window was opened yet: all is still to come.
    let (status, report) = verify_json(&stage, 5).await;
    assert_eq!((status, &report["open"]), (Some(3), &report["compared"]), "{report}");

    // A handler that has read all of it and kept nothing, as one that kept no ledger.
    let lane = LaneId::Window { start: now().seconds - 60, pass: 0 };
    let token = Token { road: Road::Typed, format: 1, bytes: "".into() };
    let change = Change { open: vec![(lane, token)], ..Change::default() };
    store.commit(&claim(CLUSTER).sink, epoch, &change).unwrap();
    let (status, report) = verify_json(&stage, 5).await;
    assert_eq!((status, &report["equal"]), (Some(1), &0.into()), "{report}");
    assert!(report["without_row"].as_u64().unwrap() >= 4, "{report}");
    let (_, text, _) = verify(&stage, 5, &[]).await;
    assert!(text.contains("no row (before the ledger begins)"), "{text}");

    // In front of the start time nothing was ever to be read.
    let (_, report) = verify_json(&stage, 30).await;
    assert!((21..=22).contains(&report["before_start"].as_u64().unwrap()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_and_the_state_of_another_cluster_are_told() {
    let stage = Stage::new("13.3.8");
    let claim = Claim {
        sink: SinkId("fluentd".into()),
        cluster: "elsewhere.example.com".into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    SqliteStore::open(stage.path("storage")).unwrap().open_sink(&claim).unwrap();
    let (status, out, errors) = verify(&stage, 1, &[]).await;
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(errors.contains("elsewhere.example.com") && errors.contains(CLUSTER), "{errors}");

    let (status, _, errors) = verify(&stage, -1, &[]).await;
    assert_eq!(status, Some(1));
    assert!(errors.contains("`--from` must be before `--to`"), "{errors}");
    std::fs::remove_file(stage.path("identity")).unwrap();
    let (status, _, errors) = verify(&stage, 1, &[]).await;
    // It may come yet.
    assert_eq!(status, Some(1), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_held_against_the_ledger_event_by_event() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let vectors = read_vectors(&golden("realistic-v18dev")).unwrap();
    let upload = vectors.iter().find(|v| v.kind == UPLOAD && v.is_template()).unwrap();
    // What is typed has no id of its own, and is left out by default.
    let inside: Vec<_> = vectors.iter().filter(|v| !v.recording.is_empty()).collect();
    let at = now().plus_nanos(-2 * 3_600_000_000_000);
    let recording = Maker::new(37).recording(upload, &inside, 30, at).unwrap();
    let session = recording.session.as_str();
    let events: Vec<_> = recording.events.iter().map(Made::event).collect();
    stage.auth.store(|store| {
        store.append([recording.upload.event()]);
        store.append_recording(session, events.clone());
    });
    let totals = run_to_the_end(&stage).await.totals;
    assert_eq!((totals.sessions, totals.passed), (1, 31), "{totals:?}");
    let counts = |report: &Value| {
        ["compared", "equal", "differing", "unproved", "with_gaps"]
            .map(|name| report["recordings"][name].as_u64().unwrap())
    };
    let (status, report) = verify_json(&stage, 3).await;
    assert_eq!((status, counts(&report)), (Some(0), [1, 1, 0, 0, 0]), "{report}");
    assert_eq!(report["recordings"]["recordings"], serde_json::json!([]), "equal, so not listed");

    // Auth has another one now: without its last event, without one in the middle, not at all.
    let replace = |events: Vec<ev_test_support::Event>| {
        stage.auth.store(|store| {
            store.remove_recording(session);
            if !events.is_empty() {
                store.append_recording(session, events);
            }
        });
    };
    replace(events[..29].to_vec());
    let (status, report) = verify_json(&stage, 3).await;
    assert_eq!((status, counts(&report)), (Some(1), [1, 0, 1, 0, 0]), "{report}");
    let one = &report["recordings"]["recordings"][0];
    assert_eq!((&one["session"], &one["verdict"]), (&session.into(), &"differs".into()), "{one}");
    assert_eq!((&one["auth"]["events"], &one["ledger"]["events"]), (&29.into(), &30.into()));

    replace([&events[..10], &events[11..]].concat());
    let (status, text, errors) = verify(&stage, 3, &[]).await;
    assert_eq!(status, Some(1), "{text}{errors}");
    let line = format!("recording {session}  differs   auth 29 to index 29, ledger 30 to index 29");
    assert!(text.contains(&line) && text.contains("indexes are missing in 1 places"), "{text}");

    replace(Vec::new());
    let (status, report) = verify_json(&stage, 3).await;
    assert_eq!((status, counts(&report)), (Some(1), [1, 0, 0, 1, 0]), "{report}");
    assert!(report["recordings"]["recordings"][0]["broken"].is_string(), "{report}");
    let (status, out, errors) = verify(&stage, 3, &["--no-recordings", "--json"]).await;
    assert_eq!(status, Some(3), "all hours are open: {out}{errors}");

    replace(events);
    let (status, report) = verify_json(&stage, 3).await;
    assert_eq!((status, counts(&report)), (Some(0), [1, 1, 0, 0, 0]), "{report}");
}
