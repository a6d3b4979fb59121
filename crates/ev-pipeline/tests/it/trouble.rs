//! Recordings that cannot be read: what is remembered of them, and for how long.

use std::cell::Cell;
use std::time::Duration;

use ev_core::{
    Change, Choice, DecoderKind, LaneId, Lanes, ParkReason, SessionId, SessionTrouble, SinkId,
    SourceEvent, StateStore, Verdict,
};

use crate::recordings::{BEGIN, HOUR, in_trouble_for, recording, session, stopped, upload};
use crate::rig::{Mood, Rig, TinyDecoder, lock, opened, page, token, uids};

const DAY: i64 = 24 * HOUR;

fn session_id(name: &str) -> SessionId {
    SessionId::try_new(name.as_bytes()).unwrap()
}

fn commit(rig: &Rig, change: Change) {
    let epoch = rig.snapshot().epoch;
    rig.store.commit(&SinkId("test".into()), epoch, &change).unwrap();
}

/// A recording that was given up so many seconds ago.
fn given_up(name: &str, ago: i64) -> SessionTrouble {
    SessionTrouble {
        session: session_id(name),
        since_seconds: BEGIN - ago - 2 * DAY,
        attempts: 200,
        missing: true,
        reason: "not found".into(),
        given_up_seconds: Some(BEGIN - ago),
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_recording_that_is_missing_once_is_not_given_up() {
    let mut rig = Rig::new();
    in_trouble_for(&rig, 60 * HOUR, false);
    rig.config.recording_patience = Some(Duration::from_secs(1200));
    rig.config.reopen_cap = Duration::from_secs(60);
    rig.feed.push(stopped(true));
    let opens = Cell::new(0);
    let summary = rig
        .run_until(|rig| {
            let now = lock(&rig.feed.opened).len();
            if now > opens.get() {
                opens.set(now);
                rig.feed.push(stopped(true));
            }
            !rig.snapshot_lanes().iter().any(|row| row.lane == session())
        })
        .await;
    assert_eq!(summary.sessions_given_up, 1, "in the end, since it stays away");
    assert!(opens.get() >= 10, "given up after {} attempts", opens.get());
    let row = rig.snapshot().session_trouble.remove(0);
    assert!((BEGIN..BEGIN + 60).contains(&row.since_seconds), "counted from when it was missing");
    let given_up = row.given_up_seconds.unwrap();
    assert!((BEGIN + 1200..BEGIN + 1400).contains(&given_up), "{}", given_up - BEGIN);
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_missing_and_then_damaged_counts_on() {
    let rig = Rig::new();
    in_trouble_for(&rig, 60 * HOUR, true);
    rig.feed.push(stopped(false));
    let looks = Cell::new(0);
    rig.run_until(|_| {
        looks.set(looks.get() + 1);
        looks.get() > 1000
    })
    .await;
    let row = rig.snapshot().session_trouble.remove(0);
    assert_eq!((row.since_seconds, row.attempts), (BEGIN - 60 * HOUR, 51));
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_was_given_up_and_is_announced_once_more_is_not_given_up() {
    let mut rig = Rig::new();
    commit(&rig, Change { session_trouble: vec![given_up("s-1", DAY)], ..Change::default() });
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let engine = rig.engine();
    let (inspector, stop) = (engine.inspector(), rig.stop.clone());
    let ask = async {
        let opened = |rig: &Rig| rig.snapshot_lanes().iter().any(|row| row.lane == session());
        while !opened(&rig) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = inspector.status().await.unwrap();
        rig.stop.cancel();
        status
    };
    let (ended, status) = tokio::join!(engine.run(stop), ask);
    assert!(ended.is_ok() && status.sessions_given_up.is_empty());
    assert_eq!(rig.snapshot().session_trouble, []);

    // It is in trouble as any other.
    rig.restart();
    rig.feed.push(stopped(true));
    rig.run_until(|rig| !lock(&rig.feed.opened).is_empty()).await;
    let row = rig.snapshot().session_trouble.remove(0);
    assert_eq!((row.attempts, row.given_up_seconds), (1, None));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_forgotten_after_90_days() {
    let rig = Rig::new();
    let rows = vec![given_up("old", 90 * DAY), given_up("young", 90 * DAY - HOUR)];
    commit(&rig, Change { session_trouble: rows, ..Change::default() });
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..5), "a"));
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 5).await;
    let rows = rig.snapshot().session_trouble;
    assert_eq!(rows, [given_up("young", 90 * DAY - HOUR)]);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_is_refused_and_then_unknown_opens_its_recording_once() {
    let mut rig = Rig::new();
    let guilty = Verdict::Guilty { index: None, detail: "400".into() };
    let is_bad = |json: &str| json.contains("session.upload");
    rig.sink.mood.send_replace(Mood::refusing(guilty, is_bad));
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "a"));
    let (pages, fed) = (Cell::new(0), Cell::new(false));
    let summary = rig
        .run_until(|rig| {
            // Others are taken meanwhile.
            if pages.get() < 100 {
                rig.feed
                    .push(page(uids(pages.get()..pages.get() + 1), &format!("p{}", pages.get())));
                pages.set(pages.get() + 1);
            }
            if !fed.get() && !lock(&rig.feed.opened).is_empty() {
                fed.set(true);
                rig.feed.push(recording(0, 3));
                let ended = vec![session()];
                rig.feed.push(SourceEvent::Lanes(Lanes { ended, ..Lanes::default() }));
            }
            let is_there = rig.snapshot_lanes().iter().any(|row| row.lane == session());
            fed.get() && !is_there && lock(&rig.sink.stored).len() == 102
        })
        .await;
    assert_eq!((summary.totals.sessions, summary.totals.parked), (1, 1));
    assert_eq!(rig.parked_events()[0].event.reason, ParkReason::Refused);

    // Another decoder cannot even read it, the next one can.
    let knowing = |cases| Choice::Exact(TinyDecoder::knowing(cases, DecoderKind::Native));
    rig.restart();
    rig.decoders.set("1.0.0", knowing(0));
    rig.run_until(|rig| rig.parked_events()[0].attempts == 1).await;
    let event = rig.parked_events().remove(0).event;
    assert!(event.detail.contains("unknown field"), "{}", event.detail);
    rig.restart();
    rig.sink.mood.send_replace(Mood::Well);
    rig.decoders.set("1.0.0", knowing(2));
    let summary = rig.run_until(|rig| rig.parked() == 0).await;
    assert_eq!((summary.sent, summary.totals.resolved), (1, 1));
    assert_eq!(*lock(&rig.feed.opened), [] as [LaneId; 0], "it was read to its end before");
    assert!(rig.snapshot().lanes.iter().all(|row| row.lane != session()));
    assert_eq!(rig.snapshot().lanes[0].token, token("p99"));
}
