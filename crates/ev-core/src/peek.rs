//! What can be told of an event without its schema.
//!
//! Field 1 of every event type in `events.proto` is `events.Metadata`, whose first fields have
//! been the same in every recorded version: `Index` 1, `Type` 2, `ID` 3, `Time` 5. So an event that
//! nobody can decode yet still has an id to recognise it by, and a guest's claims can be held
//! against the bytes themselves.

use crate::wire::{self, WireError, WireType};
use crate::{Span, Timestamp};

/// The part of an event's `Metadata` that needs no schema. Spans lie in the event's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Field number of the `OneOf` case.
    pub case: u32,
    /// `Metadata.Type`.
    pub kind: Span,
    /// `Metadata.ID`; empty if there is none.
    pub uid: Span,
    /// `Metadata.Index`.
    pub index: i64,
    /// `Metadata.Time`; year 1 if there is none.
    pub time: Timestamp,
}

/// Reads the metadata of a serialised `events.OneOf`.
///
/// `None` when there is no case that holds a message, or the bytes are malformed on the way. Like
/// gogo, the last case wins, parts of one message merge, and the last scalar wins.
pub fn metadata(event: &[u8]) -> Option<Peeked> {
    one_of(event, None).ok().flatten()
}

/// As [`metadata`], but of the last field `case`, whatever other cases stand before or behind it.
///
/// An older schema takes the last case that it knows; a newer case behind it is unknown to it.
pub fn metadata_of(event: &[u8], case: u32) -> Option<Peeked> {
    one_of(event, Some(case)).ok().flatten()
}

/// Levels after which [`number_path`] stops: real schemas have four, hostile events any number.
const MAX_PATH_LEVELS: usize = 64;

/// The field whose tag stands at offset `at`, as field numbers from the `OneOf` down: `1.5.4321`.
///
/// Follows from the bytes alone: each field that holds the offset is stepped into. An offset at
/// which no tag can be reached gives the part of the path that leads to it; more than 64 levels
/// are cut and end in `…`.
pub fn number_path(event: &[u8], at: u32) -> String {
    let at = at as usize;
    let mut path = String::new();
    let mut buf = event;
    let (mut pos, mut levels) = (0, 0);
    while pos < buf.len() && pos <= at {
        let start = pos;
        let Ok(raw) = wire::varint(buf, &mut pos) else { break };
        let body = pos;
        let skipped = wire::wire_type(raw).and_then(|kind| {
            if kind == WireType::Len {
                return wire::len_delimited(buf, &mut pos).map(Some);
            }
            wire::skip(buf, &mut pos, kind).map(|()| None)
        });
        if start != at && skipped.is_ok() && pos <= at {
            continue;
        }
        if levels == MAX_PATH_LEVELS {
            path.push_str(".…");
            break;
        }
        levels += 1;
        if !path.is_empty() {
            path.push('.');
        }
        // Numbers are cut to 32 bits, as gogo cuts them.
        path.push_str(&((raw >> 3) & u64::from(u32::MAX)).to_string());
        match skipped {
            Ok(Some(range)) if start != at && at >= body => {
                pos = range.start;
                buf = &buf[..range.end];
            }
            _ => break,
        }
    }
    path
}

fn one_of(event: &[u8], case: Option<u32>) -> Result<Option<Peeked>, WireError> {
    let mut last = None;
    let mut pos = 0;
    while pos < event.len() {
        let (number, kind) = wire::tag(event, &mut pos)?;
        if kind == WireType::Len {
            let range = wire::len_delimited(event, &mut pos)?;
            if case.is_none_or(|case| case == number) {
                last = Some((number, range));
            }
        } else {
            wire::skip(event, &mut pos, kind)?;
        }
    }
    let Some((case, range)) = last else { return Ok(None) };
    let mut peeked = Peeked {
        case,
        kind: Span::default(),
        uid: Span::default(),
        index: 0,
        time: Timestamp::ZERO_YEAR_ONE,
    };
    let body = &event[..range.end];
    pos = range.start;
    while pos < body.len() {
        let (number, kind) = wire::tag(body, &mut pos)?;
        if number == 1 && kind == WireType::Len {
            let part = wire::len_delimited(body, &mut pos)?;
            fields(&body[..part.end], part.start, &mut peeked)?;
        } else {
            wire::skip(body, &mut pos, kind)?;
        }
    }
    Ok(Some(peeked))
}

