//! Reading an answer that comes as a stream, a part at a time.
//!
//! Whoever drops what is read here cancels the call: a stream lives in the future that reads it,
//! or with the lane between two of its parts.

use std::sync::Arc;
use std::time::Duration;

use ev_core::Env;
use futures_util::FutureExt;
use tonic::{Status, Streaming};

use crate::rpc;

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
    More(Box<Streaming<T>>),
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
    stream: Option<Box<Streaming<T>>>,
    call: impl Future<Output = Result<Streaming<T>, Status>>,
    size: impl Fn(&T) -> usize,
    bounds: Bounds,
    env: Arc<dyn Env>,
) -> Part<T> {
    let mut items = Vec::new();
    let opened = match stream {
        Some(stream) => Ok(stream),
        None => rpc::in_time(&*env, bounds.patience, call).await.map(Box::new),
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
    stream: &mut Streaming<T>,
    items: &mut Vec<T>,
    size: impl Fn(&T) -> usize,
    bounds: Bounds,
    env: &Arc<dyn Env>,
) -> Result<bool, Status> {
    let mut bytes = 0;
    while items.len() < bounds.items && bytes < bounds.bytes {
        let message = if items.is_empty() {
            rpc::in_time(&**env, bounds.patience, stream.message()).await
        } else {
            // What is ready already; waiting would only delay what is here.
            match stream.message().now_or_never() {
                Some(message) => message,
                None => return Ok(true),
            }
        };
        // One that merely stops, without a status behind it, has been cut off and is an error.
        let Some(item) = message? else { return Ok(false) };
        bytes += size(&item);
        items.push(item);
    }
    Ok(true)
}
