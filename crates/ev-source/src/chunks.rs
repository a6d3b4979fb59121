//! Single chunks of the bulk export beside the lanes.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, Date, Env, Form, RawEvent};
use tonic::{Code, Status};
use tracing::warn;

use crate::Config;
use crate::backoff::Backoff;
use crate::export::{Ending, Reading, Taken};
use crate::link::Troubles;
use crate::living::Living;
use crate::rpc::{self, Trouble};

/// Events that are taken at once.
const EVENTS: usize = 1000;
/// Attempts in a row that got no further after which a chunk is left.
const ATTEMPTS: u32 = 5;

/// Reads chunks beside the lanes, over the connection of the source that made it. Waits while there
/// is no connection: somebody has to be in the source's `next` or `survey`.
#[derive(Clone)]
pub struct ChunkEvents {
    config: Arc<Config>,
    env: Arc<dyn Env>,
    living: Living,
}

/// A chunk that is being read, from its beginning.
pub struct ChunkReader {
    of: ChunkEvents,
    reading: Reading,
    backoff: Backoff,
    trouble: Troubles,
    attempts: u32,
    /// Before the next attempt.
    pause: Option<Duration>,
    over: Option<Result<(), ChunkRefused>>,
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
    pub(crate) fn new(config: Arc<Config>, env: Arc<dyn Env>, living: Living) -> Self {
        Self { config, env, living }
    }

    /// Begins to read a chunk of a date.
    pub fn read(&self, date: Date, chunk: &str) -> ChunkReader {
        ChunkReader {
            of: self.clone(),
            reading: Reading::new(date, chunk.to_owned(), String::new()),
            backoff: Backoff::default(),
            trouble: Troubles::default(),
            attempts: 0,
            pause: None,
            over: None,
        }
    }
}

impl ChunkReader {
    /// The next events; `None` behind the last. What has come is returned before what went wrong
    /// behind it.
    ///
    /// # Errors
    ///
    /// When there is no such chunk, Auth does not offer the export, or the chunk cannot be read
    /// however often it is tried.
    pub async fn next(&mut self) -> Result<Option<ChunkPart>, ChunkRefused> {
        loop {
            if let Some(over) = &self.over {
                return over.clone().map(|()| None);
            }
            let ChunkEvents { config, env, living } = self.of.clone();
            if let Some(pause) = self.pause {
                env.sleep(pause).await;
                self.pause = None;
            }
            let (connection, version) = living.connected().await;
            let patience = config.request_timeout;
            let part = self.reading.part(connection, &version, EVENTS, patience, env).await;
            if living.up().is_none_or(|(_, now)| now != version) {
                // Nobody knows under which version it was written.
                self.reading.forget_stream();
                continue;
            }
            let Taken { items, moved, ending } = self.reading.take(part, &version);
            if moved {
                self.backoff.reset();
                self.trouble.clear();
                self.attempts = 0;
            }
            match ending {
                Ending::More | Ending::Failed { at_once: true, .. } => {}
                Ending::End => self.over = Some(Ok(())),
                Ending::Failed { status, kind, .. } => self.failed(&status, kind),
            }
            if !items.is_empty() {
                let event = |bytes| RawEvent { form: Form::Unstructured, bytes };
                let events = items.into_iter().map(|item| (event(item.event), item.cursor));
                return Ok(Some(ChunkPart { version, events: events.collect() }));
            }
        }
    }

    fn failed(&mut self, status: &Status, kind: Trouble) {
        let reason = rpc::describe(status);
        let hopeless = matches!(kind, Trouble::Missing | Trouble::Invalid | Trouble::TooLarge)
            || status.code() == Code::Unimplemented;
        if kind != Trouble::Connection && kind != Trouble::Denied {
            self.attempts += 1;
        }
        if hopeless || self.attempts >= ATTEMPTS {
            self.over = Some(Err(ChunkRefused { reason }));
            return;
        }
        if self.trouble.is_news(&reason) {
            warn!(chunk = self.reading.name, reason, "a chunk cannot be read now, trying again");
        }
        let env = &*self.of.env;
        self.pause = Some(match kind {
            Trouble::Denied => self.backoff.slow(env),
            _ => self.backoff.next(env),
        });
    }
}

impl std::fmt::Debug for ChunkEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkEvents").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkReader").field("chunk", &self.reading.name).finish_non_exhaustive()
    }
}
