//! The promises of every sink, kept by this one in both framings, over mutual TLS.

use bytes::Bytes;
use ev_core::testing::ManualEnv;
use ev_core::testing::sink::{Receiver, contract};
use ev_core::{Framing, Route};
use ev_sink_fluentd::{FluentdSink, Gzip};
use ev_test_support::certs::{ClientFolder, Validity};
use ev_test_support::{FailRule, FakeFluentd, TlsVersions};

use crate::tls::{config, files, strict};

struct Fake(FakeFluentd);

impl Receiver for Fake {
    fn stored(&self, route: &Route) -> Vec<Bytes> {
        let tag = match route {
            Route::Audit => "test.log".to_owned(),
            Route::Session(id) => format!("session.{id}.log"),
        };
        let received = self.0.received().into_iter();
        received.filter(|event| event.tag == tag).map(|event| event.body).collect()
    }

    fn accept(&self, everything: bool) {
        let refuse = FailRule { status: 500, ..FailRule::default() };
        self.0.set(|switches| {
            switches.fail = if everything { Vec::new() } else { vec![refuse] };
        });
    }
}

async fn check(framing: Framing, versions: TlsVersions, gzip: Gzip) {
    let pki = ClientFolder::new();
    let receiver = Fake(strict(&pki, versions, Validity::Long));
    let mut config = config(&receiver.0, files(&pki));
    config.framing = framing;
    config.gzip = gzip;
    let sink = FluentdSink::new(config, ManualEnv::new()).expect("good settings");
    contract(&sink, &receiver).await;
    assert_eq!(sink.stats().possible_duplicates, 0, "a healthy receiver gets nothing twice");
}

#[tokio::test]
async fn array_mode_keeps_the_contract() {
    check(Framing::Array, TlsVersions::Only12, Gzip::Off).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_mode_keeps_the_contract() {
    check(Framing::Single, TlsVersions::Both, Gzip::Off).await;
}

#[tokio::test]
async fn gzip_keeps_the_contract() {
    check(Framing::Array, TlsVersions::Only12, Gzip::Always).await;
    check(Framing::Single, TlsVersions::Only12, Gzip::Auto { above_bytes: 1000 }).await;
}
