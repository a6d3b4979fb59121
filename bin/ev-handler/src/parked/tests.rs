use std::io::Cursor;
use std::path::Path;

use bytes::Bytes;
use ev_core::{
    AuthVersion, Change, Claim, EventDigest, Form, LaneId, NewParked, ParkReason, SinkId,
    StateStore, Timestamp, Totals,
};
use ev_state::SqliteStore;

use super::by_hand::{DropArgs, RetryArgs};
use super::select::{Filter, Selection};
use super::*;
use crate::place::Place;

/// A login whose id holds what must not reach a terminal as it is.
const EVENT: &[u8] = b"\x0a\x11\x0a\x0f\x12\x05login\x1a\x06u\x1b[2Ju";

fn claim() -> Claim {
    Claim {
        sink: SinkId("fluentd".into()),
        cluster: "example".into(),
        flavour: None,
        start_time: Timestamp::EPOCH,
    }
}

fn event(byte: u8, reason: ParkReason, version: &str, bytes: Bytes) -> NewParked {
    NewParked {
        lane: LaneId::Window { start: 1_700_000_000, pass: 0 },
        digest: EventDigest([byte; 16]),
        form: Form::OneOf,
        bytes,
        version: AuthVersion::new(version),
        reason,
        detail: format!("reason {byte}\x1b[31m"),
        decoder: "native 13.3.8".to_owned(),
        at: Timestamp::new(1_700_000_100, 5),
    }
}

/// A storage directory with three parked events.
fn storage() -> tempfile::TempDir {
    let storage = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(storage.path()).expect("a new state");
    let epoch = store.open_sink(&claim()).expect("a new sink").epoch;
    let change = Change {
        park: vec![
            event(1, ParkReason::Unknown, "18.2.0", Bytes::from_static(EVENT)),
            event(2, ParkReason::Malformed, "18.2.0", Bytes::from_static(b"type-me-not")),
            event(3, ParkReason::Unknown, "17.0.0", Bytes::from_static(b"")),
        ],
        totals: Some(Totals { passed: 5, delivered: 2, parked: 3, ..Totals::default() }),
        ..Change::default()
    };
    store.commit(&claim().sink, epoch, &change).expect("there is room");
    storage
}

fn place(storage: &Path) -> Place {
    Place { storage: Some(storage.to_owned()) }
}

/// What a command answered, and what it wrote for programs and for people.
fn answer(
    said: &str,
    is_terminal: bool,
    run: impl FnOnce(&mut Console<'_>) -> Result<Exit>,
) -> (Result<Exit, String>, String, String) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let result = run(&mut Console {
        out: &mut out,
        errors: &mut errors,
        input: &mut Cursor::new(said),
        is_terminal,
    });
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (result.map_err(|error| format!("{error:#}")), text(out), text(errors))
}

fn totals(storage: &Path) -> (usize, Totals) {
    let store = SqliteStore::open(storage).expect("nobody has it");
    let parked = store.parked_facts(None, 100).expect("readable").len();
    (parked, store.open_sink(&claim()).expect("opens").totals)
}

fn drop_args(storage: &Path, ids: &[i64], yes: bool) -> DropArgs {
    let selection = Selection { ids: ids.to_vec(), all: ids.is_empty(), filter: Filter::default() };
    DropArgs { place: place(storage), selection, yes }
}

#[test]
fn drop_says_what_it_destroys_and_asks() {
    let storage = storage();
    for no in ["", "\n", "n\n", "no\n", "yep\n", "y e s\n"] {
        let args = drop_args(storage.path(), &[], false);
        let (result, out, told) =
            answer(no, true, |console| by_hand::drop_events(&args, &Beside::nothing(), console));
        assert_eq!(result, Ok(Exit::Failure), "{no:?}");
        assert_eq!(out, "nothing was dropped\n");
        assert!(told.contains("was never delivered: 3 events, 30 bytes."), "{told}");
        assert!(
            told.contains("unknown         login                     1 event, 19 bytes"),
            "{told}"
        );
        assert!(
            told.contains("malformed       of no known type          1 event, 11 bytes"),
            "{told}"
        );
        assert!(told.contains("parked export"), "{told}");
        assert!(told.ends_with("Drop them? [y/N] "), "{told}");
        assert_eq!(totals(storage.path()).0, 3, "{no:?}");
    }
    let args = drop_args(storage.path(), &[2, 1], false);
    let (result, out, _) =
        answer("y\n", true, |console| by_hand::drop_events(&args, &Beside::nothing(), console));
    assert_eq!(result, Ok(Exit::Success));
    assert_eq!(out, "dropped 2 events, 30 bytes\n");
    let (parked, totals) = totals(storage.path());
    assert_eq!((parked, totals.parked, totals.dropped, totals.passed), (1, 1, 2, 5));
    assert!(totals.balances());
}

