//! Writes messages of the recorded schema by the names of their fields, in any order one likes.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

/// A message that is being written: each call appends a field, whatever stands there already.
#[derive(Clone, Debug)]
pub(super) struct Message {
    descriptor: MessageDescriptor,
    bytes: Vec<u8>,
}

impl Message {
    /// An empty message.
    ///
    /// # Panics
    ///
    /// If the schema has no such message; as with fields, names are literals of this package.
    pub(super) fn new(schema: &DescriptorPool, name: &str) -> Self {
        let descriptor = schema.get_message_by_name(name);
        let descriptor = descriptor.unwrap_or_else(|| panic!("the schema has no `{name}`"));
        Self { descriptor, bytes: Vec::new() }
    }

    /// An empty message of the same type.
    pub(super) fn empty(&self) -> Self {
        Self { descriptor: self.descriptor.clone(), bytes: Vec::new() }
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Length of what was written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// An empty message of the type of a field.
    pub(super) fn inside(&self, field: &str) -> Self {
        let field = self.field(field);
        let Kind::Message(descriptor) = field.kind() else {
            panic!("`{}` is not a message", field.full_name());
        };
        Self { descriptor, bytes: Vec::new() }
    }

    /// Appends text or bytes.
    #[must_use]
    pub(super) fn text(mut self, field: &str, value: impl AsRef<[u8]>) -> Self {
        let (number, value) = (self.number(field), value.as_ref());
        encode_key(number, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(value.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(value);
        self
    }

    /// Appends a varint.
    #[must_use]
    pub(super) fn varint(mut self, field: &str, value: u64) -> Self {
        encode_key(self.number(field), WireType::Varint, &mut self.bytes);
        encode_varint(value, &mut self.bytes);
        self
    }

    /// Appends a double.
    #[must_use]
    pub(super) fn double(mut self, field: &str, value: f64) -> Self {
        encode_key(self.number(field), WireType::SixtyFourBit, &mut self.bytes);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a message, written by `write` into an empty one.
    #[must_use]
    pub(super) fn with(self, field: &str, write: impl FnOnce(Self) -> Self) -> Self {
        let inner = write(self.inside(field));
        self.text(field, inner.bytes)
    }

    /// Appends an entry of a map from text to text.
    #[must_use]
    pub(super) fn entry(self, field: &str, key: &str, value: &str) -> Self {
        self.with(field, |entry| entry.text("key", key).text("value", value))
    }

    /// Appends bytes that are not looked at.
    #[must_use]
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends many fields.
    #[must_use]
    pub(super) fn many(mut self, count: usize, each: impl FnMut(Self, usize) -> Self) -> Self {
        let mut each = each;
        for index in 0..count {
            self = each(self, index);
        }
        self
    }

    fn field(&self, name: &str) -> prost_reflect::FieldDescriptor {
        let field = self.descriptor.get_field_by_name(name);
        field.unwrap_or_else(|| panic!("`{}` has no `{name}`", self.descriptor.full_name()))
    }

    fn number(&self, name: &str) -> u32 {
        self.field(name).number()
    }
}
