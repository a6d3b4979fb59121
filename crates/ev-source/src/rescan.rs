//! When which window is read again for late events.
//!
//! The key of a search moves past an event that is stored late, with an older time, without a
//! word. So a window that ends at second `b` is read once more from its start, as a lane of its
//! own, at `b` plus each of the delays in the settings. What has been stored by then is in the
//! answers of whichever reading begins later, so one reading counts for every delay that is over
//! when it begins, the first reading of a window that is long past included: its re-scans are not
//! due at all.
//!
//! Pure: knows no connection and no clock. What it has to know after a restart is in the tokens of
//! the lanes: when each was opened. Where that is missing, a window is read once more than it would
//! have to be.

use std::collections::{BTreeMap, BTreeSet};

/// The windows that will be read again.
#[derive(Debug)]
pub(crate) struct Rescans {
    /// Seconds behind a window's end.
    delays: Vec<i64>,
    /// By their starts.
    windows: BTreeMap<i64, Ended>,
    /// Windows whose first reading is under way.
    first: BTreeSet<i64>,
    /// Further readings that are under way: start and number.
    again: BTreeSet<(i64, u8)>,
}

#[derive(Debug)]
struct Ended {
    /// First second behind the window.
    end: i64,
    /// When the last reading was opened.
    opened: i64,
    /// Number of the last reading.
    pass: u8,
    /// Readings that are under way.
    running: BTreeSet<u8>,
}

/// A reading that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) pass: u8,
}

impl Rescans {
    /// `delays` in seconds.
    pub(crate) fn new(delays: Vec<i64>) -> Self {
        let (windows, first, again) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { delays, windows, first, again }
    }

    /// A reading of the window was opened, in this run or an earlier one, and is not at its end.
    pub(crate) fn began(&mut self, start: i64, pass: u8) {
        if pass > 0 {
            self.entry(start, pass).running.insert(pass);
            self.again.insert((start, pass));
        } else {
            self.first.insert(start);
            if let Some(window) = self.windows.get_mut(&start) {
                window.running.insert(pass);
            }
        }
    }

    /// A reading is at its end; `opened` is when it was opened, if that is known. A window is known
    /// from then on.
    pub(crate) fn ended(&mut self, start: i64, pass: u8, end: i64, opened: Option<i64>) {
        if pass == 0 {
            self.first.remove(&start);
        }
        self.again.remove(&(start, pass));
        let window = self.entry(start, pass);
        window.running.remove(&pass);
        window.end = end;
        window.opened = window.opened.max(opened.unwrap_or(i64::MIN));
    }

    fn entry(&mut self, start: i64, pass: u8) -> &mut Ended {
        let (end, opened) = (i64::MAX, i64::MIN);
        // After a restart a re-scan may go on beside the first reading, whichever is told first.
        let running = self.first.contains(&start).then_some(0).into_iter().collect();
        let fresh = Ended { end, opened, pass, running };
        let window = self.windows.entry(start).or_insert(fresh);
        window.pass = window.pass.max(pass);
        window
    }

    pub(crate) fn forget(&mut self, start: i64) {
        self.first.remove(&start);
        self.again.retain(|(of, _)| *of != start);
        self.windows.remove(&start);
    }

    /// Takes out the windows that need not be read again: start and number of the last reading.
    pub(crate) fn retire(&mut self) -> Vec<(i64, u8)> {
        let Self { delays, windows, .. } = self;
        let mut retired = Vec::new();
        windows.retain(|start, window| {
            let over = window.running.is_empty() && window.due_at(delays).is_none();
            if over {
                retired.push((*start, window.pass));
            }
            !over
        });
        retired
    }

    /// Whether a window is being read again.
    pub(crate) fn is_running(&self) -> bool {
        !self.again.is_empty()
    }

    /// The oldest window that is to be read again at second `now`.
    pub(crate) fn due(&self, now: i64) -> Option<Due> {
        let mut due = self.windows.iter().filter(|(_, window)| {
            window.running.is_empty() && window.due_at(&self.delays).is_some_and(|at| at <= now)
        });
        // Readings are told apart by their number, so a window that has none left has to do.
        due.find_map(|(start, Ended { end, pass, .. })| {
            Some(Due { start: *start, end: *end, pass: pass.checked_add(1)? })
        })
    }

