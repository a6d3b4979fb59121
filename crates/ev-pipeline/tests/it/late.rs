//! Windows that overlap and are read again: what is known is sent once, and nothing is lost.

use ev_core::{
    Gap, KnownQuery, LaneGap, LaneId, Lanes, Mark, Page, ParkReason, RawEvent, SinkId, SourceEvent,
    StateStore, Token,
};

use crate::rig::{
    Mood, Rig, event, lock, login, login_at, names, sorted, token, uids, upstream, version,
};

fn lane(start: i64, pass: u8) -> LaneId {
    LaneId::Window { start, pass }
}

/// A page of a lane that ends in a mark, with the sign of one that may repeat.
fn part(lane: LaneId, events: Vec<RawEvent>, next: &str) -> SourceEvent {
    let marks = vec![Mark { after: events.len(), token: token(next) }];
    let version = version("1.0.0");
    SourceEvent::Page(Page { lane, version, events, marks, repeats: true })
}

fn lanes(opened: &[LaneId], ended: &[LaneId], retired: &[LaneId]) -> SourceEvent {
    let opened = opened.iter().map(|lane| (lane.clone(), token("start"))).collect();
    SourceEvent::Lanes(Lanes { opened, ended: ended.to_vec(), retired: retired.to_vec() })
}

/// A window from 0 to 2000 with 60 events that is read to its end, and its neighbour.
fn first_reading(rig: &Rig) {
    rig.feed.push(lanes(&[lane(0, 0), lane(2000, 0)], &[], &[]));
    for n in 0..6 {
        rig.feed.push(part(lane(0, 0), uids(n * 10..n * 10 + 10), &format!("page {n}")));
    }
    rig.feed.push(lanes(&[], &[lane(0, 0)], &[]));
}

/// The same window read again, in pages that are cut differently, with a late event in each.
fn re_scan(rig: &Rig, pass: u8) {
    rig.feed.push(lanes(&[lane(0, pass)], &[], &[]));
    for n in 0..4 {
        let mut events = uids(n * 15..n * 15 + 15);
        events.insert(7, login(&format!("u9{pass}{n:02}")));
        rig.feed.push(part(lane(0, pass), events, &format!("page {n}")));
    }
    rig.feed.push(lanes(&[], &[lane(0, pass)], &[]));
}

fn late(pass: u8) -> Vec<String> {
    (0..4).map(|n| format!("u9{pass}{n:02}")).collect()
}

fn stored(rig: &Rig) -> usize {
    lock(&rig.sink.stored).len()
}

/// A page key was refused: the search is begun anew, and only its first page is marked as one that
/// may repeat.
#[tokio::test(start_paused = true)]
async fn a_search_that_is_begun_anew_sends_nothing_again() {
    let rig = Rig::new();
    rig.feed.push(lanes(&[lane(0, 0)], &[], &[]));
    let event = |n: usize| login_at(&format!("u{n:04}"), 200 + i64::try_from(n).unwrap());
    for (pages, size, first) in [(6, 10, "a"), (13, 5, "b")] {
        for n in 0..pages {
            let events = (n * size..n * size + size).map(event).collect();
            let SourceEvent::Page(mut page) = part(lane(0, 0), events, &format!("{first}{n}"))
            else {
                unreachable!("a part is a page")
            };
            page.repeats = n == 0;
            rig.feed.push(SourceEvent::Page(page));
        }
    }
    let is_at_end = |rig: &Rig| rig.snapshot_lanes().iter().any(|row| row.token == token("b12"));
    let summary = rig.run_until(|rig| stored(rig) >= 65 && is_at_end(rig)).await;
    assert_eq!(sorted(rig.sink.uids()), names(0..65), "each once");
    assert_eq!((summary.totals.passed, summary.repeated), (65, 60));
}

/// And when the new search comes to its tip, and then breaks off and repeats what it had brought.
#[tokio::test(start_paused = true)]
async fn what_a_new_search_brought_is_known_when_it_comes_again() {
    let rig = Rig::new();
    rig.feed.push(lanes(&[lane(0, 0)], &[], &[]));
    let page = |events: std::ops::Range<i64>, mark: Option<(usize, &str)>, repeats: bool| {
        let event = |n| login_at(&format!("u{n:04}"), 200 + n);
        let marks = mark.iter().map(|(after, text)| Mark { after: *after, token: token(text) });
        SourceEvent::Page(Page {
            lane: lane(0, 0),
            version: version("1.0.0"),
            events: events.map(event).collect(),
            marks: marks.collect(),
            repeats,
        })
    };
    rig.feed.push(page(0..5, Some((5, "first")), true));
    rig.feed.push(page(0..5, Some((0, "anew")), true));
    rig.feed.push(page(5..6, None, true));
    let fed = std::cell::Cell::new(false);
    let is_at_end = |rig: &Rig| rig.snapshot_lanes().iter().any(|row| row.token == token("end"));
    let summary = rig
        .run_until(|rig| {
            if stored(rig) == 6 && !fed.replace(true) {
                rig.feed.push(page(0..0, Some((0, "empty")), true));
                rig.feed.push(page(0..0, Some((0, "and again")), true));
                rig.feed.push(page(1..7, Some((6, "end")), false));
            }
            is_at_end(rig)
        })
        .await;
    assert_eq!(sorted(rig.sink.uids()), names(0..7), "each once");
    assert_eq!((summary.totals.passed, summary.repeated), (7, 10));
}

