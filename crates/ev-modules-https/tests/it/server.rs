//! A web server that has the files a test gives it, and certificates for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ev_core::testing::ManualEnv;
use ev_core::{ArtifactKind, ArtifactRequest, AuthVersion, FetchedArtifact, Timestamp};
use ev_modules::{Manifest, SigningKey, envelope_name, file_name, sha256};
use ev_modules_https::{Config, HttpsSource};
use ev_test_support::certs::ClientFolder;
use ev_test_support::{TlsVersions, web_server_config};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What the server answers for a path.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::from_static(b"some text") }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct Inside {
    files: BTreeMap<String, Reply>,
    /// Path and query of each request, in order.
    seen: Vec<String>,
    connections: usize,
    /// Subjects of client certificates that were shown.
    certificates: usize,
}

/// A running server; dropping it closes everything.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let inside = Arc::<Mutex<Inside>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls.map(TlsAcceptor::from), Arc::clone(&inside)));
        Self { addr, inside, _tasks: tasks }
    }

    pub(crate) fn put(&self, path: &str, body: impl Into<Bytes>) {
        self.reply(path, Reply { body: body.into(), ..Reply::status(200) });
    }

    pub(crate) fn reply(&self, path: &str, reply: Reply) {
        self.inside.lock().unwrap().files.insert(path.to_owned(), reply);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.inside.lock().unwrap().files.remove(path).unwrap();
    }

    /// Paths and queries asked for since the last call.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.inside.lock().unwrap().seen)
    }

    pub(crate) fn connections(&self) -> usize {
        self.inside.lock().unwrap().connections
    }

    pub(crate) fn certificates(&self) -> usize {
        self.inside.lock().unwrap().certificates
    }

    /// Puts an artifact with its envelope below `base`.
    pub(crate) fn offer(&self, base: &str, artifact: &Made) {
        let Made { of, name, payload, envelope } = artifact;
        self.put(&format!("{base}/{of}/{name}"), payload.clone());
        self.put(&format!("{base}/{of}/{}", envelope_name(name)), envelope.clone());
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, inside: Arc<Mutex<Inside>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                inside.lock().unwrap().connections += 1;
                let (tls, inside) = (tls.clone(), Arc::clone(&inside));
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let answer = service_fn(|request| {
                        std::future::ready(Ok::<_, Infallible>(answer(&inside, &request)))
                    });
                    // What a client does to its connection is the client's test's business.
                    match tls {
                        None => drop(http.serve_connection(TokioIo::new(stream), answer).await),
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let shown = stream.get_ref().1.peer_certificates().is_some();
                            inside.lock().unwrap().certificates += usize::from(shown);
                            drop(http.serve_connection(TokioIo::new(stream), answer).await);
                        }
                    }
                });
            }
            Some(ended) = connections.join_next() => ended.unwrap(),
        }
    }
}

fn answer(inside: &Mutex<Inside>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    assert_eq!(request.method(), "GET");
    let mut inside = inside.lock().unwrap();
    inside.seen.push(request.uri().to_string());
    let reply = inside.files.get(request.uri().path());
    let reply = reply.cloned().unwrap_or_else(|| Reply::status(404));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body)).unwrap()
}

/// An authority, and files with what it issued.
pub(crate) struct Pki(ClientFolder);

impl Deref for Pki {
    type Target = ClientFolder;

    fn deref(&self) -> &ClientFolder {
        &self.0
    }
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self(ClientFolder::new())
    }

    /// TLS that asks nobody who they are.
    pub(crate) fn web_server(&self) -> Arc<ServerConfig> {
        web_server_config(&self.server(), &[]).unwrap()
    }

    /// TLS that wants a certificate of this authority.
    pub(crate) fn strict_server(&self, versions: TlsVersions) -> Arc<ServerConfig> {
        self.server_config(&self.server(), versions, &["http/1.1"])
    }

    /// A source that trusts this authority.
    pub(crate) fn source(&self, url: &str) -> HttpsSource {
        HttpsSource::new(self.config(url), ManualEnv::new()).unwrap()
    }

    pub(crate) fn config(&self, url: &str) -> Config {
        let mut config = Config::new(url);
        config.tls.ca = Some(self.ca());
        config
    }

    /// With a certificate of its own.
    pub(crate) fn client_config(&self, url: &str) -> Config {
        let mut config = self.config(url);
        config.tls.certificate = Some(self.certificate());
        config.tls.key = Some(self.key());
        config
    }
}

/// A TLS server with a base `/ev`, and a source for it.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) source: HttpsSource,
    pub(crate) key: SigningKey,
    pub(crate) pki: Pki,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with("/ev", "").await
    }

    pub(crate) async fn with(base: &str, query: &str) -> Self {
        let pki = Pki::new();
        let server = Server::start(Some(pki.web_server())).await;
        let url = format!("https://localhost:{}{base}{query}", server.addr.port());
        let source = pki.source(&url);
        Self { server, source, key: SigningKey::generate().unwrap(), pki }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.server.addr.port())
    }

    /// Puts an artifact of 18.1.0 below `/ev`.
    pub(crate) fn offer(&self, kind: ArtifactKind, abi: u32, payload: &[u8]) {
        self.server.offer("/ev", &make(&self.key, "18.1.0", kind, abi, payload));
    }
}

/// A signed artifact and what its file is called.
pub(crate) struct Made {
    pub(crate) of: String,
    pub(crate) name: String,
    pub(crate) payload: Bytes,
    pub(crate) envelope: Bytes,
}

pub(crate) fn make(
    key: &SigningKey,
    of: &str,
    kind: ArtifactKind,
    abi: u32,
    payload: &[u8],
) -> Made {
    let envelope = key.sign(&Manifest {
        kind,
        abi,
        auth_version: AuthVersion::new(of),
        schema_sha256: [7; 32],
        sha256: sha256(payload),
        size: payload.len() as u64,
        created: Timestamp::new(1_763_380_929, 0),
        key_id: key.key_id(),
    });
    Made {
        of: of.to_owned(),
        name: file_name(kind, abi),
        payload: Bytes::copy_from_slice(payload),
        envelope: envelope.into(),
    }
}

/// For a table of 18.1.0, or else a module.
pub(crate) fn request() -> ArtifactRequest {
    ArtifactRequest {
        auth_version: AuthVersion::new("18.1.0"),
        kinds: vec![ArtifactKind::Table, ArtifactKind::Module],
        module_abis: vec![1],
        table_formats: vec![1, 2],
        held_sha256: None,
        max_bytes: 1000,
    }
}

pub(crate) fn payload(answer: FetchedArtifact) -> Vec<u8> {
    match answer {
        FetchedArtifact::Artifact(artifact) => artifact.payload.to_vec(),
        other => panic!("{other:?}"),
    }
}
