//! Lanes of a road by which the log is not read any more.
//!
//! When Auth is upgraded or downgraded, the road may change: searches go by windows of time, the
//! bulk export by dates and their chunks. Nothing of one is translated into the other. The new road
//! begins where the old one had not passed yet, so it reads some of the log a second time, and what
//! the old one has settled is told by its ids, which are looked for in its lanes. They are kept
//! until the new road reads nothing any more that lies in front of its own beginning.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use ev_core::{Date, EventDigest, LaneId, LaneRow, Reading, Road, Settle};

use crate::digests::DigestMap;

/// Seconds by which an event may lie outside of the stretch of the lane that has brought it.
const SLACK: i64 = 4;
/// Seconds by which Auth's clock may be ahead of ours.
const AHEAD: i64 = 600;

/// What was found of another road when a run began.
#[derive(Debug, Default)]
pub(crate) struct LeftOver {
    /// Seconds of each lane, from its first to its last.
    lanes: Vec<(RangeInclusive<i64>, LaneId)>,
    /// Since when the log is read by the present road, as a second: the other one has nothing that
    /// is newer.
    begun: i64,
    /// Second from which on the log is to be read, if there is anything.
    begin: Option<i64>,
    /// To be forgotten with the next change.
    unneeded: Vec<LaneId>,
    /// Ids of events of these lanes that were parked without one and have one by now.
    learned: DigestMap<()>,
    /// Those of them that were delivered since the last change.
    settled: Vec<Settle>,
}

/// Which kind of stretch a lane is of; recordings are of all roads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Window,
    Chunk,
}

impl Kind {
    fn of(lane: &LaneId) -> Option<Self> {
        match lane {
            LaneId::Window { .. } => Some(Self::Window),
            LaneId::Chunk { .. } => Some(Self::Chunk),
            LaneId::Session(_) => None,
        }
    }

    fn of_road(road: Road) -> Self {
        match road {
            Road::Typed | Road::Unstructured => Self::Window,
            Road::Export => Self::Chunk,
        }
    }
}

/// First second of a lane's stretch.
pub(crate) fn start_of(lane: &LaneId) -> Option<i64> {
    match lane {
        LaneId::Window { start, .. } => Some(*start),
        LaneId::Chunk { date, .. } => Date::parse(date).map(Date::start),
        LaneId::Session(_) => None,
    }
}

/// The dates whose chunks may have brought an event of that second.
pub(super) fn dates_around(second: i64) -> BTreeSet<String> {
    let date = |second| Date::of(second).to_string();
    [second.saturating_sub(SLACK), second.saturating_add(SLACK)].into_iter().map(date).collect()
}

impl LeftOver {
    /// Since when the log is read by `road`, or one that shares its lanes. `now`: as a second.
    pub(crate) fn reading(known: Option<Reading>, road: Road, now: i64) -> Reading {
        let kind = Kind::of_road(road);
        let known = known.filter(|known| Kind::of_road(known.road) == kind);
        known.unwrap_or(Reading { road, since_seconds: now })
    }

    /// Takes out of `rows` what is of another kind than is read now.
    pub(crate) fn part(rows: Vec<LaneRow>, reading: Reading) -> (Vec<LaneRow>, Self) {
        let Reading { road, since_seconds: begun } = reading;
        let kind = Kind::of_road(road);
        let is_own = |row: &LaneRow| Kind::of(&row.lane).is_none_or(|of| of == kind);
        let (mut own, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_own);
        let starts: BTreeSet<i64> = left.iter().filter_map(|row| start_of(&row.lane)).collect();
        let Some(floor) = starts.first().copied() else {
            let unneeded = left.into_iter().map(|row| row.lane).collect();
            return (own, Self { unneeded, begun, ..Self::default() });
        };
        let lanes = left.into_iter().filter_map(|row| {
            let start = start_of(&row.lane)?;
            let next = starts.range(start.saturating_add(1)..).next();
            let last = match row.lane {
                LaneId::Chunk { .. } => Date::of(start).plus(1).start().saturating_sub(1),
                // How far the last one was read is not known.
                _ => next.map_or(i64::MAX, |next| next.saturating_sub(1)),
            };
            Some((start.saturating_sub(SLACK)..=last.saturating_add(SLACK), row.lane))
        });
        let mut this =
            Self { lanes: lanes.collect(), begun, begin: Some(floor), ..Self::default() };
        // Both roads have settled everything in front of what they keep. What this one keeps from
        // before the other one took over would be read a second time for nothing.
        let own_starts: BTreeSet<i64> = own.iter().filter_map(|row| start_of(&row.lane)).collect();
        if let Some(first_needed) = own_starts.range(..=floor).next_back().copied() {
            let is_needed =
                |row: &LaneRow| start_of(&row.lane).is_none_or(|start| start >= first_needed);
            let unneeded = own.iter().filter(|row| !is_needed(row)).map(|row| row.lane.clone());
            this.unneeded.extend(unneeded);
            own.retain(is_needed);
        }
        (own, this)
    }

