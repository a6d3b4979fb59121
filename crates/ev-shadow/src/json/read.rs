//! Reads JSON text into a flat list of nodes.

use std::borrow::Cow;
use std::ops::Range;

/// Why a text is no JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson {
    /// Offset in bytes.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

/// One value. Nodes stand in the order of the text, a container in front of what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Its text.
    pub(crate) text: Range<usize>,
    /// The key in front of it, with its quotes; empty outside of objects.
    pub(crate) key: Range<usize>,
    /// Number of the node behind it and all that is in it.
    pub(crate) next: usize,
}

/// A text that was read.
#[derive(Clone, Debug)]
pub(crate) struct Tree<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value, or the end of an array that has just begun.
    ValueOrEnd,
    Value,
    /// A key, or the end of an object that has just begun.
    KeyOrEnd,
    Key,
    /// A comma or the end of the container.
    Next,
    /// Nothing more.
    End,
}

impl<'a> Tree<'a> {
    /// Reads a text, which is one value with blanks around it.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, NotJson> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| NotJson { at: error.valid_up_to(), what: "is not UTF-8" })?;
        let mut reader = Reader { bytes, at: 0, nodes: Vec::new(), open: Vec::new() };
        reader.run()?;
        Ok(Self { text, nodes: reader.nodes })
    }

    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// The text of a value.
    pub(crate) fn text(&self, number: usize) -> &'a str {
        &self.text[self.nodes[number].text.clone()]
    }

    /// The text of the key in front of a value; empty outside of objects.
    pub(crate) fn key_text(&self, number: usize) -> &'a str {
        &self.text[self.nodes[number].key.clone()]
    }

    /// The key in front of a value, without quotes and escapes.
    pub(crate) fn key(&self, number: usize) -> Cow<'a, str> {
        unescape(self.key_text(number))
    }

    /// A string, without quotes and escapes; `None` for all else.
    pub(crate) fn string(&self, number: usize) -> Option<Cow<'a, str>> {
        (self.nodes[number].kind == Kind::String).then(|| unescape(self.text(number)))
    }

    /// The values directly inside a container, by number.
    pub(crate) fn children(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        let node = &self.nodes[number];
        let container = matches!(node.kind, Kind::Array | Kind::Object);
        let end = if container { node.next } else { number };
        let first = (number + 1 < end).then_some(number + 1);
        std::iter::successors(first, move |child| {
            Some(self.nodes[*child].next).filter(|next| *next < end)
        })
    }

    /// Every stretch of the text between two tokens, in order; most are empty.
    pub(crate) fn blanks(&self) -> impl Iterator<Item = &'a str> + '_ {
        let mut at = 0;
        let mut tokens = self.tokens();
        std::iter::from_fn(move || {
            let token = tokens.next()?;
            let blank = &self.text[at..token.start];
            at = token.end;
            Some(blank)
        })
        .chain(std::iter::once_with(|| {
            let end = self.text.trim_end_matches(BLANKS).len();
            &self.text[end..]
        }))
    }

    /// All tokens but the last closing bracket's blanks: strings, numbers, words, punctuation.
    fn tokens(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            at += blanks(&bytes[at..]);
            let start = at;
            let len = match *bytes.get(at)? {
                b'"' => string(bytes, at).map_or(1, |end| end - at),
                b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
                _ => word(&bytes[at..]),
            };
            at += len;
            Some(start..at)
        })
    }
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Containers that are open, by number.
    open: Vec<usize>,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), NotJson> {
        let mut expect = Expect::Value;
        let mut key = 0..0;
        loop {
            self.at += blanks(&self.bytes[self.at..]);
            let Some(&byte) = self.bytes.get(self.at) else {
                return if expect == Expect::End { Ok(()) } else { self.wrong("ends too early") };
            };
            expect = match (expect, byte) {
                (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => self.close(),
                (Expect::KeyOrEnd | Expect::Key, b'"') => {
                    key = self.string()?;
                    self.at += blanks(&self.bytes[self.at..]);
                    if self.bytes.get(self.at) != Some(&b':') {
                        return self.wrong("has no colon behind a key");
                    }
                    self.at += 1;
                    Expect::Value
                }
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    self.value(byte, std::mem::take(&mut key))?
                }
                (Expect::Next, b',') => {
                    self.at += 1;
                    if self.is_in_object() { Expect::Key } else { Expect::Value }
                }
                (Expect::Next, b'}') if self.is_in_object() => self.close(),
                (Expect::Next, b']') if !self.is_in_object() => self.close(),
                (Expect::End, _) => return self.wrong("has something behind the value"),
                _ => return self.wrong("has something unexpected"),
            };
        }
    }

    /// Begins a container, or takes a whole scalar.
    fn value(&mut self, byte: u8, key: Range<usize>) -> Result<Expect, NotJson> {
        let start = self.at;
        let (kind, end) = match byte {
            b'{' | b'[' => {
                self.at += 1;
                let (kind, expect) = match byte {
                    b'{' => (Kind::Object, Expect::KeyOrEnd),
                    _ => (Kind::Array, Expect::ValueOrEnd),
                };
                self.open.push(self.nodes.len());
                self.nodes.push(Node { kind, text: start..start, key, next: 0 });
                return Ok(expect);
            }
            b'"' => (Kind::String, self.string()?.end),
            _ => {
                let end = start + word(&self.bytes[start..]);
                let kind = match &self.bytes[start..end] {
                    b"null" => Kind::Null,
                    b"true" => Kind::True,
                    b"false" => Kind::False,
                    number if is_number(number) => Kind::Number,
                    _ => return self.wrong("has something unexpected"),
                };
                (kind, end)
            }
        };
        self.at = end;
        let next = self.nodes.len() + 1;
        self.nodes.push(Node { kind, text: start..end, key, next });
        Ok(self.behind())
    }

    fn close(&mut self) -> Expect {
        self.at += 1;
        let next = self.nodes.len();
        if let Some(number) = self.open.pop() {
            let node = &mut self.nodes[number];
            node.text.end = self.at;
            node.next = next;
        }
        self.behind()
    }

    fn behind(&self) -> Expect {
        if self.open.is_empty() { Expect::End } else { Expect::Next }
    }

    fn is_in_object(&self) -> bool {
        self.open.last().is_some_and(|number| self.nodes[*number].kind == Kind::Object)
    }

    fn string(&mut self) -> Result<Range<usize>, NotJson> {
        let start = self.at;
        match string(self.bytes, start) {
            Some(end) => {
                self.at = end;
                Ok(start..end)
            }
            None => self.wrong("has a broken string"),
        }
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, NotJson> {
        Err(NotJson { at: self.at, what })
    }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Length of what is no string and no punctuation.
fn word(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count()
        .max(1)
        .min(bytes.len())
}

/// The end of the string that begins at `start`, behind its quote.
fn string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match *bytes.get(at + 1)? {
                b'u' => {
                    let hex = bytes.get(at + 2..at + 6)?;
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                _ => return None,
            },
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    let digits = |text: &mut &[u8]| {
        let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (front, rest) = text.split_at(count);
        *text = rest;
        front.to_vec()
    };
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(&mut rest);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return false;
    }
    if let Some(behind) = rest.strip_prefix(b".") {
        rest = behind;
        if digits(&mut rest).is_empty() {
            return false;
        }
    }
    if let Some(behind) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        rest = behind.strip_prefix(b"+").or_else(|| behind.strip_prefix(b"-")).unwrap_or(behind);
        if digits(&mut rest).is_empty() {
            return false;
        }
    }
    rest.is_empty()
}

