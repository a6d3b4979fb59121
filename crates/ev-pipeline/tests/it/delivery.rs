use std::sync::atomic::Ordering;
use std::time::Duration;

use ev_core::{Page, SourceEvent, Verdict};

use crate::rig::{
    Mood, Rig, WINDOW, lock, login, names, opened, page, sorted, uids, upstream, version,
};

#[tokio::test(start_paused = true)]
async fn every_event_is_delivered_once_and_the_lane_moves() {
    let rig = Rig::new();
    rig.feed.push(upstream("1.0.0"));
    rig.feed.push(opened());
    for n in 0..10 {
        rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
    }
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 300).await;
    assert_eq!(sorted(rig.sink.uids()), names(0..300));
    assert_eq!((summary.read, summary.passed, summary.repeated), (300, 300, 0));
    assert_eq!((summary.totals.delivered, summary.totals.by_native), (300, 300));
    assert!(summary.totals.balances());
    let lanes = rig.snapshot().lanes;
    assert_eq!(lanes[0].token, crate::rig::token("after 9"));
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_is_tried_again_until_it_is_well() {
    for failure in [
        Verdict::Busy {
            after: Some(Duration::from_secs(90)),
            suspect: false,
            detail: "503".into(),
        },
        Verdict::Refused { detail: "403".into() },
        Verdict::Guilty { index: None, detail: "400".into() },
        Verdict::Unreachable { detail: "refused".into() },
    ] {
        let rig = Rig::new();
        rig.sink.mood.send_replace(Mood::Failing(failure));
        rig.feed.push(opened());
        rig.feed.push(page(uids(0..25), "end"));
        let well_after_some = |rig: &Rig| {
            if rig.sink.requests.load(Ordering::Relaxed) >= 20 {
                rig.sink.mood.send_replace(Mood::Well);
            }
            lock(&rig.sink.stored).len() == 25
        };
        let summary = rig.run_until(well_after_some).await;
        assert_eq!(sorted(rig.sink.uids()), names(0..25));
        assert!(summary.retries >= 17, "{summary:?}");
        assert_eq!(summary.unknown_outcomes, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_counted_and_sent_again() {
    let rig = Rig::new();
    rig.sink.mood.send_replace(Mood::LosesAnswers);
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..4), "end"));
    let summary = rig
        .run_until(|rig| {
            if rig.sink.requests.load(Ordering::Relaxed) >= 1 {
                rig.sink.mood.send_replace(Mood::Well);
            }
            lock(&rig.sink.stored).len() >= 8
        })
        .await;
    assert_eq!(summary.unknown_outcomes, 4);
    assert_eq!(summary.totals.delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_answers_bounds_what_is_read() {
    let mut rig = Rig::new();
    rig.config.max_unsettled = 100;
    rig.config.grace = Duration::from_secs(1);
    rig.sink.mood.send_replace(Mood::Stalled);
    rig.feed.push(opened());
    for n in 0..100 {
        rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
    }
    let mut hours = std::cell::Cell::new(0u32);
    let summary = rig
        .run_until(|_| {
            hours.set(hours.get() + 1);
            hours.get() > 10_000
        })
        .await;
    assert_eq!(rig.feed.pages_given.load(Ordering::Relaxed), 4, "the fourth page crosses 100");
    assert_eq!((summary.read, summary.passed), (120, 0));
    assert_eq!(rig.snapshot().lanes[0].token, crate::rig::token("start"));
    assert!(*hours.get_mut() > 0);
}

#[tokio::test(start_paused = true)]
async fn filtered_types_are_passed_and_counted() {
    let mut rig = Rig::new();
    rig.config.skip_event_types.insert("user.login".into());
    rig.feed.push(opened());
    let keep = crate::rig::event(2, "role.created", "kept", "");
    rig.feed.push(page(vec![login("a"), keep, login("b")], "end"));
    let summary = rig.run_until(|rig| !lock(&rig.sink.stored).is_empty()).await;
    assert_eq!(rig.sink.uids(), ["kept"]);
    assert_eq!((summary.totals.filtered, summary.totals.delivered), (2, 1));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn what_the_tip_repeats_is_sent_once() {
    let rig = Rig::new();
    rig.feed.push(opened());
    let tip = |range| {
        let events = uids(range);
        let version = version("1.0.0");
        SourceEvent::Page(Page { lane: WINDOW, version, events, marks: vec![], repeats: true })
    };
    rig.feed.push(tip(0..3));
    rig.feed.push(tip(0..5));
    rig.feed.push(tip(0..7));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() >= 7).await;
    assert_eq!(sorted(rig.sink.uids()), names(0..7));
    assert_eq!((summary.read, summary.passed, summary.repeated), (15, 7, 8));
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_under_way() {
    let rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..10), "end"));
    let summary = rig.run_until(|rig| rig.sink.requests.load(Ordering::Relaxed) == 1).await;
    assert_eq!(summary.totals.delivered, 10);
    assert_eq!(rig.snapshot().lanes[0].token, crate::rig::token("end"), "committed at the end");
}

#[tokio::test(start_paused = true)]
async fn exits_at_the_last_event_when_asked() {
    let mut rig = Rig::new();
    rig.config.exit_on_last_event = true;
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..10), "end"));
    rig.feed.push(SourceEvent::CaughtUp);
    let summary = rig.run().await.unwrap();
    assert_eq!(summary.totals.delivered, 10);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_left_out_are_not_decoded_and_hold_no_memory() {
    let mut rig = Rig::new();
    rig.config.skip_event_types.insert("noise".into());
    rig.config.max_held_bytes = 30_000;
    rig.config.grace = Duration::from_secs(1);
    rig.sink.mood.send_replace(Mood::Stalled);
    rig.feed.push(opened());
    for n in 0..300 {
        let noise = |m| crate::rig::event(2, "noise", &format!("{n:030}{m:030}"), "poison");
        let mut events: Vec<_> = (0..50).map(noise).collect();
        events.push(login(&format!("u{n}")));
        rig.feed.push(page(events, &format!("after {n}")));
    }
    let looks = std::cell::Cell::new(0);
    let summary = rig
        .run_until(|_| {
            looks.set(looks.get() + 1);
            looks.get() > 5_000
        })
        .await;
    // The JSON and the bytes of one event a page are held, and nothing of the noise, which no decoder has seen: it
    // would have failed on it.
    let given = rig.feed.pages_given.load(Ordering::Relaxed);
    assert!((280..=300).contains(&given), "{given}");
    assert_eq!(rig.decoders.failures.load(Ordering::Relaxed), 0);
    assert_eq!(summary.totals.filtered, given * 50);
}
