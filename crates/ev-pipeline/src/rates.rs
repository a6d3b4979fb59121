//! The lines that say each minute how much was done.

use std::time::Duration;

use ev_core::{Route, Timestamp};
use tracing::info;

use crate::engine::Core;

/// Between two lines. What is counted is therefore already what a minute brought.
const MINUTE: Duration = Duration::from_secs(60);

/// What happened since the last line.
#[derive(Debug)]
pub(crate) struct Rates {
    next: Duration,
    events: u64,
    recorded: u64,
    sessions_before: u64,
    /// Second of the newest event of the audit log that was taken.
    newest: Option<i64>,
}

impl Rates {
    pub(crate) fn new(now: Duration, sessions: u64) -> Self {
        Self { next: now + MINUTE, events: 0, recorded: 0, sessions_before: sessions, newest: None }
    }

    /// So many events of that route were delivered.
    pub(crate) fn delivered(&mut self, route: &Route, events: usize) {
        match route {
            Route::Audit => self.events += events as u64,
            Route::Session(_) => self.recorded += events as u64,
        }
    }

    /// An event of the audit log of that second was taken.
    pub(crate) fn taken(&mut self, second: i64) {
        self.newest = self.newest.max(Some(second));
    }

    /// Second of the newest event of the audit log that was taken in this run.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.newest
    }
}

impl Core {
    /// When the next lines are due, if there are any.
    pub(crate) fn rates_at(&self) -> Option<Duration> {
        self.config.tell_rates.then_some(self.rates.next)
    }

    /// Says how much was done, each minute.
    pub(crate) fn tell_rates(&mut self, now: Duration) {
        if self.rates_at().is_none_or(|at| at > now) {
            return;
        }
        let sessions = self.summary.totals.sessions;
        let Rates { events, recorded, sessions_before, newest, .. } = self.rates;
        let date = newest.map(|second| {
            let (year, month, day) = Timestamp::new(second, 0).date();
            format!("{year:04}-{month:02}-{day:02}")
        });
        info!(events_per_minute = events, date, "Event processing");
        let sessions_per_minute = sessions.saturating_sub(sessions_before);
        info!(sessions_per_minute, session_events_per_minute = recorded, "Session processing");
        self.rates = Rates { newest, ..Rates::new(now, sessions) };
    }
}
