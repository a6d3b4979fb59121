//! Damage without a look at the structure, and the way back to the smallest bytes that show it.

use super::choices::Choices;
use super::node::{length_delimited, varint};
use crate::slow::wire::Reader;

/// Damages bytes in one to four places: bits, cuts, repeats, pieces of `others`, odd values.
pub fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], choices: &mut Choices<'_>) {
    for _ in 0..1 + choices.below(4) {
        let at = choices.below(bytes.len() + 1);
        let (a, b) = (choices.below(bytes.len() + 1), choices.below(bytes.len() + 1));
        let range = a.min(b)..a.max(b);
        match choices.below(11) {
            0..3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << choices.below(8);
                }
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *choices.pick(&[0, 1, 2, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x0b, 0x0c]);
                }
            }
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    let by = u8::try_from(choices.below(9)).unwrap_or_default();
                    *byte = byte.wrapping_add(by).wrapping_sub(4);
                }
            }
            5 => bytes.truncate(at),
            6 => drop(bytes.drain(range)),
            7 => {
                let piece = bytes[range].to_vec();
                bytes.splice(at..at, piece);
            }
            8 => {
                let byte = u8::try_from(choices.below(256)).unwrap_or_default();
                bytes.insert(at, byte);
            }
            9 if !others.is_empty() => {
                let other = choices.pick(others);
                let (a, b) = (choices.below(other.len() + 1), choices.below(other.len() + 1));
                let piece = other[a.min(b)..a.max(b)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.extend_from_within(..),
        }
    }
}

/// The smallest bytes found for which `fails` still holds: fields are left out at every depth,
/// lengths around them mended, then single bytes.
pub fn minimise(bytes: &[u8], mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = bytes.to_vec();
    loop {
        let before = best.len();
        let mut index = 0;
        while let Some(smaller) = without(&best, &mut index.clone()) {
            if smaller.len() < best.len() && fails(&smaller) {
                best = smaller;
            } else {
                index += 1;
            }
        }
        let mut size = best.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at + size <= best.len() {
                let mut smaller = best.clone();
                smaller.drain(at..at + size);
                if fails(&smaller) {
                    best = smaller;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        if best.len() >= before {
            return best;
        }
    }
}

/// The message without its `index`-th field, counted through all depths; `None` behind the last.
fn without(message: &[u8], index: &mut usize) -> Option<Vec<u8>> {
    let mut reader = Reader::new(message, 0..message.len());
    while let Some(start) = reader.next() {
        let (number, wire) = reader.entry_tag().ok()?;
        let tag_end = reader.next().unwrap_or(message.len());
        let inside =
            if wire == 2 { reader.bytes().ok() } else { reader.skip(wire).ok().map(|()| 0..0) };
        let inside = inside?;
        let end = reader.next().unwrap_or(message.len());
        if *index == 0 {
            return Some([&message[..start], &message[end..]].concat());
        }
        *index -= 1;
        if !inside.is_empty()
            && let Some(smaller) = without(&message[inside], index)
        {
            let mut out = message[..start].to_vec();
            // The tag in its shortest form, if that is what stood there.
            let mut tag = Vec::new();
            varint(&mut tag, u64::from(number) << 3 | 2, 0);
            out.extend_from_slice(if tag_end - start == tag.len() {
                &tag
            } else {
                &message[start..tag_end]
            });
            length_delimited(&mut out, &smaller);
            out.extend_from_slice(&message[end..]);
            return Some(out);
        }
    }
    None
}
