//! Any bytes in any file, and files where directories should be.

use std::fs;
use std::path::Path;

use ev_reference_state::{candidates, read};
use proptest::prelude::*;

const FILES: &[&str] = &[
    "start_time",
    "window_time",
    "cursor",
    "id",
    "session",
    "session1b4ef158",
    "session..",
    "missing_recording",
    "missing_recording1b4ef158",
    "cursor_v2/2026-11-17/completed-chunks",
    "cursor_v2/2026-11-17/a.chunk",
    "cursor_v2/2026-11-17/.chunk",
    "cursor_v2/2026-11-17/other",
    "cursor_v2/not-a-date/completed-chunks",
    "cursor_v2/2026-11-18",
];

fn put(storage: &Path, name: &str, content: &[u8]) {
    let path = storage.join("a_1").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 7..10),
        "[ \\n\\t\\r\\x00]{0,20}".prop_map(String::into_bytes),
        "[a-z0-9 \\n]{0,40}".prop_map(String::into_bytes),
        "\\{\"Index\":-?[0-9]{1,25}(,\"Attempt\":[0-9a-z\"]{1,9})?(,\"Timestamp\":\"[0-9TZ:.+-]{0,40}\")?\\}?"
            .prop_map(String::into_bytes),
        "-?[0-9]{1,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9:]{0,8})?"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 3))]
    #[test]
    fn whatever_stands_in_the_files_is_no_error(
        files in prop::collection::vec((0..FILES.len(), content()), 0..FILES.len()),
    ) {
        let storage = tempfile::tempdir().unwrap();
        for (file, content) in &files {
            put(storage.path(), FILES[*file], content);
        }
        let (state, findings) = read(&storage.path().join("a_1")).unwrap();
        candidates(storage.path()).unwrap();
        // Whatever is said to have been delivered stands in a file.
        prop_assert!(state.id.is_none() || files.iter().any(|(file, _)| FILES[*file] == "id"));
        for (session, index) in &state.sessions {
            prop_assert!(i32::try_from(*index).is_ok(), "{session}");
        }
        for finding in findings {
            prop_assert!(finding.path.starts_with(storage.path()));
        }
    }

    /// A file that is cut anywhere, as by a crash in the middle of writing it.
    #[test]
    fn a_cut_file_never_says_more_than_the_whole_one(cut in 0..44usize) {
        let storage = tempfile::tempdir().unwrap();
        let whole = b"00000000-f4f8f4163ff6\n00000050-1c699f8bb8d7\n";
        put(storage.path(), "cursor_v2/2026-11-17/completed-chunks", &whole[..cut]);
        let (state, _) = read(&storage.path().join("a_1")).unwrap();
        let chunks = state.dates.values().next().unwrap();
        let names = ["00000000-f4f8f4163ff6", "00000050-1c699f8bb8d7"];
        let taken = chunks.completed.iter().filter(|name| names.contains(&name.as_str())).count();
        prop_assert_eq!(taken, match cut { 0..21 => 0, 21..43 => 1, _ => 2 });
    }
}

#[test]
fn directories_in_the_place_of_files_are_passed_over() {
    let storage = tempfile::tempdir().unwrap();
    for name in ["cursor", "id", "start_time", "sessionabc", "missing_recordingabc"] {
        fs::create_dir_all(storage.path().join("a_1").join(name)).unwrap();
    }
    put(storage.path(), "cursor_v2", b"a file");
    let (state, findings) = read(&storage.path().join("a_1")).unwrap();
    assert!(state.is_empty(), "{state:?}");
    assert_eq!(findings.len(), 5, "{findings:?}");
}

#[test]
fn a_time_has_any_offset_and_a_cursor_any_blanks() {
    let storage = tempfile::tempdir().unwrap();
    for (text, second) in [
        ("2026-11-10T02:00:00+02:00", Some(1_794_268_800)),
        ("2026-11-10T05:30:00+05:30\n", Some(1_794_268_800)),
        ("2026-11-10T00:00:00Z", Some(1_794_268_800)),
        ("1969-12-31T23:59:59.5Z", Some(-1)),
        ("2026-11-10", None),
        ("yesterday", None),
    ] {
        put(storage.path(), "start_time", text.as_bytes());
        let (state, findings) = read(&storage.path().join("a_1")).unwrap();
        assert_eq!(state.start_time, second, "{text}");
        assert_eq!(findings.is_empty(), second.is_some(), "{text}");
    }
    put(storage.path(), "cursor", b" key \n");
    put(storage.path(), "cursor_v2/2026-11-17/a.chunk", b"cursor\n");
    let (state, _) = read(&storage.path().join("a_1")).unwrap();
    assert_eq!(state.cursor.as_deref(), Some("key"));
    let chunks = state.dates.values().next().unwrap();
    assert_eq!(chunks.partial["a"], "cursor");
}

/// Opening a pipe waits for somebody to write to it, which nobody ever does.
#[test]
fn what_is_no_regular_file_is_passed_over_and_not_waited_for() {
    let storage = tempfile::tempdir().unwrap();
    put(storage.path(), "start_time", b"2026-11-17T00:00:00Z");
    let directory = storage.path().join("a_1");
    fs::create_dir_all(directory.join("cursor_v2/2026-11-17")).unwrap();
    for name in ["cursor", "session1b4ef158", "cursor_v2/2026-11-17/completed-chunks"] {
        let made = std::process::Command::new("mkfifo").arg(directory.join(name)).status();
        assert!(made.unwrap().success());
    }
    std::os::unix::fs::symlink("/dev/zero", directory.join("id")).unwrap();
    let (done, waits) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(read(&directory)).is_ok());
    let waited = waits.recv_timeout(std::time::Duration::from_secs(60));
    let (state, findings) = waited.expect("it is not waited for").unwrap();
    assert!(state.start_time.is_some() && state.cursor.is_none() && state.id.is_none());
    let passed: Vec<_> = findings
        .iter()
        .filter(|finding| finding.message == "is no file and was passed over")
        .filter_map(|finding| finding.path.file_name()?.to_str())
        .collect();
    assert_eq!(passed, ["cursor", "completed-chunks", "id", "session1b4ef158"]);
}
