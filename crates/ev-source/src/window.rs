//! One window of the log: which page to ask for next, and what an answer means.
//!
//! Pure: knows no connection and no clock. The rules:
//!
//! - A page key is sent only with the very search that made it; the end of the live window alone
//!   moves.
//! - Windows overlap their neighbours by [`OVERLAP`] on both sides, so that nothing depends on
//!   whether Auth takes borders as inclusive, or on how precisely its storage keeps time.
//! - Where the live window ends is decided by what Auth has logged, never by a clock of ours: it
//!   reaches at most to [`SETTLING`] in front of the newest event that was seen. Were it decided by
//!   the clock, a clock that is ahead of Auth's would close windows that Auth still writes to. A
//!   quiet cluster therefore keeps its live window, however long that gets.
//! - Nothing is dropped by its time. What is left out here is only what was yielded before from
//!   the same page in the very same bytes.
//! - An event that is too large to be sent, or that Auth cannot read, holds up nothing; see
//!   [`narrow`].
//! - Late events are stored behind what is there, and the last page grows: it is asked for again
//!   and again, and its key stays the resume point.

use std::collections::HashSet;

use bytes::Bytes;
use ev_core::Mark;
use ev_core::unstructured::metadata;
use tracing::warn;

use crate::road::SearchRoad;
use crate::token::{Search, WindowToken};

mod narrow;

pub(crate) use self::narrow::Narrowed;

/// Seconds by which a search reaches over the borders of its window.
pub(crate) const OVERLAP: i64 = 2;
/// Seconds that the log of Auth may need to become complete: a window ends at least so long before
/// the newest event.
pub(crate) const SETTLING: i64 = 60;
/// Empty pages in a row, each with a new key, after which the live window is taken to be at its
/// tip, and a pause is made before the next one: some storages hand out a new key for ever.
const EMPTY_PAGES: u32 = 8;
/// Empty pages in a row, each with a new key, after which a window that has an end is taken to be
/// at it, with a line in the log. Many, because storages hand out empty pages while they look for
/// rare types, and what is behind them would be missed.
const LAST_PAGES: u32 = 2048;
/// In a window that has an end, a pause is made each time there were so many empty pages in a row.
const PAUSE_PAGES: u32 = 32;

/// A window lane.
#[derive(Debug)]
pub(crate) struct Window {
    road: SearchRoad,
    search: Search,
    key: String,
    /// The key at which the engine would resume now; `None` when that is another search.
    marked: Option<String>,
    /// Where the live window will end, once that is decided.
    closing: Option<i64>,
    /// Second of the newest event that Auth has sent for this window in this run.
    newest: Option<i64>,
    /// Second of the last event in front of the page that is asked for, if this run has seen it:
    /// where a search without a key takes over.
    behind: Option<i64>,
    /// Events of the last answer, if the next one will be for the same page.
    seen: HashSet<Bytes>,
    repeats: bool,
    empty_pages: u32,
    batch: u16,
    limit: u16,
    /// When the lane was opened.
    opened: Option<i64>,
    /// Second of the last event when a key stood still and a new search was made from there.
    stuck: Option<i64>,
    /// First second behind the part of the stretch that is read now, while it is narrowed down to
    /// an event that cannot be had.
    part: Option<i64>,
    /// Whether that part, of one second, is read from its end, up to the event that cannot be had.
    backwards: bool,
    /// The last answer was a failure to read what was asked for.
    fails: bool,
    /// How many such answers came in a row.
    failures: u32,
    /// First and last second of the gaps that were met last, one directly behind the other.
    gaps: Option<(i64, i64)>,
}

/// What to ask Auth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Seconds since the epoch.
    pub(crate) start: i64,
    /// Seconds since the epoch.
    pub(crate) end: i64,
    /// Nanoseconds of the end.
    pub(crate) end_nanos: i32,
    /// Newest first.
    pub(crate) backwards: bool,
    pub(crate) types: Vec<String>,
    pub(crate) limit: u16,
    pub(crate) key: String,
}

/// What an answer brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) events: Vec<Bytes>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) repeats: bool,
    /// The live window has nothing more at this moment.
    pub(crate) caught_up: bool,
    pub(crate) then: Then,
}

