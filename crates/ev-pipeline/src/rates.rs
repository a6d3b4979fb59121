//! The lines that say each minute how much was done.

use std::time::Duration;

use ev_core::{Date, LaneId, Route, Timestamp};
use tracing::info;

use crate::engine::Core;

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
    /// Where reading of the oldest open stretch stood when the last line was told, as a second.
    position: Option<i64>,
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
        let (recorded, position) = (0, None);
        Self { next, audit, recorded, sessions_before: sessions, newest, newest_sent, position }
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
        let before = self.rates.position;
        let Counts { scanned, delivered, skipped, parked } = audit;
        let date = newest.map(|second| Date::of(second).to_string());
        info!(events_per_minute = delivered, scanned, skipped, parked, date, "Event processing");
        let sessions_per_minute = sessions.saturating_sub(sessions_before);
        info!(sessions_per_minute, session_events_per_minute = recorded, "Session processing");
        let position = self.book.oldest_second();
        if let (false, Some(at)) = (self.caught_up, position) {
            let lag = self.env.now().seconds().saturating_sub(at).max(0);
            let remaining = before.and_then(|before| remaining(lag, at.saturating_sub(before)));
            let remaining_seconds = remaining.map(|remaining| remaining.as_secs());
            let per_second = delivered as f64 / MINUTE.as_secs_f64();
            let position = Timestamp::new(at, 0).to_string();
            info!(position, lag_seconds = lag, per_second, remaining_seconds, "catching up");
        }
        self.rates = Rates { newest, newest_sent, position, ..Rates::new(now, sessions) };
    }
}

/// How long it takes until the end of the log is reached, if reading goes on moving by so many
/// seconds of the log a minute; `None` if it never does, since the end moves too.
fn remaining(lag_seconds: i64, seconds_a_minute: i64) -> Option<Duration> {
    let minute = i64::try_from(MINUTE.as_secs()).unwrap_or(i64::MAX);
    let nearer = seconds_a_minute.checked_sub(minute).filter(|nearer| *nearer > 0)?;
    let seconds = lag_seconds.checked_mul(minute)? / nearer;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_told_where_the_end_comes_nearer() {
        // A day behind, and each minute brings an hour: the end comes 59 minutes nearer.
        assert_eq!(remaining(86_400, 3_600), Some(Duration::from_secs(86_400 * 60 / 3_540)));
        assert_eq!(remaining(86_400, 60), None);
        assert_eq!(remaining(86_400, -5), None);
        assert_eq!(remaining(0, 120), Some(Duration::ZERO));
        assert_eq!(remaining(i64::MAX, 120), None);
    }
}
