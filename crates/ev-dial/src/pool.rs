//! Idle connections.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A connection that may be used again.
pub trait Reusable {
    /// Whether it can be, as far as can be told without sending: that the other side has closed an
    /// idle connection is noticed here.
    fn is_alive(&mut self) -> impl Future<Output = bool> + Send;
}

/// Connections that wait for their next use, each to the server that its key names.
///
/// Nobody drives them meanwhile; dropping one closes it.
pub struct Pool<K, C> {
    capacity: usize,
    inner: Mutex<Inner<K, C>>,
}

struct Inner<K, C> {
    /// The one used last stands at the end.
    idle: Vec<Idle<K, C>>,
    /// Grows whenever new connections show another certificate.
    generation: u64,
}

struct Idle<K, C> {
    key: K,
    connection: C,
    /// By the monotonic clock.
    since: Duration,
}

impl<K: PartialEq, C: Reusable> Pool<K, C> {
    /// A pool of at most `capacity` connections.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::new(Inner { idle: Vec::new(), generation: 0 }) }
    }

    /// What a connection that is about to be opened belongs to.
    pub fn generation(&self) -> u64 {
        self.inner().generation
    }

    /// The connection to `key` that was used last and is still good. Those that have been idle for
    /// `limit` at the time `now` of the monotonic clock are closed.
    pub async fn take(&self, key: &K, now: Duration, limit: Duration) -> Option<C> {
        loop {
            let mut connection = {
                let idle = &mut self.inner().idle;
                idle.retain(|one| now.saturating_sub(one.since) < limit);
                let found = idle.iter().rposition(|one| one.key == *key)?;
                idle.remove(found).connection
            };
            if connection.is_alive().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for its next use, unless it belongs to an earlier `generation` or there
    /// is no room.
    pub fn put(&self, key: K, connection: C, generation: u64, now: Duration) {
        let mut inner = self.inner();
        if generation == inner.generation && inner.idle.len() < self.capacity {
            inner.idle.push(Idle { key, connection, since: now });
        }
    }

    /// Closes what is idle.
    pub fn clear(&self) {
        self.inner().idle.clear();
    }

    /// Closes what is idle now, and later what is in use now.
    pub fn renew(&self) {
        let mut inner = self.inner();
        inner.generation += 1;
        inner.idle.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner<K, C>> {
        // Nothing in here can be left half done by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, C> fmt::Debug for Pool<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Numbered(u32, bool);

    impl Reusable for Numbered {
        async fn is_alive(&mut self) -> bool {
            self.1
        }
    }

    const LIMIT: Duration = Duration::from_secs(7);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn the_last_that_is_good_comes_first() {
        let pool = Pool::new(4);
        for (number, alive) in [(1, true), (2, true), (3, false)] {
            pool.put("a", Numbered(number, alive), 0, at(0));
        }
        pool.put("b", Numbered(4, true), 0, at(0));
        pool.put("b", Numbered(5, true), 0, at(0));
        let take = async |key| pool.take(&key, at(1), LIMIT).await.map(|one| one.0);
        assert_eq!(take("a").await, Some(2), "3 is closed");
        assert_eq!(take("a").await, Some(1));
        assert_eq!(take("a").await, None);
        assert_eq!(take("b").await, Some(4), "there was no room for 5");
    }

    #[tokio::test]
    async fn none_is_kept_for_too_long() {
        let pool = Pool::new(4);
        pool.put((), Numbered(1, true), 0, at(0));
        pool.put((), Numbered(2, true), 0, at(5));
        let take = async |now| pool.take(&(), at(now), LIMIT).await.map(|one| one.0);
        assert_eq!(take(7).await, Some(2));
        assert_eq!(take(7).await, None, "1 is too old");
        pool.put((), Numbered(3, true), 0, at(7));
        pool.clear();
        assert_eq!(take(7).await, None);
    }

    #[tokio::test]
    async fn what_showed_another_certificate_is_not_kept() {
        let pool = Pool::new(4);
        let before = pool.generation();
        pool.put((), Numbered(1, true), before, at(0));
        pool.renew();
        assert_eq!(pool.take(&(), at(0), LIMIT).await, None, "it was idle");
        pool.put((), Numbered(2, true), before, at(0));
        assert_eq!(pool.take(&(), at(0), LIMIT).await, None, "it was in use");
        pool.put((), Numbered(3, true), pool.generation(), at(0));
        assert_eq!(pool.take(&(), at(0), LIMIT).await, Some(Numbered(3, true)));
    }
}
