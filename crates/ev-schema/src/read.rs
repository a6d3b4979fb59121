//! A table that the decoder took, taken apart for people.
//!
//! The layout is that of `ev_decode`, "Table format 1". Every index was checked when the decoder
//! read the table; here a wrong one is an error all the same.

use std::sync::Arc;

use ev_decode::Table;

use crate::Error;
use crate::kind::Kind;
use crate::schema::{Event, Field, Message, Schema};

const HEAD_LEN: usize = 16;
const ENTRY_LEN: usize = 8;
const FIELD_LEN: usize = 16;
const ENUM_VALUE_LEN: usize = 12;

const OMIT_EMPTY: u8 = 1;
const HIDDEN: u8 = 2;
const NULLABLE: u8 = 4;

pub(crate) fn read(bytes: &[u8], table: Arc<Table>) -> Result<Schema, Error> {
    let sections = sections(bytes)?;
    let [_, rules, messages, fields, oneofs, enums, text, ..] = sections[..] else {
        return Err(layout("sections"));
    };
    let [cuts, print_data, ..] = *rules else { return Err(layout("rules")) };
    let oneofs = oneofs.chunks_exact(8).map(|one| words(text, one, 0, u32_at(one, 4)?));
    let oneofs = oneofs.collect::<Result<Vec<_>, _>>()?;
    let mut rest = fields;
    let mut all: Vec<Message> = Vec::new();
    for count in messages.chunks_exact(2) {
        let len = usize::from(u16_at(count, 0)?) * FIELD_LEN;
        let (own, behind) = rest.split_at_checked(len).ok_or(layout("fields"))?;
        rest = behind;
        let own = own.chunks_exact(FIELD_LEN).map(|record| field(record, text, &oneofs));
        let fields = own.collect::<Result<Vec<Field>, _>>()?;
        if fields.iter().any(|field| field.kind.has_message() && field.sub >= all.len()) {
            return Err(layout("a reference"));
        }
        let has_free_keys = fields.iter().any(|field| {
            field.kind.has_free_keys() || field.kind.has_message() && all[field.sub].has_free_keys
        });
        all.push(Message { fields, has_free_keys });
    }
    let root = all.pop().ok_or(layout("no event types"))?;
    let mut events: Vec<Event> = root
        .fields
        .iter()
        .zip(table.cases())
        .map(|(field, (number, name))| Event {
            number,
            name: name.map_or_else(|| format!("#{number}"), str::to_owned),
            message: field.sub,
            is_named: name.is_some(),
        })
        .collect();
    events.sort_by_key(|event| event.number);
    Ok(Schema {
        version: table.auth_version().clone(),
        table,
        cuts: cuts != 0,
        print_data: print_data != 0,
        messages: all,
        enums: read_enums(enums, text)?,
        events,
    })
}

fn layout(what: &'static str) -> Error {
    Error::Layout { what }
}

fn sections(bytes: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let count = u32_at(bytes, 12)? as usize;
    let mut at = HEAD_LEN + count * ENTRY_LEN;
    let mut sections = Vec::new();
    for index in 0..count {
        let len = u32_at(bytes, HEAD_LEN + index * ENTRY_LEN + 4)? as usize;
        let section = bytes.get(at..at.saturating_add(len)).ok_or(layout("a section"))?;
        at += len;
        sections.push(section);
    }
    Ok(sections)
}

fn field(record: &[u8], text: &[u8], oneofs: &[String]) -> Result<Field, Error> {
    let [_, _, _, _, kind, flags, fact, oneof, ..] = *record else { return Err(layout("a field")) };
    let oneof = match usize::from(oneof).checked_sub(1) {
        Some(index) => Some(oneofs.get(index).cloned().ok_or(layout("a oneof"))?),
        None => None,
    };
    Ok(Field {
        number: u32_at(record, 0)?,
        kind: Kind::from_number(kind).ok_or(layout("a kind of field"))?,
        omit_empty: flags & OMIT_EMPTY != 0,
        hidden: flags & HIDDEN != 0,
        nullable: flags & NULLABLE != 0,
        fact,
        oneof,
        key: words(text, record, 8, u32::from(u16_at(record, 12)?))?,
        sub: usize::from(u16_at(record, 14)?),
    })
}

fn read_enums(mut bytes: &[u8], text: &[u8]) -> Result<Vec<Vec<(i32, String)>>, Error> {
    let mut enums = Vec::new();
    while !bytes.is_empty() {
        let len = usize::from(u16_at(bytes, 0)?) * ENUM_VALUE_LEN;
        let values = bytes.get(2..2 + len).ok_or(layout("enum texts"))?;
        bytes = &bytes[2 + len..];
        let value = |value: &[u8]| {
            let text = words(text, value, 4, u32_at(value, 8)?)?;
            Ok((u32_at(value, 0)?.cast_signed(), text))
        };
        enums.push(values.chunks_exact(ENUM_VALUE_LEN).map(value).collect::<Result<_, Error>>()?);
    }
    Ok(enums)
}

/// The text whose offset stands at `at` of `record`. Keys need no escape, so they are the text.
fn words(text: &[u8], record: &[u8], at: usize, len: u32) -> Result<String, Error> {
    let start = u32_at(record, at)? as usize;
    let bytes = text.get(start..start.saturating_add(len as usize)).ok_or(layout("a text"))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Error> {
    let number = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    number.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(layout("its length"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Error> {
    let number = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    number.map(|bytes| u16::from_le_bytes(*bytes)).ok_or(layout("its length"))
}
