//! From message descriptors to a draft of the table: which fields Go writes, where and how.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    DescriptorPool, FieldDescriptor, Kind as ProtoKind, MessageDescriptor, Syntax,
};

use super::known::{self, GoType};
use super::options::{ENUMDECL, Extensions, JsonTag, ONLYONE, Options, TYPEDECL, camel_case};
use super::{CompileError, CompileOptions};
use crate::table::write::{Draft, DraftField};
use crate::table::{
    HIDDEN, Kind, MAX_CASES, MAX_LEVELS, MAX_MESSAGE_FIELDS, NULLABLE, OMIT_EMPTY, Slot,
};

/// A field of an object, by the field numbers that lead to it through embeds.
type Path = Vec<u32>;

pub(super) fn draft(
    pool: &DescriptorPool,
    options: &CompileOptions,
) -> Result<(Draft, Vec<String>), CompileError> {
    let root = pool
        .get_message_by_name(known::ONE_OF)
        .ok_or(CompileError::NoMessage { name: known::ONE_OF })?;
    let mut schema = Schema {
        extensions: Extensions::find(pool)?,
        draft: Draft {
            version: options.auth_version.clone(),
            duplicate_keys: options.duplicate_keys,
            print_data: true,
            with_names: options.names,
            ..Draft::default()
        },
        built: BTreeMap::new(),
        enums: BTreeMap::new(),
        open: Vec::new(),
        notes: BTreeSet::new(),
    };
    let mut cases = Vec::new();
    for field in declared(&root) {
        let ProtoKind::Message(message) = field.kind() else {
            return Err(needs_module(&field, "an event type that is no message"));
        };
        // gogo has a field for each oneof, and prints an event of one of them only.
        let oneof = field.containing_oneof();
        if oneof.is_none_or(|oneof| root.oneofs().next().is_none_or(|first| first != oneof)) {
            return Err(needs_module(&field, "a field of the event holder outside of its oneof"));
        }
        if cases.len() == MAX_CASES {
            return Err(needs_module(&field, format!("more than {MAX_CASES} event types")));
        }
        check_name(&field)?;
        cases.push(DraftField {
            number: field.number(),
            name: field.name().to_owned(),
            kind: Kind::Message,
            flags: HIDDEN,
            slot: Slot::None,
            oneof: 0,
            key: String::new(),
            sub: schema.object(&message, &field)?,
        });
    }
    schema.draft.messages.push(cases);
    Ok((schema.draft, schema.notes.into_iter().collect()))
}

struct Schema {
    extensions: Extensions,
    draft: Draft,
    /// Messages already in the draft, by name and by the fields that are not written there because
    /// their keys clash in the message around.
    built: BTreeMap<(String, BTreeSet<Path>), u16>,
    enums: BTreeMap<String, u16>,
    /// Messages around the one being built.
    open: Vec<String>,
    notes: BTreeSet<String>,
}

/// The fields of a message in declaration order (the descriptor's own list is by number).
fn declared(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let fields = message.descriptor_proto().field.iter();
    fields.filter_map(|field| message.get_field_by_name(field.name())).collect()
}

fn needs_module(field: &FieldDescriptor, reason: impl Into<String>) -> CompileError {
    CompileError::NeedsModule {
        message: field.parent_message().full_name().to_owned(),
        field: field.name().to_owned(),
        reason: reason.into(),
    }
}

/// Whether gogo makes the field a Go embed whose fields are written among those around it.
fn is_flattened(field: &FieldDescriptor, options: &Options, tag: &JsonTag) -> bool {
    let message = matches!(field.kind(), ProtoKind::Message(_)) && !field.is_list();
    options.embed && message && !tag.hidden && tag.name.is_none()
}

impl Schema {
    /// The message as an object of its own: clashes of keys are settled here.
    fn object(
        &mut self,
        message: &MessageDescriptor,
        user: &FieldDescriptor,
    ) -> Result<u16, CompileError> {
        let mut keys = Vec::new();
        self.collect_keys(message, user, &mut Vec::new(), &mut keys)?;
        self.message(message, user, &dropped(&keys))
    }

