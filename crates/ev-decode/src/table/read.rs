//! Reading a table: everything is checked here, so that nothing has to be checked later.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use ev_core::AuthVersion;
use sha2::{Digest, Sha256};

use crate::sort::sort_by;

use super::{
    BLOCK_LEN, DENSE_LIMIT, DuplicateKeys, FIELD_LEN, FORMAT, Field, HIDDEN, Kind, MAGIC,
    MAX_CASES, MAX_DEFAULTS_LEN, MAX_FIELDS, MAX_LEVELS, MAX_MESSAGE_FIELDS, MAX_MESSAGES,
    MAX_TABLE_LEN, Message, NAMES_ID, NULLABLE, OMIT_EMPTY, SECTION_IDS, Slot, Table,
};
use crate::TableError;

pub(super) fn parse(bytes: Cow<'static, [u8]>) -> Result<Table, TableError> {
    let sections = Sections::read(&bytes)?;
    let (duplicate_keys, print_data) = rules(sections.rules)?;
    check_text(sections.text)?;
    let enums = Enums::read(sections.enums, sections.text.len())?;
    let mut builder = Builder {
        text: sections.text,
        oneofs: oneofs(sections.oneofs, sections.text.len())?,
        enums: &enums,
        messages: Vec::with_capacity(sections.messages.len() / 2),
        levels: Vec::with_capacity(sections.messages.len() / 2),
        fields: Vec::with_capacity(sections.fields.len() / FIELD_LEN),
        dense: Vec::with_capacity(sections.fields.len() / FIELD_LEN * 2),
        sparse: Vec::new(),
        keys: Vec::with_capacity(sections.fields.len() * 2),
        defaults: Vec::with_capacity(sections.fields.len()),
    };
    builder.build(sections.messages, sections.fields)?;
    let Builder { messages, fields, dense, sparse, mut keys, mut defaults, .. } = builder;
    // The walk copies these texts in blocks.
    keys.extend([0; BLOCK_LEN]);
    defaults.extend([0; BLOCK_LEN]);
    let text = sections.text_place();
    let version = version(sections.version)?;
    let names = sections.names.map(|names| read_names(names, fields.len())).transpose()?;
    Ok(Table {
        version,
        digest: OnceLock::new(),
        duplicate_keys,
        print_data,
        names,
        messages,
        fields,
        dense,
        sparse,
        keys,
        defaults,
        enums: enums.ranges,
        enum_values: enums.values,
        text,
        bytes,
    })
}

/// The digest of a table that was read; of nothing for anything else.
pub(super) fn digest(table: &[u8]) -> [u8; 32] {
    Sections::read(table).map_or_else(|_| Sha256::digest(b"").into(), |sections| sections.digest())
}

/// A table without its names of fields, which nothing but messages to people needs. Its schema and
/// digest are the same. Bytes that are no table come back as they are.
pub fn without_names(table: &[u8]) -> Cow<'_, [u8]> {
    let Ok(Sections { names: Some(names), .. }) = Sections::read(table) else {
        return Cow::Borrowed(table);
    };
    // The last section, and the last entry of the directory.
    let (entry, rest) = (HEAD_LEN + 7 * ENTRY_LEN, HEAD_LEN + 8 * ENTRY_LEN);
    let mut short = table[..entry].to_vec();
    short[HEAD_LEN - 4..HEAD_LEN].copy_from_slice(&7u32.to_le_bytes());
    short.extend_from_slice(&table[rest..table.len() - names.len()]);
    Cow::Owned(short)
}

const HEAD_LEN: usize = 16;
const ENTRY_LEN: usize = 8;

