use ev_core::Source;
use ev_test_support::{CallFault, Event};

use crate::env::NOW;
use crate::rig::{POLL, Reader, Rig, event, lane};

/// A recording whose indexes come in twos.
fn recording(session: &str, count: usize) -> Vec<Event> {
    (0..count)
        .map(|n| {
            let number = i64::try_from(n).expect("few");
            event(&format!("{session}-{n}"), NOW - 1000 + number, number / 2)
        })
        .collect()
}

fn names(session: &str, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("{session}-{n}")).collect()
}

async fn read_to_the_end(reader: &mut Reader, sessions: usize) {
    let is_session = |lane: &&ev_core::LaneId| matches!(lane, ev_core::LaneId::Session(_));
    reader.read_until(|reader| reader.ended.iter().filter(is_session).count() == sessions).await;
}

#[tokio::test]
async fn a_recording_is_read_to_its_end_in_order() {
    let rig = Rig::new();
    rig.auth.store(|store| store.append_recording("s", recording("s", 300)));
    let mut reader = rig.reader(rig.config(), NOW);
    reader.open("s", None);
    read_to_the_end(&mut reader, 1).await;
    assert_eq!(reader.ids_of(&lane("s")), names("s", 0, 300));
    let pages = reader.pages.iter().filter(|page| page.lane == lane("s"));
    for page in pages {
        assert_eq!(page.marks.len(), page.events.len(), "a resume point behind each event");
    }
    assert_eq!(rig.calls("StreamSessionEvents"), 1);
}

