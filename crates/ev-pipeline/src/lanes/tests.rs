use bytes::Bytes;
use ev_core::{Road, SessionId};

use super::*;
use crate::known::Nearby;

fn token(text: &str) -> Token {
    Token { road: Road::Typed, format: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn window(start: i64) -> LaneId {
    LaneId::Window { start, pass: 0 }
}

fn digest(n: u8) -> EventDigest {
    EventDigest([n; 16])
}

fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 0)
}

fn change(book: &mut LaneBook) -> Change {
    let mut change = Change::default();
    book.take_change(&mut change, &mut Totals::default(), 9);
    change
}

#[test]
fn the_resume_point_moves_over_an_unbroken_run_only() {
    let mut book = LaneBook::default();
    assert!(book.open(window(0), token("start")));
    let lane = book.key(&window(0)).unwrap();
    let first = book.take(lane, digest(1), at(10)).unwrap();
    book.mark(lane, token("second page"));
    let second = book.take(lane, digest(2), at(11)).unwrap();
    book.mark(lane, token("third page"));

    book.settle(second, Settled::Filtered);
    let early = change(&mut book);
    assert_eq!(early.open, [(window(0), token("start"))]);
    assert_eq!(early.advance, [], "the first page is not settled");
    assert_eq!(early.settle.len(), 1, "but the settled event is remembered");

    book.settle(first, Settled::Filtered);
    let late = change(&mut book);
    let moved = Advance { lane: window(0), token: token("third page"), page: 2 };
    assert_eq!(late.advance, [moved]);
    assert_eq!(change(&mut book), Change::default());
}

#[test]
fn the_tip_page_stays_open_and_is_known() {
    let mut book = LaneBook::default();
    book.open(window(0), token("tip"));
    let lane = book.key(&window(0)).unwrap();
    let slot = book.take(lane, digest(1), at(10)).unwrap();
    book.settle(slot, Settled::Filtered);
    assert!(book.recognise(lane, &digest(1)));
    assert!(!book.recognise(lane, &digest(2)));
    assert_eq!(change(&mut book).advance, []);
}

/// What other lanes have taken of these, as the lane would ask.
fn taken(book: &LaneBook, of: &LaneId, digests: &[u8]) -> Vec<u8> {
    let nearby = book.nearby(book.key(of).unwrap()).unwrap();
    let asked = digests.iter().copied().map(digest).collect();
    book.taken(&nearby.lanes, &asked).iter().map(|digest| digest.0[0]).collect()
}

fn rescan(start: i64, pass: u8) -> LaneId {
    LaneId::Window { start, pass }
}

#[test]
fn rule_06_what_a_neighbour_has_taken_and_not_settled_is_known() {
    let mut book = LaneBook::default();
    for start in [0, 100, 200] {
        book.open(window(start), token("a"));
    }
    book.open(rescan(0, 1), token("a"));
    let first = book.key(&window(0)).unwrap();
    let slot = book.take(first, digest(1), at(99)).unwrap();
    for of in [window(0), rescan(0, 1), window(100)] {
        assert_eq!(taken(&book, &of, &[1, 2]), [1], "{of}");
    }
    assert_eq!(taken(&book, &window(200), &[1, 2]), [0; 0], "two windows away");
    // Settled, passed, and two pages behind: known until the state knows it.
    book.settle(slot, Settled::Filtered);
    for (n, page) in [(7, "b"), (8, "c"), (9, "d")] {
        let slot = book.take(first, digest(n), at(99)).unwrap();
        book.settle(slot, Settled::Filtered);
        book.mark(first, token(page));
    }
    assert!(!book.recognise(first, &digest(1)));
    assert_eq!(taken(&book, &window(100), &[1, 2]), [1]);
    assert_eq!(change(&mut book).settle.len(), 3, "committed now");
    assert_eq!(taken(&book, &window(100), &[1, 2]), [0; 0], "nothing stays in memory");
}

