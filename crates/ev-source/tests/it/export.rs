use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ev_core::{Env as _, LaneId, Locks as _, Token, UserLock};
use ev_test_support::{Api, AuthTally, CallFault, SeenCall, Unstructured};

use crate::env::NOW;
use crate::rig::{Reader, Rig, event, id, padded};

const DAY: i64 = 86_400;
/// First second of the date of the first second of all tests.
const TODAY: i64 = NOW - NOW % DAY;
const POLL: Duration = Duration::from_secs(16);

fn rig() -> Rig {
    let rig = Rig::new();
    rig.auth.set(|switches| {
        switches.offer_only(&[Api::Export]);
        switches.export_chunk = 5;
    });
    rig
}

fn has(reader: &Reader, name: &str) -> bool {
    reader.events.iter().any(|(_, event)| id(event) == name)
}

fn chunk(lane: &LaneId) -> Option<(&str, &str)> {
    match lane {
        LaneId::Chunk { date, chunk } if !chunk.is_empty() => Some((date, chunk)),
        _ => None,
    }
}

/// Adds so many events to a date, so many days ago; returns their names.
fn fill(rig: &Rig, days_ago: i64, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("d{days_ago}-{n}")).collect();
    let events = names.iter().zip(0..).map(|(name, n)| event(name, TODAY - days_ago * DAY + n, n));
    rig.auth.append(events);
    names
}

/// Dates that are looked at.
fn dates(reader: &Reader) -> Vec<String> {
    let date = |lane: &LaneId| match lane {
        LaneId::Chunk { date, chunk } if chunk.is_empty() => Some(date.clone()),
        _ => None,
    };
    reader.lanes.keys().filter_map(date).collect()
}

/// How often each event came.
fn counts(reader: &Reader) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, event) in &reader.events {
        *counts.entry(id(event)).or_default() += 1;
    }
    counts
}

fn once(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    names.into_iter().map(|name| (name, 1)).collect()
}

async fn read_all(reader: &mut Reader) {
    let before = reader.caught_up;
    reader.read_until(|reader| reader.caught_up > before).await;
}

