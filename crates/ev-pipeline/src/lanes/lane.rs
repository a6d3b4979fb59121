//! One lane: a row of segments, and how far its resume point is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ev_core::{EventDigest, LaneId, SessionId, SessionLedger, Token};

use crate::digest::sha256;
use crate::known::{LaneKey, RecentIds};
use crate::ledger::{Entry, Indexes, Line, Recording};
use crate::tally::Passed;

/// An event that was taken from a lane and is not settled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(super) lane: LaneKey,
    pub(super) segment: u64,
    /// What to remember the event by; recordings are resumed by position and need nothing.
    pub(super) digest: Option<EventDigest>,
    pub(super) border: bool,
    /// What the ledger is told when it is settled.
    pub(super) proof: Proof,
}

/// What the ledger is told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Nothing,
    Hour(Line),
    Recording(Entry),
}

impl Slot {
    /// Of an event of the log, with what the ledger is told of it.
    pub(crate) fn prove(self, line: Line) -> Self {
        Self { proof: Proof::Hour(line), ..self }
    }

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
pub(super) struct Segment {
    pub(super) unsettled: usize,
    /// Of a recording's events, which are recognised by their place alone: told to the state only
    /// when the resume point passes them, or they would count twice after a crash.
    pub(super) passed: Passed,
    /// Of a recording's events: what its ledger is told then.
    pub(super) recording: Recording,
    /// The resume point behind the segment, once the source has set a mark there.
    pub(super) closed: Option<Token>,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    /// Where the state stands, or will once the next change is committed.
    pub(super) token: Token,
    /// Where reading stands: the newest mark.
    pub(super) read: Token,
    /// Number of the segment at the front.
    pub(super) front: u64,
    /// Never empty: the last one is open.
    pub(super) segments: VecDeque<Segment>,
    pub(super) unsettled: usize,
    pub(super) ended: bool,
    /// Whether it ended because it was given up.
    pub(super) given_up: bool,
    pub(super) done: bool,
    /// Whether its window will not be re-scanned any more.
    pub(super) retired: bool,
    pub(super) moved: bool,
    /// An earlier run had begun to read it. If it was the live window, that may have come further
    /// than where it is decided to end now.
    pub(super) restored: bool,
    /// Second of the newest event that has come.
    pub(super) newest: i64,
    /// The second in which this run began to read it.
    pub(super) since: i64,
    /// Whether what comes may lie in front of what was read before: true at the beginning and when
    /// a page brings something known, until one brings nothing known.
    pub(super) overlapping: bool,
    /// Page of the window's first reading in which ids were found last.
    pub(super) hint: u64,
    pub(super) recent: RecentIds,
    /// Ids that an earlier run settled at or behind the resume point, until they come again.
    pub(super) resumed: BTreeSet<EventDigest>,
    /// Number of the page that the state may not pass while `resumed` holds something: the pages
    /// may be cut differently this time, and ids of later ones must still be found after another
    /// crash.
    pub(super) floor: u64,
    /// Settled since the last change, by segment: interior and border.
    pub(super) settled: BTreeMap<u64, (Vec<EventDigest>, Vec<EventDigest>)>,
    /// Of a recording: its ledger up to the resume point. `None` if nothing is known of what an
    /// earlier run had of it.
    pub(super) recording: Option<Recording>,
    /// Of a recording: the index that is due.
    pub(super) indexes: Indexes,
}

impl Lane {
    pub(super) fn new(id: LaneId, token: Token, front: u64) -> Self {
        Self {
            id,
            read: token.clone(),
            token,
            front,
            segments: VecDeque::from([Segment::default()]),
            unsettled: 0,
            ended: false,
            given_up: false,
            done: false,
            retired: false,
            moved: false,
            restored: false,
            newest: i64::MIN,
            since: i64::MAX,
            overlapping: true,
            hint: 0,
            recent: RecentIds::default(),
            resumed: BTreeSet::new(),
            floor: front,
            settled: BTreeMap::new(),
            recording: (front == 0).then(Recording::default),
            indexes: Indexes::default(),
        }
    }

    pub(super) fn session(&self) -> Option<&SessionId> {
        match &self.id {
            LaneId::Session(session) => Some(session),
            LaneId::Window { .. } | LaneId::Chunk { .. } => None,
        }
    }

    pub(super) fn is_window(&self) -> bool {
        matches!(self.id, LaneId::Window { .. })
    }

    /// Whether its events are recognised by their ids. Those of a recording are by their place.
    pub(super) fn knows_ids(&self) -> bool {
        !matches!(self.id, LaneId::Session(_))
    }

    pub(super) fn backlog(&self) -> usize {
        self.unsettled + self.segments.len().saturating_sub(1)
    }

    pub(super) fn is_rescan(&self) -> bool {
        matches!(self.id, LaneId::Window { pass, .. } if pass > 0)
    }

    /// Number of the segment that events are added to.
    pub(super) fn open_segment(&self) -> u64 {
        self.front + self.segments.len() as u64 - 1
    }

    pub(super) fn segment_mut(&mut self, number: u64) -> Option<&mut Segment> {
        let index = usize::try_from(number.checked_sub(self.front)?).ok()?;
        self.segments.get_mut(index)
    }

    /// Moves the resume point over settled segments.
    pub(super) fn advance(&mut self, passed: &mut Passed) {
        while let Some(first) = self.segments.front() {
            if first.unsettled > 0 {
                break;
            }
            let Some(token) = first.closed.clone() else { break };
            self.token = token;
            self.moved = true;
            if let Some(segment) = self.segments.pop_front() {
                self.pass(segment, passed);
            }
            self.front += 1;
        }
        if self.moved {
            self.recent.keep_from(self.front);
        }
    }

    pub(super) fn pass(&mut self, segment: Segment, passed: &mut Passed) {
        passed.add(segment.passed);
        if let Some(recording) = &mut self.recording {
            recording.add(&segment.recording);
        }
    }

    /// The ledger of a recording as it is now. `now`: in seconds.
    pub(super) fn recording_row(&self, now: i64) -> Option<SessionLedger> {
        // What was given up was not read to its end.
        let closed = (self.done && !self.given_up).then_some(now);
        Some(self.recording?.to_row(self.session()?.clone(), closed))
    }
}
