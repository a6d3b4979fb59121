//! What callers and the sender share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::events::{EventKind, EventLog};
use super::metrics;
use super::state::State;
use crate::clock::Clock;
use crate::queue::{DropReason, Ledger, Left, Phase, Queue};

#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// Callers that block wait here, until there is room or everything is written.
    pub(crate) changed: Condvar,
    /// Callers that await wait here, for the same.
    pub(crate) changed_async: Notify,
    /// The sender waits here, whatever it waits for.
    pub(crate) wake_sender: Notify,
    /// The task that moves chunks to disk waits here.
    pub(crate) wake_spiller: Notify,
    /// The sender waits here for the last handle to go.
    pub(crate) abandoned: Notify,
    pub(crate) state: watch::Sender<State>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
    metrics: metrics::Published,
}

impl Shared {
    pub(crate) fn new(queue: Queue, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            changed_async: Notify::new(),
            wake_sender: Notify::new(),
            wake_spiller: Notify::new(),
            abandoned: Notify::new(),
            state: watch::Sender::new(State::default()),
            events: EventLog::new(clock.clone()),
            clock,
            metrics: metrics::Published::default(),
        })
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic while it was held cannot come from the queue's own steps in between.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.metrics.publish(|| self.queue().ledger())
    }

    /// Brings the metrics up to date.
    pub(crate) fn publish(&self) {
        if metrics::ENABLED {
            self.ledger();
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.send_if_modified(|present| {
            // Closed is the last one.
            let changes = *present != state && *present != State::Closed;
            if changes {
                *present = state;
            }
            changes
        });
    }

    /// Goes on to a later phase and wakes everybody whom that concerns.
    pub(crate) fn advance(&self, to: Phase) {
        self.queue().advance(to);
        self.changed.notify_all();
        self.changed_async.notify_waiters();
        self.wake_sender.notify_one();
        self.wake_spiller.notify_one();
    }

    /// Ends the client and returns what is left in memory. Only the first call finds anything.
    pub(crate) fn close(&self, cause: &str) -> Vec<Left> {
        let (left, dropped) = {
            let mut queue = self.queue();
            let left = queue.close();
            let dropped = left.iter().map(|part| part.frames().count() as u64).sum();
            (left, dropped)
        };
        self.advance(Phase::Closed);
        let reason = DropReason::Closed;
        self.events.tell(EventKind::Dropped(reason), dropped, "left when the client was closed");
        self.tell_closed(cause);
        self.events.close();
        self.publish();
        left
    }

    fn tell_closed(&self, cause: &str) {
        let first = !std::mem::replace(&mut self.queue().told_closed, true);
        if first {
            self.events.tell(EventKind::Closed, 1, cause);
        }
        self.set_state(State::Closed);
    }

    /// No connection will ever be possible. What is pending stays for the owner to fetch.
    pub(crate) fn impossible(&self, cause: &str) {
        self.advance(Phase::Stopping);
        self.tell_closed(cause);
    }

    /// The sender is gone, for whatever reason: nobody waits for it any more.
    pub(crate) fn sender_ended(&self) {
        let (abandoned, asked) = {
            let mut queue = self.queue();
            queue.sender_done = true;
            (queue.abandoned, queue.phase() > Phase::Open)
        };
        if !asked {
            self.impossible("the sender ended by itself");
        }
        if abandoned {
            // Nobody is left to fetch anything.
            drop(self.close("the client was dropped"));
        }
        self.advance(Phase::Draining);
    }

    /// The last handle is gone. Never blocks: the sender, if it is still there, has a little time
    /// to write what is left.
    pub(crate) fn abandon(&self) {
        let done = {
            let mut queue = self.queue();
            queue.abandoned = true;
            queue.sender_done
        };
        if done {
            drop(self.close("the client was dropped"));
        } else {
            self.advance(Phase::Draining);
            self.abandoned.notify_one();
        }
    }
}
