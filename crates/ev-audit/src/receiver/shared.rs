//! What the tasks of a receiver and its owner share.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::checks::Checks;
use super::faults::{Faults, take_one};
use super::tally::{Numbers, Received, Tally};

/// Called for each message.
pub(super) type OnMessage = Box<dyn FnMut(&Received) + Send>;

pub(super) struct Shared {
    pub(super) checks: Checks,
    /// Messages that are kept at most.
    keep: usize,
    /// Whether bytes are only counted.
    pub(super) drains: bool,
    state: Mutex<State>,
    /// Told whenever the tally changed.
    changed: Condvar,
    version: watch::Sender<()>,
    pub(super) faults: watch::Sender<Faults>,
    /// Whether everything ends.
    pub(super) stop: watch::Sender<bool>,
}

pub(super) struct State {
    pub(super) tally: Tally,
    pub(super) numbers: Numbers,
    received: Vec<Received>,
    on_message: Option<OnMessage>,
}

impl Shared {
    pub(super) fn new(
        checks: Checks,
        keep: usize,
        drains: bool,
        faults: Faults,
        on_message: Option<OnMessage>,
    ) -> Self {
        let state = State {
            tally: Tally::default(),
            numbers: Numbers::default(),
            received: Vec::new(),
            on_message,
        };
        Self {
            checks,
            keep,
            drains,
            state: Mutex::new(state),
            changed: Condvar::new(),
            version: watch::Sender::new(()),
            faults: watch::Sender::new(faults),
            stop: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements; a panic elsewhere must not hide it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tally and tells those who wait for that.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        self.version.send_replace(());
        result
    }

    pub(super) fn keep(&self, state: &mut State, received: Vec<Received>) {
        for it in received {
            if let Some(on_message) = &mut state.on_message {
                on_message(&it);
            }
            if state.received.len() < self.keep {
                state.received.push(it);
            }
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    pub(super) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.lock().received)
    }

    pub(super) fn missing(&self, end: u64) -> Vec<Range<u64>> {
        self.lock().numbers.missing(end)
    }

    pub(super) async fn until(&self, holds: impl Fn(&Tally) -> bool) -> Tally {
        let mut version = self.version.subscribe();
        loop {
            {
                let state = self.lock();
                if holds(&state.tally) {
                    return state.tally.clone();
                }
            }
            // It never closes: this owns the sender.
            if version.changed().await.is_err() {
                return self.tally();
            }
        }
    }

    pub(super) fn wait(
        &self,
        within: Duration,
        holds: impl Fn(&Tally) -> bool,
    ) -> Result<Tally, Box<Tally>> {
        let waited =
            self.changed.wait_timeout_while(self.lock(), within, |state| !holds(&state.tally));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let tally = state.tally.clone();
        if holds(&tally) { Ok(tally) } else { Err(Box::new(tally)) }
    }

    /// Whether a fault that happens so many times happens now.
    pub(super) fn take_fault(&self, times: impl FnOnce(&mut Faults) -> Option<&mut u64>) -> bool {
        let mut is_taken = false;
        // It is no change that anybody has to be told of.
        self.faults.send_if_modified(|faults| {
            is_taken = times(faults).is_some_and(take_one);
            false
        });
        is_taken
    }
}
