//! What an engine says, in the words of the snapshot.

use ev_core::Totals;
use ev_diag::{Counters, Engine, Receiver, ReceiverTrouble, Sink, Sums, UnixTime};
use ev_pipeline::{ReceiverStatus, Status, Summary};

use crate::start::known::Running;

/// The sink of an engine, without what its transport and the state know.
pub(super) fn sink(running: &Running, status: Option<&Status>, answers: Engine) -> Sink {
    let named = Sink {
        name: running.sink.0.clone(),
        engine: answers,
        start_time: Some(UnixTime(running.start_time.seconds())),
        ..Sink::default()
    };
    let Some(status) = status else {
        // While it has not answered yet, what was done before it stays done.
        let Some((counters, totals)) = running.before.as_ref().map(done) else { return named };
        return Sink { counters, totals, ..named };
    };
    let summary = match &running.before {
        Some(before) => status.summary.behind(before),
        None => status.summary,
    };
    Sink {
        caught_up: status.caught_up,
        lag_seconds: status.lag_seconds,
        sessions_lag_seconds: status.sessions_lag_seconds,
        newest_delivered: status.newest_delivered_seconds.map(UnixTime),
        newest_session_delivered: status.newest_session_delivered_seconds.map(UnixTime),
        position: status.position_seconds.map(UnixTime),
        windows: status.windows as u64,
        chunks: status.chunks as u64,
        sessions: status.recordings as u64,
        sessions_stopped: status.sessions_stopped as u64,
        sessions_unreadable: status.sessions_unreadable as u64,
        sessions_given_up: status.sessions_given_up.len() as u64,
        held_bytes: status.held_bytes as u64,
        audit: receiver(&status.audit),
        recordings: receiver(&status.sessions),
        counters: counters(&summary, left(running), status.unsettled as u64),
        totals: sums(&summary.totals),
        ..named
    }
}

fn receiver(status: &ReceiverStatus) -> Receiver {
    let trouble = status.trouble.as_ref().map(|trouble| ReceiverTrouble {
        seconds: trouble.lasts.as_secs(),
        reason: trouble.reason.clone(),
    });
    Receiver {
        in_flight: status.in_flight as u64,
        limit: status.limit as u64,
        delayed: status.delayed as u64,
        suspects: status.aside as u64,
        trouble,
    }
}

/// Events that engines before this one had taken and not settled at their end: each is read again.
fn left(running: &Running) -> u64 {
    running.before.as_ref().map_or(0, left_behind)
}

fn left_behind(Summary { read, repeated, passed, .. }: &Summary) -> u64 {
    read.saturating_sub(repeated + passed)
}

/// The figures between an engine that has ended and the first answer of the next.
fn done(before: &Summary) -> (Counters, Sums) {
    (counters(before, left_behind(before), 0), sums(&before.totals))
}

fn counters(summary: &Summary, left: u64, in_flight: u64) -> Counters {
    Counters {
        read: summary.read,
        reread: left,
        repeated: summary.repeated,
        delivered: summary.delivered,
        filtered: summary.filtered,
        parked: summary.parked,
        given_up: summary.given_up,
        in_flight,
        sent: summary.sent,
        retries: summary.retries,
        unknown_outcomes: summary.unknown_outcomes,
        sessions_given_up: summary.sessions_given_up,
        recording_gaps: summary.recording_gaps,
        commits: summary.commits,
        commit_seconds: summary.commit_time.as_secs_f64(),
    }
}

pub(crate) fn sums(totals: &Totals) -> Sums {
    Sums {
        passed: totals.passed,
        delivered: totals.delivered,
        filtered: totals.filtered,
        parked: totals.parked,
        resolved: totals.resolved,
        dropped: totals.dropped,
        given_up: totals.given_up,
        native: totals.by_native,
        table: totals.by_table,
        module: totals.by_module,
        inexact: totals.inexact,
        sessions: totals.sessions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an engine leaves unsettled at its end is read again by the next.
    #[test]
    fn counters_add_up_and_never_fall_when_the_road_changes() {
        let before =
            Summary { read: 100, repeated: 5, passed: 70, delivered: 70, ..Summary::default() };
        let last = counters(&before, 0, 25);
        let (between, _) = done(&before);
        let now = Summary { read: 40, passed: 30, delivered: 30, ..Summary::default() };
        let next = counters(&now.behind(&before), left_behind(&before), 10);
        for (earlier, later) in [(last, between), (between, next)] {
            let grows = later.read >= earlier.read && later.delivered >= earlier.delivered;
            assert!(grows, "{earlier:?} {later:?}");
            assert_eq!(later.reread, 25);
        }
        for of in [last, between, next] {
            let settled = of.repeated + of.delivered + of.filtered + of.parked + of.given_up;
            assert_eq!(of.read, settled + of.reread + of.in_flight, "{of:?}");
        }
    }
}
