//! The log is read by another road from one run to the next.

use std::sync::atomic::Ordering;

use ev_core::{Choice, DecoderKind, LaneId, Lanes, Mark, Page, RawEvent, Road, SourceEvent};

use crate::rig::{
    Rig, TinyDecoder, WINDOW, event, lock, names, opened, page, sorted, token, uids, version,
};
use crate::unstructured::with;

/// The date in which all events of the rig lie.
const DATE: &str = "1970-01-01";

pub(crate) fn chunk(date: &str, name: &str) -> LaneId {
    LaneId::Chunk { date: date.into(), chunk: name.into() }
}

pub(crate) fn lanes(opened: &[LaneId], ended: &[LaneId]) -> SourceEvent {
    let opened = opened.iter().map(|lane| (lane.clone(), token("start"))).collect();
    SourceEvent::Lanes(Lanes { opened, ended: ended.to_vec(), ..Lanes::default() })
}

pub(crate) fn page_of(lane: &LaneId, events: Vec<RawEvent>, next: &str) -> SourceEvent {
    let marks = vec![Mark { after: events.len(), token: token(next) }];
    let (lane, version) = (lane.clone(), version("1.0.0"));
    SourceEvent::Page(Page { lane, version, events, marks, repeats: false })
}

fn delivered(rig: &Rig) -> usize {
    lock(&rig.sink.stored).len()
}

fn resumed(rig: &Rig) -> (Vec<LaneId>, Vec<LaneId>) {
    let of = |list: &[(LaneId, _)]| list.iter().map(|(lane, _)| lane.clone()).collect();
    (of(&lock(&rig.feed.resumed)), of(&lock(&rig.feed.closed)))
}

#[tokio::test(start_paused = true)]
async fn what_searches_have_settled_is_not_sent_again_by_the_export_and_back() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..30), "a"));
    rig.run_until(|rig| delivered(rig) == 30).await;

    // Chunks have the events in another order, and more.
    rig.restart();
    rig.road = Road::Export;
    let a = chunk(DATE, "a");
    rig.feed.push(lanes(&[chunk(DATE, ""), a.clone()], &[]));
    rig.feed.push(page_of(&a, uids(10..50), "b"));
    rig.feed.push(page_of(&a, uids(0..10), "c"));
    rig.feed.push(lanes(&[], std::slice::from_ref(&a)));
    let summary = rig.run_until(|rig| delivered(rig) == 50).await;
    assert_eq!(resumed(&rig), (vec![], vec![]), "windows are nothing that the export knows");
    let start = lock(&rig.feed.start).unwrap();
    assert_eq!(start.seconds(), 0, "it begins where the window did");
    assert_eq!((summary.read, summary.repeated, summary.passed), (50, 30, 20));

    // Back again: the window goes on at its resume point.
    rig.restart();
    rig.road = Road::Unstructured;
    rig.feed.push(page(uids(25..60), "d"));
    let summary = rig.run_until(|rig| delivered(rig) == 60).await;
    assert_eq!(resumed(&rig), (vec![WINDOW], vec![]), "dates are nothing that a search knows");
    assert_eq!((summary.repeated, summary.passed), (25, 10));
    assert_eq!(sorted(rig.sink.uids()), names(0..60));

    // Everything is still known to the export.
    rig.restart();
    rig.road = Road::Export;
    let b = chunk(DATE, "b");
    rig.feed.push(lanes(std::slice::from_ref(&b), &[]));
    rig.feed.push(page_of(&b, uids(50..70), "e"));
    rig.run_until(|rig| delivered(rig) == 70).await;
    assert_eq!(resumed(&rig), (vec![chunk(DATE, "")], vec![a]), "chunk `a` is done");
    assert_eq!(sorted(rig.sink.uids()), names(0..70));
}

#[tokio::test(start_paused = true)]
async fn what_another_road_has_left_is_forgotten_once_it_is_of_no_use() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..30), "a"));
    rig.run_until(|rig| delivered(rig) == 30).await;

    rig.restart();
    rig.road = Road::Export;
    let kept = |rig: &Rig| rig.snapshot_lanes().iter().any(|row| row.lane == WINDOW);
    let far = "9000-01-01";
    rig.feed.push(lanes(&[chunk(DATE, ""), chunk(far, ""), chunk(far, "z")], &[]));
    rig.feed.push(page_of(&chunk(far, "z"), uids(30..40), "y"));
    rig.run_until(|rig| delivered(rig) == 40).await;
    assert!(kept(&rig), "the first date is still looked at");

    rig.restart();
    let date = chunk(DATE, "");
    rig.feed.push(SourceEvent::Lanes(Lanes {
        ended: vec![date.clone()],
        retired: vec![date],
        ..Lanes::default()
    }));
    rig.run_until(|rig| !rig.snapshot_lanes().iter().any(|row| row.lane == chunk(DATE, ""))).await;
    rig.restart();
    rig.feed.push(page_of(&chunk(far, "z"), uids(40..50), "x"));
    rig.run_until(|rig| delivered(rig) == 50 && !kept(rig)).await;
}