/// A live window reads on behind the second at which it is decided to end. Taken up again after a
/// crash it ends there, and what it had read behind that is the next window's to bring.
#[test]
fn rule_06_a_lane_waits_for_what_another_has_not_settled() {
    let mut book = LaneBook::default();
    book.open(window(0), token("a"));
    let live = book.key(&window(0)).unwrap();
    let slots = [1, 2].map(|n| book.take(live, digest(n), at(150)).unwrap());
    book.open(window(100), token("b"));
    let next = book.key(&window(100)).unwrap();
    for known in [1, 2] {
        book.leave_to_other(next, &digest(known));
    }
    book.mark(next, token("c"));
    change(&mut book);
    book.end(&window(100));
    book.settle(slots[0], Settled::Filtered);
    let c = change(&mut book);
    assert_eq!((c.advance, c.done), (vec![], vec![]), "the other one is on its way");
    assert_eq!(book.backlog(), 3, "one event, the lane that waits for it, and its mark");
    book.settle(slots[1], Settled::Filtered);
    let c = change(&mut book);
    assert_eq!(c.advance, [Advance { lane: window(100), token: token("c"), page: 1 }]);
    assert_eq!((c.done, book.backlog()), (vec![window(100)], 0));
    // Settled, or its own, it need not be waited for.
    let own = book.take(live, digest(3), at(150)).unwrap();
    for known in [1, 3] {
        book.leave_to_other(live, &digest(known));
    }
    book.settle(own, Settled::Filtered);
    assert_eq!(book.backlog(), 0);
}

#[test]
fn rule_11_where_events_may_be_known_from() {
    let mut book = LaneBook::default();
    for start in [0, 100, 200] {
        book.open(window(start), token("a"));
    }
    book.open(rescan(100, 1), token("a"));
    let nearby = |book: &LaneBook, id| book.nearby(book.key(&id).unwrap()).unwrap();
    let of_rescan = nearby(&book, rescan(100, 1));
    let around = |nearby: &Nearby| (nearby.before, nearby.window, nearby.behind);
    assert_eq!(around(&of_rescan), (Some(0), 100, Some(200)));
    assert!(of_rescan.all, "everything of a re-scan may be known");
    assert!(nearby(&book, window(100)).all, "and of a window that is read at the same time");
    let first = nearby(&book, window(0));
    assert_eq!(around(&first), (None, 0, Some(100)));
    assert!(first.all, "at its beginning a lane may go over what was read");
    let key = book.key(&window(0)).unwrap();
    book.looked_at(key, 119, false);
    assert!(book.nearby(key).unwrap().all);
    book.looked_at(key, 125, true);
    assert!(book.nearby(key).unwrap().all, "as long as something is known");
    book.looked_at(key, 0, false);
    assert!(!book.nearby(key).unwrap().all);
    assert_eq!(book.nearby(key).unwrap().newest, 125);
    let mut of_recording = LaneBook::default();
    let id = LaneId::Session(SessionId::try_new(b"s1").unwrap());
    of_recording.open(id.clone(), token("0"));
    assert_eq!(of_recording.nearby(of_recording.key(&id).unwrap()), None);
}

/// In an earlier run it may have come further than where it is decided to end in this one.
#[test]
fn behind_a_window_that_an_earlier_run_had_begun_all_may_be_known() {
    for done in [false, true] {
        let row = LaneRow { lane: window(0), token: token("a"), page: 3, done, recent: Vec::new() };
        let mut book = LaneBook::restore(&[row]);
        for start in [1000, 2000] {
            book.open(window(start), token("a"));
        }
        let all = |book: &mut LaneBook, start: i64| {
            let key = book.key(&window(start)).unwrap();
            book.looked_at(key, start + 600, false);
            book.nearby(key).unwrap().all
        };
        assert_eq!(all(&mut book, 1000), !done);
        assert!(!all(&mut book, 2000), "its neighbour was read in this run");
    }
}

#[test]
fn rule_04_an_event_stored_late_stands_at_its_place_not_at_its_time() {
    let mut book = LaneBook::default();
    book.open(window(0), token("a"));
    book.open(window(100), token("a"));
    let lane = book.key(&window(0)).unwrap();
    for (id, second) in [(1, 3), (2, 50), (3, 96), (4, 50)] {
        let slot = book.take(lane, digest(id), at(second)).unwrap();
        book.settle(slot, Settled::Filtered);
    }
    let settle = change(&mut book).settle;
    assert_eq!(settle[0].inner, [digest(2)]);
    assert_eq!(settle[0].border, [digest(1), digest(3), digest(4)], "behind one near the border");
}

