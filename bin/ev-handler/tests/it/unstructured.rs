//! An Auth that makes the JSON of its events itself, and offers nothing but its unstructured
//! searches.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_test_support::data::{Made, Maker, Vector, read_vectors};
use ev_test_support::{Api, AuthTally, Event, Unstructured, UtcTime};
use serde_json::Value;

use crate::faults::Child;
use crate::stage::{Stage, golden, make, now, sorted, templates, texts};

fn stage() -> Stage {
    let mut stage = Stage::new("18.0.0-dev");
    stage.auth.set(|switches| switches.offer_only(&[Api::Unstructured]));
    stage.extra = "source = \"unstructured\"".to_owned();
    stage
}

/// The JSON that Auth makes of each.
fn structs(made: &[Made]) -> Vec<String> {
    made.iter().map(|event| String::from_utf8(event.struct_json().to_vec()).unwrap()).collect()
}

/// Templates that are not nested too deep for the fake, which reads JSON with a general reader.
fn plain() -> Vec<Vector> {
    let mut vectors = templates("v18dev");
    vectors.retain(|vector| vector.event(vector.time).unstructured().is_some());
    // With keys that become equal: Auth cannot send such an event, nor print it in this flavour.
    vectors.retain(|vector| vector.case != "edge-map-badutf8");
    vectors
}

fn calls(tally: &AuthTally, method: &str) -> u64 {
    tally.methods.get(method).map_or(0, |tally| tally.calls)
}

/// Looks at the tip of the log a few times.
async fn look_on(stage: &Stage) {
    let before = calls(&stage.auth.tally(), "GetUnstructuredEvents");
    stage.auth.wait(|tally| calls(tally, "GetUnstructuredEvents") > before + 3).await;
}

