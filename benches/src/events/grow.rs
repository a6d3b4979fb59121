//! Makes a large event out of a recorded one, on the wire.
//!
//! Fields stay where they are, so the result is in the order in which an encoder writes. What
//! tells events apart (the submessage `Metadata`) is left alone. Of everything else:
//!
//! - text of the event itself gets longer, as a query or a path does;
//! - lists of text and maps from text to text get more entries, as roles and labels do, at any
//!   depth; lists of messages get their own elements again.

use bytes::Bytes;
use ev_core::wire::{self, WireType};
use prost::encoding::{encode_key, encode_varint};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

use super::Random;

/// Added entries per list or map, at most: a real event has some hundreds.
const MAX_ENTRIES: usize = 64;
/// Times by which text may be grown.
const MAX_TEXT: usize = 8 * 1024;

/// The event with at least `least` bytes, or `None` if it has nothing that grows.
pub(super) fn grow(one_of: &MessageDescriptor, event: &Bytes, least: usize) -> Option<Bytes> {
    let mut amount = Amount { entries: 1, text: 32 };
    while amount.entries <= MAX_ENTRIES && amount.text <= MAX_TEXT {
        let mut random = Random::new(event.len() as u64);
        let grown = message(one_of, event, 0, amount, &mut random)?;
        if grown.len() >= least {
            return Some(grown.into());
        }
        // Small steps, so that all grown events are about as large.
        amount.entries += amount.entries.div_ceil(8);
        amount.text += amount.text.div_ceil(8);
    }
    None
}

#[derive(Clone, Copy)]
struct Amount {
    entries: usize,
    text: usize,
}

/// Copies a message, growing what may grow. Depth 0 is the `OneOf`, 1 the event.
fn message(
    descriptor: &MessageDescriptor,
    buf: &[u8],
    depth: usize,
    amount: Amount,
    random: &mut Random,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(buf.len() * 2);
    let mut pos = 0;
    while pos < buf.len() {
        let start = pos;
        let (number, wire_type) = wire::tag(buf, &mut pos).ok()?;
        if wire_type != WireType::Len {
            wire::skip(buf, &mut pos, wire_type).ok()?;
            out.extend_from_slice(&buf[start..pos]);
            continue;
        }
        let value = &buf[wire::len_delimited(buf, &mut pos).ok()?];
        let field = descriptor.get_field(number)?;
        let next = wire::tag(buf, &mut pos.clone()).ok().map(|(number, _)| number);
        let last = next != Some(number);
        put(&mut out, number, &grown_value(&field, value, depth, amount, random)?);
        if last && depth > 0 {
            for _ in 0..amount.entries {
                let Some(entry) = another(&field, value, random) else { break };
                put(&mut out, number, &entry);
            }
        }
    }
    Some(out)
}

fn grown_value(
    field: &FieldDescriptor,
    value: &[u8],
    depth: usize,
    amount: Amount,
    random: &mut Random,
) -> Option<Vec<u8>> {
    match field.kind() {
        Kind::String if depth == 1 && field.cardinality() != Cardinality::Repeated => {
            let mut text = value.to_vec();
            text.extend(random.statement(amount.text).bytes());
            Some(text)
        }
        Kind::Message(inner) if grows(&inner) => message(&inner, value, depth + 1, amount, random),
        _ => Some(value.to_vec()),
    }
}

/// Whether there is a reason to look inside a message. What has a form of its own stays as it is.
fn grows(message: &MessageDescriptor) -> bool {
    message.full_name() != "events.Metadata"
        && !message.full_name().starts_with("google.protobuf.")
        && !message.is_map_entry()
}

/// One more entry of a list or a map.
fn another(field: &FieldDescriptor, last: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    if field.cardinality() != Cardinality::Repeated {
        return None;
    }
    match field.kind() {
        Kind::String => Some(random.word().into_bytes()),
        Kind::Message(entry) if entry.is_map_entry() => {
            let text = |number| entry.get_field(number).is_some_and(|f| f.kind() == Kind::String);
            if !text(1) {
                return None;
            }
            let mut bytes = Vec::new();
            put(&mut bytes, 1, random.word().as_bytes());
            if text(2) {
                put(&mut bytes, 2, random.word().as_bytes());
            }
            Some(bytes)
        }
        Kind::Message(_) => Some(last.to_vec()),
        _ => None,
    }
}

fn put(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    encode_key(number, prost::encoding::WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
