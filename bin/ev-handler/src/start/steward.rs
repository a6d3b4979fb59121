//! Does what a running handler is told from outside: reads its files again, and writes down what
//! is going on.

mod dump;

use std::path::PathBuf;
use std::sync::Arc;

use ev_core::Env;
use ev_source::AuthCredentials;
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::Error;
use super::control::{Command, Control};
use super::outlet::Outlet;
use super::status::{Gatherer, Notify};
use crate::chain::Chain;

/// What a steward needs.
pub(super) struct Charge {
    /// Where what is going on is written down.
    pub(super) storage: PathBuf,
    /// None in a dry run, which sends nothing.
    pub(super) outlets: Vec<Outlet>,
    pub(super) credentials: AuthCredentials,
    /// Who knows what is going on.
    pub(super) gatherer: Arc<Gatherer>,
    pub(super) notify: Notify,
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
        loop {
            match control.next().await {
                Command::Reload => self.reload(&control).await,
                Command::Dump => self.dump().await,
            }
        }
    }

    async fn reload(&self, control: &Control) {
        info!("reading credentials, certificates and the log level again");
        self.notify.reloading();
        if let Some(reread) = control.reread()
            && let Err(error) = tokio::task::spawn_blocking(move || reread()).await
        {
            error!(%error, "the settings could not be read again");
        }
        self.credentials.reload();
        self.outlets.iter().for_each(Outlet::reload_soon);
        self.notify.reloaded();
    }

    async fn dump(&self) {
        let now = self.env.now();
        let text = dump::to_json(&self.gatherer.gather_all().await);
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