/// Every recorded event that Auth's own code has converted, with the JSON that was made of it. Of
/// those with the same id only the first: the others are taken for the same event.
fn recorded() -> Vec<(Event, String)> {
    let mut ids = BTreeSet::new();
    let mut events = Vec::new();
    for label in ["v15dev", "v18dev"] {
        let packed = std::fs::File::open(golden(label)).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let bytes = |key: &str| Some(STANDARD.decode(line.get(key)?.as_str()?).unwrap());
            let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
            let (Some(message), Some(json), None) = (
                bytes("unstructured_pb"),
                bytes("unstructured_struct_json"),
                line.get("unstructured_error"),
            ) else {
                continue;
            };
            // Recordings that are announced here are none.
            let kind = text("unstructured_type").to_owned();
            if kind == "session.upload" || !ids.insert(text("unstructured_id").to_owned()) {
                continue;
            }
            let event = Event {
                oneof: bytes("oneof").unwrap().into(),
                time: now().plus_nanos(-7_200_000_000_000 + 1_000_000_000 * events.len() as i128),
                kind,
                index: 0,
                unstructured: Unstructured::Message(message.into()),
            };
            events.push((event, String::from_utf8(json).unwrap()));
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_event_arrives_as_auth_made_it() {
    let stage = stage();
    let recorded = recorded();
    let (events, expected): (Vec<Event>, Vec<String>) = recorded.into_iter().unzip();
    assert!(expected.len() > 1500, "{}", expected.len());
    stage.auth.append(events);
    let count = expected.len() as u64;
    let received = async |stage: &Stage| {
        stage.fluentd.wait(|tally| tally.events >= count).await;
    };
    let summary = stage.run_until(received).await;
    let bodies = stage.bodies();
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["events.log"]);
    let (bodies, expected) = (sorted(bodies["events.log"].clone()), sorted(expected));
    assert_eq!(bodies.len(), expected.len());
    for (body, expected) in bodies.iter().zip(&expected) {
        assert_eq!(body, expected);
    }
    assert_eq!((summary.totals.delivered, summary.totals.parked), (count, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_three_days_arrives_whole_and_needs_no_module() {
    let stage = stage();
    stage.auth.offer(stage.module("v18dev"));
    let made = make(&mut Maker::new(41), &plain(), 3000, 60, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage.run_until(async |stage| stage.received(3000).await).await;
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(structs(&made)));
    assert_eq!((summary.totals.delivered, summary.totals.inexact), (3000, 0));
    assert!(summary.totals.balances());
    let tally = stage.auth.tally();
    for method in ["GetEvents", "StreamSessionEvents", "GetArtifact"] {
        assert_eq!(calls(&tally, method), 0, "{method}");
    }
    // Progress is saved, also where nothing was found: a second run has nothing left to do.
    let again = stage.run_until(look_on).await;
    assert_eq!((again.passed, again.sent), (0, 0));
    assert_eq!(stage.fluentd.tally().events, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_and_repeats_no_more_than_the_window() {
    let stage = stage();
    let made = make(&mut Maker::new(42), &plain(), 4000, 60, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    // Answers take a while, so that the kill comes in the middle.
    stage.fluentd.set(|switches| switches.latency_ms = 5);
    for part in 1..=2 {
        let child = Child::start(&stage);
        stage.fluentd.wait(|tally| tally.events >= part * 1200).await;
        child.kill();
    }
    let child = Child::start(&stage);
    stage.received(4000).await;
    assert_eq!(child.terminate(), Some(0), "an orderly end");
    let mut bodies = sorted(stage.bodies()["events.log"].clone());
    let all = bodies.len();
    bodies.dedup();
    assert_eq!(bodies, sorted(structs(&made)));
    // For each kill: 2,000 events before a commit is forced, and what was in flight.
    let window = 2 * (2000 + 10 * 500);
    assert!(all - bodies.len() <= window, "{} repetitions", all - bodies.len());
}

/// A stage with recordings that are announced, and what is expected of each by its tag.
fn with_recordings(
    stage: &Stage,
    number: usize,
    at: UtcTime,
) -> (BTreeMap<String, Vec<String>>, u64) {
    let vectors = read_vectors(&golden("realistic-v18dev")).unwrap();
    let upload = vectors.iter().find(|v| v.kind == "session.upload" && v.is_template()).unwrap();
    let inside: Vec<_> = vectors.iter().filter(|v| !v.recording.is_empty()).collect();
    assert!(inside.iter().any(|vector| vector.kind == "print"), "what terminals show");
    let (mut maker, mut expected, mut count) = (Maker::new(43), BTreeMap::new(), 0);
    for _ in 0..number {
        let recording = maker.recording(upload, &inside, 90, at).unwrap();
        stage.auth.append([recording.upload.event()]);
        let events = recording.events.iter().map(|event| event.event());
        stage.auth.store(|store| store.append_recording(&recording.session, events));
        let bodies = structs(&recording.events);
        let audit = structs(&[recording.upload]);
        count += 1 + bodies.len() as u64;
        expected.entry("events.log".to_owned()).or_insert_with(Vec::new).extend(audit);
        expected.insert(format!("session.{}.log", recording.session), bodies);
    }
    (expected, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_come_in_order_with_what_was_on_the_terminal() {
    terminals_are_shown(stage(), "StreamUnstructuredSessionEvents").await;
}

/// EVH-54: as the reference handler sends them, where the typed calls serve too.
#[tokio::test(flavor = "multi_thread")]
async fn evh_54_what_was_on_the_terminal_comes_by_the_typed_calls_too() {
    let mut stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    stage.extra = "json-flavour = \"struct\"".to_owned();
    terminals_are_shown(stage, "StreamSessionEvents").await;
}

async fn terminals_are_shown(mut stage: Stage, method: &str) {
    stage.extra.push_str("\nskip-session-types = []");
    let (expected, count) = with_recordings(&stage, 6, now().plus_nanos(-90_000_000_000));
    let data = |bodies: &BTreeMap<String, Vec<String>>| {
        bodies.values().flatten().filter(|body| body.contains(r#""data":""#)).count()
    };
    assert!(data(&expected) > 6, "the print events have it");
    let summary = stage
        .run_until(async |stage| {
            stage.fluentd.wait(|tally| tally.events >= count).await;
        })
        .await;
    let mut bodies = stage.bodies();
    // Uploads come in any order.
    for list in [bodies.get_mut("events.log"), expected.clone().get_mut("events.log")] {
        list.unwrap().sort();
    }
    let mut expected = expected;
    expected.get_mut("events.log").unwrap().sort();
    assert_eq!(bodies, expected);
    assert_eq!((summary.totals.sessions, summary.totals.delivered), (6, count));
    let tally = stage.auth.tally();
    assert_eq!(calls(&tally, method), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_on_behind_the_last_event_after_kill_9() {
    let mut stage = stage();
    stage.extra.push_str("\nskip-session-types = []");
    let (expected, count) = with_recordings(&stage, 4, now().plus_nanos(-90_000_000_000));
    stage.fluentd.set(|switches| switches.latency_ms = 20);
    let child = Child::start(&stage);
    stage.fluentd.wait(|tally| tally.events >= count / 2).await;
    child.kill();
    stage.fluentd.set(|switches| switches.latency_ms = 0);
    let whole = |stage: &Stage| {
        let bodies = stage.bodies();
        let has_all = |(tag, wanted): (&String, &Vec<String>)| {
            let came: BTreeSet<&String> = bodies.get(tag).into_iter().flatten().collect();
            wanted.iter().all(|body| came.contains(body))
        };
        expected.iter().all(has_all)
    };
    stage
        .run_until(async |stage| {
            while !whole(stage) {
                let events = stage.fluentd.tally().events;
                stage.fluentd.wait(|tally| tally.events > events || whole(stage)).await;
            }
        })
        .await;
    // Nothing is missing, and in each life they came in order.
    for (tag, wanted) in expected.iter().filter(|(tag, _)| tag.starts_with("session.")) {
        let bodies = &stage.bodies()[tag];
        let mut rest = bodies.iter();
        assert!(wanted.iter().all(|body| rest.any(|came| came == body)), "{tag} in order");
    }
}

/// Status, stdout and stderr of a command beside the handler.
fn run(stage: &Stage, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(args)
        .current_dir(stage.dir.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_parked_and_holds_up_nothing() {
    let stage = stage();
    let made = make(&mut Maker::new(44), &plain(), 60, 1, 60);
    let mut events: Vec<Event> = made.iter().map(|event| event.event()).collect();
    // A number that JSON has no form for, and a text that is none.
    let spoilt = |event: &Event, id: &[u8], value: &[u8]| {
        let field = |number: u8, value: &[u8]| {
            [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
        };
        let entry = [field(1, b"k"), field(2, value)].concat();
        let stamp = [&[8][..], &varint(event.time.seconds.cast_unsigned())].concat();
        let parts =
            [field(1, b"test.spoilt"), field(2, id), field(3, &stamp), field(5, &field(1, &entry))];
        Event { unstructured: Unstructured::Message(parts.concat().into()), ..event.clone() }
    };
    let nan = [&[2 << 3 | 1][..], &f64::NAN.to_le_bytes()].concat();
    events[20] = spoilt(&events[20], b"no-number", &nan);
    events[40] = spoilt(&events[40], b"no-text", &[3 << 3 | 2, 1, 0xff]);
    stage.auth.append(events);
    let summary = stage
        .run_until(async |stage| {
            stage.received(58).await;
            look_on(stage).await;
        })
        .await;
    assert_eq!((summary.totals.delivered, summary.totals.parked), (58, 2));
    assert!(summary.totals.balances());

    let (status, out, errors) =
        run(&stage, &["parked", "export", "events.jsonl", "--storage", "storage"]);
    assert_eq!((status, out.as_str()), (Some(0), ""), "{errors}");
    let lines = std::fs::read_to_string(stage.path("events.jsonl")).unwrap();
    let mut lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["uid"].to_string());
    let facts: Vec<_> = lines
        .iter()
        .map(|line| {
            ["uid", "type", "form", "reason", "detail"].map(|key| line[key].as_str().unwrap())
        })
        .collect();
    let (spoilt, form) = ("test.spoilt", "unstructured");
    assert_eq!(facts[0][..4], ["no-number", spoilt, form, "unprintable"]);
    assert!(facts[0][4].starts_with("number is not finite in 5.1.2.2 at byte "), "{facts:?}");
    assert_eq!(facts[1][..4], ["no-text", spoilt, form, "malformed"]);
    assert!(lines.iter().all(|line| line["decoder"].as_str().unwrap().starts_with("native unstr")));
    let id = lines[0]["id"].to_string();
    let (status, out, _) = run(&stage, &["parked", "show", &id, "--storage", "storage"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("no-number") && out.contains("unstructured"), "{out}");
    // The same decoder is not asked again; told to, it is, and says the same.
    let again = stage.run_until(look_on).await;
    assert_eq!((again.totals.parked, again.totals.passed), (2, 60));
    let (status, _, errors) = run(&stage, &["decode", "events.jsonl"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("number is not finite") && errors.contains("not UTF-8"), "{errors}");
    let (status, _, _) = run(&stage, &["parked", "retry", &id, "--storage", "storage"]);
    assert_eq!(status, Some(0));
    stage.run_until(look_on).await;
    let facts =
        ev_state::StateReader::open(stage.path("storage")).unwrap().parked(None, 9).unwrap();
    let attempts: Vec<u32> = facts.iter().map(|facts| facts.attempts).collect();
    assert_eq!(sorted_numbers(attempts), [0, 1]);
}

fn sorted_numbers(mut list: Vec<u32>) -> Vec<u32> {
    list.sort_unstable();
    list
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// T-13: an event is the same on both roads, so what one has delivered the other does not send.
#[tokio::test(flavor = "multi_thread")]
async fn t13_a_change_of_road_between_two_runs_sends_nothing_again() {
    let mut stage = stage();
    stage.auth.offer(stage.table("v18dev"));
    stage.extra = "source = \"typed\"\njson-flavour = \"struct\"".to_owned();
    stage.auth.set(|switches| switches.offer_only(&[Api::Typed]));
    let vectors = plain();
    let mut maker = Maker::new(45);
    let mut made = make(&mut maker, &vectors, 1000, 60, 60);
    stage.auth.append(made.iter().map(|event| event.event()));
    let total = made.len() as u64;
    let delivered = async |stage: &Stage| {
        stage.fluentd.wait(|tally| tally.events >= total).await;
    };
    let summary = stage.run_until(delivered).await;
    assert_eq!((summary.totals.delivered, summary.totals.parked), (total, 0), "{summary:?}");
    let first = sorted(stage.bodies()["events.log"].clone());

    for (road, api) in [("unstructured", Api::Unstructured), ("typed", Api::Typed)] {
        stage.extra = format!("source = \"{road}\"\njson-flavour = \"struct\"");
        stage.auth.set(|switches| switches.offer_only(&[api]));
        let more = make(&mut maker, &vectors, 50, 0, 2);
        stage.auth.append(more.iter().map(|event| event.event()));
        made.extend(more);
        let wanted = made.len() as u64;
        let summary = stage
            .run_until(async |stage| {
                stage.fluentd.wait(|tally| tally.events >= wanted).await;
                let method = api.methods()[0];
                let before = calls(&stage.auth.tally(), method);
                stage.auth.wait(|tally| calls(tally, method) > before + 3).await;
            })
            .await;
        assert_eq!(summary.sent, 50, "{road}: {summary:?}");
        assert_eq!(summary.totals.delivered, wanted);
    }
    let bodies = sorted(stage.bodies()["events.log"].clone());
    assert_eq!(bodies.len(), made.len(), "each event once");
    let mut all = [first, structs(&made[1000..])].concat();
    all.sort();
    assert_eq!(bodies, all, "the roads write the same");
    assert!(texts(&made).iter().any(|text| !bodies.contains(text)), "the other flavour differs");
}
