//! Where windows begin and end: at the start, and after a restart.

use std::collections::{BTreeMap, BTreeSet};

use ev_core::{LaneId, Lanes, Resume};

use super::lane::Lane;
use super::windows::Reading;
use super::{SimSource, session_number};
use crate::fault::Fault;
use crate::token::{self, WindowToken};
use crate::window::SETTLING;

/// What by our clock is taken to be complete.
const MARGIN: i64 = 120;

impl SimSource {
    pub(super) fn take_up(&mut self, resume: Resume) {
        let mut windows: BTreeMap<Reading, WindowToken> = BTreeMap::new();
        for (lane, token) in resume.lanes {
            match lane {
                LaneId::Window { start, pass } => {
                    windows.insert((start, pass), WindowToken::decode(&token));
                }
                LaneId::Session(id) => {
                    let session = session_number(&id);
                    self.sessions.insert(session, Lane::new(token::session_place(&token)));
                }
                LaneId::Chunk { .. } => panic!("nobody opened a chunk"),
            }
        }
        let read: Vec<(Reading, WindowToken)> = resume
            .closed
            .iter()
            .filter_map(|(lane, token)| match lane {
                LaneId::Window { start, pass } => {
                    Some(((*start, *pass), WindowToken::decode(token)))
                }
                LaneId::Session(_) | LaneId::Chunk { .. } => None,
            })
            .collect();
        let before = windows.clone();
        let fresh = if windows.is_empty() && read.is_empty() {
            self.cut(resume.start_time.seconds(), true)
        } else {
            self.adapt(&mut windows, &read)
        };
        let starts: BTreeSet<i64> = windows
            .keys()
            .chain(fresh.iter().map(|(at, _)| at))
            .chain(read.iter().map(|(at, _)| at))
            .map(|(start, _)| *start)
            .collect();
        for ((start, pass), token) in read {
            let next = starts.range(start + 1..).next().copied();
            let end = token.end.or(next).expect("behind a window that has ended is another");
            let opened = if token.end.is_none() { token.opened.min(end) } else { token.opened };
            self.rescans.ended(start, pass, end, opened);
        }
        for ((start, pass), token) in windows {
            self.rescans.began(start, pass);
            if pass > 0 {
                self.world.oracle().met(Fault::ReadAgainAfterRestart);
            }
            let known = before.get(&(start, pass)) == Some(&token);
            self.add_window((start, pass), token, known);
        }
        let id = |(start, pass): Reading| LaneId::Window { start, pass };
        let opened: Vec<_> = fresh.iter().map(|(at, token)| (id(*at), token.encode())).collect();
        let retired = self.retire();
        if !opened.is_empty() || !retired.is_empty() {
            self.lanes(Lanes { opened, retired, ..Lanes::default() });
        }
        for (at, token) in fresh {
            self.add_window(at, token, true);
        }
    }

    /// Windows from `from` to now: closed ones, and the live one behind them.
    fn cut(&self, from: i64, bare: bool) -> Vec<(Reading, WindowToken)> {
        let tip = self.world.auth_clock() - MARGIN;
        let window = |at, end| ((at, 0), self.window_from(at, end, bare && at == from));
        let mut windows = Vec::new();
        let mut at = from;
        while tip - at >= 10 {
            let end = (at + self.world.scenario.window_size).min(tip);
            windows.push(window(at, Some(end)));
            at = end;
        }
        windows.push(window(at, None));
        windows
    }

    /// Where the windows of an earlier run end, and what has to be opened beside them. `read`:
    /// readings that have ended.
    fn adapt(
        &self,
        windows: &mut BTreeMap<Reading, WindowToken>,
        read: &[(Reading, WindowToken)],
    ) -> Vec<(Reading, WindowToken)> {
        let read = read.iter().map(|(at, _)| at);
        let starts: BTreeSet<i64> = windows.keys().chain(read).map(|(start, _)| *start).collect();
        for ((start, _), token) in windows.iter_mut().filter(|(_, token)| token.end.is_none()) {
            token.end = starts.range(start + 1..).next().copied();
        }
        let Some((at, live)) = windows.iter_mut().find(|(_, token)| token.end.is_none()) else {
            let end = windows.values().filter_map(|token| token.end).max();
            return end.map_or_else(Vec::new, |end| self.cut(end, false));
        };
        let scenario = &self.world.scenario;
        let end = at.0 + scenario.live_width + 2 * SETTLING;
        if self.world.auth_clock() - MARGIN - end < scenario.window_size {
            return Vec::new();
        }
        live.end = Some(end);
        self.cut(end, false)
    }
}
