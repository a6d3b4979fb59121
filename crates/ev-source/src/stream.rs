//! Reading an answer that comes as a stream, a part at a time.
//!
//! Whoever drops what is read here cancels the call: a stream lives in the future that reads it,
//! or with the lane between two of its parts.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Env, within};
use futures_util::FutureExt;
use tonic::{Status, Streaming};

/// An answer that is being read.
pub(crate) struct Stream<T> {
    messages: Streaming<T>,
    received: bool,
}

/// A part of an answer, and how it goes on.
pub(crate) struct Part<T> {
    pub(crate) items: Vec<T>,
    pub(crate) then: Then<T>,
}

impl<T> Part<T> {
    /// Whether Auth answered with something.
    pub(crate) fn is_answer(&self) -> bool {
        !self.items.is_empty() || matches!(self.then, Then::End)
    }
}

/// How a stream goes on.
pub(crate) enum Then<T> {
    /// There may be more.
    More(Box<Stream<T>>),
    /// That was all.
    End,
    /// The stream broke.
    Failed(Box<Status>),
}

/// How large a part may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) items: usize,
    /// The part is closed with the item that reaches it.
    pub(crate) bytes: usize,
    /// How long the beginning of the answer, and each part, is waited for.
    pub(crate) patience: Duration,
}

/// Reads what is there, after waiting for the first item, at most a part. Asks by `call` if there
/// is no stream yet.
pub(crate) async fn read<T>(
    stream: Option<Box<Stream<T>>>,
    call: impl Future<Output = Result<Streaming<T>, Status>>,
    size: impl Fn(&T) -> usize,
    bounds: Bounds,
    env: Arc<dyn Env>,
) -> Part<T> {
    let mut items = Vec::new();
    let opened = match stream {
        Some(stream) => Ok(stream),
        None => within(&*env, bounds.patience, call)
            .await
            .unwrap_or_else(|| Err(overdue()))
            .map(|messages| Box::new(Stream { messages, received: false })),
    };
    let then = match opened {
        Ok(mut stream) => match collect(&mut stream, &mut items, size, bounds, &env).await {
            Ok(true) => Then::More(stream),
            Ok(false) => Then::End,
            Err(status) => Then::Failed(Box::new(status)),
        },
        Err(status) => Then::Failed(Box::new(status)),
    };
    Part { items, then }
}

/// Whether there may be more.
async fn collect<T>(
    stream: &mut Stream<T>,
    items: &mut Vec<T>,
    size: impl Fn(&T) -> usize,
    bounds: Bounds,
    env: &Arc<dyn Env>,
) -> Result<bool, Status> {
    let mut bytes = 0;
    while items.len() < bounds.items && bytes < bounds.bytes {
        let message = if items.is_empty() {
            let next = within(&**env, bounds.patience, stream.messages.message()).await;
            next.unwrap_or_else(|| Err(overdue()))
        } else {
            // What is ready already; waiting would only delay what is here.
            match stream.messages.message().now_or_never() {
                Some(message) => message,
                None => return Ok(true),
            }
        };
        let Some(item) = message? else {
            return ended(stream).await.map(|()| false);
        };
        stream.received = true;
        bytes += size(&item);
        items.push(item);
    }
    Ok(true)
}

/// A stream has ended only if it says so: one that merely stops may have been cut off on the way.
async fn ended<T>(stream: &mut Stream<T>) -> Result<(), Status> {
    if stream.received && stream.messages.trailers().await?.is_none() {
        return Err(Status::unavailable("the stream stopped without a status"));
    }
    Ok(())
}

fn overdue() -> Status {
    Status::deadline_exceeded("auth did not answer in time")
}