/// How a lane goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Ask again at once.
    Again,
    /// Ask again after a pause.
    Pause,
    /// Nothing is left in the window.
    End,
    /// Nothing is left, and the next live window starts at this second.
    Roll(i64),
}

impl Window {
    /// Takes a lane up where a token says. With other types than the token's, it starts anew: its
    /// key belongs to another search, and which events were in front of that page is known no
    /// longer, so it is the whole window that is read again. `known`: the engine has this very
    /// token.
    pub(crate) fn resume(
        road: SearchRoad,
        token: WindowToken,
        known: bool,
        types: &[String],
        batch: u16,
    ) -> Self {
        let WindowToken { mut search, key, opened } = token;
        let same = search.types == types;
        search.types = types.to_vec();
        Self {
            road,
            search,
            marked: (same && known).then(|| key.clone()),
            key: if same { key } else { String::new() },
            closing: None,
            newest: None,
            behind: None,
            seen: HashSet::new(),
            repeats: true,
            empty_pages: 0,
            batch,
            limit: batch,
            opened,
            stuck: None,
            part: None,
            backwards: false,
            fails: false,
            failures: 0,
            gaps: None,
        }
    }

    /// Where it ends, if that is decided.
    pub(crate) fn end(&self) -> Option<i64> {
        self.search.end.or(self.closing)
    }

    /// When it was opened, by our clock. A live window was opened before its end, whatever a clock
    /// that was set says.
    pub(crate) fn opened(&self, end: i64) -> Option<i64> {
        if self.is_live() { self.opened.map(|opened| opened.min(end)) } else { self.opened }
    }

    /// By which calls it is read.
    pub(crate) fn road(&self) -> SearchRoad {
        self.road
    }

    pub(crate) fn is_live(&self) -> bool {
        self.search.end.is_none()
    }

    /// What to ask for at second `now`.
    pub(crate) fn query(&self, now: i64) -> Query {
        let Search { start, end, bare_start, types } = &self.search;
        let (end, end_nanos) = match (self.part, end.or(self.closing)) {
            // Exactly up to the next part, whether Auth keeps whole seconds or more, and whether it
            // takes the end as inclusive or not.
            (Some(part), _) => (part.saturating_sub(1), 999_999_999),
            (None, Some(end)) => (end.saturating_add(OVERLAP), 0),
            // The current second included, and never in front of the start.
            (None, None) => (now.max(*start).saturating_add(1), 0),
        };
        Query {
            start: if *bare_start { *start } else { start.saturating_sub(OVERLAP) },
            end,
            end_nanos,
            backwards: self.backwards,
            types: types.clone(),
            limit: self.limit,
            key: self.key.clone(),
        }
    }

