//! `google.protobuf.Value`: null 1, number 2, string 3, bool 4, struct 5, list 6.

use std::ops::Range;

use ev_core::wire::{self, WireType};
use ev_core::{JsonDouble, Span};

use crate::envelope::WRONG_WIRE_TYPE;
use crate::text;
use crate::walk::{Halt, Parts, Plain, Walker};

/// The kind that a `Value` has; of several the last one counts, and equal ones that are messages
/// merge.
#[derive(Clone, Copy)]
enum Kind {
    None,
    Null,
    Number { value: f64, at: usize },
    Text(Span),
    Flag(bool),
    Struct(Parts),
    List(Parts),
}

/// A message that is looked at without being printed, because another one replaced it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
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

impl Walker<'_> {
    /// Prints a `Value`, or the beginning of one that has others inside. Parts behind the first
    /// `kept` ones are forgotten with it.
    pub(crate) fn value(&mut self, parts: Parts, at: usize, kept: usize) -> Result<Plain, Halt> {
        let mut plain = Plain::Other;
        match self.kind(parts)? {
            Kind::Struct(parts) => return self.open_object(parts, kept).map(|()| plain),
            Kind::List(parts) => return self.open_list(parts, kept).map(|()| plain),
            Kind::None => self.unprintable(at, "value without a kind"),
            Kind::Null => self.out.extend_from_slice(b"null"),
            Kind::Number { value, .. } if value.is_finite() => {
                self.out.extend_from_slice(JsonDouble::of(value).as_bytes());
            }
            Kind::Number { at, .. } => self.unprintable(at, "number is not finite"),
            Kind::Text(span) => {
                text::write(self.out, span.of(self.event));
                plain = Plain::Text(span);
            }
            Kind::Flag(flag) => {
                let text: &[u8] = if flag { b"true" } else { b"false" };
                self.out.extend_from_slice(text);
                plain = Plain::Flag(flag);
            }
        }
        self.drop_parts(kept);
        Ok(plain)
    }

    fn kind(&mut self, parts: Parts) -> Result<Kind, Halt> {
        let event = self.event;
        let mut found = Kind::None;
        for index in parts.first..parts.end {
            let range = self.part(index);
            let (buf, mut pos) = (&event[..range.end], range.start);
            while pos < buf.len() {
                let at = pos;
                let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
                let Some(expected) = wire_type(number) else {
                    self.read(at, wire::skip(buf, &mut pos, kind))?;
                    continue;
                };
                if kind != expected {
                    return Err(Halt::new(at, WRONG_WIRE_TYPE));
                }
                match (found, number) {
                    (Kind::Struct(_), 5) | (Kind::List(_), 6) => {}
                    (Kind::Struct(parts), _) => self.check_parts(Checked::Struct, parts)?,
                    (Kind::List(parts), _) => self.check_parts(Checked::List, parts)?,
                    _ => {}
                }
                found = match number {
                    1 => self.read(at, wire::varint(buf, &mut pos)).map(|_| Kind::Null)?,
                    2 => {
                        let start = pos;
                        self.read(at, wire::skip(buf, &mut pos, kind))?;
                        Kind::Number { value: double(&buf[start..pos]), at }
                    }
                    4 => Kind::Flag(self.read(at, wire::varint(buf, &mut pos))? != 0),
                    _ => {
                        let range = self.read(at, wire::len_delimited(buf, &mut pos))?;
                        if number == 3 {
                            Kind::Text(self.text(at, range)?)
                        } else {
                            let first = match found {
                                Kind::Struct(parts) if number == 5 => parts.first,
                                Kind::List(parts) if number == 6 => parts.first,
                                _ => self.kept(),
                            };
                            self.keep(range);
                            let parts = Parts { first, end: self.kept() };
                            if number == 5 { Kind::Struct(parts) } else { Kind::List(parts) }
                        }
                    }
                };
            }
        }
        Ok(found)
    }

    /// Checks the bytes of a `Value` that a later one replaced.
    pub(crate) fn check_value(&mut self, range: Range<usize>) -> Result<(), Halt> {
        self.check(Checked::Value, range)
    }

    fn check_parts(&mut self, message: Checked, parts: Parts) -> Result<(), Halt> {
        (parts.first..parts.end).try_for_each(|index| self.check(message, self.part(index)))
    }

    /// Checks a message with all that is inside.
    fn check(&mut self, message: Checked, range: Range<usize>) -> Result<(), Halt> {
        let event = self.event;
        let bottom = self.buffers.checks.len();
        self.buffers.checks.push(Check { message, pos: range.start, end: range.end });
        while self.buffers.checks.len() > bottom {
            let Some(Check { message, mut pos, end }) = self.buffers.checks.pop() else { break };
            if pos >= end {
                continue;
            }
            let (buf, at) = (&event[..end], pos);
            let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
            let (expected, inside) = match (message, number) {
                (Checked::Struct, 1) => (WireType::Len, Some(Checked::Entry)),
                (Checked::Entry, 2) | (Checked::List, 1) => (WireType::Len, Some(Checked::Value)),
                (Checked::Value, 5) => (WireType::Len, Some(Checked::Struct)),
                (Checked::Value, 6) => (WireType::Len, Some(Checked::List)),
                (Checked::Entry, 1) => (WireType::Len, None),
                (Checked::Value, 1..=4) => (wire_type(number).unwrap_or(WireType::Len), None),
                _ => {
                    self.read(at, wire::skip(buf, &mut pos, kind))?;
                    self.buffers.checks.push(Check { message, pos, end });
                    continue;
                }
            };
            if kind != expected {
                return Err(Halt::new(at, WRONG_WIRE_TYPE));
            }
            if expected == WireType::Len {
                let range = self.read(at, wire::len_delimited(buf, &mut pos))?;
                self.buffers.checks.push(Check { message, pos, end });
                match inside {
                    Some(message) => {
                        self.buffers.checks.push(Check {
                            message,
                            pos: range.start,
                            end: range.end,
                        });
                    }
                    None => drop(self.text(at, range)?),
                }
            } else {
                self.read(at, wire::skip(buf, &mut pos, kind))?;
                self.buffers.checks.push(Check { message, pos, end });
            }
        }
        Ok(())
    }
}

/// The wire type of each kind of `Value`.
fn wire_type(number: u32) -> Option<WireType> {
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
