//! Who talks to whom.

use std::sync::{Arc, Mutex};

use ev_core::{ArtifactKind, ArtifactSource};
use ev_modules::SigningKey;
use ev_modules_https::{Error, HttpsSource};
use ev_tls::CredentialWatch;

use crate::env::ManualEnv;
use crate::server::{Pki, Rig, Server, make, payload, request};

fn table(key: &SigningKey) -> crate::server::Made {
    make(key, "18.1.0", ArtifactKind::Table, 2, b"table")
}

#[tokio::test]
async fn a_server_of_another_ca_gets_no_request() {
    let rig = Rig::new().await;
    rig.server.offer("/ev", &table(&rig.key));
    let other = Pki::new();
    let stranger = other.source(&rig.url("/ev"));
    let error = stranger.fetch(request()).await.unwrap_err().to_string();
    assert!(error.contains("TLS handshake failed"), "{error}");
    assert!(error.contains(&rig.url("/ev/18.1.0/table-v2.evt.dsse.json")), "{error}");
    assert_eq!(rig.server.take_seen(), [""; 0]);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let rig = Rig::new().await;
    // The certificate is for `localhost` and `127.0.0.1`; all of 127.0.0.0/8 leads there, but the
    // server listens on that one address only.
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(rig.pki.server());
    let other = rig.pki.source(&format!("https://127.0.0.2:{port}/ev"));
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(stream).await.is_err(), "the client breaks it off");
    };
    let (answer, ()) = tokio::join!(other.fetch(request()), serve);
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("TLS handshake failed"), "{error}");
    assert!(error.contains("127.0.0.2"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks() {
    let pki = Pki::new();
    pki.write_client();
    let key = SigningKey::generate().unwrap();
    let server = Server::start(Some(pki.strict_server())).await;
    server.offer("", &table(&key));
    let url = format!("https://127.0.0.1:{}", server.addr.port());

    let nobody = pki.source(&url);
    let error = nobody.fetch(request()).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!((server.take_seen(), server.certificates()), (Vec::new(), 0));

    let mut config = pki.config(&url);
    config.tls.certificate = Some(pki.path("client.crt"));
    config.tls.key = Some(pki.path("client.key"));
    let source = HttpsSource::new(config, ManualEnv::new()).unwrap();
    assert_eq!(payload(source.fetch(request()).await.unwrap()), b"table");
    assert_eq!(server.certificates(), 1);
}

#[tokio::test]
async fn certificates_are_read_again_for_each_call() {
    let rig = Rig::new().await;
    rig.server.offer("/ev", &table(&rig.key));
    let other = Pki::new();
    let env = ManualEnv::new();
    let source = HttpsSource::new(other.config(&rig.url("/ev")), env.clone()).unwrap();
    assert!(source.fetch(request()).await.is_err());
    std::fs::copy(rig.pki.path("ca.crt"), other.path("ca.crt")).unwrap();
    assert_eq!(payload(source.fetch(request()).await.unwrap()), b"table");
    // What cannot be read leaves those that were.
    std::fs::write(other.path("ca.crt"), "no certificate").unwrap();
    assert_eq!(payload(settled(&env, source.fetch(request())).await.unwrap()), b"table");
}

/// Lets the time pass that files in new trouble are given, whenever something waits for it.
async fn settled<T>(env: &ManualEnv, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = env.asleep(CredentialWatch::SETTLE) => env.advance(CredentialWatch::SETTLE),
        }
    }
}

