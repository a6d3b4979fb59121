//! TLS and mutual TLS, over real sockets.

use std::path::Path;
use std::sync::Arc;

use ev_audit::ConnectionType;
use ev_audit::transport::{ConnectError, Connected, TlsTransport, Transport as _};
use ev_tls::{ClientOptions, CredentialFiles};
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::pki::{Ca, Leaf};

/// A server for one connection after the other.
struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

/// What a server got on a connection: all bytes, and the client's certificate.
type Got = (Vec<u8>, Option<CertificateDer<'static>>);

impl Server {
    /// Demands a client certificate of `clients`, if that is given.
    async fn new(leaf: &Leaf, clients: Option<&Ca>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.der()).expect("a CA");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(vec![leaf.der()], leaf.key()).expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn address(&self) -> String {
        self.listener.local_addr().expect("it is bound").to_string()
    }

    /// Serves one connection to its end.
    async fn serve(&self) -> std::io::Result<Got> {
        let (tcp, _) = self.listener.accept().await?;
        let mut stream = self.acceptor.accept(tcp).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        stream.shutdown().await?;
        Ok((bytes, certificate.map(CertificateDer::into_owned)))
    }
}

fn files(dir: &Path, ca: &Ca, client: Option<&Leaf>) -> CredentialFiles {
    std::fs::write(dir.join("ca.pem"), &ca.pem).expect("a file");
    let mut files = CredentialFiles { ca: Some(dir.join("ca.pem")), ..Default::default() };
    if let Some(client) = client {
        client.write(dir);
        files.certificate = Some(dir.join("client.pem"));
        files.key = Some(dir.join("client.key"));
    }
    files
}

fn transport(server: &Server, files: CredentialFiles) -> TlsTransport {
    TlsTransport::new(server.address(), files, ClientOptions::default()).expect("good credentials")
}

/// Writes something, says good-bye, and reads to the end.
async fn talk(connected: Result<Connected, ConnectError>) -> std::io::Result<Vec<u8>> {
    let mut stream = connected.expect("a connection").stream;
    stream.write_all(b"a frame").await?;
    stream.flush().await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The whole chain of causes, as an operator reads it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn frames_go_over_tls() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let server = Server::new(&ca.issue("127.0.0.1"), None).await;
    let mut transport = transport(&server, files(dir.path(), &ca, None));
    let client = async {
        let connected = transport.connect().await;
        let connection = connected.as_ref().expect("a connection");
        assert_eq!(connection.destination, ConnectionType::TCP);
        assert_eq!(connection.peer, server.address());
        talk(connected).await
    };
    let (got, answer) = tokio::join!(server.serve(), client);
    assert_eq!(got.unwrap(), (b"a frame".to_vec(), None));
    assert_eq!(answer.unwrap(), b"");
}

#[tokio::test]
async fn a_server_with_another_certificate_is_refused() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let stranger = Ca::new("another CA");
    for (leaf, what) in [
        (stranger.issue("127.0.0.1"), "not signed by a trusted CA"),
        (ca.issue("other.example"), "not valid for `127.0.0.1`, only for other.example"),
    ] {
        let server = Server::new(&leaf, None).await;
        let mut transport = transport(&server, files(dir.path(), &ca, None));
        let (got, refused) = tokio::join!(server.serve(), transport.connect());
        let error = refused.expect_err("the server is another one");
        assert!(error.is_retryable(), "it may come back with the right one");
        let text = chain(&error);
        assert!(text.contains("TLS handshake failed") && text.contains(what), "{text}");
        got.expect_err("it got nothing");
    }
}

#[tokio::test]
async fn the_expected_name_can_be_another_than_the_address() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let server = Server::new(&ca.issue("audit.example"), None).await;
    let name = Some("audit.example".to_owned());
    let options = ClientOptions { server_name: name, ..ClientOptions::default() };
    let files = files(dir.path(), &ca, None);
    let mut transport = TlsTransport::new(server.address(), files, options).unwrap();
    let client = async { talk(transport.connect().await).await };
    let (got, _) = tokio::join!(server.serve(), client);
    assert_eq!(got.unwrap().0, b"a frame");
}

