//! The clock of the deadlines: one thread that moves the engine's epoch every 10 ms while guests
//! are called, and sleeps when none was for a while.
//!
//! Waking a thread costs more than most calls, so a call only counts itself; the thread looks at
//! the count with each tick, and must be woken only when it went to sleep.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a new call after which the thread goes to sleep.
const LINGER: u32 = 20;

/// Owns the thread: dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Guest calls begun and ended.
    begun: AtomicU64,
    ended: AtomicU64,
    asleep: AtomicBool,
    /// Whether the thread has to end.
    stop: Mutex<bool>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, bool> {
        // Nobody panics while holding the lock; the flag is valid whatever happened.
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    #[cold]
    fn wake(&self) {
        // Under the lock, so that the thread is not between its last look and its sleep.
        let _stop = self.lock();
        self.changed.notify_one();
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

    /// Ticks at least as long as the returned guard lives.
    pub(crate) fn running(&self) -> Running<'_> {
        // Either this sees that the thread sleeps, or the thread sees the call before it does.
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.wake();
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
        *self.shared.lock() = true;
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
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

fn run(shared: &Shared, tick: impl Fn()) {
    let mut stop = shared.lock();
    let (mut last, mut idle) = (0, 0);
    while !*stop {
        // A wake-up before its time is a tick too early at worst, which the two ticks that each
        // deadline has to spare cover.
        stop = match shared.changed.wait_timeout(stop, TICK) {
            Ok((stop, _)) => stop,
            Err(poisoned) => poisoned.into_inner().0,
        };
        tick();
        let begun = shared.begun.load(Ordering::SeqCst);
        let running = begun != shared.ended.load(Ordering::Acquire);
        idle = if running || begun != last { 0 } else { idle + 1 };
        last = begun;
        if idle < LINGER {
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while !*stop && shared.begun.load(Ordering::SeqCst) == last {
            stop = shared.changed.wait(stop).unwrap_or_else(PoisonError::into_inner);
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle = 0;
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
        // Sooner or later it sleeps; the next call wakes it.
        while !ticker.shared.asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // What it sent before it slept.
        ticks.try_iter().for_each(drop);
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
