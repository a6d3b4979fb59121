//! What a body says, as a digest, and how it is spelt.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use sha2::{Digest as _, Sha256};

use super::read::{Kind, Tree};

/// The first half of a SHA-256.
pub(crate) type Digest = [u8; 16];

/// The first half of the SHA-256 of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    let whole: [u8; 32] = Sha256::digest(bytes).into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

/// What is kept of a body to compare it with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// The bytes as they came.
    raw: Digest,
    /// What they say: equal for two texts with equal values, whatever the spelling.
    pub(crate) value: Digest,
    /// The blanks between the tokens.
    blanks: u64,
    /// The keys, in the order of the text.
    order: u64,
    /// The numbers as they are spelt, keys sorted.
    numbers: u64,
    /// The strings and keys as they are spelt, keys sorted.
    strings: u64,
}

/// In what two equal values are spelt otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spelling {
    /// Byte for byte the same.
    pub(crate) identical: bool,
    pub(crate) blanks: bool,
    pub(crate) order: bool,
    pub(crate) numbers: bool,
    pub(crate) strings: bool,
}

impl Fingerprint {
    /// Of a body and what was read from it.
    pub(crate) fn of(body: &[u8], tree: &Tree<'_>) -> Self {
        let mut blanks = DefaultHasher::new();
        tree.blanks().for_each(|blank| blank.hash(&mut blanks));
        let (value, order, numbers, strings) = value(tree);
        let raw = digest(body);
        Self { raw, value, blanks: blanks.finish(), order, numbers, strings }
    }

    /// How two bodies of equal value differ.
    pub(crate) fn spelling(&self, other: &Self) -> Spelling {
        if self.raw == other.raw {
            return Spelling { identical: true, ..Spelling::default() };
        }
        Spelling {
            identical: false,
            blanks: self.blanks != other.blanks,
            order: self.order != other.order,
            numbers: self.numbers != other.numbers,
            strings: self.strings != other.strings,
        }
    }
}

/// What is written next.
enum Step {
    Value(usize),
    Byte(u8),
}

/// The digest of the value, and the hashes of order, numbers and strings.
///
/// Written in a form of its own in which no two values look alike: each text with its length, each
/// number as the bits of its double, keys sorted.
fn value(tree: &Tree<'_>) -> (Digest, u64, u64, u64) {
    let mut out = Vec::new();
    let [mut order, mut numbers, mut strings] = [(); 3].map(|()| DefaultHasher::new());
    let mut steps = vec![Step::Value(0)];
    while let Some(step) = steps.pop() {
        let number = match step {
            Step::Value(number) => number,
            Step::Byte(byte) => {
                out.push(byte);
                continue;
            }
        };
        let node = tree.node(number);
        if !node.key.is_empty() {
            write_text(&mut out, &tree.key(number));
            tree.key_text(number).hash(&mut strings);
        }
        match node.kind {
            Kind::Null => out.push(b'n'),
            Kind::False => out.push(b'f'),
            Kind::True => out.push(b't'),
            Kind::Number => {
                let text = tree.text(number);
                text.hash(&mut numbers);
                write_number(&mut out, text);
            }
            Kind::String => {
                tree.text(number).hash(&mut strings);
                write_text(&mut out, &tree.string(number).unwrap_or_default());
            }
            Kind::Array => {
                out.push(b'[');
                steps.push(Step::Byte(b']'));
                let from = steps.len();
                steps.extend(tree.children(number).map(Step::Value));
                steps[from..].reverse();
            }
            Kind::Object => {
                out.push(b'{');
                steps.push(Step::Byte(b'}'));
                let mut members: Vec<_> =
                    tree.children(number).map(|child| (tree.key(child), child)).collect();
                let sorted = members.is_sorted_by(|a, b| a.0 <= b.0);
                if !sorted {
                    // Only what is out of order is noted, by the place of the object.
                    out.len().hash(&mut order);
                    members.iter().for_each(|(key, _)| key.hash(&mut order));
                    members.sort();
                }
                steps.extend(members.into_iter().rev().map(|(_, child)| Step::Value(child)));
            }
        }
    }
    (digest(&out), order.finish(), numbers.finish(), strings.finish())
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend((text.len() as u64).to_be_bytes());
    out.extend(text.as_bytes());
}

fn write_number(out: &mut Vec<u8>, text: &str) {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            out.push(b'#');
            // Minus zero equals zero.
            let number = if number == 0.0 { 0.0 } else { number };
            out.extend(number.to_bits().to_be_bytes());
        }
        _ => {
            out.push(b'!');
            write_text(out, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Fingerprint {
        Fingerprint::of(text.as_bytes(), &Tree::read(text.as_bytes()).unwrap())
    }

    #[test]
    fn equal_values_are_equal_however_they_are_spelt() {
        let check = |a: &str, b: &str, expected: Spelling| {
            let (a, b) = (print(a), print(b));
            assert_eq!(a.value, b.value);
            assert_eq!(a.spelling(&b), expected);
            assert_eq!(b.spelling(&a), expected);
        };
        let none = Spelling::default();
        check("{\"a\":1}", "{\"a\":1}", Spelling { identical: true, ..none });
        check("{\"a\":1,\"b\":2}", "{\"a\":1, \"b\":2}", Spelling { blanks: true, ..none });
        check("{\"a\":1}", "{\"a\":1}\n", Spelling { blanks: true, ..none });
        check("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", Spelling { order: true, ..none });
        check("[1e3,-0]", "[1000,0]", Spelling { numbers: true, ..none });
        check("[9007199254740993]", "[9007199254740992]", Spelling { numbers: true, ..none });
        check("[\"<\"]", "[\"\\u003c\"]", Spelling { strings: true, ..none });
        check("{\"<\":1}", "{\"\\u003c\":1}", Spelling { strings: true, ..none });
        let all =
            Spelling { identical: false, blanks: true, order: true, numbers: true, strings: true };
        check("{\"b\":1.0,\"a\":\"/\"}", "{\"a\": \"\\/\",\"b\":1}", all);
    }

    #[test]
    fn other_values_are_other() {
        let texts = [
            "{}",
            "[]",
            "null",
            "true",
            "false",
            "0",
            "1",
            "\"1\"",
            "\"\"",
            "[1]",
            "[[1]]",
            "[1,1]",
            "{\"a\":1}",
            "{\"a\":\"1\"}",
            "{\"a\":1,\"b\":1}",
            "{\"a\":1,\"a\":1}",
            "{\"b\":1}",
            "[\"a\",1]",
            "{\"a\":[],\"b\":{}}",
            "{\"a\":{},\"b\":[]}",
            "1e400",
            "-1e400",
            "[null]",
        ];
        for (at, a) in texts.iter().enumerate() {
            for b in &texts[at + 1..] {
                assert_ne!(print(a).value, print(b).value, "{a} {b}");
            }
        }
    }
}
