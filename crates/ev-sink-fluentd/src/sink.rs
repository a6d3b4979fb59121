//! The sink: batches in, verdicts out.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ev_core::{Batch, BoxFuture, Env, Framing, Ordering, Route, Shape, Sink, SinkError, Verdict};
use ev_tls::{CertificateFacts, ClientOptions, ClientTls, Clock};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::body::Parts;
use crate::connect::connect;
use crate::connection::{Answer, Connection, Failure};
use crate::target::{Server, Target};
use crate::{Config, Error, answer};

const AGENT: &str = concat!("ev-handler/", env!("CARGO_PKG_VERSION"));

/// Delivers batches to Fluentd's `in_http`.
///
/// Any number of [`Sink::send`] may be called at once; those beyond
/// [`Config::max_connections`] wait.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ev_core::{Env, Sink};
/// use ev_sink_fluentd::{Config, Error, FluentdSink};
///
/// fn sink(env: Arc<dyn Env>) -> Result<Box<dyn Sink>, Error> {
///     let base = "https://fluentd.example:8888";
///     let mut config = Config::new(format!("{base}/test.log"), format!("{base}/session"));
///     config.tls.ca = Some("ca.crt".into());
///     config.tls.certificate = Some("client.crt".into());
///     config.tls.key = Some("client.key".into());
///     Ok(Box::new(FluentdSink::new(config, env)?))
/// }
/// ```
pub struct FluentdSink {
    config: Config,
    audit: Target,
    session: Target,
    tls: Option<ClientTls>,
    env: Arc<dyn Env>,
    /// A permit is held by each request under way.
    permits: Semaphore,
    /// Idle connections, the one used last at the end.
    idle: Mutex<Vec<(Server, Connection)>>,
    resent: AtomicU64,
}

