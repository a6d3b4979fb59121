//! The handler is killed, or told to end, while it catches up.

use super::{BATCH, CONNECTIONS, Crashes, Scene};

/// The most that answers of 25 ms let through before the next kill comes.
const LATENCY_MS: u64 = 25;

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_repeat_only_what_was_not_committed() {
    let scene = Scene::new(72, 5000);
    scene.stage.fluentd.set(|switches| switches.latency_ms = LATENCY_MS);
    let mut crashes = Crashes::default();
    for progress in [1, 150, 700, 1600, 2900, 4100] {
        let program = scene.start();
        scene.received(progress).await;
        program.kill().await;
        crashes.add(&scene).await;
    }
    let program = scene.start();
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    crashes.are_all_that_repeats(&scene);
}

#[tokio::test(flavor = "multi_thread")]
async fn orderly_ends_repeat_nothing() {
    let scene = Scene::new(73, 3000);
    scene.stage.fluentd.set(|switches| switches.latency_ms = LATENCY_MS);
    for progress in [1, 400, 1000, 2000] {
        let program = scene.start();
        scene.received(progress).await;
        let ending = program.terminate().await;
        let tally = scene.stage.fluentd.tally();
        // What was under way was waited for, and all of it is in the state.
        assert_eq!(tally.in_flight, 0);
        assert_eq!(ending.count("total_delivered"), tally.events, "{:?}", ending.summary);
        assert!(tally.events < 3000, "it came in the middle");
        assert!(tally.events >= progress && tally.most_in_flight <= CONNECTIONS, "{tally:?}");
        assert!(tally.largest_batch <= BATCH, "{tally:?}");
    }
    let program = scene.start();
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!(scene.repeated(), 0);
}
