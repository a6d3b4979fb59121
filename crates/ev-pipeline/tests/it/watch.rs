//! Who looks on, and who asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_core::{
    Change, Choice, Decoder, DecoderKind, LaneId, Mark, Page, Road, SessionId, Snapshot,
    SourceEvent, UserLock, Verdict,
};
use ev_pipeline::{Engine, Inspector, Summary, TakenEvent, Watcher};

use ev_unstructured::UnstructuredDecoder;

use crate::recordings::BEGIN;
use crate::rig::{
    Mood, Rig, TinyDecoder, WINDOW, digest, event, lock, login, opened, page, token, version,
};
use crate::road_change::{chunk, lanes, page_of};
use crate::unstructured::unstructured;

/// Uids in the order in which they were told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Watcher for Notes {
    fn taken(&self, event: &TakenEvent<'_>) {
        let uid = event.facts.id(&event.event.bytes);
        assert_eq!(event.digest, digest(&uid), "what it is known by");
        lock(&self.0).push(uid);
    }
}

fn watched() -> (Rig, Arc<Notes>) {
    let mut rig = Rig::new();
    let notes = Arc::<Notes>::default();
    rig.config.watcher = Some(notes.clone());
    (rig, notes)
}

/// The tip of the window, which is read again and again.
fn tip(uids: &[&str]) -> SourceEvent {
    let events: Vec<_> = uids.iter().map(|uid| login(uid)).collect();
    let marks = vec![Mark { after: events.len(), token: token("tip") }];
    SourceEvent::Page(Page {
        lane: WINDOW,
        version: version("1.0.0"),
        events,
        marks,
        repeats: true,
    })
}

