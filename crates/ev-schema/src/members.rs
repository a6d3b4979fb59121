//! The members of an event's JSON as one flat list, for tables and comparisons.

use std::fmt;

use ev_core::Flavour;
use serde::Serialize;

use crate::kind::Kind;
use crate::schema::{Event, Field, Message, Schema, fact};

/// When a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Whenever the object that it stands in is there.
    Always,
    /// The same, and it may be `null`.
    Nullable,
    /// It may be left out.
    Optional,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Always => "always",
            Self::Nullable => "or null",
            Self::Optional => "optional",
        })
    }
}

/// One member of an event's JSON, or of an object in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Member {
    /// Its key, behind those of the objects around it: `connector.metadata.name`; `[]` is an
    /// element of a list. Keys with a dot of their own stand in quotes.
    pub path: String,
    /// Its type in words.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it is there.
    pub presence: Presence,
}

/// The struct flavour sorts keys; nothing else of it shows in this list but the `data` of a print
/// event.
impl Schema {
    /// The members of an event type in the order in which they are written, those of an object
    /// behind it.
    pub fn members(&self, event: &Event, flavour: Flavour) -> Vec<Member> {
        let mut walk = Walk { schema: self, flavour, members: Vec::new() };
        let message = self.message(event);
        walk.message(message, "", Some(message));
        walk.members
    }
}

struct Walk<'a> {
    schema: &'a Schema,
    flavour: Flavour,
    members: Vec<Member>,
}

/// A key with what is needed to write its member.
struct Row<'a> {
    key: &'a str,
    presence: Presence,
    what: What<'a>,
}

enum What<'a> {
    Field(&'a Field),
    /// The fields of one oneof.
    Oneof(Vec<&'a Field>),
    PrintData,
}

impl<'a> Walk<'a> {
    fn message(&mut self, message: &'a Message, path: &str, top: Option<&'a Message>) {
        let mut rows = Vec::new();
        self.rows(message, true, &mut rows);
        let prints = |field: &Field| field.fact == fact::PRINT_DATA;
        if self.flavour == Flavour::Struct
            && self.schema.print_data
            && top.is_some_and(|message| message.fields.iter().any(prints))
        {
            rows.push(Row { key: "data", presence: Presence::Always, what: What::PrintData });
        }
        if self.flavour == Flavour::Struct {
            rows.sort_by_key(|row| row.key);
        }
        for row in rows {
            self.row(&row, path);
        }
    }

    fn rows(&self, message: &'a Message, is_there: bool, rows: &mut Vec<Row<'a>>) {
        for field in &message.fields {
            if field.kind == Kind::Embed {
                self.rows(self.schema.sub(field), is_there && !field.nullable, rows);
                continue;
            }
            if let Some(key) = &field.oneof {
                match rows.last_mut() {
                    Some(Row { key: last, what: What::Oneof(fields), .. }) if last == key => {
                        fields.push(field);
                    }
                    _ => {
                        let presence = presence(is_there, true, true);
                        rows.push(Row { key, presence, what: What::Oneof(vec![field]) });
                    }
                }
                continue;
            }
            if field.hidden {
                continue;
            }
            let presence = presence(is_there, field.is_always_written(), field.may_be_null());
            rows.push(Row { key: &field.key, presence, what: What::Field(field) });
        }
    }

    fn row(&mut self, row: &Row<'a>, path: &str) {
        let path = joined(path, row.key);
        let field = match &row.what {
            What::Field(field) => *field,
            What::PrintData => {
                return self.add(path, "string (base64)".to_owned(), row.presence);
            }
            What::Oneof(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
                self.add(path.clone(), format!("object: {}", names.join(" | ")), row.presence);
                for field in fields {
                    let path = joined(&path, &field.key);
                    self.add(path.clone(), "object".to_owned(), Presence::Optional);
                    self.message(self.schema.sub(field), &path, None);
                }
                return;
            }
        };
        self.add(path.clone(), self.words(field), row.presence);
        match field.kind {
            Kind::Message => self.message(self.schema.sub(field), &path, None),
            Kind::Messages => {
                self.message(self.schema.sub(field), &format!("{path}[]"), None);
            }
            _ => {}
        }
    }

    fn words(&self, field: &Field) -> String {
        match field.kind {
            Kind::String => "string",
            Kind::Bytes => "string (base64)",
            Kind::Bool => "boolean",
            Kind::Int32 => "integer (int32)",
            Kind::Int64 => "integer (int64)",
            Kind::Uint32 | Kind::Uint32Value => "integer (uint32)",
            Kind::Uint64 | Kind::Uint64Value => "integer (uint64)",
            Kind::Embed | Kind::Message => "object",
            Kind::Messages => "array of objects",
            Kind::Strings => "array of strings",
            Kind::Time => "string (RFC 3339 time)",
            Kind::MapString => "object of strings",
            Kind::MapInt32 => "object of integers (int32)",
            Kind::Struct => "object of anything",
            Kind::Traits => "object of arrays of strings",
            Kind::EnumText => {
                let texts: Vec<String> =
                    self.schema.texts(field).map(|text| format!("`{text}`")).collect();
                return format!("string: {}", texts.join(", "));
            }
        }
        .to_owned()
    }

    fn add(&mut self, path: String, kind: String, presence: Presence) {
        self.members.push(Member { path, kind, presence });
    }
}

fn presence(is_there: bool, always: bool, may_be_null: bool) -> Presence {
    match (is_there && always, may_be_null) {
        (false, _) => Presence::Optional,
        (true, false) => Presence::Always,
        (true, true) => Presence::Nullable,
    }
}

fn joined(path: &str, key: &str) -> String {
    let key = if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
