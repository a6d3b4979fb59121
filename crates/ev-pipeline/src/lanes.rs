//! The lane book: which events of each lane are settled, and how far its resume point may move.
//!
//! Pure bookkeeping without time, I/O or async: every promise about loss and repetition is decided
//! here. A lane is a row of segments; a segment is what lies between two marks of the source. Only
//! when the segments at the front are settled to the last event does the resume point move behind
//! them.

mod chunks;
mod lane;
mod left_over;
mod status;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use ev_core::{
    Advance, Change, EventDigest, LaneId, LaneRow, NewParked, SessionId, SessionLedger, Settle,
    Timestamp, Token, Totals,
};

use crate::digests::DigestMap;
use crate::identity::Identity;
use crate::known::LaneKey;
use crate::ledger::{Hours, Indexes, LedgerKey, Recording};
use crate::tally::{Passed, Settled, add_totals};

use self::chunks::{DoneChunks, is_date};
pub(crate) use self::lane::Slot;
use self::lane::{Lane, Proof, Segment};
pub(crate) use self::left_over::{LeftOver, start_of};
pub(crate) use self::windows::is_near;

/// How far behind its start, in seconds, a window must be read without an event that is known
/// before it is taken to have left behind what its neighbour had read: a live window is read up to
/// the newest event before its end is decided, which is at least a minute before that event.
const OVERLAP_SECONDS: i64 = 120;

/// All lanes of a sink.
#[derive(Debug, Default)]
pub(crate) struct LaneBook {
    lanes: BTreeMap<LaneKey, Lane>,
    by_id: BTreeMap<LaneId, LaneKey>,
    next_key: LaneKey,
    opened: Vec<LaneKey>,
    passed: Passed,
    /// Events that were taken and are not settled.
    in_hand: usize,
    /// Those of them that are of windows, by id.
    unsettled: DigestMap<Holder>,
    /// Not among `lanes`.
    done_chunks: DoneChunks,
}

/// What goes with a change and is not in it.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// What the ledger of hours is told.
    pub(crate) hours: Hours,
    /// Events that are to be on the disk before.
    pub(crate) exports: Vec<NewParked>,
}

/// Who is to settle an event.
#[derive(Debug)]
struct Holder {
    lane: LaneKey,
    /// Segments of other lanes that have brought it too.
    waiting: Vec<(LaneKey, u64)>,
}

impl LaneBook {
    /// The book as an earlier run left it.
    pub(crate) fn restore(rows: &[LaneRow]) -> Self {
        let mut book = Self::default();
        for row in rows {
            if is_done_chunk(row) {
                book.done_chunks.add(row.lane.clone());
                continue;
            }
            let key = book.insert(row.lane.clone(), row.token.clone(), row.page);
            let Some(lane) = book.lanes.get_mut(&key) else { continue };
            lane.done = row.done;
            lane.ended = row.done;
            lane.restored = !row.done;
            lane.resumed = row.recent.iter().copied().collect();
        }
        book
    }

    /// Lanes that still have something to read, with the point to read from.
    pub(crate) fn unfinished(&self) -> Vec<(LaneId, Token)> {
        let open = self.lanes.values().filter(|lane| !lane.ended);
        open.map(|lane| (lane.id.clone(), lane.read.clone())).collect()
    }

    /// Windows that are read and may be re-scanned, each lane with its last resume point.
    pub(crate) fn closed(&self) -> Vec<(LaneId, Token)> {
        let closed = self.lanes.values().filter(|lane| lane.is_window() && lane.ended);
        closed.map(|lane| (lane.id.clone(), lane.read.clone())).collect()
    }

    /// Chunks that an earlier run has read to their end.
    pub(crate) fn done_chunks(rows: &[LaneRow]) -> impl Iterator<Item = (LaneId, Token)> {
        let done = rows.iter().filter(|row| is_done_chunk(row));
        done.map(|row| (row.lane.clone(), row.token.clone()))
    }

    /// Recordings that were begun in an earlier run: their ledger is to be read from the state.
    pub(crate) fn begun_recordings(&self) -> Vec<SessionId> {
        let begun = self.lanes.values().filter(|lane| lane.recording.is_none());
        begun.filter_map(Lane::session).cloned().collect()
    }

