//! Passes requests on to Fluentd and brings its answers back.
//!
//! Each connection of the other handler has its own connections to Fluentd, so what breaks there
//! breaks nothing else. Nothing is tried twice: a request whose outcome nobody knows is answered
//! with 502 or 504, and it is the other handler that sends it again, as it would without us in
//! between. The one exception is a request of which not a byte was sent, because Fluentd had
//! closed an idle connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{Env, within};
use ev_dial::{NoServer, WebServer};
use ev_tls::ClientTls;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::Error;
use crate::receiver::Place;

/// Largest body of an answer that is brought back. Fluentd's are a line of text.
const MAX_ANSWER: usize = 64 * 1024;

/// Where requests are passed on to.
#[derive(Clone)]
pub struct Forward {
    audit: WebServer,
    session: WebServer,
    tls: Option<Arc<ClientTls>>,
    timeouts: ForwardTimeouts,
}

/// How long to wait for Fluentd.
#[derive(Clone, Copy, Debug)]
pub struct ForwardTimeouts {
    /// Name resolution and TCP connect together.
    pub connect: Duration,
    /// TLS handshake.
    pub handshake: Duration,
    /// All together: from dialling to the last byte of the answer. The reference handler itself
    /// waits for 30 s, [`ForwardTimeouts::LONGEST`] is a little less.
    pub exchange: Duration,
    /// How long an idle connection is used again; Fluentd closes it after 10 s.
    pub idle: Duration,
}

impl ForwardTimeouts {
    /// The longest exchange: behind that the reference handler has given up, and would send again
    /// what Fluentd may be about to take.
    pub const LONGEST: Duration = Duration::from_secs(29);
}

impl Default for ForwardTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            exchange: Self::LONGEST,
            idle: Duration::from_secs(7),
        }
    }
}

impl Forward {
    /// To the servers of the two addresses; the paths are those of each request. `tls` is needed
    /// if one of them is `https`.
    ///
    /// # Errors
    ///
    /// [`Error::Url`].
    pub fn new(
        url: &str,
        session_url: &str,
        tls: Option<Arc<ClientTls>>,
        timeouts: ForwardTimeouts,
    ) -> Result<Self, Error> {
        let server = |setting, url: &str| {
            let wrong = |what| Error::Url { setting, url: ev_dial::without_secrets(url), what };
            let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
            let server = WebServer::try_new(&uri.into_parts()).map_err(|error| {
                wrong(match error {
                    NoServer::Form => "is neither `https://…` nor `http://…`",
                    NoServer::Host => "has no host",
                    NoServer::Port => "has no port of 1 to 65535",
                })
            })?;
            if server.tls && tls.is_none() {
                return Err(wrong("needs certificates"));
            }
            if server.authority.as_str().contains('@') {
                return Err(wrong(
                    "has a user or password, which is not passed on: it is to stand in the other handler's address",
                ));
            }
            Ok(server)
        };
        let (audit, session) = (server("url", url)?, server("session-url", session_url)?);
        Ok(Self { audit, session, tls, timeouts })
    }

    async fn dial(&self, server: &WebServer, env: &dyn Env) -> Result<Link, Trouble> {
        let ForwardTimeouts { connect, handshake, .. } = self.timeouts;
        let away = |what: String| Trouble { status: StatusCode::BAD_GATEWAY, what };
        let failed = |error: ev_dial::Error| away(error.to_string());
        let tcp = ev_dial::tcp(&server.host, server.port, connect, env).await.map_err(failed)?;
        if !server.tls {
            return Link::start(tcp).await;
        }
        // Never plain text to an `https` address.
        let Some(tls) = &self.tls else { return Err(away("TLS is not set up".to_owned())) };
        let secure = ev_dial::secure(tcp, &server.host, tls, handshake, env);
        Link::start(secure.await.map_err(failed)?).await
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("audit", &self.audit.authority)
            .field("session", &self.session.authority)
            .finish_non_exhaustive()
    }
}

/// What Fluentd said, or what is said in its place.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Fluentd could not be asked, or did not answer.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) status: StatusCode,
    pub(crate) what: String,
}

/// The connections to Fluentd of one connection of the other handler.
#[derive(Default)]
pub(crate) struct Links {
    audit: Option<Link>,
    session: Option<Link>,
}

struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Moves the bytes; ended when this is dropped.
    _driver: JoinSet<()>,
    idle_since: Duration,
}

impl Link {
    async fn start(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, Trouble> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whatever ended it reaches the request by its own future.
            let _ended = connection.await;
        });
        Ok(Self { sender, _driver: driver, idle_since: Duration::ZERO })
    }
}

impl Links {
    /// Passes one request on.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub(crate) async fn pass(
        &mut self,
        forward: &Forward,
        place: &Place,
        head: &Parts,
        body: Bytes,
        env: &dyn Env,
    ) -> Result<Answer, Trouble> {
        let (server, kept) = match place {
            Place::Session(_) => (&forward.session, &mut self.session),
            Place::Audit | Place::Elsewhere => (&forward.audit, &mut self.audit),
        };
        let limit = forward.timeouts.exchange;
        let idle = forward.timeouts.idle;
        let rested = |link: &Link| env.monotonic().saturating_sub(link.idle_since);
        // All of it together has to be shorter than the other handler waits.
        let exchange = async {
            let used = match kept.take().filter(|link| rested(link) < idle) {
                // Its last request is over, so it is ready at once or closed.
                Some(mut link) => link.sender.ready().await.is_ok().then_some(link),
                None => None,
            };
            let is_used = used.is_some();
            let mut link = match used {
                Some(link) => link,
                None => forward.dial(server, env).await?,
            };
            let sent = link.sender.try_send_request(request(head, body, server)?).await;
            let response = match sent {
                Ok(response) => response,
                Err(mut error) => match error.take_message().filter(|_| is_used) {
                    // Not a byte of it has gone out.
                    Some(unsent) => {
                        link = forward.dial(server, env).await?;
                        link.sender.send_request(unsent).await.map_err(broken)?
                    }
                    None => return Err(broken(error.into_error())),
                },
            };
            let (head, incoming) = response.into_parts();
            let body = Limited::new(incoming, MAX_ANSWER).collect().await;
            // The status has been read, and it is what counts.
            let (body, is_whole) = match body {
                Ok(body) => (body.to_bytes(), true),
                Err(_) => (Bytes::new(), false),
            };
            if is_whole {
                link.idle_since = env.monotonic();
                *kept = Some(link);
            }
            Ok((head, body, is_whole))
        };
        let Some(done) = within(env, limit, exchange).await else {
            let what = format!("no answer within {limit:?}");
            return Err(Trouble { status: StatusCode::GATEWAY_TIMEOUT, what });
        };
        let (mut head, body, is_whole) = done?;
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = head.status;
        keep_end_to_end(&mut head.headers);
        if !is_whole {
            head.headers.remove(http::header::CONTENT_ENCODING);
        }
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }
}

/// The very request, for Fluentd's own name.
fn request(head: &Parts, body: Bytes, server: &WebServer) -> Result<Request<Full<Bytes>>, Trouble> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method.clone();
    let path = head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let mut headers = head.headers.clone();
    keep_end_to_end(&mut headers);
    let host = HeaderValue::from_str(server.authority.as_str()).map_err(|_| Trouble {
        status: StatusCode::BAD_GATEWAY,
        what: "its name fits into no header".to_owned(),
    })?;
    headers.insert(HOST, host);
    *request.headers_mut() = headers;
    Ok(request)
}

/// Removes what is between two neighbours only (RFC 9110, section 7.6.1), and the length, which is
/// written anew.
fn keep_end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let known = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, EXPECT, CONTENT_LENGTH];
    let old = ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"];
    named.into_iter().chain(known).for_each(|name| while headers.remove(&name).is_some() {});
    old.iter().for_each(|name| while headers.remove(*name).is_some() {});
}

fn broken(error: hyper::Error) -> Trouble {
    let what = format!("the connection broke: {}", ev_dial::describe(&error));
    Trouble { status: StatusCode::BAD_GATEWAY, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_is_in_no_text() {
        let error =
            Forward::new("ftp://f/x?token=s3cret", "http://f/s", None, ForwardTimeouts::default());
        let error = error.expect_err("no such scheme").to_string();
        assert!(error.contains("ftp://f/x?…") && !error.contains("s3cret"), "{error}");
    }
}
