//! What goes wrong on the way, and what is known of the request afterwards.

use std::time::Duration;

use ev_core::{Framing, Sink, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::TcpListener;

use crate::raw::{Stage, one};

const SECOND: Duration = Duration::from_secs(1);

fn unknown(verdict: Verdict) -> String {
    let Verdict::Unknown { detail } = verdict else { panic!("{verdict:?}") };
    detail
}

/// An event that is more than all socket buffers hold.
fn large() -> String {
    format!("\"{}\"", "x".repeat(64 << 20))
}

fn unreachable(verdict: Verdict) -> String {
    let Verdict::Unreachable { detail } = verdict else { panic!("{verdict:?}") };
    detail
}

#[tokio::test]
async fn nobody_listens() {
    let Stage { listener, sink, .. } = Stage::new(Framing::Array).await;
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let detail = unreachable(sink.send(one("{}")).await.1);
    let start =
        format!("`http://127.0.0.1:{port}/test.log`: cannot connect to `127.0.0.1` port {port}: ");
    assert!(detail.starts_with(&start), "{detail}");
    let error = sink.probe().await.expect_err("nobody there").to_string();
    assert!(error.starts_with("Fluentd at `http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_while_idle_is_replaced() {
    let stage = Stage::new(Framing::Array).await;
    let peer = stage.delivered().await;
    drop(peer);
    stage.delivered().await;
}

#[tokio::test]
async fn a_reused_connection_that_breaks_without_an_answer_is_replaced_at_once() {
    let stage = Stage::new(Framing::Array).await;
    let mut peer = stage.delivered().await;
    // The second request reaches the receiver, which closes without an answer.
    let (verdict, bodies) = join!(stage.send(r#"{"n":2}"#), async {
        let (_, lost) = peer.request().await;
        drop(peer);
        let mut second = stage.accept().await;
        let (_, again) = second.request().await;
        second.ok().await;
        [lost, again]
    });
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(bodies, [r#"[{"n":2}]"#, r#"[{"n":2}]"#]);
    assert_eq!(stage.sink.stats().possible_duplicates, 1);
    let stats = stage.sink.stats();
    assert_eq!(
        (stats.resent, stats.possible_duplicates, stats.possible_duplicate_events),
        (1, 1, 1)
    );
    assert_eq!((stats.requests, stats.broken, stats.connections_opened), (3, 1, 2));
}

#[tokio::test]
async fn it_is_replaced_only_once_and_then_the_outcome_is_unknown() {
    let stage = Stage::new(Framing::Array).await;
    let mut peer = stage.delivered().await;
    // Nobody accepts the second try: the first may have arrived all the same.
    let Stage { listener, sink, .. } = stage;
    let ((_, verdict), ()) = join!(sink.send(one("{}")), async {
        peer.request().await;
        drop(listener);
        drop(peer);
    });
    let detail = unknown(verdict);
    assert!(detail.contains("cannot connect"), "{detail}");
    assert!(detail.contains("before that: the receiver closed the connection"), "{detail}");
}

#[tokio::test]
async fn an_end_without_an_answer_on_a_new_connection_is_unknown() {
    let stage = Stage::new(Framing::Array).await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        stage.asked().await;
    });
    let detail = unknown(verdict);
    assert!(detail.ends_with("the receiver closed the connection without an answer"), "{detail}");
    assert_eq!(stage.sink.stats().possible_duplicates, 0, "not sent again by the sink");
}

#[tokio::test]
async fn half_an_answer_is_unknown_even_on_a_reused_connection() {
    let stage = Stage::new(Framing::Array).await;
    let (first, second, ()) = {
        let mut peer = None;
        let (first, ()) = join!(stage.send("{}"), async {
            let mut new = stage.accept().await;
            new.request().await;
            new.ok().await;
            peer = Some(new);
        });
        let mut peer = peer.expect("accepted");
        let (second, ()) = join!(stage.send("{}"), async {
            peer.request().await;
            peer.write("HTTP/1.1 20").await;
            drop(peer);
        });
        (first, second, ())
    };
    assert_eq!(first, Verdict::Delivered);
    unknown(second);
}

#[tokio::test]
async fn something_other_than_http_is_unknown() {
    let stage = Stage::new(Framing::Array).await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        peer.write("SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
        peer.closed().await;
    });
    let detail = unknown(verdict);
    assert!(detail.contains("does not answer in HTTP/1.1"), "{detail}");
}

#[tokio::test]
async fn no_answer_within_the_limit_is_unknown() {
    let stage = Stage::new(Framing::Array).await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        stage.env.advance(29 * SECOND);
        tokio::task::yield_now().await;
        stage.env.advance(SECOND);
        // The connection is given up, so that a late answer is not taken for another request's.
        peer.closed().await;
    });
    assert!(unknown(verdict).ends_with("no answer within 30s"));
}

#[tokio::test]
async fn the_limits_of_request_and_response_are_separate() {
    let stage = Stage::with(Framing::Array, |config| {
        config.timeouts.request = 3 * SECOND;
        config.timeouts.response = 60 * SECOND;
    })
    .await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        stage.env.advance(59 * SECOND);
        tokio::task::yield_now().await;
        peer.ok().await;
    });
    assert_eq!(verdict, Verdict::Delivered);
}

#[tokio::test]
async fn half_an_answer_within_the_limit_is_unknown() {
    let stage = Stage::new(Framing::Array).await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        peer.write("HTTP/1.1 200 O").await;
        stage.env.advance(30 * SECOND);
        peer.closed().await;
    });
    assert!(unknown(verdict).ends_with("no answer within 30s"));
}

