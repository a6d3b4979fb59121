//! What every [`StateStore`] must do.
//!
//! What outlives the process (reopening, locks, file modes, damage) is each implementation's own
//! to test: these checks use one open store only.

mod groups;
mod ledger;
mod trouble;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    Advance, Attempt, AuthVersion, Change, Claim, Epoch, EventDigest, Flavour, Form, Known,
    KnownQuery, LaneId, LaneRow, NewParked, ParkReason, ParkedEvent, ParkedId, ParkedQuery,
    Reading, Road, SessionId, Settle, SignedArtifact, SinkId, Snapshot, StateError, StateStore,
    Timestamp, Token, Totals, UserLock,
};

/// Runs every check, each on a new, empty store.
///
/// # Panics
///
/// When a promise of [`StateStore`] is broken, naming it.
pub fn contract(mut open: impl FnMut() -> Box<dyn StateStore>) {
    for check in CHECKS {
        check(open().as_ref());
    }
}

const CHECKS: &[fn(&dyn StateStore)] = &[
    a_new_state_is_empty,
    the_claim_is_checked,
    the_flavour_is_fixed_by_the_first_claim,
    every_opening_fences_the_one_before,
    a_sink_must_be_open,
    tokens_come_back_as_they_were,
    known_ids_follow_the_resume_point,
    lanes_end_and_are_forgotten,
    settled_events_are_known_by_window,
    opening_a_lane_twice_keeps_its_resume_point,
    a_change_naming_a_missing_lane_writes_nothing,
    totals_version_and_road_are_replaced_whole,
    locks_stay_until_they_are_set,
    parked_events_come_back_whole_and_in_order,
    parking_twice_is_one_row,
    parked_reads_are_bounded,
    attempts_are_counted,
    a_change_is_applied_in_order,
    sinks_do_not_see_each_other,
    artifacts_are_replaced,
    the_highest_version_is_replaced,
    groups::events_are_counted_by_group,
    groups::sinks_have_their_own_groups,
    groups::parked_bytes_are_summed,
    ledger::hours_come_back_in_order,
    ledger::a_row_replaces_the_one_before,
    ledger::sessions_are_found_by_their_id,
    ledger::it_changes_with_the_rest_or_not_at_all,
    ledger::each_sink_has_its_own,
    trouble::recordings_in_trouble_are_kept,
];

/// A claim for the sink `name` of cluster `example` that starts at 1,700,000,000.
pub fn claim(name: &str) -> Claim {
    Claim {
        sink: SinkId(name.to_owned()),
        cluster: "example".to_owned(),
        flavour: None,
        start_time: Timestamp::new(1_700_000_000, 0),
    }
}

/// The window lane that starts at `start`.
pub fn window(start: i64) -> LaneId {
    LaneId::Window { start, pass: 0 }
}

/// A token of the typed road with these bytes.
pub fn token(bytes: &str) -> Token {
    Token { road: Road::Typed, format: 1, bytes: Bytes::copy_from_slice(bytes.as_bytes()) }
}

/// A digest of sixteen equal bytes.
pub fn digest(byte: u8) -> EventDigest {
    EventDigest([byte; 16])
}

/// An event parked from `lane` whose digest is [`digest`] of `byte`.
pub fn parked(lane: &LaneId, byte: u8) -> NewParked {
    NewParked {
        lane: lane.clone(),
        digest: digest(byte),
        form: Form::OneOf,
        bytes: Bytes::from(vec![byte, 0, 255, byte]),
        version: AuthVersion::new("18.0.0-dev"),
        reason: ParkReason::Unknown,
        detail: "field 7 is not in the schema".to_owned(),
        decoder: "native 13.3.8".to_owned(),
        at: Timestamp::new(1_700_000_100, 123_456_789),
    }
}

/// A query for everything.
pub fn everything() -> ParkedQuery {
    ParkedQuery { after: None, limit: usize::MAX, max_bytes: usize::MAX }
}

/// A snapshot with everything whose order is left open put into one order, so that two snapshots
/// can be compared. The epoch is left as it is; the ledger's secret, which each state has made for
/// itself, is left out.
pub fn normalised(mut snapshot: Snapshot) -> Snapshot {
    snapshot.ledger_key = [0; 16];
    snapshot.lanes.sort_by(|a, b| a.lane.cmp(&b.lane));
    for lane in &mut snapshot.lanes {
        lane.recent = as_set(&lane.recent).into_iter().collect();
    }
    snapshot
}

