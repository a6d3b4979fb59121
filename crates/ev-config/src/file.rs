//! The TOML file, flattened to paths with their lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::error::ConfigError;
use crate::nearest::nearest;
use crate::options::options;
use crate::origin::Origin;
use crate::value::Written;

/// The file as read: every value with its path and line.
#[derive(Debug)]
pub(crate) struct File {
    path: Arc<Path>,
    entries: Vec<Entry>,
}

/// One key with a value that is no table, or a table where an option stands.
#[derive(Debug)]
struct Entry {
    path: String,
    line: usize,
    written: Written,
}

/// A key that is no option.
#[derive(Debug)]
pub(crate) struct UnknownKey {
    pub(crate) path: String,
    pub(crate) origin: Origin,
    pub(crate) nearest: Option<String>,
    pub(crate) written: Written,
}

impl File {
    /// Reads and parses the file.
    pub(crate) fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, ConfigError> {
        // Some editors put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table = DeTable::parse(text).map_err(|error| syntax(&path, text, &error))?;
        let known: Vec<String> = options().iter().flat_map(|option| option.toml_paths()).collect();
        let mut entries = Vec::new();
        flatten(table.get_ref(), "", text, &known, &mut entries);
        Ok(Self { path: path.into(), entries })
    }

    /// The values at these paths, in the order of the paths.
    pub(crate) fn find(&self, paths: &[String]) -> Vec<(Written, Origin)> {
        let at = |path: &String| self.entries.iter().find(|entry| entry.path == *path);
        let found = paths.iter().filter_map(at);
        found.map(|entry| (entry.written.clone(), self.origin(entry))).collect()
    }

    /// Keys that are no option, in the order of their lines.
    pub(crate) fn unknown(&self) -> Vec<UnknownKey> {
        let known: Vec<String> = options().iter().flat_map(|option| option.toml_paths()).collect();
        // What is suggested is the usual form, and nothing obsolete.
        let usual: Vec<String> = options()
            .iter()
            .filter(|option| option.has_flag() && !option.toml_paths().is_empty())
            .map(|option| option.setting())
            .collect();
        let mut unknown: Vec<_> =
            self.entries.iter().filter(|entry| !known.contains(&entry.path)).collect();
        unknown.sort_by_key(|entry| entry.line);
        unknown
            .into_iter()
            .map(|entry| UnknownKey {
                path: entry.path.clone(),
                origin: self.origin(entry),
                nearest: nearest(&entry.path, usual.iter().map(String::as_str))
                    .map(ToOwned::to_owned),
                written: entry.written.clone(),
            })
            .collect()
    }

    fn origin(&self, entry: &Entry) -> Origin {
        Origin::File { path: self.path.clone(), line: entry.line }
    }
}

fn flatten(table: &DeTable<'_>, above: &str, text: &str, known: &[String], into: &mut Vec<Entry>) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if above.is_empty() { name.to_string() } else { format!("{above}.{name}") };
        match value.get_ref() {
            DeValue::Table(inner) if !known.contains(&path) => {
                flatten(inner, &path, text, known, into);
            }
            written => {
                let (line, _) = position(text, key.span().start);
                into.push(Entry { path, line, written: convert(written) });
            }
        }
    }
}

fn convert(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Written::Other("a number beyond 64 bits"), Written::Number),
        DeValue::Float(_) => Written::Other("a number with a fraction"),
        DeValue::Boolean(value) => Written::Bool(*value),
        DeValue::Datetime(time) => Written::Datetime(time.to_string()),
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(ToOwned::to_owned))
            .collect::<Option<_>>()
            .map_or(Written::Other("an array of other things than texts"), Written::Texts),
        DeValue::Table(_) => Written::Other("a table"),
    }
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    let mut message = error.message().trim().replace('\n', ", ");
    if let Some(written) = text.lines().nth(line - 1) {
        message.push_str(&format!("\n  {}", written.trim_end()));
        if let Some(corrected) = with_quotes(written) {
            message.push_str(&format!("\ntext stands in quotes:\n  {corrected}"));
            let others = lines_to_correct(text).filter(|other| *other != line);
            let others: Vec<_> = others.map(|other| other.to_string()).collect();
            match &others[..] {
                [] => {}
                [one] => message.push_str(&format!("\nso it does in line {one}")),
                _ => message.push_str(&format!("\nso it does in lines {}", others.join(", "))),
            }
        }
    }
    ConfigError::Syntax { path: path.to_owned(), line, column, message }
}

