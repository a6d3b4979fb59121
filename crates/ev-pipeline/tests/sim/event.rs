//! Events as Auth would send them, built field by field, each with a number that can be found in
//! its bytes and in its JSON.

use std::fmt;

use bytes::Bytes;
use ev_core::Timestamp;

/// Which event it is: the oracle's name for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EventNo {
    /// Of the audit log, in the order of arrival.
    Log(u32),
    /// Of a recording, by its place.
    Recorded(u32, u32),
}

/// Stands in front of the number, in the cluster name, which is the same text in both forms.
const LABEL: &[u8] = b"mk:";

impl EventNo {
    /// The number inside an event's bytes or JSON.
    pub(crate) fn find(text: &[u8]) -> Option<Self> {
        let at = text.windows(LABEL.len()).position(|window| window == LABEL)?;
        let text = &text[at + LABEL.len()..];
        let end = text.iter().position(|byte| *byte == b';')?;
        let text = std::str::from_utf8(&text[..end]).ok()?;
        match text.split_once('.') {
            Some((session, place)) => {
                Some(Self::Recorded(session.parse().ok()?, place.parse().ok()?))
            }
            None => text.parse().ok().map(Self::Log),
        }
    }
}

impl fmt::Display for EventNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(number) => write!(f, "{number}"),
            Self::Recorded(session, place) => write!(f, "{session}.{place}"),
        }
    }
}

impl fmt::Debug for EventNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What sort of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Known to every schema.
    Login,
    /// Has a field that the old schema lacks.
    NewField,
    /// Of a type that the old schema lacks.
    NewType,
    /// Without a uid, and with a map whose entries come in any order.
    NoUid,
    /// Announces a recording.
    Upload(u32),
    /// No decoder can read it.
    Malformed,
    /// No decoder may print it.
    Unprintable,
    /// Larger than anything that Auth can send.
    TooLarge,
    /// Left out by a setting.
    Noise,
    /// Of a recording, shown.
    Resize,
    /// Of a recording, left out by a setting.
    Print,
}

/// Type of the events that the simulation leaves out of the log.
pub(crate) const NOISE: &str = "role.created";

/// Name of a recording.
pub(crate) fn session_name(session: u32) -> String {
    format!("rec-{session}")
}

/// The event's bytes, in one of two orders of its map.
pub(crate) fn encode(no: EventNo, kind: Kind, time: Timestamp, swap: bool) -> Bytes {
    let (case, name) = match kind {
        Kind::Login | Kind::NewField | Kind::Malformed | Kind::Unprintable => (1, "user.login"),
        Kind::NewType => (199, "access_request.expire"),
        Kind::NoUid => (5, "session.start"),
        Kind::Upload(_) => (43, "session.upload"),
        Kind::Noise => (25, NOISE),
        Kind::Resize => (9, "resize"),
        Kind::Print => (7, "print"),
        Kind::TooLarge => unreachable!("nobody ever sends it"),
    };
    let index = match no {
        EventNo::Log(_) => 0,
        EventNo::Recorded(_, place) => u64::from(place),
    };
    let uid = if kind == Kind::NoUid { String::new() } else { format!("uid-{no}") };
    let mut body = field(1, &metadata(no, index, name, &uid, time));
    match kind {
        // `UserMetadata.BotName`.
        Kind::NewField => body.extend(field(2, &field(11, b"bot"))),
        // A length that reaches behind the end.
        Kind::Malformed => body.extend([0x1a, 0x7f, 1]),
        // `IdentityAttributes`, a `Struct` with one number that is none.
        Kind::Unprintable => {
            let mut value = vec![2 << 3 | 1];
            value.extend(f64::NAN.to_le_bytes());
            let entry = [field(1, b"x"), field(2, &value)].concat();
            body.extend(field(5, &field(1, &entry)));
        }
        // `ServerMetadata.ServerLabels`.
        Kind::NoUid => {
            let label = |name: &[u8]| field(5, &[field(1, name), field(2, b"v")].concat());
            let mut labels = [label(b"one"), label(b"two")];
            if swap {
                labels.reverse();
            }
            body.extend(field(4, &labels.concat()));
        }
        // `SessionMetadata.SessionID`.
        Kind::Upload(session) => body.extend(field(2, &field(1, session_name(session).as_bytes()))),
        Kind::Login | Kind::NewType | Kind::TooLarge | Kind::Noise | Kind::Resize | Kind::Print => {
        }
    }
    field(case, &body).into()
}

fn metadata(no: EventNo, index: u64, kind: &str, uid: &str, time: Timestamp) -> Vec<u8> {
    let mut out = number(1, index);
    out.extend(field(2, kind.as_bytes()));
    if !uid.is_empty() {
        out.extend(field(3, uid.as_bytes()));
    }
    let mut at = number(1, time.seconds().cast_unsigned());
    at.extend(number(2, u64::from(time.subsec_nanos())));
    out.extend(field(5, &at));
    let label = [LABEL, no.to_string().as_bytes(), b";"].concat();
    out.extend(field(6, &label));
    out
}

fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4);
    varint(u64::from(number << 3 | 2), &mut out);
    varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn number(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if value > 0 {
        varint(u64::from(number << 3), &mut out);
        varint(value, &mut out);
    }
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ev_core::{Decoder, Flavour, Form, Mode, Outcome, Output, RawEvent};
    use ev_decode::{NativeDecoder, Options};

    use super::*;

    /// The tables answer what the simulation takes for granted.
    #[test]
    fn the_real_decoders_know_what_they_should() {
        let check = |label: &str, kind: Kind, expected: &str| {
            let found = ev_decode::embedded().into_iter().find(|e| e.label == label).unwrap();
            let table = Arc::clone(&found.table);
            let decoder = NativeDecoder::native(table, Flavour::Go, Options::default());
            let no = EventNo::Recorded(7, 12);
            let time = Timestamp::new(1_800_000_000, 5);
            let mut digests = Vec::new();
            for swap in [false, true] {
                let bytes = encode(no, kind, time, swap);
                assert_eq!(EventNo::find(&bytes), Some(no));
                let mut out = Output::default();
                let event = RawEvent { form: Form::OneOf, bytes };
                decoder.decode(&[event], Mode::Strict, &mut out).unwrap();
                let (json, outcomes) = out.into_parts();
                let answer = match &outcomes[0] {
                    Outcome::Decoded { json: span, facts } => {
                        assert_eq!(EventNo::find(span.of(&json)), Some(no));
                        assert_eq!(facts.time, time);
                        digests.push(facts.digest);
                        "decoded"
                    }
                    Outcome::Unknown { .. } => "unknown",
                    Outcome::Malformed { .. } => "malformed",
                    Outcome::Unprintable { .. } => "unprintable",
                };
                assert_eq!(answer, expected, "{label} {kind:?}");
            }
            digests.dedup();
            assert!(digests.len() < 2, "the order of a map does not change the id");
        };
        for kind in
            [Kind::Login, Kind::NoUid, Kind::Upload(3), Kind::Noise, Kind::Resize, Kind::Print]
        {
            check("v13", kind, "decoded");
            check("v18dev", kind, "decoded");
        }
        for kind in [Kind::NewField, Kind::NewType] {
            check("v13", kind, "unknown");
            check("v18dev", kind, "decoded");
        }
        for label in ["v13", "v18dev"] {
            check(label, Kind::Malformed, "malformed");
            check(label, Kind::Unprintable, "unprintable");
        }
    }
}
