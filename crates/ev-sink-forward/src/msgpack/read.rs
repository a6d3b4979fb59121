//! The few messages of a receiver, read: HELO, PONG and acknowledgements.

/// Deeper is nothing that a receiver sends.
const MAX_DEPTH: usize = 4;
/// More members has none of them.
const MAX_MEMBERS: usize = 64;

/// A value of a message. Texts are bytes, as some send salts in them that are no UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    /// Nothing that we look at: numbers, times, extensions.
    Other,
    /// Text or bytes.
    Bytes(Vec<u8>),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

/// Bytes that are no message of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Value {
    /// The bytes of a text.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A member of a map.
    pub(crate) fn member(&self, name: &[u8]) -> Option<&Self> {
        let Self::Map(members) = self else { return None };
        members.iter().find(|(key, _)| key.bytes() == Some(name)).map(|(_, value)| value)
    }
}

/// The first value and how many bytes it has; `None` when more bytes are needed.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.value(0) {
        Ok(value) => Ok(Some((value, reader.at))),
        Err(Stop::Short) => Ok(None),
        Err(Stop::Bad) => Err(Malformed),
    }
}

enum Stop {
    Short,
    Bad,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Stop> {
        let end = self.at.checked_add(count).ok_or(Stop::Bad)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        self.at = end;
        Ok(taken)
    }

    /// A length of so many bytes.
    fn length(&mut self, size: usize) -> Result<usize, Stop> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn skip(&mut self, count: usize) -> Result<Value, Stop> {
        self.take(count).map(|_| Value::Other)
    }

    fn text(&mut self, length: usize) -> Result<Value, Stop> {
        self.take(length).map(|bytes| Value::Bytes(bytes.to_vec()))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Bad);
        }
        let head = self.take(1)?[0];
        match head {
            0x00..=0x7f | 0xe0..=0xff => Ok(Value::Other),
            0x80..=0x8f => self.map(usize::from(head & 0x0f), depth),
            0x90..=0x9f => self.array(usize::from(head & 0x0f), depth),
            0xa0..=0xbf => self.text(usize::from(head & 0x1f)),
            0xc0 => Ok(Value::Nil),
            0xc1 => Err(Stop::Bad),
            0xc2 | 0xc3 => Ok(Value::Bool(head == 0xc3)),
            0xc4..=0xc6 => {
                let length = self.length(1 << (head - 0xc4))?;
                self.text(length)
            }
            0xc7..=0xc9 => {
                let length = self.length(1 << (head - 0xc7))?;
                self.skip(length.saturating_add(1))
            }
            0xca => self.skip(4),
            0xcb => self.skip(8),
            0xcc..=0xcf => self.skip(1 << (head - 0xcc)),
            0xd0..=0xd3 => self.skip(1 << (head - 0xd0)),
            0xd4..=0xd8 => self.skip(1 + (1 << (head - 0xd4))),
            0xd9..=0xdb => {
                let length = self.length(1 << (head - 0xd9))?;
                self.text(length)
            }
            0xdc | 0xdd => {
                let count = self.length(2 << (head - 0xdc))?;
                self.array(count, depth)
            }
            0xde | 0xdf => {
                let count = self.length(2 << (head - 0xde))?;
                self.map(count, depth)
            }
        }
    }

    fn array(&mut self, count: usize, depth: usize) -> Result<Value, Stop> {
        if count > MAX_MEMBERS {
            return Err(Stop::Bad);
        }
        (0..count).map(|_| self.value(depth + 1)).collect::<Result<_, _>>().map(Value::Array)
    }

    fn map(&mut self, count: usize, depth: usize) -> Result<Value, Stop> {
        if count > MAX_MEMBERS {
            return Err(Stop::Bad);
        }
        let member = |_| Ok((self.value(depth + 1)?, self.value(depth + 1)?));
        (0..count).map(member).collect::<Result<_, _>>().map(Value::Map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_acknowledgement_is_read_byte_by_byte() {
        let ack = b"\x81\xa3ack\xd9\x02id";
        for end in 0..ack.len() {
            assert_eq!(read(&ack[..end]), Ok(None), "{end}");
        }
        let (value, length) = read(&[ack, &b"rest"[..]].concat()).unwrap().unwrap();
        assert_eq!(length, ack.len());
        assert_eq!(value.member(b"ack").and_then(Value::bytes), Some(&b"id"[..]));
        assert_eq!(value.member(b"nack"), None);
    }

    #[test]
    fn every_kind_of_value_has_its_length() {
        for bytes in [
            &b"\x05"[..],
            b"\xff",
            b"\xca\0\0\0\0",
            b"\xcb\0\0\0\0\0\0\0\0",
            b"\xcc\x01",
            b"\xcf\0\0\0\0\0\0\0\0",
            b"\xd3\0\0\0\0\0\0\0\0",
            b"\xd4\0\0",
            b"\xd7\0\0\0\0\x01\0\0\0\x02",
            b"\xd8\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\xc7\x01\x05x",
            b"\xc4\x01x",
            b"\xdb\0\0\0\x01x",
            b"\xdc\0\x01\xc0",
            b"\xdf\0\0\0\x01\xc0\xc2",
        ] {
            assert_eq!(read(bytes).unwrap().map(|(_, length)| length), Some(bytes.len()));
            assert_eq!(read(&bytes[..bytes.len() - 1]).unwrap(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn what_no_receiver_sends_is_refused() {
        assert_eq!(read(b"\xc1"), Err(Malformed));
        assert_eq!(read(b"\x91\x91\x91\x91\x91\x91\xc0"), Err(Malformed), "too deep");
        assert_eq!(read(b"\xdd\xff\xff\xff\xff"), Err(Malformed), "too many");
        assert_eq!(read(b"\xdf\xff\xff\xff\xff"), Err(Malformed), "too many");
        // A great length is waited for; how long is the connection's to say.
        assert_eq!(read(b"\xdb\xff\xff\xff\xff"), Ok(None));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, length))) = read(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
