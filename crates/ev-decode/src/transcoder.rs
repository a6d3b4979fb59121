//! One event at a time: the low-level entry, without allocation in steady state.

use std::sync::Arc;

use ev_core::{Facts, Flavour, Mode, Span};
use sha2::{Digest, Sha256};

use crate::form::{self, FormBuffers};
use crate::json::{self, Out};
use crate::path;
use crate::table::Table;
use crate::walk::{self, Buffers};

/// From this many bytes on, room is made at once and exactly. A guest has little memory, and
/// growing step by step needs up to three times the length for a moment.
const LARGE: usize = 1 << 20;

/// Callers add a little of their own to what is written.
const SPARE: usize = 1 << 10;

/// What a transcoder does beyond its flavour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// In the `go` flavour, adds the bytes of `print` events as a last member `data`, which Go
    /// leaves out. Default: no. The `struct` flavour has them as the table says.
    pub print_data: bool,
    /// Whether [`Facts::login`] is filled. Default: no.
    pub login: bool,
}

/// Buffers that one decoding after the other uses, so that none is allocated in steady state.
#[derive(Debug, Default)]
pub struct Scratch {
    walk: Buffers,
    form: FormBuffers,
    /// The `go` flavour of the event at hand.
    go: Out,
}

impl Scratch {
    /// Empty buffers; they grow with the events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives back the memory that unusually large events left behind.
    pub fn trim(&mut self) {
        const MAX_ITEMS: usize = 4096;
        const MAX_BYTES: usize = 1 << 20;
        self.walk.shrink(MAX_ITEMS);
        self.form.shrink(MAX_ITEMS);
        self.go.shrink(MAX_BYTES);
    }
}

/// The answer for one event. What was wrong is text without allocation; the path follows from the
/// offset ([`Transcoder::path`]).
///
/// Precedence: malformed, unknown, unprintable, decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The JSON was appended to the output.
    Decoded(Facts),
    /// The schema lacks an event type or a field.
    Unknown {
        /// Offset of the first such field's tag.
        at: u32,
        /// The facts, when the event's type is known. Without uid they have a digest only when
        /// the known part was written, of that part.
        facts: Option<Facts>,
        /// Whether the JSON of the known part was appended to the output.
        known: bool,
    },
    /// The bytes are no valid event.
    Malformed {
        /// Offset of the trouble.
        at: u32,
        /// What was wrong, lower case.
        what: &'static str,
    },
    /// Valid on the wire, but Go refuses to print it.
    Unprintable {
        /// Offset of the trouble.
        at: u32,
        /// What was wrong, lower case.
        what: &'static str,
        /// The facts; always there.
        facts: Option<Facts>,
    },
}

/// Decodes serialised `events.OneOf` messages with one schema into one flavour.
///
/// ```
/// # #[cfg(feature = "embedded")] {
/// use std::sync::Arc;
/// use ev_core::{Flavour, Mode};
/// use ev_decode::{Answer, Options, Scratch, Transcoder};
///
/// let newest = ev_decode::embedded().pop().expect("there are three");
/// let transcoder = Transcoder::new(newest.table, Flavour::Go, Options::default());
/// // case 2 (UserCreate) { 1 (Metadata) { 2 (Type): "user.create" } }
/// let event = b"\x12\x0f\x0a\x0d\x12\x0buser.create";
/// let mut json = Vec::new();
/// let answer = transcoder.decode_one(&mut Scratch::new(), event, Mode::Strict, &mut json);
/// assert!(matches!(answer, Answer::Decoded(facts) if facts.kind.of(event) == b"user.create"));
/// assert!(json.starts_with(br#"{"ei":0,"event":"user.create","time":"0001-01-01T00:00:00Z""#));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Transcoder {
    table: Arc<Table>,
    flavour: Flavour,
    options: Options,
}

impl Transcoder {
    /// A transcoder; cheap, all work was done when the table was read.
    pub fn new(table: Arc<Table>, flavour: Flavour, options: Options) -> Self {
        Self { table, flavour, options }
    }

