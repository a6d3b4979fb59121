//! Recordings that cannot be read, from rows and to rows.

use ev_core::{SessionId, SessionTrouble, SinkId};
use rusqlite::{Connection, Row, named_params};

use crate::read::{has_table, word};
use crate::words;

/// Sets the row of a recording.
pub(crate) fn put(
    connection: &Connection,
    sink: i64,
    row: &SessionTrouble,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO session_trouble (sink, session, since_seconds, attempts, missing, reason,
                                          given_up_seconds)
             VALUES (:sink, :session, :since_seconds, :attempts, :missing, :reason,
                     :given_up_seconds)
             ON CONFLICT (sink, session) DO UPDATE
             SET since_seconds = excluded.since_seconds, attempts = excluded.attempts,
                 missing = excluded.missing, reason = excluded.reason,
                 given_up_seconds = excluded.given_up_seconds",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":session": row.session.as_str(),
            ":since_seconds": row.since_seconds,
            ":attempts": row.attempts,
            ":missing": row.missing,
            ":reason": row.reason,
            ":given_up_seconds": row.given_up_seconds,
        })?;
    Ok(())
}

/// Deletes the row of a recording, if there is one.
pub(crate) fn clear(
    connection: &Connection,
    sink: i64,
    session: &SessionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM session_trouble WHERE sink = ?1 AND session = ?2")?
        .execute((sink, session.as_str()))?;
    Ok(())
}

const COLUMNS: &str = "session, since_seconds, attempts, missing, reason, given_up_seconds";

/// All rows of a sink, in the order of their recordings.
pub(crate) fn of_sink(connection: &Connection, sink: i64) -> rusqlite::Result<Vec<SessionTrouble>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM session_trouble WHERE sink = ?1 ORDER BY session"
        ))?
        .query_map([sink], read)?
        .collect()
}

/// The same by the sink's name; empty in a layout of an earlier release, which kept none.
pub(crate) fn of_named(
    connection: &Connection,
    sink: &SinkId,
) -> rusqlite::Result<Vec<SessionTrouble>> {
    if !has_table(connection, "session_trouble")? {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM session_trouble JOIN sink ON sink.id = session_trouble.sink
             WHERE sink.name = ?1 ORDER BY session"
        ))?
        .query_map([&sink.0], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<SessionTrouble> {
    Ok(SessionTrouble {
        session: word(row, 0, words::session)?,
        since_seconds: row.get(1)?,
        attempts: row.get(2)?,
        missing: row.get(3)?,
        reason: row.get(4)?,
        given_up_seconds: row.get(5)?,
    })
}
