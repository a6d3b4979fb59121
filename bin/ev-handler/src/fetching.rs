//! The decoders, and the task that fetches what they need.

use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::{AuthVersion, Choice, Decoder, DecoderSet, Env, Flavour};
use ev_modules::Registry;
use ev_source::AuthArtifacts;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::start::{Error, decoders};

/// How long a decoder is waited for, behind the time that the settings give it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A registry, and the task that fetches what it needs. Dropping it ends the task.
pub(crate) struct Fetching {
    pub(crate) registry: Registry,
    running: JoinSet<()>,
    stop: CancellationToken,
    env: Arc<dyn Env>,
    patience: Duration,
}

impl Fetching {
    /// Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// What only an operator can mend.
    pub(crate) fn start(needs: &decoders::Needs<'_>) -> Result<Self, Error> {
        let registry = decoders::registry(needs)?;
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(registry.clone().run(stop.clone()));
        let patience = needs.settings.decoder.artifact_wait.saturating_add(PATIENCE);
        Ok(Self { registry, running, stop, env: Arc::clone(&needs.env), patience })
    }

    /// For a command that works beside a running handler, whose state it leaves alone.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn beside(
        settings: &Settings,
        flavour: Flavour,
        artifacts: AuthArtifacts,
        env: &Arc<dyn Env>,
    ) -> Result<Self, Error> {
        Self::start(&decoders::Needs {
            settings,
            trust: decoders::trust(&settings.decoder)?,
            flavour,
            place: decoders::place(&settings.decoder, Arc::clone(env))?,
            artifacts: Arc::new(artifacts),
            store: None,
            env: Arc::clone(env),
        })
    }

    /// What decodes events of that version, once it is there; `None` if it does not come in time.
    pub(crate) async fn decoder(&self, version: &AuthVersion) -> Option<Arc<dyn Decoder>> {
        let ready = async {
            loop {
                let generation = self.registry.generation();
                match self.registry.choose(version) {
                    Choice::Exact(decoder) | Choice::Inexact { decoder, .. } => break decoder,
                    Choice::Pending => self.registry.changed(generation).await,
                }
            }
        };
        tokio::select! {
            decoder = ready => Some(decoder),
            () = self.env.sleep(self.patience) => None,
        }
    }

    /// Ends what runs beside, and waits for it.
    ///
    /// # Errors
    ///
    /// If it had panicked.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.map_err(Error::Task)?;
        }
        Ok(())
    }
}