#[tokio::test(start_paused = true)]
async fn each_event_is_told_of_once_however_often_it_comes() {
    let (mut rig, notes) = watched();
    rig.feed.push(opened());
    rig.feed.push(tip(&["a", "b"]));
    rig.feed.push(tip(&["a", "b", "c"]));
    rig.feed.push(tip(&["a", "b", "c"]));
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 3).await;
    assert_eq!(*lock(&notes.0), ["a", "b", "c"]);

    // Nor by the next run.
    rig.restart();
    rig.feed.push(tip(&["a", "b", "c", "d"]));
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 4).await;
    assert_eq!(*lock(&notes.0), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_before_the_event_is_sent_and_not_when_it_is_sent_again() {
    let (rig, notes) = watched();
    let down = Verdict::Unreachable { detail: "connection refused".into() };
    rig.sink.mood.send_replace(Mood::Failing(down));
    rig.feed.push(opened());
    rig.feed.push(page(vec![login("a")], "end"));
    let looks = std::cell::Cell::new(0);
    rig.run_until(|rig| {
        looks.set(looks.get() + 1);
        if looks.get() == 10_000 {
            assert_eq!(*lock(&notes.0), ["a"]);
            rig.sink.mood.send_replace(Mood::Well);
        }
        !lock(&rig.sink.stored).is_empty()
    })
    .await;
    assert_eq!(*lock(&notes.0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_told_of_when_it_can_be_decoded() {
    let (rig, notes) = watched();
    rig.feed.push(opened());
    rig.feed.push(page(vec![login("a"), event(9, "newer", "late", ""), login("b")], "end"));
    let parked = std::cell::Cell::new(false);
    rig.run_until(|rig| {
        if rig.parked() == 1 && !parked.replace(true) {
            assert_eq!(*lock(&notes.0), ["a", "b"]);
            let newer = TinyDecoder::knowing(9, DecoderKind::Module);
            rig.decoders.set("1.0.0", Choice::Exact(newer));
        }
        lock(&rig.sink.stored).len() == 3
    })
    .await;
    assert_eq!(*lock(&notes.0), ["a", "b", "late"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_receiver_refuses_is_told_of_once() {
    let (rig, notes) = watched();
    let refuses = Arc::new(AtomicBool::new(true));
    let still = refuses.clone();
    rig.sink.mood.send_replace(Mood::Judging(Arc::new(move |events: &[String]| {
        let guilty = events.iter().any(|json| json.contains("\"bad\""));
        if guilty && still.load(Ordering::Relaxed) {
            return Verdict::Guilty { index: None, detail: "400".into() };
        }
        Verdict::Delivered
    })));
    rig.feed.push(opened());
    let events: Vec<_> = ["a", "bad", "b", "c", "d"].into_iter().map(login).collect();
    rig.feed.push(page(events, "end"));
    rig.run_until(|rig| {
        if rig.parked() == 1 {
            refuses.store(false, Ordering::Relaxed);
        }
        lock(&rig.sink.stored).len() == 5
    })
    .await;
    assert_eq!(*lock(&notes.0), ["a", "bad", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_and_what_recordings_hold_is_not_told() {
    let (mut rig, notes) = watched();
    rig.config.skip_event_types = ["user.login".to_owned()].into();
    rig.feed.push(opened());
    let lane = LaneId::Session(SessionId::try_new(b"s-1").unwrap());
    rig.feed.push(page(vec![login("a"), event(1, "session.upload", "up", "s-1")], "end"));
    let fed = std::cell::Cell::new(false);
    rig.run_until(|rig| {
        if !fed.get() && !lock(&rig.feed.opened).is_empty() {
            fed.set(true);
            rig.feed.push(SourceEvent::Page(Page {
                lane: lane.clone(),
                version: version("1.0.0"),
                events: vec![event(2, "exec", "inside", "s-1")],
                marks: vec![Mark { after: 1, token: token("1") }],
                repeats: false,
            }));
        }
        lock(&rig.sink.stored).len() == 2
    })
    .await;
    assert_eq!(*lock(&notes.0), ["up"]);
}

async fn ask(inspector: &Inspector) -> ev_pipeline::Status {
    tokio::time::timeout(Duration::from_secs(60), inspector.status()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_told_what_is_going_on() {
    let rig = Rig::new();
    rig.sink.mood.send_replace(Mood::Stalled);
    rig.feed.push(crate::rig::upstream("1.0.0"));
    rig.feed.push(opened());
    rig.feed.push(page(crate::rig::uids(0..25), "end"));
    let engine: Engine = rig.engine();
    let inspector = engine.inspector();
    let stop = rig.stop.clone();
    let run = engine.run(stop.clone());
    let asks = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = ask(&inspector).await;
        let audit = status.audit;
        assert!((1..=audit.limit).contains(&audit.in_flight), "{audit:?}");
        assert_eq!(status.version, Some(version("1.0.0")));
        assert_eq!(status.decoder.as_deref(), Some("exact: native 1.0.0"));
        assert_eq!((status.caught_up, status.backlog), (false, 25 + 1));
        assert_eq!(status.newest_event_seconds, Some(1000));
        assert!(status.lag_seconds.unwrap() > 1_700_000_000, "the events are very old");
        assert_eq!((status.lanes.len(), status.lanes_known), (1, 1));
        assert_eq!((status.lanes[0].lane.clone(), status.lanes[0].unsettled), (WINDOW, 25));
        assert_eq!(status.summary.read, 25);
        rig.sink.mood.send_replace(Mood::Well);
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run, asks);
    ended.unwrap();
    assert!(inspector.status().await.is_none() && inspector.has_ended());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_exports_tells_its_decoder_and_how_far_behind_it_is() {
    let mut rig = Rig::new();
    rig.road = Road::Export;
    rig.feed.push(crate::rig::upstream("1.0.0"));
    // One chunk is read, the other one lies a week in front of it and has brought nothing yet.
    let (old, new) = (chunk("1969-12-25", "a"), chunk("1970-01-01", "b"));
    rig.feed.push(lanes(&[old, new.clone()], &[]));
    rig.feed.push(page_of(&new, vec![unstructured("a"), unstructured("b")], "next"));
    let engine = rig.engine();
    let inspector = engine.inspector();
    let ask = async {
        while lock(&rig.sink.stored).len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = ask(&inspector).await;
        rig.stop.cancel();
        status
    };
    let (ended, status) = tokio::join!(engine.run(rig.stop.clone()), ask);
    ended.unwrap();
    let ours = UnstructuredDecoder::new().identity().to_string();
    assert_eq!(status.decoder, Some(ours));
    assert_eq!(rig.decoders.asked.load(Ordering::Relaxed), 0, "that may begin a download");
    assert_eq!(status.newest_event_seconds, Some(1000));
    let lag = status.lag_seconds.unwrap();
    assert!((BEGIN + 7 * 86_400..BEGIN + 7 * 86_400 + 60).contains(&lag), "{lag}");
}

#[tokio::test(start_paused = true)]
async fn the_lag_grows_by_a_second_each_second_of_an_outage_and_is_gone_behind_it() {
    let rig = Rig::new();
    let away = || Verdict::Unreachable { detail: "connection refused".into() };
    rig.sink.mood.send_replace(Mood::Failing(away()));
    rig.feed.push(crate::rig::upstream("1.0.0"));
    rig.feed.push(opened());
    rig.feed.push(page(crate::rig::uids(0..25), "end"));
    rig.feed.push(SourceEvent::CaughtUp);
    let engine = rig.engine();
    let inspector = engine.inspector();
    let pulse = rig.config.pulse.clone();
    let asks = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = ask(&inspector).await;
        let beats = pulse.beats();
        tokio::time::sleep(Duration::from_secs(600)).await;
        let after = ask(&inspector).await;
        assert_eq!(after.lag_seconds.unwrap() - before.lag_seconds.unwrap(), 600);
        assert!(pulse.beats() > beats, "it turns all the while");
        let trouble = after.audit.trouble.unwrap();
        assert_eq!(trouble.reason, "unreachable: connection refused");
        assert!((600..=610).contains(&trouble.lasts.as_secs()), "{trouble:?}");
        let Summary { read, passed, repeated, .. } = after.summary;
        assert_eq!((read, passed, repeated, after.unsettled), (25, 0, 0, 25));

        rig.sink.mood.send_replace(Mood::Well);
        while lock(&rig.sink.stored).len() < 25 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let end = ask(&inspector).await;
        assert_eq!((end.lag_seconds, end.unsettled), (Some(0), 0));
        assert!(end.audit.trouble.is_none());
        assert_eq!(end.newest_delivered_seconds, Some(1000));
        let Summary { passed, delivered, .. } = end.summary;
        assert_eq!((passed, delivered), (25, 25));
        rig.stop.cancel();
    };
    let (ended, ()) = tokio::join!(engine.run(rig.stop.clone()), asks);
    ended.unwrap();
}

/// Has a lock set for the first event, and says so once `is_set`.
#[derive(Debug, Default)]
struct Locker {
    unsaved: Mutex<Change>,
    restored: Mutex<Vec<UserLock>>,
}

impl Watcher for Locker {
    fn taken(&self, _: &TakenEvent<'_>) {
        lock(&self.unsaved).lock.push(due("a-lock"));
    }

    fn restored(&self, snapshot: &Snapshot) {
        lock(&self.restored).clone_from(&snapshot.due_locks);
    }

    fn has_more(&self) -> bool {
        *lock(&self.unsaved) != Change::default()
    }

    fn put_into(&self, change: &mut Change) {
        let Change { lock, locked, .. } = std::mem::take(&mut *crate::rig::lock(&self.unsaved));
        change.lock.extend(lock);
        change.locked.extend(locked);
    }
}

fn due(name: &str) -> UserLock {
    UserLock {
        name: name.into(),
        user: "alice".into(),
        login: String::new(),
        message: "locked".into(),
        expires: None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_watcher_has_to_keep_is_committed_with_its_event_and_given_back() {
    let mut rig = Rig::new();
    let locker = Arc::<Locker>::default();
    rig.config.watcher = Some(locker.clone());
    // Nothing is delivered, and the process is killed.
    rig.sink.mood.send_replace(Mood::Stalled);
    rig.feed.push(opened());
    rig.feed.push(page(vec![login("a")], "end"));
    let run = rig.run();
    let second = tokio::time::timeout(Duration::from_secs(1), run).await;
    assert!(second.is_err(), "it goes on");
    assert_eq!(*lock(&locker.restored), []);

    let locker = Arc::<Locker>::default();
    rig.config.watcher = Some(locker.clone());
    rig.restart();
    let dealt = Change { locked: vec!["a-lock".into()], ..Change::default() };
    *lock(&locker.unsaved) = dealt;
    // Nothing else happens.
    rig.run_until(|rig| rig.store.commits() > 0 && !locker.has_more()).await;
    assert_eq!(*lock(&locker.restored), [due("a-lock")]);
    assert_eq!(rig.snapshot().due_locks, []);
}

/// Writes down the lines that are told each minute.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "ev_pipeline::rates"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        lock(&self.0).push(fields.0.trim_end().to_owned());
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn exp_92_each_minute_tells_what_was_scanned_delivered_skipped_and_parked() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let mut rig = Rig::new();
    rig.config.tell_rates = true;
    rig.config.skip_event_types = ["dull".to_owned()].into();
    rig.feed.push(opened());
    let dull = event(1, "dull", "d", "");
    let events = vec![login("a"), login("b"), dull, event(9, "newer", "n", ""), login("c")];
    rig.feed.push(page(events, "end"));
    rig.feed.push(tip(&["a", "b"]));
    let (recorded, fed) =
        (LaneId::Session(SessionId::try_new(b"s-1").unwrap()), AtomicBool::new(false));
    rig.feed.push(page(vec![event(1, "session.upload", "up", "s-1")], "later"));
    rig.run_until(|rig| {
        if !lock(&rig.feed.opened).is_empty() && !fed.swap(true, Ordering::Relaxed) {
            let events = vec![event(2, "exec", "x", "s-1"), event(2, "print", "y", "s-1")];
            rig.feed.push(page_of(&recorded, events, "1"));
            rig.feed.push(lanes(&[], std::slice::from_ref(&recorded)));
        }
        lock(&lines.0).len() == 6
    })
    .await;
    let (catching_up, others): (Vec<String>, Vec<String>) =
        lock(&lines.0).drain(..).partition(|line| line.starts_with("message=catching up"));
    let position = "position=\"1970-01-01T00:16:40Z\"";
    assert!(catching_up.iter().all(|line| line.contains(position)), "{catching_up:?}");
    assert!(catching_up[0].contains("per_second=0.08"), "{catching_up:?}");
    let expected = [
        "message=Event processing events_per_minute=4 scanned=8 skipped=1 parked=1 \
         date=\"1970-01-01\"",
        "message=Session processing sessions_per_minute=1 session_events_per_minute=1",
        "message=Event processing events_per_minute=0 scanned=0 skipped=0 parked=0 \
         date=\"1970-01-01\"",
        "message=Session processing sessions_per_minute=0 session_events_per_minute=0",
    ];
    assert_eq!(others, expected);
}
