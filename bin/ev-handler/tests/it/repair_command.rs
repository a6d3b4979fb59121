//! `ev-handler verify --repair`: what is missing is sent, and the ledger agrees afterwards.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use ev_core::{Change, Claim, LaneId, LedgerHour, SinkId, Snapshot, StateStore as _, Timestamp};
use ev_state::SqliteStore;
use ev_test_support::data::{Made, Maker, Vector};
use ev_test_support::{FailRule, FluentdTally};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::stage::{CLUSTER, Inside, Stage, make, now, templates, texts};

/// What a command that hangs may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

const HOUR: i64 = LedgerHour::SECONDS;

fn spawn(stage: &Stage, args: &[&str]) -> Child {
    stage.write_config(stage.auth.addr());
    let (from, to) = (now().seconds - 60 * HOUR, now().seconds);
    let time = |second: i64| Timestamp::new(second, 0).to_string();
    Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["verify", "--config", "handler.toml", "--from", &time(from), "--to", &time(to)])
        .args(args)
        .current_dir(stage.dir.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn end_of(child: Child) -> (Option<i32>, String, String) {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
    let output = output.await.expect("it ends in time").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn verify(stage: &Stage, args: &[&str]) -> (Option<i32>, Value) {
    let (status, out, errors) = end_of(spawn(stage, &[args, &["--json"]].concat())).await;
    (status, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}")))
}

/// All closed hours are equal.
async fn is_clean(stage: &Stage) {
    let (status, report) = verify(stage, &[]).await;
    assert_eq!((status, &report["all_closed_equal"]), (Some(0), &true.into()), "{report}");
}

/// The hours about which something was done.
fn repairs(report: &Value) -> Vec<&Value> {
    let hours = report["hours"].as_array().unwrap().iter();
    hours.filter(|hour| hour.get("repair").is_some()).map(|hour| &hour["repair"]).collect()
}

/// The sum of a count over all of those.
fn sum(report: &Value, count: &str) -> u64 {
    repairs(report).iter().map(|repair| repair[count].as_u64().unwrap()).sum()
}

/// Waits until the receiver's counts fulfil this.
async fn until(stage: &Stage, condition: impl FnMut(&FluentdTally) -> bool) {
    let wait = tokio::time::timeout(PATIENCE, stage.fluentd.wait(condition));
    wait.await.unwrap_or_else(|_| panic!("{:?}", stage.fluentd.tally()));
}

async fn run_to_the_end(stage: &Stage) -> ev_pipeline::Summary {
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    let summary = tokio::time::timeout(PATIENCE, run).await.expect("it ends in time").unwrap();
    assert!(summary.totals.balances(), "{summary:?}");
    summary
}

fn opened(stage: &Stage) -> (SqliteStore, SinkId, Snapshot) {
    let store = SqliteStore::open(stage.path("storage")).unwrap();
    let claim = Claim {
        sink: SinkId("fluentd".into()),
        cluster: CLUSTER.into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    };
    let snapshot = store.open_sink(&claim).unwrap();
    (store, claim.sink, snapshot)
}

/// Templates of all kinds but one that announces recordings, which Auth would have to have.
fn vectors() -> Vec<Vector> {
    let mut vectors = templates("v13");
    vectors.retain(|vector| vector.kind != "session.upload");
    vectors
}

/// A handler that has settled so many events over three days, and is stopped.
async fn settled(seed: u32, count: usize, extra: &str) -> (Stage, Maker, Vec<Made>) {
    let mut stage = Stage::new("13.3.8");
    stage.extra = extra.into();
    let mut maker = Maker::new(seed);
    let made = make(&mut maker, &vectors(), count, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    run_to_the_end(&stage).await;
    (stage, maker, made)
}

/// Events that Auth stored when nobody reads their hours any more, `hours` ago.
fn late(stage: &Stage, maker: &mut Maker, count: usize, hours: i64) -> Vec<Made> {
    // All of them within one hour.
    let hour = (now().seconds.div_euclid(HOUR) - hours) * HOUR;
    let ago = now().seconds - hour - HOUR + 60;
    let made: Vec<Made> = make(maker, &vectors(), count, 0, ago);
    assert!(made.iter().all(|event| event.time.seconds.div_euclid(HOUR) == hour / HOUR));
    stage.auth.store(|store| store.append_in_place(made.iter().map(Made::event)));
    made
}

/// How often each body was received.
fn received(stage: &Stage) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for body in stage.bodies().into_values().flatten() {
        *times.entry(body).or_default() += 1;
    }
    times
}

fn once(made: &[Made]) -> BTreeMap<String, usize> {
    texts(made).into_iter().map(|body| (body, 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_is_missing_is_sent_and_the_ledger_agrees() {
    let skip = "skip-event-types = [\"user.login\"]";
    let (stage, mut maker, _) = settled(51, 400, skip).await;
    let before = opened(&stage).2;
    stage.fluentd.clear();
    let mut missing = late(&stage, &mut maker, 4, 50);
    missing.extend(late(&stage, &mut maker, 3, 20));
    let (status, report) = verify(&stage, &[]).await;
    assert_eq!((status, &report["differing"]), (Some(1), &2.into()), "{report}");
    assert!(repairs(&report).is_empty() && report.get("repaired").is_none(), "{report}");

    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["repaired"]), (Some(0), &2.into()), "{report}");
    let skipped = missing.iter().filter(|event| event.kind == "user.login").count() as u64;
    missing.retain(|event| event.kind != "user.login");
    assert_eq!((sum(&report, "sent"), sum(&report, "filtered")), (7 - skipped, skipped));
    assert_eq!(received(&stage), once(&missing), "nothing else, and nothing twice");
    is_clean(&stage).await;

    // They count as passed, and nothing else has changed.
    let after = opened(&stage).2;
    assert!(after.totals.balances());
    assert_eq!(after.totals.passed, before.totals.passed + 7);
    assert_eq!(after.totals.delivered, before.totals.delivered + 7 - skipped);
    assert_eq!(after.totals.filtered, before.totals.filtered + skipped);
    assert_eq!(after.lanes, before.lanes);

    // There is nothing left to do, neither for another repair nor for the handler.
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["repaired"]), (Some(0), &0.into()), "{report}");
    let summary = run_to_the_end(&stage).await;
    assert_eq!((summary.passed, summary.sent), (0, 0), "{summary:?}");
    assert_eq!(received(&stage), once(&missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_in_which_too_much_is_missing_is_sent_as_a_whole() {
    let (stage, mut maker, made) = settled(52, 400, "").await;
    stage.fluentd.clear();
    let missing = late(&stage, &mut maker, 300, 40);
    let hour = missing[0].time.seconds.div_euclid(HOUR);
    let others = made.iter().filter(|event| event.time.seconds.div_euclid(HOUR) == hour);
    let whole: Vec<Made> = missing.iter().chain(others).cloned().collect();
    assert!(whole.len() > 300);
    // Another hour's row is damaged: nobody can tell what it stood for.
    let damaged = hour + 10;
    let (store, sink, snapshot) = opened(&stage);
    let mut row = store.ledger(&sink, damaged..damaged + 1).unwrap().remove(0);
    row.sketch.truncate(7);
    let change = Change { ledger: vec![row], ..Change::default() };
    store.commit(&sink, snapshot.epoch, &change).unwrap();
    drop(store);
    let also = made.iter().filter(|event| event.time.seconds.div_euclid(HOUR) == damaged);
    let whole: Vec<Made> = whole.into_iter().chain(also.cloned()).collect();

    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["repaired"]), (Some(0), &2.into()), "{report}");
    assert!(repairs(&report).iter().all(|repair| repair["whole"] == true), "{report}");
    assert_eq!(received(&stage), once(&whole));
    is_clean(&stage).await;
    assert!(opened(&stage).2.totals.balances());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_is_parked_and_what_auth_has_deleted_is_told() {
    let (stage, mut maker, made) = settled(53, 400, "").await;
    let missing = late(&stage, &mut maker, 5, 30);
    let poison = missing[2].uid.clone();
    stage.fluentd.set(|switches| {
        let rule = FailRule { status: 400, containing: poison.clone(), ..FailRule::default() };
        switches.fail.push(rule);
    });
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!(status, Some(0), "{report}");
    assert_eq!((sum(&report, "sent"), sum(&report, "parked")), (4, 1), "{report}");
    is_clean(&stage).await;
    let (store, _, snapshot) = opened(&stage);
    assert_eq!(snapshot.totals.parked, 1);
    assert!(snapshot.totals.balances());
    assert_eq!(store.parked_facts(None, 10).unwrap().len(), 1);
    drop(store);

    // The handler delivers it when the receiver takes it.
    stage.fluentd.set(|switches| switches.fail.clear());
    let retry = ["parked", "retry", "--all", "--storage", "storage"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    let output = command.args(retry).current_dir(stage.dir.path()).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let summary = stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events - tally.repeated >= 405).await;
        })
        .await;
    assert_eq!((summary.totals.resolved, summary.totals.parked), (1, 0), "{summary:?}");
    assert!(summary.totals.balances());
    is_clean(&stage).await;

    // Auth has deleted one of an hour in which another is missing.
    let more = late(&stage, &mut maker, 1, 25);
    let hour = more[0].time.seconds.div_euclid(HOUR);
    let gone = made.iter().position(|event| event.time.seconds.div_euclid(HOUR) == hour).unwrap();
    stage.auth.store(|store| {
        *store = ev_test_support::Store::default();
        let left = made.iter().enumerate().filter(|(n, _)| *n != gone).map(|(_, event)| event);
        store.append_in_place(left.chain(&missing).chain(&more).map(Made::event));
    });
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["differing"], sum(&report, "sent")), (Some(1), &1.into(), 1));
    assert!(repairs(&report)[0]["left"].as_str().unwrap().contains("only the ledger has"));
    let (_, report) = verify(&stage, &["--repair"]).await;
    assert_eq!(sum(&report, "sent"), 0, "the missing one is in the ledger: {report}");
    assert!(repairs(&report)[0]["left"].as_str().unwrap().contains("nothing that auth has"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_already_is_not_parked_twice() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(59), &vectors(), 400, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    // In an hour that is closed.
    let poison = &made[100];
    stage.fluentd.set(|switches| {
        let containing = poison.uid.clone();
        switches.fail.push(FailRule { status: 400, containing, ..FailRule::default() });
    });
    let summary = run_to_the_end(&stage).await;
    assert_eq!((summary.totals.parked, summary.totals.delivered), (1, 399), "{summary:?}");
    let hour = poison.time.seconds.div_euclid(HOUR);
    let (store, sink, snapshot) = opened(&stage);
    let row = store.ledger(&sink, hour..hour + 1).unwrap().remove(0);
    let count = row.count;
    assert!(count > 2, "{row:?}");
    let change =
        Change { ledger: vec![LedgerHour { sketch: "".into(), ..row }], ..Change::default() };
    store.commit(&sink, snapshot.epoch, &change).unwrap();
    drop(store);

    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["repaired"]), (Some(0), &1.into()), "{report}");
    assert_eq!((sum(&report, "sent"), sum(&report, "parked")), (count - 1, 0), "{report}");
    is_clean(&stage).await;
    let (store, _, snapshot) = opened(&stage);
    assert_eq!(store.parked_facts(None, 10).unwrap().len(), 1);
    let totals = snapshot.totals;
    assert_eq!((totals.parked, totals.passed, totals.balances()), (1, 400 + count - 1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_announcement_was_missing_is_read_by_the_handler() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let inside = Inside::new();
    let mut maker = Maker::new(54);
    let mut others = templates("v18dev");
    others.retain(|vector| vector.kind != "session.upload");
    let made = make(&mut maker, &others, 300, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    run_to_the_end(&stage).await;
    let at = now().plus_nanos(-i128::from(40 * HOUR) * 1_000_000_000);
    let recording = inside.recording(&mut maker, 30, at);
    stage.auth.store(|store| {
        store.append_in_place([recording.upload.event()]);
        store.append_recording(&recording.session, recording.events.iter().map(Made::event));
    });
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, sum(&report, "sent")), (Some(0), 1), "{report}");
    let is_session = |lane: &LaneId| matches!(lane, LaneId::Session(_));
    let lanes = opened(&stage).2.lanes;
    assert_eq!(lanes.iter().filter(|row| is_session(&row.lane)).count(), 1);
    let summary = run_to_the_end(&stage).await;
    assert_eq!(summary.totals.sessions, 1, "{summary:?}");
    let bodies = stage.bodies().remove(&format!("session.{}.log", recording.session));
    assert_eq!(bodies, Some(texts(&recording.events)));

    // Where it was read once, it is not read again.
    let (store, sink, snapshot) = opened(&stage);
    let hour = recording.upload.time.seconds.div_euclid(HOUR);
    let row = store.ledger(&sink, hour..hour + 1).unwrap().remove(0);
    let damaged = LedgerHour { sketch: "".into(), ..row };
    let change = Change { ledger: vec![damaged], ..Change::default() };
    store.commit(&sink, snapshot.epoch, &change).unwrap();
    drop(store);
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["repaired"]), (Some(0), &1.into()), "{report}");
    assert!(!opened(&stage).2.lanes.iter().any(|row| is_session(&row.lane)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_auth_has_more_of_is_read_again() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let inside = Inside::new();
    let at = now().plus_nanos(-i128::from(40 * HOUR) * 1_000_000_000);
    let recording = inside.recording(&mut Maker::new(58), 30, at);
    let session = recording.session.as_str();
    let events: Vec<_> = recording.events.iter().map(Made::event).collect();
    let replace = |count: usize| {
        stage.auth.store(|store| {
            store.remove_recording(session);
            store.append_recording(session, events[..count].to_vec());
        });
    };
    stage.auth.store(|store| store.append([recording.upload.event()]));
    replace(20);
    let summary = run_to_the_end(&stage).await;
    assert_eq!((summary.totals.passed, summary.totals.sessions), (21, 1), "{summary:?}");
    let one = |report: &Value| report["recordings"]["recordings"][0].clone();

    // Of what Auth has lost nothing can be sent.
    replace(15);
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["recordings"]["differing"]), (Some(1), &1.into()), "{report}");
    assert!(one(&report)["repair"]["left"].as_str().unwrap().contains("fewer"), "{report}");

    replace(30);
    let (status, report) = verify(&stage, &[]).await;
    assert_eq!((status, one(&report).get("repair")), (Some(1), None), "{report}");
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["recordings"]["open"]), (Some(0), &1.into()), "{report}");
    assert!(one(&report)["repair"]["left"].is_null(), "{report}");
    is_clean(&stage).await;
    stage.fluentd.clear();
    let summary = run_to_the_end(&stage).await;
    assert_eq!((summary.totals.passed, summary.totals.sessions), (51, 2), "{summary:?}");
    assert_eq!(received(&stage), once(&recording.events), "all of it, and nothing else");
    let (status, report) = verify(&stage, &[]).await;
    assert_eq!((status, &report["recordings"]["equal"]), (Some(0), &1.into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_handler_is_left_alone() {
    let (stage, mut maker, made) = settled(55, 100, "").await;
    let missing = late(&stage, &mut maker, 1, 30);
    stage
        .run_until(async |stage| {
            let calls = stage.auth.tally().methods["GetEvents"].calls;
            stage.auth.wait(|tally| tally.methods["GetEvents"].calls > calls).await;
            let (status, out, errors) = end_of(spawn(stage, &["--repair"])).await;
            assert_eq!((status, out.as_str()), (Some(2), ""), "{errors}");
            assert!(errors.contains("stop the handler first"), "{errors}");
        })
        .await;
    assert_eq!(received(&stage), once(&made), "{}", missing[0].uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_signals_lose_nothing() {
    let (mut stage, mut maker, made) = settled(56, 200, "").await;
    stage.forward = "batch-events = 2\nmax-connections = 1\n".into();
    let missing = late(&stage, &mut maker, 10, 30);
    let all: Vec<Made> = made.iter().chain(&missing).cloned().collect();
    // All is stored, and the last answers do not come.
    stage.fluentd.clear();
    stage.fluentd.set(|switches| switches.hold_at = Some(6));
    let mut child = spawn(&stage, &["--repair"]);
    until(&stage, |tally| tally.events >= 6).await;
    child.kill().await.unwrap();
    stage.fluentd.set(|switches| {
        switches.hold_at = None;
        switches.release += 1;
    });
    let (status, report) = verify(&stage, &[]).await;
    assert_eq!((status, &report["differing"]), (Some(1), &1.into()), "as before: {report}");

    // A signal while the receiver takes nothing.
    stage.fluentd.set(|switches| {
        switches.fail.push(FailRule { status: 503, ..FailRule::default() });
    });
    let refused = stage.fluentd.tally().answers.get(&503).copied().unwrap_or_default();
    let child = spawn(&stage, &["--repair"]);
    until(&stage, |tally| tally.answers.get(&503).is_some_and(|count| *count > refused)).await;
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let (status, out, errors) = end_of(child).await;
    assert_eq!(status, Some(1), "{out}{errors}");
    assert!(out.contains("not repaired: stopped before all of it was sent"), "{out}{errors}");
    assert!(out.contains("stopped before the end of the span"), "{out}");

    stage.fluentd.set(|switches| switches.fail.clear());
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, sum(&report, "sent")), (Some(0), 10), "{report}");
    is_clean(&stage).await;
    assert!(once(&missing).keys().all(|body| received(&stage).contains_key(body)));
    let totals = opened(&stage).2.totals;
    assert_eq!((totals.passed, totals.balances()), (all.len() as u64, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_from_before_the_ledger_are_not_sent_all_of_a_sudden() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(57), &vectors(), 100, 50, 5);
    stage.auth.append(made.iter().map(Made::event));
    // A handler that has read all of it and kept no ledger.
    let store = SqliteStore::open(stage.path("storage")).unwrap();
    let claim = Claim {
        sink: SinkId("fluentd".into()),
        cluster: CLUSTER.into(),
        flavour: None,
        start_time: Timestamp::new(now().seconds - 60 * HOUR, 0),
    };
    let epoch = store.open_sink(&claim).unwrap().epoch;
    let lane = LaneId::Window { start: now().seconds - 60, pass: 0 };
    let token = ev_core::Token { road: ev_core::Road::Typed, format: 1, bytes: "".into() };
    let change = Change { open: vec![(lane, token)], ..Change::default() };
    store.commit(&claim.sink, epoch, &change).unwrap();
    drop(store);
    let (status, report) = verify(&stage, &["--repair"]).await;
    assert_eq!((status, &report["repaired"]), (Some(1), &0.into()), "{report}");
    assert!(report["without_row"].as_u64().unwrap() > 20, "{report}");
    let told = |repair: &&Value| repair["left"].as_str().unwrap().contains("`ev-handler replay`");
    assert!(repairs(&report).iter().all(told), "{report}");
    assert_eq!(stage.fluentd.tally().events, 0);
}
