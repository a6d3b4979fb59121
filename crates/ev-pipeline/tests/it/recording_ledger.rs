//! What the ledger keeps of recordings.

use std::cell::Cell;

use ev_core::{
    LaneId, Lanes, Mark, Page, SessionId, SessionLedger, SinkId, SourceEvent, StateStore as _,
    Stopped, Timestamp,
};
use ev_pipeline::Identity;
use ev_pipeline::ledger::{Indexes, LedgerKey, Recording};

use crate::rig::{Rig, digest, event, lock, opened, page, recorded, token, version};

const SESSION: &str = "s-1";

fn session() -> SessionId {
    SessionId::try_new(SESSION.as_bytes()).unwrap()
}

fn lane() -> LaneId {
    LaneId::Session(session())
}

/// Events with these indexes, each with a mark behind it.
fn part(indexes: &[u8]) -> SourceEvent {
    let event = |index: &u8| match index % 3 {
        2 => recorded("print", &format!("e{index}"), SESSION, *index),
        _ => recorded("exec", &format!("e{index}"), SESSION, *index),
    };
    let mark = |index: &u8| token(&format!("{}", index + 1));
    let marks = indexes.iter().map(mark).enumerate();
    SourceEvent::Page(Page {
        lane: lane(),
        version: version("1.0.0"),
        marks: marks.map(|(n, token)| Mark { after: n + 1, token }).collect(),
        events: indexes.iter().map(event).collect(),
        repeats: false,
    })
}

fn end() -> SourceEvent {
    SourceEvent::Lanes(Lanes { ended: vec![lane()], ..Lanes::default() })
}

fn row(rig: &Rig) -> Option<SessionLedger> {
    rig.store.session_ledger(&SinkId("test".into()), &session()).unwrap()
}

/// The ledger of a recording with these indexes, made by hand.
fn recording(rig: &Rig, indexes: &[u8]) -> Recording {
    let key = LedgerKey::new(&rig.snapshot().ledger_key);
    let (mut recording, mut due) = (Recording::default(), Indexes::default());
    for index in indexes {
        let (digest, time) = (digest(&format!("e{index}")), Timestamp::EPOCH);
        let event = Identity { digest, time, index: Some((*index).into()), has_uid: true };
        recording.insert(&due.enter(&key, &session(), &event));
    }
    recording
}

/// Feeds the recording behind its announcement, and runs until `done`.
async fn run(
    rig: &Rig,
    parts: Vec<SourceEvent>,
    done: impl Fn(&Rig) -> bool,
) -> ev_pipeline::Summary {
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(1, "session.upload", "upload", SESSION)], "end"));
    let parts = Cell::new(parts);
    rig.run_until(|rig| {
        if !lock(&rig.feed.opened).is_empty() {
            parts.take().into_iter().for_each(|part| rig.feed.push(part));
        }
        done(rig)
    })
    .await
}

fn is_over(rig: &Rig) -> bool {
    row(rig).is_some_and(|row| row.closed_seconds.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_whole_recording_is_in_the_ledger_filtered_events_included() {
    let rig = Rig::new();
    let indexes: Vec<u8> = (0..20).collect();
    let summary = run(&rig, vec![part(&indexes[..7]), part(&indexes[7..]), end()], is_over).await;
    let found = Recording::from_row(&row(&rig).unwrap());
    assert_eq!(found, recording(&rig, &indexes));
    assert_eq!((found.count, found.last_index, found.gaps), (20, 19, 0));
    assert_eq!(summary.recording_gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn gaps_of_a_finished_recording_are_counted() {
    let rig = Rig::new();
    let indexes = [1, 2, 3, 7, 8, 30];
    let summary = run(&rig, vec![part(&indexes), end()], is_over).await;
    assert_eq!(Recording::from_row(&row(&rig).unwrap()), recording(&rig, &indexes));
    assert_eq!(summary.recording_gaps, 3);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_where_the_resume_point_is() {
    let mut rig = Rig::new();
    run(&rig, vec![part(&[0, 1, 2, 5])], |rig| lock(&rig.sink.stored).len() == 3).await;
    let begun = row(&rig).unwrap();
    assert_eq!(
        (begun.count, begun.gaps, begun.closed_seconds),
        (4, 1, None),
        "as far as it is read"
    );
    rig.restart();
    rig.feed.push(opened());
    rig.feed.push(part(&[6, 7, 9]));
    rig.feed.push(end());
    let summary = rig.run_until(is_over).await;
    assert_eq!(Recording::from_row(&row(&rig).unwrap()), recording(&rig, &[0, 1, 2, 5, 6, 7, 9]));
    assert_eq!(summary.recording_gaps, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_never_called_whole() {
    let mut rig = Rig::new();
    rig.config.recording_patience = Some(std::time::Duration::ZERO);
    let stops = Cell::new(0);
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(1, "session.upload", "upload", SESSION)], "end"));
    let summary = rig
        .run_until(|rig| {
            let opens = lock(&rig.feed.opened).len();
            if opens > stops.get() {
                stops.set(opens);
                if opens == 1 {
                    rig.feed.push(part(&[0, 1]));
                }
                let (missing, reason) = (true, "not found".to_owned());
                rig.feed.push(SourceEvent::Stopped(Stopped { lane: lane(), missing, reason }));
            }
            opens > 2 && rig.snapshot_lanes().iter().all(|row| row.lane != lane())
        })
        .await;
    assert_eq!(summary.sessions_given_up, 1);
    let row = row(&rig).unwrap();
    assert_eq!((row.count, row.closed_seconds), (2, None));
}
