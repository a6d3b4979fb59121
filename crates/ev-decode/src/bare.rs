//! The least that any decoder has to do: read every tag of an event, at all levels.

#![cfg_attr(not(feature = "bare-walk"), allow(unreachable_pub, reason = "public with the feature"))]

use ev_core::wire::{self, WireType};

use crate::Table;
use crate::table::{Kind, Message};

/// Reads every tag of a serialised `events.OneOf` at all levels, looks each up in the table, and
/// writes nothing: what a transcoder can be measured against.
///
/// Returns how many tags there were; `None` if the bytes are malformed. Contents of
/// `google.protobuf.Struct` and of fields that the schema lacks are stepped over as a whole.
pub fn bare_walk(table: &Table, event: &[u8]) -> Option<u32> {
    message(table, table.root(), event)
}

fn message(table: &Table, message: &Message, buf: &[u8]) -> Option<u32> {
    let fields = table.fields_of(message);
    let mut tags = 0;
    let mut pos = 0;
    while pos < buf.len() {
        let (number, wire_type) = wire::tag(buf, &mut pos).ok()?;
        tags += 1;
        let field = table.place(message, number).map(|place| &fields[place]);
        let Some(field) = field.filter(|_| wire_type == WireType::Len) else {
            wire::skip(buf, &mut pos, wire_type).ok()?;
            continue;
        };
        let value = &buf[wire::len_delimited(buf, &mut pos).ok()?];
        tags += match field.kind {
            Kind::Embed | Kind::Message | Kind::Messages => {
                self::message(table, &table.messages[usize::from(field.sub)], value)?
            }
            Kind::Time
            | Kind::MapString
            | Kind::MapInt32
            | Kind::Uint32Value
            | Kind::Uint64Value => flat(value, 0)?,
            Kind::Traits => flat(value, 2)?,
            _ => 0,
        };
    }
    Some(tags)
}

/// The tags of a message without a table, `levels` of messages in it included.
fn flat(buf: &[u8], levels: u8) -> Option<u32> {
    let mut tags = 0;
    let mut pos = 0;
    while pos < buf.len() {
        let (number, wire_type) = wire::tag(buf, &mut pos).ok()?;
        tags += 1;
        if wire_type != WireType::Len {
            wire::skip(buf, &mut pos, wire_type).ok()?;
            continue;
        }
        let value = &buf[wire::len_delimited(buf, &mut pos).ok()?];
        // Of a trait's entry the key is text, the value a list.
        if levels == 2 || levels == 1 && number == 2 {
            tags += flat(value, levels - 1)?;
        }
    }
    Some(tags)
}
