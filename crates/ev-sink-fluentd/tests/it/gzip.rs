//! Compressed requests.

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Framing, Route, Sink, Verdict};
use ev_sink_fluentd::{Config, FluentdSink, Gzip};
use ev_test_support::{FakeFluentd, FluentdConfig, loopback};
use tokio::join;

use crate::raw::Stage;

fn receiver() -> FakeFluentd {
    FakeFluentd::start(loopback().expect("a free port"), FluentdConfig::default())
        .expect("a receiver")
}

fn sink(receiver: &FakeFluentd, gzip: Gzip) -> FluentdSink {
    let mut config = Config::new(receiver.url("test.log"), receiver.url("session"));
    config.gzip = gzip;
    FluentdSink::new(config, ManualEnv::new()).expect("good settings")
}

fn events(count: usize) -> Vec<String> {
    let event =
        |n| format!(r#"{{"ei":{n},"event":"user.login","uid":"u-{n}","text":"] }},{{ ü"}}"#);
    (0..count).map(event).collect()
}

async fn send(sink: &FluentdSink, events: &[String]) -> Verdict {
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    sink.send(batch(1, Route::Audit, &events)).await.1
}

#[tokio::test]
async fn what_is_stored_is_what_would_be_stored_without() {
    // One small enough to be compressed in place, one for another thread.
    for count in [3, 2_000] {
        let receiver = receiver();
        let sink = sink(&receiver, Gzip::Always);
        let events = events(count);
        assert_eq!(send(&sink, &events).await, Verdict::Delivered);
        let stored: Vec<_> = receiver.received().into_iter().map(|event| event.body).collect();
        assert_eq!(stored, events);
        let (tally, stats) = (receiver.tally(), sink.stats());
        assert_eq!((tally.requests, tally.compressed, tally.arrays), (1, 1, 1));
        assert_eq!(tally.wire_bytes, stats.gzip_out_bytes);
        assert_eq!(stats.body_bytes, stats.gzip_out_bytes);
        let plain = events.iter().map(String::len).sum::<usize>() + events.len() + 1;
        assert_eq!(stats.gzip_in_bytes, plain as u64);
        assert!(count < 100 || stats.gzip_out_bytes * 5 < stats.gzip_in_bytes, "{stats:?}");
    }
}

#[tokio::test]
async fn above_a_size_only_what_is_larger_is_compressed() {
    let receiver = receiver();
    let small = events(1);
    let above_bytes = small[0].len() + 2;
    let sink = sink(&receiver, Gzip::Auto { above_bytes });
    assert_eq!(send(&sink, &small).await, Verdict::Delivered);
    assert_eq!((receiver.tally().compressed, sink.stats().gzip_in_bytes), (0, 0));
    assert_eq!(send(&sink, &events(10)).await, Verdict::Delivered);
    assert_eq!(receiver.tally().compressed, 1);
}

#[tokio::test]
async fn the_request_says_what_it_is_and_a_second_try_sends_the_same_bytes() {
    let stage = Stage::with(Framing::Array, |config| config.gzip = Gzip::Always).await;
    let (_, mut peer) = join!(stage.send("{}"), async {
        let mut peer = stage.accept().await;
        peer.request_bytes().await;
        peer.ok().await;
        peer
    });
    let (verdict, [first, second]) = join!(stage.send(r#"{"n":2}"#), async {
        let first = peer.request_bytes().await;
        drop(peer);
        let mut peer = stage.accept().await;
        let second = peer.request_bytes().await;
        peer.ok().await;
        [first, second]
    });
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(first, second, "head and body");
    assert!(first.0.contains("\r\ncontent-encoding: gzip\r\n"), "{}", first.0);
    assert_eq!(first.1[..2], [0x1f, 0x8b]);
    let stats = stage.sink.stats();
    let once = first.1.len() as u64;
    assert!(stats.gzip_out_bytes < 3 * once, "compressed once for both tries: {stats:?}");
}

#[tokio::test]
async fn a_receiver_without_gzip_is_told_from_a_bad_event() {
    let receiver = receiver();
    receiver.set(|switches| switches.no_encodings = true);
    let sink = sink(&receiver, Gzip::Auto { above_bytes: 100 });
    let Verdict::Guilty { index: None, detail } = send(&sink, &events(10)).await else {
        panic!("415 was answered")
    };
    assert!(detail.ends_with("(the request was compressed: does the receiver take gzip?)"));
    // Cut small enough, it goes through uncompressed.
    assert_eq!(send(&sink, &events(1)).await, Verdict::Delivered);
}