    /// Second from which on the log is to be read: where the other road had not passed yet.
    pub(crate) fn begin(&self) -> Option<i64> {
        self.begin
    }

    /// Whether nothing is left of another road.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// An event of another road that was parked without an id has one now.
    pub(crate) fn learn(&mut self, digest: EventDigest) {
        self.learned.insert(digest, ());
    }

    /// Whether an event of another road has got that id in this run.
    pub(crate) fn knows(&self, digest: &EventDigest) -> bool {
        self.learned.contains(digest)
    }

    /// An event that was learned is delivered: its id goes into the same change, unless nobody
    /// asks for the lane any more.
    pub(crate) fn remember(&mut self, lane: &LaneId, digest: EventDigest) {
        if self.lanes.iter().any(|(_, other)| other == lane) {
            let (lane, inner) = (lane.clone(), vec![digest]);
            self.settled.push(Settle { lane, page: 0, inner, border: Vec::new() });
        }
    }

    /// What the state is to be told of it.
    pub(crate) fn take_settled(&mut self) -> Vec<Settle> {
        std::mem::take(&mut self.settled)
    }

    /// Lanes of the other road that may have brought events of these seconds.
    pub(crate) fn lanes_of(&self, seconds: RangeInclusive<i64>) -> Vec<LaneId> {
        if *seconds.start() > self.begun.saturating_add(AHEAD) {
            return Vec::new();
        }
        let meets = |stretch: &RangeInclusive<i64>| {
            stretch.start() <= seconds.end() && seconds.start() <= stretch.end()
        };
        let lanes = self.lanes.iter().filter(|(stretch, _)| meets(stretch));
        lanes.map(|(_, lane)| lane.clone()).collect()
    }

