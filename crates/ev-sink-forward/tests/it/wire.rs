//! What arrives: tags, times, values, ids.

use std::path::Path;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Route, SessionId, Sink, Timestamp, Verdict};
use ev_sink_forward::Gzip;
use ev_test_support::data::read_vectors;
use serde_json::Value;

use crate::rig::Rig;

#[tokio::test]
async fn times_have_nanoseconds() {
    let rig = Rig::new();
    let event = r#"{"time":"2023-01-02T03:04:05.123456789Z"}"#;
    assert_eq!(rig.send(&[event, "{}"]).await, Verdict::Delivered);
    let times: Vec<_> = rig.receiver.received().into_iter().map(|event| event.time).collect();
    let now = u32::try_from(ManualEnv::START.seconds()).expect("before 2106");
    assert_eq!(times, [Some((1_672_628_645, 123_456_789)), Some((now, 0))]);
}

#[tokio::test]
async fn tags_are_as_set() {
    for (session_tag, expected) in
        [("session", "session.1b4e.log"), ("teleport.{session-id}", "teleport.1b4e")]
    {
        let rig = Rig::with(|config| {
            config.tag = "test.log".to_owned();
            config.session_tag = session_tag.to_owned();
        });
        let session = Route::Session(SessionId::try_new(b"1b4e").expect("an id"));
        for route in [Route::Audit, session] {
            let verdict = rig.sink.send(batch(1, route, &["{}"])).await.1;
            assert_eq!(verdict, Verdict::Delivered);
        }
        let tags: Vec<String> = rig.receiver.received().into_iter().map(|e| e.tag).collect();
        assert_eq!(tags, ["test.log", expected]);
    }
}

#[tokio::test]
async fn batches_have_ids_of_their_own() {
    let rig = Rig::new();
    for id in [1, 2] {
        for events in [&["{}"][..], &["{}", "{}"]] {
            let verdict = rig.sink.send(batch(id, Route::Audit, events)).await.1;
            assert_eq!(verdict, Verdict::Delivered);
        }
    }
    let mut ids: Vec<String> = rig.receiver.received().into_iter().map(|e| e.chunk).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[tokio::test]
async fn an_entry_that_is_no_object_is_named_and_nothing_is_sent() {
    let rig = Rig::new();
    let verdict = rig.send(&["{}", "[]"]).await;
    assert!(matches!(verdict, Verdict::Guilty { index: Some(1), .. }), "{verdict:?}");
    assert_eq!(rig.receiver.tally().connections, 0);
}

/// Recorded events of Teleport with the JSON that its own code made of them: in both forms of a
/// chunk, every value arrives as it was.
#[tokio::test]
async fn recorded_events_keep_their_values() {
    let events = recorded();
    assert!(events.len() > 2000, "{}", events.len());
    for gzip in [Gzip::Off, Gzip::Auto { above_bytes: 0 }] {
        let rig = Rig::with(|config| config.gzip = gzip);
        for (part, id) in events.chunks(200).zip(1..) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let verdict = rig.sink.send(batch(id, Route::Audit, &part)).await.1;
            assert_eq!(verdict, Verdict::Delivered);
        }
        let received = rig.receiver.received();
        assert_eq!(received.len(), events.len());
        for (received, sent) in received.iter().zip(&events) {
            let sent: Value = serde_json::from_str(sent).expect("JSON");
            let found: Value = serde_json::from_slice(&received.json).expect("JSON");
            assert_eq!(found, sent);
            assert_eq!(received.compressed, gzip != Gzip::Off);
            let own = sent["time"].as_str().and_then(Timestamp::parse).filter(|t| t.seconds() > 0);
            let time = own.unwrap_or(ManualEnv::START);
            let expected = u32::try_from(time.seconds()).ok().map(|s| (s, time.subsec_nanos()));
            if expected.is_some() {
                assert_eq!(received.time, expected);
            }
        }
    }
}

/// The JSON of the recorded events.
fn recorded() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    let vectors = ["v13.jsonl.gz", "v18dev.jsonl.gz", "realistic-v18dev.jsonl.gz"]
        .into_iter()
        .flat_map(|file| read_vectors(&folder.join(file)).expect("recorded events"));
    // Some are nested deeper than the reader of JSON here goes; that depth is no matter is shown
    // beside the code.
    vectors
        .filter(|vector| depth(&vector.json) < 100)
        .map(|vector| String::from_utf8(vector.json.to_vec()).expect("UTF-8"))
        .collect()
}

/// How deep a JSON text may be nested at most: brackets in texts count too.
fn depth(json: &[u8]) -> usize {
    let deeper = |depth: usize, byte: &u8| match byte {
        b'{' | b'[' => depth + 1,
        b'}' | b']' => depth.saturating_sub(1),
        _ => depth,
    };
    let depths = json.iter().scan(0, |depth, byte| {
        *depth = deeper(*depth, byte);
        Some(*depth)
    });
    depths.max().unwrap_or(0)
}
