//! One event as it was received, and what it is told apart by.

use bytes::Bytes;
use ev_core::{Route, Timestamp};

use crate::json::{Digest, Fingerprint, Kind, Tree, digest};

/// Longest id, type or session that is kept to be shown, in bytes. Teleport's ids have 36.
const MAX_SHOWN: usize = 128;

/// A body that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}, {what}")]
pub struct Unreadable {
    /// Offset in the body.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// An event whose body was read.
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) key: Key,
    pub(crate) is_recorded: bool,
    /// When it happened, by its own word.
    pub(crate) time: Option<Timestamp>,
    pub(crate) print: Fingerprint,
    /// The session that it announces (`session.upload`), as it is kept.
    pub(crate) announces: Option<Digest>,
    pub(crate) about: About,
    pub(crate) body: Bytes,
}

/// What an event is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) digest: Digest,
    /// Whether there is one event with it and no more: it has a `uid`.
    pub(crate) is_unique: bool,
}

/// What people are told of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Its `uid`; without one what it is recognised by instead.
    pub(crate) id: String,
    /// Its type.
    pub(crate) kind: String,
    /// The session in whose recording it stands.
    pub(crate) session: Option<String>,
}

impl Event {
    /// Reads a body.
    ///
    /// An event is told apart by its route and `uid`. One without a `uid`, as many inside of
    /// recordings, by route, type, time and index (`ei`): there may be several such, and they are
    /// told apart by what they say.
    ///
    /// # Errors
    ///
    /// If it is not one JSON object.
    pub fn read(route: &Route, body: Bytes) -> Result<Self, Unreadable> {
        let tree = Tree::read(&body).map_err(|e| Unreadable { at: e.at, what: e.what })?;
        if tree.node(0).kind != Kind::Object {
            return Err(Unreadable { at: 0, what: "is no JSON object" });
        }
        let member = |name: &str| tree.children(0).find(|child| tree.key(*child) == name);
        let text = |name: &str| member(name).and_then(|child| tree.string(child));
        let kind = text("event").unwrap_or_default();
        let uid = text("uid").filter(|uid| !uid.is_empty());
        let time_text = text("time");
        let time = time_text.as_deref().and_then(Timestamp::parse);
        let index = member("ei").map(|child| tree.text(child)).unwrap_or_default();
        let (place, session) = match route {
            Route::Audit => ("", None),
            Route::Session(id) => (id.as_str(), Some(shown(id.as_str()))),
        };
        let key = match &uid {
            Some(uid) => Key { digest: of_parts(&[place, uid]), is_unique: true },
            None => {
                let time = time_text.as_deref().unwrap_or_default();
                Key { digest: of_parts(&[place, &kind, time, index]), is_unique: false }
            }
        };
        let id = match &uid {
            Some(uid) => shown(uid),
            None => shown(&format!("no-uid,ei={index}")),
        };
        let is_upload = *route == Route::Audit && kind == "session.upload";
        let announces = text("sid").filter(|_| is_upload).map(|sid| session_digest(&sid));
        let print = Fingerprint::of(&body, &tree);
        let about = About { id, kind: shown(&kind), session };
        let is_recorded = *route != Route::Audit;
        Ok(Self { key, is_recorded, time, print, announces, about, body })
    }

    /// The session in whose recording it stands, as it is kept.
    pub(crate) fn session(&self) -> Option<Digest> {
        self.about.session.as_deref().map(session_digest)
    }
}

pub(crate) fn session_digest(sid: &str) -> Digest {
    digest(sid.as_bytes())
}

/// Each part with its length, so that none runs into the next.
fn of_parts(parts: &[&str]) -> Digest {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    digest(&bytes)
}

fn shown(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_SHOWN)].to_owned()
}

#[cfg(test)]
mod tests {
    use ev_core::SessionId;

    use super::*;

    fn read(route: &Route, body: &str) -> Event {
        Event::read(route, Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn a_uid_tells_events_apart_within_a_route() {
        let session = Route::Session(SessionId::try_new(b"s-1").unwrap());
        let a = read(
            &Route::Audit,
            r#"{"event":"user.login","uid":"1","time":"2026-01-31T10:00:00.5Z"}"#,
        );
        assert_eq!(a.time, Some(Timestamp::new(1_769_853_600, 500_000_000)));
        assert_eq!((&*a.about.id, &*a.about.kind), ("1", "user.login"));
        assert_eq!(a.key, read(&Route::Audit, r#"{"uid":"1"}"#).key);
        assert_ne!(a.key, read(&Route::Audit, r#"{"uid":"2"}"#).key);
        let recorded = read(&session, r#"{"uid":"1"}"#);
        assert_ne!(a.key, recorded.key);
        assert_eq!(recorded.session(), Some(session_digest("s-1")));
    }

    #[test]
    fn without_one_place_and_time_do() {
        let session = Route::Session(SessionId::try_new(b"s-1").unwrap());
        let at = |ei: u32| read(&session, &format!(r#"{{"event":"print","ei":{ei},"uid":""}}"#));
        assert_eq!(at(1).key, at(1).key);
        assert_ne!(at(1).key, at(2).key);
        assert!(!at(1).key.is_unique);
        assert_eq!(at(1).about.id, "no-uid,ei=1");
    }

    #[test]
    fn announcements() {
        let upload = r#"{"event":"session.upload","sid":"s-1","uid":"1"}"#;
        assert_eq!(read(&Route::Audit, upload).announces, Some(session_digest("s-1")));
        assert_eq!(read(&Route::Audit, r#"{"event":"session.end","sid":"s-1"}"#).announces, None);
    }

    #[test]
    fn what_is_no_event_is_told() {
        for bad in ["", "[]", "1", "{", "[{}]"] {
            assert!(Event::read(&Route::Audit, Bytes::from_static(bad.as_bytes())).is_err());
        }
        let hostile = format!(r#"{{"uid":{:?},"time":"soon","event":7}}"#, "é".repeat(500));
        let event = read(&Route::Audit, &hostile);
        assert!(event.about.id.len() <= MAX_SHOWN && event.time.is_none());
    }

    #[test]
    fn times_before_1970() {
        assert_eq!(
            Timestamp::parse("1969-12-31T23:59:59.25Z"),
            Some(Timestamp::new(-1, 250_000_000))
        );
        assert_eq!(Timestamp::parse("0001-01-01T00:00:00Z"), Some(Timestamp::ZERO_YEAR_ONE));
    }
}
