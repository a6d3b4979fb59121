//! What can be told of an event in either form without decoding it.
//!
//! `teleport.auditlog.v1.EventUnstructured` has the event's type 1, id 2, time 3, index 4 and its
//! JSON as a `google.protobuf.Struct` 5. The id is the event's own (the key `uid` of the JSON),
//! and for an event without one the lower-case hex SHA-256 of the JSON that Auth writes. Both look
//! alike only if somebody gave an event 64 hex digits for an id; then the JSON tells.

use crate::peek::{self, Peeked, timestamp};
use crate::wire::{self, WireError, WireType};
use crate::{Form, RawEvent, Span, Timestamp};

/// Hex digits of a SHA-256.
const DIGEST_DIGITS: usize = 64;

impl RawEvent {
    /// What can be told of the event without decoding it; `None` when its bytes are malformed on
    /// the way, or no event.
    pub fn peek(&self) -> Option<Peeked> {
        metadata(self.form, &self.bytes)
    }
}

/// The metadata of an event of that form.
///
/// An unstructured event has no case (0) and, in front of decoding, no `uid` if its id is the
/// digest of its JSON.
pub fn metadata(form: Form, event: &[u8]) -> Option<Peeked> {
    match form {
        Form::OneOf => peek::metadata(event),
        Form::Unstructured => envelope(event).ok().flatten(),
    }
}

/// The id that Auth gave an unstructured event, its own or the digest of its JSON; `None` when it
/// has none, or the bytes are malformed on the way.
pub fn id(event: &[u8]) -> Option<&[u8]> {
    let mut id = Span::default();
    let read = each(event, 0..event.len(), 2, |range| {
        id = span(range);
        Ok(())
    });
    read.ok().map(|()| id.of(event)).filter(|id| !id.is_empty())
}

