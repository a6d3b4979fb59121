//! Sending batches, and what follows from the answers.

use std::time::Duration;

use ev_core::{Route, Verdict};
use tracing::{info, warn};

use crate::batches::{Origin, Parcel, Ticket};
use crate::engine::Core;
use crate::tally::{Settled, count_decoder};

/// Longest silence about a trouble that lasts.
const REPEAT_WARNING: Duration = Duration::from_secs(60);

/// Keeps the log readable while a sink is in trouble: one line when the kind of trouble changes,
/// then one a minute.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    kind: Option<&'static str>,
    said: Duration,
    failures: u64,
}

impl Core {
    pub(crate) fn slots_free(&self) -> bool {
        self.in_flight.len() < self.max_in_flight
    }

    /// Starts as many requests as there are slots: failed batches that are due first.
    ///
    /// A batch that waits to be tried again keeps its slot, so that a sink in trouble is not met
    /// by ever more batches.
    pub(crate) fn start_sends(&mut self, now: Duration) {
        while self.slots_free() {
            let due = self.delayed.first_key_value().filter(|((at, _), _)| *at <= now);
            let parcel = if due.is_some() {
                self.delayed.pop_first().map(|(_, parcel)| parcel)
            } else if self.in_flight.len() + self.delayed.len() < self.max_in_flight {
                let busy = &self.busy;
                self.batches.next(self.last_route.as_ref(), |route| !busy.contains(route))
            } else {
                None
            };
            let Some(parcel) = parcel else { return };
            self.send(parcel);
        }
    }

    fn send(&mut self, parcel: Parcel) {
        let route = &parcel.batch.route;
        self.last_route = Some(route.clone());
        if matches!(route, Route::Session(_)) {
            self.busy.insert(route.clone());
        }
        let sink = self.sink.clone();
        self.in_flight.push(Box::pin(async move {
            let Parcel { batch, tickets, attempts, held } = parcel;
            let (batch, verdict) = sink.send(batch).await;
            (Parcel { batch, tickets, attempts, held }, verdict)
        }));
    }

    /// What the answer to a batch means for its events.
    pub(crate) fn answered(&mut self, mut parcel: Parcel, verdict: Verdict) {
        if verdict == Verdict::Delivered {
            self.delivered(parcel);
            return;
        }
        let (kind, after, detail) = match verdict {
            Verdict::Delivered => return,
            Verdict::Guilty { detail, .. } => ("content refused", None, detail),
            Verdict::Refused { detail } => ("refused", None, detail),
            Verdict::Busy { after, detail, .. } => ("busy", after, detail),
            Verdict::Unknown { detail } => ("unknown outcome", None, detail),
            Verdict::Unreachable { detail } => ("unreachable", None, detail),
            other => ("failed", None, format!("{other:?}")),
        };
        if kind == "unknown outcome" {
            self.summary.unknown_outcomes += parcel.batch.entries.len() as u64;
        }
        self.summary.retries += 1;
        let limit = self.config.retry_base.saturating_mul(1 << parcel.attempts.min(16));
        let pause = self.env.jitter(limit.min(self.config.retry_cap));
        let pause = after.map_or(pause, |after| after.max(pause));
        parcel.attempts += 1;
        self.say_trouble(kind, &detail, &parcel);
        let at = self.env.monotonic() + pause;
        self.delayed.insert((at, parcel.batch.id), parcel);
    }

    fn delivered(&mut self, parcel: Parcel) {
        if self.trouble.kind.take().is_some() {
            info!(failures = self.trouble.failures, "delivery works again");
            self.trouble.failures = 0;
        }
        self.busy.remove(&parcel.batch.route);
        self.batches.released(parcel.held);
        self.summary.sent += parcel.tickets.len() as u64;
        for ticket in parcel.tickets {
            self.settle_delivered(ticket);
        }
        self.changed();
    }

    fn settle_delivered(&mut self, ticket: Ticket) {
        let Ticket { by, inexact, .. } = ticket;
        self.change_events += 1;
        match ticket.origin {
            Origin::Lane(slot) => {
                self.summary.passed += 1;
                self.book.settle(slot, Settled::Delivered { by, inexact });
            }
            Origin::Parked { id, learned } => {
                if let Some((lane, digest)) = learned {
                    self.book.remember(&lane, digest);
                }
                let totals = &mut self.summary.totals;
                count_decoder(totals, by, inexact);
                totals.parked = totals.parked.saturating_sub(1);
                totals.resolved += 1;
                // Stays among those being tried until the change is committed: until then a round
                // would find it in the state once more.
                self.change.resolve.push(id);
            }
        }
        self.announced.extend(ticket.announces);
    }

    fn say_trouble(&mut self, kind: &'static str, detail: &str, parcel: &Parcel) {
        let now = self.env.monotonic();
        let trouble = &mut self.trouble;
        trouble.failures += 1;
        if trouble.kind == Some(kind) && now.saturating_sub(trouble.said) < REPEAT_WARNING {
            return;
        }
        trouble.kind = Some(kind);
        trouble.said = now;
        let (events, attempts, failures) =
            (parcel.tickets.len(), parcel.attempts, trouble.failures);
        warn!(kind, detail, events, attempts, failures, "delivery failed, trying again");
    }
}