    /// When the next window will be due.
    pub(crate) fn next_at(&self) -> Option<i64> {
        let waiting = self.windows.values().filter(|window| window.running.is_empty());
        waiting.filter_map(|window| window.due_at(&self.delays)).min()
    }
}

impl Ended {
    /// When it has to be read again; `None` if never more.
    fn due_at(&self, delays: &[i64]) -> Option<i64> {
        let due = delays.iter().map(|delay| self.end.saturating_add(*delay));
        let missed = due.filter(|at| self.opened < *at).min();
        missed.filter(|_| self.pass < u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 100_000;

    /// A window of which the first reading was opened at that second and is at its end.
    fn rescans(opened: Option<i64>) -> Rescans {
        let mut rescans = Rescans::new(vec![600, 21_600]);
        rescans.ended(0, 0, END, opened);
        rescans
    }

    fn due(pass: u8) -> Option<Due> {
        Some(Due { start: 0, end: END, pass })
    }

    #[test]
    fn rule_11_a_window_is_read_again_after_each_delay() {
        let mut rescans = rescans(Some(END - 3600));
        assert_eq!(rescans.retire(), []);
        assert_eq!((rescans.due(END + 599), rescans.next_at()), (None, Some(END + 600)));
        assert_eq!(rescans.due(END + 600), due(1));
        rescans.began(0, 1);
        assert_eq!((rescans.due(END + 99_999), rescans.next_at()), (None, None), "one at a time");
        assert!(rescans.is_running());
        assert_eq!(rescans.retire(), []);
        rescans.ended(0, 1, END, Some(END + 700));
        assert_eq!((rescans.retire(), rescans.next_at()), (vec![], Some(END + 21_600)));
        assert!(!rescans.is_running());
        assert_eq!(rescans.due(END + 21_600), due(2));
        rescans.began(0, 2);
        rescans.ended(0, 2, END, Some(END + 21_600));
        assert_eq!(rescans.retire(), [(0, 2)]);
        assert_eq!((rescans.retire(), rescans.due(i64::MAX)), (vec![], None));
    }

    #[test]
    fn rule_11_what_is_first_read_late_needs_fewer_re_scans() {
        assert_eq!(rescans(Some(END + 21_600)).retire(), [(0, 0)], "none");
        let mut between = rescans(Some(END + 600));
        assert_eq!((between.retire(), between.next_at()), (vec![], Some(END + 21_600)));
        assert_eq!(between.due(END + 21_600), due(1), "the second one alone");
        // One reading counts for both delays when it begins late.
        let mut late = rescans(Some(END));
        assert_eq!(late.due(END + 50_000), due(1));
        late.began(0, 1);
        late.ended(0, 1, END, Some(END + 50_000));
        assert_eq!(late.retire(), [(0, 1)]);
    }

    #[test]
    fn rule_11_an_unknown_beginning_is_taken_for_an_early_one() {
        let mut rescans = rescans(None);
        assert_eq!(rescans.due(END + 50_000), due(1));
        rescans.ended(0, 0, END, Some(END - 5));
        assert_eq!(rescans.retire(), []);
    }

    #[test]
    fn all_readings_of_a_window_must_have_ended() {
        // After a restart: the re-scan goes on, and the first reading is not settled.
        for order in [[0, 1], [1, 0]] {
            let mut rescans = Rescans::new(vec![600]);
            for pass in order {
                rescans.began(0, pass);
            }
            rescans.ended(0, 1, END, Some(END + 600));
            assert_eq!(rescans.retire(), []);
            rescans.ended(0, 0, END, Some(END));
            assert_eq!(rescans.retire(), [(0, 1)], "and it is not read again");
            rescans.began(0, 0);
            assert_eq!(rescans.windows.len(), 0, "a first reading is no business of this");
        }
    }

    #[test]
    fn without_delays_nothing_is_read_again() {
        let mut rescans = Rescans::new(Vec::new());
        rescans.ended(0, 0, END, None);
        assert_eq!((rescans.due(i64::MAX), rescans.retire()), (None, vec![(0, 0)]));
    }

    #[test]
    fn the_oldest_comes_first() {
        let mut rescans = Rescans::new(vec![600]);
        for start in [200, 100, 300] {
            rescans.ended(start, 0, start + 100, Some(start));
        }
        assert_eq!(rescans.next_at(), Some(800));
        assert_eq!(rescans.due(1000).map(|due| due.start), Some(100));
        rescans.forget(100);
        assert_eq!(rescans.due(1000).map(|due| due.start), Some(200));
    }
}
