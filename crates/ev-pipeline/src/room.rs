//! The bound of what is parked, and what waits in front of it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use ev_core::{NewParked, ParkReason, StateError};
use tracing::{error, info, warn};

use crate::engine::Core;
use crate::lanes::Slot;
use crate::tally::Settled;

/// Longest silence while there is no room.
const REPEAT_ALARM: Duration = Duration::from_secs(60);

/// Keeps events for which there is no room in the state, for people to look after.
pub trait Overflow: Send + Sync + fmt::Debug {
    /// Adds events; they are durable when it returns. What is added and not committed because of a
    /// crash is added once more.
    ///
    /// # Errors
    ///
    /// [`StateError::Storage`] when they cannot be written now; then it is tried again, and
    /// everything waits. Any other ends the run.
    fn add(&self, events: &[NewParked]) -> Result<(), StateError>;
}

/// What is parked, and how much may be.
///
/// An event for which there is no room goes where [`Config::overflow`](crate::Config::overflow)
/// says. Without that it stays unsettled: its lane's resume point stands in front of it, other
/// lanes go on until too much is held in memory, and nothing is lost.
#[derive(Debug)]
pub(crate) struct Room {
    max_events: u64,
    max_bytes: u64,
    events: u64,
    bytes: u64,
    waiting: VecDeque<(Slot, NewParked)>,
    waiting_bytes: usize,
    said: Option<Duration>,
    /// Reasons for which events were parked in this run; each is told once.
    reasons: BTreeSet<ParkReason>,
}

impl Room {
    /// With so much parked already.
    pub(crate) fn new(max_events: u64, max_bytes: u64, events: u64, bytes: u64) -> Self {
        let (waiting, waiting_bytes) = (VecDeque::new(), 0);
        let (said, reasons) = (None, BTreeSet::new());
        Self { max_events, max_bytes, events, bytes, waiting, waiting_bytes, said, reasons }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.events < self.max_events && self.bytes.saturating_add(bytes as u64) <= self.max_bytes
    }

    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
    }

    /// An event of that many bytes is parked no more.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    /// Memory held by events for which there is no room, in bytes.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Events for which there is no room.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no event waits for room.
    pub(crate) fn is_enough(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Core {
    /// Parks an event, as soon as there is room.
    pub(crate) fn park(&mut self, slot: Slot, event: NewParked) {
        let bytes = event.bytes.len();
        if self.room.reasons.insert(event.reason) {
            warn!(
                reason = event.reason.as_str(),
                version = %event.version,
                decoder = event.decoder,
                "events are parked for this reason, the first of this run: `ev-handler parked` shows them"
            );
        }
        // Not past those that wait.
        if self.room.is_enough() && self.room.fits(bytes) {
            self.settle_parked(slot, event);
            return;
        }
        let is_exported = self.config.overflow.is_some();
        if is_exported {
            self.change_park_bytes += bytes;
            self.settle_now(slot, Settled::Exported(event));
        } else {
            self.room.waiting_bytes += bytes;
            self.room.waiting.push_back((slot, event));
        }
        let now = self.env.monotonic();
        if self.room.said.is_none_or(|said| now.saturating_sub(said) >= REPEAT_ALARM) {
            self.room.said = Some(now);
            let Room { events, bytes, max_events, max_bytes, .. } = self.room;
            let waiting = self.room.waiting.len();
            if is_exported {
                let given_up = self.summary.totals.given_up;
                error!(
                    events,
                    bytes,
                    max_events,
                    max_bytes,
                    given_up,
                    "no room for more parked events, they are written to files"
                );
            } else {
                error!(
                    events,
                    bytes,
                    max_events,
                    max_bytes,
                    waiting,
                    "no room for more parked events, what cannot be delivered stands still"
                );
            }
        }
    }

    /// Parks what waits, as far as there is room now.
    pub(crate) fn park_waiting(&mut self) {
        let fits = |room: &Room| {
            room.waiting.front().is_some_and(|(_, event)| room.fits(event.bytes.len()))
        };
        while fits(&self.room) {
            let Some((slot, event)) = self.room.waiting.pop_front() else { return };
            self.room.waiting_bytes -= event.bytes.len();
            self.settle_parked(slot, event);
            self.changed();
            // Decoders may have come since it was tried.
            self.worth_a_round = true;
            self.next_round = self.env.monotonic();
            if self.room.is_enough() {
                self.room.said = None;
                info!("there is room for all parked events again");
            }
        }
    }

    fn settle_parked(&mut self, slot: Slot, event: NewParked) {
        self.room.add(event.bytes.len());
        self.rates.parked(&event.lane);
        self.change_park_bytes += event.bytes.len();
        self.settle_now(slot, Settled::Parked(event));
    }
}
