use bytes::Bytes;
use ev_core::{Road, SessionId};

use super::*;

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
    book.take_change(&mut change, &mut Totals::default());
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

#[test]
fn an_unsettled_event_is_known_within_the_run() {
    let mut book = LaneBook::default();
    book.open(window(0), token("a"));
    book.open(window(100), token("b"));
    let (first, second) = (book.key(&window(0)).unwrap(), book.key(&window(100)).unwrap());
    book.take(first, digest(1), at(99)).unwrap();
    assert!(book.recognise(second, &digest(1)), "taken by the neighbour near the border");
    book.take(first, digest(2), at(50)).unwrap();
    assert!(!book.recognise(second, &digest(2)), "the interior is no neighbour's business");
}

#[test]
fn ids_survive_a_restart() {
    let row = LaneRow {
        lane: window(0),
        token: token("page 7"),
        page: 7,
        done: false,
        recent: vec![digest(1)],
        border: vec![digest(2)],
    };
    let done = LaneRow { lane: window(100), done: true, recent: vec![], ..row.clone() };
    let mut book = LaneBook::restore(&[row, done]);
    let lane = book.key(&window(0)).unwrap();
    assert!(book.recognise(lane, &digest(1)));
    assert!(book.recognise(lane, &digest(2)));
    assert_eq!(book.unfinished(), [(window(0), token("page 7"))]);
}

#[test]
fn a_window_is_forgotten_only_when_its_neighbours_are_done() {
    let mut book = LaneBook::default();
    for start in [0, 100, 200, 300] {
        book.open(window(start), token("t"));
    }
    change(&mut book);
    book.end(&window(100));
    let c = change(&mut book);
    assert_eq!((c.done, c.forget), (vec![window(100)], vec![]));
    book.end(&window(0));
    let c = change(&mut book);
    assert_eq!((c.done, c.forget), (vec![window(0)], vec![window(0)]));
    book.end(&window(200));
    let c = change(&mut book);
    assert_eq!((c.done, c.forget), (vec![window(200)], vec![window(100)]));
    assert!(book.contains(&window(200)) && book.contains(&window(300)));
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
    book.take_change(&mut last, &mut totals);
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
        fn nothing_is_lost_and_only_the_uncommitted_repeats(steps in prop::collection::vec(step(), 1..200)) {
            // Tokens are the number of the next event in the log, as text.
            let lane = window(0);
            let row = |stored: &Stored| LaneRow {
                lane: lane.clone(),
                token: token(&stored.token.to_string()),
                page: stored.page,
                done: false,
                recent: stored.ids.iter().filter(|(page, _)| *page >= stored.page).map(|(_, d)| *d).collect(),
                border: vec![],
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
