//! JSON as a reader takes it that has whole numbers of any length beside doubles.
//!
//! It keeps the digits of a number without point and exponent, and takes the double that is nearest
//! of all others; many languages do that, among them Python and Ruby.

use std::cmp::Ordering;
use std::fmt;

/// Well-formed JSON, which another reader has taken before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    True,
    False,
    Number(Number),
    String(String),
    Array(Vec<Json>),
    /// Keys that are there twice stand here twice.
    Object(Vec<(String, Json)>),
}

/// A number, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Vec<u8>,
    /// Of `0.ddd` times ten to the power.
    power: i64,
}

impl Json {
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value();
        reader.blanks();
        assert_eq!(reader.at, text.len(), "one value: {text}");
        value
    }

    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// None of what is no array.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }
}

impl Number {
    pub(crate) fn read(text: &str) -> Self {
        if !text.contains(['.', 'e', 'E']) {
            return Self::exact(text);
        }
        let double: f64 = text.parse().expect("a number");
        // No double has more digits behind the point.
        Self::exact(&format!("{double:.1074}"))
    }

    fn exact(text: &str) -> Self {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
        let mut digits = format!("{whole}{fraction}").into_bytes();
        assert!(digits.iter().all(u8::is_ascii_digit) && !whole.is_empty(), "{text} is no number");
        let mut power = i64::try_from(whole.len()).expect("a short text");
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        power -= i64::try_from(zeros).expect("a short text");
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { negative: false, digits, power: 0 };
        }
        Self { negative, digits, power }
    }

    pub(crate) fn is_whole(&self) -> bool {
        i64::try_from(self.digits.len()).expect("a short text") <= self.power.max(0)
    }

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = self.power.cmp(&other.power).then_with(|| self.digits.cmp(&other.digits));
        let sizes = if self.negative { size.reverse() } else { size };
        self.sign().cmp(&other.sign()).then(sizes)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = std::str::from_utf8(&self.digits).expect("digits");
        write!(f, "{sign}0.{digits}e{}", self.power)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_ascii_start().len();
    }

    /// Whether that stands here, and if so behind it.
    fn takes(&mut self, text: &str) -> bool {
        self.blanks();
        let is_here = self.rest().starts_with(text);
        self.at += if is_here { text.len() } else { 0 };
        is_here
    }

    fn needs(&mut self, text: &str) {
        assert!(self.takes(text), "`{text}` is missing at {} of {}", self.at, self.text);
    }

    fn value(&mut self) -> Json {
        self.blanks();
        let known = [("null", Json::Null), ("true", Json::True), ("false", Json::False)];
        for (text, value) in known {
            if self.takes(text) {
                return value;
            }
        }
        match self.rest().as_bytes().first() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => Json::String(self.string()),
            _ => {
                let is_in = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
                let rest = self.rest();
                let length = rest.find(|c| !is_in(c)).unwrap_or(rest.len());
                self.at += length;
                Json::Number(Number::read(&rest[..length]))
            }
        }
    }

    fn object(&mut self) -> Json {
        self.needs("{");
        let mut members = Vec::new();
        if self.takes("}") {
            return Json::Object(members);
        }
        loop {
            self.blanks();
            let key = self.string();
            self.needs(":");
            members.push((key, self.value()));
            if !self.takes(",") {
                self.needs("}");
                return Json::Object(members);
            }
        }
    }

    fn array(&mut self) -> Json {
        self.needs("[");
        let mut items = Vec::new();
        if self.takes("]") {
            return Json::Array(items);
        }
        loop {
            items.push(self.value());
            if !self.takes(",") {
                self.needs("]");
                return Json::Array(items);
            }
        }
    }

    /// Escapes are left to a reader that knows them.
    fn string(&mut self) -> String {
        let bytes = self.rest().as_bytes();
        assert_eq!(bytes.first(), Some(&b'"'), "no text at {} of {}", self.at, self.text);
        let mut end = 1;
        while bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let quoted = &self.rest()[..=end];
        self.at += end + 1;
        serde_json::from_str(quoted).expect("a text")
    }
}
