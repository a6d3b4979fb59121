use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::Error;
use crate::certs::Leaf;
use crate::door::{Door, Serve, Transport};
use crate::tls::web_server_config;

/// How an HTTP proxy behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectSwitches {
    /// Where names lead, `host:port`; others are answered with 502.
    pub routes: BTreeMap<String, SocketAddr>,
    /// The login that it wants, `user:password`.
    pub login: Option<String>,
}

/// A request to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenConnect {
    /// Its first line.
    pub line: String,
    /// The login that came with it, `user:password`.
    pub login: Option<String>,
}

/// A running HTTP proxy. Dropping it closes everything.
pub struct FakeConnectProxy {
    shared: Arc<Shared>,
    door: Door,
}

impl FakeConnectProxy {
    /// Starts it on `listener`, with TLS if there is a certificate. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener or the certificate cannot be used.
    pub fn start(
        listener: std::net::TcpListener,
        certificate: Option<&Leaf>,
        switches: ConnectSwitches,
    ) -> Result<Self, Error> {
        let tls = certificate.map(|leaf| web_server_config(leaf, &[])).transpose()?;
        let shared = Arc::new(Shared(Mutex::new((switches, Vec::new()))));
        let door = Door::open(listener, tls, Arc::clone(&shared) as Arc<dyn Serve>)?;
        Ok(Self { shared, door })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The requests that came, oldest first.
    pub fn requests(&self) -> Vec<SeenConnect> {
        self.shared.lock().1.clone()
    }

    /// Changes the switches.
    pub fn set(&self, change: impl FnOnce(&mut ConnectSwitches)) {
        change(&mut self.shared.lock().0);
    }
}

struct Shared(Mutex<(ConnectSwitches, Vec<SeenConnect>)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (ConnectSwitches, Vec<SeenConnect>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to, or the answer that says no.
    fn decide(&self, head: &str) -> Result<SocketAddr, &'static str> {
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let login = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"))
            .and_then(|(_, value)| STANDARD.decode(value.trim().strip_prefix("Basic ")?).ok())
            .map(|login| String::from_utf8_lossy(&login).into_owned());
        let mut shared = self.lock();
        shared.1.push(SeenConnect { line: line.clone(), login: login.clone() });
        let ConnectSwitches { routes, login: wanted } = &shared.0;
        if wanted.is_some() && *wanted != login {
            return Err("407 Proxy Authentication Required");
        }
        let target = line.strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
        let target = target.ok_or("405 Method Not Allowed")?;
        routes.get(target).copied().ok_or("502 Bad Gateway")
    }
}

impl Serve for Shared {
    fn serve(
        self: Arc<Self>,
        mut stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) if head.len() < 8192 => head.push(byte),
                    _ => return,
                }
            }
            let decided = self.decide(&String::from_utf8_lossy(&head));
            let answer = decided.err().unwrap_or("200 Connection established");
            let answer = format!("HTTP/1.1 {answer}\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            if let Ok(target) = decided
                && let Ok(mut target) = TcpStream::connect(target).await
            {
                // Whoever ends first ends it.
                let _ended = copy_bidirectional(&mut stream, &mut target).await;
            }
        })
    }
}
