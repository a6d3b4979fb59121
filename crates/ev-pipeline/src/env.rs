//! The operating system's clock and chance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ev_core::{BoxFuture, Env, Timestamp};

/// [`Env`] over tokio's timers and the operating system's clock and random source.
///
/// Its monotonic clock is tokio's, so a test that pauses it stops this one too.
#[derive(Clone, Copy, Debug)]
pub struct TokioEnv {
    origin: tokio::time::Instant,
}

impl TokioEnv {
    /// Must be called inside a tokio runtime with its timer enabled.
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

impl Default for TokioEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for TokioEnv {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    fn now(&self) -> Timestamp {
        let now = SystemTime::now();
        // A clock before 1970 is a broken clock; the epoch is as good as any other answer.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::new(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        // A system without randomness still delivers; only the jitter is lost.
        getrandom::u64().unwrap_or_default()
    }
}
