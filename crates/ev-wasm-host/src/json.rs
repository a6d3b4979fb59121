//! One linear scan over JSON text: proves that it is a single object or array and shows its
//! members, without building anything. Depth costs no stack.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use wide::u8x16;

/// A key as it stands between its quotes; empty for an element of an array.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Key<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Key<'a> {
    /// Whether its text may have a length in this range.
    #[inline]
    pub(crate) fn may_have(&self, lens: RangeInclusive<usize>) -> bool {
        self.escaped || lens.contains(&self.raw.len())
    }

    /// The text that it stands for.
    pub(crate) fn text(&self) -> Cow<'a, [u8]> {
        // Nobody has to escape a key, but whoever reads one sees through it.
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// What the bytes of a text are, if they are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// ASCII, and so UTF-8.
    Ascii,
    /// Others are among them, inside of strings: UTF-8 or not.
    Any,
}

/// Calls `visit` for each member of the object or array that `text` consists of: the key, and the
/// text of the value.
///
/// Blanks are allowed where RFC 8259 allows them, but not around the whole. Escaped surrogates
/// must come in pairs: half of one is no text, and receivers differ in what they make of it.
///
/// # Errors
///
/// The offset of the first fault, when `text` is anything else.
pub(crate) fn members<'a>(
    text: &'a [u8],
    mut visit: impl FnMut(Key<'a>, &'a [u8]),
) -> Result<Bytes, usize> {
    let mut nesting = Nesting::default();
    // Of the member of the outermost value that is being read.
    let mut key = Key::default();
    let mut marks = Marks::new(text);
    let mut start = 0;
    let mut pos = 0;
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return Err(0);
    }
    loop {
        // At the first byte of a value.
        if nesting.depth == 1 {
            start = pos;
        }
        match byte(text, pos) {
            // First, as most values are texts.
            b'"' => pos = string(text, pos, &mut marks)?.0,
            open @ (b'{' | b'[') => {
                let object = open == b'{';
                nesting.push(object);
                pos = blanks(text, pos + 1);
                let close = if object { b'}' } else { b']' };
                if byte(text, pos) != close {
                    if object {
                        let (name, next) = name(text, pos, &mut marks)?;
                        if nesting.depth == 1 {
                            key = name;
                        }
                        pos = next;
                    }
                    continue;
                }
                pos += 1;
                nesting.pop();
            }
            b't' => pos = literal(text, pos, b"true")?,
            b'f' => pos = literal(text, pos, b"false")?,
            b'n' => pos = literal(text, pos, b"null")?,
            _ => pos = number(text, pos)?,
        }
        // Behind a value: to the next one, closing what ends here.
        loop {
            match nesting.depth {
                0 if pos == text.len() => return Ok(marks.bytes()),
                0 => return Err(pos),
                1 => visit(key, &text[start..pos]),
                _ => {}
            }
            pos = blanks(text, pos);
            match (byte(text, pos), nesting.in_object()) {
                (b',', object) => {
                    pos = blanks(text, pos + 1);
                    if object {
                        let (name, next) = name(text, pos, &mut marks)?;
                        if nesting.depth == 1 {
                            key = name;
                        }
                        pos = next;
                    }
                    break;
                }
                (b'}', true) | (b']', false) => {
                    pos += 1;
                    nesting.pop();
                }
                _ => return Err(pos),
            }
        }
    }
}

/// The text that a string stands for; `raw` is what stands between the quotes of a string that
/// [`members`] has accepted.
pub(crate) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut pos = 0;
    while let Some(&first) = raw.get(pos) {
        pos += 1;
        if first != b'\\' {
            text.push(first);
            continue;
        }
        let escape = byte(raw, pos);
        pos += 1;
        text.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = hex4(raw, pos).unwrap_or(0xfffd);
                pos += 4;
                if (0xd800..0xdc00).contains(&code) {
                    let low = hex4(raw, pos + 2).unwrap_or(0xdc00);
                    code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                    pos += 6;
                }
                let decoded = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        });
    }
    text
}

