//! The calls that are made to Auth, in this crate's own words.

use std::time::Duration;

use bytes::Bytes;
use ev_core::{AuthVersion, Env, SessionId, Survey, within};
use http::uri::PathAndQuery;
use prost_types::Timestamp;
use tonic::client::Grpc;
use tonic::{Code, GrpcMethod, Request, Status, Streaming};

use crate::connection::{Channel, Connection};
use crate::generated::ev::decoder::v1::decoder_module_service_client::DecoderModuleServiceClient;
use crate::generated::ev::decoder::v1::{GetArtifactRequest, GetArtifactResponse};
use crate::generated::proto::auth_service_client::AuthServiceClient;
use crate::generated::proto::{Events, GetEventsRequest, PingRequest, StreamSessionEventsRequest};
use crate::generated::teleport::auditlog::v1::audit_log_service_client::AuditLogServiceClient;
use crate::generated::teleport::auditlog::v1::{
    EventExportChunk, EventsUnstructured, ExportEventUnstructured, ExportUnstructuredEventsRequest,
    GetEventExportChunksRequest, GetUnstructuredEventsRequest,
    StreamUnstructuredSessionEventsRequest,
};
use crate::generated::types::LockV2;
use crate::raw_codec::RawCodec;
use crate::road::SearchRoad;
use crate::window::Query;

/// Oldest first. The enum in the interface has the names the wrong way round: server and official
/// client take 0 for ascending.
const ASCENDING: i32 = 0;
const DESCENDING: i32 = 1;
/// Events of one answer together with what surrounds them: chunks are at most 64 KiB, the
/// envelope as well.
const MAX_ARTIFACT_MESSAGE: usize = 256 * 1024;

/// A page as Auth sends it: events as slices of the receive buffer.
pub(crate) struct Found {
    pub(crate) items: Vec<Bytes>,
    /// Empty when nothing more is there.
    pub(crate) last_key: String,
}

/// Longest version that is taken from Auth, in bytes.
const MAX_VERSION_LEN: usize = 128;

fn auth(connection: &Connection) -> AuthServiceClient<Channel> {
    AuthServiceClient::with_origin(connection.channel.clone(), Channel::origin())
        .max_decoding_message_size(connection.max_message_bytes)
}

fn audit_log(connection: &Connection) -> AuditLogServiceClient<Channel> {
    AuditLogServiceClient::with_origin(connection.channel.clone(), Channel::origin())
        .max_decoding_message_size(connection.max_message_bytes)
}

pub(crate) async fn ping(connection: &Connection) -> Result<Survey, Status> {
    let answer = auth(connection).ping(PingRequest {}).await?.into_inner();
    // It goes into keys, log lines and the state, so it has to be what a version is.
    let text = answer.server_version;
    if text.len() > MAX_VERSION_LEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Status::internal("auth names a version that is none in its answer to `Ping`"));
    }
    let version = AuthVersion::new(text);
    Ok(Survey { cluster: answer.cluster_name, version })
}

/// The `date` of an answer, where something on the way has dated it.
pub(crate) async fn date(connection: &Connection) -> Option<String> {
    let answer = auth(connection).ping(PingRequest {}).await.ok()?;
    Some(answer.metadata().get("date")?.to_str().ok()?.to_owned())
}

pub(crate) async fn search(
    connection: &Connection,
    road: SearchRoad,
    query: Query,
) -> Result<Found, Status> {
    let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let namespace = "default".to_owned();
    let (start_date, end_date) = (at(query.start, 0), at(query.end, query.end_nanos));
    let Query { types: event_types, key: start_key, .. } = query;
    let limit = i32::from(query.limit);
    let order = if query.backwards { DESCENDING } else { ASCENDING };
    let (items, last_key) = match road {
        SearchRoad::Typed => {
            let request = GetEventsRequest {
                namespace,
                start_date,
                end_date,
                event_types,
                limit,
                start_key,
                order,
            };
            let Events { items, last_key } =
                auth(connection).get_events(request).await?.into_inner();
            (items, last_key)
        }
        SearchRoad::Unstructured => {
            let request = GetUnstructuredEventsRequest {
                namespace,
                start_date,
                end_date,
                event_types,
                limit,
                start_key,
                order,
            };
            let EventsUnstructured { items, last_key } =
                audit_log(connection).get_unstructured_events(request).await?.into_inner();
            (items, last_key)
        }
    };
    Ok(Found { items, last_key })
}

