//! Heads of requests.

use http::header::{CONTENT_TYPE, HeaderName, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};

/// What events are.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The same for all attempts of a batch.
pub(crate) const BATCH_ID: HeaderName = HeaderName::from_static("ev-batch-id");
/// The `uid` of the one event of a request in single mode.
pub(crate) const EVENT_ID: HeaderName = HeaderName::from_static("ev-event-id");

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("ev-handler/", env!("CARGO_PKG_VERSION")));

/// A head without `Host`, which the connection adds.
pub(crate) fn request(
    method: Method,
    path: PathAndQuery,
    content_type: &HeaderValue,
) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(USER_AGENT, AGENT);
    request
}
