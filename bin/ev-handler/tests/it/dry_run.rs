//! Dry runs: everything but sending, locking, and moving the resume point.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ev_pipeline::Summary;
use ev_test_support::data::{Made, Maker};
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, make, sorted, templates, texts};

/// Everything under a directory, byte for byte; a directory has no bytes.
fn tree(of: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![of.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let bytes = path.is_file().then(|| fs::read(&path).unwrap());
            if bytes.is_none() {
                open.push(path.clone());
            }
            found.insert(path, bytes);
        }
    }
    found
}

async fn dry_run(stage: &Stage) -> Summary {
    let mut settings = stage.settings();
    settings.dry_run = true;
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends by itself").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_from_the_resume_point_and_leaves_it_where_it_is() {
    let stage = Stage::new("13.3.8");
    let (mut maker, vectors) = (Maker::new(81), templates("v13"));
    let first = make(&mut maker, &vectors, 100, 1, 100);
    stage.auth.append(first.iter().map(Made::event));
    stage.run_until(async |stage| stage.received(100).await).await;
    let before = (tree(&stage.path("storage")), stage.fluentd.tally().connections);

    let second = make(&mut maker, &vectors, 50, 0, 1);
    stage.auth.append(second.iter().map(Made::event));
    for _ in 0..2 {
        let summary = dry_run(&stage).await;
        assert_eq!(summary.sent, 50, "those that were not sent before");
        assert_eq!(summary.totals.delivered, 150, "it knows what was");
        assert_eq!((tree(&stage.path("storage")), stage.fluentd.tally().connections), before);
    }
    assert_eq!(stage.fluentd.tally().events, 100);

    stage.run_until(async |stage| stage.received(150).await).await;
    assert_eq!(stage.fluentd.tally().repeated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_no_storage_directory_where_there_is_none() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(82), &templates("v13"), 30, 1, 1);
    stage.auth.append(made.iter().map(Made::event));
    assert_eq!(dry_run(&stage).await.sent, 30);
    assert!(!stage.path("storage").exists());
    assert_eq!(stage.fluentd.tally().connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_run_beside_the_handler() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(83), &templates("v13"), 40, 1, 1);
    stage.auth.append(made.iter().map(Made::event));
    stage
        .run_until(async |stage| {
            stage.received(40).await;
            let summary = dry_run(stage).await;
            assert!(summary.sent <= 40, "{summary:?}");
        })
        .await;
    assert_eq!((stage.fluentd.tally().events, stage.fluentd.tally().repeated), (40, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_what_would_be_sent_and_leaves_nothing_behind() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(84), &templates("v13"), 60, 1, 1);
    stage.auth.append(made.iter().map(Made::event));
    let config = stage.write_config(stage.auth.addr());
    let temporary = stage.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command
        .args(["start", "--dry-run", "--dry-run-print", "--exit-on-last-event", "--debug"])
        .arg("--config")
        .arg(config)
        .current_dir(stage.dir.path())
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    let printed: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(sorted(printed), sorted(texts(&made)));
    assert_eq!(tree(&temporary).len(), 0, "the copy of the state is gone");
    // The line that users of the reference handler look for, with its four fields.
    let sent: Vec<_> = log.lines().filter(|line| line.contains("Event sent")).collect();
    assert_eq!(sent.len(), 60, "{log}");
    for line in sent {
        for part in [" id=\"", " index=", " ts=\"20", " +0000 UTC\"", " type=\""] {
            assert!(line.contains(part), "`{part}` is missing: {line}");
        }
    }
}

/// A full disk is no reader that has seen enough.
#[tokio::test(flavor = "multi_thread")]
async fn it_fails_when_what_would_be_sent_cannot_be_printed() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(85), &templates("v13"), 60, 1, 1);
    stage.auth.append(made.iter().map(Made::event));
    let config = stage.write_config(stage.auth.addr());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command
        .args(["start", "--dry-run", "--dry-run-print", "--exit-on-last-event", "--config"])
        .arg(config)
        .current_dir(stage.dir.path())
        .stdin(Stdio::null())
        .stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("what would be sent cannot be printed"), "{log}");
    assert!(!log.contains("successfully shut down"), "{log}");
}
