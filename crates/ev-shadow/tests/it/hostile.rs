//! Peers that are slow, large or wrong.

use std::time::Duration;

use ev_shadow::Limits;

use crate::rig::{Rig, Setup};

fn limited(change: impl FnOnce(&mut Limits)) -> Rig {
    let mut limits = Limits::default();
    change(&mut limits);
    Rig::new(Setup { limits, ..Setup::default() })
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let rig = limited(|limits| limits.body_bytes = 1000);
    let mut peer = rig.peer().await;
    peer.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n").await;
    assert_eq!(peer.answer().await.0, 413);
    assert_eq!(peer.closed().await, "");
    // Nobody has said how large it would be.
    let mut peer = rig.peer().await;
    peer.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    peer.write(format!("3e9\r\n{}\r\n", "a".repeat(1001)).as_bytes()).await;
    assert_eq!(peer.answer().await.0, 413);
    peer.closed().await;
    assert_eq!((rig.counts.stats().refused, rig.tally().received.theirs), (2, 0));
    // The next one is served.
    assert_eq!(rig.peer().await.post("/test.log", "{}").await, 200);
    rig.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_costs_its_connection() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    peer.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{").await;
    rig.env.slept_for(Duration::from_secs(20), 2).await;
    rig.env.advance(Duration::from_secs(21));
    assert_eq!(peer.answer().await.0, 408);
    assert_eq!(peer.closed().await, "");
    assert_eq!((rig.counts.stats().refused, rig.tally().received.theirs), (1, 0));
    rig.end().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_costs_its_connection() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    peer.write(b"POST /test.log HTTP/1.1\r\nHost:").await;
    rig.env.slept_for(Duration::from_secs(60), 1).await;
    rig.env.advance(Duration::from_secs(59));
    peer.write(b" x\r\nX-Slow:").await;
    rig.env.advance(Duration::from_secs(2));
    assert_eq!(peer.closed().await, "", "also when a byte comes now and then");
    rig.end().await;
}

#[tokio::test]
async fn garbage_is_answered_or_cut_and_harms_nobody() {
    let rig = Rig::usual();
    let mut long = b"POST /test.log HTTP/1.1\r\nX: ".to_vec();
    long.extend(std::iter::repeat_n(b'a', 200_000));
    let all: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"POST /test.log HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /test.log HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /test.log HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    for bytes in all {
        let mut peer = rig.peer().await;
        peer.write(bytes).await;
        let said = peer.closed().await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    let mut peer = rig.peer().await;
    // It may be cut before all of it is written.
    let _cut = tokio::io::AsyncWriteExt::write_all(&mut peer.0, &long).await;
    let said = peer.closed().await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    assert_eq!(rig.peer().await.post("/test.log", "{}").await, 200);
    assert_eq!(rig.tally().received.theirs, 1);
    rig.end().await;
}

#[tokio::test]
async fn there_are_no_more_connections_than_allowed() {
    let rig = limited(|limits| limits.connections = 1);
    let mut first = rig.peer().await;
    assert_eq!(first.post("/test.log", "{}").await, 200);
    let mut second = rig.peer().await;
    second.write(b"GET /test.log HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(first.post("/test.log", "{}").await, 200);
    assert_eq!(rig.counts.stats().connections, 1, "the other one waits");
    drop(first);
    assert_eq!(second.answer().await.0, 200);
    rig.end().await;
}

#[tokio::test]
async fn bodies_share_a_bounded_room() {
    let rig = limited(|limits| {
        limits.body_bytes = 8192;
        limits.held_bytes = 8192;
    });
    let mut first = rig.peer().await;
    first.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n").await;
    rig.env.slept_for(Duration::from_secs(20), 2).await;
    let mut second = rig.peer().await;
    second.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await;
    // It waits for room, and the first for its body: their time is over together, and there is
    // room again.
    rig.env.slept_for(Duration::from_secs(20), 3).await;
    rig.env.advance(Duration::from_secs(20));
    assert_eq!(first.answer().await.0, 408);
    assert!(matches!(second.answer().await.0, 200 | 503));
    rig.end().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let rig = Rig::usual();
    let mut peer = rig.peer().await;
    peer.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{").await;
    rig.env.slept_for(Duration::from_secs(20), 2).await;
    let env = rig.env.clone();
    rig.stop.cancel();
    let end = rig.end();
    tokio::pin!(end);
    tokio::select! {
        () = &mut end => panic!("there is something under way"),
        () = env.slept_for(Duration::from_secs(5), 1) => {}
    }
    env.advance(Duration::from_secs(5));
    end.await;
    assert_eq!(peer.closed().await, "");
}
