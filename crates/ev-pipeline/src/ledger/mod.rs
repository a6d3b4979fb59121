//! What was passed, in so few bytes that it can be kept for years: by it `verify` proves that what
//! Auth has is what was settled here, and names what is missing.
//!
//! For each hour of event time an [`Hour`] keeps the number of events, the sum of a keyed hash of
//! each, and a [`Sketch`] from which the ids of a few differing events can be read; for each session
//! recording a [`Recording`] keeps number, sum and last index. The order in
//! which events come does not matter, so a second reading of the log gives the same hour if and
//! only if it has the same events; that two different sets look equal has a chance of 2^-64 at
//! most, also for somebody who chooses ids, as long as the key is not known to them.

mod book;
mod hour;
mod recording;
mod sketch;

use ev_core::{EventDigest, SessionId};
use siphasher::sip128::SipHasher13;

use crate::Identity;

pub(crate) use book::{Hours, Ledger};
pub use hour::{Difference, Hour};
pub use recording::{Entry, Indexes, Recording};
pub use sketch::Sketch;

/// Seconds in an hour.
const HOUR: i64 = 3600;

/// The secret by which events are hashed, made once for each state.
#[derive(Clone, Copy)]
pub struct LedgerKey(SipHasher13);

impl std::fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerKey(…)")
    }
}

impl LedgerKey {
    /// From the 16 bytes that the state keeps.
    pub fn new(bytes: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(bytes))
    }

    /// What the ledger has to know of an event of the log.
    pub fn line(&self, event: &Identity) -> Line {
        let Identity { digest: id, time, index, .. } = *event;
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&id.0);
        bytes[16..].copy_from_slice(&index.unwrap_or_default().to_le_bytes());
        let (sum, place) = (self.0.hash(&bytes).as_u128(), self.0.hash(&id.0).as_u128());
        Line { id, hour: time.seconds().div_euclid(HOUR), sum, place }
    }

    /// The keyed hash of an event of a recording. Not all of them have a uid: those without are
    /// told by their index, which is the only one of its kind there.
    fn recorded(&self, session: &SessionId, uid: Option<EventDigest>, index: i64) -> u128 {
        let uid = uid.map_or([0; 16], |uid| uid.0);
        let session = session.as_str().as_bytes();
        self.0.hash(&[&uid[..], &index.to_le_bytes(), session].concat()).as_u128()
    }
}

/// One event, as the ledger sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub id: EventDigest,
    /// The hour of its time: seconds since 1970-01-01T00:00:00Z, divided by 3,600 and rounded down.
    pub hour: i64,
    /// The keyed hash of id, index and recording.
    sum: u128,
    /// The keyed hash of the id alone: where it stands in a sketch, and how it is known there.
    place: u128,
}
