//! Maps and traits: entries are collected, sorted by the bytes of their keys, and printed; of
//! equal keys the last one counts.

use ev_core::wire::{self, WireType};

use super::scalar::low;
use super::{WRONG_WIRE_TYPE, Walk, Walker, offset};
use crate::json;
use crate::sort::sort_by;
use crate::table::{Field, Kind};

/// A map entry as slices of the event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// First eight bytes of the key, big-endian: most comparisons need no more.
    prefix: u64,
    pub(super) key: (u32, u32),
    /// The value's bytes, or an int32 in the first part.
    pub(super) value: (u32, u32),
    pub(super) has_value: bool,
    /// Offset of the entry, which orders equal keys.
    pub(super) at: u32,
    /// Offset of the value's tag, or of the entry.
    pub(super) value_at: u32,
}

impl Walker<'_> {
    /// Reads the entry whose length stands at `*pos` and keeps it. As in gogo, the wire types of
    /// key and value are not looked at.
    pub(super) fn map_entry(&mut self, kind: Kind, buf: &[u8], pos: &mut usize, at: usize) -> Walk {
        let range = self.read(at, wire::len_delimited(buf, pos))?;
        let buf = &buf[..range.end];
        let mut pos = range.start;
        let mut entry = Entry {
            prefix: 0,
            key: (0, 0),
            value: (0, 0),
            has_value: false,
            at: offset(at),
            value_at: offset(at),
        };
        while pos < buf.len() {
            let field_at = pos;
            if kind != Kind::Struct {
                self.count_tag();
            }
            let raw = self.read(field_at, wire::varint(buf, &mut pos))?;
            match low(raw >> 3) {
                1 => {
                    let key = self.read(field_at, wire::len_delimited(buf, &mut pos))?;
                    entry.key = (offset(key.start), offset(key.end));
                }
                2 if kind == Kind::MapInt32 => {
                    let value = self.read(field_at, wire::varint(buf, &mut pos))?;
                    entry.value = (low(value), 0);
                }
                2 => {
                    // An earlier value is replaced, but its bytes must be well-formed.
                    if entry.has_value {
                        self.check_replaced(kind, entry.value)?;
                    }
                    let value = self.read(field_at, wire::len_delimited(buf, &mut pos))?;
                    entry.value = (offset(value.start), offset(value.end));
                    entry.has_value = true;
                    entry.value_at = offset(field_at);
                }
                _ => {
                    let kind = self.read(field_at, wire::wire_type(raw))?;
                    self.skip_unknown(buf, &mut pos, kind, field_at)?;
                }
            }
        }
        entry.prefix = prefix(self.event, entry.key);
        self.buffers.entries.push(entry);
        Ok(())
    }

    fn check_replaced(&mut self, kind: Kind, value: (u32, u32)) -> Walk {
        match kind {
            Kind::Struct => self.check_struct_value(value),
            Kind::Traits => self.string_values(value, false),
            _ => Ok(()),
        }
    }

    /// Sorts the entries from `first` on; equal keys stay in the event's order.
    pub(super) fn sort_entries(&mut self, first: usize) {
        let event = self.event;
        let key = |entry: &Entry| &event[entry.key.0 as usize..entry.key.1 as usize];
        sort_by(&mut self.buffers.entries[first..], |a, b| {
            a.prefix < b.prefix || a.prefix == b.prefix && (key(a), a.at) < (key(b), b.at)
        });
    }

    /// Whether the entry behind this one has the same key, so that this one does not count.
    pub(super) fn is_replaced(&self, index: usize, end: usize) -> bool {
        let entries = &self.buffers.entries;
        index + 1 < end && entries[index].prefix == entries[index + 1].prefix && {
            self.bytes(entries[index].key) == self.bytes(entries[index + 1].key)
        }
    }

    pub(super) fn bytes(&self, span: (u32, u32)) -> &[u8] {
        &self.event[span.0 as usize..span.1 as usize]
    }

    /// Prints the map whose entries were kept from `first` on.
    pub(super) fn map(&mut self, field: &Field, first: usize) {
        self.sort_entries(first);
        self.write_key(field);
        let open = self.out.len();
        let end = self.buffers.entries.len();
        for index in first..end {
            if self.is_replaced(index, end) {
                continue;
            }
            let entry = self.buffers.entries[index];
            self.entry_key(&entry);
            if field.kind == Kind::MapInt32 {
                json::write_i64(&mut self.out, i64::from(entry.value.0.cast_signed()));
            } else {
                self.string(entry.value);
            }
        }
        self.buffers.entries.truncate(first);
        self.close(open);
    }

    fn entry_key(&mut self, entry: &Entry) {
        self.out.push(b',');
        self.string(entry.key);
        self.out.push(b':');
    }

    /// Keeps the entries of a `wrappers.LabelValues`.
    pub(super) fn traits_entries(&mut self, buf: &[u8], mut pos: usize) -> Walk {
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.tag(buf, &mut pos)?;
            if number != 1 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Len {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            self.map_entry(Kind::Traits, buf, &mut pos, at)?;
        }
        Ok(())
    }

    /// Prints the traits whose entries were kept from `first` on; without entries they are absent.
    pub(super) fn traits(&mut self, field: &Field, first: usize) -> Walk {
        let end = self.buffers.entries.len();
        if first == end {
            let (start, end) = field.defaults;
            self.write_defaults(start, end);
            return Ok(());
        }
        self.sort_entries(first);
        self.write_key(field);
        let open = self.out.len();
        for index in first..end {
            let entry = self.buffers.entries[index];
            if self.is_replaced(index, end) {
                self.string_values(entry.value, false)?;
                continue;
            }
            self.entry_key(&entry);
            self.string_values(entry.value, true)?;
        }
        self.buffers.entries.truncate(first);
        self.close(open);
        Ok(())
    }

    /// A `wrappers.StringValues` as a list; `null` when it is empty.
    fn string_values(&mut self, span: (u32, u32), print: bool) -> Walk {
        let event = self.event;
        let buf = &event[..span.1 as usize];
        let mut pos = span.0 as usize;
        let mut separator = b'[';
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.tag(buf, &mut pos)?;
            if number != 1 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Len {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            let value = self.read(at, wire::len_delimited(buf, &mut pos))?;
            if print {
                self.out.push(separator);
                separator = b',';
                self.out.string(event, value.start, value.end);
            }
        }
        if print {
            let end: &[u8] = if separator == b'[' { b"null" } else { b"]" };
            self.out.extend_from_slice(end);
        }
        Ok(())
    }
}

/// The first eight bytes of a key, big-endian, filled up with zeros.
fn prefix(event: &[u8], (start, end): (u32, u32)) -> u64 {
    let len = end - start;
    let key = &event[start as usize..];
    match key.first_chunk() {
        _ if len == 0 => 0,
        Some(bytes) if len >= 8 => u64::from_be_bytes(*bytes),
        Some(bytes) => u64::from_be_bytes(*bytes) & !(u64::MAX >> (8 * len)),
        None => {
            // The last bytes of the event.
            let bytes = key.iter().take(len as usize).chain(&[0; 8]).take(8);
            bytes.fold(0, |prefix, byte| prefix << 8 | u64::from(*byte))
        }
    }
}