/// Which of the open values are objects: one bit each, so that depth costs no stack and, up to 64
/// levels, no memory.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost levels, the last one lowest.
    bits: u64,
    /// Full words of outer levels.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
        if self.depth != 0
            && self.depth.is_multiple_of(64)
            && let Some(bits) = self.outer.pop()
        {
            self.bits = bits;
        }
    }

    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// The byte at `pos`; 0, which is no JSON, behind the end.
#[inline]
fn byte(text: &[u8], pos: usize) -> u8 {
    text.get(pos).copied().unwrap_or(0)
}

#[inline]
fn blanks(text: &[u8], mut pos: usize) -> usize {
    if byte(text, pos) > b' ' {
        return pos;
    }
    while matches!(byte(text, pos), b' ' | b'\t' | b'\n' | b'\r') {
        pos += 1;
    }
    pos
}

/// A key at `pos` and where its value starts.
#[inline]
fn name<'a>(text: &'a [u8], pos: usize, marks: &mut Marks<'_>) -> Result<(Key<'a>, usize), usize> {
    if byte(text, pos) != b'"' {
        return Err(pos);
    }
    let (end, escaped) = string(text, pos, marks)?;
    let raw = &text[pos + 1..end - 1];
    let colon = blanks(text, end);
    if byte(text, colon) != b':' {
        return Err(colon);
    }
    Ok((Key { raw, escaped }, blanks(text, colon + 1)))
}

fn literal(text: &[u8], pos: usize, word: &[u8]) -> Result<usize, usize> {
    let found = text.get(pos..).is_some_and(|rest| rest.starts_with(word));
    if found { Ok(pos + word.len()) } else { Err(pos) }
}

/// Steps over the string whose opening quote is at `pos`; says whether it has escapes.
#[inline(always)]
fn string(text: &[u8], pos: usize, marks: &mut Marks<'_>) -> Result<(usize, bool), usize> {
    let end = marks.next(pos + 1);
    if byte(text, end) == b'"' { Ok((end + 1, false)) } else { escaped_string(text, end, marks) }
}

/// The rest of a string, from its first escape at `pos` on, or from what is no part of any.
#[inline(never)]
fn escaped_string(
    text: &[u8],
    mut pos: usize,
    marks: &mut Marks<'_>,
) -> Result<(usize, bool), usize> {
    loop {
        match text.get(pos) {
            Some(b'"') => return Ok((pos + 1, true)),
            Some(b'\\') => pos = marks.next(escape(text, pos)?),
            _ => return Err(pos),
        }
    }
}

/// Finds what a string ends or breaks at: quotes, backslashes and control characters. Every byte
/// is looked at once, in windows, and what was found in one is kept: strings are short.
struct Marks<'a> {
    text: &'a [u8],
    /// Where the window starts, and one bit for each of its bytes.
    start: usize,
    bits: u64,
    /// All bytes so far, put together. Outside of strings only ASCII is accepted, and every byte
    /// of a string stands in a window.
    all: u8x16,
}

impl<'a> Marks<'a> {
    const WINDOW: usize = 64;

    fn new(text: &'a [u8]) -> Self {
        let mut marks = Self { text, start: 0, bits: 0, all: u8x16::splat(0) };
        marks.load(0);
        marks
    }

    fn bytes(&self) -> Bytes {
        if self.all.to_array().iter().all(u8::is_ascii) { Bytes::Ascii } else { Bytes::Any }
    }

    /// The first such byte from `pos` on, or the end. Calls come with rising positions.
    #[inline]
    fn next(&mut self, pos: usize) -> usize {
        self.near(pos).unwrap_or_else(|| self.next_window(pos))
    }

