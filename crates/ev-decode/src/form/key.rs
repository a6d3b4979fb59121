//! The order of keys: that of their text, compared where they stand.

use std::cmp::Ordering;

use super::Member;
use crate::sort::sort_by;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first eight bytes, big-endian, of a key whose inside has `len` bytes at the front of `text`.
#[inline]
pub(super) fn prefix(text: &[u8], len: usize, escaped: bool) -> u64 {
    match text.first_chunk() {
        Some(chunk) if !escaped => {
            let word = u64::from_be_bytes(*chunk);
            if len < 8 { word & !(u64::MAX >> (8 * len)) } else { word }
        }
        _ => plain_prefix(text),
    }
}

fn plain_prefix(text: &[u8]) -> u64 {
    let bytes = Plain::new(text).chain(std::iter::repeat(0)).take(8);
    bytes.fold(0, |prefix, byte| prefix << 8 | u64::from(byte))
}

/// Whether the key of `a` comes in front of that of `b`.
#[inline]
pub(super) fn is_less(go: &[u8], a: &Member, b: &Member) -> bool {
    a.prefix < b.prefix || a.prefix == b.prefix && compare(inside(go, a), inside(go, b)).is_lt()
}

/// Whether the keys of two members, neighbours once [`sort`]ed, are equal.
#[inline]
pub(super) fn is_equal(go: &[u8], a: &Member, b: &Member) -> bool {
    a.prefix == b.prefix && compare(inside(go, a), inside(go, b)).is_eq()
}

/// Sorts members by their keys; equal keys stay in the order of the JSON. The prefixes serve only
/// [`is_equal`] afterwards.
pub(super) fn sort(go: &[u8], members: &mut [Member]) {
    sort_by(members, |a, b| (a.prefix, a.span.start) < (b.prefix, b.span.start));
    for alike in members.chunk_by_mut(|a, b| a.prefix == b.prefix) {
        if alike.len() > 1 {
            sort_alike(go, alike);
        }
    }
}

/// Sorts members whose keys have the same beginning.
fn sort_alike(go: &[u8], members: &mut [Member]) {
    /// Up to this length it is not worth the trouble to look for a better prefix.
    const FEW: usize = 16;
    let mut shared = 0;
    if members.len() > FEW {
        // Hostile keys may begin alike in more than the prefix: compare what is behind.
        let (first, others) = (inside(go, &members[0]), &members[1..]);
        let common = others.iter().map(|other| common(first, inside(go, other)));
        shared = common.min().unwrap_or_default();
        for member in &mut *members {
            member.prefix = plain_prefix(&inside(go, member)[shared..]);
        }
    }
    let rest = |member: &Member| &inside(go, member)[shared..];
    sort_by(members, |a, b| {
        let order = a.prefix.cmp(&b.prefix).then_with(|| compare(rest(a), rest(b)));
        order.then_with(|| a.span.start.cmp(&b.span.start)).is_lt()
    });
}

/// From behind the key's opening quote on.
fn inside<'a>(go: &'a [u8], member: &Member) -> &'a [u8] {
    go.get(member.span.start() + 1..).unwrap_or_default()
}

/// Compares two strings, each from behind its opening quote on.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let common = common(a, b);
    Plain::new(&a[common..]).cmp(Plain::new(&b[common..]))
}

/// Length of what stands at the beginning of two strings in the same way, without half escapes.
fn common(a: &[u8], b: &[u8]) -> usize {
    // Strings without a quote inside are equal as far as they stand there in the same way.
    let chunks = a.as_chunks().0.iter().zip(b.as_chunks().0);
    let mut len = 8 * chunks.take_while(|(x, y)| x == y && !has_quote(**x)).count();
    // The difference may lie inside of an escape. That one begins behind this place, and another
    // one that this place lies in ends in front of it; its last digits do no harm as letters.
    len = len.saturating_sub(6);
    while len > 0 && a[len - 1] == b'\\' {
        len -= 1;
    }
    loop {
        let (a, b) = (&a[len..], &b[len..]);
        let alike = match a {
            [] | [b'"', ..] => 0,
            [b'\\', b'u', ..] => begin_alike::<6>(a, b),
            [b'\\', ..] => begin_alike::<2>(a, b),
            _ => begin_alike::<1>(a, b),
        };
        if alike == 0 {
            return len;
        }
        len += alike;
    }
}

