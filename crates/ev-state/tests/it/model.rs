//! Random sequences of changes and restarts: the database and the model in memory agree.

use bytes::Bytes;
use ev_core::testing::MemoryStore;
use ev_core::testing::state::{claim, everything, normalised};
use ev_core::{
    Advance, Attempt, AuthVersion, Change, Epoch, EventDigest, Form, LaneId, LedgerHour, NewParked,
    ParkReason, ParkedId, Reading, Road, SessionId, SessionLedger, SessionTrouble, Settle, SinkId,
    StateError, StateStore, Timestamp, Token, Totals, UserLock,
};
use ev_state::SqliteStore;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Commits under the newest epoch, or under one that is as much older.
    Commit {
        sink: &'static str,
        older: i64,
        change: Box<Change>,
    },
    OpenSink(&'static str),
    Restart,
}

fn lane() -> impl Strategy<Value = LaneId> {
    prop_oneof![
        4 => (0..3i64, 0..2u8).prop_map(|(start, pass)| LaneId::Window { start, pass }),
        1 => "[ab]".prop_map(|chunk| LaneId::Chunk { date: "2026-11-18".into(), chunk }),
        1 => "[ab]".prop_map(|id| {
            LaneId::Session(SessionId::try_new(id.as_bytes()).expect("letters are valid"))
        }),
    ]
}

fn token() -> impl Strategy<Value = Token> {
    let road = prop_oneof![Just(Road::Typed), Just(Road::Unstructured), Just(Road::Export)];
    (road, any::<u8>(), vec(any::<u8>(), 0..4)).prop_map(|(road, format, bytes)| Token {
        road,
        format,
        bytes: bytes.into(),
    })
}

fn digest() -> impl Strategy<Value = EventDigest> {
    (0..6u8).prop_map(|byte| EventDigest([byte; 16]))
}

fn reason() -> impl Strategy<Value = ParkReason> {
    proptest::sample::select(&ParkReason::ALL[..])
}

fn time() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000u32).prop_map(|(s, nanos)| Timestamp::new(s, nanos))
}

prop_compose! {
    fn event()(lane in lane(), digest in digest(), reason in reason(), at in time(),
               one_of in any::<bool>(), bytes in vec(any::<u8>(), 0..8), detail in ".{0,3}")
        -> NewParked {
        NewParked {
            lane, digest, reason, at, detail,
            form: if one_of { Form::OneOf } else { Form::Unstructured },
            bytes: Bytes::from(bytes),
            version: AuthVersion::new("18"),
            decoder: "native".into(),
        }
    }
}

fn parked_id() -> impl Strategy<Value = ParkedId> {
    (0..4i64).prop_map(ParkedId)
}

prop_compose! {
    fn attempt()(id in parked_id(), reason in reason(), at in time(), detail in ".{0,3}")
        -> Attempt {
        Attempt { id, reason, at, detail, decoder: "table".into() }
    }
}

prop_compose! {
    fn settle()(lane in lane(), page in 0..4u64, inner in vec(digest(), 0..3),
                border in vec(digest(), 0..3)) -> Settle {
        Settle { lane, page, inner, border }
    }
}

prop_compose! {
    fn hour()(hour in 0..3i64, count in 0..9u64, sum in any::<[u8; 16]>(),
              sketch in vec(any::<u8>(), 0..3)) -> LedgerHour {
        LedgerHour { hour, count, sum, sketch: sketch.into() }
    }
}

prop_compose! {
    fn session()(id in "[abc]", last_index in any::<i64>(), count in 0..9u64, gaps in 0..9u64,
                 sum in any::<[u8; 16]>(), closed_seconds in proptest::option::of(0..4i64))
        -> SessionLedger {
        let session = SessionId::try_new(id.as_bytes()).expect("letters are valid");
        SessionLedger { session, last_index, count, sum, gaps, closed_seconds }
    }
}

prop_compose! {
    fn trouble()(id in "[abc]", since_seconds in 0..4i64, attempts in 0..9u32,
                 missing in any::<bool>(), given_up_seconds in proptest::option::of(0..4i64))
        -> SessionTrouble {
        let session = SessionId::try_new(id.as_bytes()).expect("letters are valid");
        let reason = "not found".to_owned();
        SessionTrouble { session, since_seconds, attempts, missing, reason, given_up_seconds }
    }
}

prop_compose! {
    fn user_lock()(name in "[abc]", user in ".{1,3}", expires in proptest::option::of(time()))
        -> UserLock {
        UserLock { name, user, login: String::new(), message: "m".to_owned(), expires }
    }
}

