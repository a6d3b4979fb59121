use ev_core::{
    Change, Choice, DecoderKind, LaneId, Lanes, Mark, Page, RawEvent, Route, SessionId,
    SessionTrouble, SinkId, SourceEvent, StateStore, Stopped,
};

use crate::rig::{Rig, TinyDecoder, event, lock, login, opened, page, token, version};

pub(crate) fn session() -> LaneId {
    LaneId::Session(SessionId::try_new(b"s-1").unwrap())
}

pub(crate) fn recording(from: usize, count: usize) -> SourceEvent {
    let events: Vec<RawEvent> = (from..from + count)
        .map(|n| match n % 3 {
            2 => event(2, "print", "", "s-1"),
            _ => event(2, "exec", &format!("e{n:03}"), "s-1"),
        })
        .collect();
    let marks = (1..=count).map(|n| Mark { after: n, token: token(&format!("{}", from + n)) });
    SourceEvent::Page(Page {
        lane: session(),
        version: version("1.0.0"),
        marks: marks.collect(),
        events,
        repeats: false,
    })
}

pub(crate) fn upload() -> RawEvent {
    event(1, "session.upload", "upload", "s-1")
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_read_in_order_behind_its_announcement() {
    let rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let fed = std::cell::Cell::new(false);
    let summary = rig
        .run_until(|rig| {
            if !fed.get() && *lock(&rig.feed.opened) == [session()] {
                fed.set(true);
                for part in 0..10 {
                    rig.feed.push(recording(part * 9, 9));
                }
                rig.feed
                    .push(SourceEvent::Lanes(Lanes { ended: vec![session()], ..Lanes::default() }));
            }
            lock(&rig.sink.stored).len() == 61
        })
        .await;
    let stored = lock(&rig.sink.stored).clone();
    let route = Route::Session(SessionId::try_new(b"s-1").unwrap());
    let bodies: Vec<_> = stored.iter().filter(|(r, _)| *r == route).map(|(_, b)| b).collect();
    assert_eq!(bodies.len(), 60);
    assert!(bodies.is_sorted(), "order is kept");
    assert_eq!(summary.totals.filtered, 30, "print events");
    assert_eq!(summary.totals.sessions, 1);
    assert!(summary.totals.balances());
    assert!(rig.snapshot().lanes.iter().all(|row| row.lane != session()), "forgotten when done");
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_no_recordings_gets_their_announcements_alone() {
    let mut rig = Rig::new();
    rig.config.recordings = false;
    rig.config.exit_on_last_event = true;
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload(), login("a")], "end"));
    rig.feed.push(SourceEvent::CaughtUp);
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.totals.delivered, summary.totals.sessions), (2, 0));
    assert!(lock(&rig.feed.opened).is_empty());
    assert!(rig.snapshot().lanes.iter().all(|row| row.lane != session()));
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_resumed_behind_its_last_settled_event() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let fed = std::cell::Cell::new(false);
    rig.run_until(|rig| {
        if !fed.get() && !lock(&rig.feed.opened).is_empty() {
            fed.set(true);
            rig.feed.push(recording(0, 6));
        }
        lock(&rig.sink.stored).len() == 5
    })
    .await;
    rig.restart();
    rig.run_until(|rig| !lock(&rig.feed.resumed).is_empty()).await;
    let resumed = lock(&rig.feed.resumed).clone();
    assert!(resumed.contains(&(session(), token("6"))), "{resumed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_recording_is_asked_for_again() {
    let rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let stops = std::cell::Cell::new(0);
    rig.run_until(|rig| {
        let opens = lock(&rig.feed.opened).len();
        if opens > stops.get() {
            stops.set(opens);
            let reason = "not found".to_owned();
            let stopped = Stopped { lane: session(), missing: true, reason };
            rig.feed.push(SourceEvent::Stopped(stopped));
        }
        opens == 5
    })
    .await;
    assert!(rig.snapshot().lanes.iter().any(|row| row.lane == session()), "kept over a restart");
}

