//! Whether resume points stand where they may.

use ev_core::{Change, LaneId, Page, Token};

use super::Oracle;
use crate::event::EventNo;
use crate::scenario::Logged;
use crate::source::session_number;
use crate::token::{self, WindowToken};
use crate::world::World;

impl Oracle {
    /// Whatever is settled by nothing lies behind the resume point of a lane that will bring it
    /// again.
    pub(super) fn check_resume_points(&mut self, world: &World, change: &Change) {
        let mut passed = Vec::new();
        for (lane, token) in &change.open {
            if let LaneId::Window { start, pass } = *lane {
                let token = WindowToken::decode(token);
                self.windows.entry((start, pass)).or_insert(token);
            }
        }
        for advance in &change.advance {
            match &advance.lane {
                LaneId::Session(id) => {
                    let session = session_number(id);
                    let read = token::session_place(&advance.token);
                    passed.extend((0..read).map(|place| EventNo::Recorded(session, place)));
                }
                LaneId::Window { start, pass } => {
                    let token = WindowToken::decode(&advance.token);
                    let before = self.windows.insert((*start, *pass), token.clone());
                    let is_passed = |no: &EventNo| {
                        let brings = |token| brings(world, token, *no);
                        before.as_ref().is_some_and(brings) && !brings(&token)
                    };
                    passed.extend(log(world).filter(is_passed));
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
                LaneId::Window { start, pass } => {
                    if let Some(token) = self.windows.remove(&(*start, *pass)) {
                        passed.extend(log(world).filter(|no| brings(world, &token, *no)));
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

    /// A late event may be met by chance, when a search is begun anew and goes over what was read
    /// before. Resume points that were given before that pass it like any that is late, and when
    /// the process ends before it is settled, it is as if it had never come.
    pub(super) fn note_chances(&mut self, world: &World, page: &Page, events: &[EventNo]) {
        let LaneId::Window { start, pass } = page.lane else { return };
        let is_chance = |no: &&EventNo| {
            let EventNo::Log(index) = **no else { return false };
            let known = self.windows.iter().filter(|(at, _)| !self.given.contains_key(at));
            let mut places = known.chain(&self.given).map(|(_, token)| token);
            world.scenario.log[index as usize].late
                && !self.is_settled(world, **no)
                && !places.any(|token| brings(world, token, **no))
        };
        let chances: Vec<EventNo> = events.iter().filter(is_chance).copied().collect();
        self.chances.extend(chances);
        if let Some(mark) = page.marks.last() {
            self.given.insert((start, pass), WindowToken::decode(&mark.token));
        }
    }

    /// Lanes begin.
    pub(crate) fn opened(&mut self, lanes: &[(LaneId, Token)]) {
        for (lane, token) in lanes {
            if let LaneId::Window { start, pass } = *lane {
                self.given.insert((start, pass), WindowToken::decode(token));
            }
        }
    }

    pub(super) fn forget_chances(&mut self, world: &World) {
        for no in std::mem::take(&mut self.chances) {
            if !self.is_settled(world, no) {
                self.offered.remove(&no);
            }
        }
        self.given.clear();
    }

    fn will_come_again(&self, world: &World, no: EventNo) -> bool {
        let EventNo::Log(index) = no else { return false };
        let event = &world.scenario.log[index as usize];
        event.stored_at > world.now()
            || self.was_passed_by(world, no)
            || self.chances.contains(&no)
            || event.time.seconds() < world.scenario.start
            || self.windows.values().any(|token| brings(world, token, no))
    }
}

fn log(world: &World) -> impl Iterator<Item = EventNo> {
    (0..world.scenario.log.len()).map(Logged::no)
}

/// Whether reading on at `token` brings an event of the log.
fn brings(world: &World, token: &WindowToken, no: EventNo) -> bool {
    let EventNo::Log(index) = no else { return false };
    let event = &world.scenario.log[index as usize];
    let second = event.time.seconds();
    token.start - if token.bare { 0 } else { 2 } <= second
        && token.end.is_none_or(|end| second <= end + 2)
        && token.key.is_none_or(|key| key.behind < world.shelf.place(index as usize, event))
}
