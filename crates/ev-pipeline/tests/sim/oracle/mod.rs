//! Who knows what has to come out: looks at everything that goes in and out of the engine.
//!
//! An event that was sent is in one of three states: nobody told the engine that it arrived;
//! acknowledged, but a crash would forget that; acknowledged and committed. Only in the first one
//! may it be sent again, and a crash takes events of the second one back into the first.

mod end;
mod resume;
mod suspects;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ev_core::{Batch, BatchId, Change, LaneId, Mark, Page, ParkReason, Route, Totals, Verdict};

use self::suspects::Record;
use crate::event::{EventNo, Kind};
use crate::fault::{Fault, Met};
use crate::token::WindowToken;
use crate::world::World;

/// Events of one page at most: what may come beyond a bound.
const PAGE: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Perhaps stored, and the engine knows nothing of it.
    Unsure,
    /// The engine was told at that time; not committed.
    Acknowledged(Duration),
    Committed,
}

#[derive(Debug)]
struct Fate {
    stored: u32,
    sent: Sent,
    /// Whether it was, whatever became of it later.
    committed: bool,
}

/// What was counted, for the report.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lives: u64,
    pub(crate) pages: u64,
    pub(crate) requests: u64,
    pub(crate) commits: u64,
    /// Times that an event was stored once more.
    pub(crate) duplicates: u64,
    pub(crate) parked: u64,
    /// Late events that no search brought.
    pub(crate) passed_by: u64,
}

pub(crate) struct Oracle {
    digest: u64,
    lines: Option<Vec<String>>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
    /// Events that were handed to an engine, in any life.
    offered: BTreeSet<EventNo>,
    /// Events that may be delivered and counted twice: their ids change.
    slippery: BTreeSet<EventNo>,
    /// In this life, and not settled as far as can be seen from outside.
    outstanding: BTreeSet<EventNo>,
    fates: BTreeMap<EventNo, Fate>,
    acknowledged: Vec<EventNo>,
    /// Nothing is committed while the state cannot be written, or while a stop waits for answers.
    commits_wait: bool,
    parked: BTreeMap<EventNo, ParkReason>,
    /// How often each was parked: without an id it may be parked anew whenever it comes.
    times_parked: BTreeMap<EventNo, u64>,
    /// What the receivers of the log and of recordings did.
    records: [Record; 2],
    /// Highest place of each recording that was stored.
    recorded: BTreeMap<u32, u32>,
    under_way: Vec<Route>,
    batches: BTreeMap<BatchId, Vec<EventNo>>,
    /// Where the windows stand that are not done, each by its start and the number of the reading.
    windows: BTreeMap<(i64, u8), WindowToken>,
    /// The last resume point that each was given in this life, committed or not.
    given: BTreeMap<(i64, u8), WindowToken>,
    /// Late events that came in this life although reading had passed them.
    chances: BTreeSet<EventNo>,
    /// Windows that were read again to their end: start, end, and the second at which that began.
    read_again: Vec<(i64, i64, i64)>,
    /// Whether the source has not read all windows again yet.
    reads_again: bool,
    /// Recordings that were missing when they were asked for.
    missing: BTreeSet<u32>,
    met: Met,
    pub(crate) totals: Totals,
    trap: Option<(u32, bool)>,
}

impl Oracle {
    pub(crate) fn new(traces: bool) -> Self {
        Self {
            digest: 0xcbf2_9ce4_8422_2325,
            lines: traces.then(Vec::new),
            violations: Vec::new(),
            counts: Counts::default(),
            offered: BTreeSet::new(),
            slippery: BTreeSet::new(),
            outstanding: BTreeSet::new(),
            fates: BTreeMap::new(),
            acknowledged: Vec::new(),
            commits_wait: false,
            parked: BTreeMap::new(),
            times_parked: BTreeMap::new(),
            records: Default::default(),
            recorded: BTreeMap::new(),
            under_way: Vec::new(),
            batches: BTreeMap::new(),
            windows: BTreeMap::new(),
            given: BTreeMap::new(),
            chances: BTreeSet::new(),
            read_again: Vec::new(),
            reads_again: false,
            missing: BTreeSet::new(),
            met: Met::new(),
            totals: Totals::default(),
            trap: None,
        }
    }

