//! Single values: strings, bytes, numbers, enums with text, times, wrappers.

use std::ops::Range;

use ev_core::wire::{self, WireType};
use ev_core::{Span, Timestamp};

use super::{WRONG_WIRE_TYPE, Walk, Walker, offset};
use crate::json;
use crate::table::{Field, Kind, Slot};

impl Walker<'_> {
    /// The value at `*pos`, whose tag stands at `at`.
    pub(super) fn scalar(
        &mut self,
        field: &Field,
        buf: &[u8],
        pos: &mut usize,
        at: usize,
        top: bool,
    ) -> Walk {
        match field.kind {
            Kind::String => self.string_value(field, buf, pos, at, top),
            Kind::Bytes => {
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                self.buffers.seen.keep(field.slot, span(&range), top);
                if !range.is_empty() || !field.omit_empty() {
                    self.write_key(field);
                    json::write_base64(&mut self.out, &buf[range]);
                }
                Ok(())
            }
            Kind::Time => {
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                let (seconds, nanos) = self.timestamp(&buf[..range.end], range.start)?;
                if !json::valid_time(seconds, nanos) {
                    return self.stop(at, "time outside the years 1 to 9999");
                }
                let nanos = nanos.unsigned_abs();
                if top && field.slot == Slot::Time {
                    self.buffers.seen.time = Timestamp::new(seconds, nanos);
                }
                self.write_key(field);
                json::write_time(&mut self.out, seconds, nanos);
                Ok(())
            }
            Kind::Uint32Value | Kind::Uint64Value => {
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                let value = self.wrapper(&buf[..range.end], range.start)?;
                self.write_key(field);
                let value =
                    if field.kind == Kind::Uint32Value { u64::from(low(value)) } else { value };
                json::write_u64(&mut self.out, value);
                Ok(())
            }
            _ => {
                let value = self.read(at, wire::varint(buf, pos))?;
                self.number(field, value, at, top);
                Ok(())
            }
        }
    }

    #[inline(always)]
    pub(super) fn string_value(
        &mut self,
        field: &Field,
        buf: &[u8],
        pos: &mut usize,
        at: usize,
        top: bool,
    ) -> Walk {
        let range = self.read(at, wire::len_delimited(buf, pos))?;
        self.buffers.seen.keep(field.slot, span(&range), top);
        if !range.is_empty() || !field.omit_empty() {
            self.write_key(field);
            self.out.string(self.event, range.start, range.end);
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self, field: &Field, value: u64, at: usize, top: bool) {
        let value = match field.kind {
            Kind::Uint32 | Kind::Int32 | Kind::EnumText => u64::from(low(value)),
            _ => value,
        };
        if top && field.slot != Slot::None {
            match field.slot {
                Slot::Index => self.buffers.seen.index = value.cast_signed(),
                Slot::Success => self.buffers.seen.success = Some(value != 0),
                _ => {}
            }
        }
        if value == 0 && field.omit_empty() {
            return;
        }
        self.write_key(field);
        match field.kind {
            Kind::Bool => {
                let text: &[u8] = if value == 0 { b"false" } else { b"true" };
                self.out.extend_from_slice(text);
            }
            Kind::Int64 => json::write_i64(&mut self.out, value.cast_signed()),
            Kind::Int32 => json::write_i64(&mut self.out, i64::from(low(value).cast_signed())),
            Kind::EnumText => match self.table.enum_text(field.sub, low(value).cast_signed()) {
                Some(text) => {
                    self.out.push(b'"');
                    self.out.extend_from_slice(text);
                    self.out.push(b'"');
                }
                None => {
                    self.out.extend_from_slice(b"null");
                    self.unprintable(at, "enum value without a text");
                }
            },
            _ => json::write_u64(&mut self.out, value),
        }
    }

    /// A `google.protobuf.Timestamp`, not yet checked for its range.
    fn timestamp(&mut self, buf: &[u8], mut pos: usize) -> Walk<(i64, i32)> {
        let (mut seconds, mut nanos) = (0, 0);
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.tag(buf, &mut pos)?;
            if number > 2 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Varint {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            let value = self.read(at, wire::varint(buf, &mut pos))?;
            if number == 1 {
                seconds = value.cast_signed();
            } else {
                nanos = low(value).cast_signed();
            }
        }
        Ok((seconds, nanos))
    }

    /// A `google.protobuf.UInt32Value` or `UInt64Value`.
    fn wrapper(&mut self, buf: &[u8], mut pos: usize) -> Walk<u64> {
        let mut value = 0;
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.tag(buf, &mut pos)?;
            if number != 1 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Varint {
                return self.stop(at, WRONG_WIRE_TYPE);
            }
            value = self.read(at, wire::varint(buf, &mut pos))?;
        }
        Ok(value)
    }
}

#[inline]
fn span(range: &Range<usize>) -> Span {
    Span { start: offset(range.start), end: offset(range.end) }
}

/// gogo keeps the low 32 bits of a varint for 32-bit fields.
#[expect(clippy::cast_possible_truncation, reason = "the upper bits are lost on purpose")]
#[inline]
pub(super) fn low(value: u64) -> u32 {
    value as u32
}
