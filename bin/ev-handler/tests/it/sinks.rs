//! Receivers beside Fluentd's HTTP: the Forward protocol, files, and several at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ev_core::Timestamp;
use ev_test_support::certs::Validity;
use ev_test_support::data::{Maker, Recording, Vector};
use ev_test_support::{
    FakeForward, ForwardConfig, TlsVersions, loopback, server_config, until_files,
};
use serde_json::Value;

use crate::faults::Child;
use crate::stage::{Inside, Stage, make, now, sorted, templates, texts, write};

/// A receiver of the Forward protocol that demands client certificates and a shared key.
fn forward(stage: &Stage) -> FakeForward {
    let server = stage.fluentd_ca.issue_fluentd_server(Validity::Long).unwrap();
    let clients = [stage.fluentd_ca.cert_der()];
    let tls = server_config(&server, &clients, TlsVersions::Only12, &[]).unwrap();
    let config = ForwardConfig {
        tls: Some(tls),
        shared_key: Some("both know it".to_owned()),
        ..ForwardConfig::default()
    };
    FakeForward::start(loopback().unwrap(), config).unwrap()
}

/// Turns it on beside Fluentd.
fn add_forward(stage: &mut Stage, receiver: &FakeForward) {
    write(stage.dir.path(), "shared-key", "both know it\n");
    stage.decoder.push_str(&format!(
        "\n[forward.forward]\nurl = {:?}\nca = \"fluentd-ca.crt\"\ncert = \"client.crt\"\n\
         key = \"client.key\"\nshared-key-file = \"shared-key\"\n",
        receiver.url()
    ));
}

fn add_file(stage: &mut Stage) -> PathBuf {
    stage.decoder.push_str("\n[forward.file]\npath = \"out/events.ndjson\"\n");
    stage.path("out/events.ndjson")
}

/// Recorded events that are not nested deeper than the readers of the tests go.
fn shallow() -> Vec<Vector> {
    let mut vectors = templates("v13");
    vectors.retain(|vector| !vector.case.contains("deep"));
    vectors
}

/// A recording of twenty events, and the event that announces it.
fn recording() -> Recording {
    let inside = Inside::new();
    let at = now().plus_nanos(-90 * 1_000_000_000);
    inside.recording(&mut Maker::new(50), 20, at)
}

fn put(stage: &Stage, recording: &Recording) {
    let events = recording.events.iter().map(|event| event.event());
    stage.auth.store(|store| store.append_recording(&recording.session, events));
    stage.auth.append([recording.upload.event()]);
}

/// Bodies by tag, in order of arrival.
fn bodies(receiver: &FakeForward) -> BTreeMap<String, Vec<Value>> {
    let mut bodies = BTreeMap::<String, Vec<Value>>::new();
    for event in receiver.received() {
        let body = serde_json::from_slice(&event.json).unwrap();
        bodies.entry(event.tag).or_default().push(body);
    }
    bodies
}

