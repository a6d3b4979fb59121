//! Blocks of a string: how many bytes at their start need no escape.
//!
//! Not plain are control characters, `"`, `\`, `<`, `>`, `&` and everything that is not ASCII.

#[cfg(not(target_arch = "wasm32"))]
pub(super) use vector::{BLOCK, plain_len};
#[cfg(target_arch = "wasm32")]
pub(super) use word::{BLOCK, plain_len};

/// Copies the plain bytes among the first `len` bytes of `from`, as far as whole blocks can be read
/// and stored; returns how many. Behind them, something else may be stored.
#[inline]
pub(super) fn copy_plain(to: &mut [u8], from: &[u8], len: usize) -> usize {
    let mut at = 0;
    for (place, block) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0) {
        if at >= len {
            return len;
        }
        *place = *block;
        let plain = plain_len(block);
        if plain < BLOCK {
            return len.min(at + plain);
        }
        at += BLOCK;
    }
    len.min(at)
}

/// How many bytes at the start of `bytes` are plain, as far as whole blocks can be read.
pub(super) fn plain_blocks(bytes: &[u8]) -> usize {
    let mut len = 0;
    for block in bytes.as_chunks().0 {
        let plain = plain_len(block);
        len += plain;
        if plain < BLOCK {
            break;
        }
    }
    len
}

/// The bytes at the end of a text, fewer than a block, filled up with zeros.
pub(super) fn load_end(end: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(end) {
        *to = *from;
    }
    block
}

/// Sixteen bytes at once.
#[cfg(any(not(target_arch = "wasm32"), test))]
mod vector {
    use wide::i8x16;

    pub(crate) const BLOCK: usize = 16;

    /// Length of the plain bytes at the start of the block.
    #[inline]
    pub(crate) fn plain_len(block: &[u8; BLOCK]) -> usize {
        let bytes = i8x16::new(block.map(u8::cast_signed));
        let byte = |byte: u8| i8x16::splat(byte.cast_signed());
        // As signed numbers, control characters and all that is not ASCII are below a blank.
        let controls = bytes.simd_lt(byte(b' '));
        // `<` and `>` differ in one bit; so do `"` and `&`.
        let angles = (bytes | byte(0x02)).simd_eq(byte(b'>'));
        let quotes = (bytes | byte(0x04)).simd_eq(byte(b'&'));
        let backslash = bytes.simd_eq(byte(b'\\'));
        let marks = (controls | angles | quotes | backslash).to_bitmask() | 1 << BLOCK;
        marks.trailing_zeros() as usize
    }
}

/// Eight bytes at once, in one word: the guest has no vector instructions.
#[cfg(any(target_arch = "wasm32", test))]
mod word {
    #[cfg_attr(test, allow(dead_code, reason = "the tests compare the function only"))]
    pub(crate) const BLOCK: usize = 8;

    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;

    /// Length of the plain bytes at the start of the block.
    ///
    /// Byte tricks on a word: `(x - 1) & !x & 0x80` marks zero bytes, exactly at the first one,
    /// which is all that is needed here.
    #[inline]
    pub(crate) fn plain_len(block: &[u8; 8]) -> usize {
        let word = u64::from_le_bytes(*block);
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
        // `<` and `>` differ in one bit; so do `"` and `&`.
        let angles = zero((word | (ONES * 2)) ^ (ONES * 0x3e));
        let quotes = zero((word | (ONES * 4)) ^ (ONES * 0x26));
        let backslash = zero(word ^ (ONES * 0x5c));
        let marks = (word | below_blank | angles | quotes | backslash) & HIGHS;
        marks.trailing_zeros() as usize / 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(byte: u8) -> bool {
        (0x20..0x80).contains(&byte) && !b"\"\\<>&".contains(&byte)
    }

    proptest! {
        #[test]
        fn both_widths_find_the_first_special_byte(
            bytes in prop::array::uniform16(prop_oneof![3 => 0x20..0x80u8, 1 => any::<u8>()])
        ) {
            let expected = bytes.iter().take_while(|byte| plain(**byte)).count();
            prop_assert_eq!(vector::plain_len(&bytes), expected);
            prop_assert_eq!(word::plain_len(bytes.first_chunk().unwrap()), expected.min(8));
        }

        #[test]
        fn behind_the_end_there_are_zeros(bytes in prop::collection::vec(1..=255u8, 0..20)) {
            let mut expected = bytes.clone();
            expected.resize(expected.len().max(BLOCK), 0);
            prop_assert_eq!(&load_end(&bytes)[..], &expected[..BLOCK]);
        }
    }

    #[test]
    fn every_byte_is_judged() {
        for byte in 0..=255 {
            for at in 0..16 {
                let mut block = [b'x'; 16];
                block[at] = byte;
                let expected = if plain(byte) { 16 } else { at };
                assert_eq!(vector::plain_len(&block), expected, "{byte:#x}");
                let half = block.first_chunk().unwrap();
                assert_eq!(word::plain_len(half), expected.min(8), "{byte:#x}");
            }
        }
    }
}
