//! From rows to the words of `ev-core`.

use bytes::Bytes;
use ev_core::{
    AuthVersion, Epoch, Flavour, LaneRow, Reading, SignedArtifact, SinkId, Snapshot, Timestamp,
    Token, Totals,
};
use rusqlite::types::{FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::{locks, trouble, words};

/// Cluster and flavour of the state, if it has any.
pub(crate) fn identity(connection: &Connection) -> rusqlite::Result<Option<(String, Flavour)>> {
    connection
        .prepare_cached("SELECT cluster, flavour FROM state")?
        .query_row([], |row| Ok((row.get(0)?, word(row, 1, words::flavour)?)))
        .optional()
}

/// The secret by which the ledger hashes events, of a state that has an identity.
pub(crate) fn ledger_key(connection: &Connection) -> rusqlite::Result<[u8; 16]> {
    connection.prepare_cached("SELECT ledger_key FROM state")?.query_row([], |row| row.get(0))
}

/// Row number and epoch of a sink.
pub(crate) fn sink(connection: &Connection, sink: &SinkId) -> rusqlite::Result<Option<(i64, i64)>> {
    connection
        .prepare_cached("SELECT id, epoch FROM sink WHERE name = ?1")?
        .query_row([&sink.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Everything kept for a sink, apart from parked events.
pub(crate) fn snapshot(
    connection: &Connection,
    sink: i64,
    flavour: Flavour,
) -> rusqlite::Result<Snapshot> {
    let lanes = lanes(connection, sink)?;
    let session_trouble = trouble::of_sink(connection, sink)?;
    let due_locks = locks::of_sink(connection, sink)?;
    connection
        .prepare_cached(
            "SELECT epoch, start_seconds, seen_version, passed, delivered, filtered, parked,
                    resolved, dropped, given_up, by_native, by_table, by_module, inexact, sessions,
                    parked_bytes, road, road_seconds,
                    (SELECT ledger_key FROM state) AS ledger_key
             FROM sink WHERE id = ?1",
        )?
        .query_row([sink], |row| {
            Ok(Snapshot {
                epoch: Epoch(row.get("epoch")?),
                flavour,
                start_time: Timestamp::new(row.get("start_seconds")?, 0),
                seen_version: row.get::<_, Option<String>>("seen_version")?.map(AuthVersion::new),
                lanes,
                totals: totals(row)?,
                parked_bytes: count(row, "parked_bytes")?,
                ledger_key: row.get("ledger_key")?,
                session_trouble,
                reading: reading(row)?,
                due_locks,
            })
        })
}

fn reading(row: &Row<'_>) -> rusqlite::Result<Option<Reading>> {
    let Some(since_seconds) = row.get("road_seconds")? else { return Ok(None) };
    let road = word(row, row.as_ref().column_index("road")?, words::road)?;
    Ok(Some(Reading { road, since_seconds }))
}

pub(crate) fn totals(row: &Row<'_>) -> rusqlite::Result<Totals> {
    Ok(Totals {
        passed: count(row, "passed")?,
        delivered: count(row, "delivered")?,
        filtered: count(row, "filtered")?,
        parked: count(row, "parked")?,
        resolved: count(row, "resolved")?,
        dropped: count(row, "dropped")?,
        given_up: count(row, "given_up")?,
        by_native: count(row, "by_native")?,
        by_table: count(row, "by_table")?,
        by_module: count(row, "by_module")?,
        inexact: count(row, "inexact")?,
        sessions: count(row, "sessions")?,
    })
}

fn lanes(connection: &Connection, sink: i64) -> rusqlite::Result<Vec<LaneRow>> {
    let mut lanes = connection.prepare_cached(
        "SELECT id, name, road, format, token, page, done FROM lane WHERE sink = ?1 ORDER BY id",
    )?;
    let mut known = connection.prepare_cached(
        "SELECT inner, border FROM known_ids WHERE lane = ?1 AND page >= ?2 ORDER BY id",
    )?;
    let mut found = Vec::new();
    let mut rows = lanes.query([sink])?;
    while let Some(row) = rows.next()? {
        let mut lane = LaneRow {
            lane: word(row, 1, words::lane)?,
            token: Token {
                road: word(row, 2, words::road)?,
                format: row.get(3)?,
                bytes: blob(row, 4)?,
            },
            page: count(row, "page")?,
            done: row.get(6)?,
            recent: Vec::new(),
        };
        if lane.done {
            // Nothing of it comes again but what is looked for in the database.
            found.push(lane);
            continue;
        }
        let mut ids = known.query([row.get::<_, i64>(0)?, row.get::<_, i64>(5)?])?;
        while let Some(row) = ids.next()? {
            word(row, 0, |value| words::unpack(value, &mut lane.recent))?;
            word(row, 1, |value| words::unpack(value, &mut lane.recent))?;
        }
        found.push(lane);
    }
    Ok(found)
}

/// The artifact kept for a version.
pub(crate) fn artifact(
    connection: &Connection,
    version: &AuthVersion,
) -> rusqlite::Result<Option<SignedArtifact>> {
    connection
        .prepare_cached("SELECT envelope, payload FROM artifact WHERE version = ?1")?
        .query_row([version.as_str()], |row| {
            Ok(SignedArtifact { envelope: blob(row, 0)?, payload: blob(row, 1)? })
        })
        .optional()
}

/// All artifacts that are kept.
pub(crate) fn artifacts(
    connection: &Connection,
) -> rusqlite::Result<Vec<(AuthVersion, SignedArtifact)>> {
    connection
        .prepare_cached("SELECT envelope, payload, version FROM artifact ORDER BY version")?
        .query_map([], |row| {
            let artifact = SignedArtifact { envelope: blob(row, 0)?, payload: blob(row, 1)? };
            Ok((AuthVersion::new(row.get::<_, String>(2)?), artifact))
        })?
        .collect()
}

/// The highest Auth version seen.
pub(crate) fn highest_version(connection: &Connection) -> rusqlite::Result<Option<AuthVersion>> {
    connection
        .prepare_cached("SELECT version FROM highest_version")?
        .query_row([], |row| row.get::<_, String>(0).map(AuthVersion::new))
        .optional()
}

/// Whether a table is there; a layout of an earlier release may lack it.
pub(crate) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
        .exists([name])
}

/// Whether a table has a column of that name.
pub(crate) fn has_column(
    connection: &Connection,
    table: &str,
    name: &str,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?
        .exists([table, name])
}

/// A column that is never below zero, by its name.
fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    number(row, row.as_ref().column_index(column)?)
}

/// A column that is never below zero.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    word(row, column, |value| {
        let value = value.as_i64()?;
        u64::try_from(value).map_err(|_| FromSqlError::OutOfRange(value))
    })
}

pub(crate) fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    word(row, column, |value| Ok(Bytes::copy_from_slice(value.as_blob()?)))
}

/// Reads a column by a function; a value it refuses is reported with the column's number.
pub(crate) fn word<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(ValueRef<'_>) -> FromSqlResult<T>,
) -> rusqlite::Result<T> {
    let value = row.get_ref(column)?;
    read(value).map_err(|error| conversion(column, value.data_type(), error))
}

fn conversion(column: usize, kind: Type, error: FromSqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
