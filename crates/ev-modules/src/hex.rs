//! Lower-case hexadecimal, the one spelling of digests and key ids.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Prints bytes as lower-case hexadecimal.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Reads exactly `N` bytes. Upper case is refused, so that a digest has one spelling and lists of
/// digests can be searched as text.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(char: u8) -> Option<u8> {
    match char {
        b'0'..=b'9' => Some(char - b'0'),
        b'a'..=b'f' => Some(char - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_of_the_right_length_is_read() {
        assert_eq!(decode("00ff7f"), Some([0, 0xff, 0x7f]));
        assert_eq!(encode(&[0, 0xff, 0x7f]), "00ff7f");
        for bad in ["00FF7f", "00ff7", "00ff7f0", "00ff7g", "00ff7 ", ""] {
            assert_eq!(decode::<3>(bad), None, "{bad}");
        }
    }
}
