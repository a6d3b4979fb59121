//! The event sets.
//!
//! `small`, `medium` and `large` come from the recorded `full` events of the newest schema: one
//! of each event type, every field set.
//!
//! | set | what |
//! |---|---|
//! | `small` | the full events of less than 500 bytes |
//! | `medium` | the full events from 500 bytes (the longest has 1,090) |
//! | `large` | each full event that can grow, grown to at least 3 KiB |
//! | `mixed` | the realistic recording: 2,240 events of 17 types in a natural mix |
//!
//! No recorded full event is large, so `large` is made of them: text, lists and maps of the event
//! grow, half by longer text and half by more entries (module `grow`), in the order in which an
//! encoder writes fields. What is grown stays a valid event: before anything is timed, the
//! output for each event is compared with an independent writer's.

mod grow;
pub mod hostile;
mod random;
pub mod shapes;
mod wire;

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use ev_core::{Form, RawEvent};
use flate2::read::GzDecoder;
use prost_reflect::DescriptorPool;
use serde::Deserialize;

pub use random::Random;

/// Bytes from which a full event counts as medium.
const MEDIUM_FROM: usize = 500;
/// Least bytes of a grown event.
const LARGE_FROM: usize = 3 * 1024;

/// Events that are measured together.
#[derive(Clone, Debug)]
pub struct EventSet {
    /// Its name in tables: `small`, `medium`, `large`, `mixed`.
    pub name: &'static str,
    /// Serialised `events.OneOf` messages.
    pub events: Vec<Bytes>,
}

impl EventSet {
    /// Bytes of all its events.
    pub fn wire_bytes(&self) -> usize {
        self.events.iter().map(Bytes::len).sum()
    }

    /// Its events as a decoder takes them.
    pub fn raw(&self) -> Vec<RawEvent> {
        let raw = |bytes: &Bytes| RawEvent { form: Form::OneOf, bytes: bytes.clone() };
        self.events.iter().map(raw).collect()
    }
}

/// The four sets, in the order of the table.
///
/// # Errors
///
/// When the recorded data are not there or not what they were.
pub fn sets() -> Result<Vec<EventSet>> {
    let full: Vec<Bytes> = recorded("v18dev", |line| line.case == "full")?;
    let (small, medium): (Vec<Bytes>, Vec<Bytes>) =
        full.iter().cloned().partition(|event| event.len() < MEDIUM_FROM);
    let schema = schema()?;
    let one_of = schema.get_message_by_name("events.OneOf").context("no `events.OneOf`")?;
    let large: Vec<Bytes> =
        full.iter().filter_map(|event| grow::grow(&one_of, event, LARGE_FROM)).collect();
    let mixed = recorded("realistic-v18dev", |_| true)?;
    let sets = vec![
        EventSet { name: "small", events: small },
        EventSet { name: "medium", events: medium },
        EventSet { name: "large", events: large },
        EventSet { name: "mixed", events: mixed },
    ];
    for set in &sets {
        ensure!(set.events.len() >= 50, "the set `{}` has hardly any events", set.name);
    }
    Ok(sets)
}

/// The descriptors of the newest recorded schema.
///
/// # Errors
///
/// When they are not there or not valid.
pub fn schema() -> Result<DescriptorPool> {
    DescriptorPool::decode(&*descriptors()?).context("the recorded descriptors are not valid")
}

/// The same, serialised.
///
/// # Errors
///
/// When they are not there.
pub fn descriptors() -> Result<Vec<u8>> {
    unpacked("schema/v18dev/events.binpb.gz")
}

#[derive(Deserialize)]
struct Line {
    case: String,
    oneof: String,
    json: Option<String>,
}

/// The recorded events that print and that `wanted` takes.
fn recorded(name: &str, wanted: impl Fn(&Line) -> bool) -> Result<Vec<Bytes>> {
    let text = unpacked(&format!("golden/{name}.jsonl.gz"))?;
    let mut events = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Line = serde_json::from_slice(line).context(name.to_owned())?;
        if line.json.is_some() && wanted(&line) {
            events.push(BASE64_STANDARD.decode(&line.oneof)?.into());
        }
    }
    Ok(events)
}

/// Where a file of the recorded data is.
pub fn recorded_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(path)
}

fn unpacked(path: &str) -> Result<Vec<u8>> {
    let path = recorded_path(path);
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| name.clone())?;
    GzDecoder::new(file).read_to_end(&mut bytes).context(name)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_are_what_they_are_called() {
        let sets = sets().unwrap();
        let check = |name, sizes: std::ops::Range<usize>| {
            let set = sets.iter().find(|set| set.name == name).unwrap();
            assert!(set.events.iter().all(|event| sizes.contains(&event.len())), "{name}");
        };
        check("small", 100..500);
        check("medium", 500..1500);
        check("large", 3 * 1024..8 * 1024);
        let again = super::sets().unwrap();
        let events = |sets: &[EventSet]| sets.iter().map(|s| s.events.clone()).collect::<Vec<_>>();
        assert_eq!(events(&sets), events(&again), "no chance in them");
    }

    #[test]
    fn every_full_event_is_in_a_set() {
        let sets = sets().unwrap();
        assert_eq!(sets[0].events.len() + sets[1].events.len(), 195);
        assert_eq!(sets[3].events.len(), 2240);
    }
}
