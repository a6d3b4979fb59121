//! The store itself: transactions, the lease, and the fence.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ev_core::{
    AuthVersion, Change, Claim, Epoch, Flavour, Known, KnownQuery, LedgerHour, ParkedEvent,
    ParkedGroup, ParkedQuery, SessionId, SessionLedger, SignedArtifact, SinkId, Snapshot,
    StateError, StateStore,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::database::{self, Place};
use crate::directory::Directory;
use crate::write::Refusal;
use crate::{error, known, ledger, parked, read, write};

/// Statements kept ready; all of this crate's fit.
const STATEMENT_CACHE: usize = 64;

/// [`StateStore`] in a SQLite database.
///
/// Calls block for one sync of the disk at most: about 0.3 ms on a fast disk, 10 ms on a slow one.
/// One at a time is under way; others wait.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped before the lock, so that no other process opens the database while it is closed.
    connection: Mutex<Connection>,
    place: Place,
    _directory: Option<Directory>,
}

impl SqliteStore {
    /// Opens the state under a storage directory, making what is missing.
    ///
    /// # Errors
    ///
    /// - [`StateError::InUse`] when a process has it open already, this one included.
    /// - [`StateError::Storage`] when the directory cannot be made or written, naming the path.
    /// - [`StateError::Mismatch`] when a newer release, or something else, wrote the database.
    /// - [`StateError::Damaged`] when the database is; it is left as it is.
    pub fn open(storage: impl AsRef<Path>) -> Result<Self, StateError> {
        let storage = storage.as_ref();
        let mut directory = Directory::open(storage)?;
        let place = Place { storage: storage.to_owned(), database: directory.database.clone() };
        let connection = database::open(&place)?;
        directory.mark()?;
        Ok(Self::new(connection, place, Some(directory)))
    }

    /// A state that ends with the process, for simulations: the same SQL, without a disk.
    ///
    /// # Errors
    ///
    /// [`StateError::Storage`] when SQLite cannot start.
    pub fn in_memory() -> Result<Self, StateError> {
        Ok(Self::new(database::open_in_memory()?, Place::memory(), None))
    }

    fn new(connection: Connection, place: Place, directory: Option<Directory>) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        Self { connection: Mutex::new(connection), place, _directory: directory }
    }

    /// Where the database is, for logs; `:memory:` if nowhere.
    pub fn path(&self) -> &Path {
        &self.place.database
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic interrupted was rolled back when it was dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in a transaction and makes it durable; any error undoes all of it.
    ///
    /// The write lock is taken at the start: what `work` reads (the epoch above all) still holds
    /// when it writes.
    pub(crate) fn transaction<T>(
        &self,
        what: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let failed = |cause| self.failed(what, cause);
        let mut connection = self.lock();
        if !connection.is_autocommit() {
            // Undoing an earlier change failed with the disk; it has to go before the next.
            connection.execute_batch("ROLLBACK").map_err(failed)?;
        }
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let answer = work(&transaction)?;
        transaction.commit().map_err(failed)?;
        Ok(answer)
    }

    pub(crate) fn reading<T>(
        &self,
        what: &str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        read(&self.lock()).map_err(|cause| self.failed(what, cause))
    }

    pub(crate) fn failed(&self, what: &str, cause: rusqlite::Error) -> StateError {
        error::rows(&self.place.database, what, cause)
    }

    /// The cluster that the state belongs to, and the JSON flavour that was begun with; `None` if
    /// it is new.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn identity(&self) -> Result<Option<(String, Flavour)>, StateError> {
        self.reading("read what it belongs to", read::identity)
    }

    pub(crate) fn flavour_of(
        &self,
        claim: &Claim,
        stored: Option<(String, Flavour)>,
    ) -> Result<Flavour, StateError> {
        let Some((cluster, flavour)) = stored else {
            return Ok(claim.flavour.unwrap_or(Flavour::Go));
        };
        if cluster != claim.cluster {
            return Err(self.place.mismatch(format!(
                "belongs to cluster `{cluster}`, but Auth is of cluster `{}`; use another storage \
                 directory for this cluster, or correct the address",
                claim.cluster
            )));
        }
        match claim.flavour {
            Some(asked) if asked != flavour => Err(self.place.mismatch(format!(
                "was begun with the JSON flavour `{flavour}`, but `{asked}` is asked for; remove \
                 the setting `json-flavour`, or a `source` that has no other one, or use another storage directory (events are then \
                 sent again from `start-time`)"
            ))),
            _ => Ok(flavour),
        }
    }
}

impl StateStore for SqliteStore {
    fn open_sink(&self, claim: &Claim) -> Result<Snapshot, StateError> {
        let what = "open the sink";
        self.transaction(what, |transaction| {
            let failed = |cause| self.failed(what, cause);
            let stored = read::identity(transaction).map_err(failed)?;
            let is_new = stored.is_none();
            let flavour = self.flavour_of(claim, stored)?;
            if is_new {
                write::identity(transaction, &claim.cluster, flavour).map_err(failed)?;
            }
            let sink = write::lease(transaction, &claim.sink, claim.start_time).map_err(failed)?;
            read::snapshot(transaction, sink, flavour).map_err(failed)
        })
    }

