//! As much of the protobuf wire format as is needed to find and replace a field.

use std::ops::Range;

/// One field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    /// From the tag to the end of the value.
    pub(crate) whole: Range<usize>,
    /// The value without tag and length.
    pub(crate) value: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Varint(u64),
    Fixed,
    Len,
}

/// The fields of the message `buf`; `None` when it is none, or has a group.
pub(crate) fn fields(buf: &[u8]) -> Option<Vec<Field>> {
    let mut all = Vec::new();
    let mut pos = 0;
    while pos < buf.len() {
        let start = pos;
        let tag = varint(buf, &mut pos)?;
        let (kind, value) = match tag & 7 {
            0 => {
                let at = pos;
                (Kind::Varint(varint(buf, &mut pos)?), at..pos)
            }
            1 => (Kind::Fixed, advance(buf, &mut pos, 8)?),
            2 => {
                let len = usize::try_from(varint(buf, &mut pos)?).ok()?;
                (Kind::Len, advance(buf, &mut pos, len)?)
            }
            5 => (Kind::Fixed, advance(buf, &mut pos, 4)?),
            _ => return None,
        };
        all.push(Field { number: tag >> 3, kind, whole: start..pos, value });
    }
    Some(all)
}

/// The only field with this number.
pub(crate) fn only(fields: &[Field], number: u64) -> Option<&Field> {
    let mut with = fields.iter().filter(|field| field.number == number);
    let first = with.next()?;
    with.next().is_none().then_some(first)
}

/// `buf` with the value of a length-delimited field replaced. The length is written anew only if
/// it changes, so that an encoding that is longer than it need be stays.
pub(super) fn replace(buf: &[u8], field: &Field, value: &[u8]) -> Vec<u8> {
    if value.len() == field.value.len() {
        return splice(buf, field.value.clone(), value);
    }
    // The tag was read from here, so it is there.
    let mut behind_tag = field.whole.start;
    while buf[behind_tag] >= 0x80 {
        behind_tag += 1;
    }
    let mut new = Vec::new();
    put_varint(&mut new, value.len() as u64);
    new.extend(value);
    splice(buf, behind_tag + 1..field.whole.end, &new)
}

/// `buf` with `range` replaced.
pub(super) fn splice(buf: &[u8], range: Range<usize>, new: &[u8]) -> Vec<u8> {
    [&buf[..range.start], new, &buf[range.end..]].concat()
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | low_bits(value));
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Bytes that [`put_varint`] writes.
pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn low_bits(value: u64) -> u8 {
    value.to_le_bytes()[0] & 0x7f
}

fn varint(buf: &[u8], pos: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *buf.get(*pos)?;
        *pos += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn advance(buf: &[u8], pos: &mut usize, len: usize) -> Option<Range<usize>> {
    let start = *pos;
    let end = start.checked_add(len).filter(|end| *end <= buf.len())?;
    *pos = end;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_said() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::MAX >> 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value), "{value}");
            assert_eq!(varint(&bytes, &mut 0), Some(value));
        }
    }

    #[test]
    fn replacing_keeps_the_rest() {
        let buf = [0x08, 0x01, 0x12, 0x82, 0x00, b'a', b'b', 0x18, 0x02];
        let all = fields(&buf).expect("a message");
        let field = only(&all, 2).expect("one field 2");
        assert_eq!(replace(&buf, field, b"xy"), [8, 1, 0x12, 0x82, 0, b'x', b'y', 0x18, 2]);
        assert_eq!(replace(&buf, field, b"xyz"), [8, 1, 0x12, 3, b'x', b'y', b'z', 0x18, 2]);
        assert_eq!(fields(&[0x0b, 0x0c]), None);
    }
}
