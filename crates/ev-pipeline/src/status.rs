//! What an engine is doing, for whoever asks while it runs.

use std::time::Duration;

use ev_core::{AuthVersion, LaneId, Road, SessionTrouble};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Core;
use crate::receiver::Receiver;
use crate::{Summary, Unknown};

/// Questions that may wait. Nobody has many.
const QUESTIONS: usize = 4;

/// What an engine is doing. Holds nothing of any event but its time.
#[derive(Clone, Debug)]
pub struct Status {
    /// Version of Auth by which is read.
    pub version: Option<AuthVersion>,
    /// The decoder in use for it.
    pub decoder: Option<String>,
    /// Whether the end of the log was reached.
    pub caught_up: bool,
    /// Age of the oldest place of the audit log that is still to be read or settled, in seconds; 0
    /// at its end, `None` before anything was opened.
    pub lag_seconds: Option<i64>,
    /// How long the recording that is read for the longest has been waited for in this run, in
    /// seconds; 0 while none is read. Those that cannot be read are left out.
    pub sessions_lag_seconds: i64,
    /// Second of the newest event of the audit log that was taken, since 1970-01-01T00:00:00Z.
    pub newest_event_seconds: Option<i64>,
    /// Second of the newest event of the audit log that was delivered in this run.
    pub newest_delivered_seconds: Option<i64>,
    /// The same of recordings.
    pub newest_session_delivered_seconds: Option<i64>,
    /// Where reading of the oldest open stretch of the audit log stands, as a second.
    pub position_seconds: Option<i64>,
    /// Windows that are read or have something unsettled.
    pub windows: usize,
    /// The same of the export's chunks.
    pub chunks: usize,
    /// The same of recordings, without those that cannot be read.
    pub recordings: usize,
    /// Lanes that are read, the first thousand of them.
    pub lanes: Vec<LaneStatus>,
    /// How many lanes there are, those that were read to their end included.
    pub lanes_known: usize,
    /// Events taken and not settled.
    pub unsettled: usize,
    /// Events that each lane waits for, and marks that wait for them.
    pub backlog: usize,
    /// Memory held by batches, in bytes.
    pub held_bytes: usize,
    /// Where the audit log goes.
    pub audit: ReceiverStatus,
    /// Where recordings go.
    pub sessions: ReceiverStatus,
    /// Events that wait for room to be parked.
    pub waiting_to_park: usize,
    /// Recordings that cannot be read at the moment.
    pub sessions_stopped: usize,
    /// Of those: refused or damaged, and not merely missing, as one may be for a while.
    pub sessions_unreadable: usize,
    /// Recordings given up, by any run.
    pub sessions_given_up: Vec<SessionTrouble>,
    /// How often events of each type came that the decoder did not know wholly, in this run:
    /// parked, or sent with a mark.
    pub unknown: Unknown,
    /// What is done.
    pub summary: Summary,
}

/// A lane that is read.
#[derive(Clone, Debug)]
pub struct LaneStatus {
    /// The lane.
    pub lane: LaneId,
    /// Second of the newest event that came, if any did.
    pub newest_seconds: Option<i64>,
    /// Events taken and not settled.
    pub unsettled: usize,
    /// For a recording that cannot be read: how often it was asked for in vain.
    pub attempts: Option<u32>,
}

/// A receiver.
#[derive(Clone, Debug)]
pub struct ReceiverStatus {
    /// Requests under way.
    pub in_flight: usize,
    /// How many may be.
    pub limit: usize,
    /// Batches that wait to be sent again.
    pub delayed: usize,
    /// Batches under suspicion.
    pub aside: usize,
    /// Since when and how requests fail, if none has succeeded since.
    pub trouble: Option<ReceiverTrouble>,
}

/// How requests fail.
#[derive(Clone, Debug)]
pub struct ReceiverTrouble {
    /// For how long.
    pub lasts: Duration,
    /// How the last one failed, for people; holds no event content.
    pub reason: String,
}

