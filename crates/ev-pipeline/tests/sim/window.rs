//! One window of the simulated source: the rules that a source of search windows follows.
//!
//! Windows overlap their neighbours by two seconds. A key is sent only with the search that made
//! it. The last page is asked for again and again. Where the live window ends is decided by the
//! newest event that was seen.

use std::collections::BTreeSet;

use bytes::Bytes;
use ev_core::Mark;

use crate::auth::{Key, Place, Query};
use crate::token::WindowToken;

const OVERLAP: i64 = 2;
pub(crate) const SETTLING: i64 = 60;
/// Empty pages in a row, each with another key, after which a pause is made.
const EMPTY_PAGES: u32 = 8;

pub(crate) struct Window {
    /// First second of the window.
    start: i64,
    token: WindowToken,
    /// The key at which the engine would resume now; `None` when that is another search.
    marked: Option<Option<Key>>,
    before: Option<Option<Key>>,
    /// Second of the last event in front of the page that is asked for, if it was read in this life.
    behind: Option<i64>,
    closing: Option<i64>,
    newest: Option<i64>,
    seen: BTreeSet<Bytes>,
    repeats: bool,
    empty_pages: u32,
    stuck: bool,
    limit: usize,
}

pub(crate) struct Answer {
    pub(crate) events: Vec<Bytes>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) repeats: bool,
    pub(crate) caught_up: bool,
    pub(crate) then: Then,
}

pub(crate) enum Then {
    Again,
    Pause,
    End,
    Roll(i64),
}

impl Window {
    /// `known`: the engine has this very token.
    pub(crate) fn new(start: i64, token: WindowToken, known: bool, limit: usize) -> Self {
        Self {
            start,
            marked: known.then_some(token.key),
            before: None,
            behind: None,
            token,
            closing: None,
            newest: None,
            seen: BTreeSet::new(),
            repeats: true,
            empty_pages: 0,
            stuck: false,
            limit,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.token.end.is_none()
    }

    /// Key of the page before the one that is asked for, if it was read in this life.
    pub(crate) fn before(&self) -> Option<Option<Key>> {
        self.before
    }

    /// Whether the last answer had the very key that was asked with.
    pub(crate) fn was_stuck(&self) -> bool {
        self.stuck
    }

    /// Where it ends, if that is decided.
    pub(crate) fn end(&self) -> Option<i64> {
        self.token.end.or(self.closing)
    }

    /// When it was opened.
    pub(crate) fn opened(&self) -> i64 {
        self.token.opened
    }

    pub(crate) fn query(&self, now: i64) -> Query {
        let WindowToken { start, end, bare, key, .. } = self.token;
        let end = match end.or(self.closing) {
            Some(end) => end + OVERLAP,
            None => now.max(start) + 1,
        };
        Query { start: if bare { start } else { start - OVERLAP }, end, limit: self.limit, key }
    }

    /// The answer was lost; the next one will be cut differently.
    pub(crate) fn lost(&mut self, limit: usize) {
        self.repeats = true;
        self.limit = limit;
    }

    /// Auth refuses the key: on with a new search, from the last event in front of that page, or,
    /// where events do not come in the order of their time, from the start. Only the first page of
    /// it is marked as one that repeats.
    pub(crate) fn restart(&mut self, by_time: bool) {
        self.repeats = true;
        self.seen.clear();
        self.empty_pages = 0;
        self.stuck = false;
        self.before = None;
        self.token.key = None;
        let end = self.end().unwrap_or(i64::MAX);
        let at = self.behind.take().map(|at| at.min(end));
        if let Some(at) = at.filter(|at| by_time && *at > self.token.start) {
            self.token.start = at;
            self.token.bare = false;
        }
    }

    /// Auth cannot send the event at that place: on behind it.
    pub(crate) fn pass_over(&mut self, place: Place) -> Mark {
        self.repeats = true;
        self.seen.clear();
        self.empty_pages = 0;
        self.before = None;
        self.token.key = Some(Key { behind: place, nonce: 0 });
        self.mark(0)
    }

    pub(crate) fn restore_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn take(
        &mut self,
        query: &Query,
        items: Vec<(i64, Bytes)>,
        next: Option<Key>,
        width: i64,
    ) -> Answer {
        let empty = items.is_empty();
        let last = items.last().map(|(second, _)| *second);
        let seconds = items.iter().map(|(second, _)| *second).filter(|second| *second <= query.end);
        self.newest = seconds.chain(self.newest).max();
        let moves_on = next.filter(|next| Some(*next) != self.token.key);
        self.stuck = next.is_some() && moves_on.is_none();
        let now_seen = match moves_on {
            Some(_) => BTreeSet::new(),
            None => items.iter().map(|(_, bytes)| bytes.clone()).collect(),
        };
        let before = std::mem::replace(&mut self.seen, now_seen);
        let came: BTreeSet<Bytes> = items.iter().map(|(_, bytes)| bytes.clone()).collect();
        let events: Vec<Bytes> =
            items.into_iter().map(|(_, bytes)| bytes).filter(|b| !before.contains(b)).collect();
        let fresh = !events.is_empty();
        // What was given of this page before and does not come with it now comes with the next.
        let rest = before.iter().any(|bytes| !came.contains(bytes));
        let repeats = std::mem::replace(&mut self.repeats, moves_on.is_none() || rest);
        let mut marks = Vec::new();
        if self.marked != Some(self.token.key) {
            marks.push(self.mark(0));
        }
        let closes = self.close(width);
        let mut caught_up = false;
        let then = if let Some(next) = moves_on {
            let asked = self.token.key.replace(next);
            self.behind = last.or(self.behind);
            self.before = (!empty).then_some(asked);
            marks.push(self.mark(events.len()));
            self.empty_pages = if empty { self.empty_pages + 1 } else { 0 };
            if self.empty_pages < EMPTY_PAGES { Then::Again } else { Then::Pause }
        } else {
            self.before = None;
            self.empty_pages = 0;
            let end_of_list = next.is_none();
            if self.token.end.is_some() {
                if end_of_list { Then::End } else { Then::Again }
            } else if closes {
                caught_up = true;
                Then::Again
            } else if let Some(end) = self.closing {
                if fresh || !end_of_list { Then::Again } else { Then::Roll(end) }
            } else {
                caught_up = true;
                Then::Pause
            }
        };
        Answer { events, marks, repeats, caught_up, then }
    }

    fn close(&mut self, width: i64) -> bool {
        if self.token.end.is_some() || self.closing.is_some() {
            return false;
        }
        let end = self.newest.map(|newest| newest - SETTLING);
        // From the start of the window, wherever the search begins, or each refused key would put
        // its end off.
        self.closing = end.filter(|end| end - self.start >= width.max(1));
        self.closing.is_some()
    }

    fn mark(&mut self, after: usize) -> Mark {
        self.marked = Some(self.token.key);
        Mark { after, token: self.token.encode() }
    }
}
