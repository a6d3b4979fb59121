//! How many events are parked, by reason.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ev_core::{ParkReason, SinkId, StateStore};
use ev_state::SqliteStore;

/// How long the state is waited for: it is busy while it writes, and hangs with a disk that does.
const PATIENCE: Duration = Duration::from_secs(1);

type Counts = BTreeMap<String, u64>;

/// Asks the state, and remembers what it said for when it does not answer.
pub(super) struct Parked(Arc<Inner>);

struct Inner {
    store: Arc<SqliteStore>,
    last: Mutex<BTreeMap<SinkId, Counts>>,
    /// One question at a time, so that a disk that hangs ties up one thread and not many.
    asking: AtomicBool,
}

impl Parked {
    pub(super) fn new(store: Arc<SqliteStore>) -> Self {
        Self(Arc::new(Inner { store, last: Mutex::default(), asking: AtomicBool::new(false) }))
    }

    /// Parked events of that sink by reason; as they were last if the state does not answer.
    pub(super) async fn of(&self, sink: &SinkId) -> Counts {
        if !self.0.asking.swap(true, Ordering::AcqRel) {
            let (inner, sink) = (Arc::clone(&self.0), sink.clone());
            let asked = tokio::task::spawn_blocking(move || inner.ask(sink));
            drop(tokio::time::timeout(PATIENCE, asked).await);
        }
        self.0.last().get(sink).cloned().unwrap_or_default()
    }
}

impl Inner {
    fn ask(&self, sink: SinkId) {
        if let Ok(groups) = self.store.parked_groups(&sink) {
            // All reasons, since a count that appears with its first event does not grow.
            let mut counts: Counts =
                ParkReason::ALL.iter().map(|reason| (reason.as_str().to_owned(), 0)).collect();
            for (group, count) in groups {
                *counts.entry(group.reason.as_str().to_owned()).or_default() += count;
            }
            self.last().insert(sink, counts);
        }
        self.asking.store(false, Ordering::Release);
    }

    fn last(&self) -> std::sync::MutexGuard<'_, BTreeMap<SinkId, Counts>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
