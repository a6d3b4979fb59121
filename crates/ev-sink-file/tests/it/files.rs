//! What becomes of files: made, repaired, put aside, and left alone.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ev_core::testing::sink::batch;
use ev_core::{Route, SessionId, Sink, Verdict};
use ev_sink_file::{Config, FileSink, Rotation};
use tempfile::TempDir;

use crate::env::FixedEnv;

struct Rig {
    folder: TempDir,
    env: Arc<FixedEnv>,
    sink: FileSink,
}

impl Rig {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let mut config = Config::new(folder.path().join("deep/er/events.ndjson"));
        change(&mut config);
        let env = FixedEnv::of_files();
        let sink = FileSink::new(config, env.clone()).expect("good settings");
        Self { folder, env, sink }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("deep/er/events.ndjson")
    }

    fn write(&self, content: &[u8]) {
        fs::create_dir_all(self.path().parent().expect("has one")).expect("a directory");
        fs::write(self.path(), content).expect("a writable directory");
    }

    fn make_pipe(&self) {
        fs::create_dir_all(self.path().parent().expect("has one")).expect("a directory");
        let made = Command::new("mkfifo").arg(self.path()).status().expect("it can be run");
        assert!(made.success());
    }

    fn content(&self) -> String {
        fs::read_to_string(self.path()).expect("a file")
    }

    async fn send(&self, events: &[&str]) -> Verdict {
        self.sink.send(batch(1, Route::Audit, events)).await.1
    }

    /// The contents of the files put aside, by name.
    fn aside(&self) -> Vec<(String, String)> {
        let folder = fs::read_dir(self.path().parent().expect("has one")).expect("readable");
        let mut found: Vec<_> = folder
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.is_file() && *path != self.path())
            .map(|path| {
                let name = path.file_name().expect("named").to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).expect("text"))
            })
            .collect();
        found.sort();
        found
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn files_and_directories_are_their_owners_only() {
    let rig = Rig::new(|_| ());
    assert_eq!(rig.send(&[r#"{"a":1}"#]).await, Verdict::Delivered);
    let id = SessionId::try_new(b"0d5b-id").expect("an id");
    let verdict = rig.sink.send(batch(2, Route::Session(id), &["{}"])).await.1;
    assert_eq!(verdict, Verdict::Delivered);
    let session = rig.folder.path().join("deep/er/sessions/0d5b-id.ndjson");
    assert_eq!(fs::read_to_string(&session).expect("a file"), "{}\n");
    for (path, expected) in [
        (rig.path(), 0o600),
        (session, 0o600),
        (rig.folder.path().join("deep"), 0o700),
        (rig.folder.path().join("deep/er"), 0o700),
        (rig.folder.path().join("deep/er/sessions"), 0o700),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_line_is_cut_off() {
    let rig = Rig::new(|_| ());
    rig.write(b"{\"a\":1}\n{\"b\":");
    assert_eq!(rig.send(&[r#"{"b":2}"#]).await, Verdict::Delivered);
    assert_eq!(rig.content(), "{\"a\":1}\n{\"b\":2}\n");
    // Only the end of its line is missing: nothing shows that it is not somebody else's.
    rig.write(b"{\"precious\":true}");
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    assert_eq!(rig.content(), "{\"precious\":true}\n{}\n");
}

#[tokio::test]
async fn looking_leaves_no_trace() {
    let rig = Rig::new(|_| ());
    rig.sink.probe().await.expect("it can be made");
    assert_eq!(fs::read_dir(rig.folder.path()).expect("readable").count(), 0);
    for content in ["", "{}\n", "{\"never whole\":", "{\"precious\":true}"] {
        rig.write(content.as_bytes());
        rig.sink.probe().await.expect("it can be written");
        assert_eq!(rig.content(), content);
    }
    fs::remove_file(rig.path()).expect("it is there");
    fs::create_dir(rig.path()).expect("writable");
    let error = rig.sink.probe().await.expect_err("a directory");
    assert!(error.to_string().contains("cannot write to `"), "{error}");
    let below_a_file = Rig::new(|config| config.path = "/etc/passwd/events".into());
    let error = below_a_file.sink.probe().await.expect_err("no directory");
    assert!(error.to_string().starts_with("cannot "), "{error}");
}

#[tokio::test]
async fn a_pipe_without_a_reader_is_waited_for() {
    let rig = Rig::new(|_| ());
    rig.make_pipe();
    let Verdict::Busy { detail, suspect: false, .. } = rig.send(&["{}"]).await else {
        panic!("busy")
    };
    assert!(detail.ends_with("nobody reads this pipe"), "{detail}");
    let pipe = OpenOptions::new().read(true).write(true).open(rig.path()).expect("a pipe");
    assert_eq!(rig.send(&["{}"]).await, Verdict::Delivered);
    let line = BufReader::new(pipe).lines().next().expect("a line");
    assert_eq!(line.expect("readable"), "{}");
}

/// A pipe that is full stands for a network file system that is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_is_told_and_done_once() {
    let rig = Rig::new(|_| ());
    rig.make_pipe();
    // Kept open, or what is in it would be gone with the writer.
    let pipe = OpenOptions::new().read(true).write(true).open(rig.path()).expect("a pipe");
    let event = |fill: &str| format!(r#"{{"fill":"{}"}}"#, fill.repeat(200_000));
    let (first, second) = (event("a"), event("b"));
    let (first, second) = (batch(1, Route::Audit, &[&*first]), batch(2, Route::Audit, &[&*second]));
    for batch in [&first, &first, &second] {
        rig.env.end_sleep();
        let Verdict::Busy { detail, suspect: false, .. } = rig.sink.send(batch.clone()).await.1
        else {
            panic!("busy")
        };
        assert!(detail.contains("read the pipe"), "{detail}");
    }
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe).lines();
        [lines.next(), lines.next()].map(|line| line.expect("a line").expect("readable"))
    });
    // The other way round: what was written meanwhile is not written again.
    assert_eq!(rig.sink.send(second).await.1, Verdict::Delivered);
    assert_eq!(rig.sink.send(first).await.1, Verdict::Delivered);
    let [one, two] = reader.join().expect("no panic");
    assert_eq!((one, two), (event("a"), event("b")));
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let rig = Rig::new(|_| ());
    rig.write(b"root:x:0:0");
    let Verdict::Refused { detail } = rig.send(&["{}"]).await else { panic!("refused") };
    assert!(detail.contains("another program's file"), "{detail}");
    assert!(rig.sink.probe().await.is_err());
    assert_eq!(rig.content(), "root:x:0:0");
}

#[tokio::test]
async fn a_large_file_is_put_aside() {
    let rig = Rig::new(|config| config.rotation = Rotation { bytes: Some(20), age: None });
    for number in 0..5 {
        let event = format!(r#"{{"n":{number}}}"#);
        assert_eq!(rig.send(&[&event]).await, Verdict::Delivered);
    }
    // A larger event still goes, alone.
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(50));
    assert_eq!(rig.send(&[&large]).await, Verdict::Delivered);
    assert_eq!(rig.content(), format!("{large}\n"));
    let aside = rig.aside();
    let contents: Vec<_> = aside.iter().map(|(_, content)| content.as_str()).collect();
    let expected = ["{\"n\":0}\n{\"n\":1}\n", "{\"n\":2}\n{\"n\":3}\n", "{\"n\":4}\n"];
    // All within one second, so only a number tells them apart; nothing was replaced.
    let mut sorted = contents.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    for (name, _) in &aside {
        assert!(name.starts_with("events.20") && name.ends_with(".ndjson"), "{name}");
    }
}

#[tokio::test]
async fn an_old_file_is_put_aside() {
    let age = Duration::from_secs(3600);
    let rig = Rig::new(|config| config.rotation = Rotation { bytes: None, age: Some(age) });
    assert_eq!(rig.send(&[r#"{"n":1}"#]).await, Verdict::Delivered);
    rig.env.advance(3000);
    assert_eq!(rig.send(&[r#"{"n":2}"#]).await, Verdict::Delivered);
    assert_eq!(rig.aside(), []);
    rig.env.advance(700);
    assert_eq!(rig.send(&[r#"{"n":3}"#]).await, Verdict::Delivered);
    assert_eq!(rig.content(), "{\"n\":3}\n");
    assert_eq!(rig.aside()[0].1, "{\"n\":1}\n{\"n\":2}\n");
}

#[tokio::test]
async fn a_file_that_somebody_moved_away_is_made_anew() {
    let rig = Rig::new(|_| ());
    assert_eq!(rig.send(&[r#"{"n":1}"#]).await, Verdict::Delivered);
    fs::rename(rig.path(), rig.folder.path().join("moved")).expect("it is there");
    assert_eq!(rig.send(&[r#"{"n":2}"#]).await, Verdict::Delivered);
    assert_eq!(rig.content(), "{\"n\":2}\n");
}

#[tokio::test]
async fn a_full_device_is_busy_and_loses_nothing() {
    // Every write to it fails for want of room.
    let rig = Rig::new(|config| config.path = "/dev/full".into());
    let Verdict::Busy { suspect: false, detail, .. } = rig.send(&["{}"]).await else {
        panic!("busy")
    };
    assert!(detail.contains("/dev/full"), "{detail}");
}

#[tokio::test]
async fn an_event_of_two_lines_is_named() {
    let rig = Rig::new(|_| ());
    let verdict = rig.send(&["{}", "{\n}"]).await;
    assert!(matches!(verdict, Verdict::Guilty { index: Some(1), .. }), "{verdict:?}");
    assert!(!rig.path().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_one_file_leave_each_others_lines_alone() {
    let rig = Rig::new(|config| config.rotation = Rotation { bytes: Some(40_000), age: None });
    let other = {
        let mut config = Config::new(rig.path());
        config.rotation = Rotation { bytes: Some(40_000), age: None };
        Arc::new(FileSink::new(config, rig.env.clone()).expect("good settings"))
    };
    let text = "y".repeat(2000);
    let writer = tokio::spawn({
        let text = text.clone();
        async move {
            for number in 0..100 {
                let event = format!(r#"{{"other":{number},"x":"{text}"}}"#);
                let verdict = other.send(batch(1, Route::Audit, &[&event])).await.1;
                assert_eq!(verdict, Verdict::Delivered);
            }
        }
    });
    for number in 0..100 {
        let event = format!(r#"{{"one":{number},"x":"{text}"}}"#);
        assert_eq!(rig.send(&[&event]).await, Verdict::Delivered);
    }
    writer.await.expect("it wrote");
    let mut all = rig.content();
    rig.aside().iter().for_each(|(_, content)| all.push_str(content));
    let mut lines: Vec<&str> = all.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "whole lines");
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 200);
}
