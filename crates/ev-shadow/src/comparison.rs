//! The matcher, shared by all that feed it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ev_core::{Env, Route, Timestamp};

use crate::event::Event;
use crate::finding::Finding;
use crate::matcher::{Bounds, Matcher, Moment, Rules, Side};
use crate::tally::Tally;

/// A comparison under way: fed by a [`crate::ShadowSink`] and a [`crate::Receiver`], asked by
/// whoever tells people.
pub struct Comparison {
    matcher: Mutex<Matcher>,
    env: Arc<dyn Env>,
}

/// How a comparison stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The counts.
    pub tally: Tally,
    /// The time of our newest audit event.
    pub newest_ours: Option<Timestamp>,
    /// The time of the other handler's newest audit event.
    pub newest_theirs: Option<Timestamp>,
}

impl Comparison {
    /// Begins one.
    pub fn new(rules: Rules, bounds: Bounds, env: Arc<dyn Env>) -> Self {
        Self { matcher: Mutex::new(Matcher::new(rules, bounds)), env }
    }

    /// Takes one event's body. A large one takes milliseconds.
    pub fn take(&self, side: Side, route: &Route, body: Bytes) {
        // Read before the matcher is locked.
        let event = Event::read(route, body);
        let now = self.now();
        let mut matcher = self.lock();
        match event {
            Ok(event) => matcher.take(side, event, now),
            Err(_) => matcher.take_unreadable(side),
        }
    }

    /// Notes a body that could not even be cut into events.
    pub fn take_unreadable(&self, side: Side) {
        self.lock().take_unreadable(side);
    }

    /// Judges what has waited long enough; to be called about once a second.
    pub fn expire(&self) {
        let now = self.now();
        self.lock().expire(now);
    }

    /// Events that wait for their partner.
    pub fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// What was found since the last call.
    pub fn findings(&self) -> Vec<Finding> {
        self.lock().findings()
    }

    /// How it stands.
    pub fn news(&self) -> News {
        let now = self.now();
        let matcher = self.lock();
        News {
            tally: matcher.tally(now),
            newest_ours: matcher.newest(Side::Ours),
            newest_theirs: matcher.newest(Side::Theirs),
        }
    }

    fn now(&self) -> Moment {
        Moment { since: self.env.monotonic(), wall: self.env.now() }
    }

    fn lock(&self) -> MutexGuard<'_, Matcher> {
        // A panic in the matcher would be a defect; what it knows is still the best there is.
        self.matcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison").finish_non_exhaustive()
    }
}