#[tokio::test]
async fn a_reused_connection_that_stalls_is_not_resent_at_once() {
    let stage = Stage::new(Framing::Array).await;
    let mut peer = stage.delivered().await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        peer.request().await;
        stage.env.advance(30 * SECOND);
        peer.closed().await;
    });
    assert!(unknown(verdict).ends_with("no answer within 30s"));
    let stats = stage.sink.stats();
    assert_eq!((stats.resent, stats.timeouts, stats.connections_opened), (0, 1, 1));
}

#[tokio::test]
async fn each_limit_has_its_own_length() {
    let limits = |config: &mut ev_sink_fluentd::Config| {
        config.timeouts.connect = 2 * SECOND;
        config.timeouts.handshake = 3 * SECOND;
        config.timeouts.request = 4 * SECOND;
        config.timeouts.response = 5 * SECOND;
    };
    // Taken and read, but not answered.
    let stage = Stage::with(Framing::Array, limits).await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        stage.env.advance(5 * SECOND);
        peer.closed().await;
    });
    assert!(unknown(verdict).ends_with("no answer within 5s"));
    // Taken, but not read.
    let large = large();
    let (verdict, _held) = join!(stage.send(&large), async {
        let mut peer = stage.accept().await;
        peer.stream.read_u8().await.expect("the first byte");
        stage.env.advance(4 * SECOND);
        peer
    });
    assert!(unknown(verdict).ends_with("the receiver did not take the request within 4s"));
}

#[tokio::test]
async fn a_receiver_that_stops_reading_does_not_hold_the_sink() {
    let stage = Stage::new(Framing::Array).await;
    let large = large();
    let (verdict, _held) = join!(stage.send(&large), async {
        let mut peer = stage.accept().await;
        peer.stream.read_u8().await.expect("the first byte");
        stage.env.advance(30 * SECOND);
        peer
    });
    assert!(unknown(verdict).ends_with("the receiver did not take the request within 30s"));
}

#[tokio::test]
async fn an_early_413_is_read_although_sending_fails() {
    let stage = Stage::new(Framing::Array).await;
    let large = large();
    let (verdict, ()) = join!(stage.send(&large), async {
        let mut peer = stage.accept().await;
        // Only the head is read; closing with bytes unread resets the connection.
        let mut head = [0; 64];
        peer.stream.read_exact(&mut head).await.expect("a head");
        peer.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n").await;
        drop(peer);
    });
    let Verdict::Guilty { index: None, detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains("answered 413"), "{detail}");
    // The next request needs a connection of its own.
    stage.delivered().await;
}

#[tokio::test]
async fn a_reset_while_sending_is_unknown() {
    let stage = Stage::new(Framing::Array).await;
    let large = large();
    let (verdict, ()) = join!(stage.send(&large), async {
        let mut peer = stage.accept().await;
        peer.stream.read_u8().await.expect("the first byte");
        drop(peer);
    });
    unknown(verdict);
}

#[tokio::test]
async fn success_before_the_whole_request_delivers_nothing() {
    let stage = Stage::new(Framing::Array).await;
    let large = large();
    let (verdict, ()) = join!(stage.send(&large), async {
        let mut peer = stage.accept().await;
        peer.stream.read_u8().await.expect("the first byte");
        peer.ok().await;
        peer.stream.shutdown().await.expect("open");
        while peer.stream.read_buf(&mut Vec::with_capacity(1 << 20)).await.is_ok_and(|n| n > 0) {}
    });
    assert!(unknown(verdict).ends_with("before the whole request had been sent"));
}

#[tokio::test]
async fn a_status_counts_even_if_the_rest_of_the_answer_never_comes() {
    let stage = Stage::new(Framing::Array).await;
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc").await;
    });
    assert_eq!(verdict, Verdict::Delivered);

    // Nor is an endless answer read to its end.
    let (verdict, ()) = join!(stage.send("{}"), async {
        let mut peer = stage.asked().await;
        peer.write("HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n").await;
        let chunk = "x".repeat(64 << 10);
        while peer.stream.write_all(chunk.as_bytes()).await.is_ok() {}
    });
    assert!(matches!(verdict, Verdict::Busy { .. }), "{verdict:?}");
}

#[tokio::test]
async fn a_dropped_attempt_closes_its_connection() {
    let stage = Stage::new(Framing::Array).await;
    let mut attempt = stage.sink.send(one("{}"));
    let mut peer = tokio::select! {
        biased;
        _ = &mut attempt => panic!("nobody answered"),
        peer = stage.asked() => peer,
    };
    drop(attempt);
    peer.closed().await;
    stage.delivered().await;
}

#[tokio::test]
async fn a_connect_that_hangs_is_unreachable() {
    // A listener whose queue is full takes no further connection and refuses none.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener: TcpListener = socket.listen(0).expect("a listener");
    let addr = listener.local_addr().expect("bound");
    let _queued = tokio::net::TcpStream::connect(addr).await.expect("room for one");
    let stage = Stage::with(Framing::Array, |config| config.url = format!("http://{addr}/t")).await;
    let mut attempt = stage.sink.send(one("{}"));
    tokio::select! {
        biased;
        _ = &mut attempt => panic!("nobody took the connection"),
        () = tokio::task::yield_now() => {}
    }
    stage.env.advance(5 * SECOND);
    let detail = unreachable(attempt.await.1);
    assert!(detail.ends_with("within 5s"), "{detail}");
}
