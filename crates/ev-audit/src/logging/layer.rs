//! A layer for `tracing`.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::bridge::LogBridge;
use super::fields::Fields;
use crate::chain::Chain;
use crate::model::Value;

/// Turns events of a chosen target into records; see [`LogBridge`] for what their fields mean.
///
/// ```
/// use std::time::Duration;
/// use ev_audit::transport::MemoryTransport;
/// use ev_audit::{Client, LogBridge};
/// use tracing_subscriber::prelude::*;
///
/// let (transport, audited) = MemoryTransport::new();
/// let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
/// let client = Client::builder(service, transport).build()?;
/// let subscriber = tracing_subscriber::registry().with(LogBridge::new(client).into_layer());
///
/// tracing::subscriber::with_default(subscriber, || {
///     let span = tracing::info_span!(
///         target: "audit", "request",
///         caller_ip = "192.0.2.7", caller_agent = "portal/2.1",
///         caller_access_level = "Administrator", caller_identity.upn = "alice@example.com",
///     );
///     let _entered = span.enter();
///     tracing::info!(
///         target: "audit",
///         operation_category = "UserManagement", operation_type = "Delete",
///         operation_result = "Success", operation_access_level = "Administrator",
///         target_resource.Tenant = "contoso",
///         "DeleteUser"
///     );
/// });
/// let records = audited.wait_for(1, Duration::from_secs(10));
/// assert_eq!(records[0].record.operation_name, "DeleteUser");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AuditLayer {
    bridge: LogBridge,
    mark: Option<&'static str>,
}

impl LogBridge {
    /// A layer for a `tracing` subscriber.
    pub fn into_layer(self) -> AuditLayer {
        AuditLayer { bridge: self, mark: None }
    }
}

impl AuditLayer {
    /// Takes spans and events that have a field of this name, whatever their target. For programs
    /// that say in a line of their log, wherever that comes from, that it is to be a record too.
    #[must_use]
    pub fn marked_by(mut self, field: &'static str) -> Self {
        self.mark = Some(field);
        self
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        match self.mark {
            Some(mark) => {
                metadata.fields().field(mark).is_some() && !LogBridge::is_own(metadata.target())
            }
            None => self.bridge.wants(metadata.target()),
        }
    }
}

/// The fields of a span. They are the same for every layer that keeps them.
struct SpanFields(Fields);

impl<S> Layer<S> for AuditLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !self.wants(attributes.metadata()) {
            return;
        }
        // Values are formatted before the span is locked: their code may look at it.
        let mut fields = Fields::default();
        attributes.record(&mut Collect(&mut fields));
        self.bridge.count_panics(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if !self.wants(span.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        values.record(&mut Collect(&mut fields));
        self.bridge.count_panics(&mut fields);
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<SpanFields>() {
            Some(SpanFields(present)) => present.extend(&fields),
            None => drop(extensions.replace(SpanFields(fields))),
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.wants(event.metadata()) {
            return;
        }
        self.bridge.audit(|| {
            let mut fields = Fields::default();
            for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
                if self.wants(span.metadata())
                    && let Some(SpanFields(outer)) = span.extensions().get()
                {
                    fields.extend(outer);
                }
            }
            event.record(&mut Collect(&mut fields));
            fields
        });
    }
}

struct Collect<'a>(&'a mut Fields);

impl Visit for Collect<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.set(field.name(), Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.set(field.name(), Value::U64(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.set(field.name(), Value::F64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.set(field.name(), Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.set(field.name(), Value::from(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.0.set(field.name(), Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.set_text(field.name(), format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.set_text(field.name(), format_args!("{value:?}"));
    }
}
