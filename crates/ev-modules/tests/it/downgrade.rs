//! The downgrade policy over restarts: what counts is the highest version ever seen.

use std::sync::Arc;

use ev_core::StateStore;
use ev_core::testing::MemoryStore;
use ev_modules::{Downgrade, SigningKey};

use crate::rig::{EXACT, PARKED, Rig, Setup, key, pass};
use crate::support::{Answer, TestSource, table, version};

/// A run on this state.
fn start(key: &SigningKey, store: &Arc<MemoryStore>, downgrade: Downgrade) -> Rig {
    let source = TestSource::new([Answer::Offer(table(key, b"table"))]);
    let mut setup = Setup::new(key, &[&source]);
    setup.store = Some(Arc::clone(store));
    setup.settings.downgrade = downgrade;
    setup.start()
}

/// Auth 18.1.0, then `highest`, then 18.1.0 again, and a restart.
async fn check(downgrade: Downgrade, highest: &str, expected: &str) {
    let key = key();
    let store = Arc::new(MemoryStore::new());
    let rig = start(&key, &store, downgrade);
    drop(rig.choose("18.1.0"));
    drop(rig.choose(highest));
    drop(rig.choose("18.1.0"));
    pass(1).await;
    assert_eq!(store.highest_version().unwrap(), Some(version(highest)), "it is kept at once");
    rig.end().await;
    for _ in 0..2 {
        let rig = start(&key, &store, downgrade);
        rig.until("18.1.0", expected).await;
        rig.end().await;
    }
    assert_eq!(store.highest_version().unwrap(), Some(version(highest)));
}

#[tokio::test(start_paused = true)]
async fn always_takes_the_older_artifact() {
    check(Downgrade::Always, "21.0.0", EXACT).await;
}

#[tokio::test(start_paused = true)]
async fn within_minor_remembers_a_higher_minor_over_a_restart() {
    check(Downgrade::WithinMinor, "18.1.9", EXACT).await;
    check(Downgrade::WithinMinor, "18.2.0", PARKED).await;
}

#[tokio::test(start_paused = true)]
async fn never_remembers_a_higher_patch_over_a_restart() {
    check(Downgrade::Never, "18.1.1", PARKED).await;
    check(Downgrade::Never, "18.1.0", EXACT).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_at_once_forgets_nothing() {
    let key = key();
    let store = Arc::new(MemoryStore::new());
    let rig = start(&key, &store, Downgrade::Always);
    drop(rig.choose("18.3.0"));
    rig.end().await;
    assert_eq!(store.highest_version().unwrap(), Some(version("18.3.0")));
}
