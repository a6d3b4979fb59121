//! Which events have been taken already.
//!
//! Windows overlap, are read again for late events, and their tip is read again and again, so the
//! same event comes more than once. It is recognised by its id and by nothing else. In memory are
//! only the ids of the last pages of each lane: what reading on or resuming brings again, and what
//! is not committed yet. All others are looked up in the state, when an event may be known there.

use std::collections::{BTreeMap, BTreeSet};

use ev_core::{EventDigest, KnownQuery, LaneId, Route, StateStore, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::digests::DigestMap;
use crate::engine::Core;
use crate::identity::Identity;
use crate::lanes::is_near;
use crate::plan::{Item, New, Sight, new_ones};

/// Number of a lane within this run.
pub(crate) type LaneKey = u32;

/// Ids of a lane's last pages.
#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    /// The last page in which each was seen.
    pages: DigestMap<u64>,
    /// The other way round, to forget them by; an id may stand in several.
    by_page: BTreeMap<u64, Vec<EventDigest>>,
    /// Pages in which an id was seen that was not known here.
    fresh: BTreeSet<u64>,
    /// How many in `by_page` were seen again in a later page.
    stale: usize,
}

/// So many stale entries are no reason to clean up.
const FEW: usize = 1024;

impl RecentIds {
    pub(crate) fn insert(&mut self, page: u64, digest: EventDigest) {
        match self.pages.insert(digest, page) {
            Some(same) if same == page => return,
            Some(_) => self.stale += 1,
            None if self.fresh.last() == Some(&page) => {}
            None => drop(self.fresh.insert(page)),
        }
        self.by_page.entry(page).or_default().push(digest);
    }

    pub(crate) fn contains(&self, digest: &EventDigest) -> bool {
        self.pages.contains(digest)
    }

    /// Keeps `page`, all later ones, and those before it from the last one on that brought anything
    /// new: however many pages come that are empty, or that repeat what was there, cut as they may
    /// be, Auth has not moved on, and the same may come once more.
    pub(crate) fn keep_from(&mut self, page: u64) {
        let first = self.fresh.range(..page).next_back().copied().unwrap_or(page);
        while let Some(oldest) = self.by_page.first_entry().filter(|oldest| *oldest.key() < first) {
            let (page, digests) = oldest.remove_entry();
            for digest in digests {
                // Seen again in a later one, it stays.
                if self.pages.remove_if(&digest, |last| *last == page).is_none() {
                    self.stale = self.stale.saturating_sub(1);
                }
            }
        }
        while self.fresh.first().is_some_and(|fresh| *fresh < first) {
            self.fresh.pop_first();
        }
        // The same page may come for ever.
        if self.stale > self.pages.len() + FEW {
            for (page, digests) in &mut self.by_page {
                digests.retain(|digest| self.pages.get(digest) == Some(page));
            }
            self.by_page.retain(|_, digests| !digests.is_empty());
            self.stale = 0;
        }
    }
}

/// Where the events of a lane may be known from, beside its own last pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nearby {
    /// Lanes of the window and its neighbours, whose events are not all in the state yet.
    pub(crate) lanes: Vec<LaneKey>,
    /// First second of the window.
    pub(crate) window: i64,
    /// First seconds of the windows in front of it and behind it, as far as they are kept.
    pub(crate) before: Option<i64>,
    pub(crate) behind: Option<i64>,
    /// Whether any event may be known: in a re-scan, at the beginning of every other lane, where it
    /// may go over what was read before, and behind a window that an earlier run had begun.
    pub(crate) all: bool,
    /// Second of the newest event of the lane.
    pub(crate) newest: i64,
    /// Page of the window at which to look first.
    pub(crate) page: u64,
}

/// Where the events of a page may be known from.
#[derive(Debug)]
pub(crate) struct Places {
    /// By windows, for a lane of that key.
    pub(crate) nearby: Option<(LaneKey, Nearby)>,
    /// By lanes of another road by which the log was read.
    pub(crate) others: bool,
}

