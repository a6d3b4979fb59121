//! What is asked of the state on a thread that may wait for it: how many events are parked, by
//! reason, and whether its files are still those that were opened.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ev_core::{ParkReason, SinkId, StateStore};
use ev_state::SqliteStore;
use tracing::{error, info};

/// How long the state is waited for: it is busy while it writes, and hangs with a disk that does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Device and number of a file.
type Identity = (u64, u64);
type Counts = BTreeMap<String, u64>;

/// Asks the state, and remembers what it said for when it does not answer.
pub(super) struct Parked(Arc<Inner>);

struct Inner {
    store: Arc<SqliteStore>,
    /// The database as it was opened.
    opened: Option<(PathBuf, Identity)>,
    is_gone: AtomicBool,
    last: Mutex<BTreeMap<SinkId, Counts>>,
    /// One question at a time, so that a disk that hangs ties up one thread and not many.
    asking: AtomicBool,
}

impl Parked {
    /// Of the state below a directory; of a copy, which a dry run uses, it is `None`.
    pub(super) fn new(store: Arc<SqliteStore>, storage: Option<&str>) -> Self {
        let opened = storage.and_then(|storage| {
            let path = Path::new(storage).join("ev-state").join("state.db");
            Some((identity(&path).ok()?, path))
        });
        Self(Arc::new(Inner {
            store,
            opened: opened.map(|(identity, path)| (path, identity)),
            is_gone: AtomicBool::new(false),
            last: Mutex::default(),
            asking: AtomicBool::new(false),
        }))
    }

    /// What is wrong with the files of the state, by the last answer.
    pub(super) fn trouble(&self) -> Option<String> {
        let what = "its files were removed or replaced while they were in use: what is noted there \
                    is lost, and sent again after a restart; stop the handler, put them back, and \
                    start it";
        self.0.is_gone.load(Ordering::Acquire).then(|| what.to_owned())
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
        self.look();
        self.asking.store(false, Ordering::Release);
    }

    fn look(&self) {
        let Some((path, opened)) = &self.opened else { return };
        // That it cannot be told, for want of file descriptors perhaps, is another trouble.
        let is_gone = match identity(path) {
            Ok(found) => found != *opened,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(_) => return,
        };
        let (was_gone, path) = (self.is_gone.swap(is_gone, Ordering::AcqRel), path.display());
        match (was_gone, is_gone) {
            (false, true) => {
                error!(%path, "the state was removed or replaced while it was in use");
            }
            (true, false) => info!(%path, "the state is in its place again"),
            _ => {}
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, BTreeMap<SinkId, Counts>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
