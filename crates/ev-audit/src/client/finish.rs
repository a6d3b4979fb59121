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
    /// The records in memory that were not written, oldest first. After `flush` they are still
    /// queued. After `close` they are nowhere else in this process, and an agent has none of them,
    /// with one exception: when a transport held up the sender for longer than `close` waits, what
    /// it was just writing, 64 KiB at most, may still reach the agent.
    ///
    /// What the agent may not have read of what *was* written is not among them, see
    /// [`Ledger::unconfirmed`].
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
    /// Blocks until everything that was queued before is written, for `deadline` at most. The
    /// client goes on.
    ///
    /// Returns nothing but the ledger and the number of records on disk when all of that was
    /// written, or dropped for a reason that the ledger names, and otherwise copies of all records
    /// that wait in memory, of later ones too: that takes several times the memory that they take
    /// in the queue. *Written* is no more than what it says everywhere; with a
    /// [retain window](crate::ClientBuilder::retain_bytes), records may be written again later.
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
    /// Records that lie in the spill directory stay there for the next client. What is left in
    /// memory is put there too, behind them: so records of the chunk that was just being written,
    /// up to 64 KiB, come behind newer ones then, if such lay on disk already.
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
                // Answered within microseconds, unless a transport blocks or a disk is slow.
                handle.wait_async(self.grace_over(), |queue| queue.sender_done).await;
            } else if handle.shared.queue().sender_started {
                // It is polled in the caller's runtime, and answers as soon as it is.
                handle.wait_async(std::future::pending(), |queue| queue.sender_done).await;
            }
        }
        handle.closed()
    }
}

impl Client {
    /// Ready when the sender of its own thread has had its time to let go. There may be no timer
    /// in the caller's runtime, so a thread waits.
    fn grace_over(&self) -> impl Future<Output = ()> + use<> {
        let (over, is_over) = tokio::sync::oneshot::channel::<()>();
        let client = self.clone();
        let watch = move || {
            client.0.wait(client.0.grace(), |queue| queue.sender_done);
            drop(over);
        };
        // Without a thread to be had, it is over at once.
        drop(std::thread::Builder::new().name("ev-audit-close".to_owned()).spawn(watch));
        async { drop(is_over.await) }
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
