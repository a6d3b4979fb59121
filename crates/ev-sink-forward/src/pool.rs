//! Idle connections.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connection::Connection;

/// Connections that wait for their next chunk.
pub(crate) struct Pool {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The one used last stands at the end.
    idle: Vec<Connection>,
    /// Grows whenever new connections show another certificate.
    generation: u64,
}

impl Pool {
    /// A pool of at most `capacity` connections.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    /// What a connection that is about to be opened belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.inner().generation
    }

    /// The connection that was used last and is still good.
    pub(crate) async fn take(&self, now: Duration, idle_limit: Duration) -> Option<Connection> {
        loop {
            let mut connection = {
                let idle = &mut self.inner().idle;
                idle.retain(|one| now.saturating_sub(one.idle_since) < idle_limit);
                idle.pop()?
            };
            if connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next chunk, unless it belongs to an earlier generation.
    pub(crate) fn put(&self, mut connection: Connection, now: Duration) {
        connection.idle_since = now;
        let mut inner = self.inner();
        if connection.generation == inner.generation && inner.idle.len() < self.capacity {
            inner.idle.push(connection);
        }
    }

    /// Closes what is idle now, and later what is in use now.
    pub(crate) fn renew(&self) {
        let mut inner = self.inner();
        inner.generation += 1;
        inner.idle.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can be left half done by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
