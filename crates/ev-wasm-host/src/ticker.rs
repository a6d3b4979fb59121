//! The clock of the deadlines: one thread that moves the engine's epoch every 10 ms while guests
//! are called, and sleeps when none was for a while.
//!
//! Waking a thread costs more than most calls, so a call only counts itself; the thread looks at
//! the count with each tick, and must be woken only when it went to sleep. It sleeps when no call
//! began for longer than any call may take, so that it needs not be told when one ends.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(10);

const TICKS_PER_SECOND: u64 = 100;

/// Ticks without a new call after which the thread goes to sleep, at least.
const LINGER: u64 = 20;

/// Owns the thread: dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Number of the tick that comes next, from 1 on.
    now: AtomicU64,
    /// Calls announced.
    begun: AtomicU64,
    /// Most ticks that a call was ever given.
    longest: AtomicU64,
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
        let shared = Arc::new(Shared { now: AtomicU64::new(1), ..Shared::default() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("ev-guest-ticker".into())
            .spawn(move || run(&theirs, tick))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A call begins now and may take `ticks`: until then, the clock ticks.
    ///
    /// `announced` belongs to whoever calls, one call at a time, and is 0 at first.
    pub(crate) fn begin(&self, ticks: u64, announced: &mut u64) {
        if ticks > self.shared.longest.load(Ordering::Relaxed) {
            self.shared.longest.fetch_max(ticks, Ordering::SeqCst);
            *announced = 0;
        }
        // Once in a tick is enough: the thread does not sleep for many ticks after it.
        let now = self.shared.now.load(Ordering::Acquire);
        if *announced == now {
            return;
        }
        *announced = now;
        // Either this sees that the thread sleeps, or the thread sees the call before it does, and
        // with it what `longest` is now.
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.wake();
        }
    }

    /// Ticks after which a call has had at least `time`.
    ///
    /// The tick under way may end at once, and the one after it bears the rounding: less than two
    /// more would be no deadline.
    pub(crate) fn ticks(time: Duration) -> u64 {
        let whole = time.as_secs().saturating_mul(TICKS_PER_SECOND);
        let rest = time.subsec_nanos().div_ceil(TICK.subsec_nanos());
        // Half of what the epoch can count is no deadline either.
        whole.saturating_add(2 + u64::from(rest)).min(u64::MAX / 2)
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

fn run(shared: &Shared, tick: impl Fn()) {
    let mut stop = shared.lock();
    let (mut last, mut idle) = (0, 0u64);
    while !*stop {
        // The whole time, whoever else still wakes it: a tick too early would cut deadlines short.
        stop = match shared.changed.wait_timeout_while(stop, TICK, |stop| !*stop) {
            Ok((stop, _)) => stop,
            Err(poisoned) => poisoned.into_inner().0,
        };
        tick();
        shared.now.fetch_add(1, Ordering::Release);
        let begun = shared.begun.load(Ordering::SeqCst);
        idle = if begun != last { 0 } else { idle + 1 };
        last = begun;
        if idle <= LINGER.max(shared.longest.load(Ordering::SeqCst)) {
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
        let mut announced = 0;
        ticker.begin(3, &mut announced);
        for _ in 0..3 {
            ticks.recv().expect("a tick");
        }
        // Sooner or later it sleeps; the next call wakes it.
        while !ticker.shared.asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // What it sent before it slept.
        ticks.try_iter().for_each(drop);
        ticker.begin(3, &mut announced);
        for _ in 0..3 {
            ticks.recv().expect("a tick");
        }
        drop(ticker);
        // The thread is gone, and its sender with it: at most one tick was left behind.
        assert!(ticks.iter().count() <= 1);
    }

    #[test]
    fn a_deadline_has_two_ticks_to_spare() {
        assert_eq!(Ticker::ticks(Duration::ZERO), 2);
        assert_eq!(Ticker::ticks(Duration::from_millis(100)), 12);
        assert_eq!(Ticker::ticks(Duration::from_millis(101)), 13);
        assert_eq!(Ticker::ticks(Duration::from_millis(2_001)), 203);
        assert_eq!(Ticker::ticks(Duration::MAX), u64::MAX / 2);
    }
}
