//! Events that were not wholly known, by type, over all engines of a run.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ev_pipeline::Summary;

/// Types with a name of their own, as an engine keeps them; all others together are `other`.
const TYPES: usize = 64;

type Counts = BTreeMap<String, u64>;

/// Adds up what engines count each for itself, so that a sum never falls when one takes the place
/// of another.
#[derive(Debug, Default)]
pub(super) struct UnknownTypes(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// What was done before the engine that was seen last, which tells engines apart.
    before: Option<Summary>,
    last: Counts,
    /// Of engines before it.
    base: Counts,
}

impl UnknownTypes {
    /// The sums, where the engine behind `before` has counted so many.
    pub(super) fn add(&self, before: Option<&Summary>, counts: Counts) -> Counts {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.before.as_ref() != before {
            let last = std::mem::take(&mut seen.last);
            merge(&mut seen.base, last);
            seen.before = before.copied();
        }
        let mut sums = seen.base.clone();
        merge(&mut sums, counts.clone());
        seen.last = counts;
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
        assert_eq!(unknown.add(None, counts(&[("a", 3)])), counts(&[("a", 3)]));
        assert_eq!(unknown.add(None, counts(&[("a", 5)])), counts(&[("a", 5)]));
        let before = Summary { read: 10, ..Summary::default() };
        assert_eq!(unknown.add(Some(&before), counts(&[])), counts(&[("a", 5)]));
        let more = unknown.add(Some(&before), counts(&[("a", 1), ("b", 2)]));
        assert_eq!(more, counts(&[("a", 6), ("b", 2)]));
        let later = Summary { read: 20, ..Summary::default() };
        assert_eq!(unknown.add(Some(&later), counts(&[("b", 1)])), counts(&[("a", 6), ("b", 3)]));
    }

    #[test]
    fn types_are_bounded() {
        let unknown = UnknownTypes::default();
        for engine in 0..10 {
            let before = Summary { read: engine, ..Summary::default() };
            let kinds = (0..TYPES).map(|kind| (format!("{engine}-{kind}"), 1)).collect();
            let sums = unknown.add(Some(&before), kinds);
            assert!(sums.len() <= TYPES + 1);
            assert_eq!(sums.values().sum::<u64>(), (engine + 1) * TYPES as u64);
        }
    }
}
