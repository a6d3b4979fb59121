//! `ev-handler replay`, beside the whole program and alone.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use ev_core::{Claim, SinkId, Snapshot, StateStore as _, Timestamp};
use ev_state::SqliteStore;
use ev_test_support::FailRule;
use ev_test_support::data::{Made, Maker};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::stage::{CLUSTER, Inside, Stage, make, now, templates, texts};

/// What a command that hangs may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Status, stdout and stderr of a command.
type Ended = (Option<i32>, String, String);

fn command(stage: &Stage, from: i64, to: i64, more: &[&str]) -> Command {
    stage.write_config(stage.auth.addr());
    let time = |second: i64| Timestamp::new(second, 0).to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(["replay", "--config", "handler.toml", "--from", &time(from), "--to", &time(to)]);
    command.args(more).current_dir(stage.dir.path()).env_clear().kill_on_drop(true);
    // Where its own state is for as long as it takes.
    let scratch = stage.path("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    command.env("TMPDIR", scratch);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn end_of(stage: &Stage, child: tokio::process::Child) -> Ended {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
    let output = output.await.expect("it ends in time").unwrap();
    let left: Vec<_> = std::fs::read_dir(stage.path("scratch")).unwrap().collect();
    assert!(left.is_empty(), "its own state is gone: {left:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (status, out, errors) = (output.status.code(), text(output.stdout), text(output.stderr));
    assert!(!errors.contains("panicked"), "{errors}");
    (status, out, errors)
}

async fn replay(stage: &Stage, from: i64, to: i64, more: &[&str]) -> Ended {
    let child = command(stage, from, to, more).spawn().unwrap();
    end_of(stage, child).await
}

async fn replay_json(stage: &Stage, from: i64, to: i64, more: &[&str]) -> (Option<i32>, Value) {
    let (status, out, errors) = replay(stage, from, to, &[more, &["--json"]].concat()).await;
    (status, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}")))
}

/// How often each body was received since `before`.
fn received(stage: &Stage, before: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for body in stage.bodies().into_values().flatten() {
        *times.entry(body).or_default() += 1;
    }
    for (body, count) in before {
        *times.get_mut(body).expect("nothing is forgotten") -= count;
    }
    times.retain(|_, count| *count > 0);
    times
}

fn once(made: &[Made]) -> BTreeMap<String, usize> {
    texts(made).into_iter().map(|body| (body, 1)).collect()
}

fn snapshot(stage: &Stage) -> Snapshot {
    let store = SqliteStore::open(stage.path("storage")).unwrap();
    let claim = Claim {
        sink: SinkId("fluentd".into()),
        cluster: CLUSTER.into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    store.open_sink(&claim).unwrap()
}

/// The program until it has read and settled all that Auth has.
async fn run_to_the_end(stage: &Stage) -> ev_pipeline::Summary {
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends in time").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_sent_again_beside_a_running_handler() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(41);
    let made = make(&mut maker, &templates("v13"), 300, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    let (first, last) = (100, 220);
    // The borders are those of seconds: one event on the first, one on the second behind the last.
    let (from, to) = (made[first].time.seconds, made[last].time.seconds);
    let summary = stage
        .run_until(async |stage| {
            stage.received(300).await;
            let before = received(stage, &BTreeMap::new());
            let (status, report) = replay_json(stage, from, to, &["--sink", "fluentd"]).await;
            assert_eq!(status, Some(0), "{report}");
            assert_eq!((&report["read"], &report["sent"]), (&120.into(), &120.into()), "{report}");
            assert_eq!((&report["unsent"], &report["complete"]), (&0.into(), &true.into()));
            assert_eq!(report["cluster"], CLUSTER);
            assert_eq!(received(stage, &before), once(&made[first..last]));

            // The handler goes on with what is new.
            let more = make(&mut maker, &templates("v13"), 10, 0, 1);
            stage.auth.append(more.iter().map(Made::event));
            stage.received(310).await;
        })
        .await;
    assert_eq!((summary.totals.passed, summary.totals.delivered), (310, 310), "{summary:?}");
    assert!(summary.totals.balances());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_handler_is_not_touched() {
    let mut stage = Stage::new("13.3.8");
    stage.extra = "skip-event-types = [\"user.login\"]".into();
    let mut vectors = templates("v13");
    // Auth would have to have the recordings.
    vectors.retain(|vector| vector.kind != "session.upload");
    let made = make(&mut Maker::new(42), &vectors, 400, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    run_to_the_end(&stage).await;
    let logins: Vec<Made> = made.iter().filter(|e| e.kind == "user.login").cloned().collect();
    assert!(!logins.is_empty() && logins.len() < 100);
    let before = received(&stage, &BTreeMap::new());
    let state = snapshot(&stage);

    let (from, to) = (made[0].time.seconds, now().seconds + 3600);
    let (status, report) = replay_json(&stage, from, to, &[]).await;
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(report["filtered"], logins.len());
    assert_eq!(report["sent"], made.len() - logins.len());
    assert!(report["to"].as_str().unwrap() < &Timestamp::new(to, 0).to_string()[..], "no future");
    let rest: Vec<Made> = made.iter().filter(|e| e.kind != "user.login").cloned().collect();
    assert_eq!(received(&stage, &before), once(&rest));

    // A type that is asked for is sent, whatever the settings leave out otherwise.
    let before = received(&stage, &BTreeMap::new());
    let types = ["--types", "user.login,no.such.type"];
    let (status, report) = replay_json(&stage, from, to, &types).await;
    assert_eq!((status, &report["read"]), (Some(0), &logins.len().into()), "{report}");
    assert_eq!((&report["sent"], &report["filtered"]), (&logins.len().into(), &0.into()));
    assert_eq!(received(&stage, &before), once(&logins));

    let after = snapshot(&stage);
    assert_eq!(after.epoch.0, state.epoch.0 + 1, "nobody but this test has opened it");
    assert_eq!((after.totals, after.lanes), (state.totals, state.lanes));
    // And so nothing of it comes again.
    let summary = run_to_the_end(&stage).await;
    assert_eq!((summary.passed, summary.sent), (0, 0), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_announced_and_not_sent_again() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let inside = Inside::new();
    let at = now().plus_nanos(-7_200_000_000_000);
    let recording = inside.recording(&mut Maker::new(43), 30, at);
    stage.auth.store(|store| {
        store.append([recording.upload.event()]);
        store.append_recording(&recording.session, recording.events.iter().map(Made::event));
    });
    let summary = run_to_the_end(&stage).await;
    assert_eq!((summary.totals.delivered, summary.totals.sessions), (31, 1), "{summary:?}");
    let read = |stage: &Stage| stage.auth.tally().methods["StreamSessionEvents"].calls;
    let (before, calls) = (received(&stage, &BTreeMap::new()), read(&stage));
    let (status, report) = replay_json(&stage, at.seconds - 10, at.seconds + 10, &[]).await;
    assert_eq!((status, &report["sent"]), (Some(0), &1.into()), "{report}");
    let announcement = once(std::slice::from_ref(&recording.upload));
    assert_eq!((received(&stage, &before), read(&stage)), (announcement, calls));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_told() {
    let mut stage = Stage::new("13.3.8");
    // The bound of the handler's own state is none of a replay.
    stage.extra = "parked.max-events = 1".into();
    let made = make(&mut Maker::new(44), &templates("v13"), 200, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    let poison = [77, 120].map(|n| made[n].uid.clone());
    stage.fluentd.set(|switches| {
        let rule =
            |id: &String| FailRule { status: 400, containing: id.clone(), ..FailRule::default() };
        switches.fail.extend(poison.iter().map(rule));
    });
    // There is no state at all: whoever never had a handler here may send as well.
    let (from, to) = (made[0].time.seconds, now().seconds);
    let (status, out, errors) = replay(&stage, from, to, &[]).await;
    assert_eq!(status, Some(1), "{out}{errors}");
    assert!(out.contains("200 events read, 198 sent"), "{out}");
    assert!(out.contains("2 could not be sent: refused\n"), "{out}");
    assert!(poison.iter().all(|id| out.contains(&format!("\n    {id}\n"))), "{out}");
    assert!(!out.contains("stopped"), "{out}");
    let mut wanted = made.clone();
    wanted.retain(|event| !poison.contains(&event.uid));
    assert_eq!(received(&stage, &BTreeMap::new()), once(&wanted));
    assert!(!stage.path("storage").join("ev-state").exists(), "none was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_auth_cannot_send_is_told() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(47);
    let mut vectors = templates("v13");
    vectors.sort_by_key(|vector| vector.oneof.len());
    let large = vectors.pop().unwrap();
    let mut made = make(&mut maker, &vectors, 60, 20, 5);
    let most = made.iter().map(|event| event.oneof.len()).max().unwrap();
    let large = maker.event(&large, made[30].time.plus_nanos(60_000_000_000)).unwrap();
    assert!(large.oneof.len() > most);
    stage.auth.store(|store| {
        store.append_in_place(made.iter().chain([&large]).map(Made::event));
    });
    stage.auth.set(|switches| switches.page_bytes = most);
    let (from, to) = (made[0].time.seconds, now().seconds);
    let (status, out, errors) = replay(&stage, from, to, &[]).await;
    assert_eq!(status, Some(1), "{out}{errors}");
    assert!(out.contains("60 sent"), "{out}");
    let second = Timestamp::new(large.time.seconds, 0);
    assert!(out.contains(&format!("1 could not be sent: gap\n    from {second} to ")), "{out}");
    made.sort_by_key(|event| event.time);
    assert_eq!(received(&stage, &BTreeMap::new()), once(&made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_and_it_can_be_taken_up_where_it_stood() {
    let mut stage = Stage::new("13.3.8");
    stage.forward = "batch-events = 10\nmax-connections = 2\n".into();
    let made = make(&mut Maker::new(45), &templates("v13"), 400, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    let stuck = made[250].uid.clone();
    stage.fluentd.set(|switches| {
        let rule = FailRule { status: 503, containing: stuck.clone(), ..FailRule::default() };
        switches.fail.push(rule);
    });
    let (from, to) = (made[0].time.seconds, now().seconds);
    let child = command(&stage, from, to, &["--json"]).spawn().unwrap();
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    // Everything in front of it was sent before, but for what is under way at the same time.
    let refused = stage.fluentd.wait(|tally| tally.answers.contains_key(&503));
    tokio::time::timeout(PATIENCE, refused).await.expect("it comes in time");
    kill_process(pid, Signal::INT).unwrap();
    let (status, out, errors) = end_of(&stage, child).await;
    assert_eq!(status, Some(1), "{out}{errors}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["complete"], &report["unsent"]), (&false.into(), &0.into()), "{report}");
    assert!(report["sent"].as_u64().unwrap() >= 200, "{report}");
    let reached = ev_config::parse_time(report["reached"].as_str().unwrap()).unwrap();
    assert!(reached > from && reached <= made[250].time.seconds, "{report}");

    // What it says is true: all in front of it is there.
    let there = received(&stage, &BTreeMap::new());
    let front = made.iter().filter(|event| event.time.seconds < reached);
    assert!(once(&front.cloned().collect::<Vec<_>>()).keys().all(|body| there.contains_key(body)));
    stage.fluentd.set(|switches| switches.fail.clear());
    let (status, report) = replay_json(&stage, reached, to, &[]).await;
    assert_eq!(status, Some(0), "{report}");
    let there = received(&stage, &BTreeMap::new());
    assert!(there.keys().eq(once(&made).keys()), "all of the span");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_is_waited_for() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(46), &templates("v13"), 50, 10, 5);
    stage.auth.append(made.iter().map(Made::event));
    stage.fluentd.set(|switches| {
        switches.fail.push(FailRule { status: 503, count: Some(4), ..FailRule::default() });
        switches.close_after_store = 1;
    });
    let (status, report) = replay_json(&stage, made[0].time.seconds, now().seconds, &[]).await;
    assert_eq!((status, &report["sent"]), (Some(0), &50.into()), "{report}");
    let twice = stage.fluentd.tally().repeated;
    assert!(report["possible_duplicates"].as_u64().unwrap() >= twice && twice > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_is_told() {
    let stage = Stage::new("13.3.8");
    let check = async |args: &[&str], status: i32, says: &str| {
        let now = now().seconds;
        let (found, out, errors) = replay(&stage, now - 60, now, args).await;
        assert_eq!((found, out.as_str()), (Some(status), ""), "{args:?}: {errors}");
        assert!(errors.contains(says), "{args:?}: {errors}");
    };
    check(&["--sink", "elsewhere"], 1, "[possible values: fluentd, forward, file]").await;
    check(&["--types", ""], 1, "--types").await;
    check(&["--types", "user.login,,x"], 1, "--types").await;
    check(&["--config", "absent.toml"], 78, "absent.toml").await;
    let now = now().seconds;
    for (from, to) in [(now, now), (now, now - 1)] {
        let (status, _, errors) = replay(&stage, from, to, &[]).await;
        assert_eq!(status, Some(1));
        assert!(errors.contains("`--from` must be before `--to`"), "{errors}");
    }
    let (status, _, errors) = replay(&stage, now + 3600, now + 7200, &[]).await;
    assert_eq!(status, Some(2));
    assert!(errors.contains("in the future"), "{errors}");
    let mut wrong = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    wrong.args(["replay", "--from", "yesterday", "--to", "2026-01-01T00:00:00Z"]);
    let output = wrong.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a time such as"));

    // Of another cluster.
    let claim = Claim {
        sink: SinkId("fluentd".into()),
        cluster: "elsewhere.example.com".into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    SqliteStore::open(stage.path("storage")).unwrap().open_sink(&claim).unwrap();
    check(&[], 2, "elsewhere.example.com").await;
    assert_eq!(stage.fluentd.tally().events, 0);
}
