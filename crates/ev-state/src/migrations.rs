//! The numbered steps from an empty database to the current layout.

use ev_core::StateError;
use rusqlite::{Connection, TransactionBehavior};

use crate::database::Place;
use crate::error;

/// `evST`, so that `file` and we can tell our database from any other.
const APPLICATION_ID: i32 = 0x6576_5354;

/// Step n (counted from 1) leads from layout n - 1 to n. Steps are added, never edited: databases
/// in the field were made by them.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_highest_version.sql"),
    include_str!("../migrations/0003_ledger.sql"),
    include_str!("../migrations/0004_session_trouble.sql"),
    include_str!("../migrations/0005_roads.sql"),
    include_str!("../migrations/0006_due_lock.sql"),
    include_str!("../migrations/0007_taken_over.sql"),
];

/// Brings the database to the current layout; a newer or foreign one is refused unchanged.
pub(crate) fn run(connection: &mut Connection, place: &Place) -> Result<(), StateError> {
    run_steps(connection, place, STEPS)
}

/// Whether rows can be read as they are: any layout up to ours, but not a database that has none.
pub(crate) fn check_readable(connection: &Connection, place: &Place) -> Result<(), StateError> {
    if found(connection, place)? > 0 {
        return Ok(());
    }
    let message =
        format!("holds an empty database `{}`; start the handler once", place.database.display());
    Err(place.mismatch(message))
}

/// The layout that the database has, 0 for an empty one; a newer or foreign one is refused.
pub(crate) fn found(connection: &Connection, place: &Place) -> Result<i64, StateError> {
    layout(connection, place, STEPS)
}

/// The layout of the database, 0 for an empty one; a newer or foreign one is refused.
fn layout(connection: &Connection, place: &Place, steps: &[&str]) -> Result<i64, StateError> {
    let failed = |cause| error::read_only(place, "read the layout's number", cause);
    let number = |name: &str| -> Result<i64, StateError> {
        connection.pragma_query_value(None, name, |row| row.get(0)).map_err(failed)
    };
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let found = number("user_version")?;
    // An empty file is one that a first start made and did not get to fill.
    let is_new = number("page_count")? == 0;
    if !is_new && number("application_id")? != i64::from(APPLICATION_ID) {
        return Err(place.mismatch(format!(
            "holds a database `{}` that this program did not make; use another storage directory",
            place.database.display()
        )));
    }
    if found > known {
        return Err(place.mismatch(format!(
            "was written by a newer release (layout {found}, this release knows up to {known}); \
             start that release again, or use another storage directory"
        )));
    }
    if !is_new && found < 1 {
        return Err(error::damaged(&place.database, &format_args!("it has layout {found}")));
    }
    Ok(found)
}

fn run_steps(connection: &mut Connection, place: &Place, steps: &[&str]) -> Result<(), StateError> {
    let found = layout(connection, place, steps)?;
    for (step, number) in steps.iter().zip(1..).skip_while(|(_, number)| *number <= found) {
        let failed = |cause| {
            error::database(&place.database, &format!("change the layout to {number}"), cause)
        };
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
        transaction.execute_batch(step).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", number).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("readable")
    }

    #[test]
    fn steps_are_run_once_and_in_order() {
        let mut connection = Connection::open_in_memory().expect("memory is there");
        let place = Place::memory();
        let one = "CREATE TABLE t (a INTEGER) STRICT;";
        let two = "ALTER TABLE t ADD COLUMN b INTEGER; INSERT INTO t VALUES (1, 2);";
        run_steps(&mut connection, &place, &[one]).expect("step 1");
        assert_eq!(layout(&connection), 1);
        for _ in 0..2 {
            run_steps(&mut connection, &place, &[one, two]).expect("step 2, once");
            assert_eq!(layout(&connection), 2);
        }
        let rows: i64 =
            connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).expect("counts");
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_failing_step_leaves_the_layout_before_it() {
        let mut connection = Connection::open_in_memory().expect("memory is there");
        let place = Place::memory();
        let steps = ["CREATE TABLE t (a INTEGER) STRICT;", "CREATE TABLE u (a INTEGER); nonsense"];
        run_steps(&mut connection, &place, &steps).expect_err("step 2 is no SQL");
        assert_eq!(layout(&connection), 1);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name IN ('t', 'u')", [], |row| {
                row.get(0)
            })
            .expect("counts");
        assert_eq!(tables, 1, "half a step is undone");
    }
}
