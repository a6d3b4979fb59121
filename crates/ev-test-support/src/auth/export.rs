//! The bulk export: events by the UTC date of their time, cut into chunks that never change.
//!
//! What is in a chunk is fixed when the chunks of its date are listed for the first time with it;
//! events that are stored later come in a new chunk, on a past date too. The names of chunks are
//! the same on every date, and a list has no particular order.

use std::collections::BTreeMap;

use super::store::{Event, Place, Store};

const SECONDS_PER_DAY: i64 = 86_400;

/// The events of all dates, by their places in the log.
#[derive(Debug, Default)]
pub(super) struct Exports {
    dates: BTreeMap<i64, Date>,
}

#[derive(Debug, Default)]
struct Date {
    chunks: Vec<Vec<Place>>,
    /// In no chunk yet.
    rest: Vec<Place>,
    lists: usize,
}

/// A chunk cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportError {
    /// There is no such chunk.
    Missing,
    /// The cursor is not one of this chunk.
    Cursor,
}

/// The date of a second since 1970, as days since then.
pub(super) fn date_of(second: i64) -> i64 {
    second.div_euclid(SECONDS_PER_DAY)
}

impl Exports {
    pub(super) fn insert(&mut self, second: i64, place: Place) {
        self.dates.entry(date_of(second)).or_default().rest.push(place);
    }
}

impl Store {
    /// Names of the chunks of a date, given as days since 1970-01-01. What is in no chunk yet is cut
    /// into chunks of `size` events first.
    pub fn export_chunks(&mut self, date: i64, size: usize) -> Vec<String> {
        let Some(date) = self.exports.dates.get_mut(&date) else { return Vec::new() };
        for chunk in std::mem::take(&mut date.rest).chunks(size.max(1)) {
            date.chunks.push(chunk.to_vec());
        }
        let mut names: Vec<String> = (0..date.chunks.len()).map(name).collect();
        let turn = date.lists % names.len().max(1);
        names.rotate_left(turn);
        date.lists += 1;
        names
    }

    /// The events of a chunk behind a cursor, each with its number among all that were ever stored
    /// and the cursor behind it.
    ///
    /// # Errors
    ///
    /// When there is no such chunk, or the cursor is not one of it.
    pub fn export(
        &self,
        date: i64,
        chunk: &str,
        cursor: &str,
    ) -> Result<Vec<(u64, Event, String)>, ExportError> {
        let chunks = self.exports.dates.get(&date).map(|date| &date.chunks);
        let numbered = chunks.into_iter().flatten().enumerate();
        let (_, places) =
            numbered.into_iter().find(|(n, _)| name(*n) == chunk).ok_or(ExportError::Missing)?;
        let of_chunk = format!("{date}/{chunk}/");
        let passed = match cursor.strip_prefix(&of_chunk) {
            _ if cursor.is_empty() => 0,
            Some(passed) => passed.parse().map_err(|_| ExportError::Cursor)?,
            None => return Err(ExportError::Cursor),
        };
        let events = places.iter().enumerate().skip(passed);
        let events = events.filter_map(|(n, place)| {
            let event = self.event(place)?;
            Some((place.1, event.clone(), format!("{of_chunk}{}", n + 1)))
        });
        Ok(events.collect())
    }
}

fn name(number: usize) -> String {
    format!("{number:08}-part")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::time::UtcTime;

    const DAY: i64 = SECONDS_PER_DAY;

    fn event(second: i64, name: &str) -> Event {
        Event {
            oneof: Bytes::copy_from_slice(name.as_bytes()),
            time: UtcTime::from_seconds(second),
            kind: "kind".to_owned(),
            ..Event::default()
        }
    }

    fn read(store: &Store, date: i64, chunk: &str, cursor: &str) -> Vec<(String, String)> {
        let events = store.export(date, chunk, cursor).expect("a chunk");
        let text = |event: &Event| String::from_utf8_lossy(&event.oneof).into_owned();
        events.iter().map(|(_, event, cursor)| (text(event), cursor.clone())).collect()
    }

    fn names(events: &[(String, String)]) -> Vec<&str> {
        events.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_chunk_never_changes_and_what_comes_later_is_in_a_new_one() {
        let mut store = Store::default();
        store.append([event(5, "a"), event(DAY, "next day"), event(9, "b"), event(7, "c")]);
        let mut first = store.export_chunks(0, 2);
        first.sort();
        assert_eq!(first.len(), 2);
        store.append([event(DAY - 1, "late")]);
        let mut second = store.export_chunks(0, 2);
        second.sort();
        assert_eq!(second[..2], first[..]);
        let all: Vec<_> = second.iter().map(|chunk| read(&store, 0, chunk, "")).collect();
        let all: Vec<Vec<&str>> = all.iter().map(|events| names(events)).collect();
        assert_eq!(all, [vec!["a", "b"], vec!["c"], vec!["late"]]);
        assert_eq!(store.export_chunks(1, 2).len(), 1);
        assert_eq!(store.export_chunks(2, 2), [""; 0]);
    }

    #[test]
    fn a_cursor_goes_on_behind_its_event_and_belongs_to_its_chunk() {
        let mut store = Store::default();
        store.append((0..3).map(|n| event(n, &format!("e{n}"))));
        let chunk = store.export_chunks(0, 9).remove(0);
        let all = read(&store, 0, &chunk, "");
        assert_eq!(names(&all), ["e0", "e1", "e2"]);
        assert_eq!(names(&read(&store, 0, &chunk, &all[0].1)), ["e1", "e2"]);
        assert_eq!(names(&read(&store, 0, &chunk, &all[2].1)), [""; 0]);
        assert_eq!(store.export(0, &chunk, "1/x/1"), Err(ExportError::Cursor));
        assert_eq!(store.export(0, "x", ""), Err(ExportError::Missing));
        assert_eq!(store.export(1, &chunk, ""), Err(ExportError::Missing));
    }
}
