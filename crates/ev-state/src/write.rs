//! From the words of `ev-core` to rows, inside the caller's transaction.

use ev_core::{
    Advance, AuthVersion, Change, Flavour, LaneId, Settle, SignedArtifact, SinkId, Timestamp,
    Token, Totals,
};
use rusqlite::{Connection, OptionalExtension, named_params};

use crate::begin::TakenOver;
use crate::{ledger, locks, parked, trouble, words};

/// A change was not written.
pub(crate) enum Refusal {
    /// The database failed.
    Database(rusqlite::Error),
    /// A lane is not there.
    NoLane(LaneId),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Notes the cluster and flavour of a new state.
pub(crate) fn identity(
    connection: &Connection,
    cluster: &str,
    flavour: Flavour,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO state (only_row, cluster, flavour, ledger_key)
             VALUES (1, ?1, ?2, randomblob(16))",
        )?
        .execute([cluster, flavour.as_str()])?;
    Ok(())
}

/// Takes the lease on a sink, making its row if there is none. Returns the row's number.
pub(crate) fn lease(
    connection: &Connection,
    sink: &SinkId,
    start_time: Timestamp,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO sink (name, epoch, start_seconds) VALUES (:name, 1, :start_seconds)
             ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1
             RETURNING id",
        )?
        .query_row(
            named_params! { ":name": sink.0, ":start_seconds": start_time.seconds() },
            |row| row.get(0),
        )
}

/// Sets the start time of a sink of which nothing else is known yet, and what another handler has
/// delivered.
pub(crate) fn start_time(
    connection: &Connection,
    sink: i64,
    start_time: Timestamp,
    taken_over: TakenOver,
) -> rusqlite::Result<()> {
    let TakenOver { known_from, place } = taken_over;
    connection
        .prepare_cached(
            "UPDATE sink SET start_seconds = ?2, known_from_seconds = ?3, taken_over_seconds = ?4
             WHERE id = ?1",
        )?
        .execute((sink, start_time.seconds(), known_from.seconds(), place.seconds()))?;
    Ok(())
}

/// Writes a change, its parts in the order that [`Change`] documents.
pub(crate) fn change(connection: &Connection, sink: i64, change: &Change) -> Result<(), Refusal> {
    for (lane, token) in &change.open {
        open(connection, sink, lane, token)?;
    }
    for settled in &change.settle {
        settle(connection, sink, settled)?;
    }
    for moved in &change.advance {
        advance(connection, sink, moved)?;
    }
    for lane in &change.done {
        let changed = connection
            .prepare_cached("UPDATE lane SET done = 1 WHERE sink = ?1 AND name = ?2")?
            .execute((sink, lane.to_string()))?;
        there(changed, lane)?;
    }
    for event in &change.park {
        parked::park(connection, sink, event)?;
    }
    for tried in &change.attempt {
        parked::attempt(connection, sink, tried)?;
    }
    for id in &change.resolve {
        parked::resolve(connection, sink, *id)?;
    }
    for lane in &change.forget {
        // Its known ids go with it.
        connection
            .prepare_cached("DELETE FROM lane WHERE sink = ?1 AND name = ?2")?
            .execute((sink, lane.to_string()))?;
    }
    for row in &change.ledger {
        ledger::put_hour(connection, sink, row)?;
    }
    for row in &change.session_ledger {
        ledger::put_session(connection, sink, row)?;
    }
    for row in &change.session_trouble {
        trouble::put(connection, sink, row)?;
    }
    for session in &change.session_cleared {
        trouble::clear(connection, sink, session)?;
    }
    for lock in &change.lock {
        locks::put(connection, sink, lock)?;
    }
    for name in &change.locked {
        locks::clear(connection, sink, name)?;
    }
    if let Some(sums) = &change.totals {
        totals(connection, sink, sums)?;
    }
    if let Some(version) = &change.seen_version {
        connection
            .prepare_cached("UPDATE sink SET seen_version = ?2 WHERE id = ?1")?
            .execute((sink, version.as_str()))?;
    }
    if let Some(reading) = &change.reading {
        connection
            .prepare_cached("UPDATE sink SET road = ?2, road_seconds = ?3 WHERE id = ?1")?
            .execute((sink, reading.road.as_str(), reading.since_seconds))?;
    }
    Ok(())
}

