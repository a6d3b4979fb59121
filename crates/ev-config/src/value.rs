//! From what was written to a typed value. The same words for flag, variable and file.

use std::path::{Path, PathBuf};

use crate::duration::parse_duration;
use crate::nearest::nearest;
use crate::options::Kind;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Written {
    /// Text: all of the command line and the environment, strings of the file.
    Text(String),
    /// Several texts: a repeated flag, or an array of strings in the file.
    Texts(Vec<String>),
    /// A whole number of the file.
    Number(i64),
    /// `true` or `false` of the file.
    Bool(bool),
    /// A date or time of the file.
    Datetime(String),
    /// Something of the file that no option takes; the kind of thing it is.
    Other(&'static str),
}

/// A value as it is meant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Number(i64),
    Text(String),
    /// Nanoseconds.
    Duration(i64),
    /// Whole seconds since 1970-01-01T00:00:00Z.
    Time(i64),
    List(Vec<String>),
    Path(PathBuf),
    Choice(&'static str),
}

/// What relative paths and `~` stand for.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) cwd: PathBuf,
    pub(crate) home: Option<PathBuf>,
}

impl Places {
    /// `~` and `~/…` expanded, and made absolute.
    pub(crate) fn absolute(&self, text: &str) -> PathBuf {
        let joined = self.cwd.join(in_home(text, self.home.as_deref()));
        // `./storage` reads better as `/somewhere/storage`; `..` stays, as links may hide behind.
        joined.components().collect()
    }
}

/// A path as people write it, with `~` and `~/…` as the home directory, if there is one.
pub fn in_home(text: &str, home: Option<&Path>) -> PathBuf {
    match (home, text.strip_prefix('~')) {
        (Some(home), Some("")) => home.to_owned(),
        (Some(home), Some(rest)) if rest.starts_with('/') => home.join(&rest[1..]),
        _ => PathBuf::from(text),
    }
}

impl Written {
    /// Whether it says nothing at all: an empty text.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// What it is, for messages about a wrong kind.
    fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Texts(_) => "an array",
            Self::Number(_) => "a number",
            Self::Bool(_) => "`true` or `false`",
            Self::Datetime(_) => "a date or time",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads a value of that kind.
///
/// The error says what is wrong with it and what would be right; it holds the value, but never
/// that of an address.
pub(crate) fn parse(kind: Kind, written: &Written, places: &Places) -> Result<Value, String> {
    match (kind, written) {
        (Kind::Switch, Written::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::Switch, Written::Text(text)) => parse_bool(text).map(Value::Bool),
        (Kind::Switch, Written::Number(number @ 0..=1)) => Ok(Value::Bool(*number == 1)),
        (Kind::Number, Written::Number(number)) => Ok(Value::Number(*number)),
        (Kind::Number, Written::Text(text)) => {
            text.parse().map(Value::Number).map_err(|_| format!("`{text}` is not a whole number"))
        }
        (Kind::Text | Kind::Secret | Kind::Url, Written::Text(text)) => {
            Ok(Value::Text(text.clone()))
        }
        (Kind::Duration, Written::Text(text)) => {
            parse_duration(text).map(Value::Duration).map_err(|error| format!("`{text}` {error}"))
        }
        (Kind::Duration, Written::Number(number)) => {
            Err(format!("{number} lacks a unit; write it in quotes, for instance `\"{number}s\"`"))
        }
        (Kind::Time, Written::Text(text) | Written::Datetime(text)) => {
            parse_time(text).map(Value::Time)
        }
        (Kind::List | Kind::Headers, Written::Text(text)) => Ok(Value::List(split_list(text))),
        // A repeated flag appends, each with its own commas; an item of an array is one item.
        (Kind::List | Kind::Headers, Written::Texts(items)) => Ok(Value::List(items.clone())),
        (Kind::PathOrDash, Written::Text(text)) if text == "-" => Ok(Value::Path("-".into())),
        (Kind::Path | Kind::PathOrDash | Kind::File, Written::Text(text)) => {
            let path = places.absolute(text);
            exists_as(kind, &path).map(|()| Value::Path(path))
        }
        (Kind::DirectoryOrUrl, Written::Text(text)) if text.contains("://") => {
            Ok(Value::Text(text.clone()))
        }
        (Kind::DirectoryOrUrl, Written::Text(text)) => {
            let path = places.absolute(text);
            exists_as(kind, &path).map(|()| Value::Path(path))
        }
        (Kind::Choice(words), Written::Text(text)) => {
            let found = words.iter().find(|word| *word == text);
            found.map(|word| Value::Choice(word)).ok_or_else(|| {
                let hint = nearest(text, words.iter().copied())
                    .map(|word| format!("; did you mean `{word}`?"))
                    .unwrap_or_default();
                format!("`{text}` is not one of {}{hint}", quoted(words))
            })
        }
        (kind, written) => Err(format!("must be {}, not {}", wanted(kind), written.describe())),
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "`true` or `false`",
        Kind::Number => "a whole number",
        Kind::Text | Kind::Secret | Kind::Url | Kind::Choice(_) => "text in quotes",
        Kind::Duration => "a duration in quotes, such as `\"10s\"`",
        Kind::Time => "a time such as `2026-01-31T00:00:00Z`",
        Kind::List => "an array of texts, or one text with commas",
        Kind::Headers => "an array of texts such as `\"Name: value\"`",
        Kind::Path | Kind::File => "a path in quotes",
        Kind::PathOrDash => "a path or `-` in quotes",
        Kind::DirectoryOrUrl => "a path or an address in quotes",
    }
}

/// `a`, `b` or `c`.
pub(crate) fn quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" => Ok(true),
        "0" | "f" | "false" | "no" => Ok(false),
        _ => Err(format!("`{text}` is neither `true` nor `false`")),
    }
}

