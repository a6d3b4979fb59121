//! Servers that a test plays itself, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use ev_core::testing::ManualEnv;
use ev_core::{ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, FetchedArtifact};
use ev_modules::SigningKey;
use ev_modules_https::{Config, HttpsSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::{make, payload, request};

type Fetched = JoinHandle<Result<FetchedArtifact, ArtifactError>>;

struct Stage {
    listener: TcpListener,
    source: Arc<HttpsSource>,
    env: Arc<ManualEnv>,
}

impl Stage {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let env = ManualEnv::new();
        let source = Arc::new(HttpsSource::new(Config::new(url), env.clone()).unwrap());
        Self { listener, source, env }
    }

    /// Fetches a table in format 1.
    fn fetch(&self) -> Fetched {
        let source = Arc::clone(&self.source);
        let kinds = vec![ArtifactKind::Table];
        let request = ArtifactRequest { kinds, table_formats: vec![1], ..request() };
        tokio::spawn(async move { source.fetch(request).await })
    }

    async fn accept(&self) -> TcpStream {
        in_time(self.listener.accept()).await.unwrap().0
    }
}

/// Reads a request to its end and returns its first line.
async fn request_line(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head).unwrap();
    assert!(text.contains("\r\naccept-encoding: identity\r\n"), "{text}");
    assert!(text.contains("\r\nhost: 127.0.0.1:"), "{text}");
    text.lines().next().unwrap().to_owned()
}

async fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
}

async fn message(fetched: Fetched) -> String {
    in_time(fetched).await.unwrap().unwrap_err().message
}

/// Only a failing test waits so long.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, future).await.expect("what the test waits for came in time")
}

fn length(body: &[u8]) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_waited_for() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    assert_eq!(request_line(&mut peer).await, "GET /18.1.0/table-v1.evt.dsse.json HTTP/1.1");
    // Not a byte of the body ever comes, and the clock stands still.
    send(&mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", b"").await;
    assert!(message(fetched).await.ends_with("is larger than the limit of 65536 bytes"));
}

#[tokio::test]
async fn a_body_without_end_is_broken_off_at_the_limit() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    send(&mut peer, head, b"").await;
    let chunk = [b"4000\r\n", &[b' '; 0x4000][..], b"\r\n"].concat();
    let mut sent = 0;
    while peer.write_all(&chunk).await.is_ok() {
        sent += 0x4000;
        assert!(sent < 1 << 30, "nobody breaks it off");
        if fetched.is_finished() {
            break;
        }
    }
    assert!(message(fetched).await.ends_with("is larger than the limit of 65536 bytes"));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    stage.env.advance(Duration::from_secs(19));
    assert!(!fetched.is_finished());
    stage.env.advance(Duration::from_secs(2));
    assert!(message(fetched).await.ends_with("no whole answer within 20s"));
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0, "the connection is closed");
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    send(&mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", b"12345").await;
    stage.env.advance(Duration::from_secs(21));
    assert!(message(fetched).await.ends_with("no whole answer within 20s"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    send(&mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", b"12345").await;
    drop(peer);
    let message = message(fetched).await;
    assert!(message.contains("/18.1.0/table-v1.evt.dsse.json` did not come whole: "), "{message}");
}

#[tokio::test]
async fn a_server_that_hangs_up_or_babbles_is_told() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    drop(peer);
    let text = message(fetched).await;
    assert!(text.ends_with("the server closed the connection without an answer"), "{text}");

    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    send(&mut peer, "SSH-2.0-x\r\n\r\n", b"").await;
    let text = message(fetched).await;
    assert!(text.contains("the server does not answer in HTTP/1.1: "), "{text}");
}

#[tokio::test]
async fn a_head_without_end_is_broken_off() {
    let stage = Stage::new().await;
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    send(&mut peer, "HTTP/1.1 200 OK\r\n", b"").await;
    let line = format!("x: {}\r\n", "y".repeat(1000));
    let mut sent = 0;
    while peer.write_all(line.as_bytes()).await.is_ok() && !fetched.is_finished() {
        sent += line.len();
        assert!(sent < 1 << 30, "nobody breaks it off");
    }
    let text = message(fetched).await;
    assert!(text.contains("the server does not answer in HTTP/1.1: "), "{text}");
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_to_be_closed_is_dialled_anew() {
    let stage = Stage::new().await;
    let made = make(&SigningKey::generate().unwrap(), "18.1.0", ArtifactKind::Table, 1, b"table");
    let fetched = stage.fetch();
    let mut peer = stage.accept().await;
    request_line(&mut peer).await;
    send(&mut peer, &length(&made.envelope), &made.envelope).await;
    // The server takes the next request, and closes without an answer.
    assert_eq!(request_line(&mut peer).await, "GET /18.1.0/table-v1.evt HTTP/1.1");
    drop(peer);
    let mut peer = stage.accept().await;
    assert_eq!(request_line(&mut peer).await, "GET /18.1.0/table-v1.evt HTTP/1.1");
    send(&mut peer, &length(b"table"), b"table").await;
    assert_eq!(payload(fetched.await.unwrap().unwrap()), b"table");
}

#[tokio::test]
async fn nobody_listens() {
    let Stage { listener, source, .. } = Stage::new().await;
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = source.fetch(request()).await.unwrap_err();
    let text = error.to_string();
    let expected = format!("cannot connect to `127.0.0.1` port {port}: ");
    assert!(text.contains(&expected), "{text}");
    assert!(text.starts_with("failed to fetch decoder artifact from http://127.0.0.1:"), "{text}");
}
