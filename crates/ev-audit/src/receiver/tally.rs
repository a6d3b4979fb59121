//! What a receiver counted.

use std::ops::Range;

use crate::wire::Message;

/// Violations are kept in their words up to so many.
pub(super) const KEPT_VIOLATIONS: usize = 200;

/// Numbers of records are followed up to this one.
const MAX_NUMBER: u64 = 1 << 28;

/// A message and where it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The connection, counted from 1.
    pub connection: u64,
    /// The frame of the connection, counted from 0.
    pub frame: u64,
    /// The message.
    pub message: Message,
}

/// Something that a client must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The connection, counted from 1.
    pub connection: u64,
    /// The frame of the connection, counted from 0.
    pub frame: u64,
    /// The byte of the connection.
    pub offset: u64,
    /// A word for what was not kept to.
    pub rule: &'static str,
    /// What there is.
    pub detail: String,
}

/// What a receiver counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Connections that were accepted, those that were closed at once among them.
    pub connections: u64,
    /// Connections that are open.
    pub open: u64,
    /// Connections that were closed as soon as they were accepted.
    pub closed_accepted: u64,
    /// Connections that the receiver ended.
    pub cut: u64,
    /// Connections of which the receiver closed one side.
    pub half_closed: u64,
    /// Connections that the sender ended.
    pub peer_closed: u64,
    /// Connections that failed while they were read.
    pub peer_errors: u64,
    /// Connections on which TLS could not be agreed.
    pub tls_failures: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Frames that were read whole.
    pub frames: u64,
    /// Records.
    pub records: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Frames that could not be read and were passed over.
    pub unreadable: u64,
    /// Connections that ended within a frame.
    pub truncated: u64,
    /// Bytes that were read behind a cut, or could not be framed.
    pub discarded_bytes: u64,
    /// Numbers of records that came.
    pub unique: u64,
    /// Records with a number that had come before.
    pub duplicates: u64,
    /// Records that came first behind one with a higher number.
    pub out_of_order: u64,
    /// Violations.
    pub violations: u64,
    /// The first of them.
    pub first_violations: Vec<Violation>,
}

impl Tally {
    pub(super) fn violation(&mut self, violation: Violation) {
        self.violations += 1;
        if self.first_violations.len() < KEPT_VIOLATIONS {
            self.first_violations.push(violation);
        }
    }
}

/// The numbers that came, a bit for each.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    seen: Vec<u64>,
    highest: Option<u64>,
}

impl Numbers {
    /// Counts a number; one that is too high to be followed is not counted.
    pub(super) fn add(&mut self, number: u64, tally: &mut Tally) {
        let Some(word) = usize::try_from(number / 64).ok().filter(|_| number < MAX_NUMBER) else {
            return;
        };
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        if self.seen[word] & bit != 0 {
            tally.duplicates += 1;
            return;
        }
        self.seen[word] |= bit;
        tally.unique += 1;
        if self.highest.is_some_and(|highest| number < highest) {
            tally.out_of_order += 1;
        } else {
            self.highest = Some(number);
        }
    }

    /// The numbers below `end` that did not come.
    pub(super) fn missing(&self, end: u64) -> Vec<Range<u64>> {
        let has = |number: u64| {
            let word = usize::try_from(number / 64).ok().and_then(|word| self.seen.get(word));
            word.is_some_and(|word| word >> (number % 64) & 1 == 1)
        };
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for number in (0..end).filter(|number| !has(*number)) {
            match ranges.last_mut() {
                Some(last) if last.end == number => last.end += 1,
                _ => ranges.push(number..number + 1),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NUMBER, Numbers, Tally};

    #[test]
    fn numbers_are_followed() {
        let (mut numbers, mut tally) = (Numbers::default(), Tally::default());
        for number in [0, 1, 5, 5, 3, 200, 4, MAX_NUMBER] {
            numbers.add(number, &mut tally);
        }
        assert_eq!((tally.unique, tally.duplicates, tally.out_of_order), (6, 1, 2));
        assert_eq!(numbers.missing(8), [2..3, 6..8]);
        assert_eq!(numbers.missing(2), []);
    }
}
