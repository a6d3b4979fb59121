//! Single chunks of the bulk export beside the lanes.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, Date, Env, Form, RawEvent};
use tonic::{Code, Status};
use tracing::warn;

use crate::Config;
use crate::backoff::Backoff;
use crate::link::{Shared, Troubles};
use crate::rpc::{self, Trouble};
use crate::stream::{self, Bounds, Stream, Then};

/// Pause between two looks for a connection.
const LOOK: Duration = Duration::from_millis(250);
/// Events that are taken at once.
const EVENTS: usize = 1000;
/// Bytes after which no more are.
const BYTES: usize = 1 << 20;
/// Attempts in a row without an event after which a chunk is left.
const ATTEMPTS: u32 = 5;

/// Reads chunks beside the lanes, over the connection of the source that made it. Waits while there
/// is no connection: somebody has to be in the source's `next` or `survey`.
#[derive(Clone)]
pub struct ChunkEvents {
    config: Arc<Config>,
    env: Arc<dyn Env>,
    shared: Shared,
}

/// A chunk that is being read, from its beginning.
pub struct ChunkReader {
    of: ChunkEvents,
    /// First second of its date.
    second: i64,
    chunk: String,
    cursor: String,
    stream: Option<Box<Stream<crate::generated::teleport::auditlog::v1::ExportEventUnstructured>>>,
    backoff: Backoff,
    trouble: Troubles,
    attempts: u32,
    over: bool,
}

/// Some events of a chunk, in its order.
#[derive(Clone, Debug)]
pub struct ChunkPart {
    /// The version that Auth reported on the connection.
    pub version: AuthVersion,
    /// The events, each with the cursor behind it.
    pub events: Vec<(RawEvent, String)>,
}

/// Auth does not send the chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth does not send the chunk: {reason}")]
pub struct ChunkRefused {
    /// What Auth said, lower case.
    pub reason: String,
}

impl ChunkEvents {
    pub(crate) fn new(config: Arc<Config>, env: Arc<dyn Env>, shared: Shared) -> Self {
        Self { config, env, shared }
    }

    /// Begins to read a chunk of a date.
    pub fn read(&self, date: Date, chunk: &str) -> ChunkReader {
        ChunkReader {
            of: self.clone(),
            second: date.start(),
            chunk: chunk.to_owned(),
            cursor: String::new(),
            stream: None,
            backoff: Backoff::default(),
            trouble: Troubles::default(),
            attempts: 0,
            over: false,
        }
    }
}

impl ChunkReader {
    /// The next events; `None` behind the last.
    ///
    /// # Errors
    ///
    /// When there is no such chunk, Auth does not offer the export, or the chunk cannot be read
    /// however often it is tried.
    pub async fn next(&mut self) -> Result<Option<ChunkPart>, ChunkRefused> {
        while !self.over {
            let ChunkEvents { config, env, shared } = self.of.clone();
            let Some((connection, version)) = shared.up() else {
                env.sleep(LOOK).await;
                continue;
            };
            let most = connection.max_message_bytes;
            let (chunk, cursor) = (self.chunk.clone(), self.cursor.clone());
            let call = rpc::export_events(&connection, self.second, chunk, cursor, most);
            let patience = config.request_timeout;
            let bounds = Bounds { items: EVENTS, bytes: BYTES, patience };
            let stream = self.stream.take();
            let part =
                stream::read(stream, call, |item| item.event.len(), bounds, Arc::clone(&env)).await;
            if let Some(last) = part.items.last() {
                self.cursor.clone_from(&last.cursor);
                self.backoff.reset();
                self.trouble.clear();
                self.attempts = 0;
            }
            let pause = match part.then {
                Then::More(stream) => {
                    self.stream = Some(stream);
                    None
                }
                Then::End => {
                    self.over = true;
                    None
                }
                Then::Failed(status) => Some(self.failed(&status)?),
            };
            if !part.items.is_empty() {
                let event = |bytes| RawEvent { form: Form::Unstructured, bytes };
                let events = part.items.into_iter().map(|item| (event(item.event), item.cursor));
                return Ok(Some(ChunkPart { version, events: events.collect() }));
            }
            if let Some(pause) = pause {
                env.sleep(pause).await;
            }
        }
        Ok(None)
    }

    fn failed(&mut self, status: &Status) -> Result<Duration, ChunkRefused> {
        let reason = rpc::describe(status);
        let trouble = Trouble::of(status);
        let hopeless = matches!(trouble, Trouble::Missing | Trouble::Invalid | Trouble::TooLarge)
            || status.code() == Code::Unimplemented;
        if trouble != Trouble::Connection && trouble != Trouble::Denied {
            self.attempts += 1;
        }
        if hopeless || self.attempts >= ATTEMPTS {
            return Err(ChunkRefused { reason });
        }
        if self.trouble.is_news(&reason) {
            warn!(chunk = self.chunk, reason, "a chunk cannot be read now, trying again");
        }
        let env = &*self.of.env;
        Ok(match trouble {
            Trouble::Denied => self.backoff.slow(env),
            _ => self.backoff.next(env),
        })
    }
}

impl std::fmt::Debug for ChunkEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkEvents").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkReader").field("chunk", &self.chunk).finish_non_exhaustive()
    }
}
