//! The queue between the callers and the sender, and the ledger kept with it.
//!
//! Frames are numbered in the order in which they were accepted, and leave in that order. Seen
//! from the oldest, a frame lies in one of these places:
//!
//! ```text
//!  in flight            spilled                in transit            memory
//!  the chunk that is    on disk: its frames    a chunk on its way    chunks that fill up
//!  being written        without a gap          from memory to disk   at the far end
//! ```
//!
//! All of it is behind one lock, which is held for moving a frame's bytes and for counting, never
//! while anything is written or read. The chunk in flight is shared with the sender: so what is
//! left can be told and handed out at any moment, even while the sender is stuck in a write.

mod chunks;
mod ledger;
mod receipts;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use chunks::{Chunk, Chunks};
pub use ledger::{DropReason, Dropped, Ledger, RefusedCounts};
pub(crate) use receipts::Ticket;
pub use receipts::{Outcome, Receipt};

use receipts::Receipts;

/// The most that may wait in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
}

/// How far the end of a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Frames are accepted and written.
    Open,
    /// No more are accepted; what is there is still written.
    Draining,
    /// The sender is asked to let go of everything now.
    Stopping,
    /// Nothing will be written any more.
    Closed,
}

/// Where the chunk in flight came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Memory,
    Spill,
}

#[derive(Debug)]
struct InFlight {
    chunk: Arc<Chunk>,
    /// The index of the first frame that was not written whole.
    next: usize,
    source: Source,
}

/// A chunk that was not written, and the index of its first frame that was not.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) from: usize,
}

