//! The whole program on the road of the bulk export.

use std::collections::BTreeSet;

use ev_test_support::Api;
use ev_test_support::data::{Made, Maker};

use crate::stage::{Stage, golden, now};

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

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_read_beside_the_export() {
    let stage = stage();
    let vectors = ev_test_support::data::read_vectors(&golden("realistic-v18dev")).unwrap();
    let upload = vectors.iter().find(|v| v.kind == "session.upload" && v.is_template()).unwrap();
    let inside: Vec<_> =
        vectors.iter().filter(|v| !v.recording.is_empty() && v.kind != "print").collect();
    let mut maker = Maker::new(26);
    let mut expected = BTreeSet::new();
    for _ in 0..4 {
        let at = now().plus_nanos(-90 * 1_000_000_000);
        let recording = maker.recording(upload, &inside, 40, at).unwrap();
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
