//! Strings as Go's `encoding/json` escapes them, and back to plain UTF-8.

const HEX: &[u8; 16] = b"0123456789abcdef";
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// For each byte whether it is copied as it is: not a control character, not `"` `\` `<` `>` `&`,
/// and ASCII.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20u8;
    while byte < 0x80 {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
        byte += 1;
    }
    plain
};

/// A non-zero byte at least at the first byte of `word` that is not plain (and zero if all are).
///
/// Byte tricks on a word: `(x - 1) & !x & 0x80` marks zero bytes, exactly at the first one, which
/// is all that is needed here.
#[inline]
fn not_plain(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    // `<` and `>` differ in one bit; so do `"` and `&` (0x22, 0x26).
    let angles = zero((word | (ONES * 2)) ^ (ONES * 0x3e));
    let quote = zero((word | (ONES * 4)) ^ (ONES * 0x26));
    let backslash = zero(word ^ (ONES * 0x5c));
    (word | below_space | angles | quote | backslash) & HIGHS
}

/// Length of the plain bytes at the start of `bytes`.
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let marks = not_plain(word);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| PLAIN[usize::from(**byte)]).count()
}

/// The inside of the string that begins `text`, behind its opening quote: where it ends, and
/// whether there are escapes in it. Ends with the text if there is no closing quote.
pub(crate) fn string_end(text: &[u8]) -> (usize, bool) {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
    let (mut at, mut escaped) = (0, false);
    loop {
        while let Some(chunk) = text.get(at..at + 8) {
            let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
            let marks = zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c));
            if marks != 0 {
                at += marks.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match text.get(at) {
            None => return (text.len(), escaped),
            Some(b'"') => return (at, escaped),
            Some(b'\\') => {
                escaped = true;
                at += 2;
            }
            Some(_) => at += 1,
        }
    }
}

/// `bytes` as a quoted JSON string; each byte that is not UTF-8 becomes `\ufffd`.
#[inline]
pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let plain = plain_len(bytes);
    out.extend_from_slice(&bytes[..plain]);
    if plain < bytes.len() {
        write_escaped(out, &bytes[plain..]);
    }
    out.push(b'"');
}

#[inline(never)]
fn write_escaped(out: &mut Vec<u8>, mut bytes: &[u8]) {
    while let Some(&byte) = bytes.first() {
        if PLAIN[usize::from(byte)] {
            let plain = plain_len(bytes);
            out.extend_from_slice(&bytes[..plain]);
            bytes = &bytes[plain..];
        } else if byte < 0x80 {
            write_escape(out, byte);
            bytes = &bytes[1..];
        } else {
            bytes = write_non_ascii(out, bytes);
        }
    }
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        8 => b'b',
        12 => b'f',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes characters until the next ASCII byte; returns what is left.
fn write_non_ascii<'a>(out: &mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
    let mut at = 0;
    let mut copied = 0;
    while at < bytes.len() && bytes[at] >= 0x80 {
        let len = char_len(&bytes[at..]);
        let escape: &[u8] = match &bytes[at..at + len.max(1)] {
            _ if len == 0 => b"\\ufffd",
            // U+2028 and U+2029 end lines in JavaScript.
            [0xe2, 0x80, 0xa8] => b"\\u2028",
            [0xe2, 0x80, 0xa9] => b"\\u2029",
            _ => b"",
        };
        if !escape.is_empty() {
            out.extend_from_slice(&bytes[copied..at]);
            out.extend_from_slice(escape);
            copied = at + len.max(1);
        }
        at += len.max(1);
    }
    out.extend_from_slice(&bytes[copied..at]);
    &bytes[at..]
}

/// Length of the UTF-8 character of several bytes at the start of `bytes`; 0 if there is none.
fn char_len(bytes: &[u8]) -> usize {
    let tail = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0xc0 == 0x80);
    let second = bytes.get(1).copied().unwrap_or_default();
    match bytes[0] {
        0xc2..=0xdf if tail(bytes.get(1)) => 2,
        lead @ 0xe0..=0xef => {
            let range = match lead {
                0xe0 => 0xa0..=0xbf,
                0xed => 0x80..=0x9f,
                _ => 0x80..=0xbf,
            };
            if range.contains(&second) && tail(bytes.get(2)) { 3 } else { 0 }
        }
        lead @ 0xf0..=0xf4 => {
            let range = match lead {
                0xf0 => 0x90..=0xbf,
                0xf4 => 0x80..=0x8f,
                _ => 0x80..=0xbf,
            };
            if range.contains(&second) && tail(bytes.get(2)) && tail(bytes.get(3)) { 4 } else { 0 }
        }
        _ => 0,
    }
}

