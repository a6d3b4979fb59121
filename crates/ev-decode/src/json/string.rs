//! Strings as Go's `encoding/json` escapes them, and back to plain UTF-8.

use super::block;

const HEX: &[u8; 16] = b"0123456789abcdef";
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// What stands for an ASCII character that is not copied as it is; `None` for all others.
#[inline]
pub(super) fn escape(byte: u8) -> Option<(&'static [u8; 8], usize)> {
    let escape = ESCAPES.get(usize::from(byte))?;
    // The last byte is the length; no escape is as long as that.
    (escape[7] != 0).then_some((escape, usize::from(escape[7])))
}

const ESCAPES: &[[u8; 8]; 128] = &{
    let mut escapes = [[0; 8]; 128];
    let mut byte = 0;
    while byte < escapes.len() {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let character = byte as u8;
        let short = match character {
            b'"' | b'\\' => character,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            _ => 0,
        };
        if short != 0 {
            escapes[byte] = [b'\\', short, 0, 0, 0, 0, 0, 2];
        } else if byte < 0x20 || matches!(character, b'<' | b'>' | b'&') {
            let (high, low) = (HEX[byte >> 4], HEX[byte & 15]);
            escapes[byte] = [b'\\', b'u', b'0', b'0', high, low, 0, 6];
        }
        byte += 1;
    }
    escapes
};

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

/// About the length of a large event's JSON, keys of large numbers of small fields apart: that of
/// its bytes as if they were one string, judged by samples. Looking at every byte would cost more
/// than printing some of them.
pub(crate) fn printed_len(bytes: &[u8]) -> usize {
    const KEYS: usize = 64 << 10;
    const SAMPLE: usize = 1 << 10;
    const SAMPLES: usize = 64;
    if bytes.len() <= SAMPLE * SAMPLES {
        return KEYS + text_len(bytes);
    }
    let step = bytes.len() / SAMPLES;
    let sampled: usize = (0..SAMPLES).map(|index| text_len(&bytes[index * step..][..SAMPLE])).sum();
    // A little more, since samples are samples.
    KEYS + bytes.len() / 64 + sampled / SAMPLES * (bytes.len() / SAMPLE)
}

/// Length of the bytes as the inside of a JSON string.
fn text_len(bytes: &[u8]) -> usize {
    let (mut len, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        if let Some((_, escape)) = escape(byte) {
            len += escape;
            at += 1;
        } else if byte < 0x80 {
            let plain = block::plain_blocks(&bytes[at..]).max(1);
            len += plain;
            at += plain;
        } else {
            let character = char_len(&bytes[at..]);
            len += if character == 0 { 6 } else { character };
            at += character.max(1);
        }
    }
    len
}

/// Length of the UTF-8 character of several bytes at the start of `bytes`; 0 if there is none.
#[inline]
pub(super) fn char_len(bytes: &[u8]) -> usize {
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

/// The inside of a string that [`super::Out::string`] wrote, with all escapes replaced that plain
/// UTF-8 needs not: `<`, `>`, `&`, U+2028, U+2029, U+FFFD.
pub(crate) fn write_utf8_from_escapes(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(backslash) = text.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&text[..backslash]);
        let kind = text.get(backslash + 1).copied().unwrap_or_default();
        if kind != b'u' {
            out.extend_from_slice(&[b'\\', kind]);
            text = text.get(backslash + 2..).unwrap_or_default();
            continue;
        }
        let digits = text.get(backslash + 2..backslash + 6).unwrap_or_default();
        let code = digits.iter().fold(0u32, |code, digit| {
            code << 4 | char::from(*digit).to_digit(16).unwrap_or_default()
        });
        if code < 0x20 {
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

    use super::super::Out;
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = Out::default();
        out.string(bytes, 0, bytes.len());
        String::from_utf8(out.as_slice().to_vec()).expect("JSON is text")
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
        fn the_length_is_told_beforehand(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a')], 0..300)
        ) {
            prop_assert_eq!(text_len(&bytes) + 2, quoted(&bytes).len());
        }

        #[test]
        fn escapes_go_back_to_text(bytes: Vec<u8>) {
            let quoted = quoted(&bytes);
            let inside = &quoted.as_bytes()[1..quoted.len() - 1];
            let mut out = b"\"".to_vec();
            write_utf8_from_escapes(&mut out, inside);
            out.push(b'"');
            let expected: String = bytes
                .utf8_chunks()
                .map(|c| c.valid().to_owned() + &"\u{fffd}".repeat(c.invalid().len()))
                .collect();
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(text, expected);
        }
    }
}
