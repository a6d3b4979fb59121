//! TLS with client certificates, against a receiver that demands them.

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Route, Sink, Verdict};
use ev_sink_fluentd::{Config, Error, FluentdSink};
use ev_test_support::certs::{Authority, ClientFolder, Leaf, LeafRequest, Validity};
use ev_test_support::{FakeFluentd, FluentdConfig, TlsVersions, loopback};
use ev_tls::{CredentialFiles, Passphrase, PassphraseSource};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;

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
pub(crate) fn strict(pki: &ClientFolder, versions: TlsVersions, validity: Validity) -> FakeFluentd {
    let leaf = pki.authority.issue_fluentd_server(validity).expect("a leaf");
    strict_with(pki, &leaf, versions)
}

fn strict_with(pki: &ClientFolder, leaf: &Leaf, versions: TlsVersions) -> FakeFluentd {
    let tls = pki.server_config(leaf, versions, &[]);
    let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
    FakeFluentd::start(loopback().expect("a free port"), config).expect("a receiver")
}

pub(crate) fn config(receiver: &FakeFluentd, files: CredentialFiles) -> Config {
    let mut config = Config::new(receiver.url("test.log"), receiver.url("session"));
    config.tls = files;
    config
}

fn sink(receiver: &FakeFluentd, files: CredentialFiles) -> FluentdSink {
    FluentdSink::new(config(receiver, files), ManualEnv::new()).expect("good settings")
}

async fn send(sink: &FluentdSink) -> Verdict {
    sink.send(batch(1, Route::Audit, &[r#"{"n":1}"#, r#"{"n":2}"#])).await.1
}

#[track_caller]
fn unreachable(verdict: Verdict, part: &str) {
    let Verdict::Unreachable { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains(part), "{detail}");
}

#[tokio::test]
async fn mutual_tls_with_either_version() {
    let pki = ClientFolder::new();
    for versions in [TlsVersions::Only12, TlsVersions::Only13, TlsVersions::Both] {
        let receiver = strict(&pki, versions, Validity::Long);
        let sink = sink(&receiver, files(&pki));
        for _ in 0..3 {
            assert_eq!(send(&sink).await, Verdict::Delivered, "{versions:?}");
        }
        let tally = receiver.tally();
        assert_eq!((tally.events, tally.requests, tally.arrays), (6, 3, 3));
        assert_eq!(tally.connections, 1, "{versions:?}: the connection is used again");
        sink.probe().await.expect("a live receiver");
    }
}

#[tokio::test]
async fn a_receiver_of_another_ca_gets_nothing() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Both, Validity::Long);
    pki.write("ca.pem", Authority::new("Other CA").expect("a CA").cert_pem());
    let sink = sink(&receiver, files(&pki));
    unreachable(send(&sink).await, "certificate of the server is not signed by a trusted CA");
    let error = sink.probe().await.expect_err("another CA").to_string();
    assert!(error.contains("not signed by a trusted CA"), "{error}");
    assert_eq!(receiver.tally().requests, 0);
}

#[tokio::test]
async fn a_receiver_with_an_expired_certificate_gets_nothing() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Both, Validity::Expired);
    let sink = sink(&receiver, files(&pki));
    unreachable(send(&sink).await, "certificate of the server expired at 2002-");
    assert_eq!(receiver.tally().requests, 0);
}

#[tokio::test]
async fn a_name_that_is_not_in_the_certificate() {
    let pki = ClientFolder::new();
    let request = LeafRequest {
        common_name: "localhost".into(),
        names: vec!["fluentd.example".into()],
        server: true,
        ..LeafRequest::default()
    };
    let receiver =
        strict_with(&pki, &pki.authority.issue(&request).expect("a leaf"), TlsVersions::Both);
    let verdict = send(&sink(&receiver, files(&pki))).await;
    unreachable(verdict, "is not valid for `localhost`, only for fluentd.example");
}

#[test]
fn an_expired_client_certificate_is_refused_at_the_start() {
    let pki = ClientFolder::new();
    let check = |validity, part: &str| {
        pki.set_client(&pki.authority.issue_fluentd_client(validity).expect("a leaf"));
        let mut config = Config::new("https://localhost:1/t", "https://localhost:1/s");
        config.tls = files(&pki);
        let error = FluentdSink::new(config, ManualEnv::new()).expect_err("not valid");
        let Error::Tls(error) = error else { panic!("{error:?}") };
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("client.pem"), "{text}");
        assert!(text.contains("it is now 2026-06-01T00:00:00Z"), "{text}");
    };
    check(Validity::Expired, "expired at 2002-");
    check(Validity::NotYet, "is not valid before 4000-");
}