/// Items between commas; a backslash in front of a comma keeps it. Blanks stay.
///
/// As in the reference handler a backslash belongs to whatever stands behind it, so that the
/// comma behind two of them separates.
pub fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut items = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let item = items.last_mut().expect("begun with one and never emptied");
        match character {
            '\\' => match characters.next() {
                Some(',') => item.push(','),
                escaped => {
                    item.push('\\');
                    item.extend(escaped);
                }
            },
            ',' => items.push(String::new()),
            other => item.push(other),
        }
    }
    items
}

/// RFC 3339 as Go reads it, cut to whole seconds since 1970-01-01T00:00:00Z.
///
/// # Errors
///
/// What is wrong with the text, quoting it.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let wrong = |what: &str| format!("`{text}` {what}");
    match shape(text) {
        Some(Shape::Full) => {}
        Some(Shape::NoOffset) => {
            return Err(wrong("has no offset from UTC; put `Z` or, for instance, `+02:00` behind"));
        }
        None => return Err(wrong("is not a time such as `2026-01-31T00:00:00Z`")),
    }
    // The shape is checked above because the library takes more than RFC 3339.
    let time: jiff::Timestamp =
        text.parse().map_err(|_| wrong("is not a date and time that exists"))?;
    // The library cuts towards 1970; whole seconds are those before the instant.
    let second = time.as_second() - i64::from(time.subsec_nanosecond() < 0);
    match second {
        ..FIRST_SECOND => Err(wrong("lies before the year 1 in UTC, where no log begins")),
        _ => Ok(second),
    }
}

/// 0001-01-01T00:00:00Z: no time before it can be sent to Auth (`google.protobuf.Timestamp`).
const FIRST_SECOND: i64 = -62_135_596_800;

enum Shape {
    Full,
    NoOffset,
}

/// `YYYY-MM-DDTHH:MM:SS`, a fraction if there is one, and `Z` or `±HH:MM`.
fn shape(text: &str) -> Option<Shape> {
    let matches = |bytes: &[u8], pattern: &[u8]| {
        bytes.len() == pattern.len()
            && bytes.iter().zip(pattern).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                // TOML allows a blank instead.
                b'T' => matches!(byte, b'T' | b't' | b' '),
                wanted => byte == wanted,
            })
    };
    let (head, rest) = text.as_bytes().split_at_checked(19)?;
    // A leap second exists in neither Go nor the log.
    if !matches(head, b"0000-00-00T00:00:00") || &head[17..] == b"60" {
        return None;
    }
    let digits = match rest {
        [b'.', fraction @ ..] => fraction.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => return offset(rest, matches),
    };
    if digits == 0 { None } else { offset(&rest[digits + 1..], matches) }
}

fn offset(rest: &[u8], matches: impl Fn(&[u8], &[u8]) -> bool) -> Option<Shape> {
    match rest {
        [] => Some(Shape::NoOffset),
        [b'Z' | b'z'] => Some(Shape::Full),
        [b'+' | b'-', hours @ ..] if matches(hours, b"00:00") => Some(Shape::Full),
        _ => None,
    }
}

fn exists_as(kind: Kind, path: &Path) -> Result<(), String> {
    if matches!(kind, Kind::Path | Kind::PathOrDash) {
        return Ok(());
    }
    let shown = path.display();
    let metadata =
        std::fs::metadata(path).map_err(|error| format!("`{shown}` cannot be used: {error}"))?;
    match kind {
        Kind::File if metadata.is_dir() => Err(format!("`{shown}` is a directory, not a file")),
        Kind::DirectoryOrUrl if !metadata.is_dir() => Err(format!("`{shown}` is not a directory")),
        _ => Ok(()),
    }
}

