//! Does what a running handler is told from outside: reads its files again, and writes down what
//! is going on.

mod dump;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ev_core::{Env, Survey};
use ev_locking::Lockout;
use ev_pipeline::Inspector;
use ev_sink_fluentd::FluentdSink;
use ev_source::{AuthCredentials, AuthPresence};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::Error;
use super::control::{Command, Control};
use crate::chain::Chain;

/// How long the engine is waited for: it does not answer while its state cannot be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a run, as far as it has come.
#[derive(Default)]
pub(crate) struct Known {
    pub(super) survey: Option<Survey>,
    pub(super) engine: Option<Inspector>,
    pub(super) lockout: Option<Lockout>,
}

/// What a steward needs.
pub(super) struct Charge {
    /// Where what is going on is written down.
    pub(super) storage: PathBuf,
    pub(super) address: String,
    pub(super) dry_run: bool,
    /// `None` in a dry run, which sends nothing.
    pub(super) sink: Option<Arc<FluentdSink>>,
    pub(super) credentials: AuthCredentials,
    pub(super) presence: AuthPresence,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) env: Arc<dyn Env>,
}

/// The task; dropping it ends it.
pub(super) struct Steward(JoinHandle<()>);

impl Steward {
    /// Needs a running tokio runtime.
    pub(super) fn begin(charge: Charge, control: Control) -> Self {
        // Ended and waited for in `end`.
        Self(tokio::spawn(charge.run(control)))
    }

    /// Ends it, whatever it is doing.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] if it had panicked.
    pub(super) async fn end(mut self) -> Result<(), Error> {
        self.0.abort();
        match (&mut self.0).await {
            Err(error) if error.is_panic() => Err(Error::Task(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Steward {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Charge {
    async fn run(self, mut control: Control) {
        let began = self.env.monotonic();
        loop {
            match control.next().await {
                Command::Reload => self.reload(&control).await,
                Command::Dump => self.dump(began).await,
            }
        }
    }

    async fn reload(&self, control: &Control) {
        info!("reading credentials, certificates and the log level again");
        if let Some(reread) = control.reread()
            && let Err(error) = tokio::task::spawn_blocking(move || reread()).await
        {
            error!(%error, "the settings could not be read again");
        }
        self.credentials.reload();
        if let Some(sink) = &self.sink {
            sink.reload_soon();
        }
    }

    async fn dump(&self, began: Duration) {
        let (survey, engine, lockout) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            (known.survey.clone(), known.engine.clone(), known.lockout.clone())
        };
        let is_there = engine.is_some();
        let status = async {
            match engine {
                Some(engine) => engine.status().await,
                None => None,
            }
        };
        let status = tokio::select! {
            biased;
            status = status => status,
            () = self.env.sleep(PATIENCE) => {
                warn!("the engine does not answer: it waits for its state");
                None
            }
        };
        let now = self.env.now();
        let moment = dump::Moment {
            now,
            uptime: self.env.monotonic().saturating_sub(began),
            dry_run: self.dry_run,
            address: &self.address,
            connected: self.presence.version(),
            auth_certificates: self.credentials.facts(),
            survey,
            engine_is_there: is_there,
            status,
            sink: self.sink.as_deref(),
            locking: lockout.map(|lockout| lockout.counts()),
        };
        let text = moment.to_json();
        let storage = self.storage.clone();
        let written = tokio::task::spawn_blocking(move || dump::write(&storage, now, &text)).await;
        match written {
            Ok(Ok(path)) => info!(path = %path.display(), "wrote down what is going on"),
            Ok(Err(error)) => {
                error!(error = %Chain(&error), "what is going on could not be written down");
            }
            Err(error) => error!(%error, "what is going on could not be written down"),
        }
    }
}