fn fields(buf: &[u8], mut pos: usize, peeked: &mut Peeked) -> Result<(), WireError> {
    while pos < buf.len() {
        match wire::tag(buf, &mut pos)? {
            (1, WireType::Varint) => peeked.index = wire::varint(buf, &mut pos)?.cast_signed(),
            (2, WireType::Len) => peeked.kind = span(wire::len_delimited(buf, &mut pos)?),
            (3, WireType::Len) => peeked.uid = span(wire::len_delimited(buf, &mut pos)?),
            (5, WireType::Len) => {
                let range = wire::len_delimited(buf, &mut pos)?;
                peeked.time = timestamp(&buf[..range.end], range.start)?;
            }
            (_, kind) => wire::skip(buf, &mut pos, kind)?,
        }
    }
    Ok(())
}

/// A `google.protobuf.Timestamp`; a later occurrence replaces an earlier one whole.
pub(crate) fn timestamp(buf: &[u8], mut pos: usize) -> Result<Timestamp, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    while pos < buf.len() {
        match wire::tag(buf, &mut pos)? {
            (1, WireType::Varint) => seconds = wire::varint(buf, &mut pos)?.cast_signed(),
            #[expect(clippy::cast_possible_truncation, reason = "an int32 is the low 32 bits")]
            (2, WireType::Varint) => nanos = wire::varint(buf, &mut pos)? as i32,
            (_, kind) => wire::skip(buf, &mut pos, kind)?,
        }
    }
    Ok(Timestamp::new(seconds, u32::try_from(nanos).unwrap_or_default()))
}

fn span(range: std::ops::Range<usize>) -> Span {
    Span::new(range.start, range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_metadata_of_a_case_nobody_knows() {
        // Case 5001 { 1: { 1: 7, 2: "t", 3: "id", 5: { 1: 5, 2: 9 } } }
        let metadata_bytes = [8, 7, 18, 1, b't', 26, 2, b'i', b'd', 42, 4, 8, 5, 16, 9];
        let mut event = vec![0xca, 0xb8, 0x02, 17, 10, 15];
        event.extend(metadata_bytes);
        let peeked = metadata(&event).expect("a readable event");
        assert_eq!(peeked.case, 5001);
        assert_eq!(peeked.index, 7);
        assert_eq!(peeked.kind.of(&event), b"t");
        assert_eq!(peeked.uid.of(&event), b"id");
        assert_eq!(peeked.time, Timestamp::new(5, 9));
    }

    #[test]
    fn reads_metadata_of_the_case_asked_for() {
        // Case 1 { 1: { 3: "a" } }, then case 2 { 1: { 3: "b" } }
        let event = [10, 5, 10, 3, 26, 1, b'a', 18, 5, 10, 3, 26, 1, b'b'];
        let uid = |peeked: Option<Peeked>| peeked.map(|p| p.uid.of(&event).to_vec());
        assert_eq!(uid(metadata(&event)), Some(b"b".to_vec()));
        assert_eq!(uid(metadata_of(&event, 1)), Some(b"a".to_vec()));
        assert_eq!(uid(metadata_of(&event, 2)), Some(b"b".to_vec()));
        assert_eq!(metadata_of(&event, 3), None);
    }

    #[test]
    fn a_path_follows_from_bytes_and_offset() {
        // 1 { 1 { 1: 7, 5 { 4321: 1 } }, 9: "x" } 9999: 1
        let mut event = vec![10, 14, 10, 9, 8, 7, 42, 5, 0x88, 0x8e, 0x02, 1, 16, 74, 1, b'x'];
        event[1] = 14;
        event[3] = 8;
        event[7] = 4;
        event.extend([0xf8, 0xf0, 0x04, 1]);
        let check = |at, path: &str| assert_eq!(number_path(&event, at), path, "at {at}");
        check(0, "1");
        check(2, "1.1");
        check(4, "1.1.1");
        check(6, "1.1.5");
        check(8, "1.1.5.4321");
        check(16, "9999");
        check(5, "1.1.1");
        check(200, "");
        assert_eq!(number_path(&[0xff; 3], 0), "");
        assert_eq!(number_path(&[0x06, 1], 0), "0");
    }

    #[test]
    fn a_deep_path_is_cut() {
        let mut event = Vec::new();
        for _ in 0..100 {
            // The length as a varint of two bytes.
            let low = u8::try_from(event.len() % 128).unwrap() | 0x80;
            let mut outer = vec![10, low, u8::try_from(event.len() / 128).unwrap()];
            outer.append(&mut event);
            event = outer;
        }
        let path = number_path(&event, 297);
        assert!(path.ends_with(".1.…"), "{path}");
        assert_eq!(path.matches('1').count(), 64);
    }

    #[test]
    fn broken_or_empty_bytes_have_no_metadata() {
        assert_eq!(metadata(&[]), None);
        assert_eq!(metadata(&[10, 5, 1]), None);
        assert_eq!(metadata(&[8, 1]), None);
    }
}
