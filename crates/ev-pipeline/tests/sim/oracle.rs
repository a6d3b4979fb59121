//! Who knows what has to come out: looks at everything that goes in and out of the engine.
//!
//! An event that was sent is in one of three states: nobody told the engine that it arrived;
//! acknowledged, but a crash would forget that; acknowledged and committed. Only in the first one
//! may it be sent again, and a crash takes events of the second one back into the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ev_core::{Batch, BatchId, Change, LaneId, Page, ParkReason, Route, Totals, Verdict};

use crate::event::{EventNo, Kind};
use crate::scenario::{Logged, Trips};
use crate::source::session_number;
use crate::token::{self, WindowToken};
use crate::world::World;

/// Events of one page at most: what may come beyond a bound.
const PAGE: usize = 40;

/// What a receiver did, as far as it matters to whether an event is guilty.
#[derive(Debug, Default)]
struct Record {
    taken: u64,
    /// Lone events that were refused, and how much had been taken by then.
    refused: BTreeMap<EventNo, u64>,
    proved: BTreeSet<EventNo>,
    /// Events parked without such proof, since one was taken.
    on_trust: u32,
}

impl Record {
    fn took(&mut self) {
        self.taken += 1;
        self.on_trust = 0;
    }

    fn refused(&mut self, no: EventNo) {
        let before = self.refused.insert(no, self.taken);
        if before.is_some_and(|before| before < self.taken) {
            self.proved.insert(no);
        }
    }
}

