//! What the process does when it is told something by a signal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ev_test_support::certs::Validity;
use rustix::process::Signal;
use serde_json::Value;

use super::{Program, Scene};
use crate::stage::{make, templates, write};

/// As `systemctl reload` does by the unit of the guide.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_under_load_kills_nothing() {
    let scene = Scene::new(91, 3000);
    let program = Program::start(&scene.stage, &[]);
    for part in 1..=5 {
        scene.stage.received(part * 100).await;
        program.signal(Signal::HUP);
    }
    scene.stage.received(3000).await;
    program.says("INFO", &["reading credentials, certificates and the log level again"], 1).await;
    program.terminate().await;
    assert_eq!(scene.stage.fluentd.tally().repeated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_takes_the_level_and_the_certificates_that_are_there_now() {
    let mut scene = Scene::new(92, 20);
    let program = Program::start(&scene.stage, &[]);
    scene.stage.received(20).await;

    let stage = &scene.stage;
    let client = stage.fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();
    write(stage.dir.path(), "client.crt", &client.cert_pem);
    write(stage.dir.path(), "client.key", &client.key_pem);
    let config = std::fs::read_to_string(stage.path("handler.toml")).unwrap();
    let changed =
        format!("debug = true\n{config}").replace("timeout = \"50ms\"", "timeout = \"51ms\"");
    write(stage.dir.path(), "handler.toml", &changed);
    program.signal(Signal::HUP);
    program
        .says("INFO", &["the level of the log is as the settings say", "\"debug\":true"], 1)
        .await;
    program.says("INFO", &["Fluentd", "changed"], 1).await;
    program.says("WARN", &["other settings have changed since the start"], 1).await;

    let made = make(&mut scene.maker, &templates("v13"), 5, 0, 1);
    scene.append(&made);
    scene.stage.received(25).await;
    let sent = ["Event sent", "\"id\":", "\"index\":", "\"ts\":", " +0000 UTC", "\"type\":"];
    program.says("DEBUG", &sent, 5).await;

    // Back, a line further down, and what is wrong changes nothing.
    write(scene.stage.dir.path(), "handler.toml", &format!("# a line more\n{config}"));
    program.signal(Signal::HUP);
    program.says("INFO", &["the level of the log", "\"debug\":false"], 1).await;
    write(scene.stage.dir.path(), "handler.toml", "batch = [");
    program.signal(Signal::HUP);
    program.says("ERROR", &["the settings are wrong now"], 1).await;
    let ending = program.terminate().await;
    assert_eq!(ending.said("WARN", &["other settings have changed"]), 1, "{:#?}", ending.log);
}

fn dumps(storage: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(storage.join("profiles")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signal_writes_down_what_is_going_on() {
    let scene = Scene::new(93, 200);
    let program = Program::start(&scene.stage, &["--lock-enabled"]);
    scene.stage.received(200).await;
    program.signal(Signal::USR1);
    program.says("INFO", &["wrote down what is going on", "-state.json"], 1).await;
    let dumps = dumps(&scene.stage.path("storage"));
    assert_eq!(dumps.len(), 1, "{dumps:?}");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dumps[0]), mode(dumps[0].parent().unwrap())), (0o600, 0o700));
    let text = std::fs::read_to_string(&dumps[0]).unwrap();
    let dump: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dump["auth"]["connected"], true, "{text}");
    assert_eq!(dump["auth"]["version"], "13.3.8");
    assert!(dump["auth"]["certificates"][0]["subject"].is_string(), "{text}");
    assert_eq!(dump["decoder"]["in_use"], "exact: native 13.3.8");
    assert_eq!(dump["readiness"]["ready"], true, "{text}");
    let sink = &dump["sinks"][0];
    // The receiver has them all; the handler may not have seen its last answers.
    assert_eq!((&sink["name"], &sink["counters"]["read"]), (&"fluentd".into(), &200.into()));
    assert!(sink["lag_seconds"].is_i64());
    assert_eq!(sink["totals"]["parked"], 0);
    let engine = &dump["engines"][0];
    assert!(!engine["lanes"].as_array().unwrap().is_empty() && engine["backlog"].is_u64());
    assert_eq!(dump["locking"]["waiting"], 0);
    let statistics = &sink["delivery"];
    assert!(statistics["requests"].as_u64() >= Some(1), "{text}");
    assert!(statistics["responses"]["success"].is_u64(), "{text}");
    // Neither secrets nor anything of an event.
    let uid = |json: &String| serde_json::from_str::<Value>(json).unwrap()["uid"].clone();
    for uid in scene.log.iter().map(uid).filter_map(|uid| uid.as_str().map(str::to_owned)) {
        assert!(!text.contains(&uid), "an event is in it");
    }
    assert!(!text.contains("PRIVATE KEY") && !text.contains("BEGIN"));
    program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_obeyed_while_auth_is_away() {
    let scene = Scene::new(94, 10);
    scene.stage.auth.stop().await;
    let program = Program::start(&scene.stage, &[]);
    program.says("WARN", &["no connection to auth"], 1).await;
    program.signal(Signal::HUP);
    program.says("INFO", &["reading credentials, certificates"], 1).await;
    program.signal(Signal::USR1);
    program.says("INFO", &["wrote down what is going on"], 1).await;
    let dumps = dumps(&scene.stage.path("storage"));
    let dump: Value = serde_json::from_slice(&std::fs::read(&dumps[0]).unwrap()).unwrap();
    assert_eq!((&dump["auth"]["connected"], &dump["phase"]), (&false.into(), &"starting".into()));
    scene.stage.auth.start_again().await.unwrap();
    scene.stage.received(10).await;
    program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_in_order_and_a_second_one_at_once() {
    let scene = Scene::new(95, 100);
    scene.stage.fluentd.set(|switches| switches.latency_ms = 600_000);
    let program = Program::start(&scene.stage, &[]);
    scene.stage.fluentd.wait(|tally| tally.most_in_flight > 0).await;
    program.signal(Signal::INT);
    program.says("INFO", &["stopping: finishing what is under way", "SIGINT"], 1).await;
    let ending = program.end(Signal::INT).await;
    assert_eq!(ending.code, Some(0));
    assert_eq!(ending.said("WARN", &["stopping at once"]), 1);
    assert!(ending.summary.is_null(), "it did not wait for what was under way");

    scene.stage.fluentd.set(|switches| switches.latency_ms = 0);
    let program = Program::start(&scene.stage, &[]);
    scene.stage.received(100).await;
    let ending = program.end(Signal::INT).await;
    assert_eq!(ending.code, Some(0));
    assert!(ending.summary.is_object(), "{:#?}", ending.log);
}
