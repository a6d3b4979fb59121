//! The sink: batches in, verdicts out.

use std::fmt;
use std::sync::Arc;

use ev_core::{Batch, BoxFuture, Env, Framing, Ordering, Route, Shape, Sink, SinkError, Verdict};
use ev_dial::{LiveTls, Pool, WebServer};
use ev_tls::{CertificateFacts, ClientOptions, CredentialWatch};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::body::Parts;
use crate::connect::connect;
use crate::connection::Connection;
use crate::gzip::BodyZipper;
use crate::ids::BatchIds;
use crate::request::{JSON, request};
use crate::stats::{Counters, count};
use crate::target::Target;
use crate::token::Token;
use crate::{Config, Error, Stats, dress};

const ADVICE: &str = "give the handler a new client certificate, signed by the CA that Fluentd \
                      trusts";

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
    pub(crate) config: Config,
    pub(crate) audit: Target,
    pub(crate) session: Target,
    /// Those of the settings.
    pub(crate) headers: HeaderMap,
    pub(crate) token: Option<Arc<Token>>,
    pub(crate) live: LiveTls,
    pub(crate) env: Arc<dyn Env>,
    /// A permit is held by each request under way.
    pub(crate) permits: Semaphore,
    pub(crate) pool: Pool<WebServer, Connection>,
    pub(crate) zipper: BodyZipper,
    pub(crate) ids: BatchIds,
    pub(crate) counters: Counters,
}

impl FluentdSink {
    /// Checks the settings and reads the certificates; opens no connection. Blocks on files.
    ///
    /// # Errors
    ///
    /// Every kind of [`Error`], each naming the setting or the file.
    pub fn new(mut config: Config, env: Arc<dyn Env>) -> Result<Self, Error> {
        let audit = Target::audit(&config.url)?;
        let session = Target::session(&config.session_url, !config.form.names_session())?;
        let headers = dress::headers(&config)?;
        authorized_once(&audit, &session, &headers, &config)?;
        let token = config.token.clone().map(Token::new).transpose()?.map(Arc::new);
        // From here on they are for messages only.
        config.url.clone_from(&audit.text);
        config.session_url.clone_from(&session.text);
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
        let is_secure = audit.server.tls || session.server.tls;
        if !is_secure && config.tls.certificate.is_some() {
            warn!(url = config.url, "certificates are set but the address is not https");
        }
        let files = is_secure.then(|| config.tls.clone());
        let watch = CredentialWatch::new("Fluentd", ADVICE);
        let live = LiveTls::new(files, ClientOptions::default(), watch, Arc::clone(&env))?;
        let permits = Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS));
        Ok(Self {
            pool: Pool::new(config.max_connections),
            zipper: BodyZipper::new(config.gzip),
            ids: BatchIds::new(&*env),
            counters: Counters::default(),
            config,
            audit,
            session,
            headers,
            token,
            live,
            env,
            permits,
        })
    }

    /// What was done so far, for metrics.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Facts of the client certificate in use and its chain, leaf first; empty without one.
    pub fn identity_facts(&self) -> Vec<CertificateFacts> {
        self.live.identity_facts()
    }

    /// Of the CAs in use the one that ends last; `None` where none was given.
    pub fn authority_facts(&self) -> Option<CertificateFacts> {
        self.live.authority_facts()
    }

    /// Has a running [`crate::CertificateWatch`] look at the files now instead of at its next time;
    /// it logs what came of that.
    pub fn reload_soon(&self) {
        self.live.look_soon();
    }

    /// Reads the certificates again; says whether others are in use now. Blocks on files.
    ///
    /// # Errors
    ///
    /// What is wrong with the files; then those in use stay.
    pub fn reload_certificates(&self) -> Result<bool, Error> {
        let Some(tls) = self.live.tls() else { return Ok(false) };
        let changed = tls.reload()?;
        if changed {
            self.certificates_changed();
        }
        Ok(changed)
    }

    /// Requests to come show the new certificate, so the connections that showed the old one are
    /// closed: the idle ones at once, the others behind their request.
    pub(crate) fn certificates_changed(&self) {
        count(&self.counters.certificate_reloads, 1);
        self.pool.renew();
    }

    async fn probe_once(&self) -> Result<(), SinkError> {
        let (timeouts, env, url) = (&self.config.timeouts, &*self.env, &self.config.url);
        let unreachable = |what: String, source| SinkError {
            message: format!("Fluentd at `{url}` cannot be reached: {what}"),
            source,
        };
        let mut connection = connect(&self.audit.server, self.live.tls(), timeouts, env)
            .await
            .map_err(|error| unreachable(error.what, error.source))?;
        let (path, _) = self.audit.of(&Route::Audit);
        // From 1.13 on Fluentd answers 200 to this and stores nothing; 1.12 answers 400. Any
        // answer shows that HTTP is spoken and that our certificate was taken.
        let mut head = request(Method::GET, path, &JSON);
        self.dress(&mut head);
        match connection.exchange(head, &self.audit, Parts::default(), timeouts, env).await {
            Ok(answer) => {
                debug!(url, status = answer.status.as_u16(), "Fluentd answers");
                Ok(())
            }
            Err(failure) => Err(unreachable(failure.what, None)),
        }
    }
}

/// Of an address, a header and a token only one may say who we are.
fn authorized_once(
    audit: &Target,
    session: &Target,
    headers: &HeaderMap,
    config: &Config,
) -> Result<(), Error> {
    let has_user = audit.authorization.is_some() || session.authorization.is_some();
    let ways = [
        ("the user in an address", has_user),
        ("a header", headers.contains_key(AUTHORIZATION)),
        ("the token file", config.token.is_some()),
    ];
    let mut given = ways.into_iter().filter_map(|(way, is_given)| is_given.then_some(way));
    match (given.next(), given.next()) {
        (Some(one), Some(other)) => Err(Error::TwoAuthorizations { one, other }),
        _ => Ok(()),
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
        f.debug_struct("FluentdSink")
            .field("audit", &self.audit)
            .field("session", &self.session)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