    fn collect_keys(
        &mut self,
        message: &MessageDescriptor,
        user: &FieldDescriptor,
        path: &mut Path,
        keys: &mut Vec<Key>,
    ) -> Result<(), CompileError> {
        self.enter(message, user)?;
        let mut oneofs = BTreeSet::new();
        for field in declared(message) {
            let options = self.extensions.of(&field);
            let tag = JsonTag::of(&field, &options);
            path.push(field.number());
            if let Some(oneof) = field.containing_oneof()
                && oneofs.insert(oneof.name().to_owned())
            {
                // Go has one field for all members, named after the oneof, without a tag. It
                // stands for the first of them here.
                let name = camel_case(oneof.name());
                keys.push(Key { tagged: false, name, path: path.clone() });
            }
            if is_flattened(&field, &options, &tag) {
                if let ProtoKind::Message(inner) = field.kind() {
                    self.collect_keys(&inner, &field, path, keys)?;
                }
            } else if !tag.hidden && field.containing_oneof().is_none() {
                keys.push(Key {
                    tagged: tag.name.is_some(),
                    name: key(&field, &options, &tag),
                    path: path.clone(),
                });
            }
            path.pop();
        }
        self.open.pop();
        Ok(())
    }

    fn enter(
        &mut self,
        message: &MessageDescriptor,
        user: &FieldDescriptor,
    ) -> Result<(), CompileError> {
        if self.open.iter().any(|open| open == message.full_name()) {
            return Err(needs_module(user, "a recursive message"));
        }
        // The table counts the event holder as well.
        if self.open.len() + 2 > usize::from(MAX_LEVELS) - 1 {
            return Err(needs_module(user, format!("more than {MAX_LEVELS} levels of messages")));
        }
        self.open.push(message.full_name().to_owned());
        Ok(())
    }

    /// The message with some of its fields not written.
    fn message(
        &mut self,
        message: &MessageDescriptor,
        user: &FieldDescriptor,
        dropped: &BTreeSet<Path>,
    ) -> Result<u16, CompileError> {
        let (own, file) = (message.options(), message.parent_file());
        if TYPEDECL.of(&own, &file) == Some(false) {
            self.note(user, &format!("{}, written by hand", message.name()));
        }
        let identity = (message.full_name().to_owned(), dropped.clone());
        if let Some(index) = self.built.get(&identity) {
            return Ok(*index);
        }
        if message.parent_file().syntax() != Syntax::Proto3 {
            return Err(needs_module(user, "a message that is not proto3"));
        }
        if ONLYONE.of(&own, &file) == Some(true) {
            return Err(needs_module(user, "a message that is a union (`onlyone`)"));
        }
        if message.fields().len() > MAX_MESSAGE_FIELDS {
            let reason = format!("a message of more than {MAX_MESSAGE_FIELDS} fields");
            return Err(needs_module(user, reason));
        }
        self.enter(message, user)?;
        let mut fields = Vec::new();
        let mut oneofs = BTreeMap::new();
        for field in declared(message) {
            fields.push(self.field(message, &field, dropped, &mut oneofs)?);
        }
        self.open.pop();
        let index = u16::try_from(self.draft.messages.len())
            .map_err(|_| needs_module(user, "too many messages"))?;
        self.draft.messages.push(fields);
        self.built.insert(identity, index);
        Ok(index)
    }

    fn field(
        &mut self,
        message: &MessageDescriptor,
        field: &FieldDescriptor,
        dropped: &BTreeSet<Path>,
        oneofs: &mut BTreeMap<String, u8>,
    ) -> Result<DraftField, CompileError> {
        let options = self.extensions.of(field);
        let tag = JsonTag::of(field, &options);
        if let Some(reason) = tag.unsupported {
            return Err(needs_module(field, reason));
        }
        let hidden = tag.hidden || dropped.contains(&vec![field.number()]);
        let mut draft = DraftField {
            number: field.number(),
            name: field.name().to_owned(),
            kind: Kind::String,
            flags: 0,
            slot: known::slot(message.full_name(), field.number()),
            oneof: 0,
            key: if hidden { String::new() } else { key(field, &options, &tag) },
            sub: 0,
        };
        check_key(field, &draft.key)?;
        check_name(field)?;
        if is_flattened(field, &options, &tag)
            && let ProtoKind::Message(inner) = field.kind()
        {
            // Go would take over how such a type prints itself for the message around it.
            let custom = options.customtype.is_some() || options.casttype.is_some();
            let known = known::MESSAGE_KINDS.iter().any(|(name, ..)| *name == inner.full_name());
            if custom || known || inner.package_name() == "google.protobuf" {
                let name = inner.full_name();
                return Err(needs_module(field, format!("an embedded `{name}`")));
            }
            if field.containing_oneof().is_some() {
                return Err(needs_module(field, "an embedded member of a oneof"));
            }
            let below = dropped
                .iter()
                .filter(|path| path.len() > 1 && path[0] == field.number())
                .map(|path| path[1..].to_vec())
                .collect();
            draft.kind = Kind::Embed;
            draft.key = String::new();
            draft.flags = if options.nullable { NULLABLE } else { 0 };
            draft.sub = self.message(&inner, field, &below)?;
            return Ok(draft);
        }
        if tag.omit_empty {
            draft.flags |= OMIT_EMPTY;
        }
        if hidden {
            draft.flags |= HIDDEN;
        }
        if let Some(oneof) = field.containing_oneof() {
            if oneof.is_synthetic() {
                return Err(needs_module(field, "an `optional` field"));
            }
            let outer = camel_case(oneof.name());
            draft.oneof = self.oneof(field, oneof.name(), &outer, oneofs)?;
            if hidden {
                return Err(needs_module(field, "a hidden member of a oneof"));
            }
        }
        (draft.kind, draft.sub) = self.kind(field, &options)?;
        if draft.oneof != 0 && draft.kind != Kind::Message {
            return Err(needs_module(field, "a member of a oneof that is no message"));
        }
        if draft.oneof != 0 {
            // The member's struct holds a pointer that is never nil.
            draft.flags = NULLABLE;
        } else if matches!(draft.kind, Kind::Message | Kind::Time) && options.nullable {
            draft.flags |= NULLABLE;
        }
        if draft.slot.kind().is_some_and(|kind| kind != draft.kind) {
            return Err(needs_module(field, "a fact of another type than it had"));
        }
        Ok(draft)
    }

