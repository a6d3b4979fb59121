//! What waits for a partner: first for its patience, then for the other side to pass its time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ev_core::Timestamp;

use super::Ticket;

/// One side's queue, of one patience. Tickets that found their partner stay until they are met.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// In the order of arrival.
    arrived: VecDeque<(Duration, Ticket)>,
    /// Those that have waited long enough, by the time that is to be passed; without one, in front.
    matured: BTreeMap<(Option<Timestamp>, u64), Ticket>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.arrived.len() + self.matured.len()
    }

    pub(super) fn push(&mut self, now: Duration, ticket: Ticket) {
        self.arrived.push_back((now, ticket));
    }

    /// Moves on what has arrived by `cutoff`. `due_of` is the time that the other side has to pass,
    /// and `None` if the event does not wait any more.
    pub(super) fn mature(
        &mut self,
        cutoff: Duration,
        due_of: impl Fn(Ticket) -> Option<Option<Timestamp>>,
    ) {
        while let Some((_, ticket)) = self.arrived.pop_front_if(|(at, _)| *at <= cutoff) {
            if let Some(due) = due_of(ticket) {
                self.matured.insert((due, ticket.number), ticket);
            }
        }
    }

    /// One that has waited long enough, and for which `reached` is far enough.
    pub(super) fn pop(&mut self, reached: Timestamp) -> Option<Ticket> {
        let first = self.matured.first_entry()?;
        first.key().0.is_none_or(|time| time <= reached).then(|| first.remove())
    }

    pub(super) fn pop_oldest(&mut self) -> Option<Ticket> {
        match self.matured.pop_first() {
            Some((_, ticket)) => Some(ticket),
            None => self.arrived.pop_front().map(|(_, ticket)| ticket),
        }
    }

    pub(super) fn retain(&mut self, is_alive: impl Fn(Ticket) -> bool) {
        self.arrived.retain(|(_, ticket)| is_alive(*ticket));
        self.matured.retain(|_, ticket| is_alive(*ticket));
    }
}