/// The SHA-256 that an event's id is, when it has the form of one.
pub fn digest_of_id(id: &[u8]) -> Option<[u8; 32]> {
    if id.len() != DIGEST_DIGITS {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(id.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

/// The `uid` of an event: its id, unless that is the digest of its JSON, in which there is no
/// `uid` then. `uid` is what the JSON has, looked for only when it decides.
pub fn uid(event: &[u8], id: Span, uid: impl FnOnce() -> Option<Span>) -> Span {
    let text = id.of(event);
    if !text.is_empty() && digest_of_id(text).is_none() {
        return id;
    }
    // Of an event without an id, which Auth never sends, whatever there is.
    uid().filter(|own| text.is_empty() || own.of(event) == text).unwrap_or_default()
}

fn envelope(event: &[u8]) -> Result<Option<Peeked>, WireError> {
    let mut peeked = Peeked {
        case: 0,
        kind: Span::default(),
        uid: Span::default(),
        index: 0,
        time: Timestamp::ZERO_YEAR_ONE,
    };
    let (mut id, mut is_event, mut pos) = (Span::default(), false, 0);
    while pos < event.len() {
        match wire::tag(event, &mut pos)? {
            (1, WireType::Len) => peeked.kind = span(wire::len_delimited(event, &mut pos)?),
            (2, WireType::Len) => id = span(wire::len_delimited(event, &mut pos)?),
            (3, WireType::Len) => {
                let range = wire::len_delimited(event, &mut pos)?;
                peeked.time = timestamp(&event[..range.end], range.start)?;
            }
            (4, WireType::Varint) => peeked.index = wire::varint(event, &mut pos)?.cast_signed(),
            (5, WireType::Len) => {
                is_event = true;
                wire::len_delimited(event, &mut pos)?;
            }
            (_, kind) => wire::skip(event, &mut pos, kind)?,
        }
    }
    peeked.uid = uid(event, id, || own_uid(event).ok().flatten());
    Ok(is_event.then_some(peeked))
}

/// The text of the key `uid` of the JSON; the last one counts.
fn own_uid(event: &[u8]) -> Result<Option<Span>, WireError> {
    let mut found = None;
    each(event, 0..event.len(), 5, |body| {
        each(event, body, 1, |entry| {
            let (mut key, mut value) = (Span::default(), None);
            each(event, entry.clone(), 1, |range| {
                key = span(range);
                Ok(())
            })?;
            if key.of(event) != b"uid" {
                return Ok(());
            }
            each(event, entry, 2, |kind| {
                each(event, kind, 3, |text| {
                    value = Some(span(text));
                    Ok(())
                })
            })?;
            found = value;
            Ok(())
        })
    })?;
    Ok(found)
}

/// Calls `take` with each field `number` that has a length.
fn each(
    event: &[u8],
    range: std::ops::Range<usize>,
    number: u32,
    mut take: impl FnMut(std::ops::Range<usize>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let (buf, mut pos) = (&event[..range.end], range.start);
    while pos < buf.len() {
        match wire::tag(buf, &mut pos)? {
            (n, WireType::Len) if n == number => take(wire::len_delimited(buf, &mut pos)?)?,
            (_, kind) => wire::skip(buf, &mut pos, kind)?,
        }
    }
    Ok(())
}

fn span(range: std::ops::Range<usize>) -> Span {
    Span::new(range.start, range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(value.len()).expect("a short one")], value].concat()
    }

    /// With that id, and that `uid` in its JSON.
    fn event(id: &[u8], uid: Option<&[u8]>) -> Vec<u8> {
        let uid = uid.map(|uid| field(1, &[field(1, b"uid"), field(2, &field(3, uid))].concat()));
        let time = field(3, &[8, 5, 16, 9]);
        let json = field(5, &uid.unwrap_or_default());
        [field(1, b"t"), field(2, id), time, vec![4 << 3, 7], json].concat()
    }

    fn peeked(event: &[u8]) -> (Vec<u8>, Vec<u8>, i64, Timestamp) {
        let peeked = metadata(Form::Unstructured, event).expect("an event");
        assert_eq!(peeked.case, 0);
        let text = |span: Span| span.of(event).to_vec();
        (text(peeked.kind), text(peeked.uid), peeked.index, peeked.time)
    }

    #[test]
    fn the_envelope_tells_what_metadata_would() {
        let expected = (b"t".to_vec(), b"an id".to_vec(), 7, Timestamp::new(5, 9));
        assert_eq!(peeked(&event(b"an id", Some(b"an id"))), expected);
    }

    #[test]
    fn a_digest_is_no_uid_unless_the_json_has_it_as_one() {
        let digest = [b'a'; 64];
        let uid = |id: &[u8], own: Option<&[u8]>| peeked(&event(id, own)).1;
        assert_eq!(uid(&digest, None), b"");
        assert_eq!(uid(&digest, Some(b"other")), b"");
        assert_eq!(uid(&digest, Some(&digest)), digest);
        assert_eq!(uid(&[b'A'; 64], None), [b'A'; 64], "upper case is no digest of Auth's");
        assert_eq!(uid(b"", Some(b"own")), b"own");
        assert_eq!(uid(b"", None), b"");
        assert_eq!(super::id(&event(&digest, None)), Some(&digest[..]));
        assert_eq!(super::id(&event(b"", Some(b"own"))), None);
        assert_eq!(super::id(b"\x12\x01a\xff"), None);
        assert_eq!(digest_of_id(&[b'f'; 64]), Some([255; 32]));
        assert_eq!(digest_of_id(&[b'g'; 64]), None);
    }

    #[test]
    fn what_is_no_event_has_no_metadata() {
        for bytes in [&b""[..], b"\xff", &[10, 5, 1], &field(1, b"t")] {
            assert_eq!(metadata(Form::Unstructured, bytes), None, "{bytes:?}");
        }
        // A typed event with a metadata is none of this form.
        assert_eq!(metadata(Form::Unstructured, &[10, 5, 10, 3, 26, 1, b'a']), None);
    }
}
