//! JSON tokens as Go's `encoding/json` writes them.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// For each byte: 0 plain, 1 escaped, 2 the beginning or inside of a character that is not ASCII.
const CLASS: [u8; 256] = {
    let mut class = [2; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        let escaped = byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
        class[byte as usize] = escaped as u8;
        byte += 1;
    }
    class
};

/// A text, quoted.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inside(out, text);
    out.push(b'"');
}

/// Bytes that may be UTF-8, quoted; each byte that is not becomes `\ufffd`.
pub(crate) fn lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        inside(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn inside(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        let class = CLASS[usize::from(byte)];
        // U+2028 and U+2029 are e2 80 a8 and e2 80 a9.
        let line_end = class == 2
            && byte == 0xe2
            && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9]));
        if class == 1 || line_end {
            out.extend_from_slice(&bytes[copied..at]);
            if line_end {
                out.extend_from_slice(if bytes[at + 2] == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                at += 2;
            } else {
                escape(out, byte);
            }
            copied = at + 1;
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        _ => print(out, format_args!("\\u{byte:04x}")),
    }
}

pub(crate) fn bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

pub(crate) fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// A finite double: shortest digits, an exponent below 1e-6 and from 1e21 on.
pub(crate) fn double(out: &mut Vec<u8>, value: f64) {
    let scientific = shortest(value);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        print(out, format_args!("{digits}e{sign}{exponent}"));
        return;
    }
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let whole = usize::try_from(exponent + 1).unwrap_or_default();
    if exponent < 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or_default();
        print(out, format_args!("{sign}0.{}{digits}", "0".repeat(zeros)));
    } else if digits.len() <= whole {
        print(out, format_args!("{sign}{digits:0<whole$}"));
    } else {
        print(out, format_args!("{sign}{}.{}", &digits[..whole], &digits[whole..]));
    }
}

/// The fewest digits that read back the same, and of those the nearest, as `-d.ddde-7`. Where the
/// value lies exactly between two, Go takes the one that ends in an even digit; the standard
/// library the larger.
fn shortest(value: f64) -> String {
    let text = format!("{value:e}");
    let mantissa = text.split('e').next().unwrap_or_default();
    let decimals = mantissa.split('.').nth(1).map_or(0, str::len);
    let odd = mantissa.bytes().last().is_some_and(|digit| digit % 2 == 1);
    // One digit more would have to be a 5: seen in one of ten, and the rest is dear.
    let longer = || format!("{value:.*e}", decimals + 1);
    let five = || longer().split('e').next().is_some_and(|mantissa| mantissa.ends_with('5'));
    if decimals == 0 || !odd || !five() {
        return text;
    }
    // No double has more than 767 digits: this is the value itself.
    let exact = format!("{value:.800e}");
    let at = exact.find('.').map_or(0, |point| point + 1 + decimals);
    let behind = exact[at..].split('e').next().unwrap_or_default();
    let is_tie = behind.starts_with('5') && behind[1..].bytes().all(|digit| digit == b'0');
    // Cut off is rounded down; the text, being odd, was rounded up from an even digit.
    let down = format!("{}e{}", &exact[..at], exact.rsplit('e').next().unwrap_or_default());
    if is_tie && down.parse() == Ok(value) { down } else { text }
}

/// Padded standard base64, quoted.
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64_STANDARD.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.expect("room was made for all groups of four"));
    out.push(b'"');
}

/// The first second of year 1: Go's zero time.
const YEAR_ONE: i64 = -62_135_596_800;
/// The first second of year 10,000.
const YEAR_TEN_THOUSAND: i64 = 253_402_300_800;
const DAYS_BEFORE_MONTH: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/// An absent time that is not a pointer.
pub(crate) const ZERO_TIME: &[u8] = b"\"0001-01-01T00:00:00Z\"";