/// The inside of a string that [`write_string`] wrote, with all escapes replaced that plain UTF-8
/// needs not: `<`, `>`, `&`, U+2028, U+2029, U+FFFD. With `unquoted`, the rest too, so that the
/// result is the text itself.
pub(crate) fn write_utf8_from_escapes(out: &mut Vec<u8>, mut text: &[u8], unquoted: bool) {
    while let Some(backslash) = text.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&text[..backslash]);
        let kind = text.get(backslash + 1).copied().unwrap_or_default();
        if kind != b'u' {
            if unquoted {
                out.push(match kind {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'f' => 12,
                    other => other,
                });
            } else {
                out.extend_from_slice(&[b'\\', kind]);
            }
            text = text.get(backslash + 2..).unwrap_or_default();
            continue;
        }
        let digits = text.get(backslash + 2..backslash + 6).unwrap_or_default();
        let code = digits.iter().fold(0u32, |code, digit| {
            code << 4 | char::from(*digit).to_digit(16).unwrap_or_default()
        });
        if code < 0x20 && !unquoted {
            out.extend_from_slice(&text[backslash..backslash + 2]);
            out.extend_from_slice(digits);
        } else {
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        text = text.get(backslash + 6..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, bytes);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn escapes_as_go_does() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(quoted(bytes), expected);
        check(b"", r#""""#);
        check(b"plain text of more than eight bytes", r#""plain text of more than eight bytes""#);
        check(b"a\"\\\n\r\t\x08\x0c\x00\x1f\x7f", "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0000\\u001f\x7f\"");
        check(b"<a>&b", r#""\u003ca\u003e\u0026b""#);
        check("é\u{2028}\u{2029}\u{fffd}😀".as_bytes(), "\"é\\u2028\\u2029\u{fffd}😀\"");
        check(b"x\xffy\xe2\x82z\xed\xa0\x80", r#""x\ufffdy\ufffd\ufffdz\ufffd\ufffd\ufffd""#);
        check(b"\xc0\xaf\xf4\x90\x80\x80", &format!("\"{}\"", r"\ufffd".repeat(6)));
    }

    proptest! {
        /// Against `std`: each byte of an invalid chunk is one replacement, as in Go.
        #[test]
        fn invalid_bytes_are_replaced_one_by_one(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..0xc0u8, Just(b'a'), Just(0xe2)], 0..40)
        ) {
            let mut expected = String::from("\"");
            for chunk in bytes.utf8_chunks() {
                for c in chunk.valid().chars() {
                    match c {
                        '"' => expected.push_str("\\\""),
                        '\\' => expected.push_str("\\\\"),
                        '\n' => expected.push_str("\\n"),
                        '\r' => expected.push_str("\\r"),
                        '\t' => expected.push_str("\\t"),
                        '\u{8}' => expected.push_str("\\b"),
                        '\u{c}' => expected.push_str("\\f"),
                        '<' | '>' | '&' | '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                            expected.push_str(&format!("\\u{:04x}", u32::from(c)));
                        }
                        c => expected.push(c),
                    }
                }
                expected.extend(chunk.invalid().iter().map(|_| "\\ufffd"));
            }
            expected.push('"');
            prop_assert_eq!(quoted(&bytes), expected);
        }

        #[test]
        fn escapes_go_back_to_text(bytes: Vec<u8>) {
            let quoted = quoted(&bytes);
            let inside = &quoted.as_bytes()[1..quoted.len() - 1];
            let mut out = Vec::new();
            write_utf8_from_escapes(&mut out, inside, true);
            let expected: String = bytes
                .utf8_chunks()
                .map(|c| c.valid().to_owned() + &"\u{fffd}".repeat(c.invalid().len()))
                .collect();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
