//! What an event is recognised by, whenever it comes again and whoever asks. Everything that tells
//! events apart, from the lane book to a later comparison with the log, asks here.

use ev_core::peek::Peeked;
use ev_core::{EventDigest, Facts, Form, Outcome, RawEvent, Span, Timestamp, unstructured};

use crate::digest::sha256;
use crate::plan::Sight;

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is recognised by: of its uid; without one of what Go prints of it; and where that
    /// is not known, of its bytes. The first two are the same on every road. The bytes are not: an
    /// event without a uid that nobody can decode is recognised by another road only once somebody
    /// can.
    pub digest: EventDigest,
    /// Its time; [`Timestamp::ZERO_YEAR_ONE`] where it cannot be read.
    pub time: Timestamp,
    /// Its index; `None` where it cannot be read.
    pub index: Option<i64>,
    /// Whether `digest` is of its uid.
    pub has_uid: bool,
}

/// The uid of an event, and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uid {
    place: Span,
    pub(crate) digest: EventDigest,
}

impl Uid {
    /// Of an event that has one, by what can be told without decoding it.
    pub(crate) fn of(event: &RawEvent, peeked: &Peeked) -> Option<Self> {
        let place = peeked.uid;
        let digest = |place: Span| EventDigest::of(&sha256(place.of(&event.bytes)));
        (!place.is_empty()).then(|| Self { place, digest: digest(place) })
    }
}

impl Identity {
    /// Of an event of which a decoder made `outcome`; `None` if none has tried, or it failed.
    pub fn of(event: &RawEvent, outcome: Option<&Outcome>) -> Self {
        Self::of_seen(event, outcome, &Sight::default())
    }

    /// The same of one that was looked at before, as far as it was.
    pub(crate) fn of_seen(event: &RawEvent, outcome: Option<&Outcome>, sight: &Sight) -> Self {
        let uid = sight.uid;
        let facts = outcome.and_then(Outcome::facts);
        if let Some(facts) = facts.filter(|f| f.digest.is_some() || !f.uid.is_empty()) {
            // Other than the decoder, we take the last case, whether or not anybody knows it.
            return match uid.filter(|uid| uid.place == facts.uid) {
                Some(uid) => Self::with(uid.digest, &facts),
                None => Self::of_facts(event, &facts),
            };
        }
        let peeked = sight.peeked.or_else(|| event.peek());
        let of_uid = || peeked.and_then(|peeked| Uid::of(event, &peeked));
        let uid = uid.or_else(of_uid).map(|uid| uid.digest);
        // Auth has told what it prints of an unstructured event. Of others without a uid the bytes
        // have to do. They are no perfect identity, since maps may be written in another order the
        // next time: such an event may be parked twice.
        let told = || match event.form {
            Form::Unstructured => unstructured::id(&event.bytes),
            Form::OneOf => None,
        };
        let of_rest = || EventDigest::of(&sha256(told().unwrap_or(&event.bytes)));
        Self {
            digest: uid.unwrap_or_else(of_rest),
            time: peeked.map_or(Timestamp::ZERO_YEAR_ONE, |peeked| peeked.time),
            index: peeked.map(|peeked| peeked.index),
            has_uid: uid.is_some(),
        }
    }

    /// Of an event in which a decoder found these facts.
    pub(crate) fn of_facts(event: &RawEvent, facts: &Facts) -> Self {
        Self::with(facts.event_digest(&event.bytes, sha256), facts)
    }

    fn with(digest: EventDigest, facts: &Facts) -> Self {
        let Facts { time, index, uid, .. } = *facts;
        Self { digest, time, index: Some(index), has_uid: !uid.is_empty() }
    }

    #[cfg(test)]
    pub(crate) fn for_test(digest: EventDigest, index: i64, second: i64) -> Self {
        Self { digest, time: Timestamp::new(second, 0), index: Some(index), has_uid: true }
    }

    /// The digest of its uid, if it has one.
    pub fn uid(&self) -> Option<EventDigest> {
        self.has_uid.then_some(self.digest)
    }
}
