//! The one pass from wire bytes to JSON.
//!
//! [`decode`] walks the bytes once, in the order in which they stand, guided by the table, and
//! writes JSON as it goes: key and constant fragments are ready in the table. What makes an event
//! malformed or unknown and the facts come out of that pass. Go writes its fields in declaration
//! order, and so do encoders made from the same schema; where the bytes do not (fields out of
//! order, a field twice, a message in parts), the output of the pass is dropped and the event,
//! by then known to be well-formed, is printed by `sorted`: it sorts an index of slices of the
//! original, message by message, so that offsets stay those of the event.
//!
//! | module | prints |
//! |---|---|
//! | `ordered` | messages whose fields come in order |
//! | `sorted` | all other messages |
//! | `scalar` | single values: numbers, strings, times, wrappers |
//! | `map` | maps and traits |
//! | `structs` | `google.protobuf.Struct` |
//!
//! `seen` holds the facts.
//!
//! Messages nest as deep as the table (at most 32 levels). What an event can nest without limit
//! costs no stack: `Struct` is walked with a stack of its own, groups with a counter.
//!
//! One rule is stricter than gogo's on purpose: a key or value of a map entry may not reach behind
//! the entry. gogo only checks that it stays inside the message around, and would read bytes
//! twice; no encoder writes that, and with it the cost of an event could not be bounded.

mod map;
mod ordered;
mod scalar;
mod seen;
mod sorted;
mod structs;

use ev_core::Mode;
use ev_core::wire::{self, WireError, WireType};

use self::seen::Seen;

use crate::json::Out;
use crate::table::{Field, Message, Table};

/// Why an event is malformed or unprintable, and at which offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) at: u32,
    pub(crate) what: &'static str,
}

/// The event is malformed; the walker keeps the [`Trouble`], so that the way back carries nothing.
#[derive(Clone, Copy, Debug)]
struct Stop;

type Walk<T = ()> = Result<T, Stop>;

const WRONG_WIRE_TYPE: &str = "wrong wire type for the field";

/// Events are shorter than 4 GiB: [`decode`] refuses others.
#[inline]
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What [`decode`] found out; the JSON stands in the output when `printed`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked {
    pub(crate) unknown_at: Option<u32>,
    pub(crate) unprintable: Option<Trouble>,
    /// Whether JSON was written.
    pub(crate) printed: bool,
}

/// Buffers that are kept from event to event, so that none is allocated in steady state.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The facts of the event decoded last.
    pub(crate) seen: Seen,
    found: Vec<sorted::Found>,
    parts: Vec<(u32, u32)>,
    entries: Vec<map::Entry>,
    frames: Vec<structs::Frame>,
    checks: Vec<structs::Check>,
}

impl Buffers {
    /// Frees what an unusually large event left behind.
    pub(crate) fn shrink(&mut self, max_items: usize) {
        self.found.shrink_to(max_items);
        self.parts.shrink_to(max_items);
        self.entries.shrink_to(max_items);
        self.frames.shrink_to(max_items);
        self.checks.shrink_to(max_items);
    }
}

struct Walker<'a> {
    table: &'a Table,
    event: &'a [u8],
    out: Out,
    buffers: &'a mut Buffers,
    strict: bool,
    unknown_at: Option<u32>,
    unprintable: Option<Trouble>,
    /// What made the walk stop.
    malformed: Option<Trouble>,
    /// Fields did not come in order: what was written is not the event's JSON.
    reordered: bool,
    /// What is written will be dropped.
    quiet: bool,
    #[cfg(test)]
    tags: u32,
}

