//! Batches in the making, and those that wait for a free connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{
    AuthVersion, Batch, BatchId, DecoderKind, Entry, EventDigest, LaneId, ParkedId, RawEvent,
    Route, SessionId, Shape, Span,
};

use crate::judge::{Case, Cut};
use crate::lanes::Slot;
use crate::ledger::Line;
use crate::watch::Told;

/// Where an event came from, and what follows from its delivery.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) origin: Origin,
    pub(crate) by: DecoderKind,
    pub(crate) inexact: bool,
    /// The recording that this event announces.
    pub(crate) announces: Option<SessionId>,
    /// Second of its time.
    pub(crate) second: i64,
    /// What the log says of it once it is delivered.
    pub(crate) told: Option<Box<Told>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Lane {
        slot: Slot,
        /// The event itself, should it have to be parked. Keeps its page in memory, which is why
        /// it counts as held.
        event: RawEvent,
        /// The version that served it.
        version: AuthVersion,
    },
    Parked {
        id: ParkedId,
        /// The id by which its lane will have to recognise it, if it was parked without one.
        learned: Option<(LaneId, EventDigest)>,
        /// How the ledger knows it until then, and from then on.
        lines: Option<(Line, Line)>,
        /// What decoded it.
        decoder: Arc<str>,
        /// Length of the event as it is parked.
        bytes: usize,
        /// The receiver has refused it before.
        refused: bool,
    },
}

impl Ticket {
    /// The event itself, if it is held.
    pub(crate) fn event_mut(&mut self) -> Option<&mut RawEvent> {
        match &mut self.origin {
            Origin::Lane { event, .. } => Some(event),
            Origin::Parked { .. } => None,
        }
    }

    /// Whether the receiver has refused this event before, so that it may do so again.
    pub(crate) fn was_refused(&self) -> bool {
        matches!(self.origin, Origin::Parked { refused: true, .. })
    }

    /// Bytes that it holds beside the JSON.
    fn raw_len(&self) -> usize {
        match &self.origin {
            Origin::Lane { event, .. } => event.bytes.len(),
            Origin::Parked { .. } => 0,
        }
    }
}

/// A batch together with what the engine knows of its events.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) batch: Batch,
    /// Indexed by [`Entry::ticket`].
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) attempts: u32,
    /// What is held against it.
    pub(crate) case: Case,
    /// It waits for its trial, so that others are tried in the meantime: it holds no connection.
    pub(crate) aside: bool,
    /// When it was last sent.
    pub(crate) sent: Duration,
    /// Its share of the memory that batches hold, in bytes.
    pub(crate) held: usize,
}

impl Parcel {
    /// Whether all of it is parked for the receiver's sake: nothing that comes from Auth waits for it.
    pub(crate) fn was_refused(&self) -> bool {
        self.tickets.iter().all(Ticket::was_refused)
    }
}

/// Collects events of one route.
#[derive(Debug, Default)]
struct Builder {
    buffer: Vec<u8>,
    events: Vec<(Span, Ticket)>,
    /// Length of the buffer when it was given back last.
    held: usize,
    since: Duration,
}

/// All batches that are not under way.
#[derive(Debug)]
pub(crate) struct Batches {
    shape: Shape,
    next_id: u64,
    builders: BTreeMap<Route, Builder>,
    waiting: BTreeMap<Route, VecDeque<Parcel>>,
    held_bytes: usize,
    /// Those of them that recordings hold.
    held_by_recordings: usize,
}

