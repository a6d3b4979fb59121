//! A schema as it was read, and its event types.

use std::sync::Arc;

use ev_core::AuthVersion;
use ev_decode::Table;

use crate::Error;
use crate::kind::Kind;
use crate::{read, types};

/// The event types of one Auth version and what their JSON looks like.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(crate) table: Arc<Table>,
    pub(crate) version: AuthVersion,
    /// Whether the `struct` flavour leaves out what stands behind a key that is there twice.
    pub(crate) cuts: bool,
    /// Whether the `struct` flavour of a print event has its bytes.
    pub(crate) print_data: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Vec<(i32, String)>>,
    pub(crate) events: Vec<Event>,
}

/// One event type: a case of the `OneOf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) message: usize,
    /// Whether the name is the schema's own.
    pub(crate) is_named: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// In the order in which Go writes them.
    pub(crate) fields: Vec<Field>,
    /// Whether it, or a message in it, has keys that come from the event.
    pub(crate) has_free_keys: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) omit_empty: bool,
    pub(crate) hidden: bool,
    pub(crate) nullable: bool,
    pub(crate) fact: u8,
    /// Key of the oneof that it is a member of.
    pub(crate) oneof: Option<String>,
    pub(crate) key: String,
    /// Index of the message or of the enum.
    pub(crate) sub: usize,
}

/// Facts that fields hold, by the numbers of the table format.
pub(crate) mod fact {
    pub(crate) const TYPE: u8 = 2;
    pub(crate) const UID: u8 = 3;
    pub(crate) const SESSION: u8 = 5;
    pub(crate) const USER: u8 = 6;
    pub(crate) const LOGIN: u8 = 7;
    pub(crate) const CLUSTER: u8 = 8;
    pub(crate) const PRINT_DATA: u8 = 10;
}

impl Schema {
    /// Reads a table.
    ///
    /// # Errors
    ///
    /// When the decoder would not take it either, or when there is something new in it.
    pub fn read(table: &[u8]) -> Result<Self, Error> {
        let parsed = Arc::new(Table::parse(table)?);
        read::read(table, parsed)
    }

    /// The names of event types that this schema was stripped of, from one that has them. A number
    /// of the `OneOf` is never given to another type, so any other version will do.
    #[must_use]
    pub fn with_names_of(mut self, other: &Self) -> Self {
        for event in self.events.iter_mut().filter(|event| !event.is_named) {
            let same = other.events.iter().find(|known| known.number == event.number);
            if let Some(known) = same.filter(|known| known.is_named) {
                event.name.clone_from(&known.name);
                event.is_named = true;
            }
        }
        self
    }

    /// The same as the schema of another version: what was signed for a version may carry the table
    /// of another one with an equal schema.
    #[must_use]
    pub fn for_version(self, version: AuthVersion) -> Self {
        Self { version, ..self }
    }

    /// The Auth version whose schema this is.
    pub fn auth_version(&self) -> &AuthVersion {
        &self.version
    }

    /// SHA-256 of what determines the JSON.
    pub fn schema_sha256(&self) -> [u8; 32] {
        self.table.schema_sha256()
    }

    /// The event types, by their numbers.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// An event type by its name (`UserLogin`, in any case of letters), by what events carry as
    /// `event` (`user.login`), or by its number (`#1`).
    pub fn find(&self, name: &str) -> Option<&Event> {
        let number = name.strip_prefix('#').and_then(|number| number.parse().ok());
        self.events
            .iter()
            .find(|event| event.types().contains(&name) || number == Some(event.number))
            .or_else(|| self.events.iter().find(|event| event.name.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn message(&self, event: &Event) -> &Message {
        &self.messages[event.message]
    }

    /// The message that a field refers to; messages stand before those that refer to them, so
    /// there is always an end.
    pub(crate) fn sub(&self, field: &Field) -> &Message {
        &self.messages[field.sub]
    }

    /// The texts of a field's enum that it can print.
    pub(crate) fn texts(&self, field: &Field) -> impl Iterator<Item = &str> {
        let values = self.enums.get(field.sub).map(Vec::as_slice).unwrap_or_default();
        values
            .iter()
            .filter(|(value, _)| !(field.omit_empty && *value == 0))
            .map(|(_, text)| text.as_str())
    }
}

impl Event {
    /// Number in the `OneOf`; what it stands for never changes.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Name of the message, for instance `UserLogin`; `#` and the number where the schema has no
    /// names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What such events carry as `event`, as far as it is known here; the schema does not say it.
    pub fn types(&self) -> &'static [&'static str] {
        types::of(&self.name)
    }
}

impl Field {
    /// Whether the key is written when the field is not on the wire.
    pub(crate) fn is_always_written(&self) -> bool {
        if self.oneof.is_some() {
            return true;
        }
        // Go's `omitempty` never drops a struct, and a time is one.
        let never_empty = !self.nullable && matches!(self.kind, Kind::Time | Kind::Message);
        !self.hidden && (!self.omit_empty || never_empty)
    }

    /// Whether what is written then is `null`.
    pub(crate) fn may_be_null(&self) -> bool {
        let has_zero = match self.kind {
            Kind::String
            | Kind::Bool
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::EnumText => true,
            Kind::Time | Kind::Message => !self.nullable,
            _ => false,
        };
        self.is_always_written() && !has_zero
    }
}
