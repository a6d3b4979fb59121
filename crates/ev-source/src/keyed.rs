//! Pages of the log by keys that come from elsewhere.

use ev_core::{AuthVersion, RawEvent};

use crate::beside::{Asked, Beside};
use crate::failing::{Asker, Failing};
use crate::rpc::{self, Searched, Trouble};
use crate::window::Query;

/// Failures in a row after which a key is taken for one that Auth chokes on.
const ATTEMPTS: u32 = 5;

/// Asks for single pages beside the lanes, by page keys that this source did not get itself.
///
/// Uses the connection and the request budget of the source that made it, and waits while there is
/// no connection: somebody has to be in the source's `next` or `survey`.
#[derive(Clone)]
pub struct KeyedPages(Beside);

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedQuery {
    /// First second of the search that the key belongs to, since 1970-01-01T00:00:00Z.
    pub start: i64,
    /// Event types of that search; empty means all.
    pub types: Vec<String>,
    /// The key.
    pub key: String,
}

/// A page of the log, oldest event first.
#[derive(Clone, Debug)]
pub struct KeyedPage {
    /// The version that Auth reported on the connection.
    pub version: AuthVersion,
    /// The events.
    pub events: Vec<RawEvent>,
    /// Key of the next page; empty at the end.
    pub next: String,
}

/// Auth has no page for the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth takes no such page key: {reason}")]
pub struct KeyRefused {
    /// What Auth said, lower case.
    pub reason: String,
}

impl KeyedPages {
    pub(crate) fn new(beside: Beside) -> Self {
        Self(beside)
    }

    /// The page at the key, of the search from its start up to now. Waits for a peer that does not
    /// answer.
    ///
    /// # Errors
    ///
    /// When Auth refuses the key, fails at it several times in a row, or cannot send even one event
    /// of the page.
    pub async fn page(&self, query: &KeyedQuery) -> Result<KeyedPage, KeyRefused> {
        let mut failing = Failing::default();
        let mut limit = self.0.config.batch;
        let mut failures = 0;
        loop {
            let KeyedQuery { start, types, key } = query.clone();
            let question = |_, now: i64| {
                let end = now.max(start).saturating_add(1);
                (Query { start, end, end_nanos: 0, backwards: false, types, limit, key }, None)
            };
            let Asked { road, version, searched, .. } = self.0.ask(question).await;
            let Some(Searched { answer, .. }) = searched else { continue };
            let status = match answer {
                Ok(found) => {
                    let raw = |bytes| RawEvent { form: road.form(), bytes };
                    let events = found.items.into_iter().map(raw).collect();
                    return Ok(KeyedPage { version, events, next: found.last_key });
                }
                Err(status) => status,
            };
            let reason = || rpc::describe(&status);
            match Trouble::of(&status) {
                Trouble::TooLarge if limit > 1 => {
                    limit = (limit / 2).max(1);
                    continue;
                }
                Trouble::Invalid | Trouble::Missing | Trouble::TooLarge => {
                    return Err(KeyRefused { reason: reason() });
                }
                // A key that the storage behind Auth chokes on gets no better; a storage that
                // stumbles does.
                Trouble::Failed => {
                    failures += 1;
                    if failures >= ATTEMPTS {
                        return Err(KeyRefused { reason: reason() });
                    }
                }
                Trouble::Busy | Trouble::Denied | Trouble::Connection | Trouble::Other => {}
            }
            let Beside { budget, env, .. } = &self.0;
            let name: &dyn std::fmt::Display = &"beside/page";
            let pause = failing.of_search(&status, &Asker { name, budget, env: &**env }).pause;
            self.0.env.sleep(pause).await;
        }
    }
}

impl std::fmt::Debug for KeyedPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedPages").finish_non_exhaustive()
    }
}
