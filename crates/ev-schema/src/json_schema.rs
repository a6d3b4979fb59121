//! Event types as JSON Schema, draft 2020-12.
//!
//! What is said holds for every body that is delivered: the decoder in strict mode, and the known
//! part of an event, which is marked (`ev_incomplete`). Objects are closed, as an event with
//! anything more is of another version.

use ev_core::Flavour;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::schema::{Event, Field, Message, Schema, fact};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Go's RFC 3339 with trimmed nanoseconds, in UTC.
const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,8}[1-9])?Z$";

/// The integers of 64 bits at the borders, as the `struct` flavour writes them: doubles, in the
/// digits that [`write_json`](crate::write_json) gives them as well.
const LEAST_DOUBLE: f64 = -9_223_372_036_854_776_000.0;
const GREATEST_DOUBLE: u64 = 9_223_372_036_854_776_000;
const GREATEST_UNSIGNED_DOUBLE: f64 = 18_446_744_073_709_552_000.0;

/// Standard base64 with padding.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

impl Schema {
    /// The JSON Schema of an event type, with an example in it. Keys stand in alphabetical order.
    ///
    /// As text it is exact by [`write_json`](crate::write_json).
    pub fn json_schema(&self, event: &Event, flavour: Flavour) -> Value {
        let Value::Object(mut schema) = self.event_schema(event, flavour) else {
            return Value::Null;
        };
        schema.insert("$schema".into(), DRAFT.into());
        schema.insert("$id".into(), self.id(flavour, &format!(":{}", escaped(&event.name))).into());
        schema.insert("title".into(), event.name.clone().into());
        let version = self.auth_version();
        let description = format!("an audit event of Teleport {version}, flavour `{flavour}`");
        schema.insert("description".into(), description.into());
        schema.into()
    }

    /// All event types of the version as one JSON Schema: an event is one of `$defs`. As text it is
    /// exact by [`write_json`](crate::write_json).
    pub fn bundle(&self, flavour: Flavour) -> Value {
        let mut types = Map::new();
        for event in &self.events {
            let Value::Object(mut schema) = self.event_schema(event, flavour) else { continue };
            schema.insert("title".into(), event.name.clone().into());
            types.insert(event.name.clone(), schema.into());
        }
        let any: Vec<Value> = self
            .events
            .iter()
            .map(|event| json!({ "$ref": format!("#/$defs/{}", escaped(&event.name)) }))
            .collect();
        json!({
            "$schema": DRAFT,
            "$id": self.id(flavour, ""),
            "title": format!("audit events of Teleport {}, flavour `{flavour}`", self.auth_version()),
            "anyOf": any,
            "$defs": types,
        })
    }

    fn id(&self, flavour: Flavour, rest: &str) -> String {
        format!("urn:ev-handler:schema:{}:{flavour}{rest}", self.auth_version())
    }

    fn event_schema(&self, event: &Event, flavour: Flavour) -> Value {
        let message = self.message(event);
        let mut object = Object::default();
        self.collect(message, true, flavour, &mut object);
        if message.fields.iter().any(|field| field.fact == fact::PRINT_DATA) {
            let required = flavour == Flavour::Struct && self.print_data;
            object.add("data", base64(), required, false);
        }
        if let Some(Value::Object(kind)) = object.properties.get_mut(self.type_key(message))
            && !event.types().is_empty()
        {
            kind.insert("examples".into(), event.types().into());
        }
        let incomplete = json!({
            "const": true,
            "description": "marks an event of which only the known part could be written",
        });
        object.add("ev_incomplete", incomplete, false, false);
        let Value::Object(mut schema) = self.finish(object, flavour) else { return Value::Null };
        if let Ok(example) = serde_json::from_str::<Value>(&self.example(event, flavour)) {
            schema.insert("examples".into(), json!([example]));
        }
        schema.into()
    }

