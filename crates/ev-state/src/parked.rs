//! Parked events, from rows and to rows.

use bytes::Bytes;
use ev_core::{
    Attempt, AuthVersion, EventDigest, Form, LaneId, NewParked, ParkReason, ParkedEvent,
    ParkedGroup, ParkedId, ParkedQuery, SinkId, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, Rows, named_params};

use crate::read::{blob, number, word};
use crate::words;

/// All that is known of a parked event but its raw bytes, which hold what people typed in
/// terminals and may be large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedFacts {
    /// Its row; no two events of a state have the same, whatever their sinks.
    pub id: ParkedId,
    /// The sink that it is parked for.
    pub sink: SinkId,
    /// The lane it came from.
    pub lane: LaneId,
    /// Its id's digest.
    pub digest: EventDigest,
    /// How to read its bytes.
    pub form: Form,
    /// Number of its bytes.
    pub size: u64,
    /// The version of Auth that served it.
    pub version: AuthVersion,
    /// Why it is parked now.
    pub reason: ParkReason,
    /// What was wrong, for people. Comes from a decoder or a receiver, so it may hold anything.
    pub detail: String,
    /// The decoder that could not; empty if none has tried, or if another try was asked for.
    pub decoder: String,
    /// When it was parked.
    pub first: Timestamp,
    /// Number of attempts since.
    pub attempts: u32,
    /// When it was last tried.
    pub last_attempt: Option<Timestamp>,
}

/// Everything but the bytes, which come behind it. SQLite tells their length without reading them.
const FACTS: &str = "SELECT parked.id, sink.name, lane, digest, form, length(bytes), version,
     reason, detail, decoder, first_seconds, first_nanos, attempts, last_seconds, last_nanos";

const FROM: &str = "FROM parked JOIN sink ON sink.id = parked.sink";

/// Column of the size, and that of the bytes where they are asked for.
const SIZE: usize = 5;
const BYTES: usize = 15;

/// Parked events of a sink, within the bounds of the query.
pub(crate) fn events(
    connection: &Connection,
    sink: &SinkId,
    query: &ParkedQuery,
) -> rusqlite::Result<Vec<ParkedEvent>> {
    let mut statement = connection.prepare_cached(&format!(
        "{FACTS}, bytes {FROM}
         WHERE sink.name = :sink AND parked.id > :after ORDER BY parked.id LIMIT :limit"
    ))?;
    let rows = statement.query(named_params! {
        ":sink": sink.0,
        ":after": after(query.after),
        ":limit": limit(query.limit),
    })?;
    within(rows, query.max_bytes)
}

/// The same, of one group.
pub(crate) fn events_in(
    connection: &Connection,
    sink: &SinkId,
    group: &ParkedGroup,
    query: &ParkedQuery,
) -> rusqlite::Result<Vec<ParkedEvent>> {
    let mut statement = connection.prepare_cached(&format!(
        "{FACTS}, bytes {FROM}
         WHERE sink.name = :sink AND version = :version AND reason = :reason
           AND decoder = :decoder AND form = :form AND parked.id > :after
         ORDER BY parked.id LIMIT :limit"
    ))?;
    let rows = statement.query(named_params! {
        ":sink": sink.0,
        ":version": group.version.as_str(),
        ":reason": group.reason.as_str(),
        ":decoder": group.decoder,
        ":form": words::form_name(group.form),
        ":after": after(query.after),
        ":limit": limit(query.limit),
    })?;
    within(rows, query.max_bytes)
}

/// The groups of a sink's parked events, and how many are in each.
pub(crate) fn groups(
    connection: &Connection,
    sink: &SinkId,
) -> rusqlite::Result<Vec<(ParkedGroup, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, reason, decoder, form, count(*) FROM parked
         WHERE sink = (SELECT id FROM sink WHERE name = ?1)
         GROUP BY version, reason, decoder, form",
    )?;
    let found = statement.query_map([&sink.0], |row| {
        let group = ParkedGroup {
            version: AuthVersion::new(row.get::<_, String>(0)?),
            reason: word(row, 1, words::reason)?,
            decoder: row.get(2)?,
            form: word(row, 3, words::form)?,
        };
        Ok((group, number(row, 4)?))
    })?;
    let mut found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
    // The order of reasons is not that of their names.
    found.sort();
    Ok(found)
}

/// Facts of parked events of all sinks, in the order of their rows.
pub(crate) fn facts(
    connection: &Connection,
    behind: Option<ParkedId>,
    most: usize,
) -> rusqlite::Result<Vec<ParkedFacts>> {
    connection
        .prepare_cached(&format!(
            "{FACTS} {FROM} WHERE parked.id > ?1 ORDER BY parked.id LIMIT ?2"
        ))?
        .query_map((after(behind), limit(most)), facts_of)?
        .collect()
}

/// Facts and raw bytes of one parked event.
pub(crate) fn one(
    connection: &Connection,
    id: ParkedId,
) -> rusqlite::Result<Option<(ParkedFacts, Bytes)>> {
    connection
        .prepare_cached(&format!("{FACTS}, bytes {FROM} WHERE parked.id = ?1"))?
        .query_row([id.0], |row| Ok((facts_of(row)?, blob(row, BYTES)?)))
        .optional()
}