#[test]
fn nobody_to_ask_is_no_yes() {
    let storage = storage();
    let args = drop_args(storage.path(), &[1], false);
    let (result, ..) =
        answer("y\n", false, |console| by_hand::drop_events(&args, &Beside::nothing(), console));
    let error = result.expect_err("there is nobody");
    assert!(error.contains("nothing was dropped") && error.contains("`--yes`"), "{error}");
    assert_eq!(totals(storage.path()).0, 3);
    let args = drop_args(storage.path(), &[1], true);
    let (result, out, told) =
        answer("", false, |console| by_hand::drop_events(&args, &Beside::nothing(), console));
    assert_eq!((result, out.as_str()), (Ok(Exit::Success), "dropped 1 event, 19 bytes\n"));
    assert!(
        told.contains("was never delivered: 1 event, 19 bytes.") && !told.contains("[y/N]"),
        "{told}"
    );
}

#[test]
fn numbers_that_are_not_there_are_named_and_nothing_is_done() {
    let storage = storage();
    let args = drop_args(storage.path(), &[1, 9, 7], true);
    let (result, ..) =
        answer("", false, |console| by_hand::drop_events(&args, &Beside::nothing(), console));
    let error = result.expect_err("two are not there");
    assert!(error.starts_with("there is no parked event 7, 9 in `"), "{error}");
    assert!(error.contains(&storage.path().display().to_string()), "{error}");
    assert_eq!(totals(storage.path()).0, 3);
    let selection = Selection { ids: vec![8], ..Selection::default() };
    let args = RetryArgs { place: place(storage.path()), selection };
    let (result, ..) =
        answer("", false, |console| by_hand::retry(&args, &Beside::nothing(), console));
    assert!(result.expect_err("is not there").starts_with("there is no parked event 8 in `"));
    let args = show::Args { place: place(storage.path()), id: 8, ..show::Args::default() };
    let (result, ..) = answer("", false, |console| show::run(&args, &Beside::nothing(), console));
    assert!(result.expect_err("is not there").starts_with("there is no parked event 8 in `"));
}

#[test]
fn it_has_to_be_said_which_events() {
    let storage = storage();
    let with = |selection| {
        let args = RetryArgs { place: place(storage.path()), selection };
        answer("", false, |console| by_hand::retry(&args, &Beside::nothing(), console))
    };
    let error = with(Selection::default()).0.expect_err("neither numbers nor all");
    assert!(error.contains("`--all`"), "{error}");
    let filter = Filter { versions: vec!["17.0.0".into()], ..Filter::default() };
    let both = Selection { ids: vec![1], all: false, filter: filter.clone() };
    let error = with(both).0.expect_err("which of the two");
    assert!(error.contains("`--reason`"), "{error}");
    let (result, out, _) = with(Selection { ids: Vec::new(), all: true, filter });
    assert_eq!(result, Ok(Exit::Success));
    assert_eq!(out, "to be tried again when the handler is started: 1 event\n");
    let store = SqliteStore::open(storage.path()).expect("nobody has it");
    let decoders: Vec<_> = store
        .parked_facts(None, 9)
        .expect("readable")
        .into_iter()
        .map(|facts| facts.decoder)
        .collect();
    assert_eq!(decoders, ["native 13.3.8", "native 13.3.8", ""]);
}

/// There is nothing that could be tried with a gap.
#[test]
fn gaps_are_not_tried_again() {
    let storage = storage();
    let store = SqliteStore::open(storage.path()).expect("nobody has it");
    let epoch = store.open_sink(&claim()).expect("opens").epoch;
    let park = vec![event(4, ParkReason::Gap, "18.2.0", Bytes::new())];
    store.commit(&claim().sink, epoch, &Change { park, ..Change::default() }).expect("commits");
    drop(store);
    for (ids, all, count) in [(vec![], true, "3 events"), (vec![4], false, "0 events")] {
        let selection = Selection { ids, all, filter: Filter::default() };
        let args = RetryArgs { place: place(storage.path()), selection };
        let (result, out, told) =
            answer("", false, |console| by_hand::retry(&args, &Beside::nothing(), console));
        assert_eq!(result, Ok(Exit::Success));
        assert_eq!(out, format!("to be tried again when the handler is started: {count}\n"));
        assert!(told.starts_with("left out: 1 gap;"), "{told}");
    }
}

