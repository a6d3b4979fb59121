//! No room for the state while it catches up.

use rustix::process::Signal;

use super::program::Program;
use super::{Crashes, Scene, WINDOW};

const STANDS_STILL: [&str; 1] = ["state cannot be written, delivery stands still"];

/// A handler in the middle of a backlog whose disk takes nothing any more, and that has noticed.
async fn without_room(scene: &Scene) -> Program {
    scene.stage.fluentd.set(|switches| switches.latency_ms = 25);
    let program = scene.start();
    let tally = scene.stage.fluentd.tally();
    let full = scene.received(tally.events - tally.repeated + 500).await;
    program.limit_files(Some(0));
    program.says("ERROR", &STANDS_STILL, 1).await;
    let tally = scene.until("the end of requests", |tally| tally.in_flight == 0).await;
    assert!(tally.events - full.events <= WINDOW, "{tally:?}");
    // It has asked again meanwhile, and nothing has gone on.
    program.says("ERROR", &STANDS_STILL, 3).await;
    assert_eq!(scene.stage.fluentd.tally(), tally);
    assert!(tally.events < scene.log.len() as u64, "it came in the middle");
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_delivery_until_there_is_room() {
    let scene = Scene::new(74, 4000);
    let program = without_room(&scene).await;
    program.limit_files(None);
    program.says("INFO", &["state can be written again"], 1).await;
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!(scene.repeated(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_ends_on_a_full_disk_goes_on_from_what_it_had_committed() {
    let scene = Scene::new(75, 7000);
    let mut crashes = Crashes::default();
    for signal in [Signal::KILL, Signal::TERM] {
        let program = without_room(&scene).await;
        let ending = program.end(signal).await;
        if signal == Signal::TERM {
            assert_eq!(ending.code, Some(1), "{:#?}", ending.log);
            let fatal = ["terminating with a fatal error", "state.db"];
            assert_eq!(ending.said("ERROR", &fatal), 1, "{:#?}", ending.log);
        }
        crashes.add(&scene).await;
    }
    let program = scene.start();
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    crashes.are_all_that_repeats(&scene);
}
