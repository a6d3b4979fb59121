//! What an event is recognised by, whenever it comes again and whoever asks. Everything that tells
//! events apart, from the lane book to a later comparison with the log, asks here.

use ev_core::{EventDigest, Facts, Form, Outcome, RawEvent, Timestamp, unstructured};

use crate::digest::sha256;

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is recognised by: of its uid; without one of what Go prints of it; and where that
    /// is not known, of its bytes. It is the same on every road.
    pub digest: EventDigest,
    /// Its time; [`Timestamp::ZERO_YEAR_ONE`] where it cannot be read.
    pub time: Timestamp,
    /// Its index; `None` where it cannot be read.
    pub index: Option<i64>,
    /// Whether `digest` is of its uid.
    pub has_uid: bool,
}

impl Identity {
    /// Of an event of which a decoder made `outcome`; `None` if none has tried, or it failed.
    pub fn of(event: &RawEvent, outcome: Option<&Outcome>) -> Self {
        let facts = outcome.and_then(Outcome::facts);
        if let Some(facts) = facts.filter(|f| f.digest.is_some() || !f.uid.is_empty()) {
            let digest = facts.event_digest(&event.bytes, sha256);
            let Facts { time, index, uid, .. } = facts;
            return Self { digest, time, index: Some(index), has_uid: !uid.is_empty() };
        }
        let peeked = event.peek();
        let uid = peeked.map(|peeked| peeked.uid).unwrap_or_default();
        // Auth has told what it prints of an unstructured event. Of others without a uid the bytes
        // have to do. They are no perfect identity, since maps may be written in another order the
        // next time: such an event may be parked twice.
        let told = match event.form {
            Form::Unstructured if uid.is_empty() => unstructured::id(&event.bytes),
            Form::Unstructured | Form::OneOf => None,
        };
        let id = if uid.is_empty() { &event.bytes[..] } else { uid.of(&event.bytes) };
        let id = told.unwrap_or(id);
        Self {
            digest: EventDigest::of(&sha256(id)),
            time: peeked.map_or(Timestamp::ZERO_YEAR_ONE, |peeked| peeked.time),
            index: peeked.map(|peeked| peeked.index),
            has_uid: !uid.is_empty(),
        }
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
