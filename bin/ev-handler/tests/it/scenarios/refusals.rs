//! A receiver that refuses: one record, or everything.

use std::process::Command;

use ev_test_support::data::Made;
use ev_test_support::{FailRule, FluentdVersion};
use serde_json::Value;

use super::{PATIENCE, Scene, answers};
use crate::stage::{Stage, make, templates};

/// A backlog with one event that is larger than all others, somewhere in the middle, and the size
/// that all others have at most.
fn with_a_large_one(seed: u32, count: usize) -> (Scene, String, usize) {
    let mut scene = Scene::empty(seed);
    let mut vectors = templates("v13");
    vectors.sort_by_key(|vector| vector.json.len());
    let large = vectors.pop().unwrap();
    let mut made = make(&mut scene.maker, &vectors, count, 60, 5);
    let at = made[count / 2].time;
    made.insert(count / 2, scene.maker.event(&large, at).unwrap());
    let sizes = |events: &[Made]| events.iter().map(|event| event.json.len()).max().unwrap();
    let limit = sizes(&made[..count / 2]).max(sizes(&made[count / 2 + 1..]));
    let poison = String::from_utf8(made[count / 2].json.to_vec()).unwrap();
    assert!(poison.len() > limit);
    scene.append(&made);
    (scene, poison, limit)
}

/// What a command about parked events says.
fn parked_command(stage: &Stage, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .arg("parked")
        .args(args)
        .args(["--storage", "storage"])
        .current_dir(stage.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn list(stage: &Stage) -> Value {
    serde_json::from_str(&parked_command(stage, &["list", "--json"])).unwrap()
}

/// The poison record alone is parked, all others are stored, and it is delivered when it is taken.
async fn one_record_is_never_taken(seed: u32, version: FluentdVersion) {
    let (mut scene, poison, limit) = with_a_large_one(seed, 600);
    scene.stage.fluentd.set(|switches| {
        switches.version = version;
        switches.record_limit = limit;
    });
    let program = scene.start();
    scene.received(600).await;
    program.says("WARN", &["delivery failed"], 1).await;
    let proof = async {
        while list(&scene.stage)["events"] == 0 {
            // Others go by, or nothing would speak against it.
            scene.go_on(20);
            scene.received(scene.log.len() as u64 - 1).await;
        }
    };
    tokio::time::timeout(PATIENCE, proof).await.expect("it is parked");
    let ending = program.terminate().await;
    ending.owns_up_to(&scene.stage.fluentd.tally());
    let counts = ["total_parked", "total_delivered"].map(|name| ending.count(name));
    assert_eq!(counts, [1, scene.log.len() as u64 - 1], "{:?}", ending.summary);
    let parked = list(&scene.stage);
    assert_eq!(parked["events"], 1, "{parked}");
    assert_eq!(parked["parked"][0]["reason"], "refused", "{parked}");
    let detail = parked["parked"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("larger than buffer chunk limit size"), "{parked}");
    assert!(!scene.stage.bodies()["events.log"].contains(&poison));

    scene.stage.fluentd.set(|switches| switches.record_limit = 0);
    // It would be, by itself, after a minute or more.
    parked_command(&scene.stage, &["retry", "--all"]);
    let program = scene.start();
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.nothing_is_lost();
    let counts = ["total_parked", "total_resolved"].map(|name| ending.count(name));
    assert_eq!(counts, [0, 1], "{:?}", ending.summary);
    assert_eq!(list(&scene.stage)["events"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_that_is_named_is_parked_alone() {
    one_record_is_never_taken(67, FluentdVersion::V1_16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_that_nobody_names_is_parked_alone() {
    one_record_is_never_taken(68, FluentdVersion::V1_12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_everything_gets_all_of_it_once_it_is_mended() {
    let scene = Scene::new(69, 1500);
    let fluentd = &scene.stage.fluentd;
    fluentd.set(|switches| switches.latency_ms = 5);
    let program = scene.start();
    scene.received(300).await;
    let rule = FailRule { status: 400, ..FailRule::default() };
    fluentd.set(|switches| switches.fail.push(rule));
    let taken = scene.until("a refusal", |tally| answers(tally, 400) >= 1).await.events;
    let alarm = ["delivery stands still until this is mended"];
    program.says("ERROR", &alarm, 1).await;
    let tally = scene.until("more refusals", |tally| answers(tally, 400) >= 20).await;
    assert_eq!(tally.events, taken);
    assert_eq!(list(&scene.stage)["events"], 0);
    let ending = program.terminate().await;
    assert_eq!(ending.said("ERROR", &[]), 1, "{:#?}", ending.log);
    assert_eq!(ending.said("ERROR", &alarm), 1);
    // What was taken is settled, and nothing else.
    let counts = ["total_passed", "total_delivered", "total_parked"].map(|name| ending.count(name));
    assert_eq!(counts, [taken, taken, 0], "{:?}", ending.summary);

    // It goes on from there, after a restart while nothing is mended yet, too.
    let program = scene.start();
    program.says("ERROR", &alarm, 1).await;
    fluentd.set(|switches| switches.fail.clear());
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!(scene.repeated(), 0);
    assert_eq!(ending.said("INFO", &["delivery works again"]), 1, "{:#?}", ending.log);
}
