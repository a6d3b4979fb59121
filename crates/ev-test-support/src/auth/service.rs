//! The calls.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio_stream::{Stream, iter};
use tonic::{Request, Response, Status};

use super::artifacts::{Artifact, ArtifactKind};
use super::server::{Inner, Shared};
use super::store::{Page, Search, SearchError};
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
use crate::time::UtcTime;

/// Most events in a page whatever is asked for; a real server has the same.
const MAX_LIMIT: usize = 5_000;
/// Largest chunk of an artifact.
const CHUNK: usize = 65_536;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct AuthApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl AuthService for AuthApi {
    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        self.0.enter("Ping", json!({})).await?;
        let server_version = self.0.change(|inner| {
            let version = inner.switches.version.clone();
            *inner.tally.pings.entry(version.clone()).or_default() += 1;
            version
        });
        Ok(Response::new(PingResponse {
            cluster_name: self.0.cluster.clone(),
            server_version,
            proxy_public_addr: format!("proxy.{}:443", self.0.cluster),
        }))
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
        const METHOD: &str = "GetEvents";
        let request = request.into_inner();
        let time = |stamp: &Option<prost_types::Timestamp>| {
            // Go's zero time when absent.
            stamp.as_ref().map_or(UtcTime::from_seconds(-62_135_596_800), |stamp| UtcTime {
                seconds: stamp.seconds,
                nanos: u32::try_from(stamp.nanos).unwrap_or_default(),
            })
        };
        let (from, to) = (time(&request.start_date), time(&request.end_date));
        self.0
            .enter(
                METHOD,
                json!({
                    "namespace": request.namespace, "from": from.to_string(), "to": to.to_string(),
                    "types": request.event_types, "limit": request.limit,
                    "key": request.start_key, "order": request.order,
                }),
            )
            .await?;
        if !matches!(request.namespace.as_str(), "" | "default") {
            let status = Status::invalid_argument("invalid namespace");
            return Err(self.0.failed(METHOD, status));
        }
        let asked = usize::try_from(request.limit).unwrap_or(0);
        let asked = if asked == 0 { MAX_LIMIT } else { asked.min(MAX_LIMIT) };
        let answer = {
            let mut inner = self.0.lock();
            let (key, empty) = behind_empty_pages(request.start_key, inner.switches.empty_pages);
            let search = Search {
                from,
                to,
                types: request.event_types,
                limit: asked.min(inner.switches.page_cap).max(1),
                max_bytes: if inner.switches.refuse_large {
                    inner.switches.page_bytes
                } else {
                    usize::MAX
                },
                key,
                // 0 is ascending, against the names in the enum.
                descending: request.order != 0,
            };
            match empty {
                Some(last_key) => Ok(Page { last_key, ..Page::default() }),
                None => inner.answer(&search),
            }
        };
        match answer {
            Ok(page) => {
                self.0.sent(METHOD, page.events.len());
                self.0.change(|inner| inner.served.extend(&page.numbers));
                Ok(Response::new(Events { items: page.events, last_key: page.last_key }))
            }
            Err(error) => {
                let status = match error {
                    SearchError::Key(text) => Status::invalid_argument(text),
                    SearchError::TooLarge(size) => Status::invalid_argument(format!(
                        "event of {size} bytes is larger than a page of results"
                    )),
                };
                Err(self.0.failed(METHOD, status))
            }
        }
    }

    type StreamSessionEventsStream = Answers<RawMessage>;

    async fn stream_session_events(
        &self,
        request: Request<StreamSessionEventsRequest>,
    ) -> Result<Response<Self::StreamSessionEventsStream>, Status> {
        const METHOD: &str = "StreamSessionEvents";
        let request = request.into_inner();
        let (session, start) = (request.session_id, request.start_index);
        self.0.enter(METHOD, json!({ "session": session, "start_index": start })).await?;
        let (events, break_after) = {
            let inner = self.0.lock();
            (inner.store.recording(&session, i64::from(start)), inner.switches.break_sessions_after)
        };
        let Some(events) = events else {
            let text = format!("a recording for session {session} was not found");
            return Err(self.0.failed(METHOD, Status::not_found(text)));
        };
        let shared = self.0.clone();
        let broken = break_after.filter(|at| *at < events.len());
        let take = broken.unwrap_or(events.len());
        let messages = events.into_iter().take(take).map(move |event| {
            shared.sent(METHOD, 1);
            Ok(RawMessage(event))
        });
        let end = broken.map(|_| Err(Status::unavailable("the recording broke off")));
        Ok(Response::new(Box::pin(iter(messages.chain(end)))))
    }

    async fn upsert_lock(&self, _: Request<LockV2>) -> Result<Response<()>, Status> {
        const METHOD: &str = "UpsertLock";
        self.0.enter(METHOD, json!({})).await?;
        let status = Status::unimplemented("method UpsertLock not implemented");
        Err(self.0.failed(METHOD, status))
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

/// The key behind the empty pages, or the key of the next one of those.
fn behind_empty_pages(key: String, count: u64) -> (String, Option<String>) {
    let parts = key.strip_prefix("e.").and_then(|rest| rest.split_once('.'));
    let left = match parts {
        Some((left, _)) => left.parse().unwrap_or(0),
        None if key.is_empty() => 0,
        None => count,
    };
    let key = parts.map_or(key.as_str(), |(_, key)| key).to_owned();
    let next = left.checked_sub(1).map(|left| format!("e.{left}.{key}"));
    (key, next)
}

impl Inner {
    /// The answer to a search, or what a faulty back end makes of it.
    fn answer(&mut self, search: &Search) -> Result<Page, SearchError> {
        let goes_on = !search.key.is_empty();
        if goes_on
            && self.switches.repeat_pages > 0
            && let Some(page) = self.last_pages.get(&search.from.seconds)
        {
            self.switches.repeat_pages -= 1;
            return Ok(page.clone());
        }
        let mut page = self.store.search(search)?;
        if goes_on && self.switches.stick_keys > 0 && !page.last_key.is_empty() {
            self.switches.stick_keys -= 1;
            page.last_key.clone_from(&search.key);
        }
        self.last_pages.insert(search.from.seconds, page.clone());
        Ok(page)
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
