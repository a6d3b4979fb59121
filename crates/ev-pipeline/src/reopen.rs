//! Recordings that cannot be read at the moment: when they are asked for again, and when no more.
//!
//! A recording that is *missing* may still be on its way to Auth, and is given up in the end. One
//! that is there and *unreadable* (damaged, or we may not read it) is set aside and asked for ever
//! more rarely: an operator, or a newer Auth, may mend it. How long it has been so is kept in the
//! state, so that restarts neither shorten nor prolong it.

use std::collections::BTreeMap;
use std::time::Duration;

use ev_core::{LaneId, SessionId, SessionTrouble, Source, Stopped, Token};
use tracing::{debug, error, info, warn};

use crate::engine::Core;

/// Attempts after which a recording may be given up, however long they took.
const LEAST_ATTEMPTS: u32 = 10;
/// Attempts after which nobody waits for a recording who only waits for the last event.
const ATTEMPTS_TO_WAIT_FOR: u32 = 3;
/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 512;

/// A lane that had to be closed, and when to try it again.
#[derive(Debug)]
struct Reopen {
    /// When it was closed first, without an event of it since; wall clock, in seconds.
    since: i64,
    at: Duration,
    attempts: u32,
    missing: bool,
    waiting: bool,
    /// Somebody was told that it has been unreadable for very long.
    told: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct StoppedLanes {
    lanes: BTreeMap<LaneId, Reopen>,
    /// Given up, now or in an earlier run.
    given_up: BTreeMap<LaneId, SessionTrouble>,
}

impl StoppedLanes {
    /// As an earlier run left them: they are tried at once, and count on from there.
    pub(crate) fn restore(rows: Vec<SessionTrouble>) -> Self {
        let mut stopped = Self::default();
        for row in rows {
            let lane = LaneId::Session(row.session.clone());
            if row.given_up_seconds.is_some() {
                stopped.given_up.insert(lane, row);
                continue;
            }
            let SessionTrouble { since_seconds: since, attempts, missing, .. } = row;
            let at = Duration::ZERO;
            let reopen = Reopen { since, at, attempts, missing, waiting: false, told: false };
            stopped.lanes.insert(lane, reopen);
        }
        stopped
    }

    /// When the next one is tried again, of those that are not `held` back for another reason.
    pub(crate) fn due_at(&self, held: impl Fn(&LaneId) -> bool) -> Option<Duration> {
        let waiting = self.lanes.iter().filter(|(lane, reopen)| reopen.waiting && !held(lane));
        waiting.map(|(_, reopen)| reopen.at).min()
    }

    /// How many those are that are asked for.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// How often a lane was asked for in vain, if it cannot be read.
    pub(crate) fn attempts(&self, lane: &LaneId) -> Option<u32> {
        self.lanes.get(lane).map(|reopen| reopen.attempts)
    }

    /// Those given up, in this run or an earlier one.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = &SessionTrouble> {
        self.given_up.values()
    }

    /// Whether nobody need wait for it who only waits for the last event: it was asked for several
    /// times in vain. It stays in the state for the next run.
    pub(crate) fn is_set_aside(&self, lane: &LaneId) -> bool {
        let stopped = self.lanes.get(lane);
        stopped.is_some_and(|reopen| reopen.waiting && reopen.attempts >= ATTEMPTS_TO_WAIT_FOR)
    }
}

