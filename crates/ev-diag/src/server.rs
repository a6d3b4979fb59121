//! The address on which all this is asked for.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{BoxFuture, Env, within};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::page::{PAGE, POLICY};
use crate::{Error, Readiness, Snapshot, Watchdog, metrics};

/// Connections that are served at one time. Further ones wait.
const CONNECTIONS: usize = 32;
/// How long the head of a request may take, and how long an idle connection is kept.
const PATIENCE: Duration = Duration::from_secs(10);
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
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // So that those that have ended are forgotten.
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "no connection taken");
                views.env().sleep(PAUSE).await;
                continue;
            }
        };
        let views = Arc::clone(&views);
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(|request| answer(&*views, request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_headers(64)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                debug!(%error, "connection for diagnostics ended");
            }
        });
    }
    connections.shutdown().await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(views: &dyn Views, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let mut answer = match request.uri().path() {
        _ if !is_read => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        }
        "/" => of(StatusCode::OK, "text/html; charset=utf-8", PAGE),
        "/metrics" => {
            let text = metrics::openmetrics(snapshot(views).await);
            of(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        "/healthz" => health(views),
        "/readyz" => {
            let readiness = Readiness::of(&snapshot(views).await);
            let status = match readiness.ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            json(status, &readiness)
        }
        "/status.json" => {
            let snapshot = snapshot(views).await;
            json(StatusCode::OK, &Status { readiness: Readiness::of(&snapshot), snapshot })
        }
        _ => {
            let paths = "there are / /status.json /metrics /healthz /readyz\n";
            text(StatusCode::NOT_FOUND, paths.to_owned())
        }
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// What `/status.json` holds.
#[derive(Serialize)]
struct Status {
    readiness: Readiness,
    #[serde(flatten)]
    snapshot: Snapshot,
}

/// The snapshot; an empty one if even that does not come.
async fn snapshot(views: &dyn Views) -> Snapshot {
    within(views.env(), PATIENCE, views.snapshot()).await.unwrap_or_default()
}

fn health(views: &dyn Views) -> Answer {
    let stalled = views.watchdog().stalled(views.env().monotonic());
    if stalled.is_empty() {
        return text(StatusCode::OK, "ok\n".to_owned());
    }
    let said: Vec<String> = stalled
        .iter()
        .map(|(name, age)| format!("{name} has not turned for {} s\n", age.as_secs()))
        .collect();
    text(StatusCode::SERVICE_UNAVAILABLE, said.concat())
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value) {
        Ok(text) => of(status, "application/json", text + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Answer {
    of(status, "text/plain; charset=utf-8", body)
}

fn of(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
