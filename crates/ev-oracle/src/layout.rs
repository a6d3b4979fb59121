//! What Go's struct for a message looks like: which fields are written, in which order, how.
//!
//! Go writes the fields in declaration order, embedded messages in place. Of several fields with
//! the same key the least nested one is written; of several on one level the one whose name stands
//! in a tag, if it is alone; else none. As that depends on the outermost struct, a message has one
//! layout for each set of its fields that lose.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::Error;
use crate::gogo::{Options, Tag, go_name};

/// Index of a message's layout.
pub(crate) type Ref = usize;

/// Numbers of the fields that lead through embeds to one field.
type Path = Vec<u32>;

/// The layouts of a schema.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    pub(crate) messages: Vec<Message>,
    /// The event types by their number in the `OneOf`.
    pub(crate) cases: BTreeMap<u32, Field>,
    made: BTreeMap<(String, BTreeSet<Path>), Ref>,
}

/// One message as an object.
#[derive(Debug)]
pub(crate) struct Message {
    /// Full name in the schema.
    pub(crate) name: String,
    /// In declaration order; members of a oneof are neighbours.
    pub(crate) fields: Vec<Field>,
    /// Where each number stands in `fields`.
    pub(crate) by_number: BTreeMap<u32, usize>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) descriptor: FieldDescriptor,
    pub(crate) number: u32,
    /// The key of the object's member.
    pub(crate) key: String,
    /// The key quoted, with its colon; for members of a oneof the oneof's key and brace in front.
    pub(crate) prefix: Vec<u8>,
    /// Whether it is written at all.
    pub(crate) written: bool,
    pub(crate) omit_empty: bool,
    /// Whether Go has a pointer for it: of messages and times only.
    pub(crate) pointer: bool,
    /// The oneof it belongs to: its key in Go.
    pub(crate) oneof: Option<String>,
    pub(crate) shape: Shape,
}

/// What a field is in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Enum,
    /// `types.SAMLForceAuthn`.
    ForceAuthn,
    /// A struct whose fields stand among those around it.
    Embed(Ref),
    Message(Ref),
    Messages(Ref),
    Strings,
    Time,
    MapString,
    MapInt32,
    /// `events.Struct` over `google.protobuf.Struct`.
    Struct,
    /// `wrappers.Traits` over `wrappers.LabelValues`.
    Traits,
    Uint32Value,
    Uint64Value,
}

impl Layouts {
    pub(crate) fn of(one_of: &MessageDescriptor) -> Result<Self, Error> {
        let mut layouts = Self::default();
        for descriptor in declared(one_of) {
            let Kind::Message(message) = descriptor.kind() else {
                return Err(unknown(&descriptor));
            };
            let to = layouts.object(&message)?;
            let case = Field {
                number: descriptor.number(),
                key: String::new(),
                prefix: Vec::new(),
                written: true,
                omit_empty: false,
                pointer: true,
                oneof: None,
                shape: Shape::Message(to),
                descriptor,
            };
            layouts.cases.insert(case.number, case);
        }
        Ok(layouts)
    }

    /// The keys of a message as Go writes them when none is left out.
    pub(crate) fn keys(&self, message: Ref, keys: &mut Vec<String>) {
        let mut oneof = None;
        for field in &self.messages[message].fields {
            match (&field.oneof, field.shape) {
                (Some(key), _) if oneof != Some(key) => keys.push(key.clone()),
                (Some(_), _) => {}
                (None, Shape::Embed(inner)) => self.keys(inner, keys),
                (None, _) if field.written => keys.push(field.key.clone()),
                (None, _) => {}
            }
            oneof = field.oneof.as_ref();
        }
    }

    /// The layout of a message that is an object of its own.
    fn object(&mut self, message: &MessageDescriptor) -> Result<Ref, Error> {
        let mut candidates = Vec::new();
        candidates_of(message, &mut Vec::new(), &mut candidates);
        self.message(message, losers(&candidates))
    }

    fn message(&mut self, message: &MessageDescriptor, lost: BTreeSet<Path>) -> Result<Ref, Error> {
        let id = (message.full_name().to_owned(), lost);
        if let Some(made) = self.made.get(&id) {
            return Ok(*made);
        }
        let mut fields = Vec::new();
        for descriptor in declared(message) {
            fields.push(self.field(descriptor, &id.1)?);
        }
        let by_number = fields.iter().enumerate().map(|(at, field)| (field.number, at)).collect();
        self.messages.push(Message { name: id.0.clone(), fields, by_number });
        self.made.insert(id, self.messages.len() - 1);
        Ok(self.messages.len() - 1)
    }

    fn field(
        &mut self,
        descriptor: FieldDescriptor,
        lost: &BTreeSet<Path>,
    ) -> Result<Field, Error> {
        let options = Options::of(&descriptor);
        let tag = options.tag(&descriptor);
        let number = descriptor.number();
        let embed = embedded(&descriptor, &options, &tag);
        let shape = match embed {
            Some(inner) => {
                let below = lost.iter().filter(|path| path.len() > 1 && path[0] == number);
                let below = below.map(|path| path[1..].to_vec()).collect();
                Shape::Embed(self.message(&inner, below)?)
            }
            None => self.shape(&descriptor, &options)?,
        };
        let key = key(&descriptor, &options, &tag);
        let oneof = descriptor.containing_oneof().map(|oneof| go_name(oneof.name()));
        let lost_itself = lost.contains(&vec![number]);
        if oneof.is_some() && (lost_itself || !matches!(shape, Shape::Message(_))) {
            return Err(unknown(&descriptor));
        }
        let mut prefix = Vec::new();
        if let Some(outer) = &oneof {
            crate::json::text(&mut prefix, outer);
            prefix.extend_from_slice(b":{");
        }
        crate::json::text(&mut prefix, &key);
        prefix.push(b':');
        Ok(Field {
            number,
            key,
            prefix,
            written: !tag.hidden && !lost_itself,
            omit_empty: tag.omit_empty,
            pointer: options.nullable,
            oneof,
            shape,
            descriptor,
        })
    }

