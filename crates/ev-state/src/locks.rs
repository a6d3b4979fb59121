//! Locks that are to be set, from rows and to rows.

use ev_core::{Timestamp, UserLock};
use rusqlite::{Connection, Row, named_params};

/// Keeps a lock, instead of another one of its name.
pub(crate) fn put(connection: &Connection, sink: i64, lock: &UserLock) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO due_lock (sink, name, user, login, message, expires_seconds, expires_nanos)
             VALUES (:sink, :name, :user, :login, :message, :seconds, :nanos)
             ON CONFLICT (sink, name) DO UPDATE
             SET user = excluded.user, login = excluded.login, message = excluded.message,
                 expires_seconds = excluded.expires_seconds,
                 expires_nanos = excluded.expires_nanos",
        )?
        .execute(named_params! {
            ":sink": sink,
            ":name": lock.name,
            ":user": lock.user,
            ":login": lock.login,
            ":message": lock.message,
            ":seconds": lock.expires.map(Timestamp::seconds),
            ":nanos": lock.expires.map(Timestamp::subsec_nanos),
        })?;
    Ok(())
}

/// Forgets the lock of that name, if there is one.
pub(crate) fn clear(connection: &Connection, sink: i64, name: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM due_lock WHERE sink = ?1 AND name = ?2")?
        .execute((sink, name))?;
    Ok(())
}

/// All locks of a sink, in the order of their names.
pub(crate) fn of_sink(connection: &Connection, sink: i64) -> rusqlite::Result<Vec<UserLock>> {
    connection
        .prepare_cached(
            "SELECT name, user, login, message, expires_seconds, expires_nanos
             FROM due_lock WHERE sink = ?1 ORDER BY name",
        )?
        .query_map([sink], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<UserLock> {
    let expires: Option<(i64, u32)> =
        Option::zip(row.get::<_, Option<i64>>(4)?, row.get::<_, Option<u32>>(5)?);
    Ok(UserLock {
        name: row.get(0)?,
        user: row.get(1)?,
        login: row.get(2)?,
        message: row.get(3)?,
        expires: expires.map(|(seconds, nanos)| Timestamp::new(seconds, nanos)),
    })
}