fn as_set(digests: &[EventDigest]) -> BTreeSet<EventDigest> {
    digests.iter().copied().collect()
}

fn set(bytes: &[u8]) -> BTreeSet<EventDigest> {
    bytes.iter().copied().map(digest).collect()
}

/// The sink that most checks use, and how to talk to it.
struct Opened<'a> {
    store: &'a dyn StateStore,
    sink: SinkId,
    epoch: Epoch,
}

impl<'a> Opened<'a> {
    fn new(store: &'a dyn StateStore) -> Self {
        Self::named(store, "main")
    }

    fn named(store: &'a dyn StateStore, name: &str) -> Self {
        let snapshot = store.open_sink(&claim(name)).expect("a matching claim opens");
        Self { store, sink: SinkId(name.to_owned()), epoch: snapshot.epoch }
    }

    fn commit(&self, change: &Change) {
        self.store.commit(&self.sink, self.epoch, change).expect("a commit of our epoch succeeds");
    }

    fn refused(&self, change: &Change) -> StateError {
        self.store.commit(&self.sink, self.epoch, change).expect_err("this change is refused")
    }

    /// What a restart would find. Takes the lease again.
    fn restart(&mut self) -> Snapshot {
        let snapshot = self.store.open_sink(&claim(&self.sink.0)).expect("opening again succeeds");
        self.epoch = snapshot.epoch;
        snapshot
    }

    fn lane(&mut self, lane: &LaneId) -> LaneRow {
        let snapshot = self.restart();
        let row = snapshot.lanes.into_iter().find(|row| row.lane == *lane);
        row.expect("the lane is in the snapshot")
    }

    /// Those of the digests that are known.
    fn known(&self, window: Option<i64>, neighbours: &[i64], of: &[u8]) -> Vec<u8> {
        self.look_up(window, neighbours, &[], of)
    }

    fn look_up(
        &self,
        window: Option<i64>,
        neighbours: &[i64],
        others: &[LaneId],
        of: &[u8],
    ) -> Vec<u8> {
        let digests = of.iter().copied().map(digest).collect();
        let (neighbours, others) = (neighbours.to_vec(), others.to_vec());
        let query = KnownQuery { window, neighbours, others, digests, page: 0 };
        let found = self.store.known(&self.sink, &query).expect("ids can be looked for");
        assert_eq!(found.known.len(), of.len(), "an answer for each");
        of.iter().zip(found.known).filter(|(_, known)| *known).map(|(byte, _)| *byte).collect()
    }

    fn parked(&self) -> Vec<ParkedEvent> {
        self.store.parked(&self.sink, &everything()).expect("parked events can be read")
    }
}

fn a_new_state_is_empty(store: &dyn StateStore) {
    let mut asked = claim("main");
    asked.start_time = Timestamp::new(1_700_000_000, 999_999_999);
    let snapshot = store.open_sink(&asked).expect("an empty state opens");
    assert!(snapshot.lanes.is_empty(), "a new state has no lanes");
    assert_eq!(snapshot.totals, Totals::default(), "a new state has counted nothing");
    assert_eq!(snapshot.seen_version, None, "a new state has seen no version");
    assert_eq!(snapshot.flavour, Flavour::Go, "without a wish a new state is `go`");
    let start = Timestamp::new(1_700_000_000, 0);
    assert_eq!(snapshot.start_time, start, "the start time is cut to whole seconds");
    asked.start_time = Timestamp::new(1_800_000_000, 0);
    let again = store.open_sink(&asked).expect("opens again");
    assert_eq!(again.start_time, start, "the start time is fixed when the state is made");
    let none = store.parked(&asked.sink, &everything()).expect("parked events can be read");
    assert!(none.is_empty(), "nothing is parked in a new state");
}

fn the_claim_is_checked(store: &dyn StateStore) {
    let opened = Opened::new(store);
    for name in ["main", "another sink"] {
        let mut other = claim(name);
        other.cluster = "elsewhere".to_owned();
        let error = store.open_sink(&other).expect_err("a state of another cluster is refused");
        assert!(matches!(error, StateError::Mismatch { .. }), "not a mismatch: {error:?}");
        let text = error.to_string();
        assert!(text.contains("example") && text.contains("elsewhere"), "names both: {text}");
    }
    // A refused claim takes no lease.
    opened.commit(&Change::default());
}

