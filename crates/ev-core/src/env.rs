//! Time and chance, so that nothing else asks the operating system for them.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::{BoxFuture, Timestamp};

/// Clock, sleep and randomness.
///
/// In production backed by the operating system and tokio; in a simulation by a seed.
pub trait Env: Send + Sync + 'static {
    /// The wall clock. May jump in both directions.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary fixed point; never goes back.
    fn monotonic(&self) -> Duration;

    /// Resolves after `duration`. Dropping the future cancels it.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// 64 random bits; good enough for jitter and identifiers, not for keys.
    fn random(&self) -> u64;

    /// A random duration in `0..=limit`: *full jitter*.
    fn jitter(&self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(match nanos.checked_add(1) {
            Some(range) => self.random() % range,
            None => self.random(),
        })
    }
}

/// The future's output, or `None` after `limit`.
pub async fn within<T>(
    env: &dyn Env,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut future, mut over) = (pin!(future), env.sleep(limit));
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => over.as_mut().poll(context).map(|()| None),
    })
    .await
}
