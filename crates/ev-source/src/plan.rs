//! Cutting the past into windows.

use std::collections::BTreeMap;

use ev_core::LaneId;
use tracing::info;

use crate::token::{Search, WindowToken};
use crate::window::SETTLING;

/// Closed windows end at least so many seconds before now by our clock, and the live window begins
/// there. This is the only place where a window ends by our clock, so this is the assumption: when
/// a run begins, our clock is less than this (and [`SETTLING`]) ahead of Auth's. Later jumps of it
/// do no harm.
const MARGIN: i64 = 3600;
/// Windows are at least so many seconds wide: narrower ones would overlap more than their
/// neighbours.
const MIN_WIDTH: i64 = 10;

/// More windows than about this are not made; they get wider instead. Eleven years of days.
const MAX_WINDOWS: i64 = 4096;

/// By what to cut; times in seconds since the epoch, widths in seconds.
pub(crate) struct Cut<'a> {
    pub(crate) now: i64,
    /// Widest window.
    pub(crate) size: i64,
    /// Narrowest window that a short past is cut into.
    pub(crate) least: i64,
    /// Windows that are read at the same time.
    pub(crate) lanes: usize,
    pub(crate) live_width: i64,
    pub(crate) types: &'a [String],
}

impl Cut<'_> {
    /// The windows from `start` to now, oldest first: closed ones up to where the log is complete
    /// for certain, and the live one behind them. A remainder that is narrow belongs to the live
    /// one. `bare_start`: nothing in front of `start` is wanted.
    pub(crate) fn windows(&self, start: i64, bare_start: bool) -> Vec<Search> {
        let tip = self.tip();
        let span = tip.saturating_sub(start);
        let size = self.width(span).max(span / MAX_WINDOWS + 1).max(MIN_WIDTH);
        let window = |from, end| Search {
            start: from,
            end,
            bare_start: bare_start && from == start,
            types: self.types.to_vec(),
        };
        let mut windows = Vec::new();
        let mut from = start;
        while tip.saturating_sub(from) >= MIN_WIDTH {
            let to = from.saturating_add(size).min(tip);
            windows.push(window(from, Some(to)));
            from = to;
        }
        windows.push(window(from, None));
        windows
    }

    /// Takes up the windows of an earlier run: closes those that are live no longer, and returns
    /// what has to be opened beside them, so that everything up to now is read.
    ///
    /// `read`: starts of windows that have been read to their end.
    pub(crate) fn resume(
        &self,
        windows: &mut BTreeMap<LaneId, WindowToken>,
        read: &[i64],
    ) -> Vec<Search> {
        // By the lanes' names: a search may begin behind the start of its lane.
        let starts: Vec<i64> =
            windows.keys().filter_map(start_of).chain(read.iter().copied()).collect();
        for (lane, token) in windows.iter_mut().filter(|(_, token)| token.search.end.is_none()) {
            // A window that was cut off below ends where its successor begins, even if the last
            // run did not live to store that.
            let start = start_of(lane);
            token.search.end = starts.iter().copied().filter(|next| Some(*next) > start).min();
        }
        let Some(live) = windows.values_mut().find(|token| token.search.end.is_none()) else {
            // The windows of a state always have a live one; should they not, it follows the last.
            let end = windows.values().filter_map(|token| token.search.end).max();
            return end.map_or_else(Vec::new, |end| self.windows(end, false));
        };
        // It had come about so far when the last run ended. If that is long ago, what lies behind
        // is read in several windows at once. Whatever it has read beyond is recognised by its id.
        let end = live.search.start.saturating_add(self.live_width).saturating_add(2 * SETTLING);
        if self.tip().saturating_sub(end) < self.size.min(self.least.saturating_mul(2)) {
            return Vec::new();
        }
        info!(from = end, "nothing was read for long, catching up in several windows");
        live.search.end = Some(end);
        self.windows(end, false)
    }

    /// The whole window `lane`, whose resume point nobody can read. Where it ends is found by
    /// [`Cut::resume`]: where the next one begins that is not finished, or it is the live one. It
    /// may so be read beyond its end, over windows that are finished, but nothing is left out.
    /// `None` if the lane is no window.
    pub(crate) fn anew(&self, lane: &LaneId, first: i64) -> Option<WindowToken> {
        let start = start_of(lane)?;
        // Nothing in front of the very first window is wanted.
        let bare_start = start == first;
        let search = Search { start, end: None, bare_start, types: self.types.to_vec() };
        Some(WindowToken { search, key: String::new(), opened: Some(self.now) })
    }

    /// How wide to cut so long a past: several windows for each that is read at the same time, or
    /// a peer that is far away would set the pace; several, because events do not lie evenly.
    fn width(&self, span: i64) -> i64 {
        let lanes = i64::try_from(self.lanes).unwrap_or(i64::MAX);
        let pieces = lanes.saturating_mul(3).saturating_sub(2).max(1);
        self.size.min((span / pieces + 1).max(self.least))
    }

    fn tip(&self) -> i64 {
        self.now.saturating_sub(MARGIN)
    }
}

