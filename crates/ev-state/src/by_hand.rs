//! What an operator does to parked events while no handler has the state.

use std::path::Path;

use bytes::Bytes;
use ev_core::{ParkedId, StateError};

use crate::parked::{self, ParkedFacts};
use crate::store::SqliteStore;
use crate::{directory, error};

/// What was destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Number of events.
    pub events: u64,
    /// Number of their raw bytes.
    pub bytes: u64,
}

impl SqliteStore {
    /// As [`SqliteStore::open`], but makes no new state where there is none.
    ///
    /// # Errors
    ///
    /// [`StateError::Storage`] when there is none, and those of [`SqliteStore::open`].
    pub fn open_existing(storage: impl AsRef<Path>) -> Result<Self, StateError> {
        let storage = storage.as_ref();
        directory::existing(storage)?;
        Self::open(storage)
    }

    /// At most `limit` parked events of all sinks behind `after`, in the order in which they were
    /// parked, without their bytes.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn parked_facts(
        &self,
        after: Option<ParkedId>,
        limit: usize,
    ) -> Result<Vec<ParkedFacts>, StateError> {
        self.reading("read parked events", |connection| parked::facts(connection, after, limit))
    }

    /// A parked event with its raw bytes; `None` if there is none of that number.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn parked_event(&self, id: ParkedId) -> Result<Option<(ParkedFacts, Bytes)>, StateError> {
        self.reading("read parked events", |connection| parked::one(connection, id))
    }

    /// Makes parked events due at once, whatever was tried with them before: their decoder is
    /// forgotten, all else stays. All of them or none.
    ///
    /// # Errors
    ///
    /// [`StateError::Refused`] when one of them is not there, and what the disk reports.
    pub fn retry_parked(&self, ids: &[ParkedId]) -> Result<(), StateError> {
        let what = "make parked events due";
        self.transaction(what, |transaction| {
            for id in ids {
                let there = parked::retry(transaction, *id);
                if !there.map_err(|cause| self.failed(what, cause))? {
                    return Err(gone(*id));
                }
            }
            Ok(())
        })
    }

    /// Destroys parked events and counts them as dropped by hand instead of parked, all of them or
    /// none. No handler may have the sink open at the time; the lock on the directory sees to it.
    ///
    /// # Errors
    ///
    /// [`StateError::Refused`] when one of them is not there, and what the disk reports.
    pub fn drop_parked(&self, ids: &[ParkedId]) -> Result<Dropped, StateError> {
        let what = "drop parked events";
        self.transaction(what, |transaction| {
            let mut dropped = Dropped::default();
            for id in ids {
                let found = parked::drop_one(transaction, *id);
                let size = found.map_err(|cause| self.failed(what, cause))?;
                let size = size.ok_or_else(|| gone(*id))?;
                dropped.events += 1;
                dropped.bytes += size;
            }
            Ok(dropped)
        })
    }
}

fn gone(id: ParkedId) -> StateError {
    error::refused(format!("there is no parked event {}", id.0))
}
