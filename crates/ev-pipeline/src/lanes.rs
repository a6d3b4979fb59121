//! The lane book: which events of each lane are settled, and how far its resume point may move.
//!
//! Pure bookkeeping without time, I/O or async: every promise about loss and repetition is decided
//! here. A lane is a row of segments; a segment is what lies between two marks of the source. Only
//! when the segments at the front are settled to the last event does the resume point move behind
//! them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ev_core::{Advance, Change, EventDigest, LaneId, LaneRow, Settle, Timestamp, Token, Totals};

use crate::digest::sha256;
use crate::known::{BorderIds, LaneKey, RecentIds};
use crate::tally::{Passed, Settled, add_totals};

/// How near to a border, in seconds, an event counts as one that a neighbour may bring too:
/// windows overlap by 2 s on both sides, and back ends may keep time in whole seconds.
const BORDER_SECONDS: i64 = 4;

/// An event that was taken from a lane and is not settled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    lane: LaneKey,
    segment: u64,
    /// What to remember the event by; recordings are resumed by position and need nothing.
    digest: Option<EventDigest>,
    border: bool,
}

impl Slot {
    /// What a parked event is recognised by. A recording may hold equal events: there it tells
    /// them apart by their place, and is the same when the recording is read again from its resume
    /// point.
    pub(crate) fn digest(&self, event: &[u8]) -> EventDigest {
        if let Some(digest) = self.digest {
            return digest;
        }
        let mut bytes = self.segment.to_be_bytes().to_vec();
        bytes.extend_from_slice(event);
        EventDigest::of(&sha256(&bytes))
    }
}

#[derive(Debug, Default)]
struct Segment {
    unsettled: usize,
    /// Of a recording's events, which are recognised by their place alone: told to the state only
    /// when the resume point passes them, or they would count twice after a crash.
    passed: Passed,
    /// The resume point behind the segment, once the source has set a mark there.
    closed: Option<Token>,
}

#[derive(Debug)]
struct Lane {
    id: LaneId,
    /// Where the state stands, or will once the next change is committed.
    token: Token,
    /// Where reading stands: the newest mark.
    read: Token,
    /// Number of the segment at the front.
    front: u64,
    /// Never empty: the last one is open.
    segments: VecDeque<Segment>,
    unsettled: usize,
    ended: bool,
    done: bool,
    moved: bool,
    recent: RecentIds,
    /// Ids that an earlier run settled at or behind the resume point, until they come again.
    resumed: BTreeSet<EventDigest>,
    /// Number of the page that the state may not pass while `resumed` holds something: the pages
    /// may be cut differently this time, and ids of later ones must still be found after another
    /// crash.
    floor: u64,
    /// Settled since the last change, by segment: interior and border.
    settled: BTreeMap<u64, (Vec<EventDigest>, Vec<EventDigest>)>,
}

impl Lane {
    fn new(id: LaneId, token: Token, front: u64) -> Self {
        Self {
            id,
            read: token.clone(),
            token,
            front,
            segments: VecDeque::from([Segment::default()]),
            unsettled: 0,
            ended: false,
            done: false,
            moved: false,
            recent: RecentIds::default(),
            resumed: BTreeSet::new(),
            floor: front,
            settled: BTreeMap::new(),
        }
    }

    fn is_window(&self) -> bool {
        matches!(self.id, LaneId::Window { .. })
    }

    /// Number of the segment that events are added to.
    fn open_segment(&self) -> u64 {
        self.front + self.segments.len() as u64 - 1
    }

    /// Moves the resume point over settled segments.
    fn advance(&mut self, passed: &mut Passed) {
        while let Some(first) = self.segments.front() {
            if first.unsettled > 0 {
                break;
            }
            let Some(token) = first.closed.clone() else { break };
            self.token = token;
            self.moved = true;
            if let Some(segment) = self.segments.pop_front() {
                passed.add(segment.passed);
            }
            self.front += 1;
        }
        if self.moved {
            self.recent.keep_from(self.front);
        }
    }
}

/// All lanes of a sink.
#[derive(Debug, Default)]
pub(crate) struct LaneBook {
    lanes: BTreeMap<LaneKey, Lane>,
    by_id: BTreeMap<LaneId, LaneKey>,
    next_key: LaneKey,
    border: BorderIds,
    opened: Vec<LaneKey>,
    passed: Passed,
}

impl LaneBook {
    /// The book as an earlier run left it.
    pub(crate) fn restore(rows: &[LaneRow]) -> Self {
        let mut book = Self::default();
        for row in rows {
            let key = book.insert(row.lane.clone(), row.token.clone(), row.page);
            for digest in &row.border {
                book.border.insert(*digest, key);
            }
            let Some(lane) = book.lanes.get_mut(&key) else { continue };
            lane.done = row.done;
            lane.ended = row.done;
            lane.resumed = row.recent.iter().copied().collect();
        }
        book
    }

