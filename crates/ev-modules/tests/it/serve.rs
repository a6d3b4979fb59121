//! The gRPC service over a directory, asked by a client that knows the interface only by its
//! numbers: the messages are written down here a second time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::ArtifactKind;
use ev_modules::serve::{DecoderModuleServer, ServeLimits};
use ev_modules::{Directory, Manifest, SigningKey, envelope_name, file_name, sha256};
use futures_util::FutureExt as _;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::support::{TestEnv, manifest};

#[derive(Clone, PartialEq, prost::Message)]
struct GetArtifact {
    #[prost(string, tag = "1")]
    auth_version: String,
    #[prost(int32, repeated, tag = "2")]
    kinds: Vec<i32>,
    #[prost(uint32, repeated, tag = "3")]
    module_abis: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    table_formats: Vec<u32>,
    #[prost(bytes = "bytes", tag = "5")]
    held_sha256: Bytes,
    #[prost(bool, tag = "6")]
    envelope_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Part {
    #[prost(oneof = "OneOf", tags = "1, 2, 3")]
    part: Option<OneOf>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OneOf {
    #[prost(message, tag = "1")]
    NotModified(Empty),
    #[prost(message, tag = "2")]
    Header(Header),
    #[prost(bytes = "bytes", tag = "3")]
    Chunk(Bytes),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(bytes = "bytes", tag = "1")]
    envelope: Bytes,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(uint64, tag = "3")]
    size: u64,
}

const MODULE: i32 = 1;
const TABLE: i32 = 2;
const CHUNK: usize = 65_536;

/// For a table of 18.1.0, or else a module.
fn request() -> GetArtifact {
    GetArtifact {
        auth_version: "18.1.0".into(),
        kinds: vec![TABLE, MODULE],
        module_abis: vec![1],
        table_formats: vec![1],
        ..GetArtifact::default()
    }
}

struct Rig {
    base: tempfile::TempDir,
    key: SigningKey,
    server: DecoderModuleServer,
}

impl Rig {
    fn new() -> Self {
        Self::with(ServeLimits::default(), 1 << 20)
    }

    fn with(limits: ServeLimits, max_bytes: usize) -> Self {
        let base = tempfile::tempdir().unwrap();
        let directory = Directory::new(base.path(), max_bytes);
        let server = DecoderModuleServer::new(directory, limits, Arc::new(TestEnv::new()));
        Self { base, key: SigningKey::generate().unwrap(), server }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.base.path().join("18.1.0")
    }

    /// Puts an artifact of 18.1.0 where it belongs; returns its envelope.
    fn put(&self, kind: ArtifactKind, payload: &[u8]) -> Bytes {
        put(&self.base.path().join("18.1.0"), &self.key, kind, payload)
    }

    async fn call(&self, request: GetArtifact) -> Result<Streaming<Part>, Status> {
        self.call_as(Request::new(request)).await
    }

    /// A call that came from that address.
    async fn call_from(&self, peer: &str) -> Result<Streaming<Part>, Status> {
        let mut request = Request::new(request());
        let remote_addr = Some(peer.parse().unwrap());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        self.call_as(request).await
    }

    async fn call_as(&self, request: Request<GetArtifact>) -> Result<Streaming<Part>, Status> {
        // The service itself takes the place of a connection.
        let origin = "http://localhost".parse().unwrap();
        let mut grpc = Grpc::with_origin(self.server.clone(), origin);
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/ev.decoder.v1.DecoderModuleService/GetArtifact");
        let codec = ProstCodec::default();
        Ok(grpc.server_streaming(request, path, codec).await?.into_inner())
    }

    async fn get(&self, request: GetArtifact) -> Result<Vec<OneOf>, Status> {
        let mut messages = self.call(request).await?;
        let mut parts = Vec::new();
        while let Some(message) = messages.message().await? {
            parts.push(message.part.expect("each message has a part"));
        }
        Ok(parts)
    }

    async fn refusal(&self, request: GetArtifact) -> (Code, String) {
        let status = self.get(request).await.unwrap_err();
        (status.code(), status.message().to_owned())
    }
}

