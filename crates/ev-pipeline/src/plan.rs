//! What is to be done with each event of a page, as far as it can be told without decoding it, and
//! what is known of each once it was decoded.

use std::collections::BTreeSet;

use ev_core::peek::Peeked;
use ev_core::{EventDigest, RawEvent, Route};

use crate::engine::Core;
use crate::identity::{Identity, Uid};
use crate::intake::Answer;
use crate::known::{LaneKey, Places};

/// What can be told of an event without decoding it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) peeked: Option<Peeked>,
    /// `None` also where nobody asks for it.
    pub(crate) uid: Option<Uid>,
}

/// What is to be done with one event of a page.
pub(crate) struct Planned {
    position: usize,
    uid: Option<Uid>,
    fate: Fate,
}

enum Fate {
    /// It is known by its uid.
    Known(EventDigest),
    /// A setting leaves it out.
    Filtered(RawEvent),
    /// It is the next one of those to decode.
    Decoded,
}

/// An event of a page.
pub(crate) struct Item {
    pub(crate) position: usize,
    pub(crate) what: What,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are new, and they are moved once")]
pub(crate) enum What {
    /// It is known by its uid.
    Known(EventDigest),
    /// It may be new.
    New(New),
}

/// An event of a page that may be new.
pub(crate) struct New {
    pub(crate) is_filtered: bool,
    pub(crate) event: RawEvent,
    pub(crate) answer: Option<Answer>,
    pub(crate) seen: Identity,
    /// Whether it was looked for by its uid in vain.
    pub(crate) was_looked_for: bool,
}

impl Item {
    fn new_one(&self) -> Option<&New> {
        match &self.what {
            What::New(new) => Some(new),
            What::Known(_) => None,
        }
    }

    /// Second of an event that may be new.
    pub(crate) fn second(&self) -> Option<i64> {
        self.new_one().map(|new| new.seen.time.seconds())
    }
}

/// Those that may be new.
pub(crate) fn new_ones(items: &[Item]) -> impl Iterator<Item = &New> + Clone {
    items.iter().filter_map(Item::new_one)
}

impl Core {
    /// Looks at the events of a page, as far as anything depends on it.
    pub(crate) fn look_at(
        &self,
        places: &Places,
        route: &Route,
        events: &[RawEvent],
        repeats: bool,
    ) -> Vec<Sight> {
        let wants_uids = repeats || places.before_decoding();
        if !wants_uids && !self.has_filters(route) {
            return Vec::new();
        }
        let look = |event: &RawEvent| {
            let peeked = event.peek();
            let uid = peeked.filter(|_| wants_uids).and_then(|peeked| Uid::of(event, &peeked));
            Sight { peeked, uid }
        };
        events.iter().map(look).collect()
    }

    /// What is to be done with each event: what is known by its uid need not be decoded, nor what
    /// a setting leaves out. Returns the events to decode beside the plan.
    pub(crate) fn plan(
        &self,
        key: LaneKey,
        route: &Route,
        events: Vec<RawEvent>,
        sights: &[Sight],
        known: &BTreeSet<EventDigest>,
    ) -> (Vec<Planned>, Vec<RawEvent>) {
        if sights.is_empty() {
            let plan = |position| Planned { position, uid: None, fate: Fate::Decoded };
            return ((0..events.len()).map(plan).collect(), events);
        }
        let (mut plan, mut fresh) = (Vec::with_capacity(events.len()), Vec::new());
        for (position, (event, sight)) in events.into_iter().zip(sights).enumerate() {
            let Sight { peeked, uid } = *sight;
            let is_known =
                |digest: &EventDigest| known.contains(digest) || self.book.knows(key, digest);
            let kind = peeked.map(|peeked| peeked.kind).unwrap_or_default();
            let fate = if let Some(digest) = uid.map(|uid| uid.digest).filter(is_known) {
                Fate::Known(digest)
            } else if self.is_filtered(route, kind.of(&event.bytes)) {
                Fate::Filtered(event)
            } else {
                fresh.push(event);
                Fate::Decoded
            };
            plan.push(Planned { position, uid, fate });
        }
        (plan, fresh)
    }

    fn has_filters(&self, route: &Route) -> bool {
        match route {
            Route::Audit => !self.config.skip_event_types.is_empty(),
            Route::Session(_) => !self.config.skip_session_types.is_empty(),
        }
    }

    fn is_filtered(&self, route: &Route, kind: &[u8]) -> bool {
        let skip = match route {
            Route::Audit => &self.config.skip_event_types,
            Route::Session(_) => &self.config.skip_session_types,
        };
        std::str::from_utf8(kind).is_ok_and(|kind| skip.contains(kind))
    }
}

/// The events of a plan with the decoder's answers; without a decoder there are none.
pub(crate) fn items(plan: Vec<Planned>, events: Vec<RawEvent>, answers: Vec<Answer>) -> Vec<Item> {
    let mut decoded = events.into_iter();
    let mut answers = answers.into_iter();
    let mut items = Vec::with_capacity(plan.len());
    for Planned { position, uid, fate } in plan {
        let (is_filtered, event, answer) = match fate {
            Fate::Known(digest) => {
                items.push(Item { position, what: What::Known(digest) });
                continue;
            }
            Fate::Filtered(event) => (true, event, None),
            Fate::Decoded => {
                let Some(event) = decoded.next() else { break };
                (false, event, answers.next())
            }
        };
        let outcome = answer.as_ref().and_then(Answer::outcome);
        let seen = Identity::of_hashed(&event, outcome, uid);
        let was_looked_for = uid.is_some_and(|uid| uid.digest == seen.digest);
        let new = New { is_filtered, event, answer, seen, was_looked_for };
        items.push(Item { position, what: What::New(new) });
    }
    items
}
