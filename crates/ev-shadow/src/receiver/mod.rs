//! The end point that the other handler posts to.
//!
//! ```text
//!  Receiver::run ── accept (a slot each) ── connection task ── exchange, one at a time
//!        │                                      │                  │ room for its body
//!        └── owns all connection tasks ─────────┘                  └── Links to Fluentd
//! ```
//!
//! Every wait has an end: for a handshake, for the head of a request, for its body, for an answer.

mod connection;
mod exchange;
mod files;
mod paths;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ev_core::{Env, within};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::comparison::Comparison;
use crate::forward::Forward;

pub use self::files::{ServerFiles, server_tls};
pub use self::paths::Paths;
pub(crate) use self::paths::Place;

/// Pause when no connection can be accepted, for instance as there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// How much and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time; others wait in the system's queue. Default 64.
    pub connections: usize,
    /// Largest body, in bytes. Default 32 MiB, as in Fluentd.
    pub body_bytes: usize,
    /// Bodies held at one time, in bytes, at least one of the largest. Default 64 MiB.
    pub held_bytes: usize,
    /// Time for a TLS handshake. Default 10 s.
    pub handshake: Duration,
    /// Time until the head of the next request is there. Default 60 s; the reference handler closes
    /// its idle connections after 30 s.
    pub idle: Duration,
    /// Time for the body of a request. Default 20 s.
    pub body: Duration,
    /// Time that requests under way have at the end. Default 5 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            body_bytes: 32 << 20,
            held_bytes: 64 << 20,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(20),
            grace: Duration::from_secs(5),
        }
    }
}

/// What a receiver does.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// See [`server_tls`]; `None` is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Which requests carry events.
    pub paths: Paths,
    /// Where requests are passed on to; `None` answers them here.
    pub forward: Option<Forward>,
    /// How much and how long.
    pub limits: Limits,
}

/// What a receiver has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverStats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections without a TLS handshake: no client certificate, another CA, no TLS at all.
    pub handshakes_failed: u64,
    /// Requests with events that were counted.
    pub requests: u64,
    /// Requests for other paths or with other methods.
    pub strays: u64,
    /// Requests that were refused here: too large, too slow, no room.
    pub refused: u64,
    /// With [`Forward`]: requests to which Fluentd did not answer with success, or not at all.
    /// Their events count when they come again.
    pub not_taken: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    handshakes_failed: AtomicU64,
    requests: AtomicU64,
    strays: AtomicU64,
    refused: AtomicU64,
    not_taken: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// The end point.
#[derive(Debug)]
pub struct Receiver {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    config: ReceiverConfig,
    comparison: Arc<Comparison>,
    env: Arc<dyn Env>,
    /// Room for bodies, in units of [`exchange::UNIT`].
    room: Semaphore,
    counters: Counters,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Tells what a receiver has done, also while it runs.
#[derive(Clone, Debug)]
pub struct ReceiverCounts(Arc<Shared>);

impl ReceiverCounts {
    /// So far.
    pub fn stats(&self) -> ReceiverStats {
        let Counters { connections, handshakes_failed, requests, strays, refused, not_taken } =
            &self.0.counters;
        ReceiverStats {
            connections: connections.load(Relaxed),
            handshakes_failed: handshakes_failed.load(Relaxed),
            requests: requests.load(Relaxed),
            strays: strays.load(Relaxed),
            refused: refused.load(Relaxed),
            not_taken: not_taken.load(Relaxed),
        }
    }
}

impl Receiver {
    /// Takes a listener over. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn new(
        listener: std::net::TcpListener,
        config: ReceiverConfig,
        comparison: Arc<Comparison>,
        env: Arc<dyn Env>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let room = exchange::units(config.limits.held_bytes.max(config.limits.body_bytes));
        let room = Semaphore::new(room as usize);
        let counters = Counters::default();
        Ok(Self { listener, shared: Arc::new(Shared { config, comparison, env, room, counters }) })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system cannot tell.
    pub fn addr(&self) -> io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Tells what it does.
    pub fn counts(&self) -> ReceiverCounts {
        ReceiverCounts(Arc::clone(&self.shared))
    }

    /// Serves until `stop` is cancelled; then requests under way have a few seconds.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, shared } = self;
        let limits = shared.config.limits;
        let acceptor = shared.config.tls.clone().map(TlsAcceptor::from);
        let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => tell_end(ended),
                (slot, stream) = accepted => match stream {
                    Ok((stream, peer)) => {
                        count(&shared.counters.connections);
                        let (shared, stop) = (Arc::clone(&shared), stop.clone());
                        let acceptor = acceptor.clone();
                        connections.spawn(async move {
                            let _slot = slot;
                            connection::serve(stream, peer, acceptor, shared, stop).await;
                        });
                    }
                    Err(error) => {
                        warn!(%error, "no connection can be accepted");
                        shared.env.sleep(ACCEPT_AGAIN).await;
                    }
                },
            }
        }
        drop(listener);
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                tell_end(ended);
            }
        };
        if within(&*shared.env, limits.grace, drained).await.is_none() {
            debug!(left = connections.len(), "connections are cut");
            connections.shutdown().await;
        }
    }
}

fn tell_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended unexpectedly");
    }
}
