//! One HTTP/1.1 connection and one exchange on it at a time. Nobody drives it in between; dropping
//! it closes it.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ev_core::{Env, within};
use ev_dial::{BoxStream, WebServer, describe, is_alive, secure, tcp};
use ev_tls::ClientTls;
use http::header::{ACCEPT_ENCODING, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::address::{Base, File};
use crate::config::Timeouts;

const AGENT: &str = concat!("ev-modules-https/", env!("CARGO_PKG_VERSION"));

/// Most bytes of the head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most bytes of an answer's body that are read when it is of no interest, so that the connection
/// can be used again.
const MAX_SKIPPED_BYTES: usize = 16 * 1024;

type Link = ev_dial::Link<TokioIo<BoxStream>, Empty<Bytes>>;

pub(crate) struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    link: Link,
    /// Whether an answer has come over it.
    used: bool,
}

/// An answer, as far as it is of interest.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body of a 200, empty for all others.
    pub(crate) body: Result<Bytes, Unread>,
}

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It has more bytes than are taken.
    TooLarge,
    /// It is compressed, though that was not asked for.
    Encoded(String),
    /// The connection broke.
    Broken(String),
}

/// No answer came.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    /// Whether the server may just have closed a connection that was used before.
    pub(crate) stale: bool,
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), stale: false }
    }
}

impl From<ev_dial::Error> for Failure {
    fn from(error: ev_dial::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl Connection {
    /// Dials, and begins TLS where the address says so.
    pub(crate) async fn open(
        base: &Base,
        tls: Option<&Arc<ClientTls>>,
        timeouts: &Timeouts,
        env: &dyn Env,
    ) -> Result<Self, Failure> {
        let WebServer { tls: is_secure, host, port, .. } = &base.server;
        let tcp = tcp(host, *port, timeouts.connect, env).await?;
        if !is_secure {
            let peer = tcp.peer_addr().ok().map(|peer| peer.ip());
            check_plain(host, peer).map_err(Failure::new)?;
            return Self::start(Box::new(tcp)).await;
        }
        // Never plain text to an `https` address, whatever happens.
        let tls = tls.ok_or_else(|| Failure::new("TLS is not set up"))?;
        Self::start(Box::new(secure(tcp, host, tls, timeouts.handshake, env).await?)).await
    }

    async fn start(stream: BoxStream) -> Result<Self, Failure> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::new(describe(&error)))?;
        Ok(Self { sender, link: Link::new(connection), used: false })
    }

    /// Whether it can carry another request, as far as can be told without sending one.
    pub(crate) async fn is_alive(&mut self) -> bool {
        is_alive(&mut self.link, &mut self.sender).await
    }

    /// Asks for a file and reads at most `max` bytes of it.
    pub(crate) async fn get(
        &mut self,
        base: &Base,
        file: &File,
        max: usize,
        limit: Duration,
        env: &dyn Env,
    ) -> Result<Answer, Failure> {
        let used = std::mem::replace(&mut self.used, true);
        let exchange = async {
            let response = self.sender.send_request(request(base, file));
            let response = self.link.drive(response).await.map_err(|error| Failure {
                what: broken(&error),
                stale: used && (error.is_canceled() || error.is_closed() || is_broken_off(&error)),
            })?;
            Ok(self.link.drive(read(response, max)).await)
        };
        match within(env, limit, exchange).await {
            Some(outcome) => outcome,
            None => Err(Failure::new(format!("no whole answer within {limit:?}"))),
        }
    }
}

/// Whether plain text may be spoken to the address that a host turned out to have: only to this
/// machine. `localhost` is a name like any other to whoever resolves it.
fn check_plain(host: &str, peer: Option<IpAddr>) -> Result<(), String> {
    match peer {
        Some(peer) if peer.to_canonical().is_loopback() => Ok(()),
        Some(peer) => Err(format!("`{host}` is {peer}, which is not this machine; use `https`")),
        None => Err(format!("nothing tells that `{host}` is this machine; use `https`")),
    }
}

fn request(base: &Base, file: &File) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = file.path.clone().into();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Ok(host) = HeaderValue::from_str(base.server.authority.as_str()) {
        headers.insert(HOST, host);
    }
    request
}

async fn read(response: Response<Incoming>, max: usize) -> Answer {
    let (head, mut incoming) = response.into_parts();
    let (status, headers) = (head.status, head.headers);
    if status != StatusCode::OK {
        // Whether it can be read does not matter; a connection that is in the middle of it is
        // not used again.
        drop(read_body(&mut incoming, MAX_SKIPPED_BYTES).await);
        return Answer { status, headers, body: Ok(Bytes::new()) };
    }
    let encoding = headers.get(http::header::CONTENT_ENCODING);
    let body = match encoding.filter(|encoding| *encoding != "identity") {
        Some(encoding) => Err(Unread::Encoded(crate::address::printable(
            &String::from_utf8_lossy(encoding.as_bytes()),
        ))),
        None => read_body(&mut incoming, max).await,
    };
    Answer { status, headers, body }
}

/// The whole body. Nothing is read of one that says beforehand that it is too large, and of one
/// that does not, no more than fits.
async fn read_body(incoming: &mut Incoming, max: usize) -> Result<Bytes, Unread> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    if incoming.size_hint().lower() > limit {
        return Err(Unread::TooLarge);
    }
    // Grown as it comes: the announced size is only a claim.
    let mut body = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx)).await {
        let frame = frame.map_err(|error| Unread::Broken(describe(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > max - body.len() {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

fn is_broken_off(error: &hyper::Error) -> bool {
    let reset = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
    };
    error.is_incomplete_message()
        || error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).is_some_and(reset)
}

fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() {
        "the server closed the connection without an answer".to_owned()
    } else if error.is_parse() {
        format!("the server does not answer in HTTP/1.1: {}", describe(error))
    } else {
        format!("the connection broke: {}", describe(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_spoken_to_a_name_only_where_it_is_this_machine() {
        let check = |peer: &str| check_plain("localhost", Some(peer.parse().expect(peer)));
        for here in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(here), Ok(()), "{here}");
        }
        for elsewhere in [
            "10.0.0.1",
            "192.168.1.1",
            "128.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "::",
            "::2",
            "::ffff:10.0.0.1",
            "fe80::1",
            "2001:db8::1",
        ] {
            let expected =
                format!("`localhost` is {elsewhere}, which is not this machine; use `https`");
            assert_eq!(check(elsewhere), Err(expected));
        }
        assert!(check_plain("localhost", None).is_err());
    }
}