    /// Its schema.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The flavour it writes.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The field whose tag stands at `at` of `event`: by names if the table has names
    /// (`UserLogin.Metadata.4321`), else by numbers (`1.1.4321`).
    pub fn path(&self, event: &[u8], at: u32) -> String {
        path::path(&self.table, event, at)
    }

    /// Decodes one event, appending its JSON to `out`.
    ///
    /// Nothing is appended unless the answer says so. `scratch` may have served any other
    /// transcoder before.
    pub fn decode_one(
        &self,
        scratch: &mut Scratch,
        event: &[u8],
        mode: Mode,
        out: &mut Vec<u8>,
    ) -> Answer {
        if event.len() < LARGE {
            return self.decode_with(scratch, event, mode, out, None);
        }
        // Room for all of it at once, and in the `go` flavour where it is wanted: copied when it is
        // finished, it would take twice the memory for a moment.
        let room = json::printed_len(event) + SPARE;
        if self.flavour == Flavour::Struct {
            scratch.go.clear();
            scratch.go.reserve(room);
            return self.decode_with(scratch, event, mode, out, None);
        }
        let mut go = Out::behind(std::mem::take(out));
        go.reserve(room);
        let answer = self.decode_with(scratch, event, mode, out, Some(&mut go));
        *out = go.into_vec();
        answer
    }

    /// Decodes one event, in the `go` flavour straight into `place` if there is one.
    #[inline]
    fn decode_with(
        &self,
        scratch: &mut Scratch,
        event: &[u8],
        mode: Mode,
        out: &mut Vec<u8>,
        place: Option<&mut Out>,
    ) -> Answer {
        let Scratch { walk: buffers, form, go } = scratch;
        let placed = place.is_some();
        let go = place.unwrap_or(go);
        let walked = match walk::decode(&self.table, event, mode, go, buffers) {
            Ok(walked) => walked,
            Err(trouble) => return Answer::Malformed { at: trouble.at, what: trouble.what },
        };
        let seen = &buffers.seen;
        let mut digest = None;
        let mut printed = walked.printed;
        let mut unprintable = walked.unprintable.map(|trouble| (trouble.at, trouble.what));
        if printed {
            if !seen.has_uid() {
                digest = Some(Sha256::digest(go.as_slice()).into());
            }
            if let Some(span) = seen.print_data()
                && self.adds_print_data()
            {
                add_print_data(go, event, span);
            }
            if self.flavour == Flavour::Struct {
                let start = out.len();
                if go.as_slice().len() >= LARGE {
                    out.reserve_exact(go.as_slice().len() + SPARE);
                }
                let written =
                    form::write_struct(go.as_slice(), self.table.duplicate_keys, out, form);
                if let Err(refused) = written {
                    out.truncate(start);
                    printed = false;
                    digest = None;
                    unprintable = Some((0, refused.what()));
                }
            } else if !placed {
                out.extend_from_slice(go.as_slice());
            }
        }
        let facts = seen.facts(digest, self.options.login);
        match (walked.unknown_at, unprintable, facts) {
            (Some(at), _, facts) => Answer::Unknown { at, facts, known: printed },
            (None, Some((at, what)), facts) => Answer::Unprintable { at, what, facts },
            (None, None, Some(facts)) => Answer::Decoded(facts),
            // Without a case the walk answers malformed or unknown.
            (None, None, None) => Answer::Malformed { at: 0, what: "no event type is set" },
        }
    }

    fn adds_print_data(&self) -> bool {
        match self.flavour {
            Flavour::Go => self.options.print_data,
            Flavour::Struct => self.table.print_data,
        }
    }
}

/// Adds the last member `data` to the object at the end of `json`.
fn add_print_data(json: &mut Out, event: &[u8], data: Span) {
    json.truncate(json.len() - 1);
    if json.last() != Some(b'{') {
        json.push(b',');
    }
    json.extend_from_slice(b"\"data\":");
    json::write_base64(json, data.of(event));
    json.push(b'}');
}