    /// As [`Marks::next`], but only if it is in the window at hand.
    #[inline]
    fn near(&self, pos: usize) -> Option<usize> {
        let inside = pos.wrapping_sub(self.start);
        if inside >= Self::WINDOW {
            return None;
        }
        let bits = self.bits >> inside;
        if bits == 0 { None } else { Some(pos + bits.trailing_zeros() as usize) }
    }

    #[inline]
    fn next_window(&mut self, pos: usize) -> usize {
        let mut start = self.start + Self::WINDOW;
        if pos >= start {
            start = pos;
        }
        while start < self.text.len() {
            self.load(start);
            if self.bits != 0 {
                return start + self.bits.trailing_zeros() as usize;
            }
            start += Self::WINDOW;
        }
        self.text.len()
    }

    /// Looks at a window. Behind the end there are quotes, so that nothing goes on there.
    fn load(&mut self, start: usize) {
        self.start = start;
        let rest = self.text.get(start..).unwrap_or_default();
        let window = match rest.first_chunk() {
            Some(window) => *window,
            None => {
                let mut window = [b'"'; Self::WINDOW];
                window[..rest.len()].copy_from_slice(rest);
                window
            }
        };
        self.bits = 0;
        for (index, block) in window.as_chunks().0.iter().enumerate() {
            let bytes = u8x16::new(*block);
            self.all |= bytes;
            let quotes = bytes.simd_eq(u8x16::splat(b'"'));
            let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
            let controls = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
            let marks = (quotes | backslashes | controls).to_bitmask();
            self.bits |= u64::from(marks) << (index * block.len());
        }
    }
}

/// Steps over the escape whose backslash is at `pos`.
fn escape(text: &[u8], pos: usize) -> Result<usize, usize> {
    match byte(text, pos + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(pos + 2),
        b'u' => match hex4(text, pos + 2).ok_or(pos)? {
            0xd800..0xdc00 => {
                let low = if text.get(pos + 6..pos + 8) == Some(b"\\u") {
                    hex4(text, pos + 8)
                } else {
                    None
                };
                low.filter(|low| (0xdc00..0xe000).contains(low)).map(|_| pos + 12).ok_or(pos)
            }
            0xdc00..0xe000 => Err(pos),
            _ => Ok(pos + 6),
        },
        _ => Err(pos),
    }
}

