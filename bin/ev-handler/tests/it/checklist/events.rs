//! The lines about single events, filters and recordings.

use std::collections::BTreeSet;
use std::time::Duration;

use ev_config::Settings;
use ev_test_support::data::Recording;
use ev_test_support::{Api, AuthTally, DamagedRecording, Event};
use serde_json::Value;

use super::{Made, Maker, PATIENCE, Stage, make, now, of_kind, plain, templates, to_its_end};
use crate::logins::{failures, login, token, without_id};
use crate::stage::with_json;

fn bodies(stage: &Stage) -> Vec<Value> {
    let received = stage.fluentd.received();
    let of_log = received.iter().filter(|event| event.tag == "events.log");
    of_log.map(|event| serde_json::from_slice(&event.body).unwrap()).collect()
}

fn ending(stage: &Stage) -> Settings {
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_an_event_keeps_its_id_and_its_type() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(121), &plain(), 200, 2, 5400);
    stage.auth.append(made.iter().map(Made::event));
    to_its_end(ending(&stage)).await;
    let of = |uid: &str, kind: &str| (uid.to_owned(), kind.to_owned());
    let expected: BTreeSet<_> = made.iter().map(|event| of(&event.uid, &event.kind)).collect();
    let text = |body: &Value, key: &str| body[key].as_str().unwrap().to_owned();
    let arrived: BTreeSet<_> =
        bodies(&stage).iter().map(|body| (text(body, "uid"), text(body, "event"))).collect();
    assert_eq!(arrived, expected);
}

/// The digest of its JSON stands for the id: by it events are told apart, known again, and found in
/// the log.
#[tokio::test(flavor = "multi_thread")]
async fn e2_e6_an_event_without_an_id_has_the_digest_of_its_json() {
    let stage = Stage::new("13.3.8");
    let at = |ago: i128| now().plus_nanos(-ago * 1_000_000_000);
    stage.auth.append([without_id("alice", at(60)), without_id("bob", at(50))]);
    for _ in 0..2 {
        to_its_end(ending(&stage)).await;
    }
    let received = stage.fluentd.received();
    assert_eq!(received.len(), 2, "once each");
    let of_alice = received.iter().find(|event| user(&event.body) == "alice").unwrap();
    let sum = ring::digest::digest(&ring::digest::SHA256, &of_alice.body);
    let id: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();

    // A state that is to begin behind the first one.
    stage.fluentd.clear();
    let mut settings = ending(&stage);
    settings.storage = stage.path("another");
    settings.ingest.start_time_unix_secs = None;
    settings.ingest.cursor = Some(id);
    to_its_end(settings).await;
    let users: Vec<String> =
        stage.fluentd.received().iter().map(|event| user(&event.body)).collect();
    assert_eq!(users, ["bob"]);
}

fn user(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["user"].as_str().unwrap().to_owned()
}

