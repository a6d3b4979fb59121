//! A web server that has the files of a directory, as any other would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ev_test_support::certs::{Authority, Validity};
use ev_test_support::{TlsVersions, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::stage::{Stage, write};

/// A running server that wants a client certificate; dropping it closes everything.
pub(crate) struct Web {
    addr: SocketAddr,
    base: PathBuf,
    seen: Arc<watch::Sender<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Web {
    /// Serves the stage's directory `artifacts`, and writes `web-ca.crt`, `web.crt` and `web.key`
    /// for its clients.
    pub(crate) async fn start(stage: &Stage) -> Self {
        let authority = Authority::new("web CA").unwrap();
        let leaf = authority.issue_fluentd_server(Validity::Long).unwrap();
        let clients = [authority.cert_der()];
        let tls = server_config(&leaf, &clients, TlsVersions::Both, &["http/1.1"]).unwrap();
        let client = authority.issue_fluentd_client(Validity::Long).unwrap();
        write(stage.dir.path(), "web-ca.crt", authority.cert_pem());
        write(stage.dir.path(), "web.crt", &client.cert_pem);
        write(stage.dir.path(), "web.key", &client.key_pem);
        let base = stage.path("artifacts");
        std::fs::create_dir_all(&base).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(watch::Sender::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(tls), base.clone(), Arc::clone(&seen)));
        Self { addr, base, seen, _tasks: tasks }
    }

    /// The lines under `[decoder]` that name it.
    pub(crate) fn settings(&self) -> String {
        format!(
            "artifacts = \"https://localhost:{}/ev\"\nartifacts-ca = \"web-ca.crt\"\n\
             artifacts-cert = \"web.crt\"\nartifacts-key = \"web.key\"\n",
            self.addr.port()
        )
    }

    /// Puts a file where it is asked for.
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        let path = self.base.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Puts an artifact and its envelope where they are asked for.
    pub(crate) fn offer(&self, artifact: &ev_test_support::Artifact) {
        let name = match artifact.kind {
            ev_test_support::ArtifactKind::Module => format!("module-abi{}.wasm", artifact.abi),
            ev_test_support::ArtifactKind::Table => format!("table-v{}.evt", artifact.abi),
        };
        let path = format!("{}/{name}", artifact.auth_version);
        self.put(&path, &artifact.payload);
        self.put(&format!("{path}.dsse.json"), &artifact.envelope);
    }

    /// Paths asked for so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    /// Waits until a path was asked for so often.
    pub(crate) async fn asked(&self, path: &str, times: usize) {
        let mut seen = self.seen.subscribe();
        let often = |seen: &Vec<String>| seen.iter().filter(|p| *p == path).count() >= times;
        seen.wait_for(often).await.unwrap();
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    base: PathBuf,
    seen: Arc<watch::Sender<Vec<String>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                connections.spawn(serve(stream, tls.clone(), base.clone(), Arc::clone(&seen)));
            }
            Some(ended) = connections.join_next() => ended.unwrap(),
        }
    }
}

/// Answers one request after the other until the client is gone.
async fn serve(
    stream: TcpStream,
    tls: TlsAcceptor,
    base: PathBuf,
    seen: Arc<watch::Sender<Vec<String>>>,
) {
    let Ok(mut stream) = tls.accept(stream).await else { return };
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        seen.send_modify(|seen| seen.push(path.to_owned()));
        let answer = match path.strip_prefix("/ev/").map(|path| read(&base, path)) {
            Some(Some(file)) => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", file.len());
                [head.as_bytes(), &file].concat()
            }
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        };
        if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn read(base: &Path, path: &str) -> Option<Vec<u8>> {
    std::fs::read(base.join(path)).ok()
}
