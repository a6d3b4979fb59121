//! The wire format as gogo's generated code reads it, byte for byte.

use std::ops::Range;

/// gogo does not take the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A message's bytes that are still to be read, as a range of the event.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    event: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(event: &'a [u8], range: Range<usize>) -> Self {
        Self { event, at: range.start, end: range.end }
    }

    /// Offset in the event of the next byte, while there is one.
    pub(crate) fn next(&self) -> Option<usize> {
        (self.at < self.end).then_some(self.at)
    }

    pub(crate) fn of(&self, range: &Range<usize>) -> &'a [u8] {
        &self.event[range.clone()]
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let at = self.next().ok_or(Malformed)?;
        self.at += 1;
        Ok(self.event[at])
    }

    /// At most ten bytes; what does not fit into 64 bits is lost.
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u128;
        for place in 0..10 {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return u64::try_from(value & u128::from(u64::MAX)).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    /// Number and wire type of the next field of a message.
    pub(crate) fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let (number, wire) = self.entry_tag()?;
        // Numbers are int32 in Go.
        if wire == 4 || number == 0 || number >= 1 << 31 {
            return Err(Malformed);
        }
        Ok((number, wire))
    }

    /// The same inside of a map entry, where gogo checks neither.
    pub(crate) fn entry_tag(&mut self) -> Result<(u32, u8), Malformed> {
        let raw = self.varint()?;
        let number = (raw >> 3) & u64::from(u32::MAX);
        let number = u32::try_from(number).map_err(|_| Malformed)?;
        Ok((number, u8::try_from(raw & 7).map_err(|_| Malformed)?))
    }

    /// A length and so many bytes.
    pub(crate) fn bytes(&mut self) -> Result<Range<usize>, Malformed> {
        let len = self.varint()?;
        self.advance(len)
    }

    fn advance(&mut self, len: u64) -> Result<Range<usize>, Malformed> {
        let left = u64::try_from(self.end - self.at).map_err(|_| Malformed)?;
        if len > left {
            return Err(Malformed);
        }
        let start = self.at;
        self.at += usize::try_from(len).map_err(|_| Malformed)?;
        Ok(start..self.at)
    }

    /// Steps over the value behind a tag of wire type `wire`.
    pub(crate) fn skip(&mut self, mut wire: u8) -> Result<(), Malformed> {
        let mut groups = 0u64;
        loop {
            match wire {
                0 => {
                    self.varint()?;
                }
                1 => {
                    self.advance(8)?;
                }
                2 => {
                    self.bytes()?;
                }
                3 => groups += 1,
                4 => groups = groups.checked_sub(1).ok_or(Malformed)?,
                5 => {
                    self.advance(4)?;
                }
                _ => return Err(Malformed),
            }
            if groups == 0 {
                return Ok(());
            }
            wire = self.entry_tag()?.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, 0..bytes.len())
    }

    #[test]
    fn varints() {
        assert_eq!(reader(&[0x96, 1]).varint(), Ok(150));
        assert_eq!(
            reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).varint(),
            Ok(u64::MAX)
        );
        assert_eq!(reader(&[0x80; 10]).varint(), Err(Malformed));
        assert_eq!(reader(&[0x80]).varint(), Err(Malformed));
    }

    #[test]
    fn tags_and_groups() {
        // 2^62 + 8 is field 1 once cut to 32 bits.
        let far = [0x88, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
        assert_eq!(reader(&far).tag(), Ok((1, 0)));
        assert_eq!(reader(&[4]).tag(), Err(Malformed));
        assert_eq!(reader(&[0]).tag(), Err(Malformed));
        assert_eq!(reader(&[0]).entry_tag(), Ok((0, 0)));
        let mut group = reader(&[0x0b, 0x0c, 0x0d, 0, 0, 0, 0, 0x1c, 9]);
        assert_eq!((group.skip(3), group.next()), (Ok(()), Some(8)));
        assert_eq!(reader(&[]).skip(4), Err(Malformed));
        assert_eq!(reader(&[]).skip(6), Err(Malformed));
    }
}
