//! What users of the reference handler suffered from, by the number that it has in
//! `docs/migration.md`: each test provokes it and shows what happens instead.

use std::collections::BTreeMap;

use ev_test_support::data::{Made, Maker, Recording, Vector};
use ev_test_support::{Api, CallFault, DamagedRecording, FailRule};
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, make, now, sorted, templates, texts, with_json};

fn plain() -> Vec<Vector> {
    plain_of("v13")
}

fn plain_of(label: &str) -> Vec<Vector> {
    let mut vectors = templates(label);
    vectors.retain(|vector| vector.kind != "session.upload");
    vectors
}

/// A stage that sends one event a request, as the reference does.
fn one_by_one() -> Stage {
    let mut stage = Stage::new("13.3.8");
    stage.forward = "batch-mode = \"single\"".into();
    stage
}

/// Recordings made of the newest recorded version, announced `ago` seconds ago.
struct Sessions {
    maker: Maker,
    vectors: Vec<Vector>,
}

impl Sessions {
    fn new(stage: &Stage, seed: u32) -> Self {
        stage.auth.set(|switches| switches.version = "18.0.0-dev".into());
        stage.auth.offer(stage.table("v18dev"));
        let path = crate::stage::golden("realistic-v18dev");
        let vectors = ev_test_support::data::read_vectors(&path).unwrap();
        Self { maker: Maker::new(seed), vectors }
    }

    fn make(&mut self, kinds: &[&str], count: usize, ago: i64) -> Recording {
        let inside = |v: &&Vector| !v.recording.is_empty() && kinds.contains(&&*v.kind);
        let inside: Vec<&Vector> = self.vectors.iter().filter(inside).collect();
        let mut uploads = self.vectors.iter().filter(|v| v.kind == "session.upload");
        let upload = uploads.find(|v| v.is_template()).unwrap();
        let at = now().plus_nanos(-i128::from(ago) * 1_000_000_000);
        self.maker.recording(upload, &inside, count, at).unwrap()
    }
}

fn serve(stage: &Stage, recording: &Recording) {
    let events = recording.events.iter().map(Made::event);
    stage.auth.store(|store| store.append_recording(&recording.session, events));
}

