//! Cutting the past into windows.

use std::collections::BTreeMap;

use ev_core::LaneId;
use tracing::info;

use crate::token::{Search, WindowToken};
use crate::window::SETTLING;

/// More windows than about this are not made; they get wider instead. Eleven years of days.
const MAX_WINDOWS: i64 = 4096;

/// By what to cut; times in seconds since the epoch, widths in seconds.
pub(crate) struct Cut<'a> {
    pub(crate) now: i64,
    pub(crate) size: i64,
    pub(crate) live_width: i64,
    pub(crate) types: &'a [String],
}

impl Cut<'_> {
    /// The windows from `start` to now, oldest first: closed ones up to where the log is complete,
    /// and the live one behind them. `bare_start`: nothing in front of `start` is wanted.
    pub(crate) fn windows(&self, start: i64, bare_start: bool) -> Vec<Search> {
        let tip = self.tip();
        let size = self.size.max(tip.saturating_sub(start) / MAX_WINDOWS + 1).max(1);
        let window = |from, end| Search {
            start: from,
            end,
            bare_start: bare_start && from == start,
            types: self.types.to_vec(),
        };
        let mut windows = Vec::new();
        let mut from = start;
        while from < tip {
            let to = from.saturating_add(size).min(tip);
            windows.push(window(from, Some(to)));
            from = to;
        }
        windows.push(window(from, None));
        windows
    }

    /// Takes up the windows of an earlier run: closes those that are live no longer, and returns
    /// what has to be opened beside them, so that everything up to now is read.
    pub(crate) fn resume(&self, windows: &mut BTreeMap<LaneId, WindowToken>) -> Vec<Search> {
        let starts: Vec<i64> = windows.values().map(|token| token.search.start).collect();
        for token in windows.values_mut().filter(|token| token.search.end.is_none()) {
            // A window that was cut off below ends where its successor begins, even if the last
            // run did not live to store that.
            let start = token.search.start;
            token.search.end = starts.iter().copied().filter(|next| *next > start).min();
        }
        let Some(live) = windows.values_mut().find(|token| token.search.end.is_none()) else {
            // The windows of a state always have a live one; should they not, it follows the last.
            let end = windows.values().filter_map(|token| token.search.end).max();
            return end.map_or_else(Vec::new, |end| self.windows(end, false));
        };
        // It had come about so far when the last run ended. If that is long ago, what lies behind
        // is read in several windows at once. Whatever it has read beyond is recognised by its id.
        let end = live.search.start.saturating_add(self.live_width).saturating_add(2 * SETTLING);
        if self.tip().saturating_sub(end) < self.size {
            return Vec::new();
        }
        info!(from = end, "nothing was read for long, catching up in several windows");
        live.search.end = Some(end);
        self.windows(end, false)
    }

    fn tip(&self) -> i64 {
        self.now.saturating_sub(SETTLING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(now: i64, size: i64) -> Cut<'static> {
        Cut { now, size, live_width: 300, types: &[] }
    }

    fn windows(start: i64, now: i64, size: i64) -> Vec<(i64, Option<i64>, bool)> {
        let windows = cut(now, size).windows(start, true);
        windows.into_iter().map(|w| (w.start, w.end, w.bare_start)).collect()
    }

    fn resumed(of: &[(i64, Option<i64>)]) -> BTreeMap<LaneId, WindowToken> {
        let one = |(start, end): &(i64, Option<i64>)| {
            let search = Search { start: *start, end: *end, bare_start: false, types: vec![] };
            let token = WindowToken { search, key: "k".to_owned() };
            (LaneId::Window { start: *start, pass: 0 }, token)
        };
        of.iter().map(one).collect()
    }

    fn ends(windows: &BTreeMap<LaneId, WindowToken>) -> Vec<Option<i64>> {
        windows.values().map(|token| token.search.end).collect()
    }

    #[test]
    fn the_past_is_cut_without_gaps() {
        let two = [(1000, Some(1100), true), (1100, Some(1200), false)];
        assert_eq!(windows(1000, 1260, 100), [&two[..], &[(1200, None, false)]].concat());
        assert_eq!(
            windows(1000, 1261, 100)[2..],
            [(1200, Some(1201), false), (1201, None, false)],
            "the last one may be narrow"
        );
    }

    #[test]
    fn who_starts_now_or_later_has_a_live_window_only() {
        assert_eq!(windows(1000, 1060, 100), [(1000, None, true)]);
        assert_eq!(windows(1000, 10, 100), [(1000, None, true)]);
    }

    #[test]
    fn a_start_long_ago_makes_wider_windows() {
        let since_year_one = windows(-62_135_596_800, 1_800_000_000, 60);
        assert!(since_year_one.len() <= 4098, "{}", since_year_one.len());
        let gaps = since_year_one.windows(2).filter(|pair| pair[0].1 != Some(pair[1].0));
        assert_eq!(gaps.count(), 0);
    }

    #[test]
    fn a_short_stop_changes_nothing() {
        let mut lanes = resumed(&[(0, Some(1000)), (1000, None)]);
        assert_eq!(cut(1600, 500).resume(&mut lanes), []);
        assert_eq!(ends(&lanes), [Some(1000), None]);
    }

    #[test]
    fn after_a_long_stop_the_rest_is_read_in_several_windows() {
        let mut lanes = resumed(&[(1000, None)]);
        let fresh = cut(3000, 500).resume(&mut lanes);
        assert_eq!(ends(&lanes), [Some(1420)], "300 s wide, and two minutes to spare");
        let fresh: Vec<_> = fresh.iter().map(|w| (w.start, w.end, w.bare_start)).collect();
        let expected = [
            (1420, Some(1920), false),
            (1920, Some(2420), false),
            (2420, Some(2920), false),
            (2920, Some(2940), false),
            (2940, None, false),
        ];
        assert_eq!(fresh, expected);

        // Killed before the end was stored with a page: it is found again.
        let mut lanes = resumed(&[(1000, None), (1420, Some(1920)), (2940, None)]);
        assert_eq!(cut(3100, 500).resume(&mut lanes), []);
        assert_eq!(ends(&lanes), [Some(1420), Some(1920), None]);
    }

    #[test]
    fn a_missing_live_window_is_made_up_for() {
        let mut lanes = resumed(&[(0, Some(1000))]);
        let fresh = cut(1200, 500).resume(&mut lanes);
        let fresh: Vec<_> = fresh.iter().map(|w| (w.start, w.end)).collect();
        assert_eq!(fresh, [(1000, Some(1140)), (1140, None)]);
    }
}
