//! What a state holds, for whoever shows it or takes it elsewhere.

use ev_core::{AuthVersion, LaneId, Road, Timestamp, Token, Totals};
use rusqlite::Connection;

use crate::read::{self, blob, number, word};
use crate::words;

/// A sink's state, apart from parked events, ids and ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFacts {
    /// Its name.
    pub name: String,
    /// Where it was to begin.
    pub start_time: Timestamp,
    /// Auth version seen last.
    pub seen_version: Option<AuthVersion>,
    /// Sums over the life of the state.
    pub totals: Totals,
    /// All lanes, in the order in which they were opened.
    pub lanes: Vec<LaneFacts>,
}

/// A lane as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneFacts {
    /// The lane.
    pub lane: LaneId,
    /// Where it is to be resumed.
    pub token: Token,
    /// Whether it has ended and all its events are settled.
    pub done: bool,
    /// How many ids of settled events are kept for it.
    pub known: u64,
}

/// All sinks, in the order in which they were first opened. Reads the layouts of earlier releases
/// as they are.
pub(crate) fn sinks(connection: &Connection) -> rusqlite::Result<Vec<SinkFacts>> {
    // All of it as it was at one moment.
    let now = connection.unchecked_transaction()?;
    let mut sinks = now.prepare(
        "SELECT id, name, start_seconds, seen_version, passed, delivered, filtered, parked,
                resolved, dropped, given_up, by_native, by_table, by_module, inexact, sessions
         FROM sink ORDER BY id",
    )?;
    let mut found = Vec::new();
    let mut rows = sinks.query([])?;
    while let Some(row) = rows.next()? {
        found.push(SinkFacts {
            name: row.get("name")?,
            start_time: Timestamp::new(row.get("start_seconds")?, 0),
            seen_version: row.get::<_, Option<String>>("seen_version")?.map(AuthVersion::new),
            totals: read::totals(row)?,
            lanes: lanes(&now, row.get("id")?)?,
        });
    }
    Ok(found)
}

fn lanes(connection: &Connection, sink: i64) -> rusqlite::Result<Vec<LaneFacts>> {
    connection
        .prepare_cached(
            "SELECT name, road, format, token, done,
                    (SELECT coalesce(sum(length(inner) + length(border)), 0) / 16
                     FROM known_ids WHERE known_ids.lane = lane.id)
             FROM lane WHERE sink = ?1 ORDER BY id",
        )?
        .query_map([sink], |row| {
            let road: Road = word(row, 1, words::road)?;
            Ok(LaneFacts {
                lane: word(row, 0, words::lane)?,
                token: Token { road, format: row.get(2)?, bytes: blob(row, 3)? },
                done: row.get(4)?,
                known: number(row, 5)?,
            })
        })?
        .collect()
}