impl Left {
    fn share(&self) -> Self {
        Self { chunk: self.chunk.clone(), from: self.from }
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        (self.from..self.chunk.end()).map(|index| self.chunk.frame(index))
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    memory: Chunks,
    /// On their way to disk, oldest first.
    transit: Vec<Arc<Chunk>>,
    /// The numbers of the frames on disk.
    spilled: Range<u64>,
    in_flight: Option<InFlight>,
    /// What the sender let go of at its end and could not put away.
    left_over: Vec<Left>,
    bounds: Bounds,
    /// The number of the next frame to be accepted.
    next: u64,
    /// In memory, in transit and in flight from memory.
    pending_frames: usize,
    pending_bytes: usize,
    ledger: Ledger,
    receipts: Receipts,
    phase: Phase,
    /// The sender sleeps and wants to be woken by the next frame.
    pub(crate) sender_idle: bool,
    /// The spiller sleeps and wants to be woken when there is something to move.
    pub(crate) spiller_idle: bool,
    /// The sender has begun.
    pub(crate) sender_started: bool,
    /// The sender is about to put away what is left.
    pub(crate) sender_leaves: bool,
    /// The sender is gone.
    pub(crate) sender_done: bool,
    /// The last handle is gone.
    pub(crate) abandoned: bool,
    /// The owner was told that the client is closed.
    pub(crate) told_closed: bool,
    /// Callers that block until something changes.
    pub(crate) watchers: usize,
    /// The owner wants a new connection.
    pub(crate) reset: bool,
}

impl Queue {
    /// An empty queue, in front of which `recovered` frames already lie on disk.
    pub(crate) fn new(bounds: Bounds, recovered: u64) -> Self {
        let ledger =
            Ledger { accepted: recovered, recovered, spilled: recovered, ..Ledger::default() };
        Self {
            memory: Chunks::default(),
            transit: Vec::new(),
            spilled: 0..recovered,
            in_flight: None,
            left_over: Vec::new(),
            bounds,
            next: recovered,
            pending_frames: 0,
            pending_bytes: 0,
            ledger,
            receipts: Receipts::default(),
            phase: Phase::Open,
            sender_idle: false,
            spiller_idle: false,
            sender_started: false,
            sender_leaves: false,
            sender_done: false,
            abandoned: false,
            told_closed: false,
            watchers: 0,
            reset: false,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Goes on to a later phase; never back.
    pub(crate) fn advance(&mut self, to: Phase) {
        self.phase = self.phase.max(to);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger {
            pending: self.pending_frames as u64,
            pending_bytes: self.pending_bytes as u64,
            ..self.ledger
        }
    }

    /// For counts that do not move a record from one place to another.
    pub(crate) fn counts(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Whether a frame of `length` bytes may come in now.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.pending_frames < self.bounds.frames
            && self.pending_bytes.saturating_add(length) <= self.bounds.bytes
    }

    /// More than half of the memory is used: time to move the oldest to disk.
    pub(crate) fn is_half_full(&self) -> bool {
        self.pending_bytes > self.bounds.bytes / 2 || self.pending_frames > self.bounds.frames / 2
    }

    /// Accepts a frame. The caller has made sure that there is room.
    pub(crate) fn push(&mut self, frame: &[u8], ticket: Option<Ticket>) {
        debug_assert!(self.phase == Phase::Open);
        let number = self.next;
        self.next += 1;
        self.memory.push(number, frame);
        self.pending_frames += 1;
        self.pending_bytes += frame.len();
        self.ledger.accepted += 1;
        if let Some(ticket) = ticket {
            self.receipts.add(number, ticket);
        }
    }

    /// Drops the oldest frames that are not in flight until one of `length` bytes has room, and
    /// hands each to `seen`. False, with nothing dropped, when that would not be enough.
    pub(crate) fn make_room(&mut self, length: usize, mut seen: impl FnMut(&[u8])) -> bool {
        let stuck_frames = self.pending_frames - self.memory.frames();
        let stuck_bytes = self.pending_bytes - self.memory.bytes();
        if stuck_frames >= self.bounds.frames
            || stuck_bytes.saturating_add(length) > self.bounds.bytes
        {
            return false;
        }
        while !self.has_room(length) {
            let mut dropped = None;
            self.memory.drop_first(|number, frame| {
                seen(frame);
                dropped = Some((number, frame.len()));
            });
            let Some((number, bytes)) = dropped else { return false };
            self.pending_frames -= 1;
            self.pending_bytes -= bytes;
            self.ledger.dropped.add(DropReason::Displaced, 1);
            self.receipts.resolve(number..number + 1, Outcome::Dropped(DropReason::Displaced));
        }
        true
    }

    /// Whether nothing waits to be written, neither in memory nor on disk.
    pub(crate) fn is_drained(&self) -> bool {
        self.oldest().is_none()
    }

    /// The number of the oldest frame that was neither written nor dropped.
    pub(crate) fn oldest(&self) -> Option<u64> {
        if let Some(flight) = &self.in_flight
            && flight.next < flight.chunk.end()
        {
            return Some(flight.chunk.number(flight.next));
        }
        if !self.spilled.is_empty() {
            return Some(self.spilled.start);
        }
        if let Some(part) = self.left_over.iter().find(|part| part.from < part.chunk.end()) {
            return Some(part.chunk.number(part.from));
        }
        if let Some(transit) = self.transit.first() {
            return Some(transit.number(transit.start()));
        }
        self.memory.first_number()
    }

    /// The number that the next accepted frame will have.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// Whether frames on disk, or on their way there, have to be written before those in memory.
    pub(crate) fn disk_goes_first(&self) -> bool {
        !self.transit.is_empty() || !self.spilled.is_empty()
    }

    /// The number of the oldest frame on disk, if there is any.
    pub(crate) fn first_spilled(&self) -> Option<u64> {
        (!self.spilled.is_empty()).then_some(self.spilled.start)
    }

    /// Takes the oldest chunk in memory to be written, and stamps its frames if that is wanted.
    pub(crate) fn take(&mut self, stamp: Option<i64>) -> Option<Arc<Chunk>> {
        debug_assert!(self.in_flight.is_none() && !self.disk_goes_first());
        let mut chunk = self.memory.pop()?;
        if let Some(seconds) = stamp {
            Arc::make_mut(&mut chunk).stamp(seconds);
        }
        self.fly(chunk.clone(), Source::Memory);
        Some(chunk)
    }

    /// Stamps what is in flight anew, and returns it.
    pub(crate) fn restamp(&mut self, seconds: i64) -> Option<Arc<Chunk>> {
        let flight = self.in_flight.as_mut()?;
        Arc::make_mut(&mut flight.chunk).stamp(seconds);
        Some(flight.chunk.clone())
    }

    /// Whether the sender has something else to do than to wait for the agent.
    pub(crate) fn wants_attention(&self) -> bool {
        self.reset || self.phase >= Phase::Stopping
    }

    /// Notes what the sender took, from disk if not from memory.
    pub(crate) fn fly(&mut self, chunk: Arc<Chunk>, source: Source) {
        let next = chunk.start();
        self.in_flight = Some(InFlight { chunk, next, source });
    }

    /// Counts the frames in flight before index `until` as written whole, and says how many were
    /// not counted before. None when they are no longer the sender's: the client was closed
    /// meanwhile.
    pub(crate) fn written(&mut self, until: usize) -> Option<u64> {
        let flight = self.in_flight.as_mut()?;
        debug_assert!(until >= flight.next && until <= flight.chunk.end());
        let mut frames = until - flight.next;
        if frames == 0 {
            return Some(0);
        }
        let numbers = flight.chunk.number(flight.next)..flight.chunk.number(until);
        let bytes = flight.chunk.offset(until) - flight.chunk.offset(flight.next);
        flight.next = until;
        match flight.source {
            Source::Memory => {
                self.pending_frames -= frames;
                self.pending_bytes -= bytes;
            }
            Source::Spill => {
                // Each is counted once, whatever the directory hands out.
                frames = frames.min(usize::try_from(self.ledger.spilled).unwrap_or(usize::MAX));
                self.spilled.start += frames as u64;
                self.ledger.spilled -= frames as u64;
            }
        }
        self.ledger.written += frames as u64;
        self.receipts.resolve(numbers, Outcome::Written);
        Some(frames as u64)
    }

    /// The sender is done with the chunk in flight, or lets go of one that came from disk.
    pub(crate) fn land(&mut self) {
        if let Some(flight) = self.in_flight.take() {
            debug_assert!(flight.source == Source::Spill || flight.next == flight.chunk.end());
        }
    }

    /// Keeps an emptied chunk for later.
    pub(crate) fn recycle(&mut self, chunk: Arc<Chunk>) {
        self.memory.recycle(chunk);
    }

    /// Puts what is in flight back in front of the memory, unless newer frames lie on disk, in
    /// front of which nothing can be put. True when it is there.
    pub(crate) fn take_back(&mut self) -> bool {
        if self.disk_goes_first() {
            return false;
        }
        match self.in_flight.take() {
            Some(mut flight) if flight.source == Source::Memory => {
                Arc::make_mut(&mut flight.chunk).forget_until(flight.next);
                self.memory.push_front(flight.chunk);
                true
            }
            other => {
                self.in_flight = other;
                false
            }
        }
    }

    /// Takes the oldest chunks in memory, of `bytes` or a little more, to be moved to disk.
    pub(crate) fn take_for_spill(&mut self, bytes: usize) -> Vec<Arc<Chunk>> {
        debug_assert!(self.transit.is_empty());
        let before = self.memory.bytes();
        while before - self.memory.bytes() < bytes
            && let Some(chunk) = self.memory.pop()
        {
            self.transit.push(chunk);
        }
        self.transit.clone()
    }

    /// The first `frames` of those in transit lie on disk now; the rest goes back to the front of
    /// the memory. False when the client was closed meanwhile and its owner has them.
    pub(crate) fn spilled(&mut self, mut frames: usize) -> bool {
        let transit = std::mem::take(&mut self.transit);
        let Some(oldest) = transit.first() else { return false };
        if frames > 0 && self.spilled.is_empty() {
            let first = oldest.number(oldest.start());
            self.spilled = first..first;
        }
        let mut back = Vec::new();
        for mut chunk in transit {
            let moved = frames.min(chunk.frames());
            if moved > 0 {
                let (start, until) = (chunk.start(), chunk.start() + moved);
                debug_assert_eq!(self.spilled.end, chunk.number(start), "no gap on disk");
                self.spilled.end = chunk.number(until);
                self.ledger.spilled += moved as u64;
                self.pending_frames -= moved;
                self.pending_bytes -= chunk.offset(until) - chunk.offset(start);
                Arc::make_mut(&mut chunk).forget_until(until);
                frames -= moved;
            }
            back.push(chunk);
        }
        for chunk in back.into_iter().rev() {
            self.memory.push_front(chunk);
        }
        true
    }

    /// Takes all that is left in memory, to be put away on disk at the end, oldest first.
    pub(crate) fn take_to_put_away(&mut self) -> Vec<Left> {
        self.left_over = self.take_left();
        self.left_over.iter().map(Left::share).collect()
    }

    /// The first `frames` of what was taken to be put away lie on disk.
    pub(crate) fn put_away(&mut self, mut frames: usize) {
        for part in &mut self.left_over {
            let moved = frames.min(part.chunk.end() - part.from);
            let (from, until) = (part.from, part.from + moved);
            self.ledger.spilled += moved as u64;
            self.pending_frames -= moved;
            self.pending_bytes -= part.chunk.offset(until) - part.chunk.offset(from);
            let numbers = part.chunk.number(from)..part.chunk.number(until);
            self.receipts.resolve(numbers, Outcome::LeftInSpill);
            part.from = until;
            frames -= moved;
        }
    }

    fn take_left(&mut self) -> Vec<Left> {
        let mut left = std::mem::take(&mut self.left_over);
        if let Some(flight) = self.in_flight.take()
            && flight.source == Source::Memory
        {
            left.push(Left { chunk: flight.chunk, from: flight.next });
        }
        let transit = std::mem::take(&mut self.transit);
        left.extend(transit.into_iter().map(|chunk| Left { from: chunk.start(), chunk }));
        while let Some(chunk) = self.memory.pop() {
            left.push(Left { from: chunk.start(), chunk });
        }
        left.retain(|part| part.from < part.chunk.end());
        left
    }

    /// The oldest `frames` on disk are gone; returns how many of them were known to be there.
    pub(crate) fn lost_from_spill(&mut self, frames: u64, reason: DropReason) -> u64 {
        let frames = frames.min(self.spilled.end - self.spilled.start);
        if frames == 0 {
            return 0;
        }
        let numbers = self.spilled.start..self.spilled.start + frames;
        self.spilled.start = numbers.end;
        self.ledger.spilled -= frames;
        self.ledger.dropped.add(reason, frames);
        self.receipts.resolve(numbers, Outcome::Dropped(reason));
        frames
    }

    /// What is left in memory, without taking it.
    pub(crate) fn left(&self) -> Vec<Left> {
        let mut left = Vec::new();
        if let Some(flight) = &self.in_flight
            && flight.source == Source::Memory
        {
            left.push(Left { chunk: flight.chunk.clone(), from: flight.next });
        }
        left.extend(self.left_over.iter().map(Left::share));
        for chunk in &self.transit {
            left.push(Left { from: chunk.start(), chunk: chunk.clone() });
        }
        left.extend(self.memory.share().map(|chunk| Left { from: chunk.start(), chunk }));
        left
    }

    /// Ends it: nothing will be written any more. Takes what is left in memory and counts it as
    /// dropped; what lies on disk stays there.
    pub(crate) fn close(&mut self) -> Vec<Left> {
        self.phase = Phase::Closed;
        let left = self.take_left();
        self.ledger.dropped.add(DropReason::Closed, self.pending_frames as u64);
        self.pending_frames = 0;
        self.pending_bytes = 0;
        self.receipts.resolve(self.spilled.clone(), Outcome::LeftInSpill);
        self.receipts.resolve(0..u64::MAX, Outcome::Dropped(DropReason::Closed));
        left
    }
}

#[cfg(test)]
mod tests;