    /// Something happened: part of what two runs of a seed must have in common.
    pub(crate) fn trace(&mut self, what: fmt::Arguments<'_>) {
        let line = what.to_string();
        for byte in line.bytes().chain([b'\n']) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.trace(format_args!("WRONG: {what}"));
        if self.violations.len() < 20 {
            self.violations.push(what);
        }
    }

    pub(crate) fn met(&mut self, fault: Fault) {
        *self.met.entry(fault).or_default() += 1;
    }

    pub(crate) fn take_met(&mut self) -> Met {
        std::mem::take(&mut self.met)
    }

    // What the source says.

    pub(crate) fn reads_again(&mut self, goes_on: bool) {
        self.reads_again = goes_on;
    }

    pub(crate) fn was_read_again(&mut self, start: i64, end: i64, opened: i64) {
        self.trace(format_args!("read again: {start} to {end}, from {opened} on"));
        self.read_again.push((start, end, opened));
    }

    pub(crate) fn was_missing(&mut self, session: u32) {
        self.missing.insert(session);
    }

    pub(crate) fn is_there(&mut self, session: u32) {
        if self.missing.remove(&session) {
            self.met(Fault::RecordingAppeared);
        }
    }

    pub(crate) fn gap_offered(&mut self, world: &World, lane: &LaneId, no: EventNo) {
        let now = world.now();
        self.trace(format_args!("{now:?} gap of {lane}: {no}"));
        let again = !self.offered.insert(no);
        self.met(if again { Fault::GapMetAgain } else { Fault::Gap });
        if !self.is_settled(world, no) {
            self.outstanding.insert(no);
        }
    }

    pub(crate) fn offered(&mut self, world: &World, page: &Page, events: &[EventNo]) {
        let now = world.now();
        let mark =
            |mark: &Mark| (mark.after, String::from_utf8_lossy(&mark.token.bytes).into_owned());
        self.trace(format_args!(
            "{now:?} page of {}: {events:?}, marks {:?}, repeats {}",
            page.lane,
            page.marks.iter().map(mark).collect::<Vec<_>>(),
            page.repeats
        ));
        self.counts.pages += 1;
        self.note_chances(world, page, events);
        let again = matches!(page.lane, LaneId::Window { pass, .. } if pass > 0);
        for no in events {
            if self.offered.insert(*no) && again {
                self.met(Fault::FoundLate);
            }
            if world.is_slippery(*no) {
                self.slippery.insert(*no);
            }
            if !self.is_settled(world, *no) {
                self.outstanding.insert(*no);
            }
        }
        // Events that were parked a moment ago are seen as settled only when they are committed.
        let config = &world.scenario.config;
        let most = config.max_unsettled + config.commit_events + 4 * PAGE;
        if self.outstanding.len() > most {
            let count = self.outstanding.len();
            self.wrong(format!("{count} events taken and not settled, {most} allowed"));
        }
    }

    // What the sink says.