/// Reads until `enough`, and lets time pass when the source does nothing but wait for it.
async fn read_on(rig: &Rig, reader: &mut Reader, enough: impl Fn(&Reader) -> bool) {
    reader.read_until(|reader| !reader.versions.is_empty()).await;
    let request = rig.config().request_timeout;
    let only_waits = async || {
        let under_way = || rig.env.asleep(request) > rig.env.asleep(request - POLL);
        while under_way() || rig.env.asleep(Duration::from_secs(45)) == 0 {
            rig.env.change().await;
        }
    };
    let read = async {
        while !enough(reader) {
            tokio::select! {
                biased;
                () = reader.next(3) => {}
                () = only_waits() => rig.env.advance(Duration::from_secs(45)),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("what is read for comes");
}

fn seen(rig: &Rig, method: &str) -> Vec<SeenCall> {
    rig.auth.calls().into_iter().filter(|call| call.method == method).collect()
}

#[tokio::test]
async fn b1_b3_every_event_of_every_date_comes_once() {
    let cases: [(&str, &[(i64, usize)]); 3] = [
        ("empty", &[]),
        ("sparse", &[(6, 1), (2, 6)]),
        ("dense", &[(6, 500), (5, 100), (4, 100), (3, 100), (2, 98), (1, 98), (0, 100)]),
    ];
    for (name, case) in cases {
        for breaks in [None, Some(2)] {
            let rig = rig();
            rig.auth.set(|switches| switches.break_exports_after = breaks);
            let all: Vec<String> =
                case.iter().flat_map(|(days, count)| fill(&rig, *days, *count)).collect();
            let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY - 6 * DAY);
            read_all(&mut reader).await;
            assert_eq!(counts(&reader), once(all), "{name}, {breaks:?}");
            assert!(!reader.lanes.keys().any(|lane| chunk(lane).is_some()), "all have ended");
            assert!(dates(&reader).len() >= 3, "today and two before it");
            assert!(rig.auth.tally().exports_most_open <= 10, "{name}, {breaks:?}");
        }
    }
}

#[tokio::test]
async fn b1_chunks_that_are_added_are_found_also_on_a_past_date() {
    let rig = rig();
    let mut all = fill(&rig, 1, 7);
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY - DAY);
    read_all(&mut reader).await;
    for (round, days_ago) in [(1, 0), (2, 1), (3, 0)] {
        let name = format!("new-{round}");
        rig.auth.append([event(&name, TODAY - days_ago * DAY + 500, 0)]);
        all.push(name);
        reader.read_while_not_sleeping(3, POLL).await;
        rig.env.advance(POLL);
        read_all(&mut reader).await;
        assert_eq!(counts(&reader), once(all.clone()), "round {round}");
    }
}

#[tokio::test]
async fn b2_done_chunks_are_not_read_again_and_begun_ones_go_on_at_their_cursor() {
    let rig = rig();
    let all = fill(&rig, 0, 38);
    let mut config = rig.config();
    config.batch = 2;
    let mut reader = rig.exporting(config.clone(), vec![], vec![], TODAY);
    let enough = |r: &Reader| {
        r.closed.len() >= 2 && r.pages.last().is_some_and(|p| r.lanes.contains_key(&p.lane))
    };
    reader.read_until(enough).await;
    let lanes: Vec<(LaneId, Token)> =
        reader.lanes.iter().map(|(lane, token)| (lane.clone(), token.clone())).collect();
    let closed = reader.closed.clone();
    let mut came = counts(&reader);
    let done: BTreeSet<String> =
        closed.iter().filter_map(|(lane, _)| chunk(lane)).map(|(_, name)| name.into()).collect();
    assert!(lanes.iter().any(|(lane, _)| chunk(lane).is_some()), "some are begun");
    drop(reader);
    let calls = seen(&rig, "ExportUnstructuredEvents").len();

    // The start time counts no longer.
    let mut reader = rig.exporting(config, lanes, closed, TODAY + 900_000);
    read_all(&mut reader).await;
    for (name, count) in counts(&reader) {
        *came.entry(name).or_default() += count;
    }
    assert_eq!(came, once(all), "nothing is lost, and nothing comes twice");
    let later = seen(&rig, "ExportUnstructuredEvents").split_off(calls);
    let asked = |call: &SeenCall| call.request["chunk"].as_str().expect("a name").to_owned();
    assert!(later.iter().all(|call| !done.contains(&asked(call))));
    assert!(later.iter().any(|call| call.request["cursor"] != ""));
}

#[tokio::test]
async fn the_start_holds_to_the_second_and_types_hold() {
    let rig = rig();
    let noon = TODAY - DAY + DAY / 2;
    let at = |name: &str, second| event(name, second, 0);
    let mut other = at("other", noon + 5);
    let Some(text) = other.unstructured() else { panic!("it has a form") };
    let at_kind = text.windows(10).position(|part| part == b"test.event").expect("its type");
    let text = [&text[..at_kind], b"same.size!", &text[at_kind + 10..]].concat();
    other.unstructured = Unstructured::Message(text.into());
    rig.auth.append([
        at("midnight", TODAY - DAY),
        at("before", noon - 1),
        at("noon", noon),
        other,
        at("after", noon + 9),
        at("next day", TODAY + 1),
    ]);
    let mut config = rig.config();
    config.types = vec!["test.event".to_owned()];
    let mut reader = rig.exporting(config, vec![], vec![], noon);
    read_all(&mut reader).await;
    assert_eq!(counts(&reader), once(["noon", "after", "next day"].map(String::from)));
    assert_eq!(reader.pages.iter().flat_map(|page| &page.marks).count(), 2, "all are passed");
}

#[tokio::test]
async fn few_streams_are_open_at_once_and_none_is_left() {
    let rig = rig();
    // More than is under way at once, so that nothing is sent ahead of who reads.
    rig.auth.append((0..36).map(|n| padded(&n.to_string(), TODAY, n, 1 << 20)));
    let all: Vec<String> = (0..36).map(|n: i64| n.to_string()).collect();
    let mut config = rig.config();
    config.batch = 1;
    let mut reader = rig.exporting(config.clone(), vec![], vec![], TODAY);
    reader.read_until(|reader| reader.events.len() > 12).await;
    let tally = rig.auth.tally();
    assert!((2..=3).contains(&tally.exports_most_open), "{}", tally.exports_most_open);
    drop(reader);
    rig.auth.wait(|tally| tally.exports_open == 0).await;

    config.export_chunks = 1;
    let mut reader = rig.exporting(config, vec![], vec![], TODAY);
    read_all(&mut reader).await;
    assert_eq!(counts(&reader), once(all));
    rig.auth.wait(|tally| tally.exports_open == 0).await;
}

#[tokio::test]
async fn a_chunk_that_cannot_be_read_holds_up_no_other_and_no_date() {
    let rig = rig();
    let mut all = fill(&rig, 2, 25);
    all.extend(fill(&rig, 1, 8));
    all.extend(fill(&rig, 0, 3));
    let date = "2027-01-13";
    let bad: Vec<String> = (1..=3).map(|n| format!("{date}/{n:08}-part")).collect();
    rig.auth.set(|switches| switches.bad_chunks.clone_from(&bad));
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY - 2 * DAY);
    let wanted = all.len() - bad.len() * 4;
    read_on(&rig, &mut reader, |reader| reader.events.len() == wanted).await;
    assert!(has(&reader, "d0-2") && reader.caught_up == 0);
    assert_eq!(dates(&reader).len(), 3);

    rig.auth.set(|switches| switches.bad_chunks.clear());
    read_on(&rig, &mut reader, |reader| reader.caught_up > 0).await;
    assert_eq!(counts(&reader), once(all));
}

