//! A client that knows the interface only by its numbers, and artifacts for it to ask for.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use ev_core::{ArtifactKind, AuthVersion, BoxFuture, SignedArtifact, Timestamp};
use ev_modules::{
    Expectation, Manifest, SigningKey, SizeLimits, Trust, Verified, envelope_name, file_name,
    sha256, verify,
};
use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tonic::Status;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use tower_service::Service;

/// `GetArtifactRequest`, as far as a client needs it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetArtifact {
    #[prost(string, tag = "1")]
    pub(crate) auth_version: String,
    #[prost(int32, repeated, tag = "2")]
    pub(crate) kinds: Vec<i32>,
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) module_abis: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) table_formats: Vec<u32>,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) held_sha256: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetArtifactResponse {
    #[prost(oneof = "Part", tags = "1, 2, 3")]
    part: Option<Part>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Part {
    #[prost(message, tag = "1")]
    NotModified(NotModified),
    #[prost(message, tag = "2")]
    Header(Header),
    #[prost(bytes = "bytes", tag = "3")]
    Chunk(Bytes),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct NotModified {}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(bytes = "bytes", tag = "1")]
    envelope: Bytes,
    #[prost(uint64, tag = "3")]
    size: u64,
}

/// For the table of a version.
pub(crate) fn wanted(of: &str) -> GetArtifact {
    GetArtifact {
        auth_version: of.to_owned(),
        kinds: vec![2],
        table_formats: vec![ev_decode::Table::FORMAT],
        ..GetArtifact::default()
    }
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Client(SendRequest<Body>);

impl Client {
    pub(crate) async fn plain(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub(crate) async fn tls(addr: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = "localhost".try_into().unwrap();
        Self::over(TlsConnector::from(config).connect(name, stream).await.unwrap()).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        // Ends with the last sender, or with the test's runtime.
        tokio::spawn(async move { drop(connection.await) });
        Self(sender)
    }

    /// The artifact; `None` when it is the one that is held.
    pub(crate) async fn get(&self, wanted: GetArtifact) -> Result<Option<SignedArtifact>, Status> {
        let mut grpc = Grpc::with_origin(self.clone(), "https://localhost".parse().unwrap());
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let path = PathAndQuery::from_static("/ev.decoder.v1.DecoderModuleService/GetArtifact");
        let codec = ProstCodec::<_, GetArtifactResponse>::default();
        let request = tonic::Request::new(wanted);
        let mut answer = grpc.server_streaming(request, path, codec).await?.into_inner();
        let Part::Header(header) = answer.message().await?.unwrap().part.unwrap() else {
            assert!(answer.message().await?.is_none(), "nothing behind `not modified`");
            return Ok(None);
        };
        let mut payload = BytesMut::new();
        while let Some(message) = answer.message().await? {
            let Some(Part::Chunk(chunk)) = message.part else { panic!("{message:?}") };
            payload.extend_from_slice(&chunk);
        }
        assert_eq!(payload.len() as u64, header.size);
        Ok(Some(SignedArtifact { envelope: header.envelope, payload: payload.freeze() }))
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// A table that is compiled in, signed for its version and put where it belongs. Returns the
/// version.
pub(crate) fn offer(base: &Path, key: &SigningKey) -> AuthVersion {
    let embedded = ev_decode::embedded().swap_remove(0);
    let of = embedded.table.auth_version().clone();
    let payload = embedded.bytes;
    let format = ev_decode::Table::FORMAT;
    let envelope = key.sign(&Manifest {
        kind: ArtifactKind::Table,
        abi: format,
        auth_version: of.clone(),
        schema_sha256: embedded.table.schema_sha256(),
        sha256: sha256(payload),
        size: payload.len() as u64,
        created: NOW,
        key_id: key.key_id(),
    });
    let folder = base.join(of.as_str());
    let name = file_name(ArtifactKind::Table, format);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&name), payload).unwrap();
    std::fs::write(folder.join(envelope_name(&name)), envelope).unwrap();
    of
}

/// Checks an artifact as the handler does.
pub(crate) fn verified(artifact: &SignedArtifact, key: &SigningKey, of: &AuthVersion) -> Verified {
    let expectation = Expectation {
        auth_version: of,
        kinds: &[ArtifactKind::Table],
        module_abis: &[],
        table_formats: &[ev_decode::Table::FORMAT],
        limits: SizeLimits::default(),
        now: NOW,
    };
    verify(artifact, &Trust::key(key.public_key()), &expectation).unwrap()
}

const NOW: Timestamp = Timestamp::new(1_790_000_000, 0);
