//! Receivers that refuse, fail or are overrun: what is parked, what stands still, what is sent on.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ev_core::{
    Choice, DecoderKind, LaneId, Lanes, Mark, Page, ParkReason, ParkedEvent, RawEvent, Route,
    SessionId, SourceEvent, Verdict,
};

use crate::rig::{
    Mood, Rig, TinyDecoder, event, lock, login, names, opened, page, sorted, token, uids, version,
};

fn guilty() -> Verdict {
    Verdict::Guilty { index: None, detail: "400".into() }
}

fn failing() -> Verdict {
    Verdict::Busy { after: None, suspect: true, detail: "500".into() }
}

/// Feeds `count` pages of 30 events.
fn feed(rig: &Rig, count: usize) {
    rig.feed.push(opened());
    for n in 0..count {
        rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
    }
}

fn uid(n: usize) -> RawEvent {
    login(&format!("u{n:04}"))
}

fn stored(rig: &Rig) -> usize {
    lock(&rig.sink.stored).len()
}

fn all_but(bad: &[usize], count: usize) -> Vec<String> {
    names(0..count).into_iter().enumerate().filter(|(n, _)| !bad.contains(n)).map(|e| e.1).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_guilty_events_of_a_refused_batch_are_parked() {
    for index in [false, true] {
        let rig = Rig::new();
        let bad = |json: &str| json.contains("u0007") || json.contains("u0055");
        rig.sink.mood.send_replace(Mood::Judging(Arc::new(move |events: &[String]| {
            let Some(at) = events.iter().position(|json| bad(json)) else {
                return Verdict::Delivered;
            };
            Verdict::Guilty { index: index.then_some(at), detail: "422".into() }
        })));
        feed(&rig, 4);
        let summary = rig.run_until(|rig| stored(rig) == 118 && rig.parked() == 2).await;
        assert_eq!(sorted(rig.sink.uids()), all_but(&[7, 55], 120), "each once");
        assert_eq!((summary.totals.delivered, summary.totals.parked), (118, 2));
        assert!(summary.totals.balances());
        assert_eq!(rig.snapshot().lanes[0].token, token("after 3"), "the rest goes on");
        assert!(rig.parked_events().iter().all(|p| p.event.reason == ParkReason::Refused));
    }
}

#[tokio::test(start_paused = true)]
async fn with_one_event_a_request_the_guilty_one_is_parked_too() {
    let mut rig = Rig::new();
    Arc::get_mut(&mut rig.sink).unwrap().shape.max_events = 1;
    // More of them in a row than there are connections.
    let bad = |json: &str| ["u000", "u001"].iter().any(|part| json.contains(part));
    rig.sink.mood.send_replace(Mood::refusing(guilty(), bad));
    feed(&rig, 2);
    let summary = rig.run_until(|rig| stored(rig) == 40 && rig.parked() == 20).await;
    assert_eq!(sorted(rig.sink.uids()), names(20..60));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn who_refuses_everything_gets_nothing_parked() {
    for verdict in [guilty(), failing(), Verdict::Refused { detail: "403".into() }] {
        let rig = Rig::new();
        rig.sink.mood.send_replace(Mood::Failing(verdict));
        feed(&rig, 10);
        let hour = tokio::time::Instant::now() + Duration::from_secs(3000);
        let summary = rig.run_until(|_| tokio::time::Instant::now() >= hour).await;
        assert_eq!((rig.parked(), summary.totals.passed), (0, 0));
        assert_eq!(rig.snapshot().lanes[0].token, token("start"), "the resume point stands");
        // Asked now and then, also by single events, and never in a loop.
        let requests = rig.sink.requests.load(Ordering::Relaxed);
        assert!((50..2000).contains(&requests), "{requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_stood_still_goes_on_when_the_receiver_is_mended() {
    for verdict in [guilty(), failing(), Verdict::Refused { detail: "403".into() }] {
        let rig = Rig::new();
        feed(&rig, 2);
        let broken = std::cell::Cell::new(None);
        let summary = rig
            .run_until(|rig| {
                if stored(rig) == 60 && broken.get().is_none() {
                    // It was well, and is set up wrongly from now on.
                    rig.sink.mood.send_replace(Mood::Failing(verdict.clone()));
                    for n in 2..20 {
                        rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
                    }
                    broken.set(Some(tokio::time::Instant::now()));
                }
                if broken.get().is_some_and(|at| at.elapsed() > Duration::from_secs(1800)) {
                    assert!(rig.parked() <= 3, "{} parked", rig.parked());
                    rig.sink.mood.send_replace(Mood::Well);
                }
                stored(rig) == 600
            })
            .await;
        assert_eq!(sorted(rig.sink.uids()), names(0..600), "each once");
        assert!(summary.totals.balances());
    }
}

/// A receiver of which nothing good is known yet, and nothing in sight that it would take as it is.
#[tokio::test(start_paused = true)]
async fn with_a_guilty_event_in_every_batch_the_others_get_through() {
    for verdict in [guilty(), failing()] {
        let mut rig = Rig::new();
        rig.config.max_unsettled = 30;
        rig.sink.mood.send_replace(Mood::refusing(verdict, |json| json.contains("bad")));
        rig.feed.push(opened());
        rig.feed.push(page(vec![login("bad 0")], "alone"));
        let fed = Cell::new(false);
        let bad = |n: usize| if n % 10 == 7 { login(&format!("bad {n}")) } else { uid(n) };
        let summary = rig
            .run_until(|rig| {
                if !fed.get() && rig.sink.requests.load(Ordering::Relaxed) > 5 {
                    fed.set(true);
                    for n in 0..12 {
                        let events = (n * 10..n * 10 + 10).map(bad).collect();
                        rig.feed.push(page(events, &format!("after {n}")));
                    }
                }
                stored(rig) == 108
            })
            .await;
        assert!(rig.sink.uids().iter().all(|uid| uid.starts_with('u')), "each once");
        assert_eq!(summary.totals.delivered, 108);
        assert!(summary.totals.balances());
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_for_ever_is_parked_while_others_go_by() {
    let rig = Rig::new();
    rig.sink.mood.send_replace(Mood::refusing(failing(), |json| json.contains("u0003")));
    feed(&rig, 1);
    let (pages, last) = (AtomicU64::new(1), std::cell::Cell::new(tokio::time::Instant::now()));
    let summary = rig
        .run_until(|rig| {
            // Events go on coming.
            let n = usize::try_from(pages.load(Ordering::Relaxed)).unwrap();
            if last.get().elapsed() >= Duration::from_millis(200) {
                rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
                pages.fetch_add(1, Ordering::Relaxed);
                last.set(tokio::time::Instant::now());
            }
            rig.parked() == 1
        })
        .await;
    assert!(last.get().elapsed() < Duration::from_secs(1));
    assert!(pages.load(Ordering::Relaxed) < 600, "within two minutes");
    let parked = rig.parked_events();
    assert!(String::from_utf8_lossy(&parked[0].event.bytes).contains("u0003"));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn an_overload_parks_nothing() {
    let rig = Rig::new();
    let requests = Arc::new(AtomicU64::new(0));
    let seen = requests.clone();
    rig.sink.mood.send_replace(Mood::Judging(Arc::new(move |_: &[String]| {
        // Two of three requests find the buffers full, in no order that an event could cause.
        let n = seen.fetch_add(1, Ordering::Relaxed);
        if n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62 == 0 {
            Verdict::Delivered
        } else {
            failing()
        }
    })));
    feed(&rig, 10);
    let summary = rig.run_until(|rig| stored(rig) >= 300).await;
    assert_eq!(sorted(rig.sink.uids()), names(0..300));
    assert_eq!((rig.parked(), summary.totals.delivered), (0, 300));
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_tried_again_and_delivered_when_the_receiver_takes_it() {
    let rig = Rig::new();
    rig.sink.mood.send_replace(Mood::refusing(guilty(), |json| json.contains("u0003")));
    feed(&rig, 2);
    let since = std::cell::Cell::new(None);
    let summary = rig
        .run_until(|rig| {
            if stored(rig) == 59 && rig.parked() == 1 && since.get().is_none() {
                since.set(Some(tokio::time::Instant::now()));
            }
            if since.get().is_some_and(|at| at.elapsed() > Duration::from_secs(600)) {
                rig.sink.mood.send_replace(Mood::Well);
            }
            stored(rig) == 60
        })
        .await;
    assert_eq!((summary.totals.parked, summary.totals.resolved), (0, 1));
    assert!(summary.totals.balances());
    assert!((5..60).contains(&summary.retries), "{summary:?}");
}

/// It waited for a decoder, and then the receiver refused it: there is no other decoder to come.
#[tokio::test(start_paused = true)]
async fn what_is_refused_once_it_can_be_decoded_is_tried_again_too() {
    let rig = Rig::new();
    rig.sink.mood.send_replace(Mood::refusing(guilty(), |json| json.contains("new.type")));
    feed(&rig, 1);
    rig.feed.push(page(vec![event(3, "new.type", "x", "")], "x"));
    let (looks, fed) = (Cell::new(0), Cell::new(30));
    let summary = rig
        .run_until(|rig| {
            looks.set(looks.get() + 1);
            if looks.get() == 1000 {
                let decoder = TinyDecoder::knowing(3, DecoderKind::Native);
                rig.decoders.set("1.0.0", Choice::Exact(decoder));
            }
            // Others go by, which proves that it is guilty.
            if looks.get() > 1000 && looks.get() % 200 == 0 && looks.get() < 10_000 {
                rig.feed.push(page(uids(fed.get()..fed.get() + 1), &fed.get().to_string()));
                fed.set(fed.get() + 1);
            }
            let is_refused = |p: &ParkedEvent| p.event.reason == ParkReason::Refused;
            if looks.get() == 10_000 {
                assert!(rig.parked_events().iter().all(is_refused));
                rig.sink.mood.send_replace(Mood::Well);
            }
            looks.get() > 10_000 && rig.parked() == 0
        })
        .await;
    assert_eq!((summary.totals.parked, summary.totals.resolved), (0, 1));
    assert_eq!(stored(&rig), fed.get() + 1, "each once");
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn a_recording_keeps_its_order_around_a_refused_event() {
    let rig = Rig::new();
    let session = SessionId::try_new(b"s-1").unwrap();
    let lane = LaneId::Session(session.clone());
    rig.sink.mood.send_replace(Mood::refusing(guilty(), |json| json.contains("e013")));
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(1, "session.upload", "upload", "s-1")], "end"));
    let fed = std::cell::Cell::new(false);
    let summary = rig
        .run_until(|rig| {
            if !fed.get() && !lock(&rig.feed.opened).is_empty() {
                fed.set(true);
                let name = |n| event(2, "exec", &format!("e{n:03}"), "s-1");
                let marks = (1..=40).map(|n| Mark { after: n, token: token(&n.to_string()) });
                rig.feed.push(SourceEvent::Page(Page {
                    lane: lane.clone(),
                    version: version("1.0.0"),
                    marks: marks.collect(),
                    events: (0..40).map(name).collect(),
                    repeats: false,
                }));
                let ended = vec![lane.clone()];
                rig.feed.push(SourceEvent::Lanes(Lanes { ended, ..Lanes::default() }));
            }
            stored(rig) == 40 && rig.parked() == 1
        })
        .await;
    let stored = lock(&rig.sink.stored).clone();
    let of_session = |(route, json): &(Route, String)| {
        (*route == Route::Session(session.clone())).then(|| json.clone())
    };
    let bodies: Vec<String> = stored.iter().filter_map(of_session).collect();
    assert_eq!(bodies.len(), 39);
    assert!(bodies.is_sorted(), "order is kept");
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn one_receiver_in_trouble_does_not_hold_up_the_other() {
    let rig = Rig::new();
    // Only what belongs to the recording is refused: its address is wrong.
    let refused = Verdict::Refused { detail: "404".into() };
    rig.sink.mood.send_replace(Mood::refusing(refused, |json| json.contains("\"e0")));
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(1, "session.upload", "u9999", "s-1")], "begin"));
    let fed = std::cell::Cell::new(false);
    rig.run_until(|rig| {
        if !fed.get() && !lock(&rig.feed.opened).is_empty() {
            fed.set(true);
            let lane = lock(&rig.feed.opened)[0].clone();
            let events = (0..10).map(|n| event(2, "exec", &format!("e{n:03}"), "s-1")).collect();
            let (version, marks) = (version("1.0.0"), vec![]);
            rig.feed.push(SourceEvent::Page(Page { lane, version, events, marks, repeats: false }));
            for n in 0..10 {
                rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
            }
        }
        stored(rig) == 301
    })
    .await;
    assert_eq!(rig.parked(), 0);
}

/// The resume point stands in front of it, and what waits behind that takes all the room there is.
#[tokio::test(start_paused = true)]
async fn events_under_suspicion_do_not_stop_reading_for_ever() {
    let mut rig = Rig::new();
    rig.config.max_unsettled = 20;
    let bad = |json: &str| json.contains("u0000") || json.contains("u0001");
    rig.sink.mood.send_replace(Mood::refusing(failing(), bad));
    rig.feed.push(opened());
    for n in 0..100 {
        rig.feed.push(page(uids(n * 3..n * 3 + 3), &format!("after {n}")));
    }
    let summary = rig.run_until(|rig| stored(rig) == 298 && rig.parked() == 2).await;
    assert_eq!(sorted(rig.sink.uids()), all_but(&[0, 1], 300), "each once");
    assert!(summary.totals.balances());
    // In an overload no more than a few pages are read, however long it lasts.
    let mut rig = Rig::new();
    rig.config.max_unsettled = 20;
    rig.sink.mood.send_replace(Mood::Failing(failing()));
    feed(&rig, 10);
    let end = tokio::time::Instant::now() + Duration::from_secs(3000);
    rig.run_until(|_| tokio::time::Instant::now() >= end).await;
    let pages = rig.feed.pages_given.load(Ordering::Relaxed);
    assert!((1..=3).contains(&pages), "{pages}");
}

/// Of a recording that is longer than there is room for, of which nothing, or one event, is not
/// taken.
#[tokio::test(start_paused = true)]
async fn a_recording_that_cannot_be_sent_leaves_room_for_the_audit_log() {
    let refused = Verdict::Refused { detail: "404".into() };
    for (verdict, bad) in [(refused, "\"e0"), (failing(), "\"e000\"")] {
        let mut rig = Rig::new();
        rig.config.max_unsettled = 200;
        let parks = !matches!(verdict, Verdict::Refused { .. });
        rig.sink.mood.send_replace(Mood::refusing(verdict, move |json| json.contains(bad)));
        rig.feed.push(opened());
        rig.feed.push(page(vec![event(1, "session.upload", "u9999", "s-1")], "begin"));
        let (looks, fed, audit) = (Cell::new(0), Cell::new(false), Cell::new(0));
        rig.run_until(|rig| {
            looks.set(looks.get() + 1);
            if !fed.get() && !lock(&rig.feed.opened).is_empty() {
                fed.set(true);
                let lane = lock(&rig.feed.opened)[0].clone();
                for from in (0..999).step_by(27) {
                    let name = |n| event(2, "exec", &format!("e{n:03}"), "s-1");
                    let events: Vec<_> = (from..from + 27).map(name).collect();
                    let mark = |n| Mark { after: n, token: token(&format!("{}", from + n)) };
                    let (version, marks) = (version("1.0.0"), (1..=27).map(mark).collect());
                    let lane = lane.clone();
                    let page = Page { lane, version, events, marks, repeats: false };
                    rig.feed.push(SourceEvent::Page(page));
                }
            }
            // A page every minute.
            if looks.get() % 12_000 == 0 {
                let n = audit.replace(audit.get() + 1);
                rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
            }
            if looks.get() % 1000 > 0 {
                return false;
            }
            let (log, recorded): (Vec<_>, Vec<_>) =
                rig.sink.uids().into_iter().partition(|uid| uid.starts_with('u'));
            let is_parked = recorded.len() == 998 && rig.parked() == 1;
            log.len() >= 601 && (!parks || is_parked)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_was_away_for_days_is_served_again_at_once() {
    let rig = Rig::new();
    rig.sink.mood.send_replace(Mood::Failing(Verdict::Unreachable { detail: "refused".into() }));
    feed(&rig, 100);
    let back = std::cell::Cell::new(None);
    let start = tokio::time::Instant::now();
    rig.run_until(|rig| {
        if start.elapsed() > Duration::from_secs(3500) && back.get().is_none() {
            rig.sink.mood.send_replace(Mood::Well);
            back.set(Some(tokio::time::Instant::now()));
        }
        stored(rig) == 3000
    })
    .await;
    // Within one pause of the longest kind, and a moment for the events themselves.
    let took = back.get().unwrap().elapsed();
    assert!(took < Duration::from_secs(16), "{took:?}");
    let requests = rig.sink.requests.load(Ordering::Relaxed);
    assert!(requests < 1500, "{requests} requests, 300 of them for the events");
}

#[tokio::test(start_paused = true)]
async fn several_records_that_fail_for_ever_hold_nothing_up() {
    let rig = Rig::new();
    let bad = |json: &str| ["u0003", "u0004", "u0031", "u0045"].iter().any(|b| json.contains(b));
    rig.sink.mood.send_replace(Mood::refusing(failing(), bad));
    feed(&rig, 2);
    let (pages, last) = (AtomicU64::new(2), std::cell::Cell::new(tokio::time::Instant::now()));
    let summary = rig
        .run_until(|rig| {
            // Little comes: a few events in twenty seconds.
            let n = usize::try_from(pages.load(Ordering::Relaxed)).unwrap();
            if last.get().elapsed() >= Duration::from_secs(20) {
                rig.feed.push(page(uids(n * 30..n * 30 + 3), &format!("after {n}")));
                pages.fetch_add(1, Ordering::Relaxed);
                last.set(tokio::time::Instant::now());
            }
            rig.parked() == 4 && stored(rig) >= 56
        })
        .await;
    assert!(rig.parked_events().iter().all(|p| bad(&String::from_utf8_lossy(&p.event.bytes))));
    assert!(summary.totals.balances());
}

/// Whoever is on call must not be woken for one event that waits in the state.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_parked_is_no_trouble_of_the_receiver_when_it_is_tried_again() {
    for verdict in [
        Verdict::Guilty { index: None, detail: "400".into() },
        Verdict::Never { detail: "too old".into() },
    ] {
        let rig = Rig::new();
        let of = verdict.clone();
        rig.sink.mood.send_replace(Mood::refusing(verdict, |json| json.contains("\"u0011\"")));
        rig.feed.push(opened());
        // What comes later shows that the receiver takes others.
        for n in 0..10 {
            rig.feed.push(page(uids(n * 10..n * 10 + 10), &format!("p{n}")));
        }
        let engine = rig.engine();
        let (inspector, stop) = (engine.inspector(), rig.stop.clone());
        let ask = async {
            while rig.parked() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let requests = rig.sink.requests.load(Ordering::Relaxed);
            for minute in 0..180 {
                let status = inspector.status().await.unwrap();
                assert!(status.audit.trouble.is_none(), "{of:?} in minute {minute}: {status:?}");
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let tried = rig.sink.requests.load(Ordering::Relaxed) - requests;
            assert!((1..40).contains(&tried), "{of:?}: tried again {tried} times");
            rig.stop.cancel();
        };
        let (ended, ()) = tokio::join!(engine.run(stop), ask);
        assert_eq!(ended.unwrap().totals.parked, 1, "{of:?}");
    }
}

/// A receiver with a limit of age, and a log that begins far in front of it.
#[tokio::test(start_paused = true)]
async fn a_backlog_that_is_never_taken_holds_up_nothing() {
    let mut rig = Rig::new();
    rig.config.exit_on_last_event = true;
    let never = Verdict::Never { detail: "too old".into() };
    rig.sink.mood.send_replace(Mood::refusing(never, is_old));
    rig.feed.push(opened());
    for n in 0..67 {
        rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("p{n}")));
    }
    rig.feed.push(SourceEvent::CaughtUp);
    let began = tokio::time::Instant::now();
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.totals.parked, summary.totals.delivered), (2000, 10));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

fn is_old(json: &str) -> bool {
    let uid = json.split('"').find(|part| part.starts_with('u') && part.len() == 5);
    uid.is_some_and(|uid| uid < "u2000")
}
