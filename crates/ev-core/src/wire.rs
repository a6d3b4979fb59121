//! Reading the protobuf wire format as gogo/protobuf does.
//!
//! Where gogo is laxer than the protobuf specification, so is this: the tenth byte of a varint may
//! have any bits (those above 64 are lost), field numbers are cut to 32 bits, and neither varints
//! nor tags need be minimal. What gogo refuses is refused: field number 0, wire types 6 and 7,
//! varints of eleven bytes, lengths that reach behind the end.

/// Wire type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// 0
    Varint,
    /// 1
    Fixed64,
    /// 2
    Len,
    /// 3
    StartGroup,
    /// 4
    EndGroup,
    /// 5
    Fixed32,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum WireError {
    /// The bytes end inside a field.
    Truncated,
    /// A varint of more than ten bytes.
    VarintOverflow,
    /// Field number 0, or one that is negative in 32 bits.
    FieldNumber,
    /// Wire type 6 or 7.
    WireType,
    /// An end-group tag without a group.
    StrayEndGroup,
}

impl WireError {
    /// The text of the error, without allocating one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "unexpected end of input",
            Self::VarintOverflow => "varint longer than ten bytes",
            Self::FieldNumber => "invalid field number",
            Self::WireType => "invalid wire type",
            Self::StrayEndGroup => "end group outside of a group",
        }
    }
}

/// Reads a varint at `*pos`, moving it behind.
///
/// # Errors
///
/// [`WireError::Truncated`] or [`WireError::VarintOverflow`]; `*pos` is then unspecified.
#[inline]
pub fn varint(buf: &[u8], pos: &mut usize) -> Result<u64, WireError> {
    // Nearly all varints of an event are tags, lengths and numbers of one or two bytes.
    match buf.get(*pos..) {
        Some(&[byte, ..]) if byte < 0x80 => {
            *pos += 1;
            Ok(u64::from(byte))
        }
        Some(&[low, high, ..]) if high < 0x80 => {
            *pos += 2;
            Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
        }
        _ => long_varint(buf, pos),
    }
}

fn long_varint(buf: &[u8], pos: &mut usize) -> Result<u64, WireError> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *buf.get(*pos).ok_or(WireError::Truncated)?;
        *pos += 1;
        value |= u64::from(byte & 0x7f).wrapping_shl(shift);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(WireError::VarintOverflow)
}

/// The wire type in a raw tag.
///
/// # Errors
///
/// [`WireError::WireType`] for 6 and 7.
#[inline]
pub fn wire_type(raw_tag: u64) -> Result<WireType, WireError> {
    Ok(match raw_tag & 7 {
        0 => WireType::Varint,
        1 => WireType::Fixed64,
        2 => WireType::Len,
        3 => WireType::StartGroup,
        4 => WireType::EndGroup,
        5 => WireType::Fixed32,
        _ => return Err(WireError::WireType),
    })
}

/// Reads a tag at `*pos`, moving it behind: field number (1 to 2^31 - 1) and wire type.
///
/// # Errors
///
/// As [`varint`], and [`WireError::FieldNumber`] or [`WireError::WireType`].
#[inline]
pub fn tag(buf: &[u8], pos: &mut usize) -> Result<(u32, WireType), WireError> {
    split_tag(varint(buf, pos)?)
}

/// Field number (1 to 2^31 - 1) and wire type of a raw tag.
///
/// # Errors
///
/// [`WireError::FieldNumber`] or [`WireError::WireType`].
#[inline]
pub fn split_tag(raw: u64) -> Result<(u32, WireType), WireError> {
    let kind = wire_type(raw)?;
    #[expect(clippy::cast_possible_truncation, reason = "gogo cuts field numbers to 32 bits")]
    let number = (raw >> 3) as u32;
    if number == 0 || number > i32::MAX.unsigned_abs() {
        return Err(WireError::FieldNumber);
    }
    Ok((number, kind))
}

/// Reads a length and the bytes it announces at `*pos`, moving it behind; returns their range.
///
/// # Errors
///
/// As [`varint`], and [`WireError::Truncated`] when the length reaches behind the end.
#[inline]
pub fn len_delimited(buf: &[u8], pos: &mut usize) -> Result<std::ops::Range<usize>, WireError> {
    // 64 bits on the wire, but `usize` has 32 in the guest: convert, never cast.
    let len = usize::try_from(varint(buf, pos)?).map_err(|_| WireError::Truncated)?;
    let start = *pos;
    let end = start.checked_add(len).filter(|end| *end <= buf.len()).ok_or(WireError::Truncated)?;
    *pos = end;
    Ok(start..end)
}

/// Steps over the value of a field whose tag was just read. Groups are stepped over with a
/// counter, so their depth costs no stack; the number of an end group is not compared, and field
/// numbers inside are not looked at, as in gogo.
///
/// # Errors
///
/// As the functions above, and [`WireError::StrayEndGroup`] for an end group.
pub fn skip(buf: &[u8], pos: &mut usize, kind: WireType) -> Result<(), WireError> {
    let mut depth = 0usize;
    let mut kind = kind;
    loop {
        match kind {
            WireType::Varint => {
                varint(buf, pos)?;
            }
            WireType::Fixed64 => advance(buf, pos, 8)?,
            WireType::Fixed32 => advance(buf, pos, 4)?,
            WireType::Len => {
                len_delimited(buf, pos)?;
            }
            WireType::StartGroup => depth += 1,
            WireType::EndGroup => {
                depth = depth.checked_sub(1).ok_or(WireError::StrayEndGroup)?;
            }
        }
        if depth == 0 {
            return Ok(());
        }
        kind = wire_type(varint(buf, pos)?)?;
    }
}

fn advance(buf: &[u8], pos: &mut usize, by: usize) -> Result<(), WireError> {
    *pos = pos.checked_add(by).filter(|end| *end <= buf.len()).ok_or(WireError::Truncated)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_read_as_gogo_reads_them() {
        let check = |bytes: &[u8], expected| assert_eq!(varint(bytes, &mut 0), expected);
        check(&[0x96, 0x01], Ok(150));
        check(&[0x80, 0x00], Ok(0));
        check(&[0xff; 9], Err(WireError::Truncated));
        let mut ten = vec![0xff; 9];
        ten.push(0x7f);
        check(&ten, Ok(u64::MAX));
        check(&[0x80; 11], Err(WireError::VarintOverflow));
    }

    #[test]
    fn field_numbers_are_cut_to_32_bits() {
        // 2^62 + 8: field 1 in 32 bits, wire type 0... a tag that gogo takes for field 1.
        let bytes = [0x88, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
        assert_eq!(varint(&bytes, &mut 0), Ok((1 << 62) + 8));
        assert_eq!(tag(&bytes, &mut 0), Ok((1, WireType::Varint)));
        assert_eq!(tag(&[0x00], &mut 0), Err(WireError::FieldNumber));
        assert_eq!(tag(&[0x0e], &mut 0), Err(WireError::WireType));
    }

    #[test]
    fn deep_groups_cost_no_stack() {
        let mut bytes = vec![0x0b; 20_000];
        bytes.extend(std::iter::repeat_n(0x0c, 20_000));
        let mut pos = 1;
        assert_eq!(skip(&bytes, &mut pos, WireType::StartGroup), Ok(()));
        assert_eq!(pos, bytes.len());
        assert_eq!(skip(&[0x0c], &mut 0, WireType::EndGroup), Err(WireError::StrayEndGroup));
    }
}