/// A time as RFC 3339, quoted; false, and nothing written, for one that gogo does not take.
#[must_use]
pub(crate) fn time(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    if !(YEAR_ONE..YEAR_TEN_THOUSAND).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return false;
    }
    // As Go does it: whole cycles of 400, 100, 4 and 1 years since the beginning of year 1. The
    // last 100 years of 400, and the last year of 4, are a day longer.
    let since = seconds - YEAR_ONE;
    let (mut days, second) = (since / 86_400, since % 86_400);
    let n400 = days / 146_097;
    days -= n400 * 146_097;
    let n100 = (days / 36_524).min(3);
    days -= n100 * 36_524;
    let n4 = days / 1461;
    days -= n4 * 1461;
    let n1 = (days / 365).min(3);
    days -= n1 * 365;
    let year = 400 * n400 + 100 * n100 + 4 * n4 + n1 + 1;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut month = 0;
    let first_of = |month: usize| DAYS_BEFORE_MONTH[month] + i64::from(leap && month >= 2);
    while days >= first_of(month + 1) {
        month += 1;
    }
    let day = days - first_of(month) + 1;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    out.push(b'"');
    digits::<4>(out, year);
    for (separator, value) in [
        (b'-', i64::try_from(month).unwrap_or_default() + 1),
        (b'-', day),
        (b'T', hour),
        (b':', minute),
        (b':', second),
    ] {
        out.push(separator);
        digits::<2>(out, value);
    }
    if nanos != 0 {
        out.push(b'.');
        digits::<9>(out, i64::from(nanos));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(b"Z\"");
    true
}

/// The last `N` digits of a number that is not negative.
fn digits<const N: usize>(out: &mut Vec<u8>, mut value: i64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

fn print(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a vector takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn tokens() {
        assert_eq!(
            written(|out| text(out, "a\"\u{1}<é\u{2028}")),
            "\"a\\\"\\u0001\\u003cé\\u2028\""
        );
        assert_eq!(written(|out| lossy(out, b"a\xe2\x82b\xff")), r#""a\ufffd\ufffdb\ufffd""#);
        assert_eq!(written(|out| signed(out, i64::MIN)), i64::MIN.to_string());
        assert_eq!(written(|out| unsigned(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|out| base64(out, b"ab")), "\"YWI=\"");
        for (value, expected) in [
            (-0.0, "-0"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1e21, "1e+21"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
            (5e-324, "5e-324"),
            (1.0, "1"),
            (-12.5, "-12.5"),
            (1e20, "100000000000000000000"),
            (1.5e300, "1.5e+300"),
            // Halfway between two texts of the same length; printed by Go 1.26.
            (12.000_015_258_789_062, "12.000015258789062"),
            (1.000_007_629_394_531_2, "1.0000076293945312"),
            (12.000_045_776_367_187, "12.000045776367188"),
            (-3.000_015_258_789_062_5, "-3.0000152587890625"),
            (7.629_394_531_25e-6, "0.00000762939453125"),
        ] {
            assert_eq!(written(|out| double(out, value)), expected);
        }
    }

    #[test]
    fn times() {
        let at =
            |seconds, nanos| written(|out| assert!(time(out, seconds, nanos), "{seconds} {nanos}"));
        assert_eq!(at(YEAR_ONE, 0).as_bytes(), ZERO_TIME);
        assert_eq!(at(0, 0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(at(951_782_400, 120_000_000), "\"2000-02-29T00:00:00.12Z\"");
        assert_eq!(at(1_709_251_199, 1), "\"2024-02-29T23:59:59.000000001Z\"");
        assert_eq!(at(4_107_542_399, 0), "\"2100-02-28T23:59:59Z\"");
        assert_eq!(at(4_107_542_400, 0), "\"2100-03-01T00:00:00Z\"");
        assert_eq!(at(YEAR_TEN_THOUSAND - 1, 0), "\"9999-12-31T23:59:59Z\"");
        assert!(!time(&mut Vec::new(), YEAR_ONE - 1, 0));
        assert!(!time(&mut Vec::new(), YEAR_TEN_THOUSAND, 0));
        assert!(!time(&mut Vec::new(), 0, -1) && !time(&mut Vec::new(), 0, 1_000_000_000));
    }
}
