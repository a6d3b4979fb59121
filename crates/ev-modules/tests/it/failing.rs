//! What becomes of a decoder that fails.

use std::sync::Arc;
use std::time::Duration;

use ev_core::testing::MemoryStore;
use ev_core::{Choice, DecoderKind, DecoderSet};
use ev_modules::sha256;

use crate::rig::{EXACT, PARKED, Setup, key, pass};
use crate::support::{Answer, TestSource, table};

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_minute_fetch_the_artifact_again() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"table"))]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", EXACT).await;
    // Two a minute are suffered.
    for _ in 0..10 {
        rig.fail();
        pass(5).await;
        rig.fail();
        pass(56).await;
    }
    assert_eq!(source.asked(), 1);
    rig.fail_for_long().await;
    assert_eq!(rig.state("18.1.0"), "pending", "what is failing is not usable yet");
    // Whoever waits is told when it is, and tries again what was parked.
    rig.until("18.1.0", EXACT).await;
    assert_eq!(source.asked(), 2);
    let request = source.requests.lock().unwrap()[1].clone();
    assert_eq!(request.held_sha256, None, "downloaded anew, not merely confirmed");
    assert_eq!(source.downloads(), 2);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_artifact_that_keeps_failing_opens_the_breaker_until_a_good_one_comes() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"traps"))]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", EXACT).await;
    // Whenever it is in use, it fails. Bounded: the breaker opens within artifact_wait.
    let mut opened = false;
    for _ in 0..200 {
        match rig.state("18.1.0").as_str() {
            EXACT => rig.fail(),
            PARKED => {
                opened = true;
                break;
            }
            _ => {}
        }
        pass(1).await;
    }
    assert!(opened, "known events flow again");
    assert_eq!(rig.state("18.1.0"), PARKED);
    // From time to time the same artifact gets another trial, for ever.
    let downloads = source.downloads();
    rig.until("18.1.0", EXACT).await;
    assert!(source.downloads() > downloads);
    rig.fail_for_long().await;
    assert_eq!(rig.state("18.1.0"), PARKED, "at once: the time to wait is used up");

    source.then(Answer::Offer(table(&key, b"good")));
    rig.until("18.1.0", EXACT).await;
    let Choice::Exact(decoder) = rig.choose("18.1.0") else { panic!("it was exact") };
    assert_eq!(decoder.identity().schema_sha256, sha256(b"good"));
    assert_eq!(decoder.identity().kind, DecoderKind::Table);
    rig.fail_for_long().await;
    assert_eq!(rig.state("18.1.0"), "pending", "new trouble has its own time to wait");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_artifact_that_cannot_be_fetched_again_opens_the_breaker_in_time() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"traps")), Answer::Unreachable]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", EXACT).await;
    rig.fail_for_long().await;
    pass(59).await;
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", PARKED).await;
    source.then(Answer::Unmodified);
    pass(600).await;
    assert_eq!(rig.state("18.1.0"), PARKED, "a peer cannot talk it back into use");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_few_guilty_events_do_not_make_a_decoder_failing() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"table"))]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.settings.refresh = Duration::from_secs(1_000_000);
    let rig = setup.start();
    rig.until("18.1.0", EXACT).await;
    let generation = rig.registry.generation();
    // Many pages of one burst, and once more each half minute, for ever.
    for _ in 0..100 {
        for _ in 0..50 {
            rig.fail();
        }
        assert_eq!(rig.state("18.1.0"), EXACT);
        pass(30).await;
    }
    assert_eq!(source.asked(), 1);
    assert_eq!(rig.registry.generation(), generation);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_without_a_report_is_forgiveness() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"table")), Answer::Unreachable]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", EXACT).await;
    rig.fail_for_long().await;
    rig.until("18.1.0", PARKED).await;
    // The breaker is open. The same artifact comes again and does well.
    source.then(Answer::Offer(table(&key, b"table")));
    let seen = rig.registry.generation();
    rig.until("18.1.0", EXACT).await;
    assert_ne!(rig.registry.generation(), seen, "what was parked is tried again");
    pass(60).await;
    assert_eq!(rig.state("18.1.0"), EXACT);
    // The next trouble has its own time to wait, as the first had.
    source.then(Answer::Unreachable);
    rig.fail_for_long().await;
    pass(59).await;
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", PARKED).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_with_reports_is_not_over() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"table")), Answer::Unreachable]);
    let rig = Setup::new(&key, &[&source]).start();
    rig.until("18.1.0", EXACT).await;
    rig.fail_for_long().await;
    rig.until("18.1.0", PARKED).await;
    source.then(Answer::Offer(table(&key, b"table")));
    rig.until("18.1.0", EXACT).await;
    // Too few to be failing, too many to be well.
    for _ in 0..5 {
        pass(50).await;
        rig.fail();
    }
    assert_eq!(rig.state("18.1.0"), EXACT);
    pass(5).await;
    rig.fail_for_long().await;
    assert_eq!(rig.state("18.1.0"), PARKED, "no time to wait is left");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_any_place_what_was_kept_gets_the_trial() {
    for gone in [Answer::Unreachable, Answer::Nothing] {
        let key = key();
        let source = TestSource::new([Answer::Offer(table(&key, b"table")), gone]);
        let mut setup = Setup::new(&key, &[&source]);
        setup.store = Some(Arc::new(MemoryStore::new()));
        let rig = setup.start();
        rig.until("18.1.0", EXACT).await;
        rig.fail_for_long().await;
        assert_eq!(rig.state("18.1.0"), "pending");
        rig.until("18.1.0", EXACT).await;
        assert_eq!(source.downloads(), 1);
        assert_eq!(rig.registry.counts().accepted, 2, "it was verified and loaded again");
        pass(3600).await;
        assert_eq!(rig.state("18.1.0"), EXACT);
        rig.end().await;
    }
}
