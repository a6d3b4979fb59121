//! The clock of the deadlines: one thread that moves the engine's epoch every 10 ms while a guest
//! runs, and sleeps otherwise.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Owns the thread: dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Guest calls under way.
    running: usize,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding the lock; the numbers are valid whatever happened.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    /// Starts the thread; `tick` is called on it.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("ev-guest-ticker".into())
            .spawn(move || run(&theirs, tick))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Ticks as long as the returned guard lives.
    pub(crate) fn running(&self) -> Running<'_> {
        let mut state = self.shared.lock();
        state.running += 1;
        if state.running == 1 {
            self.shared.changed.notify_one();
        }
        Running(&self.shared)
    }

    /// Ticks after which a call has had at least `time`.
    ///
    /// The tick under way may end at once, and the one after it bears the rounding: less than two
    /// more would be no deadline.
    pub(crate) fn ticks(time: Duration) -> u64 {
        2 + u64::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX / 2)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the clock of guest deadlines panicked");
        }
    }
}

/// A guest call under way.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

fn run(shared: &Shared, tick: impl Fn()) {
    let mut state = shared.lock();
    loop {
        if state.stop {
            return;
        }
        if state.running == 0 {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        // A wake-up before its time is a tick too early at worst, which the two ticks that each
        // deadline has to spare cover.
        state = match shared.changed.wait_timeout(state, TICK) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
        if state.running > 0 {
            tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{TrySendError, sync_channel};

    use super::*;

    #[test]
    fn ticks_while_a_call_runs_and_ends_with_its_owner() {
        let (sender, ticks) = sync_channel(1);
        let ticker = Ticker::start(move || {
            // A full channel is a tick that nobody waits for.
            let sent = sender.try_send(());
            assert_ne!(sent, Err(TrySendError::Disconnected(())));
        })
        .expect("a thread");
        let running = ticker.running();
        for _ in 0..3 {
            ticks.recv().expect("a tick");
        }
        drop(running);
        drop(ticker);
        // The thread is gone, and its sender with it: at most one tick was left behind.
        assert!(ticks.iter().count() <= 1);
    }

    #[test]
    fn a_deadline_has_two_ticks_to_spare() {
        assert_eq!(Ticker::ticks(Duration::ZERO), 2);
        assert_eq!(Ticker::ticks(Duration::from_millis(100)), 12);
        assert_eq!(Ticker::ticks(Duration::from_millis(101)), 13);
    }
}