/// The sections as slices of the table's bytes.
struct Sections<'a> {
    version: &'a [u8],
    rules: &'a [u8],
    messages: &'a [u8],
    fields: &'a [u8],
    oneofs: &'a [u8],
    enums: &'a [u8],
    text: &'a [u8],
    names: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, TableError> {
        if bytes.len() > MAX_TABLE_LEN {
            return Err(TableError::TooLarge { what: "table" });
        }
        let head = bytes.get(..HEAD_LEN).ok_or(TableError::NotATable)?;
        if &head[..8] != MAGIC {
            return Err(TableError::NotATable);
        }
        let format = u32_at(head, 8);
        if format != FORMAT {
            return Err(TableError::Format { found: format });
        }
        let count = u32_at(head, 12) as usize;
        if !(7..=8).contains(&count) {
            return Err(TableError::Layout { what: "number of sections" });
        }
        let directory = bytes.get(HEAD_LEN..HEAD_LEN + count * ENTRY_LEN);
        let directory = directory.ok_or(TableError::Layout { what: "directory" })?;
        let mut rest = &bytes[HEAD_LEN + directory.len()..];
        let mut slices = Vec::with_capacity(count);
        for (entry, expected) in
            directory.chunks_exact(ENTRY_LEN).zip(SECTION_IDS.chain([NAMES_ID]))
        {
            if u32_at(entry, 0) != expected {
                return Err(TableError::Layout { what: "section id" });
            }
            let len = u32_at(entry, 4) as usize;
            let (slice, behind) =
                rest.split_at_checked(len).ok_or(TableError::Layout { what: "section length" })?;
            slices.push(slice);
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(TableError::Layout { what: "bytes behind the last section" });
        }
        let [version, rules, messages, fields, oneofs, enums, text] = slices[..7] else {
            return Err(TableError::Layout { what: "number of sections" });
        };
        let names = slices.get(7).copied();
        Ok(Self { version, rules, messages, fields, oneofs, enums, text, names })
    }

    /// Where the text stands in the table.
    fn text_place(&self) -> Range<usize> {
        // The directory has as many entries as there are sections, which stand without gaps.
        let count = if self.names.is_some() { 8 } else { 7 };
        let before =
            [self.version, self.rules, self.messages, self.fields, self.oneofs, self.enums];
        let start = HEAD_LEN + count * ENTRY_LEN + before.iter().map(|s| s.len()).sum::<usize>();
        start..start + self.text.len()
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(FORMAT.to_le_bytes());
        let sections = [self.rules, self.messages, self.fields, self.oneofs, self.enums, self.text];
        for (id, bytes) in SECTION_IDS.skip(1).zip(sections) {
            hash.update(id.to_le_bytes());
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }
}

fn version(bytes: &[u8]) -> Result<AuthVersion, TableError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if (1..=64).contains(&text.len()) && bytes.iter().all(u8::is_ascii_graphic) => {
            Ok(AuthVersion::new(text))
        }
        _ => Err(TableError::Layout { what: "version" }),
    }
}

fn rules(bytes: &[u8]) -> Result<(DuplicateKeys, bool), TableError> {
    let [duplicate_keys, print_data, 0, 0] = *bytes else {
        return Err(TableError::Layout { what: "rules" });
    };
    let duplicate_keys = match duplicate_keys {
        0 => DuplicateKeys::Refuse,
        1 => DuplicateKeys::Cut,
        _ => return Err(TableError::Layout { what: "rule for duplicate keys" }),
    };
    let print_data = match print_data {
        0 => false,
        1 => true,
        _ => return Err(TableError::Layout { what: "rule for print data" }),
    };
    Ok((duplicate_keys, print_data))
}

/// Keys are written as they are, so whatever part of the text a key names must be the inside of a
/// JSON string: no quote, no backslash (Go's keys need none), no control character, valid UTF-8.
fn check_text(text: &[u8]) -> Result<(), TableError> {
    let bad = |byte: &u8| !(0x20..0x7f).contains(byte) || matches!(byte, b'"' | b'\\');
    if text.iter().any(bad) {
        return Err(TableError::Layout { what: "text" });
    }
    Ok(())
}

fn text_range(offset: u32, len: u32, text_len: usize) -> Result<Range<usize>, TableError> {
    let start = offset as usize;
    let end = start.checked_add(len as usize).filter(|end| *end <= text_len);
    end.map(|end| start..end).ok_or(TableError::Layout { what: "text offset" })
}

fn oneofs(bytes: &[u8], text_len: usize) -> Result<Vec<Range<usize>>, TableError> {
    if !bytes.len().is_multiple_of(8) || bytes.len() / 8 > 255 {
        return Err(TableError::Layout { what: "oneofs" });
    }
    bytes.chunks_exact(8).map(|one| text_range(u32_at(one, 0), u32_at(one, 4), text_len)).collect()
}

struct Enums {
    ranges: Vec<Range<usize>>,
    values: Vec<(i32, Range<usize>)>,
}

