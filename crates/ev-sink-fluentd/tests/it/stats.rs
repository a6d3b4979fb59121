//! What a sink counts.

use std::time::Duration;

use ev_core::testing::sink::batch;
use ev_core::{Framing, Route, Sink, Verdict};
use ev_sink_fluentd::Stats;
use tokio::join;

use crate::raw::{Stage, one};

#[tokio::test]
async fn every_request_is_counted_once_with_its_answer_and_time() {
    let stage = Stage::new(Framing::Array).await;
    assert_eq!(stage.sink.stats(), Stats::default());
    let events = batch(1, Route::Audit, &["{}", "{}", "{}"]);
    join!(
        async {
            assert_eq!(stage.sink.send(events).await.1, Verdict::Delivered);
            assert!(matches!(stage.send("{}").await, Verdict::Busy { suspect: false, .. }));
            assert!(matches!(stage.send("{}").await, Verdict::Refused { .. }));
        },
        async {
            let mut peer = stage.accept().await;
            for (status, ms) in [("200 OK", 4), ("503 No", 40), ("302 There", 400)] {
                peer.request().await;
                stage.env.advance(Duration::from_millis(ms));
                peer.write(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")).await;
            }
        }
    );
    let stats = stage.sink.stats();
    assert_eq!((stats.requests, stats.events, stats.body_bytes), (3, 5, 10 + 4 + 4));
    let responses = stats.responses;
    assert_eq!((responses.success, responses.server_error, responses.redirect), (1, 1, 1));
    assert_eq!((responses.client_error, responses.other), (0, 0));
    assert_eq!((stats.connections_opened, stats.connections_failed), (1, 0));
    assert_eq!((stats.timeouts, stats.broken, stats.resent, stats.gzip_in_bytes), (0, 0, 0, 0));
    let trips = &stats.round_trips;
    assert_eq!((trips.count(), trips.sum()), (3, Duration::from_millis(444)));
    let filled: Vec<_> = trips.buckets().filter(|(_, count)| *count > 0).collect();
    let bound = |ms| Some(Duration::from_millis(ms));
    assert_eq!(filled, [(bound(5), 1), (bound(50), 1), (bound(500), 1)]);
    // 4, then 4 + (40 - 4) / 8 = 8.5, then 8.5 + (400 - 8.5) / 8.
    assert_eq!(trips.smoothed(), Some(Duration::from_nanos(57_437_500)));
}

#[tokio::test]
async fn what_was_not_answered_is_counted_apart() {
    let stage = Stage::new(Framing::Array).await;
    join!(stage.send("{}"), async {
        stage.accept().await.request().await;
    });
    let stats = stage.sink.stats();
    assert_eq!((stats.broken, stats.timeouts, stats.round_trips.count()), (1, 0, 0));
    assert_eq!(stats.round_trips.smoothed(), None);
    let Stage { listener, sink, .. } = stage;
    drop(listener);
    assert!(matches!(sink.send(one("{}")).await.1, Verdict::Unreachable { .. }));
    let stats = sink.stats();
    assert_eq!((stats.connections_opened, stats.connections_failed), (1, 1));
    assert_eq!(stats.requests, 1, "no request without a connection");
}
