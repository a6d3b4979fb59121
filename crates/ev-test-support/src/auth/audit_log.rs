//! The calls of `AuditLogService`.

use std::sync::Arc;

use prost_types::Timestamp;
use serde_json::json;
use tokio_stream::iter;
use tonic::{Request, Response, Status};

use super::export::{ExportError, date_of};
use super::reading::{Answers, Asked, no_form};
use super::server::Shared;
use super::store::Event;
use crate::generated::teleport::auditlog::v1::audit_log_service_server::AuditLogService;
use crate::generated::teleport::auditlog::v1::{
    EventExportChunk, EventsUnstructured, ExportEventUnstructured, ExportUnstructuredEventsRequest,
    GetEventExportChunksRequest, GetUnstructuredEventsRequest,
    StreamUnstructuredSessionEventsRequest,
};
use crate::raw::RawMessage;
use crate::time::UtcTime;

pub(super) struct AuditLogApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl AuditLogService for AuditLogApi {
    async fn get_unstructured_events(
        &self,
        request: Request<GetUnstructuredEventsRequest>,
    ) -> Result<Response<EventsUnstructured>, Status> {
        let GetUnstructuredEventsRequest {
            namespace,
            start_date,
            end_date,
            event_types,
            limit,
            start_key,
            order,
        } = request.into_inner();
        let asked = Asked {
            unstructured: true,
            namespace,
            from: start_date,
            to: end_date,
            types: event_types,
            limit,
            key: start_key,
            order,
        };
        let page = self.0.search("GetUnstructuredEvents", asked).await?;
        Ok(Response::new(EventsUnstructured { items: page.events, last_key: page.last_key }))
    }

    type StreamUnstructuredSessionEventsStream = Answers<RawMessage>;

    async fn stream_unstructured_session_events(
        &self,
        request: Request<StreamUnstructuredSessionEventsRequest>,
    ) -> Result<Response<Self::StreamUnstructuredSessionEventsStream>, Status> {
        const METHOD: &str = "StreamUnstructuredSessionEvents";
        let StreamUnstructuredSessionEventsRequest { session_id, start_index } =
            request.into_inner();
        let session = session_id.clone();
        let bytes = move |event: &Event| {
            event.unstructured().ok_or_else(|| no_form(&format!("an event of session {session}")))
        };
        self.0.recording(METHOD, session_id, start_index, bytes).await
    }

    type ExportUnstructuredEventsStream = Answers<ExportEventUnstructured>;

    async fn export_unstructured_events(
        &self,
        request: Request<ExportUnstructuredEventsRequest>,
    ) -> Result<Response<Self::ExportUnstructuredEventsStream>, Status> {
        const METHOD: &str = "ExportUnstructuredEvents";
        let ExportUnstructuredEventsRequest { date, chunk, cursor } = request.into_inner();
        let date = day(date);
        let asked = json!({ "date": text(date), "chunk": chunk, "cursor": cursor });
        self.0.enter(METHOD, asked).await?;
        let (events, broken, omit_cursors) = {
            let inner = self.0.lock();
            let bad = format!("{}/{chunk}", text(date));
            let broken = if inner.switches.bad_chunks.contains(&bad) {
                // Behind its first event, wherever it is begun.
                let sent = usize::from(cursor.is_empty());
                Some((sent, Status::internal("the chunk is damaged")))
            } else {
                let after = inner.switches.break_exports_after;
                after.map(|after| (after, Status::unavailable("the export broke off")))
            };
            let omit_cursors = inner.switches.omit_cursors;
            (inner.store.export(date, &chunk, &cursor), broken, omit_cursors)
        };
        let events = events.map_err(|error| {
            let status = match error {
                ExportError::Missing => Status::not_found("there is no such chunk"),
                ExportError::Cursor => Status::invalid_argument("invalid cursor"),
            };
            self.0.failed(METHOD, status)
        })?;
        let broken = broken.filter(|(after, _)| *after < events.len());
        let take = broken.as_ref().map_or(events.len(), |(after, _)| *after);
        let (shared, open) = (self.0.clone(), Open::new(&self.0));
        let messages = events.into_iter().take(take).map(move |(number, event, cursor)| {
            let event = event.unstructured().ok_or_else(|| no_form(&format!("event {number}")))?;
            shared.sent(METHOD, 1);
            shared.change(|inner| inner.served.insert(number));
            let cursor = if omit_cursors { String::new() } else { cursor };
            Ok(ExportEventUnstructured { event, cursor })
        });
        let end = broken.map(|(_, status)| Err(status));
        let messages = messages.chain(end).inspect(move |_| {
            // Lives as long as the stream.
            let _ = &open;
        });
        Ok(Response::new(Box::pin(iter(messages))))
    }

    type GetEventExportChunksStream = Answers<EventExportChunk>;

    async fn get_event_export_chunks(
        &self,
        request: Request<GetEventExportChunksRequest>,
    ) -> Result<Response<Self::GetEventExportChunksStream>, Status> {
        const METHOD: &str = "GetEventExportChunks";
        let date = day(request.into_inner().date);
        self.0.enter(METHOD, json!({ "date": text(date) })).await?;
        let (chunks, is_bad) = self.0.change(|inner| {
            let size = inner.switches.export_chunk;
            let is_bad = inner.switches.bad_lists.contains(&text(date));
            (inner.store.export_chunks(date, size), is_bad)
        });
        let take = if is_bad { 1 } else { chunks.len() };
        let end = is_bad.then(|| Err(Status::internal("the list is damaged")));
        let chunks = chunks.into_iter().take(take).map(|chunk| Ok(EventExportChunk { chunk }));
        Ok(Response::new(Box::pin(iter(chunks.chain(end)))))
    }
}

/// The date that a request names, as days since 1970-01-01.
fn day(date: Option<Timestamp>) -> i64 {
    date_of(date.map_or(-62_135_596_800, |date| date.seconds))
}

/// A date as `YYYY-MM-DD`.
fn text(date: i64) -> String {
    let text = UtcTime::from_seconds(date * 86_400).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Counts a stream while it lives.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.change(|inner| {
            let tally = &mut inner.tally;
            tally.exports_open += 1;
            tally.exports_most_open = tally.exports_most_open.max(tally.exports_open);
        });
        Self(shared.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.change(|inner| inner.tally.exports_open -= 1);
    }
}