    /// Lanes that still have something to read, with the point to read from.
    pub(crate) fn unfinished(&self) -> Vec<(LaneId, Token)> {
        let open = self.lanes.values().filter(|lane| !lane.ended);
        open.map(|lane| (lane.id.clone(), lane.read.clone())).collect()
    }

    /// Adds a lane, unless it is there already; returns whether it was added.
    pub(crate) fn open(&mut self, id: LaneId, token: Token) -> bool {
        if self.by_id.contains_key(&id) {
            return false;
        }
        let key = self.insert(id, token, 0);
        self.opened.push(key);
        true
    }

    pub(crate) fn contains(&self, id: &LaneId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn key(&self, id: &LaneId) -> Option<LaneKey> {
        self.by_id.get(id).copied()
    }

    /// The lane that an event was taken from, as long as it is in the book.
    pub(crate) fn lane_of(&self, slot: &Slot) -> Option<&LaneId> {
        self.lanes.get(&slot.lane).map(|lane| &lane.id)
    }

    /// Where reading of a lane stands.
    pub(crate) fn read_token(&self, id: &LaneId) -> Option<&Token> {
        self.lanes.get(self.by_id.get(id)?).map(|lane| &lane.read)
    }

    /// Whether the event was taken before, by this lane or a neighbour.
    pub(crate) fn recognise(&mut self, key: LaneKey, digest: &EventDigest) -> bool {
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        if !lane.is_window() {
            return false;
        }
        if lane.resumed.remove(digest) {
            // It is settled at this place of the lane now, whatever page it came in before.
            let segment = lane.open_segment();
            lane.recent.insert(segment, *digest);
            lane.settled.entry(segment).or_default().0.push(*digest);
            lane.moved |= lane.resumed.is_empty() && lane.front > lane.floor;
            return true;
        }
        lane.recent.contains(digest) || self.border.contains(digest)
    }

    /// Takes an event; it is unsettled from now on. `None` for a lane that is not in the book.
    pub(crate) fn take(
        &mut self,
        key: LaneKey,
        digest: EventDigest,
        time: Timestamp,
    ) -> Option<Slot> {
        let border = self.is_border(key, time);
        let lane = self.lanes.get_mut(&key)?;
        let segment = lane.open_segment();
        lane.segments.back_mut()?.unsettled += 1;
        lane.unsettled += 1;
        if !lane.is_window() {
            return Some(Slot { lane: key, segment, digest: None, border: false });
        }
        lane.recent.insert(segment, digest);
        if border {
            self.border.insert(digest, key);
        }
        Some(Slot { lane: key, segment, digest: Some(digest), border })
    }

    /// An event that was parked without an id turns out to have one. Returns whether that was
    /// known: then it has come twice. From now on it is known within this run; the state learns
    /// of it by [`LaneBook::remember`].
    pub(crate) fn learn(&mut self, id: &LaneId, digest: EventDigest, time: Timestamp) -> bool {
        let Some(key) = self.key(id) else { return false };
        if self.recognise(key, &digest) {
            return true;
        }
        let border = self.is_border(key, time);
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.is_window()) else {
            return false;
        };
        let segment = lane.open_segment();
        lane.recent.insert(segment, digest);
        if border {
            self.border.insert(digest, key);
        }
        false
    }

    /// An event that was learned is delivered: its id goes into the same change.
    pub(crate) fn remember(&mut self, id: &LaneId, digest: EventDigest) {
        let Some(lane) = self.key(id).and_then(|key| self.lanes.get_mut(&key)) else { return };
        if lane.is_window() && !lane.done {
            // As one near the border, so that it stays known as long as the lane is.
            lane.settled.entry(lane.open_segment()).or_default().1.push(digest);
        }
    }

