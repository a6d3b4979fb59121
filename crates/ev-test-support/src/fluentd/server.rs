use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::decide::{Fate, Inner, decide};
use super::store::{FluentdTally, Received, Store};
use super::switches::Switches;
use crate::Error;
use crate::door::{Door, Serve, Transport, until};

/// How a receiver is set up.
#[derive(Clone, Debug)]
pub struct FluentdConfig {
    /// TLS with client certificates; `None` is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// An idle connection is closed after this time. Fluentd's default is 10 s.
    pub keep_alive: Duration,
    /// Largest body in bytes; more is 413. Fluentd's default is 32 MiB.
    pub body_limit: usize,
}

impl Default for FluentdConfig {
    fn default() -> Self {
        Self { tls: None, keep_alive: Duration::from_secs(10), body_limit: 32 << 20 }
    }
}

/// A running receiver. Dropping it closes everything.
pub struct FakeFluentd {
    pub(super) shared: Arc<Shared>,
    pub(super) door: Door,
    tls: bool,
}

impl FakeFluentd {
    /// Starts a receiver on `listener`. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn start(listener: std::net::TcpListener, config: FluentdConfig) -> Result<Self, Error> {
        let tls = config.tls.clone();
        let shared = Arc::new(Shared {
            config,
            inner: Mutex::new(Inner::default()),
            changed: watch::Sender::new(0),
        });
        let serving: Arc<dyn Serve> = shared.clone();
        let has_tls = tls.is_some();
        Ok(Self { door: Door::open(listener, tls, serving)?, shared, tls: has_tls })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The address for events with `tag`.
    pub fn url(&self, tag: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}/{tag}", self.addr().port())
    }

    /// Counts so far.
    pub fn tally(&self) -> FluentdTally {
        let mut tally = self.shared.lock().store.tally.clone();
        tally.connections = self.door.accepted();
        tally.handshakes_failed = self.door.handshakes_failed();
        tally
    }

    /// Everything stored, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().store.received()
    }

    /// Forgets what was stored and counted.
    pub fn clear(&self) {
        self.shared.change(|inner| inner.store = Store::default());
    }

    /// Changes the switches.
    pub fn set(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.change(|inner| change(&mut inner.switches));
    }

    /// The switches as they are; counters among them have counted down.
    pub fn switches(&self) -> Switches {
        self.shared.lock().switches.clone()
    }

    /// Waits until the counts fulfil `condition`. The counts of connections are not watched.
    pub async fn wait(&self, condition: impl FnMut(&FluentdTally) -> bool) -> FluentdTally {
        until(&self.shared.changed, || self.tally(), condition).await
    }

    /// Shows another certificate, or speaks other versions of TLS, from the next
    /// [`FakeFluentd::start_again`] on.
    pub fn set_tls(&self, tls: Arc<ServerConfig>) {
        self.door.set_tls(tls);
    }

    /// Cuts every connection and says how many there were.
    pub async fn drop_connections(&self) -> usize {
        self.door.drop_connections().await
    }

    /// Refuses connections from now on and cuts those there are.
    pub async fn stop(&self) {
        self.door.close().await;
    }

    /// Accepts connections again, on the same address.
    ///
    /// # Errors
    ///
    /// When somebody else has taken the port meanwhile.
    pub async fn start_again(&self) -> Result<(), Error> {
        self.door.reopen().await
    }
}

