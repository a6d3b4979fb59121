//! The calls.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio_stream::iter;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Response, Status};

use super::artifacts::{Artifact, ArtifactKind};
use super::locks::Lock;
use super::reading::{Answers, Asked};
use super::server::Shared;
use super::store::Event;
use crate::generated::ev::decoder::v1::decoder_module_service_server::DecoderModuleService;
use crate::generated::ev::decoder::v1::get_artifact_response::Part;
use crate::generated::ev::decoder::v1::{
    ArtifactKind as WireKind, GetArtifactRequest, GetArtifactResponse, Header, NotModified,
};
use crate::generated::proto::auth_service_server::AuthService;
use crate::generated::proto::{
    Events, GetDomainNameResponse, GetEventsRequest, PingRequest, PingResponse,
    StreamSessionEventsRequest,
};
use crate::generated::types::LockV2;
use crate::raw::RawMessage;

/// Largest chunk of an artifact.
const CHUNK: usize = 65_536;

pub(super) struct AuthApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl AuthService for AuthApi {
    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        self.0.enter("Ping", json!({})).await?;
        let (server_version, date) = self.0.change(|inner| {
            let version = inner.switches.version.clone();
            *inner.tally.pings.entry(version.clone()).or_default() += 1;
            (version, inner.switches.date.clone())
        });
        let mut response = Response::new(PingResponse {
            cluster_name: self.0.cluster.clone(),
            server_version,
            proxy_public_addr: format!("proxy.{}:443", self.0.cluster),
        });
        if let Ok(date) = date.parse::<AsciiMetadataValue>()
            && !date.is_empty()
        {
            response.metadata_mut().insert("date", date);
        }
        Ok(response)
    }

    async fn get_domain_name(
        &self,
        _: Request<()>,
    ) -> Result<Response<GetDomainNameResponse>, Status> {
        self.0.enter("GetDomainName", json!({})).await?;
        Ok(Response::new(GetDomainNameResponse { domain_name: self.0.cluster.clone() }))
    }

    async fn get_events(
        &self,
        request: Request<GetEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        let GetEventsRequest {
            namespace,
            start_date,
            end_date,
            event_types,
            limit,
            start_key,
            order,
        } = request.into_inner();
        let asked = Asked {
            unstructured: false,
            namespace,
            from: start_date,
            to: end_date,
            types: event_types,
            limit,
            key: start_key,
            order,
        };
        let page = self.0.search("GetEvents", asked).await?;
        Ok(Response::new(Events { items: page.events, last_key: page.last_key }))
    }

    type StreamSessionEventsStream = Answers<RawMessage>;

    async fn stream_session_events(
        &self,
        request: Request<StreamSessionEventsRequest>,
    ) -> Result<Response<Self::StreamSessionEventsStream>, Status> {
        let StreamSessionEventsRequest { session_id, start_index } = request.into_inner();
        let bytes = |event: &Event| Ok(event.oneof.clone());
        self.0.recording("StreamSessionEvents", session_id, start_index, bytes).await
    }

    async fn upsert_lock(&self, request: Request<LockV2>) -> Result<Response<()>, Status> {
        const METHOD: &str = "UpsertLock";
        let lock = Lock::of(request.into_inner());
        let seen = serde_json::to_value(&lock).unwrap_or_default();
        self.0.enter(METHOD, seen).await?;
        if let Err(what) = lock.check() {
            return Err(self.0.failed(METHOD, Status::invalid_argument(what)));
        }
        self.0.change(|inner| {
            inner.tally.locks_set += 1;
            inner.locks.insert(lock.name.clone(), lock);
        });
        Ok(Response::new(()))
    }
}

pub(super) struct ArtifactApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl DecoderModuleService for ArtifactApi {
    type GetArtifactStream = Answers<GetArtifactResponse>;

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        const METHOD: &str = "GetArtifact";
        let request = request.into_inner();
        self.0
            .enter(
                METHOD,
                json!({
                    "auth_version": request.auth_version, "kinds": request.kinds,
                    "module_abis": request.module_abis, "table_formats": request.table_formats,
                    "held": !request.held_sha256.is_empty(),
                    "envelope_only": request.envelope_only,
                }),
            )
            .await?;
        let (chosen, flip) = {
            let inner = self.0.lock();
            let chosen = if inner.switches.withhold_artifacts {
                None
            } else {
                choose(&inner.artifacts, &request).cloned()
            };
            (chosen, inner.switches.flip_artifact_byte)
        };
        let Some(artifact) = chosen else {
            return Err(self.0.failed(METHOD, Status::not_found("nothing that fits is offered")));
        };
        let held: String = request.held_sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        if !flip && held == artifact.sha256 {
            let part = GetArtifactResponse { part: Some(Part::NotModified(NotModified {})) };
            return Ok(Response::new(Box::pin(iter([Ok(part)]))));
        }
        let payload = if flip { flipped(&artifact.payload) } else { artifact.payload.clone() };
        let header = Part::Header(Header {
            envelope: artifact.envelope.clone(),
            kind: wire_kind(artifact.kind).into(),
            size: payload.len() as u64,
        });
        let payload = if request.envelope_only { Bytes::new() } else { payload };
        let chunks: Vec<Bytes> =
            (0..payload.len()).step_by(CHUNK).map(|start| chunk(&payload, start)).collect();
        let shared = self.0.clone();
        let last = chunks.len();
        let chunks = chunks.into_iter().enumerate().map(move |(at, chunk)| {
            shared.change(|inner| {
                inner.tally.artifact_bytes += chunk.len() as u64;
                if at + 1 == last {
                    inner.tally.artifacts_sent += 1;
                    inner.tally.artifacts_flipped += u64::from(flip);
                }
            });
            Part::Chunk(chunk)
        });
        let parts = std::iter::once(header)
            .chain(chunks)
            .map(|part| Ok(GetArtifactResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(iter(parts))))
    }
}

fn choose<'a>(offered: &'a [Artifact], request: &GetArtifactRequest) -> Option<&'a Artifact> {
    request.kinds.iter().find_map(|kind| {
        offered.iter().find(|artifact| {
            let versions = match artifact.kind {
                ArtifactKind::Module => &request.module_abis,
                ArtifactKind::Table => &request.table_formats,
            };
            artifact.auth_version == request.auth_version
                && i32::from(wire_kind(artifact.kind)) == *kind
                && versions.contains(&artifact.abi)
        })
    })
}

fn wire_kind(kind: ArtifactKind) -> WireKind {
    match kind {
        ArtifactKind::Module => WireKind::Module,
        ArtifactKind::Table => WireKind::Table,
    }
}

fn chunk(payload: &Bytes, start: usize) -> Bytes {
    payload.slice(start..(start + CHUNK).min(payload.len()))
}

/// The payload with one bit of its middle byte changed.
fn flipped(payload: &Bytes) -> Bytes {
    let mut bytes = payload.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}
