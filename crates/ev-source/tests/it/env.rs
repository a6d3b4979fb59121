//! Time that moves only when a test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use tokio::sync::{oneshot, watch};

/// Second at which every test begins.
pub(crate) const NOW: i64 = 1_800_000_000;

#[derive(Clone)]
pub(crate) struct ManualEnv {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    elapsed: Duration,
    random: u64,
    sleepers: BTreeMap<u64, Sleeper>,
    last: u64,
}

struct Sleeper {
    until: Duration,
    duration: Duration,
    wake: oneshot::Sender<()>,
}

/// Takes a sleeper off the list when its future is dropped.
struct Bed(ManualEnv, u64);

impl Drop for Bed {
    fn drop(&mut self) {
        self.0.lock().sleepers.remove(&self.1);
    }
}

impl ManualEnv {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    pub(crate) fn advance(&self, by: Duration) {
        let due = {
            let mut state = self.lock();
            state.elapsed += by;
            let elapsed = state.elapsed;
            let (due, rest) = std::mem::take(&mut state.sleepers)
                .into_iter()
                .partition::<BTreeMap<_, _>, _>(|(_, sleeper)| sleeper.until <= elapsed);
            state.sleepers = rest;
            due
        };
        for sleeper in due.into_values() {
            // Whoever no longer sleeps need not be woken.
            let _gone = sleeper.wake.send(());
        }
    }

    /// Pauses with jitter are about as long as they may be, up to half a minute.
    pub(crate) fn wait_as_long_as_allowed(&self) {
        self.lock().random = 29_999_999_999;
    }

    /// Number of those who sleep for no longer than `longest`.
    pub(crate) fn asleep(&self, longest: Duration) -> usize {
        self.lock().sleepers.values().filter(|sleeper| sleeper.duration <= longest).count()
    }

    /// Waits until somebody falls asleep.
    pub(crate) async fn change(&self) {
        let mut changed = self.changed.subscribe();
        changed.changed().await.expect("the sender lives in `self`");
    }

    /// Waits until somebody sleeps for exactly `duration`.
    pub(crate) async fn sleeping(&self, duration: Duration) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if self.lock().sleepers.values().any(|sleeper| sleeper.duration == duration) {
                return;
            }
            changed.changed().await.expect("the sender lives in `self`");
        }
    }
}

impl Env for ManualEnv {
    fn now(&self) -> Timestamp {
        let seconds = i64::try_from(self.lock().elapsed.as_secs()).expect("a short test");
        Timestamp::new(NOW + seconds, 0)
    }

    fn monotonic(&self) -> Duration {
        self.lock().elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            state.last += 1;
            let (id, until) = (state.last, state.elapsed + duration);
            if !duration.is_zero() {
                state.sleepers.insert(id, Sleeper { until, duration, wake });
            }
            id
        };
        self.changed.send_modify(|count| *count += 1);
        let bed = Bed(self.clone(), id);
        Box::pin(async move {
            // An error means that the sleep was over from the start.
            let _woken = woken.await;
            drop(bed);
        })
    }

    /// No jitter: a pause before another attempt is over at once, unless a test wants it long.
    fn random(&self) -> u64 {
        self.lock().random
    }
}
