//! The audit log and the session recordings.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::export::Exports;
use super::unstructured::Unstructured;
use crate::time::UtcTime;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The serialised `events.OneOf`, served as it is.
    pub oneof: Bytes,
    /// Its time, by which a search finds it.
    pub time: UtcTime,
    /// Its type, by which a search can filter.
    pub kind: String,
    /// Its index, by which a session stream can start.
    pub index: i64,
    /// What the unstructured calls send for it.
    pub unstructured: Unstructured,
}

/// A search as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whether events are asked for as `EventUnstructured`.
    pub unstructured: bool,
    /// Border, inclusive.
    pub from: UtcTime,
    /// Border, inclusive.
    pub to: UtcTime,
    /// Exact names; empty is all.
    pub types: Vec<String>,
    /// Most events in the page.
    pub limit: usize,
    /// Most bytes of events in the page.
    pub max_bytes: usize,
    /// Key of an earlier answer, or empty.
    pub key: String,
    /// Newest first.
    pub descending: bool,
}

/// The answer to a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Bytes>,
    /// For each event its number among all that were ever stored, from 0.
    pub numbers: Vec<u64>,
    /// Where to go on; empty at the end.
    pub last_key: String,
}

/// A search that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchError {
    /// The key is none, or belongs to another search.
    Key(String),
    /// One event alone is larger than a page.
    TooLarge(usize),
    /// There is no unstructured form of an event, by its number.
    NoForm(u64),
    /// An event of this second cannot be read.
    Bad(i64),
}

/// Place of an event on the time line of the search: its time when it was stored in order, and its
/// number among all that were ever stored.
pub(super) type Place = (UtcTime, u64);

/// Everything an Auth server keeps.
#[derive(Debug, Default)]
pub struct Store {
    log: BTreeMap<Place, Event>,
    recordings: BTreeMap<String, Vec<Event>>,
    stored: u64,
    pub(super) exports: Exports,
}

impl Store {
    /// Adds events behind what is there: one with an older time gets the place of the newest one,
    /// as in a back end that stores by arrival. Its own time stays what it is.
    pub fn append(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            let newest = self.log.last_key_value().map(|((time, _), _)| *time);
            let at = newest.map_or(event.time, |newest| newest.max(event.time));
            self.insert(at, event);
        }
    }

    /// Adds events where their own time puts them, also in front of what searches have passed, as
    /// in a back end that sorts by time.
    pub fn append_in_place(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.insert(event.time, event);
        }
    }

    fn insert(&mut self, at: UtcTime, event: Event) {
        self.exports.insert(event.time.seconds, (at, self.stored));
        self.log.insert((at, self.stored), event);
        self.stored += 1;
    }

    /// Adds events to the end of a session's recording.
    pub fn append_recording(&mut self, session: &str, events: impl IntoIterator<Item = Event>) {
        self.recordings.entry(session.to_owned()).or_default().extend(events);
    }

    /// Deletes a recording.
    pub fn remove_recording(&mut self, session: &str) {
        self.recordings.remove(session);
    }

    pub(super) fn event(&self, place: &Place) -> Option<&Event> {
        self.log.get(place)
    }

    /// Number of events in the log.
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether the log is empty.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// A recording's events from `start_index` on, the one with that index included.
    pub fn recording(&self, session: &str, start_index: i64) -> Option<Vec<Event>> {
        let events = self.recordings.get(session)?;
        Some(events.iter().filter(|event| event.index >= start_index).cloned().collect())
    }

    /// The first of these seconds in which one of the events is that have these numbers.
    pub(super) fn second_of(&self, numbers: &[u64], seconds: &[i64]) -> Option<i64> {
        let mut bad = self.log.iter().filter(|((_, n), _)| numbers.contains(n));
        bad.find_map(|(_, event)| seconds.iter().copied().find(|at| *at == event.time.seconds))
    }

    /// One page. The key in the answer is opaque to the caller and belongs to this search: given
    /// with another start, other types or another order it is refused. The end may move.
    ///
    /// # Errors
    ///
    /// When the key is not one of this search, or one event is larger than a page.
    pub fn search(&self, search: &Search) -> Result<Page, SearchError> {
        let mark = fingerprint(search);
        let behind = match search.key.as_str() {
            "" => None,
            key => Some(parse_key(key, mark)?),
        };
        if search.from > search.to {
            return Ok(Page::default());
        }
        let (first, last) = ((search.from, 0), (search.to, u64::MAX));
        let mut page = Page::default();
        let mut bytes = 0;
        let mut reached = None;
        let mut take = |place: &Place, event: &Event| {
            if !search.types.is_empty() && !search.types.contains(&event.kind) {
                return Ok(true);
            }
            let size = event.oneof.len();
            if size > search.max_bytes {
                if page.events.is_empty() {
                    return Err(SearchError::TooLarge(size));
                }
                page.last_key = key(reached, mark);
                return Ok(false);
            }
            if page.events.len() == search.limit || bytes + size > search.max_bytes {
                page.last_key = key(reached, mark);
                return Ok(false);
            }
            bytes += size;
            page.events.push(if search.unstructured {
                event.unstructured().ok_or(SearchError::NoForm(place.1))?
            } else {
                event.oneof.clone()
            });
            page.numbers.push(place.1);
            reached = Some(*place);
            Ok(true)
        };
        if search.descending {
            let end = behind.map_or(last, |place| (place.0, place.1));
            for (place, event) in self.log.range(first..=last.min(end)).rev() {
                if Some(*place) != behind && !take(place, event)? {
                    break;
                }
            }
        } else {
            let start = behind.map_or(first, |place| first.max((place.0, place.1 + 1)));
            if start <= last {
                for (place, event) in self.log.range(start..=last) {
                    if !take(place, event)? {
                        break;
                    }
                }
            }
        }
        Ok(page)
    }
}

