//! Unmarshals an event as gogo's generated code does: field by field, in the order of the wire,
//! each occurrence changing what is there.

use std::collections::BTreeMap;

use super::tree::{Bytes, Kind, Object, Struct, Value};
use super::wire::{Malformed, Reader};
use crate::json;
use crate::layout::{Field, Layouts, Ref, Shape};

/// The case that is set last, by its number.
pub(super) fn event(layouts: &Layouts, event: &[u8]) -> Result<Option<(u32, Object)>, Malformed> {
    let mut reader = Reader::new(event, 0..event.len());
    let mut found = None;
    while reader.next().is_some() {
        let (number, wire) = reader.tag()?;
        let Some(Shape::Message(layout)) = layouts.cases.get(&number).map(|case| case.shape) else {
            reader.skip(wire)?;
            continue;
        };
        expect(wire, 2)?;
        let body = reader.bytes()?;
        let mut object = Object::default();
        message(layouts, layout, &mut Reader::new(event, body), event, &mut object)?;
        found = Some((number, object));
    }
    Ok(found)
}

fn expect(wire: u8, expected: u8) -> Result<(), Malformed> {
    if wire == expected { Ok(()) } else { Err(Malformed) }
}

fn message(
    layouts: &Layouts,
    layout: Ref,
    reader: &mut Reader<'_>,
    event: &[u8],
    object: &mut Object,
) -> Result<(), Malformed> {
    let message = &layouts.messages[layout];
    while reader.next().is_some() {
        let (number, wire) = reader.tag()?;
        let Some(field) = message.by_number.get(&number).map(|at| &message.fields[*at]) else {
            reader.skip(wire)?;
            continue;
        };
        if field.oneof.is_some() {
            // One interface value for all members: a new one replaces whatever was there.
            let others = message.fields.iter().filter(|other| other.oneof == field.oneof);
            others.for_each(|other| drop(object.fields.remove(&other.number)));
        }
        self::field(layouts, field, wire, reader, event, object)?;
    }
    Ok(())
}

fn field(
    layouts: &Layouts,
    field: &Field,
    wire: u8,
    reader: &mut Reader<'_>,
    event: &[u8],
    object: &mut Object,
) -> Result<(), Malformed> {
    let number = field.number;
    let bits32 = |value: u64| value & 0xffff_ffff;
    let value = match field.shape {
        Shape::Bool => {
            expect(wire, 0)?;
            Value::Number(u64::from(reader.varint()? != 0))
        }
        Shape::Int64 | Shape::Uint64 => {
            expect(wire, 0)?;
            Value::Number(reader.varint()?)
        }
        Shape::Int32 | Shape::Uint32 | Shape::Enum | Shape::ForceAuthn => {
            expect(wire, 0)?;
            Value::Number(bits32(reader.varint()?))
        }
        _ => {
            expect(wire, 2)?;
            let range = reader.bytes()?;
            let mut inside = Reader::new(event, range.clone());
            match field.shape {
                Shape::Embed(layout) | Shape::Message(layout) => {
                    let mut inner = match object.fields.remove(&number) {
                        Some(Value::Object(inner)) => inner,
                        _ => Object::default(),
                    };
                    message(layouts, layout, &mut inside, event, &mut inner)?;
                    Value::Object(inner)
                }
                Shape::Messages(layout) => {
                    let mut list = match object.fields.remove(&number) {
                        Some(Value::Objects(list)) => list,
                        _ => Vec::new(),
                    };
                    let mut inner = Object::default();
                    message(layouts, layout, &mut inside, event, &mut inner)?;
                    list.push(inner);
                    Value::Objects(list)
                }
                Shape::Strings => {
                    let mut list = match object.fields.remove(&number) {
                        Some(Value::Texts(list)) => list,
                        _ => Vec::new(),
                    };
                    list.push(reader.of(&range).to_vec());
                    Value::Texts(list)
                }
                Shape::MapString => {
                    let mut map = match object.fields.remove(&number) {
                        Some(Value::Texted(map)) => map,
                        _ => BTreeMap::new(),
                    };
                    let (key, value) = entry(&mut inside, |reader| {
                        let range = reader.bytes()?;
                        Ok(reader.of(&range).to_vec())
                    })?;
                    map.insert(key, value.unwrap_or_default());
                    Value::Texted(map)
                }
                Shape::MapInt32 => {
                    let mut map = match object.fields.remove(&number) {
                        Some(Value::Numbered(map)) => map,
                        _ => BTreeMap::new(),
                    };
                    let (key, value) = entry(&mut inside, Reader::varint)?;
                    map.insert(key, bits32(value.unwrap_or_default()));
                    Value::Numbered(map)
                }
                Shape::Struct => {
                    let mut map = match object.fields.remove(&number) {
                        Some(Value::Struct(map)) => map,
                        _ => Struct::new(),
                    };
                    structure(&mut inside, event, &mut map)?;
                    Value::Struct(map)
                }
                Shape::Traits => {
                    let traits = traits(&mut inside, event)?;
                    // `Traits.Unmarshal` keeps what it has when nothing comes.
                    if traits.is_empty() {
                        return Ok(());
                    }
                    Value::Listed(traits)
                }
                Shape::Time => time(&mut inside)?,
                Shape::Uint32Value => Value::Number(bits32(wrapper(&mut inside)?)),
                Shape::Uint64Value => Value::Number(wrapper(&mut inside)?),
                _ => Value::Bytes(reader.of(&range).to_vec()),
            }
        }
    };
    object.fields.insert(number, value);
    Ok(())
}