/// `N` if both begin with the same `N` bytes, else 0.
fn begin_alike<const N: usize>(a: &[u8], b: &[u8]) -> usize {
    let alike = a.first_chunk::<N>().is_some_and(|a| b.first_chunk() == Some(a));
    if alike { N } else { 0 }
}

/// Whether one of the bytes is a quote.
fn has_quote(bytes: [u8; 8]) -> bool {
    let word = u64::from_le_bytes(bytes) ^ (ONES * 0x22);
    word.wrapping_sub(ONES) & !word & HIGHS != 0
}

/// The bytes of a string's text, up to its closing quote.
struct Plain<'a> {
    rest: &'a [u8],
    /// The character of an escape, and which of its bytes come next.
    character: [u8; 4],
    at: usize,
    end: usize,
}

impl<'a> Plain<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, character: [0; 4], at: 0, end: 0 }
    }
}

impl Iterator for Plain<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.at < self.end {
            self.at += 1;
            return Some(self.character[self.at - 1]);
        }
        let (byte, rest) = match self.rest {
            [] | [b'"', ..] => return None,
            [b'\\', b'u', rest @ ..] => {
                let (digits, rest) = rest.split_at(rest.len().min(4));
                let code = digits.iter().fold(0, |code, digit| {
                    code << 4 | char::from(*digit).to_digit(16).unwrap_or_default()
                });
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                self.end = character.encode_utf8(&mut self.character).len();
                self.at = 1;
                (self.character[0], rest)
            }
            [b'\\', kind, rest @ ..] => {
                let byte = match kind {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'f' => 12,
                    other => *other,
                };
                (byte, rest)
            }
            [byte, rest @ ..] => (*byte, rest),
        };
        self.rest = rest;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_compare_as_their_bytes_do() {
        // As written, and as text.
        let texts: [(&str, &[u8]); 17] = [
            ("", b""),
            (r"\u0000", b"\0"),
            (r"\u0000a", b"\0a"),
            (r"\n", b"\n"),
            (" ", b" "),
            ("!", b"!"),
            (r#"\""#, b"\""),
            (r"\u0026", b"&"),
            (r"\u003c", b"<"),
            (r"\u003e", b">"),
            ("a long key", b"a long key"),
            (r"a long \u003ckey", b"a long <key"),
            (r"a long \\u003ckey", br"a long \u003ckey"),
            (r"\\", br"\"),
            (r"a\u2028", "a\u{2028}".as_bytes()),
            (r"a\ufffdb", "a\u{fffd}b".as_bytes()),
            ("a\u{fffd}a", "a\u{fffd}a".as_bytes()),
        ];
        for (a, plain_a) in texts {
            for (b, plain_b) in texts {
                // The bytes behind the key must not matter.
                let (go_a, go_b) = (format!("{a}\":1,\"z\":2}}"), format!("{b}\"}}"));
                let (go_a, go_b) = (go_a.as_bytes(), go_b.as_bytes());
                let expected = plain_a.cmp(plain_b);
                assert_eq!(compare(go_a, go_b), expected, "{a} {b}");
                let prefixes = [(go_a, a), (go_b, b)]
                    .map(|(go, text)| prefix(go, text.len(), text.contains('\\')));
                if prefixes[0] != prefixes[1] {
                    assert_eq!(prefixes[0].cmp(&prefixes[1]), expected, "{a} {b}");
                }
            }
        }
    }
}