#[tokio::test]
async fn both_sides_know_each_other_by_mutual_tls() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let (server, client) = (ca.issue("127.0.0.1"), ca.issue("client"));
    let server = Server::new(&server, Some(&ca)).await;
    let mut known = transport(&server, files(dir.path(), &ca, Some(&client)));
    let (got, answer) = tokio::join!(server.serve(), async { talk(known.connect().await).await });
    assert_eq!(got.unwrap(), (b"a frame".to_vec(), Some(client.der())));
    answer.unwrap();

    let stranger = Ca::new("another CA").issue("client");
    for client in [None, Some(&stranger)] {
        let dir = tempfile::tempdir().unwrap();
        let mut unknown = transport(&server, files(dir.path(), &ca, client));
        let (got, answer) =
            tokio::join!(server.serve(), async { talk(unknown.connect().await).await });
        got.expect_err("the server refuses it");
        let error = answer.expect_err("the client is told");
        assert!(chain(&error).contains("received fatal alert"), "{error}");
    }
}

#[tokio::test]
async fn each_connection_takes_the_newest_credentials() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let server = Server::new(&ca.issue("127.0.0.1"), Some(&ca)).await;
    let leaves = [ca.issue("first"), ca.issue("second"), ca.issue("third")];
    let mut transport = transport(&server, files(dir.path(), &ca, Some(&leaves[0])));
    let mut presented = async || {
        let (got, answer) =
            tokio::join!(server.serve(), async { talk(transport.connect().await).await });
        answer.unwrap();
        got.unwrap().1.expect("it is demanded")
    };
    assert_eq!(presented().await, leaves[0].der());
    leaves[1].write(dir.path());
    assert_eq!(presented().await, leaves[1].der());
    // A certificate without its key: the files are being replaced, or were replaced badly.
    std::fs::write(dir.path().join("client.pem"), &leaves[2].certificate).unwrap();
    assert_eq!(presented().await, leaves[1].der(), "what was good stays");
    leaves[2].write(dir.path());
    assert_eq!(presented().await, leaves[2].der());
    std::fs::remove_file(dir.path().join("ca.pem")).unwrap();
    assert_eq!(presented().await, leaves[2].der());
}

#[tokio::test]
async fn wrong_credentials_are_told_at_the_start() {
    let files = CredentialFiles { ca: Some("/nowhere/ca.pem".into()), ..Default::default() };
    let error = TlsTransport::new("127.0.0.1:1", files, ClientOptions::default());
    assert!(matches!(error, Err(ev_tls::Error::ReadFile { .. })));
}

#[tokio::test]
async fn an_address_that_is_none_is_permanent() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let files = files(dir.path(), &ca, None);
    let mut transport = TlsTransport::new("not a host:1", files, ClientOptions::default()).unwrap();
    let error = transport.connect().await.expect_err("no such host can be");
    assert!(!error.is_retryable(), "{error:?}");
}

/// So that it is always known what is out: see the documentation of streams.
#[tokio::test]
async fn a_write_takes_one_record_of_tls() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new("audit CA"));
    let server = Server::new(&ca.issue("127.0.0.1"), None).await;
    let mut transport = transport(&server, files(dir.path(), &ca, None));
    let client = async {
        let mut stream = transport.connect().await.expect("a connection").stream;
        assert_eq!(stream.write(&[7; 100_000]).await.unwrap(), 16 * 1024);
        stream.flush().await.unwrap();
        assert_eq!(stream.write(&[7; 100]).await.unwrap(), 100);
        stream.flush().await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    };
    let (got, _stream) = tokio::join!(server.serve(), client);
    assert_eq!(got.unwrap().0.len(), 16 * 1024 + 100);
}