fn tag(recording: &Recording) -> String {
    format!("session.{}.log", recording.session)
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_01_the_latency_of_the_receiver_does_not_set_the_pace() {
    let stage = one_by_one();
    stage.auth.append(make(&mut Maker::new(301), &plain(), 500, 2, 5).iter().map(Made::event));
    stage.fluentd.set(|switches| switches.latency_ms = 5);
    stage.run_until(async |stage| stage.received(500).await).await;
    let most = stage.fluentd.tally().most_in_flight;
    assert!(most > 2, "at most {most} requests were under way at one time");
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_02_chunks_of_the_export_are_read_at_the_same_time_and_few_of_them() {
    let mut stage = Stage::new("18.2.0");
    stage.extra = "source = \"export\"\nexport.chunks = 3\nexport.poll = \"50ms\"".into();
    stage.auth.set(|switches| {
        switches.offer_only(&[Api::Export, Api::Unstructured]);
        switches.export_chunk = 40;
        switches.latency_ms = 2;
    });
    let made = make(&mut Maker::new(302), &with_json("v18dev"), 2000, 30, 5);
    stage.auth.append(made.iter().map(Made::event));
    stage.run_until(async |stage| stage.received(2000).await).await;
    let tally = stage.auth.tally();
    assert!((2..=3).contains(&tally.exports_most_open), "{}", tally.exports_most_open);
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_03_connections_are_kept_and_used_again() {
    let stage = one_by_one();
    stage.auth.append(make(&mut Maker::new(303), &plain(), 500, 2, 5).iter().map(Made::event));
    stage.run_until(async |stage| stage.received(500).await).await;
    let tally = stage.fluentd.tally();
    assert_eq!(tally.requests, 500);
    assert!(tally.connections <= 10, "{} connections", tally.connections);
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_04_the_state_is_not_written_for_each_event() {
    let stage = one_by_one();
    stage.auth.append(make(&mut Maker::new(304), &plain(), 2000, 2, 5).iter().map(Made::event));
    let summary = stage.run_until(async |stage| stage.received(2000).await).await;
    assert!(summary.commits < 100, "{} commits for 2,000 events", summary.commits);
}

/// Seconds of all searches, from and to.
fn searches(stage: &Stage) -> Vec<(i64, i64)> {
    let calls = stage.auth.calls();
    let searches = calls.iter().filter(|call| call.method == "GetEvents");
    let second =
        |value: &serde_json::Value| ev_config::parse_time(value.as_str().unwrap()).unwrap();
    searches.map(|call| (second(&call.request["from"]), second(&call.request["to"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_05_no_search_reaches_from_the_start_to_now() {
    const DAY: i64 = 86_400;
    let stage = Stage::new("13.3.8");
    let mut settings = stage.settings();
    settings.ingest.start_time_unix_secs = Some(now().seconds - 30 * DAY);
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends by itself").unwrap();
    let searches = searches(&stage);
    assert!(searches.len() > 30, "{searches:?}");
    assert!(searches.iter().all(|(from, to)| to - from < 2 * DAY), "{searches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_06_a_limit_on_searches_and_restarts_do_not_keep_it_from_advancing() {
    const DAY: i64 = 86_400;
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(306), &plain(), 10, 0, 5);
    stage.auth.append(made.iter().map(Made::event));
    stage.auth.set(|switches| switches.searches = Some(0));
    let start = now().seconds - 30 * DAY;
    let mut rounds = 0;
    while stage.fluentd.tally().events < 10 {
        rounds += 1;
        assert!(rounds < 60, "it does not get through thirty empty days");
        let mut settings = stage.settings();
        settings.ingest.start_time_unix_secs = Some(start);
        let refused =
            |stage: &Stage| stage.auth.tally().methods.get("GetEvents").map_or(0, |m| m.errors);
        let before = refused(&stage);
        // So few are allowed in each life that no life can read all of it.
        stage.auth.set(|switches| switches.searches = Some(6));
        stage
            .run_settings_until(settings, async |stage| {
                stage
                    .auth
                    .wait(|tally| {
                        let now = tally.methods.get("GetEvents").map_or(0, |m| m.errors);
                        // More than are asked for at one time: so one was asked for again, and
                        // whatever was answered before is taken.
                        now > before + 5 || stage.fluentd.tally().events >= 10
                    })
                    .await;
            })
            .await;
    }
    assert!(rounds > 3, "the limit was never met");
    assert_eq!(stage.fluentd.tally().repeated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_07_types_and_skipped_types_hold() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(307), &plain(), 300, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    let kinds: BTreeMap<&str, usize> = made.iter().fold(BTreeMap::new(), |mut kinds, event| {
        *kinds.entry(&*event.kind).or_default() += 1;
        kinds
    });
    let wanted: Vec<&str> = kinds.keys().copied().take(3).collect();
    let mut settings = stage.settings();
    settings.ingest.types = wanted.iter().map(|kind| (*kind).to_owned()).collect();
    settings.ingest.skip_event_types = vec![wanted[1].to_owned()];
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends by itself").unwrap();
    let is_wanted = |event: &&Made| [wanted[0], wanted[2]].contains(&&*event.kind);
    let expected: Vec<Made> = made.iter().filter(is_wanted).cloned().collect();
    let bodies = stage.bodies().remove("events.log").unwrap_or_default();
    assert_eq!(sorted(bodies), sorted(texts(&expected)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_08_every_success_is_one() {
    for status in [200, 201, 202, 204] {
        let stage = one_by_one();
        stage.fluentd.set(|switches| switches.ok_status = status);
        stage.auth.append(make(&mut Maker::new(308), &plain(), 20, 1, 5).iter().map(Made::event));
        stage.run_until(async |stage| stage.received(20).await).await;
        let tally = stage.fluentd.tally();
        assert_eq!((tally.events, tally.repeated), (20, 0), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_09_a_recording_that_comes_late_is_sent_once() {
    let stage = Stage::new("18.0.0-dev");
    let recording = Sessions::new(&stage, 309).make(&["resize"], 20, 3600);
    stage.auth.append([recording.upload.event()]);
    stage
        .run_until(async |stage| {
            let asked = |tally: &ev_test_support::AuthTally| {
                tally.methods.get("StreamSessionEvents").is_some_and(|m| m.errors > 0)
            };
            stage.auth.wait(asked).await;
            serve(stage, &recording);
            stage.fluentd.wait(|tally| tally.events >= 21).await;
        })
        .await;
    // Neither later in this run nor in the next one.
    let calls = stage.auth.tally().methods["StreamSessionEvents"].calls;
    let searches = stage.auth.tally().methods["GetEvents"].calls;
    stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.methods["GetEvents"].calls > searches + 3).await;
        })
        .await;
    assert_eq!(stage.auth.tally().methods["StreamSessionEvents"].calls, calls);
    assert_eq!(stage.bodies()[&tag(&recording)], texts(&recording.events));
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_11_terminal_output_and_desktop_frames_do_not_flood_the_receiver() {
    let stage = Stage::new("18.0.0-dev");
    let recording = Sessions::new(&stage, 311).make(&["print", "resize"], 40, 60);
    serve(&stage, &recording);
    stage.auth.append([recording.upload.event()]);
    let left: Vec<Made> =
        recording.events.iter().filter(|event| event.kind != "print").cloned().collect();
    let events = u64::try_from(left.len() + 1).unwrap();
    let summary = stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events >= events).await;
            // Its end has come too, with what is left out.
            let searches = stage.auth.tally().methods["GetEvents"].calls;
            stage.auth.wait(|tally| tally.methods["GetEvents"].calls > searches + 3).await;
        })
        .await;
    assert_eq!(stage.bodies()[&tag(&recording)], texts(&left));
    let output = recording.events.len() - left.len();
    assert!(output > 0, "there is terminal output in it");
    assert_eq!(summary.totals.filtered, output as u64, "{summary:?}");
    let settings = stage.settings();
    assert!(settings.ingest.skip_session_types.contains(&"desktop.recording".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_12_events_of_a_newer_auth_stop_nothing() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.set(|switches| switches.version = "18.0.0-dev".into());
    let mut vectors = templates("v18dev");
    vectors.retain(|vector| vector.kind != "session.upload");
    let made = make(&mut Maker::new(312), &vectors, 400, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    let to_its_end = async || {
        let mut settings = stage.settings();
        settings.ingest.exit_on_last_event = true;
        let run = ev_handler::start::start(settings, CancellationToken::new());
        tokio::time::timeout(PATIENCE, run).await.expect("it ends by itself").unwrap()
    };
    // Auth offers nothing to decode them with, and the schema built in is five versions old.
    let totals = to_its_end().await.totals;
    assert_eq!((totals.passed, totals.delivered + totals.parked), (400, 400));
    assert!(totals.delivered > 100 && totals.parked > 10, "{totals:?}");
    stage.auth.offer(stage.module("v18dev"));
    stage.run_until(async |stage| stage.received(400).await).await;
    // What was sent in part before is marked, and all others are whole.
    let bodies = &stage.bodies()["events.log"];
    assert_eq!(bodies.len(), 400);
    let expected = texts(&made);
    let differs =
        |body: &&String| !body.contains("\"ev_incomplete\":true") && !expected.contains(body);
    assert!(!bodies.iter().any(|body| differs(&body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_13_an_event_that_auth_cannot_send_holds_up_nothing() {
    let stage = Stage::new("13.3.8");
    let vectors = plain();
    let mut maker = Maker::new(313);
    let made = make(&mut maker, &vectors, 200, 2, 5);
    let large = made.iter().map(|event| event.oneof.len()).max().unwrap();
    // One that is larger than all others, and pages that are smaller than it.
    let (giants, others): (Vec<_>, Vec<_>) =
        made.iter().partition(|event| event.oneof.len() == large);
    let page = others.iter().map(|event| event.oneof.len()).max().unwrap();
    stage.auth.set(|switches| switches.page_bytes = page + 1);
    stage.auth.append(made.iter().map(Made::event));
    let summary = stage.run_until(async |stage| stage.received(others.len()).await).await;
    assert_eq!(summary.totals.delivered, others.len() as u64);
    assert!(summary.totals.parked >= 1, "{} of {large} bytes: {summary:?}", giants.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_14_a_damaged_recording_stops_neither_the_log_nor_other_recordings() {
    let stage = Stage::new("18.0.0-dev");
    let mut sessions = Sessions::new(&stage, 314);
    let broken = sessions.make(&["resize"], 30, 120);
    let good = sessions.make(&["resize"], 30, 60);
    // It breaks off at one of its events, as often as it is asked for.
    let damage = DamagedRecording {
        session: broken.session.clone(),
        at: broken.events[10].index,
        ..DamagedRecording::default()
    };
    stage.auth.set(|switches| switches.damaged_recordings = vec![damage]);
    for recording in [&broken, &good] {
        serve(&stage, recording);
        stage.auth.append([recording.upload.event()]);
    }
    let mut events = 2 + 10 + 30;
    for _ in 0..2 {
        // Neither in this life nor in the next one.
        let more = make(&mut sessions.maker, &plain_of("v18dev"), 5, 0, 1);
        let summary = stage
            .run_until(async |stage| {
                stage.fluentd.wait(|tally| tally.events >= events).await;
                stage.auth.append(more.iter().map(Made::event));
                stage.fluentd.wait(|tally| tally.events >= events + 5).await;
            })
            .await;
        events += 5;
        assert_eq!((summary.sessions_given_up, summary.totals.given_up), (0, 0), "{summary:?}");
        assert_eq!(stage.bodies()[&tag(&good)], texts(&good.events));
        assert_eq!(stage.bodies()[&tag(&broken)], texts(&broken.events[..10]), "what there is");
    }
    // No stream is left behind.
    let closed = stage.auth.wait(|tally| tally.sessions_open == 0);
    tokio::time::timeout(PATIENCE, closed).await.expect("all are closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_16_no_more_recordings_are_open_than_are_asked_for() {
    let mut stage = Stage::new("18.0.0-dev");
    stage.extra = "concurrency = 2".into();
    let mut sessions = Sessions::new(&stage, 316);
    let recordings: Vec<_> = (0..8).map(|n| sessions.make(&["resize"], 30, 60 + n)).collect();
    // Each stays open, for ever as it seems.
    stage.auth.set(|switches| switches.hold_sessions_after = Some(7));
    for recording in &recordings {
        serve(&stage, recording);
        stage.auth.append([recording.upload.event()]);
    }
    stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.sessions_open == 2).await;
            // All are announced, and the log is read on and on.
            let log = |stage: &Stage| stage.bodies().get("events.log").map_or(0, Vec::len);
            stage.fluentd.wait(|_| log(stage) >= 8).await;
            let searches = stage.auth.tally().methods["GetEvents"].calls;
            stage.auth.wait(|tally| tally.methods["GetEvents"].calls > searches + 10).await;
            assert_eq!(stage.auth.tally().sessions_most_open, 2);
            // Streams that break off are not left behind either.
            stage.auth.set(|switches| {
                switches.hold_sessions_after = None;
                switches.break_sessions_after = Some(20);
            });
            stage.fluentd.wait(|tally| tally.events >= 248).await;
        })
        .await;
    for recording in &recordings {
        assert_eq!(stage.bodies()[&tag(recording)], texts(&recording.events));
    }
    assert_eq!(stage.auth.tally().sessions_most_open, 2);
    let closed = stage.auth.wait(|tally| tally.sessions_open == 0);
    tokio::time::timeout(PATIENCE, closed).await.expect("all are closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_17_a_restart_of_the_receiver_is_waited_for() {
    let stage = one_by_one();
    let mut maker = Maker::new(317);
    stage.auth.append(make(&mut maker, &plain(), 20, 1, 5).iter().map(Made::event));
    stage.fluentd.stop().await;
    stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.log_served >= 20).await;
            stage.fluentd.start_again().await.unwrap();
            stage.received(20).await;
            stage.fluentd.stop().await;
            let more = make(&mut maker, &plain(), 20, 0, 1);
            stage.auth.append(more.iter().map(Made::event));
            stage.auth.wait(|tally| tally.log_served >= 40).await;
            stage.fluentd.start_again().await.unwrap();
            stage.received(40).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_18_an_announcement_without_recording_is_asked_for_with_pauses() {
    let stage = Stage::new("18.0.0-dev");
    let recording = Sessions::new(&stage, 318).make(&["resize"], 5, 60);
    stage.auth.append([recording.upload.event()]);
    let summary = stage
        .run_until(async |stage| {
            let searches = |tally: &ev_test_support::AuthTally| {
                tally.methods.get("GetEvents").map_or(0, |method| method.calls)
            };
            stage.received(1).await;
            let begun = searches(&stage.auth.tally());
            stage.auth.wait(|tally| searches(tally) > begun + 20).await;
        })
        .await;
    let asked = stage.auth.tally().methods.get("StreamSessionEvents").map_or(0, |m| m.calls);
    // A search every 50 ms, and a recording first after 5 s.
    assert!((1..=6).contains(&asked), "asked {asked} times during twenty searches");
    assert_eq!((summary.totals.delivered, summary.totals.given_up), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_19_an_event_that_the_receiver_refuses_is_set_aside() {
    for status in [400, 413, 422] {
        let stage = one_by_one();
        let made = make(&mut Maker::new(319), &plain(), 60, 1, 5);
        let poison = &made[30];
        let rule = FailRule { status, containing: poison.uid.clone(), ..FailRule::default() };
        stage.fluentd.set(|switches| switches.fail = vec![rule]);
        stage.auth.append(made.iter().map(Made::event));
        let summary = stage.run_until(async |stage| stage.received(59).await).await;
        assert_eq!(summary.totals.delivered, 59, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_20_a_restart_of_auth_is_waited_for() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(320);
    stage.auth.append(make(&mut maker, &plain(), 20, 1, 5).iter().map(Made::event));
    stage
        .run_until(async |stage| {
            stage.received(20).await;
            stage.auth.stop().await;
            let more = make(&mut maker, &plain(), 20, 0, 1);
            stage.auth.append(more.iter().map(Made::event));
            stage.auth.start_again().await.unwrap();
            stage.received(40).await;
            // Errors of every kind, and then an answer.
            for (n, code) in [1, 2, 4, 7, 8, 12, 13, 14, 16].into_iter().enumerate() {
                let fault = CallFault { code, count: Some(1), ..CallFault::default() };
                stage.auth.set(|switches| switches.fail = vec![fault]);
                let more = make(&mut maker, &plain(), 1, 0, 1);
                stage.auth.append(more.iter().map(Made::event));
                stage.received(41 + n).await;
            }
        })
        .await;
    assert_eq!(stage.fluentd.tally().repeated, 0);
}
