//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use tokio::sync::watch;

/// 2026-06-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::new(1_780_272_000, 0);

pub(crate) struct ManualEnv {
    elapsed: watch::Sender<Duration>,
    sleeps: watch::Sender<u64>,
}

impl ManualEnv {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            elapsed: watch::Sender::new(Duration::ZERO),
            sleeps: watch::Sender::new(0),
        })
    }

    /// How often somebody has begun to sleep.
    pub(crate) fn sleeps(&self) -> u64 {
        *self.sleeps.borrow()
    }

    /// Waits until somebody has begun to sleep for the `count`th time in all.
    pub(crate) async fn slept(&self, count: u64) {
        let mut sleeps = self.sleeps.subscribe();
        sleeps.wait_for(|sleeps| *sleeps >= count).await.expect("the clock is in use");
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }
}

impl Env for ManualEnv {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed.borrow().as_secs()).expect("a short test");
        START.plus_seconds(elapsed)
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut elapsed = self.elapsed.subscribe();
        let until = *elapsed.borrow_and_update() + duration;
        self.sleeps.send_modify(|sleeps| *sleeps += 1);
        Box::pin(async move {
            if elapsed.wait_for(|elapsed| *elapsed >= until).await.is_err() {
                // The clock is gone, so it never gets there.
                std::future::pending::<()>().await;
            }
        })
    }

    fn random(&self) -> u64 {
        4 // Nothing here rolls dice.
    }
}