fn the_flavour_is_fixed_by_the_first_claim(store: &dyn StateStore) {
    let mut asked = claim("main");
    asked.flavour = Some(Flavour::Struct);
    let snapshot = store.open_sink(&asked).expect("opens");
    assert_eq!(snapshot.flavour, Flavour::Struct, "a new state takes the flavour asked for");
    asked.flavour = None;
    let snapshot = store.open_sink(&asked).expect("opens");
    assert_eq!(snapshot.flavour, Flavour::Struct, "without a wish the state's flavour holds");
    asked.flavour = Some(Flavour::Go);
    let error = store.open_sink(&asked).expect_err("another flavour is refused");
    assert!(matches!(error, StateError::Mismatch { .. }), "not a mismatch: {error:?}");
    store
        .commit(&asked.sink, snapshot.epoch, &Change::default())
        .expect("a refused claim takes no lease");
}

fn every_opening_fences_the_one_before(store: &dyn StateStore) {
    let first = Opened::new(store);
    let mut second = Opened::new(store);
    assert!(second.epoch > first.epoch, "every opening has a higher epoch");
    let change = Change {
        open: vec![(window(0), token("stale"))],
        park: vec![parked(&window(0), 1)],
        totals: Some(Totals { passed: 1, parked: 1, ..Totals::default() }),
        seen_version: Some(AuthVersion::new("1")),
        ..Change::default()
    };
    let StateError::Fenced { ours, newest } = first.refused(&change) else {
        panic!("a stale epoch is refused as such");
    };
    assert_eq!((ours, newest), (first.epoch.0, second.epoch.0), "the error names both epochs");
    let ahead = Opened { store, sink: first.sink.clone(), epoch: Epoch(second.epoch.0 + 1) };
    let error = ahead.refused(&change);
    assert!(matches!(error, StateError::Fenced { .. }), "an epoch nobody holds: {error:?}");
    assert!(second.parked().is_empty(), "a fenced commit parks nothing");
    second.commit(&Change::default());
    let snapshot = second.restart();
    assert!(snapshot.lanes.is_empty(), "a fenced commit opens no lane");
    assert_eq!(snapshot.totals, Totals::default(), "a fenced commit counts nothing");
    assert_eq!(snapshot.seen_version, None, "a fenced commit keeps no version");
}

fn a_sink_must_be_open(store: &dyn StateStore) {
    let nobody = Opened { store, sink: SinkId("nobody".to_owned()), epoch: Epoch(1) };
    let error = nobody.refused(&Change::default());
    assert!(matches!(error, StateError::Refused { .. }), "trying again cannot help: {error:?}");
    assert!(nobody.parked().is_empty(), "a sink nobody opened has parked nothing");
}

fn tokens_come_back_as_they_were(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let session = SessionId::try_new(b"1b4ef158-039f-47cc-d49f-0a64b0da7b7e").expect("valid");
    let any_bytes: Vec<u8> = (0..=255).collect();
    let tokens = [
        (window(-5), Token { road: Road::Typed, format: 0, bytes: Bytes::new() }),
        (
            LaneId::Window { start: -5, pass: 1 },
            Token { road: Road::Unstructured, format: 255, bytes: any_bytes.into() },
        ),
        (LaneId::Chunk { date: "2026-11-18".into(), chunk: "a/b".into() }, token("chunk")),
        (LaneId::Session(session), Token { road: Road::Export, format: 7, bytes: "\0".into() }),
    ];
    opened.commit(&Change { open: tokens.to_vec(), ..Change::default() });
    let rows = opened.restart().lanes;
    assert_eq!(rows.len(), tokens.len(), "every lane comes back once");
    for (lane, token) in &tokens {
        let row = opened.lane(lane);
        assert_eq!(row.token, *token, "the token of `{lane}` is opaque");
        assert_eq!((row.page, row.done), (0, false), "a new lane stands at its first page");
        assert!(row.recent.is_empty(), "a new lane has settled nothing");
    }
    let moved = Token { road: Road::Export, format: 9, bytes: "moved".into() };
    let page = 1 << 40;
    let advance = Advance { lane: window(-5), token: moved.clone(), page };
    opened.commit(&Change { advance: vec![advance], ..Change::default() });
    let row = opened.lane(&window(-5));
    assert_eq!((row.token, row.page), (moved, page), "advancing moves token and page");
}