    /// Takes the answer to `query`. `width` is how far a live window may reach back, in seconds.
    pub(crate) fn take(
        &mut self,
        query: &Query,
        items: Vec<Bytes>,
        last_key: String,
        width: i64,
    ) -> Answer {
        self.limit = self.limit.saturating_mul(2).min(self.batch);
        (self.fails, self.failures) = (false, 0);
        let empty = items.is_empty();
        // Only where it decides something.
        if self.end().is_none() {
            let seconds = items.iter().filter_map(|event| self.second(event, query));
            self.newest = seconds.chain(self.newest).max();
        }
        let last = items.iter().rev().find_map(|event| self.second(event, query));
        let last = last.filter(|_| !self.backwards);
        let moves_on = !last_key.is_empty() && last_key != self.key;
        let now_seen =
            if moves_on { HashSet::new() } else { items.iter().cloned().collect::<HashSet<_>>() };
        let before = std::mem::replace(&mut self.seen, now_seen);
        let events: Vec<Bytes> =
            items.into_iter().filter(|event| !before.contains(event)).collect();
        let fresh = !events.is_empty();
        let repeats = std::mem::replace(&mut self.repeats, !moves_on);
        let mut marks = Vec::new();
        // From the end of a part no place can be told from which all is read in front of it.
        let markable = !self.backwards;
        if markable && self.marked.as_ref() != Some(&self.key) {
            marks.push(self.mark(0));
        }
        let mut caught_up = false;
        let closes = self.close(width);
        let then = if moves_on {
            self.key = last_key;
            self.behind = last.or(self.behind);
            if markable {
                marks.push(self.mark(events.len()));
            }
            self.empty_pages = if empty { self.empty_pages + 1 } else { 0 };
            let has_end = self.part.or(self.search.end).or(self.closing).is_some();
            if !has_end {
                caught_up = self.empty_pages >= EMPTY_PAGES;
                if caught_up { Then::Pause } else { Then::Again }
            } else if self.empty_pages < LAST_PAGES {
                let pause = self.empty_pages > 0 && self.empty_pages.is_multiple_of(PAUSE_PAGES);
                if pause { Then::Pause } else { Then::Again }
            } else {
                let (start, pages) = (self.search.start, self.empty_pages);
                warn!(start, pages, "nothing but empty pages, taken for the end of the window");
                match self.part {
                    Some(part) => {
                        self.begin_at(part);
                        marks.push(self.mark(events.len()));
                        Then::Again
                    }
                    None => self.closing.map_or(Then::End, Then::Roll),
                }
            }
        } else {
            self.empty_pages = 0;
            if let Some(part) = self.part {
                if last_key.is_empty() || !fresh {
                    self.begin_at(part);
                    marks.push(self.mark(events.len()));
                }
                Then::Again
            } else if !last_key.is_empty() && !fresh && self.doubt(last) {
                Then::Again
            } else if self.search.end.is_some() {
                // A key that does not move may hide one more growth of the page.
                if last_key.is_empty() || !fresh { Then::End } else { Then::Again }
            } else if closes {
                caught_up = true;
                Then::Again
            } else if let Some(end) = self.closing {
                if fresh { Then::Again } else { Then::Roll(end) }
            } else {
                caught_up = true;
                Then::Pause
            }
        };
        Answer { events, marks, repeats, caught_up, then }
    }

    /// Decides where the live window ends, once Auth has logged enough behind its start, whether
    /// or not reading has reached the tip. Returns whether that was now.
    fn close(&mut self, width: i64) -> bool {
        if self.search.end.is_some() || self.closing.is_some() {
            return false;
        }
        self.closing = self
            .newest
            .map(|newest| newest.saturating_sub(SETTLING))
            .filter(|end| end.saturating_sub(self.search.start) >= width.max(1));
        self.closing.is_some()
    }

    /// The last answer was lost: the next one may repeat what was yielded.
    pub(crate) fn lost(&mut self) {
        self.repeats = true;
    }

    /// Auth refuses the key: on with a new search, from the last event in front of that page, or
    /// from the start of the window if this run has not seen that event. `false` if there is no
    /// key.
    pub(crate) fn restart(&mut self) -> bool {
        let has_key = !self.key.is_empty();
        if has_key {
            self.search_anew();
        }
        has_key
    }

    /// A new search, from the last event in front of the page that is asked for.
    fn search_anew(&mut self) {
        self.key.clear();
        self.repeats = true;
        self.seen.clear();
        self.empty_pages = 0;
        // A stretch that was being narrowed down is so again, should that be needed.
        self.part = None;
        self.backwards = false;
        self.failures = 0;
        let end = self.search.end.or(self.closing).unwrap_or(i64::MAX);
        if let Some(at) = self.behind.take().map(|at| at.min(end))
            && at > self.search.start
        {
            // This search reaches over its start as all do: a storage may keep time less
            // precisely, and more events may be of the same time.
            self.search.start = at;
            self.search.bare_start = false;
        }
    }

    /// By the calls of another road from now on, which give keys of their own.
    pub(crate) fn take_road(&mut self, road: SearchRoad) {
        self.road = road;
        self.search_anew();
        // Whoever resumes has to know that the key is of no use.
        self.marked = None;
    }

    /// A key that stands still and brings nothing new is what some storages say at their end, but
    /// there may be more that is never reached by it: a new search from the last event shows that.
    /// `false` if it has been made already, or cannot.
    fn doubt(&mut self, last: Option<i64>) -> bool {
        let Some(at) = last.or(self.behind) else { return false };
        if self.stuck == Some(at) {
            return false;
        }
        self.stuck = Some(at);
        let Search { start, bare_start, .. } = self.search;
        let first = if bare_start { start } else { start.saturating_sub(OVERLAP) };
        let end = self.search.end.or(self.closing).unwrap_or(i64::MAX);
        self.begin_at(at.saturating_sub(OVERLAP).min(end).max(first));
        true
    }

