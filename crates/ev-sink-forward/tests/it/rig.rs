//! A receiver, certificates, and a sink in front of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ev_core::testing::sink::batch;
use ev_core::{Route, Sink, Verdict};
use ev_sink_forward::{Config, ForwardSink};
use ev_test_support::certs::{Authority, Leaf, Validity};
use ev_test_support::{FakeForward, ForwardConfig, TlsVersions, loopback, server_config};
use ev_tls::CredentialFiles;
use tempfile::TempDir;

use crate::env::ManualEnv;

/// Certificates on both sides of a connection.
pub(crate) struct Pki {
    dir: TempDir,
    pub(crate) authority: Authority,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("Test CA").expect("a CA");
        let pki = Self { dir: tempfile::tempdir().expect("a directory"), authority };
        pki.write("ca.pem", pki.authority.cert_pem());
        pki.set_client(&pki.authority.issue_fluentd_client(Validity::Long).expect("a leaf"));
        pki
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a writable directory");
    }

    pub(crate) fn set_client(&self, leaf: &Leaf) {
        self.write("client.pem", &leaf.cert_pem);
        self.write("client.key", &leaf.key_pem);
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn files(&self) -> CredentialFiles {
        CredentialFiles {
            ca: Some(self.path().join("ca.pem")),
            certificate: Some(self.path().join("client.pem")),
            key: Some(self.path().join("client.key")),
            passphrase: None,
        }
    }

    /// A receiver that demands a client certificate.
    pub(crate) fn receiver(&self, versions: TlsVersions, config: ForwardConfig) -> FakeForward {
        let leaf = self.authority.issue_fluentd_server(Validity::Long).expect("a leaf");
        let clients = [self.authority.cert_der()];
        let tls = server_config(&leaf, &clients, versions, &[]).expect("a server");
        receiver(ForwardConfig { tls: Some(tls), ..config })
    }
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
