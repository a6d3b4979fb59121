//! When which window is read again for late events: the same rules as those of the real source, put
//! down a second time.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(crate) struct Rescans {
    /// Seconds behind the end of a window.
    delays: Vec<i64>,
    ended: BTreeMap<i64, Ended>,
}

#[derive(Debug)]
struct Ended {
    end: i64,
    /// When the last reading began.
    opened: i64,
    pass: u8,
    /// Readings that have not ended. After a restart that may be several.
    running: BTreeSet<u8>,
}

impl Ended {
    fn due_at(&self, delays: &[i64]) -> Option<i64> {
        delays.iter().map(|delay| self.end + delay).find(|at| self.opened < *at)
    }
}

impl Rescans {
    /// `delays` in rising order.
    pub(crate) fn new(delays: Vec<i64>) -> Self {
        Self { delays, ended: BTreeMap::new() }
    }

    /// A reading has begun, in this life or an earlier one.
    pub(crate) fn began(&mut self, start: i64, pass: u8) {
        self.entry(start, pass).running.insert(pass);
    }

    /// A reading has ended, in this life or an earlier one.
    pub(crate) fn ended(&mut self, start: i64, pass: u8, end: i64, opened: i64) {
        let window = self.entry(start, pass);
        window.running.remove(&pass);
        window.end = end;
        window.opened = window.opened.max(opened);
    }

    fn entry(&mut self, start: i64, pass: u8) -> &mut Ended {
        let fresh = Ended { end: i64::MAX, opened: i64::MIN, pass, running: BTreeSet::new() };
        let window = self.ended.entry(start).or_insert(fresh);
        window.pass = window.pass.max(pass);
        window
    }

    /// Takes out the windows that need not be read again: start and number of the last reading.
    pub(crate) fn retire(&mut self) -> Vec<(i64, u8)> {
        let Self { delays, ended } = self;
        let over = |window: &Ended| window.running.is_empty() && window.due_at(delays).is_none();
        let retired = ended.iter().filter(|(_, window)| over(window));
        let retired: Vec<_> = retired.map(|(start, window)| (*start, window.pass)).collect();
        for (start, _) in &retired {
            ended.remove(start);
        }
        retired
    }

    /// The oldest window that is due at second `now`: its start, end and the number of the reading.
    pub(crate) fn due(&self, now: i64) -> Option<(i64, i64, u8)> {
        let mut waiting = self.ended.iter().filter(|(_, window)| window.running.is_empty());
        let due = |window: &Ended| window.due_at(&self.delays).is_some_and(|at| at <= now);
        waiting
            .find(|(_, window)| due(window))
            .map(|(start, window)| (*start, window.end, window.pass + 1))
    }

    /// When the next one will be.
    pub(crate) fn next_at(&self) -> Option<i64> {
        let waiting = self.ended.values().filter(|window| window.running.is_empty());
        waiting.filter_map(|window| window.due_at(&self.delays)).min()
    }

    /// Whether some window will be, or is being, read again.
    pub(crate) fn any(&self) -> bool {
        let waits = |window: &Ended| !window.running.contains(&0);
        self.ended.values().any(waits)
    }
}