    pub(crate) fn sending(&mut self, world: &World, batch: &Batch, events: &[EventNo]) {
        let Batch { id, route, .. } = batch;
        let now = world.now();
        self.trace(format_args!("{now:?} request {} {route:?}: {events:?}", id.0));
        self.counts.requests += 1;
        let shape = world.scenario.shape;
        if events.is_empty() || events.len() > shape.max_events {
            self.wrong(format!("a batch of {} events", events.len()));
        }
        let bytes: usize = batch.entries.iter().map(|entry| entry.json.len()).sum();
        if events.len() > 1 && bytes > shape.max_bytes {
            self.wrong(format!("a batch of {bytes} bytes, {} allowed", shape.max_bytes));
        }
        if self.batches.entry(*id).or_insert_with(|| events.to_vec()) != events {
            self.wrong(format!("batch {} is another one than it was", id.0));
        }
        if matches!(route, Route::Session(_)) && self.under_way.contains(route) {
            self.wrong(format!("two batches of {route:?} under way"));
        }
        self.under_way.push(route.clone());
        if self.under_way.len() > shape.max_in_flight {
            self.wrong(format!("{} requests under way", self.under_way.len()));
        }
        for no in events {
            if world.is_filtered(*no)
                || matches!(world.kind(*no), Kind::Malformed | Kind::Unprintable)
            {
                self.wrong(format!("event {no} is none to be sent"));
            }
            match self.fates.get(no).map(|fate| fate.sent) {
                _ if self.slippery.contains(no) => {}
                Some(Sent::Committed) => {
                    self.wrong(format!("event {no} is sent again after it was committed"));
                }
                Some(Sent::Acknowledged(_)) => {
                    self.wrong(format!("event {no} is sent again after it was acknowledged"));
                }
                Some(Sent::Unsure) | None => {}
            }
        }
    }

    pub(crate) fn off_the_way(&mut self, route: &Route) {
        if let Some(at) = self.under_way.iter().position(|found| found == route) {
            self.under_way.swap_remove(at);
        }
    }

    /// The receiver has stored events.
    pub(crate) fn stored(&mut self, world: &World, route: &Route, events: &[EventNo]) {
        self.trace(format_args!("stored {events:?}"));
        for no in events {
            let fate = self.fates.entry(*no).or_insert(Fate {
                stored: 0,
                sent: Sent::Unsure,
                committed: false,
            });
            fate.stored += 1;
            let again = fate.stored > 1;
            self.counts.duplicates += u64::from(again);
            let EventNo::Recorded(session, place) = *no else {
                if *route != Route::Audit {
                    self.wrong(format!("event {no} came by {route:?}"));
                }
                continue;
            };
            let last = self.recorded.insert(session, place);
            if let Some(last) = last.filter(|last| *last > place) {
                self.recorded.insert(session, last);
                // What was about to be parked when the process died may be sent by the next one.
                let parks = world.scenario.decoder_fails > 0 || world.scenario.offers.len() > 1;
                let is_excused = again
                    || self.parked.contains_key(no)
                    || world.poison(*no).is_some()
                    || parks && self.counts.lives > 1;
                if !is_excused {
                    self.wrong(format!("event {no} of a recording comes behind {last}"));
                }
            }
        }
    }

    pub(crate) fn answered(
        &mut self,
        world: &World,
        id: BatchId,
        events: &[EventNo],
        verdict: &Verdict,
    ) {
        let now = world.now();
        self.trace(format_args!("{now:?} answer to {}: {verdict:?}", id.0));
        if let (Verdict::Guilty { .. }, [no]) = (verdict, events) {
            self.record(*no).refused(*no);
        }
        if *verdict != Verdict::Delivered {
            return;
        }
        self.record(events[0]).took();
        for no in events {
            self.outstanding.remove(no);
            if let Some(fate) = self.fates.get_mut(no) {
                fate.sent = Sent::Acknowledged(now);
            }
        }
        self.acknowledged.extend(events);
        let most = world.scenario.config.commit_events + world.scenario.shape.max_events;
        if self.acknowledged.len() > most && !self.commits_wait {
            let count = self.acknowledged.len();
            self.wrong(format!("{count} events acknowledged and not committed, {most} allowed"));
        }
    }

    fn record(&mut self, no: EventNo) -> &mut Record {
        &mut self.records[usize::from(matches!(no, EventNo::Recorded(..)))]
    }

    // What the store says.

    pub(crate) fn let_commits_wait(&mut self) {
        self.commits_wait = true;
    }