#[tokio::test]
async fn a_date_that_cannot_be_listed_holds_up_no_other() {
    let rig = rig();
    let mut all = fill(&rig, 3, 8);
    all.extend(fill(&rig, 1, 8));
    all.extend(fill(&rig, 0, 3));
    rig.auth.set(|switches| switches.bad_lists = vec!["2027-01-12".to_owned()]);
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY - 3 * DAY);
    // The names that come in front of the break are taken, one more with each attempt.
    read_on(&rig, &mut reader, |reader| has(reader, "d0-2")).await;
    assert!(has(&reader, "d1-7") && reader.caught_up == 0);
    assert!(dates(&reader).contains(&"2027-01-12".to_owned()), "it is looked at on and on");

    rig.auth.set(|switches| switches.bad_lists.clear());
    read_on(&rig, &mut reader, |reader| reader.caught_up > 0).await;
    assert_eq!(counts(&reader), once(all));
}

/// What was read to its last event, but not to its end, is in trouble, and ends without an event.
#[tokio::test]
async fn a_chunk_in_trouble_that_ends_empty_is_in_trouble_no_longer() {
    let rig = rig();
    let all = fill(&rig, 0, 25);
    let fault = CallFault {
        code: 13,
        count: Some(5),
        method: "ExportUnstructuredEvents".into(),
        message: "storage is slow".into(),
    };
    rig.auth.set(|switches| switches.fail.push(fault));
    let (date, from) = ("2027-01-15".to_owned(), TODAY);
    let cursor = format!("{}/00000000-part/5", TODAY / DAY);
    let place = ev_source::ExportPlace::Chunk {
        date: date.clone(),
        chunk: "00000000-part".into(),
        from,
        cursor,
    };
    let lanes = vec![ev_source::ExportPlace::Date { date, from }.to_lane(), place.to_lane()];
    // Only that chunk is there at first, or others would take the faults.
    let mut config = rig.config();
    (config.export_chunks, config.catch_up_lanes) = (1, 1);
    let mut reader = rig.exporting(config, lanes, vec![], TODAY);
    read_on(&rig, &mut reader, |reader| reader.caught_up > 0).await;
    assert_eq!(counts(&reader), once(all[5..].iter().cloned()));
    assert!(rig.auth.tally().exports_most_open <= 2);
}

/// Streams that nobody reads for lack of credit leave room for everything else.
#[tokio::test]
async fn streams_that_stand_still_starve_no_other_call() {
    const CHUNKS: usize = 10;
    let rig = rig();
    rig.auth.set(|switches| switches.export_chunk = 6);
    let events = (0..CHUNKS * 6).map(|n| padded(&n.to_string(), TODAY, 0, 600_000));
    rig.auth.append(events);
    let mut config = rig.config();
    (config.export_chunks, config.concurrency) = (CHUNKS, 1);
    let mut reader = rig.exporting(config, vec![], vec![], TODAY);
    reader.read_with(1, |reader| reader.lanes.len() == 1 + CHUNKS).await;
    // The first page of each chunk, and behind it as much as a stream may hold.
    let sent = |tally: &AuthTally| tally.methods["ExportUnstructuredEvents"].events >= 25;
    let filled = async {
        rig.auth.wait(|tally| tally.exports_open == CHUNKS as u64).await;
        rig.auth.wait(sent).await;
    };
    tokio::select! {
        () = reader.read_with(0, |_| false) => {}
        () = filled => {}
    }
    let locks = reader.source().locks();
    let (name, user) = ("lock".to_owned(), "user".to_owned());
    let (login, message) = (String::new(), String::new());
    let lock = UserLock { name, user, login, message, expires: None };
    let asked = async {
        for _ in 0..20 {
            locks.upsert(&lock).await.expect("there is room for an answer");
        }
    };
    tokio::select! {
        () = reader.read_with(0, |_| false) => {}
        () = asked => {}
    }
}

