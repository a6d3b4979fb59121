//! Frames, friendly and hostile.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::accept;
use super::frames::{Framed, Framing};
use super::pings::Pings;
use super::websocket::WebSocket;

/// Chance that always says the same.
struct Fixed;

impl Env for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::new(0, 0)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn random(&self) -> u64 {
        0x0102_0304_0506_0708
    }
}

fn websocket() -> (Framed<WebSocket>, DuplexStream) {
    framed(WebSocket::new(Arc::new(Fixed)))
}

fn framed<F: Framing>(framing: F) -> (Framed<F>, DuplexStream) {
    let (near, far) = duplex(64 * 1024);
    (Framed::new(Box::new(near), framing), far)
}

#[test]
fn the_accept_key_is_that_of_the_standard() {
    // The example of RFC 6455, section 1.3.
    assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test]
async fn data_goes_out_masked_and_comes_in_plain() {
    let (mut near, mut far) = websocket();
    near.write_all(b"hello").await.expect("room");
    near.flush().await.expect("room");
    let mut sent = [0; 11];
    far.read_exact(&mut sent).await.expect("a frame");
    let masked: Vec<u8> = b"hello".iter().zip([1, 2, 3, 4, 1]).map(|(a, b)| a ^ b).collect();
    assert_eq!(sent, [&[0x82, 0x85, 1, 2, 3, 4], &masked[..]].concat()[..]);

    // In pieces, with a pong nobody asked for between them.
    far.write_all(&[0x02, 3, b'a', b'b', b'c', 0x8a, 0, 0x80, 126, 0, 2, b'd', b'e', 0x88, 0])
        .await
        .expect("room");
    let mut got = Vec::new();
    near.read_to_end(&mut got).await.expect("an orderly end");
    assert_eq!(got, b"abcde");
}

#[tokio::test]
async fn lengths_of_every_size_pass() {
    for len in [0_usize, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
        let (mut near, mut far) = websocket();
        let data: Vec<u8> = (0..=250).cycle().take(len).collect();
        let write = async {
            near.write_all(&data).await.expect("read");
            near.shutdown().await.expect("read");
        };
        let read = async {
            let mut got = Vec::new();
            loop {
                let mut head = [0; 2];
                far.read_exact(&mut head).await.expect("a head");
                assert_eq!(head[1] & 0x80, 0x80, "masked");
                let size = match head[1] & 0x7f {
                    126 => usize::from(far.read_u16().await.expect("a length")),
                    127 => panic!("longer than pieces are"),
                    short => usize::from(short),
                };
                let mut rest = vec![0; 4 + size];
                far.read_exact(&mut rest).await.expect("a payload");
                let (key, payload) = rest.split_at(4);
                let plain = payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b);
                match head[0] {
                    0x82 => got.extend(plain),
                    0x88 => return (got, plain.collect::<Vec<_>>()),
                    other => panic!("a frame of kind {other:#x}"),
                }
            }
        };
        let ((), (got, reason)) = tokio::join!(write, read);
        assert!(got == data, "{len} bytes went out");
        assert_eq!(reason, 1000_u16.to_be_bytes());

        // And the other way, with the longest form of a length.
        let (mut near, mut far) = websocket();
        let write = async {
            far.write_all(&[0x82, 127]).await.expect("read");
            far.write_u64(len as u64).await.expect("read");
            far.write_all(&data).await.expect("read");
            far.write_all(&[0x88, 0]).await.expect("read");
        };
        let mut got = Vec::new();
        let ((), end) = tokio::join!(write, near.read_to_end(&mut got));
        end.expect("an orderly end");
        assert!(got == data, "{len} bytes came in");
    }
}

#[tokio::test]
async fn pings_are_answered_with_what_they_hold() {
    let (mut near, mut far) = websocket();
    far.write_all(&[0x89, 2, b'h', b'i', 0x82, 1, b'x']).await.expect("room");
    let mut got = [0; 1];
    near.read_exact(&mut got).await.expect("the data behind it");
    let mut pong = [0; 8];
    far.read_exact(&mut pong).await.expect("a pong");
    assert_eq!(pong, [0x8a, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]);
}

#[tokio::test]
async fn a_flood_of_pings_fills_no_memory_and_stops_no_data() {
    let (near, far) = duplex(256);
    let mut near = Framed::new(Box::new(near), WebSocket::new(Arc::new(Fixed)));
    let (mut far_read, mut far_write) = tokio::io::split(far);
    let flood = async {
        for _ in 0..10_000 {
            far_write.write_all(&[0x89, 1, b'p']).await.expect("read");
        }
        far_write.write_all(&[0x82, 1, b'x', 0x88, 0]).await.expect("read");
    };
    // Nobody reads the pongs.
    let mut got = Vec::new();
    let ((), end) = tokio::join!(flood, near.read_to_end(&mut got));
    end.expect("an orderly end");
    assert_eq!(got, b"x");
    // What waits is the rest of one pong and one more.
    let drain = async {
        let mut pongs = Vec::new();
        far_read.read_to_end(&mut pongs).await.expect("the end");
        pongs.len()
    };
    let finish = async {
        near.flush().await.expect("room now");
        drop(near);
    };
    let (pongs, ()) = tokio::join!(drain, finish);
    assert!(pongs <= 256 + 2 * 7, "{pongs} bytes of pongs");
}

#[tokio::test]
async fn hostile_frames_are_errors() {
    let check = async |bytes: &[u8], message: &str| {
        let (mut near, mut far) = websocket();
        far.write_all(bytes).await.expect("room");
        drop(far);
        let mut got = Vec::new();
        let error = near.read_to_end(&mut got).await.expect_err("broken");
        assert!(error.to_string().contains(message), "{error}");
    };
    check(&[0x82, 0x81, 0, 0, 0, 0, 1], "is masked").await;
    check(&[0xc2, 0], "an extension").await;
    check(&[0x81, 0], "of a kind").await;
    check(&[0x83, 0], "of a kind").await;
    check(&[0x8b, 0], "of a kind").await;
    check(&[0x09, 0], "in pieces").await;
    check(&[0x89, 126, 0, 126], "too long").await;
    check(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "longer than one can be").await;
    check(&[0x82], "inside a frame").await;
    check(&[0x82, 126, 1], "inside a frame").await;
    check(&[0x82, 5, 1, 2], "inside a frame").await;
    check(&[0x89, 5, 1, 2], "inside a frame").await;
}

#[tokio::test]
async fn the_older_form_passes_pings_over() {
    let (mut near, mut far) = framed(Pings);
    far.write_all(&[0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i', 0, 0, 0, 0, 0, 0, 0, 1, b'!'])
        .await
        .expect("room");
    let mut got = [0; 3];
    near.read_exact(&mut got).await.expect("data");
    assert_eq!(&got, b"hi!");
    near.write_all(b"hello").await.expect("room");
    let mut sent = [0; 9];
    far.read_exact(&mut sent).await.expect("a frame");
    assert_eq!(&sent, b"\0\0\0\x05hello");
    far.write_all(&[0, 0, 0, 9, 1]).await.expect("room");
    drop(far);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.expect_err("cut off");
}
