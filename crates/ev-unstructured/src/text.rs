//! Strings as Go's `protojson` writes them: quotes, backslashes and control characters are
//! escaped, nothing else.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `text`, which is UTF-8, with quotes.
pub(crate) fn write(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain(rest));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = special.split_first() else { break };
        escape(out, byte);
        rest = behind;
    }
    out.push(b'"');
}

/// How many bytes at the beginning need no escape.
fn plain(text: &[u8]) -> usize {
    let (chunks, _) = text.as_chunks();
    let len = 8 * chunks.iter().take_while(|chunk| !has_special(**chunk)).count();
    len + text[len..].iter().take_while(|byte| !is_special(**byte)).count()
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Whether one of the bytes needs an escape.
fn has_special(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let word = u64::from_le_bytes(bytes);
    // A byte is below `n` if it has no high bit and subtracting `n` gives it one. Borrows reach
    // neighbours only above such a byte.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGHS;
    let zero = |word: u64| below(word, 1);
    below(word, 0x20) | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) != 0
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        8 => b'b',
        12 => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            return out.push(HEX[usize::from(byte & 15)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_written_as_it_should_be() {
        for place in 0..20 {
            for byte in 0..=0x7f_u8 {
                let mut text = "a".repeat(20);
                text.replace_range(place..=place, &char::from(byte).to_string());
                let mut out = Vec::new();
                write(&mut out, text.as_bytes());
                let expected = serde_json::to_string(&text).expect("a text");
                assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
            }
        }
    }

    #[test]
    fn what_go_escapes_in_html_is_written_as_it_is() {
        let text = "<a>&\u{2028}\u{7f}\u{fffd}ä\u{10ffff}";
        let mut out = Vec::new();
        write(&mut out, text.as_bytes());
        assert_eq!(String::from_utf8(out).expect("UTF-8"), format!("\"{text}\""));
    }
}