#[tokio::test]
async fn an_auth_without_export_is_asked_until_it_has_one() {
    let rig = rig();
    rig.auth.set(|switches| switches.offer_only(&[Api::Typed]));
    let all = fill(&rig, 0, 3);
    rig.env.wait_as_long_as_allowed();
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY);
    let asked = |tally: &AuthTally| {
        tally.methods.get("GetEventExportChunks").is_some_and(|method| method.errors == 1)
    };
    tokio::select! {
        () = reader.read_until(|_| false) => {}
        _ = rig.auth.wait(asked) => {}
    }
    reader.read_while_not(|env| env.asleep(Duration::from_secs(30)) > 0).await;
    assert_eq!(rig.calls("GetEventExportChunks"), 1);
    rig.auth.set(|switches| switches.offer_only(&[Api::Export]));
    rig.env.advance(Duration::from_secs(30));
    read_all(&mut reader).await;
    assert_eq!(counts(&reader), once(all));
}

#[tokio::test]
async fn an_auth_that_refuses_is_in_trouble_until_it_lists_again() {
    let rig = rig();
    fill(&rig, 0, 3);
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY);
    read_all(&mut reader).await;
    let presence = reader.source().presence();
    assert_eq!(presence.trouble(), None);
    let denied =
        CallFault { code: 7, method: "GetEventExportChunks".into(), ..CallFault::default() };
    rig.auth.set(|switches| switches.fail.push(denied));
    read_on(&rig, &mut reader, |_| presence.trouble().is_some()).await;
    rig.auth.set(|switches| switches.fail.clear());
    read_on(&rig, &mut reader, |_| presence.trouble().is_none()).await;
}

#[tokio::test]
async fn what_fails_is_asked_for_again_after_a_pause() {
    let rig = rig();
    let all = fill(&rig, 0, 3);
    let fault = |method: &str| CallFault {
        code: 13,
        count: Some(1),
        method: method.into(),
        message: "storage is slow".into(),
    };
    let faults = ["GetEventExportChunks", "ExportUnstructuredEvents"].map(fault);
    rig.auth.set(|switches| switches.fail.extend(faults));
    rig.env.wait_as_long_as_allowed();
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY);
    for method in ["GetEventExportChunks", "ExportUnstructuredEvents"] {
        let failed =
            |tally: &AuthTally| tally.methods.get(method).is_some_and(|method| method.errors == 1);
        tokio::select! {
            () = reader.read_until(|_| false) => {}
            _ = rig.auth.wait(failed) => {}
        }
        // At most 5.6 s the first time.
        reader.read_while_not(|env| env.asleep(Duration::from_millis(5_625)) > 0).await;
        rig.env.advance(Duration::from_millis(5_625));
    }
    read_all(&mut reader).await;
    assert_eq!(counts(&reader), once(all));
}

#[tokio::test]
async fn a_cut_connection_loses_and_repeats_nothing() {
    let rig = rig();
    let all = fill(&rig, 0, 60);
    let mut config = rig.config();
    config.batch = 3;
    let mut reader = rig.exporting(config, vec![], vec![], TODAY);
    for part in 1..6 {
        reader.read_until(|reader| reader.events.len() >= part * 9).await;
        rig.auth.drop_connections().await;
    }
    read_all(&mut reader).await;
    assert_eq!(counts(&reader), once(all));
}

