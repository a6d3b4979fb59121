//! What is to be done with each event of a page, as far as it can be told without decoding it, and
//! what is known of each once it was decoded.

use std::collections::BTreeSet;

use ev_core::peek::Peeked;
use ev_core::{EventDigest, RawEvent, Route, Timestamp};

use crate::engine::Core;
use crate::identity::{Identity, Uid};
use crate::intake::Answer;
use crate::known::{LaneKey, Places};

/// What can be told of an event without decoding it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) peeked: Option<Peeked>,
    /// `None` also where nobody asks for it.
    pub(crate) uid: Option<Uid>,
}

/// What is to be done with one event of a page.
pub(crate) struct Planned {
    position: usize,
    /// What was told of it; nothing if nobody looked.
    sight: Sight,
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
    Known {
        digest: EventDigest,
        /// Its second.
        second: i64,
    },
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
            What::Known { .. } => None,
        }
    }

    /// Its second. What is known counts as much as what is new: Auth has come so far.
    pub(crate) fn second(&self) -> i64 {
        match &self.what {
            What::New(new) => new.seen.time.seconds(),
            What::Known { second, .. } => *second,
        }
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
            let (sight, fate) = (Sight::default(), || Fate::Decoded);
            let plan = |position| Planned { position, sight, fate: fate() };
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
            plan.push(Planned { position, sight: *sight, fate });
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
    for Planned { position, sight, fate } in plan {
        let (is_filtered, event, answer) = match fate {
            Fate::Known(digest) => {
                // By its uid, so it was looked at.
                let time = sight.peeked.map_or(Timestamp::ZERO_YEAR_ONE, |peeked| peeked.time);
                let what = What::Known { digest, second: time.seconds() };
                items.push(Item { position, what });
                continue;
            }
            Fate::Filtered(event) => (true, event, None),
            Fate::Decoded => {
                let Some(event) = decoded.next() else { break };
                (false, event, answers.next())
            }
        };
        let outcome = answer.as_ref().and_then(Answer::outcome);
        let seen = Identity::of_seen(&event, outcome, &sight);
        let was_looked_for = sight.uid.is_some_and(|uid| uid.digest == seen.digest);
        let new = New { is_filtered, event, answer, seen, was_looked_for };
        items.push(Item { position, what: What::New(new) });
    }
    items
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ev_core::{Form, Span};

    use super::*;

    fn sight(second: i64) -> Sight {
        let span = Span::default();
        let time = Timestamp::new(second, 0);
        Sight { peeked: Some(Peeked { case: 1, kind: span, uid: span, index: 7, time }), uid: None }
    }

    #[test]
    fn the_newest_of_a_page_may_be_one_that_is_known() {
        let known = Fate::Known(EventDigest([1; 16]));
        let plan = vec![Planned { position: 0, sight: sight(1000), fate: known }];
        let items = items(plan, Vec::new(), Vec::new());
        assert_eq!(items.iter().map(Item::second).max(), Some(1000));
    }

    #[test]
    fn what_a_setting_leaves_out_is_looked_at_once() {
        // Nothing could be told of these bytes a second time.
        let event = RawEvent { form: Form::OneOf, bytes: Bytes::from_static(b"\xff") };
        let plan = vec![Planned { position: 0, sight: sight(1000), fate: Fate::Filtered(event) }];
        let items = items(plan, Vec::new(), Vec::new());
        let new = new_ones(&items).next().expect("it may be new");
        assert!(new.is_filtered);
        assert_eq!((new.seen.time, new.seen.index), (Timestamp::new(1000, 0), Some(7)));
    }
}
