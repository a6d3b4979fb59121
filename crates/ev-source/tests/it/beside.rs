//! Chunks and pages that are read beside the lanes.

use std::future::Future;

use ev_core::{Credit, Date, Source, Timestamp};
use ev_source::{ChunkReader, ChunkRefused, KeyedQuery};
use ev_test_support::{Api, CallFault};

use crate::env::NOW;
use crate::rig::{Reader, Rig, event, events, id, padded};

const CHUNK: &str = "00000000-part";

/// Waits for `work` while the source goes on beside it and time passes.
async fn meanwhile<T>(rig: &Rig, reader: &mut Reader, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            event = reader.source().next(Credit { pages: 0 }) => {
                event.expect("nothing for an operator");
            }
            () = rig.env.change() => rig.env.advance(std::time::Duration::from_secs(30)),
        }
    }
}

fn fault(method: &str, code: i32, count: Option<u64>) -> CallFault {
    CallFault { code, count, method: method.into(), message: "storage is slow".into() }
}

fn exporting() -> (Rig, Reader) {
    let rig = Rig::new();
    rig.auth.set(|switches| switches.offer_only(&[Api::Export]));
    // No lane reads anything: there is no credit.
    let reader = rig.reader(rig.config(), NOW);
    (rig, reader)
}

fn today() -> Date {
    Date::of(Timestamp::new(NOW, 0).seconds())
}

/// Ids and cursors of a chunk up to its end.
async fn read_chunk(
    rig: &Rig,
    reader: &mut Reader,
    chunk: &mut ChunkReader,
) -> (Vec<(String, String)>, Result<(), ChunkRefused>) {
    let mut came = Vec::new();
    loop {
        match meanwhile(rig, reader, chunk.next()).await {
            Ok(Some(part)) => {
                came.extend(part.events.iter().map(|(event, cursor)| (id(event), cursor.clone())));
            }
            Ok(None) => return (came, Ok(())),
            Err(refused) => return (came, Err(refused)),
        }
    }
}

