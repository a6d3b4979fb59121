//! An event on its way: raw bytes, pages of them, and the facts a decoder finds.

use bytes::Bytes;

use crate::{AuthVersion, EventDigest, LaneId, Span, Timestamp, Token};

/// The wire form of an event's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A serialised `events.OneOf`.
    OneOf,
    /// A serialised `teleport.auditlog.v1.EventUnstructured`.
    Unstructured,
}

/// One event as Auth sent it, byte for byte.
///
/// `bytes` is a slice of the receive buffer: keeping one event keeps its whole page alive, so
/// whatever outlives its page is copied out.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// How to read `bytes`.
    pub form: Form,
    /// What Auth sent.
    pub bytes: Bytes,
}

/// Events of one lane in the order in which Auth gave them.
#[derive(Clone, Debug)]
pub struct Page {
    /// The lane they belong to.
    pub lane: LaneId,
    /// The version that Auth reported on the connection over which the page came: the schema by
    /// which it has to be decoded.
    pub version: AuthVersion,
    /// The events.
    pub events: Vec<RawEvent>,
    /// Resume points that become valid within the page, in rising order of `after`.
    pub marks: Vec<Mark>,
    /// Whether the page may hold events that were already yielded in an earlier page (the tip of
    /// a live window is read again and again). Such events are recognised by their id.
    pub repeats: bool,
}

/// A resume point: once the first `after` events of the page are settled, and every earlier page
/// of the lane is, the lane may be resumed at `token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of events of the page that must be settled, 0 to the page's length.
    pub after: usize,
    /// Where the lane stands then.
    pub token: Token,
}

/// What the engine needs to know of an event; found in the same pass that writes its JSON.
///
/// Spans lie in the event's own bytes, and the text they name is bytes: it need not be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Field number of the `OneOf` case; 0 if there is none.
    pub case: u32,
    /// Event type, for instance `user.login`.
    pub kind: Span,
    /// Unique id as the event carries it; empty if it has none.
    pub uid: Span,
    /// Session id, only of types that have session metadata; else empty.
    pub session: Span,
    /// Time of the event; year 1 when the event has none.
    pub time: Timestamp,
    /// Index within a session, 0 elsewhere.
    pub index: i64,
    /// SHA-256 of the `go` flavour's bytes, for an event without uid: what Auth computes as its id
    /// (printed as lower-case hex).
    pub digest: Option<[u8; 32]>,
    /// Only when asked for.
    pub login: Option<LoginFacts>,
}

/// What the lock-out of failed logins needs; spans as in [`Facts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginFacts {
    /// Teleport user.
    pub user: Span,
    /// Operating system login.
    pub login: Span,
    /// Cluster name.
    pub cluster: Span,
    /// Whether the login succeeded, when the event says so.
    pub success: Option<bool>,
}

impl Facts {
    /// The event's id as text: its uid, or the lower-case hex digest.
    ///
    /// A uid that is not UTF-8 is shown with replacement characters; never compare by this.
    pub fn id(&self, event: &[u8]) -> String {
        match self.digest {
            Some(digest) if self.uid.is_empty() => hex(&digest),
            _ => String::from_utf8_lossy(self.uid.of(event)).into_owned(),
        }
    }

    /// The bytes that identify the event: its uid, or the hex digest. Hashed by whoever keeps
    /// an [`EventDigest`].
    pub fn with_id_bytes<T>(&self, event: &[u8], use_bytes: impl FnOnce(&[u8]) -> T) -> T {
        match self.digest {
            Some(digest) if self.uid.is_empty() => {
                let mut text = [0; 64];
                for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                use_bytes(&text)
            }
            _ => use_bytes(self.uid.of(event)),
        }
    }

    /// [`EventDigest`] of the event, given a SHA-256 function.
    pub fn event_digest(&self, event: &[u8], sha256: impl Fn(&[u8]) -> [u8; 32]) -> EventDigest {
        self.with_id_bytes(event, |id| EventDigest::of(&sha256(id)))
    }
}

impl EventDigest {
    /// The part of a SHA-256 that is kept.
    pub fn of(sha256: &[u8; 32]) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&sha256[..16]);
        Self(short)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_uid_or_the_hex_digest() {
        let event = b"..abc..";
        let mut facts = Facts { uid: Span::new(2, 5), ..Facts::default() };
        assert_eq!(facts.id(event), "abc");
        facts.digest = Some([0xa5; 32]);
        assert_eq!(facts.id(event), "abc", "the uid wins");
        facts.uid = Span::default();
        assert_eq!(facts.id(event), "a5".repeat(32));
        facts.with_id_bytes(event, |bytes| assert_eq!(bytes, "a5".repeat(32).as_bytes()));
    }
}