#[test]
fn a_page_that_is_repeated_again_and_again_is_known() {
    let mut book = LaneBook::default();
    book.open(window(0), token("a"));
    let lane = book.key(&window(0)).unwrap();
    let slot = book.take(lane, digest(1), at(10)).unwrap();
    book.settle(slot, Settled::Filtered);
    for page in ["b", "c", "d", "e"] {
        book.mark(lane, token(page));
        assert!(book.recognise(lane, &digest(1)), "in front of {page}");
    }
    // Pages without an event make nobody forget the last one that had some.
    for page in ["f", "g", "h"] {
        book.mark(lane, token(page));
    }
    assert!(book.recognise(lane, &digest(1)));
    for (n, page) in [(2, "i"), (3, "j")] {
        let slot = book.take(lane, digest(n), at(11)).unwrap();
        book.settle(slot, Settled::Filtered);
        book.mark(lane, token(page));
    }
    assert!(!book.recognise(lane, &digest(1)), "and forgotten when others have come");
}

#[test]
fn what_a_lane_knows_from_another_is_known_when_its_page_is_repeated() {
    let mut book = LaneBook::default();
    book.open(window(0), token("a"));
    book.open(window(100), token("a"));
    let [first, second] = [0, 100].map(|start| book.key(&window(start)).unwrap());
    let slot = book.take(first, digest(1), at(160)).unwrap();
    book.settle(slot, Settled::Filtered);
    // The state was asked for it, as is done in front of what the lane has not read yet.
    assert!(!book.recognise(second, &digest(1)));
    book.leave_to_other(second, &digest(1));
    book.mark(second, token("b"));
    assert!(book.recognise(second, &digest(1)), "without asking");
}

#[test]
fn ids_survive_a_restart() {
    let row = LaneRow {
        lane: window(0),
        token: token("page 7"),
        page: 7,
        done: false,
        recent: vec![digest(1)],
    };
    let done = LaneRow { lane: window(100), done: true, recent: vec![], ..row.clone() };
    let mut book = LaneBook::restore(&[row, done]);
    let lane = book.key(&window(0)).unwrap();
    assert!(book.recognise(lane, &digest(1)));
    assert_eq!(book.unfinished(), [(window(0), token("page 7"))]);
    assert_eq!(book.closed(), [(window(100), token("page 7"))], "for the schedule of re-scans");
}

#[test]
fn rule_11_a_window_is_forgotten_only_when_it_and_its_neighbours_are_retired() {
    let mut book = LaneBook::default();
    for start in [0, 100, 200, 300] {
        book.open(window(start), token("t"));
    }
    change(&mut book);
    for start in [100, 0, 200] {
        book.end(&window(start));
        let c = change(&mut book);
        assert_eq!((c.done, c.forget), (vec![window(start)], vec![]), "re-scans are to come");
    }
    book.open(rescan(0, 1), token("t"));
    book.retire(&rescan(0, 1));
    book.retire(&window(100));
    let c = change(&mut book);
    assert_eq!((c.done, c.forget), (vec![], vec![]), "its re-scan is under way");
    book.end(&rescan(0, 1));
    let c = change(&mut book);
    assert_eq!(c.done, [rescan(0, 1)]);
    assert_eq!(c.forget, [window(0), rescan(0, 1)], "all its lanes");
    assert!(book.contains(&window(100)), "the re-scan of the next one reads over its border");
    book.retire(&window(200));
    assert_eq!(change(&mut book).forget, [window(100)]);
    assert!(book.contains(&window(200)) && book.contains(&window(300)));
}

#[test]
fn a_window_that_is_not_settled_is_not_forgotten_though_retired() {
    let mut book = LaneBook::default();
    book.open(window(0), token("t"));
    book.open(window(100), token("t"));
    book.open(window(200), token("t"));
    let slot = book.take(book.key(&window(0)).unwrap(), digest(1), at(50)).unwrap();
    for start in [0, 100] {
        book.end(&window(start));
        book.retire(&window(start));
    }
    let c = change(&mut book);
    assert_eq!((c.done, c.forget), (vec![window(100)], vec![]));
    book.settle(slot, Settled::Filtered);
    assert_eq!(change(&mut book).forget, [window(0)]);
}

