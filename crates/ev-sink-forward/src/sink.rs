//! The sink: batches in, verdicts out.

use std::fmt;
use std::sync::Arc;

use ev_core::{Batch, BoxFuture, Env, Framing, Ordering, Shape, Sink, SinkError, Verdict};
use ev_dial::{LiveTls, Pool};
use ev_tls::{CertificateFacts, ClientOptions, CredentialWatch};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::chunk::Maker;
use crate::connection::Connection;
use crate::doubts::Doubts;
use crate::stats::{Counters, count};
use crate::target::{Server, Tags};
use crate::{Config, Error, Stats};

const ADVICE: &str = "give the handler a new client certificate, signed by the CA that the \
                      receiver trusts";

/// Delivers batches by the Forward protocol.
///
/// Any number of [`Sink::send`] may be called at once; those beyond
/// [`Config::max_connections`] wait. Dropping a call closes its connection.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ev_core::{Env, Sink};
/// use ev_sink_forward::{Config, Error, ForwardSink, Secret};
///
/// fn sink(env: Arc<dyn Env>) -> Result<Box<dyn Sink>, Error> {
///     let mut config = Config::new("tls://fluentd.example:24224", "events.log", "session");
///     config.tls.ca = Some("ca.crt".into());
///     config.shared_key = Some(Secret::new("both sides know it"));
///     Ok(Box::new(ForwardSink::new(config, env)?))
/// }
/// ```
pub struct ForwardSink {
    pub(crate) config: Config,
    pub(crate) server: Server,
    pub(crate) tags: Tags,
    pub(crate) live: LiveTls,
    pub(crate) env: Arc<dyn Env>,
    /// A permit is held by each chunk under way.
    pub(crate) permits: Semaphore,
    pub(crate) pool: Pool<(), Connection>,
    pub(crate) maker: Maker,
    pub(crate) doubts: Doubts,
    /// Numbers of batches begin anew with every process, and a receiver that drops repeats must
    /// not take a new chunk for an old one.
    pub(crate) run: [u64; 2],
    pub(crate) counters: Counters,
}

impl ForwardSink {
    /// Checks the settings and reads the certificates; opens no connection. Blocks on files.
    ///
    /// # Errors
    ///
    /// Whatever of [`Error`] applies, naming the setting or the file.
    pub fn new(config: Config, env: Arc<dyn Env>) -> Result<Self, Error> {
        let server = Server::parse(&config.url)?;
        let tags = Tags::new(&config.tag, &config.session_tag)?;
        let least_one = [
            ("max-connections", config.max_connections),
            ("batch-events", config.max_events),
            ("batch-bytes", config.max_bytes),
        ];
        for (setting, value) in least_one {
            if value == 0 {
                return Err(Error::OutOfRange { setting });
            }
        }
        match &config.shared_key {
            Some(key) if key.is_empty() => return Err(Error::EmptySharedKey),
            None if config.login.is_some() => return Err(Error::UserWithoutSharedKey),
            _ => {}
        }
        if !server.tls && config.tls.certificate.is_some() {
            warn!(url = server.text, "certificates are set but the address is not `tls`");
        }
        let files = server.tls.then(|| config.tls.clone());
        let watch = CredentialWatch::new("the forward receiver", ADVICE);
        let live = LiveTls::new(files, ClientOptions::default(), watch, Arc::clone(&env))?;
        Ok(Self {
            permits: Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)),
            pool: Pool::new(config.max_connections),
            maker: Maker::new(config.gzip),
            doubts: Doubts::default(),
            run: [env.random(), env.random()],
            counters: Counters::default(),
            config,
            server,
            tags,
            live,
            env,
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

    /// Connections to come show the new certificate, so those that showed the old one are closed:
    /// the idle ones at once, the others behind their chunk.
    pub(crate) fn certificates_changed(&self) {
        count(&self.counters.certificate_reloads, 1);
        self.pool.renew();
    }
}

impl Sink for ForwardSink {
    fn shape(&self) -> Shape {
        Shape {
            framing: Framing::Array,
            max_events: self.config.max_events,
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

    /// Connects, goes through the handshake, and hangs up: what Fluentd's own sender does for a
    /// heartbeat.
    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            match self.connect().await {
                Ok(_connection) => Ok(()),
                Err(error) => {
                    let (url, what) = (&self.server.text, error.what());
                    let message = format!("the receiver at `{url}` cannot be reached: {what}");
                    Err(SinkError { message, source: None })
                }
            }
        })
    }
}

impl fmt::Debug for ForwardSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardSink")
            .field("server", &self.server)
            .field("tags", &self.tags)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