#[tokio::test]
async fn a_very_large_event_is_read_and_one_beyond_all_bounds_holds_up_nothing() {
    let rig = rig();
    let mut config = rig.config();
    config.max_message_bytes = 1 << 20;
    rig.auth.set(|switches| switches.export_chunk = 2);
    rig.auth.append([event("a", TODAY, 0), padded("large", TODAY + 1, 0, 3 << 20)]);
    rig.auth.append([event("b", TODAY + 2, 0), padded("huge", TODAY + 3, 0, 9 << 20)]);
    rig.auth.append([event("c", TODAY + 4, 0)]);
    let mut reader = rig.exporting(config.clone(), vec![], vec![], TODAY);
    let open = |reader: &Reader| reader.lanes.keys().filter(|lane| chunk(lane).is_some()).count();
    read_on(&rig, &mut reader, |reader| reader.events.len() == 4 && open(reader) == 1).await;
    assert_eq!(counts(&reader), once(["a", "b", "c", "large"].map(String::from)));
}

/// Without cursors, each attempt brings the same events from the beginning.
#[tokio::test]
async fn a_chunk_that_brings_the_same_events_again_and_again_is_in_trouble() {
    let rig = rig();
    let mut config = rig.config();
    config.max_message_bytes = 1 << 20;
    rig.auth.set(|switches| {
        switches.omit_cursors = true;
        switches.export_chunk = 2;
    });
    // Beyond all bounds, behind one that is read each time.
    rig.auth.append([event("a", TODAY - DAY, 0), padded("huge", TODAY - DAY + 1, 0, 9 << 20)]);
    let all = fill(&rig, 0, 4);
    let calls = || seen(&rig, "ExportUnstructuredEvents").len();
    let mut reader = rig.exporting(config, vec![], vec![], TODAY - DAY);
    // Dates behind it are not opened before it is in trouble.
    read_on(&rig, &mut reader, |reader| has(reader, "d0-3")).await;
    let of_bad = counts(&reader)["a"];
    assert!(of_bad <= 6, "{of_bad} attempts");
    assert_eq!(counts(&reader).len(), all.len() + 1);
    // An hour with pauses of 45 s to 90 s has at most 80 attempts, and not one without a pause.
    let (before, begun) = (calls(), rig.env.now().seconds());
    read_on(&rig, &mut reader, |_| rig.env.now().seconds() >= begun + 3600).await;
    let made = calls() - before;
    assert!((10..=80).contains(&made), "{made}");

    rig.auth.set(|switches| switches.omit_cursors = false);
    let done = counts(&reader)["a"];
    read_on(&rig, &mut reader, |reader| counts(reader)["a"] > done).await;
}

#[tokio::test]
async fn a_cursor_that_auth_refuses_ends_nothing() {
    let rig = rig();
    let all = fill(&rig, 0, 4);
    let place = |chunk: &str, cursor: &str| {
        let (date, from) = ("2027-01-15".to_owned(), TODAY);
        let (chunk, cursor) = (chunk.to_owned(), cursor.to_owned());
        ev_source::ExportPlace::Chunk { date, chunk, from, cursor }.to_lane()
    };
    let date = ev_source::ExportPlace::Date { date: "2027-01-15".into(), from: TODAY }.to_lane();
    let lanes = vec![date, place("00000000-part", "not one of yours")];
    let mut reader = rig.exporting(rig.config(), lanes, vec![], TODAY);
    read_on(&rig, &mut reader, |reader| reader.caught_up > 0).await;
    assert_eq!(counts(&reader), once(all));
}

#[tokio::test]
async fn dates_come_and_go_with_the_days() {
    let rig = rig();
    let mut all = fill(&rig, 0, 6);
    let mut reader = rig.exporting(rig.config(), vec![], vec![], TODAY);
    read_all(&mut reader).await;
    assert_eq!(dates(&reader), ["2027-01-15"]);
    for day in 1..=4 {
        reader.read_while_not_sleeping(3, POLL).await;
        rig.env.advance(Duration::from_secs(86_400));
        all.extend(fill(&rig, -day, 6));
        let last = all.last().cloned().expect("some");
        reader.read_until(|reader| has(reader, &last)).await;
    }
    // The last look at a date that is left.
    reader.read_until(|reader| reader.retired.len() == 2).await;
    assert_eq!(dates(&reader), ["2027-01-17", "2027-01-18", "2027-01-19"]);
    assert_eq!(counts(&reader), once(all));
    assert!(
        reader.closed.iter().all(|(lane, _)| chunk(lane).is_some_and(|(d, _)| d >= "2027-01-17"))
    );
}
