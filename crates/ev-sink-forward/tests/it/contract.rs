//! The promises of every sink, kept by this one with and without TLS, handshake and compression.

use bytes::Bytes;
use ev_core::Route;
use ev_core::testing::ManualEnv;
use ev_core::testing::sink::{Receiver, contract};
use ev_sink_forward::{ForwardSink, Gzip, Secret};
use ev_test_support::certs::ClientFolder;
use ev_test_support::{FakeForward, ForwardConfig, TlsVersions};

use crate::rig::{config, files, receiver, strict};

struct Fake(FakeForward);

impl Receiver for Fake {
    fn stored(&self, route: &Route) -> Vec<Bytes> {
        let tag = match route {
            Route::Audit => "events.log".to_owned(),
            Route::Session(id) => format!("session.{id}.log"),
        };
        let received = self.0.received().into_iter();
        received.filter(|event| event.tag == tag).map(|event| event.json).collect()
    }

    fn accept(&self, everything: bool) {
        self.0.set(|switches| switches.refuse = !everything);
    }
}

#[tokio::test]
async fn plain_tcp_keeps_the_contract() {
    let receiver = Fake(receiver(ForwardConfig::default()));
    let sink = ForwardSink::new(config(&receiver.0), ManualEnv::new()).expect("good settings");
    contract(&sink, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_a_shared_key_and_compression_keeps_the_contract() {
    let pki = ClientFolder::new();
    for (versions, gzip) in
        [(TlsVersions::Only12, Gzip::Always), (TlsVersions::Both, Gzip::Auto { above_bytes: 1000 })]
    {
        let shared_key = Some("key".to_owned());
        let fake = strict(&pki, versions, ForwardConfig { shared_key, ..ForwardConfig::default() });
        let receiver = Fake(fake);
        let mut config = config(&receiver.0);
        config.tls = files(&pki);
        config.shared_key = Some(Secret::new("key"));
        config.gzip = gzip;
        let sink = ForwardSink::new(config, ManualEnv::new()).expect("good settings");
        contract(&sink, &receiver).await;
    }
}

#[tokio::test]
async fn a_receiver_that_keeps_no_connection_keeps_the_contract() {
    let config_of = ForwardConfig {
        shared_key: Some("key".to_owned()),
        keep_alive: false,
        ..ForwardConfig::default()
    };
    let receiver = Fake(receiver(config_of));
    let mut config = config(&receiver.0);
    config.shared_key = Some(Secret::new("key"));
    let sink = ForwardSink::new(config, ManualEnv::new()).expect("good settings");
    contract(&sink, &receiver).await;
    let tally = receiver.0.tally();
    assert!(tally.connections >= tally.chunks, "one for each chunk: {tally:?}");
}
