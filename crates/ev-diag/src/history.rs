//! The last hour, a minute each.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Snapshot, UnixTime};

/// Minutes that are kept.
const MINUTES: usize = 60;
const SECONDS: i64 = 60;

/// One minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Minute {
    /// Its first second.
    pub time: UnixTime,
    /// Events acknowledged in it, by all sinks together.
    pub delivered: u64,
    /// Events parked in it.
    pub parked: u64,
    /// The longest lag of all sinks in it, in seconds.
    pub lag_seconds: i64,
}

/// Keeps the last hour of what it is shown.
#[derive(Debug, Default)]
pub struct History {
    minutes: VecDeque<Minute>,
    /// Sums of what is counted, as they were shown last.
    before: Option<(u64, u64)>,
}

impl History {
    /// Takes note of a snapshot, each of a later moment than the one before. Counters that have
    /// fallen count from zero.
    pub fn note(&mut self, snapshot: &Snapshot) {
        let minute = UnixTime(snapshot.time.0 - snapshot.time.0.rem_euclid(SECONDS));
        let sum = |of: fn(&crate::Counters) -> u64| -> u64 {
            snapshot.sinks.iter().map(|sink| of(&sink.counters)).sum()
        };
        let now = (sum(|counters| counters.sent), sum(|counters| counters.parked));
        let before = self.before.replace(now).unwrap_or_default();
        if self.minutes.back().is_none_or(|last| last.time < minute) {
            if self.minutes.len() == MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute { time: minute, ..Minute::default() });
        }
        let lag = snapshot.sinks.iter().filter_map(|sink| sink.lag_seconds).max();
        if let Some(last) = self.minutes.back_mut() {
            last.delivered += now.0.checked_sub(before.0).unwrap_or(now.0);
            last.parked += now.1.checked_sub(before.1).unwrap_or(now.1);
            last.lag_seconds = last.lag_seconds.max(lag.unwrap_or_default());
        }
    }

    /// The minutes, the oldest first.
    pub fn minutes(&self) -> Vec<Minute> {
        self.minutes.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, Sink};

    fn snapshot(second: i64, sent: u64, lag: i64) -> Snapshot {
        let counters = Counters { sent, ..Counters::default() };
        let sink = Sink { counters, lag_seconds: Some(lag), ..Sink::default() };
        Snapshot { time: UnixTime(second), sinks: vec![sink], ..Snapshot::default() }
    }

    #[test]
    fn each_minute_has_what_came_in_it() {
        let mut history = History::default();
        for (second, sent, lag) in
            [(120, 5, 1), (150, 9, 7), (179, 9, 2), (180, 12, 0), (300, 2, 0)]
        {
            history.note(&snapshot(second, sent, lag));
        }
        let minutes: Vec<_> = history
            .minutes()
            .iter()
            .map(|minute| (minute.time.0, minute.delivered, minute.lag_seconds))
            .collect();
        // At the end the counter has begun anew.
        assert_eq!(minutes, [(120, 9, 7), (180, 3, 0), (300, 2, 0)]);
    }

    #[test]
    fn an_hour_is_kept() {
        let mut history = History::default();
        (0..100).for_each(|minute| history.note(&snapshot(minute * 60, 0, 0)));
        let minutes = history.minutes();
        assert_eq!((minutes.len(), minutes[0].time.0), (60, 40 * 60));
    }
}
