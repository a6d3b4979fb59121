//! Single HTTP/1.1 requests: one that asks, and one after which the connection is something else.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{DATE, HOST, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::error::DialError;
use crate::address::Address;
use crate::connection::AGENT;
use ev_dial::BoxStream;

/// Headers that every request has.
pub(crate) fn begin(host: &Address) -> http::request::Builder {
    // A valid host has no character that a header cannot hold; if it does, the request is refused
    // when it is built.
    let host = HeaderValue::from_str(&host.to_string()).unwrap_or(HeaderValue::from_static(""));
    Request::builder().header(HOST, host).header(USER_AGENT, HeaderValue::from_static(AGENT))
}

/// An answer in full, with at most `max_bytes` of body.
pub(super) async fn ask(
    stream: BoxStream,
    request: Request<Empty<Bytes>>,
    max_bytes: usize,
) -> Result<(StatusCode, Bytes), Trouble> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answer = pin!(async move {
        let response = send(sender, request).await?.1;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, max_bytes).collect().await.map_err(Trouble::Body)?;
        Ok((head.status, body.to_bytes()))
    });
    // The request is what matters; the connection only has to be driven meanwhile.
    match select(answer, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

/// The date of an answer, whatever it is.
pub(crate) async fn date(stream: BoxStream, request: Request<Empty<Bytes>>) -> Option<String> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    let answer = pin!(async move {
        let response = send(sender, request).await.ok()?.1;
        Some(response.headers().get(DATE)?.to_str().ok()?.to_owned())
    });
    match select(answer, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

/// What became of a request to make something else of the connection.
pub(super) enum Switched {
    /// It is something else now.
    Yes(HeaderMap, BoxStream),
    /// It is not.
    No(StatusCode),
}

/// Sends a request after whose success (101, or 2xx to CONNECT) the connection is something else.
pub(super) async fn switch(
    stream: BoxStream,
    request: Request<Empty<Bytes>>,
) -> Result<Switched, hyper::Error> {
    let is_connect = request.method() == http::Method::CONNECT;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answer = pin!(async move {
        let (_sender, mut response) = send(sender, request).await?;
        let status = response.status();
        let is_success = match is_connect {
            true => status.is_success(),
            false => status == StatusCode::SWITCHING_PROTOCOLS,
        };
        if !is_success {
            return Ok(Switched::No(status));
        }
        let upgraded = hyper::upgrade::on(&mut response).await?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Switched::Yes(headers, Box::new(TokioIo::new(upgraded)) as BoxStream))
    });
    match select(answer, pin!(connection.with_upgrades())).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

type Sender = SendRequest<Empty<Bytes>>;

/// The sender comes back, as the connection ends with it.
async fn send(
    mut sender: Sender,
    request: Request<Empty<Bytes>>,
) -> Result<(Sender, Response<Incoming>), hyper::Error> {
    let response = sender.send_request(request).await?;
    Ok((sender, response))
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("HTTP failed")]
    Http(#[from] hyper::Error),
    #[error("its answer is too large or cut off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<hyper::Error> for DialError {
    fn from(error: hyper::Error) -> Self {
        Self::Http1(error)
    }
}
