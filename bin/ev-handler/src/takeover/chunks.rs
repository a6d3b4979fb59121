//! What the bulk export of the reference handler has delivered: whole chunks, and parts of chunks
//! up to a cursor.
//!
//! Chunks are named by Auth and never change, so where the log is read by the export again, the
//! names and cursors are all that is needed. By a search the events come in another order: then
//! they are told by their ids, for which the chunks are read once more. By which calls the log is
//! read may change with every Auth, so that is done in any case.

use std::collections::BTreeMap;

use ev_core::Date;
use ev_reference_state::{Chunks, State};
use tracing::warn;

use crate::start::Error;

use super::boundary::Log;
use super::plan::Entry;

/// Ids that are taken at most, as in front of a place in searches.
const MOST: usize = 2_000_000;

/// The delivered events of each chunk, as far as they can be told.
pub(crate) type Told = BTreeMap<(Date, String), Vec<Entry>>;

/// Reads the chunks of a state, the newest first: those in front are the least likely to be met
/// again.
///
/// # Errors
///
/// What only an operator can mend.
pub(super) async fn delivered(log: &mut impl Log, state: &State) -> Result<Told, Error> {
    let mut told = Told::new();
    let mut left = MOST;
    for (date, Chunks { completed, partial }) in state.dates.iter().rev() {
        let partial = partial.iter().map(|(chunk, cursor)| (chunk, Some(cursor.as_str())));
        for (chunk, up_to) in completed.iter().map(|chunk| (chunk, None)).chain(partial) {
            match log.chunk(*date, chunk, up_to).await? {
                Ok(entries) if entries.len() <= left => {
                    left -= entries.len();
                    told.insert((*date, chunk.clone()), entries);
                }
                Ok(_) => {
                    warn!(%date, "too many events to remember; if the log is searched instead of exported, those of earlier chunks are sent again");
                    return Ok(told);
                }
                Err(reason) => warn!(
                    %date, chunk, reason,
                    "which events of this chunk were sent cannot be told: if the log is searched \
                     instead of exported, they are sent again"
                ),
            }
        }
    }
    Ok(told)
}
