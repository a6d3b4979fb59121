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
use crate::engine::Core;

/// Number of a lane within this run.
pub(crate) type LaneKey = u32;

/// Ids of a lane's last pages.
#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    /// The last page in which each was seen.
    pages: BTreeMap<EventDigest, u64>,
    /// The other way round, to forget them by; an id may stand in several.
    by_page: BTreeMap<u64, Vec<EventDigest>>,
}

impl RecentIds {
    pub(crate) fn insert(&mut self, page: u64, digest: EventDigest) {
        if self.pages.insert(digest, page) != Some(page) {
            self.by_page.entry(page).or_default().push(digest);
        }
    }

    pub(crate) fn contains(&self, digest: &EventDigest) -> bool {
        self.pages.contains_key(digest)
    }

    /// Keeps `page`, the one before it and all later ones.
    pub(crate) fn keep_from(&mut self, page: u64) {
        let first = page.saturating_sub(1);
        while let Some(oldest) = self.by_page.first_entry().filter(|oldest| *oldest.key() < first) {
            let (page, digests) = oldest.remove_entry();
            for digest in digests {
                // Seen again in a later one, it stays.
                if self.pages.get(&digest) == Some(&page) {
                    self.pages.remove(&digest);
                }
            }
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
    /// Whether any event may be known: in a re-scan, and at the beginning of every other lane,
    /// where it may go over what was read before.
    pub(crate) all: bool,
    /// Second of the newest event of the lane.
    pub(crate) newest: i64,
    /// Page of the window at which to look first.
    pub(crate) page: u64,
}

impl Core {
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

    #[test]
    fn ids_are_forgotten_with_the_last_page_that_has_them() {
        let id = |n| EventDigest([n; 16]);
        let mut ids = RecentIds::default();
        for (page, n) in [(0, 1), (0, 1), (0, 2), (1, 3), (2, 1), (3, 4)] {
            ids.insert(page, id(n));
        }
        let mut left = |page| {
            ids.keep_from(page);
            (1..=4).filter(|n| ids.contains(&id(*n))).collect::<Vec<_>>()
        };
        assert_eq!(left(1), [1, 2, 3, 4], "the page in front is kept");
        assert_eq!(left(2), [1, 3, 4]);
        assert_eq!(left(3), [1, 4]);
        assert_eq!(left(4), [4]);
        assert_eq!(left(5), []);
        assert!(ids.pages.is_empty() && ids.by_page.is_empty());
    }
}
