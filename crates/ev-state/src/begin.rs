//! A state that does not begin from nothing.

use ev_core::{Change, Claim, SinkId, StateError, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::store::SqliteStore;
use crate::write::Refusal;
use crate::{error, read, write};

/// What another handler has delivered, from which a sink is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// From this second on the ledger has, or will have, everything that is delivered by whomever.
    pub known_from: Timestamp,
    /// Where the other one stood: what was announced up to this second, it has cared for.
    pub place: Timestamp,
}

impl SqliteStore {
    /// Whether nothing is known of a sink: it was never opened, or nothing was read for it since.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn is_blank(&self, sink: &SinkId) -> Result<bool, StateError> {
        self.reading("look for the sink", |connection| is_blank(connection, sink))
    }

    /// Opens a sink of which nothing is known with what is known from elsewhere, in one step:
    /// either all of the change is there afterwards, with the claim's start time, or nothing is. To
    /// be followed by [`open_sink`](ev_core::StateStore::open_sink).
    ///
    /// `change` is given the secret by which the ledger hashes events.
    ///
    /// Returns whether that was done; `false` for a sink of which something is known, which stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// As [`open_sink`](ev_core::StateStore::open_sink) and [`commit`](ev_core::StateStore::commit).
    pub fn begin(
        &self,
        claim: &Claim,
        taken_over: TakenOver,
        change: impl FnOnce(&[u8; 16]) -> Change,
    ) -> Result<bool, StateError> {
        let what = "begin a sink";
        self.transaction(what, |transaction| {
            let failed = |cause| self.failed(what, cause);
            let stored = read::identity(transaction).map_err(failed)?;
            let is_new = stored.is_none();
            let flavour = self.flavour_of(claim, stored)?;
            if !is_blank(transaction, &claim.sink).map_err(failed)? {
                return Ok(false);
            }
            if is_new {
                write::identity(transaction, &claim.cluster, flavour).map_err(failed)?;
            }
            let sink = write::lease(transaction, &claim.sink, claim.start_time).map_err(failed)?;
            write::start_time(transaction, sink, claim.start_time, taken_over).map_err(failed)?;
            let change = change(&read::ledger_key(transaction).map_err(failed)?);
            write::change(transaction, sink, &change).map_err(|refusal| match refusal {
                Refusal::Database(cause) => failed(cause),
                Refusal::NoLane(lane) => {
                    error::refused(format!("lane `{lane}` is not in the state"))
                }
            })?;
            Ok(true)
        })
    }
}

fn is_blank(connection: &Connection, sink: &SinkId) -> rusqlite::Result<bool> {
    let used: Option<bool> = connection
        .prepare_cached(
            "SELECT passed > 0
                    OR EXISTS (SELECT 1 FROM lane WHERE lane.sink = sink.id)
                    OR EXISTS (SELECT 1 FROM parked WHERE parked.sink = sink.id)
             FROM sink WHERE name = ?1",
        )?
        .query_row([&sink.0], |row| row.get(0))
        .optional()?;
    Ok(!used.unwrap_or(false))
}
