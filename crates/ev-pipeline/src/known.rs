//! Which events have been taken already.
//!
//! Windows overlap, are read again for late events, and their tip is read again and again, so the
//! same event comes more than once. It is recognised by its id and by nothing else. In memory are
//! only the ids of the last pages of each lane: what reading on or resuming brings again, and what
//! is not committed yet. All others are looked up in the state, when an event may be known there.

use std::collections::{BTreeMap, BTreeSet};

use ev_core::{EventDigest, Known, KnownQuery, StateError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::Error;
use crate::commit::pause_after;
use crate::engine::Core;

/// Number of a lane within this run.
pub(crate) type LaneKey = u32;

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
    ///
    /// While the state cannot be read, nothing else goes on: what is known would be sent again. A
    /// stop ends the waiting.
    pub(crate) async fn look_up(
        &mut self,
        key: LaneKey,
        nearby: &Nearby,
        digests: BTreeSet<EventDigest>,
        stop: &CancellationToken,
    ) -> Result<BTreeSet<EventDigest>, Error> {
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
        let found = self.ask_state(&query, stop).await?;
        self.book.found(key, found.page);
        let hits = query.digests.iter().zip(found.known).filter(|(_, known)| *known);
        known.extend(hits.map(|(digest, _)| *digest));
        Ok(known)
    }

    async fn ask_state(
        &self,
        query: &KnownQuery,
        stop: &CancellationToken,
    ) -> Result<Known, Error> {
        let mut attempts = 0u32;
        loop {
            let (store, sink, asked) = (self.store.clone(), self.sink_id.clone(), query.clone());
            match self.exec.run(move || store.known(&sink, &asked)).await {
                Ok(found) => {
                    if attempts > 0 {
                        info!(attempts, "state can be read again");
                    }
                    return Ok(found);
                }
                Err(error @ StateError::Storage { .. }) => {
                    error!(
                        error = &error as &dyn std::error::Error,
                        attempts, "state cannot be read, reading stands still"
                    );
                    tokio::select! {
                        biased;
                        // What was read and not taken is read again after the next start.
                        () = stop.cancelled() => return Err(error.into()),
                        () = self.env.sleep(pause_after(attempts, &*self.env)) => attempts += 1,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