impl Places {
    /// Whether any event may be known, so that it is worth to look for its uid before it is
    /// decoded.
    pub(crate) fn before_decoding(&self) -> bool {
        self.others || self.nearby.as_ref().is_some_and(|(_, nearby)| nearby.all)
    }
}

impl Core {
    /// Where the events of a lane may be known from.
    pub(crate) fn places(&self, key: LaneKey, route: &Route) -> Places {
        Places {
            nearby: self.book.nearby(key).map(|nearby| (key, nearby)),
            others: *route == Route::Audit && !self.left_over.is_empty(),
        }
    }

    /// Those of a page's events that are known by their uid, so that what is known need not be
    /// decoded: where any of them may be, and where another road has read.
    pub(crate) async fn known_by_uid(
        &mut self,
        places: &Places,
        sights: &[Sight],
        stop: &CancellationToken,
    ) -> Result<BTreeSet<EventDigest>, Error> {
        if !places.before_decoding() {
            return Ok(BTreeSet::new());
        }
        let with_uid = |sight: &Sight| Some((sight.uid?.digest, sight.peeked?.time.seconds()));
        let events = || sights.iter().filter_map(with_uid);
        let others = self.others_of(places, events().map(|(_, second)| second));
        let digests = events().map(|(digest, _)| digest).collect();
        // Near the borders of a window is looked later, by what stands there.
        let nearby = places.nearby.clone().filter(|(_, nearby)| nearby.all);
        self.look_up(nearby.as_ref(), others, digests, stop).await
    }

    /// Those of a page's events that are known and stand where another lane may have read them, or
    /// this one before.
    pub(crate) async fn known_by_place(
        &mut self,
        places: &Places,
        items: &[Item],
        repeats: bool,
        stop: &CancellationToken,
    ) -> Result<BTreeSet<EventDigest>, Error> {
        let mut digests = BTreeSet::new();
        if let Some((_, nearby)) = &places.nearby {
            let Nearby { window, behind, before, all, newest: newest_before, .. } = *nearby;
            let mut newest = newest_before;
            for New { seen, was_looked_for, .. } in new_ones(items) {
                let Identity { digest, time, .. } = *seen;
                let second = time.seconds();
                let is_read_again = repeats && second <= newest_before;
                let is_near = match before {
                    Some(_) => is_near(second, newest, window, behind),
                    None => behind.is_some() && is_near(second, newest, i64::MIN, behind),
                };
                // Whose time nobody can read may be of any.
                let is_near = is_near || time == Timestamp::ZERO_YEAR_ONE;
                // By its uid it was looked for before, where any event was.
                if if all { !was_looked_for } else { is_near || is_read_again } {
                    digests.insert(digest);
                }
                newest = newest.max(second);
            }
        }
        if !places.others {
            return self.look_up(places.nearby.as_ref(), Vec::new(), digests, stop).await;
        }
        let unasked = || new_ones(items).filter(|new| !new.was_looked_for);
        let others = self.others_of(places, unasked().map(|new| new.seen.time.seconds()));
        if !others.is_empty() {
            digests.extend(unasked().map(|new| new.seen.digest));
        }
        self.look_up(places.nearby.as_ref(), others, digests, stop).await
    }

    /// Lanes of another road that may have brought events of these seconds.
    fn others_of(
        &self,
        places: &Places,
        seconds: impl Iterator<Item = i64> + Clone,
    ) -> Vec<LaneId> {
        let (first, last) = (seconds.clone().min(), seconds.max());
        let seconds = first.zip(last).filter(|_| places.others);
        seconds.map(|(first, last)| self.left_over.lanes_of(first..=last)).unwrap_or_default()
    }

