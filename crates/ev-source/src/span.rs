//! A stretch of the log beside the lanes: the same searches, without resume points.

use std::time::Duration;

use ev_core::{BoxFuture, Gap, RawEvent, SourceError, SpanPage, SpanQuery, SpanReader};
use tonic::Status;

use crate::beside::{Asked, Beside};
use crate::failing::{Asker, Failed, Failing};
use crate::rpc::Searched;
use crate::token::{Search, WindowToken};
use crate::window::{Narrowed, Then, Window};

/// Reads a stretch by searches.
pub(crate) struct SearchSpan {
    beside: Beside,
    window: Window,
    failing: Failing,
    /// For the log.
    name: String,
    /// Before the next search.
    pause: Option<Duration>,
    over: bool,
}

impl SearchSpan {
    pub(crate) fn new(query: SpanQuery, beside: Beside) -> Self {
        let SpanQuery { from, to, types } = query;
        let types = if types.is_empty() { beside.config.types.clone() } else { types };
        let search = Search { start: from, end: Some(to), bare_start: false, types: types.clone() };
        let token = WindowToken { search, key: String::new(), opened: None };
        let (road, batch) = (beside.road.get(), beside.config.batch);
        Self {
            window: Window::resume(road, token, true, &types, batch),
            beside,
            failing: Failing::default(),
            name: format!("beside/{from}-{to}"),
            pause: None,
            over: to <= from,
        }
    }

    /// Cancel-safe: what an answer changes is changed without waiting for anything.
    async fn next(&mut self) -> Option<SpanPage> {
        while !self.over {
            if let Some(pause) = self.pause {
                self.beside.env.sleep(pause).await;
                self.pause = None;
            }
            let window = &mut self.window;
            let question = |road, now| {
                if window.road() != road {
                    window.take_road(road);
                }
                (window.query(now), window.control(now))
            };
            let Asked { road, version, query, searched } = self.beside.ask(question).await;
            let Some(Searched { answer, proven }) = searched else {
                self.window.lost();
                continue;
            };
            let mut page = SpanPage { version, events: Vec::new(), gaps: Vec::new() };
            match answer {
                Ok(found) => {
                    self.failing.answered();
                    let answer = self.window.take(&query, found.items, found.last_key, i64::MAX);
                    let raw = |bytes| RawEvent { form: road.form(), bytes };
                    page.events = answer.events.into_iter().map(raw).collect();
                    self.go_on(&answer.then);
                }
                Err(status) => page.gaps.extend(self.failed(&status, proven)),
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
            Then::Pause => self.pause = Some(self.beside.config.poll_interval),
            Then::End | Then::Roll(_) => self.over = true,
        }
    }

    fn failed(&mut self, status: &Status, proven: bool) -> Option<Gap> {
        let Beside { budget, env, .. } = &self.beside;
        let asker = Asker { name: &self.name, budget, env: &**env };
        let Failed { pause, narrowed, reason, .. } =
            self.failing.of_window(&mut self.window, status, proven, &asker);
        self.pause = (!pause.is_zero()).then_some(pause);
        let Narrowed::Gap { second, then } = narrowed else { return None };
        self.over = matches!(then, Then::End | Then::Roll(_));
        Some(Gap { from: second, to: second.saturating_add(1), reason })
    }
}

impl SpanReader for SearchSpan {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        Box::pin(async move { Ok(self.next().await) })
    }
}
