//! Who may post, and certificates.

use std::path::PathBuf;
use std::sync::Arc;

use ev_core::testing::ManualEnv;
use ev_shadow::{Forward, ForwardTimeouts, ServerFiles, server_tls};
use ev_test_support::certs::{Authority, Leaf, Validity};
use ev_test_support::{
    FakeFluentd, FluentdConfig, TlsVersions, client_config, loopback, server_config,
};
use ev_tls::{ClientOptions, ClientTls, Clock, CredentialFiles};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::rig::{Peer, Rig, Setup};

struct Pki {
    dir: TempDir,
    authority: Authority,
}

impl Pki {
    fn new() -> Self {
        let pki =
            Self { dir: tempfile::tempdir().unwrap(), authority: Authority::new("CA").unwrap() };
        let server = pki.authority.issue_fluentd_server(Validity::Long).unwrap();
        pki.write("ca.crt", pki.authority.cert_pem());
        pki.write("server.crt", &server.cert_pem);
        pki.write("server.key", &server.key_pem);
        pki
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn files(&self) -> ServerFiles {
        let path = |name| self.dir.path().join(name);
        ServerFiles {
            certificate: path("server.crt"),
            key: path("server.key"),
            client_ca: path("ca.crt"),
            passphrase: None,
        }
    }

    fn rig(&self, forward: Option<Forward>) -> Rig {
        let tls = server_tls(&self.files(), &clock()).unwrap();
        Rig::new(Setup { tls: Some(tls), forward, ..Setup::default() })
    }
}

fn clock() -> Clock {
    Clock::new(|| ManualEnv::START.seconds())
}

async fn dial(
    rig: &Rig,
    pki: &Pki,
    leaf: Option<&Leaf>,
    versions: TlsVersions,
) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
    let config = client_config(leaf, &[pki.authority.cert_der()], versions, &["h2", "http/1.1"]);
    let tcp = TcpStream::connect(rig.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Peer(TlsConnector::from(config.unwrap()).connect(name, tcp).await?))
}

#[tokio::test]
async fn whoever_has_a_certificate_may_post() {
    let pki = Pki::new();
    let rig = pki.rig(None);
    let leaf = pki.authority.issue_fluentd_client(Validity::Long).unwrap();
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let mut peer = dial(&rig, &pki, Some(&leaf), versions).await.unwrap();
        assert_eq!(peer.post("/test.log", "{}").await, 200);
    }
    assert_eq!(rig.tally().received.theirs, 2);
    rig.end().await;
}

#[tokio::test]
async fn nobody_else_may() {
    let pki = Pki::new();
    let rig = pki.rig(None);
    let stranger = Authority::new("CA").unwrap().issue_fluentd_client(Validity::Long).unwrap();
    let expired = pki.authority.issue_fluentd_client(Validity::Expired).unwrap();
    let mut failed = 0;
    for leaf in [None, Some(&stranger), Some(&expired)] {
        for versions in [TlsVersions::Only12, TlsVersions::Only13] {
            failed += 1;
            // With 1.3 the refusal comes behind the handshake, with the first read.
            if let Ok(mut peer) = dial(&rig, &pki, leaf, versions).await {
                let _refused = tokio::io::AsyncWriteExt::write_all(
                    &mut peer.0,
                    b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
                )
                .await;
                assert_eq!(peer.closed().await, "");
            }
        }
    }
    // Plain text is no way around.
    let mut peer = rig.peer().await;
    peer.write(b"POST /test.log HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await;
    assert!(!peer.closed().await.starts_with("HTTP"));
    assert_eq!(rig.tally().received.theirs, 0);
    let counts = rig.counts.clone();
    rig.end().await;
    assert_eq!(counts.stats().handshakes_failed, failed + 1);
}

#[tokio::test]
async fn it_is_passed_on_with_a_certificate_of_its_own() {
    let pki = Pki::new();
    let behind = Authority::new("Fluentd's CA").unwrap();
    let server = behind.issue_fluentd_server(Validity::Long).unwrap();
    let tls = server_config(&server, &[behind.cert_der()], TlsVersions::Only12, &[]).unwrap();
    let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
    let fluentd = FakeFluentd::start(loopback().unwrap(), config).unwrap();
    let client = behind.issue_fluentd_client(Validity::Long).unwrap();
    let files = CredentialFiles {
        ca: Some(pki.write("behind.crt", behind.cert_pem())),
        certificate: Some(pki.write("client.crt", &client.cert_pem)),
        key: Some(pki.write("client.key", &client.key_pem)),
        passphrase: None,
    };
    let tls = Arc::new(ClientTls::new(files, ClientOptions::default(), clock()).unwrap());
    let (url, session) = (fluentd.url("x"), fluentd.url("y"));
    let forward = Forward::new(&url, &session, Some(tls), ForwardTimeouts::default()).unwrap();
    let rig = pki.rig(Some(forward));
    let leaf = pki.authority.issue_fluentd_client(Validity::Long).unwrap();
    let mut peer = dial(&rig, &pki, Some(&leaf), TlsVersions::Both).await.unwrap();
    for n in 0..3 {
        let body = format!(r#"{{"uid":"{n}"}}"#);
        assert_eq!(peer.post("/test.log", &body).await, 200);
    }
    assert_eq!((fluentd.tally().events, fluentd.tally().connections), (3, 1));
    rig.end().await;
}

#[test]
fn files_are_checked() {
    let pki = Pki::new();
    let check = |change: &dyn Fn(&mut ServerFiles), says: &str| {
        let mut files = pki.files();
        change(&mut files);
        let error = server_tls(&files, &clock()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check(&|files| files.key = pki.dir.path().join("absent"), "absent");
    check(&|files| files.client_ca = files.key.clone(), "no certificate");
    check(&|files| files.passphrase = Some(pki.dir.path().join("none")), "none");
    let other = Authority::new("other").unwrap().issue_fluentd_server(Validity::Long).unwrap();
    let other = pki.write("other.key", &other.key_pem);
    check(&|files| files.key = other.clone(), "does not belong");
    let expired = pki.authority.issue_fluentd_server(Validity::Expired).unwrap();
    let (certificate, key) =
        (pki.write("e.crt", &expired.cert_pem), pki.write("e.key", &expired.key_pem));
    check(&|files| (files.certificate, files.key) = (certificate.clone(), key.clone()), "expired");
}
