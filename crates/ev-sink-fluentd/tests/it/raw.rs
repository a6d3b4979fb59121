//! A receiver that a test plays itself, byte by byte.

use std::sync::Arc;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Batch, Framing, Route, Sink, Verdict};
use ev_sink_fluentd::{Config, FluentdSink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener without TLS, a sink that delivers to it, and the sink's clock.
pub(crate) struct Stage {
    pub(crate) listener: TcpListener,
    pub(crate) sink: FluentdSink,
    pub(crate) env: Arc<ManualEnv>,
}

impl Stage {
    pub(crate) async fn new(framing: Framing) -> Self {
        Self::with(framing, |_| {}).await
    }

    pub(crate) async fn with(framing: Framing, change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let base = format!("http://127.0.0.1:{port}");
        let mut config = Config::new(format!("{base}/test.log"), format!("{base}/session"));
        config.framing = framing;
        change(&mut config);
        let env = ManualEnv::new();
        let sink = FluentdSink::new(config, env.clone()).expect("good settings");
        Self { listener, sink, env }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("bound").port()
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer { stream: self.listener.accept().await.expect("a connection").0 }
    }

    /// Accepts a connection and reads a request.
    pub(crate) async fn asked(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.request().await;
        peer
    }

    /// Delivers an event over a new connection, on which nothing is wrong.
    pub(crate) async fn delivered(&self) -> Peer {
        let (verdict, peer) = tokio::join!(self.send("{}"), async {
            let mut peer = self.asked().await;
            peer.ok().await;
            peer
        });
        assert_eq!(verdict, Verdict::Delivered);
        peer
    }

    /// Sends one event.
    pub(crate) async fn send(&self, event: &str) -> Verdict {
        self.sink.send(one(event)).await.1
    }
}

pub(crate) fn one(event: &str) -> Batch {
    batch(1, Route::Audit, &[event])
}

/// The receiver's end of one connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Peer {
    /// One request: its head and its body by `Content-Length`.
    pub(crate) async fn request(&mut self) -> (String, String) {
        let (head, body) = self.request_bytes().await;
        (head, String::from_utf8(body).expect("text"))
    }

    /// The same with a body that need not be text.
    pub(crate) async fn request_bytes(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("a request head"));
        }
        let head = String::from_utf8(head).expect("text");
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.expect("a request body");
        (head, body)
    }

    pub(crate) async fn write(&mut self, answer: &str) {
        self.stream.write_all(answer.as_bytes()).await.expect("a reader");
    }

    /// What Fluentd answers when all is well.
    pub(crate) async fn ok(&mut self) {
        self.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: Keep-Alive\r\n\
             Content-Length: 0\r\n\r\n",
        )
        .await;
    }

    /// Waits until the sink closes.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is a close as well.
        if self.stream.read_to_end(&mut rest).await.is_ok() {
            assert_eq!(rest, b"", "nothing more is sent");
        }
    }
}
