//! What is written is read again, and stands in the files as the layout says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ev_core::{Date, SessionId, Timestamp};
use ev_reference_state::{Chunks, Error, MissingRecording, State, read, write};
use proptest::prelude::*;

use crate::{date, session};

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

fn full() -> State {
    let missing = MissingRecording {
        index: 7,
        attempt: 2,
        uploaded: Some(Timestamp::new(1_795_089_600, 120_000_000)),
    };
    let chunks = Chunks {
        completed: BTreeSet::from(["chunk1".to_owned(), "chunk2".to_owned()]),
        partial: BTreeMap::from([("chunk3".to_owned(), "cursor3".to_owned())]),
    };
    State {
        start_time: Some(1_794_268_800),
        window_time: Some(1_794_960_000),
        cursor: Some("key".to_owned()),
        id: Some("2365f769-60f9-437a-249f-fc58c4377aa9".to_owned()),
        sessions: BTreeMap::from([(session("a-1"), 25), (session("b-2"), 0)]),
        missing: BTreeMap::from([(session("c-3"), missing)]),
        dates: BTreeMap::from([
            (date("2026-11-17"), chunks),
            (date("2026-11-18"), Chunks::default()),
        ]),
    }
}

#[test]
fn the_files_are_those_of_the_layout() {
    let storage = tempfile::tempdir().unwrap();
    let directory = storage.path().join("auth.example.com_3025");
    write(&directory, &full()).unwrap();
    let content = |name: &str| fs::read(directory.join(name)).unwrap();
    assert_eq!(content("start_time"), b"2026-11-10T00:00:00Z");
    assert_eq!(content("window_time"), b"2026-11-18T00:00:00Z");
    assert_eq!(content("cursor"), b"key");
    assert_eq!(content("id").len(), 36);
    assert_eq!(content("sessiona-1"), [0, 0, 0, 0, 0, 0, 0, 25]);
    assert_eq!(
        content("missing_recordingc-3"),
        br#"{"Index":7,"Attempt":2,"Timestamp":"2026-11-19T12:00:00.12Z"}"#
    );
    assert_eq!(content("cursor_v2/2026-11-17/completed-chunks"), b"chunk1\nchunk2\n");
    assert_eq!(content("cursor_v2/2026-11-17/chunk3.chunk"), b"cursor3");
    assert!(directory.join("cursor_v2/2026-11-18").is_dir(), "an empty date survives");
    let mode = |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode();
    assert_eq!(mode("cursor_v2/2026-11-17") & 0o027, 0o000, "0750 at most");
    assert_eq!(fs::read_dir(storage.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn nothing_is_written_over() {
    let storage = tempfile::tempdir().unwrap();
    let directory = storage.path().join("a_1");
    write(&directory, &full()).unwrap();
    let again = write(&directory, &State::default());
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    assert_eq!(read(&directory).unwrap().0, full());
    assert_eq!(fs::read_dir(storage.path()).unwrap().count(), 1);
}

#[test]
fn names_of_chunks_lead_nowhere_else() {
    let storage = tempfile::tempdir().unwrap();
    let directory = storage.path().join("a_1");
    let hostile = ["../../x", "a b", "", "a/b", "a\0b"].map(str::to_owned);
    let chunks = Chunks {
        completed: hostile.clone().into(),
        partial: hostile.map(|name| (name, "c".to_owned())).into(),
    };
    let day = date("2026-11-17");
    let state = State { dates: BTreeMap::from([(day, chunks)]), ..State::default() };
    let findings = write(&directory, &state).unwrap();
    assert_eq!(findings.len(), 2 * 5, "{findings:?}");
    assert_eq!(findings[0].path, directory.join("cursor_v2/2026-11-17"));
    let told = |name: &str| findings.iter().any(|finding| finding.message.contains(name));
    assert!(told(r#""a\0b""#) && told(r#""../../x""#), "{findings:?}");
    let expected = State { dates: BTreeMap::from([(day, Chunks::default())]), ..State::default() };
    assert_eq!(read(&directory).unwrap().0, expected);
    assert_eq!(fs::read_dir(storage.path()).unwrap().count(), 1);
}

fn session_id() -> impl Strategy<Value = SessionId> {
    "[A-Za-z0-9_-]{1,36}".prop_map(|id| session(&id))
}

fn time() -> impl Strategy<Value = i64> {
    0i64..4_000_000_000
}

prop_compose! {
    fn chunks()(
        completed in prop::collection::btree_set("[a-z0-9-]{1,20}", 0..4),
        partial in prop::collection::btree_map("[A-Z0-9-]{1,20}", "[!-~]{1,30}", 0..3),
    ) -> Chunks {
        let partial =
            partial.into_iter().filter(|(chunk, _)| !completed.contains(chunk)).collect();
        Chunks { completed, partial }
    }
}

prop_compose! {
    fn state()(
        start_time in prop::option::of(time()),
        window_time in prop::option::of(time()),
        cursor in prop::option::of("[!-~]{1,40}"),
        id in prop::option::of("[0-9a-f-]{1,64}"),
        sessions in prop::collection::btree_map(session_id(), 0..0x8000_0000u64, 0..4),
        missing in prop::collection::btree_map(
            session_id(),
            (0..0x8000_0000u64, 0..9u64, prop::option::of((time(), 0..1_000_000_000u32))),
            0..3,
        ),
        dates in prop::collection::btree_map(time(), chunks(), 0..3),
    ) -> State {
        let record = |(session, (index, attempt, uploaded))| {
            let uploaded: Option<(i64, u32)> = uploaded;
            let uploaded = uploaded.map(|(seconds, nanos)| Timestamp::new(seconds, nanos));
            (session, MissingRecording { index, attempt, uploaded })
        };
        State {
            start_time,
            window_time,
            cursor,
            id,
            sessions,
            missing: missing.into_iter().map(record).collect(),
            dates: dates
                .into_iter()
                .map(|(second, chunks)| (Date::of(second), chunks))
                .collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]
    #[test]
    fn what_is_written_is_read(state in state()) {
        let storage = tempfile::tempdir().unwrap();
        let directory = storage.path().join("a_1");
        prop_assert_eq!(write(&directory, &state).unwrap(), []);
        let (again, _) = read(&directory).unwrap();
        prop_assert_eq!(again, state);
    }
}
