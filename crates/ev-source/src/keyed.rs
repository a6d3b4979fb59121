//! Pages of the log by keys that come from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, Env, RawEvent, within};
use tonic::{Code, Status};
use tracing::warn;

use crate::Config;
use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::link::{Shared, Troubles};
use crate::road::CurrentRoad;
use crate::rpc::{self, Trouble};
use crate::tasks::Kind;
use crate::window::Query;

/// Pause between two looks for a connection or for room in the request budget.
const LOOK: Duration = Duration::from_millis(250);

/// Asks for single pages beside the lanes, by page keys that this source did not get itself.
///
/// Uses the connection and the request budget of the source that made it, and waits while there is
/// no connection: somebody has to be in the source's `next` or `survey`.
#[derive(Clone)]
pub struct KeyedPages {
    config: Arc<Config>,
    env: Arc<dyn Env>,
    shared: Shared,
    budget: Budget,
    road: CurrentRoad,
}

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
    pub(crate) fn new(
        config: Arc<Config>,
        env: Arc<dyn Env>,
        shared: Shared,
        budget: Budget,
        road: CurrentRoad,
    ) -> Self {
        Self { config, env, shared, budget, road }
    }

    /// The page at the key, of the search from its start up to now. Waits for a peer that does not
    /// answer.
    ///
    /// # Errors
    ///
    /// When Auth refuses the key, or cannot send even one event of the page.
    pub async fn page(&self, query: &KeyedQuery) -> Result<KeyedPage, KeyRefused> {
        let mut backoff = Backoff::default();
        let mut trouble = Troubles::default();
        let mut limit = self.config.batch;
        loop {
            let Some((connection, version)) = self.shared.up() else {
                self.env.sleep(LOOK).await;
                continue;
            };
            let Some(permit) = self.budget.begin(Kind::Closed) else {
                self.env.sleep(LOOK).await;
                continue;
            };
            let query = Query {
                start: query.start,
                end: self.env.now().seconds().max(query.start).saturating_add(1),
                end_nanos: 0,
                backwards: false,
                types: query.types.clone(),
                limit,
                key: query.key.clone(),
            };
            let road = self.road.get();
            let call = rpc::search(&connection, road, query);
            let answer = within(&*self.env, self.config.request_timeout, call).await;
            drop(permit);
            if self.shared.up().is_none_or(|(_, now)| now != version) {
                // Nobody knows under which version it was written.
                continue;
            }
            let overdue = || Err(Status::deadline_exceeded("auth did not answer in time"));
            let status = match answer.unwrap_or_else(overdue) {
                Ok(found) => {
                    self.budget.answered();
                    let raw = |bytes| RawEvent { form: road.form(), bytes };
                    let events = found.items.into_iter().map(raw).collect();
                    return Ok(KeyedPage { version, events, next: found.last_key });
                }
                Err(status) => status,
            };
            let reason = rpc::describe(&status);
            let pause = match Trouble::of(&status) {
                Trouble::TooLarge if limit > 1 => {
                    limit = (limit / 2).max(1);
                    continue;
                }
                Trouble::Invalid | Trouble::Missing | Trouble::TooLarge => {
                    return Err(KeyRefused { reason });
                }
                Trouble::Busy => {
                    self.budget.refused();
                    backoff.next(&*self.env)
                }
                Trouble::Denied => backoff.slow(&*self.env),
                // A key that the storage behind Auth chokes on gets no better.
                Trouble::Other if matches!(status.code(), Code::Internal | Code::Unknown) => {
                    return Err(KeyRefused { reason });
                }
                Trouble::Connection | Trouble::Other => backoff.next(&*self.env),
            };
            if trouble.is_news(&reason) {
                warn!(reason, "a page of the log cannot be read now, trying again");
            }
            self.env.sleep(pause).await;
        }
    }
}

impl std::fmt::Debug for KeyedPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedPages").finish_non_exhaustive()
    }
}
