//! One HTTP/1.1 connection and one exchange on it at a time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ev_core::{BoxFuture, Env};
use ev_dial::{Reusable, describe, is_alive};
use ev_tls::{find_tls_error, is_refusal_of_us};
use http::header::{AUTHORIZATION, HOST, HeaderMap};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::Timeouts;
use crate::body::{JsonBody, Parts};
use crate::connect::ConnectError;
use crate::heard::Said;
use crate::io::{Progress, Stream, Watched};
use crate::target::Target;

/// Most bytes of an answer's body that are read before the connection is given up instead.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How many of them are kept for logs.
const KEPT_ANSWER_BYTES: usize = 512;

/// A connection. Nobody drives it between two exchanges; dropping it closes it.
pub(crate) struct Connection {
    sender: http1::SendRequest<JsonBody>,
    link: Link,
    progress: Arc<Progress>,
    /// Whether an answer has come over it. Until then the receiver may not have looked at our
    /// certificate.
    proven: bool,
    /// Which credentials it was opened with; see [`ev_dial::Pool`].
    pub(crate) generation: u64,
}

type Link = ev_dial::Link<TokioIo<Watched>, JsonBody>;

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// First bytes of the body.
    pub(crate) body: Bytes,
    /// What may be shown of it; nothing before [`crate::FluentdSink::hear`].
    pub(crate) said: Said,
    /// Whether the request had gone out completely when the answer came.
    pub(crate) after_whole_request: bool,
    /// Whether the connection can carry another request.
    pub(crate) reusable: bool,
}

/// No answer came.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened.
    pub(crate) what: String,
    /// Whether any byte of the request may have gone out.
    pub(crate) written: bool,
    /// Whether any byte of an answer came.
    pub(crate) read: bool,
    /// Whether a limit of time ran out, rather than the connection breaking.
    pub(crate) timed_out: bool,
    /// Whether the receiver refused our certificate, so it cannot have taken the request.
    pub(crate) refused_us: bool,
}

impl Connection {
    /// Begins HTTP on a fresh stream.
    pub(crate) async fn start(stream: Stream) -> Result<Self, ConnectError> {
        let progress = Arc::new(Progress::default());
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&progress)));
        let (sender, connection) = http1::handshake(io).await?;
        let link = Link::new(connection);
        Ok(Self { sender, link, progress, proven: false, generation: 0 })
    }

    /// Sends one request and reads the answer to its end, within the limits.
    pub(crate) async fn exchange(
        &mut self,
        head: Request<()>,
        target: &Target,
        body: Parts,
        timeouts: &Timeouts,
        env: &dyn Env,
    ) -> Result<Answer, Failure> {
        self.progress.begin();
        let mut request = head.map(|()| JsonBody::new(body, Arc::clone(&self.progress)));
        if let Ok(host) = HeaderValue::from_str(target.server.authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        if let Some(authorization) = &target.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let mut timer = Timer::new(timeouts, env);
        let response = self.sender.send_request(request);
        let response = match drive(&mut self.link, &self.progress, &mut timer, response).await {
            Some(Ok(response)) => response,
            Some(Err(error)) => return Err(self.failure(&error)),
            None => return Err(self.timeout(&timer, timeouts)),
        };
        self.proven = true;
        let after_whole_request = self.progress.sent();
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        let rest = read_body(&mut incoming, &mut body);
        // The status line has been read, and it is what counts: an answer whose body breaks off
        // or never ends costs the connection and nothing else.
        let whole = drive(&mut self.link, &self.progress, &mut timer, rest).await == Some(true);
        let reusable = whole && after_whole_request && self.is_alive().await;
        body.truncate(KEPT_ANSWER_BYTES);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.into(),
            said: Said::Nothing,
            after_whole_request,
            reusable,
        })
    }

    fn failure(&self, error: &hyper::Error) -> Failure {
        let refused_us = !self.proven && find_tls_error(error).is_some_and(is_refusal_of_us);
        let what = if error.is_incomplete_message() || error.is_canceled() {
            "the receiver closed the connection without an answer".to_owned()
        } else if error.is_parse() {
            format!("the receiver does not answer in HTTP/1.1: {}", describe(error))
        } else {
            format!("the connection broke: {}", describe(error))
        };
        Failure {
            what,
            written: self.progress.written(),
            read: self.progress.read(),
            timed_out: false,
            refused_us,
        }
    }

    fn timeout(&self, timer: &Timer<'_>, timeouts: &Timeouts) -> Failure {
        let what = if timer.waiting {
            format!("no answer within {:?}", timeouts.response)
        } else {
            format!("the receiver did not take the request within {:?}", timeouts.request)
        };
        Failure {
            what,
            written: self.progress.written(),
            read: self.progress.read(),
            timed_out: true,
            refused_us: false,
        }
    }
}

impl Reusable for Connection {
    async fn is_alive(&mut self) -> bool {
        is_alive(&mut self.link, &mut self.sender).await
    }
}

/// The limit in force: that of the request until it has gone out, then that of the response.
struct Timer<'a> {
    sleep: BoxFuture<'static, ()>,
    response: Duration,
    waiting: bool,
    env: &'a dyn Env,
}

impl<'a> Timer<'a> {
    fn new(timeouts: &Timeouts, env: &'a dyn Env) -> Self {
        let sleep = env.sleep(timeouts.request);
        Self { sleep, response: timeouts.response, waiting: false, env }
    }

    fn poll(&mut self, progress: &Progress, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting && progress.sent() {
            self.waiting = true;
            self.sleep = self.env.sleep(self.response);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Moves bytes until `future` is done; `None` when the limit ran out before.
async fn drive<T>(
    link: &mut Link,
    progress: &Progress,
    timer: &mut Timer<'_>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        link.poll(cx);
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.poll(progress, cx).map(|()| None)
    })
    .await
}

/// Reads an answer's body to its end, keeping the first bytes; false if it broke off or is too
/// long.
async fn read_body(incoming: &mut Incoming, kept: &mut Vec<u8>) -> bool {
    let mut total = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx)).await {
        let Ok(frame) = frame else { return false };
        let Ok(data) = frame.into_data() else { continue };
        total += data.len();
        if total > MAX_ANSWER_BYTES {
            return false;
        }
        let room = KEPT_ANSWER_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    true
}
