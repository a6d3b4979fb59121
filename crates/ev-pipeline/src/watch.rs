//! Who looks on while events are taken and delivered.

use std::fmt;

use ev_core::{Change, EventDigest, Facts, RawEvent, Route, SessionId, Snapshot, Timestamp};
use tracing::debug;

use crate::batches::Ticket;
use crate::engine::Core;

/// Target of the log line of each delivered event: the one thing that is told per event, so it is
/// turned on and off by itself.
const SENT: &str = "event_sent";

/// Looks on while events of the audit log are taken.
///
/// Told of each event once: one that is known, or comes again, or is tried again is not told of a
/// second time by the same run. An event that cannot be decoded is told of once it can be.
pub trait Watcher: Send + Sync + fmt::Debug {
    /// A new event is taken, before it is sent. Called in the loop that moves the events, so it
    /// must return at once.
    fn taken(&self, event: &TakenEvent<'_>);

    /// What of it the state kept when the run began.
    fn restored(&self, _snapshot: &Snapshot) {}

    /// Whether it has something that is to be durable.
    fn has_more(&self) -> bool {
        false
    }

    /// Puts what is to be durable into the next change, once each: it is committed with or in front
    /// of the events from which it follows, or the run ends.
    fn put_into(&self, _change: &mut Change) {}
}

/// An event that is taken.
#[derive(Clone, Copy, Debug)]
pub struct TakenEvent<'a> {
    /// What it is recognised by.
    pub digest: EventDigest,
    /// As Auth sent it; what `facts` names lies in it.
    pub event: &'a RawEvent,
    /// What the decoder found.
    pub facts: &'a Facts,
}

/// What the log says of an event when it is delivered; made only when that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    id: String,
    index: i64,
    time: Timestamp,
    kind: String,
}

impl Told {
    /// `None` while nobody wants to know.
    pub(crate) fn of(event: &RawEvent, facts: &Facts) -> Option<Box<Self>> {
        if !tracing::enabled!(target: SENT, tracing::Level::DEBUG) {
            return None;
        }
        Some(Box::new(Self {
            id: facts.id(&event.bytes),
            index: facts.index,
            time: facts.time,
            kind: String::from_utf8_lossy(facts.kind.of(&event.bytes)).into_owned(),
        }))
    }

    /// As the reference handler prints them: its users search for these words.
    fn say(&self, session: Option<&SessionId>) {
        let Self { id, index, time, kind } = self;
        let ts = go_time(*time);
        match session {
            None => debug!(target: SENT, id, index, ts, "type" = kind, "Event sent"),
            Some(sid) => debug!(target: SENT, id, index, ts, "type" = kind, %sid, "Event sent"),
        }
    }
}

impl Ticket {
    /// Tells that its event is delivered, if somebody wants to know.
    pub(crate) fn tell_sent(&self, route: &Route) {
        let Some(told) = &self.told else { return };
        match route {
            Route::Audit => told.say(None),
            Route::Session(session) => told.say(Some(session)),
        }
    }
}

impl Core {
    /// Tells whoever looks on.
    pub(crate) fn tell_taken(
        &self,
        route: &Route,
        digest: EventDigest,
        event: &RawEvent,
        facts: &Facts,
    ) {
        if let (Route::Audit, Some(watcher)) = (route, &self.config.watcher) {
            watcher.taken(&TakenEvent { digest, event, facts });
        }
    }
}

/// A time as Go prints it: `2022-09-21 18:51:04.849 +0000 UTC`.
fn go_time(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} +0000 UTC", text.replacen('T', " ", 1).trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_as_go_does() {
        let check = |seconds, nanos, text| {
            assert_eq!(go_time(Timestamp::new(seconds, nanos)), text);
        };
        check(1_663_786_264, 849_000_000, "2022-09-21 18:51:04.849 +0000 UTC");
        check(0, 0, "1970-01-01 00:00:00 +0000 UTC");
    }
}
