use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_core::{
    Choice, DecoderKind, NewParked, Page, ParkReason, ParkedQuery, SinkId, SourceEvent, StateError,
    StateStore, UnknownPolicy, Verdict,
};
use ev_pipeline::Overflow;

use crate::rig::{
    Mood, Rig, TinyDecoder, WINDOW, digest, event, lock, login, opened, page, sorted, token, uids,
    version,
};

const ALL: ParkedQuery = ParkedQuery { after: None, limit: 1000, max_bytes: usize::MAX };

fn parked(rig: &Rig) -> Vec<ev_core::ParkedEvent> {
    rig.store.parked(&SinkId("test".into()), &ALL).unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_wait_in_the_state_until_their_decoder_comes() {
    let rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..20), "end"));
    let summary = rig
        .run_until(|rig| {
            if parked(rig).len() == 20 {
                assert_eq!(rig.snapshot().lanes[0].token, crate::rig::token("end"));
                assert!(parked(rig).iter().all(|p| p.event.reason == ParkReason::Waiting));
            }
            true
        })
        .await;
    assert_eq!((summary.totals.parked, summary.totals.passed), (20, 20));
    assert!(summary.totals.balances());

    let mut rig = rig;
    rig.restart();
    let summary = rig
        .run_until(|rig| {
            rig.decoders.set("1.0.0", Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Module)));
            lock(&rig.sink.stored).len() == 20
        })
        .await;
    assert_eq!((summary.totals.parked, summary.totals.resolved), (0, 20));
    assert_eq!(summary.totals.by_module, 20);
    assert!(summary.totals.balances());
    assert_eq!(parked(&rig), []);
}

/// A module is compiled for longer than reading waits for it.
#[tokio::test(start_paused = true)]
async fn the_last_event_is_not_reached_before_a_decoder_that_is_on_its_way() {
    let mut rig = Rig::new();
    rig.config.exit_on_last_event = true;
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(crate::rig::upstream("1.0.0"));
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..20), "end"));
    rig.feed.push(SourceEvent::CaughtUp);
    let run = rig.run();
    tokio::pin!(run);
    let pause = tokio::time::sleep(Duration::from_secs(30));
    tokio::select! {
        ended = &mut run => panic!("it ended before the decoder was there: {ended:?}"),
        () = pause => assert_eq!(parked(&rig).len(), 20),
    }
    rig.decoders.set("1.0.0", Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Module)));
    let summary = run.await.unwrap();
    assert_eq!((summary.totals.parked, summary.totals.resolved), (0, 20));
    assert!(summary.totals.balances());

    // One that has not come is not waited for.
    let mut rig = Rig::new();
    rig.config.exit_on_last_event = true;
    let nearest = TinyDecoder::knowing(1, DecoderKind::Native);
    rig.decoders.set("1.0.0", Choice::Inexact { decoder: nearest, unknown: UnknownPolicy::Park });
    rig.feed.push(crate::rig::upstream("1.0.0"));
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(3, "new.type", "x", "")], "end"));
    rig.feed.push(SourceEvent::CaughtUp);
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.totals.parked, summary.totals.passed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_event_never_holds_up_the_known_ones() {
    let rig = Rig::new();
    let nearest = TinyDecoder::knowing(2, DecoderKind::Native);
    rig.decoders.set("1.0.0", Choice::Inexact { decoder: nearest, unknown: UnknownPolicy::Park });
    rig.feed.push(opened());
    let unknown = event(3, "new.type", "x", "");
    rig.feed.push(page(vec![login("a"), unknown, login("b")], "end"));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 2).await;
    assert_eq!(sorted(rig.sink.uids()), ["a", "b"]);
    assert_eq!((summary.totals.delivered, summary.totals.inexact), (2, 2));
    let kept = parked(&rig);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].event.reason, ParkReason::Unknown);
    assert_eq!(kept[0].event.detail, "unknown field 3.7 at byte 3");
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn the_known_part_is_sent_with_a_mark_when_set_so() {
    let rig = Rig::new();
    let decoder = TinyDecoder::knowing(2, DecoderKind::Native);
    rig.decoders.set("1.0.0", Choice::Inexact { decoder, unknown: UnknownPolicy::Incomplete });
    rig.feed.push(opened());
    let (field, case) = (event(3, "t", "x", ""), event(11, "newer", "y", ""));
    rig.feed.push(page(vec![field, case], "end"));
    let summary = rig.run_until(|rig| !lock(&rig.sink.stored).is_empty()).await;
    let stored = lock(&rig.sink.stored).clone();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].1, r#"{"event":"t","uid":"x","ev_incomplete":true}"#);
    assert_eq!(summary.totals.parked, 1, "a type nobody knows has no known part");
}