#[tokio::test]
async fn a_client_certificate_of_another_ca_is_unreachable_or_unknown() {
    let pki = ClientFolder::new();
    let other = Authority::new("Other CA").expect("a CA");
    pki.set_client(&other.issue_fluentd_client(Validity::Long).expect("a leaf"));
    // In TLS 1.2 the handshake itself fails.
    let receiver = strict(&pki, TlsVersions::Only12, Validity::Long);
    unreachable(send(&sink(&receiver, files(&pki))).await, "does not trust the CA of our client");
    assert_eq!(receiver.tally().requests, 0);
    // In TLS 1.3 the request is on its way before the receiver has looked at the certificate; the
    // alert tells that it was not taken, but a reset may overtake the alert.
    let receiver = strict(&pki, TlsVersions::Only13, Validity::Long);
    match send(&sink(&receiver, files(&pki))).await {
        Verdict::Unreachable { detail } => {
            assert!(detail.contains("does not trust the CA of our client"), "{detail}");
        }
        Verdict::Unknown { .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(receiver.tally().requests, 0);
}

#[tokio::test]
async fn without_a_client_certificate() {
    let pki = ClientFolder::new();
    let files = CredentialFiles { certificate: None, key: None, ..files(&pki) };
    let receiver = strict(&pki, TlsVersions::Only12, Validity::Long);
    unreachable(send(&sink(&receiver, files)).await, "demands a client certificate");
}

#[tokio::test]
async fn certificates_are_read_again_on_demand() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Both, Validity::Long);
    let sink = sink(&receiver, files(&pki));
    assert_eq!(send(&sink).await, Verdict::Delivered);
    assert!(!sink.reload_certificates().expect("the same files"));
    let before = sink.identity_facts();

    pki.write("client.key", "nonsense");
    sink.reload_certificates().expect_err("a bad file");
    assert_eq!(sink.identity_facts(), before);
    assert_eq!(send(&sink).await, Verdict::Delivered, "the old certificate stays");
    assert_eq!(receiver.tally().connections, 1);

    pki.renew();
    assert!(sink.reload_certificates().expect("a new certificate"));
    assert_eq!(send(&sink).await, Verdict::Delivered);
    assert_eq!(receiver.tally().connections, 2, "the next request shows the new certificate");
}

#[tokio::test]
async fn a_handshake_that_hangs_is_unreachable() {
    let pki = ClientFolder::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let base = format!("https://127.0.0.1:{port}");
    let mut config = Config::new(format!("{base}/t"), format!("{base}/s"));
    config.tls = files(&pki);
    let env = ManualEnv::new();
    let sink = FluentdSink::new(config, env.clone()).expect("good settings");
    let (verdict, _held) = tokio::join!(send(&sink), async {
        let (stream, _) = listener.accept().await.expect("a connection");
        // The first bytes of the handshake are there, so its limit is running.
        stream.peek(&mut [0]).await.expect("open");
        env.advance(std::time::Duration::from_secs(5));
        stream
    });
    unreachable(verdict, "no TLS handshake within 5s");
}

#[tokio::test]
async fn a_plain_http_port_is_recognised() {
    let pki = ClientFolder::new();
    let receiver = FakeFluentd::start(loopback().expect("a free port"), FluentdConfig::default())
        .expect("a receiver");
    let mut config = config(&receiver, files(&pki));
    config.url = config.url.replace("http://", "https://");
    let sink = FluentdSink::new(config, ManualEnv::new()).expect("good settings");
    let Verdict::Unreachable { detail } = send(&sink).await else { panic!("no TLS there") };
    assert!(detail.contains("TLS handshake failed"), "{detail}");
}

const PASSPHRASE: &str = "correct-horse";

/// The key as `openssl pkcs8 -topk8` would encrypt it.
fn encrypted(leaf: &Leaf) -> String {
    let params = pbes2::Parameters {
        kdf: pbes2::Pbkdf2Params::hmac_sha256(2048, b"saltsalt").expect("good ones").into(),
        encryption: pbes2::EncryptionScheme::Aes256Cbc { iv: [7; 16] },
    };
    let key = leaf.key_der();
    let key = PrivateKeyInfoRef::try_from(key.secret_der()).expect("PKCS#8");
    let document = key.encrypt_with_params(params, PASSPHRASE).expect("a key");
    document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).expect("text").to_string()
}

#[tokio::test]
async fn an_encrypted_key_is_opened_with_its_passphrase() {
    let pki = ClientFolder::new();
    let leaf = pki.client();
    pki.set_client(&leaf);
    pki.write("client.key", encrypted(&leaf));
    pki.write("passphrase", format!("{PASSPHRASE}\n"));
    let receiver = strict(&pki, TlsVersions::Both, Validity::Long);
    let with = |passphrase| CredentialFiles { passphrase, ..files(&pki) };
    let new = |passphrase| {
        FluentdSink::new(config(&receiver, with(passphrase)), ManualEnv::new()).map_err(|error| {
            match error {
                Error::Tls(error) => error,
                other => panic!("{other}"),
            }
        })
    };
    let file = || PassphraseSource::File(pki.file("passphrase"));
    for passphrase in [file(), PassphraseSource::Known(Passphrase::new(PASSPHRASE))] {
        let sink = new(Some(passphrase)).expect("the right one");
        assert_eq!(send(&sink).await, Verdict::Delivered);
    }
    let error = new(None).expect_err("encrypted");
    assert!(matches!(error, ev_tls::Error::EncryptedKey { .. }), "{error}");
    pki.write("passphrase", "another");
    let error = new(Some(file())).expect_err("the wrong one");
    assert!(matches!(error, ev_tls::Error::WrongPassphrase { .. }), "{error}");
}