/// What a key belongs to: everything of the search but its end, its limits and the key.
fn fingerprint(search: &Search) -> u64 {
    // FNV-1a, so that a key means the same in every process.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    eat(&search.from.seconds.to_be_bytes());
    eat(&search.from.nanos.to_be_bytes());
    eat(&[u8::from(search.descending), u8::from(search.unstructured)]);
    for name in &search.types {
        eat(name.as_bytes());
        eat(&[0xff]);
    }
    hash
}

fn key(reached: Option<Place>, mark: u64) -> String {
    reached.map_or_else(String::new, |(time, number)| {
        format!("k.{mark:016x}.{:x}.{:x}.{number:x}", time.seconds, time.nanos)
    })
}

fn parse_key(key: &str, mark: u64) -> Result<Place, SearchError> {
    let refuse = |why: &str| SearchError::Key(format!("invalid start key: {why}"));
    let parts: Vec<&str> = key.split('.').collect();
    let ["k", of, seconds, nanos, number] = parts[..] else {
        return Err(refuse("not one of this server's"));
    };
    if u64::from_str_radix(of, 16) != Ok(mark) {
        return Err(refuse("it belongs to another search"));
    }
    // Seconds before 1970 are printed as their two's complement.
    let seconds = u64::from_str_radix(seconds, 16).map(u64::cast_signed);
    match (seconds, u32::from_str_radix(nanos, 16), u64::from_str_radix(number, 16)) {
        (Ok(seconds), Ok(nanos), Ok(number)) => Ok((UtcTime { seconds, nanos }, number)),
        _ => Err(refuse("damaged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seconds: i64, name: &str) -> Event {
        Event {
            oneof: Bytes::copy_from_slice(name.as_bytes()),
            time: UtcTime::from_seconds(seconds),
            kind: name[..1].to_owned(),
            index: seconds,
            unstructured: Unstructured::Message(Bytes::from(format!("u{name}"))),
        }
    }

    fn search(from: i64, to: i64, limit: usize) -> Search {
        Search {
            unstructured: false,
            from: UtcTime::from_seconds(from),
            to: UtcTime::from_seconds(to),
            types: Vec::new(),
            limit,
            max_bytes: 1 << 20,
            key: String::new(),
            descending: false,
        }
    }

    /// Reads to the end, `between` each two pages.
    fn drain(
        store: &mut Store,
        mut search: Search,
        mut between: impl FnMut(&mut Store),
    ) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let page = store.search(&search).expect("a good search");
            all.extend(page.events.iter().map(|e| String::from_utf8_lossy(e).into_owned()));
            if page.last_key.is_empty() {
                return all;
            }
            search.key = page.last_key;
            between(store);
        }
    }

    #[test]
    fn both_borders_are_inclusive() {
        let mut store = Store::default();
        store.append((1..=5).map(|n| event(n, &format!("a{n}"))));
        assert_eq!(drain(&mut store, search(2, 4, 1), |_| {}), ["a2", "a3", "a4"]);
        assert_eq!(drain(&mut store, search(6, 9, 1), |_| {}), [""; 0]);
        assert_eq!(drain(&mut store, search(4, 2, 1), |_| {}), [""; 0]);
        let mut backwards = search(2, 4, 2);
        backwards.descending = true;
        assert_eq!(drain(&mut store, backwards, |_| {}), ["a4", "a3", "a2"]);
    }

    #[test]
    fn late_events_sort_behind_what_is_there_and_are_never_lost() {
        let mut store = Store::default();
        store.append((10..20).map(|n| event(n, &format!("a{n}"))));
        let mut late = 0;
        let all = drain(&mut store, search(0, 100, 3), |store| {
            if late < 5 {
                store.append([event(1, &format!("late{late}"))]);
                late += 1;
            }
        });
        let mut expected: Vec<String> = (10..20).map(|n| format!("a{n}")).collect();
        expected.extend((0..late).map(|n| format!("late{n}")));
        assert_eq!(late, 4);
        assert_eq!(all, expected);
    }

    #[test]
    fn an_event_stored_in_place_is_passed_silently() {
        let mut store = Store::default();
        store.append((1..=4).map(|n| event(n, &format!("a{n}"))));
        let mut once = Some(event(1, "early"));
        let all = drain(&mut store, search(0, 9, 2), |store| store.append_in_place(once.take()));
        assert_eq!(all, ["a1", "a2", "a3", "a4"]);
        let again = drain(&mut store, search(0, 9, 9), |_| {});
        assert_eq!(again, ["a1", "early", "a2", "a3", "a4"]);
    }

    #[test]
    fn pages_are_cut_by_bytes_and_one_too_large_event_is_refused() {
        let mut store = Store::default();
        store.append([event(1, "aaaa"), event(2, "bbbb"), event(3, "cc"), event(4, "dddddddddd")]);
        let mut narrow = search(0, 3, 100);
        narrow.max_bytes = 8;
        let page = store.search(&narrow).expect("a page");
        assert_eq!(page.events, ["aaaa", "bbbb"]);
        narrow.to = UtcTime::from_seconds(4);
        narrow.key = page.last_key;
        let page = store.search(&narrow).expect("the event in front of the large one");
        assert_eq!(page.events, ["cc"]);
        narrow.key = page.last_key;
        assert_eq!(store.search(&narrow), Err(SearchError::TooLarge(10)));
    }

    #[test]
    fn the_unstructured_form_is_sent_to_who_asks_for_it() {
        let mut store = Store::default();
        store.append([event(1, "a1"), event(2, "a2")]);
        let asked = Search { unstructured: true, ..search(0, 9, 9) };
        assert_eq!(store.search(&asked).expect("a page").events, ["ua1", "ua2"]);
        store.append([Event { unstructured: Unstructured::Absent, ..event(3, "a3") }]);
        assert_eq!(store.search(&asked), Err(SearchError::NoForm(2)));
    }

    #[test]
    fn types_filter_and_equal_times_keep_their_order() {
        let mut store = Store::default();
        store.append(["x1", "y1", "x2", "z1", "x3"].map(|name| event(7, name)));
        let mut only = search(7, 7, 1);
        only.types = vec!["x".to_owned()];
        assert_eq!(drain(&mut store, only, |_| {}), ["x1", "x2", "x3"]);
    }

    #[test]
    fn a_key_belongs_to_its_search_but_the_end_may_move() {
        let mut store = Store::default();
        store.append((1..=4).map(|n| event(n, &format!("a{n}"))));
        let key = store.search(&search(1, 4, 1)).expect("a page").last_key;
        let with = |mut other: Search| {
            other.key.clone_from(&key);
            store.search(&other)
        };
        assert_eq!(with(search(1, 9, 9)).expect("the end moved").events.len(), 3);
        assert!(matches!(with(search(2, 4, 1)), Err(SearchError::Key(_))));
        let mut typed = search(1, 4, 1);
        typed.types = vec!["a".to_owned()];
        assert!(matches!(with(typed), Err(SearchError::Key(_))));
        let other_call = Search { unstructured: true, ..search(1, 4, 1) };
        assert!(matches!(with(other_call), Err(SearchError::Key(_))));
        let mut damaged = search(1, 4, 1);
        damaged.key = "k.1".to_owned();
        assert!(matches!(store.search(&damaged), Err(SearchError::Key(_))));
    }

    #[test]
    fn a_session_stream_begins_with_its_start_index() {
        let mut store = Store::default();
        store.append_recording("s", (0..4).map(|n| event(n, &format!("e{n}"))));
        let events = store.recording("s", 2).expect("it is there");
        assert_eq!(events.iter().map(|event| &event.oneof[..]).collect::<Vec<_>>(), [b"e2", b"e3"]);
        assert_eq!(store.recording("other", 0), None);
    }
}
