//! What serde needs beyond its derives. Widths of integers stay in formats that have them; in text
//! a whole number is read as [`Value::I64`] when it fits.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::containers::Map;
use super::ip::CallerIp;
use super::value::{Time, Value};

pub(super) fn is_empty(custom: &Map<String, Value>) -> bool {
    custom.is_empty()
}

/// Takes what stands for no address on the wire as that.
pub(super) fn address<'de, D>(deserializer: D) -> Result<Option<CallerIp>, D::Error>
where
    D: Deserializer<'de>,
{
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("" | "invalid IP") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::I8(it) => serializer.serialize_i8(*it),
            Self::I16(it) => serializer.serialize_i16(*it),
            Self::I32(it) => serializer.serialize_i32(*it),
            Self::I64(it) => serializer.serialize_i64(*it),
            Self::U8(it) => serializer.serialize_u8(*it),
            Self::U16(it) => serializer.serialize_u16(*it),
            Self::U32(it) => serializer.serialize_u32(*it),
            Self::U64(it) => serializer.serialize_u64(*it),
            Self::F32(it) => serializer.serialize_f32(*it),
            Self::F64(it) => serializer.serialize_f64(*it),
            Self::Str(it) => serializer.serialize_str(it),
            Self::Bytes(it) => serializer.serialize_bytes(it),
            Self::Array(entries) => serializer.collect_seq(entries),
            Self::Map(entries) => {
                let is_text = serializer.is_human_readable();
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, entry) in entries {
                    match key {
                        Self::Str(_) => map.serialize_entry(key, entry)?,
                        // Formats of text have no other keys.
                        _ if is_text => map.serialize_entry(&format!("{key:?}"), entry)?,
                        _ => map.serialize_entry(key, entry)?,
                    }
                }
                map.end()
            }
            Self::Time(it) => it.serialize(serializer),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut time = serializer.serialize_struct("Time", 2)?;
        time.serialize_field("Seconds", &self.seconds())?;
        time.serialize_field("Nanos", &self.nanos())?;
        time.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

macro_rules! visit {
    ($($visit:ident $type:ty => $value:expr,)+) => {$(
        fn $visit<E>(self, it: $type) -> Result<Value, E> {
            Ok($value(it))
        }
    )+};
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of custom data")
    }

    visit! {
        visit_bool bool => Value::Bool,
        visit_i8 i8 => Value::I8,
        visit_i16 i16 => Value::I16,
        visit_i32 i32 => Value::I32,
        visit_i64 i64 => Value::I64,
        visit_u8 u8 => Value::U8,
        visit_u16 u16 => Value::U16,
        visit_u32 u32 => Value::U32,
        visit_u64 u64 => |it| i64::try_from(it).map_or(Value::U64(it), Value::I64),
        visit_f32 f32 => Value::F32,
        visit_f64 f64 => Value::F64,
        visit_str &str => Value::from,
        visit_string String => Value::Str,
        visit_bytes &[u8] => Value::from,
        visit_byte_buf Vec<u8> => Value::Bytes,
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, it: D) -> Result<Value, D::Error> {
        Value::deserialize(it)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(entry) = entries.next_element()? {
            array.push(entry);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, entry)) = entries.next_entry()? {
            map.insert(key, entry);
        }
        Ok(Value::Map(map))
    }
}
