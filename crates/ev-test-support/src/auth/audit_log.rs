//! The calls of `AuditLogService`.

use std::sync::Arc;

use serde_json::json;
use tonic::{Request, Response, Status};

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
        _: Request<ExportUnstructuredEventsRequest>,
    ) -> Result<Response<Self::ExportUnstructuredEventsStream>, Status> {
        const METHOD: &str = "ExportUnstructuredEvents";
        self.0.enter(METHOD, json!({})).await?;
        Err(self.0.failed(METHOD, Status::unimplemented("there is nothing to export")))
    }

    type GetEventExportChunksStream = Answers<EventExportChunk>;

    async fn get_event_export_chunks(
        &self,
        _: Request<GetEventExportChunksRequest>,
    ) -> Result<Response<Self::GetEventExportChunksStream>, Status> {
        const METHOD: &str = "GetEventExportChunks";
        self.0.enter(METHOD, json!({})).await?;
        Err(self.0.failed(METHOD, Status::unimplemented("there is nothing to export")))
    }
}