    fn shape(&mut self, field: &FieldDescriptor, options: &Options) -> Result<Shape, Error> {
        let go_type = options.go_type.as_deref();
        if options.std_duration || field.is_group() {
            return Err(unknown(field));
        }
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return Err(unknown(field)) };
            return match (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind())
            {
                (Kind::String, Kind::String) => Ok(Shape::MapString),
                (Kind::String, Kind::Int32) => Ok(Shape::MapInt32),
                _ => Err(unknown(field)),
            };
        }
        if let Kind::Message(message) = field.kind() {
            let one = !field.is_list();
            return Ok(match message.full_name() {
                "google.protobuf.Timestamp" if options.std_time && one => Shape::Time,
                "google.protobuf.Struct"
                    if go_type == Some("Struct") && options.nullable && one =>
                {
                    Shape::Struct
                }
                "google.protobuf.UInt32Value" if options.wkt_pointer && one => Shape::Uint32Value,
                "google.protobuf.UInt64Value" if options.wkt_pointer && one => Shape::Uint64Value,
                "wrappers.LabelValues"
                    if one
                        && !options.nullable
                        && go_type.is_some_and(|name| name.ends_with("/wrappers.Traits")) =>
                {
                    Shape::Traits
                }
                name if go_type.is_some() || name.starts_with("google.protobuf.") => {
                    return Err(unknown(field));
                }
                _ if one => Shape::Message(self.object(&message)?),
                _ => Shape::Messages(self.object(&message)?),
            });
        }
        // Cast types of the recorded schemas are strings in Go too, without a form of their own.
        Ok(match field.kind() {
            Kind::String if field.is_list() => Shape::Strings,
            _ if field.is_list() => return Err(unknown(field)),
            Kind::String => Shape::String,
            Kind::Bytes => Shape::Bytes,
            Kind::Bool => Shape::Bool,
            Kind::Int32 => Shape::Int32,
            Kind::Int64 => Shape::Int64,
            Kind::Uint32 => Shape::Uint32,
            Kind::Uint64 => Shape::Uint64,
            Kind::Enum(name) if name.full_name() == "types.SAMLForceAuthn" => Shape::ForceAuthn,
            Kind::Enum(_) => Shape::Enum,
            _ => return Err(unknown(field)),
        })
    }
}

impl Message {
    /// Place of the first field behind the oneof to which the field at `at` belongs.
    pub(crate) fn behind_oneof(&self, at: usize) -> usize {
        let oneof = &self.fields[at].oneof;
        at + self.fields[at..].iter().take_while(|field| field.oneof == *oneof).count()
    }
}

fn unknown(field: &FieldDescriptor) -> Error {
    Error::Field { field: field.full_name().to_owned() }
}

/// The fields as they stand in the schema's text.
fn declared(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let numbers = message.descriptor_proto().field.iter().map(|field| field.number());
    numbers.filter_map(|number| message.get_field(u32::try_from(number).ok()?)).collect()
}

/// The message that a field embeds, if it does.
fn embedded(field: &FieldDescriptor, options: &Options, tag: &Tag) -> Option<MessageDescriptor> {
    let embeds = options.embed && !field.is_list() && tag.name.is_empty() && !tag.hidden;
    field.kind().as_message().filter(|_| embeds).cloned()
}

fn key(field: &FieldDescriptor, options: &Options, tag: &Tag) -> String {
    if !tag.name.is_empty() {
        return tag.name.clone();
    }
    options.custom_name.clone().unwrap_or_else(|| go_name(field.name()))
}

/// A field that Go could write.
struct Candidate {
    key: String,
    tagged: bool,
    path: Path,
}

fn candidates_of(message: &MessageDescriptor, path: &mut Path, found: &mut Vec<Candidate>) {
    let mut oneofs = BTreeSet::new();
    for field in declared(message) {
        let options = Options::of(&field);
        let tag = options.tag(&field);
        path.push(field.number());
        if let Some(oneof) = field.containing_oneof()
            && oneofs.insert(oneof.full_name().to_owned())
        {
            let key = go_name(oneof.name());
            found.push(Candidate { key, tagged: false, path: path.clone() });
        }
        if let Some(inner) = embedded(&field, &options, &tag) {
            candidates_of(&inner, path, found);
        } else if !tag.hidden && field.containing_oneof().is_none() {
            let key = key(&field, &options, &tag);
            found.push(Candidate { key, tagged: !tag.name.is_empty(), path: path.clone() });
        }
        path.pop();
    }
}

fn losers(candidates: &[Candidate]) -> BTreeSet<Path> {
    let mut lost = BTreeSet::new();
    for one in candidates {
        let rivals = || candidates.iter().filter(|other| other.key == one.key);
        let level = rivals().map(|other| other.path.len()).min();
        let on_level = || rivals().filter(|other| Some(other.path.len()) == level);
        let tagged = on_level().filter(|other| other.tagged).count();
        let wins = Some(one.path.len()) == level
            && if tagged == 0 { on_level().count() == 1 } else { one.tagged && tagged == 1 };
        if !wins {
            lost.insert(one.path.clone());
        }
    }
    lost
}
