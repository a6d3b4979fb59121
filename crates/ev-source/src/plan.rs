//! Cutting the past into windows.

use crate::token::Search;
use crate::window::SETTLING;

/// More windows than about this are not made; they get wider instead. Eleven years of days.
const MAX_WINDOWS: i64 = 4096;

/// The windows from `start` to `now` (seconds since the epoch), oldest first: closed ones of
/// `size` seconds up to where the log is complete, and the live one behind them.
pub(crate) fn windows(start: i64, now: i64, size: i64, types: &[String]) -> Vec<Search> {
    let tip = now.saturating_sub(SETTLING);
    let size = size.max(tip.saturating_sub(start) / MAX_WINDOWS + 1).max(1);
    let mut windows = Vec::new();
    let mut from = start;
    while from < tip {
        let to = from.saturating_add(size).min(tip);
        windows.push(Search {
            start: from,
            end: Some(to),
            bare_start: from == start,
            types: types.to_vec(),
        });
        from = to;
    }
    windows.push(Search {
        start: from,
        end: None,
        bare_start: from == start,
        types: types.to_vec(),
    });
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(start: i64, now: i64, size: i64) -> Vec<(i64, Option<i64>, bool)> {
        let windows = windows(start, now, size, &[]);
        windows.into_iter().map(|w| (w.start, w.end, w.bare_start)).collect()
    }

    #[test]
    fn the_past_is_cut_without_gaps() {
        assert_eq!(
            cut(1000, 1260, 100),
            [(1000, Some(1100), true), (1100, Some(1200), false), (1200, None, false),]
        );
        assert_eq!(
            cut(1000, 1261, 100)[2..],
            [(1200, Some(1201), false), (1201, None, false)],
            "the last one may be narrow"
        );
    }

    #[test]
    fn who_starts_now_or_later_has_a_live_window_only() {
        assert_eq!(cut(1000, 1060, 100), [(1000, None, true)]);
        assert_eq!(cut(1000, 10, 100), [(1000, None, true)]);
    }

    #[test]
    fn a_start_long_ago_makes_wider_windows() {
        let since_year_one = cut(-62_135_596_800, 1_800_000_000, 60);
        assert!(since_year_one.len() <= 4098, "{}", since_year_one.len());
        let gaps = since_year_one.windows(2).filter(|pair| pair[0].1 != Some(pair[1].0));
        assert_eq!(gaps.count(), 0);
    }
}