    /// From now on the `nth` commit is the last one.
    pub(crate) fn set_trap(&mut self, trap: Option<(u32, bool)>) {
        self.trap = trap;
    }

    /// Whether the process dies in this commit, and if so whether it is durable.
    pub(crate) fn spring_trap(&mut self) -> Option<bool> {
        let (left, durable) = self.trap.as_mut()?;
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                None
            }
            None => Some(*durable),
        }
    }

    /// A change is durable.
    pub(crate) fn committed(&mut self, world: &World, change: &Change) {
        let now = world.now();
        self.counts.commits += 1;
        self.trace(format_args!(
            "{now:?} commit: open {} settle {} advance {:?} done {:?} forget {:?} park {} resolve \
             {} attempt {} {:?}",
            change.open.len(),
            change.settle.iter().map(|s| s.inner.len() + s.border.len()).sum::<usize>(),
            change.advance.iter().map(|a| (a.lane.to_string(), a.page)).collect::<Vec<_>>(),
            change.done,
            change.forget,
            change.park.len(),
            change.resolve.len(),
            change.attempt.len(),
            change.totals,
        ));
        // As long as the state can be written, no acknowledgement waits longer than it may.
        let most = world.scenario.config.commit_interval + Duration::from_millis(20);
        for no in std::mem::take(&mut self.acknowledged) {
            let Some(fate) = self.fates.get_mut(&no) else { continue };
            if let Sent::Acknowledged(at) = fate.sent {
                fate.sent = Sent::Committed;
                fate.committed = true;
                let waited = now.saturating_sub(at);
                if waited > most && !self.commits_wait {
                    self.wrong(format!("event {no} was committed {waited:?} after its answer"));
                }
            }
        }
        self.commits_wait = false;
        for parked in &change.park {
            let Some(no) = world.parked(parked.reason, &parked.bytes, &parked.detail) else {
                self.wrong("something was parked that Auth never had".to_owned());
                continue;
            };
            self.trace(format_args!("parked {no}: {} {}", parked.reason.as_str(), parked.detail));
            self.counts.parked += 1;
            self.outstanding.remove(&no);
            self.parked.insert(no, parked.reason);
            *self.times_parked.entry(no).or_default() += 1;
            if parked.reason == ParkReason::Refused
                && world.poison(no).is_none()
                && !self.record(no).seems_guilty(no)
            {
                self.wrong(format!("event {no} is parked as refused, and is innocent"));
            }
        }
        if let Some(totals) = change.totals {
            if !totals.balances() {
                self.wrong(format!("the sums do not balance: {totals:?}"));
            }
            self.totals = totals;
        }
        self.check_resume_points(world, change);
    }

    fn is_settled(&self, world: &World, no: EventNo) -> bool {
        world.is_filtered(no)
            || self.parked.contains_key(&no)
            || self.fates.get(&no).is_some_and(|fate| fate.sent != Sent::Unsure)
    }

    // What the runner says.

    /// A process has ended in order: what it was told of is committed.
    pub(crate) fn ended_in_order(&mut self) {
        let count = self.acknowledged.len();
        if count > 0 {
            self.wrong(format!("{count} events acknowledged and not committed at the end"));
        }
    }

    pub(crate) fn is_reading_again(&self) -> bool {
        self.reads_again
    }

    /// A process has ended without having been told to.
    pub(crate) fn crashed(&mut self, world: &World) {
        for no in std::mem::take(&mut self.acknowledged) {
            if let Some(fate) = self.fates.get_mut(&no) {
                fate.sent = if fate.committed { Sent::Committed } else { Sent::Unsure };
            }
        }
        self.new_life(world);
    }

    pub(crate) fn new_life(&mut self, world: &World) {
        let now = world.now();
        self.trace(format_args!("{now:?} end of a life"));
        self.forget_chances(world);
        self.outstanding.clear();
        self.under_way.clear();
        self.batches.clear();
        self.trap = None;
    }
}