#[tokio::test(start_paused = true)]
async fn the_event_that_breaks_the_decoder_is_parked_alone() {
    let rig = Rig::new();
    rig.feed.push(opened());
    let poison = event(1, "user.login", "p", "poison");
    rig.feed.push(page(vec![login("a"), poison, login("b")], "end"));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 2).await;
    assert_eq!(sorted(rig.sink.uids()), ["a", "b"]);
    assert_eq!(parked(&rig)[0].event.reason, ParkReason::DecoderFailed);
    assert!(rig.decoders.failures.load(Ordering::Relaxed) >= 1);
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn many_events_that_break_the_decoder_strand_no_others() {
    let rig = Rig::new();
    rig.feed.push(opened());
    let poison = |uid: &String| event(1, "user.login", uid, "poison");
    let mut events: Vec<_> = crate::rig::names(0..7).iter().map(poison).collect();
    events.extend([login("a"), login("b")]);
    rig.feed.push(page(events, "end"));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 2).await;
    assert_eq!(sorted(rig.sink.uids()), ["a", "b"]);
    assert_eq!(summary.totals.parked, 7, "the guilty ones stay");
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_version_that_is_gone_takes_the_decoder_of_the_present_one() {
    let rig = Rig::new();
    let old = TinyDecoder::knowing(2, DecoderKind::Native);
    rig.decoders.set("2.0.0", Choice::Inexact { decoder: old, unknown: UnknownPolicy::Park });
    rig.feed.push(crate::rig::upstream("2.0.0"));
    rig.feed.push(opened());
    let page_of_two = Page {
        lane: WINDOW,
        version: version("2.0.0"),
        events: vec![event(3, "new.type", "x", "")],
        marks: vec![],
        repeats: false,
    };
    rig.feed.push(SourceEvent::Page(page_of_two));
    let summary = rig
        .run_until(|rig| {
            if parked(rig).len() == 1 {
                let newest = TinyDecoder::knowing(9, DecoderKind::Module);
                rig.decoders.set("3.0.0", Choice::Exact(newest));
                rig.feed.push(crate::rig::upstream("3.0.0"));
            }
            lock(&rig.sink.stored).len() == 1
        })
        .await;
    assert_eq!((summary.totals.resolved, summary.totals.by_module), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_without_uid_that_is_parked_a_second_time_collapses_when_it_is_decoded() {
    let mut rig = Rig::new();
    let tip = || {
        let events = vec![event(1, "no.uid", "", "")];
        let version = version("1.0.0");
        SourceEvent::Page(Page { lane: WINDOW, version, events, marks: vec![], repeats: true })
    };
    let exact = || Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Native));
    rig.feed.push(opened());
    rig.feed.push(tip());
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 1).await;

    // A new life begins without a decoder, so nobody can tell that the event is known.
    rig.restart();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(crate::rig::upstream("1.0.0"));
    rig.feed.push(tip());
    let summary = rig
        .run_until(|rig| {
            if parked(rig).len() == 1 {
                rig.decoders.set("1.0.0", exact());
                rig.feed.push(tip());
                return false;
            }
            rig.feed.pages_given.load(Ordering::Relaxed) > 1
        })
        .await;
    assert_eq!(lock(&rig.sink.stored).len(), 1, "it was sent before");
    assert_eq!((summary.totals.passed, summary.totals.parked, summary.totals.resolved), (1, 0, 0));
    assert!(summary.totals.balances());
    assert_eq!(parked(&rig), []);

    // The other way round: parked first, then seen again with a decoder.
    let mut rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(opened());
    rig.feed.push(tip());
    rig.run_until(|rig| parked(rig).len() == 1).await;
    rig.restart();
    rig.decoders.set("1.0.0", exact());
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 1).await;
    rig.restart();
    rig.feed.push(tip());
    let summary = rig.run_until(|rig| rig.feed.pages_given.load(Ordering::Relaxed) == 1).await;
    assert_eq!((lock(&rig.sink.stored).len(), summary.repeated), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn reading_waits_a_moment_for_a_decoder_that_is_on_its_way() {
    let rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(crate::rig::upstream("1.0.0"));
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..20), "end"));
    let looks = std::cell::Cell::new(0);
    let summary = rig
        .run_until(|rig| {
            looks.set(looks.get() + 1);
            if looks.get() == 100 {
                // Half a second later.
                let exact = Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Module));
                rig.decoders.set("1.0.0", exact);
            }
            lock(&rig.sink.stored).len() == 20
        })
        .await;
    assert_eq!((summary.totals.delivered, summary.totals.resolved), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_round_that_starts_over_before_the_commit_sends_nothing_twice() {
    let rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(opened());
    let mut events = uids(0..20);
    events.push(event(9, "new.type", "x", ""));
    rig.feed.push(page(events, "end"));
    let knows = |cases| Choice::Exact(TinyDecoder::knowing(cases, DecoderKind::Module));
    let step = std::cell::Cell::new(0);
    let summary = rig
        .run_until(|rig| match step.get() {
            0 => {
                if parked(rig).len() == 21 {
                    rig.decoders.set("1.0.0", knows(2));
                    step.set(1);
                }
                false
            }
            1 => {
                if lock(&rig.sink.stored).len() >= 20 {
                    // Delivered a moment ago; the rows are still there.
                    assert_eq!(parked(rig).len(), 21);
                    rig.decoders.set("1.0.0", knows(3));
                    step.set(2);
                }
                false
            }
            _ => parked(rig).len() == 1,
        })
        .await;
    assert_eq!(lock(&rig.sink.stored).len(), 20, "each once");
    assert_eq!((summary.totals.resolved, summary.totals.parked), (20, 1));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn one_event_that_breaks_the_decoder_is_told_of_once() {
    let rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(1, "user.login", "p", "poison")], "end"));
    let looks = std::cell::Cell::new(0);
    rig.run_until(|_| {
        looks.set(looks.get() + 1);
        // Ten minutes.
        looks.get() > 120_000
    })
    .await;
    assert_eq!(rig.decoders.failures.load(Ordering::Relaxed), 1);
    let kept = &parked(&rig)[0];
    assert!((2..=5).contains(&kept.attempts), "pauses double: {} attempts", kept.attempts);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_in_vain_that_is_not_committed_yet_is_not_forgotten() {
    let rig = Rig::new();
    let busy = Verdict::Busy { after: None, suspect: false, detail: "503".into() };
    rig.sink.mood.send_replace(Mood::Failing(busy));
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(3, "new.type", "x", "")], "end"));
    let knowing = |cases| Choice::Exact(TinyDecoder::knowing(cases, DecoderKind::Native));
    let looks = std::cell::Cell::new(0);
    let summary = rig
        .run_until(|rig| {
            looks.set(looks.get() + 1);
            match looks.get() {
                // Within one commit interval of each other: one that does not know it, and one that
                // does, so that it is on its way when the attempt of the first is committed.
                1000 => rig.decoders.set("1.0.0", knowing(2)),
                1001 => rig.decoders.set("1.0.0", knowing(3)),
                // It is on its way, and no round may take it once more.
                2000 => rig.decoders.set("1.0.0", knowing(4)),
                3000 => drop(rig.sink.mood.send_replace(Mood::Well)),
                _ => {}
            }
            looks.get() > 20_000
        })
        .await;
    assert_eq!(rig.sink.uids(), ["x"], "sent once");
    assert_eq!((summary.totals.parked, summary.totals.resolved), (0, 1));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn without_room_what_cannot_be_delivered_stands_and_the_rest_goes_on() {
    for (events, bytes) in [(3, u64::MAX), (u64::MAX, 100)] {
        let mut rig = Rig::new();
        (rig.config.max_parked_events, rig.config.max_parked_bytes) = (events, bytes);
        let knowing = |cases| Choice::Exact(TinyDecoder::knowing(cases, DecoderKind::Native));
        rig.decoders.set("1.0.0", knowing(2));
        rig.feed.push(opened());
        rig.feed.push(page(vec![login("a")], "first"));
        let unknown = |n: usize| event(3, "new.type", &format!("x{n}"), "");
        rig.feed.push(page((0..10).map(unknown).collect(), "second"));
        rig.feed.push(page(vec![login("b")], "third"));
        let rounds = std::cell::Cell::new(0);
        rig.run_until(|rig| {
            rounds.set(rounds.get() + 1);
            lock(&rig.sink.stored).len() == 2 && rounds.get() > 1000
        })
        .await;
        assert_eq!(sorted(rig.sink.uids()), ["a", "b"]);
        let kept = parked(&rig);
        assert!((2..=4).contains(&kept.len()), "{} parked", kept.len());
        assert_eq!(rig.snapshot().lanes[0].token, crate::rig::token("first"), "nothing is passed");

        // The same after a restart; then a decoder comes, and with it room for all.
        rig.restart();
        rig.feed.push(page((0..10).map(unknown).collect(), "second"));
        rig.feed.push(page(vec![login("b")], "third"));
        let since = std::cell::Cell::new(0);
        let summary = rig
            .run_until(|rig| {
                since.set(since.get() + 1);
                if since.get() == 1000 {
                    assert_eq!(parked(rig).len(), kept.len());
                    rig.decoders.set("1.0.0", knowing(3));
                }
                lock(&rig.sink.stored).len() == 12 && parked(rig).is_empty()
            })
            .await;
        let all = (0..10).map(|n| format!("x{n}")).chain(["a".into(), "b".into()]);
        assert_eq!(sorted(rig.sink.uids()), sorted(all.collect()), "each once");
        assert!(summary.totals.balances());
    }
}

