//! The service beside another one in the same server, as an Auth server would have it, asked by
//! the client of the handler.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ev_core::{ArtifactKind, ArtifactRequest, ArtifactSource, BoxFuture, FetchedArtifact, Source};
use ev_modules::serve::{DecoderModuleServer, ServeLimits};
use ev_modules::{Directory, SigningKey, sha256};
use ev_pipeline::TokioEnv;
use ev_source::{Config, Credentials, SearchSource};
use ev_test_support::certs::{Authority, Identity, Validity};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::client::{offer, verified};

const CLUSTER: &str = "rig.example.com";

/// As much of Auth as the handler's client asks before it takes it for Auth.
#[derive(Clone)]
struct Ping;

#[derive(Clone, PartialEq, prost::Message)]
struct PingRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct PingResponse {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    server_version: String,
}

impl UnaryService<PingRequest> for Ping {
    type Response = PingResponse;
    type Future = BoxFuture<'static, Result<Response<PingResponse>, Status>>;

    fn call(&mut self, _: Request<PingRequest>) -> Self::Future {
        let answer = PingResponse { cluster_name: CLUSTER.into(), server_version: "13.3.8".into() };
        Box::pin(std::future::ready(Ok(Response::new(answer))))
    }
}

impl NamedService for Ping {
    const NAME: &'static str = "proto.AuthService";
}

impl Service<http::Request<Body>> for Ping {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), "/proto.AuthService/Ping");
        Box::pin(async {
            let codec = ProstCodec::<PingResponse, PingRequest>::default();
            Ok(Grpc::new(codec).unary(Ping, request).await)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_handler_takes_artifacts_from_any_server_that_has_the_service() {
    let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let of = offer(dir.path(), &key);
    let env = Arc::new(TokioEnv::new());
    let directory = Directory::new(dir.path(), 1 << 20);
    let service = DecoderModuleServer::new(directory, ServeLimits::default(), env.clone());

    let authority = Authority::new("Teleport CA").unwrap();
    let leaf = authority.issue_auth_server(CLUSTER, Validity::Long).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(tonic::transport::Identity::from_pem(&leaf.cert_pem, &leaf.key_pem))
        .client_ca_root(Certificate::from_pem(authority.cert_pem()));
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let server = Server::builder().tls_config(tls).unwrap().add_service(Ping).add_service(service);
    let server = tokio::spawn(server.serve_with_incoming(incoming));

    let client = authority.issue_teleport_client("handler", Validity::Long).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, authority.cert_pem()).to_text();
    let identity_file = dir.path().join("identity");
    std::fs::write(&identity_file, identity).unwrap();
    let config = Config::new(addr.to_string(), Credentials::Identity(identity_file));
    let mut source = SearchSource::new(config, env).unwrap();
    let artifacts = source.artifacts();
    assert_eq!(source.survey().await.unwrap().version, of);

    let request = ArtifactRequest {
        auth_version: of.clone(),
        kinds: vec![ArtifactKind::Module, ArtifactKind::Table],
        module_abis: vec![1],
        table_formats: vec![ev_decode::Table::FORMAT],
        held_sha256: None,
        max_bytes: 1 << 20,
    };
    let FetchedArtifact::Artifact(artifact) = artifacts.fetch(request.clone()).await.unwrap()
    else {
        panic!("it is offered");
    };
    let verified = verified(&artifact, &key, &of);
    let envelope = artifacts.envelope(request.clone()).await.unwrap();
    assert_eq!(envelope.as_ref(), Some(&artifact.envelope));
    let held_sha256 = Some(sha256(verified.payload()));
    let held = ArtifactRequest { held_sha256, ..request.clone() };
    let answer = artifacts.fetch(held).await.unwrap();
    assert!(matches!(answer, FetchedArtifact::NotModified), "{answer:?}");
    let modules = ArtifactRequest { kinds: vec![ArtifactKind::Module], ..request };
    let answer = artifacts.fetch(modules).await.unwrap();
    assert!(matches!(answer, FetchedArtifact::NotOffered), "{answer:?}");
    server.abort();
}
