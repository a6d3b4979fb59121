//! Audit events and recordings may go to different servers, to any paths.

use ev_test_support::data::Maker;
use ev_test_support::{FakeFluentd, FluentdConfig, loopback};

use crate::stage::{Inside, Stage, now, texts};

#[tokio::test(flavor = "multi_thread")]
async fn recordings_go_where_their_address_says() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let other = FakeFluentd::start(loopback().unwrap(), FluentdConfig::default()).unwrap();
    let inside = Inside::new();
    let at = now().plus_nanos(-90 * 1_000_000_000);
    let recording = inside.recording(&mut Maker::new(50), 20, at);
    stage.auth.append([recording.upload.event()]);
    let events = recording.events.iter().map(|event| event.event());
    stage.auth.store(|store| store.append_recording(&recording.session, events));

    let mut settings = stage.settings();
    settings.fluentd.as_mut().unwrap().url = stage.fluentd.url("audit.of.the.cluster");
    settings.fluentd.as_mut().unwrap().session_url = other.url("of-{session-id}");
    stage
        .run_settings_until(settings, async |stage| {
            stage.fluentd.wait(|tally| tally.events >= 1).await;
            other.wait(|tally| tally.events >= 20).await;
        })
        .await;
    let audit = stage.bodies();
    assert_eq!(audit.keys().collect::<Vec<_>>(), ["audit.of.the.cluster"]);
    assert_eq!(audit["audit.of.the.cluster"], texts(&[recording.upload]));
    let recorded = other.received();
    assert!(recorded.iter().all(|event| event.tag == format!("of-{}", recording.session)));
    let bodies: Vec<_> =
        recorded.iter().map(|event| String::from_utf8(event.body.to_vec()).unwrap()).collect();
    assert_eq!(bodies, texts(&recording.events));
}