/// An event without a uid: as a typed one, of which nothing is known before it is decoded, and as
/// Auth makes JSON of it. Both have the same digest.
fn without_uid(kind: &str) -> (RawEvent, RawEvent) {
    let sum = kind.bytes().fold(0, u8::wrapping_add);
    let id = format!("{sum:02x}").repeat(32);
    (event(2, kind, "", ""), with(id.as_bytes(), None, &[4 << 3, 1]))
}

fn native() -> Choice {
    Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Native))
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_without_an_id_and_sent_by_another_road_is_not_sent_again() {
    for is_back in [false, true] {
        let mut rig = Rig::new();
        let (typed, told) = without_uid("a");
        rig.decoders.set("1.0.0", Choice::Pending);
        rig.feed.push(opened());
        rig.feed.push(page(vec![typed], "a"));
        rig.run_until(|rig| rig.parked() == 1).await;

        // Nobody can decode the typed one yet, so nobody knows that this is the same.
        rig.restart();
        rig.road = Road::Export;
        let a = chunk(DATE, "a");
        rig.feed.push(lanes(&[chunk(DATE, ""), a.clone()], &[]));
        rig.feed.push(page_of(&a, vec![told], "b"));
        rig.feed.push(lanes(&[], std::slice::from_ref(&a)));
        rig.run_until(|rig| delivered(rig) == 1 && rig.parked() == 1).await;

        rig.restart();
        rig.road = if is_back { Road::Typed } else { Road::Export };
        rig.decoders.set("1.0.0", native());
        let summary = rig.run_until(|rig| rig.parked() == 0).await;
        assert_eq!((delivered(&rig), summary.sent), (1, 0), "back: {is_back}");
        assert_eq!((summary.totals.parked, summary.totals.passed), (0, 1));
        assert!(summary.totals.balances());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_parked_without_an_id_and_is_sent_is_not_sent_by_another_road() {
    for is_restarted in [false, true] {
        let mut rig = Rig::new();
        let (typed, told) = without_uid("a");
        rig.decoders.set("1.0.0", Choice::Pending);
        rig.feed.push(opened());
        rig.feed.push(page(vec![typed], "a"));
        rig.run_until(|rig| rig.parked() == 1).await;

        rig.restart();
        rig.road = Road::Export;
        rig.decoders.set("1.0.0", native());
        let a = chunk(DATE, "a");
        if is_restarted {
            rig.run_until(|rig| rig.parked() == 0).await;
            rig.restart();
        }
        let fed = std::cell::Cell::new(false);
        let summary = rig
            .run_until(|rig| {
                if !fed.get() && delivered(rig) == 1 {
                    fed.set(true);
                    // If it is not committed yet, so much the better.
                    rig.feed.push(lanes(&[chunk(DATE, ""), a.clone()], &[]));
                    let events = [vec![told.clone()], uids(0..3)].concat();
                    rig.feed.push(page_of(&a, events, "b"));
                }
                delivered(rig) >= 4
            })
            .await;
        assert_eq!((delivered(&rig), summary.repeated), (4, 1), "restarted: {is_restarted}");
        assert!(summary.totals.balances());
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_road_has_left_is_forgotten_however_often_the_handler_starts() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..30), "a"));
    rig.run_until(|rig| delivered(rig) == 30).await;

    // It changes early in the year 2027, and then starts once a week.
    rig.restart();
    rig.road = Road::Export;
    let first = "2027-01-14";
    let (date, a) = (chunk(first, ""), chunk(first, "a"));
    rig.feed.push(lanes(&[date.clone(), a.clone()], &[]));
    rig.feed.push(page_of(&a, uids(30..40), "b"));
    rig.feed.push(lanes(&[], std::slice::from_ref(&a)));
    rig.run_until(|rig| delivered(rig) == 40).await;
    let kept = |rig: &Rig| rig.snapshot_lanes().iter().any(|row| row.lane == WINDOW);
    assert!(kept(&rig));

    rig.restart();
    rig.begin += 7 * 86_400;
    let second = "2027-01-21";
    let b = chunk(second, "b");
    rig.feed.push(lanes(&[chunk(second, ""), b.clone()], &[]));
    let (ended, retired) = (vec![date.clone()], vec![date]);
    rig.feed.push(SourceEvent::Lanes(Lanes { ended, retired, ..Lanes::default() }));
    rig.feed.push(page_of(&b, uids(40..50), "c"));
    rig.run_until(|rig| delivered(rig) == 50 && !kept(rig)).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_road_has_sent_is_not_even_decoded() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..30), "a"));
    rig.run_until(|rig| delivered(rig) == 30).await;

    rig.restart();
    rig.road = Road::Export;
    let a = chunk(DATE, "a");
    let poison = |n: usize| event(1, "user.login", &format!("u{n:04}"), "poison");
    let events = (0..30).map(poison).chain(uids(30..33)).collect();
    rig.feed.push(lanes(&[chunk(DATE, ""), a.clone()], &[]));
    rig.feed.push(page_of(&a, events, "b"));
    let summary = rig.run_until(|rig| delivered(rig) == 33).await;
    assert_eq!((summary.repeated, summary.totals.parked), (30, 0));
    assert_eq!(rig.decoders.failures.load(Ordering::Relaxed), 0);
}