impl FluentdSink {
    /// Checks the settings and reads the certificates; opens no connection. Blocks on files.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`], [`Error::OutOfRange`] and [`Error::Tls`], each naming the setting
    /// or the file.
    pub fn new(config: Config, env: Arc<dyn Env>) -> Result<Self, Error> {
        let audit = Target::audit(&config.url)?;
        let session = Target::session(&config.session_url)?;
        let least_one = [
            ("max-connections", config.max_connections),
            ("batch-max-events", config.max_events),
            ("batch-max-bytes", config.max_bytes),
        ];
        for (setting, value) in least_one {
            if value == 0 {
                return Err(Error::OutOfRange { setting });
            }
        }
        let tls = if audit.server.tls || session.server.tls {
            let clock = Arc::clone(&env);
            let clock = Clock::new(move || clock.now().seconds());
            Some(ClientTls::new(config.tls.clone(), ClientOptions::default(), clock)?)
        } else {
            if config.tls.certificate.is_some() {
                warn!(url = config.url, "certificates are set but the address is not https");
            }
            None
        };
        let permits = Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS));
        let (idle, resent) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { config, audit, session, tls, env, permits, idle, resent })
    }

    /// Requests that were sent a second time at once, because the connection they were first sent
    /// on turned out to be closed: each may have been stored twice.
    pub fn possible_duplicates(&self) -> u64 {
        self.resent.load(Relaxed)
    }

    /// Facts of the client certificate in use and its chain, leaf first; empty without one.
    pub fn identity_facts(&self) -> Vec<CertificateFacts> {
        self.tls.as_ref().map_or_else(Vec::new, ClientTls::identity_facts)
    }

    /// Reads the certificates again; says whether others are in use now. Blocks on files.
    ///
    /// # Errors
    ///
    /// What is wrong with the files; then those in use stay.
    pub fn reload_certificates(&self) -> Result<bool, Error> {
        let Some(tls) = &self.tls else { return Ok(false) };
        let changed = tls.reload()?;
        if changed {
            self.idle().clear();
        }
        Ok(changed)
    }

    async fn send_batch(&self, batch: &Batch) -> Verdict {
        let target = match batch.route {
            Route::Audit => &self.audit,
            Route::Session(_) => &self.session,
        };
        let (path, url) = target.of(&batch.route);
        match self.config.framing {
            Framing::Array => {
                let body = Parts::array(batch.stretches());
                self.post(target, path, &url, body, batch.entries.len()).await
            }
            Framing::Single => {
                // One entry, as the shape asks for; with more the first that is not delivered
                // decides.
                for entry in &batch.entries {
                    let json = entry.json.start as usize..entry.json.end as usize;
                    let body = Parts::object(batch.body.slice(json));
                    match self.post(target, path.clone(), &url, body, 1).await {
                        Verdict::Delivered => {}
                        other => return other,
                    }
                }
                Verdict::Delivered
            }
        }
    }

    async fn post(
        &self,
        target: &Target,
        path: PathAndQuery,
        url: &str,
        body: Parts,
        events: usize,
    ) -> Verdict {
        // The semaphore is never closed; were it, an attempt without a permit would do no harm.
        let _permit = self.permits.acquire().await.ok();
        let head = || request(Method::POST, path.clone());
        let (timeouts, env) = (&self.config.timeouts, &*self.env);
        let mut may_have_arrived = None;

        if let Some(mut connection) = self.take_idle(&target.server).await {
            let sent =
                connection.exchange(head(), &target.authority, body.clone(), timeouts, env).await;
            match sent {
                Ok(answer) => return self.settle(target, connection, &answer, url, events),
                Err(failure) if failure.read || failure.timed_out => return failed(url, failure),
                Err(failure) => {
                    // The receiver has closed an idle connection while the request was on its
                    // way, or has restarted; then its other connections are gone too.
                    debug!(url, reason = failure.what, "sent again on a new connection");
                    self.idle().clear();
                    if failure.written {
                        self.resent.fetch_add(1, Relaxed);
                        may_have_arrived = Some(failure.what);
                    }
                }
            }
        }

        let verdict = match connect(&target.server, self.tls.as_ref(), timeouts, env).await {
            Ok(mut connection) => {
                let sent =
                    connection.exchange(head(), &target.authority, body, timeouts, env).await;
                match sent {
                    Ok(answer) => self.settle(target, connection, &answer, url, events),
                    Err(failure) => failed(url, failure),
                }
            }
            Err(error) => Verdict::Unreachable { detail: format!("`{url}`: {}", error.what) },
        };
        match (verdict, may_have_arrived) {
            (Verdict::Unreachable { detail }, Some(before)) => {
                Verdict::Unknown { detail: format!("{detail}; before that: {before}") }
            }
            (verdict, _) => verdict,
        }
    }

    fn settle(
        &self,
        target: &Target,
        mut connection: Connection,
        answer: &Answer,
        url: &str,
        events: usize,
    ) -> Verdict {
        if answer.reusable {
            connection.idle_since = self.env.monotonic();
            let mut idle = self.idle();
            if idle.len() < self.config.max_connections {
                idle.push((target.server.clone(), connection));
            }
        }
        answer::verdict(answer, url, events, false, self.env.now())
    }

    /// The connection to `server` that was used last and is still good.
    async fn take_idle(&self, server: &Server) -> Option<Connection> {
        let now = self.env.monotonic();
        loop {
            let mut connection = {
                let mut idle = self.idle();
                idle.retain(|(_, connection)| {
                    now.saturating_sub(connection.idle_since) < self.config.timeouts.idle
                });
                let found = idle.iter().rposition(|(other, _)| other == server)?;
                idle.remove(found).1
            };
            if connection.is_alive().await {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Server, Connection)>> {
        // Nothing in here can be left half done by a panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn probe_once(&self) -> Result<(), SinkError> {
        let (timeouts, env, url) = (&self.config.timeouts, &*self.env, &self.config.url);
        let unreachable = |what: String, source| SinkError {
            message: format!("Fluentd at `{url}` cannot be reached: {what}"),
            source,
        };
        let mut connection = connect(&self.audit.server, self.tls.as_ref(), timeouts, env)
            .await
            .map_err(|error| unreachable(error.what, error.source))?;
        let (path, _) = self.audit.of(&Route::Audit);
        // From 1.13 on Fluentd answers 200 to this and stores nothing; 1.12 answers 400. Any
        // answer shows that HTTP is spoken and that our certificate was taken.
        let head = request(Method::GET, path);
        match connection
            .exchange(head, &self.audit.authority, Parts::default(), timeouts, env)
            .await
        {
            Ok(answer) => {
                debug!(url, status = answer.status.as_u16(), "Fluentd answers");
                Ok(())
            }
            Err(failure) => Err(unreachable(failure.what, None)),
        }
    }
}

impl Sink for FluentdSink {
    fn shape(&self) -> Shape {
        let single = self.config.framing == Framing::Single;
        Shape {
            framing: self.config.framing,
            max_events: if single { 1 } else { self.config.max_events },
            max_bytes: self.config.max_bytes,
            max_in_flight: self.config.max_connections,
            ordering: Ordering::Unordered,
        }
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        Box::pin(async move {
            let verdict = self.send_batch(&batch).await;
            (batch, verdict)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.probe_once())
    }
}

impl fmt::Debug for FluentdSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FluentdSink").field("config", &self.config).finish_non_exhaustive()
    }
}

fn request(method: Method, path: PathAndQuery) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, http::HeaderValue::from_static(AGENT));
    request
}

/// The verdict when no answer came.
fn failed(url: &str, failure: Failure) -> Verdict {
    let detail = format!("`{url}`: {}", failure.what);
    if failure.written && !failure.refused_us {
        Verdict::Unknown { detail }
    } else {
        Verdict::Unreachable { detail }
    }
}
