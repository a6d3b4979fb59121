//! One line of the log for one event, whatever stands in its fields: paths and names may have line
//! ends in them, and what comes from elsewhere must not look like a line of ours.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Writes what is given at once, as the text layer gives a whole line, with control characters
/// escaped as Rust escapes them: all but the line end behind the last character, and tabs.
#[derive(Clone, Debug)]
pub(super) struct OneLine<W> {
    /// Makes what is written to.
    pub(super) inner: W,
    /// Whether colours are among what is given.
    pub(super) has_colours: bool,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine { inner: self.inner.make_writer(), has_colours: self.has_colours }
    }
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.inner.write_all(escaped(&text, self.has_colours).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn escaped(line: &str, has_colours: bool) -> Cow<'_, str> {
    let (text, end) = match line.strip_suffix('\n') {
        Some(text) => (text, "\n"),
        None => (line, ""),
    };
    // The text layer escapes those that begin a colour where they stand in a field.
    let is_bad = |c: char| c.is_control() && c != '\t' && !(has_colours && c == '\u{1b}');
    if !text.contains(is_bad) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push_str(end);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        let check = |line: &str, expected: &str| assert_eq!(escaped(line, false), expected);
        check("all is well: é\tü\n", "all is well: é\tü\n");
        check("a\nb\r\n", "a\\nb\\r\n");
        check("2026-11-19T12:00:00Z  INFO forged\n\n", "2026-11-19T12:00:00Z  INFO forged\\n\n");
        check("\u{1b}[31m \u{9b}31m \u{7f}\0", "\\u{1b}[31m \\u{9b}31m \\u{7f}\\u{0}");
        assert_eq!(escaped("\u{1b}[2mdim\u{1b}[0m\nx\n", true), "\u{1b}[2mdim\u{1b}[0m\\nx\n");
    }

    #[test]
    fn what_is_given_is_written_at_once() {
        let mut to = OneLine { inner: Vec::new(), has_colours: false };
        assert_eq!(to.write(b"a\nb\n").unwrap(), 4);
        assert_eq!(to.inner, b"a\\nb\n");
    }
}
