//! From what is known to lanes, ids and sums: what a run of our own would have left.

use std::collections::BTreeMap;
use std::path::Path;

use ev_core::{
    Advance, Change, EventDigest, LaneId, LedgerHour, Road, SessionId, Settle, Timestamp,
};
use ev_pipeline::Identity;
use ev_pipeline::ledger::{Hour, LedgerKey};
use ev_reference_state::{Chunks, State};
use ev_source::{ExportPlace, SearchPlace};
use ev_state::TakenOver;
use tracing::{info, warn};

use super::chunks::Told;

/// How near to the border of a window, in seconds, an event counts as one that the next one brings
/// too. As in the engine's lane book.
const BORDER: i64 = 4;
/// No window is narrower, in seconds.
const NARROWEST: i64 = 10;
/// Ids in one row of the state.
const ROW: usize = 10_000;

/// An event that was seen in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) identity: Identity,
    /// Whether it is of the types that are asked for.
    pub(crate) is_of_type: bool,
}

/// What stands in front of the place where the reference handler stopped.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// From this second on all ids are there.
    pub(crate) from: i64,
    /// Second of the event at the place.
    pub(crate) to: i64,
    /// In the order of the log.
    pub(crate) entries: Vec<Entry>,
}

/// What could be proved.
#[derive(Clone, Debug)]
pub(crate) enum Proven {
    Everything(Delivered),
    /// That chunks of the bulk export were delivered.
    Chunks(Told),
    /// Nothing, and why.
    Nothing(String),
}

impl Proven {
    /// Second of the event at the place.
    pub(crate) fn second(&self) -> Option<i64> {
        match self {
            Self::Everything(delivered) => Some(delivered.to),
            Self::Chunks(_) | Self::Nothing(_) => None,
        }
    }
}

/// All that is needed to begin.
pub(crate) struct Plan<'a> {
    pub(crate) state: &'a State,
    pub(crate) proven: Proven,
    /// Nothing in front of this second is wanted.
    pub(crate) start_time: i64,
    pub(crate) road: Road,
    /// The second that it is.
    pub(crate) now: i64,
}

