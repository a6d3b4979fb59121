//! What the calls by which events are read have in common.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use prost_types::Timestamp;
use serde_json::json;
use tokio_stream::Stream;
use tonic::{Response, Status};

use super::recordings::RecordingStream;
use super::server::{Inner, Shared};
use super::store::{Event, Page, Search, SearchError};
use crate::raw::RawMessage;
use crate::time::UtcTime;

/// Most events in a page whatever is asked for; a real server has the same.
const MAX_LIMIT: usize = 5_000;

pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A search as it came, of either kind.
pub(super) struct Asked {
    pub(super) unstructured: bool,
    pub(super) namespace: String,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) types: Vec<String>,
    pub(super) limit: i32,
    pub(super) key: String,
    pub(super) order: i32,
}

impl Shared {
    /// Answers a search that came by `method`.
    pub(super) async fn search(&self, method: &str, asked: Asked) -> Result<Page, Status> {
        let time = |stamp: &Option<Timestamp>| {
            // Go's zero time when absent.
            stamp.as_ref().map_or(UtcTime::from_seconds(-62_135_596_800), |stamp| UtcTime {
                seconds: stamp.seconds,
                nanos: u32::try_from(stamp.nanos).unwrap_or_default(),
            })
        };
        let Asked { unstructured, namespace, from, to, types, limit, key, order } = asked;
        let (from, to) = (time(&from), time(&to));
        self.enter(
            method,
            json!({
                "namespace": namespace, "from": from.to_string(), "to": to.to_string(),
                "types": types, "limit": limit, "key": key, "order": order,
            }),
        )
        .await?;
        if !matches!(namespace.as_str(), "" | "default") {
            return Err(self.failed(method, Status::invalid_argument("invalid namespace")));
        }
        let limit = usize::try_from(limit).unwrap_or(0);
        let limit = if limit == 0 { MAX_LIMIT } else { limit.min(MAX_LIMIT) };
        let answer = {
            let mut inner = self.lock();
            let (key, empty) = behind_empty_pages(key, inner.switches.empty_pages);
            let search = Search {
                unstructured,
                from,
                to,
                types,
                limit: limit.min(inner.switches.page_cap).max(1),
                max_bytes: if inner.switches.refuse_large {
                    inner.switches.page_bytes
                } else {
                    usize::MAX
                },
                key,
                // 0 is ascending, against the names in the enum.
                descending: order != 0,
            };
            match empty {
                Some(last_key) => Ok(Page { last_key, ..Page::default() }),
                None => inner.answer(&search),
            }
        };
        match answer {
            Ok(page) => {
                self.sent(method, page.events.len());
                self.change(|inner| inner.served.extend(&page.numbers));
                Ok(page)
            }
            Err(error) => {
                let status = match error {
                    SearchError::Key(text) => Status::invalid_argument(text),
                    SearchError::TooLarge(size) => Status::invalid_argument(format!(
                        "event of {size} bytes is larger than a page of results"
                    )),
                    SearchError::Bad(second) => {
                        Status::internal(format!("failed to read the event of second {second}"))
                    }
                    SearchError::NoForm(number) => no_form(&format!("event {number}")),
                };
                Err(self.failed(method, status))
            }
        }
    }

    /// Streams a recording that was asked for by `method`, each event as `bytes` of it.
    pub(super) async fn recording(
        self: &Arc<Self>,
        method: &'static str,
        session: String,
        start: i32,
        bytes: impl Fn(&Event) -> Result<Bytes, Status>,
    ) -> Result<Response<Answers<RawMessage>>, Status> {
        self.enter(method, json!({ "session": session, "start_index": start })).await?;
        let events = self.lock().store.recording(&session, i64::from(start));
        let Some(events) = events else {
            let text = format!("a recording for session {session} was not found");
            return Err(self.failed(method, Status::not_found(text)));
        };
        let stream = RecordingStream::new(self, method, &session, events, bytes);
        Ok(Response::new(Box::pin(stream)))
    }
}

/// The answer to who asks for an event as something that it is not known as.
pub(super) fn no_form(event: &str) -> Status {
    Status::internal(format!("no unstructured form of {event} is known"))
}

/// The key behind the empty pages, or the key of the next one of those.
fn behind_empty_pages(key: String, count: u64) -> (String, Option<String>) {
    let parts = key.strip_prefix("e.").and_then(|rest| rest.split_once('.'));
    let left = match parts {
        Some((left, _)) => left.parse().unwrap_or(0),
        None if key.is_empty() => 0,
        None => count,
    };
    let key = parts.map_or(key.as_str(), |(_, key)| key).to_owned();
    let next = left.checked_sub(1).map(|left| format!("e.{left}.{key}"));
    (key, next)
}

impl Inner {
    /// The answer to a search, or what a faulty back end makes of it.
    fn answer(&mut self, search: &Search) -> Result<Page, SearchError> {
        let goes_on = !search.key.is_empty();
        let place = (search.unstructured, search.from.seconds);
        if goes_on
            && self.switches.repeat_pages > 0
            && let Some(page) = self.last_pages.get(&place)
        {
            self.switches.repeat_pages -= 1;
            return Ok(page.clone());
        }
        let mut page = self.store.search(search)?;
        let bad = &self.switches.bad_seconds;
        if !bad.is_empty()
            && let Some(second) = self.store.second_of(&page.numbers, bad)
        {
            return Err(SearchError::Bad(second));
        }
        if goes_on && self.switches.stick_keys > 0 && !page.last_key.is_empty() {
            self.switches.stick_keys -= 1;
            page.last_key.clone_from(&search.key);
        }
        self.last_pages.insert(place, page.clone());
        Ok(page)
    }
}