#[tokio::test]
async fn files_that_are_being_replaced_are_looked_at_again_before_they_are_judged() {
    let pki = Pki::new();
    pki.write_client();
    let key = SigningKey::generate().unwrap();
    let server = Server::start(Some(pki.strict_server())).await;
    server.offer("", &table(&key));
    let mut config = pki.config(&format!("https://127.0.0.1:{}", server.addr.port()));
    config.tls.certificate = Some(pki.path("client.crt"));
    config.tls.key = Some(pki.path("client.key"));
    let env = ManualEnv::new();
    let source = HttpsSource::new(config, env.clone()).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // The new certificate is there, and its key is about to come.
    let old_key = std::fs::read(pki.path("client.key")).unwrap();
    pki.write_client();
    let new_key = std::fs::read(pki.path("client.key")).unwrap();
    std::fs::write(pki.path("client.key"), old_key).unwrap();
    let fetched = source.fetch(request());
    tokio::pin!(fetched);
    tokio::select! {
        biased;
        early = &mut fetched => panic!("not looked at again: {early:?}"),
        () = env.asleep(CredentialWatch::SETTLE) => {}
    }
    std::fs::write(pki.path("client.key"), new_key).unwrap();
    env.advance(CredentialWatch::SETTLE);
    assert_eq!(payload(fetched.await.unwrap()), b"table");
    assert_eq!(lines.with("credential files cannot be used"), 0);
    assert_eq!(lines.with("credentials have changed"), 1);
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    for versions in [ev_test_support::TlsVersions::Only12, ev_test_support::TlsVersions::Only13] {
        let pki = Pki::new();
        pki.write_client();
        let key = SigningKey::generate().unwrap();
        let leaf =
            pki.authority.issue_fluentd_server(ev_test_support::certs::Validity::Long).unwrap();
        let clients = [pki.authority.cert_der()];
        let tls = ev_test_support::server_config(&leaf, &clients, versions, &[]).unwrap();
        let server = Server::start(Some(tls)).await;
        server.offer("", &table(&key));
        let mut config = pki.config(&format!("https://localhost:{}", server.addr.port()));
        config.tls.certificate = Some(pki.path("client.crt"));
        config.tls.key = Some(pki.path("client.key"));
        let source = HttpsSource::new(config, ManualEnv::new()).unwrap();
        assert_eq!(payload(source.fetch(request()).await.unwrap()), b"table", "{versions:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_set_up_fails_at_once() {
    let pki = Pki::new();
    let mut config = pki.config("https://localhost/ev");
    config.tls.ca = Some(pki.path("missing.crt"));
    let error = HttpsSource::new(config, ManualEnv::new()).unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    let config = pki.config("http://artifacts.example.com/ev");
    let error = HttpsSource::new(config, ManualEnv::new()).unwrap_err();
    assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
}

#[tokio::test]
async fn plain_http_on_loopback() {
    let server = Server::start(None).await;
    let key = SigningKey::generate().unwrap();
    server.offer("/ev", &table(&key));
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/ev", server.addr.port());
        let config = ev_modules_https::Config::new(url);
        let source = HttpsSource::new(config, ManualEnv::new()).unwrap();
        assert_eq!(payload(source.fetch(request()).await.unwrap()), b"table", "{host}");
    }
}

/// Log lines of this thread, as text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn with(&self, part: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(part)).count()
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_once_and_with_the_cause() {
    let pki = Pki::new();
    pki.write_client();
    let key = SigningKey::generate().unwrap();
    let server = Server::start(Some(pki.strict_server())).await;
    server.offer("", &table(&key));
    let mut config = pki.config(&format!("https://127.0.0.1:{}", server.addr.port()));
    config.tls.certificate = Some(pki.path("client.crt"));
    config.tls.key = Some(pki.path("client.key"));
    let env = ManualEnv::new();
    let source = HttpsSource::new(config, env.clone()).unwrap();
    let certificate = pki.path("client.crt");
    let good = std::fs::read(&certificate).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    std::fs::write(&certificate, "nonsense").unwrap();
    for _ in 0..3 {
        assert_eq!(payload(settled(&env, source.fetch(request())).await.unwrap()), b"table");
    }
    assert_eq!(lines.with("credential files cannot be used"), 1);
    assert_eq!(lines.with(&certificate.display().to_string()), 1, "and what is wrong with which");
    std::fs::write(&certificate, good).unwrap();
    source.fetch(request()).await.unwrap();
    assert_eq!(lines.with("credential files can be used again"), 1);
}