fn known_ids_follow_the_resume_point(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let lane = window(0);
    let settle = |page, inner: &[u8], border: &[u8]| Settle {
        lane: lane.clone(),
        page,
        inner: inner.iter().copied().map(digest).collect(),
        border: border.iter().copied().map(digest).collect(),
    };
    opened.commit(&Change {
        open: vec![(lane.clone(), token("start"))],
        settle: vec![settle(0, &[1, 2], &[3]), settle(1, &[4], &[5])],
        ..Change::default()
    });
    opened.commit(&Change { settle: vec![settle(1, &[6], &[])], ..Change::default() });
    let row = opened.lane(&lane);
    assert_eq!(as_set(&row.recent), set(&[1, 2, 3, 4, 5, 6]), "all behind the resume point");

    // Pages may be settled before the resume point reaches them, and while it passes them.
    opened.commit(&Change {
        settle: vec![settle(2, &[7], &[8])],
        advance: vec![Advance { lane: lane.clone(), token: token("page 1"), page: 1 }],
        ..Change::default()
    });
    let row = opened.lane(&lane);
    assert_eq!(as_set(&row.recent), set(&[4, 5, 6, 7, 8]), "pages before the point drop out");
    let all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(opened.known(Some(0), &[], &all), [1, 2, 3, 4, 5, 6, 7, 8], "of a window all");

    // A lane may be restarted further back: what it settled there is still known.
    let back = Advance { lane: lane.clone(), token: token("start"), page: 0 };
    opened.commit(&Change { advance: vec![back], ..Change::default() });
    let row = opened.lane(&lane);
    assert_eq!(as_set(&row.recent), set(&[1, 2, 3, 4, 5, 6, 7, 8]), "nothing was deleted");
}

fn lanes_end_and_are_forgotten(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let settle =
        Settle { lane: window(0), page: 0, inner: vec![digest(1)], border: vec![digest(2)] };
    opened.commit(&Change {
        open: vec![(window(0), token("a")), (window(60), token("b"))],
        settle: vec![settle],
        ..Change::default()
    });
    opened.commit(&Change {
        done: vec![window(0)],
        park: vec![parked(&window(0), 9)],
        ..Change::default()
    });
    let row = opened.lane(&window(0));
    assert!(row.done, "a lane that ended stays, marked");
    assert_eq!(opened.known(None, &[0], &[1, 2, 3]), [2], "its border ids are still known");
    assert!(!opened.lane(&window(60)).done, "its neighbour goes on");
    let unknown = window(12_345);
    opened.commit(&Change { forget: vec![window(0), unknown], ..Change::default() });
    let lanes = opened.restart().lanes;
    assert_eq!(lanes.len(), 1, "a forgotten lane is gone, its neighbour is not");
    assert_eq!(opened.parked().len(), 1, "what it parked outlives it");
    opened.commit(&Change { open: vec![(window(0), token("again"))], ..Change::default() });
    let row = opened.lane(&window(0));
    assert!(!row.done && row.recent.is_empty(), "it begins afresh");
    assert_eq!(opened.known(Some(0), &[0], &[1, 2]), [0u8; 0], "and knows nothing");
}

