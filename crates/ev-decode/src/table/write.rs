//! Writing a table from a description of its messages.

use std::collections::BTreeMap;

use super::{DuplicateKeys, FORMAT, Kind, MAGIC, NAMES_ID, SECTION_IDS, Slot};

/// A schema on its way into a table.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) version: String,
    pub(crate) duplicate_keys: DuplicateKeys,
    pub(crate) print_data: bool,
    pub(crate) with_names: bool,
    /// Referred-to messages first, the `OneOf` last.
    pub(crate) messages: Vec<Vec<DraftField>>,
    /// Keys of real oneofs.
    pub(crate) oneofs: Vec<String>,
    /// Values with their texts, rising.
    pub(crate) enums: Vec<Vec<(i32, String)>>,
}

/// A field on its way into a table.
#[derive(Clone, Debug)]
pub(crate) struct DraftField {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) slot: Slot,
    /// 0, or 1 + index of its oneof.
    pub(crate) oneof: u8,
    pub(crate) key: String,
    pub(crate) sub: u16,
}

impl Draft {
    /// The table's bytes; [`super::Table::parse`] has the last word on whether they are one.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = Text::default();
        let mut messages = Vec::new();
        let mut fields = Vec::new();
        let mut names = Vec::new();
        for message in &self.messages {
            messages.extend(saturating16(message.len()).to_le_bytes());
            for field in message {
                let (offset, len) = text.place(&field.key);
                fields.extend(field.number.to_le_bytes());
                fields.extend([field.kind as u8, field.flags, field.slot as u8, field.oneof]);
                fields.extend(offset.to_le_bytes());
                fields.extend(saturating16(len as usize).to_le_bytes());
                fields.extend(field.sub.to_le_bytes());
                names.push(u8::try_from(field.name.len()).unwrap_or(u8::MAX));
                names.extend(field.name.as_bytes());
            }
        }
        let mut oneofs = Vec::new();
        for key in &self.oneofs {
            let (offset, len) = text.place(key);
            oneofs.extend(offset.to_le_bytes());
            oneofs.extend(len.to_le_bytes());
        }
        let mut enums = Vec::new();
        for values in &self.enums {
            enums.extend(saturating16(values.len()).to_le_bytes());
            for (value, name) in values {
                let (offset, len) = text.place(name);
                enums.extend(value.to_le_bytes());
                enums.extend(offset.to_le_bytes());
                enums.extend(len.to_le_bytes());
            }
        }
        let duplicate_keys = match self.duplicate_keys {
            DuplicateKeys::Refuse => 0,
            DuplicateKeys::Cut => 1,
        };
        let rules = vec![duplicate_keys, u8::from(self.print_data), 0, 0];
        let version = self.version.clone().into_bytes();
        let required = [version, rules, messages, fields, oneofs, enums, text.bytes];
        let mut sections: Vec<_> = SECTION_IDS.zip(required).collect();
        if self.with_names {
            sections.push((NAMES_ID, names));
        }
        let mut table = MAGIC.to_vec();
        table.extend(FORMAT.to_le_bytes());
        table.extend(saturating(sections.len()).to_le_bytes());
        for (id, bytes) in &sections {
            table.extend(id.to_le_bytes());
            table.extend(saturating(bytes.len()).to_le_bytes());
        }
        for (_, bytes) in sections {
            table.extend(bytes);
        }
        table
    }
}

/// The text section; each text stands in it once.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    placed: BTreeMap<String, (u32, u32)>,
}

impl Text {
    fn place(&mut self, text: &str) -> (u32, u32) {
        if text.is_empty() {
            return (0, 0);
        }
        if let Some(place) = self.placed.get(text) {
            return *place;
        }
        let place = (saturating(self.bytes.len()), saturating(text.len()));
        self.bytes.extend(text.as_bytes());
        self.placed.insert(text.to_owned(), place);
        place
    }
}

/// Sizes beyond the format's limits are refused by the reader, which checks every table written.
fn saturating(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn saturating16(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
