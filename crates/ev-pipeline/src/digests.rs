//! A map from digests of events that can be asked and never gone through: what happens must not
//! depend on an order that differs from run to run.

use ev_core::EventDigest;

#[expect(clippy::disallowed_types, reason = "nothing here goes through it")]
type Map<V> = std::collections::HashMap<EventDigest, V>;

/// What is known of events. A look costs the same however many there are, and nobody who chooses
/// ids can make it cost more.
#[derive(Debug)]
pub(crate) struct DigestMap<V>(Map<V>);

impl<V> Default for DigestMap<V> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<V> DigestMap<V> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, digest: &EventDigest) -> bool {
        self.0.contains_key(digest)
    }

    pub(crate) fn get(&self, digest: &EventDigest) -> Option<&V> {
        self.0.get(digest)
    }

    pub(crate) fn get_mut(&mut self, digest: &EventDigest) -> Option<&mut V> {
        self.0.get_mut(digest)
    }

    /// Sets what is known; returns what was before.
    pub(crate) fn insert(&mut self, digest: EventDigest, value: V) -> Option<V> {
        self.0.insert(digest, value)
    }

    /// Sets what is known, if nothing is known yet.
    pub(crate) fn insert_new(&mut self, digest: EventDigest, value: V) {
        self.0.entry(digest).or_insert(value);
    }

    /// Takes out what is known, if it is as `fits` says.
    pub(crate) fn remove_if(
        &mut self,
        digest: &EventDigest,
        fits: impl FnOnce(&V) -> bool,
    ) -> Option<V> {
        if fits(self.0.get(digest)?) { self.0.remove(digest) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_out_and_what_is_there_stays() {
        let (one, two) = (EventDigest([1; 16]), EventDigest([2; 16]));
        let mut map = DigestMap::default();
        assert_eq!(map.insert(one, 1), None);
        assert_eq!(map.insert(one, 2), Some(1));
        map.insert_new(one, 3);
        map.insert_new(two, 4);
        assert_eq!((map.get(&one), map.get(&two), map.len()), (Some(&2), Some(&4), 2));
        assert_eq!(map.remove_if(&one, |value| *value == 3), None);
        assert_eq!(map.remove_if(&one, |value| *value == 2), Some(2));
        assert!(!map.contains(&one) && map.contains(&two));
        assert_eq!(map.remove_if(&one, |_| true), None);
    }
}
