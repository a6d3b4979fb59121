//! Reading msgpack from bytes that may end too early.

use super::error::{DecodeError, DecodeErrorKind};
use super::layout::MAX_FRAME_BYTES;

/// Why reading stopped.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// The bytes end before the value does.
    Short,
    Error(DecodeError),
}

/// What the first byte of a value tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    FixInt,
    Map,
    Array,
    Str,
    Nil,
    Bool,
    Bin,
    Ext,
    Float,
    Uint,
    Int,
}

impl Type {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FixInt => "compact integer",
            Self::Map => "map",
            Self::Array => "array",
            Self::Str => "text",
            Self::Nil => "nil",
            Self::Bool => "boolean",
            Self::Bin => "bytes",
            Self::Ext => "extension",
            Self::Float => "float",
            Self::Uint => "unsigned integer",
            Self::Int => "signed integer",
        }
    }

    const fn of(head: u8) -> Option<Self> {
        Some(match head {
            0x00..=0x7f | 0xe0..=0xff => Self::FixInt,
            0x80..=0x8f | 0xde | 0xdf => Self::Map,
            0x90..=0x9f | 0xdc | 0xdd => Self::Array,
            0xa0..=0xbf | 0xd9..=0xdb => Self::Str,
            0xc0 => Self::Nil,
            0xc1 => return None,
            0xc2 | 0xc3 => Self::Bool,
            0xc4..=0xc6 => Self::Bin,
            0xc7..=0xc9 | 0xd4..=0xd8 => Self::Ext,
            0xca | 0xcb => Self::Float,
            0xcc..=0xcf => Self::Uint,
            0xd0..=0xd3 => Self::Int,
        })
    }
}

/// A length and whether a shorter header would have held it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) len: usize,
    pub(super) is_long_form: bool,
}

/// A place in bytes. It never takes more than it has, and no length it is told makes it reserve
/// anything.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    limit: usize,
}

impl<'a> Cursor<'a> {
    /// A frame is not read past `limit` bytes.
    pub(super) fn new(bytes: &'a [u8], limit: usize) -> Self {
        Self { bytes, at: 0, limit: limit.min(MAX_FRAME_BYTES) }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn fail<T>(&self, at: usize, kind: DecodeErrorKind) -> Result<T, Stop> {
        Err(Stop::Error(DecodeError::new(kind, at)))
    }

    /// The next bytes as they are, empty at the end.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.saturating_add(count);
        if end > self.limit {
            return self.fail(self.at, DecodeErrorKind::TooLarge { limit: self.limit });
        }
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Stop::Short)
    }

    pub(super) fn peek(&self) -> Result<(u8, Type), Stop> {
        let head = *self.bytes.get(self.at).ok_or(Stop::Short)?;
        match Type::of(head) {
            Some(found) => Ok((head, found)),
            None => self.fail(self.at, DecodeErrorKind::NoValue { byte: head }),
        }
    }

    /// Passes over the header of a text, bytes, an array or a map.
    pub(super) fn length(&mut self) -> Result<Length, Stop> {
        let at = self.at;
        let [head] = self.bytes()?;
        let (len, least) = match head {
            0x80..=0x9f => (u32::from(head & 0x0f), 0),
            0xa0..=0xbf => (u32::from(head & 0x1f), 0),
            0xd9 => (self.u8()?, 32),
            0xc4 => (self.u8()?, 0),
            0xda | 0xc5 => (self.u16()?, 256),
            0xdc | 0xde => (self.u16()?, 16),
            0xdb | 0xdd | 0xdf | 0xc6 => (u32::from_be_bytes(self.bytes()?), 65_536),
            _ => return self.fail(at, DecodeErrorKind::NoValue { byte: head }),
        };
        let is_long_form = len < least;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        // Every entry has a byte at least, a pair of a map two: what cannot fit need not be
        // waited for.
        let least_end = match head {
            0x80..=0x8f | 0xde | 0xdf => self.at.saturating_add(len).saturating_add(len),
            _ => self.at.saturating_add(len),
        };
        if least_end > self.limit {
            return self.fail(at, DecodeErrorKind::TooLarge { limit: self.limit });
        }
        Ok(Length { len, is_long_form })
    }

    fn u8(&mut self) -> Result<u32, Stop> {
        let [byte] = self.bytes()?;
        Ok(byte.into())
    }

    fn u16(&mut self) -> Result<u32, Stop> {
        Ok(u16::from_be_bytes(self.bytes()?).into())
    }

    /// Passes over the header of an extension: its type and its data.
    pub(super) fn extension(&mut self) -> Result<(i8, &'a [u8]), Stop> {
        let [head] = self.bytes()?;
        let len = match head {
            0xd4..=0xd8 => 1 << (head - 0xd4),
            0xc7 => self.u8()?,
            0xc8 => self.u16()?,
            _ => u32::from_be_bytes(self.bytes()?),
        };
        let [number] = self.bytes()?;
        let data = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        Ok((number.cast_signed(), data))
    }

    /// Passes over one value of any kind, in which at most `max_open` containers are open at a
    /// time. It does not recurse: what is open is counted in a list that is no longer than that.
    pub(super) fn skip(&mut self, max_open: usize) -> Result<(), Stop> {
        let mut open: Vec<usize> = Vec::new();
        loop {
            let at = self.at;
            let (head, found) = self.peek()?;
            let entries = match found {
                Type::FixInt | Type::Nil | Type::Bool => {
                    self.take(1)?;
                    0
                }
                Type::Str | Type::Bin => {
                    let len = self.length()?.len;
                    self.take(len)?;
                    0
                }
                Type::Float => {
                    self.take(1 + (4 << (head - 0xca)))?;
                    0
                }
                Type::Uint => {
                    self.take(1 + (1 << (head - 0xcc)))?;
                    0
                }
                Type::Int => {
                    self.take(1 + (1 << (head - 0xd0)))?;
                    0
                }
                Type::Ext => {
                    self.extension()?;
                    0
                }
                Type::Array => self.container(at, &open, max_open)?,
                // A length within the limit can be doubled.
                Type::Map => 2 * self.container(at, &open, max_open)?,
            };
            if entries > 0 {
                open.push(entries);
                continue;
            }
            loop {
                let Some(left) = open.last_mut() else { return Ok(()) };
                *left -= 1;
                if *left > 0 {
                    break;
                }
                open.pop();
            }
        }
    }

    fn container(&mut self, at: usize, open: &[usize], max_open: usize) -> Result<usize, Stop> {
        if open.len() >= max_open {
            return self.fail(at, DecodeErrorKind::TooDeep { limit: max_open });
        }
        Ok(self.length()?.len)
    }
}
