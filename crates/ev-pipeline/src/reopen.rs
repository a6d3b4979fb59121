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
/// How long it is remembered that a recording was given up: 90 days, in seconds.
const REMEMBER_SECONDS: i64 = 90 * 86_400;
/// How often is looked for what need not be remembered any more, in seconds.
const LOOK_SECONDS: i64 = 3_600;

/// A lane that had to be closed, and when to try it again.
#[derive(Debug)]
struct Reopen {
    /// When it was closed first, without an event of it since; wall clock, in seconds. Of a
    /// missing one that was there before: since it is missing.
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
    /// When the old ones among them were looked for last, as a second.
    looked: Option<i64>,
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

    /// How many of them are refused or damaged; the others may only not be there yet.
    pub(crate) fn unreadable(&self) -> usize {
        self.lanes.values().filter(|reopen| !reopen.missing).count()
    }

    /// How often a lane was asked for in vain, if it cannot be read.
    pub(crate) fn attempts(&self, lane: &LaneId) -> Option<u32> {
        self.lanes.get(lane).map(|reopen| reopen.attempts)
    }

    /// Those given up, in this run or an earlier one.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = &SessionTrouble> {
        self.given_up.values()
    }

    /// Those that were given up so long ago that nobody asks any more; each is told once.
    pub(crate) fn take_outdated(&mut self, now: i64) -> Vec<SessionId> {
        // A clock that was set back must not keep them for ever.
        let is_due = |looked: i64| now < looked || now >= looked.saturating_add(LOOK_SECONDS);
        if !self.looked.is_none_or(is_due) {
            return Vec::new();
        }
        self.looked = Some(now);
        let is_old = |row: &SessionTrouble| {
            row.given_up_seconds.is_some_and(|at| now >= at.saturating_add(REMEMBER_SECONDS))
        };
        self.given_up.extract_if(.., |_, row| is_old(row)).map(|(_, row)| row.session).collect()
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
        // It was there, so how long it could not be read says nothing of how long it is missing.
        let counts_on = |before: &Reopen| before.missing || !*missing;
        let before = self.stopped.lanes.remove(lane).filter(counts_on);
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
        } else {
            self.stopped.given_up.remove(lane);
        }
        self.change.session_trouble.push(row);
    }

    /// Puts into the change under way what need not be remembered any more.
    pub(crate) fn forget_given_up(&mut self, now: i64) {
        for session in self.stopped.take_outdated(now) {
            self.forget_change_of(&session);
            self.change.session_cleared.push(session);
        }
    }

    /// A recording is announced: if it was given up before, it is as any other again.
    pub(crate) fn hope_again(&mut self, lane: &LaneId) {
        if let Some(row) = self.stopped.given_up.remove(lane) {
            self.forget_change_of(&row.session);
            self.change.session_cleared.push(row.session);
        }
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

    #[test]
    fn what_was_given_up_long_ago_is_looked_for_once_an_hour() {
        let session = |name: &str| SessionId::try_new(name.as_bytes()).expect("a valid id");
        let row = |name: &str, at| SessionTrouble {
            session: session(name),
            since_seconds: at,
            attempts: 10,
            missing: true,
            reason: String::new(),
            given_up_seconds: Some(at),
        };
        let rows = vec![row("a", 0), row("b", 1), row("c", LOOK_SECONDS + 1)];
        let mut stopped = StoppedLanes::restore(rows);
        assert_eq!(stopped.take_outdated(REMEMBER_SECONDS), [session("a")]);
        assert_eq!(stopped.take_outdated(REMEMBER_SECONDS + LOOK_SECONDS - 1), []);
        assert_eq!(stopped.take_outdated(REMEMBER_SECONDS + LOOK_SECONDS), [session("b")]);
        assert_eq!(stopped.take_outdated(0), [], "the clock was set back");
        assert_eq!(stopped.given_up().count(), 1);
    }
}
