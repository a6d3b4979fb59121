use ev_test_support::data::{Made, Maker};

use crate::stage::{Stage, make, sorted, templates, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_refused_and_its_events_wait_for_the_good_one() {
    let stage = Stage::new("15.0.0-dev");
    stage.auth.offer(stage.module("v15dev"));
    stage.auth.set(|switches| switches.flip_artifact_byte = true);
    let made = make(&mut Maker::new(5), &templates("v15dev"), 200, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.artifacts_flipped >= 2).await;
            assert_eq!(stage.fluentd.tally().events, 0, "nothing is sent before it is exact");
            stage.auth.set(|switches| switches.flip_artifact_byte = false);
            stage.received(200).await;
        })
        .await;
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(texts(&made)));
    // In memory or in the state, depending on how soon the good one came.
    assert_eq!(summary.totals.resolved + summary.totals.delivered, 200);
    assert_eq!(summary.totals.by_module, 200);
    assert_eq!((summary.totals.parked, summary.totals.inexact), (0, 0));
    assert!(summary.totals.balances());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_downloads_nothing_again() {
    let stage = Stage::new("15.0.0-dev");
    stage.auth.offer(stage.module("v15dev"));
    let vectors = templates("v15dev");
    let mut maker = Maker::new(6);
    let send = |maker: &mut Maker| {
        let made = make(maker, &vectors, 50, 0, 2);
        stage.auth.append(made.iter().map(|event| event.event()));
    };
    send(&mut maker);
    stage.run_until(async |stage| stage.received(50).await).await;
    let bytes = stage.auth.tally().artifact_bytes;
    assert!(bytes > 0);
    send(&mut maker);
    let summary = stage.run_until(async |stage| stage.received(100).await).await;
    assert_eq!(summary.totals.by_module, 100);
    assert_eq!(stage.auth.tally().artifact_bytes, bytes, "the one that is kept is still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_artifacts_serves_a_cluster_that_offers_none() {
    let mut stage = Stage::new("15.0.0-dev");
    let module = stage.module("v15dev");
    let folder = stage.path("artifacts/15.0.0-dev");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("module-abi1.wasm"), &module.payload).unwrap();
    std::fs::write(folder.join("module-abi1.wasm.dsse.json"), &module.envelope).unwrap();
    stage.extra = "[decoder]\nartifacts = \"artifacts\"\n".into();
    let made = make(&mut Maker::new(7), &templates("v15dev"), 100, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let mut settings = {
        stage.extra.clear();
        stage.settings()
    };
    let place = ev_config::ArtifactPlace::Directory(stage.path("artifacts"));
    settings.decoder.artifacts = Some(place);
    let summary = stage.run_settings_until(settings, async |stage| stage.received(100).await).await;
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(texts(&made)));
    assert_eq!(summary.totals.by_module, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_artifact_known_events_flow_and_unknown_ones_are_kept() {
    let stage = Stage::new("15.0.0-dev");
    let made = make(&mut Maker::new(8), &templates("v15dev"), 141, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let mut settings = stage.settings();
    settings.decoder.unknown = ev_config::Unknown::Park;
    let summary = stage
        .run_settings_until(settings.clone(), async |stage| {
            stage.fluentd.wait(|tally| tally.events > 20).await;
            let calls = stage.auth.tally().methods["GetEvents"].calls;
            stage.auth.wait(|tally| tally.methods["GetEvents"].calls > calls + 3).await;
        })
        .await;
    assert_eq!(summary.passed, 141, "none is left out and none holds up the rest");
    assert!(summary.totals.parked > 10 && summary.totals.delivered > 20, "{summary:?}");
    assert_eq!(summary.totals.inexact, summary.totals.delivered);
    assert!(summary.totals.balances());
    assert_eq!(stage.auth.tally().methods["GetEvents"].errors, 0);

    // The artifact appears: what was kept leaves.
    stage.auth.offer(stage.module("v15dev"));
    let before = stage.fluentd.tally().events;
    let summary = stage
        .run_settings_until(settings, async |stage| {
            stage.fluentd.wait(|tally| tally.events >= 141).await;
        })
        .await;
    assert_eq!(summary.totals.parked, 0);
    assert_eq!(summary.totals.resolved, 141 - before);
    let wanted = sorted(texts(&made));
    let exact = stage.bodies()["events.log"].iter().filter(|b| wanted.contains(b)).count();
    assert!(exact > 100, "{exact}");
}

/// Auth calls itself by the version of an embedded table and sends events beyond it, as a build
/// from a later state of the sources does. Returns how many, and the events.
fn beyond(stage: &Stage, seed: u32, count: usize) -> Vec<Made> {
    let made = make(&mut Maker::new(seed), &templates("v15dev"), count, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_exact_table_is_under_the_policy_for_unknown_events() {
    let run = async |unknown, more_than| {
        let stage = Stage::new("13.3.8");
        let made = beyond(&stage, 20, 141);
        let mut settings = stage.settings();
        settings.decoder.unknown = unknown;
        let summary = stage
            .run_settings_until(settings, async |stage| {
                stage.fluentd.wait(|tally| tally.events > more_than).await;
                let calls = stage.auth.tally().methods["GetEvents"].calls;
                stage.auth.wait(|tally| tally.methods["GetEvents"].calls > calls + 3).await;
            })
            .await;
        assert_eq!(summary.passed, made.len() as u64, "nothing is lost");
        assert!(summary.totals.balances());
        assert!(summary.totals.parked > 0, "those of an unknown type are kept in any case");
        let is_marked = |body: &&String| body.contains("\"ev_incomplete\":true");
        let marked = stage.bodies()["events.log"].iter().filter(is_marked).count();
        (summary.totals.delivered, marked)
    };
    let (known, marked) = run(ev_config::Unknown::Park, 20).await;
    assert_eq!(marked, 0);
    let (_, marked) = run(ev_config::Unknown::Incomplete, known).await;
    assert!(marked > 0);
    // Nobody offers an artifact.
    let (_, marked) = run(ev_config::Unknown::Auto, known).await;
    assert!(marked > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_exact_table_waits_for_the_artifact_of_its_version() {
    let stage = Stage::new("13.3.8");
    let made = beyond(&stage, 21, 141);
    let mut settings = stage.settings();
    settings.decoder.unknown = ev_config::Unknown::Park;
    let summary = stage
        .run_settings_until(settings.clone(), async |stage| {
            stage.fluentd.wait(|tally| tally.events > 20).await;
        })
        .await;
    assert!(summary.totals.parked > 0, "{summary:?}");

    // After a restart nothing of that is known but what was parked, and that is enough.
    stage.auth.offer(stage.module_for("v15dev", "13.3.8"));
    let summary = stage.run_settings_until(settings, async |stage| stage.received(141).await).await;
    assert_eq!(summary.totals.parked, 0);
    assert!(summary.totals.resolved > 0 && summary.totals.balances(), "{summary:?}");
    let wanted = sorted(texts(&made));
    let exact = stage.bodies()["events.log"].iter().filter(|b| wanted.contains(b)).count();
    assert!(exact > 100, "{exact}");
}
