//! The registry, with a paused clock: nothing here waits for real time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ev_core::testing::MemoryStore;
use ev_core::{ArtifactKind, Choice, DecoderSet, StateStore, UnknownPolicy};
use ev_modules::{Counts, Downgrade, Manifest, Parts, Registry, Settings, Trust, sha256};

use crate::rig::{EXACT, MARKED, PARKED, Setup, key, module, pass};
use crate::support::{Answer, TestLoad, TestSource, embedded, manifest, signed, table, version};

#[tokio::test(start_paused = true)]
async fn an_embedded_table_of_exactly_that_version_needs_nobody() {
    let source = TestSource::new([Answer::Nothing]);
    let rig = Setup::new(&key(), &[&source]).start();
    assert_eq!(rig.state("18.0.0-dev"), "exact native 18.0.0-dev");
    assert_eq!(rig.state("13.3.8"), "exact native 13.3.8");
    pass(300).await;
    assert_eq!(source.asked(), 0);
    rig.end().await;
}

/// What is asked of the table embedded for 18.0.0-dev, as for any version from now on.
const OUTGROWN_PARKED: &str = "inexact native 18.0.0-dev Park";

#[tokio::test(start_paused = true)]
async fn an_embedded_table_that_auth_has_outgrown_is_as_good_as_a_near_one() {
    // Nobody has an artifact: the policy for unknown events holds.
    let source = TestSource::new([Answer::Nothing]);
    let rig = Setup::new(&key(), &[&source]).start();
    assert_eq!(rig.state("18.0.0-dev"), "exact native 18.0.0-dev");
    let seen = rig.registry.generation();
    rig.registry.report_unknown(&version("18.0.0-dev"));
    assert_ne!(rig.registry.generation(), seen, "whoever has parked some looks again");
    assert_eq!(rig.state("18.0.0-dev"), OUTGROWN_PARKED, "known events do not wait");
    rig.until("18.0.0-dev", "inexact native 18.0.0-dev Incomplete").await;
    assert_eq!(rig.state("13.3.8"), "exact native 13.3.8", "others are what they were");
    let seen = rig.registry.generation();
    rig.registry.report_unknown(&version("18.0.0-dev"));
    rig.registry.report_unknown(&version("18.1.0"));
    assert_eq!(rig.registry.generation(), seen, "that is nothing new");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_artifact_of_a_version_takes_the_place_of_its_outgrown_table() {
    let key = key();
    let of_dev = |schema: [u8; 32]| {
        let manifest = Manifest {
            auth_version: version("18.0.0-dev"),
            schema_sha256: schema,
            ..manifest(&key, b"table")
        };
        signed(&key, &manifest, b"table")
    };
    let source = TestSource::new([Answer::Offer(of_dev([7; 32]))]);
    let rig = Setup::new(&key, &[&source]).start();
    assert_eq!(rig.state("18.0.0-dev"), "exact native 18.0.0-dev");
    rig.registry.report_unknown(&version("18.0.0-dev"));
    rig.until("18.0.0-dev", "exact table 18.0.0-dev").await;
    rig.end().await;

    // One that only names the schema that was outgrown is of no use.
    let same = of_dev(embedded("18.0.0-dev").schema_sha256);
    for (unknown, expected) in [
        (None, OUTGROWN_PARKED),
        (Some(UnknownPolicy::Incomplete), "inexact native 18.0.0-dev Incomplete"),
    ] {
        let source = TestSource::with_envelopes(Answer::Offer(same.clone()));
        let mut setup = Setup::new(&key, &[&source]);
        setup.settings.unknown = unknown;
        let rig = setup.start();
        rig.registry.report_unknown(&version("18.0.0-dev"));
        let seen = rig.registry.generation();
        rig.registry.changed(seen).await;
        assert_eq!(rig.state("18.0.0-dev"), expected);
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn pending_until_a_good_artifact_arrives() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"table"))]);
    let store = Arc::new(MemoryStore::new());
    let mut setup = Setup::new(&key, &[&source]);
    setup.store = Some(Arc::clone(&store));
    let rig = setup.start();
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", EXACT).await;
    assert_eq!(rig.loader.calls.load(Ordering::SeqCst), 1);
    assert_eq!(store.artifact(&version("18.1.0")).unwrap(), Some(table(&key, b"table")));
    let request = source.requests.lock().unwrap()[0].clone();
    assert_eq!(request.auth_version, version("18.1.0"));
    assert_eq!(request.kinds, [ArtifactKind::Table, ArtifactKind::Module]);
    assert_eq!(request.max_bytes, 100);
    assert_eq!(rig.registry.counts(), Counts { accepted: 1, ..Counts::default() });
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_offered_is_an_absence() {
    let source = TestSource::new([Answer::Nothing]);
    let rig = Setup::new(&key(), &[&source]).start();
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", MARKED).await;
    assert_eq!(rig.state("14.0.0"), "pending");
    rig.until("14.0.0", "inexact native 13.3.8 Incomplete").await;
    rig.end().await;

    let nobody = Setup::new(&key(), &[]).start();
    assert_eq!(nobody.state("18.1.0"), MARKED, "nobody to ask: known at once");
    nobody.end().await;
}