/// Writes the `go` flavour of `event` to `out`, or nothing. What stood in it is dropped.
pub(crate) fn decode(
    table: &Table,
    event: &[u8],
    mode: Mode,
    out: &mut Out,
    buffers: &mut Buffers,
) -> Result<Walked, Trouble> {
    if u32::try_from(event.len()).is_err() {
        return Err(Trouble { at: 0, what: "event longer than 4 GiB" });
    }
    out.clear();
    buffers.seen.begin(0, false);
    buffers.found.clear();
    buffers.parts.clear();
    buffers.entries.clear();
    buffers.frames.clear();
    buffers.checks.clear();
    let mut walker = Walker {
        table,
        event,
        out: std::mem::take(out),
        buffers,
        strict: mode == Mode::Strict,
        unknown_at: None,
        unprintable: None,
        malformed: None,
        reordered: false,
        quiet: false,
        #[cfg(test)]
        tags: 0,
    };
    let walked = walker.one_of().map_err(|Stop| {
        // Whoever stops says why.
        walker.malformed.unwrap_or(Trouble { at: 0, what: "malformed" })
    });
    if !matches!(walked, Ok(Walked { printed: true, .. })) {
        walker.out.clear();
    }
    #[cfg(test)]
    tests::TAGS.set(walker.tags);
    *out = walker.out;
    walked
}

impl<'a> Walker<'a> {
    fn one_of(&mut self) -> Walk<Walked> {
        let table = self.table;
        let root = table.root();
        let cases = table.fields_of(root);
        let event = self.event;
        let mut last: Option<(usize, usize, usize)> = None;
        let mut pos = 0;
        while pos < event.len() {
            let at = pos;
            let Some(field) = self.field(root, cases, event, &mut pos)? else { continue };
            let range = self.read(at, wire::len_delimited(event, &mut pos))?;
            // Each case replaces the one before, facts included; what was wrong with that one's
            // values no longer matters, but its bytes had to be well-formed.
            self.out.clear();
            let message = &table.messages[usize::from(field.sub)];
            self.buffers.seen.begin(field.number(), message.print_data);
            self.unprintable = None;
            self.reordered = false;
            self.quiet = self.strict && self.unknown_at.is_some();
            self.object(message, &event[..range.end], range.start, true)?;
            last = Some((usize::from(field.sub), range.start, range.end));
        }
        let Some((message, start, end)) = last else {
            if self.unknown_at.is_none() {
                return self.stop(0, "no event type is set");
            }
            return Ok(self.walked(false));
        };
        if self.unknown_at.is_some() && self.strict {
            return Ok(self.walked(false));
        }
        if self.reordered {
            self.out.clear();
            self.unprintable = None;
            self.quiet = false;
            self.sorted_object(message, &[(offset(start), offset(end))])?;
        }
        Ok(self.walked(self.unprintable.is_none()))
    }

    fn walked(&self, printed: bool) -> Walked {
        Walked { unknown_at: self.unknown_at, unprintable: self.unprintable, printed }
    }

    /// Steps over a field that the schema lacks.
    #[cold]
    fn skip_unknown(&mut self, buf: &[u8], pos: &mut usize, kind: WireType, at: usize) -> Walk {
        self.read(at, wire::skip(buf, pos, kind))?;
        // Maps and structs are read in the order of their keys, so a later one may stand earlier.
        let first = self.unknown_at.map_or(offset(at), |before| before.min(offset(at)));
        self.unknown_at = Some(first);
        if self.strict {
            self.quiet = true;
        }
        Ok(())
    }

    #[cold]
    fn unprintable(&mut self, at: usize, what: &'static str) {
        if self.unprintable.is_none_or(|before| offset(at) < before.at) {
            self.unprintable = Some(Trouble { at: offset(at), what });
        }
    }

    #[cold]
    fn stop<T>(&mut self, at: usize, what: &'static str) -> Walk<T> {
        self.malformed = Some(Trouble { at: offset(at), what });
        Err(Stop)
    }

