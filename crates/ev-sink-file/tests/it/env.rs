//! A clock that a test sets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ev_core::{BoxFuture, Env, Timestamp};

pub(crate) struct FixedEnv(Mutex<Timestamp>);

impl FixedEnv {
    /// The time by which the operating system stamps files: ages are counted from there.
    #[expect(clippy::disallowed_methods, reason = "the file system keeps no other time")]
    pub(crate) fn of_files() -> Arc<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let seconds = i64::try_from(now.as_secs()).expect("before the end of time");
        Arc::new(Self(Mutex::new(Timestamp::new(seconds, 0))))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.plus_seconds(seconds);
    }
}

impl Env for FixedEnv {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn random(&self) -> u64 {
        4 // Nothing here rolls dice.
    }
}
