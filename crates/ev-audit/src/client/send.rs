//! Handing records over.

use std::sync::MutexGuard;
use std::time::Duration;

use super::builder::Overflow;
use super::error::{Refused, SendError};
use super::events::EventKind;
use super::scratch::Scratch;
use super::{Client, Handle};
use crate::model::Record;
use crate::queue::{Phase, Queue, Receipt, Ticket};
use crate::wire::{self, Message, Plane};

impl Client {
    /// Queues a record. Returns at once, unless the client was built with
    /// [`Overflow::Block`].
    ///
    /// The record is validated, stamped with the time and encoded before this returns: nothing
    /// that happens to its parts later changes what is sent.
    ///
    /// # Errors
    ///
    /// The record with the reason why it was not queued, see [`Refused`].
    pub fn send(&self, plane: Plane, record: Record) -> Result<(), SendError> {
        let patience = self.0.patience();
        self.0.send_owned(plane, record, &mut None, patience)
    }

    /// Queues a copy of a record that the caller keeps; it is copied only if there are hooks.
    /// Otherwise as [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The reason why it was not queued.
    pub fn send_ref(&self, plane: Plane, record: &Record) -> Result<(), Refused> {
        let patience = self.0.patience();
        if self.0.hooks.change.is_empty() {
            self.0.send_prepared(plane, record, &mut None, patience)
        } else {
            let changed = record.clone();
            self.0
                .send_owned(plane, changed, &mut None, patience)
                .map_err(|refused| refused.into_parts().0)
        }
    }

    /// As [`send`](Self::send), and returns a receipt that tells what became of the record.
    ///
    /// # Errors
    ///
    /// As for `send`.
    pub fn send_with_receipt(&self, plane: Plane, record: Record) -> Result<Receipt, SendError> {
        let (ticket, receipt) = Ticket::new();
        self.0.send_owned(plane, record, &mut Some(ticket), self.0.patience())?;
        Ok(receipt)
    }

    /// Queues a record, and waits for room if there is none. Blocks for `timeout` at most, and
    /// waits for nothing else: neither the connection nor a queued record is touched when the
    /// time is over.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with [`Refused::TimedOut`] in place of a full queue.
    pub fn send_timeout(
        &self,
        plane: Plane,
        record: Record,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.0.send_owned(plane, record, &mut None, Some(timeout))
    }

    /// Queues a record, and waits for room for as long as it takes.
    ///
    /// When the future is dropped before it is ready, the record may or may not have been queued;
    /// one that was queued is not taken back.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), but never for a full queue.
    pub async fn send_wait(&self, plane: Plane, record: Record) -> Result<(), SendError> {
        self.send_wait_until(plane, record, std::future::pending()).await
    }

    /// As [`send_wait`](Self::send_wait), until `limit` is ready, for instance a timer of the
    /// caller's runtime. The record then comes back.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), with [`Refused::TimedOut`] in place of a full queue.
    pub async fn send_wait_until(
        &self,
        plane: Plane,
        mut record: Record,
        limit: impl Future<Output = ()>,
    ) -> Result<(), SendError> {
        let handle = &*self.0;
        match handle.prepare_and_wait(plane, &mut record, limit).await {
            Ok(()) => {
                handle.observe(plane, &record);
                Ok(())
            }
            Err(reason) => Err(handle.refuse(reason, plane, record)),
        }
    }
}

/// A queue that cannot take a frame now.
enum NoRoom {
    Full,
    Closed,
}

impl Handle {
    fn patience(&self) -> Option<Duration> {
        match self.overflow {
            Overflow::Block(patience) => Some(patience),
            _ => None,
        }
    }

    fn send_owned(
        &self,
        plane: Plane,
        mut record: Record,
        ticket: &mut Option<Ticket>,
        patience: Option<Duration>,
    ) -> Result<(), SendError> {
        let sent = self
            .usable()
            .and_then(|()| self.change(plane, &mut record))
            .and_then(|()| self.send_prepared(plane, &record, ticket, patience));
        sent.map_err(|reason| SendError::new(reason, plane, record))
    }

    /// Sends a record that the hooks have seen.
    fn send_prepared(
        &self,
        plane: Plane,
        record: &Record,
        ticket: &mut Option<Ticket>,
        patience: Option<Duration>,
    ) -> Result<(), Refused> {
        let sent = self.usable().and_then(|()| {
            let frame = self.encode(plane, record)?;
            self.push(frame.bytes(), ticket, patience)
        });
        match &sent {
            Ok(()) => self.observe(plane, record),
            Err(reason) => self.account(reason, plane, record),
        }
        sent
    }

    async fn prepare_and_wait(
        &self,
        plane: Plane,
        record: &mut Record,
        limit: impl Future<Output = ()>,
    ) -> Result<(), Refused> {
        self.usable()?;
        self.hooks.change(plane, record)?;
        let frame = self.encode(plane, record)?;
        tokio::pin!(limit);
        loop {
            let changed = self.shared.changed_async.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing is missed between the two.
            changed.as_mut().enable();
            match self.place(self.shared.queue(), frame.bytes(), &mut None) {
                Ok(()) => return Ok(()),
                Err(NoRoom::Closed) => return Err(Refused::Closed),
                Err(NoRoom::Full) => {}
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = &mut limit => return Err(Refused::TimedOut),
            }
        }
    }

    fn usable(&self) -> Result<(), Refused> {
        match self.forked_from() {
            Some(parent) => Err(Refused::Forked { parent }),
            None => Ok(()),
        }
    }

    fn change(&self, plane: Plane, record: &mut Record) -> Result<(), Refused> {
        if self.hooks.change.is_empty() {
            return Ok(());
        }
        self.hooks.change(plane, record).inspect_err(|reason| self.account(reason, plane, record))
    }