fn hex4(text: &[u8], pos: usize) -> Option<u32> {
    text.get(pos..pos + 4)?
        .iter()
        .try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// Steps over a number.
fn number(text: &[u8], pos: usize) -> Result<usize, usize> {
    let digits = |mut pos: usize| {
        while byte(text, pos).is_ascii_digit() {
            pos += 1;
        }
        pos
    };
    let some_digits = |pos| Some(digits(pos)).filter(|end| *end > pos).ok_or(pos);
    let start = pos + usize::from(byte(text, pos) == b'-');
    let mut pos = if byte(text, start) == b'0' { start + 1 } else { some_digits(start)? };
    if byte(text, pos) == b'.' {
        pos = some_digits(pos + 1)?;
    }
    if matches!(byte(text, pos), b'e' | b'E') {
        pos += 1;
        pos += usize::from(matches!(byte(text, pos), b'+' | b'-'));
        pos = some_digits(pos)?;
    }
    Ok(pos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(text: &str) -> Result<Vec<(&str, &str)>, usize> {
        let mut found = Vec::new();
        let str = |bytes| std::str::from_utf8(bytes).expect("cut at ASCII");
        members(text.as_bytes(), |key, value| found.push((str(key.raw), str(value)))).map(drop)?;
        Ok(found)
    }

    #[test]
    fn shows_the_members_of_the_outermost_value_only() {
        assert_eq!(
            collect(r#"{"a":1,"b":{"a":[2,{"x":"}"}]},"c":[],"d":{},"e\"":"\"","f":-0.5e+3}"#),
            Ok(vec![
                ("a", "1"),
                ("b", r#"{"a":[2,{"x":"}"}]}"#),
                ("c", "[]"),
                ("d", "{}"),
                (r#"e\""#, r#""\"""#),
                ("f", "-0.5e+3"),
            ])
        );
        assert_eq!(collect("{}"), Ok(vec![]));
        assert_eq!(
            collect("[ 1 ,\n[true,false] , null ]"),
            Ok(vec![("", "1"), ("", "[true,false]"), ("", "null")])
        );
        assert_eq!(collect("{ \"a\" : { } }"), Ok(vec![("a", "{ }")]));
    }

    #[test]
    fn agrees_with_a_full_parser_on_what_is_json() {
        let texts = [
            "",
            "{",
            "}",
            "{}",
            "[]",
            "{}{}",
            "{} ",
            " {}",
            "{}\n",
            "\"a\"",
            "1",
            "{,}",
            "[,]",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1]",
            "[1}",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":1e+}",
            "{\"a\":+1}",
            "{\"a\":1.5E-7}",
            "{\"a\":-0}",
            "{\"a\":nul}",
            "{\"a\":nulll}",
            "{\"a\":tru}",
            "{\"a\":True}",
            "{\"a\":NaN}",
            "{\"a\":\"}",
            "{\"a\":\"\\\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\u1234\"}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"12345678\u{1f}\"}",
            "{\"a\":\"\u{7f}\u{80}\u{2028}\"}",
            "{\"a\":\"\\ud834\\udd1e\"}",
            "{\"a\":\"\\ud834\"}",
            "{\"a\":\"\\ud834\\u0041\"}",
            "{\"a\":\"\\udd1e\"}",
            "{\"a\":\"\\ud834x\\udd1e\"}",
            "[[[[]]]]",
            "[[[[]]]",
            "[[[[]]]]]",
            "{\"a\":[}]",
            "{\"a\":1 \"b\":2}",
            "{\"a\" 1}",
            "[1 2]",
            "{\"a\":\u{0}}",
            "{\"\":\"\"}",
            "{\"abcdefgh\":\"abcdefgh\\\\\"}",
            "[/**/]",
            "{\"a\":\"1234567\\n\"}",
        ];
        for text in texts {
            let outermost = text.starts_with(['{', '[']) && text.ends_with(['}', ']']);
            let expected = outermost && serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(collect(text).is_ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn every_cut_of_an_object_is_refused() {
        let text = r#"{"a":[1,{"b":"\u0041\n"},true],"c":-1.5e-3,"d":{"e":null,"f":[]}}"#;
        assert!(collect(text).is_ok());
        for cut in 0..text.len() {
            assert!(collect(&text[..cut]).is_err(), "{}", &text[..cut]);
        }
    }

    #[test]
    fn depth_costs_no_stack_and_levels_are_told_apart() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 100_000] {
            // Objects and arrays in turn, in threes, so that no power of two hides a slip.
            let kinds: Vec<bool> = (0..depth).map(|level| level % 3 == 0).collect();
            let mut text = String::new();
            kinds.iter().for_each(|object| text.push_str(if *object { "{\"k\":" } else { "[" }));
            text.push('0');
            kinds.iter().rev().for_each(|object| text.push(if *object { '}' } else { ']' }));
            assert_eq!(collect(&text).map(|found| found.len()), Ok(1), "{depth}");
            let mut wrong = text.clone().into_bytes();
            let innermost = wrong.len() - depth;
            wrong[innermost] ^= b'}' ^ b']';
            assert_eq!(members(&wrong, |_, _| ()), Err(innermost), "{depth}");
        }
    }

    #[test]
    fn strings_are_unescaped() {
        let check = |raw: &str| {
            let expected: String = serde_json::from_str(&format!("\"{raw}\"")).expect("a string");
            assert_eq!(unescape(raw.as_bytes()), expected.as_bytes(), "{raw}");
        };
        check(r#"plain \" \\ \/ \b\f\n\r\t \u0041\u00e9\u2028\ufffd \ud834\udd1e end"#);
        check("\u{e9}\u{2028}");
        check("");
    }
}
