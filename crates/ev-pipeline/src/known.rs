//! Which events have been taken already.
//!
//! Windows overlap and their tip is read again and again, so the same event comes more than once.
//! It is recognised by its id and by nothing else. Two things are kept in memory: the ids of the
//! last pages of each lane (what reading on or resuming brings again), and the ids near a lane's
//! borders (what its neighbours bring again).

use std::collections::{BTreeMap, BTreeSet};

use ev_core::EventDigest;

/// Number of a lane within this run.
pub(crate) type LaneKey = u32;

/// Ids near the borders of all window lanes, whoever took them.
#[derive(Debug, Default)]
pub(crate) struct BorderIds(BTreeMap<EventDigest, LaneKey>);

impl BorderIds {
    pub(crate) fn insert(&mut self, digest: EventDigest, lane: LaneKey) {
        self.0.entry(digest).or_insert(lane);
    }

    pub(crate) fn contains(&self, digest: &EventDigest) -> bool {
        self.0.contains_key(digest)
    }

    /// Forgets what `lane` brought in.
    pub(crate) fn forget(&mut self, lane: LaneKey) {
        self.0.retain(|_, key| *key != lane);
    }
}

/// Ids of a lane's last pages.
#[derive(Debug, Default)]
pub(crate) struct RecentIds(BTreeMap<u64, BTreeSet<EventDigest>>);

impl RecentIds {
    pub(crate) fn insert(&mut self, page: u64, digest: EventDigest) {
        self.0.entry(page).or_default().insert(digest);
    }

    pub(crate) fn contains(&self, digest: &EventDigest) -> bool {
        self.0.values().any(|page| page.contains(digest))
    }

    /// Keeps `page`, the one before it and all later ones.
    pub(crate) fn keep_from(&mut self, page: u64) {
        self.0 = self.0.split_off(&page.saturating_sub(1));
    }
}
