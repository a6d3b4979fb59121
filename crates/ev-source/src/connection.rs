//! One connection to Auth. It is never mended: when it is lost, a new one is made, and everybody
//! sees that it is another.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http2::SendRequest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tower_service::Service;
use tracing::debug;

use ev_core::chain;

/// Metadata by which a client tells the version of the API it speaks.
const VERSION: HeaderName = HeaderName::from_static("version");
/// API version told before Auth's own is known: that of the newest schema in `proto/`.
const FIRST_VERSION: &str = "18.0.0";
/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("ev-handler/", env!("CARGO_PKG_VERSION"));

/// A living or dead connection. Dropping the last handle closes it, but not before the answers that
/// are still being read have been dropped too: another connection may have taken its place for new
/// calls.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Different for every connection of a source.
    pub(crate) id: u64,
    pub(crate) channel: Channel,
    /// Largest message taken, in bytes.
    pub(crate) max_message_bytes: usize,
    closed: CancellationToken,
    cause: Arc<Mutex<Option<hyper::Error>>>,
}

/// What moves the bytes; ends with its last owner.
type Driver = Arc<AbortOnDropHandle<()>>;

impl Connection {
    /// `driver` moves the bytes; when it ends, the connection is dead.
    pub(crate) fn new(
        id: u64,
        sender: SendRequest<Body>,
        driver: impl Future<Output = hyper::Result<()>> + Send + 'static,
        max_message_bytes: usize,
    ) -> Self {
        let closed = CancellationToken::new();
        let guard = closed.clone().drop_guard();
        let cause = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&cause);
        // The connection owns the task and ends it.
        let task = tokio::spawn(async move {
            if let Err(error) = driver.await {
                debug!(error = chain(&error), "connection to auth ended");
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            drop(guard);
        });
        let version = HeaderValue::from_static(FIRST_VERSION);
        Self {
            id,
            channel: Channel { sender, version, driver: Arc::new(AbortOnDropHandle::new(task)) },
            max_message_bytes,
            closed,
            cause,
        }
    }

    /// Resolves when the connection is dead. Does not keep it alive.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        self.closed.clone().cancelled_owned()
    }

    /// Why the connection died, once it did. Calls over it only learn that it is no more.
    pub(crate) fn take_cause(&self) -> Option<hyper::Error> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// From now on speak of `version` in every call: events are decoded with the schema of
    /// exactly the version that Auth has, so that is the API we speak.
    pub(crate) fn speak(&mut self, version: &str) {
        if let Ok(value) = HeaderValue::from_str(version) {
            self.channel.version = value;
        }
    }
}

/// Where the calls of the generated clients go.
#[derive(Clone)]
pub(crate) struct Channel {
    sender: SendRequest<Body>,
    version: HeaderValue,
    driver: Driver,
}

impl Channel {
    /// Scheme and authority of requests; Auth looks at neither.
    pub(crate) fn origin() -> Uri {
        Uri::from_static("https://teleport.cluster.local")
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Answer>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    /// Always ready: on a dead connection the call itself fails, with an error that still shows
    /// whose it is. An error from here would become a status without a cause.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert(VERSION, self.version.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let (response, driver) = (self.sender.send_request(request), Arc::clone(&self.driver));
        Box::pin(async move { Ok(response.await?.map(|body| Answer { body, _driver: driver })) })
    }
}

/// The body of an answer. Keeps its connection going.
pub(crate) struct Answer {
    body: Incoming,
    _driver: Driver,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