/// So many events may be parked in a row that the receiver would take at another time.
const INNOCENTS: u32 = 3;

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
    /// What the receivers of the log and of recordings did.
    records: [Record; 2],
    /// Highest place of each recording that was stored.
    recorded: BTreeMap<u32, u32>,
    under_way: Vec<Route>,
    batches: BTreeMap<BatchId, Vec<EventNo>>,
    /// Where the windows stand that are not done.
    windows: BTreeMap<i64, WindowToken>,
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
            records: Default::default(),
            recorded: BTreeMap::new(),
            under_way: Vec::new(),
            batches: BTreeMap::new(),
            windows: BTreeMap::new(),
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

    // What the source says.

    pub(crate) fn offered(&mut self, world: &World, page: &Page, events: &[EventNo]) {
        let now = world.now();
        self.trace(format_args!(
            "{now:?} page of {}: {events:?}, marks {}, repeats {}",
            page.lane,
            page.marks.len(),
            page.repeats
        ));
        self.counts.pages += 1;
        for no in events {
            self.offered.insert(*no);
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

    /// Whether an engine that has only answers to go by may take an innocent event for guilty: it
    /// was refused, others were taken, and it was refused again. And without that, a few.
    fn seems_guilty(&mut self, no: EventNo) -> bool {
        let record = self.record(no);
        if record.proved.contains(&no) {
            return true;
        }
        record.on_trust += 1;
        record.on_trust <= INNOCENTS
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
            let Some(no) = EventNo::find(&parked.bytes) else {
                self.wrong("something was parked that Auth never had".to_owned());
                continue;
            };
            self.trace(format_args!("parked {no}: {} {}", parked.reason.as_str(), parked.detail));
            self.counts.parked += 1;
            self.outstanding.remove(&no);
            self.parked.insert(no, parked.reason);
            if parked.reason == ParkReason::Refused
                && world.poison(no).is_none()
                && !self.seems_guilty(no)
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

    /// Whatever is settled by nothing lies behind the resume point of a lane that will bring it
    /// again.
    fn check_resume_points(&mut self, world: &World, change: &Change) {
        let mut passed = Vec::new();
        let mut before = self.windows.clone();
        for (lane, token) in &change.open {
            if let LaneId::Window { start, .. } = lane {
                self.windows.entry(*start).or_insert_with(|| WindowToken::decode(token));
            }
        }
        for advance in &change.advance {
            match &advance.lane {
                LaneId::Session(id) => {
                    let session = session_number(id);
                    let read = token::session_place(&advance.token);
                    passed.extend((0..read).map(|place| EventNo::Recorded(session, place)));
                }
                LaneId::Window { start, .. } => {
                    let token = WindowToken::decode(&advance.token);
                    let from = before.remove(start).and_then(|token| token.key);
                    let to = token.key.map(|key| key.behind);
                    if to.is_some() {
                        let events = world.shelf.between(from.map(|key| key.behind), to);
                        passed.extend(events.map(|(_, index)| Logged::no(index)));
                    }
                    self.windows.insert(*start, token);
                }
                LaneId::Chunk { .. } => {}
            }
        }
        for lane in change.done.iter().chain(&change.forget) {
            match lane {
                LaneId::Session(id) => {
                    let session = session_number(id);
                    let events = world.scenario.recordings[session as usize].events;
                    passed.extend((0..events).map(|place| EventNo::Recorded(session, place)));
                }
                LaneId::Window { start, .. } => {
                    if let Some(token) = self.windows.remove(start) {
                        let events = world.shelf.between(token.key.map(|key| key.behind), None);
                        let end = token.end.unwrap_or(i64::MAX);
                        let inside =
                            |event: &Logged| (token.start..end).contains(&event.time.seconds());
                        let log = &world.scenario.log;
                        let events = events.map(|(_, at)| at).filter(|at| inside(&log[*at]));
                        passed.extend(events.map(Logged::no));
                    }
                }
                LaneId::Chunk { .. } => {}
            }
        }
        for no in passed {
            if !self.is_settled(world, no) && !self.will_come_again(world, no) {
                self.wrong(format!("all resume points have passed {no}, which is not settled"));
            }
        }
    }

    fn will_come_again(&self, world: &World, no: EventNo) -> bool {
        let EventNo::Log(index) = no else { return false };
        let event = &world.scenario.log[index as usize];
        let second = event.time.seconds();
        let place = world.shelf.place(index as usize, event);
        let brings = |token: &WindowToken| {
            token.start - if token.bare { 0 } else { 2 } <= second
                && token.end.is_none_or(|end| second <= end + 2)
                && token.key.is_none_or(|key| key.behind < place)
        };
        event.stored_at > world.now()
            || self.was_passed_by(world, no)
            || second < world.scenario.start
            || self.windows.values().any(brings)
    }

    fn is_settled(&self, world: &World, no: EventNo) -> bool {
        world.is_filtered(no)
            || self.parked.contains_key(&no)
            || self.fates.get(&no).is_some_and(|fate| fate.sent != Sent::Unsure)
    }

    /// A late event that no search brought: only reading the window once more would.
    fn was_passed_by(&self, world: &World, no: EventNo) -> bool {
        let EventNo::Log(index) = no else { return false };
        world.scenario.log[index as usize].late && !self.offered.contains(&no)
    }

    // What the runner says.

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
        self.outstanding.clear();
        self.under_way.clear();
        self.batches.clear();
        self.trap = None;
    }

    /// Everything that Auth has and that can be had from it.
    fn expected(&self, world: &World) -> Vec<EventNo> {
        let log = (0..world.scenario.log.len()).map(Logged::no);
        let announced = world.announced().into_iter();
        let announced = announced.filter(|(_, upload)| !self.was_passed_by(world, *upload));
        let recordings = announced.flat_map(|(session, _)| {
            let recording = &world.scenario.recordings[session as usize];
            let events = if recording.there_at.is_some() { recording.events } else { 0 };
            (0..events).map(move |place| EventNo::Recorded(session, place))
        });
        log.chain(recordings).filter(|no| !self.was_passed_by(world, *no)).collect()
    }

    /// Events that have neither been delivered, nor parked, nor left out.
    pub(crate) fn unsettled(&self, world: &World) -> Vec<EventNo> {
        self.expected(world).into_iter().filter(|no| !self.is_settled(world, *no)).collect()
    }

    /// Whether an event has to be parked in the end, and why.
    pub(crate) fn must_be_parked(&self, world: &World, no: EventNo) -> bool {
        let offers = &world.scenario.offers;
        let never = !offers.iter().any(|(_, offer)| *offer == crate::scenario::Offer::Exact);
        match world.kind(no) {
            _ if world.is_filtered(no) => false,
            Kind::Malformed | Kind::Unprintable => true,
            _ if world.trips(no) == Trips::ForEver => true,
            Kind::NewField | Kind::NewType if never => !self.is_delivered(no),
            _ => {
                world.scenario.poison_lasts && world.poison(no).is_some() && !self.is_delivered(no)
            }
        }
    }

    fn is_delivered(&self, no: EventNo) -> bool {
        self.fates.get(&no).is_some_and(|fate| fate.sent != Sent::Unsure)
    }

    /// Events that were to be delivered and are not.
    pub(crate) fn undelivered(&self, world: &World) -> Vec<EventNo> {
        let mut expected = self.expected(world);
        expected.retain(|no| {
            !world.is_filtered(*no) && !self.must_be_parked(world, *no) && !self.is_delivered(*no)
        });
        expected
    }

    /// What has to hold when all is over. `parked`: what the state holds.
    pub(crate) fn check_end(&mut self, world: &World, parked: &[EventNo], totals: &Totals) {
        let expected = self.expected(world);
        let all = world.scenario.log.len() as u64;
        let log = expected.iter().filter(|no| matches!(no, EventNo::Log(_))).count() as u64;
        self.counts.passed_by = all - log;
        let parked_now: BTreeSet<EventNo> = parked.iter().copied().collect();
        if parked_now.len() != parked.len() {
            self.wrong("an event is parked twice".to_owned());
        }
        let (mut filtered, mut delivered, mut resolved) = (0, 0, 0);
        let mut lost = Vec::new();
        for no in &expected {
            let is_parked = parked_now.contains(no);
            if self.must_be_parked(world, *no) && !is_parked {
                self.wrong(format!("event {no} is not parked"));
            } else if is_parked && !self.must_be_parked(world, *no) {
                self.wrong(format!("event {no} is still parked: {:?}", self.parked.get(no)));
            }
            if world.is_filtered(*no) {
                filtered += 1;
            } else if self.is_delivered(*no) {
                if self.parked.contains_key(no) { resolved += 1 } else { delivered += 1 }
            } else if !is_parked {
                lost.push(*no);
            }
        }
        if !lost.is_empty() {
            self.wrong(format!("lost: {lost:?}"));
        }
        let sums = [
            (totals.passed, expected.len() as u64),
            (totals.filtered, filtered),
            (totals.parked, parked.len() as u64),
            (totals.delivered + totals.resolved, delivered + resolved),
        ];
        let most = self.slippery.len() as u64;
        if sums.iter().any(|(found, counted)| found.abs_diff(*counted) > most) {
            self.wrong(format!(
                "passed, filtered, parked, delivered or resolved are (found, counted) {sums:?}, \
                 give or take {most}"
            ));
        }
        if !totals.balances() {
            self.wrong(format!("the sums do not balance: {totals:?}"));
        }
    }
}
