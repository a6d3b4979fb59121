//! What the owner of a client is told, and what is logged.
//!
//! Events are coalesced: as long as nobody looks, there is at most one of each kind, and it
//! counts how often it happened. So they take bounded room, nothing is lost, and no reader is
//! needed. The log follows the same rule in time: one line for a kind in ten seconds, which says
//! how many it stands for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::queue::DropReason;

/// The least time between two log lines of one kind.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// The first connection was opened.
    Connected,
    /// A further connection was opened.
    Reconnected,
    /// A connection could not be opened; it is tried again.
    ConnectFailed,
    /// A connection broke.
    Disconnected,
    /// The agent took nothing for as long as the write deadline; the connection is replaced.
    Stalled,
    /// A heartbeat could not be written.
    HeartbeatFailed,
    /// A send found no room in the queue and gave the record back.
    QueueFull,
    /// Accepted records will not be written; counts records.
    Dropped(DropReason),
    /// Records were moved to the spill directory; counts records.
    Spilled,
    /// Moving records to or from the spill directory failed; they stay where they are.
    SpillFailed,
    /// The spill directory has as much as it may have; records stay in memory.
    SpillFull,
    /// Something in the spill directory was not as it was left: a torn end was cut off, a segment
    /// that cannot be read was set aside, or the position is gone. Counts places; the records
    /// that it cost, if any, are told as [`Dropped`](Self::Dropped).
    SpillDamaged,
    /// Records found in the spill directory at the start; counts records.
    Recovered,
    /// Records are written again after a connection broke; counts records.
    Resent,
    /// A record was refused that can never be sent: it is too large, or a hook refused it.
    Poisoned,
    /// A hook or a handler panicked.
    HookPanicked,
    /// The client is closed.
    Closed,
}

/// All kinds, for the table of what was logged when.
const KINDS: usize = 20;

impl EventKind {
    /// A short name, for labels of metrics and fields of logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Reconnected => "reconnected",
            Self::ConnectFailed => "connect_failed",
            Self::Disconnected => "disconnected",
            Self::Stalled => "stalled",
            Self::HeartbeatFailed => "heartbeat_failed",
            Self::QueueFull => "queue_full",
            Self::Dropped(DropReason::Displaced) => "dropped_displaced",
            Self::Dropped(DropReason::Expired) => "dropped_expired",
            Self::Dropped(DropReason::Unreadable) => "dropped_unreadable",
            Self::Dropped(DropReason::Closed) => "dropped_closed",
            Self::Spilled => "spilled",
            Self::SpillFailed => "spill_failed",
            Self::SpillFull => "spill_full",
            Self::SpillDamaged => "spill_damaged",
            Self::Recovered => "recovered",
            Self::Resent => "resent",
            Self::Poisoned => "poisoned",
            Self::HookPanicked => "hook_panicked",
            Self::Closed => "closed",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Connected => 0,
            Self::Reconnected => 1,
            Self::ConnectFailed => 2,
            Self::Disconnected => 3,
            Self::Stalled => 4,
            Self::HeartbeatFailed => 5,
            Self::QueueFull => 6,
            Self::Dropped(DropReason::Displaced) => 7,
            Self::Dropped(DropReason::Expired) => 8,
            Self::Dropped(DropReason::Unreadable) => 9,
            Self::Dropped(DropReason::Closed) => 10,
            Self::Spilled => 11,
            Self::SpillFailed => 12,
            Self::SpillFull => 13,
            Self::Recovered => 14,
            Self::Resent => 15,
            Self::Poisoned => 16,
            Self::HookPanicked => 17,
            Self::Closed => 18,
            Self::SpillDamaged => 19,
        }
    }
}

/// Something that happened, once or several times since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// How often, or to how many records where the kind says so.
    pub count: u64,
    /// When the first of them happened, in seconds since 1970-01-01 UTC.
    pub first_unix_seconds: i64,
    /// When the last of them happened, likewise.
    pub last_unix_seconds: i64,
    /// More about the last of them: a cause or an address. Never anything from a record.
    pub detail: String,
}

#[derive(Debug, Default)]
struct Pending {
    events: VecDeque<Event>,
    closed: bool,
    readers: usize,
    logged: [Option<Duration>; KINDS],
    unlogged: [u64; KINDS],
}

/// Where events are put.
#[derive(Debug)]
pub(crate) struct EventLog {
    pending: Mutex<Pending>,
    changed: Condvar,
    changed_async: Notify,
    clock: Arc<dyn Clock>,
}

impl EventLog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            pending: Mutex::default(),
            changed: Condvar::new(),
            changed_async: Notify::new(),
            clock,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of something that happened `count` times.
    pub(crate) fn tell(&self, kind: EventKind, count: u64, detail: impl Into<String>) {
        if count == 0 {
            return;
        }
        let detail = detail.into();
        let now = self.clock.unix_seconds();
        let monotonic = self.clock.monotonic();
        let to_log = {
            let mut pending = self.lock();
            let index = kind.index();
            pending.unlogged[index] += count;
            let due = pending.logged[index].is_none_or(|last| monotonic >= last + LOG_EVERY);
            let to_log = due.then(|| {
                pending.logged[index] = Some(monotonic);
                std::mem::take(&mut pending.unlogged[index])
            });
            let logged_detail = to_log.map(|count| (count, detail.clone()));
            match pending.events.iter_mut().find(|event| event.kind == kind) {
                Some(event) => {
                    event.count += count;
                    event.last_unix_seconds = now;
                    event.detail = detail;
                }
                None => pending.events.push_back(Event {
                    kind,
                    count,
                    first_unix_seconds: now,
                    last_unix_seconds: now,
                    detail,
                }),
            }
            if pending.readers > 0 {
                self.changed.notify_all();
            }
            logged_detail
        };
        self.changed_async.notify_waiters();
        if let Some((count, detail)) = to_log {
            log(kind, count, &detail);
        }
    }

    /// No more events will come. Those that are there can still be read.
    pub(crate) fn close(&self) {
        let mut pending = self.lock();
        pending.closed = true;
        drop(pending);
        self.changed.notify_all();
        self.changed_async.notify_waiters();
    }
}

