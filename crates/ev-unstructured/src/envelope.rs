//! One `teleport.auditlog.v1.EventUnstructured`: type 1, id 2, time 3, index 4, JSON 5.

use ev_core::unstructured::{digest_of_id, uid};
use ev_core::wire::{self, WireType};
use ev_core::{Facts, Span, Timestamp};
use sha2::{Digest, Sha256};

use crate::walk::{Buffers, Halt, Own, Walker};

/// A field that has to be of another wire type.
pub(crate) const WRONG_WIRE_TYPE: &str = "wrong wire type";
/// proto3 has no other strings, and JSON has no other texts.
pub(crate) const NOT_UTF8: &str = "text is not UTF-8";

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Decoded(Facts),
    Malformed { at: u32, what: &'static str },
    Unprintable { at: u32, what: &'static str, facts: Facts },
}

/// Writes the JSON of an event behind what `out` holds. What is written of an event that cannot be
/// printed is for the caller to remove.
pub(crate) fn decode(
    event: &[u8],
    login: bool,
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
) -> Answer {
    let start = out.len();
    buffers.clear();
    let mut walker = Walker::new(event, buffers, out);
    let envelope = match read(&mut walker) {
        Ok(envelope) => envelope,
        Err(Halt { at, what }) => return Answer::Malformed { at, what },
    };
    let (own, unprintable) = match walker.structure() {
        Ok(found) => found,
        Err(Halt { at, what }) => return Answer::Malformed { at, what },
    };
    let Envelope { kind, id, time, index } = envelope;
    let Own { uid: own_uid, session, login: fields } = own;
    let uid = uid(event, id, || own_uid);
    let digest =
        || digest_of_id(id.of(event)).unwrap_or_else(|| Sha256::digest(&out[start..]).into());
    let facts = Facts {
        case: 0,
        kind,
        uid,
        session,
        time,
        index,
        digest: uid.is_empty().then(digest),
        login: login.then_some(fields),
    };
    match unprintable {
        None => Answer::Decoded(facts),
        Some((at, what)) => Answer::Unprintable { at, what, facts },
    }
}

struct Envelope {
    kind: Span,
    id: Span,
    time: Timestamp,
    index: i64,
}

/// Reads all but the Struct, of which it keeps the places.
fn read(walker: &mut Walker<'_>) -> Result<Envelope, Halt> {
    let event = walker.event;
    let mut envelope = Envelope {
        kind: Span::default(),
        id: Span::default(),
        time: Timestamp::ZERO_YEAR_ONE,
        index: 0,
    };
    let (mut pos, mut is_event) = (0, false);
    while pos < event.len() {
        let at = pos;
        let (number, kind) = walker.read(at, wire::tag(event, &mut pos))?;
        let expected = match number {
            1..=3 | 5 => WireType::Len,
            4 => WireType::Varint,
            _ => {
                walker.read(at, wire::skip(event, &mut pos, kind))?;
                continue;
            }
        };
        if kind != expected {
            return Err(Halt::new(at, WRONG_WIRE_TYPE));
        }
        if number == 4 {
            envelope.index = walker.read(at, wire::varint(event, &mut pos))?.cast_signed();
            continue;
        }
        let range = walker.read(at, wire::len_delimited(event, &mut pos))?;
        match number {
            1 => envelope.kind = walker.text(at, range)?,
            2 => envelope.id = walker.text(at, range)?,
            3 => {
                // A later time replaces an earlier one whole, as whoever peeks has it.
                let (mut seconds, mut nanos) = (0i64, 0i32);
                let (buf, mut pos) = (&event[..range.end], range.start);
                while pos < buf.len() {
                    let at = pos;
                    match walker.read(at, wire::tag(buf, &mut pos))? {
                        (1, WireType::Varint) => {
                            seconds = walker.read(at, wire::varint(buf, &mut pos))?.cast_signed();
                        }
                        #[expect(clippy::cast_possible_truncation, reason = "as any int32")]
                        (2, WireType::Varint) => {
                            nanos = walker.read(at, wire::varint(buf, &mut pos))? as i32;
                        }
                        (1 | 2, _) => return Err(Halt::new(at, WRONG_WIRE_TYPE)),
                        (_, kind) => walker.read(at, wire::skip(buf, &mut pos, kind))?,
                    }
                }
                envelope.time = Timestamp::new(seconds, u32::try_from(nanos).unwrap_or_default());
            }
            _ => {
                is_event = true;
                walker.keep_struct(range);
            }
        }
    }
    if is_event { Ok(envelope) } else { Err(Halt::new(event.len(), "no event in the message")) }
}
