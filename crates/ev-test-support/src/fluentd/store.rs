//! What the receiver has got.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The path without its first slash, further slashes as dots.
    pub tag: String,
    /// The object's bytes, as sent.
    pub body: Bytes,
    /// Number of the request it came in, from 1, in order of arrival.
    pub request: u64,
    /// Whether that request was answered with success.
    pub acknowledged: bool,
    /// The header `Ev-Batch-Id` of that request; empty without one.
    pub batch_id: String,
    /// The header `Ev-Event-Id` of that request; empty without one.
    pub event_id: String,
}

/// What a request says of itself beside its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) tag: String,
    pub(crate) batch_id: String,
    pub(crate) event_id: String,
}

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FluentdTally {
    /// Connections accepted.
    pub connections: u64,
    /// Connections whose TLS handshake failed.
    pub handshakes_failed: u64,
    /// Requests with a body.
    pub requests: u64,
    /// Of those: bodies that were an array.
    pub arrays: u64,
    /// Of those: bodies that were compressed.
    pub compressed: u64,
    /// Bytes of the bodies as they came over the wire.
    pub wire_bytes: u64,
    /// Requests being answered right now, the held ones included.
    pub in_flight: u64,
    /// Most requests that were being answered at one time.
    pub most_in_flight: u64,
    /// Events stored, repetitions included.
    pub events: u64,
    /// Events stored whose bytes and tag had been stored before.
    pub repeated: u64,
    /// Bytes of the events stored.
    pub bytes: u64,
    /// Most events in one request.
    pub largest_batch: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Bodies that are no event or array of events.
    pub refused_bodies: u64,
    /// Requests answered as stored of which something was dropped.
    pub dropped_requests: u64,
    /// Events stored, by tag.
    pub tags: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) tally: FluentdTally,
    events: Vec<Received>,
    acknowledged: BTreeSet<u64>,
    seen: HashSet<(String, Bytes)>,
}

impl Store {
    /// Keeps the events of one request.
    pub(crate) fn keep(&mut self, label: &Label, events: Vec<Bytes>, request: u64) {
        let Label { tag, batch_id, event_id } = label;
        let count = events.len() as u64;
        self.tally.largest_batch = self.tally.largest_batch.max(count);
        if count > 0 {
            *self.tally.tags.entry(tag.clone()).or_default() += count;
        }
        for body in events {
            self.tally.events += 1;
            self.tally.bytes += body.len() as u64;
            if !self.seen.insert((tag.clone(), body.clone())) {
                self.tally.repeated += 1;
            }
            self.events.push(Received {
                tag: tag.clone(),
                body,
                request,
                acknowledged: false,
                batch_id: batch_id.clone(),
                event_id: event_id.clone(),
            });
        }
    }

    /// The request was answered with success.
    pub(crate) fn acknowledge(&mut self, request: u64) {
        self.acknowledged.insert(request);
    }

    /// Everything, in order of arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        let mut events = self.events.clone();
        for event in &mut events {
            event.acknowledged = self.acknowledged.contains(&event.request);
        }
        events
    }
}