impl Plan<'_> {
    /// What the reference handler has delivered, and what of it can be told.
    pub(crate) fn taken_over(&self) -> TakenOver {
        let (known_from, place) = match &self.proven {
            Proven::Everything(delivered) => (delivered.from, delivered.to),
            Proven::Chunks(_) => {
                let oldest = self.state.dates.keys().next();
                (oldest.map_or(self.start_time, |oldest| oldest.start()), self.now)
            }
            // From there on everything is sent again.
            Proven::Nothing(_) => {
                let begin = self.state.window_time.unwrap_or(self.start_time);
                (begin, begin)
            }
        };
        let at = |second: i64| Timestamp::new(second.max(self.start_time), 0);
        TakenOver { known_from: at(known_from), place: at(place) }
    }

    /// What the state is to begin with.
    pub(crate) fn change(&self, types: &[String], ledger_key: &[u8; 16]) -> Change {
        let mut change = Change::default();
        match &self.proven {
            Proven::Everything(delivered) => {
                self.windows(delivered, types, &mut change);
                let is_whole = |hour: i64| {
                    let first = hour.saturating_mul(LedgerHour::SECONDS).max(self.start_time);
                    first >= delivered.from
                };
                let entries = delivered.entries.iter();
                self.ledger(entries, is_whole, &LedgerKey::new(ledger_key), &mut change);
            }
            Proven::Chunks(told) => {
                self.dates(told, &mut change);
                // What is not delivered of these hours will be.
                let entries = told.values().flatten();
                self.ledger(entries, |_| true, &LedgerKey::new(ledger_key), &mut change);
            }
            Proven::Nothing(_) => {
                // Without a window of its own the source begins at the start time.
                if let Some(second) = self.state.window_time.filter(|at| *at > self.start_time) {
                    self.open(second, None, types, true, &mut change);
                }
            }
        }
        for (session, index) in self.recordings() {
            let index = i32::try_from(index).unwrap_or_default();
            let place = SearchPlace::Recording { session, index, skip: 0 };
            let (lane, token) = place.to_lane(self.road);
            if index > 0 {
                // What came in front of this page nobody can tell, so the ledger has no row of it.
                change.advance.push(Advance { lane: lane.clone(), token: token.clone(), page: 1 });
            }
            change.open.push((lane, token));
        }
        change
    }

    /// A window that is read up to the place, and the open one behind it. Both windows together
    /// bring again what is in front of the place by two seconds, and know it by its id.
    fn windows(&self, delivered: &Delivered, types: &[String], change: &mut Change) {
        let Delivered { from, to, entries } = delivered;
        let is_narrow = to.saturating_sub(*from) < NARROWEST;
        let first = *from <= self.start_time;
        let known = if is_narrow {
            self.open(*from, None, types, first, change)
        } else {
            let done = self.open(*from, Some(*to), types, first, change);
            change.done.push(done.clone());
            self.open(*to, None, types, false, change);
            done
        };
        let mut newest = i64::MIN;
        for (page, row) in (0..).zip(entries.chunks(ROW)) {
            let (mut inner, mut border) = (Vec::new(), Vec::new());
            for Entry { identity: Identity { digest, time, .. }, .. } in row {
                newest = newest.max(time.seconds());
                let is_near = time.seconds() < from.saturating_add(BORDER)
                    || newest >= to.saturating_sub(BORDER)
                    || is_narrow;
                let ids: &mut Vec<EventDigest> = if is_near { &mut border } else { &mut inner };
                ids.push(*digest);
            }
            // The open window is resumed at its first page, and all ids may come again there.
            let page = if is_narrow { 0 } else { page };
            change.settle.push(Settle { lane: known.clone(), page, inner, border });
        }
    }

    /// Opens a window. `first`: nothing in front of it is asked for.
    fn open(
        &self,
        start: i64,
        end: Option<i64>,
        types: &[String],
        first: bool,
        change: &mut Change,
    ) -> LaneId {
        let place = SearchPlace::Window {
            start,
            end,
            asked_from: if first { start } else { SearchPlace::reaching_to(start) },
            types: types.to_vec(),
            key: String::new(),
            opened: Some(self.now),
        };
        // Should the log be exported, these are what a search has left behind.
        let road = if self.road == Road::Export { Road::Typed } else { self.road };
        let (lane, token) = place.to_lane(road);
        change.open.push((lane.clone(), token));
        lane
    }

    /// The dates of the bulk export with their chunks, and the ids of what was delivered of them.
    fn dates(&self, told: &Told, change: &mut Change) {
        let from = self.start_time;
        for (date, Chunks { completed, partial }) in &self.state.dates {
            let place = ExportPlace::Date { date: date.to_string(), from };
            change.open.push(place.to_lane());
            let completed = completed.iter().map(|chunk| (chunk, String::new(), true));
            let partial = partial.iter().map(|(chunk, cursor)| (chunk, cursor.clone(), false));
            for (chunk, cursor, is_done) in completed.chain(partial) {
                let (date_text, name) = (date.to_string(), chunk.clone());
                let place = ExportPlace::Chunk { date: date_text, chunk: name, from, cursor };
                let (lane, token) = place.to_lane();
                let entries = told.get(&(*date, chunk.clone())).map_or(&[][..], Vec::as_slice);
                for row in entries.chunks(ROW) {
                    let inner = row.iter().map(|entry| entry.identity.digest).collect();
                    let (lane, border) = (lane.clone(), Vec::new());
                    change.settle.push(Settle { lane, page: 0, inner, border });
                }
                if is_done {
                    change.done.push(lane.clone());
                } else {
                    // The cursor is behind all of them.
                    let (lane, token) = (lane.clone(), token.clone());
                    change.advance.push(Advance { lane, token, page: 1 });
                }
                change.open.push((lane, token));
            }
        }
    }

    /// The hours of which all delivered events are known, so that they can be compared with Auth's.
    fn ledger<'e>(
        &self,
        entries: impl Iterator<Item = &'e Entry>,
        is_whole: impl Fn(i64) -> bool,
        key: &LedgerKey,
        change: &mut Change,
    ) {
        let mut hours: BTreeMap<i64, Hour> = BTreeMap::new();
        for Entry { identity, is_of_type } in entries {
            let second = identity.time.seconds();
            let hour = second.div_euclid(LedgerHour::SECONDS);
            if *is_of_type && second >= self.start_time && is_whole(hour) {
                hours.entry(hour).or_default().insert(&key.line(identity));
            }
        }
        change.ledger.extend(hours.iter().map(|(hour, sums)| sums.to_row(*hour)));
    }

    /// Recordings that were begun or announced, with the index to go on at. Of two records the
    /// one that is further behind counts.
    fn recordings(&self) -> BTreeMap<SessionId, u64> {
        let mut recordings = self.state.sessions.clone();
        for (session, missing) in &self.state.missing {
            let index = recordings.entry(session.clone()).or_insert(missing.index);
            *index = missing.index.min(*index);
        }
        recordings
    }

    /// Says what is taken over.
    pub(crate) fn tell(&self, from: &Path) {
        let time = |second: i64| Timestamp::new(second, 0);
        let State { sessions, missing, .. } = self.state;
        info!(
            directory = %from.display(),
            start_time = %time(self.start_time),
            recordings = sessions.len(),
            missing_recordings = missing.len(),
            "taking over the state of the reference handler; its files stay as they are"
        );
        match &self.proven {
            Proven::Everything(delivered) => info!(
                delivered_to = %time(delivered.to),
                known_from = %time(delivered.from),
                known_events = delivered.entries.len(),
                "going on behind the event that it sent last"
            ),
            Proven::Chunks(told) => {
                let completed = self.state.dates.values().map(|chunks| chunks.completed.len());
                let partial = self.state.dates.values().map(|chunks| chunks.partial.len());
                let events: usize = told.values().map(Vec::len).sum();
                info!(
                    dates = self.state.dates.len(),
                    completed_chunks = completed.sum::<usize>(),
                    partial_chunks = partial.sum::<usize>(),
                    known_events = events,
                    "going on behind what its bulk export has sent"
                );
            }
            Proven::Nothing(why) => {
                let begin = self.state.window_time.unwrap_or(self.start_time).max(self.start_time);
                let is_new =
                    *self.state == State { start_time: self.state.start_time, ..State::default() };
                if is_new {
                    info!(from = %time(begin), "it had sent nothing yet");
                } else {
                    warn!(
                        from = %time(begin),
                        why,
                        "which events it has sent cannot be told: those from there on are sent again"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
