//! The JSON value that Go would print, made from what it has in memory.

use super::Unprintable;
use super::tree::{Bytes, Kind, Object, Struct, Value};
use crate::json;
use crate::layout::{Field, Layouts, Ref, Shape};
use crate::reflect::force_authn;

/// A JSON value. Texts are as on the wire: what of them is not UTF-8 is replaced when printed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(Bytes),
    /// In Go's order.
    Object(Vec<(Bytes, Json)>),
    List(Vec<Json>),
}

/// The members of the object that Go makes of a message; of an absent one those of the zero value.
pub(super) fn object(
    layouts: &Layouts,
    layout: Ref,
    object: Option<&Object>,
) -> Result<Vec<(Bytes, Json)>, Unprintable> {
    let mut members = Vec::new();
    let fields = &layouts.messages[layout].fields;
    let value = |field: &Field| object.and_then(|object| object.fields.get(&field.number));
    for (at, field) in fields.iter().enumerate() {
        if let Some(oneof) = &field.oneof {
            // The place of the whole oneof is that of its first member.
            if at > 0 && fields[at - 1].oneof == field.oneof {
                continue;
            }
            let mut of_oneof = fields.iter().filter(|other| other.oneof == field.oneof);
            let set = of_oneof.find_map(|member| Some((member, value(member)?)));
            let inner = match set {
                None => Json::Null,
                Some((member, value)) => {
                    let inner = one(layouts, member, value)?;
                    Json::Object(vec![(member.key.clone().into_bytes(), inner)])
                }
            };
            members.push((oneof.clone().into_bytes(), inner));
            continue;
        }
        if let Shape::Embed(inner) = field.shape {
            match value(field) {
                Some(Value::Object(object)) => {
                    members.extend(self::object(layouts, inner, Some(object))?);
                }
                _ if field.pointer => {}
                _ => members.extend(self::object(layouts, inner, None)?),
            }
            continue;
        }
        if !field.written {
            continue;
        }
        let json = match value(field) {
            Some(value) => one(layouts, field, value)?,
            None => zero(layouts, field)?,
        };
        let present = value(field).is_some();
        if !(field.omit_empty && is_empty(field, present, &json)) {
            members.push((field.key.clone().into_bytes(), json));
        }
    }
    Ok(members)
}

/// What `encoding/json` takes for empty: false, 0, nil pointers, and what has no length. Structs,
/// times included, never are.
fn is_empty(field: &Field, present: bool, json: &Json) -> bool {
    match field.shape {
        Shape::Message(_) | Shape::Time => field.pointer && !present,
        // Pointers, that may point to 0 or to an object without members.
        Shape::Uint32Value | Shape::Uint64Value | Shape::Struct => !present,
        _ => match json {
            Json::Null | Json::Bool(false) | Json::Unsigned(0) | Json::Signed(0) => true,
            Json::Text(text) => text.is_empty(),
            Json::Object(members) => members.is_empty(),
            Json::List(list) => list.is_empty(),
            _ => false,
        },
    }
}

/// A field that was not on the wire.
fn zero(layouts: &Layouts, field: &Field) -> Result<Json, Unprintable> {
    Ok(match field.shape {
        Shape::String | Shape::ForceAuthn => Json::Text(Bytes::new()),
        Shape::Bool => Json::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Uint32 | Shape::Uint64 | Shape::Enum => {
            Json::Unsigned(0)
        }
        Shape::Message(layout) if !field.pointer => Json::Object(object(layouts, layout, None)?),
        Shape::Time if !field.pointer => Json::Text(b"0001-01-01T00:00:00Z".to_vec()),
        _ => Json::Null,
    })
}

/// A field that was.
fn one(layouts: &Layouts, field: &Field, value: &Value) -> Result<Json, Unprintable> {
    let object = |layout: Ref, object: &Object| {
        self::object(layouts, layout, Some(object)).map(Json::Object)
    };
    Ok(match (field.shape, value) {
        (Shape::String, Value::Bytes(text)) => Json::Text(text.clone()),
        (Shape::Bytes, Value::Bytes(bytes)) => Json::Text(base64(bytes)),
        (Shape::Bool, Value::Number(number)) => Json::Bool(*number != 0),
        (Shape::Int64, Value::Number(number)) => Json::Signed(number.cast_signed()),
        (Shape::Int32 | Shape::Enum, Value::Number(number)) => Json::Signed(signed32(*number)),
        (Shape::ForceAuthn, Value::Number(number)) => {
            let value = i32::try_from(signed32(*number)).map_err(|_| Unprintable)?;
            Json::Text(force_authn(value).ok_or(Unprintable)?.into())
        }
        (Shape::Time, Value::Time(seconds, nanos)) => {
            let mut quoted = Vec::new();
            if !json::time(&mut quoted, *seconds, *nanos) {
                return Err(Unprintable);
            }
            Json::Text(quoted[1..quoted.len() - 1].to_vec())
        }
        (Shape::Message(layout), Value::Object(inner)) => object(layout, inner)?,
        (Shape::Messages(layout), Value::Objects(list)) => {
            let list: Result<_, _> = list.iter().map(|inner| object(layout, inner)).collect();
            Json::List(list?)
        }
        (_, Value::Number(number)) => Json::Unsigned(*number),
        (_, Value::Texts(texts)) => Json::List(texts.iter().cloned().map(Json::Text).collect()),
        (_, Value::Texted(map)) => Json::Object(
            map.iter().map(|(key, text)| (key.clone(), Json::Text(text.clone()))).collect(),
        ),
        (_, Value::Numbered(map)) => Json::Object(
            map.iter().map(|(key, value)| (key.clone(), Json::Signed(signed32(*value)))).collect(),
        ),
        (_, Value::Listed(map)) => Json::Object(
            map.iter().map(|(key, texts)| (key.clone(), list_or_null(texts))).collect(),
        ),
        (_, Value::Struct(map)) => structure(map)?,
        // The tree was read with the same layout.
        _ => return Err(Unprintable),
    })
}

fn signed32(bits: u64) -> i64 {
    u32::try_from(bits).map_or(0, |bits| i64::from(bits.cast_signed()))
}

fn list_or_null(texts: &[Bytes]) -> Json {
    if texts.is_empty() {
        return Json::Null;
    }
    Json::List(texts.iter().cloned().map(Json::Text).collect())
}

pub(super) fn base64(bytes: &[u8]) -> Bytes {
    let mut quoted = Vec::new();
    json::base64(&mut quoted, bytes);
    quoted[1..quoted.len() - 1].to_vec()
}

fn structure(map: &Struct) -> Result<Json, Unprintable> {
    let mut members = Vec::new();
    for (key, value) in map {
        // A nil pointer, on which Go panics.
        let value = value.as_ref().ok_or(Unprintable)?;
        members.push((key.clone(), any(value)?));
    }
    Ok(Json::Object(members))
}

fn any(kind: &Kind) -> Result<Json, Unprintable> {
    Ok(match kind {
        Kind::Nothing => return Err(Unprintable),
        Kind::Null => Json::Null,
        Kind::Number(number) if number.is_finite() => Json::Double(*number),
        Kind::Number(_) => return Err(Unprintable),
        Kind::Text(text) => Json::Text(text.clone()),
        Kind::Bool(value) => Json::Bool(*value),
        Kind::Struct(map) => structure(map)?,
        Kind::List(list) => Json::List(list.iter().map(any).collect::<Result<_, _>>()?),
    })
}