/// An answer to a search, and what is known of a failure.
pub(crate) struct Searched {
    pub(crate) answer: Result<Found, Status>,
    /// Auth had answered the control question just before.
    pub(crate) proven: bool,
}

/// A search within a time limit, and in front of it the control question, if there is one.
pub(crate) async fn search_with_control(
    connection: &Connection,
    road: SearchRoad,
    query: Query,
    control: Option<Query>,
    patience: Duration,
    env: &dyn Env,
) -> Searched {
    let proven = match control {
        Some(control) => in_time(env, patience, search(connection, road, control)).await.is_ok(),
        None => false,
    };
    let answer = in_time(env, patience, search(connection, road, query)).await;
    Searched { answer, proven }
}

/// The answer to a call, or a status if it does not come in time.
pub(crate) async fn in_time<T>(
    env: &dyn Env,
    patience: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let overdue = || Err(Status::deadline_exceeded("auth did not answer in time"));
    within(env, patience, call).await.unwrap_or_else(overdue)
}

/// Each message is one event, byte for byte. `from` is inclusive.
pub(crate) async fn stream_session(
    connection: &Connection,
    road: SearchRoad,
    session: &SessionId,
    from: i32,
) -> Result<Streaming<Bytes>, Status> {
    let session_id = session.as_str().to_owned();
    match road {
        SearchRoad::Typed => {
            let method = GrpcMethod::new("proto.AuthService", "StreamSessionEvents");
            let path = PathAndQuery::from_static("/proto.AuthService/StreamSessionEvents");
            let request = StreamSessionEventsRequest { session_id, start_index: from };
            raw_stream(connection, method, path, request).await
        }
        SearchRoad::Unstructured => {
            let (service, name) =
                ("teleport.auditlog.v1.AuditLogService", "StreamUnstructuredSessionEvents");
            let path = PathAndQuery::from_static(
                "/teleport.auditlog.v1.AuditLogService/StreamUnstructuredSessionEvents",
            );
            let request = StreamUnstructuredSessionEventsRequest { session_id, start_index: from };
            raw_stream(connection, GrpcMethod::new(service, name), path, request).await
        }
    }
}

async fn raw_stream<T: prost::Message + 'static>(
    connection: &Connection,
    method: GrpcMethod<'static>,
    path: PathAndQuery,
    request: T,
) -> Result<Streaming<Bytes>, Status> {
    let mut grpc = Grpc::with_origin(connection.channel.clone(), Channel::origin())
        .max_decoding_message_size(connection.max_message_bytes);
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let mut request = Request::new(request);
    request.extensions_mut().insert(method);
    Ok(grpc.server_streaming(request, path, RawCodec::new()).await?.into_inner())
}

pub(crate) async fn upsert_lock(connection: &Connection, lock: LockV2) -> Result<(), Status> {
    auth(connection).upsert_lock(lock).await?;
    Ok(())
}

pub(crate) async fn artifact(
    connection: &Connection,
    request: GetArtifactRequest,
) -> Result<Streaming<GetArtifactResponse>, Status> {
    let mut client =
        DecoderModuleServiceClient::with_origin(connection.channel.clone(), Channel::origin())
            .max_decoding_message_size(MAX_ARTIFACT_MESSAGE);
    Ok(client.get_artifact(request).await?.into_inner())
}

/// Whether events can be searched for on that road: a second without any is asked for.
pub(crate) async fn offers_search(
    connection: &Connection,
    road: SearchRoad,
    second: i64,
) -> Result<(), Status> {
    let query = Query {
        start: second,
        end: second.saturating_add(1),
        end_nanos: 0,
        backwards: false,
        types: Vec::new(),
        limit: 1,
        key: String::new(),
    };
    search(connection, road, query).await.map(drop)
}

