//! A stretch of the log beside the lanes: the same searches, without resume points.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    BoxFuture, Env, Gap, RawEvent, SourceError, SpanPage, SpanQuery, SpanReader, within,
};
use tonic::Status;
use tracing::warn;

use crate::Config;
use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::link::{Shared, Troubles};
use crate::road::CurrentRoad;
use crate::rpc::{self, Trouble};
use crate::tasks::Kind;
use crate::token::{Search, WindowToken};
use crate::window::{Narrowed, Then, Window};

/// Pause between two looks for a connection or for room in the request budget.
const LOOK: Duration = Duration::from_millis(250);

/// Reads a stretch by searches.
pub(crate) struct SearchSpan {
    road: CurrentRoad,
    config: Arc<Config>,
    env: Arc<dyn Env>,
    shared: Shared,
    budget: Budget,
    window: Window,
    backoff: Backoff,
    trouble: Troubles,
    /// Before the next search.
    pause: Option<Duration>,
    over: bool,
}

impl SearchSpan {
    pub(crate) fn new(
        query: SpanQuery,
        config: Arc<Config>,
        env: Arc<dyn Env>,
        shared: Shared,
        budget: Budget,
        road: CurrentRoad,
    ) -> Self {
        let SpanQuery { from, to, types } = query;
        let types = if types.is_empty() { config.types.clone() } else { types };
        let search = Search { start: from, end: Some(to), bare_start: false, types: types.clone() };
        let token = WindowToken { search, key: String::new(), opened: None };
        Self {
            window: Window::resume(road.get(), token, true, &types, config.batch),
            road,
            config,
            env,
            shared,
            budget,
            backoff: Backoff::default(),
            trouble: Troubles::default(),
            pause: None,
            over: to <= from,
        }
    }

    /// Cancel-safe: what an answer changes is changed without waiting for anything.
    async fn next(&mut self) -> Option<SpanPage> {
        while !self.over {
            if let Some(pause) = self.pause {
                self.env.sleep(pause).await;
                self.pause = None;
            }
            let Some((connection, version)) = self.shared.up() else {
                self.env.sleep(LOOK).await;
                continue;
            };
            let Some(permit) = self.budget.begin(Kind::Closed) else {
                self.env.sleep(LOOK).await;
                continue;
            };
            let road = self.road.get();
            if self.window.road() != road {
                self.window.take_road(road);
            }
            let query = self.window.query(self.env.now().seconds());
            let call = rpc::search(&connection, road, query.clone());
            let answer = within(&*self.env, self.config.request_timeout, call).await;
            drop(permit);
            if self.shared.up().is_none_or(|(_, now)| now != version) {
                // Nobody knows under which version it was written.
                self.window.lost();
                continue;
            }
            let overdue = || Err(Status::deadline_exceeded("auth did not answer in time"));
            let mut page = SpanPage { version, events: Vec::new(), gaps: Vec::new() };
            match answer.unwrap_or_else(overdue) {
                Ok(found) => {
                    self.budget.answered();
                    self.backoff.reset();
                    self.trouble.clear();
                    let answer = self.window.take(&query, found.items, found.last_key, i64::MAX);
                    let raw = |bytes| RawEvent { form: road.form(), bytes };
                    page.events = answer.events.into_iter().map(raw).collect();
                    self.go_on(&answer.then);
                }
                Err(status) => page.gaps.extend(self.failed(&status)),
            }
            if !page.events.is_empty() || !page.gaps.is_empty() {
                return Some(page);
            }
        }
        None
    }

    fn go_on(&mut self, then: &Then) {
        match then {
            Then::Again => {}
            Then::Pause => self.pause = Some(self.config.poll_interval),
            Then::End | Then::Roll(_) => self.over = true,
        }
    }

    fn failed(&mut self, status: &Status) -> Option<Gap> {
        self.window.lost();
        let reason = rpc::describe(status);
        let env = Arc::clone(&self.env);
        let pause = match Trouble::of(status) {
            Trouble::TooLarge if self.window.shrink() => return None,
            Trouble::TooLarge => match self.window.narrow(env.now().seconds()) {
                Narrowed::Part => return None,
                Narrowed::Gap { second, then } => {
                    self.go_on(&then);
                    self.pause = Some(self.backoff.next(&*env));
                    return Some(Gap { from: second, to: second.saturating_add(1), reason });
                }
            },
            Trouble::Busy => {
                self.budget.refused();
                self.backoff.next(&*env)
            }
            Trouble::Denied => self.backoff.slow(&*env),
            Trouble::Invalid => {
                self.window.restart();
                self.backoff.next(&*env)
            }
            Trouble::Connection | Trouble::Missing | Trouble::Other => self.backoff.next(&*env),
        };
        if self.trouble.is_news(&reason) {
            warn!(reason, "a stretch of the log cannot be read now, trying again");
        }
        self.pause = Some(pause);
        None
    }
}

impl SpanReader for SearchSpan {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        Box::pin(async move { Ok(self.next().await) })
    }
}
