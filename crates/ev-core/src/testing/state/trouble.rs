use super::{Opened, claim};
use crate::{Change, SessionId, SessionTrouble, StateStore};

fn trouble(session: &str, attempts: u32, given_up_seconds: Option<i64>) -> SessionTrouble {
    SessionTrouble {
        session: SessionId::try_new(session.as_bytes()).expect("a valid session id"),
        since_seconds: 1_700_000_000,
        attempts,
        missing: attempts.is_multiple_of(2),
        reason: "not found".to_owned(),
        given_up_seconds,
    }
}

fn put(rows: &[SessionTrouble]) -> Change {
    Change { session_trouble: rows.to_vec(), ..Change::default() }
}

/// Recordings in trouble survive a restart, in order, until they are cleared; those given up too.
pub(super) fn recordings_in_trouble_are_kept(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    assert_eq!(opened.restart().session_trouble, []);
    opened.commit(&put(&[trouble("b", 1, None), trouble("a", 2, None)]));
    opened.commit(&put(&[trouble("b", 7, Some(1_700_172_800))]));
    let rows = [trouble("a", 2, None), trouble("b", 7, Some(1_700_172_800))];
    assert_eq!(opened.restart().session_trouble, rows);
    let other = Opened::named(store, "other");
    other.commit(&put(&[trouble("a", 9, None)]));
    // Clearing one that is not there changes nothing; one that is set and cleared is gone.
    let gone = ["a", "none"].map(|name| trouble(name, 0, None).session);
    let change = Change { session_cleared: gone.to_vec(), ..put(&[trouble("a", 3, None)]) };
    opened.commit(&change);
    assert_eq!(opened.restart().session_trouble, rows[1..]);
    let others = store.open_sink(&claim("other")).expect("opens").session_trouble;
    assert_eq!(others, [trouble("a", 9, None)], "of another sink");
}
