//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use tokio::sync::watch;

/// 2026-06-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::new(1_780_272_000, 0);

pub(crate) struct ManualEnv {
    elapsed: watch::Sender<Duration>,
    /// What is slept for since the clock was moved last.
    sleeps: watch::Sender<Vec<Duration>>,
}

impl ManualEnv {
    pub(crate) fn new() -> Arc<Self> {
        let (elapsed, sleeps) =
            (watch::Sender::new(Duration::ZERO), watch::Sender::new(Vec::new()));
        Arc::new(Self { elapsed, sleeps })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.sleeps.send_modify(Vec::clear);
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Resolves once somebody sleeps for just so long.
    pub(crate) async fn asleep(&self, duration: Duration) {
        let mut sleeps = self.sleeps.subscribe();
        let slept = sleeps.wait_for(|sleeps| sleeps.contains(&duration)).await;
        assert!(slept.is_ok(), "the clock is there");
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
        self.sleeps.send_modify(|sleeps| sleeps.push(duration));
        let mut elapsed = self.elapsed.subscribe();
        let until = *elapsed.borrow_and_update() + duration;
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
