//! A receiver, certificates, and a sink in front of them.

use std::sync::Arc;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Route, Sink, Verdict};
use ev_sink_forward::{Config, ForwardSink};
use ev_test_support::certs::ClientFolder;
use ev_test_support::{FakeForward, ForwardConfig, TlsVersions, loopback};
use ev_tls::CredentialFiles;

/// The client's side of a connection.
pub(crate) fn files(pki: &ClientFolder) -> CredentialFiles {
    CredentialFiles {
        ca: Some(pki.ca()),
        certificate: Some(pki.certificate()),
        key: Some(pki.key()),
        passphrase: None,
    }
}

/// A receiver that demands a client certificate.
pub(crate) fn strict(
    pki: &ClientFolder,
    versions: TlsVersions,
    config: ForwardConfig,
) -> FakeForward {
    let tls = pki.server_config(&pki.server(), versions, &[]);
    receiver(ForwardConfig { tls: Some(tls), ..config })
}

pub(crate) fn receiver(config: ForwardConfig) -> FakeForward {
    FakeForward::start(loopback().expect("a free port"), config).expect("a receiver")
}

pub(crate) fn config(receiver: &FakeForward) -> Config {
    Config::new(receiver.url(), "events.log", "session")
}

/// A receiver without anything special, and a sink for it.
pub(crate) struct Rig {
    pub(crate) receiver: FakeForward,
    pub(crate) env: Arc<ManualEnv>,
    pub(crate) sink: ForwardSink,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let receiver = receiver(ForwardConfig::default());
        let mut config = config(&receiver);
        change(&mut config);
        let env = ManualEnv::new();
        let sink = ForwardSink::new(config, env.clone()).expect("good settings");
        Self { receiver, env, sink }
    }

    /// One attempt with a batch that always has the same id.
    pub(crate) async fn send(&self, events: &[&str]) -> Verdict {
        self.sink.send(batch(1, Route::Audit, events)).await.1
    }
}