    /// The state has this ledger of a recording.
    pub(crate) fn set_recording(&mut self, row: &SessionLedger) {
        let id = LaneId::Session(row.session.clone());
        let Some(lane) = self.key(&id).and_then(|key| self.lanes.get_mut(&key)) else { return };
        let recording = Recording::from_row(row);
        lane.indexes = Indexes::behind(&recording);
        lane.recording = Some(recording);
    }

    /// Lanes of the log that may have brought an event of that second, those included that are done
    /// and stand in the state alone.
    pub(crate) fn around(&self, second: i64) -> Vec<LaneId> {
        let mut lanes = self.windows_around(second);
        for date in left_over::dates_around(second) {
            lanes.extend(chunks_of(&self.by_id, &date).cloned());
            lanes.extend(self.done_chunks.of(&date));
        }
        lanes
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

    /// First second of the oldest stretch of the log that is kept.
    pub(crate) fn oldest(&self) -> Option<i64> {
        self.by_id.keys().find_map(left_over::start_of)
    }

    pub(crate) fn contains(&self, id: &LaneId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether there may be more to read of a lane.
    pub(crate) fn is_open(&self, id: &LaneId) -> bool {
        self.key(id).and_then(|key| self.lanes.get(&key)).is_some_and(|lane| !lane.ended)
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

    /// Those of the digests that lanes have taken and that may not be in the state yet.
    pub(crate) fn taken(
        &self,
        lanes: &[LaneKey],
        digests: &BTreeSet<EventDigest>,
    ) -> BTreeSet<EventDigest> {
        let mut taken = BTreeSet::new();
        for lane in lanes.iter().filter_map(|key| self.lanes.get(key)) {
            let is_held = |digest: &&EventDigest| {
                lane.recent.contains(digest) || lane.resumed.contains(*digest)
            };
            taken.extend(digests.iter().filter(is_held));
            let settled =
                lane.settled.values().flat_map(|(inner, border)| inner.iter().chain(border));
            taken.extend(settled.filter(|digest| digests.contains(digest)));
        }
        taken
    }

    /// Where ids were found that the state was asked for.
    pub(crate) fn found(&mut self, key: LaneKey, page: u64) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.hint = page;
        }
    }

    /// A page has been looked at: the newest second in it, and whether something of it was known
    /// although this lane had not taken it lately.
    pub(crate) fn looked_at(&mut self, key: LaneKey, newest: i64, known: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.newest = lane.newest.max(newest);
        if known {
            // Whatever made the source go back, the next page may be of that stretch too.
            lane.overlapping = true;
        } else if let LaneId::Window { start, .. } = lane.id
            && lane.newest >= start.saturating_add(OVERLAP_SECONDS)
        {
            lane.overlapping = false;
        }
    }

    /// Whether the lane took the event lately; nothing follows from it.
    pub(crate) fn knows(&self, key: LaneKey, digest: &EventDigest) -> bool {
        let lane = self.lanes.get(&key).filter(|lane| lane.knows_ids());
        lane.is_some_and(|lane| lane.resumed.contains(digest) || lane.recent.contains(digest))
    }

    /// Whether the lane took the event lately; it is settled at this place of the lane then.
    pub(crate) fn recognise(&mut self, key: LaneKey, digest: &EventDigest) -> bool {
        let Some(lane) = self.lanes.get_mut(&key) else { return false };
        if !lane.knows_ids() {
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
        let known = lane.recent.contains(digest);
        if known {
            // Auth may repeat the page once more.
            let segment = lane.open_segment();
            lane.recent.insert(segment, *digest);
        }
        known
    }

    /// An event is known and so not taken again. If another lane has taken it and not settled it,
    /// this one may not pass it before: after a crash the other lane need not bring it again. The
    /// live window reads on behind the second at which it is decided to end, and when it is taken up
    /// again, it ends there.
    pub(crate) fn leave_to_other(&mut self, key: LaneKey, digest: &EventDigest) {
        // Auth may repeat the page, and where it is known from may not be asked again then.
        self.learn(key, *digest);
        let Some(holder) = self.unsettled.get_mut(digest).filter(|holder| holder.lane != key)
        else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let number = lane.open_segment();
        let Some(segment) = lane.segments.back_mut() else { return };
        segment.unsettled += 1;
        lane.unsettled += 1;
        holder.waiting.push((key, number));
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
        self.in_hand += 1;
        if !lane.knows_ids() {
            let proof = Proof::Nothing;
            return Some(Slot { lane: key, segment, digest: None, border: false, proof });
        }
        lane.recent.insert(segment, digest);
        lane.newest = lane.newest.max(time.seconds());
        if lane.is_window() {
            self.unsettled.insert_new(digest, Holder { lane: key, waiting: Vec::new() });
        }
        let proof = Proof::Nothing;
        Some(Slot { lane: key, segment, digest: Some(digest), border, proof })
    }

    /// The slot of an event of a recording that was just taken, with what the ledger is told of it.
    pub(crate) fn prove_recorded(&mut self, slot: Slot, key: &LedgerKey, event: &Identity) -> Slot {
        let Some(lane) = self.lanes.get_mut(&slot.lane) else { return slot };
        let LaneId::Session(session) = &lane.id else { return slot };
        Slot { proof: Proof::Recording(lane.indexes.enter(key, session, event)), ..slot }
    }

    /// The lane has met an event that it did not take: from now on it is known here within this
    /// run. Of one that was parked without an id and turns out to have one, the state learns by
    /// [`LaneBook::remember`].
    pub(crate) fn learn(&mut self, key: LaneKey, digest: EventDigest) {
        if let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.knows_ids()) {
            let segment = lane.open_segment();
            lane.recent.insert(segment, digest);
        }
    }

    /// An event that was learned is delivered: its id goes into the same change.
    pub(crate) fn remember(&mut self, id: &LaneId, digest: EventDigest) {
        let Some(lane) = self.key(id).and_then(|key| self.lanes.get_mut(&key)) else { return };
        if lane.is_window() {
            // As one near the border, so that the neighbours find it too.
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
        self.in_hand = self.in_hand.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(&slot.lane) else { return };
        let Some(segment) = lane.segment_mut(slot.segment) else { return };
        let Some(digest) = slot.digest else {
            segment.passed.count(how);
            if let Proof::Recording(entry) = &slot.proof {
                segment.recording.insert(entry);
            }
            return self.settle_segment(slot.lane, slot.segment);
        };
        // What is recognised by its id is in the same transaction as the id.
        self.passed.count(how);
        if let Proof::Hour(line) = &slot.proof {
            self.passed.hours.insert(line);
        }
        let (inner, border) = lane.settled.entry(slot.segment).or_default();
        if slot.border {
            border.push(digest)
        } else {
            inner.push(digest)
        }
        self.settle_segment(slot.lane, slot.segment);
        let is_ours = |holder: &Holder| holder.lane == slot.lane;
        if let Some(holder) = self.unsettled.remove_if(&digest, is_ours) {
            for (key, segment) in holder.waiting {
                self.settle_segment(key, segment);
            }
        }
    }

    /// One event less is unsettled in a segment.
    fn settle_segment(&mut self, key: LaneKey, number: u64) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(segment) = lane.segment_mut(number) else { return };
        segment.unsettled = segment.unsettled.saturating_sub(1);
        lane.unsettled = lane.unsettled.saturating_sub(1);
        lane.advance(&mut self.passed);
    }

    /// The lane has no more events than those taken.
    pub(crate) fn end(&mut self, id: &LaneId) {
        if let Some(lane) = self.by_id.get(id).and_then(|key| self.lanes.get_mut(key)) {
            lane.ended = true;
        }
    }

    /// Nothing more of a recording can be had: it ends with what was taken of it.
    pub(crate) fn give_up(&mut self, id: &LaneId) {
        if let Some(lane) = self.by_id.get(id).and_then(|key| self.lanes.get_mut(key)) {
            lane.ended = true;
            lane.given_up = true;
        }
    }

    /// Events taken and not settled, and marks that wait for them: what is held in memory.
    ///
    /// Both count, or one stuck event at the front of a long recording would let everything behind
    /// it pile up.
    pub(crate) fn backlog(&self) -> usize {
        self.lanes.values().map(Lane::backlog).sum()
    }

    /// What of it is of recordings.
    pub(crate) fn backlog_of_recordings(&self) -> usize {
        let lanes = self.lanes.values().filter(|lane| matches!(lane.id, LaneId::Session(_)));
        lanes.map(Lane::backlog).sum()
    }

    /// All recordings in the book.
    pub(crate) fn recordings(&self) -> impl Iterator<Item = &LaneId> {
        self.by_id.keys().filter(|id| matches!(id, LaneId::Session(_)))
    }

    /// Whether nothing is left but one window that stays open, or dates that may have more chunks.
    /// Lanes that are set aside do not count, as soon as all that came of them is settled.
    pub(crate) fn only_live_left(&self, is_set_aside: impl Fn(&LaneId) -> bool) -> bool {
        let is_left = |lane: &&Lane| lane.unsettled > 0 || !lane.ended && !is_set_aside(&lane.id);
        let mut open = self.lanes.values().filter(is_left).filter(|lane| !is_date(&lane.id));
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

    /// Moves everything that changed since the last call into `change`, and adds it to `totals`;
    /// returns what goes with it. `now`: in seconds.
    pub(crate) fn take_change(
        &mut self,
        change: &mut Change,
        totals: &mut Totals,
        now: i64,
    ) -> Beside {
        for key in std::mem::take(&mut self.opened) {
            if let Some(lane) = self.lanes.get(&key) {
                // The first token, even if reading has moved on: the advance below moves it.
                change.open.push((lane.id.clone(), lane.token.clone()));
                change.session_ledger.extend(lane.recording_row(now));
            }
        }
        let (mut finished, mut done) = (Vec::new(), Vec::new());
        for (key, lane) in &mut self.lanes {
            for (page, (inner, border)) in std::mem::take(&mut lane.settled) {
                change.settle.push(Settle { lane: lane.id.clone(), page, inner, border });
            }
            let moved = std::mem::take(&mut lane.moved);
            if moved {
                change.advance.push(Advance {
                    lane: lane.id.clone(),
                    token: lane.token.clone(),
                    page: if lane.resumed.is_empty() { lane.front } else { lane.floor },
                });
            }
            if lane.ended && !lane.done && lane.unsettled == 0 {
                lane.done = true;
                match &lane.id {
                    LaneId::Window { .. } => change.done.push(lane.id.clone()),
                    // It goes with its date.
                    LaneId::Chunk { .. } if is_date(&lane.id) => {}
                    LaneId::Chunk { .. } => {
                        change.done.push(lane.id.clone());
                        done.push(*key);
                    }
                    LaneId::Session(_) => {
                        // What no mark stands behind has been passed too.
                        for segment in std::mem::take(&mut lane.segments) {
                            lane.pass(segment, &mut self.passed);
                        }
                        self.passed.totals.sessions += u64::from(!lane.given_up);
                        finished.push(*key);
                    }
                }
            }
            if moved || lane.done {
                change.session_ledger.extend(lane.recording_row(now));
            }
        }
        for key in finished.into_iter().chain(self.unneeded_windows()) {
            if let Some(lane) = self.lanes.remove(&key) {
                self.by_id.remove(&lane.id);
                change.forget.push(lane.id);
            }
        }
        for lane in done.into_iter().filter_map(|key| self.lanes.remove(&key)) {
            self.by_id.remove(&lane.id);
            self.done_chunks.add(lane.id);
        }
        let by_id = &self.by_id;
        let is_read = |date: &str| chunks_of(by_id, date).any(|lane| !is_date(lane));
        for lane in self.done_chunks.unneeded(is_read) {
            if let Some(key) = self.by_id.remove(&lane) {
                self.lanes.remove(&key);
            }
            change.forget.push(lane);
        }
        let Passed { totals: more, parks, exports, hours } = std::mem::take(&mut self.passed);
        add_totals(totals, &more);
        change.park.extend(parks);
        Beside { hours, exports }
    }

    /// What the ledger will be told with the next change.
    pub(crate) fn hours(&mut self) -> &mut Hours {
        &mut self.passed.hours
    }

    fn insert(&mut self, id: LaneId, token: Token, front: u64) -> LaneKey {
        let key = self.next_key;
        self.next_key += 1;
        self.by_id.insert(id.clone(), key);
        self.lanes.insert(key, Lane::new(id, token, front));
        key
    }
}

/// Whether nothing is kept of a lane but its name.
fn is_done_chunk(row: &LaneRow) -> bool {
    row.done && matches!(row.lane, LaneId::Chunk { .. })
}

/// Lanes of a date that are in the book.
fn chunks_of<'a>(
    by_id: &'a BTreeMap<LaneId, LaneKey>,
    date: &'a str,
) -> impl Iterator<Item = &'a LaneId> {
    let first = LaneId::Chunk { date: date.to_owned(), chunk: String::new() };
    let of = move |lane: &&LaneId| matches!(lane, LaneId::Chunk { date: d, .. } if d == date);
    by_id.range(first..).map(|(lane, _)| lane).take_while(of)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
