//! Values as msgpack writes them: the shortest header for every length, integers in the width of
//! their type.
//!
//! Lengths are those of validated records. A longer one cannot come from those; it is cut at what
//! its header can hold, so that a frame is whole whatever is encoded.

use crate::model::{Kind, Time, Value};

pub(super) const NIL: u8 = 0xc0;

/// The bytes of a header and a text of this length.
pub(super) const fn text_len(len: usize) -> usize {
    len + match len {
        0..32 => 1,
        32..256 => 2,
        256..65_536 => 3,
        _ => 5,
    }
}

/// The bytes of the header of an array or a map.
pub(super) const fn count_len(count: usize) -> usize {
    match count {
        0..16 => 1,
        16..65_536 => 3,
        _ => 5,
    }
}

#[inline]
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    match u8::try_from(bytes.len()) {
        Ok(len @ 0..32) => out.push(0xa0 | len),
        Ok(len) => out.extend_from_slice(&[0xd9, len]),
        Err(_) => return long_text(out, bytes),
    }
    out.extend_from_slice(bytes);
}

fn long_text(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = cut(bytes);
    header16(out, bytes.len(), 0xda, 0xdb);
    out.extend_from_slice(bytes);
}

/// A key in its whole: header and text.
#[inline]
pub(super) fn key(out: &mut Vec<u8>, key: &[u8]) {
    out.extend_from_slice(key);
}

#[inline]
pub(super) fn array(out: &mut Vec<u8>, count: usize) {
    match u8::try_from(count) {
        Ok(count @ 0..16) => out.push(0x90 | count),
        _ => header16(out, count, 0xdc, 0xdd),
    }
}

#[inline]
pub(super) fn map(out: &mut Vec<u8>, count: usize) {
    match u8::try_from(count) {
        Ok(count @ 0..16) => out.push(0x80 | count),
        _ => header16(out, count, 0xde, 0xdf),
    }
}