    /// Lanes that nobody needs any more; each is told once. `oldest`: first second of the oldest
    /// lane that is read by now, or may be read again.
    pub(crate) fn take_unneeded(&mut self, oldest: Option<i64>) -> Vec<LaneId> {
        if oldest.is_some_and(|oldest| oldest >= self.begun) {
            self.unneeded.extend(self.lanes.drain(..).map(|(_, lane)| lane));
            self.learned = DigestMap::default();
        }
        std::mem::take(&mut self.unneeded)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ev_core::{SessionId, Token};

    use super::*;

    const DAY: i64 = 86_400;

    fn row(lane: LaneId) -> LaneRow {
        let token = Token { road: Road::Typed, format: 1, bytes: Bytes::new() };
        LaneRow { lane, token, page: 0, done: false, recent: Vec::new() }
    }

    fn window(start: i64) -> LaneId {
        LaneId::Window { start, pass: 0 }
    }

    fn chunk(day: i64, name: &str) -> LaneId {
        LaneId::Chunk { date: Date::of(day * DAY).to_string(), chunk: name.to_owned() }
    }

    fn session() -> LaneId {
        LaneId::Session(SessionId::try_new(b"s").expect("a valid id"))
    }

    fn part(lanes: &[LaneId], road: Road) -> (Vec<LaneId>, LeftOver) {
        let rows = lanes.iter().cloned().map(row).collect();
        let (own, left) = LeftOver::part(rows, LeftOver::reading(None, road, 100 * DAY));
        (own.into_iter().map(|row| row.lane).collect(), left)
    }

    #[test]
    fn a_road_keeps_what_is_of_its_kind_and_all_recordings() {
        let lanes = [window(5), chunk(3, ""), chunk(3, "a"), session()];
        let (own, left) = part(&lanes[..1], Road::Unstructured);
        assert_eq!((own, left.begin()), (vec![window(5)], None));
        let (own, left) = part(&lanes[1..], Road::Typed);
        assert_eq!((own, left.begin()), (vec![session()], Some(3 * DAY)));
        let (own, left) = part(&[window(900), window(500), session()], Road::Export);
        assert_eq!((own, left.begin()), (vec![session()], Some(500)));
    }

    #[test]
    fn since_when_a_road_is_read_is_known_over_restarts() {
        let at = |road, since_seconds| Reading { road, since_seconds };
        let reading = |known, road| LeftOver::reading(Some(known), road, 9);
        assert_eq!(LeftOver::reading(None, Road::Typed, 9), at(Road::Typed, 9));
        assert_eq!(reading(at(Road::Typed, 5), Road::Typed), at(Road::Typed, 5));
        assert_eq!(reading(at(Road::Typed, 5), Road::Unstructured), at(Road::Typed, 5));
        assert_eq!(reading(at(Road::Typed, 5), Road::Export), at(Road::Export, 9));
        assert_eq!(reading(at(Road::Export, 5), Road::Unstructured), at(Road::Unstructured, 9));
    }

    #[test]
    fn ids_are_looked_for_where_an_event_may_have_been_brought() {
        let (_, left) = part(&[window(1000), window(2000), window(3000)], Road::Export);
        assert_eq!(left.lanes_of(1500..=1600), [window(1000)]);
        assert_eq!(left.lanes_of(1997..=1998), [window(1000), window(2000)]);
        assert_eq!(left.lanes_of(0..=990), []);
        assert_eq!(left.lanes_of(1500..=5000).len(), 3);
        assert_eq!(left.lanes_of(99 * DAY..=99 * DAY), [window(3000)], "it was open");
        assert_eq!(left.lanes_of(101 * DAY..=101 * DAY), [], "nobody has read that before");

        let (_, left) = part(&[chunk(3, ""), chunk(3, "a"), chunk(4, "b")], Road::Typed);
        assert_eq!(left.lanes_of(3 * DAY + 10..=3 * DAY + 20), [chunk(3, ""), chunk(3, "a")]);
        assert_eq!(left.lanes_of(5 * DAY + 10..=6 * DAY), []);
    }

    #[test]
    fn what_is_left_goes_once_everything_that_is_read_is_newer() {
        let (_, mut left) = part(&[window(1000), window(2000)], Road::Export);
        assert_eq!(left.take_unneeded(None), []);
        assert_eq!(left.take_unneeded(Some(99 * DAY)), []);
        assert_eq!(left.take_unneeded(Some(100 * DAY)), [window(1000), window(2000)]);
        assert_eq!(left.take_unneeded(Some(101 * DAY)), []);
        assert_eq!(left.lanes_of(1000..=1000), []);
    }

    #[test]
    fn back_on_the_first_road_it_goes_on_where_the_other_one_had_not_passed() {
        // Windows were read up to day 7, then days 3 and on were exported, of which 5 is kept.
        let windows = [2 * DAY, 4 * DAY, 5 * DAY + 7, 7 * DAY].map(window);
        let lanes = [&windows[..], &[chunk(5, ""), chunk(6, "a")]].concat();
        let (own, mut left) = part(&lanes, Road::Typed);
        assert_eq!(own, windows[1..], "and the one in which the beginning lies");
        assert_eq!(
            (left.begin(), left.take_unneeded(None)),
            (Some(5 * DAY), vec![window(2 * DAY)])
        );
        // The same the other way round.
        let lanes = [chunk(2, ""), chunk(2, "x"), chunk(3, ""), chunk(5, ""), window(4 * DAY + 9)];
        let (own, mut left) = part(&lanes, Road::Export);
        assert_eq!(own, [chunk(3, ""), chunk(5, "")]);
        assert_eq!(left.take_unneeded(None), [chunk(2, ""), chunk(2, "x")]);
    }
}