pub(super) struct Shared {
    config: FluentdConfig,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|version| *version += 1);
        result
    }

    /// Waits until the switch `release` differs from what it is now.
    async fn released(&self) {
        let mut changed = self.changed.subscribe();
        let before = self.lock().switches.release;
        while self.lock().switches.release == before {
            let _alive = changed.changed().await;
        }
    }

    /// Waits as long as everything is frozen.
    async fn thawed(&self) {
        let mut changed = self.changed.subscribe();
        while self.lock().switches.frozen {
            let _alive = changed.changed().await;
        }
    }

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> io::Result<Response<Full<Bytes>>> {
        let _in_flight = InFlight::new(self.clone());
        if self.lock().switches.stop_reading {
            self.released().await;
        }
        self.thawed().await;
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, self.config.body_limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Ok(closing(self.answer(status, "too large", None)));
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        let latency = Duration::from_millis(self.lock().switches.latency_ms);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.thawed().await;
        if body.is_empty() && !matches!(head.method, Method::POST | Method::PUT) {
            let (status, text) = self.lock().switches.without_body(&head.method);
            let answer = self.answer(status, text, None);
            // Fluentd keeps no connection after a `GET`.
            return Ok(closing(answer));
        }
        let (number, fate) = self.change(|inner| decide(inner, &head, body));
        match fate {
            Fate::Answer(status, text, retry_after) => {
                Ok(self.answer(status, &text, Some((number, retry_after))))
            }
            Fate::AnswerAndClose(status, text) => Ok(closing(self.answer(status, &text, None))),
            Fate::Hold | Fate::Hang => {
                self.released().await;
                let status = self.lock().switches.ok();
                Ok(self.answer(status, "", Some((number, HeaderValue::from_static("")))))
            }
            Fate::CutOff => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
        }
    }

    fn answer(
        &self,
        status: StatusCode,
        text: &str,
        request: Option<(u64, HeaderValue)>,
    ) -> Response<Full<Bytes>> {
        let close = self.change(|inner| {
            *inner.store.tally.answers.entry(status.as_u16()).or_default() += 1;
            if let (true, Some((number, _))) = (status.is_success(), &request) {
                inner.store.acknowledge(*number);
            }
            inner.switches.close_after_answer
        });
        let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let connection = if close { "close" } else { "Keep-Alive" };
        headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
        if let Some((_, retry_after)) = request
            && !retry_after.is_empty()
        {
            headers.insert(header::RETRY_AFTER, retry_after);
        }
        response
    }
}

fn closing(mut answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Counts a request as long as it is being answered.
struct InFlight(Arc<Shared>);

impl InFlight {
    fn new(shared: Arc<Shared>) -> Self {
        shared.change(|inner| {
            let tally = &mut inner.store.tally;
            tally.in_flight += 1;
            tally.most_in_flight = tally.most_in_flight.max(tally.in_flight);
        });
        Self(shared)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // `clear` may have come in between.
        self.0.change(|inner| {
            let in_flight = &mut inner.store.tally.in_flight;
            *in_flight = in_flight.saturating_sub(1);
        });
    }
}

impl Serve for Shared {
    fn admit(&self) -> bool {
        self.change(|inner| match inner.switches.close_accepted.checked_sub(1) {
            Some(left) => {
                inner.switches.close_accepted = left;
                false
            }
            None => true,
        })
    }

    fn ready(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.thawed().await })
    }

    fn serve(
        self: Arc<Self>,
        stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let busy = Arc::new(watch::Sender::new(false));
            let idle = pin!(idle(busy.subscribe(), self.config.keep_alive));
            let service = service_fn(|request| {
                let (shared, busy) = (self.clone(), busy.clone());
                async move {
                    busy.send_replace(true);
                    let answer = shared.handle(request).await;
                    busy.send_replace(false);
                    answer
                }
            });
            let mut connection = pin!(
                hyper::server::conn::http1::Builder::new()
                    // As Fluentd, which sends neither date nor name.
                    .auto_date_header(false)
                    .serve_connection(TokioIo::new(stream), service)
            );
            tokio::select! {
                // A connection that broke is the peer's business.
                _ended = connection.as_mut() => return,
                _never = idle => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        })
    }
}

/// Ends once nothing was under way for `limit`.
async fn idle(mut busy: watch::Receiver<bool>, limit: Duration) -> Result<(), Infallible> {
    loop {
        if busy.wait_for(|busy| !busy).await.is_err() {
            return Ok(());
        }
        if tokio::time::timeout(limit, busy.wait_for(|busy| *busy)).await.is_err() {
            return Ok(());
        }
    }
}
