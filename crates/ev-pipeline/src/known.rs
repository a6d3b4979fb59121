//! Which events have been taken already.
//!
//! Windows overlap, are read again for late events, and their tip is read again and again, so the
//! same event comes more than once. It is recognised by its id and by nothing else. In memory are
//! only the ids of the last pages of each lane: what reading on or resuming brings again, and what
//! is not committed yet. All others are looked up in the state, when an event may be known there.

use std::collections::{BTreeMap, BTreeSet};

use ev_core::{EventDigest, KnownQuery, StateStore};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::digests::DigestMap;
use crate::engine::Core;
use crate::identity::Identity;

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

impl Core {
    /// Those of the events that another road has settled.
    pub(crate) async fn known_elsewhere(
        &mut self,
        events: &[&Identity],
        stop: &CancellationToken,
    ) -> Result<BTreeSet<EventDigest>, Error> {
        let seconds = || events.iter().map(|event| event.time.seconds());
        let Some((first, last)) = seconds().min().zip(seconds().max()) else {
            return Ok(BTreeSet::new());
        };
        let others = self.left_over.lanes_of(first..=last);
        if others.is_empty() {
            return Ok(BTreeSet::new());
        }
        let digests: Vec<EventDigest> = events.iter().map(|event| event.digest).collect();
        let query = KnownQuery { window: None, neighbours: Vec::new(), others, digests, page: 0 };
        let (sink, asked) = (self.sink_id.clone(), query.clone());
        let ask = move |store: &dyn StateStore| store.known(&sink, &asked);
        let found = self.with_state("read", ask, stop).await?;
        let hits = query.digests.iter().zip(found.known).filter(|(_, known)| *known);
        Ok(hits.map(|(digest, _)| *digest).collect())
    }

    /// Those of the digests that are settled in the state or on their way, in this window or near
    /// the borders of its neighbours.
    pub(crate) async fn look_up(
        &mut self,
        key: LaneKey,
        nearby: &Nearby,
        digests: BTreeSet<EventDigest>,
        stop: &CancellationToken,
    ) -> Result<BTreeSet<EventDigest>, Error> {
        if digests.is_empty() {
            return Ok(digests);
        }
        let mut known = self.book.taken(&nearby.lanes, &digests);
        let digests: Vec<EventDigest> =
            digests.into_iter().filter(|digest| !known.contains(digest)).collect();
        if digests.is_empty() {
            return Ok(known);
        }
        let query = KnownQuery {
            window: Some(nearby.window),
            neighbours: [nearby.before, nearby.behind].into_iter().flatten().collect(),
            others: Vec::new(),
            digests,
            page: nearby.page,
        };
        let (sink, asked) = (self.sink_id.clone(), query.clone());
        let ask = move |store: &dyn StateStore| store.known(&sink, &asked);
        let found = self.with_state("read", ask, stop).await?;
        self.book.found(key, found.page);
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
