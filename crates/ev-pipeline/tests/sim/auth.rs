//! The Auth server: what a search answers, and how far a recording can be read.

use std::time::Duration;

use bytes::Bytes;

use crate::event::{self, EventNo, Kind};
use crate::rng::Rng;
use crate::scenario::{BASE, Logged, Sorting};
use crate::world::World;

/// An event's place in what Auth answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) i64, pub(crate) u32, pub(crate) u32);

/// A page key: behind which place, and a number that makes keys of one place differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) behind: Place,
    pub(crate) nonce: u32,
}

/// A search: both ends are inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) limit: usize,
    pub(crate) key: Option<Key>,
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) second: i64,
    pub(crate) place: Place,
    pub(crate) bytes: Bytes,
}

/// What a search brings.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) items: Vec<Item>,
    /// Key of the next page.
    pub(crate) next: Option<Key>,
    /// The first event of the page cannot be sent: its place, and its number.
    pub(crate) too_large: Option<(Place, usize)>,
}

/// The log in the order in which Auth answers.
pub(crate) struct Shelf {
    sorting: Sorting,
    order: Vec<(Place, usize)>,
}

impl Shelf {
    pub(crate) fn new(sorting: Sorting, log: &[Logged]) -> Self {
        let mut order: Vec<_> =
            log.iter().enumerate().map(|(at, event)| (place(sorting, at, event), at)).collect();
        order.sort_unstable();
        Self { sorting, order }
    }

    /// Events of a search that Auth has at `now`, and the key of the next page if the page is full.
    /// It ends in front of an event that is too large to be sent.
    pub(crate) fn search(
        &self,
        log: &[Logged],
        query: &Query,
        now: Duration,
        rng: &mut Rng,
    ) -> Found {
        let mut items = Vec::new();
        let mut too_large = None;
        for (place, event) in self.between(query.key.map(|key| key.behind), None) {
            let logged = &log[event];
            let second = logged.time.seconds();
            if self.sorting == Sorting::ByTime && second > query.end {
                break;
            }
            if second < query.start || second > query.end || logged.stored_at > now {
                continue;
            }
            if logged.kind == Kind::TooLarge {
                too_large = Some((place, event));
                break;
            }
            let no = Logged::no(event);
            let bytes = event::encode(no, logged.kind, logged.time, rng.chance(500));
            items.push(Item { second, place, bytes });
            if items.len() == query.limit {
                break;
            }
        }
        let full = items.len() == query.limit || too_large.is_some();
        let next = items.last().filter(|_| full).map(|last| Key { behind: last.place, nonce: 0 });
        let too_large = too_large.filter(|_| items.is_empty());
        Found { items, next, too_large }
    }

    pub(crate) fn place(&self, at: usize, event: &Logged) -> Place {
        place(self.sorting, at, event)
    }

    /// Numbers of events behind one place and up to another.
    pub(crate) fn between(
        &self,
        behind: Option<Place>,
        to: Option<Place>,
    ) -> impl Iterator<Item = (Place, usize)> + '_ {
        let from = behind.map_or(0, |behind| self.order.partition_point(|(at, _)| *at <= behind));
        let rest = self.order[from..].iter().copied();
        rest.take_while(move |(at, _)| to.is_none_or(|to| *at <= to))
    }
}

fn place(sorting: Sorting, at: usize, event: &Logged) -> Place {
    let at = u32::try_from(at).unwrap();
    match sorting {
        Sorting::ByTime => Place(event.time.seconds(), event.time.subsec_nanos(), at),
        Sorting::ByArrival => Place(0, 0, at),
    }
}

/// What reading a recording behind its first `read` events brings.
#[derive(Debug)]
pub(crate) enum Reading {
    /// So many more events, and then it has ended or goes on.
    Events {
        count: u32,
        ended: bool,
    },
    Missing,
    Broken,
    /// Nothing for so long as the source is willing to wait.
    Nothing,
}

impl World {
    pub(crate) fn read_recording(&self, session: u32, read: u32, limit: u32) -> Reading {
        let now = self.now();
        let recording = &self.scenario.recordings[session as usize];
        if recording.there_at.is_none_or(|at| at > now) {
            return Reading::Missing;
        }
        let barrier = |at: Option<(u32, Duration)>| at.filter(|(_, until)| *until > now);
        let (breaks, hangs) = (barrier(recording.breaks), barrier(recording.hangs));
        if breaks.is_some_and(|(at, _)| at <= read) {
            return Reading::Broken;
        }
        if hangs.is_some_and(|(at, _)| at <= read) {
            return Reading::Nothing;
        }
        let barrier = breaks.into_iter().chain(hangs).map(|(at, _)| at).min();
        let to = barrier.unwrap_or(recording.events).min(read + limit).min(recording.events);
        Reading::Events { count: to - read, ended: to == recording.events }
    }

    pub(crate) fn recorded(&self, session: u32, place: u32) -> Bytes {
        let no = EventNo::Recorded(session, place);
        let time = ev_core::Timestamp::new(BASE - 100 + i64::from(place), 0);
        event::encode(no, self.kind(no), time, false)
    }
}
