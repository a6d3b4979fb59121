//! A clock that a test sets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ev_core::{BoxFuture, Env, Timestamp};
use tokio::sync::Notify;

pub(crate) struct FixedEnv {
    now: Mutex<Timestamp>,
    /// Whoever sleeps goes on once for each of these.
    over: Arc<Notify>,
}

impl FixedEnv {
    /// The time by which the operating system stamps files: ages are counted from there.
    #[expect(clippy::disallowed_methods, reason = "the file system keeps no other time")]
    pub(crate) fn of_files() -> Arc<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let seconds = i64::try_from(now.as_secs()).expect("before the end of time");
        let now = Mutex::new(Timestamp::new(seconds, 0));
        Arc::new(Self { now, over: Arc::default() })
    }

    /// Whoever sleeps, or sleeps next, has slept long enough.
    pub(crate) fn end_sleep(&self) {
        self.over.notify_one();
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.plus_seconds(seconds);
    }
}

impl Env for FixedEnv {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        let over = Arc::clone(&self.over);
        Box::pin(async move { over.notified().await })
    }

    fn random(&self) -> u64 {
        4 // Nothing here rolls dice.
    }
}
