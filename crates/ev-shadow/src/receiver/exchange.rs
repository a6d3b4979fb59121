//! One request and its answer.

use std::convert::Infallible;

use bytes::Bytes;
use ev_core::within;
use http::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Mutex, SemaphorePermit};
use tracing::{debug, warn};

use super::{Place, Shared, count};
use crate::forward::{Answer, Links, Trouble};
use crate::json::{Kind, Tree};
use crate::matcher::Side;

/// Room is given out in pieces of that many bytes.
const UNIT: usize = 4096;
/// Bodies larger than this are read on a thread of their own.
const LARGE: usize = 16 * 1024;

/// How many pieces that is.
pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX >> 3)
}

/// Answers a request. It never fails: whatever is wrong is an answer.
pub(super) async fn answer(
    shared: &Shared,
    links: &Mutex<Links>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let (head, incoming) = request.into_parts();
    let place = shared.config.paths.place(&head.uri);
    let is_event = head.method == Method::POST && place != Place::Elsewhere;
    if !is_event {
        count(&shared.counters.strays);
        debug!(method = %head.method, path = head.uri.path(), "a request without events");
        if shared.config.forward.is_none() {
            return Ok(stray(&head.method, &place));
        }
    }
    let (body, _room) = match read(shared, incoming).await {
        Ok(read) => read,
        Err(status) => {
            count(&shared.counters.refused);
            warn!(%status, path = head.uri.path(), "a request was refused");
            return Ok(closing(plain(status)));
        }
    };
    let answer = match &shared.config.forward {
        None => plain(StatusCode::OK),
        Some(forward) => {
            // One request at a time comes over a connection, so nobody waits for this.
            let mut links = links.lock().await;
            let answer = links.pass(forward, &place, &head, body.clone(), &*shared.env).await;
            answer.unwrap_or_else(|Trouble { status, what }| {
                warn!(%status, error = what, "Fluentd did not answer a request passed on to it");
                plain(status)
            })
        }
    };
    if is_event && answer.status().is_success() {
        count(&shared.counters.requests);
        take(shared, &place, &head.headers, body).await;
    } else if shared.config.forward.is_some() && !answer.status().is_success() {
        count(&shared.counters.not_taken);
        debug!(status = %answer.status(), "Fluentd did not take a request");
    }
    Ok(answer)
}

/// Reads a body, once there is room for it.
async fn read(
    shared: &Shared,
    incoming: Incoming,
) -> Result<(Bytes, SemaphorePermit<'_>), StatusCode> {
    let limits = &shared.config.limits;
    let announced = incoming.size_hint().exact().map(usize::try_from);
    let len = match announced {
        Some(Ok(len)) if len <= limits.body_bytes => len,
        Some(_) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        // Taken for the largest, so that nobody holds a part and waits for more.
        None => limits.body_bytes,
    };
    let room = within(&*shared.env, limits.body, shared.room.acquire_many(units(len))).await;
    let Some(Ok(room)) = room else { return Err(StatusCode::SERVICE_UNAVAILABLE) };
    let body = Limited::new(incoming, limits.body_bytes).collect();
    match within(&*shared.env, limits.body, body).await {
        Some(Ok(body)) => Ok((body.to_bytes(), room)),
        Some(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Some(Err(_)) => Err(StatusCode::BAD_REQUEST),
        None => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Hands the events of a body to the comparison.
async fn take(shared: &Shared, place: &Place, headers: &HeaderMap, body: Bytes) {
    let Some(route) = place.route() else { return };
    let encoding = headers.get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        // The reference handler compresses nothing.
        shared.comparison.take_unreadable(Side::Theirs);
        return;
    }
    let comparison = shared.comparison.clone();
    let is_large = body.len() > LARGE;
    let work = move || {
        let Ok(tree) = Tree::read(&body) else { return comparison.take_unreadable(Side::Theirs) };
        match tree.node(0).kind {
            Kind::Array => {
                for event in tree.children(0) {
                    let event = body.slice(tree.node(event).text.clone());
                    comparison.take(Side::Theirs, &route, event);
                }
            }
            _ => comparison.take(Side::Theirs, &route, body.clone()),
        }
    };
    if !is_large {
        return work();
    }
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%error, "a body could not be compared");
    }
}

/// The answer to what carries no events, when nobody else can give one. A GET is how people and
/// programs look whether anybody is there; Fluentd answers it with success, too.
fn stray(method: &Method, place: &Place) -> Answer {
    match (method, place) {
        (_, Place::Elsewhere) => plain(StatusCode::NOT_FOUND),
        (&Method::GET | &Method::HEAD, _) => plain(StatusCode::OK),
        _ => {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            answer
        }
    }
}

fn plain(status: StatusCode) -> Answer {
    let text = match status {
        StatusCode::OK => String::new(),
        _ => format!("{status}\n"),
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// What is left of a body that was not read stands where the next request would.
fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
