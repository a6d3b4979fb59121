//! A receiver that runs, and a peer that writes to it byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;

use ev_core::Env;
use ev_core::testing::ManualEnv;
use ev_shadow::{
    Bounds, Comparison, Forward, Limits, Paths, Receiver, ReceiverConfig, ReceiverCounts, Rules,
    Side, Tally,
};
use ev_test_support::loopback;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

pub(crate) struct Rig {
    pub(crate) comparison: Arc<Comparison>,
    pub(crate) env: Arc<ManualEnv>,
    pub(crate) addr: SocketAddr,
    pub(crate) counts: ReceiverCounts,
    pub(crate) stop: CancellationToken,
    running: JoinHandle<()>,
}

/// What a rig differs in from the usual.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) forward: Option<Forward>,
    pub(crate) limits: Limits,
}

impl Rig {
    pub(crate) fn new(setup: Setup) -> Self {
        let env = ManualEnv::new();
        let clock: Arc<dyn Env> = env.clone();
        let comparison =
            Arc::new(Comparison::new(Rules::default(), Bounds::default(), Arc::clone(&clock)));
        let Setup { tls, forward, limits } = setup;
        let paths = Paths::new("https://fluentd:8888/test.log", "https://fluentd:8888/session");
        let config = ReceiverConfig { tls, paths: paths.unwrap(), forward, limits };
        let listener = loopback().unwrap();
        let receiver = Receiver::new(listener, config, Arc::clone(&comparison), clock).unwrap();
        let (addr, counts) = (receiver.addr().unwrap(), receiver.counts());
        let stop = CancellationToken::new();
        let running = tokio::spawn(receiver.run(stop.clone()));
        Self { comparison, env, addr, counts, stop, running }
    }

    pub(crate) fn usual() -> Self {
        Self::new(Setup::default())
    }

    pub(crate) async fn peer(&self) -> Peer<TcpStream> {
        Peer(TcpStream::connect(self.addr).await.unwrap())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.comparison.news().tally
    }

    /// Our own copy of an audit event.
    pub(crate) fn ours(&self, body: &str) {
        let body = body.as_bytes().to_vec().into();
        self.comparison.take(Side::Ours, &ev_core::Route::Audit, body);
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// The other handler's end of one connection.
pub(crate) struct Peer<S>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Posts as the reference handler does: one event, no line end behind it.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> u16 {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Go-http-client/1.1\r\n\
             Content-Length: {}\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
            body.len()
        );
        self.write(&[head.as_bytes(), body.as_bytes()].concat()).await;
        self.answer().await.0
    }

    /// Status, head and body of an answer.
    pub(crate) async fn answer(&mut self) -> (u16, String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await.unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    /// Waits until the receiver closes; what it said before comes back.
    pub(crate) async fn closed(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is a close as well.
        let _reset = self.0.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