#[tokio::test(start_paused = true)]
async fn incomplete_is_the_default_only_where_no_artifact_can_be_meant() {
    let check = async |unknown, artifact_configured, expected: &str| {
        let source = TestSource::new([Answer::Nothing]);
        let mut setup = Setup::new(&key(), &[&source]);
        setup.settings.unknown = unknown;
        setup.settings.artifact_configured = artifact_configured;
        let rig = setup.start();
        rig.until("18.1.0", expected).await;
        rig.end().await;
    };
    check(None, false, MARKED).await;
    check(None, true, PARKED).await;
    check(Some(UnknownPolicy::Park), false, PARKED).await;
    check(Some(UnknownPolicy::Incomplete), true, MARKED).await;
}

#[tokio::test(start_paused = true)]
async fn an_artifact_that_appears_later_is_found() {
    let key = key();
    let source = TestSource::new([Answer::Nothing]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", MARKED).await;
    source.then(Answer::Offer(table(&key, b"table")));
    rig.until("18.1.0", EXACT).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn events_wait_no_longer_than_the_setting_says() {
    let source = TestSource::new([Answer::Unreachable]);
    let mut setup = Setup::new(&key(), &[&source]);
    setup.settings.artifact_wait = Duration::from_secs(10);
    let rig = setup.start();
    assert_eq!(rig.state("18.1.0"), "pending");
    pass(9).await;
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", PARKED).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_artifact_is_tried_for_ever() {
    let key = key();
    let mut flipped = table(&key, b"table");
    flipped.payload = "tablf".into();
    let source = TestSource::new([Answer::Offer(flipped)]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.settings.kinds = vec![ArtifactKind::Table];
    let rig = setup.start();
    rig.until("18.1.0", PARKED).await;
    // 1 + 2 + 4 + 8 + 16 + 32 s, then one a minute.
    pass(3600).await;
    let asked = source.asked();
    assert!((60..=80).contains(&asked), "{asked}");
    assert_eq!(rig.loader.calls.load(Ordering::SeqCst), 0, "nothing is parsed of other bytes");
    assert_eq!(rig.registry.counts().refused, asked as u64);
    assert_eq!(rig.state("18.1.0"), PARKED);

    source.then(Answer::Offer(table(&key, b"table")));
    rig.until("18.1.0", EXACT).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_artifact_is_no_absence() {
    let key = key();
    let other = self::key();
    let source = TestSource::new([Answer::Offer(table(&other, b"table"))]);
    let rig = Setup::new(&key, &[&source]).start();
    pass(30).await;
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", PARKED).await;
    assert_eq!(rig.loader.calls.load(Ordering::SeqCst), 0);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_place_is_given_up_and_the_next_one_asked() {
    let key = key();
    let silent = TestSource::new([Answer::Silence]);
    let unreachable = TestSource::new([Answer::Unreachable]);
    let nothing = TestSource::new([Answer::Nothing]);
    let good = TestSource::new([Answer::Offer(table(&key, b"table"))]);
    let rig = Setup::new(&key, &[&silent, &unreachable, &nothing, &good]).start();
    rig.until("18.1.0", EXACT).await;
    assert_eq!((silent.asked(), unreachable.asked(), nothing.asked()), (1, 1, 1));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_table_does_not_hide_a_good_module() {
    let key = key();
    let source = TestSource::new([
        Answer::Offer(table(&key, b"bad table")),
        Answer::Offer(module(&key, b"module")),
    ]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", "exact module 18.1.0").await;
    assert_eq!(source.requests.lock().unwrap()[1].kinds, [ArtifactKind::Module]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_new_artifact_never_replaces_the_good_one() {
    let key = key();
    let store = Arc::new(MemoryStore::new());
    let good = table(&key, b"good");
    let source = TestSource::new([Answer::Offer(good.clone())]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.store = Some(Arc::clone(&store));
    setup.settings.refresh = Duration::from_secs(100);
    let rig = setup.start();
    rig.until("18.1.0", EXACT).await;
    let Choice::Exact(before) = rig.choose("18.1.0") else { panic!("it was exact") };

    let mut flipped = table(&key, b"newer");
    flipped.payload = "newes".into();
    for bad in [
        Answer::Offer(flipped),
        Answer::Offer(table(&key, b"bad self-test")),
        Answer::Offer(table(&key, b"panic")),
        Answer::Offer(table(&self::key(), b"stranger")),
        Answer::Offer(signed(
            &key,
            &Manifest { auth_version: version("18.1.1"), ..manifest(&key, b"x") },
            b"x",
        )),
        Answer::Nothing,
        Answer::Unreachable,
        Answer::Silence,
    ] {
        source.then(bad);
        let asked = source.asked();
        pass(300).await;
        assert!(source.asked() > asked, "it was tried");
        let Choice::Exact(now) = rig.choose("18.1.0") else { panic!("it stays exact") };
        assert!(Arc::ptr_eq(&before, &now));
        assert_eq!(store.artifact(&version("18.1.0")).unwrap(), Some(good.clone()));
    }

    source.then(Answer::Offer(table(&key, b"newer")));
    let seen = rig.registry.generation();
    rig.registry.changed(seen).await;
    let Choice::Exact(now) = rig.choose("18.1.0") else { panic!("it stays exact") };
    assert_eq!(now.identity().schema_sha256, sha256(b"newer"));
    assert_eq!(store.artifact(&version("18.1.0")).unwrap(), Some(table(&key, b"newer")));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_without_network_uses_what_was_kept() {
    let key = key();
    let store = Arc::new(MemoryStore::new());
    store.put_artifact(&version("18.1.0"), &table(&key, b"kept")).unwrap();
    let source = TestSource::new([Answer::Unreachable]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.store = Some(Arc::clone(&store));
    let rig = setup.start();
    rig.until("18.1.0", EXACT).await;
    pass(3600).await;
    assert_eq!(rig.state("18.1.0"), EXACT, "not reaching anybody changes nothing");
    let request = source.requests.lock().unwrap()[0].clone();
    assert_eq!(request.held_sha256, Some(sha256(b"kept")), "nothing is sent again");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_network_downloads_nothing_that_is_held() {
    let key = key();
    let store = Arc::new(MemoryStore::new());
    store.put_artifact(&version("18.1.0"), &table(&key, b"kept")).unwrap();
    let source = TestSource::new([Answer::Offer(table(&key, b"kept"))]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.store = Some(store);
    let rig = setup.start();
    rig.until("18.1.0", EXACT).await;
    pass(600).await;
    assert_eq!((source.asked(), source.downloads()), (1, 0));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_verified_again() {
    let (key, revoked_key) = (key(), key());
    let store = Arc::new(MemoryStore::new());
    let mut changed = table(&key, b"kept");
    changed.payload = "kepu".into();
    for kept in [changed, table(&revoked_key, b"kept")] {
        store.put_artifact(&version("18.1.0"), &kept).unwrap();
        let source = TestSource::new([Answer::Unreachable]);
        let mut setup = Setup::new(&key, &[&source]);
        setup.store = Some(Arc::clone(&store));
        let rig = setup.start();
        rig.until("18.1.0", PARKED).await;
        assert_eq!(rig.loader.calls.load(Ordering::SeqCst), 0);
        assert_eq!(rig.registry.counts(), Counts { refused: 1, ..Counts::default() });
        source.then(Answer::Offer(table(&key, b"new")));
        rig.until("18.1.0", EXACT).await;
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_signed_envelope_can_name_an_embedded_schema() {
    let key = key();
    let named = Manifest {
        schema_sha256: embedded("18.0.0-dev").schema_sha256,
        ..manifest(&key, b"table")
    };
    let artifact = signed(&key, &named, b"table");
    let source = TestSource::with_envelopes(Answer::Offer(artifact.clone()));
    let store = Arc::new(MemoryStore::new());
    let mut setup = Setup::new(&key, &[&source]);
    setup.store = Some(Arc::clone(&store));
    let rig = setup.start();
    rig.until("18.1.0", "exact native 18.0.0-dev").await;
    assert_eq!(source.downloads(), 0, "nothing more is downloaded");
    assert_eq!(rig.loader.calls.load(Ordering::SeqCst), 0);
    rig.end().await;

    // The envelope was kept: it is enough without network too.
    let source = TestSource::new([Answer::Unreachable]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.store = Some(store);
    let rig = setup.start();
    rig.until("18.1.0", "exact native 18.0.0-dev").await;
    rig.end().await;

    // A place that cannot give envelopes alone sends it all, and nothing of it is compiled.
    let source = TestSource::new([Answer::Offer(artifact)]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", "exact native 18.0.0-dev").await;
    assert_eq!(rig.loader.calls.load(Ordering::SeqCst), 0);
    rig.end().await;

    // A forged one names nothing.
    let forged = signed(&self::key(), &named, b"table");
    let source = TestSource::with_envelopes(Answer::Offer(forged));
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", PARKED).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn upgrade_and_downgrade_fetch_their_own_artifact() {
    let key = key();
    let other = Manifest { auth_version: version("18.2.0"), ..manifest(&key, b"table of 18.2.0") };
    let source = TestSource::new([
        Answer::Offer(table(&key, b"table")),
        Answer::Offer(signed(&key, &other, b"table of 18.2.0")),
        Answer::Unreachable,
    ]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", EXACT).await;
    rig.until("18.2.0", "exact table 18.2.0").await;
    assert_eq!(source.downloads(), 2);
    assert_eq!(rig.state("18.1.0"), EXACT, "still there for the way back");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_downgrade_policy() {
    let check = async |downgrade, highest: &str, expected: &str| {
        let key = key();
        let source = TestSource::new([Answer::Offer(table(&key, b"table"))]);
        let mut setup = Setup::new(&key, &[&source]);
        setup.settings.downgrade = downgrade;
        let store = MemoryStore::new();
        store.put_highest_version(&version(highest)).unwrap();
        setup.store = Some(Arc::new(store));
        let rig = setup.start();
        rig.until("18.1.0", expected).await;
        rig.end().await;
    };
    check(Downgrade::Always, "21.0.0", EXACT).await;
    check(Downgrade::WithinMinor, "18.1.9", EXACT).await;
    check(Downgrade::WithinMinor, "18.2.0", PARKED).await;
    check(Downgrade::Never, "18.1.9", PARKED).await;
    check(Downgrade::Never, "18.1.0", EXACT).await;
    check(Downgrade::Never, "18.0.9", EXACT).await;
}

#[tokio::test(start_paused = true)]
async fn not_modified_without_anything_held_is_a_lie() {
    let source = TestSource::new([Answer::Unmodified]);
    let rig = Setup::new(&key(), &[&source]).start();
    rig.until("18.1.0", PARKED).await;
    assert!(source.asked() > 3, "it is asked again");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn ever_new_versions_do_not_fill_the_memory() {
    let source = TestSource::new([Answer::Nothing]);
    let rig = Setup::new(&key(), &[&source]).start();
    for minor in 0..200 {
        drop(rig.choose(&format!("18.{minor}.0")));
    }
    rig.until("18.199.0", MARKED).await;
    // Only so many are asked for again within a recheck.
    pass(1).await;
    let asked = source.asked();
    pass(60).await;
    assert!(source.asked() - asked <= 32, "{}", source.asked() - asked);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_up_what_waits_for_a_peer() {
    let source = TestSource::new([Answer::Silence]);
    let rig = Setup::new(&key(), &[&source]).start();
    drop(rig.choose("18.1.0"));
    pass(1).await;
    assert_eq!(source.asked(), 1);
    rig.end().await;
}

#[test]
fn without_an_embedded_table_there_is_no_registry() {
    let parts = Parts {
        embedded: Vec::new(),
        sources: Vec::new(),
        trust: Trust::nobody(),
        loader: Arc::new(TestLoad::default()),
        store: None,
        env: Arc::new(NoClock),
    };
    assert!(matches!(
        Registry::try_new(parts, Settings::default()),
        Err(ev_modules::Error::NoEmbedded)
    ));
}

/// For a registry that must not even ask for the time.
struct NoClock;

impl ev_core::Env for NoClock {
    fn now(&self) -> ev_core::Timestamp {
        unreachable!()
    }

    fn monotonic(&self) -> Duration {
        unreachable!()
    }

    fn sleep(&self, _: Duration) -> ev_core::BoxFuture<'static, ()> {
        unreachable!()
    }

    fn random(&self) -> u64 {
        unreachable!()
    }
}
