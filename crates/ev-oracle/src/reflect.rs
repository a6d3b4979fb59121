//! Prints a prost-reflect message as Go prints the struct that gogo makes of the same bytes.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};

use crate::Refused;
use crate::json;
use crate::layout::{Field, Layouts, Ref, Shape};

/// Appends the JSON of an `events.OneOf`.
pub(crate) fn event(
    layouts: &Layouts,
    one_of: &DynamicMessage,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let (descriptor, value) = one_of.fields().next().ok_or(Refused::NoCase)?;
    let case = layouts.cases.get(&descriptor.number()).ok_or(Refused::NoCase)?;
    match (value, case.shape) {
        (Value::Message(event), Shape::Message(layout)) => {
            Writer { layouts, out }.object(Some(event), layout)
        }
        _ => Err(Refused::NoCase),
    }
}

struct Writer<'a> {
    layouts: &'a Layouts,
    out: &'a mut Vec<u8>,
}

fn unprintable(what: &'static str) -> Refused {
    Refused::Unprintable { what }
}

/// A field's value, if it is on the wire (or, for scalars, may be).
fn value<'a>(message: Option<&'a DynamicMessage>, field: &Field) -> Option<&'a Value> {
    // What was on the wire is borrowed, also when it is the default; else a default is made.
    match message?.get_field(&field.descriptor) {
        Cow::Borrowed(value) => Some(value),
        Cow::Owned(_) => None,
    }
}