    /// What was read at an offset, or the end of the walk.
    #[inline]
    fn read<T>(&mut self, at: usize, result: Result<T, WireError>) -> Walk<T> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => self.stop(at, error.as_str()),
        }
    }

    /// Reads a tag of a message that the table need not describe.
    #[inline]
    fn tag(&mut self, buf: &[u8], pos: &mut usize) -> Walk<(u32, WireType)> {
        let at = *pos;
        self.count_tag();
        self.read(at, wire::tag(buf, pos))
    }

    /// Tests count how many tags were read.
    #[inline]
    fn count_tag(&mut self) {
        #[cfg(test)]
        {
            self.tags += 1;
        }
    }

    /// Reads a tag: the field, or `None` after stepping over what the schema lacks.
    #[inline(always)]
    fn field(
        &mut self,
        message: &Message,
        fields: &'a [Field],
        buf: &[u8],
        pos: &mut usize,
    ) -> Walk<Option<&'a Field>> {
        let at = *pos;
        self.count_tag();
        let raw = self.read(at, wire::varint(buf, pos))?;
        // Wire type and range of the number are right if the tag is the one expected.
        #[expect(clippy::cast_possible_truncation, reason = "larger ones are not equal then")]
        let place = self.table.place(message, (raw >> 3) as u32);
        if let Some(field) = place.and_then(|place| fields.get(place))
            && field.tag == raw
        {
            return Ok(Some(field));
        }
        self.other_field(message, fields, buf, pos, at, raw)
    }

    #[cold]
    fn other_field(
        &mut self,
        message: &Message,
        fields: &'a [Field],
        buf: &[u8],
        pos: &mut usize,
        at: usize,
        raw: u64,
    ) -> Walk<Option<&'a Field>> {
        let (number, kind) = self.read(at, wire::split_tag(raw))?;
        let Some(place) = self.table.place(message, number) else {
            self.skip_unknown(buf, pos, kind, at)?;
            return Ok(None);
        };
        let field = &fields[place];
        if kind != field.kind.wire_type() {
            return self.stop(at, WRONG_WIRE_TYPE);
        }
        Ok(Some(field))
    }

    #[inline]
    fn write_key(&mut self, field: &Field) {
        let (start, end) = field.key;
        self.out.piece(&self.table.keys, start as usize, end as usize);
    }

    #[inline]
    fn write_defaults(&mut self, start: u32, end: u32) {
        if start < end {
            self.out.piece(&self.table.defaults, start as usize, end as usize);
        }
    }

    /// A slice of the event as a JSON string.
    #[inline]
    fn string(&mut self, (start, end): (u32, u32)) {
        self.out.string(self.event, start as usize, end as usize);
    }

    /// Makes an object of the members written since `open`, each with a comma in front.
    #[inline]
    fn close(&mut self, open: usize) {
        if self.out.len() > open {
            self.out.set(open, b'{');
            self.out.push(b'}');
        } else {
            self.out.extend_from_slice(b"{}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Read as _;
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    thread_local! {
        /// Tags read by the last [`decode`].
        pub(super) static TAGS: Cell<u32> = const { Cell::new(0) };
    }

    fn realistic() -> Vec<Vec<u8>> {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/realistic-v18dev.jsonl.gz");
        let file = std::fs::File::open(path).expect("the recorded events are part of the project");
        let mut lines = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut lines).unwrap();
        let event = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            BASE64_STANDARD.decode(line["oneof"].as_str().unwrap()).unwrap()
        };
        lines.lines().map(event).collect()
    }

    /// Looking for what the schema lacks costs no second walk: the tags that are read are those
    /// that there are, with a schema that knows all of them and with one that does not.
    #[test]
    fn every_tag_is_read_once() {
        let events = realistic();
        for (embedded, unknown_expected) in crate::embedded().into_iter().zip([true, true, false]) {
            let table: Arc<Table> = embedded.table;
            let (mut out, mut buffers) = (Out::default(), Buffers::default());
            let (mut unknown, mut tags) = (0, 0);
            for event in &events {
                let walked =
                    decode(&table, event, Mode::KnownPart, &mut out, &mut buffers).unwrap();
                unknown += u32::from(walked.unknown_at.is_some());
                assert_eq!(Some(TAGS.get()), crate::bare::bare_walk(&table, event));
                tags += TAGS.get();
            }
            assert_eq!(unknown != 0, unknown_expected, "{}", table.auth_version());
            assert!(tags as usize > events.len() * 10);
        }
    }
}