impl Enums {
    fn read(mut bytes: &[u8], text_len: usize) -> Result<Self, TableError> {
        let bad = || TableError::Layout { what: "enum texts" };
        let mut enums = Self { ranges: Vec::new(), values: Vec::new() };
        while !bytes.is_empty() {
            let (count, rest) = bytes.split_at_checked(2).ok_or_else(bad)?;
            let count = usize::from(u16_at(count, 0));
            let (list, rest) = rest.split_at_checked(count * 12).ok_or_else(bad)?;
            bytes = rest;
            let first = enums.values.len();
            for value in list.chunks_exact(12) {
                let text = text_range(u32_at(value, 4), u32_at(value, 8), text_len)?;
                let number = u32_at(value, 0).cast_signed();
                if enums.values[first..].last().is_some_and(|(before, _)| *before >= number) {
                    return Err(bad());
                }
                enums.values.push((number, text));
            }
            // The text of 0 is what an absent field prints.
            if !enums.values[first..].iter().any(|(number, _)| *number == 0) {
                return Err(bad());
            }
            enums.ranges.push(first..enums.values.len());
        }
        Ok(enums)
    }

    fn zero(&self, which: u16) -> Option<Range<usize>> {
        let values = &self.values[self.ranges.get(usize::from(which))?.clone()];
        values.iter().find(|(number, _)| *number == 0).map(|(_, text)| text.clone())
    }
}

fn read_names(mut bytes: &[u8], fields: usize) -> Result<Vec<Box<str>>, TableError> {
    let bad = || TableError::Layout { what: "names" };
    let mut names = Vec::with_capacity(fields);
    for _ in 0..fields {
        let (&len, rest) = bytes.split_first().ok_or_else(bad)?;
        let (name, rest) = rest.split_at_checked(usize::from(len)).ok_or_else(bad)?;
        if !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return Err(bad());
        }
        names.push(std::str::from_utf8(name).map_err(|_| bad())?.into());
        bytes = rest;
    }
    if bytes.is_empty() { Ok(names) } else { Err(bad()) }
}

/// A field record as it stands in the table.
struct Record {
    number: u32,
    kind: Kind,
    flags: u8,
    slot: Slot,
    oneof: u8,
    key: Range<usize>,
    sub: u16,
}

impl Record {
    fn read(bytes: &[u8], text_len: usize) -> Result<Self, TableError> {
        let bad = |what| TableError::Layout { what };
        let number = u32_at(bytes, 0);
        if number == 0 || number > i32::MAX.unsigned_abs() {
            return Err(bad("field number"));
        }
        let kind = Kind::from_number(bytes[4]).ok_or(bad("kind"))?;
        let flags = bytes[5];
        if flags & !(OMIT_EMPTY | HIDDEN | NULLABLE) != 0 {
            return Err(bad("flags"));
        }
        let slot = Slot::from_number(bytes[6]).ok_or(bad("fact"))?;
        if slot.kind().is_some_and(|needed| needed != kind) {
            return Err(bad("fact"));
        }
        let oneof = bytes[7];
        if oneof != 0 && (kind != Kind::Message || flags & HIDDEN != 0) {
            return Err(bad("oneof"));
        }
        let key = text_range(u32_at(bytes, 8), u32::from(u16_at(bytes, 12)), text_len)?;
        if kind == Kind::Embed && flags & HIDDEN != 0 {
            return Err(bad("flags"));
        }
        let sub = u16_at(bytes, 14);
        if sub != 0 && !kind.has_message() && kind != Kind::EnumText {
            return Err(bad("reference"));
        }
        Ok(Self { number, kind, flags, slot, oneof, key, sub })
    }
}

struct Builder<'a> {
    text: &'a [u8],
    oneofs: Vec<Range<usize>>,
    enums: &'a Enums,
    messages: Vec<Message>,
    /// Levels of messages below and including each message.
    levels: Vec<u8>,
    fields: Vec<Field>,
    dense: Vec<u16>,
    sparse: Vec<(u32, u16)>,
    keys: Vec<u8>,
    defaults: Vec<u8>,
}

