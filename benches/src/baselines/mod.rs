//! Other ways to do the same work, and the least that any way has to do.
//!
//! | baseline | does |
//! |---|---|
//! | [`Reflect`] | prost-reflect's dynamic message to serde_json: protojson, not Go's JSON |
//! | [`ev_oracle::Schema::reflect`] | prost-reflect's dynamic message to a writer of Go's JSON: the same bytes as the `go` flavour |
//! | [`typed_json`] | generated prost structs to serde_json: again other bytes |
//! | [`copy`] | a copy of bytes: of the input, of the finished output |
//! | [`ev_decode::bare_walk`] | the tags of all levels with the table, and no output |

use anyhow::{Context as _, Result};
use prost_reflect::{DynamicMessage, MessageDescriptor};

pub use ev_bench_typed::typed_json;

/// prost-reflect and serde_json, as one uses them without knowing the schema when compiling.
#[derive(Clone, Debug)]
pub struct Reflect(MessageDescriptor);

impl Reflect {
    /// With the newest recorded schema.
    ///
    /// # Errors
    ///
    /// When the schema is not there.
    pub fn new() -> Result<Self> {
        let schema = crate::events::schema()?;
        Ok(Self(schema.get_message_by_name("events.OneOf").context("no `events.OneOf`")?))
    }

    /// Appends an event's protojson.
    ///
    /// # Errors
    ///
    /// When prost-reflect refuses the event.
    pub fn json(&self, event: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let message = DynamicMessage::decode(self.0.clone(), event)?;
        serde_json::to_writer(out, &message)?;
        Ok(())
    }
}

/// Replaces what is in `out` by a copy of `bytes`.
pub fn copy(bytes: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::events;

    #[test]
    fn each_baseline_writes_each_event() {
        let reflect = Reflect::new().unwrap();
        for set in events::sets().unwrap() {
            for event in &set.events {
                let mut json = Vec::new();
                reflect.json(event, &mut json).unwrap();
                let value: Value = serde_json::from_slice(&json).unwrap();
                assert_eq!(value.as_object().unwrap().len(), 1, "the case");
                json.clear();
                typed_json(event, &mut json).unwrap();
                let value: Value = serde_json::from_slice(&json).unwrap();
                assert!(value["event"].is_object(), "{}", set.name);
            }
        }
    }
}