    /// Those of the digests that are settled in the state or on their way: in this window or near
    /// the borders of its neighbours, or in one of the lanes `others`.
    pub(crate) async fn look_up(
        &mut self,
        nearby: Option<&(LaneKey, Nearby)>,
        others: Vec<LaneId>,
        digests: BTreeSet<EventDigest>,
        stop: &CancellationToken,
    ) -> Result<BTreeSet<EventDigest>, Error> {
        if digests.is_empty() {
            return Ok(digests);
        }
        let mut lanes = nearby.map(|(_, nearby)| nearby.lanes.clone()).unwrap_or_default();
        lanes.extend(others.iter().filter_map(|lane| self.book.key(lane)));
        let mut known = self.book.taken(&lanes, &digests);
        known.extend(digests.iter().filter(|digest| self.left_over.knows(digest)));
        let digests: Vec<EventDigest> =
            digests.into_iter().filter(|digest| !known.contains(digest)).collect();
        if digests.is_empty() || nearby.is_none() && others.is_empty() {
            return Ok(known);
        }
        let neighbours = nearby.map(|(_, nearby)| [nearby.before, nearby.behind]);
        let query = KnownQuery {
            window: nearby.map(|(_, nearby)| nearby.window),
            neighbours: neighbours.into_iter().flatten().flatten().collect(),
            others,
            digests,
            page: nearby.map_or(0, |(_, nearby)| nearby.page),
        };
        let (sink, asked) = (self.sink_id.clone(), query.clone());
        let ask = move |store: &dyn StateStore| store.known(&sink, &asked);
        let found = self.with_state("read", ask, stop).await?;
        if let Some((key, _)) = nearby {
            self.book.found(*key, found.page);
        }
        let hits = query.digests.iter().zip(found.known).filter(|(_, known)| *known);
        known.extend(hits.map(|(digest, _)| *digest));
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> EventDigest {
        EventDigest([n; 16])
    }

    fn left(ids: &mut RecentIds, page: u64) -> Vec<u8> {
        ids.keep_from(page);
        (1..=9).filter(|n| ids.contains(&id(*n))).collect()
    }

    #[test]
    fn ids_are_forgotten_with_the_last_page_that_has_them() {
        let mut ids = RecentIds::default();
        for (page, n) in [(0, 1), (0, 1), (0, 2), (1, 3), (2, 1), (2, 5), (3, 4)] {
            ids.insert(page, id(n));
        }
        assert_eq!(left(&mut ids, 1), [1, 2, 3, 4, 5], "the page in front is kept");
        assert_eq!(left(&mut ids, 2), [1, 3, 4, 5]);
        assert_eq!(left(&mut ids, 3), [1, 4, 5]);
        assert_eq!(left(&mut ids, 4), [4]);
        assert_eq!(left(&mut ids, 50), [4], "the last one that had any is");
        ids.insert(50, id(5));
        assert_eq!(left(&mut ids, 51), [5]);
        let RecentIds { pages, by_page, fresh, stale } = ids;
        assert_eq!((pages.len(), by_page.len(), fresh.len(), stale), (1, 1, 1, 0), "and no more");
    }

    #[test]
    fn a_page_that_is_repeated_in_pieces_is_known_to_the_end() {
        let mut ids = RecentIds::default();
        (1..=4).for_each(|n| ids.insert(0, id(n)));
        for (page, n) in [(2, 1), (3, 2), (5, 1), (6, 3)] {
            ids.insert(page, id(n));
            assert_eq!(left(&mut ids, page + 1), [1, 2, 3, 4], "behind page {page}");
        }
        // The last piece, and then something new.
        ids.insert(7, id(4));
        ids.insert(7, id(5));
        assert_eq!(left(&mut ids, 8), [4, 5]);
    }

    #[test]
    fn a_page_that_is_repeated_for_ever_takes_no_more_memory() {
        let mut ids = RecentIds::default();
        for page in 0..10_000 {
            (1..=9).for_each(|n| ids.insert(page, id(n)));
            assert_eq!(left(&mut ids, page), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        }
        let held: usize = ids.by_page.values().map(Vec::len).sum();
        assert!(held <= 2 * 9 + FEW + 9, "{held} entries for 9 ids");
    }
}
