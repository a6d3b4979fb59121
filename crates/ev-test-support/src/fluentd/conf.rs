//! Fluentd's configuration, as far as a test has to understand one: sections, parameters, quoted
//! strings, and the patterns of `<match>`.
//!
//! Read as `config/v1_parser.rb`, `config/literal_parser.rb` and `match.rb` of Fluentd do; embedded
//! code is refused.

/// A section with what is in it; the whole file is one without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// `match` of `<match a.b>`.
    pub name: String,
    /// `a.b` of `<match a.b>`.
    pub argument: String,
    /// Parameters in order, strings without their quotes.
    pub params: Vec<(String, String)>,
    /// Sections in order.
    pub sections: Vec<Section>,
}

impl Section {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong, with the number of the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut open = vec![Self::default()];
        for (at, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}", at + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix("</").and_then(|rest| rest.strip_suffix('>')) {
                let done = open.pop().filter(|section| section.name == name.trim());
                let done = done.ok_or_else(|| wrong("closes another section"))?;
                open.last_mut().ok_or_else(|| wrong("closes nothing"))?.sections.push(done);
            } else if let Some(head) =
                line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'))
            {
                let (name, argument) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
                let (name, argument) = (name.to_owned(), argument.trim().to_owned());
                open.push(Self { name, argument, ..Self::default() });
            } else {
                let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                let value = literal(rest.trim_start()).map_err(|what| wrong(&what))?;
                let section = open.last_mut().ok_or_else(|| wrong("stands nowhere"))?;
                section.params.push((key.to_owned(), value));
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(root), true) => Ok(root),
            _ => Err("a section is not closed".to_owned()),
        }
    }

    /// A parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The sections of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.sections.iter().filter(move |section| section.name == name)
    }

    /// The `<match>` of this file that takes events with `tag`: the first whose patterns fit.
    pub fn match_of(&self, tag: &str) -> Option<&Self> {
        self.all("match").find(|section| {
            section.argument.split_whitespace().any(|pattern| pattern_fits(pattern, tag))
        })
    }
}

/// The value of a parameter.
fn literal(text: &str) -> Result<String, String> {
    let Some(quote @ ('"' | '\'')) = text.chars().next() else {
        // A comment begins behind a blank.
        let end = text.find(" #").unwrap_or(text.len());
        return Ok(text[..end].trim_end().to_owned());
    };
    let mut value = String::new();
    let mut rest = text[1..].chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            ('"', '\\') => value.push(match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('f') => '\u{c}',
                Some('b') => '\u{8}',
                Some(c) if !c.is_ascii_alphanumeric() => c,
                _ => return Err("an escape that does not exist".to_owned()),
            }),
            ('\'', '\\') => match rest.next_if(|c| matches!(c, '\'' | '\\')) {
                Some(c) => value.push(c),
                None => value.push('\\'),
            },
            ('"', '#') if rest.peek() == Some(&'{') => {
                return Err("code that would be run".to_owned());
            }
            (quote, c) if c == quote => {
                let rest: String = rest.collect();
                let rest = rest.trim();
                if rest.is_empty() || rest.starts_with('#') {
                    return Ok(value);
                }
                return Err(format!("`{rest}` behind a string"));
            }
            (_, c) => value.push(c),
        }
    }
    Err("a string has no end".to_owned())
}

/// Whether a pattern of `<match>` fits: `*` stands for one part of a tag or for a piece of one,
/// `**` for any number of parts, none included.
fn pattern_fits(pattern: &str, tag: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let tag: Vec<&str> = tag.split('.').collect();
    parts_fit(&pattern, &tag)
}

fn parts_fit(pattern: &[&str], tag: &[&str]) -> bool {
    match (pattern, tag) {
        ([], []) => true,
        (["**", rest @ ..], tag) => (0..=tag.len()).any(|from| parts_fit(rest, &tag[from..])),
        ([first, pattern @ ..], [part, tag @ ..]) => {
            part_fits(first, part) && parts_fit(pattern, tag)
        }
        _ => false,
    }
}

fn part_fits(pattern: &str, part: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == part,
        Some((before, behind)) => part.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| part_fits(behind, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_fluentd() {
        let fits = |pattern, tag| assert!(pattern_fits(pattern, tag), "{pattern} takes {tag}");
        let misses = |pattern, tag| assert!(!pattern_fits(pattern, tag), "{pattern} misses {tag}");
        fits("test.log", "test.log");
        misses("test.log", "events.log");
        misses("test.log", "test.log.more");
        fits("session.*.log", "session.1234-5678.log");
        misses("session.*.log", "session.log.1234-5678.log");
        misses("session.*.log", "session.log");
        fits("session.**", "session.1234-5678.log");
        fits("session.**", "session.log.1234-5678.log");
        fits("session.**", "session");
        misses("session.**", "sessions.1.log");
        fits("**", "anything.at.all");
        fits("**.log", "a.b.log");
        fits("a.**.z", "a.z");
        fits("a.*b.c", "a.xxb.c");
        misses("a.*", "a");
    }

    #[test]
    fn sections_and_strings_are_read() {
        let text = r##"
# a comment
<source>
  @type http   # another
  port 8888
  path "/with \"quotes\", \\ and \#{no code}"
  plain %Y-%m-%dT%H:%M:%S
  <transport tls>
    single 'it''s'
  </transport>
</source>
"##;
        let error = Section::parse(text).expect_err("text behind a string");
        assert!(error.starts_with("line 9: "), "{error}");
        let root = Section::parse(&text.replace("'it''s'", r"'it\'s \n'")).expect("good");
        let source = root.all("source").next().expect("there");
        assert_eq!(source.param("@type"), Some("http"));
        assert_eq!(source.param("port"), Some("8888"));
        assert_eq!(source.param("path"), Some(r##"/with "quotes", \ and #{no code}"##));
        assert_eq!(source.param("plain"), Some("%Y-%m-%dT%H:%M:%S"));
        let transport = source.all("transport").next().expect("there");
        assert_eq!(
            (transport.argument.as_str(), transport.param("single")),
            ("tls", Some(r"it's \n"))
        );
        assert_eq!(root.match_of("a"), None);
    }

    #[test]
    fn what_fluentd_refuses_is_refused() {
        for text in ["<a>", "</a>", "<a>\n</b>", "k \"open", "k \"a\\x\"", "k \"#{1 + 1}\""] {
            assert!(Section::parse(text).is_err(), "{text}");
        }
    }
}