/// An address without its user, its password and its query, fit to be printed: stores that sign
/// addresses, and receivers that take tokens, have them in the query.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let is_port = |text: &str| text.parse::<u16>().is_ok() || text.ends_with(']');
    let at = match rest[..end].rfind('@') {
        Some(at) => Some(at),
        // A password with one of these characters in it, which should have been escaped.
        None => match rest[..end].rsplit_once(':') {
            Some((_, port)) if !is_port(port) => rest.rfind('@'),
            _ => None,
        },
    };
    let (user, rest) = match at {
        Some(at) => ("***", &rest[at..]),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((before, _)) => format!("{scheme}://{user}{before}?***"),
        None => format!("{scheme}://{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_password_is_left() {
        let check = |url, expected| assert_eq!(redacted(url), expected);
        check("https://host:1/x", "https://host:1/x");
        check("https://host:1/x@y", "https://host:1/x@y");
        check("https://[::1]:1/x@y", "https://[::1]:1/x@y");
        check("https://u:p@host:1/x@y", "https://***@host:1/x@y");
        check("https://u:p/w@host:1/x", "https://***@host:1/x");
        check("https://u:p#w?@host:1/x", "https://***@host:1/x");
        check("https://u:p@host:1/x?token=t", "https://***@host:1/x?***");
        check("https://host:1/x?token=t", "https://host:1/x?***");
    }

    #[test]
    fn lists_split_at_commas_that_are_not_escaped() {
        let check = |text, items: &[&str]| assert_eq!(split_list(text), items, "{text}");
        check("", &[]);
        check("a", &["a"]);
        check("a,b", &["a", "b"]);
        check("a, b", &["a", " b"]);
        check(r"a\,b,c", &["a,b", "c"]);
        check(r"a\b,c\", &[r"a\b", r"c\"]);
        check(r"a\\,b", &[r"a\\", "b"]);
        check(r"a\\\,b", &[r"a\\,b"]);
        check(",", &["", ""]);
    }

    #[test]
    fn times_are_rfc_3339_and_cut() {
        let check = |text, seconds| assert_eq!(parse_time(text), Ok(seconds), "{text}");
        check("1970-01-01T00:00:00Z", 0);
        check("2024-02-29T12:00:00.999999999Z", 1_709_208_000);
        check("2024-02-29T14:00:00+02:00", 1_709_208_000);
        check("2024-02-29T17:30:00.5+05:30", 1_709_208_000);
        check("2024-02-29 12:00:00Z", 1_709_208_000);
        check("1969-12-31T23:59:59.5Z", -1);
        let refused = |text: &str, part: &str| {
            let message = parse_time(text).expect_err("refused");
            assert!(message.contains(part), "{message}");
            assert!(message.contains(text), "{message}");
        };
        refused("2024-02-29T12:00:00", "no offset");
        refused("2024-02-29", "not a time");
        refused("yesterday", "not a time");
        check("0001-01-01T00:00:00Z", FIRST_SECOND);
        refused("0000-12-31T23:59:59Z", "before the year 1");
        refused("0001-01-01T00:00:00+00:01", "before the year 1");
        refused("2024-02-30T12:00:00Z", "exists");
        refused("2024-02-29T25:00:00Z", "exists");
        refused("2016-12-31T23:59:60Z", "not a time");
        refused("2024-02-29T12:00:00.Z", "not a time");
        refused("2024-02-29T12:00:00Z[UTC]", "not a time");
        refused("é024-02-29T12:00:00Z", "not a time");
    }

    #[test]
    fn booleans_are_spelled_as_in_go() {
        for text in ["1", "t", "T", "TRUE", "true", "True", "yes"] {
            assert_eq!(parse_bool(text), Ok(true));
        }
        for text in ["0", "f", "F", "FALSE", "false", "False", "no"] {
            assert_eq!(parse_bool(text), Ok(false));
        }
        for text in ["", "2", "on", "truth", " true"] {
            assert!(parse_bool(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_shown_without_user_and_password() {
        let check = |url, shown: &str| assert_eq!(redacted(url), shown);
        check("https://host:1/test.log", "https://host:1/test.log");
        check("https://user:secret@host:1/a@b", "https://***@host:1/a@b");
        check("https://user:p@ss@host", "https://***@host");
        check("host", "host");
    }

    #[test]
    fn home_and_relative_paths_are_expanded() {
        let places = Places { cwd: "/srv/dir".into(), home: Some("/home/me".into()) };
        let check = |text, path: &str| assert_eq!(places.absolute(text), Path::new(path));
        check("a/b", "/srv/dir/a/b");
        check("./a", "/srv/dir/a");
        check("../a", "/srv/dir/../a");
        check("/a", "/a");
        check("~", "/home/me");
        check("~/a", "/home/me/a");
        check("~other/a", "/srv/dir/~other/a");
        let homeless = Places { home: None, ..places };
        assert_eq!(homeless.absolute("~/a"), Path::new("/srv/dir/~/a"));
    }

    proptest! {
        #[test]
        fn escaped_items_come_back(items in prop::collection::vec("[a-z,. ]{1,5}", 1..5)) {
            let text = items.iter().map(|item| item.replace(',', "\\,")).collect::<Vec<_>>();
            prop_assert_eq!(split_list(&text.join(",")), items);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}|[-0-9TZ:.+]{15,40}") {
            if let Err(message) = parse_time(&text) {
                prop_assert!(message.contains(&text));
            }
            prop_assert!(split_list(&text).len() <= text.len());
            prop_assert!(redacted(&text).len() <= text.len() + 3);
        }
    }
}
