//! A registry that runs on a paused clock, and short words for what it answers.

use std::sync::Arc;
use std::time::Duration;

use ev_core::testing::MemoryStore;
use ev_core::{
    ArtifactKind, ArtifactSource, Choice, DecoderError, DecoderSet, SignedArtifact, StateStore,
};
use ev_modules::{Manifest, Parts, Registry, Settings, SigningKey, Trust};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{TestEnv, TestLoad, TestSource, embedded, manifest, signed, version};

/// A registry at work.
pub(crate) struct Rig {
    pub(crate) registry: Registry,
    pub(crate) loader: Arc<TestLoad>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What a registry is made with.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) sources: Vec<Arc<TestSource>>,
    /// Asked before the sources.
    pub(crate) places: Vec<Arc<dyn ArtifactSource>>,
    pub(crate) trust: Trust,
    pub(crate) store: Option<Arc<MemoryStore>>,
}

impl Setup {
    pub(crate) fn new(key: &SigningKey, sources: &[&Arc<TestSource>]) -> Self {
        crate::log::install();
        Self {
            settings: Settings {
                limits: ev_modules::SizeLimits { module: 100, table: 100 },
                ..Settings::default()
            },
            sources: sources.iter().map(|source| Arc::clone(source)).collect(),
            places: Vec::new(),
            trust: Trust::key(key.public_key()),
            store: None,
        }
    }

    pub(crate) fn start(self) -> Rig {
        let loader = Arc::new(TestLoad::default());
        let sources = self.sources.into_iter().map(|s| s as Arc<dyn ArtifactSource>);
        let parts = Parts {
            embedded: ["13.3.8", "15.0.0-dev", "18.0.0-dev"].map(embedded).into(),
            sources: self.places.into_iter().chain(sources).collect(),
            trust: self.trust,
            loader: Arc::clone(&loader) as _,
            store: self.store.map(|store| store as Arc<dyn StateStore>),
            env: Arc::new(TestEnv::new()),
        };
        let registry = Registry::try_new(parts, self.settings).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(registry.clone().run(stop.clone()));
        Rig { registry, loader, stop, task }
    }
}

impl Rig {
    pub(crate) fn choose(&self, auth: &str) -> Choice {
        self.registry.choose(&version(auth))
    }

    /// In short: `exact table 18.1.0`, `pending`, `inexact native 18.0.0-dev Park`.
    pub(crate) fn state(&self, auth: &str) -> String {
        match self.choose(auth) {
            Choice::Exact(decoder) => format!("exact {}", decoder.identity()),
            Choice::Pending => "pending".to_owned(),
            Choice::Inexact { decoder, unknown } => {
                format!("inexact {} {unknown:?}", decoder.identity())
            }
        }
    }

    /// Waits, by the registry's own word, until the state is that.
    pub(crate) async fn until(&self, auth: &str, wanted: &str) {
        let wait = async {
            loop {
                let seen = self.registry.generation();
                if self.state(auth) == wanted {
                    return;
                }
                self.registry.changed(seen).await;
            }
        };
        // A day on the paused clock: what has not come by then never does.
        if tokio::time::timeout(Duration::from_secs(86_400), wait).await.is_err() {
            panic!("not `{wanted}` but `{}`", self.state(auth));
        }
    }

    /// One report that the decoder of 18.1.0 failed.
    pub(crate) fn fail(&self) {
        self.registry.report_failure(&version("18.1.0"), &DecoderError::new("trapped"));
    }

    /// Reports until the decoder counts as failing: three that are far enough apart.
    pub(crate) async fn fail_for_long(&self) {
        self.fail();
        for _ in 0..2 {
            pass(5).await;
            self.fail();
        }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) const PARKED: &str = "inexact native 18.0.0-dev Park";
pub(crate) const MARKED: &str = "inexact native 18.0.0-dev Incomplete";
pub(crate) const EXACT: &str = "exact table 18.1.0";

pub(crate) fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

pub(crate) fn module(key: &SigningKey, payload: &[u8]) -> SignedArtifact {
    let manifest = Manifest { kind: ArtifactKind::Module, ..manifest(key, payload) };
    signed(key, &manifest, payload)
}

pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
