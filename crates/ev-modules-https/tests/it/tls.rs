//! Who talks to whom.

use std::sync::{Arc, Mutex};

use ev_core::testing::ManualEnv;
use ev_core::{ArtifactKind, ArtifactSource};
use ev_modules::SigningKey;
use ev_modules_https::{Error, HttpsSource};
use ev_test_support::TlsVersions;
use ev_tls::CredentialWatch;
use tracing::subscriber::DefaultGuard;

use crate::server::{Pki, Rig, Server, make, payload, request};

fn table(key: &SigningKey) -> crate::server::Made {
    make(key, "18.1.0", ArtifactKind::Table, 2, b"table")
}

/// A server that offers a table to those who show a certificate, and a source that does.
struct Strict {
    pki: Pki,
    server: Server,
    url: String,
    env: Arc<ManualEnv>,
    source: HttpsSource,
}

impl Strict {
    async fn new(versions: TlsVersions) -> Self {
        let pki = Pki::new();
        let server = Server::start(Some(pki.strict_server(versions))).await;
        server.offer("", &table(&SigningKey::generate().unwrap()));
        let (url, env) = (format!("https://localhost:{}", server.addr.port()), ManualEnv::new());
        let source = HttpsSource::new(pki.client_config(&url), env.clone()).unwrap();
        Self { pki, server, url, env, source }
    }
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
    let acceptor = tokio_rustls::TlsAcceptor::from(rig.pki.web_server());
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
    let Strict { pki, server, url, source, .. } = Strict::new(TlsVersions::Both).await;
    let nobody = pki.source(&url);
    let error = nobody.fetch(request()).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!((server.take_seen(), server.certificates()), (Vec::new(), 0));

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
    other.write("ca.pem", rig.pki.authority.cert_pem());
    assert_eq!(payload(source.fetch(request()).await.unwrap()), b"table");
    // What cannot be read leaves those that were.
    other.write("ca.pem", "no certificate");
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
    let Strict { pki, env, source, .. } = &Strict::new(TlsVersions::Both).await;
    let (lines, _guard) = Lines::capture();
    // The new certificate is there, and its key is about to come.
    let new = pki.client();
    pki.write("client.pem", &new.cert_pem);
    let fetched = source.fetch(request());
    tokio::pin!(fetched);
    tokio::select! {
        biased;
        early = &mut fetched => panic!("not looked at again: {early:?}"),
        () = env.asleep(CredentialWatch::SETTLE) => {}
    }
    pki.write("client.key", &new.key_pem);
    env.advance(CredentialWatch::SETTLE);
    assert_eq!(payload(fetched.await.unwrap()), b"table");
    assert_eq!(lines.with("credential files cannot be used"), 0);
    assert_eq!(lines.with("credentials have changed"), 1);
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let strict = Strict::new(versions).await;
        assert_eq!(
            payload(strict.source.fetch(request()).await.unwrap()),
            b"table",
            "{versions:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_set_up_fails_at_once() {
    let pki = Pki::new();
    let mut config = pki.config("https://localhost/ev");
    config.tls.ca = Some(pki.file("missing.pem"));
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
    /// Those from now on, until the guard is dropped.
    fn capture() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn with(&self, part: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(part)).count()
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_once_and_with_the_cause() {
    let Strict { pki, env, source, .. } = &Strict::new(TlsVersions::Both).await;
    let certificate = pki.certificate();
    let good = std::fs::read(&certificate).unwrap();
    let (lines, _guard) = Lines::capture();
    pki.write("client.pem", "nonsense");
    for _ in 0..3 {
        assert_eq!(payload(settled(env, source.fetch(request())).await.unwrap()), b"table");
    }
    assert_eq!(lines.with("credential files cannot be used"), 1);
    assert_eq!(lines.with(&certificate.display().to_string()), 1, "and what is wrong with which");
    pki.write("client.pem", good);
    source.fetch(request()).await.unwrap();
    assert_eq!(lines.with("credential files can be used again"), 1);
}
