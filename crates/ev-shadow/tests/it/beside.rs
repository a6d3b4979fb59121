//! A receiver that answers by itself.

use std::time::Duration;

use ev_core::{Batch, BatchId, Entry, Route, SessionId, Sink as _, Span, Verdict};
use ev_shadow::{FindingKind, ShadowSink, Side};

use crate::rig::Rig;

#[tokio::test]
async fn one_event_a_request_on_one_connection() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    for n in 0..20 {
        rig.ours(&format!(r#"{{"event":"x","uid":"{n}"}}"#));
        let body = format!(r#"{{"event":"x", "uid":"{n}"}}"#);
        assert_eq!(peer.post("/test.log", &body).await, 200);
    }
    let tally = rig.tally();
    assert_eq!((tally.equal, tally.identical, tally.spelling.blanks), (20, 0, 20));
    let stats = rig.counts.stats();
    assert_eq!((stats.connections, stats.requests, stats.strays), (1, 20, 0));
    rig.end().await;
}

#[tokio::test]
async fn sessions_and_arrays() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    let array = r#"[{"event":"x","uid":"1"} , {"event":"x","uid":"2"}]"#;
    assert_eq!(peer.post("/session.s-1.log", array).await, 200);
    let session = Route::Session(SessionId::try_new(b"s-1").unwrap());
    for uid in ["1", "2"] {
        let body = format!(r#"{{"event":"x","uid":"{uid}"}}"#);
        rig.comparison.take(Side::Ours, &session, body.into());
    }
    assert_eq!((rig.tally().identical, rig.tally().open.sum()), (2, 0));
    rig.end().await;
}

#[tokio::test]
async fn what_is_no_event_is_a_finding_and_is_answered_all_the_same() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    for body in ["", "{", "7", "[7]", "\u{1f600}", "[{},{]"] {
        assert_eq!(peer.post("/test.log", body).await, 200, "{body}");
    }
    assert_eq!((rig.tally().unreadable.theirs, rig.tally().findings()), (6, 6));
    let kinds: Vec<_> = rig.comparison.findings().iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FindingKind::TheirsUnreadable; 6]);
    rig.end().await;
}

#[tokio::test]
async fn other_requests_carry_no_events() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    assert_eq!(peer.post("/other.log", "{}").await, 404);
    assert_eq!(peer.post("/session.log", "{}").await, 404);
    for (method, status) in [("GET", 200), ("PUT", 405)] {
        peer.write(format!("{method} /test.log HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert_eq!(peer.answer().await.0, status, "{method}");
    }
    assert_eq!((rig.counts.stats().strays, rig.counts.stats().requests), (4, 0));
    assert_eq!(rig.tally().received.theirs, 0);
    rig.end().await;
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    let head = "POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n";
    peer.write(head.as_bytes()).await;
    // The body has a limit of its own: the request has begun.
    rig.env.slept_for(Duration::from_secs(20), 2).await;
    rig.stop.cancel();
    peer.write(br#"{"uid":"1"}"#).await;
    assert_eq!(peer.answer().await.0, 200);
    assert_eq!(peer.closed().await, "");
    assert_eq!(rig.tally().received.theirs, 1);
    rig.end().await;
}

#[tokio::test]
async fn the_sink_takes_everything_and_sends_nothing() {
    let rig = Rig::usual();
    let sink = ShadowSink::new(rig.comparison.clone());
    let body = bytes::Bytes::from_static(br#"{"uid":"1"},{"uid":"x"},{"uid":"2"},"#);
    let entry = |start, end| Entry { json: Span::new(start, end), ticket: 0 };
    let entries = vec![entry(0, 11), entry(24, 35)];
    let batch = Batch { id: BatchId(1), route: Route::Audit, body, entries };
    let (_, verdict) = sink.send(batch).await;
    assert_eq!(verdict, Verdict::Delivered);
    sink.probe().await.unwrap();
    let mut peer = rig.peer().await;
    peer.post("/test.log", r#"{"uid":"2"}"#).await;
    let tally = rig.tally();
    assert_eq!((tally.received.ours, tally.equal, tally.open.ours), (2, 1, 1));
    rig.end().await;
}