impl Batches {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            next_id: 0,
            builders: BTreeMap::new(),
            waiting: BTreeMap::new(),
            held_bytes: 0,
            held_by_recordings: 0,
        }
    }

    /// The buffer in which events of a route are collected; give it back with
    /// [`Batches::put_buffer`].
    pub(crate) fn take_buffer(&mut self, route: &Route) -> Vec<u8> {
        self.builders.get_mut(route).map(|b| std::mem::take(&mut b.buffer)).unwrap_or_default()
    }

    /// Gives the buffer back with the events that were added to it.
    pub(crate) fn put_buffer(
        &mut self,
        route: &Route,
        buffer: Vec<u8>,
        added: Vec<(Span, Ticket)>,
        now: Duration,
    ) {
        let shape = self.shape;
        let builder = self.builders.entry(route.clone()).or_default();
        builder.buffer = buffer;
        if builder.events.is_empty() {
            builder.since = now;
        }
        let raw: usize = added.iter().map(|(_, ticket)| ticket.raw_len()).sum();
        builder.events.extend(added);
        if builder.events.is_empty() {
            // Nothing points into the buffer: what was written turned out to be known.
            let held = builder.held;
            self.builders.remove(route);
            self.released(route, held);
            return;
        }
        // The whole buffer is held, what nobody points at included.
        let more = builder.buffer.len() - builder.held + raw;
        builder.held = builder.buffer.len();
        self.held_bytes += more;
        self.held_by_recordings += if *route == Route::Audit { 0 } else { more };
        if builder.events.len() >= shape.max_events || builder.held >= shape.max_bytes {
            self.close(route);
        }
    }

    /// When the oldest open batch has to go out.
    pub(crate) fn due_at(&self, age: Duration) -> Option<Duration> {
        self.builders.values().map(|builder| builder.since + age).min()
    }

    /// Closes the batches whose first event came at or before `since`.
    pub(crate) fn close_older(&mut self, since: Duration) {
        let due = |builder: &Builder| builder.since <= since;
        let routes: Vec<Route> = self
            .builders
            .iter()
            .filter(|(_, builder)| due(builder))
            .map(|(route, _)| route.clone())
            .collect();
        for route in routes {
            self.close(&route);
        }
    }

    /// The next batch to send, of a route for which `free` holds. Routes take turns: the one that
    /// comes behind `last` goes first, so that neither the audit log nor a recording starves.
    pub(crate) fn next(
        &mut self,
        last: Option<&Route>,
        free: impl Fn(&Route) -> bool,
    ) -> Option<Parcel> {
        let behind = |route: &&Route| last.is_none_or(|last| *route > last);
        let route = self
            .waiting
            .keys()
            .filter(behind)
            .chain(self.waiting.keys())
            .find(|route| free(route))?
            .clone();
        let queue = self.waiting.get_mut(&route)?;
        let parcel = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&route);
        }
        parcel
    }

    /// Whether there are events of a route for which `wanted` holds.
    pub(crate) fn any(&self, wanted: impl Fn(&Route) -> bool) -> bool {
        self.builders.keys().chain(self.waiting.keys()).any(wanted)
    }

    /// A batch of that route has left memory for good; `held` is its share.
    pub(crate) fn released(&mut self, route: &Route, held: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(held);
        if *route != Route::Audit {
            self.held_by_recordings = self.held_by_recordings.saturating_sub(held);
        }
    }

    /// Memory held by batches of recordings, in bytes.
    pub(crate) fn held_by_recordings(&self) -> usize {
        self.held_by_recordings
    }

    /// Memory held by batches of any stage, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether no event is in a batch that is not under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.builders.is_empty() && self.waiting.is_empty()
    }

    /// Cuts what was collected for a route into batches of the sink's shape. All of them share
    /// the one buffer.
    fn close(&mut self, route: &Route) {
        let Some(builder) = self.builders.remove(route) else { return };
        let mut unshared = builder.held;
        let body = Bytes::from(builder.buffer);
        let mut events = builder.events.into_iter().peekable();
        while events.peek().is_some() {
            let (mut entries, mut tickets, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some((span, ticket)) = events.next_if(|(span, _)| {
                entries.is_empty()
                    || entries.len() < self.shape.max_events
                        && bytes + span.len() < self.shape.max_bytes
            }) {
                bytes += span.len() + 1;
                entries.push(Entry { json: span, ticket: tickets.len() as u64 });
                tickets.push(ticket);
            }
            let id = self.new_id();
            let batch = Batch { id, route: route.clone(), body: body.clone(), entries };
            // The buffer lives as long as the last batch of it, so that one has what is left over.
            let held = if events.peek().is_none() { unshared } else { bytes.min(unshared) };
            unshared -= held;
            let held = held + tickets.iter().map(Ticket::raw_len).sum::<usize>();
            let (case, sent) = (Case::default(), Duration::ZERO);
            let parcel = Parcel { batch, tickets, attempts: 0, case, aside: false, sent, held };
            self.waiting.entry(route.clone()).or_default().push_back(parcel);
        }
    }

    /// Cuts a batch of several entries; its parts are the next of their route, in order. Nothing
    /// is copied.
    pub(crate) fn cut(&mut self, parcel: Parcel, cut: Cut) {
        let Parcel { batch, tickets, case, sent, held, .. } = parcel;
        let Batch { route, body, entries, .. } = batch;
        let ends = match cut {
            Cut::Half => [entries.len() / 2, entries.len(), entries.len()],
            Cut::Around(index) => [index, index + 1, entries.len()],
        };
        let total = entries.len();
        let mut unshared = held;
        let mut entries = entries.into_iter().zip(tickets);
        let mut parts = Vec::new();
        let mut start = 0;
        for end in ends {
            let (mut part, mut part_tickets) = (Vec::new(), Vec::new());
            for (entry, ticket) in entries.by_ref().take(end - start) {
                part.push(Entry { ticket: part_tickets.len() as u64, ..entry });
                part_tickets.push(ticket);
            }
            start = end;
            if part.is_empty() {
                continue;
            }
            let held = if end == total { unshared } else { held / total * part.len() };
            unshared -= held;
            let id = self.new_id();
            let batch = Batch { id, route: route.clone(), body: body.clone(), entries: part };
            let case = case.of_part();
            let tickets = part_tickets;
            parts.push(Parcel { batch, tickets, attempts: 0, case, aside: false, sent, held });
        }
        let waiting = self.waiting.entry(route).or_default();
        for part in parts.into_iter().rev() {
            waiting.push_front(part);
        }
    }

    fn new_id(&mut self) -> BatchId {
        self.next_id += 1;
        BatchId(self.next_id)
    }
}