fn within(mut rows: Rows<'_>, max_bytes: usize) -> rusqlite::Result<Vec<ParkedEvent>> {
    let mut found = Vec::new();
    let mut bytes = 0usize;
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get::<_, u32>(SIZE)? as usize);
        if !found.is_empty() && bytes > max_bytes {
            break;
        }
        let facts = facts_of(row)?;
        found.push(ParkedEvent {
            id: facts.id,
            event: NewParked {
                lane: facts.lane,
                digest: facts.digest,
                form: facts.form,
                bytes: blob(row, BYTES)?,
                version: facts.version,
                reason: facts.reason,
                detail: facts.detail,
                decoder: facts.decoder,
                at: facts.first,
            },
            attempts: facts.attempts,
            last_attempt: facts.last_attempt,
        });
    }
    Ok(found)
}

fn facts_of(row: &Row<'_>) -> rusqlite::Result<ParkedFacts> {
    let last_attempt = match (row.get(13)?, row.get(14)?) {
        (Some(seconds), Some(nanos)) => Some(Timestamp::new(seconds, nanos)),
        _ => None,
    };
    Ok(ParkedFacts {
        id: ParkedId(row.get(0)?),
        sink: SinkId(row.get(1)?),
        lane: word(row, 2, words::lane)?,
        digest: word(row, 3, words::digest)?,
        form: word(row, 4, words::form)?,
        size: number(row, SIZE)?,
        version: AuthVersion::new(row.get::<_, String>(6)?),
        reason: word(row, 7, words::reason)?,
        detail: row.get(8)?,
        decoder: row.get(9)?,
        first: Timestamp::new(row.get(10)?, row.get(11)?),
        attempts: row.get(12)?,
        last_attempt,
    })
}

fn after(id: Option<ParkedId>) -> i64 {
    id.map_or(i64::MIN, |id| id.0)
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Parks an event; one that is parked already stays as it is.
pub(crate) fn park(connection: &Connection, sink: i64, event: &NewParked) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO parked (sink, lane, digest, form, version, reason, detail, decoder,
                                 first_seconds, first_nanos, bytes)
             VALUES (:sink, :lane, :digest, :form, :version, :reason, :detail, :decoder,
                     :first_seconds, :first_nanos, :bytes)
             ON CONFLICT (sink, lane, digest) DO NOTHING",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":lane": event.lane.to_string(),
            ":digest": &event.digest.0[..],
            ":form": words::form_name(event.form),
            ":version": event.version.as_str(),
            ":reason": event.reason.as_str(),
            ":detail": event.detail,
            ":decoder": event.decoder,
            ":first_seconds": event.at.seconds(),
            ":first_nanos": event.at.subsec_nanos(),
            ":bytes": &event.bytes[..],
        })?;
    Ok(())
}

/// Notes that an event was tried in vain.
pub(crate) fn attempt(connection: &Connection, sink: i64, tried: &Attempt) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE parked
             SET reason = :reason, detail = :detail, decoder = :decoder,
                 attempts = min(attempts + 1, 4294967295),
                 last_seconds = :seconds, last_nanos = :nanos
             WHERE sink = :sink AND id = :id",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":id": tried.id.0,
            ":reason": tried.reason.as_str(),
            ":detail": tried.detail,
            ":decoder": tried.decoder,
            ":seconds": tried.at.seconds(),
            ":nanos": tried.at.subsec_nanos(),
        })?;
    Ok(())
}

/// Deletes an event of a sink that has been delivered.
pub(crate) fn resolve(connection: &Connection, sink: i64, id: ParkedId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM parked WHERE sink = ?1 AND id = ?2")?
        .execute((sink, id.0))?;
    Ok(())
}

/// Forgets which decoder could not, so that any is worth a try. Returns whether there is such an
/// event.
pub(crate) fn retry(connection: &Connection, id: ParkedId) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE parked SET decoder = '' WHERE id = ?1")?
        .execute([id.0])?;
    Ok(changed > 0)
}

/// Deletes an event and counts it as dropped by hand instead of parked. Returns its size, if there
/// is such an event.
pub(crate) fn drop_one(connection: &Connection, id: ParkedId) -> rusqlite::Result<Option<u64>> {
    let found: Option<(i64, u64)> = connection
        .prepare_cached("DELETE FROM parked WHERE id = ?1 RETURNING sink, length(bytes)")?
        .query_row([id.0], |row| Ok((row.get(0)?, number(row, 1)?)))
        .optional()?;
    let Some((sink, size)) = found else { return Ok(None) };
    // What one sum gains the other loses: whatever balanced before does so after.
    connection
        .prepare_cached(
            "UPDATE sink SET parked = parked - 1, dropped = dropped + 1
             WHERE id = ?1 AND parked > 0",
        )?
        .execute([sink])?;
    Ok(Some(size))
}
