//! Which files come of which lanes.

use std::collections::BTreeMap;

use ev_core::{SessionId, Token, Totals};
use ev_state::LaneFacts;

use super::*;

const BEGIN: i64 = 1_794_268_800;

fn window(start: i64, end: Option<i64>, key: &str, done: bool) -> LaneFacts {
    let place = SearchPlace::Window {
        start,
        end,
        asked_from: SearchPlace::reaching_to(start),
        types: Vec::new(),
        key: key.to_owned(),
        opened: None,
    };
    let (lane, token) = place.to_lane(Road::Typed);
    LaneFacts { lane, token, done, known: 0 }
}

fn recording(id: &str, index: i32, skip: u64) -> LaneFacts {
    let session = SessionId::try_new(id.as_bytes()).expect("a valid id");
    let (lane, token) = SearchPlace::Recording { session, index, skip }.to_lane(Road::Typed);
    LaneFacts { lane, token, done: false, known: 0 }
}

fn sink(lanes: Vec<LaneFacts>) -> SinkFacts {
    SinkFacts {
        name: "fluentd".to_owned(),
        start_time: Timestamp::new(BEGIN, 0),
        seen_version: None,
        totals: Totals::default(),
        lanes,
    }
}

#[test]
fn the_oldest_window_that_is_not_read_is_where_it_goes_on() {
    let lanes = vec![
        window(BEGIN, Some(BEGIN + 100), "old", true),
        window(BEGIN + 200, None, "live", false),
        window(BEGIN + 100, Some(BEGIN + 200), "k", false),
    ];
    let Exported { state, notes } = exported(&sink(lanes), None);
    let second = BEGIN + 98;
    let expected = State {
        start_time: Some(second),
        window_time: Some(second),
        cursor: Some("k".to_owned()),
        ..State::default()
    };
    assert_eq!((state, notes.len()), (expected, 0));
}

#[test]
fn a_start_time_that_is_set_stays() {
    let lanes = vec![window(BEGIN + 200, None, "k", false)];
    let Exported { state, notes } = exported(&sink(lanes), Some(BEGIN));
    assert_eq!((state.start_time, state.window_time), (Some(BEGIN), Some(BEGIN + 198)));
    assert!(notes[0].contains("may send what lies between"), "{notes:?}");
    // The first window begins there.
    let lanes = vec![window(BEGIN + 2, None, "", false)];
    let Exported { state, notes } = exported(&sink(lanes), Some(BEGIN));
    assert_eq!((state.start_time, state.window_time), (Some(BEGIN), Some(BEGIN)));
    assert_eq!((state.cursor, notes.len()), (None, 0));
}

#[test]
fn what_cannot_be_read_is_sent_again() {
    let mut unreadable = window(BEGIN + 50, None, "k", false);
    unreadable.token.format = 99;
    let rescan = LaneFacts {
        lane: LaneId::Window { start: BEGIN, pass: 1 },
        ..window(BEGIN, Some(BEGIN + 50), "", false)
    };
    let Exported { state, .. } = exported(&sink(vec![rescan, unreadable]), None);
    assert_eq!((state.window_time, state.cursor), (Some(BEGIN + 50), None));
    let done = window(BEGIN, Some(BEGIN + 50), "k", true);
    let Exported { state, .. } = exported(&sink(vec![done]), None);
    assert_eq!((state.window_time, state.cursor), (Some(BEGIN + 48), None), "all of it was read");
    let Exported { state, notes } = exported(&sink(Vec::new()), None);
    assert_eq!((state.start_time, state.window_time), (Some(BEGIN), None));
    assert_eq!(notes, ["nothing of the log was read yet"]);
}

fn export(place: ExportPlace, done: bool) -> LaneFacts {
    let (lane, token) = place.to_lane();
    LaneFacts { lane, token, done, known: 0 }
}

#[test]
fn dates_and_chunks_stand_as_they_are() {
    let date = |day: &str| ExportPlace::Date { date: day.to_owned(), from: BEGIN };
    let chunk = |day: &str, name: &str, cursor: &str| ExportPlace::Chunk {
        date: day.to_owned(),
        chunk: name.to_owned(),
        from: BEGIN,
        cursor: cursor.to_owned(),
    };
    let lanes = vec![
        export(date("2026-11-17"), false),
        export(chunk("2026-11-17", "a", "x"), true),
        export(chunk("2026-11-17", "b", "o20"), false),
        export(chunk("2026-11-17", "c", ""), false),
        export(date("2026-11-18"), false),
    ];
    let Exported { state, notes } = exported(&sink(lanes.clone()), None);
    let first = Chunks {
        completed: ["a".to_owned()].into(),
        partial: [("b".to_owned(), "o20".to_owned())].into(),
    };
    let day = |text| Date::parse(text).expect("a date");
    let dates = [(day("2026-11-17"), first), (day("2026-11-18"), Chunks::default())];
    let expected =
        State { start_time: Some(BEGIN), dates: dates.clone().into(), ..State::default() };
    assert_eq!((state, notes), (expected, Vec::new()));

    // Windows had not come so far when the export took over.
    let late = window(day("2026-11-15").start() + 100, None, "", false);
    let Exported { state, .. } = exported(&sink([lanes, vec![late]].concat()), None);
    let days: Vec<String> = state.dates.keys().map(Date::to_string).collect();
    assert_eq!(days, ["2026-11-15", "2026-11-16", "2026-11-17", "2026-11-18"]);
    assert_eq!(state.start_time, Some(BEGIN), "dates in front of it would be forgotten");
}

#[test]
fn recordings_go_on_at_their_index() {
    let mut unreadable = recording("c", 5, 0);
    unreadable.token = Token { format: 99, ..unreadable.token };
    let lanes = vec![recording("a", 25, 1), recording("b", 0, 7), unreadable];
    let Exported { state, .. } = exported(&sink(lanes), None);
    let sessions: BTreeMap<&str, u64> =
        state.sessions.iter().map(|(session, index)| (session.as_str(), *index)).collect();
    assert_eq!(sessions, BTreeMap::from([("a", 25), ("b", 0), ("c", 0)]));
}

#[test]
fn parked_events_are_told_of() {
    let mut parked = sink(Vec::new());
    parked.totals.parked = 3;
    let Exported { notes, .. } = exported(&parked, None);
    assert!(notes[1].starts_with("3 parked events stay"), "{notes:?}");
}
