//! Session recordings: read on from their place, stopped when they cannot be read.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{LaneId, Lanes, Mark, SourceEvent, Stopped};

use super::lane::State;
use super::{SimSource, session_id};
use crate::auth::Reading;
use crate::fault::Fault;
use crate::token;

/// How long a source waits for the next event of a recording.
const PATIENCE: Duration = Duration::from_secs(30);

impl SimSource {
    pub(super) fn looked(&mut self, session: u32, since: Duration, now: Duration) {
        let lost = self.is_lost(since, now);
        let world = Arc::clone(&self.world);
        let Some(lane) = self.sessions.get_mut(&session) else { return };
        lane.state = State::Ready;
        let read = lane.at;
        if lost {
            return;
        }
        let id = LaneId::Session(session_id(session));
        let most = u32::try_from(self.rng.between(1, 20)).unwrap();
        match world.read_recording(session, read, most) {
            Reading::Events { count, ended } => {
                world.oracle().is_there(session);
                lane.at += count;
                let events: Vec<_> =
                    (read..read + count).map(|place| world.recorded(session, place)).collect();
                let marks = (1..=count)
                    .map(|n| Mark { after: n as usize, token: token::session(read + n) });
                let marks: Vec<_> = marks.collect();
                if count > 0 {
                    self.told_of_tip = false;
                    self.yield_page(id.clone(), events, marks, false, now);
                }
                if ended {
                    self.sessions.remove(&session);
                    self.lanes(Lanes { ended: vec![id], ..Lanes::default() });
                }
            }
            Reading::Missing => {
                self.stop(session, true, "there is no such recording", Fault::RecordingMissing);
            }
            Reading::Broken => {
                self.stop(session, false, "the recording cannot be read", Fault::RecordingBroken);
            }
            Reading::Nothing if now.saturating_sub(since) >= PATIENCE => {
                self.stop(session, false, "nothing comes any more", Fault::RecordingSilent);
            }
            Reading::Nothing => lane.state = State::Fetching { since, done: since + PATIENCE },
        }
    }

    fn stop(&mut self, session: u32, missing: bool, reason: &str, fault: Fault) {
        self.world.oracle().met(fault);
        if missing {
            self.world.oracle().was_missing(session);
        }
        self.sessions.remove(&session);
        let lane = LaneId::Session(session_id(session));
        let stopped = Stopped { lane, missing, reason: reason.to_owned() };
        self.out.push_back((SourceEvent::Stopped(stopped), Vec::new()));
    }
}