    /// Key of the event's type, which stands in an embedded message.
    fn type_key<'a>(&'a self, message: &'a Message) -> &'a str {
        let of = |fields: &'a [Field]| {
            fields.iter().find(|field| field.fact == fact::TYPE).map(|field| field.key.as_str())
        };
        let embedded = message.fields.iter().filter(|field| field.kind == Kind::Embed);
        of(&message.fields)
            .or_else(|| embedded.filter_map(|field| of(&self.sub(field).fields)).next())
            .unwrap_or_default()
    }

    fn object(&self, message: &Message, flavour: Flavour) -> Value {
        let mut object = Object::default();
        self.collect(message, true, flavour, &mut object);
        self.finish(object, flavour)
    }

    fn collect(&self, message: &Message, is_there: bool, flavour: Flavour, object: &mut Object) {
        for field in &message.fields {
            if field.kind == Kind::Embed {
                self.collect(self.sub(field), is_there && !field.nullable, flavour, object);
            } else if let Some(oneof) = &field.oneof {
                let member = json!({
                    "type": "object",
                    "properties": { field.key.as_str(): self.object(self.sub(field), flavour) },
                    "required": [field.key],
                    "additionalProperties": false,
                });
                let free = self.sub(field).has_free_keys;
                object.add_to_oneof(oneof, member, is_there, free);
            } else if !field.hidden {
                let value = self.value(field, flavour);
                let value = if field.may_be_null() { or_null(value) } else { value };
                let free = field.kind.has_free_keys()
                    || field.kind.has_message() && self.sub(field).has_free_keys;
                object.add(&field.key, value, is_there && field.is_always_written(), free);
            }
        }
    }

    /// The object, and which members it always has.
    ///
    /// Where the `struct` flavour cuts an object in front of a member with a key that is there
    /// twice, only members that Go writes before any such member are certain.
    fn finish(&self, object: Object, flavour: Flavour) -> Value {
        let Object { properties, mut required, certain } = object;
        if flavour == Flavour::Struct && self.cuts {
            required.truncate(certain.unwrap_or(required.len()));
        }
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty()
            && let Value::Object(schema) = &mut schema
        {
            schema.insert("required".into(), required.into());
        }
        schema
    }

    fn value(&self, field: &Field, flavour: Flavour) -> Value {
        match field.kind {
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => base64(),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 => integer(i64::from(i32::MIN).into(), i64::from(i32::MAX).into()),
            Kind::Uint32 | Kind::Uint32Value => integer(0.into(), u32::MAX.into()),
            Kind::Int64 if flavour == Flavour::Go => integer(i64::MIN.into(), i64::MAX.into()),
            Kind::Uint64 | Kind::Uint64Value if flavour == Flavour::Go => {
                integer(0.into(), u64::MAX.into())
            }
            // The shortest digits of the nearest double go a little beyond the largest integers.
            Kind::Int64 => integer(LEAST_DOUBLE.into(), GREATEST_DOUBLE.into()),
            Kind::Uint64 | Kind::Uint64Value => integer(0.into(), GREATEST_UNSIGNED_DOUBLE.into()),
            Kind::Embed | Kind::Message => self.object(self.sub(field), flavour),
            Kind::Messages => {
                json!({ "type": "array", "items": self.object(self.sub(field), flavour) })
            }
            Kind::Strings => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Time => json!({ "type": "string", "format": "date-time", "pattern": TIME }),
            Kind::MapString => {
                json!({ "type": "object", "additionalProperties": { "type": "string" } })
            }
            Kind::MapInt32 => {
                let value = integer(i64::from(i32::MIN).into(), i64::from(i32::MAX).into());
                json!({ "type": "object", "additionalProperties": value })
            }
            Kind::Struct => json!({ "type": "object" }),
            Kind::Traits => json!({
                "type": "object",
                "additionalProperties": {
                    "type": ["array", "null"],
                    "items": { "type": "string" },
                },
            }),
            Kind::EnumText => json!({ "enum": self.texts(field).collect::<Vec<_>>() }),
        }
    }
}

/// An object that is being put together.
#[derive(Default)]
struct Object {
    properties: Map<String, Value>,
    /// In the order in which they are written.
    required: Vec<String>,
    /// How many of them stand before any member with keys in it that come from the event.
    certain: Option<usize>,
}

impl Object {
    fn add(&mut self, key: &str, value: Value, required: bool, free: bool) {
        self.properties.insert(key.to_owned(), value);
        if free {
            self.certain.get_or_insert(self.required.len());
        }
        if required {
            self.required.push(key.to_owned());
        }
    }

    /// One more way in which a oneof may be set; without any it is `null`.
    fn add_to_oneof(&mut self, key: &str, member: Value, required: bool, free: bool) {
        let known = self.properties.get_mut(key).and_then(|oneof| oneof["oneOf"].as_array_mut());
        let Some(ways) = known else {
            let ways = json!({ "oneOf": [{ "type": "null" }, member] });
            return self.add(key, ways, required, free);
        };
        ways.push(member);
        if free {
            let before = self.required.iter().position(|known| known == key);
            let before = before.unwrap_or(self.required.len());
            self.certain = Some(self.certain.map_or(before, |certain| certain.min(before)));
        }
    }
}

/// A name inside a URI: that of a type without one is its number behind `#`.
fn escaped(name: &str) -> String {
    name.replace('#', "%23")
}

fn integer(minimum: Value, maximum: Value) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
}

fn base64() -> Value {
    json!({ "type": "string", "contentEncoding": "base64", "pattern": BASE64 })
}

/// The same, or nothing. All but enums say their type.
fn or_null(mut schema: Value) -> Value {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}
