use std::collections::BTreeMap;
use std::time::Duration;

use ev_core::StateStore;

use crate::rig::{Rig, lock, names, opened, page, token, uids};

/// Number of events in each scripted page, and of pages.
const PAGE: usize = 7;
const PAGES: usize = 60;

/// What a source does after a restart: reads on from the token it is given.
fn feed_from(rig: &Rig, token: Option<usize>) {
    if token.is_none() {
        rig.feed.push(opened());
    }
    for n in token.unwrap_or(0)..PAGES {
        let next = if n + 1 == PAGES { "end".into() } else { format!("{}", n + 1) };
        rig.feed.push(page(uids(n * PAGE..(n + 1) * PAGE), &next));
    }
}

/// Dropping the engine between two polls is a crash: commits are whole, all else is gone.
#[tokio::test(start_paused = true)]
async fn crashes_lose_nothing_and_repeat_only_what_was_not_committed() {
    for lifetime in [1, 3, 8, 20, 55, 130] {
        let mut rig = Rig::new();
        rig.config.commit_events = 40;
        let mut position = None;
        let mut lives = 0;
        loop {
            feed_from(&rig, position);
            let before = lock(&rig.sink.stored).len();
            {
                let run = rig.run();
                tokio::pin!(run);
                let life = Duration::from_millis(lifetime);
                assert!(tokio::time::timeout(life, &mut run).await.is_err(), "it runs for ever");
            }
            lives += 1;
            let row = rig.snapshot().lanes.into_iter().next();
            let text = row.map(|row| String::from_utf8(row.token.bytes.to_vec()).unwrap());
            position = match text.as_deref() {
                None => None,
                Some("start") => Some(0),
                Some("end") => break,
                Some(number) => Some(number.parse().unwrap()),
            };
            let progress = lock(&rig.sink.stored).len() > before;
            assert!(progress || lives < 2000, "no progress in {lives} lives of {lifetime} ms");
            rig.restart();
        }
        let mut counts = BTreeMap::<String, usize>::new();
        for uid in rig.sink.uids() {
            *counts.entry(uid).or_default() += 1;
        }
        assert_eq!(counts.keys().cloned().collect::<Vec<_>>(), names(0..PAGE * PAGES));
        let repeats: usize = counts.values().map(|count| count - 1).sum();
        // In flight and acknowledged since the last commit, for each crash.
        let window = 40 + PAGE + rig.sink.shape.max_events * rig.sink.shape.max_in_flight;
        assert!(repeats <= window * lives, "{repeats} repeats in {lives} lives");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_run_takes_the_sink_over() {
    let rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..5), "end"));
    let run = rig.run();
    let newer = rig.snapshot();
    let error = run.await.expect_err("the older run is fenced off");
    assert!(matches!(error, ev_pipeline::Error::State(ev_core::StateError::Fenced { .. })));
    let change = ev_core::Change::default();
    rig.store.commit(&ev_core::SinkId("test".into()), newer.epoch, &change).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_go_on_ends_the_run_in_order() {
    let mut rig = Rig::new();
    rig.config.commit_interval = Duration::from_secs(3600);
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..20), "end"));
    let run = rig.run();
    let fail = async {
        while lock(&rig.sink.stored).len() < 20 {
            tokio::task::yield_now().await;
        }
        rig.feed.fail();
    };
    let (ended, ()) = tokio::join!(run, fail);
    assert!(matches!(ended, Err(ev_pipeline::Error::Source(_))), "{ended:?}");
    let snapshot = rig.snapshot();
    assert_eq!(snapshot.totals.delivered, 20, "what was acknowledged is committed");
    assert_eq!(snapshot.lanes[0].token, token("end"));
}
