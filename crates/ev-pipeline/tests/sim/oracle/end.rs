//! What has to come of every event in the end.

use std::collections::BTreeSet;

use ev_core::Totals;

use super::{Oracle, Sent};
use crate::event::{EventNo, Kind};
use crate::scenario::{Logged, Offer, Trips};
use crate::world::World;

impl Oracle {
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
        let never = !offers.iter().any(|(_, offer)| *offer == Offer::Exact);
        match world.kind(no) {
            _ if world.is_filtered(no) => false,
            Kind::Malformed | Kind::Unprintable | Kind::TooLarge => true,
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

    /// Which late events nothing had to bring: no search did, and no re-scan that began later.
    pub(super) fn was_passed_by(&self, world: &World, no: EventNo) -> bool {
        let EventNo::Log(index) = no else { return false };
        let event = &world.scenario.log[index as usize];
        let second = event.time.seconds();
        let has = |(start, end, opened): &(i64, i64, i64)| {
            (*start..*end).contains(&second) && world.was_stored_at(event, *opened)
        };
        event.late && !self.offered.contains(&no) && !self.read_again.iter().any(has)
    }

    /// What has to hold when all is over. `parked`: what the state holds.
    pub(crate) fn check_end(&mut self, world: &World, parked: &[EventNo], totals: &Totals) {
        let expected = self.expected(world);
        let all = world.scenario.log.len() as u64;
        let log = expected.iter().filter(|no| matches!(no, EventNo::Log(_))).count() as u64;
        self.counts.passed_by = all - log;
        let mut parked_now = BTreeSet::new();
        for no in parked {
            // Whose id nobody knew may be, until it is delivered.
            if !parked_now.insert(*no) && !self.slippery.contains(no) {
                self.wrong(format!("event {no} is parked twice"));
            }
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
        // Each of those may have been taken for a new one whenever it was parked or came.
        let times = |no| 1 + self.times_parked.get(no).copied().unwrap_or_default();
        let most: u64 = self.slippery.iter().map(times).sum();
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
