//! A schema table: what of a protobuf schema determines the JSON of its events, as plain data.
//!
//! # Table format 1
//!
//! One self-contained byte string, little-endian, without alignment. The same schema always gives
//! the same bytes.
//!
//! | offset | field |
//! |---|---|
//! | 0 | magic `ev-table`, 8 bytes |
//! | 8 | u32 format version, 1 |
//! | 12 | u32 number of sections |
//! | 16 | for each section: u32 id, u32 length |
//! | then | the sections' bytes in the same order, without gaps, to the end of the file |
//!
//! Section ids rise; 1 to 7 must be there, 8 may be left out (paths are then made of field
//! numbers), others are refused. Texts are (offset, length) in section 7.
//!
//! | id | section | contents |
//! |---|---|---|
//! | 1 | version | Auth version whose schema this is, 1 to 64 bytes of printable ASCII |
//! | 2 | rules | u8 duplicate keys of the `struct` flavour (0 refuse, 1 cut), u8 print data in the `struct` flavour (0, 1), 2 bytes 0 |
//! | 3 | messages | per message: u16 number of fields |
//! | 4 | fields | 16 bytes each, in the order of the messages; below |
//! | 5 | oneofs | per real oneof inside an event: u32, u32 text of its key |
//! | 6 | enum texts | per enum that is printed as text: u16 n, n × (i32 value, u32, u32 text); values rise |
//! | 7 | text | JSON string contents: escaped, UTF-8 |
//! | 8 | names | per field, in the order of section 4: u8 length and the field's name in the schema |
//!
//! | offset | field record |
//! |---|---|
//! | 0 | u32 field number, 1 to 2^31 - 1 |
//! | 4 | u8 kind ([`Kind`]) |
//! | 5 | u8 flags: 1 omitempty, 2 hidden, 4 nullable |
//! | 6 | u8 fact that the field holds ([`Slot`]) |
//! | 7 | u8 oneof: 0, or 1 + index in section 5; members stand together |
//! | 8 | u32 offset, 12: u16 length of the key's text; 0, 0 for embeds and hidden fields |
//! | 14 | u16 index of the message (embed, message, messages) or of the enum text; else 0 |
//!
//! Fields stand in the order in which Go writes them. A message refers only to messages before it,
//! so there is no recursion (`google.protobuf.Struct` is a kind of its own), and its depth is
//! found in one pass. The last message is the `OneOf`: its fields are the event types, hidden
//! messages.
//!
//! **Digest**: SHA-256 over the magic, u32 format version, and u32 id, u64 length, bytes of sections 2
//! to 7: what determines the JSON. The version and the names are left out, so two Auth versions
//! with equal schemas have equal digests.
//!
//! **Limits**: 4 MiB in all, 4,096 messages, 65,535 fields, 1,024 fields a message (4,096 event
//! types), 32 levels of messages, 1 MiB of constant output for absent fields.
//!
//! # Who checks what
//!
//! [`Table::parse`] takes the bytes as hostile: every index, offset, length and combination is
//! checked there, once, and everything that the walk needs is laid out in vectors of its own. The
//! walk only looks up what was checked. Where the bytes come from (embedded, or signed) is
//! somebody else's concern.

mod read;

pub use read::without_names;

#[cfg(feature = "compile")]
pub(crate) mod write;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use ev_core::AuthVersion;
use ev_core::wire::WireType;

pub(crate) const MAGIC: &[u8; 8] = b"ev-table";
pub(crate) const FORMAT: u32 = 1;

/// Section ids: 1 to 7 are required, in this order; names are optional.
pub(crate) const SECTION_IDS: std::ops::RangeInclusive<u32> = 1..=7;
pub(crate) const NAMES_ID: u32 = 8;

pub(crate) const FIELD_LEN: usize = 16;
pub(crate) const MAX_TABLE_LEN: usize = 4 << 20;
pub(crate) const MAX_MESSAGES: usize = 4096;
pub(crate) const MAX_FIELDS: usize = 65_535;
pub(crate) const MAX_MESSAGE_FIELDS: usize = 1024;
pub(crate) const MAX_CASES: usize = 4096;
pub(crate) const MAX_LEVELS: u8 = 32;
pub(crate) const MAX_DEFAULTS_LEN: usize = 1 << 20;
/// Behind the texts of keys and defaults there are as many bytes more.
pub(crate) const BLOCK_LEN: usize = 32;
/// Field numbers below this are found by index, others by search.
pub(crate) const DENSE_LIMIT: u32 = 1024;