#[test]
fn a_list_is_for_people_or_for_programs() {
    let storage = storage();
    let list = |filter: Filter, json| {
        let args = list::Args { place: place(storage.path()), filter, json };
        let (result, out, _) =
            answer("", false, |console| list::run(&args, &Beside::nothing(), console));
        assert_eq!(result, Ok(Exit::Success));
        out
    };
    let all = list(Filter::default(), false);
    let expected =
        "    ID  PARKED                TRIES  REASON          VERSION            BYTES  DETAIL
     1  2023-11-14T22:15:00Z      0  unknown         18.2.0                19  reason 1\\u{1b}[31m
     2  2023-11-14T22:15:00Z      0  malformed       18.2.0                11  reason 2\\u{1b}[31m
     3  2023-11-14T22:15:00Z      0  unknown         17.0.0                 0  reason 3\\u{1b}[31m

3 events, 30 bytes
  unknown         17.0.0          1 event, 0 bytes
  unknown         18.2.0          1 event, 19 bytes
  malformed       18.2.0          1 event, 11 bytes
";
    assert_eq!(all, expected);
    let some = Filter { reasons: vec![ParkReason::Unknown], versions: vec!["18.2.0".into()] };
    assert!(list(some.clone(), false).contains("\n1 event, 19 bytes\n"));
    let none = Filter { versions: vec!["1".into()], ..Filter::default() };
    assert!(list(none.clone(), false).starts_with("nothing is parked in `"));

    let parse = |text: String| -> serde_json::Value { serde_json::from_str(&text).expect("JSON") };
    let json = parse(list(Filter::default(), true));
    assert_eq!((&json["events"], &json["bytes"]), (&3.into(), &30.into()));
    assert_eq!(json["parked"][1]["id"], 2);
    assert_eq!(json["parked"][1]["parked"], "2023-11-14T22:15:00.000000005Z");
    assert_eq!(json["parked"][1]["lane"], "window/1700000000/0");
    assert_eq!(json["parked"][1]["detail"], "reason 2\u{1b}[31m", "JSON escapes for itself");
    assert_eq!(json["groups"].as_array().map(Vec::len), Some(3));
    let json = parse(list(some, true));
    assert_eq!((&json["events"], &json["groups"][0]["reason"]), (&1.into(), &"unknown".into()));
    let json = parse(list(none, true));
    assert_eq!((&json["events"], &json["parked"]), (&0.into(), &serde_json::json!([])));
}

#[test]
fn raw_bytes_are_shown_only_when_asked_for() {
    let storage = storage();
    let show = |id, raw, json| {
        let args = show::Args { place: place(storage.path()), id, raw, json };
        let (result, out, _) =
            answer("", false, |console| show::run(&args, &Beside::nothing(), console));
        assert_eq!(result, Ok(Exit::Success));
        out
    };
    let facts = show(1, None, false);
    for line in [
        "id               1\n",
        "type             login\n",
        "uid              u\\u{1b}[2Ju\n",
        "reason           unknown\n",
        "tried with       native 13.3.8\n",
        "last attempt     never\n",
        "came from        window/1700000000/0\n",
        "bytes            19\n",
        "digest of id     01010101010101010101010101010101\n",
    ] {
        assert!(facts.contains(line), "{line} is not in {facts}");
    }
    assert!(!facts.contains('\x1b'), "{facts:?}");
    let hidden = "type-me-not";
    for text in [show(2, None, false), show(2, None, true)] {
        assert!(!text.contains(hidden) && !text.contains("dHlwZS1tZS1ub3Q"), "{text}");
    }
    assert_eq!(show(2, Some(show::Raw::Base64), false), "dHlwZS1tZS1ub3Q=\n");
    assert_eq!(show(2, Some(show::Raw::Hex), false), "747970652d6d652d6e6f74\n");
    let json: serde_json::Value = serde_json::from_str(&show(1, None, true)).expect("JSON");
    assert_eq!((&json["type"], &json["oneof"]), (&"login".into(), &serde_json::Value::Null));
}
