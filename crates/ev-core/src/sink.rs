//! Sinks: who takes the JSON.

use std::time::Duration;

use bytes::Bytes;

use crate::{BatchId, BoxError, BoxFuture, SessionId, Span};

/// Delivers batches: one attempt each, and the meaning of the answer.
///
/// Policy (retry, splitting, parking, order) is the engine's.
pub trait Sink: Send + Sync {
    /// What a batch for this sink may look like.
    fn shape(&self) -> Shape;

    /// One attempt. Gives the batch back untouched, so that it can be sent again or cut without a
    /// copy. A dropped future is an unknown outcome.
    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)>;

    /// Whether the sink can be reached, without sending an event.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>>;
}

/// What a batch for a sink may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// One event a request, or many.
    pub framing: Framing,
    /// Most events in a batch, at least 1.
    pub max_events: usize,
    /// Most bytes in a batch; a single larger event still goes, alone.
    pub max_bytes: usize,
    /// Most batches that may be under way at one time, at least 1.
    pub max_in_flight: usize,
    /// What order the sink keeps.
    pub ordering: Ordering,
}

/// How events stand in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON object is the whole body.
    Single,
    /// The body is a JSON array of objects.
    Array,
}

/// What order a sink keeps between batches under way at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// None: a stream that needs order has one batch under way.
    Unordered,
    /// Batches of one route arrive in the order in which they were sent.
    PerRoute,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// The audit log.
    Audit,
    /// A session recording.
    Session(SessionId),
}

/// Events that go out together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Stays the same over all attempts. A part of a batch that was cut has one of its own.
    pub id: BatchId,
    /// Where it goes.
    pub route: Route,
    /// JSON objects, each followed by a comma (see [`crate::Output`]), possibly with others
    /// between them that do not belong to this batch.
    pub body: Bytes,
    /// The events, in order, at least one.
    pub entries: Vec<Entry>,
}

/// One event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its JSON object in [`Batch::body`].
    pub json: Span,
    /// The engine's own number for it; means nothing to a sink.
    pub ticket: u64,
}

impl Batch {
    /// The stretches of the body that form the inside of a JSON array of all entries, in order,
    /// without a comma at the end of a stretch: join them with commas.
    ///
    /// Entries that stand next to each other share one stretch, so nothing is copied or cut that
    /// need not be.
    pub fn stretches(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut entries = self.entries.iter().peekable();
        std::iter::from_fn(move || {
            let mut span = entries.next()?.json;
            while let Some(next) = entries.next_if(|next| next.json.start == span.end + 1) {
                span.end = next.json.end;
            }
            Some(self.body.slice(span.start as usize..span.end as usize))
        })
    }
}

/// What the answer of a sink means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Acknowledged.
    Delivered,
    /// The sink refuses the content of an event.
    Guilty {
        /// Which entry, if it was told.
        index: Option<usize>,
        /// The answer, for logs: status and first bytes of the body.
        detail: String,
    },
    /// The sink says what about an event keeps it from ever taking it: older or longer than its
    /// limits allow. Of a batch with one event there is no doubt which.
    Never {
        /// The answer, for logs: status and first bytes of the body.
        detail: String,
    },
    /// The sink refuses us: set up wrongly (credentials, path).
    Refused {
        /// The answer, for logs.
        detail: String,
    },
    /// The sink cannot take it now.
    Busy {
        /// When it wants to be asked again.
        after: Option<Duration>,
        /// Whether this very batch may be at fault: the answer is one that the sink gives both
        /// when it is full and for an event that it will never take. False for a plain "not now".
        suspect: bool,
        /// The answer, for logs.
        detail: String,
    },
    /// Nobody knows whether it arrived: no answer, or a connection that broke.
    Unknown {
        /// What happened, for logs.
        detail: String,
    },
    /// It certainly did not arrive: no connection was made.
    Unreachable {
        /// What happened, for logs.
        detail: String,
    },
}

/// A sink cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    /// What is wrong, with the address.
    pub message: String,
    /// The cause, if there is one.
    #[source]
    pub source: Option<BoxError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_stretch() {
        let body = Bytes::from_static(b"{1},{22},{x},{3},");
        let entry = |start, end| Entry { json: Span::new(start, end), ticket: 0 };
        let entries = vec![entry(0, 3), entry(4, 8), entry(13, 16)];
        let batch = Batch { id: BatchId(1), route: Route::Audit, body, entries };
        let stretches: Vec<_> = batch.stretches().collect();
        assert_eq!(stretches, [&b"{1},{22}"[..], b"{3}"]);
    }
}
