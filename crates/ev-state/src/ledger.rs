//! The ledger: hours and recordings, from rows and to rows.

use std::ops::Range;

use ev_core::{LaneId, LedgerHour, SessionId, SessionLedger, SinkId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::read::{blob, has_column, has_table, number, word};
use crate::words;
use crate::write::count;

/// What the rows of a sink's ledger stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFacts {
    /// The cluster that the state belongs to.
    pub cluster: String,
    /// The secret by which events are hashed.
    pub key: [u8; 16],
    /// First second that the sink was ever to have, since 1970-01-01T00:00:00Z.
    pub start_seconds: i64,
    /// First second from which on the rows have all that was settled; that above, or where the sink
    /// was taken over from another handler, which has delivered what lies in front of it, a later
    /// one.
    pub known_from_seconds: i64,
    /// Last second up to which that other handler has cared for what was announced.
    pub taken_over_seconds: Option<i64>,
    /// First hour from `start_seconds` on that has a row, as in [`LedgerHour::hour`]: an event
    /// whose time nobody can read stands in one long before.
    pub first_hour: Option<i64>,
    /// First second of the oldest window that is kept: everything that is further in front of it
    /// than windows overlap has been read for the last time. `None` while no window was opened.
    pub oldest_window: Option<i64>,
}

/// The facts about the ledger of a sink; `None` if there is none.
pub(crate) fn facts(
    connection: &Connection,
    sink: &SinkId,
) -> rusqlite::Result<Option<LedgerFacts>> {
    // All of it as it was at one moment.
    let now = connection.unchecked_transaction()?;
    if !has_table(&now, "ledger")? {
        return Ok(None);
    }
    // Of layouts without the columns, the start time is all that is known.
    let taken_over = match has_column(&now, "sink", "taken_over_seconds")? {
        true => "known_from_seconds, taken_over_seconds",
        false => "NULL, NULL",
    };
    let found = now
        .query_row(
            &format!(
                "SELECT sink.id, cluster, ledger_key, start_seconds,
                        (SELECT min(hour) FROM ledger
                         WHERE ledger.sink = sink.id AND (hour + 1) * 3600 > start_seconds),
                        {taken_over}
                 FROM sink, state WHERE sink.name = ?1"
            ),
            [&sink.0],
            |row| {
                let facts = LedgerFacts {
                    cluster: row.get(1)?,
                    key: word(row, 2, words::sixteen)?,
                    start_seconds: row.get(3)?,
                    known_from_seconds: row
                        .get::<_, Option<i64>>(5)?
                        .unwrap_or(i64::MIN)
                        .max(row.get(3)?),
                    taken_over_seconds: row.get(6)?,
                    first_hour: row.get(4)?,
                    oldest_window: None,
                };
                Ok((row.get::<_, i64>(0)?, facts))
            },
        )
        .optional()?;
    let Some((id, mut facts)) = found else { return Ok(None) };
    let mut lanes = now.prepare("SELECT name FROM lane WHERE sink = ?1")?;
    let mut rows = lanes.query([id])?;
    while let Some(row) = rows.next()? {
        if let LaneId::Window { start, .. } = word(row, 0, words::lane)? {
            facts.oldest_window = Some(facts.oldest_window.map_or(start, |old| old.min(start)));
        }
    }
    Ok(Some(facts))
}

/// Sets the row of an hour.
pub(crate) fn put_hour(
    connection: &Connection,
    sink: i64,
    row: &LedgerHour,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO ledger (sink, hour, count, sum, sketch)
             VALUES (:sink, :hour, :count, :sum, :sketch)
             ON CONFLICT (sink, hour) DO UPDATE
             SET count = excluded.count, sum = excluded.sum, sketch = excluded.sketch",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":hour": row.hour,
            ":count": count(row.count)?,
            ":sum": &row.sum[..],
            ":sketch": &row.sketch[..],
        })?;
    Ok(())
}

/// Sets the row of a recording.
pub(crate) fn put_session(
    connection: &Connection,
    sink: i64,
    row: &SessionLedger,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO session_ledger (sink, session, last_index, count, sum, gaps,
                                         closed_seconds)
             VALUES (:sink, :session, :last_index, :count, :sum, :gaps, :closed_seconds)
             ON CONFLICT (sink, session) DO UPDATE
             SET last_index = excluded.last_index, count = excluded.count, sum = excluded.sum,
                 gaps = excluded.gaps, closed_seconds = excluded.closed_seconds",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":session": row.session.as_str(),
            ":last_index": row.last_index,
            ":count": count(row.count)?,
            ":sum": &row.sum[..],
            ":gaps": count(row.gaps)?,
            ":closed_seconds": row.closed_seconds,
        })?;
    Ok(())
}

/// The rows of these hours, in their order.
pub(crate) fn hours(
    connection: &Connection,
    sink: &SinkId,
    hours: &Range<i64>,
) -> rusqlite::Result<Vec<LedgerHour>> {
    connection
        .prepare_cached(
            "SELECT hour, count, sum, sketch
             FROM ledger JOIN sink ON sink.id = ledger.sink
             WHERE sink.name = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour",
        )?
        .query_map((&sink.0, hours.start, hours.end), |row| {
            Ok(LedgerHour {
                hour: row.get(0)?,
                count: number(row, 1)?,
                sum: word(row, 2, words::sixteen)?,
                sketch: blob(row, 3)?,
            })
        })?
        .collect()
}

const SESSION: &str = "SELECT session, last_index, count, sum, gaps, closed_seconds
     FROM session_ledger JOIN sink ON sink.id = session_ledger.sink WHERE sink.name = ?1";

/// The row of a recording.
pub(crate) fn session(
    connection: &Connection,
    sink: &SinkId,
    session: &SessionId,
) -> rusqlite::Result<Option<SessionLedger>> {
    connection
        .prepare_cached(&format!("{SESSION} AND session = ?2"))?
        .query_row([&sink.0, session.as_str()], session_row)
        .optional()
}

/// Whether the sink reads that recording, or is to.
pub(crate) fn reads_session(
    connection: &Connection,
    sink: &SinkId,
    session: &SessionId,
) -> rusqlite::Result<bool> {
    let name = LaneId::Session(session.clone()).to_string();
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM lane JOIN sink ON sink.id = lane.sink
             WHERE sink.name = ?1 AND lane.name = ?2)",
        )?
        .query_row([&sink.0, &name], |row| row.get(0))
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionLedger> {
    Ok(SessionLedger {
        session: word(row, 0, words::session)?,
        last_index: row.get(1)?,
        count: number(row, 2)?,
        sum: word(row, 3, words::sixteen)?,
        gaps: number(row, 4)?,
        closed_seconds: row.get(5)?,
    })
}
