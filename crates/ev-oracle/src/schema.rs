//! A schema: descriptors, and what Go makes of them.

use std::io::Read as _;

use flate2::read::GzDecoder;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use crate::layout::Layouts;
use crate::{Error, Refused, reflect};

/// The events of one Teleport version.
#[derive(Debug)]
pub struct Schema {
    one_of: MessageDescriptor,
    pub(crate) layouts: Layouts,
    pub(crate) cuts_equal_keys: bool,
}

impl Schema {
    /// Reads a serialised `FileDescriptorSet`, plain or gzip, with `events.OneOf` and everything
    /// that it imports, options included.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is missing or not known here.
    pub fn new(descriptor_set: &[u8]) -> Result<Self, Error> {
        let mut unpacked = Vec::new();
        let plain = if descriptor_set.starts_with(&[0x1f, 0x8b]) {
            let mut unpack = GzDecoder::new(descriptor_set);
            unpack.read_to_end(&mut unpacked).map_err(|source| Error::Unpack { source })?;
            &unpacked[..]
        } else {
            descriptor_set
        };
        let pool = DescriptorPool::decode(plain).map_err(|source| Error::Descriptors { source })?;
        let one_of = pool.get_message_by_name("events.OneOf").ok_or(Error::NoOneOf)?;
        let layouts = Layouts::of(&one_of)?;
        Ok(Self { one_of, layouts, cuts_equal_keys: false })
    }

    /// The schema of an Auth that does not refuse equal keys on its unstructured roads, but sends
    /// the members in front of the one that holds them (version 15).
    #[must_use]
    pub fn cutting_equal_keys(self) -> Self {
        Self { cuts_equal_keys: true, ..self }
    }

    /// The message `events.OneOf`.
    pub fn one_of(&self) -> &MessageDescriptor {
        &self.one_of
    }

    /// The event as prost-reflect reads it.
    ///
    /// # Errors
    ///
    /// [`Refused::Decode`]: prost takes less than gogo does.
    pub fn message(&self, event: &[u8]) -> Result<DynamicMessage, Refused> {
        DynamicMessage::decode(self.one_of.clone(), event)
            .map_err(|source| Refused::Decode { source })
    }

    /// Appends the event's JSON, made by prost-reflect and a writer that follows Go's rules.
    ///
    /// The same bytes as Go's for events as gogo encodes them, in any order of fields. What has no
    /// answer here, or another one than Go's: text that is not UTF-8 and deep nesting are refused;
    /// what several occurrences of a time, a wrapper, traits, a value of a `Struct` or a case of
    /// the `OneOf` mean is merged here and replaced there; fields that the schema lacks are left
    /// out without a word.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is appended then.
    pub fn reflect(&self, event: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let message = self.message(event)?;
        let start = out.len();
        let written = reflect::event(&self.layouts, &message, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// The keys that Go writes for an event type when no value is left out, by the type's full
    /// name.
    pub fn keys(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.layouts.messages.iter().enumerate().map(|(at, message)| {
            let mut keys = Vec::new();
            self.layouts.keys(at, &mut keys);
            (message.name.as_str(), keys)
        })
    }
}
