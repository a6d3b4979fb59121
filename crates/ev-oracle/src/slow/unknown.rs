//! The first field that the descriptors lack, at any depth: by the descriptors alone, without
//! anything that Go makes of them.

use std::ops::Range;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::wire::{Malformed, Reader};

/// Offset of the field's tag, and the names that lead to its number.
pub(super) fn first(
    one_of: &MessageDescriptor,
    event: &[u8],
) -> Result<Option<(usize, String)>, Malformed> {
    Ok(message(one_of, event, 0..event.len())?.map(|(at, path)| (at, path.join("."))))
}

fn message(
    descriptor: &MessageDescriptor,
    event: &[u8],
    range: Range<usize>,
) -> Result<Option<(usize, Vec<String>)>, Malformed> {
    let mut reader = Reader::new(event, range);
    while let Some(at) = reader.next() {
        let (number, wire) =
            if descriptor.is_map_entry() { reader.entry_tag()? } else { reader.tag()? };
        let Some(field) = descriptor.get_field(number) else {
            reader.skip(wire)?;
            return Ok(Some((at, vec![number.to_string()])));
        };
        // Entries' keys and values are read as what they are declared, whatever the tag says.
        let wire = if descriptor.is_map_entry() { declared_wire(&field) } else { wire };
        match field.kind() {
            Kind::Message(inner) if wire == 2 => {
                let found = message(&inner, event, reader.bytes()?)?;
                if let Some((at, mut path)) = found {
                    path.insert(0, field.name().to_owned());
                    return Ok(Some((at, path)));
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