#[tokio::test(start_paused = true)]
async fn rule_11_a_re_scan_delivers_what_is_late_and_nothing_else() {
    let rig = Rig::new();
    first_reading(&rig);
    re_scan(&rig, 1);
    re_scan(&rig, 2);
    let summary = rig.run_until(|rig| stored(rig) == 68).await;
    let expected = [names(0..60), late(1), late(2)].concat();
    assert_eq!(sorted(rig.sink.uids()), sorted(expected), "each once");
    assert_eq!((summary.totals.passed, summary.repeated), (68, 120));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn rule_11_a_re_scan_after_a_restart_knows_what_was_sent() {
    let mut rig = Rig::new();
    first_reading(&rig);
    rig.run_until(|rig| stored(rig) == 60).await;
    rig.restart();
    re_scan(&rig, 1);
    rig.run_until(|rig| stored(rig) == 64).await;
    assert_eq!(*lock(&rig.feed.closed), [(lane(0, 0), token("page 5"))], "for the schedule");
    assert_eq!(*lock(&rig.feed.resumed), [(lane(2000, 0), token("start"))]);
    // And one that was cut off in its middle.
    rig.restart();
    rig.feed.push(lanes(&[lane(0, 2)], &[], &[]));
    rig.feed.push(part(lane(0, 2), [uids(0..30), vec![login("u9200")]].concat(), "half"));
    rig.run_until(|rig| stored(rig) == 65).await;
    rig.restart();
    rig.feed.push(part(lane(0, 2), [uids(25..60), vec![login("u9201")]].concat(), "whole"));
    rig.feed.push(lanes(&[], &[lane(0, 2)], &[lane(0, 2)]));
    rig.run_until(|rig| stored(rig) == 66).await;
    assert!(lock(&rig.feed.resumed).contains(&(lane(0, 2), token("half"))));
    let late = [late(1), vec!["u9200".into(), "u9201".into()]].concat();
    assert_eq!(sorted(rig.sink.uids()), sorted([names(0..60), late].concat()));
}

#[tokio::test(start_paused = true)]
async fn rule_06_a_re_scan_skips_what_is_on_its_way_and_a_crash_loses_none_of_it() {
    let mut rig = Rig::new();
    rig.sink.mood.send_replace(Mood::Stalled);
    rig.config.grace = std::time::Duration::from_secs(1);
    first_reading(&rig);
    re_scan(&rig, 1);
    let given = |rig: &Rig| rig.feed.pages_given.load(std::sync::atomic::Ordering::Relaxed);
    let summary = rig.run_until(|rig| given(rig) == 10).await;
    assert_eq!((summary.repeated, stored(&rig)), (60, 0));
    // Nothing is settled, so neither lane has moved, whatever the other has taken.
    rig.restart();
    rig.sink.mood.send_replace(Mood::Well);
    rig.run_until(|rig| lock(&rig.feed.resumed).len() == 3).await;
    let at = |lane: &LaneId| -> Token {
        let resumed = lock(&rig.feed.resumed);
        resumed.iter().find(|(id, _)| id == lane).map(|(_, token)| token.clone()).unwrap()
    };
    assert_eq!(at(&lane(0, 0)), token("start"));
    assert_eq!(at(&lane(0, 1)), token("start"));
}

#[tokio::test(start_paused = true)]
async fn rule_05_ids_are_kept_until_the_window_and_its_neighbours_are_retired() {
    let rig = Rig::new();
    first_reading(&rig);
    re_scan(&rig, 1);
    let known = |rig: &Rig, digests| {
        let (neighbours, others) = (Vec::new(), Vec::new());
        let query = KnownQuery { window: Some(0), neighbours, others, digests, page: 0 };
        rig.store.known(&SinkId("test".into()), &query).unwrap().known
    };
    let some = vec![crate::rig::digest("u0003"), crate::rig::digest("u9101")];
    let step = std::cell::Cell::new(0);
    rig.run_until(|rig| {
        let rows: Vec<_> = rig.snapshot_lanes();
        match step.get() {
            0 if stored(rig) == 64 && rows.iter().filter(|row| row.done).count() == 2 => {
                assert_eq!(known(rig, some.clone()), [true, true]);
                rig.feed.push(lanes(&[], &[], &[lane(0, 1)]));
                rig.feed.push(lanes(&[lane(4000, 0)], &[lane(2000, 0)], &[]));
                step.set(1);
            }
            1 if rows.iter().filter(|row| row.done).count() == 3 => {
                assert_eq!(
                    known(rig, some.clone()),
                    [true, true],
                    "its neighbour may be re-scanned"
                );
                rig.feed.push(lanes(&[], &[], &[lane(2000, 0)]));
                step.set(2);
            }
            2 if rows.iter().all(|row| row.lane != lane(0, 1)) => {
                assert_eq!(known(rig, some.clone()), [false, false]);
                let left: Vec<_> = rows.into_iter().map(|row| row.lane).collect();
                assert_eq!(left, [lane(2000, 0), lane(4000, 0)]);
                step.set(3);
            }
            _ => {}
        }
        step.get() == 3
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn rule_10_what_the_live_window_read_beyond_its_end_is_known_to_the_next() {
    let rig = Rig::new();
    rig.feed.push(lanes(&[lane(0, 0)], &[], &[]));
    // The live window is read to 1170; then it turns out to end at 1110.
    let at = |seconds: std::ops::Range<i64>| -> Vec<RawEvent> {
        seconds.map(|second| login_at(&format!("u{second:04}"), second)).collect()
    };
    for from in (1000..1170).step_by(17) {
        rig.feed.push(part(lane(0, 0), at(from..from + 17), &format!("{from}")));
    }
    rig.feed.push(lanes(&[lane(1110, 0)], &[lane(0, 0)], &[]));
    for from in (1108..1208).step_by(20) {
        rig.feed.push(part(lane(1110, 0), at(from..from + 20), &format!("{from}")));
    }
    let summary = rig.run_until(|rig| stored(rig) == 208).await;
    assert_eq!(sorted(rig.sink.uids()), names(1000..1208), "each once");
    assert_eq!(summary.repeated, 62);
}

#[tokio::test(start_paused = true)]
async fn rule_07_an_event_without_uid_is_known_by_what_is_decoded() {
    let rig = Rig::new();
    rig.feed.push(upstream("1.0.0"));
    rig.feed.push(lanes(&[lane(0, 0), lane(2000, 0)], &[], &[]));
    let nameless = |session: &str| event(1, "kind-a", "", session);
    rig.feed.push(part(lane(0, 0), vec![nameless("x"), login("u0001")], "a"));
    rig.feed.push(lanes(&[], &[lane(0, 0)], &[]));
    rig.feed.push(lanes(&[lane(0, 1)], &[], &[]));
    // Other bytes, the same JSON.
    rig.feed.push(part(lane(0, 1), vec![nameless("y"), login("u0001"), login("u0002")], "a"));
    let summary = rig.run_until(|rig| stored(rig) == 3).await;
    assert_eq!((summary.totals.delivered, summary.repeated), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn rule_13_a_gap_is_parked_once_and_reading_goes_on_behind_it() {
    let mut rig = Rig::new();
    let gap = |lane: LaneId| {
        let gap = Gap { from: 1700, to: 1701, reason: "event of 9 bytes is too large".into() };
        SourceEvent::Gap(LaneGap { lane, version: version("1.0.0"), gap })
    };
    rig.feed.push(lanes(&[lane(0, 0), lane(2000, 0)], &[], &[]));
    rig.feed.push(part(lane(0, 0), uids(0..10), "in front"));
    rig.feed.push(gap(lane(0, 0)));
    rig.feed.push(part(lane(0, 0), uids(10..20), "behind"));
    // The neighbour and a re-scan meet it too, in this life and in the next.
    rig.feed.push(gap(lane(2000, 0)));
    let summary = rig.run_until(|rig| stored(rig) == 20 && rig.parked() == 1).await;
    assert_eq!((summary.totals.passed, summary.totals.parked), (21, 1));
    assert!(summary.totals.balances());
    rig.restart();
    rig.feed.push(lanes(&[lane(0, 1)], &[lane(0, 0)], &[]));
    rig.feed.push(gap(lane(0, 1)));
    rig.feed.push(part(lane(0, 1), uids(18..22), "end"));
    let summary = rig.run_until(|rig| stored(rig) == 22).await;
    assert_eq!((summary.totals.passed, summary.totals.parked), (23, 1), "the same gap");
    let parked = rig.parked_events();
    let record = &parked[0].event;
    assert_eq!((record.reason, record.bytes.len()), (ParkReason::Gap, 0));
    let detail = "from 1970-01-01T00:28:20Z to 1970-01-01T00:28:21Z: event of 9 bytes is too large";
    assert_eq!(record.detail, detail);
    assert_eq!(parked[0].attempts, 0, "there is nothing to try");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_holds_up_a_re_scan_and_repeats_nothing() {
    let rig = Rig::new();
    first_reading(&rig);
    let fed = std::cell::Cell::new(false);
    rig.run_until(|rig| {
        if stored(rig) == 60 && !fed.replace(true) {
            rig.store.fail_lookups(5);
            re_scan(rig, 1);
        }
        stored(rig) >= 64
    })
    .await;
    assert_eq!(sorted(rig.sink.uids()), sorted([names(0..60), late(1)].concat()));
}
