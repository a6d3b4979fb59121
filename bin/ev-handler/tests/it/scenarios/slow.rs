//! A receiver that takes its time: several requests wait for it at one time.

use super::program::Program;
use super::{CONNECTIONS, Scene};

async fn goes_on(scene: Scene, latency_ms: u64, mode: &str, connections: u64) {
    scene.stage.fluentd.set(|switches| switches.latency_ms = latency_ms);
    let most = connections.to_string();
    let args = ["--fluentd-batch-mode", mode, "--fluentd-max-connections", &most];
    let program = Program::start(&scene.stage, &args);
    let tally = scene.received_all().await;
    assert!(tally.most_in_flight > connections / 2, "{tally:?}");
    assert!(tally.most_in_flight <= connections, "{tally:?}");
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!((scene.repeated(), ending.count("retries")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_25_ms_is_asked_several_times_at_once() {
    goes_on(Scene::new(64, 2000), 25, "array", CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_250_ms_is_asked_several_times_at_once() {
    goes_on(Scene::new(65, 600), 250, "array", CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_objects_are_sent_several_at_once_too() {
    goes_on(Scene::new(66, 400), 25, "single", 10).await;
}
