//! A receiver that passes requests on.

use std::time::Duration;

use ev_shadow::{Error, Forward, ForwardTimeouts};
use ev_test_support::{FailRule, FakeFluentd, FluentdConfig, loopback};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::rig::{Peer, Rig, Setup};

fn fluentd() -> FakeFluentd {
    FakeFluentd::start(loopback().unwrap(), FluentdConfig::default()).unwrap()
}

fn forward_to(url: &str, session: &str) -> Forward {
    Forward::new(url, session, None, ForwardTimeouts::default()).unwrap()
}

fn before(fluentd: &FakeFluentd) -> Rig {
    let forward = forward_to(&fluentd.url("x"), &fluentd.url("y"));
    Rig::new(Setup { forward: Some(forward), ..Setup::default() })
}

const EVENT: &str = r#"{"event":"x", "uid":"1"}"#;

#[tokio::test]
async fn the_very_request_arrives_and_the_very_answer_comes_back() {
    let fluentd = fluentd();
    let rig = before(&fluentd);
    rig.ours(EVENT);
    let mut peer = rig.peer().await;
    assert_eq!(peer.post("/test.log", EVENT).await, 200);
    assert_eq!(peer.post("/session.s-1.log", EVENT).await, 200);
    assert_eq!(peer.post("/quite/other", EVENT).await, 200);
    let received: Vec<_> =
        fluentd.received().into_iter().map(|event| (event.tag, event.body)).collect();
    let tags: Vec<_> = received.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["test.log", "session.s-1.log", "quite.other"]);
    assert!(received.iter().all(|(_, body)| body == EVENT));
    let tally = rig.tally();
    assert_eq!((tally.identical, tally.received.theirs, rig.counts.stats().strays), (1, 2, 1));
    // Recordings go to a server of their own, so they have a connection of their own.
    assert_eq!(fluentd.tally().connections, 2);
    rig.end().await;
}

#[tokio::test]
async fn only_what_fluentd_took_counts_and_it_is_told_otherwise() {
    let fluentd = fluentd();
    fluentd.set(|switches| {
        switches.fail.push(FailRule { status: 500, count: Some(1), ..FailRule::default() });
        switches.fail.push(FailRule {
            status: 503,
            count: Some(1),
            retry_after: "7".to_owned(),
            ..FailRule::default()
        });
    });
    let rig = before(&fluentd);
    rig.ours(EVENT);
    let mut peer = rig.peer().await;
    assert_eq!(peer.post("/test.log", EVENT).await, 500);
    let head = format!("POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", EVENT.len());
    peer.write(format!("{head}Content-Type: application/json\r\n\r\n{EVENT}").as_bytes()).await;
    let (status, head, _) = peer.answer().await;
    assert_eq!(status, 503);
    assert!(head.to_ascii_lowercase().contains("retry-after: 7\r\n"), "{head}");
    assert_eq!(rig.tally().received.theirs, 0);
    assert_eq!(peer.post("/test.log", EVENT).await, 200);
    assert_eq!((rig.tally().equal, rig.tally().duplicates.theirs), (1, 0));
    assert_eq!((rig.counts.stats().not_taken, rig.counts.stats().requests), (2, 1));
    rig.end().await;
}

#[tokio::test]
async fn a_fluentd_that_is_away_is_seen_as_such() {
    let fluentd = fluentd();
    let rig = before(&fluentd);
    fluentd.stop().await;
    let mut peer = rig.peer().await;
    assert_eq!(peer.post("/test.log", EVENT).await, 502);
    fluentd.start_again().await.unwrap();
    assert_eq!(peer.post("/test.log", EVENT).await, 200, "on the same connection");
    assert_eq!(rig.tally().received.theirs, 1);
    // It closes what is idle: that costs nothing.
    fluentd.drop_connections().await;
    assert!(matches!(peer.post("/test.log", EVENT).await, 200 | 502));
    assert_eq!(peer.post("/test.log", EVENT).await, 200);
    rig.end().await;
}

