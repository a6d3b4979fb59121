//! One connection: a chunk at a time, and its acknowledgement.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ev_core::{Env, within};
use ev_dial::{BoxStream, Reusable};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

use crate::Timeouts;
use crate::msgpack::{Value, read};

/// Longest message of a receiver, in bytes; acknowledgements have some 50, HELO and PONG 300.
const MAX_MESSAGE: usize = 16 * 1024;

/// A connection to a receiver, behind the handshake.
pub(crate) struct Connection {
    stream: BoxStream,
    /// What has come and was not read yet.
    buffer: Vec<u8>,
    /// Whether the receiver lets it be used again.
    pub(crate) keep_alive: bool,
    /// Which credentials it was opened with; see [`ev_dial::Pool`].
    pub(crate) generation: u64,
}

/// What became of a chunk that was not acknowledged.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The receiver cannot have it: not all of it was sent.
    NotSent {
        what: String,
        /// Whether any of it may have been.
        begun: bool,
    },
    /// It may have it.
    Doubt(String),
    /// It may have it, and did not answer in time.
    Late(Duration),
    /// It wants to hear a shared key first, so it has not stored it.
    WantsKey,
}

impl Connection {
    pub(crate) fn new(stream: BoxStream) -> Self {
        Self { stream, buffer: Vec::new(), keep_alive: true, generation: 0 }
    }

    /// Sends a chunk and waits for its acknowledgement. The connection is good for another chunk
    /// only if this is `Ok`.
    pub(crate) async fn exchange(
        &mut self,
        chunk: &[u8],
        id: &str,
        timeouts: &Timeouts,
        env: &dyn Env,
    ) -> Result<(), Failure> {
        match within(env, timeouts.request, self.send(chunk)).await {
            Some(Ok(())) => {}
            Some(Err((error, begun))) => {
                let what = format!("the connection broke while the chunk was sent: {error}");
                // What explains it may have come before.
                return match self.waiting().await {
                    Some(value) if is_helo(&value) => Err(Failure::WantsKey),
                    _ => Err(Failure::NotSent { what, begun }),
                };
            }
            None => {
                let limit = timeouts.request;
                let what = format!("the chunk was not taken by the network within {limit:?}");
                return Err(Failure::NotSent { what, begun: true });
            }
        }
        let answer = match within(env, timeouts.ack, self.message()).await {
            Some(Ok(answer)) => answer,
            Some(Err(what)) => {
                return Err(Failure::Doubt(format!("no acknowledgement: {what}")));
            }
            None => return Err(Failure::Late(timeouts.ack)),
        };
        if is_helo(&answer) {
            return Err(Failure::WantsKey);
        }
        let acknowledged = answer.member(b"ack").and_then(Value::bytes);
        if acknowledged == Some(id.as_bytes()) {
            return Ok(());
        }
        Err(Failure::Doubt(match acknowledged {
            Some(_) => "the acknowledgement is that of another chunk".to_owned(),
            None => "the receiver answered with something else than an acknowledgement".to_owned(),
        }))
    }

    /// Sends all of these bytes; an error says whether any may have gone out.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), (io::Error, bool)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest).await {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), rest.len() < bytes.len())),
                Ok(count) => rest = &rest[count..],
                Err(error) => return Err((error, rest.len() < bytes.len())),
            }
        }
        self.stream.flush().await.map_err(|error| (error, true))
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Result<Value, String> {
        loop {
            match read(&self.buffer) {
                Ok(Some((value, length))) => {
                    self.buffer.drain(..length);
                    return Ok(value);
                }
                Ok(None) if self.buffer.len() <= MAX_MESSAGE => {}
                Ok(None) => return Err("a message of the receiver does not end".to_owned()),
                Err(_) => return Err("the receiver does not speak the forward protocol".to_owned()),
            }
            self.buffer.reserve(1024);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err("the receiver closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("the connection broke: {error}")),
            }
        }
    }

    /// A message that has come already.
    async fn waiting(&mut self) -> Option<Value> {
        let mut message = Box::pin(self.message());
        poll_fn(|cx| match message.as_mut().poll(cx) {
            Poll::Ready(message) => Poll::Ready(message.ok()),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

impl Reusable for Connection {
    /// Whether nothing has come meanwhile: neither the end of the connection nor an answer that
    /// nobody asked for.
    async fn is_alive(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        // What has come is only known once the runtime has looked.
        tokio::task::yield_now().await;
        let mut byte = [0];
        let stream = &mut self.stream;
        poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buffer).is_pending())
        })
        .await
    }
}

/// Whether a receiver wants to go through the handshake.
fn is_helo(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.first().and_then(Value::bytes) == Some(b"HELO"))
}
