//! From a line of the log to a record.

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;

use super::operations::Operation;
use super::{Inner, Told};

/// The field that marks a line.
const MARK: &str = "audit";
/// The line's text.
const MESSAGE: &str = "message";
/// Why something failed.
const ERROR: &str = "error";

/// Sends a record of each line that is marked.
pub(crate) struct Layer(Arc<Inner>);

impl Layer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().fields().field(MARK).is_none() {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        if let Some(told) = line.told() {
            self.0.send(told);
        }
    }
}

/// The fields of a line as texts. Nothing that is secret is ever in a line.
#[derive(Default)]
struct Line {
    mark: String,
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    fn told(self) -> Option<Told> {
        let operation = Operation::find(&self.mark)?;
        let field = |name: &str| {
            let found = self.fields.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| value.clone())
        };
        let reason = match field(ERROR) {
            Some(error) => format!("{}: {error}", self.message),
            None => self.message.clone(),
        };
        let target = field(operation.target_field).unwrap_or_default();
        Some(Told { operation, target, reason, more: self.fields })
    }

    fn add(&mut self, field: &Field, text: String) {
        match field.name() {
            MARK => self.mark = text,
            MESSAGE => self.message = text,
            name => self.fields.push((name, text)),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use ev_audit::transport::MemoryTransport;
    use ev_audit::{Client, OperationResult, Plane};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::operations::ALL;
    use super::super::{caller, with_bounds};
    use super::*;

    #[test]
    fn every_operation_is_a_record_that_is_taken() {
        let (transport, audited) = MemoryTransport::new();
        let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().expect("a GUID");
        let client = with_bounds(Client::builder(service, transport)).build().expect("a thread");
        let caller = caller(std::net::Ipv4Addr::LOCALHOST.into());
        let refused = AtomicU64::new(0);
        let inner = Arc::new(Inner { client, plane: Plane::Control, caller, refused });
        let lines = tracing_subscriber::registry().with(Layer::new(Arc::clone(&inner)));
        tracing::subscriber::with_default(lines, || {
            for operation in ALL {
                tracing::info!(audit = operation.mark, version = "18.0.0", left = 3, "it was done");
            }
            tracing::info!(version = "18.0.0", "nothing to tell");
            tracing::info!(audit = "no such thing", "nothing to tell");
            let error = "no key";
            tracing::warn!(audit = "artifact.refused", version = "18.1.0", error, "it is refused");
        });
        let sent = audited.wait_for(ALL.len() + 1, Duration::from_secs(60));
        assert_eq!(sent.len(), ALL.len() + 1);
        assert_eq!(inner.refused.load(std::sync::atomic::Ordering::Relaxed), 0);
        for (sent, operation) in sent.iter().zip(ALL) {
            assert_eq!(sent.record.operation_name, operation.name);
            let failed = sent.record.operation_result == OperationResult::FAILURE;
            assert_eq!(failed, operation.is_failure, "{}", operation.mark);
        }
        let last = &sent[ALL.len()].record;
        assert_eq!(last.operation_result_description, "it is refused: no key");
        let targets = &last.target_resources["DecoderArtifact"];
        assert_eq!(targets[0].name, "18.1.0");
    }
}