    fn oneof(
        &mut self,
        field: &FieldDescriptor,
        name: &str,
        key: &str,
        oneofs: &mut BTreeMap<String, u8>,
    ) -> Result<u8, CompileError> {
        if let Some(index) = oneofs.get(name) {
            return Ok(*index);
        }
        check_key(field, key)?;
        self.draft.oneofs.push(key.to_owned());
        let index = u8::try_from(self.draft.oneofs.len())
            .map_err(|_| needs_module(field, "more than 255 oneofs"))?;
        oneofs.insert(name.to_owned(), index);
        Ok(index)
    }

    /// How the field is read and printed, and the message or enum that takes part in it.
    fn kind(
        &mut self,
        field: &FieldDescriptor,
        options: &Options,
    ) -> Result<(Kind, u16), CompileError> {
        if field.is_group() {
            return Err(needs_module(field, "a group"));
        }
        if options.stdduration {
            return Err(needs_module(field, "a duration"));
        }
        if let Some(name) = &options.castrepeated {
            self.note(field, name);
        }
        if field.is_map() {
            return self.map_kind(field, options);
        }
        if let ProtoKind::Message(message) = field.kind() {
            return self.message_kind(field, options, &message);
        }
        if let Some(name) = &options.customtype {
            return Err(needs_module(field, format!("the custom type `{name}`")));
        }
        if let Some(name) = &options.casttype
            && !known::PLAIN_CAST_TYPES.contains(&name.as_str())
        {
            self.note(field, name);
        }
        let kind = match field.kind() {
            ProtoKind::String if field.is_list() => return Ok((Kind::Strings, 0)),
            _ if field.is_list() => return Err(needs_module(field, "a list of such values")),
            ProtoKind::String => Kind::String,
            ProtoKind::Bytes => Kind::Bytes,
            ProtoKind::Bool => Kind::Bool,
            ProtoKind::Int32 => Kind::Int32,
            ProtoKind::Int64 => Kind::Int64,
            ProtoKind::Uint32 => Kind::Uint32,
            ProtoKind::Uint64 => Kind::Uint64,
            ProtoKind::Enum(kind) => {
                let declared = ENUMDECL.of(&kind.options(), &kind.parent_file());
                if declared == Some(false) && known::enum_texts(kind.full_name()).is_none() {
                    self.note(field, &format!("{}, written by hand", kind.name()));
                }
                return Ok(match self.enum_text(kind.full_name()) {
                    Some(index) => (Kind::EnumText, index),
                    None => (Kind::Int32, 0),
                });
            }
            other => return Err(needs_module(field, format!("a value of kind {other:?}"))),
        };
        Ok((kind, 0))
    }

