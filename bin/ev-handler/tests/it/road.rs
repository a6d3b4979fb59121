use std::collections::BTreeSet;

use ev_test_support::data::Maker;

use crate::stage::{Inside, Stage, make, sorted, templates, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_three_days_arrives_whole_and_exact() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(1), &templates("v13"), 3000, 60, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage.run_until(async |stage| stage.received(3000).await).await;
    let bodies = stage.bodies();
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["events.log"]);
    assert_eq!(sorted(bodies["events.log"].clone()), sorted(texts(&made)));
    assert_eq!((summary.totals.delivered, summary.totals.by_native), (3000, 3000));
    assert!(summary.totals.balances());

    // A second run has nothing left to do.
    let pings = stage.auth.tally().methods["Ping"].calls;
    let again = stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.methods["Ping"].calls > pings).await;
            let searches = stage.auth.tally().methods["GetEvents"].calls;
            stage.auth.wait(|tally| tally.methods["GetEvents"].calls > searches + 3).await;
        })
        .await;
    assert_eq!((again.passed, again.sent), (0, 0));
    assert_eq!(stage.fluentd.tally().events, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_follow_while_it_runs() {
    let stage = Stage::new("13.3.8");
    let vectors = templates("v13");
    let mut maker = Maker::new(2);
    let summary = stage
        .run_until(async |stage| {
            for round in 1..=5 {
                let made = make(&mut maker, &vectors, 20, 0, 2);
                stage.auth.append(made.iter().map(|event| event.event()));
                stage.received(round * 20).await;
            }
        })
        .await;
    assert_eq!(summary.totals.delivered, 100);
    assert_eq!(stage.fluentd.tally().repeated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_auth_fetches_its_module_and_every_body_is_of_its_version() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(3);
    let first = make(&mut maker, &templates("v13"), 300, 1, 3600);
    let second = make(&mut maker, &templates("v15dev"), 300, 0, 1);
    let third = make(&mut maker, &templates("v18dev"), 400, 0, 1);
    stage.auth.offer(stage.module("v15dev"));
    stage.auth.offer(stage.module("v18dev"));
    stage.auth.append(first.iter().map(|event| event.event()));
    let summary = stage
        .run_until(async |stage| {
            stage.received(300).await;
            stage.auth.upgrade("15.0.0-dev").await;
            stage.auth.append(second.iter().map(|event| event.event()));
            stage.received(600).await;
            stage.auth.upgrade("18.0.0-dev").await;
            stage.auth.append(third.iter().map(|event| event.event()));
            stage.received(1000).await;
        })
        .await;
    let expected = [texts(&first), texts(&second), texts(&third)].concat();
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(expected));
    assert_eq!((summary.totals.by_native, summary.totals.by_module), (300, 700));
    assert_eq!(summary.totals.inexact, 0);
    assert!(summary.totals.balances());
    let tally = stage.auth.tally();
    assert_eq!(tally.artifacts_sent, 2, "one download for each new version");
    assert!(tally.pings.len() == 3, "{:?}", tally.pings);
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_follow_their_announcement_in_order() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let inside = Inside::new();
    let mut maker = Maker::new(4);
    let mut expected = BTreeSet::new();
    let mut count = 0;
    for _ in 0..7 {
        let at = crate::stage::now().plus_nanos(-90 * 1_000_000_000);
        let recording = inside.recording(&mut maker, 60, at);
        stage.auth.append([recording.upload.event()]);
        let events = recording.events.iter().map(|event| event.event());
        stage.auth.store(|store| store.append_recording(&recording.session, events));
        expected.insert((format!("session.{}.log", recording.session), texts(&recording.events)));
        expected.insert((format!("upload {}", recording.session), texts(&[recording.upload])));
        count += 61;
    }
    // Equal events of a recording are all sent, so repetitions count here.
    let summary = stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events >= count).await;
        })
        .await;
    for (tag, bodies) in stage.bodies() {
        if tag != "events.log" {
            assert!(expected.contains(&(tag.clone(), bodies)), "{tag} differs");
        }
    }
    assert_eq!(stage.bodies().len(), 8);
    assert_eq!(summary.totals.sessions, 7);
    assert_eq!(summary.totals.by_table, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_by_itself_at_the_last_event_of_a_quiet_log() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(12), &templates("v13"), 1000, 60, 5400);
    stage.auth.append(made.iter().map(|event| event.event()));
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    // No recording is announced: one that Auth never has would be waited for.
    settings.ingest.skip_event_types.push("session.upload".into());
    let uploads = made.iter().filter(|event| event.kind == "session.upload").count();
    let stop = tokio_util::sync::CancellationToken::new();
    let run = ev_handler::start::start(settings, stop);
    let summary = tokio::time::timeout(std::time::Duration::from_secs(60), run).await;
    let summary = summary.expect("it ends by itself").unwrap();
    assert_eq!(summary.totals.passed, 1000);
    assert_eq!(stage.bodies()["events.log"].len(), 1000 - uploads);
}