impl Writer<'_> {
    /// A message as an object; an absent one as Go's zero value.
    fn object(&mut self, message: Option<&DynamicMessage>, layout: Ref) -> Result<(), Refused> {
        let open = self.out.len();
        self.members(message, layout)?;
        match self.out.get_mut(open) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The members, each with a comma in front.
    fn members(&mut self, message: Option<&DynamicMessage>, layout: Ref) -> Result<(), Refused> {
        let layouts = self.layouts;
        let fields = &layouts.messages[layout].fields;
        let mut at = 0;
        while let Some(field) = fields.get(at) {
            if field.oneof.is_some() {
                let behind = layouts.messages[layout].behind_oneof(at);
                self.oneof(message, &fields[at..behind])?;
                at = behind;
                continue;
            }
            at += 1;
            if let Shape::Embed(inner) = field.shape {
                match value(message, field) {
                    Some(Value::Message(message)) => self.members(Some(message), inner)?,
                    _ if !field.pointer => self.members(None, inner)?,
                    _ => {}
                }
            } else if field.written {
                self.member(value(message, field), field)?;
            } else if let Some(value) = value(message, field) {
                check_times(value)?;
            }
        }
        Ok(())
    }

    fn oneof(
        &mut self,
        message: Option<&DynamicMessage>,
        members: &[Field],
    ) -> Result<(), Refused> {
        for field in members {
            if let (Some(Value::Message(inner)), Shape::Message(layout)) =
                (value(message, field), field.shape)
            {
                self.key(field);
                self.object(Some(inner), layout)?;
                self.out.push(b'}');
                return Ok(());
            }
        }
        if let Some(key) = members.first().and_then(|field| field.oneof.as_ref()) {
            self.out.push(b',');
            json::text(self.out, key);
            self.out.extend_from_slice(b":null");
        }
        Ok(())
    }

    fn key(&mut self, field: &Field) {
        self.out.push(b',');
        self.out.extend_from_slice(&field.prefix);
    }

    fn member(&mut self, value: Option<&Value>, field: &Field) -> Result<(), Refused> {
        // Go leaves out what is empty; a struct or a time that is no pointer never is.
        if field.omit_empty && is_empty(value, field) {
            return Ok(());
        }
        self.key(field);
        let Some(value) = value else {
            match field.shape {
                Shape::String => self.out.extend_from_slice(b"\"\""),
                Shape::Bool => self.out.extend_from_slice(b"false"),
                Shape::ForceAuthn => self.out.extend_from_slice(b"\"\""),
                Shape::Int32 | Shape::Int64 | Shape::Uint32 | Shape::Uint64 | Shape::Enum => {
                    self.out.push(b'0')
                }
                Shape::Message(layout) if !field.pointer => self.object(None, layout)?,
                Shape::Time if !field.pointer => self.out.extend_from_slice(json::ZERO_TIME),
                _ => self.out.extend_from_slice(b"null"),
            }
            return Ok(());
        };
        self.value(value, field)
    }

    fn value(&mut self, value: &Value, field: &Field) -> Result<(), Refused> {
        match (field.shape, value) {
            (Shape::String, Value::String(text)) => json::text(self.out, text),
            (Shape::Bytes, Value::Bytes(bytes)) => json::base64(self.out, bytes),
            (Shape::Bool, Value::Bool(value)) => json::bool(self.out, *value),
            (Shape::Int32, Value::I32(value)) => json::signed(self.out, i64::from(*value)),
            (Shape::Int64, Value::I64(value)) => json::signed(self.out, *value),
            (Shape::Uint32, Value::U32(value)) => json::unsigned(self.out, u64::from(*value)),
            (Shape::Uint64, Value::U64(value)) => json::unsigned(self.out, *value),
            (Shape::Enum, Value::EnumNumber(value)) => json::signed(self.out, i64::from(*value)),
            (Shape::ForceAuthn, Value::EnumNumber(value)) => {
                let text = force_authn(*value).ok_or(unprintable("enum value without a text"))?;
                json::text(self.out, text);
            }
            (Shape::Message(layout), Value::Message(message)) => {
                self.object(Some(message), layout)?;
            }
            (Shape::Messages(layout), Value::List(messages)) => {
                self.list(messages, |writer, message| writer.object(message.as_message(), layout))?;
            }
            (Shape::Strings, Value::List(texts)) => self.list(texts, |writer, text| {
                json::text(writer.out, text.as_str().unwrap_or_default());
                Ok(())
            })?,
            (Shape::Time, Value::Message(time)) => self.time(time)?,
            (Shape::MapString | Shape::MapInt32, Value::Map(map)) => {
                let mut entries: Vec<_> =
                    map.iter().map(|(key, value)| (name(key), value)).collect();
                self.map(&mut entries, |writer, value| {
                    match value {
                        Value::String(text) => json::text(writer.out, text),
                        Value::I32(number) => json::signed(writer.out, i64::from(*number)),
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            (Shape::Struct, Value::Message(structure)) => self.structure(structure)?,
            (Shape::Traits, Value::Message(traits)) => self.traits(traits)?,
            (Shape::Uint32Value | Shape::Uint64Value, Value::Message(wrapper)) => {
                match wrapper.get_field_by_number(1).as_deref() {
                    Some(Value::U32(value)) => json::unsigned(self.out, u64::from(*value)),
                    Some(Value::U64(value)) => json::unsigned(self.out, *value),
                    _ => {}
                }
            }
            // prost-reflect's values have the kinds of the descriptors that the shapes were made
            // from.
            _ => {}
        }
        Ok(())
    }

    fn list(
        &mut self,
        values: &[Value],
        mut write: impl FnMut(&mut Self, &Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.out.push(b'[');
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write(self, value)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(
        &mut self,
        entries: &mut [(&str, &Value)],
        mut write: impl FnMut(&mut Self, &Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        entries.sort_unstable_by_key(|(key, _)| *key);
        self.out.push(b'{');
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            json::text(self.out, key);
            self.out.push(b':');
            write(self, value)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn time(&mut self, time: &DynamicMessage) -> Result<(), Refused> {
        let seconds = time.get_field_by_number(1).and_then(|value| value.as_i64());
        let nanos = time.get_field_by_number(2).and_then(|value| value.as_i32());
        if json::time(self.out, seconds.unwrap_or_default(), nanos.unwrap_or_default()) {
            Ok(())
        } else {
            Err(Refused::Time)
        }
    }

    /// A `wrappers.LabelValues` as `map[string][]string`.
    fn traits(&mut self, traits: &DynamicMessage) -> Result<(), Refused> {
        let values = traits.get_field_by_number(1);
        let Some(Value::Map(map)) = values.as_deref() else { return Ok(()) };
        if map.is_empty() {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        let mut entries: Vec<_> = map.iter().map(|(key, value)| (name(key), value)).collect();
        self.map(&mut entries, |writer, value| {
            let list = value.as_message().and_then(|message| message.get_field_by_number(1));
            match list.as_deref() {
                Some(Value::List(texts)) if !texts.is_empty() => {
                    writer.list(texts, |writer, text| {
                        json::text(writer.out, text.as_str().unwrap_or_default());
                        Ok(())
                    })
                }
                _ => {
                    writer.out.extend_from_slice(b"null");
                    Ok(())
                }
            }
        })
    }

    /// A `google.protobuf.Struct` as a plain object.
    fn structure(&mut self, structure: &DynamicMessage) -> Result<(), Refused> {
        let fields = structure.get_field_by_number(1);
        let Some(Value::Map(map)) = fields.as_deref() else { return Ok(()) };
        let mut entries: Vec<_> = map.iter().map(|(key, value)| (name(key), value)).collect();
        self.map(&mut entries, |writer, value| match value {
            Value::Message(value) => writer.any(value),
            _ => Ok(()),
        })
    }

    /// A `google.protobuf.Value`.
    fn any(&mut self, value: &DynamicMessage) -> Result<(), Refused> {
        let Some((kind, value)) = value.fields().next() else {
            return Err(unprintable("value without a kind"));
        };
        match (kind.number(), value) {
            (2, Value::F64(number)) if number.is_finite() => json::double(self.out, *number),
            (2, _) => return Err(unprintable("number is not finite")),
            (3, Value::String(text)) => json::text(self.out, text),
            (4, Value::Bool(value)) => json::bool(self.out, *value),
            (5, Value::Message(structure)) => self.structure(structure)?,
            (6, Value::Message(list)) => {
                let values = list.get_field_by_number(1);
                let values = values.as_deref().and_then(Value::as_list).unwrap_or_default();
                self.list(values, |writer, value| match value {
                    Value::Message(value) => writer.any(value),
                    _ => Ok(()),
                })?;
            }
            _ => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }
}

/// Times in what is not written must be times all the same.
fn check_times(value: &Value) -> Result<(), Refused> {
    match value {
        Value::Message(time) if time.descriptor().full_name() == "google.protobuf.Timestamp" => {
            Writer { layouts: &Layouts::default(), out: &mut Vec::new() }.time(time)
        }
        Value::Message(message) => message.fields().try_for_each(|(_, value)| check_times(value)),
        Value::List(values) => values.iter().try_for_each(check_times),
        Value::Map(values) => values.values().try_for_each(check_times),
        _ => Ok(()),
    }
}

fn name(key: &MapKey) -> &str {
    key.as_str().unwrap_or_default()
}

/// The text of a `types.SAMLForceAuthn`.
pub(crate) fn force_authn(value: i32) -> Option<&'static str> {
    match value {
        0 => Some(""),
        1 => Some("yes"),
        2 => Some("no"),
        _ => None,
    }
}

/// Whether `omitempty` leaves the value out.
fn is_empty(value: Option<&Value>, field: &Field) -> bool {
    match (field.shape, value) {
        (Shape::Message(_) | Shape::Time, value) => field.pointer && value.is_none(),
        (_, None) => true,
        (Shape::Traits, Some(Value::Message(traits))) => traits
            .get_field_by_number(1)
            .is_none_or(|values| values.as_map().is_none_or(std::collections::HashMap::is_empty)),
        (_, Some(value)) => match value {
            Value::String(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::Bool(value) => !value,
            Value::I32(value) | Value::EnumNumber(value) => *value == 0,
            Value::I64(value) => *value == 0,
            Value::U32(value) => *value == 0,
            Value::U64(value) => *value == 0,
            Value::List(values) => values.is_empty(),
            Value::Map(values) => values.is_empty(),
            _ => false,
        },
    }
}