fn failed_logins(kind: bool) -> Vec<Event> {
    let at = now().plus_nanos(-30_000_000_000);
    match kind {
        false => failures(0, 4, "mallory", at),
        true => (0..4).map(|n| login(n, "mallory", "", true, at)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_e5_failed_logins_count_and_successful_ones_do_not() {
    for success in [false, true] {
        let stage = Stage::new("13.3.8");
        stage.auth.append(failed_logins(success));
        let mut settings = ending(&stage);
        let period = Duration::from_secs(60);
        settings.lock = Some(ev_config::Lock { failed_attempts: 3, period, lock_for: None });
        to_its_end(settings).await;
        assert_eq!(bodies(&stage).len(), 4);
        assert_eq!(stage.auth.locks().len(), usize::from(!success), "{success}");
    }
}

/// What arrives of five roles and five tokens that are made, by the bulk export.
async fn roles_and_tokens(change: impl Fn(&mut Settings)) -> Vec<Value> {
    let mut stage = Stage::new("18.2.0");
    stage.extra = "source = \"export\"".into();
    stage.auth.set(|switches| switches.offer_only(&[Api::Export, Api::Unstructured]));
    let role = of_kind(&with_json("realistic-v18dev"), "role.created").remove(0);
    let mut maker = Maker::new(122);
    for n in 0..5 {
        let at = now().plus_nanos(i128::try_from(n).unwrap() * 2_000_000_000 - 60_000_000_000);
        stage.auth.append([maker.event(&role, at).unwrap().event(), token(n, at)]);
    }
    let mut settings = ending(&stage);
    change(&mut settings);
    to_its_end(settings).await;
    bodies(&stage)
}

fn assert_tokens_alone(arrived: &[Value]) {
    let uids: BTreeSet<&str> = arrived.iter().map(|body| body["uid"].as_str().unwrap()).collect();
    assert_eq!((arrived.len(), uids.len()), (5, 5), "{arrived:?}");
    assert!(arrived.iter().all(|body| body["event"] == "join_token.create"), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_types_hold_for_the_bulk_export() {
    let types = vec!["join_token.create".to_owned()];
    let change = |settings: &mut Settings| settings.ingest.types = types.clone();
    assert_tokens_alone(&roles_and_tokens(change).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_skipped_types_hold_for_the_bulk_export() {
    let types = vec!["role.created".to_owned()];
    let change = |settings: &mut Settings| settings.ingest.skip_event_types = types.clone();
    assert_tokens_alone(&roles_and_tokens(change).await);
}

fn newest() -> Stage {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    stage
}

/// A recording of that many events, announced a minute ago.
fn announced(stage: &Stage, maker: &mut Maker, count: usize) -> Recording {
    let vectors = templates("v18dev");
    let kind = |name: &str| of_kind(&vectors, name).remove(0);
    let at = now().plus_nanos(-60_000_000_000);
    let inside = kind("session.start");
    let recording = maker.recording(&kind("session.upload"), &[&inside], count, at).unwrap();
    stage.auth.append([recording.upload.event()]);
    recording
}

fn serve(stage: &Stage, recording: &Recording, count: usize) {
    let events = recording.events.iter().take(count).map(Made::event);
    stage.auth.store(|store| store.append_recording(&recording.session, events));
}

fn streams(tally: &AuthTally) -> u64 {
    tally.methods.get("StreamSessionEvents").map_or(0, |method| method.calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_an_announcement_names_the_recording_that_is_read_to_its_end() {
    let stage = newest();
    let recording = announced(&stage, &mut Maker::new(123), 6);
    serve(&stage, &recording, 6);
    let summary = to_its_end(ending(&stage)).await;
    assert_eq!(summary.totals.sessions, 1);
    let all = stage.bodies();
    assert_eq!(all["events.log"].len(), 1);
    assert_eq!(all[&format!("session.{}.log", recording.session)].len(), 6);
    assert_eq!(streams(&stage.auth.tally()), 1, "it is not asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_streams_are_left_behind_by_nobody() {
    // One that ends at once is no trouble.
    let stage = newest();
    let empty = announced(&stage, &mut Maker::new(124), 3);
    serve(&stage, &empty, 0);
    let summary = to_its_end(ending(&stage)).await;
    assert_eq!((summary.totals.delivered, summary.totals.sessions), (1, 1));
    assert_eq!(streams(&stage.auth.tally()), 1);
    assert_eq!(stage.auth.tally().methods["StreamSessionEvents"].errors, 0);
    let closed = stage.auth.wait(|tally| tally.sessions_open == 0);
    tokio::time::timeout(PATIENCE, closed).await.expect("it is closed");

    // One that has not come to its end is cancelled with the handler.
    let stage = newest();
    let long = announced(&stage, &mut Maker::new(125), 9);
    serve(&stage, &long, 9);
    stage.auth.set(|switches| switches.hold_sessions_after = Some(4));
    stage.run_until(async |stage| drop(stage.fluentd.wait(|tally| tally.events >= 5).await)).await;
    let closed = stage.auth.wait(|tally| tally.sessions_open == 0 && tally.sessions_cancelled == 1);
    tokio::time::timeout(PATIENCE, closed).await.expect("it is cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_a_recording_that_auth_refuses_to_send_ends_nothing() {
    let stage = newest();
    let mut maker = Maker::new(126);
    let refused = announced(&stage, &mut maker, 5);
    serve(&stage, &refused, 5);
    let good = announced(&stage, &mut maker, 5);
    serve(&stage, &good, 5);
    let damage = DamagedRecording {
        session: refused.session.clone(),
        at: refused.events[2].index,
        code: 8,
        message: "limit exceeded".to_owned(),
        ..DamagedRecording::default()
    };
    stage.auth.set(|switches| switches.damaged_recordings = vec![damage]);
    let summary = stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events >= 9).await;
            // And the log goes on.
            let at = now().plus_nanos(-1_000_000_000);
            let vectors = templates("v18dev");
            let more = maker.event(&of_kind(&vectors, "user.create")[0], at).unwrap();
            stage.auth.append([more.event()]);
            stage.fluentd.wait(|tally| tally.events >= 10).await;
        })
        .await;
    assert_eq!((summary.totals.given_up, summary.sessions_given_up), (0, 0));
    let all = stage.bodies();
    let count = |recording: &Recording| all[&format!("session.{}.log", recording.session)].len();
    assert_eq!((count(&good), count(&refused)), (5, 2));
}

/// To a receiver that asks for a client certificate.
#[tokio::test(flavor = "multi_thread")]
async fn x1_new_roles_and_tokens_arrive_within_five_seconds() {
    let stage = newest();
    let vectors = [templates("v18dev"), templates("realistic-v18dev")].concat();
    let mut maker = Maker::new(201);
    let mut event = |kind: &str| maker.event(&of_kind(&vectors, kind)[0], now()).unwrap();
    let before = event("user.create");
    stage.auth.append([before.event()]);
    stage
        .run_until(async |stage| {
            stage.received(1).await;
            stage.auth.append([event("role.created").event(), token(0, now())]);
            let arrived = tokio::time::timeout(Duration::from_secs(5), stage.received(3));
            arrived.await.expect("within 5 s");
        })
        .await;
    let kinds: BTreeSet<String> =
        bodies(&stage).iter().map(|body| body["event"].as_str().unwrap().to_owned()).collect();
    assert!(kinds.contains("role.created") && kinds.contains("join_token.create"), "{kinds:?}");
}