impl Builder<'_> {
    fn build(&mut self, messages: &[u8], fields: &[u8]) -> Result<(), TableError> {
        if messages.is_empty() || !messages.len().is_multiple_of(2) {
            return Err(TableError::Layout { what: "messages" });
        }
        if messages.len() / 2 > MAX_MESSAGES {
            return Err(TableError::TooLarge { what: "number of messages" });
        }
        if !fields.len().is_multiple_of(FIELD_LEN) {
            return Err(TableError::Layout { what: "fields" });
        }
        if fields.len() / FIELD_LEN > MAX_FIELDS {
            return Err(TableError::TooLarge { what: "number of fields" });
        }
        let last = messages.len() / 2 - 1;
        let mut rest = fields;
        let mut records = Vec::new();
        for (index, count) in messages.chunks_exact(2).enumerate() {
            let count = u16_at(count, 0);
            let limit = if index == last { MAX_CASES } else { MAX_MESSAGE_FIELDS };
            if usize::from(count) > limit {
                return Err(TableError::TooLarge { what: "message" });
            }
            let (own, behind) = rest
                .split_at_checked(usize::from(count) * FIELD_LEN)
                .ok_or(TableError::Layout { what: "fields" })?;
            rest = behind;
            records.clear();
            for bytes in own.chunks_exact(FIELD_LEN) {
                records.push(Record::read(bytes, self.text.len())?);
            }
            if index == last {
                let plain = |r: &Record| {
                    r.kind == Kind::Message
                        && r.slot == Slot::None
                        && r.oneof == 0
                        && r.flags == HIDDEN
                };
                if !records.iter().all(plain) {
                    return Err(TableError::Layout { what: "event type" });
                }
            }
            self.message(&records)?;
        }
        if !rest.is_empty() {
            return Err(TableError::Layout { what: "fields" });
        }
        Ok(())
    }

    fn message(&mut self, records: &[Record]) -> Result<(), TableError> {
        let first = narrow(self.fields.len())?;
        let defaults = narrow(self.defaults.len())?;
        let mut levels = 0;
        let mut place = 0;
        while place < records.len() {
            // A oneof's members share one place: they stand together and are absent together.
            let oneof = records[place].oneof;
            let group = records[place..]
                .iter()
                .take_while(|record| oneof != 0 && record.oneof == oneof)
                .count()
                .max(1);
            let behind = place + group;
            if oneof != 0 && records[behind..].iter().any(|record| record.oneof == oneof) {
                return Err(TableError::Layout { what: "oneof" });
            }
            let absent = narrow(self.defaults.len())?;
            self.write_default(&records[place])?;
            let absent = (absent, narrow(self.defaults.len())?);
            for record in &records[place..behind] {
                levels = levels.max(self.levels_below(record)?);
                let key = self.write_key(record)?;
                self.fields.push(Field {
                    kind: record.kind,
                    flags: record.flags,
                    slot: record.slot,
                    oneof: oneof != 0,
                    tag: u64::from(record.number) << 3 | record.kind.wire_type() as u64,
                    sub: record.sub,
                    first: narrow16(place)?,
                    after: narrow16(behind)?,
                    key,
                    defaults: absent,
                });
            }
            place = behind;
        }
        if levels >= MAX_LEVELS {
            return Err(TableError::TooLarge { what: "nesting of messages" });
        }
        let (dense, sparse) = self.index(records)?;
        self.levels.push(levels + 1);
        self.messages.push(Message {
            first,
            count: narrow16(records.len())?,
            dense,
            sparse,
            defaults: (defaults, narrow(self.defaults.len())?),
            print_data: records.iter().any(|record| record.slot == Slot::PrintData),
        });
        Ok(())
    }

    fn levels_below(&self, record: &Record) -> Result<u8, TableError> {
        let bad = TableError::Layout { what: "reference" };
        if record.kind.has_message() {
            // Only messages already built: recursion cannot be expressed.
            return self.levels.get(usize::from(record.sub)).copied().ok_or(bad);
        }
        if record.kind == Kind::EnumText && usize::from(record.sub) >= self.enums.ranges.len() {
            return Err(bad);
        }
        Ok(0)
    }

    /// Field numbers to places: by index for small numbers, by search for large ones.
    #[expect(clippy::type_complexity, reason = "two pairs of offsets")]
    fn index(&mut self, records: &[Record]) -> Result<((u32, u32), (u32, u32)), TableError> {
        let dense_len = records
            .iter()
            .map(|record| record.number)
            .filter(|number| *number < DENSE_LIMIT)
            .max()
            .map_or(0, |largest| largest + 1);
        let dense = self.dense.len();
        let sparse = self.sparse.len();
        self.dense.resize(dense + dense_len as usize, 0);
        for (place, record) in records.iter().enumerate() {
            if record.number < DENSE_LIMIT {
                let entry = &mut self.dense[dense + record.number as usize];
                if *entry != 0 {
                    return Err(TableError::Layout { what: "field number" });
                }
                *entry = narrow16(place + 1)?;
            } else {
                self.sparse.push((record.number, narrow16(place)?));
            }
        }
        sort_by(&mut self.sparse[sparse..], |a, b| a < b);
        if self.sparse[sparse..].windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(TableError::Layout { what: "field number" });
        }
        Ok(((narrow(dense)?, dense_len), (narrow(sparse)?, narrow(self.sparse.len())?)))
    }

    fn oneof_key(&self, record: &Record) -> Result<Option<Range<usize>>, TableError> {
        let Some(index) = usize::from(record.oneof).checked_sub(1) else { return Ok(None) };
        let key = self.oneofs.get(index).cloned();
        key.map(Some).ok_or(TableError::Layout { what: "oneof" })
    }

    /// `,"key":`, or `,"Oneof":{"member":`.
    fn write_key(&mut self, record: &Record) -> Result<(u32, u32), TableError> {
        let start = narrow(self.keys.len())?;
        if record.kind != Kind::Embed && record.flags & HIDDEN == 0 {
            if let Some(oneof) = self.oneof_key(record)? {
                self.keys.extend_from_slice(b",\"");
                self.keys.extend_from_slice(&self.text[oneof]);
                self.keys.extend_from_slice(b"\":{\"");
            } else {
                self.keys.extend_from_slice(b",\"");
            }
            self.keys.extend_from_slice(&self.text[record.key.clone()]);
            self.keys.extend_from_slice(b"\":");
        }
        if self.keys.len() > MAX_TABLE_LEN {
            return Err(TableError::TooLarge { what: "keys" });
        }
        Ok((start, narrow(self.keys.len())?))
    }

    /// What stands in the JSON when the field is not on the wire.
    fn write_default(&mut self, record: &Record) -> Result<(), TableError> {
        let sub = self.messages.get(usize::from(record.sub)).map(|message| message.defaults);
        let hidden = record.flags & HIDDEN != 0;
        let nullable = record.flags & NULLABLE != 0;
        let omit = record.flags & OMIT_EMPTY != 0;
        let out = &mut self.defaults;
        if record.kind == Kind::Embed {
            let (start, end) = sub.ok_or(TableError::Layout { what: "reference" })?;
            if !nullable {
                out.extend_from_within(start as usize..end as usize);
            }
        } else if let Some(oneof) = usize::from(record.oneof).checked_sub(1) {
            let key = self.oneofs.get(oneof).ok_or(TableError::Layout { what: "oneof" })?;
            out.extend_from_slice(b",\"");
            out.extend_from_slice(&self.text[key.clone()]);
            out.extend_from_slice(b"\":null");
        } else if !hidden && (!omit || never_empty(record.kind, nullable)) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(&self.text[record.key.clone()]);
            out.extend_from_slice(b"\":");
            match record.kind {
                Kind::String => out.extend_from_slice(b"\"\""),
                Kind::Bool => out.extend_from_slice(b"false"),
                Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => out.push(b'0'),
                Kind::EnumText => {
                    let zero = self.enums.zero(record.sub);
                    let zero = zero.ok_or(TableError::Layout { what: "reference" })?;
                    out.push(b'"');
                    out.extend_from_slice(&self.text[zero]);
                    out.push(b'"');
                }
                Kind::Time if !nullable => out.extend_from_slice(b"\"0001-01-01T00:00:00Z\""),
                Kind::Message if !nullable => {
                    let (start, end) = sub.ok_or(TableError::Layout { what: "reference" })?;
                    out.push(b'{');
                    // The first member's comma is left out.
                    if start < end {
                        out.extend_from_within(start as usize + 1..end as usize);
                    }
                    out.push(b'}');
                }
                _ => out.extend_from_slice(b"null"),
            }
        }
        if self.defaults.len() > MAX_DEFAULTS_LEN {
            return Err(TableError::TooLarge { what: "defaults" });
        }
        Ok(())
    }
}

/// Go's `omitempty` never drops a struct, and a `time.Time` is one.
fn never_empty(kind: Kind, nullable: bool) -> bool {
    !nullable && matches!(kind, Kind::Time | Kind::Message)
}

fn narrow(n: usize) -> Result<u32, TableError> {
    u32::try_from(n).map_err(|_| TableError::TooLarge { what: "table" })
}

fn narrow16(n: usize) -> Result<u16, TableError> {
    u16::try_from(n).map_err(|_| TableError::TooLarge { what: "message" })
}

/// The caller has cut `bytes` to a record that holds the number.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
