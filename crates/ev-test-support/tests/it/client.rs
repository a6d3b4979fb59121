//! Plain clients over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use ev_test_support::certs::{Authority, Leaf, Validity};
use ev_test_support::{TlsVersions, client_config};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::{TlsConnector, rustls::ServerConfig};

pub(crate) struct Pki {
    pub(crate) authority: Authority,
    pub(crate) client: Leaf,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("test").expect("randomness");
        let client = authority.issue_fluentd_client(Validity::Long).expect("a certificate");
        Self { authority, client }
    }

    pub(crate) fn fluentd(&self, versions: TlsVersions) -> Arc<ServerConfig> {
        let leaf = self.authority.issue_fluentd_server(Validity::Long).expect("a certificate");
        ev_test_support::server_config(&leaf, &[self.authority.cert_der()], versions, &[])
            .expect("a good configuration")
    }

    pub(crate) fn auth(&self) -> Arc<ServerConfig> {
        let leaf = self.authority.issue_auth_server("c", Validity::Long).expect("a certificate");
        let clients = [self.authority.cert_der()];
        ev_test_support::server_config(&leaf, &clients, TlsVersions::Both, &["h2"])
            .expect("a good configuration")
    }

    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let servers = [self.authority.cert_der()];
        client_config(Some(&self.client), &servers, TlsVersions::Both, alpn)
            .expect("a good configuration")
    }
}

pub(crate) async fn tls(
    addr: SocketAddr,
    name: &'static str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    let name = name.try_into().expect("a good name");
    TlsConnector::from(config).connect(name, stream).await
}

/// One HTTP/1.1 connection.
pub(crate) struct Http {
    sender: SendRequest<Full<Bytes>>,
    pub(crate) closed: tokio::task::JoinHandle<()>,
}

impl Http {
    pub(crate) async fn connect(addr: SocketAddr, pki: &Pki) -> Self {
        let stream = tls(addr, "localhost", pki.client(&[])).await.expect("a handshake");
        Self::over(TokioIo::new(stream)).await
    }

    async fn over<T>(io: TokioIo<T>) -> Self
    where
        TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
        T: Send + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(io).await.expect("an HTTP connection");
        let closed = tokio::spawn(async move { drop(connection.await) });
        Self { sender, closed }
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, hyper::Error> {
        self.send("POST", path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a good request");
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}
