//! One connection of the other handler.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{Env, within};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Shared, count, exchange};
use crate::forward::Links;

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Serves it to its end.
pub(super) async fn serve(
    tcp: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    if let Err(error) = tcp.set_nodelay(true) {
        debug!(%peer, %error, "the connection is gone already");
        return;
    }
    let stream: Box<dyn Transport> = match acceptor {
        None => Box::new(tcp),
        Some(acceptor) => {
            let limit = shared.config.limits.handshake;
            let handshake = within(&*shared.env, limit, acceptor.accept(tcp));
            match tokio::select! {
                biased;
                () = stop.cancelled() => return,
                done = handshake => done,
            } {
                Some(Ok(stream)) => Box::new(stream),
                failed => {
                    count(&shared.counters.handshakes_failed);
                    let error = failed.and_then(Result::err).map(|error| error.to_string());
                    let error = error.unwrap_or_else(|| format!("none within {limit:?}"));
                    debug!(%peer, error, "no TLS handshake");
                    return;
                }
            }
        }
    };
    speak(stream, peer, &shared, stop).await;
}

async fn speak(
    stream: Box<dyn Transport>,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    stop: CancellationToken,
) {
    let links = Mutex::new(Links::default());
    let busy = watch::Sender::new(false);
    let service = service_fn(|request| {
        let (links, busy) = (&links, &busy);
        async move {
            let _busy = Busy::begin(busy);
            exchange::answer(shared, links, request).await
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut idle = pin!(idle(busy.subscribe(), shared.config.limits.idle, &*shared.env));
    tokio::select! {
        ended = Pin::as_mut(&mut connection) => {
            if let Err(error) = ended {
                debug!(%peer, %error, "the connection broke");
            }
            return;
        }
        () = &mut idle => return,
        () = stop.cancelled() => {}
    }
    // The request under way is answered; whoever runs this has a limit for that.
    Pin::as_mut(&mut connection).graceful_shutdown();
    tokio::select! {
        _ended = connection => {}
        () = idle => {}
    }
}

/// As long as a request is being answered.
struct Busy<'a>(&'a watch::Sender<bool>);

impl<'a> Busy<'a> {
    fn begin(busy: &'a watch::Sender<bool>) -> Self {
        busy.send_replace(true);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// Ends when no request has begun for `limit`: its head did not come, or the answer to the last one
/// is not taken.
async fn idle(mut busy: watch::Receiver<bool>, limit: Duration, env: &dyn Env) {
    loop {
        if busy.wait_for(|busy| !busy).await.is_err()
            || within(env, limit, busy.wait_for(|busy| *busy)).await.is_none()
        {
            return;
        }
    }
}