fn settled_events_are_known_by_window(store: &dyn StateStore) {
    let opened = Opened::new(store);
    let rescan = LaneId::Window { start: 0, pass: 2 };
    let settle = |lane: &LaneId, page, inner: &[u8], border: &[u8]| Settle {
        lane: lane.clone(),
        page,
        inner: inner.iter().copied().map(digest).collect(),
        border: border.iter().copied().map(digest).collect(),
    };
    let session = LaneId::Session(SessionId::try_new(b"s-1").expect("a valid id"));
    // Names that begin alike.
    let others = [window(-60), window(60), window(600), window(6), session];
    let mut open = vec![(window(0), token("a")), (rescan.clone(), token("b"))];
    open.extend(others.iter().map(|lane| (lane.clone(), token("c"))));
    let mut rows: Vec<Settle> =
        (0..40u8).map(|n| settle(&window(0), u64::from(n), &[n], &[n + 50])).collect();
    rows.push(settle(&rescan, 0, &[100], &[101]));
    for (lane, n) in others.iter().zip([110, 120, 130, 140, 150]) {
        rows.push(settle(lane, 7, &[n], &[n + 1]));
    }
    opened.commit(&Change { open, settle: rows, ..Change::default() });

    let all: Vec<u8> = (0..200).collect();
    let first: Vec<u8> = (0..40).chain(50..90).collect();
    let with = |more: &[u8]| [&first[..], more].concat();
    assert_eq!(opened.known(Some(0), &[], &all), with(&[100, 101]), "every pass of the window");
    let near = opened.known(Some(0), &[-60, 60], &all);
    assert_eq!(near, with(&[100, 101, 111, 121]), "of neighbours those near the borders");
    assert_eq!(opened.known(None, &[6], &all), [141]);
    assert_eq!(
        opened.known(Some(7), &[8], &all),
        [0u8; 0],
        "windows that are not there know nothing"
    );

    let lanes = [others[4].clone(), window(600), window(5)];
    assert_eq!(opened.look_up(None, &[], &lanes, &all), [130, 131, 150, 151], "all of other lanes");
    let near = opened.look_up(Some(60), &[600], &lanes, &all);
    assert_eq!(near, [120, 121, 130, 131, 150, 151], "whatever else they are");
    assert_eq!(opened.look_up(None, &[], &[rescan], &all), [100, 101], "and of no other pass");
    let other = SinkId("other".to_owned());
    let query = KnownQuery {
        window: Some(0),
        neighbours: vec![60],
        others: Vec::new(),
        digests: vec![digest(30), digest(30), digest(99), digest(121)],
        page: 0,
    };
    let found = store.known(&other, &query).expect("readable");
    assert_eq!(found.known, [false; 4], "each sink has its own");
    for page in [0, 1, 29, 30, 31, 39, 40, 1 << 40] {
        let query = KnownQuery { page, ..query.clone() };
        let found = store.known(&opened.sink, &query).expect("readable");
        assert_eq!(found.known, [true, true, false, true], "wherever the search begins ({page})");
        assert_eq!(found.page, 30, "where something was found first");
    }
    let none = KnownQuery { digests: vec![digest(99)], page: 5, ..query };
    let found = store.known(&opened.sink, &none).expect("readable");
    assert_eq!(found, Known { known: vec![false], page: 5 });
}

fn opening_a_lane_twice_keeps_its_resume_point(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let lane = window(0);
    opened.commit(&Change {
        open: vec![(lane.clone(), token("first"))],
        advance: vec![Advance { lane: lane.clone(), token: token("moved"), page: 3 }],
        ..Change::default()
    });
    opened.commit(&Change { open: vec![(lane.clone(), token("second"))], ..Change::default() });
    let row = opened.lane(&lane);
    assert_eq!((row.token, row.page), (token("moved"), 3), "opening again does not move it");
}

fn a_change_naming_a_missing_lane_writes_nothing(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    opened.commit(&Change { open: vec![(window(0), token("a"))], ..Change::default() });
    let good = Change {
        open: vec![(window(60), token("b"))],
        advance: vec![Advance { lane: window(0), token: token("moved"), page: 1 }],
        park: vec![parked(&window(0), 1)],
        totals: Some(Totals { passed: 1, parked: 1, ..Totals::default() }),
        ..Change::default()
    };
    let missing = window(99);
    let settle =
        Settle { lane: missing.clone(), page: 0, inner: vec![digest(1)], border: Vec::new() };
    let advance = Advance { lane: missing.clone(), token: token("x"), page: 1 };
    let mut by_advance = good.clone();
    by_advance.advance.push(advance);
    for bad in [
        Change { settle: vec![settle], ..good.clone() },
        by_advance,
        Change { done: vec![missing.clone()], ..good.clone() },
    ] {
        let error = opened.refused(&bad);
        assert!(matches!(error, StateError::Refused { .. }), "trying again cannot help: {error:?}");
        assert!(error.to_string().contains(&missing.to_string()), "names the lane: {error}");
        assert_eq!(opened.lane(&window(0)).token, token("a"), "the resume point stands");
        let snapshot = opened.restart();
        assert_eq!(snapshot.lanes.len(), 1, "no lane was opened");
        assert_eq!(snapshot.totals, Totals::default(), "nothing was counted");
        assert!(opened.parked().is_empty(), "nothing was parked");
    }
}