prop_compose! {
    fn change()(open in vec((lane(), token()), 0..4), settle in vec(settle(), 0..2),
                advance in vec((lane(), token(), 0..4u64), 0..2), done in vec(lane(), 0..1),
                forget in vec(lane(), 0..2), park in vec(event(), 0..3),
                resolve in vec(parked_id(), 0..2), attempt in vec(attempt(), 0..2),
                ledger in vec(hour(), 0..2), sessions in (vec(session(), 0..2), vec(trouble(), 0..3), vec(trouble(), 0..2)),
                passed in proptest::option::of(0..1000u64),
                version in proptest::option::of("[0-9]{1,2}"),
                reading in proptest::option::of((token(), any::<i64>())),
                locks in (vec(user_lock(), 0..2), vec("[abc]", 0..2))) -> Change {
        let advance = advance
            .into_iter()
            .map(|(lane, token, page)| Advance { lane, token, page })
            .collect();
        let totals = passed.map(|passed| Totals { passed, delivered: passed, ..Totals::default() });
        let seen_version = version.map(AuthVersion::new);
        let reading = reading.map(|(token, since_seconds)| Reading { road: token.road, since_seconds });
        let (session_ledger, session_trouble, cleared) = sessions;
        let (lock, locked) = locks;
        let session_cleared = cleared.into_iter().map(|row| row.session).collect();
        Change {
            open, advance, settle, done, forget, park, resolve, attempt, ledger, session_ledger,
            session_trouble, session_cleared, totals, seen_version, reading, lock, locked,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let sink = || prop_oneof![3 => Just("main"), 1 => Just("second")];
    let older = prop_oneof![9 => Just(0i64), 1 => 1..3i64];
    prop_oneof![
        12 => (sink(), older, change()).prop_map(|(sink, older, change)| {
            Step::Commit { sink, older, change: Box::new(change) }
        }),
        2 => sink().prop_map(Step::OpenSink),
        1 => Just(Step::Restart),
    ]
}

/// Row numbers are each store's own: the generated ones count the rows there are, in order. Those
/// behind the last become the number of a row that is not there.
fn with_rows_of(store: &dyn StateStore, sink: &SinkId, change: &Change) -> Change {
    let rows = store.parked(sink, &everything()).expect("readable");
    let row = |id: ParkedId| {
        let index = usize::try_from(id.0).expect("generated as small numbers");
        rows.get(index).map_or(ParkedId(i64::MAX), |row| row.id)
    };
    let mut change = change.clone();
    change.resolve.iter_mut().for_each(|id| *id = row(*id));
    change.attempt.iter_mut().for_each(|attempt| attempt.id = row(attempt.id));
    change
}

/// Parked events without their row numbers.
fn parked_of(store: &dyn StateStore, sink: &SinkId) -> Vec<(NewParked, u32, Option<Timestamp>)> {
    let rows = store.parked(sink, &everything()).expect("readable");
    rows.into_iter().map(|row| (row.event, row.attempts, row.last_attempt)).collect()
}

/// Everything that is asked for beside the snapshot and the parked events themselves.
fn others_of(store: &dyn StateStore, sink: &SinkId) -> String {
    let all = i64::MIN..i64::MAX;
    format!(
        "{:#?}",
        (
            store.parked_groups(sink).expect("readable"),
            store.ledger(sink, all).expect("readable"),
            ["a", "b", "c"].map(|id| {
                let id = SessionId::try_new(id.as_bytes()).expect("letters are valid");
                store.session_ledger(sink, &id).expect("readable")
            }),
        )
    )
}

/// Both answer alike: both succeed, or both fail in the same way with the same words.
fn agree(real: Result<(), StateError>, model: Result<(), StateError>) -> Result<(), TestCaseError> {
    let words = |error: StateError| (std::mem::discriminant(&error), error.to_string());
    prop_assert_eq!(real.map_err(words), model.map_err(words));
    Ok(())
}

proptest! {
    // Each makes a database: a fifth of what is asked for.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 5))]

    #[test]
    fn the_database_does_what_the_model_does(steps in vec(step(), 1..24)) {
        let storage = tempfile::tempdir().expect("temporary directories can be made");
        let model = MemoryStore::new();
        let mut real = Some(SqliteStore::open(storage.path()).expect("a new state opens"));
        let mut epochs = std::collections::BTreeMap::new();
        for name in ["main", "second"] {
            epochs.insert(name, model.open_sink(&claim(name)).expect("opens").epoch.0);
            let opened = real.as_ref().expect("is open").open_sink(&claim(name));
            prop_assert_eq!(opened.expect("opens").epoch.0, epochs[name]);
        }
        for step in steps.into_iter().chain([Step::OpenSink("main"), Step::OpenSink("second")]) {
            let store = real.as_ref().expect("is open");
            match step {
                Step::Commit { sink, older, change } => {
                    let epoch = Epoch(epochs[sink] - older);
                    let sink = claim(sink).sink;
                    let ours = with_rows_of(store, &sink, &change);
                    let theirs = with_rows_of(&model, &sink, &change);
                    agree(store.commit(&sink, epoch, &ours), model.commit(&sink, epoch, &theirs))?;
                    prop_assert_eq!(parked_of(store, &sink), parked_of(&model, &sink));
                    prop_assert_eq!(others_of(store, &sink), others_of(&model, &sink));
                }
                Step::OpenSink(name) => {
                    let ours = normalised(store.open_sink(&claim(name)).expect("opens"));
                    let theirs = normalised(model.open_sink(&claim(name)).expect("opens"));
                    epochs.insert(name, theirs.epoch.0);
                    prop_assert_eq!(format!("{ours:#?}"), format!("{theirs:#?}"));
                }
                Step::Restart => {
                    drop(real.take());
                    real = Some(SqliteStore::open(storage.path()).expect("opens again"));
                }
            }
        }
    }
}