pub(crate) const OMIT_EMPTY: u8 = 1;
pub(crate) const HIDDEN: u8 = 2;
pub(crate) const NULLABLE: u8 = 4;

/// How a field is read and printed. The numbers are those of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    String = 1,
    Bytes = 2,
    Bool = 3,
    /// Also an enum printed as its number.
    Int32 = 4,
    Int64 = 5,
    Uint32 = 6,
    Uint64 = 7,
    /// A message whose fields stand among those of the message around it.
    Embed = 8,
    Message = 9,
    /// Repeated message.
    Messages = 10,
    /// Repeated string.
    Strings = 11,
    /// `google.protobuf.Timestamp` as `time.Time`.
    Time = 12,
    /// Map of string to string.
    MapString = 13,
    /// Map of string to int32.
    MapInt32 = 14,
    /// `google.protobuf.Struct` printed as a plain object.
    Struct = 15,
    /// `wrappers.Traits`: map of string to list of strings.
    Traits = 16,
    /// `google.protobuf.UInt32Value` as `*uint32`.
    Uint32Value = 17,
    /// `google.protobuf.UInt64Value` as `*uint64`.
    Uint64Value = 18,
    /// An enum printed as text.
    EnumText = 19,
}

impl Kind {
    pub(crate) const ALL: [Self; 19] = [
        Self::String,
        Self::Bytes,
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::Uint32,
        Self::Uint64,
        Self::Embed,
        Self::Message,
        Self::Messages,
        Self::Strings,
        Self::Time,
        Self::MapString,
        Self::MapInt32,
        Self::Struct,
        Self::Traits,
        Self::Uint32Value,
        Self::Uint64Value,
        Self::EnumText,
    ];

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The only wire type gogo takes for the kind.
    pub(crate) fn wire_type(self) -> WireType {
        match self {
            Self::Bool
            | Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::EnumText => WireType::Varint,
            _ => WireType::Len,
        }
    }

    /// Whether `sub` is the index of a message.
    pub(crate) fn has_message(self) -> bool {
        matches!(self, Self::Embed | Self::Message | Self::Messages)
    }
}

/// A fact that a field of the event's own (embedded) messages holds. The numbers are those of the
/// format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Slot {
    None = 0,
    Index = 1,
    Type = 2,
    Uid = 3,
    Time = 4,
    Session = 5,
    User = 6,
    Login = 7,
    Cluster = 8,
    Success = 9,
    PrintData = 10,
}

impl Slot {
    pub(crate) const ALL: [Self; 11] = [
        Self::None,
        Self::Index,
        Self::Type,
        Self::Uid,
        Self::Time,
        Self::Session,
        Self::User,
        Self::Login,
        Self::Cluster,
        Self::Success,
        Self::PrintData,
    ];

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The kind that a field holding the fact must have; `None` for no fact.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::None => None,
            Self::Index => Some(Kind::Int64),
            Self::Time => Some(Kind::Time),
            Self::Success => Some(Kind::Bool),
            Self::PrintData => Some(Kind::Bytes),
            _ => Some(Kind::String),
        }
    }
}

/// What the `struct` flavour does with two keys that are equal once invalid bytes are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DuplicateKeys {
    /// The event is unprintable.
    #[default]
    Refuse,
    /// Only the members in front of the one with the duplicate are written.
    Cut,
}

/// One field, laid out for the walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) slot: Slot,
    /// Whether the field is a member of a real oneof.
    pub(crate) oneof: bool,
    /// Field number and wire type as they stand on the wire.
    pub(crate) tag: u64,
    /// Index of a message or of an enum text.
    pub(crate) sub: u16,
    /// Place of the field in its message's order; of the first member for a oneof.
    pub(crate) first: u16,
    /// Place of the next field; behind the last member for a oneof.
    pub(crate) after: u16,
    /// `,"key":` in [`Table::keys`].
    pub(crate) key: (u32, u32),
    /// What is written when the field (or its oneof) is absent, in [`Table::defaults`]. The
    /// defaults of neighbours are neighbours.
    pub(crate) defaults: (u32, u32),
}

impl Field {
    #[expect(clippy::cast_possible_truncation, reason = "a field number has 31 bits")]
    pub(crate) fn number(&self) -> u32 {
        (self.tag >> 3) as u32
    }

    #[inline]
    pub(crate) fn omit_empty(&self) -> bool {
        self.flags & OMIT_EMPTY != 0
    }

    #[inline]
    pub(crate) fn hidden(&self) -> bool {
        self.flags & HIDDEN != 0
    }
}

