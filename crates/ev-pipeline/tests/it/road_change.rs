//! The log is read by another road from one run to the next.

use ev_core::{LaneId, Lanes, Mark, Page, RawEvent, Road, SourceEvent};

use crate::rig::{Rig, WINDOW, lock, names, opened, page, sorted, token, uids, version};

/// The date in which all events of the rig lie.
const DATE: &str = "1970-01-01";

fn chunk(date: &str, name: &str) -> LaneId {
    LaneId::Chunk { date: date.into(), chunk: name.into() }
}

fn lanes(opened: &[LaneId], ended: &[LaneId]) -> SourceEvent {
    let opened = opened.iter().map(|lane| (lane.clone(), token("start"))).collect();
    SourceEvent::Lanes(Lanes { opened, ended: ended.to_vec(), ..Lanes::default() })
}

fn page_of(lane: &LaneId, events: Vec<RawEvent>, next: &str) -> SourceEvent {
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
