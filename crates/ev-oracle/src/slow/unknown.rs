//! The first field that the descriptors lack, at any depth: by the descriptors alone, without
//! anything that Go makes of them.

use std::ops::Range;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::wire::{Malformed, Reader};

/// Where it is.
pub(super) struct Found {
    /// Offset of its tag.
    pub(super) at: usize,
    /// The names that lead to it, and its number.
    pub(super) path: Vec<String>,
}

pub(super) fn first(one_of: &MessageDescriptor, event: &[u8]) -> Result<Option<Found>, Malformed> {
    message(one_of, event, 0..event.len())
}

fn message(
    descriptor: &MessageDescriptor,
    event: &[u8],
    range: Range<usize>,
) -> Result<Option<Found>, Malformed> {
    let entry = descriptor.is_map_entry();
    let mut reader = Reader::new(event, range);
    while let Some(at) = reader.next() {
        let (number, mut wire) = if entry { reader.entry_tag()? } else { reader.tag()? };
        let Some(field) = descriptor.get_field(number) else {
            reader.skip(wire)?;
            return Ok(Some(Found { at, path: vec![number.to_string()] }));
        };
        if entry {
            // Keys and values are read as what they are declared, whatever the tag says.
            wire = declared_wire(&field);
        }
        match field.kind() {
            Kind::Message(inner) if wire == 2 => {
                if let Some(mut found) = message(&inner, event, reader.bytes()?)? {
                    found.path.insert(0, field.name().to_owned());
                    return Ok(Some(found));
                }
            }
            _ => reader.skip(wire)?,
        }
    }
    Ok(None)
}

fn declared_wire(field: &FieldDescriptor) -> u8 {
    match field.kind() {
        Kind::String | Kind::Bytes | Kind::Message(_) => 2,
        _ => 0,
    }
}
