//! Names of the fields that lead to an offset, for people who read a report.

use ev_core::peek;
use ev_core::wire::{self, WireType};

use crate::table::{Kind, Table};

/// Levels after which a path stops, as in [`peek::number_path`].
const MAX_LEVELS: usize = 64;

/// A message on the way.
#[derive(Clone, Copy)]
enum Level {
    Message(usize),
    Time,
    Wrapper,
    Entry(Inside),
    Struct,
    Value,
    List,
    Traits,
    StringValues,
    /// Bytes, text, or what the schema does not know.
    Opaque,
}

/// What the value of a map entry is.
#[derive(Clone, Copy)]
enum Inside {
    Text,
    Number,
    Value,
    StringValues,
}

/// The field whose tag stands at `at`, as names from the `OneOf` down, and numbers where the
/// schema has none: `UserLogin.Metadata.4321`. Field numbers alone when the table has no names.
pub(crate) fn path(table: &Table, event: &[u8], at: u32) -> String {
    if table.name(0).is_none() {
        return peek::number_path(event, at);
    }
    let at = at as usize;
    let mut path = String::new();
    let mut level = Level::Message(table.messages.len() - 1);
    let mut buf = event;
    let (mut pos, mut levels) = (0, 0);
    while pos < buf.len() && pos <= at {
        let start = pos;
        let Ok(raw) = wire::varint(buf, &mut pos) else { break };
        let number = u32::try_from((raw >> 3) & u64::from(u32::MAX)).unwrap_or_default();
        // In a map entry gogo does not look at the wire types of key and value.
        let kind = match (level, number) {
            (Level::Entry(Inside::Number), 2) => Ok(WireType::Varint),
            (Level::Entry(_), 1 | 2) => Ok(WireType::Len),
            _ => wire::wire_type(raw),
        };
        let skipped = kind.and_then(|kind| {
            if kind == WireType::Len {
                return wire::len_delimited(buf, &mut pos).map(Some);
            }
            wire::skip(buf, &mut pos, kind).map(|()| None)
        });
        if start != at && skipped.is_ok() && pos <= at {
            continue;
        }
        if levels == MAX_LEVELS {
            path.push_str(".…");
            break;
        }
        levels += 1;
        if !path.is_empty() {
            path.push('.');
        }
        let (name, inside) = field(table, level, number);
        match name {
            Some(name) => path.push_str(name),
            None => path.push_str(&number.to_string()),
        }
        match skipped {
            Ok(Some(range)) if start != at => {
                pos = range.start;
                buf = &buf[..range.end];
                level = inside;
            }
            _ => break,
        }
    }
    path
}

/// Name of a field and what its bytes are.
fn field(table: &Table, level: Level, number: u32) -> (Option<&str>, Level) {
    let known = |name, level| (Some(name), level);
    match (level, number) {
        (Level::Message(index), _) => {
            let message = &table.messages[index];
            let Some(place) = table.place(message, number) else { return (None, Level::Opaque) };
            let index = message.first as usize + place;
            let field = &table.fields[index];
            let inside = match field.kind {
                Kind::Embed | Kind::Message | Kind::Messages => {
                    Level::Message(usize::from(field.sub))
                }
                Kind::Time => Level::Time,
                Kind::Uint32Value | Kind::Uint64Value => Level::Wrapper,
                Kind::MapString => Level::Entry(Inside::Text),
                Kind::MapInt32 => Level::Entry(Inside::Number),
                Kind::Struct => Level::Struct,
                Kind::Traits => Level::Traits,
                _ => Level::Opaque,
            };
            (table.name(index), inside)
        }
        (Level::Time, 1) => known("seconds", Level::Opaque),
        (Level::Time, 2) => known("nanos", Level::Opaque),
        (Level::Wrapper, 1) => known("value", Level::Opaque),
        (Level::Struct, 1) => known("fields", Level::Entry(Inside::Value)),
        (Level::Traits, 1) => known("Values", Level::Entry(Inside::StringValues)),
        (Level::StringValues, 1) => known("Values", Level::Opaque),
        (Level::List, 1) => known("values", Level::Value),
        (Level::Entry(_), 1) => known("key", Level::Opaque),
        (Level::Entry(Inside::Text | Inside::Number), 2) => known("value", Level::Opaque),
        (Level::Entry(Inside::Value), 2) => known("value", Level::Value),
        (Level::Entry(Inside::StringValues), 2) => known("value", Level::StringValues),
        (Level::Value, 1) => known("null_value", Level::Opaque),
        (Level::Value, 2) => known("number_value", Level::Opaque),
        (Level::Value, 3) => known("string_value", Level::Opaque),
        (Level::Value, 4) => known("bool_value", Level::Opaque),
        (Level::Value, 5) => known("struct_value", Level::Struct),
        (Level::Value, 6) => known("list_value", Level::List),
        _ => (None, Level::Opaque),
    }
}