#[tokio::test]
async fn resuming_by_token_is_exact_at_every_event() {
    let rig = Rig::new();
    rig.auth.store(|store| store.append_recording("s", recording("s", 9)));
    let mut reader = rig.reader(rig.config(), NOW);
    reader.open("s", None);
    read_to_the_end(&mut reader, 1).await;
    let marks = reader.pages.iter().filter(|page| page.lane == lane("s"));
    let tokens: Vec<_> =
        marks.flat_map(|page| page.marks.iter().map(|mark| mark.token.clone())).collect();
    assert_eq!(tokens.len(), 9);
    for (settled, token) in tokens.into_iter().enumerate() {
        let mut reader = rig.resumed(rig.config(), vec![(lane("s"), token.clone())], NOW);
        read_to_the_end(&mut reader, 1).await;
        assert_eq!(reader.ids_of(&lane("s")), names("s", settled + 1, 9), "by resume");
        let mut reader = rig.reader(rig.config(), NOW);
        reader.open("s", Some(token));
        read_to_the_end(&mut reader, 1).await;
        assert_eq!(reader.ids_of(&lane("s")), names("s", settled + 1, 9), "by open");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_where_it_broke() {
    let rig = Rig::new();
    rig.auth.store(|store| store.append_recording("s", recording("s", 100)));
    rig.auth.set(|switches| switches.break_sessions_after = Some(7));
    let mut reader = rig.reader(rig.config(), NOW);
    reader.open("s", None);
    read_to_the_end(&mut reader, 1).await;
    assert_eq!(reader.ids_of(&lane("s")), names("s", 0, 100));
    assert!(rig.calls("StreamSessionEvents") > 10);
    assert!(reader.stopped.is_empty());
}

#[tokio::test]
async fn a_lost_connection_does_not_count_as_the_recordings_trouble() {
    let rig = Rig::new();
    rig.auth.store(|store| store.append_recording("s", recording("s", 50)));
    let mut reader = rig.reader(rig.config(), NOW);
    reader.open("s", None);
    for lost in 1..=8 {
        rig.auth.set(|switches| switches.latency_ms = 3_600_000);
        let waiting = |tally: &ev_test_support::AuthTally| {
            tally.methods.get("StreamSessionEvents").is_some_and(|tally| tally.calls == lost)
        };
        rig.auth.set(|switches| switches.latency_ms = 0);
        reader.read_until(|reader| reader.versions.len() as u64 == lost).await;
        rig.auth.set(|switches| switches.latency_ms = 3_600_000);
        tokio::select! {
            () = reader.read_until(|_| false) => {}
            _ = rig.auth.wait(waiting) => {}
        }
        rig.auth.set(|switches| switches.latency_ms = 0);
        rig.auth.drop_connections().await;
    }
    read_to_the_end(&mut reader, 1).await;
    assert_eq!(reader.ids_of(&lane("s")), names("s", 0, 50));
    assert!(reader.stopped.is_empty());
}

#[tokio::test]
async fn a_missing_recording_is_told_from_an_unreadable_one() {
    let rig = Rig::new();
    let mut reader = rig.reader(rig.config(), NOW);
    reader.open("gone", None);
    reader.read_until(|reader| !reader.stopped.is_empty()).await;
    assert!(reader.stopped[0].missing);
    assert_eq!(reader.stopped[0].lane, lane("gone"));
    assert!(reader.stopped[0].reason.contains("was not found"), "{}", reader.stopped[0].reason);
    assert_eq!(rig.calls("StreamSessionEvents"), 1);

    rig.auth.store(|store| store.append_recording("s", recording("s", 5)));
    let fault = CallFault {
        code: 3,
        method: "StreamSessionEvents".into(),
        message: "session record is corrupted".into(),
        ..CallFault::default()
    };
    rig.auth.set(|switches| switches.fail.push(fault));
    reader.open("s", None);
    reader.read_until(|reader| reader.stopped.len() == 2).await;
    assert!(!reader.stopped[1].missing);
    assert_eq!(rig.calls("StreamSessionEvents"), 6, "five attempts");

    // Opened again later, it is read.
    rig.auth.set(|switches| switches.fail.clear());
    reader.open("s", None);
    read_to_the_end(&mut reader, 1).await;
    assert_eq!(reader.ids_of(&lane("s")), names("s", 0, 5));
}

#[tokio::test]
async fn many_recordings_are_read_a_few_at_once() {
    let rig = Rig::new();
    for n in 0..12 {
        let session = format!("s{n}");
        rig.auth.store(|store| store.append_recording(&session, recording(&session, 200)));
    }
    let mut config = rig.config();
    config.concurrency = 2;
    let mut reader = rig.reader(config, NOW);
    for n in 0..12 {
        reader.open(&format!("s{n}"), None);
    }
    // Opening what is open is harmless.
    reader.source().open(&lane("s3"), None);
    read_to_the_end(&mut reader, 12).await;
    for n in 0..12 {
        let session = format!("s{n}");
        assert_eq!(reader.ids_of(&lane(&session)), names(&session, 0, 200));
    }
    // A recording begins only when another one has ended: the third to begin comes behind the
    // first end.
    let mut begun: Vec<&ev_core::LaneId> = Vec::new();
    for (lane, _) in &reader.events {
        if !begun.contains(&lane) {
            begun.push(lane);
        }
    }
    assert_eq!(begun.len(), 12);
    assert_eq!(rig.calls("StreamSessionEvents"), 12);
}

#[tokio::test]
async fn a_closed_recording_is_cancelled() {
    let rig = Rig::new();
    rig.auth.store(|store| store.append_recording("s", recording("s", 2000)));
    let mut reader = rig.reader(rig.config(), NOW);
    reader.open("s", None);
    reader.read_until(|reader| !reader.events.is_empty()).await;
    reader.source().close(&lane("s"));
    let before = reader.events.len();
    reader.read_to_the_tip().await;
    assert_eq!(reader.events.len(), before);
    assert!(reader.ended.is_empty() && reader.stopped.is_empty());
}

#[tokio::test]
async fn recordings_that_hang_do_not_keep_the_log_from_being_read() {
    let rig = Rig::new();
    for n in 0..6 {
        let session = format!("s{n}");
        rig.auth.store(|store| store.append_recording(&session, recording(&session, 3)));
    }
    let mut reader = rig.reader(rig.config(), NOW - 1000);
    reader.read_to_the_tip().await;
    // Whoever asks now is not answered; the live window pauses.
    rig.auth.set(|switches| switches.latency_ms = 3_600_000);
    for n in 0..6 {
        reader.open(&format!("s{n}"), None);
    }
    let hang = |tally: &ev_test_support::AuthTally| {
        tally.methods.get("StreamSessionEvents").is_some_and(|tally| tally.calls == 5)
    };
    tokio::select! {
        () = reader.read_with(1, |_| false) => {}
        tally = rig.auth.wait(hang) => assert_eq!(tally.methods["StreamSessionEvents"].events, 0),
    }
    rig.auth.set(|switches| switches.latency_ms = 0);
    rig.auth.append([event("new", NOW, 0)]);
    rig.env.advance(POLL);
    reader.read_with(1, |reader| reader.ids().contains("new")).await;
    assert_eq!(rig.calls("StreamSessionEvents"), 5, "they hang still");
    // Given up after a while, they are read too.
    rig.env.advance(rig.config().request_timeout);
    read_to_the_end(&mut reader, 6).await;
    for n in 0..6 {
        let session = format!("s{n}");
        assert_eq!(reader.ids_of(&lane(&session)), names(&session, 0, 3));
    }
}
