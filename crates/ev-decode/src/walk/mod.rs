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
//! Messages nest as deep as the table (at most 32 levels). What an event can nest without limit
//! costs no stack: `Struct` is walked with a stack of its own, groups with a counter.
//!
//! One rule is stricter than gogo's on purpose: a key or value of a map entry may not reach behind
//! the entry. gogo only checks that it stays inside the message around, and would read bytes
//! twice; no encoder writes that, and with it the cost of an event could not be bounded.

mod map;
mod ordered;
mod scalar;
mod sorted;
mod structs;

use ev_core::wire::{self, WireError, WireType};
use ev_core::{Facts, LoginFacts, Mode, Span, Timestamp};

use crate::table::{Field, Slot, Table};

/// Why an event is malformed or unprintable, and at which offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) at: u32,
    pub(crate) what: &'static str,
}

impl Trouble {
    #[cold]
    fn new(at: usize, what: &'static str) -> Self {
        Self { at: offset(at), what }
    }
}

/// Turns a wire error into a [`Trouble`] at an offset.
#[inline]
fn trouble(at: usize) -> impl Fn(WireError) -> Trouble {
    move |error| Trouble::new(at, error.as_str())
}

const WRONG_WIRE_TYPE: &str = "wrong wire type for the field";

/// Events are shorter than 4 GiB: [`decode`] refuses others.
#[inline]
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What [`decode`] found out; the JSON stands in the output when `printed`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked {
    /// `None` when no known case is set.
    pub(crate) facts: Option<Facts>,
    pub(crate) login: LoginFacts,
    /// The bytes of a `print` event, when its type has such a field.
    pub(crate) print_data: Option<Span>,
    pub(crate) unknown_at: Option<u32>,
    pub(crate) unprintable: Option<Trouble>,
    /// Whether JSON was written.
    pub(crate) printed: bool,
}

/// Buffers that are kept from event to event, so that none is allocated in steady state.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
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
    out: &'a mut Vec<u8>,
    buffers: &'a mut Buffers,
    /// Where the event's JSON begins in `out`.
    base: usize,
    strict: bool,
    facts: Facts,
    login: LoginFacts,
    print_data: Option<Span>,
    unknown_at: Option<u32>,
    unprintable: Option<Trouble>,
    /// Fields did not come in order: what was written is not the event's JSON.
    reordered: bool,
    /// What is written will be dropped.
    quiet: bool,
}

/// Appends the `go` flavour of `event` to `out`, or nothing.
pub(crate) fn decode(
    table: &Table,
    event: &[u8],
    mode: Mode,
    out: &mut Vec<u8>,
    buffers: &mut Buffers,
) -> Result<Walked, Trouble> {
    if u32::try_from(event.len()).is_err() {
        return Err(Trouble { at: 0, what: "event longer than 4 GiB" });
    }
    let base = out.len();
    buffers.found.clear();
    buffers.parts.clear();
    buffers.entries.clear();
    buffers.frames.clear();
    buffers.checks.clear();
    let mut walker = Walker {
        table,
        event,
        base,
        out,
        buffers,
        strict: mode == Mode::Strict,
        facts: Facts::default(),
        login: LoginFacts::default(),
        print_data: None,
        unknown_at: None,
        unprintable: None,
        reordered: false,
        quiet: false,
    };
    let walked = walker.one_of();
    if !matches!(walked, Ok(Walked { printed: true, .. })) {
        walker.out.truncate(base);
    }
    walked
}

impl Walker<'_> {
    fn one_of(&mut self) -> Result<Walked, Trouble> {
        let table = self.table;
        let root = table.root();
        let mut last: Option<(usize, usize, usize)> = None;
        let mut pos = 0;
        while pos < self.event.len() {
            let at = pos;
            let (number, kind) = wire::tag(self.event, &mut pos).map_err(trouble(at))?;
            let Some(place) = table.place(root, number) else {
                self.skip_unknown(self.event, &mut pos, kind, at)?;
                continue;
            };
            if kind != WireType::Len {
                return Err(Trouble::new(at, WRONG_WIRE_TYPE));
            }
            let range = wire::len_delimited(self.event, &mut pos).map_err(trouble(at))?;
            let field = &table.fields_of(root)[place];
            // Each case replaces the one before, facts included; what was wrong with that one's
            // values no longer matters, but its bytes had to be well-formed.
            self.out.truncate(self.base);
            self.facts = Facts { case: number, time: Timestamp::ZERO_YEAR_ONE, ..Facts::default() };
            self.login = LoginFacts::default();
            let message = &table.messages[usize::from(field.sub)];
            self.print_data = message.print_data.then(Span::default);
            self.unprintable = None;
            self.reordered = false;
            self.quiet = self.strict && self.unknown_at.is_some();
            self.object(message, &self.event[..range.end], range.start, true)?;
            last = Some((usize::from(field.sub), range.start, range.end));
        }
        let Some((message, start, end)) = last else {
            if self.unknown_at.is_none() {
                return Err(Trouble { at: 0, what: "no event type is set" });
            }
            return Ok(self.walked(false));
        };
        if self.unknown_at.is_some() && self.strict {
            return Ok(self.walked(false));
        }
        if self.reordered {
            self.out.truncate(self.base);
            self.unprintable = None;
            self.quiet = false;
            self.sorted_object(message, &[(offset(start), offset(end))])?;
        }
        Ok(self.walked(self.unprintable.is_none()))
    }

    fn walked(&self, printed: bool) -> Walked {
        Walked {
            facts: (self.facts.case != 0).then_some(self.facts),
            login: self.login,
            print_data: self.print_data,
            unknown_at: self.unknown_at,
            unprintable: self.unprintable,
            printed,
        }
    }

    /// Steps over a field that the schema lacks.
    #[cold]
    fn skip_unknown(
        &mut self,
        buf: &[u8],
        pos: &mut usize,
        kind: WireType,
        at: usize,
    ) -> Result<(), Trouble> {
        wire::skip(buf, pos, kind).map_err(trouble(at))?;
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
            self.unprintable = Some(Trouble::new(at, what));
        }
    }

    #[inline]
    fn write_key(&mut self, field: &Field) {
        let (start, end) = field.key;
        self.out.extend_from_slice(&self.table.keys[start as usize..end as usize]);
    }

    #[inline]
    fn write_defaults(&mut self, start: u32, end: u32) {
        if start < end {
            self.out.extend_from_slice(&self.table.defaults[start as usize..end as usize]);
        }
    }

    /// Makes an object of the members written since `open`, each with a comma in front.
    #[inline]
    fn close(&mut self, open: usize) {
        match self.out.get_mut(open) {
            Some(comma) => {
                *comma = b'{';
                self.out.push(b'}');
            }
            None => self.out.extend_from_slice(b"{}"),
        }
    }

    /// Keeps a fact whose value is a slice of the event.
    #[inline]
    fn keep_span(&mut self, slot: Slot, start: usize, end: usize) {
        let span = Span { start: offset(start), end: offset(end) };
        match slot {
            Slot::Type => self.facts.kind = span,
            Slot::Uid => self.facts.uid = span,
            Slot::Session => self.facts.session = span,
            Slot::User => self.login.user = span,
            Slot::Login => self.login.login = span,
            Slot::Cluster => self.login.cluster = span,
            Slot::PrintData => self.print_data = Some(span),
            Slot::None | Slot::Index | Slot::Time | Slot::Success => {}
        }
    }
}