/// One message, laid out for the walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// Index of its first field in [`Table::fields`].
    pub(crate) first: u32,
    pub(crate) count: u16,
    /// Place of number 0 in [`Table::dense`], and how many numbers are there.
    dense: (u32, u32),
    /// Range in [`Table::sparse`].
    sparse: (u32, u32),
    /// The defaults of all its fields in [`Table::defaults`].
    pub(crate) defaults: (u32, u32),
    /// Whether a field of its own holds the bytes of a `print` event.
    pub(crate) print_data: bool,
}

/// A schema, checked and laid out for the walk.
///
/// ```
/// # #[cfg(feature = "embedded")] {
/// let newest = ev_decode::embedded().pop().expect("there are three");
/// assert_eq!(newest.table.auth_version().as_str(), "18.0.0-dev");
/// # }
/// ```
pub struct Table {
    version: AuthVersion,
    /// The table's own bytes, of which the digest is made when it is first asked for: a guest
    /// reads its table with each instance, and is asked by few.
    bytes: Cow<'static, [u8]>,
    digest: OnceLock<[u8; 32]>,
    pub(crate) duplicate_keys: DuplicateKeys,
    /// Whether the `struct` flavour of a print event has its bytes as `data`.
    pub(crate) print_data: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) fields: Vec<Field>,
    /// Per message and field number: 1 + place of the field in its message, or 0.
    dense: Vec<u16>,
    /// Per message, rising: large field numbers and the places of their fields.
    sparse: Vec<(u32, u16)>,
    pub(crate) keys: Vec<u8>,
    pub(crate) defaults: Vec<u8>,
    enums: Vec<Range<usize>>,
    enum_values: Vec<(i32, Range<usize>)>,
    /// Where the texts stand in `bytes`.
    text: Range<usize>,
    /// Per field, when the table has names.
    names: Option<Vec<Box<str>>>,
}

impl Table {
    /// Version of the byte format that is read and written; the `abi` of a table's manifest.
    pub const FORMAT: u32 = FORMAT;

    /// Reads and checks a table.
    ///
    /// # Errors
    ///
    /// [`TableError`](crate::TableError) names the first thing that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, crate::TableError> {
        read::parse(Cow::Owned(bytes.to_vec()))
    }

    /// As [`Table::parse`], without a copy of the bytes.
    ///
    /// # Errors
    ///
    /// As [`Table::parse`].
    pub fn parse_static(bytes: &'static [u8]) -> Result<Self, crate::TableError> {
        read::parse(Cow::Borrowed(bytes))
    }

    /// The Auth version whose schema this is.
    pub fn auth_version(&self) -> &AuthVersion {
        &self.version
    }

    /// SHA-256 of all that determines the JSON; equal for versions with equal schemas.
    pub fn schema_sha256(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| read::digest(&self.bytes))
    }

    /// The event types: number in the `OneOf`, and name if the table has names.
    pub fn cases(&self) -> impl Iterator<Item = (u32, Option<&str>)> {
        let root = self.root();
        (root.first as usize..)
            .zip(self.fields_of(root))
            .map(|(index, field)| (field.number(), self.names.as_ref().map(|names| &*names[index])))
    }

    pub(crate) fn root(&self) -> &Message {
        self.messages.last().expect("a table without messages was refused")
    }

    pub(crate) fn fields_of(&self, message: &Message) -> &[Field] {
        let first = message.first as usize;
        &self.fields[first..first + usize::from(message.count)]
    }

    /// Place of the field with `number` in its message.
    #[inline]
    pub(crate) fn place(&self, message: &Message, number: u32) -> Option<usize> {
        if number < message.dense.1 {
            let place = self.dense[(message.dense.0 + number) as usize];
            return usize::from(place).checked_sub(1);
        }
        if message.sparse.0 == message.sparse.1 {
            return None;
        }
        let sparse = &self.sparse[message.sparse.0 as usize..message.sparse.1 as usize];
        let found = sparse.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(usize::from(sparse[found].1))
    }

    /// The text of an enum value, if it has one.
    pub(crate) fn enum_text(&self, which: u16, value: i32) -> Option<&[u8]> {
        let values = &self.enum_values[self.enums[usize::from(which)].clone()];
        let found = values.binary_search_by_key(&value, |(value, _)| *value).ok()?;
        Some(&self.bytes[self.text.clone()][values[found].1.clone()])
    }

    /// Name of a field by its index in [`Table::fields`].
    pub(crate) fn name(&self, field: usize) -> Option<&str> {
        self.names.as_ref().map(|names| &*names[field])
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("version", &self.version)
            .field("messages", &self.messages.len())
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}
