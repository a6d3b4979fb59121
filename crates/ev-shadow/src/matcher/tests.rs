use std::time::Duration;

use bytes::Bytes;
use ev_core::{Route, SessionId, Timestamp};

use super::{Bounds, Matcher, Moment, Rules, Side};
use crate::event::Event;
use crate::finding::{Finding, FindingKind};
use crate::json::DifferenceKind;
use crate::tally::{Sides, Tally};

use Side::{Ours, Theirs};

const PATIENCE: u64 = 600;

pub(super) struct Rig {
    pub(super) matcher: Matcher,
    pub(super) now: u64,
}

impl Rig {
    pub(super) fn new(change: impl FnOnce(&mut Rules, &mut Bounds)) -> Self {
        let (mut rules, mut bounds) = (Rules { from: 1000, ..Rules::default() }, Bounds::default());
        change(&mut rules, &mut bounds);
        Self { matcher: Matcher::new(rules, bounds), now: 0 }
    }

    pub(super) fn at(&self) -> Moment {
        Moment { since: Duration::from_secs(self.now), wall: Timestamp::new(1_000_000, 0) }
    }

    pub(super) fn put(&mut self, side: Side, route: &Route, body: &str) {
        let event = Event::read(route, Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let at = self.at();
        self.matcher.take(side, event, at);
    }

    fn audit(&mut self, side: Side, body: &str) {
        self.put(side, &Route::Audit, body);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += seconds;
        let at = self.at();
        self.matcher.expire(at);
    }

    pub(super) fn tally(&self) -> Tally {
        self.matcher.tally(self.at())
    }

    fn kinds(&mut self) -> Vec<FindingKind> {
        self.matcher.findings().iter().map(|finding| finding.kind).collect()
    }
}

fn rig() -> Rig {
    Rig::new(|_, _| ())
}

pub(super) fn time(second: i64) -> String {
    Timestamp::new(second, 0).to_string()
}

fn event(uid: &str, second: i64) -> String {
    format!(r#"{{"event":"user.login","uid":"{uid}","time":"{}"}}"#, time(second))
}

fn session(id: &str) -> Route {
    Route::Session(SessionId::try_new(id.as_bytes()).unwrap())
}

#[test]
fn pairs_are_counted_by_how_they_are_spelt() {
    let mut rig = rig();
    rig.audit(Ours, r#"{"a":1,"uid":"1"}"#);
    rig.audit(Theirs, r#"{"a":1,"uid":"1"}"#);
    rig.audit(Theirs, r#"{"uid":"2", "a":1.0}"#);
    rig.audit(Ours, r#"{"a":1,"uid":"2"}"#);
    let tally = rig.tally();
    assert_eq!((tally.equal, tally.identical, tally.findings()), (2, 1, 0));
    let spelling = tally.spelling;
    assert_eq!((spelling.blanks, spelling.key_order, spelling.numbers), (1, 1, 1));
    assert_eq!(tally.open, Sides::default());
    assert!(rig.kinds().is_empty());
}

#[test]
fn bodies_that_differ_are_told_with_places() {
    let mut rig = rig();
    rig.audit(Ours, r#"{"uid":"1","user":"eve","x":{"y":1}}"#);
    rig.audit(Theirs, r#"{"uid":"1","user":"bob"}"#);
    let [finding]: [Finding; 1] = rig.matcher.findings().try_into().unwrap();
    assert_eq!((finding.kind, &*finding.id), (FindingKind::Differs, "1"));
    let places: Vec<_> = finding.differences.iter().map(|d| (&*d.path, d.what)).collect();
    let expected = [("/x", DifferenceKind::MissingInTheirs), ("/user", DifferenceKind::Value)];
    assert_eq!(places, expected);
    assert!(!format!("{finding:?}").contains("bob"));
    assert_eq!((rig.tally().differs, rig.tally().equal), (1, 0));
}

#[test]
fn what_has_no_partner_is_told_when_the_other_side_has_passed_it() {
    let mut rig = rig();
    rig.audit(Theirs, &event("first", 1000));
    rig.audit(Ours, &event("first", 1000));
    rig.audit(Ours, &event("lost", 1010));
    rig.wait(PATIENCE * 10);
    assert!(rig.kinds().is_empty(), "they stand at 1000");
    assert_eq!((rig.tally().open.ours, rig.tally().overdue.ours), (1, 1));
    rig.audit(Theirs, &event("next", 1011));
    rig.audit(Ours, &event("next", 1011));
    rig.wait(PATIENCE - 1);
    assert!(rig.kinds().is_empty(), "it may come out of order");
    rig.wait(1);
    assert_eq!(rig.kinds(), [FindingKind::OnlyOurs]);
    let tally = rig.tally();
    assert_eq!((tally.only.ours, tally.open.ours, tally.equal), (1, 0, 2));
}

#[test]
fn the_same_holds_for_theirs() {
    let mut rig = rig();
    rig.audit(Theirs, &event("invented", 1000));
    rig.audit(Ours, &event("next", 1011));
    rig.audit(Theirs, &event("next", 1011));
    rig.wait(PATIENCE);
    assert_eq!(rig.kinds(), [FindingKind::OnlyTheirs]);
}

#[test]
fn a_handler_that_lags_makes_no_findings() {
    let mut rig = rig();
    rig.audit(Theirs, &event("old", 500));
    for n in 0..100 {
        rig.audit(Ours, &event(&n.to_string(), 1000 + n));
        rig.wait(60);
    }
    for n in 0..100 {
        rig.audit(Theirs, &event(&n.to_string(), 1000 + n));
        rig.wait(60);
    }
    assert!(rig.kinds().is_empty());
    let tally = rig.tally();
    assert_eq!((tally.equal, tally.before.theirs, tally.open.sum()), (100, 1, 0));
}

#[test]
fn what_happened_before_the_other_handler_was_turned_to_us_is_none_of_it() {
    let mut rig = rig();
    rig.audit(Ours, &event("early", 1005));
    rig.audit(Theirs, &event("first", 1010));
    rig.audit(Ours, &event("first", 1010));
    assert_eq!((rig.tally().before.ours, rig.tally().open.ours), (1, 0));
    rig.wait(PATIENCE);
    assert!(rig.kinds().is_empty());
    assert_eq!((rig.tally().before.ours, rig.tally().equal), (1, 1));
}

#[test]
fn one_of_the_future_says_nothing_about_progress() {
    let mut rig = rig();
    rig.audit(Ours, &event("1", 1000));
    rig.audit(Theirs, &event("1", 1000));
    rig.audit(Theirs, &event("future", 1_000_061));
    rig.audit(Ours, &event("2", 1010));
    rig.wait(PATIENCE * 2);
    assert!(rig.kinds().is_empty());
}

#[test]
fn a_late_partner_withdraws_the_finding() {
    let mut rig = rig();
    rig.audit(Theirs, &event("0", 1000));
    rig.audit(Ours, &event("0", 1000));
    rig.audit(Ours, &event("late", 1001));
    rig.audit(Theirs, &event("2", 1002));
    rig.audit(Ours, &event("2", 1002));
    rig.wait(PATIENCE / 2);
    rig.wait(PATIENCE);
    assert_eq!(rig.kinds(), [FindingKind::OnlyOurs]);
    rig.audit(Theirs, &event("late", 1001));
    assert_eq!(rig.kinds(), [FindingKind::Late]);
    let tally = rig.tally();
    assert_eq!((tally.findings(), tally.late, tally.equal), (0, 1, 3));
}

#[test]
fn repeats_are_known_by_their_uid() {
    let mut rig = rig();
    for side in [Theirs, Theirs, Ours, Theirs] {
        rig.audit(side, &event("1", 1000));
    }
    assert_eq!(rig.kinds(), [FindingKind::Duplicate; 2]);
    let tally = rig.tally();
    assert_eq!((tally.duplicates.theirs, tally.equal, tally.findings()), (2, 1, 0));
    rig.audit(Ours, &event("1", 1000));
    assert_eq!(rig.kinds(), [FindingKind::OursTwice]);
    assert_eq!(rig.tally().findings(), 1, "ours is not to be repeated");
}

#[test]
fn a_repeat_that_says_something_else_is_a_difference() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut rig = rig();
        let (good, bad) = (event("1", 1000), event("1", 1001));
        let all = [(Ours, &good), (Theirs, &good), (Theirs, &bad)];
        for at in order {
            rig.audit(all[at].0, all[at].1);
        }
        let tally = rig.tally();
        assert_eq!((tally.differs, tally.equal, tally.identical), (1, 0, 0), "{order:?}");
        assert_eq!(tally.duplicates.theirs, 1);
    }
}

#[test]
fn events_without_uid_may_be_equal_and_are_as_many_as_in_the_log() {
    let mut rig = rig();
    let print = r#"{"event":"print","ei":1,"time":"1970-01-01T00:20:00Z","bytes":4}"#;
    let other = r#"{"event":"print","ei":1,"time":"1970-01-01T00:20:00Z","bytes":5}"#;
    let route = session("s");
    rig.audit(
        Ours,
        r#"{"event":"session.upload","uid":"u","sid":"s","time":"1970-01-01T00:21:00Z"}"#,
    );
    rig.audit(
        Theirs,
        r#"{"event":"session.upload","uid":"u","sid":"s","time":"1970-01-01T00:21:00Z"}"#,
    );
    for (side, body) in [(Ours, print), (Theirs, print), (Theirs, print), (Ours, print)] {
        rig.put(side, &route, body);
    }
    assert_eq!(rig.tally().equal, 3);
    // Once more from them is a repeat; another text on both sides is a difference.
    rig.put(Theirs, &route, print);
    rig.put(Theirs, &route, other);
    rig.put(Ours, &route, r#"{"event":"print","ei":1,"time":"1970-01-01T00:20:00Z","bytes":6}"#);
    rig.wait(6 * PATIENCE - 1);
    assert!(rig.kinds().is_empty());
    rig.wait(1);
    let mut kinds = rig.kinds();
    kinds.sort();
    assert_eq!(kinds, [FindingKind::Differs, FindingKind::Duplicate]);
    let tally = rig.tally();
    assert_eq!((tally.differs, tally.duplicates.theirs, tally.open.sum()), (1, 1, 0));
    // One more of ours is one that they have lost.
    rig.put(Ours, &route, print);
    rig.wait(6 * PATIENCE);
    assert_eq!(rig.kinds(), [FindingKind::OnlyOurs]);
    // It was late.
    rig.put(Theirs, &route, print);
    assert_eq!((rig.kinds(), rig.tally().only.ours), (vec![FindingKind::Late], 0));
}

#[test]
fn recordings_are_compared_when_their_announcement_is() {
    let mut rig = rig();
    let old = r#"{"event":"exec","uid":"e","time":"1970-01-01T00:10:00Z"}"#;
    rig.audit(Theirs, &event("1", 1300));
    rig.audit(Ours, &event("1", 1300));
    // Announced before we began to read.
    rig.put(Theirs, &session("before"), old);
    // Announced within, although its events are older.
    rig.wait(10);
    let upload = r#"{"event":"session.upload","uid":"u","sid":"s","time":"1970-01-01T00:25:00Z"}"#;
    rig.audit(Ours, upload);
    rig.audit(Theirs, upload);
    rig.put(Ours, &session("s"), old);
    rig.put(Theirs, &session("s"), r#"{"event":"exec","uid":"f","time":"1970-01-01T00:10:00Z"}"#);
    rig.wait(6 * PATIENCE);
    let found = rig.matcher.findings();
    let found: Vec<_> = found.iter().map(|f| (f.kind, &*f.id, f.session.as_deref())).collect();
    assert_eq!(
        found,
        [(FindingKind::OnlyOurs, "e", Some("s")), (FindingKind::OnlyTheirs, "f", Some("s")),]
    );
    assert_eq!(rig.tally().before.theirs, 1);
}

#[test]
fn settings_leave_out_the_same_on_both_sides() {
    let mut rig = Rig::new(|rules, _| {
        rules.to = Some(2000);
        rules.skip_event_types.insert("user.login".to_owned());
        rules.skip_session_types.insert("print".to_owned());
    });
    for side in [Ours, Theirs] {
        rig.audit(side, &event("login", 1500));
        rig.put(side, &session("s"), r#"{"event":"print","ei":1}"#);
        rig.audit(side, r#"{"event":"x","uid":"a","time":"1970-01-01T00:16:39.9Z"}"#);
        rig.audit(side, r#"{"event":"x","uid":"b","time":"1970-01-01T00:33:20Z"}"#);
        rig.audit(side, r#"{"event":"x","uid":"c","time":"1970-01-01T00:33:19.9Z"}"#);
    }
    let tally = rig.tally();
    let two = |n| Sides { ours: n, theirs: n };
    assert_eq!((tally.left_out, tally.before, tally.after), (two(2), two(1), two(1)));
    assert_eq!((tally.equal, tally.received), (1, two(5)));

    let mut rig = Rig::new(|rules, _| {
        rules.types.insert("exec".to_owned());
        rules.recordings = false;
    });
    rig.audit(Theirs, &event("login", 1500));
    rig.put(Theirs, &session("s"), r#"{"event":"print","ei":1}"#);
    assert_eq!(rig.tally().left_out.theirs, 2);
}

#[test]
fn memory_is_bounded_and_what_that_costs_is_told() {
    let mut rig = Rig::new(|_, bounds| {
        bounds.max_waiting = 100;
        bounds.max_body_bytes = 500;
        bounds.max_remembered = 300;
        bounds.max_findings = 10;
    });
    for n in 0..1000 {
        rig.audit(Ours, &event(&n.to_string(), 1000 + n));
    }
    let tally = rig.tally();
    assert_eq!((tally.open.ours, tally.unjudged.ours), (100, 900));
    assert!(rig.matcher.books.waiting == 100 && rig.matcher.groups.len() <= 401);
    // The 100 that wait find their partner, and 200 of those that were let go: they are remembered
    // until others have to be.
    for n in (0..1000).rev() {
        rig.audit(Theirs, &event(&n.to_string(), 1000 + n));
    }
    let tally = rig.tally();
    assert_eq!((tally.equal, tally.open.theirs), (300, 100), "{tally:?}");
    assert_eq!(tally.unjudged, Sides { ours: 700, theirs: 600 });
    assert!(rig.matcher.groups.len() <= 401 && rig.matcher.settled.len() <= 300);
    assert!(rig.matcher.queues.iter().map(super::Queue::len).sum::<usize>() <= 2 * 100 + 4097);

    // Bodies beyond the budget are compared by digest alone.
    let mut rig = Rig::new(|_, bounds| bounds.max_body_bytes = 0);
    rig.audit(Ours, &event("1", 1000));
    rig.audit(Theirs, &event("1", 1001));
    let finding = rig.matcher.findings().remove(0);
    assert!(finding.by_digest_only && finding.differences.is_empty());
    assert_eq!(rig.tally().differs_by_digest_only, 1);

    // Findings that nobody fetches are counted.
    let mut rig = Rig::new(|_, bounds| bounds.max_findings = 10);
    for _ in 0..25 {
        rig.matcher.take_unreadable(Theirs);
    }
    assert_eq!((rig.matcher.findings().len(), rig.tally().untold), (10, 15));
    assert_eq!((rig.tally().unreadable.theirs, rig.tally().findings()), (25, 25));
}

#[test]
fn thousands_of_one_place_are_bounded() {
    let mut rig = rig();
    for n in 0..3000 {
        rig.put(Theirs, &session("s"), &format!(r#"{{"event":"print","n":{n}}}"#));
    }
    let tally = rig.tally();
    assert_eq!((tally.open.theirs, tally.unjudged.theirs), (1024, 3000 - 1024));
}

#[test]
fn queues_do_not_grow_with_what_has_found_its_partner() {
    let mut rig = rig();
    for n in 0..50_000 {
        for side in [Ours, Theirs] {
            rig.audit(side, &event(&n.to_string(), 1000));
        }
        if n % 1000 == 0 {
            rig.wait(0);
        }
    }
    assert!(rig.matcher.queues.iter().map(super::Queue::len).sum::<usize>() < 6000);
    assert_eq!((rig.tally().equal, rig.matcher.books.waiting), (50_000, 0));
}

fn upload(second: i64) -> String {
    format!(r#"{{"event":"session.upload","uid":"up","sid":"s","time":"{}"}}"#, time(second))
}

/// A recording is sent when its session has ended, and is as long as that.
#[test]
fn an_event_of_a_recording_is_owed_once_its_announcement_is_passed() {
    for side in [Ours, Theirs] {
        let (mut rig, other) = (rig(), side.other());
        for of in [Ours, Theirs] {
            rig.audit(of, &event("first", 1000));
            rig.audit(of, &event("second", 12_000));
        }
        rig.audit(side, &upload(20_000));
        rig.put(side, &session("s"), &event("early", 10_000));
        rig.put(side, &session("s"), &event("late", 19_999));
        // The other one has passed the first of the two, and lags behind the announcement.
        rig.wait(3600 * 5);
        assert!(rig.kinds().is_empty(), "{side:?}");
        rig.wait(10);
        rig.audit(other, &upload(20_000));
        rig.wait(3599);
        assert!(rig.kinds().is_empty(), "{side:?}: it has its patience from there on");
        rig.wait(1);
        let alone = if side == Ours { FindingKind::OnlyOurs } else { FindingKind::OnlyTheirs };
        assert_eq!(rig.kinds(), [alone, alone]);
    }
}

/// It may be left out by a filter of the other handler.
#[test]
fn where_no_announcement_was_shown_its_sender_had_read_it() {
    let mut rig = rig();
    for of in [Ours, Theirs] {
        rig.audit(of, &event("first", 1000));
        rig.audit(of, &event("second", 12_000));
    }
    rig.audit(Theirs, &event("third", 20_000));
    rig.put(Theirs, &session("s"), &event("early", 10_000));
    rig.wait(3600 * 5);
    assert!(rig.kinds().is_empty());
    rig.wait(10);
    rig.audit(Ours, &event("third", 20_000));
    rig.wait(3600);
    assert_eq!(rig.kinds(), [FindingKind::OnlyTheirs]);
}
