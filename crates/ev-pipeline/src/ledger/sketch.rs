//! A set of ids in 1.5 KiB that can be subtracted from another, and then gives out the ids by
//! which they differ, if those are few: an invertible Bloom lookup table (Goodrich and
//! Mitzenmacher, 2011).

use ev_core::EventDigest;

use super::{LedgerKey, Line};

/// Rows, in each of which an id stands once.
const ROWS: usize = 4;
/// Cells of a row.
const CELLS: usize = 16;

/// Count, ids, and checks of what stands in it, put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    count: i32,
    ids: [u8; 16],
    check: u32,
}

const CELL_LEN: usize = 24;

/// A set of event ids that can be compared with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    cells: [[Cell; CELLS]; ROWS],
}

impl Default for Sketch {
    fn default() -> Self {
        Self { cells: [[Cell::default(); CELLS]; ROWS] }
    }
}

/// Ids that only one of two sketches has: in order, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) only_first: Vec<EventDigest>,
    pub(super) only_second: Vec<EventDigest>,
}

impl Sketch {
    /// Bytes of a sketch.
    pub const LEN: usize = ROWS * CELLS * CELL_LEN;

    /// Adds an event.
    pub(super) fn insert(&mut self, line: &Line) {
        self.change(line.id, line.place, 1);
    }

    /// Takes an event out, whether it is in or not.
    pub(super) fn remove(&mut self, line: &Line) {
        self.change(line.id, line.place, -1);
    }

    fn change(&mut self, id: EventDigest, place: u128, by: i32) {
        let [places @ .., _, _, _, _] = place.to_le_bytes();
        let check = check(place);
        for (row, at) in self.cells.iter_mut().zip(places) {
            let cell = &mut row[usize::from(at) % CELLS];
            cell.count = cell.count.wrapping_add(by);
            cell.check ^= check;
            for (byte, other) in cell.ids.iter_mut().zip(id.0) {
                *byte ^= other;
            }
        }
    }

    /// Adds all that is in another.
    pub(super) fn add(&mut self, other: &Self) {
        for (cell, other) in self.cells.iter_mut().flatten().zip(other.cells.iter().flatten()) {
            cell.count = cell.count.wrapping_add(other.count);
            cell.check ^= other.check;
            for (byte, other) in cell.ids.iter_mut().zip(other.ids) {
                *byte ^= other;
            }
        }
    }

    /// The ids by which the two differ; `None` when there are too many to be told, which is
    /// certain above 64 and has a chance below 1 in 100 up to 20.
    pub(super) fn difference(&self, other: &Self, key: &LedgerKey) -> Option<Ids> {
        let mut rest = self.clone();
        for (cell, other) in rest.cells.iter_mut().flatten().zip(other.cells.iter().flatten()) {
            cell.count = cell.count.wrapping_sub(other.count);
            cell.check ^= other.check;
            for (byte, other) in cell.ids.iter_mut().zip(other.ids) {
                *byte ^= other;
            }
        }
        let mut found = Ids::default();
        // Each step takes one id out; more than there are cells cannot be told apart.
        for _ in 0..ROWS * CELLS {
            let lone = rest.cells.iter().flatten().find_map(|cell| {
                let id = EventDigest(cell.ids);
                let place = key.0.hash(&id.0).as_u128();
                let alone = cell.count.unsigned_abs() == 1 && cell.check == check(place);
                alone.then_some((id, place, cell.count))
            });
            let Some((id, place, count)) = lone else { break };
            rest.change(id, place, -count);
            let side = if count > 0 { &mut found.only_first } else { &mut found.only_second };
            side.push(id);
        }
        if rest != Self::default() {
            return None;
        }
        found.only_first.sort_unstable();
        found.only_second.sort_unstable();
        Some(found)
    }

    /// As stored: [`Sketch::LEN`] bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        for cell in self.cells.iter().flatten() {
            bytes.extend_from_slice(&cell.count.to_le_bytes());
            bytes.extend_from_slice(&cell.ids);
            bytes.extend_from_slice(&cell.check.to_le_bytes());
        }
        bytes
    }

    /// What [`Sketch::to_bytes`] gave; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::LEN {
            return None;
        }
        let mut sketch = Self::default();
        for (cell, bytes) in sketch.cells.iter_mut().flatten().zip(bytes.as_chunks::<CELL_LEN>().0)
        {
            let [a, b, c, d, ids @ .., e, f, g, h] = *bytes;
            *cell = Cell {
                count: i32::from_le_bytes([a, b, c, d]),
                ids,
                check: u32::from_le_bytes([e, f, g, h]),
            };
        }
        Some(sketch)
    }
}

/// By what an id is known to stand alone in a cell. Other bytes of the hash than those that say in
/// which cells it stands.
fn check(place: u128) -> u32 {
    let [.., a, b, c, d] = place.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Identity;

    fn key() -> LedgerKey {
        LedgerKey::new(&[7; 16])
    }

    fn line(n: u64) -> Line {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        id[8..].copy_from_slice(&n.to_le_bytes());
        key().line(&Identity::for_test(EventDigest(id), 0, 0))
    }

    fn sketch(of: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        of.into_iter().for_each(|n| sketch.insert(&line(n)));
        sketch
    }

    fn ids(of: impl IntoIterator<Item = u64>) -> Vec<EventDigest> {
        let mut ids: Vec<_> = of.into_iter().map(|n| line(n).id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn twenty_missing_ids_of_a_hundred_thousand_are_named() {
        // Of a hundred such hours, all but a few: the rest are named as hours.
        let mut told = 0;
        for hour in 0..100u64 {
            let base = hour * 1_000_000;
            let all = sketch(base..base + 2_000);
            let some = sketch((base..base + 2_000).filter(|n| n % 100 != 3));
            match all.difference(&some, &key()) {
                Some(found) => {
                    told += 1;
                    let missing = (base..base + 2_000).filter(|n| n % 100 == 3);
                    assert_eq!(found.only_first, ids(missing));
                    assert_eq!(found.only_second, []);
                }
                None => continue,
            }
        }
        assert!(told >= 97, "{told}");
    }

    #[test]
    fn too_many_are_not_told_and_never_told_wrongly() {
        for count in [65, 200, 10_000] {
            assert_eq!(sketch(0..count).difference(&Sketch::default(), &key()), None);
        }
    }

    #[test]
    fn has_the_length_it_promises() {
        assert_eq!(Sketch::LEN, 1536);
        let bytes = sketch(0..1000).to_bytes();
        assert_eq!(bytes.len(), Sketch::LEN);
        assert_eq!(Sketch::from_bytes(&bytes), Some(sketch(0..1000)));
        assert_eq!(Sketch::from_bytes(&bytes[1..]), None);
    }

    proptest! {
        #[test]
        fn what_differs_is_told_on_both_sides(
            common in prop::collection::btree_set(0u64..1000, 0..50),
            ours in prop::collection::btree_set(2000u64..3000, 0..6),
            theirs in prop::collection::btree_set(4000u64..5000, 0..6),
        ) {
            let first = sketch(common.iter().chain(&ours).copied());
            let second = sketch(common.iter().chain(&theirs).copied());
            if let Some(found) = first.difference(&second, &key()) {
                prop_assert_eq!(found.only_first, ids(ours));
                prop_assert_eq!(found.only_second, ids(theirs));
            } else {
                prop_assert!(ours.len() + theirs.len() > 1, "one id is always told");
            }
        }
    }
}