    /// A new search for all that is left, from that second on and nothing in front of it.
    fn begin_at(&mut self, start: i64) {
        self.search.start = start;
        self.search.bare_start = true;
        self.key.clear();
        self.marked = None;
        self.behind = None;
        self.seen.clear();
        self.repeats = true;
        self.empty_pages = 0;
        self.part = None;
        self.backwards = false;
    }

    /// Where the lane that follows this one stands.
    pub(crate) fn successor(&self, start: i64, now: i64) -> WindowToken {
        let types = self.search.types.clone();
        let search = Search { start, end: None, bare_start: false, types };
        WindowToken { search, key: String::new(), opened: Some(now) }
    }

    fn mark(&mut self, after: usize) -> Mark {
        self.marked = Some(self.key.clone());
        let (search, key) = (self.search.clone(), self.key.clone());
        let token = WindowToken { search, key, opened: self.opened };
        Mark { after, token: token.encode(self.road.road()) }
    }

    /// The second of an event, if it can be told and is no later than what was asked for: where a
    /// storage errs in that, the event proves nothing.
    fn second(&self, event: &[u8], query: &Query) -> Option<i64> {
        let second = metadata(self.road.form(), event)?.time.seconds();
        (second <= query.end).then_some(second)
    }
}

#[cfg(test)]
mod tests {
    use ev_core::Road;

    use super::*;

    const TYPED: SearchRoad = SearchRoad::Typed;

    fn window(end: Option<i64>) -> Window {
        let search = Search { start: 1000, end, bare_start: false, types: Vec::new() };
        Window::resume(
            TYPED,
            WindowToken { search, key: String::new(), opened: None },
            true,
            &[],
            100,
        )
    }

