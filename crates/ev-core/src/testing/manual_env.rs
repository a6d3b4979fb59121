//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::{BoxFuture, Env, Timestamp};

/// An [`Env`] whose time moves only when a test says so, and which tells who sleeps; with any
/// runtime, or none.
#[derive(Debug, Default)]
pub struct ManualEnv {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    elapsed: Duration,
    /// How long everybody wanted to sleep, in the order in which they began.
    begun: Vec<Duration>,
    /// Those who sleep now, by their place in `begun`.
    sleepers: BTreeMap<usize, Sleeper>,
    /// Tests that wait for somebody to sleep.
    watchers: Vec<Waker>,
}

#[derive(Debug)]
struct Sleeper {
    until: Duration,
    waker: Option<Waker>,
}

impl ManualEnv {
    /// The time at which it begins, 2026-06-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::new(1_780_272_000, 0);

    /// A clock at [`ManualEnv::START`].
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Moves the time on, and wakes whoever has slept long enough.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.elapsed += by;
        let elapsed = state.elapsed;
        let due = state.sleepers.values_mut().filter(|sleeper| sleeper.until <= elapsed);
        let wakers: Vec<Waker> = due.filter_map(|sleeper| sleeper.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How often somebody has begun to sleep.
    pub fn sleeps(&self) -> usize {
        self.lock().begun.len()
    }

    /// Waits until somebody has begun to sleep for the `count`th time in all.
    pub async fn slept(&self, count: usize) {
        self.until(|state| state.begun.len() >= count).await;
    }

    /// Waits until somebody has begun to sleep for just so long, for the `count`th time in all.
    pub async fn slept_for(&self, duration: Duration, count: usize) {
        let is_it = |one: &&Duration| **one == duration;
        self.until(|state| state.begun.iter().filter(is_it).count() >= count).await;
    }

    /// Waits until somebody sleeps who wanted to sleep for just so long.
    pub async fn asleep(&self, duration: Duration) {
        self.until(|state| {
            let mut asleep = state.sleepers.iter().filter(|(_, one)| one.until > state.elapsed);
            asleep.any(|(id, _)| state.begun.get(*id) == Some(&duration))
        })
        .await;
    }

    async fn until(&self, is_there: impl Fn(&State) -> bool) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if is_there(&state) {
                return Poll::Ready(());
            }
            state.watchers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Env for ManualEnv {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.lock().elapsed.as_secs()).unwrap_or(i64::MAX);
        Self::START.plus_seconds(elapsed)
    }

    fn monotonic(&self) -> Duration {
        self.lock().elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.lock();
        let (id, until) = (state.begun.len(), state.elapsed + duration);
        state.begun.push(duration);
        state.sleepers.insert(id, Sleeper { until, waker: None });
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        watchers.into_iter().for_each(Waker::wake);
        Box::pin(Sleep { state: Arc::clone(&self.state), id })
    }

    fn random(&self) -> u64 {
        4 // Nothing here rolls dice.
    }
}

/// One who sleeps.
struct Sleep {
    state: Arc<Mutex<State>>,
    id: usize,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        let elapsed = state.elapsed;
        match state.sleepers.get_mut(&self.id) {
            Some(sleeper) if sleeper.until > elapsed => {
                sleeper.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        lock(&self.state).sleepers.remove(&self.id);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing in here can be left half done by a panic.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether it is over now.
    fn is_over(future: Pin<&mut (impl Future + ?Sized)>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_sleep_lasts_until_the_clock_is_moved() {
        let env = ManualEnv::new();
        let (mut short, mut long) = (env.sleep(SECOND), env.sleep(2 * SECOND));
        assert!(is_over(pin!(env.sleep(Duration::ZERO))));
        assert!(!is_over(short.as_mut()) && !is_over(long.as_mut()));
        env.advance(SECOND);
        assert!(is_over(short.as_mut()) && !is_over(long.as_mut()));
        env.advance(SECOND);
        assert!(is_over(long.as_mut()));
        assert_eq!(env.monotonic(), 2 * SECOND);
        assert_eq!(env.now(), ManualEnv::START.plus_seconds(2));
    }

    #[test]
    fn who_sleeps_is_told() {
        let env = ManualEnv::new();
        let mut asleep = Box::pin(env.asleep(SECOND));
        assert!(!is_over(asleep.as_mut()));
        let sleep = env.sleep(SECOND);
        assert!(is_over(asleep.as_mut()));
        assert!(!is_over(pin!(env.asleep(2 * SECOND))), "not for so long");
        drop(sleep);
        assert!(!is_over(pin!(env.asleep(SECOND))), "nobody sleeps any more");
        let sleep = env.sleep(SECOND);
        env.advance(SECOND);
        assert!(!is_over(pin!(env.asleep(SECOND))), "it has slept enough");
        drop(sleep);
        assert_eq!(env.sleeps(), 2);
        assert!(is_over(pin!(env.slept(2))) && !is_over(pin!(env.slept(3))));
        assert!(is_over(pin!(env.slept_for(SECOND, 2))));
        assert!(!is_over(pin!(env.slept_for(SECOND, 3))));
    }
}