fn totals_version_and_road_are_replaced_whole(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let totals = Totals {
        passed: 101,
        delivered: 2,
        filtered: 3,
        parked: 5,
        resolved: 7,
        dropped: 11,
        given_up: 13,
        by_native: 17,
        by_table: 19,
        by_module: 23,
        inexact: 29,
        sessions: 1 << 40,
    };
    opened.commit(&Change {
        totals: Some(totals),
        seen_version: Some(AuthVersion::new("18.0.0-dev")),
        ..Change::default()
    });
    assert_eq!(opened.restart().reading, None);
    let reading = |road, since_seconds| Some(Reading { road, since_seconds });
    for reading in [reading(Road::Typed, 7), reading(Road::Export, -5)] {
        opened.commit(&Change { reading, ..Change::default() });
        opened.commit(&Change::default());
        assert_eq!(opened.restart().reading, reading);
    }
    let snapshot = opened.restart();
    assert_eq!(snapshot.totals, totals, "an empty change leaves the totals");
    assert_eq!(snapshot.seen_version, Some(AuthVersion::new("18.0.0-dev")));
    let fewer = Totals { passed: 1, delivered: 1, ..Totals::default() };
    opened.commit(&Change { totals: Some(fewer), ..Change::default() });
    assert_eq!(opened.restart().totals, fewer, "totals are set, not added");
}

fn locks_stay_until_they_are_set(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let lock = |name: &str, expires| UserLock {
        name: name.to_owned(),
        user: "alice".to_owned(),
        login: "root".to_owned(),
        message: "locked".to_owned(),
        expires,
    };
    let at = |seconds| Some(Timestamp::new(seconds, 5));
    let (a, b, c) = (lock("a", None), lock("b", at(1)), lock("c", at(-7)));
    opened.commit(&Change { lock: vec![c.clone(), a.clone(), b], ..Change::default() });
    let later = lock("b", at(9));
    let locked = vec!["c".to_owned(), "nobody".to_owned()];
    opened.commit(&Change { lock: vec![later.clone()], locked, ..Change::default() });
    assert_eq!(opened.restart().due_locks, [a, later], "the later one of a name, in order");
    let mut other = Opened::named(store, "other");
    assert_eq!(other.restart().due_locks, []);
    let locked = ["a", "b", "c"].map(str::to_owned).to_vec();
    opened.commit(&Change { lock: vec![c], locked, ..Change::default() });
    assert_eq!(opened.restart().due_locks, []);
}

fn parked_events_come_back_whole_and_in_order(store: &dyn StateStore) {
    let opened = Opened::new(store);
    let session = LaneId::Session(SessionId::try_new(b"abc").expect("valid"));
    let mut events = Vec::new();
    for (byte, reason) in (1..).zip(ParkReason::ALL) {
        let mut event = parked(&window(0), byte);
        event.reason = reason;
        events.push(event);
    }
    let mut odd = parked(&session, 200);
    odd.form = Form::Unstructured;
    odd.bytes = Bytes::new();
    odd.at = Timestamp::new(-1, 1);
    odd.detail = "\u{fffd}\0 text".to_owned();
    odd.decoder = String::new();
    events.push(odd);
    // The lane need not be there: parked events outlive their lanes.
    opened.commit(&Change { park: events.clone(), ..Change::default() });
    let found = opened.parked();
    assert!(found.is_sorted_by_key(|row| row.id), "rows come in the order of their ids");
    assert!(found.iter().all(|row| row.attempts == 0 && row.last_attempt.is_none()));
    let found: Vec<_> = found.into_iter().map(|row| row.event).collect();
    assert_eq!(found, events, "as parked, in the order in which they were parked");
}

