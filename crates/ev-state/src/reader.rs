//! Looking into a state without changing it, also while a handler runs.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use ev_core::{
    AuthVersion, Flavour, LedgerHour, ParkedId, SessionId, SessionLedger, SessionTrouble,
    SignedArtifact, SinkId, StateError,
};
use rusqlite::Connection;

use crate::database::{self, Place};
use crate::facts::{self, SinkFacts};
use crate::ledger::{self, LedgerFacts};
use crate::parked::ParkedFacts;
use crate::{directory, error, parked, read, trouble};

/// What a state holds, to be read and nothing else.
///
/// Needs no lock, so it works beside a running handler: in a write-ahead log readers and the writer
/// do not wait for each other, each call sees what was committed when it began, and a reader that
/// is killed leaves nothing behind. A handler's log cannot be cut while a call is under way, which
/// is why calls are short and bounded.
///
/// Reads the layouts of earlier releases as they are. Does not look for damage first: what can
/// still be read of a damaged database is read, so that parked events can be saved from it.
#[derive(Debug)]
pub struct StateReader {
    connection: Connection,
    place: Place,
}

impl StateReader {
    /// Opens the state under a storage directory.
    ///
    /// # Errors
    ///
    /// - [`StateError::Storage`] when there is no state, or when it cannot be read: naming the
    ///   path and what to do.
    /// - [`StateError::Mismatch`] when a newer release, or something else, wrote the database.
    /// - [`StateError::Damaged`] when it is no database.
    pub fn open(storage: impl AsRef<Path>) -> Result<Self, StateError> {
        let storage = storage.as_ref();
        let place = Place { storage: storage.to_owned(), database: directory::existing(storage)? };
        let connection = database::open_read_only(&place)?;
        Ok(Self { connection, place })
    }

    /// Whether a process has the state under a storage directory open.
    ///
    /// # Errors
    ///
    /// [`StateError::Storage`] when that cannot be told.
    pub fn is_in_use(storage: impl AsRef<Path>) -> Result<bool, StateError> {
        directory::is_in_use(storage.as_ref())
    }

    /// The cluster that the state belongs to, and the JSON flavour that was begun with; `None` if
    /// no sink was opened yet.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn identity(&self) -> Result<Option<(String, Flavour)>, StateError> {
        read::identity(&self.connection)
            .map_err(|cause| error::rows(&self.place.database, "read the identity", cause))
    }

    /// All sinks with their resume points and sums.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn sinks(&self) -> Result<Vec<SinkFacts>, StateError> {
        facts::sinks(&self.connection)
            .map_err(|cause| error::rows(&self.place.database, "read the resume points", cause))
    }

    /// At most `limit` parked events of all sinks behind `after`, in the order in which they were
    /// parked, without their bytes.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn parked(
        &self,
        after: Option<ParkedId>,
        limit: usize,
    ) -> Result<Vec<ParkedFacts>, StateError> {
        parked::facts(&self.connection, after, limit).map_err(|cause| self.failed(cause))
    }

    /// A parked event with its raw bytes, which hold what people typed in terminals; `None` if
    /// there is none of that number.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn parked_event(&self, id: ParkedId) -> Result<Option<(ParkedFacts, Bytes)>, StateError> {
        parked::one(&self.connection, id).map_err(|cause| self.failed(cause))
    }

    /// What has to be known about a sink's ledger before its rows mean anything; `None` if an
    /// earlier release wrote the state, which kept none, or if there is no such sink.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn ledger_facts(&self, sink: &SinkId) -> Result<Option<LedgerFacts>, StateError> {
        ledger::facts(&self.connection, sink).map_err(|cause| self.no_ledger(cause))
    }

    /// The ledger of these hours, in their order; hours without a row are left out.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn ledger(&self, sink: &SinkId, hours: Range<i64>) -> Result<Vec<LedgerHour>, StateError> {
        ledger::hours(&self.connection, sink, &hours).map_err(|cause| self.no_ledger(cause))
    }

    /// The ledger of a recording; `None` if there is no row.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn session_ledger(
        &self,
        sink: &SinkId,
        session: &SessionId,
    ) -> Result<Option<SessionLedger>, StateError> {
        ledger::session(&self.connection, sink, session).map_err(|cause| self.no_ledger(cause))
    }

    /// Whether a recording is still read, or is to be: otherwise what its row has is all that ever
    /// comes.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn reads_session(&self, sink: &SinkId, session: &SessionId) -> Result<bool, StateError> {
        ledger::reads_session(&self.connection, sink, session)
            .map_err(|cause| self.no_ledger(cause))
    }

    /// Recordings that cannot be read, those given up included, in the order of their ids.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn session_trouble(&self, sink: &SinkId) -> Result<Vec<SessionTrouble>, StateError> {
        trouble::of_named(&self.connection, sink).map_err(|cause| {
            error::rows(&self.place.database, "read the recordings in trouble", cause)
        })
    }

    /// The decoder artifacts that are kept, with the version each is for. They were verified when
    /// they came; who runs one verifies it again.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn artifacts(&self) -> Result<Vec<(AuthVersion, SignedArtifact)>, StateError> {
        read::artifacts(&self.connection)
            .map_err(|cause| error::rows(&self.place.database, "read decoder artifacts", cause))
    }

    fn failed(&self, cause: rusqlite::Error) -> StateError {
        error::rows(&self.place.database, "read parked events", cause)
    }

    fn no_ledger(&self, cause: rusqlite::Error) -> StateError {
        error::rows(&self.place.database, "read the ledger", cause)
    }
}