    fn message_kind(
        &mut self,
        field: &FieldDescriptor,
        options: &Options,
        message: &MessageDescriptor,
    ) -> Result<(Kind, u16), CompileError> {
        let name = message.full_name();
        let go_type = |known: GoType| match known {
            GoType::StdTime => options.stdtime,
            GoType::WktPointer => options.wktpointer && options.nullable,
            // A pointer, so that an absent one is `null`.
            GoType::Cast(name) => options.casttype.as_deref() == Some(name) && options.nullable,
            // A map, not a pointer to one.
            GoType::Custom(name) => {
                options.customtype.as_deref() == Some(name) && !options.nullable
            }
        };
        for (known, needed, kind) in known::MESSAGE_KINDS {
            if known == name {
                if go_type(needed) && !field.is_list() {
                    return Ok((kind, 0));
                }
                return Err(needs_module(field, format!("`{name}` in another form than known")));
            }
        }
        if let Some(custom) = options.customtype.as_ref().or(options.casttype.as_ref()) {
            return Err(needs_module(field, format!("the custom type `{custom}`")));
        }
        if message.package_name() == "google.protobuf" {
            return Err(needs_module(field, format!("`{name}`")));
        }
        let index = self.object(message, field)?;
        Ok((if field.is_list() { Kind::Messages } else { Kind::Message }, index))
    }

    fn map_kind(
        &mut self,
        field: &FieldDescriptor,
        options: &Options,
    ) -> Result<(Kind, u16), CompileError> {
        let ProtoKind::Message(entry) = field.kind() else {
            return Err(needs_module(field, "a map without entries"));
        };
        if let Some(custom) = options.customtype.as_ref().or(options.casttype.as_ref()) {
            return Err(needs_module(field, format!("the custom type `{custom}`")));
        }
        for cast in [&options.castkey, &options.castvalue].into_iter().flatten() {
            self.note(field, cast);
        }
        match (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind()) {
            (ProtoKind::String, ProtoKind::String) => Ok((Kind::MapString, 0)),
            (ProtoKind::String, ProtoKind::Int32) => Ok((Kind::MapInt32, 0)),
            (key, value) => {
                Err(needs_module(field, format!("a map of kind {key:?} to kind {value:?}")))
            }
        }
    }

    fn enum_text(&mut self, name: &str) -> Option<u16> {
        let texts = known::enum_texts(name)?;
        let next = u16::try_from(self.draft.enums.len()).ok()?;
        Some(*self.enums.entry(name.to_owned()).or_insert_with(|| {
            let texts = texts.iter().map(|(value, text)| (*value, (*text).to_owned()));
            self.draft.enums.push(texts.collect());
            next
        }))
    }

    fn note(&mut self, field: &FieldDescriptor, go_type: &str) {
        let message = field.parent_message().full_name();
        self.notes.insert(format!(
            "`{message}.{}` has the Go type `{go_type}`, which is not known: if it has a JSON form \
             of its own, the JSON will differ",
            field.name()
        ));
    }
}

/// A key that Go would write into an object.
struct Key {
    name: String,
    /// Whether the name stands in a tag.
    tagged: bool,
    path: Path,
}

/// Go's rule for equal keys: the least nested field wins, among those the only tagged one; if that
/// decides nothing, none is written.
fn dropped(keys: &[Key]) -> BTreeSet<Path> {
    let mut by_name: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        by_name.entry(&key.name).or_default().push(key);
    }
    let mut dropped = BTreeSet::new();
    for mut same in by_name.into_values().filter(|same| same.len() > 1) {
        same.sort_by_key(|key| (key.path.len(), !key.tagged));
        let rank = |key: &Key| (key.path.len(), key.tagged);
        let winner = rank(same[0]) != rank(same[1]);
        dropped.extend(same.iter().skip(usize::from(winner)).map(|key| key.path.clone()));
    }
    dropped
}

fn key(field: &FieldDescriptor, options: &Options, tag: &JsonTag) -> String {
    let go_name = || options.customname.clone().unwrap_or_else(|| camel_case(field.name()));
    tag.name.clone().unwrap_or_else(go_name)
}

/// Names have a byte for their length.
fn check_name(field: &FieldDescriptor) -> Result<(), CompileError> {
    if u8::try_from(field.name().len()).is_err() {
        return Err(needs_module(field, "a name of more than 255 bytes"));
    }
    Ok(())
}

/// Keys stand in the table as they are written, so they may need no escape.
fn check_key(field: &FieldDescriptor, key: &str) -> Result<(), CompileError> {
    let plain = |c: char| (' '..='~').contains(&c) && !"\"\\<>&".contains(c);
    if !key.chars().all(plain) {
        return Err(needs_module(field, format!("the key `{key}`")));
    }
    if u16::try_from(key.len()).is_err() {
        return Err(needs_module(field, "a key of more than 65,535 bytes"));
    }
    Ok(())
}