    fn commit(&self, sink: &SinkId, epoch: Epoch, change: &Change) -> Result<(), StateError> {
        let what = "commit";
        self.transaction(what, |transaction| {
            let failed = |cause| self.failed(what, cause);
            let Some((id, newest)) = read::sink(transaction, sink).map_err(failed)? else {
                return Err(error::refused(format!("sink `{}` is not open", sink.0)));
            };
            if newest != epoch.0 {
                return Err(StateError::Fenced { ours: epoch.0, newest });
            }
            write::change(transaction, id, change).map_err(|refusal| match refusal {
                Refusal::Database(cause) => failed(cause),
                Refusal::NoLane(lane) => {
                    error::refused(format!("lane `{lane}` is not in the state"))
                }
            })
        })
    }

    fn known(&self, sink: &SinkId, query: &KnownQuery) -> Result<Known, StateError> {
        known::known(&self.lock(), &sink.0, query)
            .map_err(|cause| self.failed("look for settled events", cause))
    }

    fn parked(&self, sink: &SinkId, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, StateError> {
        self.reading("read parked events", |connection| parked::events(connection, sink, query))
    }

    fn parked_groups(&self, sink: &SinkId) -> Result<Vec<(ParkedGroup, u64)>, StateError> {
        self.reading("read parked events", |connection| parked::groups(connection, sink))
    }

    fn parked_in(
        &self,
        sink: &SinkId,
        group: &ParkedGroup,
        query: &ParkedQuery,
    ) -> Result<Vec<ParkedEvent>, StateError> {
        self.reading("read parked events", |connection| {
            parked::events_in(connection, sink, group, query)
        })
    }

    fn ledger(&self, sink: &SinkId, hours: Range<i64>) -> Result<Vec<LedgerHour>, StateError> {
        self.reading("read the ledger", |connection| ledger::hours(connection, sink, &hours))
    }

    fn session_ledger(
        &self,
        sink: &SinkId,
        session: &SessionId,
    ) -> Result<Option<SessionLedger>, StateError> {
        self.reading("read the ledger", |connection| ledger::session(connection, sink, session))
    }

    fn artifact(&self, version: &AuthVersion) -> Result<Option<SignedArtifact>, StateError> {
        self.reading("read a decoder artifact", |connection| read::artifact(connection, version))
    }

    fn put_artifact(
        &self,
        version: &AuthVersion,
        artifact: &SignedArtifact,
    ) -> Result<(), StateError> {
        let what = "keep a decoder artifact";
        self.transaction(what, |transaction| {
            write::artifact(transaction, version, artifact)
                .map_err(|cause| self.failed(what, cause))
        })
    }

    fn highest_version(&self) -> Result<Option<AuthVersion>, StateError> {
        self.reading("read the highest version", read::highest_version)
    }

    fn put_highest_version(&self, version: &AuthVersion) -> Result<(), StateError> {
        let what = "keep the highest version";
        self.transaction(what, |transaction| {
            write::highest_version(transaction, version).map_err(|cause| self.failed(what, cause))
        })
    }
}

#[cfg(test)]
mod tests {
    use ev_core::testing::state::{claim, everything, parked, window};

    use super::*;

    #[test]
    fn a_full_disk_fails_the_commit_and_nothing_else() {
        let storage = tempfile::tempdir().expect("temporary directories can be made");
        let store = SqliteStore::open(storage.path()).expect("a new state opens");
        let sink = claim("main").sink;
        let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
        let small = Change { park: vec![parked(&window(0), 1)], ..Change::default() };
        store.commit(&sink, epoch, &small).expect("there is room");
        let before = store.parked(&sink, &everything()).expect("readable");

        // A limit on the number of pages is to SQLite what a full disk is.
        let limit = |pages: i64| {
            let set =
                |connection: &Connection| connection.pragma_update(None, "max_page_count", pages);
            set(&store.lock()).expect("a valid pragma");
        };
        limit(1);
        let mut event = parked(&window(60), 2);
        event.bytes = vec![0; 1 << 20].into();
        let large = Change { park: vec![event], ..Change::default() };
        for _ in 0..2 {
            let error = store.commit(&sink, epoch, &large).expect_err("there is no room");
            assert!(error.to_string().contains("the disk is full"), "{error}");
            assert_eq!(store.parked(&sink, &everything()).expect("readable"), before);
        }
        limit(1_000_000);
        store.commit(&sink, epoch, &large).expect("there is room again");
        assert_eq!(store.parked(&sink, &everything()).expect("readable").len(), 2);
    }

    /// What the tests of power cuts take for granted: what was written is synced when a commit
    /// returns, and no sector is relied upon that the next commit writes to.
    #[test]
    fn a_commit_waits_for_the_disk() {
        let storage = tempfile::tempdir().expect("temporary directories can be made");
        for _ in 0..2 {
            let store = SqliteStore::open(storage.path()).expect("opens");
            let connection = store.lock();
            let number = |name: &str| -> i64 {
                connection.pragma_query_value(None, name, |row| row.get(0)).expect("readable")
            };
            assert_eq!(number("synchronous"), 2, "FULL");
            assert_eq!(number("foreign_keys"), 1);
            let mode: String = connection
                .pragma_query_value(None, "journal_mode", |row| row.get(0))
                .expect("readable");
            assert_eq!(mode, "wal");
        }
    }

    #[test]
    fn a_transaction_left_open_is_undone_before_the_next() {
        let store = SqliteStore::in_memory().expect("memory is there");
        let epoch = store.open_sink(&claim("main")).expect("opens").epoch;
        let left_open = "BEGIN; UPDATE sink SET epoch = 99;";
        store.lock().execute_batch(left_open).expect("valid SQL");
        let sink = claim("main").sink;
        store.commit(&sink, epoch, &Change::default()).expect("our epoch is the newest");
    }
}
