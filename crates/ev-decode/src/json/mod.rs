//! Writing JSON as Go's `encoding/json` does: strings, numbers, times, base64.

mod block;
mod out;
mod string;
mod time;

pub(crate) use out::Out;
pub(crate) use string::{printed_len, string_end, write_utf8_from_escapes};
pub(crate) use time::{valid_time, write_time};

const DIGIT_PAIRS: &[u8; 200] = b"\
    00010203040506070809101112131415161718192021222324252627282930313233343536373839\
    40414243444546474849505152535455565758596061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// An unsigned integer in decimal.
pub(crate) fn write_u64(out: &mut Out, mut value: u64) {
    // Most numbers of an event are small.
    if value < 10 {
        #[expect(clippy::cast_possible_truncation, reason = "one digit")]
        return out.push(b'0' + value as u8);
    }
    // 2^64 - 1 has 20 digits.
    let mut digits = [0u8; 24];
    let count = value.ilog10() as usize + 1;
    let mut at = count;
    while value >= 10 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
    }
    if at > 0 {
        digits[0] = b'0' + (value % 10) as u8;
    }
    out.extend_from_block(&digits, count);
}

/// A signed integer in decimal.
pub(crate) fn write_i64(out: &mut Out, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as a quoted string of padded standard base64.
pub(crate) fn write_base64(out: &mut Out, bytes: &[u8]) {
    out.push(b'"');
    let letter = |bits: u32| BASE64[(bits & 63) as usize];
    let mut chunks = bytes.chunks_exact(3);
    for chunk in &mut chunks {
        let bits = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
        let four = [letter(bits >> 18), letter(bits >> 12), letter(bits >> 6), letter(bits)];
        out.extend_from_block(&four, 4);
    }
    match *chunks.remainder() {
        [a] => {
            let bits = u32::from(a) << 16;
            out.extend_from_slice(&[letter(bits >> 18), letter(bits >> 12), b'=', b'=']);
        }
        [a, b] => {
            let bits = u32::from(a) << 16 | u32::from(b) << 8;
            let last = letter(bits >> 6);
            out.extend_from_slice(&[letter(bits >> 18), letter(bits >> 12), last, b'=']);
        }
        _ => {}
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::default();
        write(&mut out);
        String::from_utf8(out.as_slice().to_vec()).expect("JSON is text")
    }

    #[test]
    fn integers_at_their_borders() {
        for value in [0, 1, 9, 10, 99, 100, 101, 12_345, u64::MAX] {
            assert_eq!(text(|out| write_u64(out, value)), value.to_string());
        }
        for value in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(text(|out| write_i64(out, value)), value.to_string());
        }
    }

    proptest! {
        #[test]
        fn integers(value: u64) {
            prop_assert_eq!(text(|out| write_u64(out, value)), value.to_string());
        }

        #[test]
        fn base64(bytes: Vec<u8>) {
            let expected = format!("\"{}\"", BASE64_STANDARD.encode(&bytes));
            prop_assert_eq!(text(|out| write_base64(out, &bytes)), expected);
        }
    }
}
