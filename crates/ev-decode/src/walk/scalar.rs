//! Single values: strings, bytes, numbers, enums with text, times, wrappers.

use ev_core::Timestamp;
use ev_core::wire::{self, WireType};

use super::{Trouble, WRONG_WIRE_TYPE, Walker, trouble};
use crate::json;
use crate::table::{Field, Kind, Slot};

impl Walker<'_> {
    /// The value at `*pos`, whose tag stands at `at`.
    #[inline]
    pub(super) fn scalar(
        &mut self,
        field: &Field,
        buf: &[u8],
        pos: &mut usize,
        at: usize,
        top: bool,
    ) -> Result<(), Trouble> {
        match field.kind {
            Kind::String => {
                let range = wire::len_delimited(buf, pos).map_err(trouble(at))?;
                if top && field.slot != Slot::None {
                    self.keep_span(field.slot, range.start, range.end);
                }
                if !range.is_empty() || !field.omit_empty() {
                    self.write_key(field);
                    json::write_string(self.out, &buf[range]);
                }
                Ok(())
            }
            Kind::Bytes => {
                let range = wire::len_delimited(buf, pos).map_err(trouble(at))?;
                if top && field.slot != Slot::None {
                    self.keep_span(field.slot, range.start, range.end);
                }
                if !range.is_empty() || !field.omit_empty() {
                    self.write_key(field);
                    json::write_base64(self.out, &buf[range]);
                }
                Ok(())
            }
            Kind::Time => {
                let range = wire::len_delimited(buf, pos).map_err(trouble(at))?;
                let (seconds, nanos) = self.timestamp(&buf[..range.end], range.start)?;
                if !json::valid_time(seconds, nanos) {
                    return Err(Trouble::new(at, "time outside the years 1 to 9999"));
                }
                let nanos = nanos.unsigned_abs();
                if top && field.slot == Slot::Time {
                    self.facts.time = Timestamp::new(seconds, nanos);
                }
                self.write_key(field);
                json::write_time(self.out, seconds, nanos);
                Ok(())
            }
            Kind::Uint32Value | Kind::Uint64Value => {
                let range = wire::len_delimited(buf, pos).map_err(trouble(at))?;
                let value = self.wrapper(&buf[..range.end], range.start)?;
                self.write_key(field);
                let value =
                    if field.kind == Kind::Uint32Value { u64::from(low(value)) } else { value };
                json::write_u64(self.out, value);
                Ok(())
            }
            _ => {
                let value = wire::varint(buf, pos).map_err(trouble(at))?;
                self.number(field, value, at, top);
                Ok(())
            }
        }
    }

    #[inline]
    fn number(&mut self, field: &Field, value: u64, at: usize, top: bool) {
        let value = match field.kind {
            Kind::Uint32 | Kind::Int32 | Kind::EnumText => u64::from(low(value)),
            _ => value,
        };
        if top && field.slot != Slot::None {
            match field.slot {
                Slot::Index => self.facts.index = value.cast_signed(),
                Slot::Success => self.login.success = Some(value != 0),
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
            Kind::Int64 => json::write_i64(self.out, value.cast_signed()),
            Kind::Int32 => json::write_i64(self.out, i64::from(low(value).cast_signed())),
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
            _ => json::write_u64(self.out, value),
        }
    }

    /// A `google.protobuf.Timestamp`, not yet checked for its range.
    fn timestamp(&mut self, buf: &[u8], mut pos: usize) -> Result<(i64, i32), Trouble> {
        let (mut seconds, mut nanos) = (0, 0);
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = wire::tag(buf, &mut pos).map_err(trouble(at))?;
            if number > 2 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Varint {
                return Err(Trouble::new(at, WRONG_WIRE_TYPE));
            }
            let value = wire::varint(buf, &mut pos).map_err(trouble(at))?;
            if number == 1 {
                seconds = value.cast_signed();
            } else {
                nanos = low(value).cast_signed();
            }
        }
        Ok((seconds, nanos))
    }

    /// A `google.protobuf.UInt32Value` or `UInt64Value`.
    fn wrapper(&mut self, buf: &[u8], mut pos: usize) -> Result<u64, Trouble> {
        let mut value = 0;
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = wire::tag(buf, &mut pos).map_err(trouble(at))?;
            if number != 1 {
                self.skip_unknown(buf, &mut pos, kind, at)?;
                continue;
            }
            if kind != WireType::Varint {
                return Err(Trouble::new(at, WRONG_WIRE_TYPE));
            }
            value = wire::varint(buf, &mut pos).map_err(trouble(at))?;
        }
        Ok(value)
    }
}

/// gogo keeps the low 32 bits of a varint for 32-bit fields.
#[expect(clippy::cast_possible_truncation, reason = "the upper bits are lost on purpose")]
#[inline]
pub(super) fn low(value: u64) -> u32 {
    value as u32
}
