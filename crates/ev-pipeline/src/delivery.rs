//! Sending batches, and what follows from the answers.

use std::time::Duration;

use ev_core::{Attempt, NewParked, ParkReason, Route, Verdict};

use crate::batches::{Origin, Parcel, Ticket};
use crate::engine::Core;
use crate::judge::{Around, Charge, Ruling, judge};
use crate::receiver::Alarm;
use crate::tally::{Settled, count_decoder};

/// So many events under suspicion are more than chance.
const CROWD: usize = 8;

/// A kind of trouble.
const REFUSES_ALL: &str = "all content refused";

impl Core {
    /// Starts as many requests as there may be: batches that failed and are due first.
    pub(crate) fn start_sends(&mut self, now: Duration) {
        while self.receivers.any_free() {
            let parcel = self
                .receivers
                .due(now)
                .or_else(|| self.receivers.due_trial(now, false))
                .or_else(|| self.next_new(now))
                .or_else(|| self.receivers.due_trial(now, true));
            let Some(parcel) = parcel else { return };
            self.send(parcel, now);
        }
    }

    fn next_new(&mut self, now: Duration) -> Option<Parcel> {
        let (busy, receivers) = (&self.busy, &self.receivers);
        self.batches.next(self.last_route.as_ref(), |route| {
            !busy.contains(route) && receivers.of(route).may_get_new(now)
        })
    }

    fn send(&mut self, mut parcel: Parcel, now: Duration) {
        let route = &parcel.batch.route;
        self.last_route = Some(route.clone());
        if matches!(route, Route::Session(_)) {
            self.busy.insert(route.clone());
        }
        self.receivers.of_mut(route).begins(&parcel);
        parcel.sent = now;
        let sink = self.sink.clone();
        self.in_flight.push(Box::pin(async move {
            let Parcel { batch, tickets, attempts, case, aside, sent, held } = parcel;
            let (batch, verdict) = sink.send(batch).await;
            (Parcel { batch, tickets, attempts, case, aside, sent, held }, verdict)
        }));
    }

    /// What the answer to a batch means for its events.
    pub(crate) fn answered(&mut self, parcel: Parcel, verdict: Verdict) {
        let now = self.env.monotonic();
        let route = parcel.batch.route.clone();
        let all_used = !self.receivers.any_free();
        let receiver = self.receivers.of_mut(&route);
        let pressing = all_used || receiver.in_flight >= receiver.pace.limit();
        receiver.ended(&parcel);
        if verdict != Verdict::Delivered {
            self.summary.retries += 1;
        }
        match verdict {
            Verdict::Delivered => {
                receiver.took(parcel.aside, parcel.sent, now, pressing);
                self.delivered(parcel);
            }
            Verdict::Guilty { index, detail } => {
                if index.is_some() {
                    // Who can name one has looked at the others, and may have stored them.
                    self.summary.unknown_outcomes += parcel.batch.entries.len() as u64 - 1;
                }
                self.charged(parcel, Charge::Refused(index), &detail, None);
            }
            Verdict::Never { detail } => {
                // The others of its request may be stored.
                self.summary.unknown_outcomes += parcel.batch.entries.len() as u64 - 1;
                self.charged(parcel, Charge::Never, &detail, None);
            }
            Verdict::Busy { after, suspect: true, detail } => {
                receiver.pace.failed(parcel.sent, now);
                if parcel.batch.entries.len() > 1 {
                    self.summary.unknown_outcomes += parcel.batch.entries.len() as u64;
                }
                self.charged(parcel, Charge::Failed, &detail, after);
            }
            Verdict::Busy { after, suspect: false, detail } => {
                self.troubled(parcel, "busy", Alarm::No, &detail, after);
            }
            Verdict::Refused { detail } => {
                self.troubled(parcel, "refused", Alarm::Yes, &detail, None);
            }
            Verdict::Unknown { detail } => {
                self.summary.unknown_outcomes += parcel.batch.entries.len() as u64;
                self.troubled(parcel, "unknown outcome", Alarm::No, &detail, None);
            }
            Verdict::Unreachable { detail } => {
                self.troubled(parcel, "unreachable", Alarm::No, &detail, None);
            }
            other => self.troubled(parcel, "failed", Alarm::No, &format!("{other:?}"), None),
        }
    }

    /// The trouble is the receiver's.
    fn troubled(
        &mut self,
        parcel: Parcel,
        kind: &'static str,
        alarm: Alarm,
        detail: &str,
        after: Option<Duration>,
    ) {
        let now = self.env.monotonic();
        let receiver = self.receivers.of_mut(&parcel.batch.route);
        receiver.pace.failed(parcel.sent, now);
        receiver.record.failed(parcel.aside);
        receiver.failed(kind, alarm, detail, &parcel, now);
        let longest = match alarm {
            Alarm::No => self.config.retry_cap,
            // Nobody mends a setting within seconds.
            Alarm::Yes => self.config.refused_cap,
        };
        self.retry(parcel, longest, after);
    }

