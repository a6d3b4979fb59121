//! The output while an event is printed: bytes that are stored in blocks of a fixed size.
//!
//! Keys and strings are short, so what costs is not the copying but a call and a check of the
//! capacity for each. Behind what is written there is always room for a whole block, initialised:
//! a block is stored without a call, and what is too much of it is overwritten by the next one.

use super::{block, string};

/// Room behind the end that every write leaves or makes.
const SLACK: usize = PIECE;

/// What [`Out::piece`] stores at once.
const PIECE: usize = 32;

/// Bytes from which an output is large.
const LARGE: usize = 1 << 20;

/// Room for the events that are usual.
const FIRST_ROOM: usize = 4096;

/// Growing bytes whose vector is initialised beyond their end.
#[derive(Debug, Default)]
pub(crate) struct Out {
    bytes: Vec<u8>,
    /// Where the output begins; what stands in front belongs to somebody else.
    base: usize,
    len: usize,
}

impl Out {
    /// An output behind what stands in a vector: for output too large to be copied there later.
    pub(crate) fn behind(bytes: Vec<u8>) -> Self {
        Self { base: bytes.len(), len: bytes.len(), bytes }
    }

    /// The vector with the output behind what stood in it.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.base..self.len]
    }

    /// A place to come back to: the end of what is written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn last(&self) -> Option<u8> {
        self.as_slice().last().copied()
    }

    pub(crate) fn clear(&mut self) {
        self.len = self.base;
    }

    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Gives back the memory that an unusually large event left behind.
    pub(crate) fn shrink(&mut self, max_bytes: usize) {
        self.clear();
        if self.bytes.len() > max_bytes {
            self.bytes.truncate(max_bytes);
            self.bytes.shrink_to_fit();
        }
    }

    /// Makes room for `additional` bytes at once, where their number is known to be large.
    pub(crate) fn reserve(&mut self, additional: usize) {
        let needed = self.len + additional + SLACK;
        if self.bytes.len() < needed {
            self.bytes.reserve_exact(needed - self.bytes.len());
            self.bytes.resize(needed, 0);
        }
    }

    /// What lies behind the end: at least `additional` bytes and the slack.
    #[inline]
    fn room(&mut self, additional: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < additional + SLACK {
            self.grow(additional);
        }
        &mut self.bytes[self.len..]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, additional: usize) {
        // Large outputs in smaller steps: a guest has little memory.
        let step = if self.bytes.len() < LARGE { 2 } else { 4 };
        self.reserve(additional.max(self.bytes.len() / step).max(FIRST_ROOM));
    }

    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.len += 1;
    }

    /// Replaces a byte that was written.
    #[inline]
    pub(crate) fn set(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    #[inline]
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends the first `len` bytes of a block.
    #[inline]
    pub(crate) fn extend_from_block<const N: usize>(&mut self, block: &[u8; N], len: usize) {
        const { assert!(N <= SLACK) };
        if let Some(place) = self.room(0).first_chunk_mut() {
            *place = *block;
        }
        self.len += len;
    }

    /// Appends `pieces[start..end]`, a short text. Behind the texts there must be 32 bytes more,
    /// or the slow way is taken.
    #[inline]
    pub(crate) fn piece(&mut self, pieces: &[u8], start: usize, end: usize) {
        let len = end - start;
        let text = pieces.get(start..).and_then(<[u8]>::first_chunk::<PIECE>);
        match text {
            Some(text) if len <= PIECE => self.extend_from_block(text, len),
            _ => self.long_piece(&pieces[start..end]),
        }
    }

    /// Apart, or both ways would become one, with a call.
    #[cold]
    #[inline(never)]
    fn long_piece(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }

    /// Appends `buf[start..end]` as a JSON string, escaped as Go does. What stands behind `end` in
    /// `buf` is read too, in blocks, and does not count.
    #[inline]
    pub(crate) fn string(&mut self, buf: &[u8], start: usize, end: usize) {
        let len = end - start;
        let place = self.room(len + 2);
        place[0] = b'"';
        let copied = block::copy_plain(&mut place[1..], &buf[start..], len);
        if copied < len {
            self.len += 1 + copied;
            return self.rest_of_string(buf, start + copied, end);
        }
        place[1 + len] = b'"';
        self.len += len + 2;
    }

    /// The rest of a string in which there is something to escape, or which ends `buf`.
    #[inline(never)]
    fn rest_of_string(&mut self, buf: &[u8], mut at: usize, end: usize) {
        let text = &buf[..end];
        while let Some(&byte) = text.get(at) {
            at += if byte >= 0x80 {
                self.non_ascii(&text[at..])
            } else if let Some((escape, len)) = string::escape(byte) {
                self.extend_from_block(escape, len);
                1
            } else {
                self.plain(buf, at, end)
            };
        }
        self.push(b'"');
    }

    /// Copies plain bytes at `at`; returns how many there are, at least one.
    #[inline]
    fn plain(&mut self, buf: &[u8], at: usize, end: usize) -> usize {
        let mut copied = block::copy_plain(self.room(end - at), &buf[at..], end - at);
        if copied == 0 {
            let block = block::load_end(&buf[at..end]);
            copied = block::plain_len(&block).min(end - at);
            self.extend_from_block(&block, copied);
        } else {
            self.len += copied;
        }
        copied
    }

    /// Writes the character of several bytes at the start of `bytes`, or what stands for it;
    /// returns how many bytes it has.
    #[inline]
    fn non_ascii(&mut self, bytes: &[u8]) -> usize {
        let len = string::char_len(bytes);
        match bytes {
            _ if len == 0 => {
                self.extend_from_block(br"\ufffd", 6);
                return 1;
            }
            // What ends a line in JavaScript.
            [0xe2, 0x80, 0xa8, ..] => self.extend_from_block(br"\u2028", 6),
            [0xe2, 0x80, 0xa9, ..] => self.extend_from_block(br"\u2029", 6),
            [a, b, c, d, ..] => self.extend_from_block(&[*a, *b, *c, *d], len),
            _ => self.extend_from_slice(&bytes[..len]),
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_vector(
            writes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 0..4u8), 0..200)
        ) {
            let mut out = Out::default();
            let mut expected = Vec::new();
            for (bytes, how) in &writes {
                match how {
                    0 => out.extend_from_slice(bytes),
                    1 => bytes.iter().for_each(|byte| out.push(*byte)),
                    2 => out.piece(bytes, 0, bytes.len()),
                    _ => {
                        let pieces = [&b"in front"[..], bytes, &[7; 40]].concat();
                        out.piece(&pieces, 8, 8 + bytes.len());
                    }
                }
                expected.extend_from_slice(bytes);
                prop_assert_eq!(out.last(), expected.last().copied());
                if *how == 1 && bytes.len() % 7 == 0 {
                    out.truncate(bytes.len() * 9);
                    expected.truncate(bytes.len() * 9);
                }
            }
            prop_assert_eq!(out.as_slice(), expected);
        }

        #[test]
        fn leaves_alone_what_stands_in_front(
            front: Vec<u8>,
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let mut out = Out::behind(front.clone());
            prop_assert_eq!(out.last(), None);
            out.extend_from_slice(b"to be dropped");
            out.clear();
            out.extend_from_slice(&bytes);
            prop_assert_eq!(out.as_slice(), &bytes);
            prop_assert_eq!(out.into_vec(), [front, bytes].concat());
        }
    }
}