fn log(kind: EventKind, count: u64, detail: &str) {
    let event = kind.as_str();
    match kind {
        EventKind::Connected
        | EventKind::Reconnected
        | EventKind::Recovered
        | EventKind::Closed => {
            tracing::info!(target: "ev_audit", event, count, detail, "audit client");
        }
        EventKind::Dropped(_) | EventKind::SpillFailed | EventKind::HookPanicked => {
            tracing::error!(target: "ev_audit", event, count, detail, "audit client");
        }
        _ => tracing::warn!(target: "ev_audit", event, count, detail, "audit client"),
    }
}

/// The events of a client. Reading them is optional; each is read once, by whoever comes first.
///
/// It outlives the client, so that the last events can be read after the client is gone.
#[derive(Debug, Clone)]
pub struct Events(Arc<EventLog>);

impl Events {
    pub(crate) fn of(log: &Arc<EventLog>) -> Self {
        Self(log.clone())
    }

    /// The oldest event that nobody has read, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.0.lock().events.pop_front()
    }

    /// Blocks until there is one, for `timeout` at most. None at the timeout, and when the client
    /// is closed and everything was read.
    pub fn next_timeout(&self, timeout: Duration) -> Option<Event> {
        let mut pending = self.0.lock();
        pending.readers += 1;
        let (mut pending, _) = self
            .0
            .changed
            .wait_timeout_while(pending, timeout, |pending| {
                pending.events.is_empty() && !pending.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        pending.readers -= 1;
        pending.events.pop_front()
    }

    /// Waits until there is one. None when the client is closed and everything was read.
    pub async fn next_wait(&self) -> Option<Event> {
        loop {
            let changed = self.0.changed_async.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing is missed between the two.
            changed.as_mut().enable();
            {
                let mut pending = self.0.lock();
                if let Some(event) = pending.events.pop_front() {
                    return Some(event);
                }
                if pending.closed {
                    return None;
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn events() -> (Arc<EventLog>, Events, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000));
        let log = EventLog::new(clock.clone());
        let events = Events::of(&log);
        (log, events, clock)
    }

    #[test]
    fn without_a_reader_counts_add_up_and_room_is_bounded() {
        let (log, events, clock) = events();
        for round in 0..10_000 {
            log.tell(EventKind::QueueFull, 1, "");
            log.tell(EventKind::Dropped(DropReason::Displaced), 3, round.to_string());
            log.tell(EventKind::Dropped(DropReason::Expired), 1, "");
            clock.advance(Duration::from_secs(1));
        }
        let all: Vec<Event> = std::iter::from_fn(|| events.try_next()).collect();
        let counts: Vec<u64> = all.iter().map(|event| event.count).collect();
        assert_eq!(counts, [10_000, 30_000, 10_000]);
        assert_eq!(all[1].detail, "9999", "the last one");
        assert_eq!((all[1].first_unix_seconds, all[1].last_unix_seconds), (1_000, 10_999));
    }

    #[test]
    fn each_kind_is_logged_once_in_ten_seconds() {
        use std::sync::atomic::{AtomicU64, Ordering};

        struct Lines(Arc<AtomicU64>);
        impl tracing::Subscriber for Lines {
            fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
                true
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
                tracing::span::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
            fn event(&self, _: &tracing::Event<'_>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }

        let lines = Arc::new(AtomicU64::new(0));
        let (log, _, clock) = events();
        tracing::subscriber::with_default(Lines(lines.clone()), || {
            for _ in 0..40_000 {
                log.tell(EventKind::QueueFull, 1, "");
                log.tell(EventKind::Disconnected, 1, "");
                clock.advance(Duration::from_millis(1));
            }
        });
        assert_eq!(lines.load(Ordering::Relaxed), 8, "two kinds in forty seconds");
    }

    #[test]
    fn a_reader_is_woken_and_sees_the_end() {
        let (log, events, _) = events();
        let reader = std::thread::spawn(move || {
            let first = events.next_timeout(Duration::from_secs(60)).unwrap();
            (first.kind, events.next_timeout(Duration::from_secs(60)))
        });
        log.tell(EventKind::Connected, 1, "there");
        log.close();
        assert_eq!(reader.join().unwrap(), (EventKind::Connected, None));
    }

    #[test]
    fn kinds_have_places_and_names_of_their_own() {
        let mut kinds = vec![
            EventKind::Connected,
            EventKind::Reconnected,
            EventKind::ConnectFailed,
            EventKind::Disconnected,
            EventKind::Stalled,
            EventKind::HeartbeatFailed,
            EventKind::QueueFull,
            EventKind::Spilled,
            EventKind::SpillFailed,
            EventKind::SpillFull,
            EventKind::SpillDamaged,
            EventKind::Recovered,
            EventKind::Resent,
            EventKind::Poisoned,
            EventKind::HookPanicked,
            EventKind::Closed,
        ];
        kinds.extend(DropReason::ALL.map(EventKind::Dropped));
        let places: std::collections::BTreeSet<_> = kinds.iter().map(|kind| kind.index()).collect();
        let names: std::collections::BTreeSet<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(places, (0..KINDS).collect());
        assert_eq!(names.len(), KINDS);
    }
}
