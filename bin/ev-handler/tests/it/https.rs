//! Artifacts from a web server, for a cluster whose Auth serves none.

use std::process::Command;

use ev_test_support::data::Maker;

use crate::stage::{Stage, make, sorted, templates, texts};
use crate::web::Web;

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_auth_is_decoded_by_an_artifact_from_a_web_server() {
    let mut stage = Stage::new("13.3.8");
    let web = Web::start(&stage).await;
    stage.decoder = web.settings();
    let before = make(&mut Maker::new(21), &templates("v13"), 50, 2, 3600);
    stage.auth.append(before.iter().map(|event| event.event()));
    let after = make(&mut Maker::new(22), &templates("v15dev"), 100, 0, 2);
    let summary = stage
        .run_until(async |stage| {
            stage.received(50).await;
            assert_eq!(web.seen(), [""; 0], "the version is built in");
            web.offer(&stage.table("v15dev"));
            stage.auth.upgrade("15.0.0-dev").await;
            stage.auth.append(after.iter().map(|event| event.event()));
            stage.received(150).await;
        })
        .await;
    let wanted = [texts(&before), texts(&after)].concat();
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(wanted));
    let totals = &summary.totals;
    assert_eq!((totals.by_native, totals.by_table, totals.inexact), (50, 100, 0));
    assert!(totals.balances());
    let seen = web.seen();
    assert!(seen.contains(&"/ev/15.0.0-dev/table-v1.evt".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"/ev/versions.json".to_owned()), "the exact one was there: {seen:?}");
    assert_eq!(stage.auth.tally().artifacts_sent, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_exact_artifact_is_missing_the_nearest_newer_one_is_taken_if_allowed() {
    // Older than the one that is offered, as version numbers go.
    let mut stage = Stage::new("15.0.0-alpha.1");
    let web = Web::start(&stage).await;
    web.offer(&stage.table("v15dev"));
    let index = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["decoder", "index", "--dir"])
        .arg(stage.path("artifacts"))
        .output()
        .unwrap();
    assert!(index.status.success(), "{index:?}");
    stage.decoder = web.settings() + "version-policy = \"nearest-newer-in-major\"\n";
    let made = make(&mut Maker::new(23), &templates("v15dev"), 100, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage.run_until(async |stage| stage.received(100).await).await;
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(texts(&made)));
    assert_eq!((summary.totals.by_table, summary.totals.inexact), (100, 100));
    assert!(summary.totals.balances());
    assert!(web.seen().contains(&"/ev/versions.json".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_artifact_from_a_web_server_is_refused_and_its_events_wait() {
    let mut stage = Stage::new("15.0.0-dev");
    let web = Web::start(&stage).await;
    stage.decoder = web.settings();
    let good = stage.table("v15dev");
    let mut damaged = good.clone();
    let mut bytes = damaged.payload.to_vec();
    bytes[100] ^= 1;
    damaged.payload = bytes.into();
    web.offer(&damaged);
    let made = make(&mut Maker::new(24), &templates("v15dev"), 100, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage
        .run_until(async |stage| {
            // When it is fetched a second time, it was refused once.
            web.asked("/ev/15.0.0-dev/table-v1.evt", 2).await;
            assert_eq!(stage.fluentd.tally().events, 0, "nothing is sent before it is exact");
            web.offer(&good);
            stage.received(100).await;
        })
        .await;
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(texts(&made)));
    assert_eq!((summary.totals.by_table, summary.totals.inexact), (100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used_ends_the_start() {
    let mut stage = Stage::new("13.3.8");
    // Nobody has to be reached to tell.
    stage.auth.stop().await;
    let text = async |stage: &Stage| {
        let stop = tokio_util::sync::CancellationToken::new();
        let error = ev_handler::start::start(stage.settings(), stop).await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        format!("{error}: {source}")
    };
    stage.decoder = "artifacts = \"http://artifacts.example.com/ev\"\n".into();
    let told = text(&stage).await;
    assert!(told.starts_with("decoder.artifacts: `http://artifacts.example.com/ev`"), "{told}");
    assert!(told.contains("use `https`"), "{told}");
    stage.decoder = "artifacts = \"https://user:s3cret@h/ev?s3cret\"\n".into();
    let told = text(&stage).await;
    assert!(told.contains("`https://…@h/ev` is not usable: a user or password"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}