/// The line with its value in quotes, when it looks like text without: the mistake that the
/// reference guide's own example makes.
fn with_quotes(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let is_text = value.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '.' | '~'))
        || value.contains(':');
    let is_plain = !value.contains(['"', '\'', '\\', '[', '{', '#']);
    (is_text && is_plain).then(|| format!("{} = \"{value}\"", key.trim_end()))
}

/// The lines, counted from 1, that alone are no TOML and would be with quotes. What is inside a
/// text of several lines may be among them by mistake, which costs a number in a message.
fn lines_to_correct(text: &str) -> impl Iterator<Item = usize> {
    let is_toml = |line: &str| DeTable::parse(line).is_ok();
    text.lines().enumerate().filter_map(move |(at, line)| {
        let corrected = with_quotes(line)?;
        (!is_toml(line) && is_toml(&corrected)).then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> File {
        File::parse("ev.toml".into(), text).expect("valid TOML")
    }

    #[test]
    fn values_have_lines_however_they_are_nested() {
        let file = parsed(
            "batch = 20\r\n\
             teleport.addr = 'a:1'\n\
             # a comment\n\
             [forward.fluentd]\n\
             url = \"https://a\"\n\
             [skip]\n\
             session = { types = ['x', 'y'] }\n",
        );
        let check = |path: &str, line, written| {
            let found = file.find(&[path.to_owned()]);
            let origin = Origin::File { path: Path::new("ev.toml").into(), line };
            assert_eq!(found, [(written, origin)], "{path}");
        };
        check("batch", 1, Written::Number(20));
        check("teleport.addr", 2, Written::Text("a:1".into()));
        check("forward.fluentd.url", 5, Written::Text("https://a".into()));
        check("skip.session.types", 7, Written::Texts(vec!["x".into(), "y".into()]));
        assert!(file.find(&["storage".to_owned()]).is_empty());
        assert!(file.unknown().is_empty());
    }

    #[test]
    fn a_table_in_the_place_of_a_value_is_found_as_such() {
        let file = parsed("[batch]\nsize = 1\n");
        assert_eq!(file.find(&["batch".to_owned()])[0].0, Written::Other("a table"));
        assert!(file.unknown().is_empty());
    }

    #[test]
    fn odd_values_are_told_apart() {
        let written = |text: &str| parsed(text).entries.remove(0).written;
        assert_eq!(written("a = 0x10"), Written::Number(16));
        assert_eq!(written("a = 1_000"), Written::Number(1000));
        assert_eq!(written("a = -1"), Written::Number(-1));
        assert_eq!(written("a = 1.5"), Written::Other("a number with a fraction"));
        assert_eq!(written("a = 99999999999999999999"), Written::Other("a number beyond 64 bits"));
        assert_eq!(written("a = true"), Written::Bool(true));
        let time = "2024-02-29T12:00:00Z";
        assert_eq!(written(&format!("a = {time}")), Written::Datetime(time.into()));
        assert_eq!(written("a = []"), Written::Texts(Vec::new()));
        let mixed = Written::Other("an array of other things than texts");
        assert_eq!(written("a = ['x', 1]"), mixed);
    }

    #[test]
    fn a_value_without_quotes_is_shown_corrected() {
        let check = |text: &str, line, corrected: Option<&str>| {
            let error = File::parse("ev.toml".into(), text).expect_err("no TOML");
            let ConfigError::Syntax { line: found, message, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*found, line, "{error}");
            assert!(error.to_string().starts_with(&format!("ev.toml:{line}:")), "{error}");
            match corrected {
                Some(corrected) => assert!(message.ends_with(corrected), "{error}"),
                None => assert!(!message.contains("quotes"), "{error}"),
            }
        };
        check("a = 1\nca = /home/bob/ca.crt\n", 2, Some("\n  ca = \"/home/bob/ca.crt\""));
        check("addr = teleport.example.com:443", 1, Some("addr = \"teleport.example.com:443\""));
        check("a = [1\n", 1, None);
        check("= 1", 1, None);
        check("a = 1\na = 2\n", 2, None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([a-z.=\\[\\]\"'{}#\n ,0-9é]{0,60})|(.{0,40})") {
            if let Err(error) = File::parse("ev.toml".into(), &text) {
                let ConfigError::Syntax { line, column, .. } = error else {
                    panic!("{error:?}");
                };
                proptest::prop_assert!(line >= 1 && line <= text.matches('\n').count() + 1);
                proptest::prop_assert!(column >= 1 && column <= text.chars().count() + 1);
            }
        }
    }
}
