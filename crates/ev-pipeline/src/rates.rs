//! The lines that say each minute how much was done.

use std::time::Duration;

use ev_core::{Date, LaneId, Route, Timestamp};
use tracing::info;

use crate::engine::Core;
use crate::headway::{Headway, Mark};

/// Between two lines. What is counted is therefore already what a minute brought.
const MINUTE: Duration = Duration::from_secs(60);

/// What happened since the last line.
#[derive(Debug)]
pub(crate) struct Rates {
    next: Duration,
    audit: Counts,
    /// Events of recordings that were delivered.
    recorded: u64,
    sessions_before: u64,
    /// Second of the newest event of the audit log that was taken.
    newest: Option<i64>,
    /// Second of the newest event that was delivered, of the audit log and of recordings.
    pub(crate) newest_sent: Sent,
    /// How far it had come when the last line was told, or in the beginning.
    mark: Mark,
}

/// Seconds of the newest events that were delivered in this run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) audit: Option<i64>,
    pub(crate) sessions: Option<i64>,
}

/// Events of the audit log.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scanned: u64,
    delivered: u64,
    skipped: u64,
    parked: u64,
}

impl Rates {
    pub(crate) fn new(now: Duration, sessions: u64) -> Self {
        let audit = Counts::default();
        let (newest, newest_sent) = (None, Sent::default());
        let next = now + MINUTE;
        let mark = Mark { at: now, left_seconds: None, events: 0 };
        Self { next, audit, recorded: 0, sessions_before: sessions, newest, newest_sent, mark }
    }

    /// So many events of that route came, known ones included.
    pub(crate) fn scanned(&mut self, route: &Route, events: usize) {
        if *route == Route::Audit {
            self.audit.scanned += events as u64;
        }
    }

    /// So many events of that route were delivered, the newest of that second.
    pub(crate) fn delivered(&mut self, route: &Route, events: usize, newest: Option<i64>) {
        let sent = match route {
            Route::Audit => {
                self.audit.delivered += events as u64;
                &mut self.newest_sent.audit
            }
            Route::Session(_) => {
                self.recorded += events as u64;
                &mut self.newest_sent.sessions
            }
        };
        *sent = newest.max(*sent);
    }

    /// A setting leaves an event of that route out.
    pub(crate) fn skipped(&mut self, route: &Route) {
        self.audit.skipped += u64::from(*route == Route::Audit);
    }

    /// An event of that lane was parked.
    pub(crate) fn parked(&mut self, lane: &LaneId) {
        self.audit.parked += u64::from(!matches!(lane, LaneId::Session(_)));
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
        let Rates { audit, recorded, sessions_before, newest, newest_sent, .. } = self.rates;
        let Counts { scanned, delivered, skipped, parked } = audit;
        let date = newest.map(|second| Date::of(second).to_string());
        info!(events_per_minute = delivered, scanned, skipped, parked, date, "Event processing");
        let sessions_per_minute = sessions.saturating_sub(sessions_before);
        info!(sessions_per_minute, session_events_per_minute = recorded, "Session processing");
        let position = self.book.oldest_second();
        let left_seconds = position.and(self.lag_seconds());
        let mark = Mark { at: now, left_seconds, events: self.summary.sent };
        if let (true, false, Some(at), Some(lag_seconds)) =
            (self.config.tell_headway, self.caught_up, position, left_seconds)
        {
            let Headway { per_second, remaining } = Headway::between(&self.rates.mark, &mark);
            let remaining_seconds = remaining.map(|remaining| remaining.as_secs());
            let position = Timestamp::new(at, 0).to_string();
            info!(position, lag_seconds, per_second, remaining_seconds, "catching up");
        }
        self.rates = Rates { newest, newest_sent, mark, ..Rates::new(now, sessions) };
    }
}