impl Core {
    /// A lane cannot be read: when to try it again, or that it is given up.
    pub(crate) fn note_stopped(&mut self, stopped: &Stopped) {
        let Stopped { lane, missing, reason } = stopped;
        let (now, wall) = (self.env.monotonic(), self.env.now().seconds());
        let before = self.stopped.lanes.remove(lane);
        let (since, attempts, told) =
            before.map_or((wall, 0, false), |reopen| (reopen.since, reopen.attempts, reopen.told));
        // A clock that was ahead must not make it younger than it is.
        let since = since.min(wall);
        let attempts = attempts.saturating_add(1);
        let lasted = Duration::from_secs(u64::try_from(wall.saturating_sub(since)).unwrap_or(0));
        let is_overdue = attempts >= LEAST_ATTEMPTS
            && self.config.recording_patience.is_some_and(|patience| lasted >= patience);
        if is_overdue && *missing {
            error!(%lane, missing, reason, attempts, ?lasted, "recording cannot be read, given up");
            self.keep_trouble(stopped, since, attempts, Some(wall));
            self.book.give_up(lane);
            self.summary.sessions_given_up += 1;
            return self.changed();
        }
        let pause = self.config.reopen_base.saturating_mul(1 << (attempts - 1).min(16));
        let mut pause = pause.min(self.config.reopen_cap);
        if is_overdue {
            pause = self.config.set_aside_pause;
            if !told {
                error!(%lane, missing, reason, attempts, ?lasted, ?pause, "recording cannot be read, set aside");
            }
        } else if attempts.is_power_of_two() {
            // A line an attempt at first, then few of them.
            warn!(%lane, missing, reason, attempts, ?pause, "recording cannot be read, trying again later");
        } else {
            debug!(%lane, missing, reason, attempts, ?pause, "recording cannot be read");
        }
        self.keep_trouble(stopped, since, attempts, None);
        let at = now + pause / 2 + self.env.jitter(pause / 2);
        let (missing, told) = (*missing, is_overdue);
        let reopen = Reopen { since, at, attempts, missing, waiting: true, told };
        self.stopped.lanes.insert(lane.clone(), reopen);
        self.changed();
    }

    /// Puts what is known of a recording's trouble into the change under way.
    fn keep_trouble(&mut self, stopped: &Stopped, since: i64, attempts: u32, end: Option<i64>) {
        let Stopped { lane, missing, reason } = stopped;
        let LaneId::Session(session) = lane else { return };
        let row = SessionTrouble {
            session: session.clone(),
            since_seconds: since,
            attempts,
            missing: *missing,
            reason: cut(reason),
            given_up_seconds: end,
        };
        self.forget_change_of(session);
        if end.is_some() {
            self.stopped.given_up.insert(lane.clone(), row.clone());
        }
        self.change.session_trouble.push(row);
    }

    /// Something of a lane was read: it is in no trouble, or no more.
    pub(crate) fn recovered(&mut self, lane: &LaneId) {
        let stopped = self.stopped.lanes.remove(lane);
        let given_up = self.stopped.given_up.remove(lane);
        if let Some(Reopen { attempts, missing, .. }) = &stopped {
            info!(%lane, attempts, missing, "recording can be read again");
        }
        let LaneId::Session(session) = lane else { return };
        if stopped.is_some() || given_up.is_some() {
            self.forget_change_of(session);
            self.change.session_cleared.push(session.clone());
            self.changed();
        }
    }

    /// What was to be said of a recording and is not committed is not true any more.
    fn forget_change_of(&mut self, session: &SessionId) {
        self.change.session_trouble.retain(|row| row.session != *session);
        self.change.session_cleared.retain(|cleared| cleared != session);
    }

    pub(crate) fn reopen_stopped(&mut self, source: &mut dyn Source) {
        let now = self.env.monotonic();
        let held = &self.held;
        let due = |lane: &LaneId, r: &Reopen| r.waiting && r.at <= now && !held.contains(lane);
        for (lane, reopen) in self.stopped.lanes.iter_mut().filter(|(lane, r)| due(lane, r)) {
            let token: Option<Token> = self.book.read_token(lane).cloned();
            source.open(lane, token);
            reopen.waiting = false;
        }
    }

    /// Whether a lane was stopped by its own trouble and waits for its time.
    pub(crate) fn waits_to_be_reopened(&self, lane: &LaneId) -> bool {
        self.stopped.lanes.get(lane).is_some_and(|reopen| reopen.waiting)
    }
}

/// A reason that is not too long to keep.
fn cut(reason: &str) -> String {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut("not found"), "not found");
        let long = format!("x{}", "ä".repeat(MAX_REASON));
        assert_eq!(cut(&long).len(), MAX_REASON - 1);
        assert!(long.starts_with(&cut(&long)));
    }
}
