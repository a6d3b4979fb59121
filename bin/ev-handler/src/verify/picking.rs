//! From what Auth has of an hour, the events that a repair is to send.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use ev_core::{BoxFuture, EventDigest, RawEvent, SessionId, SourceError, SpanPage, SpanReader};
use ev_pipeline::ledger::{Hour, LedgerKey};
use tokio::sync::Mutex;

use super::compare::Seen;
use super::ids::{Identified, Ids};
use crate::chain::Chain;
use crate::start::Error;

/// What was picked, for whoever settles it.
#[derive(Debug, Default)]
pub(super) struct Picked {
    /// What the ledger is to be told of it.
    pub(super) sums: Hour,
    /// What it is recognised by.
    pub(super) ids: HashSet<EventDigest>,
    /// Events left out as nobody can tell their id.
    pub(super) unidentified: u64,
    /// Recordings that it announces.
    pub(super) recordings: BTreeSet<SessionId>,
}

/// What is to be picked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Of these seconds.
    pub(super) span: Range<i64>,
    /// Only these events; all of them if `None`.
    pub(super) only: Option<BTreeSet<EventDigest>>,
}

impl Wanted {
    fn takes(&self, seen: &Seen) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&seen.identity.digest))
    }
}

/// Yields of another reader's events those that are wanted, each once.
pub(super) struct Picking {
    inner: Box<dyn SpanReader>,
    /// Taken from `inner` and not looked at to its end.
    page: Option<SpanPage>,
    ids: Arc<Mutex<Ids>>,
    key: LedgerKey,
    wanted: Wanted,
    picked: Arc<StdMutex<Picked>>,
}

/// What is known of an event of a page.
struct Found {
    event: RawEvent,
    seen: Seen,
    recording: Option<SessionId>,
}

impl Picking {
    pub(super) fn new(
        inner: Box<dyn SpanReader>,
        ids: Arc<Mutex<Ids>>,
        key: LedgerKey,
        wanted: Wanted,
    ) -> Self {
        let picked = Arc::default();
        Self { inner, page: None, ids, key, wanted, picked }
    }

    /// Where what is picked is told.
    pub(super) fn picked(&self) -> Arc<StdMutex<Picked>> {
        Arc::clone(&self.picked)
    }

    async fn next(&mut self) -> Result<Option<SpanPage>, SourceError> {
        if self.page.is_none() {
            self.page = self.inner.next().await?;
        }
        let Some(page) = &self.page else { return Ok(None) };
        let (found, unidentified) = look(&self.ids, &self.wanted, page).await.map_err(|error| {
            let message = format!("events cannot be recognised: {}", Chain(&error));
            SourceError::Operator { message, source: None }
        })?;
        // Nothing is waited for from here on, so that nothing is told twice.
        let mut picked = self.picked.lock().unwrap_or_else(PoisonError::into_inner);
        picked.unidentified += unidentified;
        let mut events = Vec::new();
        for Found { event, seen, recording } in found {
            if picked.ids.insert(seen.identity.digest) {
                picked.sums.insert(&self.key.line(&seen.identity));
                picked.recordings.extend(recording);
                events.push(event);
            }
        }
        let version = page.version.clone();
        self.page = None;
        // What Auth cannot send is a matter of the comparison.
        Ok(Some(SpanPage { version, events, gaps: Vec::new() }))
    }
}

/// Those of the page that may be wanted, and how many nobody can tell.
async fn look(
    ids: &Mutex<Ids>,
    wanted: &Wanted,
    page: &SpanPage,
) -> Result<(Vec<Found>, u64), Error> {
    let mut ids = ids.lock().await;
    let (mut found, mut unidentified) = (Vec::new(), 0);
    for event in &page.events {
        let takes = |second: i64| wanted.span.contains(&second);
        match ids.identify(&page.version, event, takes).await? {
            Identified::Elsewhere => {}
            Identified::Not { .. } => unidentified += 1,
            Identified::Seen(seen) if wanted.takes(&seen) => {
                let recording = ids.announced(&page.version, event).await?;
                found.push(Found { event: event.clone(), seen, recording });
            }
            Identified::Seen(_) => {}
        }
    }
    Ok((found, unidentified))
}

impl SpanReader for Picking {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        Box::pin(self.next())
    }
}
