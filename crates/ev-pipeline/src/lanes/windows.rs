//! Windows and their neighbours: who may bring an event a second time, and how long that is known.

use ev_core::{LaneId, Timestamp};

use super::LaneBook;
use crate::known::{LaneKey, Nearby};

/// How near to a border, in seconds, an event counts as one that a neighbour may bring too:
/// windows overlap by 2 s on both sides, and back ends may keep time in whole seconds.
const BORDER_SECONDS: i64 = 4;
impl LaneBook {
    /// Where else the events of a lane may be known from; `None` for recordings, whose events are
    /// told by their place.
    pub(crate) fn nearby(&self, key: LaneKey) -> Option<Nearby> {
        let lane = self.lanes.get(&key)?;
        let LaneId::Window { start: window, .. } = lane.id else { return None };
        let (before, behind) = (self.window_before(window), self.window_after(window));
        let mut lanes = Vec::new();
        let mut twice = false;
        let mut follows_restored = false;
        for start in [before, Some(window), behind].into_iter().flatten() {
            let passes =
                LaneId::Window { start, pass: 0 }..=LaneId::Window { start, pass: u8::MAX };
            for (_, other) in self.by_id.range(passes) {
                lanes.push(*other);
                twice |= start == window && *other != key;
                let restored = || self.lanes.get(other).is_some_and(|lane| lane.restored);
                follows_restored |= Some(start) == before && restored();
            }
        }
        Some(Nearby {
            lanes,
            window,
            before,
            behind,
            all: lane.is_rescan() || lane.overlapping || twice || follows_restored,
            newest: lane.newest,
            page: lane.hint,
        })
    }

    /// Windows that will not be re-scanned any more, and dates whose chunks will not be looked for
    /// any more, each named by one of its lanes.
    pub(crate) fn retire(&mut self, id: &LaneId) {
        let start = match id {
            LaneId::Window { start, .. } => *start,
            LaneId::Chunk { date, .. } => return self.done_chunks.retire(date),
            LaneId::Session(_) => return,
        };
        let passes = LaneId::Window { start, pass: 0 }..=LaneId::Window { start, pass: u8::MAX };
        for (_, key) in self.by_id.range(passes) {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.retired = true;
            }
        }
    }

    /// Whether a neighbour may bring an event of that time too. In the live lane every event
    /// counts as such, because where it will end is not known yet.
    ///
    /// An event that was stored late stands behind newer ones, and it is by its place that the
    /// neighbour behind finds it.
    pub(super) fn is_border(&self, key: LaneKey, time: Timestamp) -> bool {
        let Some(lane) = self.lanes.get(&key) else { return false };
        let LaneId::Window { start, .. } = lane.id else { return false };
        let Some(end) = self.window_after(start) else { return true };
        is_near(time.seconds(), lane.newest, start, Some(end))
    }

    /// Lanes of the windows that may have brought an event of that second.
    pub(super) fn windows_around(&self, second: i64) -> Vec<LaneId> {
        // The one in which it lies, and those whose borders it is near to.
        let last = LaneId::Window { start: second.saturating_add(BORDER_SECONDS), pass: u8::MAX };
        let first = self.window_before(second.saturating_sub(BORDER_SECONDS).saturating_add(1));
        let first = LaneId::Window { start: first.unwrap_or(i64::MIN), pass: 0 };
        self.by_id.range(first..=last).map(|(lane, _)| lane.clone()).collect()
    }

    fn window_before(&self, start: i64) -> Option<i64> {
        let from = LaneId::Window { start, pass: 0 };
        match self.by_id.range(..from).next_back() {
            Some((LaneId::Window { start, .. }, _)) => Some(*start),
            _ => None,
        }
    }

    fn window_after(&self, start: i64) -> Option<i64> {
        let from = LaneId::Window { start, pass: u8::MAX };
        let mut later =
            self.by_id.range((std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded));
        match later.next() {
            Some((LaneId::Window { start, .. }, _)) => Some(*start),
            _ => None,
        }
    }

    /// Windows that are finished and retired, and whose neighbours are too: nobody brings their
    /// events again. All lanes of each.
    pub(super) fn unneeded_windows(&self) -> Vec<LaneKey> {
        let mut windows: Vec<(i64, Vec<LaneKey>, bool)> = Vec::new();
        for (id, key) in &self.by_id {
            let LaneId::Window { start, .. } = *id else { continue };
            let over = self.lanes.get(key).is_some_and(|lane| lane.done && lane.retired);
            match windows.last_mut().filter(|(same, ..)| *same == start) {
                Some((_, lanes, all_over)) => {
                    lanes.push(*key);
                    *all_over &= over;
                }
                None => windows.push((start, vec![*key], over)),
            }
        }
        let is_over = |index: Option<usize>| {
            index.and_then(|index| windows.get(index)).map(|(_, _, over)| *over)
        };
        (0..windows.len())
            .filter(|&index| {
                windows[index].2
                    && is_over(index.checked_sub(1)).unwrap_or(true)
                    && is_over(Some(index + 1)).unwrap_or(false)
            })
            .flat_map(|index| windows[index].1.iter().copied())
            .collect()
    }
}

/// Whether an event of a window stands where a neighbour reads too. `newest`: the newest second in
/// front of it; `end`: where the next window starts, if there is one.
pub(crate) fn is_near(second: i64, newest: i64, start: i64, end: Option<i64>) -> bool {
    second < start.saturating_add(BORDER_SECONDS)
        || end.is_some_and(|end| second.max(newest) >= end.saturating_sub(BORDER_SECONDS))
}