    /// The trouble may be an event's.
    fn charged(
        &mut self,
        mut parcel: Parcel,
        charge: Charge,
        detail: &str,
        after: Option<Duration>,
    ) {
        let now = self.env.monotonic();
        let same = |route: &Route| is_session(route) == is_session(&parcel.batch.route);
        let others = self.batches.any(|route| same(route) && !self.busy.contains(route));
        let (receiver, other) = self.receivers.with_other(&parcel.batch.route);
        let around = Around {
            other: &other.record,
            lonely: !others && receiver.in_flight == 0 && receiver.delayed.is_empty(),
            crowd: receiver.aside.len() >= CROWD,
            refused_before: parcel.tickets.iter().any(Ticket::was_refused),
        };
        let entries = parcel.batch.entries.len();
        let ruling = judge(&mut parcel.case, charge, entries, &mut receiver.record, around);
        if receiver.record.is_stuck() && charge != Charge::Never {
            let doublings = receiver.refused_again();
            let pause = self.config.retry_base.saturating_mul(1 << doublings.min(16));
            let pause = pause.min(self.config.refused_cap);
            receiver.shut_until(now + pause / 2 + self.env.jitter(pause / 2));
        }
        match ruling {
            // Nobody has to be told once more of what is parked already.
            Ruling::Retry | Ruling::SetAside if parcel.was_refused() => {
                parcel.aside |= ruling == Ruling::SetAside;
                self.retry(parcel, self.config.retry_cap, after);
            }
            Ruling::Cut(cut) => {
                self.busy.remove(&parcel.batch.route);
                self.batches.cut(parcel, cut);
            }
            Ruling::Retry => {
                receiver.failed("failing", Alarm::No, detail, &parcel, now);
                self.retry(parcel, self.config.retry_cap, after);
            }
            Ruling::SetAside => {
                self.needs_proof |= entries == 1;
                parcel.aside = true;
                let (kind, alarm) = match charge {
                    // The first time it may only be that nothing else was sent in between.
                    Charge::Refused(_) if receiver.refuses_all() => (REFUSES_ALL, Alarm::Yes),
                    Charge::Refused(_) | Charge::Never => ("content refused", Alarm::No),
                    Charge::Failed => ("failing on an event", Alarm::No),
                };
                receiver.failed(kind, alarm, detail, &parcel, now);
                self.retry(parcel, self.config.retry_cap, after);
            }
            Ruling::Park => {
                if !parcel.was_refused() {
                    receiver.parked(detail, &parcel, now);
                }
                self.park_refused(parcel, detail);
            }
        }
    }

    /// Sends a batch again after a pause that doubles up to `longest`, with full jitter, or after
    /// the time that the receiver asked for.
    fn retry(&mut self, mut parcel: Parcel, longest: Duration, after: Option<Duration>) {
        let limit = self.config.retry_base.saturating_mul(1 << parcel.attempts.min(16));
        let pause = self.env.jitter(limit.min(longest));
        let pause = after.map_or(pause, |after| after.max(pause));
        parcel.attempts += 1;
        let at = self.env.monotonic() + pause;
        self.receivers.of_mut(&parcel.batch.route).delay(parcel, at);
    }

    fn delivered(&mut self, parcel: Parcel) {
        self.busy.remove(&parcel.batch.route);
        self.batches.released(&parcel.batch.route, parcel.held);
        self.summary.sent += parcel.tickets.len() as u64;
        let newest = parcel.tickets.iter().map(|ticket| ticket.second).max();
        self.rates.delivered(&parcel.batch.route, parcel.tickets.len(), newest);
        for ticket in parcel.tickets {
            ticket.tell_sent(&parcel.batch.route);
            self.settle_delivered(ticket);
        }
        self.changed();
    }

    fn settle_delivered(&mut self, ticket: Ticket) {
        let Ticket { by, inexact, .. } = ticket;
        match ticket.origin {
            Origin::Lane { slot, .. } => {
                self.settle_now(slot, Settled::Delivered { by, inexact });
            }
            Origin::Parked { id, learned, lines, bytes, .. } => {
                if let Some((old, new)) = lines {
                    self.book.hours().remove(&old);
                    self.book.hours().insert(&new);
                }
                self.room.give_back(bytes);
                if let Some((lane, digest)) = learned {
                    self.book.remember(&lane, digest);
                    self.left_over.remember(&lane, digest);
                }
                self.change_events += 1;
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

    /// The receiver refuses this one event for good: it waits in the state, and the rest goes on.
    fn park_refused(&mut self, parcel: Parcel, detail: &str) {
        self.busy.remove(&parcel.batch.route);
        self.batches.released(&parcel.batch.route, parcel.held);
        for ticket in parcel.tickets {
            let at = self.env.now();
            let (reason, detail) = (ParkReason::Refused, detail.to_owned());
            match ticket.origin {
                Origin::Lane { slot, event, version } => {
                    let Some(lane) = self.book.lane_of(&slot).cloned() else { continue };
                    let digest = slot.digest(&event.bytes);
                    let parked = NewParked {
                        lane,
                        digest,
                        form: event.form,
                        // Copied out, or it would keep its whole page alive.
                        bytes: bytes::Bytes::copy_from_slice(&event.bytes),
                        version,
                        reason,
                        detail,
                        // It was decoded; whatever decodes it next may send it again.
                        decoder: String::new(),
                        at,
                    };
                    self.park(slot, parked);
                }
                Origin::Parked { id, decoder, .. } => {
                    let decoder = decoder.to_string();
                    self.change.attempt.push(Attempt { id, reason, detail, decoder, at });
                }
            }
            // The recording that it announces is there, whether or not the receiver wants to know.
            self.announced.extend(ticket.announces);
        }
        self.changed();
    }
}

fn is_session(route: &Route) -> bool {
    matches!(route, Route::Session(_))
}
