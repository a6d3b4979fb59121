//! What the reference handler's own tests ask, line by line: each test has the label of its line in
//! `docs/migration.md`, which names the tests of the other lines too.

mod events;
mod state;

use ev_config::Settings;
use ev_pipeline::Summary;
use ev_test_support::CallFault;
use ev_test_support::data::{Made, Maker, Vector};
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, make, now, templates};

/// A stage whose receiver gets one event a request over one connection: then what arrives stands in
/// the order of the log.
fn in_order() -> Stage {
    let mut stage = Stage::new("13.3.8");
    stage.forward = "batch-mode = \"single\"\nmax-connections = 1".into();
    stage
}

fn of_kind(vectors: &[Vector], kind: &str) -> Vec<Vector> {
    let found: Vec<_> = vectors.iter().filter(|vector| vector.kind == kind).cloned().collect();
    assert!(!found.is_empty(), "no recorded `{kind}`");
    found
}

/// Everything but announcements: recordings that Auth does not have would be waited for.
fn plain() -> Vec<Vector> {
    let mut vectors = templates("v13");
    vectors.retain(|vector| vector.kind != "session.upload");
    vectors
}

fn uids<'a>(made: impl IntoIterator<Item = &'a Made>) -> Vec<String> {
    made.into_iter().map(|event| event.uid.clone()).collect()
}

/// Ids of the audit log's events in order of arrival.
fn arrived(stage: &Stage) -> Vec<String> {
    let bodies = stage.bodies().remove("events.log").unwrap_or_default();
    let uid = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["uid"].as_str().unwrap().to_owned()
    };
    bodies.iter().map(uid).collect()
}

fn pages_of_five(stage: &Stage) -> Settings {
    let mut settings = stage.settings();
    settings.ingest.page_size = 5;
    settings.ingest.exit_on_last_event = true;
    settings
}

