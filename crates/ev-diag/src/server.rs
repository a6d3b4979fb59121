//! The address on which all this is asked for.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{BoxFuture, Env, within};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::answers::answer;
use crate::{Error, Snapshot, Watchdog};

/// Connections that are served at one time. A further one takes the place of the oldest, so whoever
/// holds many keeps nobody from an answer.
const CONNECTIONS: usize = 32;
/// From the beginning of a connection to the last byte of its one answer. Whoever does not ask or
/// does not read by then has gone.
const LIFE: Duration = Duration::from_secs(20);
/// Pause after a connection could not be taken (no file descriptor is free).
const PAUSE: Duration = Duration::from_millis(250);

/// What is shown.
pub trait Views: Send + Sync + 'static {
    /// What the program is doing at this moment. May take a moment, not long: a part that does not
    /// answer is told as such.
    fn snapshot(&self) -> BoxFuture<'_, Snapshot>;

    /// What notices that it hangs.
    fn watchdog(&self) -> &Watchdog;

    /// The clock.
    fn env(&self) -> &dyn Env;
}

/// Serves an address, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Listens at once, so that an address that cannot be had is told before anything begins.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn start(address: SocketAddr, views: Arc<dyn Views>) -> Result<Self, Error> {
        let listen = |source| Error::Listen { address, source };
        let listener = StdListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serve = move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, views, stopped).await,
                    Err(error) => warn!(%error, "diagnostics are not served"),
                }
            });
            // Work that hangs with a disk must not hold up the end.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("diagnostics".to_owned())
            .spawn(serve)
            .map_err(Error::Thread)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens; the port is one that was free if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            drop(thread.join());
        }
    }
}

async fn serve(listener: TcpListener, views: Arc<dyn Views>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    // In the order in which they came.
    let mut places: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // So that those that have ended are forgotten.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "no connection taken");
                views.env().sleep(PAUSE).await;
                continue;
            }
        };
        places.retain(|place| !place.is_finished());
        while places.len() >= CONNECTIONS
            && let Some(oldest) = places.pop_front()
        {
            oldest.abort();
        }
        places.push_back(connections.spawn(converse(stream, peer, Arc::clone(&views))));
    }
    connections.shutdown().await;
}

/// One question and its answer. A connection that is kept for further ones would hold a place.
async fn converse(stream: TcpStream, peer: SocketAddr, views: Arc<dyn Views>) {
    let service = service_fn(|request| answer(&*views, peer, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIFE)
        .keep_alive(false)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    match within(views.env(), LIFE, served).await {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%error, "connection for diagnostics ended"),
        None => debug!(%peer, "connection for diagnostics took too long"),
    }
}