fn open(connection: &Connection, sink: i64, lane: &LaneId, token: &Token) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO lane (sink, name, road, format, token)
             VALUES (:sink, :name, :road, :format, :token) ON CONFLICT (sink, name) DO NOTHING",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":name": lane.to_string(),
            ":road": token.road.as_str(),
            ":format": token.format,
            ":token": &token.bytes[..],
        })?;
    Ok(())
}

fn settle(connection: &Connection, sink: i64, settled: &Settle) -> Result<(), Refusal> {
    let lane: Option<i64> = connection
        .prepare_cached("SELECT id FROM lane WHERE sink = ?1 AND name = ?2")?
        .query_row((sink, settled.lane.to_string()), |row| row.get(0))
        .optional()?;
    let lane = lane.ok_or_else(|| Refusal::NoLane(settled.lane.clone()))?;
    if settled.inner.is_empty() && settled.border.is_empty() {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO known_ids (lane, page, inner, border)
             VALUES (:lane, :page, :inner, :border)",
        )?
        .execute(named_params! {
            ":lane": lane,
            ":page": count(settled.page)?,
            ":inner": words::pack(&settled.inner),
            ":border": words::pack(&settled.border),
        })?;
    Ok(())
}

fn advance(connection: &Connection, sink: i64, moved: &Advance) -> Result<(), Refusal> {
    let changed = connection
        .prepare_cached(
            "UPDATE lane SET road = :road, format = :format, token = :token, page = :page
             WHERE sink = :sink AND name = :name",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":name": moved.lane.to_string(),
            ":road": moved.token.road.as_str(),
            ":format": moved.token.format,
            ":token": &moved.token.bytes[..],
            ":page": count(moved.page)?,
        })?;
    there(changed, &moved.lane)
}

fn totals(connection: &Connection, sink: i64, sums: &Totals) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE sink
             SET passed = :passed, delivered = :delivered, filtered = :filtered,
                 parked = :parked, resolved = :resolved, dropped = :dropped,
                 given_up = :given_up, by_native = :by_native, by_table = :by_table,
                 by_module = :by_module, inexact = :inexact, sessions = :sessions
             WHERE id = :sink",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":passed": count(sums.passed)?,
            ":delivered": count(sums.delivered)?,
            ":filtered": count(sums.filtered)?,
            ":parked": count(sums.parked)?,
            ":resolved": count(sums.resolved)?,
            ":dropped": count(sums.dropped)?,
            ":given_up": count(sums.given_up)?,
            ":by_native": count(sums.by_native)?,
            ":by_table": count(sums.by_table)?,
            ":by_module": count(sums.by_module)?,
            ":inexact": count(sums.inexact)?,
            ":sessions": count(sums.sessions)?,
        })?;
    Ok(())
}

/// Keeps the highest Auth version seen.
pub(crate) fn highest_version(
    connection: &Connection,
    version: &AuthVersion,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO highest_version (only_row, version) VALUES (1, ?1)
             ON CONFLICT (only_row) DO UPDATE SET version = excluded.version",
        )?
        .execute([version.as_str()])?;
    Ok(())
}

/// Keeps the artifact of a version instead of the one before.
pub(crate) fn artifact(
    connection: &Connection,
    version: &AuthVersion,
    artifact: &SignedArtifact,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO artifact (version, envelope, payload) VALUES (?1, ?2, ?3)
             ON CONFLICT (version) DO UPDATE
             SET envelope = excluded.envelope, payload = excluded.payload",
        )?
        .execute((version.as_str(), &artifact.envelope[..], &artifact.payload[..]))?;
    Ok(())
}

/// SQLite's integers are signed; no count comes near their end in earnest.
pub(crate) fn count(value: u64) -> rusqlite::Result<i64> {
    i64::try_from(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn there(changed: usize, lane: &LaneId) -> Result<(), Refusal> {
    if changed == 0 { Err(Refusal::NoLane(lane.clone())) } else { Ok(()) }
}