#[tokio::test]
async fn an_idle_connection_is_not_used_for_too_long() {
    let fluentd = fluentd();
    let rig = before(&fluentd);
    let mut peer = rig.peer().await;
    for seconds in [0, 6, 8] {
        rig.env.advance(Duration::from_secs(seconds));
        assert_eq!(peer.post("/test.log", EVENT).await, 200);
    }
    assert_eq!(fluentd.tally().connections, 2);
    rig.end().await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let forward = Some(forward_to(&url, &url));
    let rig = Rig::new(Setup { forward, ..Setup::default() });
    let mut peer = rig.peer().await;
    let post = peer.post("/test.log", EVENT);
    let serve = async {
        let mut server = Peer(listener.accept().await.unwrap().0);
        let mut head = Vec::new();
        while !head.ends_with(EVENT.as_bytes()) {
            head.push(server.0.read_u8().await.unwrap());
        }
        rig.env.advance(Duration::from_secs(29));
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("POST /test.log HTTP/1.1\r\n"), "{head}");
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains(&format!("host: {}\r\n", listener.local_addr().unwrap())), "{head}");
        assert!(lower.contains("user-agent: go-http-client/1.1\r\n"), "{head}");
        assert_eq!(server.closed().await, "", "it is given up");
    };
    let (status, ()) = tokio::join!(post, serve);
    assert_eq!(status, 504);
    assert_eq!(rig.tally().received.theirs, 0);
    // A broken answer is one that did not come.
    let post = peer.post("/test.log", EVENT);
    let serve = async {
        let mut server = Peer(listener.accept().await.unwrap().0);
        server.write(b"garbage\r\n\r\n").await;
        server.closed().await;
    };
    let (status, ()) = tokio::join!(post, serve);
    assert_eq!(status, 502);
    rig.end().await;
}

#[tokio::test]
async fn what_is_between_neighbours_is_not_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let forward = Some(forward_to(&url, &url));
    let rig = Rig::new(Setup { forward, ..Setup::default() });
    let mut peer = rig.peer().await;
    let ask = async {
        peer.write(
            b"POST /test.log HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
              Keep-Alive: 5\r\nX-End: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        )
        .await;
        peer.answer().await
    };
    let serve = async {
        let mut server = Peer(listener.accept().await.unwrap().0);
        let mut head = Vec::new();
        while !head.ends_with(b"{}") {
            head.push(server.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let large = "a".repeat(70_000);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nKeep-Alive: 1\r\nX-Mine: 2\r\nContent-Length: 70000\r\n\r\n{large}"
        );
        let _cut = tokio::io::AsyncWriteExt::write_all(&mut server.0, answer.as_bytes()).await;
        head
    };
    let ((status, answer, body), head) = tokio::join!(ask, serve);
    for (name, expected) in
        [("x-hop", false), ("keep-alive", false), ("x-end: 1", true), ("chunked", false)]
    {
        assert_eq!(head.contains(name), expected, "{name}: {head}");
    }
    assert!(head.contains("content-length: 2\r\n"), "{head}");
    // The status is what counts; a text that is too long is left out.
    assert_eq!((status, body.as_str()), (200, ""));
    let answer = answer.to_ascii_lowercase();
    assert!(answer.contains("x-mine: 2") && !answer.contains("keep-alive"), "{answer}");
    assert_eq!(rig.tally().received.theirs, 1);
    rig.end().await;
}

#[test]
fn addresses_are_checked() {
    let check = |url: &str, says: &str| {
        let error = Forward::new(url, "http://f/s", None, ForwardTimeouts::default()).unwrap_err();
        assert!(matches!(error, Error::Url { setting: "url", .. }));
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains("secret"), "{text}");
    };
    check("https://f/t", "needs certificates");
    check("ftp://f/t", "neither");
    check("f", "neither");
    check("http://u:secret@f/t", "user or password");
}

/// A receiver that does not even take part in the handshake may not hold up the other handler for
/// longer than it waits.
#[tokio::test]
async fn dialling_counts_as_a_part_of_the_exchange() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/x", listener.local_addr().unwrap());
    let ca = ev_test_support::certs::Authority::new("CA").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca"), ca.cert_pem()).unwrap();
    let files = ev_tls::CredentialFiles { ca: Some(dir.path().join("ca")), ..Default::default() };
    let clock = ev_tls::Clock::new(|| 1_800_000_000);
    let tls = ev_tls::ClientTls::new(files, ev_tls::ClientOptions::default(), clock).unwrap();
    // The limits of the single steps are longer than that of all.
    let timeouts = ForwardTimeouts {
        connect: Duration::from_secs(100),
        handshake: Duration::from_secs(100),
        ..ForwardTimeouts::default()
    };
    let forward = Forward::new(&url, &url, Some(std::sync::Arc::new(tls)), timeouts).unwrap();
    let rig = Rig::new(Setup { forward: Some(forward), ..Setup::default() });
    let mut peer = rig.peer().await;
    let silent = async {
        let mut server = listener.accept().await.unwrap().0;
        // It has begun to shake hands.
        server.read_u8().await.unwrap();
        rig.env.advance(ForwardTimeouts::LONGEST);
        server
    };
    let (status, _server) = tokio::join!(peer.post("/test.log", EVENT), silent);
    assert_eq!(status, 504);
    rig.end().await;
}
