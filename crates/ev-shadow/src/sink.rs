//! The sink that sends nothing.

use std::sync::Arc;

use ev_core::{Batch, BoxFuture, Framing, Ordering, Shape, Sink, SinkError, Verdict};

use crate::comparison::Comparison;
use crate::matcher::Side;

/// Takes everything at once, for a comparison.
#[derive(Clone, Debug)]
pub struct ShadowSink {
    comparison: Arc<Comparison>,
}

impl ShadowSink {
    /// Feeds a comparison with our side.
    pub fn new(comparison: Arc<Comparison>) -> Self {
        Self { comparison }
    }
}

impl Sink for ShadowSink {
    fn shape(&self) -> Shape {
        Shape {
            framing: Framing::Array,
            max_events: 200,
            max_bytes: 1 << 20,
            max_in_flight: 4,
            ordering: Ordering::Unordered,
        }
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        Box::pin(async move {
            let (comparison, events) = (Arc::clone(&self.comparison), batch.clone());
            // Reading a batch takes longer than a task may.
            let taken = tokio::task::spawn_blocking(move || {
                for entry in &events.entries {
                    let span = entry.json;
                    let body = events.body.slice(span.start as usize..span.end as usize);
                    comparison.take(Side::Ours, &events.route, body);
                }
            });
            let verdict = match taken.await {
                Ok(()) => Verdict::Delivered,
                Err(error) => Verdict::Unknown { detail: error.to_string() },
            };
            (batch, verdict)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
