//! Windows of the log: what an answer means, what goes wrong with it, and what is read again.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Gap, LaneGap, LaneId, Lanes, SourceEvent};

use super::lane::{Lane, State};
use super::{SimSource, version};
use crate::auth::{Key, Place, Query};
use crate::event::EventNo;
use crate::fault::Fault;
use crate::scenario::{BASE, Logged, Sorting};
use crate::token::WindowToken;
use crate::window::{Then, Window};

/// A window and which reading of it: the first one is 0.
pub(super) type Reading = (i64, u8);

fn lane_id((start, pass): Reading) -> LaneId {
    LaneId::Window { start, pass }
}

impl SimSource {
    pub(super) fn answered(&mut self, at: Reading, since: Duration, now: Duration) {
        let lost = self.is_lost(since, now);
        let world = Arc::clone(&self.world);
        let scenario = &world.scenario;
        let faults = if scenario.is_calm(now) { Default::default() } else { scenario.page_faults };
        let met = |fault: Fault| world.oracle().met(fault);
        let Some(lane) = self.windows.get_mut(&at) else { return };
        lane.state = State::Ready;
        let window = &mut lane.at;
        let rng = &mut self.rng;
        if lost {
            window.lost(rng.size(1, u64::try_from(scenario.page_limit).unwrap()));
            return;
        }
        let query = window.query(world.auth_clock());
        if faults.slowed > 0 && rng.chance(faults.slowed) {
            met(Fault::SlowedDown);
            window.lost(scenario.page_limit);
            lane.state = State::Waiting { until: now + rng.millis(1000, 60_000) };
            return;
        }
        if query.key.is_some() && faults.refused > 0 && rng.chance(faults.refused) {
            met(Fault::KeyRefused);
            window.restart(scenario.sorting == Sorting::ByTime);
            lane.state = State::Waiting { until: now + rng.millis(500, 5000) };
            return;
        }
        let found = world.shelf.search(&scenario.log, &query, now, rng);
        if let Some((place, event)) = found.too_large {
            return self.pass_over(at, place, event, now);
        }
        let (mut items, mut next) = (found.items, found.next);
        if !scenario.is_calm(now) {
            let again = |key: Option<Key>| key.map(|key| Key { nonce: key.nonce + 1, ..key });
            if rng.chance(faults.short) && items.len() > 1 {
                items.truncate(rng.size(1, items.len() as u64));
                next = items.last().map(|item| Key { behind: item.place, nonce: 0 });
                met(Fault::PageShort);
            }
            if rng.chance(faults.empty) && query.key.is_some() {
                (items, next) = (Vec::new(), again(query.key));
                met(Fault::PageEmpty);
            } else if rng.chance(faults.repeated)
                && next.is_some()
                && let Some(key) = window.before()
            {
                items = world.shelf.search(&scenario.log, &Query { key, ..query }, now, rng).items;
                next = again(query.key);
                met(Fault::PageRepeated);
            } else if rng.chance(faults.stuck) && query.key.is_some() && !window.was_stuck() {
                next = query.key;
                met(Fault::KeyStuck);
            }
        }
        window.restore_limit(scenario.page_limit);
        let bytes: Vec<_> = items.iter().map(|item| (item.second, item.bytes.clone())).collect();
        let answer = window.take(&query, bytes, next, scenario.live_width);
        if !answer.events.is_empty() || !answer.marks.is_empty() {
            let repeats = answer.repeats || at.1 > 0;
            self.told_of_tip = false;
            self.yield_page(lane_id(at), answer.events, answer.marks, repeats, now);
        }
        if answer.caught_up && !std::mem::replace(&mut self.told_of_tip, true) {
            self.out.push_back((SourceEvent::CaughtUp, Vec::new()));
        }
        match answer.then {
            Then::Again => {}
            Then::Pause => {
                if let Some(lane) = self.windows.get_mut(&at) {
                    lane.state = State::Waiting { until: now + scenario.poll };
                }
            }
            Then::End => self.end(at, None),
            Then::Roll(end) => self.end(at, Some(end)),
        }
    }

    /// An event that cannot be sent is passed over, with a word about it.
    fn pass_over(&mut self, at: Reading, place: Place, event: usize, now: Duration) {
        let Some(lane) = self.windows.get_mut(&at) else { return };
        let mark = lane.at.pass_over(place);
        let second = self.world.scenario.log[event].time.seconds();
        let reason = "larger than Auth sends".to_owned();
        let gap = LaneGap {
            lane: lane_id(at),
            version: version(self.world.scenario.is_new(now)),
            gap: Gap { from: second, to: second + 1, reason },
        };
        self.out.push_back((SourceEvent::Gap(gap), vec![Logged::no(event)]));
        self.yield_page(lane_id(at), Vec::new(), vec![mark], true, now);
    }

    /// A reading is at its end, and, if it was that of the live window, the next one starts at
    /// `next`.
    fn end(&mut self, at: Reading, next: Option<i64>) {
        let Some(Lane { at: window, .. }) = self.windows.remove(&at) else { return };
        let (start, pass) = at;
        let end = next.or(window.end()).expect("it was decided where it ends");
        let opened = window.opened();
        if pass > 0 {
            self.world.oracle().was_read_again(start, end, opened);
        }
        self.rescans.ended(start, pass, end, if next.is_some() { opened.min(end) } else { opened });
        let mut lanes = Lanes { ended: vec![lane_id(at)], ..Lanes::default() };
        lanes.retired = self.retire();
        if let Some(start) = next {
            let token = self.window_from(start, None, false);
            lanes.opened = vec![(lane_id((start, 0)), token.encode())];
            self.add_window((start, 0), token, true);
        }
        self.lanes(lanes);
    }

    pub(super) fn retire(&mut self) -> Vec<LaneId> {
        self.rescans.retire().into_iter().map(lane_id).collect()
    }

    /// Begins to read the oldest window again that is due, one at a time.
    pub(super) fn begin_rescan(&mut self) {
        self.world.oracle().reads_again(self.rescans.any());
        if self.windows.keys().any(|(_, pass)| *pass > 0) {
            return;
        }
        let Some((start, end, pass)) = self.rescans.due(self.world.auth_clock()) else { return };
        self.world.oracle().met(Fault::ReadAgain);
        let token = self.window_from(start, Some(end), start == self.world.scenario.start);
        self.rescans.began(start, pass);
        let opened = vec![(lane_id((start, pass)), token.encode())];
        self.lanes(Lanes { opened, ..Lanes::default() });
        self.add_window((start, pass), token, true);
    }

    /// When a window has to be read again.
    pub(super) fn rescan_at(&self) -> Option<Duration> {
        let at = self.rescans.next_at()?;
        Some(Duration::from_secs(u64::try_from(at - BASE).unwrap_or(0)))
    }

    pub(super) fn window_from(&self, start: i64, end: Option<i64>, bare: bool) -> WindowToken {
        WindowToken { start, end, bare, opened: self.world.auth_clock(), key: None }
    }

    pub(super) fn add_window(&mut self, at: Reading, token: WindowToken, known: bool) {
        let window = Window::new(at.0, token, known, self.world.scenario.page_limit);
        self.windows.insert(at, Lane::new(window));
    }

    /// The engine takes a gap.
    pub(super) fn gap_taken(&self, gap: &LaneGap, events: &[EventNo]) {
        for no in events {
            self.world.oracle().gap_offered(&self.world, &gap.lane, *no);
        }
    }
}
