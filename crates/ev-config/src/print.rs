//! The effective settings as a TOML file that says where each came from.

use crate::duration::format_duration;
use crate::load::Loaded;
use crate::options::{Group, Kind, OptionSpec, Support, Toml, options, table_and_key};
use crate::origin::Origin;
use crate::resolve::Setting;
use crate::settings::{BatchModeReason, Gzip, Settings};
use crate::value::Value;

/// What stands for one option.
enum Line {
    /// `key = value`.
    Value(String),
    /// `key = value` behind a `#`, and why.
    Inert(String, &'static str),
    /// Nobody gave one, and there is no default.
    Unset,
}

impl Loaded {
    /// The settings that are in force, as a TOML file: paths absolute, what is derived from others
    /// written out, and behind each where it came from.
    ///
    /// Read alone, the file gives the same settings, except that user, password and signature of
    /// an address are not in it: such a line stands behind a `#`.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# The settings that are in force; the comment behind each says where it comes from.\n",
        );
        for option in options().iter().filter(|option| option.toml == Toml::No) {
            let Setting { shown, origin, .. } = self.standing(option.name);
            let shown = shown.as_deref().unwrap_or("not set");
            push(&mut text, format_args!("# --{} {} ({origin})", option.name, plain(shown)));
        }
        let mut tables: Vec<(String, String)> = vec![(String::new(), String::new())];
        for option in options().iter().filter(|option| option.toml != Toml::No) {
            let Setting { origin, .. } = self.standing(option.name);
            if option.support == Support::Obsolete && !origin.is_given() {
                continue;
            }
            let path = option.setting();
            let (table, key) = table_and_key(&path);
            let at = tables.iter().position(|(name, _)| name == table).unwrap_or_else(|| {
                tables.push((table.to_owned(), String::new()));
                tables.len() - 1
            });
            let lines = &mut tables[at].1;
            let from = plain(&self.from(option, origin));
            match self.line(option) {
                Line::Value(value) => push(lines, format_args!("{key} = {value} # {from}")),
                Line::Inert(value, why) => {
                    push(lines, format_args!("# {key} = {value} # {from}; {why}"));
                }
                Line::Unset => push(lines, format_args!("# {key} is not set")),
            }
        }
        for (name, lines) in tables {
            if !name.is_empty() {
                push(&mut text, format_args!("\n[{name}]"));
            }
            text.push_str(&lines);
        }
        text
    }

    fn from(&self, option: &OptionSpec, origin: &Origin) -> String {
        let fluentd = self.settings.fluentd.as_ref();
        let is_derived =
            fluentd.is_some_and(|fluentd| fluentd.batching.reason != BatchModeReason::Set);
        if option.name != "fluentd-batch-mode" || !is_derived {
            return origin.to_string();
        }
        match self.first_own() {
            None => format!("{origin}, as there is no setting of ours about what is sent"),
            Some(own) => format!("{origin}, as `{}` ({}) is set", own.option.setting(), own.origin),
        }
    }

    fn line(&self, option: &OptionSpec) -> Line {
        let Setting { value, shown, .. } = self.standing(option.name);
        let settings = &self.settings;
        let fluentd = settings.fluentd.as_ref();
        let gzip = fluentd.map(|fluentd| fluentd.batching.gzip);
        // What is cut to a range or follows from other settings is written as it is used.
        let value = match option.name {
            "batch" => number(settings.ingest.page_size.into()),
            "concurrency" => number(settings.ingest.concurrency),
            "export-chunks" => number(settings.ingest.export.chunks),
            "fluentd-max-connections" => fluentd.and_then(|f| number(f.max_connections)),
            "fluentd-batch-mode" => fluentd.map(|f| Value::Choice(f.batching.mode.as_str())),
            "fluentd-gzip" => gzip.map(|gzip| {
                Value::Choice(match gzip {
                    Gzip::Off => "off",
                    Gzip::Auto { .. } => "auto",
                    Gzip::Always => "always",
                })
            }),
            "file-session-path" => {
                settings.file.as_ref().map(|file| Value::Path(file.session_path.clone()))
            }
            _ => value.clone(),
        };
        let Some(value) = value else { return Line::Unset };
        match (&value, shown, option.support) {
            (_, _, Support::Obsolete) => Line::Inert(toml(&value), "obsolete"),
            // It holds more than may be printed.
            (Value::Text(text), Some(shown), _) if text != shown => {
                Line::Inert(quoted(shown), "what is secret in it is not shown")
            }
            (Value::List(items), Some(shown), _)
                if option.kind == Kind::Headers && !items.is_empty() =>
            {
                Line::Inert(quoted(shown), "what is secret in it is not shown")
            }
            _ if option.name == "fluentd-gzip-above"
                && matches!(gzip, Some(Gzip::Off | Gzip::Always)) =>
            {
                Line::Inert(toml(&value), "without effect, as `gzip` is not `auto`")
            }
            _ if is_off(option, settings) => {
                Line::Inert(toml(&value), "without effect, as this receiver is not turned on")
            }
            _ => Line::Value(toml(&value)),
        }
    }
}

/// Whether an option belongs to a receiver that is not there.
fn is_off(option: &OptionSpec, settings: &Settings) -> bool {
    match option.group {
        Group::Forward => settings.forward.is_none(),
        Group::File => settings.file.is_none(),
        _ => false,
    }
}

fn number(number: usize) -> Option<Value> {
    i64::try_from(number).ok().map(Value::Number)
}

fn toml(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::Duration(nanos) => quoted(&format_duration(*nanos)),
        // The reference handler wants a text.
        Value::Time(seconds) => match jiff::Timestamp::from_second(*seconds) {
            Ok(time) => quoted(&time.to_string()),
            Err(_) => quoted(&seconds.to_string()),
        },
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Path(path) => quoted(&path.display().to_string()),
        Value::Choice(word) => quoted(word),
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// Text for a comment, which ends with its line.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&format!("{line}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_comes_back(text in ".{0,40}|[\\\\\"'\n\r\t\u{7f}\u{85}#=]{0,10}") {
            let line = format!("key = {}\n", quoted(&text));
            let table = toml::de::DeTable::parse(&line).expect("valid TOML");
            let found = table.get_ref()["key"].get_ref().as_str().map(ToOwned::to_owned);
            proptest::prop_assert_eq!(found, Some(text));
        }
    }
}
