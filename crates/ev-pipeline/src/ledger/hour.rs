//! One hour of event time.

use ev_core::EventDigest;

use super::{LedgerKey, Line, Sketch};

/// The events of an hour, as number, sum and sketch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Number of events.
    pub count: u64,
    /// Sum of their keyed hashes, modulo 2^128.
    pub sum: u128,
    /// Their ids, as far as they can be told.
    pub sketch: Sketch,
}

/// How two hours differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Not at all.
    None,
    /// In these events: those that only the first has, and those that only the second has.
    Ids {
        /// Only in the first.
        only_first: Vec<EventDigest>,
        /// Only in the second.
        only_second: Vec<EventDigest>,
    },
    /// In more events than can be told, or in something other than the ids.
    Untold,
}

impl Hour {
    /// Adds an event.
    pub fn insert(&mut self, line: &Line) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(line.sum);
        self.sketch.insert(line);
    }

    /// Takes an event out that was added before.
    pub fn remove(&mut self, line: &Line) {
        // Wrapping, as all of it does: what is taken out of a change may be in an earlier one.
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(line.sum);
        self.sketch.remove(line);
    }

    /// Adds all events of another with the same key.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
        self.sketch.add(&other.sketch);
    }

    /// How this hour differs from another with the same key.
    pub fn difference(&self, other: &Self, key: &LedgerKey) -> Difference {
        if self == other {
            return Difference::None;
        }
        match self.sketch.difference(&other.sketch, key) {
            Some(ids) if ids != super::sketch::Ids::default() => {
                Difference::Ids { only_first: ids.only_first, only_second: ids.only_second }
            }
            _ => Difference::Untold,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Identity;

    fn event(n: u8, index: i64, second: i64) -> Identity {
        Identity::for_test(EventDigest([n; 16]), index, second)
    }

    fn line(n: u8, index: i64) -> Line {
        LedgerKey::new(&[1; 16]).line(&event(n, index, 7200))
    }

    #[test]
    fn equal_hours_have_equal_events_in_any_order() {
        let key = LedgerKey::new(&[1; 16]);
        let (mut there, mut back) = (Hour::default(), Hour::default());
        (0..200).for_each(|n| there.insert(&line(n, 0)));
        (0..200).rev().for_each(|n| back.insert(&line(n, 0)));
        assert_eq!(there.difference(&back, &key), Difference::None);
        assert_eq!((there.count, line(0, 0).hour), (200, 2));
    }

    #[test]
    fn another_index_of_the_same_event_is_a_difference() {
        let key = LedgerKey::new(&[1; 16]);
        let hour = |entry: Line| {
            let mut hour = Hour::default();
            hour.insert(&entry);
            hour
        };
        let plain = hour(line(1, 0));
        assert_eq!(plain.difference(&hour(line(1, 5)), &key), Difference::Untold);
    }

    #[test]
    fn another_key_makes_other_sums() {
        let one = LedgerKey::new(&[1; 16]).line(&event(1, 0, 0));
        let two = LedgerKey::new(&[2; 16]).line(&event(1, 0, 0));
        assert_ne!(one, two);
    }

    #[test]
    fn hours_begin_at_whole_hours_before_1970_too() {
        let key = LedgerKey::new(&[1; 16]);
        let hour = |second| key.line(&event(0, 0, second)).hour;
        assert_eq!([hour(-3601), hour(-1), hour(0), hour(3599), hour(3600)], [-2, -1, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn what_was_added_and_taken_out_leaves_nothing(ns: Vec<u8>, index: i64) {
            let mut hour = Hour::default();
            ns.iter().for_each(|n| hour.insert(&line(*n, index)));
            ns.iter().for_each(|n| hour.remove(&line(*n, index)));
            prop_assert_eq!(hour, Hour::default());
        }
    }
}