#[test]
fn a_recording_ends_when_its_last_event_is_settled() {
    let id = LaneId::Session(SessionId::try_new(b"s1").unwrap());
    let mut book = LaneBook::default();
    book.open(id.clone(), token("0"));
    let lane = book.key(&id).unwrap();
    let slots: Vec<_> = (1..=3)
        .map(|n| {
            let slot = book.take(lane, digest(7), at(0)).unwrap();
            book.mark(lane, token(&n.to_string()));
            slot
        })
        .collect();
    assert!(!book.recognise(lane, &digest(7)), "equal events of a recording are all sent");
    book.end(&id);
    book.settle(slots[0], Settled::Filtered);
    let c = change(&mut book);
    assert_eq!(c.advance, [Advance { lane: id.clone(), token: token("1"), page: 1 }]);
    assert!(c.forget.is_empty());
    book.settle(slots[2], Settled::Filtered);
    assert_eq!(change(&mut book).advance, []);
    book.settle(slots[1], Settled::Filtered);
    let (mut last, mut totals) = (Change::default(), Totals::default());
    book.take_change(&mut last, &mut totals, 9);
    assert_eq!((totals.sessions, totals.passed), (1, 2), "the first one was counted before");
    assert_eq!(last.forget, [id]);
    assert_eq!(book.backlog(), 0);
}

/// A plain model: events with unique ids are taken in pages, settled in any order, and the book is
/// thrown away at any moment. What a resumed reading would bring again must be known or unsettled.
mod model {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Take,
        Mark,
        Settle(usize),
        Commit,
        Crash,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Take),
            2 => Just(Step::Mark),
            4 => any::<usize>().prop_map(Step::Settle),
            2 => Just(Step::Commit),
            1 => Just(Step::Crash),
        ]
    }

    /// What a state would hold: the last committed row.
    #[derive(Clone)]
    struct Stored {
        token: usize,
        page: u64,
        ids: Vec<(u64, EventDigest)>,
    }

    fn id(n: usize) -> EventDigest {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
        EventDigest(bytes)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_only_the_uncommitted_repeats(
            steps in prop::collection::vec(step(), 1..200),
            is_chunk: bool,
        ) {
            // Tokens are the number of the next event in the log, as text.
            let chunk = LaneId::Chunk { date: "2026-11-18".into(), chunk: "c".into() };
            let lane = if is_chunk { chunk } else { window(0) };
            let row = |stored: &Stored| LaneRow {
                lane: lane.clone(),
                token: token(&stored.token.to_string()),
                page: stored.page,
                done: false,
                recent: stored.ids.iter().filter(|(page, _)| *page >= stored.page).map(|(_, d)| *d).collect(),
            };
            let mut stored = Stored { token: 0, page: 0, ids: vec![] };
            // A later window, so that events here lie in the interior.
            let other = LaneRow { lane: window(1 << 40), ..row(&stored) };
            let mut book = LaneBook::restore(&[row(&stored), other.clone()]);
            let (mut read, mut unsettled) = (0usize, Vec::new());
            let mut settled_ever = std::collections::BTreeMap::<usize, usize>::new();
            let mut committed_ids = std::collections::BTreeSet::new();

            for step in steps {
                let key = book.key(&lane).unwrap();
                match step {
                    Step::Take => {
                        let digest = id(read);
                        if !book.recognise(key, &digest) {
                            unsettled.push((read, book.take(key, digest, at(1000)).unwrap()));
                        }
                        read += 1;
                    }
                    Step::Mark => book.mark(key, token(&read.to_string())),
                    Step::Settle(which) => {
                        if !unsettled.is_empty() {
                            let (n, slot) = unsettled.swap_remove(which % unsettled.len());
                            book.settle(slot, Settled::Filtered);
                            *settled_ever.entry(n).or_default() += 1;
                        }
                    }
                    Step::Commit => {
                        let change = change(&mut book);
                        for settle in change.settle {
                            for digest in settle.inner.into_iter().chain(settle.border) {
                                stored.ids.push((settle.page, digest));
                                committed_ids.insert(digest);
                            }
                        }
                        for advance in change.advance {
                            stored.token = std::str::from_utf8(&advance.token.bytes).unwrap().parse().unwrap();
                            stored.page = advance.page;
                        }
                        // Everything before the resume point is settled.
                        for n in 0..stored.token {
                            prop_assert!(settled_ever.contains_key(&n), "event {n} was passed unsettled");
                        }
                    }
                    Step::Crash => {
                        book = LaneBook::restore(&[row(&stored), other.clone()]);
                        unsettled.clear();
                        read = stored.token;
                        // What is committed as settled is never taken again. Asked of a book of
                        // its own, since recognising an event marks its place.
                        let mut asked = LaneBook::restore(&[row(&stored), other.clone()]);
                        let key = asked.key(&lane).unwrap();
                        for n in stored.token..stored.token + 300 {
                            if committed_ids.contains(&id(n)) {
                                prop_assert!(asked.recognise(key, &id(n)), "event {n} would be sent again");
                            }
                        }
                    }
                }
            }
        }
    }
}
