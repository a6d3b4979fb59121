//! An event counts as delivered only with its own acknowledgement, and after any doubt about one
//! the connection is dropped.

use std::time::Duration;

use ev_core::Verdict;
use tokio::join;

use crate::rig::Rig;

#[track_caller]
fn unknown(verdict: Verdict, part: &str) {
    let Verdict::Unknown { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains(part), "{detail}");
}

#[track_caller]
fn suspect(verdict: Verdict, part: &str) {
    let Verdict::Busy { suspect: true, detail, .. } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains(part), "{detail}");
}

#[tokio::test]
async fn connections_are_kept() {
    let rig = Rig::new();
    for _ in 0..5 {
        assert_eq!(rig.send(&["{}", "{}"]).await, Verdict::Delivered);
    }
    let tally = rig.receiver.tally();
    assert_eq!((tally.connections, tally.chunks, tally.events, tally.acks), (1, 5, 10, 5));
    rig.env.advance(Duration::from_secs(61));
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    assert_eq!(rig.receiver.tally().connections, 2, "it was idle for too long");
    let stats = rig.sink.stats();
    assert_eq!((stats.chunks, stats.events, stats.acks), (6, 11, 6));
    assert_eq!((stats.connections_opened, stats.possible_duplicate_events), (2, 0));
}

#[tokio::test]
async fn a_connection_that_ends_without_an_acknowledgement_is_a_doubt() {
    let rig = Rig::new();
    rig.receiver.set(|switches| switches.close_after_store = 1);
    unknown(rig.send(&["{}", "{}"]).await, "closed the connection");
    assert_eq!(rig.receiver.tally().events, 2, "this time it was stored");
    assert_eq!(rig.sink.stats().possible_duplicate_events, 2);
    // The next attempt has a connection of its own, and what it brings is certain.
    assert_eq!(rig.send(&["{}", "{}"]).await, Verdict::Delivered);
    assert_eq!(rig.receiver.tally().connections, 2);
    let chunks: Vec<String> = rig.receiver.received().into_iter().map(|e| e.chunk).collect();
    assert!(chunks.iter().all(|chunk| *chunk == chunks[0]), "the same id for all attempts");
}

#[tokio::test]
async fn the_acknowledgement_of_another_chunk_is_a_doubt() {
    let rig = Rig::new();
    rig.receiver.set(|switches| switches.wrong_ack = 1);
    unknown(rig.send(&["{}"]).await, "that of another chunk");
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    assert_eq!(rig.receiver.tally().connections, 2, "the connection was dropped");
    assert_eq!(rig.sink.stats().doubts, 1);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let rig = Rig::new();
    rig.receiver.set(|switches| switches.double_ack = 1);
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered, "its own came first");
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    assert_eq!(rig.receiver.tally().connections, 2, "what comes next on it is in doubt");
}

#[tokio::test]
async fn an_acknowledgement_is_waited_for_so_long_and_no_longer() {
    let rig = Rig::new();
    rig.receiver.set(|switches| switches.no_ack = 1);
    let (verdict, ()) = join!(rig.send(&["{}"]), async {
        rig.receiver.wait(|tally| tally.chunks == 1).await;
        // Connecting, sending, and waiting for the acknowledgement.
        rig.env.slept(4).await;
        rig.env.advance(Duration::from_secs(60));
    });
    unknown(verdict, "no acknowledgement within 60s");
    assert_eq!(rig.sink.stats().timeouts, 1);
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    assert_eq!(rig.receiver.tally().connections, 2, "a late one must not be taken for this");
}

#[tokio::test]
async fn events_that_stay_without_one_again_are_suspected() {
    let rig = Rig::new();
    rig.receiver.set(|switches| switches.poison = Some("bad".to_owned()));
    unknown(rig.send(&[r#"{"a":"bad"}"#, "{}"]).await, "closed the connection");
    suspect(rig.send(&[r#"{"a":"bad"}"#, "{}"]).await, "not for the first time");
    // A part of the batch is another chunk, and begins without a stain.
    unknown(rig.send(&[r#"{"a":"bad"}"#]).await, "closed the connection");
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    // Once it is taken, it is forgotten.
    rig.receiver.set(|switches| switches.poison = None);
    assert_eq!(rig.send(&[r#"{"a":"bad"}"#, "{}"]).await, Verdict::Delivered);
    rig.receiver.set(|switches| switches.poison = Some("bad".to_owned()));
    unknown(rig.send(&[r#"{"a":"bad"}"#, "{}"]).await, "closed the connection");
}

#[tokio::test]
async fn a_receiver_that_restarts_costs_nothing() {
    let rig = Rig::new();
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    rig.receiver.stop().await;
    let verdict = rig.send(&["{}"]).await;
    assert!(matches!(verdict, Verdict::Unreachable { .. }), "{verdict:?}");
    rig.receiver.start_again().await.expect("the port is free");
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    let stats = rig.sink.stats();
    assert_eq!((stats.doubts, stats.broken, stats.possible_duplicate_events), (0, 0, 0));
}

#[tokio::test]
async fn a_chunk_that_was_not_sent_whole_was_not_stored() {
    let rig = Rig::new();
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    rig.receiver.set(|switches| switches.frozen = true);
    // More than the sockets hold on both sides, and hardly to be compressed.
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(32 << 20));
    let sends = rig.env.sleeps();
    let events = [large.as_str()];
    let (verdict, ()) = join!(rig.send(&events), async {
        rig.env.slept(sends + 1).await;
        rig.receiver.drop_connections().await;
    });
    let Verdict::Unreachable { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains("broke while the chunk was sent"), "{detail}");
    assert_eq!(rig.sink.stats().broken, 1);
}