/// A length of 16 bits or else of 32.
fn header16(out: &mut Vec<u8>, len: usize, short: u8, long: u8) {
    match u16::try_from(len) {
        Ok(len) => {
            out.push(short);
            out.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            out.push(long);
            out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

fn cut(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(usize::try_from(u32::MAX).unwrap_or(usize::MAX))]
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = cut(bytes);
    match u8::try_from(bytes.len()) {
        Ok(len) => out.extend_from_slice(&[0xc4, len]),
        Err(_) => header16(out, bytes.len(), 0xc5, 0xc6),
    }
    out.extend_from_slice(bytes);
}

/// The name of a kind, or `Kind(number)`: at most 31 bytes, so that the header is one byte.
#[inline]
pub(super) fn kind<K: Kind>(out: &mut Vec<u8>, kind: K) {
    match kind.name() {
        Some(name) => text(out, name),
        None => numbered(out, K::KIND, kind.number()),
    }
}

fn numbered(out: &mut Vec<u8>, kind: &str, number: u16) {
    let place = out.len();
    out.push(0xa0);
    out.extend_from_slice(kind.as_bytes());
    out.push(b'(');
    let mut begun = false;
    for unit in [10_000, 1_000, 100, 10, 1] {
        let digit = u8::try_from(number / unit % 10).unwrap_or_default();
        begun |= digit != 0 || unit == 1;
        if begun {
            out.push(b'0' + digit);
        }
    }
    out.push(b')');
    let len = out.len() - place - 1;
    out[place] |= u8::try_from(len).unwrap_or_default();
}

/// A number behind the byte that tells its type.
macro_rules! number {
    ($out:expr, $head:literal, $number:expr) => {{
        $out.push($head);
        $out.extend_from_slice(&$number.to_be_bytes());
    }};
}

/// A value of custom data. What `levels` containers surround is written as nil.
pub(super) fn value(out: &mut Vec<u8>, value: &Value, levels: usize) {
    match value {
        Value::Nil => out.push(NIL),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::I8(number) => number!(out, 0xd0, number),
        Value::I16(number) => number!(out, 0xd1, number),
        Value::I32(number) => number!(out, 0xd2, number),
        Value::I64(number) => number!(out, 0xd3, number),
        Value::U8(number) => number!(out, 0xcc, number),
        Value::U16(number) => number!(out, 0xcd, number),
        Value::U32(number) => number!(out, 0xce, number),
        Value::U64(number) => number!(out, 0xcf, number),
        Value::F32(number) => number!(out, 0xca, number),
        Value::F64(number) => number!(out, 0xcb, number),
        Value::Str(it) => text(out, it),
        Value::Bytes(it) => bytes(out, it),
        Value::Array(_) | Value::Map(_) if levels == 0 => out.push(NIL),
        Value::Array(entries) => {
            array(out, entries.len());
            for entry in entries {
                self::value(out, entry, levels - 1);
            }
        }
        Value::Map(entries) => {
            map(out, entries.len());
            for (key, entry) in entries {
                self::value(out, key, levels - 1);
                self::value(out, entry, levels - 1);
            }
        }
        Value::Time(it) => time(out, *it),
    }
}

/// The three forms of the extension type -1: seconds of 32 bits; nanoseconds of 30 bits and
/// seconds of 34; nanoseconds of 32 and signed seconds of 64.
fn time(out: &mut Vec<u8>, time: Time) {
    let (seconds, nanos) = (time.seconds(), time.nanos());
    match u64::try_from(seconds) {
        Ok(seconds) if seconds >> 34 == 0 => match u32::try_from(seconds) {
            Ok(seconds) if nanos == 0 => {
                out.extend_from_slice(&[0xd6, 0xff]);
                out.extend_from_slice(&seconds.to_be_bytes());
            }
            _ => {
                out.extend_from_slice(&[0xd7, 0xff]);
                out.extend_from_slice(&(u64::from(nanos) << 34 | seconds).to_be_bytes());
            }
        },
        _ => {
            out.extend_from_slice(&[0xc7, 0x0c, 0xff]);
            out.extend_from_slice(&nanos.to_be_bytes());
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

/// The bytes of the text of a kind with its header.
pub(super) fn kind_len<K: Kind>(kind: K) -> usize {
    match kind.name() {
        Some(name) => 1 + name.len(),
        None => {
            let digits = kind.number().checked_ilog10().unwrap_or_default() as usize + 1;
            1 + K::KIND.len() + digits + 2
        }
    }
}

/// The bytes that [`value`] writes of it.
pub(super) fn value_len(value: &Value, levels: usize) -> usize {
    match value {
        Value::Nil | Value::Bool(_) => 1,
        Value::I8(_) | Value::U8(_) => 2,
        Value::I16(_) | Value::U16(_) => 3,
        Value::I32(_) | Value::U32(_) | Value::F32(_) => 5,
        Value::I64(_) | Value::U64(_) | Value::F64(_) => 9,
        Value::Str(it) => text_len(it.len()),
        Value::Bytes(it) => {
            it.len()
                + match it.len() {
                    0..256 => 2,
                    256..65_536 => 3,
                    _ => 5,
                }
        }
        Value::Time(it) => match it.seconds() {
            0..0x1_0000_0000 if it.nanos() == 0 => 6,
            0..0x4_0000_0000 => 10,
            _ => 15,
        },
        Value::Array(_) | Value::Map(_) if levels == 0 => 1,
        Value::Array(entries) => {
            let inner = entries.iter().map(|entry| value_len(entry, levels - 1));
            count_len(entries.len()) + inner.sum::<usize>()
        }
        Value::Map(entries) => {
            let inner = entries
                .iter()
                .map(|(key, entry)| value_len(key, levels - 1) + value_len(entry, levels - 1));
            count_len(entries.len()) + inner.sum::<usize>()
        }
    }
}
