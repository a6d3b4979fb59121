//! Lists and maps that may be absent.
//!
//! The format tells an absent container (nil) from an empty one, and so does the client that it
//! comes from. Reading does not see the difference; writing makes the container present.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;

/// A list that may be absent: a [`Vec`] for all that reads and writes it.
///
/// ```
/// use ev_audit::List;
///
/// let mut levels = List::absent();
/// assert!(levels.is_absent() && levels.is_empty());
/// levels.push("Administrator".to_owned());
/// assert_eq!(levels, List::from(["Administrator".to_owned()]));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct List<T>(Option<Vec<T>>);

/// A map that may be absent: a [`BTreeMap`] for all that reads and writes it, so its order is
/// that of the keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(
        transparent,
        bound(deserialize = "K: serde::Deserialize<'de> + Ord, V: serde::Deserialize<'de>")
    )
)]
pub struct Map<K, V>(Option<BTreeMap<K, V>>);

impl<T> List<T> {
    /// No list.
    pub const fn absent() -> Self {
        Self(None)
    }

    /// A list without entries.
    pub const fn empty() -> Self {
        Self(Some(Vec::new()))
    }

    /// Whether there is no list.
    pub const fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

impl<K, V> Map<K, V> {
    /// No map.
    pub const fn absent() -> Self {
        Self(None)
    }

    /// A map without entries.
    pub const fn empty() -> Self {
        Self(Some(BTreeMap::new()))
    }

    /// Whether there is no map.
    pub const fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::absent()
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::absent()
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        self.0.as_ref().unwrap_or(const { &Vec::new() })
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.0.get_or_insert_default()
    }
}

impl<K, V> Deref for Map<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        self.0.as_ref().unwrap_or(const { &BTreeMap::new() })
    }
}

impl<K, V> DerefMut for Map<K, V> {
    fn deref_mut(&mut self) -> &mut BTreeMap<K, V> {
        self.0.get_or_insert_with(BTreeMap::new)
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(entries: Vec<T>) -> Self {
        Self(Some(entries))
    }
}

impl<T, const N: usize> From<[T; N]> for List<T> {
    fn from(entries: [T; N]) -> Self {
        Self(Some(entries.into()))
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(Some(entries.into_iter().collect()))
    }
}

impl<K, V> From<BTreeMap<K, V>> for Map<K, V> {
    fn from(entries: BTreeMap<K, V>) -> Self {
        Self(Some(entries))
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        Self(Some(entries.into()))
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(Some(entries.into_iter().collect()))
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = btree_map::Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(entries) => entries.fmt(f),
            None => f.write_str("absent"),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(entries) => entries.fmt(f),
            None => f.write_str("absent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{List, Map};

    #[test]
    fn absent_reads_as_empty_and_becomes_present_when_written() {
        let mut list = List::<u8>::default();
        assert!(list.is_absent() && list.is_empty() && list.iter().next().is_none());
        assert_ne!(list, List::empty());
        list.clear();
        assert_eq!(list, List::empty());
        let mut map = Map::<u8, u8>::default();
        assert!(map.is_absent() && map.is_empty() && map.get(&1).is_none());
        assert_ne!(map, Map::empty());
        map.insert(1, 2);
        assert_eq!(map, Map::from([(1, 2)]));
        assert_eq!(format!("{:?} {:?}", List::<u8>::absent(), map), "absent {1: 2}");
    }
}