fn put(folder: &Path, key: &SigningKey, kind: ArtifactKind, payload: &[u8]) -> Bytes {
    let envelope = key.sign(&Manifest { kind, ..manifest(key, payload) });
    let name = file_name(kind, 1);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(&name), payload).unwrap();
    std::fs::write(folder.join(envelope_name(&name)), &envelope).unwrap();
    envelope.into()
}

/// Bytes that differ from place to place.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[tokio::test]
async fn header_and_chunks_make_the_artifact() {
    let rig = Rig::new();
    for size in [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK + 77] {
        let payload = pattern(size);
        let envelope = rig.put(ArtifactKind::Table, &payload);
        let mut parts = rig.get(request()).await.unwrap().into_iter();
        let header = Header { envelope, kind: TABLE, size: size as u64 };
        assert_eq!(parts.next(), Some(OneOf::Header(header)));
        let mut received = Vec::new();
        for part in parts {
            let OneOf::Chunk(chunk) = part else { panic!("{part:?}") };
            assert!((1..=CHUNK).contains(&chunk.len()));
            received.extend_from_slice(&chunk);
        }
        assert_eq!(received, payload);
    }
}

#[tokio::test]
async fn the_first_kind_that_is_there_is_sent() {
    let rig = Rig::new();
    rig.put(ArtifactKind::Module, b"module");
    let sent = async |request| match rig.get(request).await.unwrap().remove(0) {
        OneOf::Header(header) => header.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(sent(request()).await, MODULE);
    rig.put(ArtifactKind::Table, b"table");
    assert_eq!(sent(request()).await, TABLE);
    assert_eq!(sent(GetArtifact { kinds: vec![MODULE, TABLE], ..request() }).await, MODULE);
    assert_eq!(sent(GetArtifact { kinds: vec![7, MODULE], ..request() }).await, MODULE);
}

#[tokio::test]
async fn what_is_held_is_not_sent_again() {
    let rig = Rig::new();
    rig.put(ArtifactKind::Table, b"table");
    let held =
        |payload: &[u8]| GetArtifact { held_sha256: sha256(payload).to_vec().into(), ..request() };
    assert_eq!(rig.get(held(b"table")).await.unwrap(), [OneOf::NotModified(Empty {})]);
    assert_eq!(rig.get(held(b"other")).await.unwrap().len(), 2);
    let envelope_only = GetArtifact { envelope_only: true, ..held(b"table") };
    assert_eq!(rig.get(envelope_only).await.unwrap(), [OneOf::NotModified(Empty {})]);
}

#[tokio::test]
async fn the_envelope_can_be_had_alone() {
    let rig = Rig::new();
    let envelope = rig.put(ArtifactKind::Table, &pattern(3 * CHUNK));
    let parts = rig.get(GetArtifact { envelope_only: true, ..request() }).await.unwrap();
    let header = Header { envelope, kind: TABLE, size: 3 * CHUNK as u64 };
    assert_eq!(parts, [OneOf::Header(header)]);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let rig = Rig::new();
    let not_found = async |request| {
        assert_eq!(rig.refusal(request).await.0, Code::NotFound);
    };
    not_found(request()).await;
    rig.put(ArtifactKind::Table, b"table");
    not_found(GetArtifact { kinds: vec![MODULE], ..request() }).await;
    not_found(GetArtifact { kinds: vec![7], ..request() }).await;
    not_found(GetArtifact { table_formats: vec![2], ..request() }).await;
    not_found(GetArtifact { table_formats: Vec::new(), ..request() }).await;
    not_found(GetArtifact { auth_version: "18.1.1".into(), ..request() }).await;
}

#[tokio::test]
async fn a_version_never_leads_out_of_the_base() {
    let rig = Rig::new();
    rig.put(ArtifactKind::Table, b"table");
    let inner = rig.base.path().join("served");
    std::fs::create_dir(&inner).unwrap();
    let directory = Directory::new(&inner, 1 << 20);
    let server =
        DecoderModuleServer::new(directory, ServeLimits::default(), Arc::new(TestEnv::new()));
    let absolute = rig.folder().display().to_string();
    let rig = Rig { server, ..rig };
    for odd in ["../18.1.0", "./../18.1.0", "..", ".", "\0", "a/../../18.1.0", &absolute] {
        let request = GetArtifact { auth_version: odd.to_owned(), ..request() };
        assert_eq!(rig.refusal(request).await.0, Code::NotFound, "{odd}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused_before_the_disk_is_touched() {
    // There is no directory, which would be another answer.
    let rig = Rig::new();
    std::fs::remove_dir(rig.base.path()).unwrap();
    let check = async |request, name: &str| {
        let (code, message) = rig.refusal(request).await;
        assert_eq!(code, Code::InvalidArgument, "{message}");
        assert!(message.contains(name), "{message}");
    };
    check(GetArtifact { auth_version: String::new(), ..request() }, "auth_version").await;
    check(GetArtifact { auth_version: "1".repeat(129), ..request() }, "auth_version").await;
    check(GetArtifact { kinds: vec![TABLE; 9], ..request() }, "kinds").await;
    check(GetArtifact { module_abis: (0..17).collect(), ..request() }, "module_abis").await;
    check(GetArtifact { table_formats: (0..17).collect(), ..request() }, "table_formats").await;
    check(GetArtifact { held_sha256: vec![0; 31].into(), ..request() }, "held_sha256").await;
    // Not even read: it is larger than any that keeps the rules.
    let large = GetArtifact { module_abis: vec![u32::MAX; 2000], ..request() };
    let (code, message) = rig.refusal(large).await;
    assert_eq!(code, Code::OutOfRange, "{message}");
}

#[tokio::test]
async fn what_cannot_be_read_is_unavailable_and_no_path_is_told() {
    let rig = Rig::with(ServeLimits::default(), 100);
    let check = async |message: &str| {
        let refusal = rig.refusal(request()).await;
        assert_eq!(refusal, (Code::Unavailable, message.to_owned()));
    };
    rig.put(ArtifactKind::Table, &[0; 101]);
    check("the artifact is larger than what is served").await;
    std::fs::remove_file(rig.folder().join("table-v1.evt")).unwrap();
    check("an artifact and its envelope are not both there").await;
    std::fs::create_dir(rig.folder().join("table-v1.evt")).unwrap();
    check("the artifact cannot be read at the moment").await;
    std::fs::remove_dir_all(rig.base.path()).unwrap();
    check("the artifacts cannot be read at the moment").await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_answers_are_under_way() {
    let rig = Rig::with(ServeLimits { answers: 2, ..ServeLimits::default() }, 1 << 20);
    let payload = pattern(10 * CHUNK);
    rig.put(ArtifactKind::Table, &payload);
    let mut first = rig.call(request()).await.unwrap();
    let second = rig.call(request()).await.unwrap();
    let (code, message) = rig.refusal(request()).await;
    assert_eq!((code, &*message), (Code::ResourceExhausted, "too many answers are under way"));
    // What needs no place for long is refused as well while there is none.
    let envelope_only = GetArtifact { envelope_only: true, ..request() };
    assert_eq!(rig.refusal(envelope_only.clone()).await.0, Code::ResourceExhausted);

    // One ends, one is given up: both places are free again.
    let mut received = 0;
    while let Some(message) = first.message().await.unwrap() {
        if let Some(OneOf::Chunk(chunk)) = message.part {
            received += chunk.len();
        }
    }
    assert_eq!(received, payload.len());
    drop((first, second));
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..5 {
        assert_eq!(rig.get(envelope_only.clone()).await.unwrap().len(), 1);
    }
    let again = (rig.call(request()).await.unwrap(), rig.call(request()).await.unwrap());
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn one_client_cannot_take_all_places() {
    let rig = Rig::with(ServeLimits::default(), 1 << 20);
    rig.put(ArtifactKind::Table, &pattern(10 * CHUNK));
    let mut held = Vec::new();
    // Another port is the same peer.
    for port in 1..=8 {
        held.push(rig.call_from(&format!("10.0.0.1:{port}")).await.unwrap());
    }
    let status = rig.call_from("10.0.0.1:9").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "8 answers to this address are under way, its share")
    );
    // Others are served, as long as there is a place at all.
    for peer in 2..=4 {
        for port in 1..=8 {
            held.push(rig.call_from(&format!("10.0.0.{peer}:{port}")).await.unwrap());
        }
    }
    let status = rig.call_from("10.0.0.5:1").await.unwrap_err();
    assert_eq!(status.message(), "too many answers are under way");
    held.truncate(7);
    tokio::time::sleep(Duration::from_millis(1)).await;
    held.push(rig.call_from("10.0.0.1:9").await.unwrap());
    assert!(rig.call_from("10.0.0.1:9").await.is_err());
    assert!(rig.call_from("10.0.0.5:1").await.is_ok());
}

#[test]
fn a_call_that_is_given_up_holds_its_place_while_the_disk_is_asked() {
    // One thread for what blocks, which is not free yet.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let rig = Rig::with(ServeLimits { answers: 1, ..ServeLimits::default() }, 1 << 20);
        rig.put(ArtifactKind::Table, b"table");
        let (let_go, until) = std::sync::mpsc::sync_channel::<()>(1);
        let busy = tokio::task::spawn_blocking(move || until.recv());
        let mut given_up = Box::pin(rig.call(request()));
        for _ in 0..10 {
            assert!((&mut given_up).now_or_never().is_none(), "the disk does not answer");
            tokio::task::yield_now().await;
        }
        drop(given_up);
        assert_eq!(rig.refusal(request()).await.0, Code::ResourceExhausted);
        let_go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        // Behind the work that was given up.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(rig.get(request()).await.unwrap().len(), 2);
    });
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_loses_its_place_after_a_time() {
    let limits = ServeLimits { answers: 1, ..ServeLimits::default() };
    let rig = Rig::with(limits, 1 << 20);
    rig.put(ArtifactKind::Table, &pattern(10 * CHUNK));
    let mut slow = rig.call(request()).await.unwrap();
    assert!(slow.message().await.unwrap().is_some(), "the header");
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(rig.refusal(request()).await.0, Code::ResourceExhausted);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.get(request()).await.unwrap().len(), 11, "another one is served");
    let mut chunks = 0;
    let status = loop {
        match slow.message().await {
            Ok(Some(_)) => chunks += 1,
            Ok(None) => panic!("it was not all sent"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(chunks <= 2, "{chunks} chunks were held for it");
}

#[tokio::test]
async fn an_artifact_that_is_replaced_meanwhile_is_sent_as_it_was() {
    let rig = Rig::new();
    let payload = pattern(10 * CHUNK);
    rig.put(ArtifactKind::Table, &payload);
    let mut messages = rig.call(request()).await.unwrap();
    assert!(messages.message().await.unwrap().is_some(), "the header");
    // As the documentation says: beside it, then renamed.
    let new = rig.folder().join("new");
    std::fs::write(&new, vec![0; 10 * CHUNK]).unwrap();
    std::fs::rename(&new, rig.folder().join("table-v1.evt")).unwrap();
    let mut received = Vec::new();
    while let Some(message) = messages.message().await.unwrap() {
        let Some(OneOf::Chunk(chunk)) = message.part else { panic!("{message:?}") };
        received.extend_from_slice(&chunk);
    }
    assert_eq!(sha256(&received), sha256(&payload));
}

#[tokio::test]
async fn only_the_one_method_is_there() {
    let rig = Rig::new();
    let mut grpc = Grpc::with_origin(rig.server.clone(), "http://localhost".parse().unwrap());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/ev.decoder.v1.DecoderModuleService/Other");
    let codec = ProstCodec::<GetArtifact, Part>::default();
    let status = grpc.unary(Request::new(request()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
