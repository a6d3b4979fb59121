//! The whole program on the road of the bulk export.

use std::collections::BTreeSet;

use ev_test_support::data::{Made, Maker};
use ev_test_support::{Api, FailRule};

use crate::faults::Child;
use crate::stage::{Inside, PATIENCE, Stage, make, now, sorted, with_json};

/// So many dates and hours are between the first event and now.
const HOURS: i64 = 60;

fn stage() -> Stage {
    let mut stage = Stage::new("18.2.0");
    stage.extra = "source = \"export\"\nexport.poll = \"50ms\"\n".to_owned();
    stage.auth.set(|switches| {
        switches.offer_only(&[Api::Export, Api::Unstructured]);
        switches.export_chunk = 100;
    });
    stage
}

fn texts(made: &[Made]) -> Vec<String> {
    made.iter().map(|event| String::from_utf8(event.struct_json().to_vec()).unwrap()).collect()
}

fn log(stage: &Stage) -> Vec<String> {
    sorted(stage.bodies().remove("events.log").unwrap_or_default())
}

/// Chunks that were asked for from their beginning, each as often as it was.
fn begun(stage: &Stage) -> Vec<String> {
    let calls = stage.auth.calls();
    let of_chunks = calls.iter().filter(|call| call.method == "ExportUnstructuredEvents");
    let begun = of_chunks.filter(|call| call.request["cursor"] == "");
    begun.map(|call| format!("{}/{}", call.request["date"], call.request["chunk"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_dates_arrive_whole_and_exact_and_are_not_read_again() {
    let stage = stage();
    let mut maker = Maker::new(21);
    let made = make(&mut maker, &with_json("v18dev"), 3000, HOURS, 5);
    // In front of the start, some of it on the same date.
    let before = make(&mut maker, &with_json("v18dev"), 60, 1, 3 * 86_400 + 20);
    stage.auth.append(before.iter().chain(&made).map(|event| event.event()));
    let summary = stage.run_until(async |stage| stage.received(3000).await).await;
    assert_eq!(stage.bodies().keys().collect::<Vec<_>>(), ["events.log"]);
    assert_eq!(log(&stage), sorted(texts(&made)), "nothing of what lies before the start");
    assert_eq!((summary.totals.delivered, summary.totals.passed), (3000, 3000));
    assert!(summary.totals.balances());

    let chunks = begun(&stage);
    assert_eq!(chunks.iter().collect::<BTreeSet<_>>().len(), chunks.len(), "each is begun once");
    let again = stage
        .run_until(async |stage| {
            let lists = stage.auth.tally().methods["GetEventExportChunks"].calls;
            stage.auth.wait(|tally| tally.methods["GetEventExportChunks"].calls > lists + 8).await;
        })
        .await;
    assert_eq!((again.passed, again.sent), (0, 0));
    assert_eq!(begun(&stage), chunks, "the first date included");
    assert_eq!(stage.fluentd.tally().events, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_and_begins_no_date_again() {
    let stage = stage();
    let made = make(&mut Maker::new(22), &with_json("v18dev"), 5000, HOURS, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    stage.fluentd.set(|switches| switches.latency_ms = 5);
    for part in 1..=3 {
        let child = Child::start(&stage);
        stage.fluentd.wait(|tally| tally.events >= part * 1200).await;
        child.kill();
    }
    let child = Child::start(&stage);
    stage.received(5000).await;
    assert_eq!(child.terminate(), Some(0), "an orderly end");
    let mut bodies = log(&stage);
    let all = bodies.len();
    bodies.dedup();
    assert_eq!(bodies, sorted(texts(&made)));
    // For each kill: 2,000 events before a commit is forced, and what was in flight.
    let window = 3 * (2000 + 10 * 500);
    assert!(all - bodies.len() <= window, "{} repetitions", all - bodies.len());
    // What was done stays so: only what was not committed at a kill is begun once more, and the
    // chunks that were under way.
    let chunks = begun(&stage);
    let again = chunks.len() - chunks.iter().collect::<BTreeSet<_>>().len();
    assert!(again <= window / 100, "{again} chunks are begun again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_chunk_of_a_past_date_is_found() {
    let stage = stage();
    let vectors = with_json("v18dev");
    let mut maker = Maker::new(23);
    let made = make(&mut maker, &vectors, 500, 30, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let late = make(&mut maker, &vectors, 40, 1, 86_400);
    let fresh = make(&mut maker, &vectors, 40, 0, 1);
    let summary = stage
        .run_until(async |stage| {
            stage.received(500).await;
            stage.auth.append(late.iter().map(|event| event.event()));
            stage.received(540).await;
            stage.auth.append(fresh.iter().map(|event| event.event()));
            stage.received(580).await;
        })
        .await;
    assert_eq!(summary.totals.delivered, 580);
    let all = [texts(&made), texts(&late), texts(&fresh)].concat();
    assert_eq!(log(&stage), sorted(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn pain_19_an_event_that_is_refused_for_ever_blocks_neither_its_chunk_nor_its_date() {
    for status in [400, 413] {
        let mut stage = stage();
        let made = make(&mut Maker::new(24), &with_json("v18dev"), 1000, 50, 5);
        let poison = made[7].uid.clone();
        assert!(!poison.is_empty());
        stage.auth.append(made.iter().map(|event| event.event()));
        let rule = FailRule { status, containing: poison.clone(), ..FailRule::default() };
        stage.fluentd.set(|switches| switches.fail.push(rule));
        stage.extra += "exit-on-last-event = true\n";
        let stop = tokio_util::sync::CancellationToken::new();
        let run = ev_handler::start::start(stage.settings(), stop);
        let totals = tokio::time::timeout(PATIENCE, run).await.expect("it ends").unwrap().totals;
        assert_eq!((totals.delivered, totals.parked), (999, 1), "{status}");
        let rest: Vec<String> =
            texts(&made).into_iter().filter(|text| !text.contains(&poison)).collect();
        assert_eq!(log(&stage), sorted(rest));
        let chunks = begun(&stage);
        let stop = tokio_util::sync::CancellationToken::new();
        let run = ev_handler::start::start(stage.settings(), stop);
        let again = tokio::time::timeout(PATIENCE, run).await.expect("it ends").unwrap();
        assert_eq!(again.totals.passed, 1000);
        assert_eq!(begun(&stage), chunks, "its chunk is done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_and_it_ends_by_itself_when_all_is_read() {
    let mut stage = stage();
    stage.extra += "exit-on-last-event = true\ntypes = [\"user.login\", \"user.create\"]\nskip-event-types = [\"user.create\"]\n";
    let made = make(&mut Maker::new(25), &with_json("v18dev"), 1500, HOURS, 5);
    let wanted: Vec<Made> =
        made.iter().filter(|event| event.kind == "user.login").cloned().collect();
    let skipped = made.iter().filter(|event| event.kind == "user.create").count();
    assert!(!wanted.is_empty() && skipped > 0);
    stage.auth.append(made.iter().map(|event| event.event()));
    let stop = tokio_util::sync::CancellationToken::new();
    let run = ev_handler::start::start(stage.settings(), stop);
    let summary = tokio::time::timeout(PATIENCE, run).await;
    let totals = summary.expect("it ends by itself").unwrap().totals;
    assert_eq!(log(&stage), sorted(texts(&wanted)));
    let counts = (totals.delivered, totals.filtered);
    assert_eq!(counts, (wanted.len() as u64, skipped as u64), "what is not asked for is not ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_read_beside_the_export() {
    let stage = stage();
    let inside = Inside::new();
    let mut maker = Maker::new(26);
    let mut expected = BTreeSet::new();
    for _ in 0..4 {
        let at = now().plus_nanos(-90 * 1_000_000_000);
        let recording = inside.recording(&mut maker, 40, at);
        stage.auth.append([recording.upload.event()]);
        let events = recording.events.iter().map(|event| event.event());
        stage.auth.store(|store| store.append_recording(&recording.session, events));
        expected.insert((format!("session.{}.log", recording.session), texts(&recording.events)));
    }
    let summary = stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events >= 4 * 41).await;
        })
        .await;
    let mut bodies = stage.bodies();
    assert_eq!(bodies.remove("events.log").map(|events| events.len()), Some(4));
    assert_eq!(bodies.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(summary.totals.sessions, 4);
}