fn parking_twice_is_one_row(store: &dyn StateStore) {
    let opened = Opened::new(store);
    let first = parked(&window(0), 1);
    let mut again = first.clone();
    again.detail = "the second time".to_owned();
    let other_lane = parked(&window(60), 1);
    let park = vec![first.clone(), again.clone(), other_lane.clone()];
    opened.commit(&Change { park, ..Change::default() });
    opened.commit(&Change { park: vec![again.clone()], ..Change::default() });
    let events =
        |rows: Vec<ParkedEvent>| -> Vec<_> { rows.into_iter().map(|row| row.event).collect() };
    assert_eq!(events(opened.parked()), [first, other_lane], "same lane and digest: one row");
    let ids: Vec<_> = opened.parked().iter().map(|row| row.id).collect();
    opened.commit(&Change { resolve: ids.clone(), ..Change::default() });
    assert!(opened.parked().is_empty(), "delivered events are parked no more");
    opened.commit(&Change { park: vec![again.clone()], ..Change::default() });
    let rows = opened.parked();
    assert!(ids.iter().all(|id| *id < rows[0].id), "the number of a row is never used again");
    assert_eq!(events(rows), [again], "after that it may be parked anew");
}

fn parked_reads_are_bounded(store: &dyn StateStore) {
    let opened = Opened::new(store);
    // Four bytes each.
    let park = (1..=5).map(|byte| parked(&window(0), byte)).collect();
    opened.commit(&Change { park, ..Change::default() });
    let all: Vec<_> = opened.parked().iter().map(|row| row.id).collect();
    let read = |after: Option<ParkedId>, limit, max_bytes| -> Vec<ParkedId> {
        let query = ParkedQuery { after, limit, max_bytes };
        let rows = store.parked(&opened.sink, &query).expect("parked events can be read");
        rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(all.len(), 5);
    assert_eq!(read(None, 2, usize::MAX), all[..2], "at most `limit` rows");
    assert_eq!(read(None, 0, usize::MAX), [], "none, if none is asked for");
    assert_eq!(read(Some(all[1]), 2, usize::MAX), all[2..4], "rows behind `after`");
    assert_eq!(read(Some(all[4]), 2, usize::MAX), [], "nothing behind the last");
    assert_eq!(read(None, 9, 8), all[..2], "exactly the bytes allowed");
    assert_eq!(read(None, 9, 11), all[..2], "stops before there are more bytes than allowed");
    assert_eq!(read(Some(all[0]), 9, 0), all[1..2], "the first event always comes");
    // A row that is gone leaves a hole, no more.
    opened.commit(&Change { resolve: vec![all[1]], ..Change::default() });
    assert_eq!(read(Some(all[0]), 2, usize::MAX), all[2..4], "steps over what is gone");
}

fn attempts_are_counted(store: &dyn StateStore) {
    let opened = Opened::new(store);
    let event = parked(&window(0), 1);
    opened
        .commit(&Change { park: vec![event.clone(), parked(&window(0), 2)], ..Change::default() });
    let id = opened.parked()[0].id;
    let attempt = |seconds| Attempt {
        id,
        reason: ParkReason::Refused,
        detail: format!("at {seconds}"),
        decoder: "module 18.0.0-dev".to_owned(),
        at: Timestamp::new(seconds, 5),
    };
    opened.commit(&Change { attempt: vec![attempt(10), attempt(20)], ..Change::default() });
    opened.commit(&Change { attempt: vec![attempt(30)], ..Change::default() });
    let rows = opened.parked();
    assert_eq!(rows[0].attempts, 3, "every attempt counts");
    assert_eq!(rows[0].last_attempt, Some(Timestamp::new(30, 5)), "the last one's time");
    let expected = NewParked {
        reason: ParkReason::Refused,
        detail: "at 30".to_owned(),
        decoder: "module 18.0.0-dev".to_owned(),
        ..event
    };
    assert_eq!(rows[0].event, expected, "the last reason; everything else as it was parked");
    assert_eq!(rows[1].attempts, 0, "other rows are left alone");
    let gone = Attempt { id: ParkedId(i64::MAX), ..attempt(40) };
    opened.commit(&Change {
        attempt: vec![gone],
        resolve: vec![ParkedId(i64::MAX - 1)],
        ..Change::default()
    });
    assert_eq!(opened.parked(), rows, "rows that are gone are passed over");
}

fn a_change_is_applied_in_order(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let lane = window(0);
    let settle =
        Settle { lane: lane.clone(), page: 0, inner: vec![digest(1)], border: vec![digest(2)] };
    opened.commit(&Change {
        open: vec![(lane.clone(), token("start"))],
        settle: vec![settle],
        advance: vec![
            Advance { lane: lane.clone(), token: token("one"), page: 1 },
            Advance { lane: lane.clone(), token: token("two"), page: 2 },
        ],
        done: vec![lane.clone()],
        ..Change::default()
    });
    let row = opened.lane(&lane);
    assert_eq!((&row.token, row.page, row.done), (&token("two"), 2, true), "the last one counts");
    assert!(row.recent.is_empty(), "page 0 is behind the point");
    assert_eq!(opened.known(Some(0), &[], &[1, 2, 3]), [1, 2]);
    opened.commit(&Change {
        open: vec![(window(60), token("x"))],
        done: vec![window(60)],
        forget: vec![window(60)],
        ..Change::default()
    });
    assert_eq!(opened.restart().lanes.len(), 1, "a lane may come and go in one change");
}

fn sinks_do_not_see_each_other(store: &dyn StateStore) {
    let mut first = Opened::named(store, "first");
    let mut second = Opened::named(store, "second");
    let change = |name: &str, count| Change {
        open: vec![(window(0), token(name))],
        settle: vec![Settle {
            lane: window(0),
            page: 0,
            inner: vec![digest(count)],
            border: Vec::new(),
        }],
        park: vec![parked(&window(0), count)],
        totals: Some(Totals { passed: count.into(), ..Totals::default() }),
        seen_version: Some(AuthVersion::new(name)),
        ..Change::default()
    };
    first.commit(&change("first", 1));
    second.commit(&change("second", 2));
    for (opened, name, count) in [(&mut first, "first", 1), (&mut second, "second", 2)] {
        let row = opened.lane(&window(0));
        assert_eq!(row.token, token(name), "each sink has its own lanes");
        assert_eq!(as_set(&row.recent), set(&[count]), "and its own known ids");
        let snapshot = opened.restart();
        assert_eq!(snapshot.totals.passed, u64::from(count), "and its own totals");
        assert_eq!(snapshot.seen_version, Some(AuthVersion::new(name)), "and version");
        let digests: Vec<_> = opened.parked().iter().map(|row| row.event.digest).collect();
        assert_eq!(digests, [digest(count)], "and parked events");
    }
    let theirs = second.parked()[0].clone();
    let attempt = Attempt {
        id: theirs.id,
        reason: ParkReason::Refused,
        detail: String::new(),
        decoder: String::new(),
        at: Timestamp::EPOCH,
    };
    first.commit(&Change {
        attempt: vec![attempt],
        resolve: vec![theirs.id],
        forget: vec![window(0)],
        ..Change::default()
    });
    assert_eq!(second.parked(), [theirs], "nobody touches another sink's parked events");
    assert_eq!(second.lane(&window(0)).token, token("second"), "nor its lanes");
}

fn the_highest_version_is_replaced(store: &dyn StateStore) {
    let kept = || store.highest_version().expect("the highest version can be read");
    assert_eq!(kept(), None, "a new state has none");
    for version in ["18.0.0", "18.2.0", "17.0.0"].map(AuthVersion::new) {
        store.put_highest_version(&version).expect("the highest version can be written");
        assert_eq!(kept(), Some(version), "whoever writes knows what is higher");
    }
    let mut opened = Opened::new(store);
    assert_eq!(opened.restart().seen_version, None, "it is not the one seen last");
    assert_eq!(kept(), Some(AuthVersion::new("17.0.0")), "it survives a restart");
}

fn artifacts_are_replaced(store: &dyn StateStore) {
    let version = AuthVersion::new("18.0.0-dev");
    let none = store.artifact(&version).expect("artifacts can be read");
    assert_eq!(none, None, "there is none in a new state");
    let artifact = |text: &'static str, len| SignedArtifact {
        envelope: Bytes::from_static(text.as_bytes()),
        payload: Bytes::from(vec![0xa5; len]),
    };
    for (text, len) in [("{}", 0), (r#"{"second": true}"#, 300_000)] {
        let kept = artifact(text, len);
        store.put_artifact(&version, &kept).expect("artifacts can be written");
        let found = store.artifact(&version).expect("artifacts can be read");
        assert_eq!(found, Some(kept), "the last one put, byte for byte");
    }
    let other = store.artifact(&AuthVersion::new("18.0.1")).expect("artifacts can be read");
    assert_eq!(other, None, "a version has its own artifact");
}
