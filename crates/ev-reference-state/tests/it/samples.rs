//! The recorded directories.

use std::collections::{BTreeMap, BTreeSet};

use ev_core::Timestamp;
use ev_reference_state::{Chunks, Finding, MissingRecording, State, candidates, read};

use crate::{date, sample, session};

const START: Option<i64> = Some(1_794_268_800);
const ONE: &str = "1b4ef158-039f-47cc-d49f-0a64b0da7b7e";
const TWO: &str = "e32da67c-bbb0-4808-2cd7-a05f0c29af82";

fn messages(findings: &[Finding]) -> Vec<String> {
    let name = |finding: &Finding| {
        let path = finding.path.strip_prefix(sample("8-damaged")).unwrap_or(&finding.path);
        format!("{}: {}", path.display(), finding.message)
    };
    findings.iter().map(name).collect()
}

#[test]
fn a_start_time_alone() {
    let (state, findings) = read(&sample("1-start-time-only")).unwrap();
    assert_eq!(state, State { start_time: START, ..State::default() });
    assert_eq!(findings, []);
    assert!(!state.is_bulk() && !state.is_empty());
}

#[test]
fn the_first_page_has_an_id_and_no_cursor() {
    let (state, findings) = read(&sample("2-first-page")).unwrap();
    let id = Some("2365f769-60f9-437a-249f-fc58c4377aa9".to_owned());
    assert_eq!(state, State { start_time: START, id, ..State::default() });
    assert!(messages(&findings)[0].contains("the first page"), "{findings:?}");
}

#[test]
fn a_cursor_an_id_and_recordings_with_their_index() {
    let (state, findings) = read(&sample("3-cursor-id-sessions")).unwrap();
    assert_eq!(findings, []);
    assert_eq!(state.cursor.as_deref(), Some("rigk-480"));
    assert_eq!(state.id.as_deref(), Some("451cdd21-0aed-4fe0-4376-41bf75fef03d"));
    let index = |id| state.sessions.get(&session(id)).copied();
    assert_eq!((index(ONE), index(TWO)), (Some(25), Some(17)));
    assert_eq!(index("307780cf-e367-4005-8f6f-3d7ae7ab2e67"), Some(8));
    assert_eq!(index("377cf02e-00f6-4ae3-8f87-f3b61b9a1268"), Some(0));
    assert_eq!(state.sessions.len(), 4);
}

#[test]
fn a_moving_window_and_a_missing_recording() {
    let (state, findings) = read(&sample("6-window-legacy")).unwrap();
    assert_eq!(findings, []);
    assert_eq!(state.window_time, Some(1_794_960_000));
    assert_eq!(state.sessions, BTreeMap::from([(session(TWO), 11)]));
    let uploaded = Some(Timestamp::new(1_795_089_600, 123_000_000));
    let missing = MissingRecording { index: 0, attempt: 1, uploaded };
    assert_eq!(state.missing, BTreeMap::from([(session(ONE), missing)]));
}

#[test]
fn dates_and_chunks() {
    let copy = tempfile::tempdir().unwrap();
    crate::round_trip::copy(&sample("7-cursor-v2"), copy.path());
    // A date that was reached; an empty directory is not kept in a repository.
    std::fs::create_dir_all(copy.path().join("cursor_v2/2026-11-19")).unwrap();
    let (state, findings) = read(copy.path()).unwrap();
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    let first: BTreeSet<String> = names(&["00000000-f4f8f4163ff6", "00000050-1c699f8bb8d7"]);
    let second = Chunks {
        completed: names(&["00000100-a9d972fa4fc8"]),
        partial: BTreeMap::from([("00000150-5a5ed100960c".to_owned(), "o20".to_owned())]),
    };
    let dates = [
        ("2026-11-17", Chunks { completed: first, partial: BTreeMap::new() }),
        ("2026-11-18", second),
        ("2026-11-19", Chunks::default()),
    ];
    let dates = dates.map(|(name, chunks)| (date(name), chunks));
    assert_eq!(state, State { start_time: START, dates: dates.into(), ..State::default() });
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].to_string().contains("not-a-date` is named after no date"));
    assert!(state.is_bulk());
}

#[test]
fn zero_bytes_and_blank_lines_are_no_errors() {
    let (state, findings) = read(&sample("8-damaged")).unwrap();
    assert_eq!((state.start_time, &state.cursor, &state.id), (START, &None, &None));
    assert_eq!(state.sessions, BTreeMap::from([(session(ONE), 0)]));
    let missing = MissingRecording::default();
    assert_eq!(state.missing, BTreeMap::from([(session(TWO), missing)]), "it names a recording");
    let chunks = &state.dates[&date("2026-11-17")];
    assert_eq!(chunks.completed, BTreeSet::from(["00000000-f4f8f4163ff6".to_owned()]));
    let messages = messages(&findings);
    let expected = [
        "cursor: is empty",
        "cursor_v2/2026-11-17/completed-chunks: is empty or has empty lines",
        "id: is empty",
        "missing_recordinge32da67c-bbb0-4808-2cd7-a05f0c29af82: is damaged",
        "session: is named after no session",
        "session1b4ef158-039f-47cc-d49f-0a64b0da7b7e: is empty",
    ];
    assert_eq!(messages.len(), expected.len(), "{messages:?}");
    for (message, begins) in messages.iter().zip(expected) {
        assert!(message.starts_with(begins), "{message}");
    }
}

#[test]
fn what_a_dry_run_left_is_no_state() {
    let storage = sample("5-dry-run");
    assert_eq!(candidates(storage.parent().unwrap()).unwrap(), []);
    let (state, findings) = read(&storage).unwrap();
    assert!(state.is_empty());
    assert_eq!(findings, []);
}
