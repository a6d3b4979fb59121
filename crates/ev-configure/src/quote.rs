//! Texts as the formats of the written files want them.

use std::fmt::Write as _;

/// A double-quoted string of Fluentd's configuration.
///
/// Without the backslash before `#`, `#{…}` would be run as Ruby code (`literal_parser.rb`).
pub(crate) fn fluentd(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '#') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// A double-quoted string that TOML (basic string) and YAML (flow scalar) read alike.
pub(crate) fn basic(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // YAML takes no raw C1 control, nor the two separators, as they are line ends to it.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(quoted, "\\u{:04x}", u32::from(c))
                    .expect("a string takes all that is written");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_escaped() {
        assert_eq!(fluentd("plain ключ"), r#""plain ключ""#);
        assert_eq!(fluentd(r##"a"b\c#{exit}"##), r##""a\"b\\c\#{exit}""##);
        assert_eq!(basic(r#"a"b\c#d"#), r#""a\"b\\c#d""#);
        assert_eq!(basic("a\nb\u{85}"), r#""a\u000ab\u0085""#);
    }
}
