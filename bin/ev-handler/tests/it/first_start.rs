//! Where a state that knows nothing begins, and what is left out of the log on each road.

use std::collections::{BTreeMap, BTreeSet};

use ev_config::{Road, Settings};
use ev_pipeline::Summary;
use ev_test_support::Api;
use ev_test_support::data::{Made, Maker, read_vectors};
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, golden, make, now, templates, with_json};

async fn to_its_end(mut settings: Settings) -> Summary {
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends by itself").unwrap()
}

fn uids(stage: &Stage) -> BTreeSet<String> {
    let bodies = stage.bodies().remove("events.log").unwrap_or_default();
    let uid = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["uid"].as_str().unwrap().to_owned()
    };
    bodies.iter().map(uid).collect()
}

fn of(made: &[Made]) -> BTreeSet<String> {
    made.iter().map(|event| event.uid.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_start_time_it_begins_now_and_remembers_when_that_was() {
    let stage = Stage::new("13.3.8");
    let (mut maker, vectors) = (Maker::new(401), templates("v13"));
    let before = make(&mut maker, &vectors, 50, 2, 60);
    stage.auth.append(before.iter().map(Made::event));
    let mut settings = stage.settings();
    settings.ingest.start_time_unix_secs = None;
    let searched = |stage: &Stage| {
        stage.auth.tally().methods.get("GetEvents").map_or(0, |method| method.calls)
    };
    stage
        .run_settings_until(settings.clone(), async |stage| {
            stage.auth.wait(|tally| tally.methods.contains_key("GetEvents")).await;
        })
        .await;
    assert!(searched(&stage) > 0);
    // What comes while it is stopped lies behind its beginning.
    let at = now().plus_nanos(1_000_000_000);
    let after: Vec<Made> = (0..5).map(|n| maker.event(&vectors[n], at).unwrap()).collect();
    stage.auth.append(after.iter().map(Made::event));
    stage.run_settings_until(settings, async |stage| stage.received(5).await).await;
    assert_eq!(uids(&stage), of(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_state_it_begins_anew() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(402), &templates("v13"), 60, 2, 5400);
    stage.auth.append(made.iter().map(Made::event));
    to_its_end(stage.settings()).await;
    // Another start time is refused while there is a state.
    let mut other = stage.settings();
    let second = made[30].time.seconds;
    other.ingest.start_time_unix_secs = Some(second);
    other.ingest.exit_on_last_event = true;
    let refused = ev_handler::start::start(other.clone(), CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("cannot change the start time"));
    assert_eq!(stage.fluentd.tally().repeated, 0);

    std::fs::remove_dir_all(stage.path("storage/ev-state")).unwrap();
    stage.fluentd.clear();
    let summary = to_its_end(other).await;
    let behind: Vec<Made> =
        made.iter().filter(|event| event.time.seconds >= second).cloned().collect();
    assert!(behind.len() < made.len());
    assert_eq!(uids(&stage), of(&behind));
    assert_eq!(summary.totals.delivered, behind.len() as u64);
}

/// All four, together, by whatever calls the log is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_settings_leave_out_is_left_out_on_every_road() {
    let roads = [
        (Road::Typed, &[Api::Typed][..]),
        (Road::Unstructured, &[Api::Unstructured]),
        (Road::Export, &[Api::Export, Api::Unstructured]),
    ];
    let recorded = read_vectors(&golden("realistic-v18dev")).unwrap();
    let upload = recorded.iter().find(|v| v.kind == "session.upload" && v.is_template()).unwrap();
    let inside: Vec<_> = recorded
        .iter()
        .filter(|v| !v.recording.is_empty() && ["print", "resize"].contains(&&*v.kind))
        .collect();
    for (road, apis) in roads {
        let stage = Stage::new("18.0.0-dev");
        stage.auth.offer(stage.table("v18dev"));
        stage.auth.set(|switches| switches.offer_only(apis));
        let mut maker = Maker::new(403);
        let kinds = ["user.login", "user.create", "role.created"];
        let vectors = [with_json("v18dev"), with_json("realistic-v18dev")].concat();
        let template = |kind: &str| vectors.iter().find(|v| v.kind == kind).unwrap();
        // Around the first second, and behind it.
        let start = now().seconds - 7200;
        let mut made = Vec::new();
        for (n, second) in [-1, 0, 1, 2, 3600].into_iter().enumerate() {
            for kind in kinds {
                let at = now().plus_nanos(
                    i128::from(start + second - now().seconds) * 1_000_000_000 + n as i128,
                );
                made.push(maker.event(template(kind), at).unwrap());
            }
        }
        let at = now().plus_nanos(-1_800_000_000_000);
        let recording = maker.recording(upload, &inside, 40, at).unwrap();
        let left: BTreeSet<i64> =
            recording.events.iter().filter(|e| e.kind != "print").map(|e| e.index).collect();
        assert!(!left.is_empty() && left.len() < recording.events.len());
        stage.auth.append(made.iter().chain([&recording.upload]).map(Made::event));
        let events = recording.events.iter().map(Made::event);
        stage.auth.store(|store| store.append_recording(&recording.session, events));

        let mut settings = stage.settings();
        settings.ingest.source = road;
        settings.ingest.types =
            ["user.login", "user.create", "session.upload"].map(str::to_owned).into();
        settings.ingest.skip_event_types = vec!["user.create".to_owned()];
        settings.ingest.skip_session_types = vec!["print".to_owned()];
        settings.ingest.start_time_unix_secs = Some(start);
        let summary = to_its_end(settings).await;
        let expected: Vec<Made> = made
            .iter()
            .filter(|event| event.kind == "user.login" && event.time.seconds >= start)
            .chain([&recording.upload])
            .cloned()
            .collect();
        assert_eq!(expected.len(), 5);
        assert_eq!(uids(&stage), of(&expected), "{road:?}");
        let of_session = stage.bodies().remove(&format!("session.{}.log", recording.session));
        let indexes: BTreeMap<i64, usize> =
            of_session.unwrap_or_default().iter().fold(BTreeMap::new(), |mut indexes, body| {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                *indexes.entry(body["ei"].as_i64().unwrap_or_default()).or_default() += 1;
                indexes
            });
        assert_eq!(indexes.keys().copied().collect::<BTreeSet<_>>(), left, "{road:?}");
        assert!(summary.totals.balances() && summary.totals.filtered > 0, "{summary:?}");
    }
}