fn names(came: &[(String, String)]) -> Vec<&str> {
    came.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn what_has_come_is_told_before_what_goes_wrong_behind_it() {
    let (rig, mut reader) = exporting();
    rig.auth.append(events("e", NOW, 0, 3));
    rig.auth.store(|store| store.export_chunks(today().start() / 86_400, 9));
    let bad = format!("{}/{CHUNK}", today());
    rig.auth.set(|switches| switches.bad_chunks.push(bad));
    let mut chunk = reader.source().chunk_events().read(today(), CHUNK);
    let (came, end) = read_chunk(&rig, &mut reader, &mut chunk).await;
    assert_eq!(names(&came), ["e0"]);
    assert_eq!(end.expect_err("it is damaged").reason, "the chunk is damaged (Internal)");
    assert!(meanwhile(&rig, &mut reader, chunk.next()).await.is_err(), "and so it stays");
    assert_eq!(rig.calls("ExportUnstructuredEvents"), 5, "not given up at once");

    // Where that chunk is missing, its first event has come all the same.
    rig.auth.set(|switches| {
        switches.bad_chunks.clear();
        switches.break_exports_after = Some(1);
        switches.fail.push(fault("ExportUnstructuredEvents", 5, None));
        switches.fail[0].count = Some(0);
    });
    let mut chunk = reader.source().chunk_events().read(today(), CHUNK);
    let first = meanwhile(&rig, &mut reader, chunk.next()).await;
    assert_eq!(first.expect("some").expect("some").events.len(), 1);
    rig.auth.set(|switches| switches.fail[0].count = None);
    assert!(meanwhile(&rig, &mut reader, chunk.next()).await.is_err());
}

#[tokio::test]
async fn a_chunk_is_read_on_behind_its_last_cursor_whatever_breaks() {
    let (rig, mut reader) = exporting();
    rig.auth.append(events("e", NOW, 0, 30));
    rig.auth.store(|store| store.export_chunks(today().start() / 86_400, 30));
    rig.auth.set(|switches| switches.break_exports_after = Some(7));
    let mut chunk = reader.source().chunk_events().read(today(), CHUNK);
    let (came, end) = read_chunk(&rig, &mut reader, &mut chunk).await;
    assert_eq!((end, came.len()), (Ok(()), 30));
    assert!(came.is_sorted_by_key(|(_, cursor)| cursor.rsplit('/').next().map(str::len)));
    let asked = rig.auth.calls().into_iter().filter(|call| call.method.starts_with("ExportUn"));
    let cursors: Vec<_> = asked.map(|call| call.request["cursor"].to_string()).collect();
    assert_eq!(cursors.len(), 5, "{cursors:?}");
    assert!(cursors[4].ends_with("/28\""), "{cursors:?}");
}

#[tokio::test]
async fn an_event_that_is_larger_than_others_may_be_is_read() {
    let (rig, mut reader) = exporting();
    rig.auth.append([event("a", NOW, 0), padded("large", NOW, 1, 3 << 20), event("b", NOW, 2)]);
    rig.auth.store(|store| store.export_chunks(today().start() / 86_400, 9));
    drop(reader);
    let mut config = rig.config();
    config.max_message_bytes = 1 << 20;
    reader = rig.reader(config, NOW);
    let mut chunk = reader.source().chunk_events().read(today(), CHUNK);
    let (came, end) = read_chunk(&rig, &mut reader, &mut chunk).await;
    assert_eq!((names(&came), end), (vec!["a", "large", "b"], Ok(())));
}

/// What is read on has the words of the Auth that began it.
#[tokio::test]
async fn a_chunk_is_not_read_on_under_another_version() {
    let (rig, mut reader) = exporting();
    rig.auth.append((0..8).map(|n| padded(&n.to_string(), NOW, n, 900_000)));
    rig.auth.store(|store| store.export_chunks(today().start() / 86_400, 8));
    let mut chunk = reader.source().chunk_events().read(today(), CHUNK);
    let first = meanwhile(&rig, &mut reader, chunk.next()).await.expect("some").expect("some");
    assert_eq!((first.version.as_str(), first.events.len() < 8), ("13.3.8", true));
    // Without cutting anything: it is told by the next Ping.
    rig.auth.set(|switches| switches.version = "14.0.0".into());
    while reader.versions.is_empty() {
        tokio::select! {
            biased;
            () = reader.next(0) => {}
            () = rig.env.sleeping(std::time::Duration::from_secs(60)) => {
                rig.env.advance(std::time::Duration::from_secs(60));
            }
        }
    }
    let mut rest = 0;
    while let Some(part) = meanwhile(&rig, &mut reader, chunk.next()).await.expect("no refusal") {
        assert_eq!(part.version.as_str(), "14.0.0");
        rest += part.events.len();
    }
    assert_eq!(first.events.len() + rest, 8);
    assert_eq!(rig.calls("ExportUnstructuredEvents"), 2, "asked for anew");
}

#[tokio::test]
async fn a_page_key_is_refused_only_after_several_failures() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 50, 1, 30));
    let mut reader = rig.reader(rig.config(), NOW);
    let pages = reader.source().keyed_pages();
    let query = KeyedQuery { start: NOW - 60, types: Vec::new(), key: String::new() };
    for code in [13, 2] {
        rig.auth.set(|switches| switches.fail = vec![fault("GetEvents", code, Some(4))]);
        let page = meanwhile(&rig, &mut reader, pages.page(&query)).await.expect("a page");
        assert_eq!(page.events.len(), 30, "{code}");
        rig.auth.set(|switches| switches.fail = vec![fault("GetEvents", code, None)]);
        let before = rig.calls("GetEvents");
        let refused = meanwhile(&rig, &mut reader, pages.page(&query)).await;
        assert!(refused.expect_err("a bad key").reason.starts_with("storage is slow"));
        assert_eq!(rig.calls("GetEvents") - before, 5, "{code}");
    }
    // What Auth itself refuses is not asked for again.
    rig.auth.set(|switches| switches.fail = vec![fault("GetEvents", 3, None)]);
    let before = rig.calls("GetEvents");
    assert!(meanwhile(&rig, &mut reader, pages.page(&query)).await.is_err());
    assert_eq!(rig.calls("GetEvents") - before, 1);
}