pub(crate) fn start_of(lane: &LaneId) -> Option<i64> {
    match lane {
        LaneId::Window { start, .. } => Some(*start),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `settled`: up to where the log is taken to be complete.
    fn cut(settled: i64, size: i64) -> Cut<'static> {
        Cut { now: settled + MARGIN, size, least: size, lanes: 1, live_width: 300, types: &[] }
    }

    fn windows(start: i64, settled: i64, size: i64) -> Vec<(i64, Option<i64>, bool)> {
        let windows = cut(settled, size).windows(start, true);
        windows.into_iter().map(|w| (w.start, w.end, w.bare_start)).collect()
    }

    fn resumed(of: &[(i64, Option<i64>)]) -> BTreeMap<LaneId, WindowToken> {
        let one = |(start, end): &(i64, Option<i64>)| {
            let search = Search { start: *start, end: *end, bare_start: false, types: vec![] };
            let token = WindowToken { search, key: "k".to_owned(), opened: None };
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
        let with = |more: &[_]| [&two[..], more].concat();
        assert_eq!(windows(1000, 1200, 100), with(&[(1200, None, false)]));
        let narrow = [(1200, Some(1210), false), (1210, None, false)];
        assert_eq!(windows(1000, 1210, 100), with(&narrow));
        assert_eq!(windows(1000, 1209, 100), with(&[(1200, None, false)]), "too narrow for one");
        let smallest = [(0, Some(10), true), (10, Some(20), false), (20, None, false)];
        assert_eq!(windows(0, 25, 1), smallest);
    }

    #[test]
    fn who_starts_now_or_later_has_a_live_window_only() {
        assert_eq!(windows(1000, 1000, 100), [(1000, None, true)]);
        assert_eq!(windows(1000, 10, 100), [(1000, None, true)]);
    }

    #[test]
    fn a_clock_that_is_somewhat_ahead_closes_nothing_that_auth_writes_to() {
        let auth_now = 1_800_000_000;
        for ahead in [0, 60, 120, MARGIN - SETTLING] {
            let cut = Cut {
                now: auth_now + ahead,
                size: 600,
                least: 600,
                lanes: 1,
                live_width: 300,
                types: &[],
            };
            let fresh = cut.windows(auth_now - 10_000, true);
            let mut old = resumed(&[(auth_now - 10_000, None)]);
            let later = cut.resume(&mut old, &[]);
            let ends = fresh.iter().chain(&later).filter_map(|search| search.end);
            let last = ends.max().expect("there are closed ones");
            assert!(last <= auth_now - SETTLING, "{ahead} s ahead");
        }
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
        assert_eq!(cut(1540, 500).resume(&mut lanes, &[]), []);
        assert_eq!(ends(&lanes), [Some(1000), None]);
    }

    #[test]
    fn after_a_long_stop_the_rest_is_read_in_several_windows() {
        let mut lanes = resumed(&[(1000, None)]);
        let fresh = cut(2940, 500).resume(&mut lanes, &[]);
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
        assert_eq!(cut(3040, 500).resume(&mut lanes, &[]), []);
        assert_eq!(ends(&lanes), [Some(1420), Some(1920), None]);
    }

    #[test]
    fn a_short_past_is_read_in_several_windows_too() {
        let day = 24 * 3600;
        let cut = |span| Cut { lanes: 10, least: 600, ..cut(span, day) };
        let widths = |span| -> Vec<i64> {
            let windows = cut(span).windows(0, true);
            windows.iter().filter_map(|w| Some(w.end? - w.start)).collect()
        };
        assert_eq!(widths(500).len(), 1);
        assert_eq!(widths(3000), [600; 5]);
        assert_eq!(widths(day / 2).len(), 28);
        assert_eq!(widths(100 * day).len(), 100, "no wider than asked for");

        let mut lanes = resumed(&[(0, None)]);
        assert_eq!(cut(420 + 1199).resume(&mut lanes, &[]), []);
        assert_eq!(
            cut(420 + 3600).resume(&mut lanes, &[]).len(),
            7,
            "of ten minutes, and the live one"
        );
    }

    #[test]
    fn a_missing_live_window_is_made_up_for() {
        let mut lanes = resumed(&[(0, Some(1000))]);
        let fresh = cut(1140, 500).resume(&mut lanes, &[]);
        let fresh: Vec<_> = fresh.iter().map(|w| (w.start, w.end)).collect();
        assert_eq!(fresh, [(1000, Some(1140)), (1140, None)]);
    }
}
