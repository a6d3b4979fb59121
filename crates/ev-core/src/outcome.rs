//! What a decoder answers for one event, and the buffer it answers into.

use std::fmt;
use std::str::FromStr;

use crate::{Facts, Span};

/// The shape of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavour {
    /// Byte for byte what Go's `encoding/json` writes for the event struct.
    Go,
    /// The form of the unstructured APIs: keys sorted at every level, numbers as doubles.
    Struct,
}

impl Flavour {
    /// The name used in settings, logs and the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Struct => "struct",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Flavour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "go" => Ok(Self::Go),
            "struct" => Ok(Self::Struct),
            _ => Err(format!("`{text}` is not a JSON flavour (`go` or `struct`)")),
        }
    }
}

/// What a decoder does with an event that its schema does not fully know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answer [`Outcome::Unknown`] and write nothing.
    Strict,
    /// Answer [`Outcome::Unknown`] and write the JSON of what is known, if the type is.
    KnownPart,
}

/// What becomes of an unknown event when no artifact is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPolicy {
    /// Keep the raw bytes until a decoder for them is there.
    Park,
    /// Send the known part with one added key that says so. An event of an unknown *type* has no
    /// known part and is parked all the same.
    Incomplete,
}

/// The answer for one event. Precedence: malformed, unknown, unprintable, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The JSON is in the output buffer.
    Decoded {
        /// Where in [`Output::json`].
        json: Span,
        /// What the engine needs to know.
        facts: Facts,
    },
    /// The schema lacks a `OneOf` case or a field number, at some depth.
    Unknown {
        /// Offset of the first such field's tag in the event.
        at: u32,
        /// Which field: `Case.field.7` by names natively, `1.5.7` by numbers from a guest.
        path: String,
        /// The facts, when the event's type is known.
        facts: Option<Facts>,
        /// JSON of the known part, only in [`Mode::KnownPart`] and only when the type is known.
        known: Option<Span>,
    },
    /// The bytes are no valid event: Go's decoder refuses them too. No case set counts as this.
    Malformed {
        /// Offset of the first trouble.
        at: u32,
        /// What was wrong, lower case.
        what: String,
    },
    /// Valid on the wire, but Go's encoder refuses to print it (NaN, a `Value` without kind, …).
    Unprintable {
        /// Offset of the first trouble.
        at: u32,
        /// Which field, as in `Unknown`.
        path: String,
        /// What was wrong, lower case.
        what: String,
        /// The facts; the event itself is understood.
        facts: Option<Facts>,
    },
}

impl Outcome {
    /// The facts, if the event's type is known and its bytes are valid.
    pub fn facts(&self) -> Option<Facts> {
        match self {
            Self::Decoded { facts, .. } => Some(*facts),
            Self::Unknown { facts, .. } | Self::Unprintable { facts, .. } => *facts,
            Self::Malformed { .. } => None,
        }
    }
}

/// Where a decoder writes: JSON bytes and one [`Outcome`] per event.
///
/// Behind each JSON object stands one comma, which no span contains. So the objects of a run of
/// events form the inside of a JSON array without being copied again.
#[derive(Debug, Default)]
pub struct Output {
    json: Vec<u8>,
    outcomes: Vec<Outcome>,
}

impl Output {
    /// An output that writes behind what `buffer` already holds.
    pub fn with_buffer(buffer: Vec<u8>) -> Self {
        Self { json: buffer, outcomes: Vec::new() }
    }

    /// All JSON written so far.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// One outcome per event given to the decoder, in order.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The buffer to write the next object into, behind what is there. End it with
    /// [`Output::decoded`], [`Output::known_part`] or [`Output::abandon`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.json
    }

    /// Ends an object that began at `start`, adding the comma behind it.
    pub fn decoded(&mut self, start: usize, facts: Facts) {
        let json = self.close(start);
        self.outcomes.push(Outcome::Decoded { json, facts });
    }

    /// Ends the known part of an unknown event that began at `start`, adding the comma behind it.
    pub fn known_part(&mut self, start: usize, at: u32, path: String, facts: Facts) {
        let known = Some(self.close(start));
        self.outcomes.push(Outcome::Unknown { at, path, facts: Some(facts), known });
    }

    /// Removes what was written since `start` and records `outcome`, which has no JSON.
    pub fn abandon(&mut self, start: usize, outcome: Outcome) {
        self.json.truncate(start);
        self.outcomes.push(outcome);
    }

    /// Takes everything back to a state remembered as ([`Output::json`] length,
    /// [`Output::outcomes`] length): what a decoder does before it returns an error.
    pub fn rewind(&mut self, json_len: usize, outcomes_len: usize) {
        self.json.truncate(json_len);
        self.outcomes.truncate(outcomes_len);
    }

    /// The two parts.
    pub fn into_parts(self) -> (Vec<u8>, Vec<Outcome>) {
        (self.json, self.outcomes)
    }

    fn close(&mut self, start: usize) -> Span {
        let span = Span::new(start, self.json.len());
        self.json.push(b',');
        span
    }
}
