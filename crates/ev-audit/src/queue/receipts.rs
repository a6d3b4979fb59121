//! What became of one record, for callers that ask.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::DropReason;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was written whole to a connection. Whether the agent read it is not known: the protocol
    /// has no acknowledgement.
    Written,
    /// It will not be written.
    Dropped(DropReason),
    /// The client was closed and the record lies in the spill directory; the next client that
    /// opens the directory writes it.
    LeftInSpill,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Cell {
    state: Mutex<State>,
    known: Condvar,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what became of one record; given out on request.
///
/// It is a future, and can be waited for without one. Dropping it changes nothing for the record.
#[derive(Debug)]
#[must_use = "a receipt that nobody looks at was not needed"]
pub struct Receipt(Arc<Cell>);

impl Receipt {
    /// What became of the record, if it is known yet.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.lock().outcome
    }

    /// Blocks until it is known, for `timeout` at most.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Outcome> {
        let state = self.0.lock();
        let (state, _) = self
            .0
            .known
            .wait_timeout_while(state, timeout, |state| state.outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.outcome
    }
}

impl Future for Receipt {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.0.lock();
        match state.outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The queue's side of a receipt.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Cell>);

impl Ticket {
    pub(crate) fn new() -> (Self, Receipt) {
        let cell = Arc::new(Cell::default());
        (Self(cell.clone()), Receipt(cell))
    }

    fn resolve(self, outcome: Outcome) {
        let waker = {
            let mut state = self.0.lock();
            state.outcome = Some(outcome);
            state.waker.take()
        };
        self.0.known.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The receipts that are not known yet, by the numbers of their frames, ascending.
#[derive(Debug, Default)]
pub(super) struct Receipts(VecDeque<(u64, Ticket)>);

impl Receipts {
    pub(super) fn add(&mut self, number: u64, ticket: Ticket) {
        self.0.push_back((number, ticket));
    }

    pub(super) fn resolve(&mut self, numbers: Range<u64>, outcome: Outcome) {
        if self.0.is_empty() {
            return;
        }
        let start = self.0.partition_point(|(number, _)| *number < numbers.start);
        let end = self.0.partition_point(|(number, _)| *number < numbers.end);
        for (_, ticket) in self.0.drain(start..end) {
            ticket.resolve(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_resolved_by_number_in_any_order() {
        let mut receipts = Receipts::default();
        let mut held = Vec::new();
        for number in [2, 3, 7, 9] {
            let (ticket, receipt) = Ticket::new();
            receipts.add(number, ticket);
            held.push(receipt);
        }
        receipts.resolve(3..8, Outcome::Dropped(DropReason::Displaced));
        receipts.resolve(0..3, Outcome::Written);
        let outcomes: Vec<_> = held.iter().map(Receipt::outcome).collect();
        let displaced = Some(Outcome::Dropped(DropReason::Displaced));
        assert_eq!(outcomes, [Some(Outcome::Written), displaced, displaced, None]);
        assert_eq!(held[0].wait_timeout(Duration::ZERO), Some(Outcome::Written));
        assert_eq!(held[3].wait_timeout(Duration::ZERO), None);
    }
}
