//! The gogoproto options of a field, by the numbers of their extensions.
//!
//! Source: `gogoproto/gogo.proto` of gogo/protobuf 1.3.2, extensions of `FieldOptions`.

use prost_reflect::{FieldDescriptor, Value};

/// The options that change how a field is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) nullable: bool,
    pub(crate) embed: bool,
    /// The Go type given by `customtype` or `casttype`.
    pub(crate) go_type: Option<String>,
    pub(crate) custom_name: Option<String>,
    pub(crate) json_tag: Option<String>,
    pub(crate) std_time: bool,
    pub(crate) std_duration: bool,
    pub(crate) wkt_pointer: bool,
}

impl Options {
    pub(crate) fn of(field: &FieldDescriptor) -> Self {
        let mut options = Self {
            nullable: true,
            embed: false,
            go_type: None,
            custom_name: None,
            json_tag: None,
            std_time: false,
            std_duration: false,
            wkt_pointer: false,
        };
        let message = field.options();
        for (extension, value) in message.extensions() {
            match (extension.number(), value) {
                (65001, Value::Bool(set)) => options.nullable = *set,
                (65002, Value::Bool(set)) => options.embed = *set,
                (65003 | 65007, Value::String(text)) => options.go_type = Some(text.clone()),
                (65004, Value::String(text)) => options.custom_name = Some(text.clone()),
                (65005, Value::String(text)) => options.json_tag = Some(text.clone()),
                (65010, Value::Bool(set)) => options.std_time = *set,
                (65011, Value::Bool(set)) => options.std_duration = *set,
                (65012, Value::Bool(set)) => options.wkt_pointer = *set,
                _ => {}
            }
        }
        options
    }

    /// The struct tag `json` that gogo's generator writes for the field.
    pub(crate) fn tag(&self, field: &FieldDescriptor) -> Tag {
        let name = field.name();
        let tag = match &self.json_tag {
            Some(tag) => tag.clone(),
            // Lists of scalars keep `omitempty` even when they are not nullable.
            None if !self.nullable && (!field.is_list() || field.kind().as_message().is_some()) => {
                name.to_owned()
            }
            None => format!("{name},omitempty"),
        };
        Tag::parse(&tag)
    }
}

/// A `json` struct tag as `encoding/json` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The field is never written.
    pub(crate) hidden: bool,
    /// Empty when the tag names none.
    pub(crate) name: String,
    pub(crate) omit_empty: bool,
}

impl Tag {
    fn parse(tag: &str) -> Self {
        let mut parts = tag.split(',');
        let name = parts.next().unwrap_or_default();
        let valid =
            name.chars().all(|c| "!#$%&()*+-./:;<=>?@[]^_{|}~ ".contains(c) || c.is_alphanumeric());
        Self {
            hidden: tag == "-",
            name: if valid { name.to_owned() } else { String::new() },
            // ` omitempty`, with a blank, is another option and does nothing.
            omit_empty: parts.any(|option| option == "omitempty"),
        }
    }
}

/// `some_name` as protoc-gen-go exports it: `SomeName`.
pub(crate) fn go_name(name: &str) -> String {
    let mut out = String::new();
    let mut chars = name.chars().peekable();
    // Whether the next lower-case letter begins a word.
    let mut begins = true;
    if name.starts_with('_') {
        out.push('X');
        chars.next();
    }
    while let Some(c) = chars.next() {
        match c {
            '_' if chars.peek().is_some_and(char::is_ascii_lowercase) => begins = true,
            c if c.is_ascii_lowercase() && begins => {
                out.push(c.to_ascii_uppercase());
                begins = false;
            }
            c => {
                out.push(c);
                begins = !c.is_ascii_lowercase() && !c.is_ascii_uppercase();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let tag = |text: &str| {
            let Tag { hidden, name, omit_empty } = Tag::parse(text);
            (hidden, name, omit_empty)
        };
        assert_eq!(tag("a,omitempty"), (false, "a".to_owned(), true));
        assert_eq!(tag("a, omitempty"), (false, "a".to_owned(), false));
        assert_eq!(tag(""), (false, String::new(), false));
        assert!(tag("-").0 && !tag("-,").0);
    }

    #[test]
    fn go_names() {
        for (name, expected) in [
            ("constraints", "Constraints"),
            ("some_name", "SomeName"),
            ("Some_Name", "Some_Name"),
            ("aws_2fa", "Aws_2Fa"),
            ("_x", "XX"),
        ] {
            assert_eq!(go_name(name), expected);
        }
    }
}
