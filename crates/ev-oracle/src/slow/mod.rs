//! The slow decoder: a tree of what Go would have in memory, then the JSON value, then its bytes.
//!
//! Written for nothing but being obviously the same as gogo and `encoding/json`. It takes whatever
//! gogo takes, with one exception, which is also that of the fast decoder: the key or value of a
//! map's entry may not reach behind the entry.
//!
//! | module | what it does |
//! |---|---|
//! | `wire` | the wire format |
//! | `read` | wire bytes to the tree, as gogo's `Unmarshal` |
//! | `unknown` | the first field that the descriptors lack |
//! | `value` | the tree to a JSON value, as `encoding/json` sees the struct |
//! | `print` | the JSON value to bytes, in both flavours |

mod print;
mod read;
mod tree;
mod unknown;
mod value;
pub(crate) mod wire;

use self::tree::{Object, Value};
use self::value::Json;
use crate::Schema;
use crate::layout::{Ref, Shape};

/// What the slow decoder says about an event. Precedence: malformed, unknown, unprintable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// gogo does not take the bytes, or no event type is set.
    Malformed,
    /// The schema lacks an event type or a field.
    Unknown {
        /// Offset of the first such field's tag.
        at: usize,
        /// The names of the fields that lead to it, and its number.
        path: String,
        /// What is known of the event; `None` without a known type.
        event: Option<Event>,
    },
    /// The event, all of it.
    Known(Event),
}

/// An event that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number in the `OneOf`.
    pub case: u32,
    /// Its type, as bytes.
    pub kind: Vec<u8>,
    /// Its unique id, as bytes.
    pub uid: Vec<u8>,
    /// Its session, as bytes; empty for types without.
    pub session: Vec<u8>,
    /// Its time: seconds since 1970 and nanoseconds.
    pub time: (i64, u32),
    /// Its index.
    pub index: i64,
    /// What Go's `encoding/json` writes; `None` if it refuses.
    pub go: Option<Vec<u8>>,
    /// What Auth's unstructured roads carry; `None` if `go` is, or if two keys are equal.
    pub structured: Option<Vec<u8>>,
}

/// Go refuses to print the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unprintable;

impl Schema {
    /// Decodes an event slowly. Recurses as deep as the event nests: give it stack.
    pub fn slow(&self, event: &[u8]) -> Verdict {
        let Ok(found) = read::event(&self.layouts, event) else { return Verdict::Malformed };
        let Ok(unknown) = unknown::first(self.one_of(), event) else { return Verdict::Malformed };
        let known = found.and_then(|(case, object)| self.event(case, &object));
        match (unknown, known) {
            (Some(unknown::Found { at, path }), event) => {
                Verdict::Unknown { at, path: path.join("."), event }
            }
            (None, Some(event)) => Verdict::Known(event),
            (None, None) => Verdict::Malformed,
        }
    }

    fn event(&self, case: u32, object: &Object) -> Option<Event> {
        let Shape::Message(layout) = self.layouts.cases.get(&case)?.shape else { return None };
        let members = value::object(&self.layouts, layout, Some(object)).ok();
        let go = members.clone().map(|members| {
            let mut out = Vec::new();
            print::go(&Json::Object(members), &mut out);
            out
        });
        let structured = members.and_then(|mut members| {
            if self.layouts.messages[layout].name == "events.SessionPrint" {
                let data = match object.fields.get(&3) {
                    Some(Value::Bytes(data)) => &data[..],
                    _ => &[],
                };
                members.push((b"data".to_vec(), Json::Text(value::base64(data))));
            }
            if self.cuts_equal_keys {
                let holds = |(_, value): &(_, Json)| print::sorted(value, &mut Vec::new()).is_err();
                let cut = members.iter().position(holds).unwrap_or(members.len());
                members.truncate(cut);
            }
            let mut out = Vec::new();
            print::sorted(&Json::Object(members), &mut out).is_ok().then_some(out)
        });
        let bytes = |message: &str, number| match self.fact(layout, object, message, number) {
            Some(Value::Bytes(bytes)) => bytes.clone(),
            _ => Vec::new(),
        };
        let time = match self.fact(layout, object, "events.Metadata", 5) {
            Some(Value::Time(seconds, nanos)) => (*seconds, nanos.unsigned_abs()),
            _ => (-62_135_596_800, 0),
        };
        let index = match self.fact(layout, object, "events.Metadata", 1) {
            Some(Value::Number(index)) => index.cast_signed(),
            _ => 0,
        };
        let kind = bytes("events.Metadata", 2);
        let uid = bytes("events.Metadata", 3);
        let session = bytes("events.SessionMetadata", 1);
        Some(Event { case, kind, uid, session, time, index, go, structured })
    }

    /// A field of a message that the event embeds.
    fn fact<'a>(
        &self,
        layout: Ref,
        object: &'a Object,
        message: &str,
        number: u32,
    ) -> Option<&'a Value> {
        if self.layouts.messages[layout].name == message {
            return object.fields.get(&number);
        }
        self.layouts.messages[layout].fields.iter().find_map(|field| {
            match (field.shape, object.fields.get(&field.number)) {
                (Shape::Embed(inner), Some(Value::Object(object))) => {
                    self.fact(inner, object, message, number)
                }
                _ => None,
            }
        })
    }
}
