//! What a lane is doing: every wait is a time, so that a dropped future loses nothing.

use std::time::Duration;

pub(super) struct Lane<T> {
    pub(super) at: T,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Fetching { since: Duration, done: Duration },
    Waiting { until: Duration },
}

impl<T> Lane<T> {
    pub(super) fn new(at: T) -> Self {
        Self { at, state: State::Ready }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        match self.state {
            State::Ready => None,
            State::Fetching { done, .. } => Some(done),
            State::Waiting { until } => Some(until),
        }
    }

    pub(super) fn is_fetched(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Fetching { since, done } if done <= now => Some(since),
            _ => None,
        }
    }

    pub(super) fn wake(&mut self, now: Duration) {
        if matches!(self.state, State::Waiting { until } if until <= now) {
            self.state = State::Ready;
        }
    }
}
