//! The lines about what is stored, of which the reference handler's files are what matters.

use std::fs;
use std::path::Path;

use ev_core::{Date, SessionId, Timestamp};
use ev_reference_state::{Chunks, MissingRecording, State, read, write};

use super::{Stage, make, plain, to_its_end};

fn session(id: &str) -> SessionId {
    SessionId::try_new(id.as_bytes()).unwrap()
}

/// What a reader makes of what was written.
fn written(state: &State) -> State {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.example.com_3025");
    write(&path, state).unwrap();
    let (state, findings) = read(&path).unwrap();
    assert_eq!(findings, []);
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_fresh_state_knows_nothing_and_what_is_set_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read(dir.path()).unwrap(), (State::default(), Vec::new()));
    let state = State {
        start_time: Some(1_794_268_800),
        cursor: Some("a page key".to_owned()),
        id: Some("2365f769-60f9-437a-249f-fc58c4377aa9".to_owned()),
        ..State::default()
    };
    assert_eq!(written(&state), state);

    // Ours: none before the first start, and the same start time from then on.
    let stage = Stage::new("13.3.8");
    assert!(!stage.path("storage").exists());
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    to_its_end(settings.clone()).await;
    let start = settings.ingest.start_time_unix_secs.unwrap();
    let sinks = ev_state::StateReader::open(&settings.storage).unwrap().sinks().unwrap();
    assert_eq!(sinks[0].start_time, Timestamp::new(start, 0));
}

#[test]
fn s3_missing_recordings_are_kept_with_index_and_time_of_upload() {
    assert!(written(&State { start_time: Some(1), ..State::default() }).missing.is_empty());
    let mut state = State { start_time: Some(1), ..State::default() };
    for n in 0..10 {
        let uploaded = Some(Timestamp::new(1_794_268_800 + n, 0));
        let missing = MissingRecording { index: n.cast_unsigned(), attempt: 1, uploaded };
        state.missing.insert(session(&format!("session-{n}")), missing);
    }
    assert_eq!(written(&state), state);
}

fn put(dir: &Path, name: &str, content: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn s4_sessions_are_listed_and_damaged_ones_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "session1b4ef158", &0_u64.to_be_bytes());
    put(dir.path(), "session307780cf", &25_u64.to_be_bytes());
    put(dir.path(), "session377cf02e", b"");
    put(dir.path(), "session", &7_u64.to_be_bytes());
    let (state, findings) = read(dir.path()).unwrap();
    let expected = [("1b4ef158", 0), ("307780cf", 25), ("377cf02e", 0)];
    assert_eq!(state.sessions, expected.map(|(id, index)| (session(id), index)).into());
    assert_eq!(findings.len(), 2, "{findings:?}");
}

/// An announcement without an id is an event like others, and no recording is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn s5_a_session_without_an_id_is_none() {
    assert!(SessionId::try_new(b"").is_err());
    let stage = Stage::new("13.3.8");
    let made = make(&mut super::Maker::new(111), &plain(), 5, 1, 5400);
    let at = crate::stage::now().plus_nanos(-60_000_000_000);
    stage
        .auth
        .append(made.iter().map(super::Made::event).chain([crate::logins::upload_of_none(at)]));
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    let summary = to_its_end(settings).await;
    assert_eq!((summary.totals.delivered, summary.totals.sessions), (6, 0));
    let calls = stage.auth.tally().methods;
    assert!(!calls.contains_key("StreamSessionEvents"), "{calls:?}");
}

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn chunks(completed: &[&str], partial: &[(&str, &str)]) -> Chunks {
    Chunks {
        completed: completed.iter().map(|name| (*name).to_owned()).collect(),
        partial: partial.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
    }
}

#[test]
fn b4_the_cursors_of_dates_stand_in_files_of_the_layout() {
    let state = State {
        start_time: Some(1),
        dates: [
            (date("2026-11-17"), chunks(&["chunk1", "chunk2"], &[])),
            (date("2026-11-18"), chunks(&["chunk1"], &[("chunk2", "cursor2")])),
            (date("2026-11-19"), chunks(&[], &[("chunk3", "cursor3")])),
            (date("2026-11-20"), Chunks::default()),
        ]
        .into(),
        ..State::default()
    };
    assert_eq!(written(&state), state, "an empty date survives");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a_1");
    write(&path, &state).unwrap();
    let raw = |name: &str| fs::read_to_string(path.join("cursor_v2").join(name)).unwrap();
    assert_eq!(raw("2026-11-17/completed-chunks"), "chunk1\nchunk2\n");
    assert_eq!(raw("2026-11-18/chunk2.chunk"), "cursor2");
}

#[test]
fn b5_damaged_cursors_of_dates_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cursor_v2");
    put(&root, "2026-11-17/completed-chunks", b"\nchunk1\n\n\nchunk2\n\n");
    put(&root, "2026-11-18/completed-chunks", b" \n\n");
    put(&root, "2026-11-18/chunk3.chunk", b"cursor3\n");
    put(&root, "2026-11-18/chunk4.chunk", b" \n");
    put(&root, "2026-11-18/other", b"x");
    put(&root, "not-a-date/completed-chunks", b"chunk9\n");
    let (state, _) = read(dir.path()).unwrap();
    let expected = [
        (date("2026-11-17"), chunks(&["chunk1", "chunk2"], &[])),
        (date("2026-11-18"), chunks(&[], &[("chunk3", "cursor3")])),
    ];
    assert_eq!(state.dates, expected.into());
}