    /// Validates and encodes: whatever is queued can be written.
    fn encode(&self, plane: Plane, record: &Record) -> Result<Scratch, Refused> {
        if let Err(first) = record.validate(&self.rules) {
            let problems = match self.report_all_problems {
                true => record.problems(&self.rules),
                false => vec![first],
            };
            return Err(Refused::Invalid(problems));
        }
        let mut frame = Scratch::take();
        let seconds = self.shared.clock.unix_seconds();
        wire::encode_record(frame.bytes_mut(), plane, record, &self.service, seconds);
        let (bytes, limit) = (frame.bytes().len(), self.max_queue_bytes);
        if bytes > limit {
            return Err(Refused::TooLarge { bytes, limit });
        }
        Ok(frame)
    }

    fn push(
        &self,
        frame: &[u8],
        ticket: &mut Option<Ticket>,
        patience: Option<Duration>,
    ) -> Result<(), Refused> {
        let Some(patience) = patience else {
            return match self.place(self.shared.queue(), frame, ticket) {
                Ok(()) => Ok(()),
                Err(NoRoom::Full) => Err(Refused::QueueFull),
                Err(NoRoom::Closed) => Err(Refused::Closed),
            };
        };
        let mut queue = self.shared.queue();
        queue.watchers += 1;
        let full = |queue: &mut Queue| queue.phase() == Phase::Open && !queue.has_room(frame.len());
        let (mut queue, _) = self
            .shared
            .changed
            .wait_timeout_while(queue, patience, full)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.watchers -= 1;
        match self.place(queue, frame, ticket) {
            Ok(()) => Ok(()),
            Err(NoRoom::Full) => Err(Refused::TimedOut),
            Err(NoRoom::Closed) => Err(Refused::Closed),
        }
    }

    /// Puts a frame into the queue, if there is or can be made room, and wakes whom that
    /// concerns.
    fn place(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        frame: &[u8],
        ticket: &mut Option<Ticket>,
    ) -> Result<(), NoRoom> {
        if queue.phase() != Phase::Open {
            return Err(NoRoom::Closed);
        }
        let mut displaced = Vec::new();
        let mut displaced_count = 0;
        if !queue.has_room(frame.len()) {
            let wanted = self.hooks.overflow.is_some();
            let made = self.overflow == Overflow::DropOldest
                && queue.make_room(frame.len(), |oldest| {
                    displaced_count += 1;
                    if wanted {
                        displaced.push(oldest.to_vec());
                    }
                });
            if !made {
                drop(queue);
                self.displaced(displaced_count, &displaced);
                return Err(NoRoom::Full);
            }
        }
        queue.push(frame, ticket.take());
        let wake_sender = std::mem::take(&mut queue.sender_idle);
        let wake_spiller = queue.spiller_idle && queue.is_half_full();
        if wake_spiller {
            queue.spiller_idle = false;
        }
        drop(queue);
        if wake_sender {
            self.shared.wake_sender.notify_one();
        }
        if wake_spiller {
            self.shared.wake_spiller.notify_one();
        }
        self.displaced(displaced_count, &displaced);
        Ok(())
    }

    /// Tells of records that made room for a newer one.
    fn displaced(&self, count: u64, frames: &[Vec<u8>]) {
        if count == 0 {
            return;
        }
        let kind = EventKind::Dropped(crate::queue::DropReason::Displaced);
        self.shared.events.tell(kind, count, "made room for newer ones");
        for frame in frames {
            // Frames in the queue were encoded from valid records.
            if let Ok(Some((Message::Record { plane, record, .. }, _))) = wire::decode(frame) {
                self.overflowed(plane, &record);
            }
        }
    }

    fn overflowed(&self, plane: Plane, record: &Record) {
        if !self.hooks.overflow(plane, record) {
            self.shared.events.tell(EventKind::HookPanicked, 1, "overflow handler");
        }
    }

    fn observe(&self, plane: Plane, record: &Record) {
        if !self.hooks.observe(plane, record) {
            self.shared.events.tell(EventKind::HookPanicked, 1, "observing hook");
        }
    }

    fn refuse(&self, reason: Refused, plane: Plane, record: Record) -> SendError {
        self.account(&reason, plane, &record);
        SendError::new(reason, plane, record)
    }

    /// Counts a refusal, and tells whoever is to know.
    fn account(&self, reason: &Refused, plane: Plane, record: &Record) {
        if let Refused::Forked { .. } = reason {
            return;
        }
        {
            let mut queue = self.shared.queue();
            let refused = &mut queue.counts().refused;
            *match reason {
                Refused::Invalid(_) | Refused::TooLarge { .. } => &mut refused.invalid,
                Refused::Hook(_) | Refused::HookPanicked => &mut refused.hook,
                Refused::QueueFull => &mut refused.queue_full,
                Refused::TimedOut => &mut refused.timed_out,
                Refused::Closed | Refused::Forked { .. } => &mut refused.closed,
            } += 1;
        }
        let events = &self.shared.events;
        match reason {
            Refused::QueueFull | Refused::TimedOut => {
                events.tell(EventKind::QueueFull, 1, "");
                self.overflowed(plane, record);
            }
            Refused::HookPanicked => events.tell(EventKind::HookPanicked, 1, "changing hook"),
            Refused::TooLarge { .. } => events.tell(EventKind::Poisoned, 1, "too large"),
            Refused::Hook(_) => events.tell(EventKind::Poisoned, 1, "refused by a hook"),
            Refused::Invalid(_) | Refused::Closed | Refused::Forked { .. } => {}
        }
    }
}