/// A string that was checked, without quotes and escapes. Half of a pair of surrogates becomes
/// U+FFFD, as in Go.
fn unescape(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else { break };
        rest = &rest[escape.len_utf8()..];
        text.push(match escape {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (symbol, behind) = unicode(rest);
                rest = behind;
                symbol
            }
            other => other,
        });
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character whose four digits stand here, or whose two halves do, and what is behind.
fn unicode(text: &str) -> (char, &str) {
    let unit = |text: &str| text.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = unit(text) else { return (char::REPLACEMENT_CHARACTER, text) };
    let behind = &text[4..];
    if let Some(symbol) = char::from_u32(first) {
        return (symbol, behind);
    }
    if first < 0xdc00
        && let Some(second) = behind.strip_prefix("\\u")
        && let Some(low @ 0xdc00..0xe000) = unit(second)
        && let Some(symbol) = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))
    {
        return (symbol, &second[4..]);
    }
    (char::REPLACEMENT_CHARACTER, behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_places() {
        let text = br#" {"a" : [1, {"b":null}], "c":"x\n\u00e9" , "d":{}} "#;
        let tree = Tree::read(text).unwrap();
        let children: Vec<_> = tree.children(0).collect();
        let shown: Vec<_> =
            children.iter().map(|n| (tree.key(*n).into_owned(), tree.text(*n))).collect();
        assert_eq!(shown[0], ("a".to_owned(), r#"[1, {"b":null}]"#));
        assert_eq!(shown[1], ("c".to_owned(), r#""x\n\u00e9""#));
        assert_eq!(shown[2], ("d".to_owned(), "{}"));
        assert_eq!(tree.string(children[1]).as_deref(), Some("x\né"));
        assert_eq!(tree.children(children[0]).count(), 2);
        assert_eq!(tree.children(children[1]).count(), 0);
        assert_eq!(tree.children(children[2]).count(), 0);
        assert_eq!(tree.blanks().filter(|blank| !blank.is_empty()).count(), 8);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for good in ["0", "-0.5e+7", "[]", "[[],[]]", "\"\"", " true ", "{\"a\":{\"a\":[]}}"] {
            assert!(Tree::read(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "1 2",
            "{}}",
            "[}",
            "{]",
            "NaN",
            "]",
            ",",
            "[1 2]",
        ] {
            assert!(Tree::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Tree::read(b"\"\xff\"").unwrap_err(), NotJson { at: 1, what: "is not UTF-8" });
    }

    #[test]
    fn depth_is_not_the_stacks_business() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Tree::read(deep.as_bytes()).is_ok());
        assert!(Tree::read("{\"a\":".repeat(200_000).as_bytes()).is_err());
    }

    #[test]
    fn escapes() {
        let check = |quoted: &str, plain: &str| assert_eq!(unescape(quoted), plain);
        check(r#""a\/b\\\"\t""#, "a/b\\\"\t");
        check(r#""\ud83d\ude00!""#, "\u{1f600}!");
        check(r#""\ud83d!\ude00""#, "\u{fffd}!\u{fffd}");
        check(r#""\ud83d\u0041""#, "\u{fffd}A");
    }
}