/// A map's entry: key, and value if there is one. Wire types of the two are not looked at.
fn entry<'a, T>(
    reader: &mut Reader<'a>,
    value: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<(Bytes, Option<T>), Malformed> {
    let mut found = (Bytes::new(), None);
    while reader.next().is_some() {
        match reader.entry_tag()? {
            (1, _) => {
                let range = reader.bytes()?;
                found.0 = reader.of(&range).to_vec();
            }
            (2, _) => found.1 = Some(value(reader)?),
            (_, wire) => reader.skip(wire)?,
        }
    }
    Ok(found)
}

/// A message all of whose fields are `read`, which says whether it knows the number.
fn fields<'a>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>, u32, u8) -> Result<bool, Malformed>,
) -> Result<(), Malformed> {
    while reader.next().is_some() {
        let (number, wire) = reader.tag()?;
        if !read(reader, number, wire)? {
            reader.skip(wire)?;
        }
    }
    Ok(())
}

fn time(reader: &mut Reader<'_>) -> Result<Value, Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    fields(reader, |reader, number, wire| {
        match number {
            1 => {
                expect(wire, 0)?;
                seconds = reader.varint()?.cast_signed();
            }
            2 => {
                expect(wire, 0)?;
                let low = u32::try_from(reader.varint()? & 0xffff_ffff).map_err(|_| Malformed)?;
                nanos = low.cast_signed();
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if json::time(&mut Vec::new(), seconds, nanos) {
        Ok(Value::Time(seconds, nanos))
    } else {
        Err(Malformed)
    }
}

fn wrapper(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let mut value = 0;
    fields(reader, |reader, number, wire| {
        if number != 1 {
            return Ok(false);
        }
        expect(wire, 0)?;
        value = reader.varint()?;
        Ok(true)
    })?;
    Ok(value)
}

fn traits(reader: &mut Reader<'_>, event: &[u8]) -> Result<BTreeMap<Bytes, Vec<Bytes>>, Malformed> {
    let mut map = BTreeMap::new();
    fields(reader, |reader, number, wire| {
        if number != 1 {
            return Ok(false);
        }
        expect(wire, 2)?;
        let range = reader.bytes()?;
        let (key, texts) = entry(&mut Reader::new(event, range), |reader| {
            let range = reader.bytes()?;
            let mut texts = Vec::new();
            fields(&mut Reader::new(event, range), |reader, number, wire| {
                if number != 1 {
                    return Ok(false);
                }
                expect(wire, 2)?;
                let range = reader.bytes()?;
                texts.push(reader.of(&range).to_vec());
                Ok(true)
            })?;
            Ok(texts)
        })?;
        map.insert(key, texts.unwrap_or_default());
        Ok(true)
    })?;
    Ok(map)
}

fn structure(reader: &mut Reader<'_>, event: &[u8], map: &mut Struct) -> Result<(), Malformed> {
    fields(reader, |reader, number, wire| {
        if number != 1 {
            return Ok(false);
        }
        expect(wire, 2)?;
        let range = reader.bytes()?;
        let (key, value) = entry(&mut Reader::new(event, range), |reader| {
            let range = reader.bytes()?;
            any(&mut Reader::new(event, range), event)
        })?;
        map.insert(key, value);
        Ok(true)
    })
}

fn any(reader: &mut Reader<'_>, event: &[u8]) -> Result<Kind, Malformed> {
    let mut kind = Kind::Nothing;
    fields(reader, |reader, number, wire| {
        kind = match number {
            1 => {
                expect(wire, 0)?;
                reader.varint()?;
                Kind::Null
            }
            2 => {
                expect(wire, 1)?;
                let from = reader.next().ok_or(Malformed)?;
                reader.skip(1)?;
                let bytes = event[from..from + 8].try_into().map_err(|_| Malformed)?;
                Kind::Number(f64::from_le_bytes(bytes))
            }
            3 => {
                expect(wire, 2)?;
                let range = reader.bytes()?;
                Kind::Text(reader.of(&range).to_vec())
            }
            4 => {
                expect(wire, 0)?;
                Kind::Bool(reader.varint()? != 0)
            }
            5 => {
                expect(wire, 2)?;
                let range = reader.bytes()?;
                let mut map = Struct::new();
                structure(&mut Reader::new(event, range), event, &mut map)?;
                Kind::Struct(map)
            }
            6 => {
                expect(wire, 2)?;
                let range = reader.bytes()?;
                let mut values = Vec::new();
                fields(&mut Reader::new(event, range), |reader, number, wire| {
                    if number != 1 {
                        return Ok(false);
                    }
                    expect(wire, 2)?;
                    let range = reader.bytes()?;
                    values.push(any(&mut Reader::new(event, range), event)?);
                    Ok(true)
                })?;
                Kind::List(values)
            }
            _ => return Ok(false),
        };
        Ok(true)
    })?;
    Ok(kind)
}