impl ReceiverStatus {
    fn of(receiver: &Receiver, now: Duration) -> Self {
        let trouble = receiver.troubled().map(|(since, reason)| ReceiverTrouble {
            lasts: now.saturating_sub(since),
            reason: reason.to_owned(),
        });
        Self {
            in_flight: receiver.in_flight,
            limit: receiver.pace.limit(),
            delayed: receiver.delayed.len(),
            aside: receiver.aside.len(),
            trouble,
        }
    }
}

/// Asks an engine what it is doing.
#[derive(Clone, Debug)]
pub struct Inspector(mpsc::Sender<oneshot::Sender<Status>>);

impl Inspector {
    pub(crate) fn new() -> (Self, Questions) {
        let (asks, questions) = mpsc::channel(QUESTIONS);
        (Self(asks), questions)
    }

    /// Whether it has ended, so that it turns no more.
    pub fn has_ended(&self) -> bool {
        self.0.is_closed()
    }

    /// What it is doing; `None` if it has ended. Waits while it waits for its state.
    pub async fn status(&self) -> Option<Status> {
        let (ask, answer) = oneshot::channel();
        self.0.send(ask).await.ok()?;
        answer.await.ok()
    }
}

/// The engine's end.
pub(crate) type Questions = mpsc::Receiver<oneshot::Sender<Status>>;

impl Core {
    /// Answers a question.
    pub(crate) fn answer(&self, ask: oneshot::Sender<Status>) {
        // Whoever asked may have gone away.
        drop(ask.send(self.status()));
    }

    fn status(&self) -> Status {
        let mut lanes = self.book.statuses();
        for lane in &mut lanes {
            lane.attempts = self.stopped.attempts(&lane.lane);
        }
        let decoder = match self.road {
            Road::Typed => {
                self.version.as_ref().map(|version| format!("{:?}", self.decoders.choose(version)))
            }
            // To ask which one fits the version would have it fetched for nothing.
            Road::Unstructured | Road::Export => Some(self.unstructured.identity().to_string()),
        };
        let (audit, sessions) = self.receivers.both();
        let (now, second) = (self.env.monotonic(), self.env.now().seconds());
        let (windows, chunks) = self.book.stretches_read();
        let (recordings, waited_since) =
            self.book.recordings_read(|lane| self.stopped.attempts(lane).is_some());
        let waited = waited_since.map_or(0, |since| second.saturating_sub(since).max(0));
        let newest_sent = self.rates.newest_sent;
        Status {
            version: self.version.clone(),
            decoder,
            caught_up: self.caught_up,
            lag_seconds: self.lag_seconds(),
            sessions_lag_seconds: waited,
            newest_event_seconds: self.rates.newest(),
            newest_delivered_seconds: newest_sent.audit,
            newest_session_delivered_seconds: newest_sent.sessions,
            position_seconds: self.book.oldest_second(),
            windows,
            chunks,
            recordings,
            lanes,
            lanes_known: self.book.len(),
            unsettled: self.book.in_hand(),
            backlog: self.book.backlog(),
            held_bytes: self.batches.held_bytes(),
            audit: ReceiverStatus::of(audit, now),
            sessions: ReceiverStatus::of(sessions, now),
            waiting_to_park: self.room.waiting(),
            sessions_stopped: self.stopped.len(),
            sessions_unreadable: self.stopped.unreadable(),
            sessions_given_up: self.stopped.given_up().cloned().collect(),
            unknown: self.unknown.clone(),
            summary: self.summary,
        }
    }

    pub(crate) fn lag_seconds(&self) -> Option<i64> {
        let oldest = self.book.oldest_second().or(self.rates.newest())?;
        let recordings = self.book.backlog_of_recordings();
        if self.caught_up && self.book.backlog() == recordings {
            return Some(0);
        }
        Some(self.env.now().seconds().saturating_sub(oldest).max(0))
    }
}
