//! Waiting until everything is written, and the end.

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use super::builder::Overflow;
use super::{Client, Handle};
use crate::model::Record;
use crate::queue::{Ledger, Left, Phase, Queue};
use crate::wire::{self, Message, Plane};

/// How long the sender may take to let go after it was told to. It answers at once, unless a
/// transport blocks its thread.
const GRACE: Duration = Duration::from_secs(1);

/// The same when it has a disk to put away on what is left.
const GRACE_WITH_DISK: Duration = Duration::from_secs(10);

/// A record that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// Data or control plane.
    pub plane: Plane,
    /// The record as it would have been sent.
    pub record: Record,
    /// When it was sent, in seconds since 1970-01-01 UTC.
    pub seconds: i64,
}

/// What was not written in time.
#[derive(Clone, Default)]
#[must_use = "it holds the records that were not written"]
#[non_exhaustive]
pub struct Remainder {
    /// The records in memory that were not written, oldest first. After `close` they are nowhere
    /// else; after `flush` they are still queued.
    pub records: Vec<Unsent>,
    /// Records that lie in the spill directory.
    pub spilled: u64,
    /// The ledger at this moment.
    pub ledger: Ledger,
}

impl Remainder {
    /// Whether everything was written or dropped for a reason that the ledger names.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.spilled == 0
    }

    fn new(left: &[Left], ledger: Ledger) -> Self {
        let frames = left.iter().flat_map(Left::frames);
        let records = frames.filter_map(|frame| match wire::decode(frame) {
            Ok(Some((Message::Record { plane, record, seconds, .. }, _))) => {
                Some(Unsent { plane, record: *record, seconds })
            }
            // Frames in the queue were encoded from valid records.
            _ => None,
        });
        Self { records: records.collect(), spilled: ledger.spilled, ledger }
    }
}

impl fmt::Debug for Remainder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remainder")
            .field("records", &self.records.len())
            .field("spilled", &self.spilled)
            .field("ledger", &self.ledger)
            .finish()
    }
}

impl Client {
    /// Blocks until everything that was queued before is written, for `deadline` at most, and
    /// returns what is left of it and of what came later. The client goes on.
    pub fn flush(&self, deadline: Duration) -> Remainder {
        let handle = &*self.0;
        if handle.forked_from().is_some() {
            return Remainder::default();
        }
        let target = handle.shared.queue().next_number();
        let written = handle.wait(deadline, |queue| is_flushed(queue, target));
        handle.flushed(written)
    }

    /// As [`flush`](Self::flush) for async callers, until `limit` is ready, for instance a timer
    /// of the caller's runtime.
    pub async fn flush_wait_until(&self, limit: impl Future<Output = ()>) -> Remainder {
        let handle = &*self.0;
        if handle.forked_from().is_some() {
            return Remainder::default();
        }
        let target = handle.shared.queue().next_number();
        let written = handle.wait_async(limit, |queue| is_flushed(queue, target)).await;
        handle.flushed(written)
    }

    /// Ends the client: no more records are accepted, and what is queued is written, for
    /// `deadline` at most. Blocks until then and returns what is left, with the records. A second
    /// call returns at once and finds none.
    ///
    /// Records that lie in the spill directory stay there for the next client.
    pub fn close(&self, deadline: Duration) -> Remainder {
        let handle = &*self.0;
        if handle.forked_from().is_some() {
            return Remainder::default();
        }
        handle.shared.advance(Phase::Draining);
        if !handle.wait(deadline, |queue| queue.sender_done) {
            handle.shared.advance(Phase::Stopping);
            handle.wait(handle.grace(), |queue| queue.sender_done);
        }
        handle.closed()
    }

    /// As [`close`](Self::close) for async callers, until `limit` is ready, for instance a timer
    /// of the caller's runtime.
    pub async fn close_wait_until(&self, limit: impl Future<Output = ()>) -> Remainder {
        let handle = &*self.0;
        if handle.forked_from().is_some() {
            return Remainder::default();
        }
        handle.shared.advance(Phase::Draining);
        if !handle.wait_async(limit, |queue| queue.sender_done).await {
            handle.shared.advance(Phase::Stopping);
            if handle.threaded {
                // Answered within microseconds; blocks for longer only if a transport does.
                handle.wait(handle.grace(), |queue| queue.sender_done);
            } else if handle.shared.queue().sender_started {
                // It is polled in the caller's runtime, and answers as soon as it is.
                handle.wait_async(std::future::pending(), |queue| queue.sender_done).await;
            }
        }
        handle.closed()
    }
}

/// Everything before `target` is out, or nothing will be any more.
fn is_flushed(queue: &Queue, target: u64) -> bool {
    queue.oldest().is_none_or(|oldest| oldest >= target) || queue.sender_done
}

impl Handle {
    fn grace(&self) -> Duration {
        match self.overflow {
            Overflow::Spill(_) => GRACE_WITH_DISK,
            _ => GRACE,
        }
    }

    /// Blocks until `reached` holds, for `limit` at most. False when it does not.
    fn wait(&self, limit: Duration, reached: impl Fn(&Queue) -> bool) -> bool {
        let mut queue = self.shared.queue();
        queue.watchers += 1;
        let (mut queue, _) = self
            .shared
            .changed
            .wait_timeout_while(queue, limit, |queue| !reached(queue))
            .unwrap_or_else(PoisonError::into_inner);
        queue.watchers -= 1;
        reached(&queue)
    }

    async fn wait_async(
        &self,
        limit: impl Future<Output = ()>,
        reached: impl Fn(&Queue) -> bool,
    ) -> bool {
        tokio::pin!(limit);
        loop {
            let changed = self.shared.changed_async.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing is missed between the two.
            changed.as_mut().enable();
            if reached(&self.shared.queue()) {
                return true;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = &mut limit => return reached(&self.shared.queue()),
            }
        }
    }

    fn flushed(&self, written: bool) -> Remainder {
        let (left, ledger) = {
            let queue = self.shared.queue();
            let left = if written && !queue.sender_done { Vec::new() } else { queue.left() };
            (left, queue.ledger())
        };
        Remainder::new(&left, ledger)
    }

    fn closed(&self) -> Remainder {
        let left = self.shared.close("closed by its owner");
        let (done, ledger) = {
            let queue = self.shared.queue();
            (queue.sender_done, queue.ledger())
        };
        if done
            && let Some(thread) = self.take_thread()
            && thread.join().is_err()
        {
            tracing::error!(target: "ev_audit", "audit sender panicked");
        }
        Remainder::new(&left, ledger)
    }
}
