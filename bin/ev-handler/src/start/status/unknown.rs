//! Events that were not wholly known, by type, over all engines that the first sink has in a run.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Types with a name of their own, as an engine keeps them; all others together are `other`.
const TYPES: usize = 64;

type Counts = BTreeMap<String, u64>;

/// Adds up what engines count each for itself, so that a sum never falls when one takes the place
/// of another.
#[derive(Debug, Default)]
pub(super) struct UnknownTypes(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The number of the engine that was seen last.
    number: u64,
    last: Counts,
    /// Of engines before it.
    base: Counts,
}

impl UnknownTypes {
    /// The sums, where the engine of that number has counted so many. What one says that another
    /// has taken the place of changes nothing any more.
    pub(super) fn add(&self, number: u64, counts: Counts) -> Counts {
        let mut seen = self.seen();
        if number < seen.number {
            return seen.sums();
        }
        if number > seen.number {
            let last = std::mem::take(&mut seen.last);
            merge(&mut seen.base, last);
            seen.number = number;
        }
        seen.last = counts;
        seen.sums()
    }

    /// The sums as they are, where no engine says anything.
    pub(super) fn sums(&self) -> Counts {
        self.seen().sums()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn sums(&self) -> Counts {
        let mut sums = self.base.clone();
        merge(&mut sums, self.last.clone());
        sums
    }
}

fn merge(sums: &mut Counts, counts: Counts) {
    for (kind, count) in counts {
        let kind =
            if sums.len() < TYPES || sums.contains_key(&kind) { kind } else { "other".into() };
        *sums.entry(kind).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Counts {
        pairs.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
    }

    #[test]
    fn sums_never_fall_with_an_engine() {
        let unknown = UnknownTypes::default();
        assert_eq!(unknown.sums(), counts(&[]));
        assert_eq!(unknown.add(1, counts(&[("a", 3)])), counts(&[("a", 3)]));
        assert_eq!(unknown.add(1, counts(&[("a", 5)])), counts(&[("a", 5)]));
        assert_eq!(unknown.add(3, counts(&[])), counts(&[("a", 5)]));
        let more = unknown.add(3, counts(&[("a", 1), ("b", 2)]));
        assert_eq!(more, counts(&[("a", 6), ("b", 2)]));
        // Who has asked the one before is told late.
        assert_eq!(unknown.add(1, counts(&[("a", 5)])), more);
        assert_eq!(unknown.sums(), more);
        assert_eq!(unknown.add(4, counts(&[("b", 1)])), counts(&[("a", 6), ("b", 3)]));
    }

    #[test]
    fn types_are_bounded() {
        let unknown = UnknownTypes::default();
        for engine in 0..10 {
            let kinds = (0..TYPES).map(|kind| (format!("{engine}-{kind}"), 1)).collect();
            let sums = unknown.add(engine, kinds);
            assert!(sums.len() <= TYPES + 1);
            assert_eq!(sums.values().sum::<u64>(), (engine + 1) * TYPES as u64);
        }
    }
}