    fn events(names: &[&'static str]) -> Vec<Bytes> {
        names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
    }

    /// An event of that second: case 1 { 1 { 5 { 1: second } } }.
    fn event_at(second: i64) -> Bytes {
        let mut time = vec![8];
        prost::encoding::encode_varint(second.cast_unsigned(), &mut time);
        let field = |number: u8, value: Vec<u8>| {
            [&[number << 3 | 2, u8::try_from(value.len()).expect("a short one")], &value[..]]
                .concat()
        };
        field(1, field(1, field(5, time))).into()
    }

    fn take_events(window: &mut Window, now: i64, seconds: &[i64], key: &str) -> Answer {
        let query = window.query(now);
        let events = seconds.iter().map(|second| event_at(*second)).collect();
        window.take(&query, events, key.to_owned(), 3600)
    }

    fn take(window: &mut Window, now: i64, names: &[&'static str], key: &str) -> Answer {
        let query = window.query(now);
        window.take(&query, events(names), key.to_owned(), 3600)
    }

    fn token(window: &Window, key: &str) -> ev_core::Token {
        WindowToken { search: window.search.clone(), key: key.to_owned(), opened: None }
            .encode(Road::Typed)
    }

    #[test]
    fn a_closed_window_is_read_to_its_end() {
        let mut lane = window(Some(2000));
        let query = lane.query(9_999);
        assert_eq!((query.start, query.end, query.key.as_str()), (998, 2002, ""));
        let answer = take(&mut lane, 0, &["a", "b"], "k1");
        assert_eq!(answer.events, events(&["a", "b"]));
        assert_eq!(answer.marks, [Mark { after: 2, token: token(&lane, "k1") }]);
        assert_eq!(answer.then, Then::Again);
        assert!(answer.repeats, "the neighbour may have brought it");
        let query = lane.query(9_999);
        assert_eq!((query.start, query.end, query.key.as_str()), (998, 2002, "k1"));

        let answer = take(&mut lane, 0, &[], "k2");
        assert_eq!(answer.marks, [Mark { after: 0, token: token(&lane, "k2") }]);
        assert_eq!((answer.then, answer.repeats), (Then::Again, false), "an empty page is no end");

        let answer = take(&mut lane, 0, &["c"], "");
        assert_eq!((answer.events, answer.marks), (events(&["c"]), vec![]));
        assert_eq!(answer.then, Then::End);
    }

    #[test]
    fn the_first_window_has_nothing_in_front() {
        let search = Search { start: 1000, end: None, bare_start: true, types: Vec::new() };
        let lane = Window::resume(
            TYPED,
            WindowToken { search, key: String::new(), opened: None },
            true,
            &[],
            100,
        );
        assert_eq!(lane.query(1500).start, 1000);
        assert_eq!(lane.query(1500).end, 1501);
        assert_eq!(lane.query(10).end, 1001, "a start in the future is waited for");
    }

    #[test]
    fn the_tip_is_looked_at_again_and_only_what_is_new_comes() {
        let mut lane = window(None);
        assert_eq!(take(&mut lane, 1100, &["a"], "k1").then, Then::Again);
        let answer = take(&mut lane, 1100, &["b", "c"], "");
        assert_eq!((answer.then, answer.caught_up), (Then::Pause, true));
        assert_eq!(answer.marks, [], "the page may grow, so its own key stays the resume point");

        let answer = take(&mut lane, 1105, &["b", "c"], "");
        assert_eq!((answer.events, answer.caught_up, answer.then), (vec![], true, Then::Pause));

        // A late event sorts in front.
        let answer = take(&mut lane, 1110, &["late", "b", "c", "d"], "");
        assert_eq!((answer.events, answer.caught_up), (events(&["late", "d"]), true));
        assert!(answer.repeats);

        // The page fills up: what is new of it, and on to the next.
        let answer = take(&mut lane, 1115, &["late", "b", "c", "d", "e"], "k2");
        assert_eq!(answer.events, events(&["e"]));
        assert_eq!(answer.marks, [Mark { after: 1, token: token(&lane, "k2") }]);
        assert_eq!((answer.then, answer.caught_up), (Then::Again, false));
        // Bytes seen on another page are no reason to leave anything out.
        assert_eq!(take(&mut lane, 1115, &["e"], "").events, events(&["e"]));
    }

    #[test]
    fn a_key_that_does_not_move_is_the_tip_or_the_end_too() {
        let mut lane = window(None);
        take(&mut lane, 1100, &["a"], "k");
        assert_eq!(take(&mut lane, 1100, &["b"], "k").then, Then::Pause);
        assert_eq!(take(&mut lane, 1100, &["b"], "k").events, events(&[]));
        let mut lane = window(Some(2000));
        take(&mut lane, 0, &["a"], "k");
        assert_eq!(take(&mut lane, 0, &["b"], "k").then, Then::Again);
        assert_eq!(take(&mut lane, 0, &["b"], "k").then, Then::End);
    }

    #[test]
    fn a_key_that_stands_still_in_front_of_more_is_left() {
        let mut lane = window(Some(2000));
        take_events(&mut lane, 0, &[1100, 1200], "k1");
        assert_eq!(take_events(&mut lane, 0, &[1300, 1400], "k1").then, Then::Again);
        let answer = take_events(&mut lane, 0, &[1300, 1400], "k1");
        assert_eq!((answer.events, answer.then), (vec![], Then::Again));
        let query = lane.query(0);
        assert_eq!((query.start, query.end, query.key.as_str()), (1398, 2002, ""));
        let answer = take_events(&mut lane, 0, &[1400, 1500], "k2");
        assert!(answer.repeats);
        let search = Search { start: 1398, end: Some(2000), bare_start: true, types: Vec::new() };
        let token = |key: &str| {
            WindowToken { search: search.clone(), key: key.into(), opened: None }
                .encode(Road::Typed)
        };
        let marks = [Mark { after: 0, token: token("") }, Mark { after: 2, token: token("k2") }];
        assert_eq!(answer.marks, marks);
        // Where it stands still again without anything new, there is no more.
        take_events(&mut lane, 0, &[1500], "k2");
        assert_eq!(take_events(&mut lane, 0, &[1500], "k2").then, Then::Again);
        take_events(&mut lane, 0, &[1500], "k3");
        take_events(&mut lane, 0, &[1500], "k3");
        assert_eq!(take_events(&mut lane, 0, &[1500], "k3").then, Then::End);
        // At the tip of the log that is no reason to spin.
        let mut lane = window(None);
        let then: Vec<Then> =
            (0..8).map(|_| take_events(&mut lane, 1200, &[1100], "k").then).collect();
        assert_eq!(then.iter().filter(|then| **then == Then::Again).count(), 3, "{then:?}");
        assert_eq!(then[5..], [Then::Pause, Then::Pause, Then::Pause]);
    }

    #[test]
    fn keys_without_events_do_not_make_the_tip_spin() {
        let mut lane = window(None);
        let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let answers: Vec<Then> =
            keys.iter().map(|key| take(&mut lane, 1100, &[], key).then).collect();
        assert_eq!(answers.iter().position(|then| *then == Then::Pause), Some(7));
        assert!(answers[7..].iter().all(|then| *then == Then::Pause));
        assert!(take(&mut lane, 1100, &[], "more").caught_up);
        let answer = take(&mut lane, 1100, &["a"], "new");
        assert_eq!((answer.events, answer.then), (events(&["a"]), Then::Again));
    }

    #[test]
    fn a_live_window_that_is_old_enough_rolls_once_nothing_new_comes() {
        let mut lane = window(None);
        let end = 1000 + 3600;
        let now = end + 10_000;
        assert_eq!(take_events(&mut lane, now, &[end + 59], "").then, Then::Pause);
        // One second later the settled part is as wide as it has to be.
        assert_eq!(take_events(&mut lane, now, &[end + 59, end + 60], "").then, Then::Again);
        assert_eq!(lane.query(99_999).end, end + OVERLAP, "a fixed end from here on");
        assert_eq!(take(&mut lane, 0, &["late", "a"], "").then, Then::Again);
        assert_eq!(take(&mut lane, 0, &["late", "a"], "").then, Then::Roll(end));
        let next = Window::resume(TYPED, lane.successor(end, 0), true, &[], 100);
        assert_eq!(next.query(end + 100).start, end - OVERLAP);
        assert!(next.is_live());
    }

    #[test]
    fn no_clock_closes_a_window() {
        let mut lane = window(None);
        // Hours and years pass here, or seem to, and Auth has logged nothing behind 1100.
        for now in [1100, 1200, 10_000, 1_000_000_000, 2000] {
            assert_eq!(take_events(&mut lane, now, &[1100], "").then, Then::Pause, "at {now}");
        }
        // What cannot be true is no evidence: nothing behind the end was asked for, and what has
        // no time has none.
        assert_eq!(take_events(&mut lane, 2000, &[1100, 50_000], "").then, Then::Pause);
        assert_eq!(take(&mut lane, 2000, &["no event"], "").then, Then::Pause);
        let ahead = 120;
        for auth_now in (1000..).step_by(100).take_while(|now| *now < 1000 + 3660) {
            let answer = take_events(&mut lane, auth_now + ahead, &[auth_now], "");
            assert_eq!(answer.then, Then::Pause, "at {auth_now}");
        }
        assert_eq!(take_events(&mut lane, 4660 + ahead, &[4660], "").then, Then::Again);
        assert_eq!(lane.closing, Some(4600), "a minute before Auth's own time");
    }

    #[test]
    fn a_window_that_lags_is_cut_too() {
        let mut lane = window(None);
        // A busy log: every page is full, and there is always one more.
        let now = 1_000_000;
        let mut pages = (1..).map(|n: i64| (1000 + n * 100, n.to_string()));
        let rolled = pages.by_ref().take(200).find_map(|(second, key)| {
            let inside = second <= lane.query(now).end;
            let items: &[i64] = if inside { &[second] } else { &[] };
            let key = if inside { key.as_str() } else { "" };
            match take_events(&mut lane, now, items, key).then {
                Then::Roll(end) => Some((second, end)),
                then => {
                    assert_eq!(then, Then::Again);
                    None
                }
            }
        });
        // An hour and a minute behind the start, and one look into the rest.
        assert_eq!(rolled, Some((4800, 4640)));
    }

    #[test]
    fn keys_without_end_do_not_make_a_window_endless() {
        let count = |lane: &mut Window| -> (usize, usize, Then) {
            let (mut again, mut pauses) = (0, 0);
            for n in 0.. {
                match take(lane, 0, &[], &format!("k{n}")).then {
                    Then::Again => again += 1,
                    Then::Pause => pauses += 1,
                    then => return (again, pauses, then),
                }
            }
            unreachable!("it counts for ever")
        };
        assert_eq!(count(&mut window(Some(2000))), (1984, 63, Then::End), "no spinning");
        let mut lane = window(None);
        take_events(&mut lane, 10_000, &[6000], "k");
        assert_eq!(count(&mut lane), (1984, 63, Then::Roll(6000 - SETTLING)));
        // A page with something begins the count anew.
        let mut lane = window(Some(2000));
        for n in 0..2047 {
            take(&mut lane, 0, &[], &format!("a{n}"));
        }
        take(&mut lane, 0, &["x"], "b");
        assert_eq!(count(&mut lane).2, Then::End);
    }

    #[test]
    fn other_types_start_the_lane_anew() {
        let search = Search { start: 1000, end: Some(2000), bare_start: false, types: vec![] };
        let token = WindowToken { search, key: "k".into(), opened: None };
        let types = vec!["user.login".to_owned()];
        let mut lane = Window::resume(TYPED, token.clone(), true, &types, 100);
        assert_eq!((lane.query(0).key, lane.query(0).types), (String::new(), types));
        let answer = take(&mut lane, 0, &["a"], "");
        let fresh = WindowToken { search: lane.search.clone(), key: String::new(), opened: None };
        assert_eq!(answer.marks, [Mark { after: 0, token: fresh.encode(Road::Typed) }]);
        let mut lane = Window::resume(TYPED, token.clone(), true, &[], 100);
        assert_eq!(lane.query(0).key, "k");
        assert_eq!(take(&mut lane, 0, &[], "").marks, []);
        // A window whose end was set just now is marked with its first answer, whatever is in it.
        let mut lane = Window::resume(TYPED, token.clone(), false, &[], 100);
        let answer = take(&mut lane, 0, &[], "");
        assert_eq!(answer.marks, [Mark { after: 0, token: token.encode(Road::Typed) }]);
    }

    #[test]
    fn a_refused_key_costs_no_more_than_two_seconds() {
        let mut lane = window(Some(2000));
        take_events(&mut lane, 0, &[1100, 1200], "k1");
        take_events(&mut lane, 0, &[1300, 1400], "k2");
        // What the page of `k2` brought stands behind the resume point, and comes again.
        take_events(&mut lane, 0, &[1500], "k2");
        assert!(lane.restart());
        let query = lane.query(0);
        assert_eq!((query.start, query.end, query.key.as_str()), (1398, 2002, ""));
        let answer = take_events(&mut lane, 0, &[1400, 1500], "k3");
        assert!(answer.repeats);
        let search = Search { start: 1400, end: Some(2000), bare_start: false, types: vec![] };
        let token = |key: &str| {
            WindowToken { search: search.clone(), key: key.into(), opened: None }
                .encode(Road::Typed)
        };
        let marks = [Mark { after: 0, token: token("") }, Mark { after: 2, token: token("k3") }];
        assert_eq!(answer.marks, marks, "a key is stored with the search that made it");

        // A page without a time says nothing of where it ends; nor does one behind the end.
        take(&mut lane, 0, &["x"], "k4");
        take_events(&mut lane, 0, &[9000], "k5");
        assert!(lane.restart());
        assert_eq!(lane.query(0).start, 1498);
        assert!(!lane.restart(), "without a key it is not the key that is refused");
        // Overlap with the next window: still a search that is not empty.
        take_events(&mut lane, 0, &[2001], "k6");
        assert!(lane.restart());
        assert_eq!((lane.query(0).start, lane.query(0).end), (1998, 2002));
    }

    #[test]
    fn refused_keys_and_large_pages_have_a_way_out() {
        let mut lane = window(Some(2000));
        assert!(!lane.restart(), "nothing to give up");
        take(&mut lane, 0, &["a"], "k");
        assert!(lane.restart());
        assert_eq!(lane.query(0).key, "");
        let answer = take(&mut lane, 0, &["a"], "");
        assert!(answer.repeats);
        assert_eq!(answer.marks, [Mark { after: 0, token: token(&lane, "") }]);

        assert_eq!(lane.too_large(0), Narrowed::Part);
        assert_eq!(lane.query(0).limit, 50);
        while lane.query(0).limit > 1 {
            assert_eq!(lane.too_large(0), Narrowed::Part);
        }
        take(&mut lane, 0, &["b"], "k");
        assert_eq!(lane.query(0).limit, 2, "and back again");
    }
}
