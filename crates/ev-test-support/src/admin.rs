//! How another process talks to a fake: HTTP on loopback, JSON bodies.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;
use crate::door::{Door, Serve, Transport};

/// What a fake answers to a call.
pub(crate) enum Answer {
    /// JSON.
    Json(serde_json::Value),
    /// JSON, one value a line.
    Lines(Vec<u8>),
    /// What was asked makes no sense.
    Bad(String),
    /// There is no such call.
    NotFound,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self::Json(serde_json::json!({ "ok": true }))
    }

    pub(crate) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Self::Json(value),
            Err(error) => Self::Bad(error.to_string()),
        }
    }

    /// What became of something that has no result but whether it went well.
    pub(crate) fn done(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::ok(),
            Err(error) => Self::Bad(error.chain()),
        }
    }

    /// Has `set` change the members that the body names; nothing if one of them is unknown.
    pub(crate) fn merge<T: Serialize + DeserializeOwned>(
        body: &[u8],
        set: impl FnOnce(&mut dyn FnMut(&mut T)),
    ) -> Self {
        Self::read(body, |changes: Map<String, Value>| {
            let mut answer = Self::ok();
            set(&mut |switches| match merged(switches, &changes) {
                Ok(new) => *switches = new,
                Err(error) => answer = Self::Bad(error.to_string()),
            });
            answer
        })
    }

    /// Runs `then` on the body read as `T`.
    pub(crate) fn read<T: DeserializeOwned>(body: &[u8], then: impl FnOnce(T) -> Self) -> Self {
        match serde_json::from_slice(body) {
            Ok(value) => then(value),
            Err(error) => Self::Bad(error.to_string()),
        }
    }
}

fn merged<T: Serialize + DeserializeOwned>(
    switches: &T,
    changes: &Map<String, Value>,
) -> serde_json::Result<T> {
    let mut all = serde_json::to_value(switches)?;
    if let Value::Object(members) = &mut all {
        members.extend(changes.clone());
    }
    serde_json::from_value(all)
}

/// The calls of one fake.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Answers `method path` with `body`.
    fn call(
        self: Arc<Self>,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

struct Server<C>(Arc<C>);

impl<C: Calls> Serve for Server<C> {
    fn serve(
        self: Arc<Self>,
        stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let calls = self.0.clone();
        Box::pin(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let calls = calls.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let path = head.uri.path().to_owned();
                    Ok::<_, hyper::Error>(response(calls.call(head.method, path, body).await))
                }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // A caller that went away needs no answer.
            drop(served);
        })
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let (status, kind, mut body) = match answer {
        Answer::Json(value) => (StatusCode::OK, "application/json", value.to_string().into_bytes()),
        Answer::Lines(lines) => (StatusCode::OK, "application/x-ndjson", lines),
        Answer::Bad(text) => (StatusCode::BAD_REQUEST, "text/plain", text.into_bytes()),
        Answer::NotFound => (StatusCode::NOT_FOUND, "text/plain", b"no such call".to_vec()),
    };
    if body.last() != Some(&b'\n') {
        body.push(b'\n');
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

/// The admin address of a fake; it closes when this is dropped.
pub struct AdminServer(Door);

impl AdminServer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }
}

/// Serves `calls` on `listener`.
pub(crate) fn serve<C: Calls>(
    listener: std::net::TcpListener,
    calls: Arc<C>,
) -> Result<AdminServer, Error> {
    Ok(AdminServer(Door::open(listener, None, Arc::new(Server(calls)))?))
}

/// Calls a fake that runs in another process. One connection a call.
#[derive(Clone, Copy, Debug)]
pub struct AdminClient {
    addr: SocketAddr,
}

impl AdminClient {
    /// For the fake whose ready file has `addr` as `admin`.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr }
    }

    /// Where the fake listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `GET path`, the answer read as JSON.
    ///
    /// # Errors
    ///
    /// When the fake cannot be reached, refuses, or answers something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(path, &self.request("GET", path, b"").await?)
    }

    /// `GET path`, the answer as it is.
    ///
    /// # Errors
    ///
    /// When the fake cannot be reached or refuses.
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.request("GET", path, b"").await
    }

    /// `POST path` with a JSON body, the answer read as JSON.
    ///
    /// # Errors
    ///
    /// As [`AdminClient::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|error| refused(path, &error))?;
        parse(path, &self.request("POST", path, &body).await?)
    }

    /// `POST path` with a body as it is, the answer read as JSON.
    ///
    /// # Errors
    ///
    /// As [`AdminClient::get`].
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &[u8],
    ) -> Result<T, Error> {
        parse(path, &self.request("POST", path, body).await?)
    }

    async fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.addr).await?;
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n",
                self.addr,
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok(answer)
        };
        let answer = exchange
            .await
            .map_err(Error::io(format!("call `{path}` of the fake at {}", self.addr)))?;
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or_else(|| refused(path, &"the answer was cut off"))?;
        let status = String::from_utf8_lossy(&answer[..end])
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse::<u16>().ok());
        let body = answer[end + 4..].to_vec();
        match status {
            Some(200) => Ok(body),
            _ => Err(refused(path, &String::from_utf8_lossy(&body).trim_end())),
        }
    }
}

fn parse<T: DeserializeOwned>(call: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| refused(call, &error))
}

fn refused(call: &str, message: &dyn std::fmt::Display) -> Error {
    Error::Admin { call: call.to_owned(), message: message.to_string() }
}