/// Keeps events, after some failures.
#[derive(Debug, Default)]
struct Shelf {
    failures: AtomicU32,
    kept: Mutex<Vec<NewParked>>,
}

impl Overflow for Shelf {
    fn add(&self, events: &[NewParked]) -> Result<(), StateError> {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.fetch_sub(1, Ordering::Relaxed);
            return Err(StateError::Storage {
                message: "no room on the disk".into(),
                source: None,
            });
        }
        lock(&self.kept).extend_from_slice(events);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_overflow_nothing_stands_still() {
    let mut rig = Rig::new();
    let shelf = Arc::new(Shelf::default());
    shelf.failures.store(3, Ordering::Relaxed);
    rig.config.max_parked_events = 3;
    rig.config.overflow = Some(shelf.clone());
    let knowing = |cases| Choice::Exact(TinyDecoder::knowing(cases, DecoderKind::Native));
    rig.decoders.set("1.0.0", knowing(2));
    rig.feed.push(opened());
    let unknown = |n: usize| event(3, "new.type", &format!("x{n}"), "");
    rig.feed.push(page((0..10).map(unknown).collect(), "first"));
    rig.feed.push(page(vec![login("b")], "second"));
    let passed = |rig: &Rig| rig.snapshot_lanes().iter().any(|l| l.token == token("second"));
    let summary = rig.run_until(passed).await;
    assert_eq!(rig.sink.uids(), ["b"]);
    let kept = lock(&shelf.kept).clone();
    assert_eq!((parked(&rig).len(), kept.len()), (3, 7));
    assert_eq!((summary.totals.parked, summary.totals.given_up), (3, 7));
    assert!(summary.totals.balances());
    let ids: BTreeSet<_> = kept.iter().map(|event| event.digest).collect();
    assert_eq!(ids, (3..10).map(|n| digest(&format!("x{n}"))).collect(), "each once");
    assert!(
        kept.iter().all(|event| event.reason == ParkReason::Unknown && !event.bytes.is_empty())
    );

    // They are known, and so not taken again.
    rig.restart();
    rig.feed.push(page((0..10).map(unknown).collect(), "third"));
    let passed = |rig: &Rig| rig.snapshot_lanes().iter().any(|l| l.token == token("third"));
    rig.run_until(passed).await;
    assert_eq!((parked(&rig).len(), lock(&shelf.kept).len()), (3, 7));
}