/// Whether chunks of the date in which `second` lies can be asked for.
pub(crate) async fn offers_export(connection: &Connection, second: i64) -> Result<(), Status> {
    let date = Some(Timestamp { seconds: second, nanos: 0 });
    let request = GetEventExportChunksRequest { date };
    let mut chunks = audit_log(connection).get_event_export_chunks(request).await?.into_inner();
    // A stream may be refused behind its headers.
    chunks.message().await.map(drop)
}

/// Names of the chunks of the date in which `second` lies.
pub(crate) async fn export_chunks(
    connection: &Connection,
    second: i64,
) -> Result<Streaming<EventExportChunk>, Status> {
    let date = Some(Timestamp { seconds: second, nanos: 0 });
    let request = GetEventExportChunksRequest { date };
    Ok(audit_log(connection).get_event_export_chunks(request).await?.into_inner())
}

/// Events of a chunk behind a cursor, each with the cursor behind it.
pub(crate) async fn export_events(
    connection: &Connection,
    second: i64,
    chunk: String,
    cursor: String,
    max_message_bytes: usize,
) -> Result<Streaming<ExportEventUnstructured>, Status> {
    let date = Some(Timestamp { seconds: second, nanos: 0 });
    let request = ExportUnstructuredEventsRequest { date, chunk, cursor };
    let mut client = audit_log(connection).max_decoding_message_size(max_message_bytes);
    Ok(client.export_unstructured_events(request).await?.into_inner())
}

/// Whose trouble a failed call is, and so what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection's: the call is repeated over the next one.
    Connection,
    /// Too many requests.
    Busy,
    /// The answer would be larger than one of the two sides takes.
    TooLarge,
    /// What was asked for is refused.
    Invalid,
    /// We may not do this.
    Denied,
    /// It is not there.
    Missing,
    /// Auth failed at it, which may be a matter of what was asked for or of its storage.
    Failed,
    /// Anything else; trying again may help.
    Other,
}

impl Trouble {
    pub(crate) fn of(status: &Status) -> Self {
        let message = status.message();
        let too_large =
            ["exceeds the maximum", "larger than max", "length too large", "larger than a page"];
        if too_large.iter().any(|text| message.contains(text)) {
            return Self::TooLarge;
        }
        // A status with a cause was made on this side.
        if std::error::Error::source(status).is_some() {
            return Self::Connection;
        }
        match status.code() {
            Code::ResourceExhausted => Self::Busy,
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::Unauthenticated | Code::PermissionDenied => Self::Denied,
            Code::NotFound => Self::Missing,
            Code::Internal | Code::Unknown | Code::DataLoss => Self::Failed,
            _ => Self::Other,
        }
    }
}

/// A status in one line: what Auth said, or what happened on the way.
pub(crate) fn describe(status: &Status) -> String {
    if let Some(source) = std::error::Error::source(status) {
        return ev_core::chain(source);
    }
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => format!("{message} ({:?})", status.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_told_apart() {
        let check = |status: Status, trouble| assert_eq!(Trouble::of(&status), trouble, "{status}");
        check(
            Status::resource_exhausted("rate limit exceeded for searching events"),
            Trouble::Busy,
        );
        check(
            Status::resource_exhausted("trying to send message larger than max (5 vs. 4)"),
            Trouble::TooLarge,
        );
        check(
            Status::invalid_argument("event size exceeds the maximum response size"),
            Trouble::TooLarge,
        );
        check(
            Status::invalid_argument("event of 9 bytes is larger than a page of results"),
            Trouble::TooLarge,
        );
        check(Status::out_of_range("decoded message length too large: found 9"), Trouble::TooLarge);
        check(Status::invalid_argument("invalid start key"), Trouble::Invalid);
        check(Status::permission_denied("access denied"), Trouble::Denied);
        check(Status::not_found("a recording was not found"), Trouble::Missing);
        check(Status::unavailable("shutting down"), Trouble::Other);
        check(Status::internal("failed to convert an event"), Trouble::Failed);
        check(Status::unknown("failed to convert an event"), Trouble::Failed);
        check(Status::deadline_exceeded("too slow"), Trouble::Other);
        check(Status::from_error("broken pipe".into()), Trouble::Connection);
    }
}