    /// The source has set a mark behind what was taken so far.
    pub(crate) fn mark(&mut self, key: LaneKey, token: Token) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.read == token {
            return;
        }
        lane.read = token.clone();
        if let Some(last) = lane.segments.back_mut() {
            last.closed = Some(token);
        }
        lane.segments.push_back(Segment::default());
        lane.advance(&mut self.passed);
    }

    /// An event is delivered, filtered or parked.
    pub(crate) fn settle(&mut self, slot: Slot, how: Settled) {
        let Some(lane) = self.lanes.get_mut(&slot.lane) else { return };
        let Some(index) = slot.segment.checked_sub(lane.front) else { return };
        let Ok(index) = usize::try_from(index) else { return };
        let Some(segment) = lane.segments.get_mut(index) else { return };
        segment.unsettled = segment.unsettled.saturating_sub(1);
        lane.unsettled = lane.unsettled.saturating_sub(1);
        // A window's events are recognised by their ids, which go into the same transaction.
        if slot.digest.is_some() {
            self.passed.count(how)
        } else {
            segment.passed.count(how)
        }
        if let Some(digest) = slot.digest {
            let (inner, border) = lane.settled.entry(slot.segment).or_default();
            if slot.border { border.push(digest) } else { inner.push(digest) }
        }
        lane.advance(&mut self.passed);
    }

    /// The lane has no more events than those taken.
    pub(crate) fn end(&mut self, id: &LaneId) {
        if let Some(lane) = self.by_id.get(id).and_then(|key| self.lanes.get_mut(key)) {
            lane.ended = true;
        }
    }

    /// Events taken and not settled, and marks that wait for them: what is held in memory.
    ///
    /// Both count, or one stuck event at the front of a long recording would let everything behind
    /// it pile up.
    pub(crate) fn backlog(&self) -> usize {
        self.lanes.values().map(|lane| lane.unsettled + lane.segments.len().saturating_sub(1)).sum()
    }

    /// Whether nothing is left but one window that stays open.
    pub(crate) fn only_live_left(&self) -> bool {
        let mut open = self.lanes.values().filter(|lane| !lane.ended || lane.unsettled > 0);
        match (open.next(), open.next()) {
            (Some(lane), None) => lane.is_window() && lane.unsettled == 0,
            (None, _) => true,
            _ => false,
        }
    }

    /// Whether there are events to park that are not in a change yet.
    pub(crate) fn has_parks(&self) -> bool {
        !self.passed.parks.is_empty()
    }

    /// Moves everything that changed since the last call into `change`, and adds it to `totals`.
    pub(crate) fn take_change(&mut self, change: &mut Change, totals: &mut Totals) {
        for key in std::mem::take(&mut self.opened) {
            if let Some(lane) = self.lanes.get(&key) {
                // The first token, even if reading has moved on: the advance below moves it.
                change.open.push((lane.id.clone(), lane.token.clone()));
            }
        }
        let mut finished = Vec::new();
        for (key, lane) in &mut self.lanes {
            for (page, (inner, border)) in std::mem::take(&mut lane.settled) {
                change.settle.push(Settle { lane: lane.id.clone(), page, inner, border });
            }
            if std::mem::take(&mut lane.moved) {
                change.advance.push(Advance {
                    lane: lane.id.clone(),
                    token: lane.token.clone(),
                    page: if lane.resumed.is_empty() { lane.front } else { lane.floor },
                });
            }
            if lane.ended && !lane.done && lane.unsettled == 0 {
                lane.done = true;
                if lane.is_window() {
                    change.done.push(lane.id.clone());
                } else {
                    // What no mark stands behind has been passed too.
                    for segment in lane.segments.drain(..) {
                        self.passed.add(segment.passed);
                    }
                    self.passed.totals.sessions += 1;
                    finished.push(*key);
                }
            }
        }
        for key in finished.into_iter().chain(self.unneeded_windows()) {
            if let Some(lane) = self.lanes.remove(&key) {
                self.by_id.remove(&lane.id);
                self.border.forget(key);
                change.forget.push(lane.id);
            }
        }
        let Passed { totals: more, parks } = std::mem::take(&mut self.passed);
        add_totals(totals, &more);
        change.park.extend(parks);
    }

    fn insert(&mut self, id: LaneId, token: Token, front: u64) -> LaneKey {
        let key = self.next_key;
        self.next_key += 1;
        self.by_id.insert(id.clone(), key);
        self.lanes.insert(key, Lane::new(id, token, front));
        key
    }

    /// Whether a neighbour may bring an event of that time too. In the live lane every event
    /// counts as such, because where it will end is not known yet.
    fn is_border(&self, key: LaneKey, time: Timestamp) -> bool {
        let Some(LaneId::Window { start, .. }) = self.lanes.get(&key).map(|lane| &lane.id) else {
            return false;
        };
        let second = time.seconds();
        let Some(end) = self.window_after(*start) else { return true };
        second < start.saturating_add(BORDER_SECONDS)
            || second >= end.saturating_sub(BORDER_SECONDS)
    }

    fn window_after(&self, start: i64) -> Option<i64> {
        let from = LaneId::Window { start, pass: u8::MAX };
        let mut later =
            self.by_id.range((std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded));
        match later.next() {
            Some((LaneId::Window { start, .. }, _)) => Some(*start),
            _ => None,
        }
    }

    /// Finished windows whose neighbours are finished too: nobody brings their events again.
    fn unneeded_windows(&self) -> Vec<LaneKey> {
        let windows: Vec<(LaneKey, bool)> = self
            .by_id
            .iter()
            .filter(|(id, _)| matches!(id, LaneId::Window { .. }))
            .map(|(_, key)| (*key, self.lanes.get(key).is_some_and(|lane| lane.done)))
            .collect();
        let is_done = |index: Option<usize>| {
            index.and_then(|index| windows.get(index)).map(|(_, done)| *done)
        };
        (0..windows.len())
            .filter(|&index| {
                windows[index].1
                    && is_done(index.checked_sub(1)).unwrap_or(true)
                    && is_done(Some(index + 1)).unwrap_or(false)
            })
            .map(|index| windows[index].0)
            .collect()
    }
}

#[cfg(test)]
mod tests;