fn values(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// In any order, without repeats.
fn distinct(values: &[Value]) -> Vec<String> {
    let mut texts = sorted(values.iter().map(ToString::to_string).collect());
    texts.dedup();
    texts
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines");
    text.lines().map(ToOwned::to_owned).collect()
}

/// Waits until a file has so many different lines.
async fn written(path: &Path, count: usize) {
    let is_there = || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines = sorted(text.lines().map(ToOwned::to_owned).collect());
        lines.dedup();
        lines.len() >= count
    };
    until_files(path.parent().unwrap(), is_there).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forward_protocol_carries_the_log_and_recordings() {
    let mut stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let receiver = forward(&stage);
    add_forward(&mut stage, &receiver);
    let recording = recording();
    put(&stage, &recording);
    let mut settings = stage.settings();
    settings.fluentd = None;
    let summary = stage
        .run_settings_until(settings, async |_| {
            receiver.wait(|tally| tally.events >= 21).await;
        })
        .await;
    assert_eq!(summary.totals.delivered, 21);
    let bodies = bodies(&receiver);
    let session = format!("session.{}.log", recording.session);
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["events.log", &session]);
    assert_eq!(bodies["events.log"], values(&texts(std::slice::from_ref(&recording.upload))));
    assert_eq!(bodies[&session], values(&texts(&recording.events)), "in their order");
    for event in receiver.received() {
        let body: Value = serde_json::from_slice(&event.json).unwrap();
        let (seconds, nanos) = event.time.expect("an EventTime");
        let time = body["time"].as_str().and_then(Timestamp::parse);
        assert_eq!(time, Some(Timestamp::new(i64::from(seconds), nanos)));
    }
    assert_eq!(stage.fluentd.tally().requests, 0, "it was not set");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_receiver_never_takes_is_parked_and_holds_up_nothing() {
    let mut stage = Stage::new("13.3.8");
    let receiver = forward(&stage);
    add_forward(&mut stage, &receiver);
    let made = make(&mut Maker::new(60), &shallow(), 300, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let poison = made.iter().find(|event| !event.uid.is_empty()).unwrap().uid.clone();
    // No answer is the only sign of it: the connection ends.
    receiver.set(|switches| switches.poison = Some(poison.clone()));
    let mut settings = stage.settings();
    settings.fluentd = None;
    let summary = stage
        .run_settings_until(settings, async |stage| {
            // There is no state to look at before.
            receiver.wait(|tally| tally.events > 0).await;
            let vectors = shallow();
            let mut maker = Maker::new(61);
            // The proof against an event is that others are taken meanwhile.
            loop {
                let tally = receiver.tally();
                let state = ev_state::StateReader::open(stage.path("storage")).unwrap();
                let parked = state.sinks().unwrap().iter().any(|sink| sink.totals.parked == 1);
                if tally.events >= 299 && parked {
                    break;
                }
                let more = make(&mut maker, &vectors, 5, 0, 2);
                stage.auth.append(more.iter().map(|event| event.event()));
                receiver.wait(|now| now.events >= tally.events + 5).await;
            }
        })
        .await;
    assert_eq!(summary.totals.parked, 1, "{summary:?}");
    let received = distinct(&bodies(&receiver)["events.log"]);
    let expected = distinct(&values(&texts(&made)));
    let missing: Vec<_> = expected.iter().filter(|body| !received.contains(body)).collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].contains(&poison));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_hold_the_log_and_recordings_byte_for_byte() {
    let mut stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let path = add_file(&mut stage);
    let recording = recording();
    put(&stage, &recording);
    let session = path.with_file_name(format!("sessions/{}.ndjson", recording.session));
    let mut settings = stage.settings();
    settings.fluentd = None;
    let summary = stage
        .run_settings_until(settings, async |_| {
            written(&path, 1).await;
            written(&session, 20).await;
        })
        .await;
    assert_eq!(summary.totals.delivered, 21);
    assert_eq!(lines(&path), texts(std::slice::from_ref(&recording.upload)));
    assert_eq!(lines(&session), texts(&recording.events), "in their order");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_receiver_that_is_down_holds_up_no_other() {
    let mut stage = Stage::new("13.3.8");
    let receiver = forward(&stage);
    add_forward(&mut stage, &receiver);
    let path = add_file(&mut stage);
    let made = make(&mut Maker::new(62), &shallow(), 3000, 60, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    stage.fluentd.stop().await;
    let summary = stage
        .run_until(async |stage| {
            receiver.wait(|tally| tally.events >= 3000).await;
            written(&path, 3000).await;
            assert_eq!(stage.fluentd.tally().events, 0, "it is down all the while");
            stage.fluentd.start_again().await.unwrap();
            stage.received(3000).await;
        })
        .await;
    assert_eq!(summary.totals.delivered, 3000, "that of the first");
    let expected = sorted(texts(&made));
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), expected);
    assert_eq!(sorted(lines(&path)), expected);
    assert_eq!(distinct(&bodies(&receiver)["events.log"]), distinct(&values(&texts(&made))));
    let state = ev_state::StateReader::open(stage.path("storage")).unwrap();
    let sinks = state.sinks().unwrap();
    let names: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(
        sorted(names.iter().map(ToString::to_string).collect()),
        ["file", "fluentd", "forward"]
    );
    for sink in sinks {
        assert_eq!(sink.totals.delivered, 3000, "{}", sink.name);
        assert!(sink.totals.balances(), "{}", sink.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_for_any_receiver() {
    let mut stage = Stage::new("13.3.8");
    let receiver = forward(&stage);
    add_forward(&mut stage, &receiver);
    let path = add_file(&mut stage);
    let made = make(&mut Maker::new(63), &shallow(), 4000, 60, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    // Answers take a while, so that the kill comes in the middle; and one is down.
    stage.fluentd.set(|switches| switches.latency_ms = 5);
    receiver.stop().await;
    for part in 1..=2 {
        let child = Child::start(&stage);
        stage.fluentd.wait(|tally| tally.events >= part * 1000).await;
        child.kill();
    }
    receiver.start_again().await.unwrap();
    for part in 1..=2 {
        let child = Child::start(&stage);
        receiver.wait(|tally| tally.events >= part * 1000).await;
        child.kill();
    }
    let child = Child::start(&stage);
    stage.received(4000).await;
    let expected = distinct(&values(&texts(&made)));
    loop {
        // Counted first, so that nothing comes unseen in between.
        let before = receiver.tally().events;
        if distinct(&bodies(&receiver).remove("events.log").unwrap_or_default()) == expected {
            break;
        }
        receiver.wait(|tally| tally.events > before).await;
    }
    written(&path, 4000).await;
    assert_eq!(child.terminate(), Some(0), "an orderly end");
    let mut bodies = sorted(stage.bodies()["events.log"].clone());
    bodies.dedup();
    assert_eq!(bodies, sorted(texts(&made)));
    let mut lines = sorted(lines(&path));
    lines.dedup();
    assert_eq!(lines, sorted(texts(&made)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_added_later_begins_at_the_start_time() {
    let mut stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(64), &shallow(), 200, 40, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    stage.run_until(async |stage| stage.received(200).await).await;
    let path = add_file(&mut stage);
    stage.run_until(async |_| written(&path, 200).await).await;
    assert_eq!(sorted(lines(&path)), sorted(texts(&made)));
    assert_eq!(stage.fluentd.tally().events, 200, "the first goes on where it stood");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_start_time_it_begins_now() {
    let mut stage = Stage::new("13.3.8");
    let vectors = shallow();
    let mut maker = Maker::new(65);
    let before = make(&mut maker, &vectors, 50, 1, 60);
    stage.auth.append(before.iter().map(|event| event.event()));
    stage.run_until(async |stage| stage.received(50).await).await;
    let path = add_file(&mut stage);
    let mut settings = stage.settings();
    settings.ingest.start_time_unix_secs = None;
    let storage = stage.path("storage");
    let made = std::cell::OnceCell::new();
    stage
        .run_settings_until(settings, async |stage| {
            let begun = || {
                let state = ev_state::StateReader::open(&storage).unwrap();
                state.sinks().unwrap().iter().any(|sink| sink.name == "file")
            };
            until_files(&storage, begun).await.unwrap();
            // Events of the second in which it began may be older than it.
            let later = make(&mut maker, &vectors, 20, 0, -2);
            stage.auth.append(later.iter().map(|event| event.event()));
            written(&path, 20).await;
            assert!(made.set(texts(&later)).is_ok());
        })
        .await;
    assert_eq!(sorted(lines(&path)), sorted(made.into_inner().unwrap()));
}

/// Runs the program with no configuration file and no receiver but what the arguments say.
fn program(stage: &Stage, args: &[&str]) -> std::process::Output {
    let addr = format!("--teleport-addr={}", stage.auth.addr());
    let start_time = format!("--start-time={}", now().plus_nanos(-4 * 3_600_000_000_000));
    Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["start", "--storage=first", "--teleport-identity=identity", "--source=typed"])
        .args(["--exit-on-last-event", "--window-size=24h", "--timeout=50ms"])
        .args([&addr, &start_time])
        .args(args)
        .current_dir(stage.dir.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_look_prints_the_events_and_nothing_else_on_stdout() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(66), &shallow(), 300, 3, 60);
    stage.auth.append(made.iter().map(|event| event.event()));
    let ran = tokio::task::block_in_place(|| program(&stage, &["--file-path=-"]));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(sorted(printed.lines().map(ToOwned::to_owned).collect()), sorted(texts(&made)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_it_complains_as_the_reference_handler_does() {
    let stage = Stage::new("13.3.8");
    let ran = tokio::task::block_in_place(|| program(&stage, &[]));
    assert_eq!(ran.status.code(), Some(78));
    let said = String::from_utf8(ran.stderr).unwrap();
    for part in ["`forward.fluentd.url`: is required", "[forward.file] path", "session-url"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_tries_each_receiver_and_shows_no_secret() {
    let mut stage = Stage::new("13.3.8");
    let receiver = forward(&stage);
    add_forward(&mut stage, &receiver);
    stage.decoder.push_str("user = \"name\"\npassword = \"hidden word\"\n");
    add_file(&mut stage);
    let check = |stage: &Stage| {
        let config = stage.write_config(stage.auth.addr());
        let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(["config", "--check", "--config"])
            .arg(config)
            .current_dir(stage.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("hidden") && !said.contains("both know it"), "{said}");
        (output.status.code(), said)
    };
    let (code, said) = check(&stage);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "ok      forward.forward.cert: certificate",
        "warning forward.forward.shared-key-file: `",
        "ok      forward.forward.url: `localhost:",
        "ok      forward.file.path: `",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    write(stage.dir.path(), "shared-key", "");
    // A file where a directory has to be.
    write(stage.dir.path(), "out", "");
    let (code, said) = check(&stage);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("forward.forward.shared-key-file") && said.contains("is empty"),
        "{said}"
    );
    assert!(said.contains("error   forward.file.path: `"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_sent_again_to_one_receiver() {
    let mut stage = Stage::new("13.3.8");
    let path = add_file(&mut stage);
    let made = make(&mut Maker::new(67), &shallow(), 100, 3, 60);
    stage.auth.append(made.iter().map(|event| event.event()));
    stage.write_config(stage.auth.addr());
    let from = now().plus_nanos(-4 * 3_600_000_000_000).to_string();
    let to = now().to_string();
    let replay = |sink: &str| {
        let args = ["replay", "--config", "handler.toml", "--from", &from, "--to", &to, "--sink"];
        let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(args)
            .arg(sink)
            .current_dir(stage.dir.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = tokio::task::block_in_place(|| replay("file"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(sorted(lines(&path)), sorted(texts(&made)));
    assert_eq!(stage.fluentd.tally().events, 0, "it was not named");
    let (code, said) = tokio::task::block_in_place(|| replay("forward"));
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("those that are: fluentd, file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_each_receiver() {
    let mut stage = Stage::new("13.3.8");
    let receiver = forward(&stage);
    add_forward(&mut stage, &receiver);
    let path = add_file(&mut stage);
    let doctor = |stage: &Stage| {
        let config = stage.write_config(stage.auth.addr());
        let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(["doctor", "--probe", "--json", "--config"])
            .arg(config)
            .current_dir(stage.dir.path())
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        move |step: &str| -> String {
            let of_step = findings.iter().filter(|finding| finding["step"] == step);
            of_step.map(|f| format!("{}: {}\n", f["severity"], f["what"])).collect()
        }
    };
    let said = tokio::task::block_in_place(|| doctor(&stage));
    for step in ["forward.name", "forward.connection", "forward.event", "file", "file.event"] {
        assert!(said(step).starts_with("\"ok\""), "{step}: {}", said(step));
    }
    let probes = [
        lines(&path),
        receiver.received().iter().map(|e| String::from_utf8(e.json.to_vec()).unwrap()).collect(),
    ];
    for probe in probes {
        assert!(probe.len() == 1 && probe[0].contains("ev.probe"), "{probe:?}");
    }
    receiver.stop().await;
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    write(stage.dir.path(), "out", "in the way");
    let said = tokio::task::block_in_place(|| doctor(&stage));
    assert!(
        said("forward.connection").starts_with("\"problem\""),
        "{}",
        said("forward.connection")
    );
    assert!(said("forward.event").starts_with("\"not-tried\""), "{}", said("forward.event"));
    assert!(said("file").starts_with("\"problem\""), "{}", said("file"));
}