async fn to_its_end(settings: Settings) -> Summary {
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends by itself").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_twenty_events_in_pages_of_five_come_in_order_and_once_and_then_it_ends() {
    let stage = in_order();
    let made = make(&mut Maker::new(101), &plain(), 20, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    let summary = to_its_end(pages_of_five(&stage)).await;
    assert_eq!(arrived(&stage), uids(&made));
    assert_eq!((summary.totals.delivered, summary.totals.parked), (20, 0));
    let calls = stage.auth.calls();
    let limits: Vec<_> = calls.iter().filter(|call| call.method == "GetEvents").collect();
    assert!(limits.iter().all(|call| call.request["limit"] == 5), "{limits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_while_searches_fail_nothing_is_sent_and_then_everything() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(102), &plain(), 20, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    let failing = |code| CallFault { code, method: "GetEvents".into(), ..CallFault::default() };
    stage.auth.set(|switches| switches.fail = vec![failing(13)]);
    stage
        .run_until(async |stage| {
            stage
                .auth
                .wait(|tally| tally.methods.get("GetEvents").is_some_and(|m| m.errors > 2))
                .await;
            assert_eq!(stage.fluentd.tally().requests, 0);
            stage.auth.set(|switches| switches.fail.clear());
            stage.received(20).await;
        })
        .await;
    assert_eq!(stage.fluentd.tally().events, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_a_page_that_grows_brings_what_is_new_and_nothing_twice() {
    let stage = in_order();
    let made = make(&mut Maker::new(103), &plain(), 9, 0, 30);
    let [first, second, third] = [&made[..3], &made[3..5], &made[5..]];
    stage.auth.append(first.iter().map(Made::event));
    stage
        .run_until(async |stage| {
            stage.received(3).await;
            stage.auth.append(second.iter().map(Made::event));
            stage.received(5).await;
            stage.auth.append(third.iter().map(Made::event));
            stage.received(9).await;
        })
        .await;
    assert_eq!(arrived(&stage), uids(&made));
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_whole_pages_of_skipped_types_in_the_middle_are_passed_over() {
    let stage = in_order();
    let vectors = plain();
    let (skipped, others) = (of_kind(&vectors, "exec"), of_kind(&vectors, "user.login"));
    let mut maker = Maker::new(104);
    let at = |minutes: i64| now().plus_nanos(-i128::from(minutes * 60 + 7200) * 1_000_000_000);
    let made: Vec<Made> = (0..30)
        .map(|n| {
            let vector = if (10..20).contains(&n) { &skipped[0] } else { &others[0] };
            maker.event(vector, at(60 - n)).unwrap()
        })
        .collect();
    stage.auth.append(made.iter().map(Made::event));
    let mut settings = pages_of_five(&stage);
    settings.ingest.skip_event_types.push("exec".into());
    let summary = to_its_end(settings).await;
    assert_eq!(arrived(&stage), uids(made[..10].iter().chain(&made[20..])));
    assert_eq!((summary.totals.delivered, summary.totals.filtered), (20, 10));
}

/// The reference cuts a week into seven; how many windows are read at once, and so how wide they
/// are, is a matter of ours, but none is wider than asked for and nothing lies between them.
#[tokio::test(flavor = "multi_thread")]
async fn w5_no_search_is_wider_than_the_window_size_and_together_they_leave_nothing_out() {
    const DAY: i64 = 86_400;
    for days in [0, 2, 7] {
        let stage = Stage::new("13.3.8");
        let mut settings = pages_of_five(&stage);
        let start = now().seconds - days * DAY - 3600;
        settings.ingest.start_time_unix_secs = Some(start);
        to_its_end(settings).await;
        let mut asked: Vec<(i64, i64)> = stage
            .auth
            .calls()
            .iter()
            .filter(|call| call.method == "GetEvents")
            .map(|call| {
                let second =
                    |key: &str| ev_config::parse_time(call.request[key].as_str().unwrap()).unwrap();
                (second("from"), second("to"))
            })
            .collect();
        asked.sort_unstable();
        assert!(asked.iter().all(|(from, to)| to - from <= DAY + 120), "{asked:?}");
        assert!(asked.len() >= usize::try_from(days).unwrap(), "{asked:?}");
        assert!(asked[0].0 <= start, "{asked:?}");
        let mut reached = asked[0].1;
        for (from, to) in asked {
            assert!(from <= reached, "nobody asked for {reached} to {from}");
            reached = reached.max(to);
        }
        assert!(reached >= now().seconds - 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_at_the_end_nothing_is_left_open() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(106), &plain(), 20, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    to_its_end(pages_of_five(&stage)).await;
    // The storage is free, and what was the last event stays the last.
    let again = to_its_end(pages_of_five(&stage)).await;
    assert_eq!((again.sent, again.totals.delivered), (0, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn w7_after_a_stop_in_the_middle_of_a_page_the_next_event_follows() {
    let stage = in_order();
    let made = make(&mut Maker::new(107), &plain(), 40, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    stage.fluentd.set(|switches| switches.hold_at = Some(13));
    stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events >= 13).await;
            stage.fluentd.stop().await;
        })
        .await;
    stage.fluentd.set(|switches| switches.hold_at = None);
    stage.fluentd.start_again().await.unwrap();
    to_its_end(pages_of_five(&stage)).await;
    let mut arrived = arrived(&stage);
    // The one whose answer got lost is sent again.
    arrived.dedup();
    assert_eq!(arrived, uids(&made));
}

/// As many as the line counts, by the types it names, in the order it names.
#[tokio::test(flavor = "multi_thread")]
async fn x2_the_events_of_a_new_cluster_come_in_their_order() {
    let mut stage = in_order();
    stage.auth.set(|switches| switches.version = "18.0.0-dev".into());
    stage.auth.offer(stage.table("v18dev"));
    stage.extra = "concurrency = 5\nskip-session-types = [\"print\"]".into();
    let vectors = [templates("v18dev"), templates("realistic-v18dev")].concat();
    let mut maker = Maker::new(202);
    let kinds = [
        "instance.join",
        "instance.join",
        "instance.join",
        "instance.join",
        "role.created",
        "user.create",
        "cert.create",
        "role.created",
        "user.create",
        "cert.create",
        "user.create",
    ];
    let at =
        |n: usize| now().plus_nanos(i128::try_from(n).unwrap() * 1_000_000_000 - 30_000_000_000);
    let event =
        |(n, kind): (usize, &&str)| maker.event(&of_kind(&vectors, kind)[0], at(n)).unwrap();
    let made: Vec<Made> = kinds.iter().enumerate().map(event).collect();
    let (before, during) = made.split_at(10);
    stage.auth.append(before.iter().map(Made::event));
    stage
        .run_until(async |stage| {
            stage.received(10).await;
            stage.auth.append(during.iter().map(Made::event));
            stage.received(11).await;
        })
        .await;
    let bodies = &stage.bodies()["events.log"];
    for (body, kind) in bodies.iter().zip(kinds) {
        assert!(body.contains(&format!("\"event\":\"{kind}\"")), "{body}");
    }
    assert_eq!(bodies.len(), kinds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn x3_a_short_session_gives_eight_bodies() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let vectors = templates("v18dev");
    let kind = |name: &str| of_kind(&vectors, name).remove(0);
    let log =
        [kind("session.start"), kind("session.leave"), kind("session.end"), kind("session.data")];
    let inside = [&log[0], &log[1], &log[2]];
    let mut maker = Maker::new(203);
    let at = now().plus_nanos(-60_000_000_000);
    let recording = maker.recording(&kind("session.upload"), &inside, 3, at).unwrap();
    let audit: Vec<Made> = log.iter().map(|vector| maker.event(vector, at).unwrap()).collect();
    stage.auth.append(audit.iter().chain([&recording.upload]).map(Made::event));
    let events = recording.events.iter().map(Made::event);
    stage.auth.store(|store| store.append_recording(&recording.session, events));
    stage.run_until(async |stage| drop(stage.fluentd.wait(|tally| tally.events >= 8).await)).await;
    let bodies = stage.bodies();
    let count = |tag: &str, kind: &str| {
        let kind = format!("\"event\":\"{kind}\"");
        bodies[tag].iter().filter(|body| body.contains(&kind)).count()
    };
    let session = format!("session.{}.log", recording.session);
    for kind in ["session.start", "session.leave", "session.end"] {
        assert_eq!((count("events.log", kind), count(&session, kind)), (1, 1), "{kind}");
    }
    assert_eq!(
        (count("events.log", "session.data"), count("events.log", "session.upload")),
        (1, 1)
    );
    assert_eq!(bodies.values().map(Vec::len).sum::<usize>(), 8);
}
