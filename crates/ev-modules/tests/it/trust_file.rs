//! A trust file that changes while the registry runs.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::testing::MemoryStore;
use ev_core::{Choice, DecoderSet, StateStore};
use ev_modules::{Counts, SigningKey, Trust, sha256};

use crate::log::captured;
use crate::rig::{EXACT, PARKED, Rig, Setup, key, pass};
use crate::support::{Answer, TestSource, table, version};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that trusts these keys, but not these artifacts.
fn write(file: &Path, keys: &[&SigningKey], revoked: &[&[u8]]) {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| format!(r#"{{"public_key":"{}"}}"#, BASE64_STANDARD.encode(key.public_key())))
        .collect();
    let revoked: Vec<_> =
        revoked.iter().map(|payload| format!("\"{}\"", hex(&sha256(payload)))).collect();
    let text = format!(r#"{{"keys":[{}],"revoked":[{}]}}"#, keys.join(","), revoked.join(","));
    std::fs::write(file, text).unwrap();
}

struct Stage {
    dir: tempfile::TempDir,
    key: SigningKey,
    source: std::sync::Arc<TestSource>,
    rig: Rig,
}

impl Stage {
    /// A registry that uses an artifact by the word of a trust file.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = key();
        write(&dir.path().join("trust.json"), &[&key], &[]);
        let source = TestSource::new([Answer::Offer(table(&key, b"table"))]);
        let mut setup = Setup::new(&key, &[&source]);
        setup.trust = Trust::read(&dir.path().join("trust.json")).unwrap();
        setup.settings.refresh = std::time::Duration::from_secs(1_000_000);
        let rig = setup.start();
        rig.until("18.1.0", EXACT).await;
        Self { dir, key, source, rig }
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("trust.json")
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_artifact_is_put_out_of_use_within_a_minute() {
    let stage = Stage::start().await;
    write(&stage.file(), &[&stage.key], &[b"table"]);
    assert_eq!(stage.rig.state("18.1.0"), EXACT, "nobody has looked yet");
    stage.rig.until("18.1.0", "pending").await;
    // Its events wait no longer than for any other artifact; what is offered is tried for ever.
    stage.rig.until("18.1.0", PARKED).await;
    assert!(stage.rig.registry.counts().refused > 1);
    stage.source.then(Answer::Offer(table(&stage.key, b"another")));
    stage.rig.until("18.1.0", EXACT).await;
    let Choice::Exact(decoder) = stage.rig.choose("18.1.0") else { panic!("it was exact") };
    assert_eq!(decoder.identity().schema_sha256, sha256(b"another"));
    stage.rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_out_and_put_back_counts_so() {
    let stage = Stage::start().await;
    write(&stage.file(), &[&key()], &[]);
    stage.rig.until("18.1.0", "pending").await;
    write(&stage.file(), &[&stage.key, &key()], &[]);
    stage.rig.until("18.1.0", EXACT).await;
    stage.rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_says_the_same_changes_nothing() {
    let stage = Stage::start().await;
    let generation = stage.rig.registry.generation();
    write(&stage.file(), &[&stage.key], &[]);
    pass(600).await;
    // Another key beside it: what is in use stays, the very same.
    let Choice::Exact(before) = stage.rig.choose("18.1.0") else { panic!("it was exact") };
    assert_eq!(stage.rig.registry.generation(), generation);
    write(&stage.file(), &[&stage.key, &key()], &[]);
    pass(600).await;
    let Choice::Exact(after) = stage.rig.choose("18.1.0") else { panic!("it is exact") };
    assert!(std::sync::Arc::ptr_eq(&before, &after));
    assert_eq!(stage.source.asked(), 1);
    assert_eq!(stage.rig.registry.counts(), Counts { accepted: 1, ..Counts::default() });
    stage.rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_meant_changes_nothing_and_is_told_once() {
    let lines = captured(async {
        let stage = Stage::start().await;
        for text in [&b"{"[..], b"{\"keys\":[]}", &[b' '; 2 << 20]] {
            std::fs::write(stage.file(), text).unwrap();
            pass(600).await;
            assert_eq!(stage.rig.state("18.1.0"), EXACT);
        }
        std::fs::remove_file(stage.file()).unwrap();
        pass(600).await;
        assert_eq!(stage.rig.state("18.1.0"), EXACT);
        // Once it can be read again, it counts.
        write(&stage.file(), &[&stage.key], &[b"table"]);
        stage.rig.until("18.1.0", "pending").await;
        stage.rig.end().await;
    })
    .await;
    let count = |part: &str| lines.iter().filter(|line| line.starts_with(part)).count();
    assert_eq!(count("trust file cannot be used"), 4, "once for each: {lines:?}");
    assert_eq!(count("trust file has changed"), 1);
    assert_eq!(count("decoder artifact in use is trusted no longer"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_is_judged_by_what_counts_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trust.json");
    let key = key();
    write(&file, &[&key], &[]);
    let late = std::time::Duration::from_secs(100);
    let source = TestSource::new([Answer::Late(late, table(&key, b"table"))]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.trust = Trust::read(&file).unwrap();
    setup.settings.fetch_timeout = 2 * late;
    let store = std::sync::Arc::new(MemoryStore::new());
    setup.store = Some(std::sync::Arc::clone(&store));
    let store = std::sync::Arc::new(MemoryStore::new());
    setup.store = Some(std::sync::Arc::clone(&store));
    let rig = setup.start();
    assert_eq!(rig.state("18.1.0"), "pending");
    pass(1).await;
    write(&file, &[&key], &[b"table"]);
    pass(3600).await;
    assert_eq!(rig.state("18.1.0"), PARKED, "it was never in use");
    assert!(rig.registry.counts().refused > 1);
    assert_eq!(store.artifact(&version("18.1.0")).unwrap(), None, "nor kept");
    rig.end().await;
}
