//! `google.protobuf.Struct` as a plain object, walked with a stack of its own: an event may nest
//! it as deep as it is long.

use ev_core::JsonDouble;
use ev_core::wire::{self, WireType};

use super::{WRONG_WIRE_TYPE, Walk, Walker};
use crate::table::{Field, Kind};

/// An object or list that is being printed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame {
    /// Entries `next..end` of the kept ones are still to be printed; they are dropped down to
    /// `first` at the end.
    Object { first: usize, next: usize, end: usize },
    /// The rest of a `ListValue`.
    List { pos: usize, end: usize, empty: bool },
}

/// A message that is being checked without being printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    message: Checked,
    pos: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
enum Checked {
    Struct,
    Entry,
    Value,
    List,
}

/// The kind that a `Value` has; of several the last one counts.
#[derive(Clone, Copy)]
enum Value {
    None,
    Null,
    Number(f64),
    String(usize, usize),
    Bool(bool),
    Struct(usize, usize),
    List(usize, usize),
}

impl Walker<'_> {
    /// Keeps the entries of a `Struct`.
    pub(super) fn struct_entries(&mut self, buf: &[u8], mut pos: usize) -> Walk {
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
            if number != 1 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Len {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            self.map_entry(Kind::Struct, buf, &mut pos, at)?;
        }
        Ok(())
    }

    /// Prints the struct whose entries were kept from `first` on.
    pub(super) fn structure(&mut self, field: &Field, first: usize) -> Walk {
        self.write_key(field);
        self.open_object(first);
        while let Some(frame) = self.buffers.frames.pop() {
            match frame {
                Frame::Object { first, next, end } if next == end => {
                    self.buffers.entries.truncate(first);
                    self.out.push(b'}');
                }
                Frame::Object { first, next, end } => {
                    let entry = self.buffers.entries[next];
                    self.buffers.frames.push(Frame::Object { first, next: next + 1, end });
                    if self.is_replaced(next, end) {
                        if entry.has_value {
                            self.check_struct_value(entry.value)?;
                        }
                        continue;
                    }
                    // Behind the brace there is no comma; entries in front may not count.
                    if self.out.last() != Some(b'{') {
                        self.out.push(b',');
                    }
                    self.string(entry.key);
                    self.out.push(b':');
                    if entry.has_value {
                        let (start, end) = (entry.value.0 as usize, entry.value.1 as usize);
                        self.struct_value(start, end, entry.value_at as usize)?;
                    } else {
                        self.unprintable(entry.at as usize, "map entry without a value");
                        self.out.extend_from_slice(b"null");
                    }
                }
                Frame::List { pos, end, empty } => self.list_value(pos, end, empty)?,
            }
            if self.quiet {
                self.out.clear();
            }
        }
        Ok(())
    }

    fn open_object(&mut self, first: usize) {
        self.sort_entries(first);
        let end = self.buffers.entries.len();
        self.out.push(b'{');
        self.buffers.frames.push(Frame::Object { first, next: first, end });
    }

    /// The next element of a `ListValue`, or its end.
    fn list_value(&mut self, mut pos: usize, end: usize, empty: bool) -> Walk {
        let event = self.event;
        let buf = &event[..end];
        while pos < end {
            let at = pos;
            let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
            if number != 1 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Len {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            let value = self.read(at, wire::len_delimited(buf, &mut pos))?;
            if !empty {
                self.out.push(b',');
            }
            self.buffers.frames.push(Frame::List { pos, end, empty: false });
            return self.struct_value(value.start, value.end, at);
        }
        self.out.push(b']');
        Ok(())
    }

    /// Prints a `Value`, or the beginning of one that has others inside.
    fn struct_value(&mut self, start: usize, end: usize, at: usize) -> Walk {
        let event = self.event;
        match self.value_kind(start, end)? {
            (Value::None, _) => {
                self.unprintable(at, "value without a kind");
                self.out.extend_from_slice(b"null");
            }
            (Value::Null, _) => self.out.extend_from_slice(b"null"),
            (Value::Number(number), _) if number.is_finite() => {
                self.out.extend_from_slice(JsonDouble::of(number).as_bytes());
            }
            (Value::Number(_), number_at) => {
                self.unprintable(number_at, "number is not finite");
                self.out.extend_from_slice(b"null");
            }
            (Value::String(start, end), _) => self.out.string(event, start, end),
            (Value::Bool(value), _) => {
                let text: &[u8] = if value { b"true" } else { b"false" };
                self.out.extend_from_slice(text);
            }
            (Value::Struct(start, end), _) => {
                let first = self.buffers.entries.len();
                self.struct_entries(&event[..end], start)?;
                self.open_object(first);
            }
            (Value::List(pos, end), _) => {
                self.out.push(b'[');
                self.buffers.frames.push(Frame::List { pos, end, empty: true });
            }
        }
        Ok(())
    }

    /// The kind of a `Value`, and the offset of its tag.
    fn value_kind(&mut self, mut pos: usize, end: usize) -> Walk<(Value, usize)> {
        let buf = &self.event[..end];
        let mut found = (Value::None, pos);
        while pos < end {
            let at = pos;
            let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
            let Some(expected) = kind_of_value(number) else {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            };
            if kind != expected {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            match found.0 {
                Value::Struct(start, end) => self.check(Checked::Struct, start, end)?,
                Value::List(start, end) => self.check(Checked::List, start, end)?,
                _ => {}
            }
            let value = match number {
                1 => wire::varint(buf, &mut pos).map(|_| Value::Null),
                2 => {
                    let start = pos;
                    wire::skip(buf, &mut pos, kind)
                        .map(|()| Value::Number(double(&buf[start..pos])))
                }
                4 => wire::varint(buf, &mut pos).map(|value| Value::Bool(value != 0)),
                _ => wire::len_delimited(buf, &mut pos).map(|range| match number {
                    3 => Value::String(range.start, range.end),
                    5 => Value::Struct(range.start, range.end),
                    _ => Value::List(range.start, range.end),
                }),
            };
            found = (self.read(at, value)?, at);
        }
        Ok(found)
    }

    /// Checks the bytes of a `Value` that a later one replaced.
    pub(super) fn check_struct_value(&mut self, value: (u32, u32)) -> Walk {
        self.check(Checked::Value, value.0 as usize, value.1 as usize)
    }

    /// Checks a message of `struct.proto`, with all that is inside, without printing it.
    fn check(&mut self, message: Checked, pos: usize, end: usize) -> Walk {
        let event = self.event;
        let bottom = self.buffers.checks.len();
        self.buffers.checks.push(Check { message, pos, end });
        while self.buffers.checks.len() > bottom {
            let Some(Check { message, mut pos, end }) = self.buffers.checks.pop() else { break };
            if pos >= end {
                continue;
            }
            let buf = &event[..end];
            let at = pos;
            let raw = self.read(at, wire::varint(buf, &mut pos))?;
            // In a map entry gogo looks neither at the wire types of key and value nor at other
            // field numbers.
            let (number, kind) = if matches!(message, Checked::Entry) {
                (super::scalar::low(raw >> 3), None)
            } else {
                pos = at;
                let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
                (number, Some(kind))
            };
            let (expected, inside) = match (message, number) {
                (Checked::Struct, 1) => (WireType::Len, Some(Checked::Entry)),
                (Checked::Entry, 1) => (WireType::Len, None),
                (Checked::Entry, 2) | (Checked::List, 1) => (WireType::Len, Some(Checked::Value)),
                (Checked::Value, 5) => (WireType::Len, Some(Checked::Struct)),
                (Checked::Value, 6) => (WireType::Len, Some(Checked::List)),
                (Checked::Value, 1..=4) => (kind_of_value(number).unwrap_or(WireType::Len), None),
                _ => {
                    let kind = match kind {
                        Some(kind) => kind,
                        None => self.read(at, wire::wire_type(raw))?,
                    };
                    self.skip_unknown(buf, &mut pos, kind, at)?;
                    self.buffers.checks.push(Check { message, pos, end });
                    continue;
                }
            };
            if kind.is_some_and(|kind| kind != expected) {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            let start = pos;
            if let Some(inside) = inside {
                let range = self.read(start, wire::len_delimited(buf, &mut pos))?;
                self.buffers.checks.push(Check { message, pos, end });
                self.buffers.checks.push(Check {
                    message: inside,
                    pos: range.start,
                    end: range.end,
                });
            } else {
                self.read(at, wire::skip(buf, &mut pos, expected))?;
                self.buffers.checks.push(Check { message, pos, end });
            }
        }
        Ok(())
    }
}

/// The wire type of each kind of `Value`.
fn kind_of_value(number: u32) -> Option<WireType> {
    match number {
        1 | 4 => Some(WireType::Varint),
        2 => Some(WireType::Fixed64),
        3 | 5 | 6 => Some(WireType::Len),
        _ => None,
    }
}

/// The bytes are the eight of a fixed64.
fn double(bytes: &[u8]) -> f64 {
    bytes.try_into().map_or(f64::NAN, f64::from_le_bytes)
}