/// Answers each opening of the recording with a stop until `done`; the number of openings.
async fn stopped_until(
    rig: &Rig,
    mut done: impl FnMut(&Rig, usize) -> bool,
) -> ev_pipeline::Summary {
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let stops = std::cell::Cell::new(0);
    let done = std::cell::RefCell::new(&mut done);
    rig.run_until(|rig| {
        let opens = lock(&rig.feed.opened).len();
        if opens > stops.get() {
            stops.set(opens);
            if opens == 4 {
                // Something of it comes, then it breaks off again.
                rig.feed.push(recording(0, 2));
            }
            let stopped = Stopped { lane: session(), missing: true, reason: "not found".into() };
            rig.feed.push(SourceEvent::Stopped(stopped));
        }
        (done.borrow_mut())(rig, opens)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_recording_of_which_nothing_comes_is_given_up_in_the_end() {
    let mut rig = Rig::new();
    rig.config.recording_patience = Some(std::time::Duration::from_secs(2400));
    let summary = stopped_until(&rig, |rig, _| {
        let is_there = rig.snapshot_lanes().iter().any(|row| row.lane == session());
        !is_there && lock(&rig.feed.opened).len() > 4
    })
    .await;
    let opens = lock(&rig.feed.opened).len();
    assert!((14..30).contains(&opens), "{opens} attempts");
    assert_eq!((summary.sessions_given_up, summary.totals.sessions), (1, 0));
    assert_eq!(summary.totals.delivered, 3, "what came of it is delivered");
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn a_recording_may_be_waited_for_for_ever() {
    let mut rig = Rig::new();
    rig.config.recording_patience = None;
    rig.config.reopen_cap = std::time::Duration::from_secs(10);
    let summary = stopped_until(&rig, |_, opens| opens == 300).await;
    assert_eq!(summary.sessions_given_up, 0);
    assert!(rig.snapshot_lanes().iter().any(|row| row.lane == session()));
}

/// The wall clock of a run begins here.
pub(crate) const BEGIN: i64 = 1_800_000_000;
pub(crate) const HOUR: i64 = 3600;

/// A state in which the recording has been in trouble for so many seconds.
pub(crate) fn in_trouble_for(rig: &Rig, seconds: i64, missing: bool) {
    let LaneId::Session(session) = session() else { unreachable!("it is one") };
    let row = SessionTrouble {
        session,
        since_seconds: BEGIN - seconds,
        attempts: 50,
        missing,
        reason: "as before".into(),
        given_up_seconds: None,
    };
    let lane = crate::recordings::session();
    let open = vec![(lane, token("0"))];
    let change = Change { open, session_trouble: vec![row], ..Change::default() };
    let epoch = rig.snapshot().epoch;
    rig.store.commit(&SinkId("test".into()), epoch, &change).unwrap();
}

pub(crate) fn stopped(missing: bool) -> SourceEvent {
    let reason = if missing { "not found" } else { "session record is corrupted" };
    SourceEvent::Stopped(Stopped { lane: session(), missing, reason: reason.into() })
}

#[tokio::test(start_paused = true)]
async fn how_long_a_recording_is_missing_counts_over_restarts() {
    let rig = Rig::new();
    in_trouble_for(&rig, 48 * HOUR - 1800, true);
    rig.feed.push(stopped(true));
    let opens = std::cell::Cell::new(0);
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
    assert_eq!(summary.sessions_given_up, 1);
    let rows = rig.snapshot().session_trouble;
    assert_eq!(rows.len(), 1, "it is on record");
    let given_up = rows[0].given_up_seconds.unwrap();
    assert!((BEGIN + 1800..BEGIN + 2700).contains(&given_up), "48 h behind the first time");
    assert_eq!((rows[0].reason.as_str(), rows[0].missing), ("not found", true));
    assert!(rows[0].attempts > 51, "{}", rows[0].attempts);
}

#[tokio::test(start_paused = true)]
async fn the_trouble_of_a_recording_is_kept_and_ends_with_its_first_event() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    rig.feed.push(stopped(true));
    rig.run_until(|rig| !lock(&rig.feed.opened).is_empty()).await;
    let rows = rig.snapshot().session_trouble;
    assert_eq!((rows[0].attempts, rows[0].since_seconds), (1, BEGIN));
    rig.restart();
    rig.feed.push(stopped(true));
    rig.run_until(|rig| lock(&rig.feed.opened).len() == 1).await;
    assert_eq!(rig.snapshot().session_trouble[0].attempts, 2);
    rig.restart();
    rig.feed.push(recording(0, 3));
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 3).await;
    assert_eq!(rig.snapshot().session_trouble, []);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_recording_is_set_aside_and_never_given_up() {
    let rig = Rig::new();
    in_trouble_for(&rig, 24 * 365 * HOUR, false);
    rig.feed.push(stopped(false));
    rig.feed.push(opened());
    rig.feed.push(page(crate::rig::uids(0..5), "end"));
    let looks = std::cell::Cell::new(0);
    let summary = rig
        .run_until(|rig| {
            looks.set(looks.get() + 1);
            looks.get() > 100_000 && lock(&rig.sink.stored).len() == 5
        })
        .await;
    assert!(lock(&rig.feed.opened).is_empty(), "asked for again hours later");
    assert_eq!(summary.sessions_given_up, 0);
    assert!(rig.snapshot().lanes.iter().any(|row| row.lane == session()));
    let rows = rig.snapshot().session_trouble;
    assert_eq!((rows[0].attempts, rows[0].given_up_seconds), (51, None));
    assert_eq!(summary.totals.delivered, 5, "the rest goes on");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_last_event_waits_for_recordings_but_not_for_missing_ones() {
    let mut rig = Rig::new();
    rig.config.exit_on_last_event = true;
    rig.feed.push(opened());
    let other = LaneId::Session(SessionId::try_new(b"s-2").unwrap());
    rig.feed.push(page(vec![upload(), event(1, "session.upload", "second", "s-2")], "end"));
    rig.feed.push(SourceEvent::CaughtUp);
    let run = rig.run();
    let feed = async {
        let mut seen = 0;
        for step in 0.. {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let opened = lock(&rig.feed.opened).clone();
            let missing = opened.iter().filter(|lane| **lane == session()).count();
            if missing > seen {
                seen = missing;
                rig.feed.push(stopped(true));
            }
            // It is being read all the while, and ends last.
            if step == 300 {
                assert!(seen > 3, "asked for {seen} times");
                let inside = event(2, "exec", "inside", "s-2");
                rig.feed.push(SourceEvent::Page(Page {
                    lane: other.clone(),
                    version: version("1.0.0"),
                    marks: vec![Mark { after: 1, token: token("1") }],
                    events: vec![inside],
                    repeats: false,
                }));
                let ended = vec![other.clone()];
                rig.feed.push(SourceEvent::Lanes(Lanes { ended, ..Lanes::default() }));
                rig.feed.push(SourceEvent::CaughtUp);
            }
        }
    };
    let hour = std::time::Duration::from_secs(3600);
    let summary = tokio::select! {
        biased;
        () = feed => unreachable!("it goes on"),
        () = tokio::time::sleep(hour) => panic!("it does not end"),
        ended = run => ended.unwrap(),
    };
    assert_eq!((summary.totals.delivered, summary.totals.sessions), (3, 1));
    assert!(rig.snapshot().lanes.iter().any(|row| row.lane == session()), "for the next run");
    assert!(rig.snapshot().session_trouble[0].attempts >= 3);
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_stuck_event_is_bounded_too() {
    let mut rig = Rig::new();
    rig.config.max_unsettled = 50;
    rig.config.grace = std::time::Duration::from_secs(1);
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let fed = std::cell::Cell::new(false);
    let looks = std::cell::Cell::new(0);
    rig.run_until(|rig| {
        if !fed.get() && !lock(&rig.feed.opened).is_empty() {
            fed.set(true);
            rig.sink.mood.send_replace(crate::rig::Mood::Stalled);
            // One event that is stuck, then nothing but terminal output, which is left out.
            let stuck = event(2, "exec", "stuck", "s-1");
            for part in 0..100 {
                let mut events = vec![event(2, "print", "", "s-1"); 20];
                if part == 0 {
                    events[0] = stuck.clone();
                }
                let marks = (1..=20)
                    .map(|n| Mark { after: n, token: token(&format!("{}", part * 20 + n)) })
                    .collect();
                let version = version("1.0.0");
                let page = Page { lane: session(), version, events, marks, repeats: false };
                rig.feed.push(SourceEvent::Page(page));
            }
        }
        looks.set(looks.get() + 1);
        looks.get() > 5000
    })
    .await;
    let given = rig.feed.pages_given.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(given, 1 + 2, "the second page of the recording takes more than half of the room");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_event_inside_a_recording_is_kept_and_sent_to_the_same_place() {
    let rig = Rig::new();
    rig.feed.push(opened());
    rig.feed.push(page(vec![upload()], "end"));
    let fed = std::cell::Cell::new(false);
    let summary = rig
        .run_until(|rig| {
            if !fed.get() && !lock(&rig.feed.opened).is_empty() {
                fed.set(true);
                let inside = ["a", "b", "?", "c"].map(|uid| {
                    let case = if uid == "?" { 9 } else { 2 };
                    event(case, "exec", uid, "s-1")
                });
                let marks = (1..=4).map(|n| Mark { after: n, token: token(&n.to_string()) });
                rig.feed.push(SourceEvent::Page(Page {
                    lane: session(),
                    version: version("1.0.0"),
                    marks: marks.collect(),
                    events: inside.to_vec(),
                    repeats: false,
                }));
                rig.feed
                    .push(SourceEvent::Lanes(Lanes { ended: vec![session()], ..Lanes::default() }));
            }
            if lock(&rig.sink.stored).len() == 4 && rig.parked() == 1 {
                let newer = TinyDecoder::knowing(9, DecoderKind::Module);
                rig.decoders.set("1.0.0", Choice::Exact(newer));
            }
            lock(&rig.sink.stored).len() == 5
        })
        .await;
    let route = Route::Session(SessionId::try_new(b"s-1").unwrap());
    let stored = lock(&rig.sink.stored).clone();
    assert!(stored[1..].iter().all(|(to, _)| *to == route), "{stored:?}");
    assert_eq!(rig.sink.uids(), ["upload", "a", "b", "c", "?"]);
    assert_eq!((summary.totals.parked, summary.totals.resolved), (0, 1));
    assert!(summary.totals.balances());
}
